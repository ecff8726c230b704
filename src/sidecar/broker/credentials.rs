//! A credential configuration file, parsed into what can be exchanged for tokens.
//!
//! The kinds are those of Google's client libraries (AIP-4110 to AIP-4117). An unusable file is an error that names the
//! field, never its content.

mod fields;
mod subject;

pub use fields::BadCredentials;
pub use subject::Subject;

use super::signing::SigningKey;
use anyhow::{Context, bail};
use fields::{File, is_email};
use serde::Deserialize;
use serde_json::Value;
use std::fs::File as OpenFile;
use std::io::Read;
use std::path::Path;
use vertex_injector_core::contract::broker::{CREDENTIALS, Credential as Told};
use vertex_injector_core::contract::proxy::Project;
use vertex_injector_core::endpoint::Endpoint;
use vertex_injector_net::secret::Secret;
use zeroize::Zeroizing;

/// Most bytes of a credential file.
pub const MAX_FILE: usize = 64 * 1024;

/// How deep an impersonated credential may nest.
const MAX_DEPTH: usize = 4;

/// What a credential file describes.
#[derive(Debug)]
pub enum Credentials {
    /// A token from a file or a URL, exchanged at the Security Token Service (RFC 8693).
    ExternalAccount(ExternalAccount),
    /// A key that signs its own assertions (RFC 7523).
    ServiceAccount(ServiceAccount),
    /// A person's refresh token (RFC 6749 section 6).
    AuthorizedUser(AuthorizedUser),
    /// Another credential that acts as a service account.
    Impersonated(Box<Impersonated>),
    /// The metadata server below us, on GKE: the base of its URLs.
    Metadata(Endpoint),
}

/// `external_account`.
#[derive(Debug)]
pub struct ExternalAccount {
    /// The provider's resource name, `//iam.googleapis.com/projects/…`.
    pub audience: String,
    /// `subject_token_type`.
    pub subject_token_type: String,
    /// Where the token is exchanged.
    pub token_url: Endpoint,
    /// Where the subject token comes from, at every exchange.
    pub subject: Subject,
    /// Its field where that is JSON.
    pub token_field: Option<String>,
    /// The service account to act as.
    pub impersonation: Option<Impersonation>,
}

/// `service_account`.
#[derive(Debug)]
pub struct ServiceAccount {
    /// `client_email`.
    pub email: String,
    /// `private_key`, with `private_key_id`.
    pub key: SigningKey,
    /// `token_uri`.
    pub token_url: Endpoint,
}

/// `authorized_user`.
#[derive(Debug)]
pub struct AuthorizedUser {
    /// `client_id`.
    pub client_id: String,
    /// `client_secret`.
    pub client_secret: Secret,
    /// `refresh_token`.
    pub refresh_token: Secret,
    /// Where it is refreshed.
    pub token_url: Endpoint,
}

/// `impersonated_service_account`.
#[derive(Debug)]
pub struct Impersonated {
    /// The credential that acts.
    pub source: Credentials,
    /// Whom it acts as.
    pub impersonation: Impersonation,
}

/// A service account to act as.
#[derive(Debug, Clone)]
pub struct Impersonation {
    /// `…:generateAccessToken`.
    pub url: Endpoint,
    /// `…:generateIdToken`.
    pub id_token_url: Endpoint,
    /// The account's e-mail, from the URL.
    pub email: String,
    /// The chain of delegates.
    pub delegates: Vec<String>,
    /// Lifetime of its tokens in seconds.
    pub lifetime: u32,
}

/// Lifetime of impersonated tokens unless the file says otherwise, in seconds: a stolen one is soon worth nothing.
const IMPERSONATED_LIFETIME: u32 = 1800;

/// A credential, and what its file says besides.
#[derive(Debug)]
pub struct Configured {
    /// The credential.
    pub credentials: Credentials,
    /// `quota_project_id`: the project that calls with it are counted against.
    pub quota_project: Option<Project>,
}

