//! The values that a policy puts into pods, rendered once when the policy is read.

use crate::api::{
    AuthHelper, Client, EnvVar, Identity, PolicySpec, ServiceAccountKey, Token, Volume, VolumeMount,
    WorkloadIdentityFederation,
};
use crate::names::{self, LOOPBACK_AUDIENCE, LOOPBACK_EXCHANGE, LOOPBACK_ROOT, LOOPBACK_SUBJECT};
use serde_json::{Map, Value, json};

/// How a pod proves its identity.
#[derive(Debug)]
pub(super) enum Credential {
    /// A file in a volume of ours.
    File {
        /// Where the volume is mounted.
        directory: String,
        /// The volume, without its name.
        volume: Value,
        /// The JSON for the annotation, when the volume takes it from there.
        configuration: Option<String>,
    },
    /// GKE's metadata server: nothing but a node with one.
    Gke,
    /// A broker beside the agent, which keeps it.
    Broker {
        /// Where the credential file is mounted that leads to the broker, for clients that demand one.
        loopback: Option<String>,
    },
}

/// A volume of ours with its mount and perhaps a variable that names a file in it.
#[derive(Debug)]
pub(super) struct Piece {
    /// The unit's name.
    pub(super) unit: String,
    /// Name of the volume.
    pub(super) volume_name: String,
    /// The volume, without its name.
    pub(super) volume: Value,
    /// Where it is mounted, read-only.
    pub(super) path: String,
    /// A variable and its value.
    pub(super) env: Option<(String, String)>,
}

impl Credential {
    /// Path of the credential file.
    pub(super) fn file(&self) -> Option<String> {
        match self {
            Self::File { directory, .. } => Some(format!("{directory}/{}", names::CREDENTIAL_FILE)),
            Self::Gke | Self::Broker { .. } => None,
        }
    }
}

/// The credential of a policy for pods that keep it in `directory`.
pub(super) fn credential(identity: &Identity, directory: &str, spec: &PolicySpec) -> Credential {
    if spec.access.has_broker() {
        let clients = spec.vertex.iter().flat_map(|vertex| &vertex.clients);
        let demanded = clients.into_iter().any(|client| *client == Client::Ambient);
        return Credential::Broker {
            loopback: demanded.then(|| directory.to_owned()),
        };
    }
    let quota_project = spec.vertex.as_ref().and_then(|vertex| vertex.quota_project.as_deref());
    match identity {
        Identity {
            workload_identity_federation: Some(federation),
            ..
        } => Credential::File {
            directory: directory.to_owned(),
            volume: federation_volume(federation),
            configuration: Some(external_account(federation, directory, quota_project)),
        },
        Identity {
            service_account_key: Some(key),
            ..
        } => Credential::File {
            directory: directory.to_owned(),
            volume: key_volume(key),
            configuration: None,
        },
        _ => Credential::Gke,
    }
}

