//! Another mutating webhook, as a mesh has one: it puts containers in front of those that a pod has.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What the webhook listens on, and what it puts into pods.
#[derive(Debug, Args)]
pub(crate) struct MeshArguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,

    /// The server's certificate (PEM).
    #[arg(long, value_name = "FILE")]
    pub tls_certificate: PathBuf,

    /// The certificate's key (PEM).
    #[arg(long, value_name = "FILE")]
    pub tls_key: PathBuf,

    /// What to add, as JSON: {"PATH": {"annotations", "labels", "initContainers", "containers", "volumes"}}. POST /PATH adds it.
    #[arg(long, value_name = "FILE")]
    pub additions: PathBuf,
}

/// What one path adds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Additions {
    labels: Map<String, Value>,
    annotations: Map<String, Value>,
    /// In front of those of the pod.
    init_containers: Vec<Value>,
    /// In front of those of the pod.
    containers: Vec<Value>,
    /// Behind those of the pod.
    volumes: Vec<Value>,
}

/// The webhook.
pub(crate) fn router(additions: HashMap<String, Additions>) -> Router {
    async fn answer(
        State(all): State<Arc<HashMap<String, Additions>>>,
        Path(mesh): Path<String>,
        body: Bytes,
    ) -> Result<Json<Value>, StatusCode> {
        let additions = all.get(&mesh).ok_or(StatusCode::NOT_FOUND)?;
        let review: Value = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
        let request = |field: &str| review.get("request").and_then(|request| request.get(field));
        let (pod, uid) = (request("object"), request("uid"));
        let (Some(pod), Some(uid)) = (pod, uid) else {
            return Err(StatusCode::BAD_REQUEST);
        };
        let patch = Value::Array(additions.patch(pod));
        Ok(Json(json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "response": {
                "uid": uid, "allowed": true, "patchType": "JSONPatch",
                "patch": BASE64_STANDARD.encode(patch.to_string()),
            },
        })))
    }
    Router::new()
        .route("/{path}", post(answer))
        .with_state(Arc::new(additions))
}

impl Additions {
    /// A JSON Patch that adds everything.
    fn patch(&self, pod: &Value) -> Vec<Value> {
        let lacks = |part: &str, field: &str| {
            let value = pod.get(part).and_then(|part| part.get(field));
            value.is_none_or(Value::is_null)
        };
        let mut patch = Vec::new();
        let mut add = |path: String, value: &Value| patch.push(json!({"op": "add", "path": path, "value": value}));
        for (map, entries) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            if !entries.is_empty() && lacks("metadata", map) {
                add(format!("/metadata/{map}"), &json!({}));
            }
            for (key, value) in entries {
                let key = key.replace('~', "~0").replace('/', "~1");
                add(format!("/metadata/{map}/{key}"), value);
            }
        }
        for (list, entries, at) in [
            ("initContainers", &self.init_containers, "0"),
            ("containers", &self.containers, "0"),
            ("volumes", &self.volumes, "-"),
        ] {
            if !entries.is_empty() && lacks("spec", list) {
                add(format!("/spec/{list}"), &json!([]));
            }
            // Each pushes those before it back.
            for entry in entries.iter().rev() {
                add(format!("/spec/{list}/{at}"), entry);
            }
        }
        patch
    }
}
