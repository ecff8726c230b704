//! Where an agent's token comes from: Application Default Credentials by file, else the metadata server.

use std::env;
use std::path::Path;

use anyhow::{Context, bail};
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::Network;

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// The fields of an `external_account` file that a client of a Kubernetes workload uses.
#[derive(Debug, Deserialize)]
struct ExternalAccount {
    r#type: String,
    audience: String,
    subject_token_type: String,
    token_url: String,
    credential_source: FileSource,
    service_account_impersonation_url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct FileSource {
    file: String,
}

/// The kind of the source, and an access token.
pub(super) async fn token(network: &Network) -> anyhow::Result<(&'static str, String)> {
    if let Some(path) = env::var_os("GOOGLE_APPLICATION_CREDENTIALS") {
        return Ok(("external_account", federated(network, Path::new(&path)).await?));
    }
    match env::var("GCE_METADATA_HOST") {
        Ok(host) => Ok(("metadata", of_metadata_server(network, &host).await?)),
        Err(_) => bail!("neither GOOGLE_APPLICATION_CREDENTIALS nor GCE_METADATA_HOST is set"),
    }
}

async fn federated(network: &Network, path: &Path) -> anyhow::Result<String> {
    let file = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file: ExternalAccount =
        serde_json::from_slice(&file).with_context(|| format!("{} is no external_account", path.display()))?;
    if file.r#type != "external_account" {
        bail!("{} is no external_account", path.display());
    }
    let source = &file.credential_source.file;
    let subject = std::fs::read_to_string(source).with_context(|| format!("cannot read the token {source}"))?;
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")
        .append_pair("audience", &file.audience)
        .append_pair("scope", SCOPE)
        .append_pair("requested_token_type", "urn:ietf:params:oauth:token-type:access_token")
        .append_pair("subject_token", &subject)
        .append_pair("subject_token_type", &file.subject_token_type)
        .finish();
    let request = Request::post("/")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Bytes::from(form))?;
    let answer = network.json("the token service", &file.token_url, request).await?;
    let token = field("the token service", &answer, "access_token")?;
    let Some(url) = &file.service_account_impersonation_url else {
        return Ok(token);
    };
    let request = Request::post("/")
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header(CONTENT_TYPE, "application/json")
        .body(Bytes::from(json!({"scope": [SCOPE]}).to_string()))?;
    let answer = network.json("the service account", url, request).await?;
    field("the service account", &answer, "accessToken")
}

async fn of_metadata_server(network: &Network, host: &str) -> anyhow::Result<String> {
    let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
    let request = Request::get("/")
        .header("Metadata-Flavor", "Google")
        .body(Bytes::new())?;
    let answer = network.json("the metadata server", &url, request).await?;
    field("the metadata server", &answer, "access_token")
}

fn field(what: &str, answer: &Value, name: &str) -> anyhow::Result<String> {
    let value = answer.get(name).and_then(Value::as_str);
    Ok(value
        .with_context(|| format!("{what} has answered without {name}"))?
        .to_owned())
}
