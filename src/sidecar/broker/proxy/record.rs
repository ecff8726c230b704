//! What is remembered of one request: one line in the log and the numbers, when it has ended in whatever way. Never content.

use super::refusal::{Reason, Refusal};
use super::target::{Call, Target};
use super::usage::Tokens;
use crate::broker::metrics::Counters;
use crate::broker::metrics::calls::{Counted, Outcome};
use http::StatusCode;
use std::mem;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tracing::info;
use vertex_injector_core::contract::proxy::{Feature, Publisher};

/// The record of a request. It ends when dropped, as [`Outcome::Abandoned`] unless told otherwise.
///
/// What it has noted is written by a task of its own, which has its turn when the connection's has sent what it has: nobody waits
/// for the log. A runtime that ends drops such tasks, and by that writes what they hold.
#[derive(Debug)]
pub struct Record {
    counters: Arc<Counters>,
    began: Instant,
    noted: Noted,
    /// What has been counted.
    pub counts: Counts,
}

/// What a record counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Bytes of the body that was read.
    pub request_bytes: u64,
    /// Bytes of the answer that were passed on.
    pub response_bytes: u64,
    /// What the answer cost.
    pub tokens: Tokens,
}

#[derive(Debug, Default)]
struct Noted {
    publisher: Option<Publisher>,
    call: Option<Call>,
    region: Option<String>,
    model: Option<String>,
    glob: Option<String>,
    status: Option<StatusCode>,
    outcome: Option<Outcome>,
    reason: Option<Reason>,
    feature: Option<Feature>,
    unknown: u32,
    first_byte: Option<Duration>,
}

impl Record {
    /// Begins.
    pub fn begin(counters: Arc<Counters>) -> Self {
        counters.calls.open.inc();
        Self {
            counters,
            began: Instant::now(),
            noted: Noted::default(),
            counts: Counts::default(),
        }
    }

    /// The target, whose parts have a form that cannot be content.
    pub fn target(&mut self, target: &Target<'_>) {
        self.noted.publisher = Some(target.publisher);
        self.noted.call = Some(target.call);
        self.noted.region = Some(target.region.to_owned());
        self.noted.model = Some(target.model.clone().into_owned());
    }

    /// The model whose tokens are counted, which the body names; its form has been checked.
    pub fn counts_tokens_of(&mut self, model: String) {
        self.noted.model = Some(model);
    }

    /// The pattern that allowed the model.
    pub fn allowed_by(&mut self, glob: &str) {
        self.noted.glob = Some(glob.to_owned());
    }

    /// The body has so many members and types that nobody has judged, and they pass.
    pub fn has_unknown(&mut self, fields: u32) {
        self.noted.unknown = fields;
    }

    /// The head of an answer is passed on.
    pub fn answered(&mut self, status: StatusCode) {
        self.noted.status = Some(status);
        self.noted.first_byte = Some(self.began.elapsed());
    }

    /// The answer is ours.
    pub fn refused(&mut self, refusal: &Refusal) {
        self.noted.status = Some(refusal.status);
        self.noted.reason = Some(refusal.reason);
        self.noted.feature = refusal.feature;
        self.ended(if refusal.is_denial() {
            Outcome::Denied
        } else {
            Outcome::Failed
        });
    }

    /// How it ended.
    pub fn ended(&mut self, outcome: Outcome) {
        self.noted.outcome = Some(outcome);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.counters.calls.open.dec();
        let ended = Ended {
            counters: Arc::clone(&self.counters),
            duration: self.began.elapsed(),
            noted: mem::take(&mut self.noted),
            counts: self.counts,
        };
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { drop(ended) });
        }
    }
}

/// A record at its end, written when dropped.
struct Ended {
    counters: Arc<Counters>,
    duration: Duration,
    noted: Noted,
    counts: Counts,
}

impl Drop for Ended {
    fn drop(&mut self) {
        let Self { noted, counts, .. } = self;
        let outcome = noted.outcome.unwrap_or(Outcome::Abandoned);
        let status = noted.status.map(|status| status.as_u16());
        self.counters.calls.ended(&Counted {
            publisher: noted.publisher,
            call: noted.call,
            model: noted.glob.as_deref(),
            status,
            outcome,
            reason: noted.reason,
            feature: noted.feature,
            unknown: noted.unknown,
            request_bytes: counts.request_bytes,
            response_bytes: counts.response_bytes,
            tokens: counts.tokens,
            first_byte: noted.first_byte,
            duration: self.duration,
        });
        info!(
            publisher = noted.publisher.map(Publisher::name),
            method = noted.call.map(Call::as_str),
            region = noted.region,
            model = noted.model,
            status,
            outcome = ?outcome,
            reason = noted.reason.map(tracing::field::debug),
            feature = noted.feature.map(tracing::field::debug),
            unknown_fields = Some(noted.unknown).filter(|fields| *fields > 0),
            request_bytes = counts.request_bytes,
            response_bytes = counts.response_bytes,
            input_tokens = counts.tokens.input,
            output_tokens = counts.tokens.output,
            cache_read_tokens = counts.tokens.cache_read,
            cache_write_tokens = counts.tokens.cache_write,
            first_byte_ms = noted.first_byte.map(milliseconds),
            duration_ms = milliseconds(self.duration),
            "model call"
        );
    }
}

/// With three decimals.
fn milliseconds(duration: Duration) -> f64 {
    let microseconds = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
    f64::from(microseconds) / 1000.0
}
