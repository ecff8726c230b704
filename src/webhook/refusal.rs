//! Requests that are not answered with a review: why, in words and as HTTP.

use super::body::BodyError;
use crate::metrics::{BadRequest, Metrics};
use axum::http::StatusCode;
use std::panic::{AssertUnwindSafe, catch_unwind};
use vertex_injector_core::admission::BadReview;

/// A request that is not answered with a review.
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// None when the fault is ours.
    pub(crate) cause: Option<BadRequest>,
    pub(crate) problem: String,
}

impl Refusal {
    /// Of a request that is at fault itself.
    pub(crate) fn new(status: StatusCode, cause: BadRequest, problem: impl Into<String>) -> Self {
        Self {
            status,
            cause: Some(cause),
            problem: problem.into(),
        }
    }

    /// Of a request that we fail on.
    pub(crate) fn ours() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            cause: None,
            problem: "vertex-injector failed on this object; its log names the place".to_owned(),
        }
    }
}

/// Answers a review. A panic is answered, too, so that the person behind it sees more than a broken connection.
pub(crate) fn guarded<T>(metrics: &Metrics, review: impl FnOnce() -> Result<T, BadReview>) -> Result<T, Refusal> {
    match catch_unwind(AssertUnwindSafe(review)) {
        Ok(Ok(review)) => Ok(review),
        Ok(Err(BadReview(problem))) => Err(Refusal::new(StatusCode::BAD_REQUEST, BadRequest::NotAReview, problem)),
        Err(_) => {
            metrics.panics.inc();
            Err(Refusal::ours())
        }
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        let (status, cause) = match error {
            BodyError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, BadRequest::TooLarge),
            BodyError::Incomplete => (StatusCode::BAD_REQUEST, BadRequest::Incomplete),
            BodyError::TooSlow => (StatusCode::REQUEST_TIMEOUT, BadRequest::Timeout),
        };
        Self::new(status, cause, error.to_string())
    }
}
