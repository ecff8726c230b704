//! Whom our own token is for: the API server's audiences, which no policy may project a token for. A cluster whose operator
//! names none has its issuer as the audience (GKE's default), which nobody but the token knows.

use anyhow::{Context, ensure};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use vertex_injector_net::secret::Secret;

/// Where the kubelet puts the token of a pod.
pub(crate) const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// Most bytes of a token.
const MAX_TOKEN: u64 = 64 * 1024;

#[derive(Deserialize)]
struct Claims {
    aud: Audiences,
}

/// RFC 7519, section 4.1.3: one may stand alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audiences {
    One(String),
    Several(Vec<String>),
}

/// The audiences of the token in a file; none where there is no such file, as outside of a cluster.
///
/// # Errors
/// When there is one that cannot be read. Nothing of it is shown.
pub(crate) fn own(path: &Path) -> anyhow::Result<Vec<String>> {
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(MAX_TOKEN).read_to_string(&mut text)) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let token = Secret::new(text);
    let payload = token.expose().split('.').nth(1).unwrap_or_default();
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
    let claims = serde_json::from_slice::<Claims>(&payload).ok();
    let audiences = match claims.map(|claims| claims.aud) {
        None => Vec::new(),
        Some(Audiences::One(audience)) => vec![audience],
        Some(Audiences::Several(audiences)) => audiences,
    };
    ensure!(
        !audiences.is_empty(),
        "{} is no token of a ServiceAccount with audiences (aud), which policies may not name",
        path.display()
    );
    Ok(audiences)
}
