//! Whom agents are for Google: each kind of identity with what it puts into an agent, or into a broker.

use super::errors::{Checked, Errors, exactly_one};
use super::google::{self, Service};
use super::paths::MountPath;
use super::render::{Needed, annotation_file, token_source, token_volume};
use super::text::{Audience, ObjectName};
use crate::api::{self, GkeWorkloadIdentity, PolicySpec, ServiceAccountKey, WorkloadIdentityFederation};
use crate::contract::broker::Credential;
use crate::endpoint::Endpoint;
use crate::names;
use crate::operator::Operator;
use serde_json::{Value, json};
use std::path::Path;

/// Whom agents are for Google.
#[derive(Debug)]
pub(super) enum Identity {
    /// The pod's ServiceAccount token is exchanged.
    Federation(Federation),
    /// GKE's metadata server answers for the pod's ServiceAccount.
    Gke(Gke),
    /// A key in a Secret.
    Key(Key),
}

#[derive(Debug)]
pub(super) struct Federation {
    provider: String,
    impersonated: Option<Impersonated>,
    audience: Audience,
    expiration: Option<i64>,
    sts: String,
    iam: String,
}

#[derive(Debug)]
struct Impersonated {
    email: String,
    lifetime: Option<i64>,
}

#[derive(Debug)]
pub(super) struct Gke {
    pub(super) email: String,
}

#[derive(Debug)]
pub(super) struct Key {
    secret: ObjectName,
    key: String,
}

/// A credential file.
#[derive(Debug)]
pub struct CredentialFile {
    /// Where the volume is mounted.
    pub directory: MountPath,
    /// Path of the file.
    pub path: String,
    /// The volume, without its name.
    pub volume: Value,
    /// The JSON for the annotation, when the volume takes it from there.
    pub configuration: Option<String>,
    /// What the pod waits for because of it.
    pub needed: Option<Needed>,
}

/// What a broker holds of an identity, which nobody else in the pod may have.
#[derive(Debug)]
pub enum Held {
    /// A ServiceAccount token that the identity's provider takes.
    Token {
        /// The volume, without its name.
        volume: Value,
        /// The audiences of all tokens that the provider takes.
        audiences: Vec<String>,
    },
    /// A key.
    Key {
        /// The volume, without its name.
        volume: Value,
        /// The Secret that holds it.
        secret: ObjectName,
    },
    /// Nothing: it asks the node's metadata server, which every container of the pod can do.
    Node,
}

pub(super) fn compile(spec: &PolicySpec, operator: &Operator, errors: &mut Errors) -> Checked<Option<Identity>> {
    let Some(identity) = &spec.identity else {
        return Ok(None);
    };
    let api::Identity {
        workload_identity_federation,
        gke_workload_identity,
        service_account_key,
        id_token_audiences: _,
    } = identity;
    let federation = workload_identity_federation.as_ref();
    let federation = federation.map(|it| Federation::compile(it, operator, errors).map(Identity::Federation));
    let gke = gke_workload_identity
        .as_ref()
        .map(|it| Ok(Identity::Gke(Gke::compile(it, spec, errors))));
    let key = service_account_key
        .as_ref()
        .map(|it| Key::compile(it, errors).map(Identity::Key));
    exactly_one(
        [federation, gke, key],
        "spec.identity",
        "exactly one of workloadIdentityFederation, gkeWorkloadIdentity and serviceAccountKey must be set",
        errors,
    )
    .map(Some)
}

/// Audiences of tokens that a provider takes: the policy's, and the provider's own name in both spellings.
pub(super) fn audiences(provider: &str, audience: Option<&str>) -> Vec<String> {
    let own = own_audience(provider);
    vec![
        audience.map_or_else(|| own.clone(), str::to_owned),
        own,
        format!("//iam.googleapis.com/{provider}"),
    ]
}

/// The audience of a provider that names none.
fn own_audience(provider: &str) -> String {
    format!("https://iam.googleapis.com/{provider}")
}

