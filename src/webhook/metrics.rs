//! What happened, as numbers: OpenMetrics families with bounded label sets.
//!
//! Every label is an enum, so no input can make the number of series grow.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::fmt::{self, Write};
use strum::VariantArray;
use vertex_injector_core::admission::{Outcome, Reason};
use vertex_injector_core::validation;
use vertex_injector_net::metrics::{counted, measured};

/// Upper bounds in seconds. A review takes some tens of microseconds; a live list and a slow client take more.
const REVIEW_SECONDS: [f64; 15] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
];

/// All families of the webhook. Clones of a family count together.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Answered reviews of pods.
    pub reviews: Family<ReviewLabels, Counter>,
    /// Answered reviews of policies.
    pub policy_reviews: Family<PolicyReviewLabels, Counter>,
    /// From the head of the request to the answer, in seconds.
    pub review_seconds: Histogram,
    /// Requests that were no review that we could answer.
    pub bad_requests: Family<BadRequestLabels, Counter>,
    /// Policies that are loaded.
    pub policies: Family<PolicyLabels, Gauge>,
    /// How often policies could not be read again; the earlier ones stayed.
    pub policy_reload_failures: Counter,
    /// Live lists because a review met a policy or namespace that the watch had not delivered.
    pub live_lists: Family<LiveListLabels, Counter>,
    /// Events about pods that were refused or left alone.
    pub events: Family<EventLabels, Counter>,
    /// When the served certificate expires, in seconds since 1970.
    pub certificate_expiry: Gauge,
    /// How often certificate files changed into something unusable; the earlier ones stayed.
    pub certificate_reload_failures: Counter,
    /// Open HTTPS connections.
    pub connections: Gauge,
    /// Connections that were closed, while their client owed something, to make room for others.
    pub dropped_connections: Counter,
    /// TLS handshakes that failed or took too long.
    pub handshake_failures: Counter,
    /// Reviews that ended in a panic: a bug.
    pub panics: Counter,
    /// ServiceAccounts that keep another identity than the policy's.
    pub gke_conflicts: Gauge,
}

/// Labels of [`Metrics::reviews`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReviewLabels {
    outcome: Code<Outcome>,
    reason: Code<Reason>,
}

/// Labels of [`Metrics::policy_reviews`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PolicyReviewLabels {
    outcome: Code<validation::Outcome>,
}

/// Labels of [`Metrics::bad_requests`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BadRequestLabels {
    /// What was wrong.
    pub cause: BadRequest,
}

/// Why a request was not answered with a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BadRequest {
    /// Another path.
    Path,
    /// Another method than POST.
    Method,
    /// Another content type than JSON.
    ContentType,
    /// A body over the limit.
    TooLarge,
    /// A body that broke off.
    Incomplete,
    /// A request that took too long.
    Timeout,
    /// A body that is no AdmissionReview.
    NotAReview,
}

/// Labels of [`Metrics::policies`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PolicyLabels {
    /// Whether it works.
    pub state: PolicyState,
}

/// Whether a policy works.
#[derive(VariantArray, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyState {
    /// Pods are served by it.
    Ready,
    /// It has errors; pods that it selects are denied.
    Unusable,
    /// The API server does not send its pods to the webhook.
    Unreachable,
    /// Its namespace did not opt in.
    NotOptedIn,
    /// It says what this version does not know; pods that it selects are denied.
    Unreadable,
}

/// Labels of [`Metrics::live_lists`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LiveListLabels {
    /// How it ended.
    pub result: LiveList,
}

/// How a live list ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LiveList {
    /// The API server answered.
    Done,
    /// It failed, took too long or was too large.
    Failed,
    /// Too many at once: not tried.
    Limited,
}

/// Labels of [`Metrics::events`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct EventLabels {
    /// What became of it.
    pub result: Event,
}

/// What became of an event.
#[derive(VariantArray, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// The API server has it.
    Written,
    /// The API server did not take it.
    Failed,
    /// There were too many.
    Dropped,
}

/// A label value that is written as the enum shows itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Code<T>(T);

