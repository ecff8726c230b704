//! Where a sidecar's credential comes from, and how its server gets it: from the kubelet, or from our program, which runs it.

use super::filled::Filled;
use super::git::Git;
use crate::allowed::{Allowed, Listed, PlainHttp};
use crate::api::{CredentialFile, CredentialHttp, CredentialSource, CredentialVariable, Isolation, OnRefresh, Sidecar};
use crate::contract::choice::{ToFile, ToVariable};
use crate::contract::exec;
use crate::contract::git::GitCredentials;
use crate::endpoint::Endpoint;
use crate::git::config::GitHost;
use crate::host::Url;
use crate::names;
use crate::operator::{Operator, listed};
use crate::policy::env::{self, Names};
use crate::policy::errors::{Checked, Errors, all, exactly_one, parsed};
use crate::policy::paths::MountPath;
use crate::policy::render::{token_source, token_volume};
use crate::policy::text::{Audience, ObjectName};
use serde_json::{Value, json};
use std::fmt::Display;
use std::str::FromStr;

/// Below this nothing of a credential is written: it is the sidecar's own scratch space, on the node's disk.
const TEMPORARY: &str = "/tmp";

/// A sidecar's credential, and how its server gets it.
#[derive(Debug)]
pub enum Credential {
    /// In variables that the kubelet takes from keys of a Secret.
    Kubelet {
        /// The Secret.
        secret: ObjectName,
        /// Whole entries of the container.
        env: Vec<Value>,
    },
    /// From our program, which runs the server.
    Wrapped(Box<Wrapper>),
}

/// What our program does for a server that it runs.
#[derive(Debug)]
pub struct Wrapper {
    /// Where the credential comes from.
    pub source: Source,
    /// Variables with fields of the credential.
    pub variables: Vec<ToVariable>,
    /// Files with fields of the credential.
    pub files: Vec<ToFile>,
    /// The directory of these files, a volume in memory.
    pub directory: Option<String>,
    /// What happens when the credential has changed.
    pub on_refresh: exec::OnRefresh,
    /// The git proxy.
    pub git: Option<Git>,
    /// For whom the credential itself can be had.
    pub git_credentials: Option<GitCredentials>,
    /// Whom a token may be sent to without TLS.
    pub plain_http: PlainHttp,
}

/// Where a credential comes from.
#[derive(Debug)]
pub enum Source {
    /// A Secret of the namespace.
    Secret {
        /// Its name.
        name: ObjectName,
        /// The volume that shows it to this container alone, without its name.
        volume: Value,
    },
    /// An endpoint.
    Http {
        /// Its URL.
        url: Endpoint,
        /// The only host that may have the token.
        host: Listed,
        /// Whom the token is for.
        audience: Audience,
        /// The volume of the token, for this container alone, without its name.
        volume: Value,
    },
    /// Ambient's exchange, with what the agent has.
    AmbientExchange {
        /// The provider whose credential it is, in `CREDENTIAL_IDS`.
        provider: String,
        /// Hosts that may have a token: the operator's list.
        hosts: Vec<Listed>,
    },
}

impl Credential {
    /// What our program does, where it runs the server.
    pub fn wrapper(&self) -> Option<&Wrapper> {
        match self {
            Self::Kubelet { .. } => None,
            Self::Wrapped(wrapper) => Some(wrapper),
        }
    }

    /// The Secret that it is.
    pub fn secret(&self) -> Option<&ObjectName> {
        match self {
            Self::Kubelet { secret, .. } => Some(secret),
            Self::Wrapped(wrapper) => match &wrapper.source {
                Source::Secret { name, .. } => Some(name),
                Source::Http { .. } | Source::AmbientExchange { .. } => None,
            },
        }
    }
}

impl Source {
    /// What the credential is made of or fetched with.
    pub fn volume(&self) -> Option<&Value> {
        match self {
            Self::Secret { volume, .. } | Self::Http { volume, .. } => Some(volume),
            Self::AmbientExchange { .. } => None,
        }
    }
}