impl Identity {
    /// The file of an agent that keeps its credentials in `directory`; none on GKE, where the node answers.
    pub(super) fn file(&self, directory: &MountPath, quota_project: Option<&str>) -> Option<CredentialFile> {
        let file = |volume, configuration, needed| CredentialFile {
            path: format!("{directory}/{}", names::CREDENTIAL_FILE),
            directory: directory.clone(),
            volume,
            configuration,
            needed,
        };
        match self {
            Self::Federation(federation) => {
                let configuration = federation.external_account(directory.as_str(), quota_project);
                Some(file(federation.volume(), Some(configuration), None))
            }
            Self::Gke(_) => None,
            Self::Key(key) => Some(file(key.volume(), None, Some(key.needed()))),
        }
    }

    /// What a broker holds in the agent's place.
    pub(super) fn in_broker(&self) -> Held {
        match self {
            Self::Federation(federation) => Held::Token {
                volume: token_volume(&federation.token()),
                audiences: audiences(&federation.provider, Some(federation.audience.as_str())),
            },
            Self::Gke(_) => Held::Node,
            Self::Key(key) => Held::Key {
                volume: key.volume(),
                secret: key.secret.clone(),
            },
        }
    }

    /// What a broker is told of it.
    pub(super) fn told(&self) -> Credential {
        match self {
            Self::Federation(federation) => {
                Credential::Json(federation.external_account(names::CREDENTIAL_DIRECTORY, None))
            }
            Self::Gke(_) => Credential::NodeMetadata(Endpoint::node()),
            Self::Key(_) => Credential::File(Path::new(names::CREDENTIAL_DIRECTORY).join(names::CREDENTIAL_FILE)),
        }
    }

    /// A sentence for the author about a better way.
    pub(super) fn note(&self, has_broker: bool) -> Option<String> {
        match self {
            Self::Federation(_) | Self::Gke(_) => None,
            Self::Key(_) => {
                let agent = if has_broker { "" } else { " and the agent can read it" };
                Some(format!(
                    "identity.serviceAccountKey is the least preferred identity: the key does not expire{agent}; prefer \
                     workloadIdentityFederation"
                ))
            }
        }
    }
}

impl Federation {
    fn compile(federation: &WorkloadIdentityFederation, operator: &Operator, errors: &mut Errors) -> Checked<Self> {
        const FIELD: &str = "spec.identity.workloadIdentityFederation";
        let WorkloadIdentityFederation {
            provider,
            service_account,
            service_account_token_lifetime_seconds: lifetime,
            audience,
            token_expiration_seconds,
            endpoints,
        } = federation;
        if service_account.is_none() && lifetime.is_some() {
            errors.add(
                format!("{FIELD}.serviceAccountTokenLifetimeSeconds"),
                "needs serviceAccount: only an impersonated token has a lifetime to choose",
            );
        }
        let audience = match audience {
            Some(audience) => Audience::parse(audience, &format!("{FIELD}.audience"), operator, errors),
            None => Audience::parse(&own_audience(provider), &format!("{FIELD}.provider"), operator, errors),
        };
        let api::Endpoints { sts, iam_credentials } = endpoints.clone().unwrap_or_default();
        let mut root = |url: Option<String>, service, name: &str, default: &str| match url {
            Some(url) => {
                let field = format!("{FIELD}.endpoints.{name}");
                google::parse(&url, service, &field, operator, errors).map(|endpoint| endpoint.text())
            }
            None => Ok(default.to_owned()),
        };
        let sts = root(sts, Service::Sts, "sts", "https://sts.googleapis.com");
        let iam = root(
            iam_credentials,
            Service::IamCredentials,
            "iamCredentials",
            "https://iamcredentials.googleapis.com",
        );
        Ok(Self {
            provider: provider.clone(),
            impersonated: service_account.clone().map(|email| Impersonated {
                email,
                lifetime: *lifetime,
            }),
            audience: audience?,
            expiration: *token_expiration_seconds,
            sts: sts?,
            iam: iam?,
        })
    }

    fn token(&self) -> Value {
        token_source(self.audience.as_str(), self.expiration, names::TOKEN_FILE)
    }