/// The `external_account` file, as `gcloud iam workload-identity-pools create-cred-config` writes it (AIP-4117).
pub(super) fn external_account(
    federation: &WorkloadIdentityFederation,
    directory: &str,
    quota_project: Option<&str>,
) -> String {
    let endpoints = federation.endpoints.clone().unwrap_or_default();
    let root = |endpoint: Option<String>, default: &str| {
        endpoint.map_or_else(|| default.to_owned(), |url| url.trim_end_matches('/').to_owned())
    };
    let sts = root(endpoints.sts, "https://sts.googleapis.com");
    let iam = root(endpoints.iam_credentials, "https://iamcredentials.googleapis.com");
    let mut file = json!({
        "universe_domain": "googleapis.com",
        "type": "external_account",
        "audience": format!("//iam.googleapis.com/{}", federation.provider),
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{sts}/v1/token"),
        "credential_source": {
            "file": format!("{directory}/{}", names::TOKEN_FILE),
            "format": {"type": "text"},
        },
    });
    if let Some(file) = file.as_object_mut() {
        match &federation.service_account {
            // gcloud calls it to name the account when there is no service account.
            None => drop(file.insert("token_info_url".into(), format!("{sts}/v1/introspect").into())),
            Some(email) => {
                let url = format!("{iam}/v1/projects/-/serviceAccounts/{email}:generateAccessToken");
                file.insert("service_account_impersonation_url".into(), url.into());
                if let Some(seconds) = federation.service_account_token_lifetime_seconds {
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

/// The volume of a broker's credential, without its name: the token or the key, and nothing else. None on GKE.
pub(super) fn broker_volume(identity: &Identity) -> Option<Value> {
    match identity {
        Identity {
            workload_identity_federation: Some(federation),
            ..
        } => Some(json!({"projected": {
            "defaultMode": 0o444,
            "sources": [token_source(&federation.token_audience(), federation.token_expiration_seconds, names::TOKEN_FILE)],
        }})),
        Identity {
            service_account_key: Some(key),
            ..
        } => Some(key_volume(key)),
        _ => None,
    }
}

/// The volume of the credential file that leads to the broker.
pub(super) fn loopback_volume() -> Value {
    json!({"downwardAPI": {"defaultMode": 0o444, "items": [configuration_file(names::LOOPBACK_CONFIGURATION)]}})
}

/// That file: an `external_account` whose every endpoint is the broker's, for which any token is as good. No secret.
pub(super) fn loopback_configuration(port: i32) -> String {
    let root = format!("http://127.0.0.1:{port}{LOOPBACK_ROOT}");
    let file = json!({
        "universe_domain": "googleapis.com",
        "type": "external_account",
        "audience": LOOPBACK_AUDIENCE,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{root}{LOOPBACK_EXCHANGE}"),
        "credential_source": {
            "url": format!("{root}{LOOPBACK_SUBJECT}"),
            "headers": {"Metadata-Flavor": "Google"},
            "format": {"type": "text"},
        },
    });
    file.to_string()
}

fn configuration_file(annotation: &str) -> Value {
    json!({
        "path": names::CREDENTIAL_FILE,
        "fieldRef": {"fieldPath": format!("metadata.annotations['{annotation}']")},
    })
}

fn federation_volume(federation: &WorkloadIdentityFederation) -> Value {
    json!({"projected": {
        // Readable by every uid: the kubelet narrows the token file to 0600 or 0640 by itself where one uid or an
        // fsGroup makes that possible. 0400 would lock out images that set their user themselves.
        "defaultMode": 0o444,
        "sources": [
            token_source(&federation.token_audience(), federation.token_expiration_seconds, names::TOKEN_FILE),
            {"downwardAPI": {"items": [configuration_file(names::CREDENTIAL_CONFIGURATION)]}},
        ],
    }})
}

fn key_volume(key: &ServiceAccountKey) -> Value {
    json!({"secret": {
        "secretName": key.secret_name,
        "defaultMode": 0o444,
        "items": [{"key": key.key, "path": names::CREDENTIAL_FILE}],
    }})
}

/// A ServiceAccount token in a projected volume.
pub(super) fn token_source(audience: &str, expiration: Option<i64>, path: &str) -> Value {
    json!({"serviceAccountToken": {"audience": audience, "expirationSeconds": expiration.unwrap_or(3600), "path": path}})
}

/// The helper ConfigMaps.
pub(super) fn helpers(spec: &PolicySpec) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for helper in &spec.auth_helpers {
        let AuthHelper {
            config_map_name,
            mount_path,
            default_mode,
            optional,
        } = helper;
        let mut source = json!({"name": config_map_name, "defaultMode": default_mode.unwrap_or(0o755)});
        if *optional && let Some(source) = source.as_object_mut() {
            source.insert("optional".into(), true.into());
        }
        let volume = json!({ "configMap": source });
        pieces.push(Piece {
            unit: format!("authHelpers[{config_map_name}]"),
            volume_name: volume_name("helper-", config_map_name, &volume, &pieces),
            volume,
            path: mount_path.clone(),
            env: None,
        });
    }
    pieces
}

/// The extra tokens.
pub(super) fn tokens(spec: &PolicySpec) -> Vec<Piece> {
    let piece = |token: &Token| {
        let Token {
            name,
            audience,
            expiration_seconds,
            mount_path,
            file_name,
            env_name,
        } = token;
        let file = file_name.as_deref().unwrap_or("token");
        Piece {
            unit: format!("tokens[{name}]"),
            volume_name: format!("{}token-{name}", names::PIECE_PREFIX),
            volume: json!({"projected": {
                "defaultMode": 0o444,
                "sources": [token_source(audience, *expiration_seconds, file)],
            }}),
            path: mount_path.clone(),
            env: env_name.clone().map(|name| (name, format!("{mount_path}/{file}"))),
        }
    };
    spec.tokens.iter().map(piece).collect()
}

/// The policy's own volumes, whole.
pub(super) fn volumes(spec: &PolicySpec) -> Vec<(String, Value)> {
    spec.volumes
        .iter()
        .map(|volume| (volume.name.clone(), own_volume(volume)))
        .collect()
}

fn own_volume(volume: &Volume) -> Value {
    let mut value = serde_json::to_value(volume).unwrap_or_default();
    // `namespace` and other defaults are the API server's business; nothing to add.
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    value
}

/// One mount.
pub(super) fn mount(mount: &VolumeMount) -> Value {
    serde_json::to_value(mount).unwrap_or_default()
}

/// A read-only mount of a volume of ours.
pub(super) fn read_only_mount(volume: &str, path: &str) -> Value {
    json!({"name": volume, "mountPath": path, "readOnly": true})
}

/// A variable.
pub(super) fn env(var: &EnvVar) -> Value {
    serde_json::to_value(var).unwrap_or_default()
}

/// A variable with a literal value.
pub(super) fn literal(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value})
}

/// A volume with its name.
pub(super) fn named(name: &str, volume: &Value) -> Value {
    let mut named = Map::new();
    named.insert("name".into(), name.into());
    if let Some(volume) = volume.as_object() {
        named.extend(volume.clone());
    }
    Value::Object(named)
}

/// A volume name of at most 63 characters for an object name of up to 253; equal volumes share one.
fn volume_name(kind: &str, object: &str, volume: &Value, earlier: &[Piece]) -> String {
    let label = object.replace('.', "-");
    let longest = 63 - names::PIECE_PREFIX.len() - kind.len();
    let short = match label.get(..longest.saturating_sub(9)) {
        Some(head) if label.len() > longest || label != object => format!("{head}-{:08x}", fingerprint(object)),
        _ if label == object => label,
        _ => format!("{label}-{:08x}", fingerprint(object)),
    };
    let base = format!("{}{kind}{short}", names::PIECE_PREFIX);
    let clash = earlier
        .iter()
        .filter(|piece| piece.volume_name == base && piece.volume != *volume)
        .count();
    if clash == 0 {
        base
    } else {
        format!("{}{kind}{:08x}", names::PIECE_PREFIX, fingerprint(&volume.to_string()))
    }
}

/// FNV-1a: the same in every build, which `std`'s hasher does not promise.
fn fingerprint(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