impl Configured {
    /// The credential that a broker is told of.
    ///
    /// # Errors
    /// When it cannot be read or used; never with its content.
    pub fn read(told: &Told) -> anyhow::Result<Self> {
        match told {
            Told::File(path) => {
                let place = format!("{CREDENTIALS} {}", path.display());
                let json = read(path).with_context(|| format!("cannot read {place}"))?;
                Self::parse(&json).with_context(|| format!("cannot use {place}"))
            }
            Told::Json(json) => {
                let place = "cannot use --credentials-json (VERTEX_INJECTOR_CREDENTIALS_JSON)";
                let configured = Self::parse(json.as_bytes()).context(place)?;
                match configured.credentials {
                    Credentials::ExternalAccount(ref account) if account.subject.has_secrets() => {
                        bail!("{place}: credential_source.headers hold secrets; give it as a file with {CREDENTIALS}")
                    }
                    Credentials::ExternalAccount(_) => Ok(configured),
                    Credentials::ServiceAccount(_)
                    | Credentials::AuthorizedUser(_)
                    | Credentials::Impersonated(_)
                    | Credentials::Metadata(_) => {
                        bail!(
                            "{place}: only type external_account is without secrets; give others as a file with {CREDENTIALS}"
                        )
                    }
                }
            }
            Told::NodeMetadata(server) => Ok(Self {
                credentials: Credentials::Metadata(server.clone()),
                quota_project: None,
            }),
        }
    }

    /// Reads a credential file's content.
    ///
    /// # Errors
    /// Names the field that is missing or unusable, and what would be valid.
    pub fn parse(json: &[u8]) -> Result<Self, BadCredentials> {
        if json.len() > MAX_FILE {
            return Err(BadCredentials(format!(
                "the credential file is longer than {MAX_FILE} bytes"
            )));
        }
        let Ok(Value::Object(file)) = serde_json::from_slice(json) else {
            return Err(BadCredentials("the credential file is not a JSON object".to_owned()));
        };
        let file = File {
            fields: &file,
            within: String::new(),
        };
        let name = "quota_project_id";
        let quota_project = file.optional(name)?.filter(|project| !project.is_empty());
        let quota_project =
            quota_project.map(|project| project.parse().map_err(|_| file.bad(name, "is no project's ID")));
        Ok(Self {
            credentials: Credentials::of(&file, 0)?,
            quota_project: quota_project.transpose()?,
        })
    }
}

impl Credentials {
    /// Reads a credential file's content, without what it says besides.
    ///
    /// # Errors
    /// As [`Configured::parse`].
    pub fn parse(json: &[u8]) -> Result<Self, BadCredentials> {
        Configured::parse(json).map(|configured| configured.credentials)
    }

    fn of(file: &File<'_>, depth: usize) -> Result<Self, BadCredentials> {
        if depth > MAX_DEPTH {
            return Err(BadCredentials(format!(
                "source_credentials nests deeper than {MAX_DEPTH}"
            )));
        }
        if !matches!(file.optional("universe_domain")?, None | Some("googleapis.com")) {
            return Err(file.bad("universe_domain", "has another value than googleapis.com"));
        }
        match file.text("type")? {
            "external_account" => external_account(file).map(Self::ExternalAccount),
            "service_account" => Ok(Self::ServiceAccount(ServiceAccount {
                email: file.email("client_email")?.to_owned(),
                key: SigningKey::parse(
                    file.text("private_key")?,
                    file.optional("private_key_id")?.map(str::to_owned),
                )
                .ok_or_else(|| file.bad("private_key", "is no RSA key in PEM"))?,
                token_url: file.endpoint("token_uri", Some("https://oauth2.googleapis.com/token"))?,
            })),
            "authorized_user" => Ok(Self::AuthorizedUser(AuthorizedUser {
                client_id: file.text("client_id")?.to_owned(),
                client_secret: Secret::new(file.text("client_secret")?),
                refresh_token: Secret::new(file.text("refresh_token")?),
                token_url: file.endpoint("token_uri", Some("https://oauth2.googleapis.com/token"))?,
            })),
            "impersonated_service_account" => {
                let source = file.object("source_credentials")?;
                Ok(Self::Impersonated(Box::new(Impersonated {
                    source: Self::of(&source, depth + 1)?,
                    impersonation: impersonation(file)?
                        .ok_or_else(|| file.bad("service_account_impersonation_url", "is missing"))?,
                })))
            }
            _ => Err(file.bad(
                "type",
                "has none of the values external_account, service_account, authorized_user, impersonated_service_account",
            )),
        }
    }

