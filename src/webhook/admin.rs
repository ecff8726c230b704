//! The plain HTTP port: `/livez`, `/readyz`, `/metrics`. Nothing that it says is secret, nothing can be changed there.

use super::policies::Current;
use super::ready::Readiness;
use crate::metrics::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;
use vertex_injector_net::metrics::OPENMETRICS;

/// What the port shows.
pub(crate) struct Admin {
    pub(crate) readiness: Arc<Readiness>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) policies: Arc<Current>,
}

/// Every request that the port answers.
pub(crate) fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        // Alive is whoever answers: what is broken outside of us, a restart does not mend.
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin)
}

async fn readyz(State(admin): State<Arc<Admin>>) -> Response {
    let missing = admin.readiness.missing();
    if missing.is_empty() {
        return "ready\n".into_response();
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        format!("not ready\n{}\n", missing.join("\n")),
    )
        .into_response()
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    admin.policies.count();
    match admin.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n").into_response(),
    }
}
