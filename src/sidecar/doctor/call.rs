//! One call of a model, as small as can be: it needs the API, the role, the model, the location and the quota.

use crate::broker::proxy::target::is_model;
use crate::broker::proxy::vertex::host;
use serde_json::{Value, json};
use vertex_injector_core::contract::proxy::{Project, Publisher, Region};
use vertex_injector_core::endpoint::Endpoint;

/// Which model is called, and where.
#[derive(Debug, Default)]
pub struct Target {
    /// The project that is called.
    pub project: Option<Project>,
    /// The location.
    pub region: Option<Region>,
    /// The model.
    pub model: Option<String>,
    /// Where Vertex AI is reached instead of at Google's public hosts.
    pub endpoint: Option<Endpoint>,
}

/// A call of a model.
pub(super) struct Call {
    pub(super) url: Endpoint,
    /// The model and where it is called, for people.
    pub(super) at: String,
    pub(super) body: Value,
}

impl Call {
    /// At Google, or at the endpoint in its place; `None` where not all is named.
    pub(super) fn of(target: &Target) -> Option<Self> {
        Self::at(&root(target)?, target)
    }

    /// The same below another root.
    pub(super) fn at(root: &Endpoint, target: &Target) -> Option<Self> {
        let (project, region) = (target.project.as_ref()?, target.region.as_ref()?);
        let model = target.model.as_deref().filter(|model| is_model(model))?;
        let publisher = if model.starts_with("claude") {
            Publisher::Anthropic
        } else {
            Publisher::Google
        };
        let (method, body) = match publisher {
            Publisher::Anthropic => (
                "rawPredict",
                json!({"anthropic_version": "vertex-2023-10-16", "max_tokens": 1,
                       "messages": [{"role": "user", "content": "Hi"}]}),
            ),
            Publisher::Google => (
                "generateContent",
                json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
                       "generationConfig": {"maxOutputTokens": 1}}),
            ),
        };
        let root = root.to_string();
        let url = format!(
            "{}/v1/projects/{project}/locations/{region}/publishers/{publisher}/models/{model}:{method}",
            root.trim_end_matches('/')
        );
        Some(Self {
            url: url.parse().ok()?,
            at: format!("{model} in {region}"),
            body,
        })
    }
}

/// Vertex AI at Google, or the endpoint in its place.
pub(super) fn root(target: &Target) -> Option<Endpoint> {
    let region = target.region.as_ref()?;
    let public = || format!("https://{}", host(region.as_str())).parse().ok();
    target.endpoint.clone().or_else(public)
}
