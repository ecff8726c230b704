//! An agent: takes what its environment gives it, as the clients of Google and Anthropic do, and asks a model once.
//!
//! The real clients are tested elsewhere. This one is a static program, for images from scratch.

mod credentials;

use std::env;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use http::Request;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::body::Bytes;
use rustls::ClientConfig;
use serde_json::{Value, json};
use url::Url;

use crate::client::{Answer, send, trusting};

/// How long each of its requests may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks `model` of Anthropic's, as `@anthropic-ai/vertex-sdk` does. What came of it, without any token: where the credential came
/// from, where the model was asked, what it said.
///
/// # Errors
///
/// Which step failed, with what the other side said about it.
pub(crate) async fn ask(model: &str) -> anyhow::Result<Value> {
    let network = Network::from_environment()?;
    let project = variable("ANTHROPIC_VERTEX_PROJECT_ID")?;
    let region = variable("CLOUD_ML_REGION")?;
    let base = match env::var("ANTHROPIC_VERTEX_BASE_URL") {
        Ok(base) => base,
        Err(_) if region == "global" => "https://aiplatform.googleapis.com/v1".to_owned(),
        Err(_) => format!("https://{region}-aiplatform.googleapis.com/v1"),
    };
    let (source, token) = credentials::token(&network).await?;

    let url = format!("{base}/projects/{project}/locations/{region}/publishers/anthropic/models/{model}:rawPredict");
    let question = json!({
        "anthropic_version": "vertex-2023-10-16",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "Say something."}],
    });
    let request = Request::post("/")
        .header(AUTHORIZATION, format!("Bearer {token}"))
        .header(CONTENT_TYPE, "application/json")
        .body(Bytes::from(question.to_string()))?;
    let answer = network.json("the model", &url, request).await?;
    let text = answer.pointer("/content/0/text").and_then(Value::as_str);
    let text = text.context("the model has answered without a text")?;
    Ok(json!({"credential": source, "base": base, "model": model, "text": text}))
}

/// What the requests of one run share.
#[derive(Debug)]
struct Network {
    tls: Option<Arc<ClientConfig>>,
}

impl Network {
    /// Trusts the CA that `SSL_CERT_FILE` names, as a client in an image from scratch would.
    fn from_environment() -> anyhow::Result<Self> {
        let ca = env::var_os("SSL_CERT_FILE");
        let tls = ca.map(|path| trusting(Path::new(&path))).transpose()?;
        Ok(Self { tls })
    }

    /// The body of a good answer.
    async fn text(&self, what: &str, url: &str, request: Request<Bytes>) -> anyhow::Result<Bytes> {
        let url: Url = url.parse().with_context(|| format!("the URL of {what} is none"))?;
        let Answer { status, body } = send(&url, self.tls.as_ref(), request, PATIENCE)
            .await
            .with_context(|| format!("no answer from {what} at {}", url.authority()))?;
        if !status.is_success() {
            bail!("{what} answered {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }

    /// A good answer in JSON.
    async fn json(&self, what: &str, url: &str, request: Request<Bytes>) -> anyhow::Result<Value> {
        let body = self.text(what, url, request).await?;
        // Without the parser's own words, which may quote a token.
        serde_json::from_slice(&body).map_err(|_| anyhow::anyhow!("{what} has answered no JSON"))
    }
}

fn variable(name: &str) -> anyhow::Result<String> {
    env::var(name).with_context(|| format!("the variable {name} is not usable"))
}