pub(super) fn compile(
    whole: &Filled<'_>,
    git: Checked<Option<Git>>,
    isolation: Isolation,
    operator: &Operator,
    field: &str,
    errors: &mut Errors,
) -> Checked<Option<Credential>> {
    let sidecar = whole.sidecar;
    let (variables, files) = mapping(whole);
    for (i, var) in sidecar.env.iter().enumerate() {
        if variables.iter().any(|mapped| mapped.name == var.name) {
            errors.add(
                format!("{field}.env[{i}].name"),
                format!(
                    "{:?} holds a field of the credential; set it in one place only",
                    var.name
                ),
            );
        }
    }
    check_variables(&sidecar.credential_env, field, errors);
    check_files(&sidecar.credential_files, field, errors);
    if sidecar.git_credentials.is_some() && isolation == Isolation::Required {
        errors.add(
            "spec.isolation",
            format!("{field}.gitCredentials lets the agent read the credential, which needs BestEffort; prefer git, which does not"),
        );
    }
    let Some(credential) = &sidecar.credential else {
        return check_absence(sidecar, field, errors);
    };
    let source = source(credential, whole, isolation, operator, field, errors);
    let git_credentials = { sidecar.git_credentials.as_ref() }
        .map(|it| hosts(&it.hosts, &format!("{field}.gitCredentials.hosts"), errors).map(GitCredentials::new));
    let served = sidecar.git.is_some() || sidecar.git_credentials.is_some();
    if variables.is_empty() && files.is_empty() && !served {
        errors.add(
            format!("{field}.credential"),
            "nothing gets it; add credentialEnv, credentialFiles or git",
        );
    }
    // Whoever knows a command starts the server itself, and again when the credential changes.
    let by_kubelet = credential.secret.is_some()
        && sidecar.command.is_empty()
        && whole.known.is_none()
        && files.is_empty()
        && variables.iter().all(|variable| !variable.field.contains('|'))
        && sidecar.on_refresh.is_none()
        && !served;
    if !by_kubelet && sidecar.command.is_empty() && whole.known.is_none() {
        errors.add(
            format!("{field}.command"),
            "needed: the server is started by the injector's wrapper, which cannot know the image's entrypoint; name it",
        );
    }
    let to_variables = told(&variables, &format!("{field}.credentialEnv"), errors);
    let to_files = told(&files, &format!("{field}.credentialFiles"), errors);
    let (source, git, git_credentials) = (source?, git?, git_credentials.transpose()?);
    Ok(Some(match source {
        Source::Secret { name, .. } if by_kubelet => Credential::Kubelet {
            env: variables.iter().map(|variable| variable.of_secret(&name)).collect(),
            secret: name,
        },
        source @ (Source::Secret { .. } | Source::Http { .. } | Source::AmbientExchange { .. }) => {
            let plain_http = match &source {
                Source::Http { url, .. } if !url.is_secure() => PlainHttp::Services,
                Source::Http { .. } | Source::Secret { .. } => PlainHttp::Loopback,
                Source::AmbientExchange { .. } => plain_http(isolation),
            };
            let parent = |file: &Mapped<'_>| Some(file.name.rsplit_once('/')?.0.to_owned());
            Credential::Wrapped(Box::new(Wrapper {
                source,
                variables: to_variables?,
                files: to_files?,
                directory: files.first().and_then(parent),
                on_refresh: sidecar.on_refresh.map(OnRefresh::told).unwrap_or_default(),
                git,
                git_credentials,
                plain_http,
            }))
        }
    }))
}

/// A variable or file of a server, and the field of the credential that it holds: one, or several with `|` between them.
struct Mapped<'s> {
    name: &'s str,
    field: &'s str,
}

impl Mapped<'_> {
    /// The variable with its value from a Secret's key.
    fn of_secret(&self, secret: &ObjectName) -> Value {
        let key = json!({"name": secret.as_str(), "key": self.field});
        json!({"name": self.name, "valueFrom": {"secretKeyRef": key}})
    }
}

