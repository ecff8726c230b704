//! `POST /validate`: the review of a policy in, everything that is wrong with it out.

use super::body::Content;
use super::refusal::{Refusal, guarded};
use super::shown::name;
use super::work::Work;
use crate::metrics::Metrics;
use std::sync::Arc;
use tokio::time::Instant;
use tracing::info;
use vertex_injector_core::operator::Operator;
use vertex_injector_core::validation::{self, PolicyReview};

/// What answering takes.
pub(crate) struct Validation {
    pub(crate) operator: Arc<Operator>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) work: Work,
}

impl Validation {
    /// Answers a review that came in at `start`.
    ///
    /// # Errors
    /// When the body is no review.
    pub(crate) async fn answer(&self, body: Content, start: Instant) -> Result<Vec<u8>, Refusal> {
        let (metrics, operator) = (Arc::clone(&self.metrics), Arc::clone(&self.operator));
        let bytes = body.len();
        let look = move || guarded(&metrics, || validation::review(&body, &operator));
        let review = self.work.run(bytes, look).await??;
        self.show(&review, start);
        Ok(review.response)
    }

    /// One log event and one count per review. Names and numbers only, never a value of the policy.
    fn show(&self, review: &PolicyReview, start: Instant) {
        let took = start.elapsed();
        self.metrics.policy_reviewed(review.outcome, took.as_secs_f64());
        info!(
            uid = name(&review.uid),
            namespace = name(&review.namespace),
            policy = name(&review.name),
            outcome = %review.outcome,
            errors = review.errors,
            dry_run = review.dry_run,
            duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "answered a review of a policy"
        );
    }
}
