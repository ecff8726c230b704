//! The HTTPS port: which review a request is, its bytes within their bounds, and an answer in time.

use super::body;
use super::mutate::Admission;
use super::refusal::Refusal;
use super::validate::Validation;
use super::work::{Room, Work};
use crate::metrics::{BadRequest, BadRequestLabels, Metrics};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http_body_util::Full;
use hyper::body::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tracing::debug;
use vertex_injector_net::holding::Holding;
use vertex_injector_net::places::Place;

/// How long a request may take, body included. The API server waits five seconds.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What answering takes.
pub(crate) struct Reviews {
    pub(crate) admission: Admission,
    pub(crate) validation: Validation,
    pub(crate) work: Work,
    pub(crate) metrics: Arc<Metrics>,
}

/// What is asked about.
#[derive(Clone, Copy)]
enum Subject {
    Pod,
    Policy,
}

/// Every request that the HTTPS port answers.
pub(crate) fn router(reviews: Arc<Reviews>) -> Router {
    let about = |subject| {
        post(async move |State(reviews): State<Arc<Reviews>>, request: Request| reviews.respond(subject, request).await)
    };
    Router::new()
        .route("/mutate", about(Subject::Pod))
        .route("/validate", about(Subject::Policy))
        .method_not_allowed_fallback(method)
        .fallback(path)
        .with_state(reviews)
}

async fn method(State(reviews): State<Arc<Reviews>>) -> Response {
    let mut response = reviews.refuse(&Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        BadRequest::Method,
        "only POST is allowed here",
    ));
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

async fn path(State(reviews): State<Arc<Reviews>>) -> Response {
    reviews.refuse(&Refusal::new(
        StatusCode::NOT_FOUND,
        BadRequest::Path,
        "not found; reviews of pods are answered at POST /mutate, of policies at POST /validate",
    ))
}

impl Reviews {
    async fn respond(&self, subject: Subject, request: Request) -> Response {
        match timeout(REQUEST_TIMEOUT, self.answer(subject, request, Instant::now())).await {
            Ok(Ok((response, room))) => json(StatusCode::OK, response, room),
            Ok(Err(refusal)) => self.refuse(&refusal),
            Err(_) => self.refuse(&Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                BadRequest::Timeout,
                format!("the request took longer than {} s", REQUEST_TIMEOUT.as_secs()),
            )),
        }
    }

    async fn answer(&self, subject: Subject, request: Request, start: Instant) -> Result<(Vec<u8>, Room), Refusal> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        if !content_type.is_some_and(is_json) {
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                BadRequest::ContentType,
                "the content type must be application/json",
            ));
        }
        let place = request.extensions().get::<Arc<Place>>().cloned();
        let body = body::read(request.into_body(), &self.work).await?;
        // From here on the client owes us nothing.
        let _open = place.map(|place| place.open());
        let answer = match subject {
            Subject::Pod => self.admission.answer(body, start).await,
            Subject::Policy => self.validation.answer(body, start).await,
        }?;
        // The body is gone by now, so this cannot wait for its room.
        let room = self.work.room(answer.len()).await;
        Ok((answer, room))
    }

    fn refuse(&self, refusal: &Refusal) -> Response {
        if let Some(cause) = refusal.cause {
            self.metrics
                .bad_requests
                .get_or_create(&BadRequestLabels { cause })
                .inc();
        }
        debug!(
            status = refusal.status.as_u16(),
            problem = refusal.problem,
            "refused a request"
        );
        let body = serde_json::json!({ "error": refusal.problem });
        json(refusal.status, body.to_string().into_bytes(), Room::default())
    }
}

fn json(status: StatusCode, body: Vec<u8>, room: Room) -> Response {
    const JSON: [(HeaderName, HeaderValue); 1] = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    // The room is taken until all is written.
    let body = Holding::new(Full::new(Bytes::from(body)), room);
    (status, JSON, Body::new(body)).into_response()
}

fn is_json(content_type: &HeaderValue) -> bool {
    let essence = content_type
        .as_bytes()
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}