/// Variables and files; those that the policy names take the place of the preset's.
fn mapping<'s>(whole: &Filled<'s>) -> (Vec<Mapped<'s>>, Vec<Mapped<'s>>) {
    let Sidecar {
        credential,
        credential_env,
        credential_files,
        ..
    } = whole.sidecar;
    let of_preset = |&(name, field): &(&'static str, &'static str)| Mapped { name, field };
    let own = !credential_env.is_empty() || !credential_files.is_empty();
    match whole.known.filter(|_| credential.is_some() && !own) {
        Some(known) => (
            known.variables.iter().map(of_preset).collect(),
            known.files.iter().map(of_preset).collect(),
        ),
        None => {
            let variables = credential_env.iter().map(|it| (&it.name, &it.field));
            let files = credential_files.iter().map(|it| (&it.path, &it.field));
            let mapped = |(name, field): (&'s String, &'s String)| Mapped { name, field };
            (variables.map(mapped).collect(), files.map(mapped).collect())
        }
    }
}

/// As our program is told it.
fn told<T: FromStr<Err: Display>>(mapped: &[Mapped<'_>], field: &str, errors: &mut Errors) -> Checked<Vec<T>> {
    let mapped = mapped.iter().enumerate();
    all(mapped
        .map(|(i, Mapped { name, field: from })| parsed(&format!("{name}={from}"), &format!("{field}[{i}]"), errors)))
}

fn hosts(hosts: &[String], field: &str, errors: &mut Errors) -> Checked<Vec<GitHost>> {
    let hosts = hosts.iter().enumerate();
    all(hosts.map(|(i, host)| parsed(host, &format!("{field}[{i}]"), errors)))
}

fn check_variables(variables: &[CredentialVariable], field: &str, errors: &mut Errors) {
    for (i, CredentialVariable { name, .. }) in variables.iter().enumerate() {
        let field = format!("{field}.credentialEnv[{i}].name");
        env::check_name(name, Names::OfSidecars, &field, errors);
        if variables.iter().take(i).any(|earlier| earlier.name == *name) {
            errors.add(field, format!("{name:?} occurs twice"));
        }
    }
}

fn check_files(files: &[CredentialFile], field: &str, errors: &mut Errors) {
    let mut directory = None;
    for (i, CredentialFile { path, .. }) in files.iter().enumerate() {
        let field = format!("{field}.credentialFiles[{i}].path");
        let (parent, file) = path.rsplit_once('/').unwrap_or(("", path));
        // What is wrong with it is noted.
        let _noted = MountPath::parse(path, &field, errors);
        if parent.is_empty() || parent == TEMPORARY {
            errors.add(
                &*field,
                format!("{path:?} is not in a directory of its own, which becomes a volume in memory; for example /run/credentials/{file}"),
            );
        }
        if *directory.get_or_insert(parent) != parent {
            errors.add(
                &*field,
                format!("{path:?} is in another directory than the first file; all must be in one"),
            );
        }
        if files.iter().take(i).any(|earlier| earlier.path == *path) {
            errors.add(field, format!("{path:?} occurs twice"));
        }
    }
}

fn check_absence(sidecar: &Sidecar, field: &str, errors: &mut Errors) -> Checked<Option<Credential>> {
    let fields = [
        ("credentialEnv", !sidecar.credential_env.is_empty()),
        ("credentialFiles", !sidecar.credential_files.is_empty()),
        ("onRefresh", sidecar.on_refresh.is_some()),
        ("git", sidecar.git.is_some()),
        ("gitCredentials", sidecar.git_credentials.is_some()),
    ];
    let vain = fields.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| {
        Err(errors.add(
            format!("{field}.{name}"),
            "needs credential, which says where it comes from",
        ))
    });
    all::<()>(vain).map(|_| None)
}

