//! What the ServiceAccount token that the kubelet gave us says of us.

use anyhow::{Context, ensure};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde::Deserialize;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use vertex_injector_net::secret::Secret;

/// Where the kubelet puts the token of a pod.
pub(crate) const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Most bytes of a token.
const MAX_TOKEN: u64 = 64 * 1024;

/// Of a token of our own; empty outside of a cluster.
#[derive(Debug, Default)]
pub(crate) struct OwnToken {
    /// The API server's, for which no policy may project a token. A cluster whose operator names none has its issuer as the
    /// audience (GKE's default), which nobody but the token knows.
    pub(crate) audiences: Vec<String>,
    account: Option<Account>,
}

/// <https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens>
#[derive(Deserialize)]
struct Claims {
    aud: Audiences,
    #[serde(rename = "kubernetes.io", default)]
    kubernetes: Kubernetes,
}

/// RFC 7519, section 4.1.3: one may stand alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Several(Vec<String>),
}

#[derive(Default, Deserialize)]
struct Kubernetes {
    namespace: Option<String>,
    #[serde(rename = "serviceaccount")]
    account: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    uid: String,
}

#[derive(Debug)]
struct Account {
    namespace: String,
    name: String,
    uid: String,
}

impl OwnToken {
    /// The token in a file; an empty one where there is no such file.
    ///
    /// # Errors
    /// When there is one that cannot be read. Nothing of it is shown.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let mut text = String::new();
        match File::open(path).and_then(|file| file.take(MAX_TOKEN).read_to_string(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
        let token = Secret::new(text);
        let payload = token.expose().split('.').nth(1).unwrap_or_default();
        let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
        let (audiences, kubernetes) = match serde_json::from_slice::<Claims>(&payload) {
            Err(_) => (Vec::new(), Kubernetes::default()),
            Ok(Claims { aud, kubernetes }) => match aud {
                Audiences::One(audience) => (vec![audience], kubernetes),
                Audiences::Several(audiences) => (audiences, kubernetes),
            },
        };
        ensure!(
            !audiences.is_empty(),
            "{} is no token of a ServiceAccount with audiences (aud), which policies may not name",
            path.display()
        );
        let account = kubernetes.namespace.zip(kubernetes.account);
        Ok(Self {
            audiences,
            account: account.map(|(namespace, Named { name, uid })| Account { namespace, name, uid }),
        })
    }

    /// Our ServiceAccount as the owner of objects in a namespace, if it is in that one: they go when it goes.
    pub(crate) fn owner_in(&self, namespace: &str) -> Option<OwnerReference> {
        let account = self.account.as_ref()?;
        (account.namespace == namespace).then(|| OwnerReference {
            api_version: "v1".to_owned(),
            kind: "ServiceAccount".to_owned(),
            name: account.name.clone(),
            uid: account.uid.clone(),
            ..OwnerReference::default()
        })
    }
}