    /// The kind, as the file names it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ExternalAccount(_) => "external_account",
            Self::ServiceAccount(_) => "service_account",
            Self::AuthorizedUser(_) => "authorized_user",
            Self::Impersonated(_) => "impersonated_service_account",
            Self::Metadata(_) => "metadata_server",
        }
    }

    /// The e-mail of the account that calls are made as, when the file tells it.
    pub fn email(&self) -> Option<&str> {
        match self {
            Self::ExternalAccount(account) => account.impersonation.as_ref().map(|account| account.email.as_str()),
            Self::ServiceAccount(account) => Some(&account.email),
            Self::Impersonated(account) => Some(&account.impersonation.email),
            Self::AuthorizedUser(_) | Self::Metadata(_) => None,
        }
    }

    /// The number of the project that a workload identity provider belongs to.
    pub fn project_number(&self) -> Option<u64> {
        let Self::ExternalAccount(account) = self else {
            return None;
        };
        let (number, _) = account
            .audience
            .strip_prefix("//iam.googleapis.com/projects/")?
            .split_once('/')?;
        let plain = number.bytes().all(|b| b.is_ascii_digit());
        number.parse().ok().filter(|_| plain)
    }
}

fn external_account(file: &File<'_>) -> Result<ExternalAccount, BadCredentials> {
    let source = file.object("credential_source")?;
    let token_field = match source.fields.get("format") {
        None | Some(Value::Null) => None,
        Some(_) => {
            let format = source.object("format")?;
            match format.optional("type")? {
                None | Some("text") => None,
                Some("json") => Some(format.text("subject_token_field_name")?.to_owned()),
                Some(_) => return Err(format.bad("type", "is neither text nor json")),
            }
        }
    };
    Ok(ExternalAccount {
        audience: file.text("audience")?.to_owned(),
        subject_token_type: file.text("subject_token_type")?.to_owned(),
        token_url: file.endpoint("token_url", Some("https://sts.googleapis.com/v1/token"))?,
        subject: Subject::of(&source)?,
        token_field,
        impersonation: impersonation(file)?,
    })
}

fn impersonation(file: &File<'_>) -> Result<Option<Impersonation>, BadCredentials> {
    let name = "service_account_impersonation_url";
    let Some(url) = file.optional(name)? else {
        return Ok(None);
    };
    let account = url
        .strip_suffix(":generateAccessToken")
        .and_then(|url| url.rsplit_once("/serviceAccounts/"))
        .map(|(_, email)| email.replace("%40", "@"))
        .filter(|email| is_email(email));
    let email = account.ok_or_else(|| file.bad(name, "does not end in /serviceAccounts/EMAIL:generateAccessToken"))?;
    let lifetime = match file.fields.get("service_account_impersonation") {
        None | Some(Value::Null) => IMPERSONATED_LIFETIME,
        Some(_) => lifetime(&file.object("service_account_impersonation")?)?,
    };
    let delegates = match file.fields.get("delegates") {
        None | Some(Value::Null) => Vec::new(),
        Some(value) => {
            Vec::<String>::deserialize(value).map_err(|_| file.bad("delegates", "is not a list of strings"))?
        }
    };
    let url = file.endpoint(name, None)?;
    let id_token_url = url.sibling(":generateAccessToken", ":generateIdToken");
    Ok(Some(Impersonation {
        url,
        id_token_url,
        email,
        delegates,
        lifetime,
    }))
}

fn lifetime(settings: &File<'_>) -> Result<u32, BadCredentials> {
    let name = "token_lifetime_seconds";
    match settings.fields.get(name) {
        None | Some(Value::Null) => Ok(IMPERSONATED_LIFETIME),
        Some(value) => value
            .as_u64()
            .and_then(|seconds| u32::try_from(seconds).ok())
            .filter(|seconds| (600..=43200).contains(seconds))
            .ok_or_else(|| settings.bad(name, "is not a number between 600 and 43200")),
    }
}

fn read(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut json = Zeroizing::new(Vec::new());
    // One byte more than allowed: whoever parses it sees that it is too long.
    let limit = MAX_FILE as u64 + 1;
    if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut json)?;
    } else {
        OpenFile::open(path)?.take(limit).read_to_end(&mut json)?;
    }
    Ok(json)
}
