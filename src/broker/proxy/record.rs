//! What is remembered of one request: one line in the log and the numbers, when it has ended in whatever way. Never content.

use super::refusal::{Reason, Refusal};
use super::target::{Call, Target};
use super::usage::Tokens;
use crate::api::{Feature, Publisher};
use crate::broker::metrics::Counters;
use crate::broker::metrics::calls::{Counted, Outcome};
use http::StatusCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::info;

/// The record of a request. Written when dropped, as [`Outcome::Abandoned`] unless told otherwise.
#[derive(Debug)]
pub struct Record {
    counters: Arc<Counters>,
    began: Instant,
    publisher: Option<Publisher>,
    call: Option<Call>,
    region: Option<String>,
    model: Option<String>,
    glob: Option<String>,
    status: Option<StatusCode>,
    outcome: Outcome,
    reason: Option<Reason>,
    feature: Option<Feature>,
    first_byte: Option<Duration>,
    /// Bytes of the body that was read.
    pub request_bytes: u64,
    /// Bytes of the answer that were passed on.
    pub response_bytes: u64,
    /// What the answer cost.
    pub tokens: Tokens,
}

impl Record {
    /// Begins.
    pub fn begin(counters: Arc<Counters>) -> Self {
        counters.calls.open.inc();
        Self {
            counters,
            began: Instant::now(),
            publisher: None,
            call: None,
            region: None,
            model: None,
            glob: None,
            status: None,
            outcome: Outcome::Abandoned,
            reason: None,
            feature: None,
            first_byte: None,
            request_bytes: 0,
            response_bytes: 0,
            tokens: Tokens::default(),
        }
    }

    /// The target, whose parts have a form that cannot be content.
    pub fn target(&mut self, target: &Target<'_>) {
        self.publisher = Some(target.publisher);
        self.call = Some(target.call);
        self.region = Some(target.region.to_owned());
        self.model = Some(target.model.clone().into_owned());
    }

    /// The model whose tokens are counted, which the body names; its form has been checked.
    pub fn counts(&mut self, model: String) {
        self.model = Some(model);
    }

    /// The pattern that allowed the model.
    pub fn allowed_by(&mut self, glob: &str) {
        self.glob = Some(glob.to_owned());
    }

    /// The head of an answer is passed on.
    pub fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
        self.first_byte = Some(self.began.elapsed());
    }

    /// The answer is ours.
    pub fn refused(&mut self, refusal: &Refusal) {
        self.status = Some(refusal.status);
        self.reason = Some(refusal.reason);
        self.feature = refusal.feature;
        self.outcome = if refusal.is_denial() {
            Outcome::Denied
        } else {
            Outcome::Failed
        };
    }

    /// How it ended.
    pub fn ended(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let duration = self.began.elapsed();
        self.counters.calls.open.dec();
        let status = self.status.map(|status| status.as_u16());
        self.counters.calls.ended(&Counted {
            publisher: self.publisher,
            call: self.call,
            model: self.glob.as_deref(),
            status,
            outcome: self.outcome,
            reason: self.reason,
            feature: self.feature,
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            tokens: self.tokens,
            first_byte: self.first_byte,
            duration,
        });
        info!(
            publisher = self.publisher.map(Publisher::name),
            method = self.call.map(Call::as_str),
            region = self.region,
            model = self.model,
            status,
            outcome = ?self.outcome,
            reason = self.reason.map(tracing::field::debug),
            feature = self.feature.map(tracing::field::debug),
            request_bytes = self.request_bytes,
            response_bytes = self.response_bytes,
            input_tokens = self.tokens.input,
            output_tokens = self.tokens.output,
            cache_read_tokens = self.tokens.cache_read,
            cache_write_tokens = self.tokens.cache_write,
            first_byte_ms = self.first_byte.map(milliseconds),
            duration_ms = milliseconds(duration),
            "model call"
        );
    }
}

/// With three decimals.
fn milliseconds(duration: Duration) -> f64 {
    let microseconds = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    f64::from(microseconds) / 1000.0
}