    fn volume(&self) -> Value {
        let file = annotation_file(names::CREDENTIAL_CONFIGURATION, names::CREDENTIAL_FILE);
        json!({"projected": {
            // Readable by every uid: the kubelet narrows the token file to 0600 or 0640 by itself where one uid or an
            // fsGroup makes that possible. 0400 would lock out images that set their user themselves.
            "defaultMode": 0o444,
            "sources": [self.token(), {"downwardAPI": {"items": [file]}}],
        }})
    }

    /// The `external_account` file, as `gcloud iam workload-identity-pools create-cred-config` writes it (AIP-4117).
    fn external_account(&self, directory: &str, quota_project: Option<&str>) -> String {
        let (sts, iam) = (&self.sts, &self.iam);
        let mut file = json!({
            "universe_domain": "googleapis.com",
            "type": "external_account",
            "audience": format!("//iam.googleapis.com/{}", self.provider),
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": format!("{sts}/v1/token"),
            "credential_source": {
                "file": format!("{directory}/{}", names::TOKEN_FILE),
                "format": {"type": "text"},
            },
        });
        if let Some(file) = file.as_object_mut() {
            match &self.impersonated {
                // gcloud calls it to name the account when there is no service account.
                None => drop(file.insert("token_info_url".into(), format!("{sts}/v1/introspect").into())),
                Some(Impersonated { email, lifetime }) => {
                    let url = format!("{iam}/v1/projects/-/serviceAccounts/{email}:generateAccessToken");
                    file.insert("service_account_impersonation_url".into(), url.into());
                    if let Some(seconds) = lifetime {
                        file.insert(
                            "service_account_impersonation".into(),
                            json!({"token_lifetime_seconds": seconds}),
                        );
                    }
                }
            }
            if let Some(project) = quota_project {
                file.insert("quota_project_id".into(), project.into());
            }
        }
        file.to_string()
    }
}

impl Gke {
    fn compile(gke: &GkeWorkloadIdentity, spec: &PolicySpec, errors: &mut Errors) -> Self {
        const FIELD: &str = "spec.identity.gkeWorkloadIdentity";
        let named = !spec.agents.is_empty() && spec.agents.iter().all(|agent| !agent.service_accounts.is_empty());
        if !named {
            errors.add(
                FIELD,
                "every entry of agents needs serviceAccounts: the annotation iam.gke.io/gcp-service-account goes on them",
            );
        }
        let mut clients = spec.vertex.iter().flat_map(|vertex| &vertex.clients);
        if let (Some(client), false) = (
            clients.find(|client| client.traits().demands_file),
            spec.access.has_broker(),
        ) {
            errors.add(
                FIELD,
                format!("the {client:?} runner demands a credential file, which gkeWorkloadIdentity does not have; use workloadIdentityFederation"),
            );
        }
        Self {
            email: gke.service_account.clone(),
        }
    }
}

impl Key {
    fn compile(key: &ServiceAccountKey, errors: &mut Errors) -> Checked<Self> {
        let field = "spec.identity.serviceAccountKey.secretName";
        Ok(Self {
            secret: ObjectName::parse(&key.secret_name, field, errors)?,
            key: key.key.clone(),
        })
    }

    fn volume(&self) -> Value {
        json!({"secret": {
            "secretName": self.secret.as_str(),
            "defaultMode": 0o444,
            "items": [{"key": self.key, "path": names::CREDENTIAL_FILE}],
        }})
    }

    fn needed(&self) -> Needed {
        Needed::secret(&self.secret, false)
    }
}

impl Held {
    /// The Secret that holds it as a key.
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::Key { secret, .. } => Some(secret.as_str()),
            Self::Token { .. } | Self::Node => None,
        }
    }

    /// The volume of the credential, without its name.
    pub fn volume(&self) -> Option<&Value> {
        match self {
            Self::Token { volume, .. } | Self::Key { volume, .. } => Some(volume),
            Self::Node => None,
        }
    }

    /// What the pod waits for because of it.
    pub fn needed(&self) -> Option<Needed> {
        match self {
            Self::Token { .. } | Self::Node => None,
            Self::Key { secret, .. } => Some(Needed::secret(secret, false)),
        }
    }
}
