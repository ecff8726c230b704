//! `POST /mutate`: the bytes of a review in, the bytes of the answer out.

use super::body::{Bodies, BodyError};
use super::live_list::LiveList;
use super::policies::Current;
use crate::metrics::{BadRequest, BadRequestLabels, Metrics};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tracing::{debug, info};
use vertex_injector_core::admission::{self, BadReview, PolicySet, Review};

/// How long a request may take, body included. The API server waits five seconds.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// Names in log lines are cut here: Kubernetes allows no longer ones, but a review need not come from Kubernetes.
const MAX_LOGGED: usize = 253;

/// What answering takes.
pub(crate) struct Admission {
    pub(crate) policies: Arc<Current>,
    /// None without a cluster.
    pub(crate) live: Option<LiveList>,
    pub(crate) bodies: Bodies,
    pub(crate) metrics: Arc<Metrics>,
}

/// Every request that the HTTPS port answers.
pub(crate) fn router(admission: Arc<Admission>) -> Router {
    Router::new()
        .route("/mutate", post(mutate))
        .method_not_allowed_fallback(method)
        .fallback(path)
        .with_state(admission)
}

async fn mutate(State(admission): State<Arc<Admission>>, request: Request) -> Response {
    let start = Instant::now();
    match timeout(REQUEST_TIMEOUT, admission.answer(request, start)).await {
        Ok(Ok(response)) => json(StatusCode::OK, response),
        Ok(Err(refusal)) => admission.refuse(&refusal),
        Err(_) => admission.refuse(&Refusal {
            status: StatusCode::REQUEST_TIMEOUT,
            cause: Some(BadRequest::Timeout),
            problem: format!("the request took longer than {} s", REQUEST_TIMEOUT.as_secs()),
        }),
    }
}

async fn method(State(admission): State<Arc<Admission>>) -> Response {
    let mut response = admission.refuse(&Refusal {
        status: StatusCode::METHOD_NOT_ALLOWED,
        cause: Some(BadRequest::Method),
        problem: "only POST is allowed here".to_owned(),
    });
    response
        .headers_mut()
        .insert(header::ALLOW, HeaderValue::from_static("POST"));
    response
}

async fn path(State(admission): State<Arc<Admission>>) -> Response {
    admission.refuse(&Refusal {
        status: StatusCode::NOT_FOUND,
        cause: Some(BadRequest::Path),
        problem: "not found; reviews are answered at POST /mutate".to_owned(),
    })
}

/// A request that is not answered with a review.
struct Refusal {
    status: StatusCode,
    /// None when the fault is ours.
    cause: Option<BadRequest>,
    problem: String,
}

impl Admission {
    async fn answer(&self, request: Request, start: Instant) -> Result<Vec<u8>, Refusal> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        if !content_type.is_some_and(is_json) {
            return Err(Refusal {
                status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
                cause: Some(BadRequest::ContentType),
                problem: "the content type must be application/json".to_owned(),
            });
        }
        let body = self.bodies.read(request.into_body()).await?;
        let mut review = self.review(&body, &self.policies.load())?;
        if review.stale
            && let Some(live) = &self.live
            && let Some(fresh) = live.policies(&review.namespace).await
        {
            review = self.review(&body, &fresh)?;
        }
        self.show(&review, start);
        Ok(review.response)
    }

    /// A panic is answered, so that the person who creates the pod sees more than a broken connection.
    fn review(&self, body: &[u8], policies: &PolicySet) -> Result<Review, Refusal> {
        match catch_unwind(AssertUnwindSafe(|| admission::review(body, policies))) {
            Ok(Ok(review)) => Ok(review),
            Ok(Err(BadReview(problem))) => Err(Refusal {
                status: StatusCode::BAD_REQUEST,
                cause: Some(BadRequest::NotAReview),
                problem,
            }),
            Err(_) => {
                self.metrics.panics.inc();
                Err(Refusal {
                    status: StatusCode::INTERNAL_SERVER_ERROR,
                    cause: None,
                    problem: "vertex-injector failed on this pod; its log names the place".to_owned(),
                })
            }
        }
    }

    /// One log event and one count per review. Names and numbers only, never a value of the pod.
    fn show(&self, review: &Review, start: Instant) {
        let (decision, took) = (&review.decision, start.elapsed());
        self.metrics
            .reviewed(decision.outcome, decision.reason, took.as_secs_f64());
        info!(
            uid = cut(&review.uid),
            namespace = cut(&review.namespace),
            pod = cut(&review.pod),
            outcome = %decision.outcome,
            reason = %decision.reason,
            policy = decision.policy.as_deref().unwrap_or_default(),
            ops = decision.patch.len(),
            dry_run = review.dry_run,
            duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "answered a review"
        );
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
        json(refusal.status, body.to_string().into_bytes())
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        let (status, cause) = match error {
            BodyError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, BadRequest::TooLarge),
            BodyError::Incomplete => (StatusCode::BAD_REQUEST, BadRequest::Incomplete),
        };
        Self {
            status,
            cause: Some(cause),
            problem: error.to_string(),
        }
    }
}

fn json(status: StatusCode, body: Vec<u8>) -> Response {
    const JSON: [(HeaderName, HeaderValue); 1] = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (status, JSON, body).into_response()
}

fn is_json(content_type: &HeaderValue) -> bool {
    let essence = content_type
        .as_bytes()
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

fn cut(text: &str) -> &str {
    let end = text.floor_char_boundary(MAX_LOGGED);
    text.get(..end).unwrap_or_default()
}