impl Metrics {
    /// All families, empty.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("vertex_injector");
        let all = &mut registry;
        let metrics = Self {
            reviews: counted(
                all,
                "reviews",
                "Admission reviews of pods answered, by outcome and reason",
            ),
            policy_reviews: counted(
                all,
                "policy_reviews",
                "Admission reviews of policies answered, by outcome",
            ),
            review_seconds: measured(
                all,
                "review_duration",
                Unit::Seconds,
                "Time from the head of a review to its answer",
                Histogram::new(REVIEW_SECONDS),
            ),
            bad_requests: counted(all, "bad_requests", "Requests that are no review"),
            policies: counted(all, "policies", "Policies by state"),
            policy_reload_failures: counted(
                all,
                "policy_reload_failures",
                "Times that the policy directory could not be read again and the last good set stayed",
            ),
            live_lists: counted(
                all,
                "live_lists",
                "Live lists for reviews that met an unknown policy or namespace",
            ),
            events: counted(
                all,
                "events",
                "Events about pods that were refused or left alone, by what became of them",
            ),
            certificate_expiry: measured(
                all,
                "certificate_expiry_timestamp",
                Unit::Seconds,
                "When the served certificate expires, since 1970",
                Gauge::default(),
            ),
            certificate_reload_failures: counted(
                all,
                "certificate_reload_failures",
                "Times that changed certificate files were unusable and the earlier certificate stayed",
            ),
            connections: counted(all, "open_connections", "Open HTTPS connections"),
            dropped_connections: counted(
                all,
                "dropped_connections",
                "Connections closed to make room for others while their client owed something",
            ),
            handshake_failures: counted(all, "tls_handshake_failures", "TLS handshakes that failed or timed out"),
            panics: counted(all, "panics", "Reviews that panicked; a bug"),
            gke_conflicts: counted(
                all,
                "gke_service_account_conflicts",
                "ServiceAccounts that carry another Google identity than their policy wants",
            ),
            registry: Registry::default(),
        };
        // A state without a policy is 0, not absent: an alert on it must not depend on history.
        for state in PolicyState::VARIANTS {
            metrics.policies.get_or_create(&PolicyLabels { state: *state }).set(0);
        }
        for result in Event::VARIANTS {
            metrics.events.get_or_create(&EventLabels { result: *result }).inc_by(0);
        }
        Self { registry, ..metrics }
    }

    /// Counts an answered review of a policy.
    pub fn policy_reviewed(&self, outcome: validation::Outcome, seconds: f64) {
        let labels = PolicyReviewLabels { outcome: Code(outcome) };
        self.policy_reviews.get_or_create(&labels).inc();
        self.review_seconds.observe(seconds);
    }

    /// Counts an answered review of a pod.
    pub fn reviewed(&self, outcome: Outcome, reason: Reason, seconds: f64) {
        let labels = ReviewLabels {
            outcome: Code(outcome),
            reason: Code(reason),
        };
        self.reviews.get_or_create(&labels).inc();
        self.review_seconds.observe(seconds);
    }

    /// Counts an event.
    pub fn told(&self, result: Event) {
        self.events.get_or_create(&EventLabels { result }).inc();
    }

    /// The OpenMetrics text.
    ///
    /// # Errors
    /// When a family cannot be written, which is a bug.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Display> EncodeLabelValue for Code<T> {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        write!(encoder, "{}", self.0)
    }
}

impl EncodeLabelValue for BadRequest {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Self::Path => "path",
            Self::Method => "method",
            Self::ContentType => "content_type",
            Self::TooLarge => "too_large",
            Self::Incomplete => "incomplete",
            Self::Timeout => "timeout",
            Self::NotAReview => "not_a_review",
        })
    }
}

impl EncodeLabelValue for PolicyState {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Self::Ready => "ready",
            Self::Unusable => "unusable",
            Self::Unreachable => "unreachable",
            Self::NotOptedIn => "not_opted_in",
            Self::Unreadable => "unreadable",
        })
    }
}

impl EncodeLabelValue for LiveList {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Limited => "limited",
        })
    }
}

impl EncodeLabelValue for Event {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(match self {
            Self::Written => "written",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        })
    }
}