fn source(
    credential: &CredentialSource,
    whole: &Filled<'_>,
    isolation: Isolation,
    operator: &Operator,
    field: &str,
    errors: &mut Errors,
) -> Checked<Source> {
    let CredentialSource {
        secret,
        http,
        ambient_exchange,
    } = credential;
    let secret = secret.as_ref().map(|secret| {
        let field = format!("{field}.credential.secret.secretName");
        let name = ObjectName::parse(&secret.secret_name, &field, errors)?;
        Ok(Source::Secret {
            volume: json!({"secret": {"secretName": name.as_str(), "defaultMode": 0o444}}),
            name,
        })
    });
    let http = http
        .as_ref()
        .map(|http| endpoint(http, isolation, operator, &format!("{field}.credential.http"), errors));
    let exchange = ambient_exchange.map(|_| {
        if isolation == Isolation::Required {
            errors.add(
                "spec.isolation",
                format!("{field}.credential.ambientExchange authenticates nobody: the agent holds the same key and URL and can make the same exchange, which needs BestEffort; prefer http"),
            );
        }
        match whole.provider() {
            Some(provider) => Ok(Source::AmbientExchange {
                provider: provider.to_owned(),
                hosts: operator.credential_hosts.clone(),
            }),
            None => Err(errors.add(
                format!("{field}.mcpKey"),
                "ambientExchange needs it: it is the provider whose credential in CREDENTIAL_IDS is fetched",
            )),
        }
    });
    exactly_one(
        [secret, http, exchange],
        &format!("{field}.credential"),
        "exactly one of secret, http and ambientExchange must be set",
        errors,
    )
}

/// The agent owns the network of its pod, so what may not be had by it does not travel without TLS.
fn plain_http(isolation: Isolation) -> PlainHttp {
    match isolation {
        Isolation::Required => PlainHttp::Loopback,
        Isolation::BestEffort => PlainHttp::Services,
    }
}

/// An endpoint whose host is on the operator's list, exactly.
fn endpoint(
    http: &CredentialHttp,
    isolation: Isolation,
    operator: &Operator,
    field: &str,
    errors: &mut Errors,
) -> Checked<Source> {
    let CredentialHttp {
        url,
        audience,
        expiration_seconds,
    } = http;
    let audience = Audience::parse(audience, &format!("{field}.audience"), operator, errors);
    let field = format!("{field}.url");
    let parsed = url.parse::<Url>().ok();
    let Some(parsed) = parsed.filter(|url| url.host().name().is_some() && !url.has_query()) else {
        return Err(errors.add(
            field,
            format!("{url:?} is not of the form https://HOST[:PORT]/PATH, with a host's name and without user, query, '.' and '..'"),
        ));
    };
    let host = format!("{}:{}", parsed.host(), parsed.port());
    let plain_http = plain_http(isolation);
    if let Err(problem) = plain_http.check(&parsed) {
        let also = match isolation {
            Isolation::Required if parsed.host().is_service() => {
                ", or isolation: BestEffort for services of the cluster"
            }
            Isolation::Required | Isolation::BestEffort => "",
        };
        return Err(errors.add(
            field,
            format!("{url:?} would send a token unencrypted: it {problem}{also}"),
        ));
    }
    if !operator.may_have_credentials(&parsed) {
        let also = listed("credentialHosts", &operator.credential_hosts);
        return Err(errors.add(field, format!("host {host:?} may not receive tokens: {also}")));
    }
    // The wrapper sends a token there on the same condition.
    let mut refused = |problem: String| errors.add(&*field, format!("the URL {problem}"));
    let listed: Listed = { host.parse() }.map_err(|problem: &str| refused(problem.to_owned()))?;
    let endpoint = Endpoint::listed(&Allowed::new(vec![listed.clone()], plain_http), url).map_err(refused)?;
    let audience = audience?;
    let token = token_source(audience.as_str(), *expiration_seconds, names::TOKEN_FILE);
    Ok(Source::Http {
        url: endpoint,
        host: listed,
        volume: token_volume(&token),
        audience,
    })
}
