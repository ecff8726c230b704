//! `POST /mutate`: the review of a pod in, the answer out.

use super::body::Content;
use super::events::Events;
use super::live_list::LiveList;
use super::policies::Current;
use super::refusal::{Refusal, guarded};
use super::shown::name;
use super::work::Work;
use crate::metrics::Metrics;
use std::sync::Arc;
use tokio::time::Instant;
use tracing::info;
use vertex_injector_core::admission::{self, PolicySet, Review};

/// What answering takes.
pub(crate) struct Admission {
    pub(crate) policies: Arc<Current>,
    /// None without a cluster.
    pub(crate) live: Option<LiveList>,
    /// None without a cluster.
    pub(crate) events: Option<Events>,
    pub(crate) work: Work,
    pub(crate) metrics: Arc<Metrics>,
}

impl Admission {
    /// Answers a review that came in at `start`.
    ///
    /// # Errors
    /// When the body is no review.
    pub(crate) async fn answer(&self, body: Content, start: Instant) -> Result<Vec<u8>, Refusal> {
        let body = Arc::new(body);
        let mut review = self.review(&body, self.policies.load()).await?;
        if review.stale
            && let Some(live) = &self.live
            && let Some(fresh) = live.policies(&review.namespace).await
        {
            review = self.review(&body, fresh).await?;
        }
        self.show(&review, start);
        if let Some(events) = &self.events {
            events.tell(&review);
        }
        Ok(review.response)
    }

    async fn review(&self, body: &Arc<Content>, policies: Arc<PolicySet>) -> Result<Review, Refusal> {
        let (metrics, body, bytes) = (Arc::clone(&self.metrics), Arc::clone(body), body.len());
        let look = move || guarded(&metrics, || admission::review(&body, &policies));
        self.work.run(bytes, look).await?
    }

    /// One log event and one count per review. Names and numbers only, never a value of the pod.
    fn show(&self, review: &Review, start: Instant) {
        let (decision, took) = (&review.decision, start.elapsed());
        self.metrics
            .reviewed(decision.outcome, decision.reason, took.as_secs_f64());
        info!(
            uid = name(&review.uid),
            namespace = name(&review.namespace),
            pod = name(&review.pod),
            outcome = %decision.outcome,
            reason = %decision.reason,
            policy = decision.policy.as_deref().unwrap_or_default(),
            ops = decision.patch.len(),
            dry_run = review.dry_run,
            duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "answered a review"
        );
    }
}
