//! The Vertex proxy on loopback: model calls that the rules allow go to Vertex AI with the token that the agent never sees.
//!
//! A request is checked in the order of what costs least: [`head`], [`target`], [`rules`], then its [`body`], which is read
//! whole, parsed as strict [`json`] and [`inspect`]ed beside the [`tables`] of what is known. What is sent on is built from the
//! parsed parts, not copied from the request. The [`answer`] streams back. Every request but the kubelet's probes ends in one
//! [`record`].

pub mod answer;
pub mod body;
pub mod by_name;
pub mod head;
pub mod inspect;
pub mod json;
pub mod nearest;
pub mod path;
pub mod record;
pub mod refusal;
pub mod rules;
pub mod spelling;
pub mod tables;
pub mod target;
pub mod tools;
pub mod unknown;
pub mod usage;
pub mod vertex;

use super::metrics::Counters;
use super::token::{AccessToken, Supplier, Supply};
use axum::body::Body;
use body::Room;
use http::header::{AUTHORIZATION, CONNECTION, EXPECT, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::{Bytes, Incoming};
use inspect::Purpose;
use json::Json;
use record::Record;
use refusal::{Reason, Refusal};
use std::sync::Arc;
use target::{Query, Target};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use vertex::{Place, Vertex};
use vertex_injector_core::contract::proxy::{Publisher, Rules};
use vertex_injector_net::upstream::authorization;

/// Bodies up to this many bytes are inspected where they are: it takes less time than another thread.
const INSPECTED_AT_ONCE: usize = 256 * 1024;

/// How many larger ones are inspected at a time: for one there is memory, and less than one processor.
const INSPECTIONS: usize = 1;

/// The proxy.
#[derive(Debug)]
pub struct Proxy {
    rules: Arc<Rules>,
    tokens: Supplier,
    vertex: Vertex,
    counters: Arc<Counters>,
    room: Room,
    inspections: Arc<Semaphore>,
}

impl Proxy {
    /// A proxy that enforces `rules` and calls `vertex` with `tokens`. It holds large bodies of so many bytes together.
    pub fn new(rules: Rules, tokens: Supplier, vertex: Vertex, counters: Arc<Counters>, bodies: usize) -> Self {
        Self {
            rules: Arc::new(rules),
            tokens,
            vertex,
            counters,
            room: Room::new(bodies),
            inspections: Arc::new(Semaphore::new(INSPECTIONS)),
        }
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (head, mut body) = request.into_parts();
        if head::is_probe(&head) {
            return nearest::refusal(&head, &self.rules).response();
        }
        let mut record = Record::begin(Arc::clone(&self.counters));
        match self.forward(&head, &mut body, &mut record).await {
            Ok(forwarded) => {
                record.answered(forwarded.answer.status());
                forwarded.pass_on(record).await
            }
            Err(mut refusal) => {
                if head::blames_credentials(&head.headers) {
                    refusal = refusal.without_forbidden();
                }
                record.refused(&refusal);
                let mut response = refusal.response();
                if head.headers.contains_key(EXPECT) {
                    // Reading would ask for a body that is held back until then; without it the connection cannot go on.
                    response
                        .headers_mut()
                        .insert(CONNECTION, HeaderValue::from_static("close"));
                } else {
                    body::drain(body).await;
                }
                response
            }
        }
    }

    async fn forward(&self, head: &Parts, body: &mut Incoming, record: &mut Record) -> Result<Forwarded, Refusal> {
        head::check(head)?;
        let target = Target::parse(head.uri.path()).ok_or_else(|| nearest::refusal(head, &self.rules))?;
        record.target(&target);
        let query = Query::parse(head.uri.query().unwrap_or_default())
            .ok_or_else(|| Refusal::denied(Reason::MethodOverride, "the method cannot be overridden"))?;
        if let Some(glob) = rules::check(&self.rules, &target)? {
            record.allowed_by(glob.as_str());
        }
        head::check_media_type(&head.headers)?;
        let body = self.room.read(&head.headers, body).await?;
        record.counts.request_bytes = body.len() as u64;
        let purpose = Purpose {
            api: target.call.api(),
            names_model: target.is_named_in_body(),
        };
        let Inspected { counted, unknown } = self.inspect(&body, purpose).await?;
        record.has_unknown(unknown);
        if let Some(Counted { model, glob }) = counted {
            record.counts_tokens_of(model);
            record.allowed_by(&glob);
        }
        let token = self.token().await?;
        let mut headers = head::request(&head.headers);
        headers.insert(AUTHORIZATION, authorization(&token.secret).ok_or_else(no_token)?);
        let (answer, place) = self.vertex.call(&target, query, headers, body).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            self.tokens.distrust(&token);
        }
        answer::check(answer.status())?;
        Ok(Forwarded {
            answer,
            publisher: target.publisher,
            place,
            token,
        })
    }

    async fn inspect(&self, body: &Bytes, purpose: Purpose) -> Result<Inspected, Refusal> {
        if body.len() <= INSPECTED_AT_ONCE {
            return inspect(body, purpose, &self.rules);
        }
        let turn = Arc::clone(&self.inspections).acquire_owned().await;
        let (body, rules) = (body.clone(), Arc::clone(&self.rules));
        let inspected = spawn_blocking(move || {
            let _turn = turn;
            inspect(&body, purpose, &rules)
        });
        inspected.await.unwrap_or_else(|_| {
            let message = "the body could not be inspected";
            Err(Refusal::new(Reason::Json, StatusCode::INTERNAL_SERVER_ERROR, message))
        })
    }

    async fn token(&self) -> Result<AccessToken, Refusal> {
        match self.tokens.get().await {
            Supply::Token(token) => Ok(token),
            Supply::Refused(error) => Err(Refusal::denied(
                Reason::TokenRefused,
                format!("Google gives this pod no access token: {error}"),
            )),
            Supply::Later(seconds) => {
                let message = "there is no access token for Vertex AI at the moment; try again";
                Err(Refusal::later(Reason::NoToken, message, seconds))
            }
        }
    }
}

/// An answer to pass on.
struct Forwarded {
    answer: Response<Incoming>,
    publisher: Publisher,
    place: Place,
    token: AccessToken,
}

impl Forwarded {
    async fn pass_on(self, record: Record) -> Response<Body> {
        if self.answer.status().is_success() {
            answer::stream(self.answer, record, self.publisher, self.place)
        } else {
            answer::error(self.answer, record, &self.token.secret).await
        }
    }
}

/// What is remembered of a body.
struct Inspected {
    counted: Option<Counted>,
    /// How much in it nobody has judged.
    unknown: u32,
}

/// The model whose tokens are counted, when only the body names it, and the pattern that it matches.
struct Counted {
    model: String,
    glob: String,
}

fn inspect(body: &[u8], purpose: Purpose, rules: &Rules) -> Result<Inspected, Refusal> {
    let json = Json::parse(body).map_err(|error| Refusal::malformed(error.to_string()))?;
    let inspect::Inspected { named, unknown } = inspect::inspect(&json, purpose, rules)?;
    let counted = named.filter(|_| purpose.names_model).map(|named| Counted {
        model: named.model,
        glob: named.glob.as_str().to_owned(),
    });
    Ok(Inspected { counted, unknown })
}

fn no_token() -> Refusal {
    Refusal::later(Reason::NoToken, "the access token cannot be sent; try again", 5)
}
