//! The families of the Vertex proxy.

use crate::broker::proxy::refusal::Reason;
use crate::broker::proxy::target::Call;
use crate::broker::proxy::usage::Tokens;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::fmt::{self, Write};
use std::time::Duration;
use vertex_injector_core::contract::proxy::{Feature, Publisher};
use vertex_injector_net::metrics::{counted, measured};

/// Upper bounds in seconds: from a denial to a model that thinks for ten minutes.
const SECONDS: [f64; 14] = [
    0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 180.0, 600.0,
];

/// How a request to the proxy ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Outcome {
    /// Vertex AI's answer was passed on whole, whatever its status.
    Answered,
    /// The request was not allowed.
    Denied,
    /// There was no answer to pass on.
    Failed,
    /// Vertex AI's answer broke off or fell silent.
    BrokenOff,
    /// The agent went away before the end.
    Abandoned,
}

/// Everything that is counted of one request.
#[derive(Debug)]
pub struct Counted<'a> {
    /// Whose model, when the target said so.
    pub publisher: Option<Publisher>,
    /// What was called, when the target said so.
    pub call: Option<Call>,
    /// The pattern that allowed the model.
    pub model: Option<&'a str>,
    /// The status that the agent saw.
    pub status: Option<u16>,
    /// How it ended.
    pub outcome: Outcome,
    /// Why there was no answer.
    pub reason: Option<Reason>,
    /// What the body asked for in vain.
    pub feature: Option<Feature>,
    /// How many members and types of the body passed without being known.
    pub unknown: u32,
    /// Bytes of the body.
    pub request_bytes: u64,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
    /// What it cost.
    pub tokens: Tokens,
    /// Until the head of Vertex AI's answer.
    pub first_byte: Option<Duration>,
    /// Until the end.
    pub duration: Duration,
}

/// The families.
#[derive(Debug)]
pub struct Calls {
    requests: Family<RequestLabels, Counter>,
    denials: Family<DenialLabels, Counter>,
    unknown: Family<UnknownLabels, Counter>,
    first_byte: Family<PublisherLabels, Histogram, fn() -> Histogram>,
    duration: Family<PublisherLabels, Histogram, fn() -> Histogram>,
    request_bytes: Family<PublisherLabels, Counter>,
    response_bytes: Family<PublisherLabels, Counter>,
    tokens: Family<TokenLabels, Counter>,
    /// Requests that have begun and not ended.
    pub open: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    publisher: Option<&'static str>,
    method: Option<Call>,
    status: Class,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DenialLabels {
    reason: Reason,
    feature: Named,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UnknownLabels {
    publisher: Option<&'static str>,
    result: Judgement,
}

/// What became of a member that no table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Judgement {
    Denied,
    Passed,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PublisherLabels {
    publisher: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TokenLabels {
    publisher: &'static str,
    model: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Kind {
    Input,
    Output,
    CacheRead,
    CacheWrite,
}

/// A status by its first digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Class(Option<u16>);

/// A feature, or nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Named(Option<Feature>);

impl EncodeLabelValue for Class {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        match self.0 {
            Some(class) => write!(encoder, "{class}xx"),
            None => encoder.write_str("none"),
        }
    }
}

impl EncodeLabelValue for Named {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        match self.0 {
            Some(feature) => write!(encoder, "{feature:?}"),
            None => Ok(()),
        }
    }
}

impl Calls {
    /// Empty families, registered.
    pub fn new(registry: &mut Registry) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        let histogram = || Family::new_with_constructor(histogram);
        Self {
            requests: counted(
                registry,
                "proxy_requests",
                "Requests to the Vertex proxy, by publisher, method, class of status and how they ended",
            ),
            denials: counted(
                registry,
                "proxy_denials",
                "Requests that the Vertex proxy refused, by reason and by the feature that the body asked for",
            ),
            unknown: counted(
                registry,
                "proxy_unknown_fields",
                "Members and types in bodies that this version does not know, by what became of them; a refusal is for one of them",
            ),
            first_byte: measured(
                registry,
                "proxy_first_byte",
                Unit::Seconds,
                "Time from a request's head to the head of Vertex AI's answer",
                histogram(),
            ),
            duration: measured(
                registry,
                "proxy_duration",
                Unit::Seconds,
                "Time from a request's head to the end of its answer",
                histogram(),
            ),
            request_bytes: measured(
                registry,
                "proxy_request",
                Unit::Bytes,
                "Bodies of requests that were sent on",
                Family::default(),
            ),
            response_bytes: measured(
                registry,
                "proxy_response",
                Unit::Bytes,
                "Bodies of answers that were passed on",
                Family::default(),
            ),
            tokens: counted(
                registry,
                "proxy_tokens",
                "Tokens that answers report, by kind; model is the pattern of the policy that allowed it",
            ),
            open: counted(
                registry,
                "proxy_open_requests",
                "Requests that have begun and not ended",
            ),
        }
    }

    /// Counts a request that has ended.
    pub fn ended(&self, request: &Counted<'_>) {
        let labels = RequestLabels {
            publisher: request.publisher.map(Publisher::name),
            method: request.call,
            status: Class(request.status.map(|status| status / 100)),
            outcome: request.outcome,
        };
        self.requests.get_or_create(&labels).inc();
        if let (Outcome::Denied, Some(reason)) = (request.outcome, request.reason) {
            let feature = Named(request.feature);
            self.denials.get_or_create(&DenialLabels { reason, feature }).inc();
        }
        let denied = u64::from(request.reason == Some(Reason::UnknownField));
        for (result, fields) in [(Judgement::Denied, denied), (Judgement::Passed, request.unknown.into())] {
            if fields > 0 {
                let publisher = request.publisher.map(Publisher::name);
                self.unknown
                    .get_or_create(&UnknownLabels { publisher, result })
                    .inc_by(fields);
            }
        }
        let (Some(publisher), Some(first_byte)) = (request.publisher, request.first_byte) else {
            return;
        };
        let publisher = publisher.name();
        let labels = PublisherLabels { publisher };
        self.first_byte.get_or_create(&labels).observe(first_byte.as_secs_f64());
        self.duration
            .get_or_create(&labels)
            .observe(request.duration.as_secs_f64());
        self.request_bytes.get_or_create(&labels).inc_by(request.request_bytes);
        self.response_bytes
            .get_or_create(&labels)
            .inc_by(request.response_bytes);
        let Tokens {
            input,
            output,
            cache_read,
            cache_write,
        } = request.tokens;
        for (kind, tokens) in [
            (Kind::Input, input),
            (Kind::Output, output),
            (Kind::CacheRead, cache_read),
            (Kind::CacheWrite, cache_write),
        ] {
            if tokens > 0 {
                let model = request.model.unwrap_or_default().to_owned();
                let labels = TokenLabels { publisher, model, kind };
                self.tokens.get_or_create(&labels).inc_by(tokens);
            }
        }
    }
}
