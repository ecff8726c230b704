//! Git over HTTPS without a token in the agent: a proxy on loopback that adds the credential to git's smart HTTP requests, for
//! configured hosts, repositories and services.
//!
//! The agent's git calls `http://127.0.0.1:PORT/HOST/OWNER/REPO` ([`vertex_injector_core::git::config`] makes it do so). [`Target`] reads what is
//! asked for, [rules](vertex_injector_core::git::rules) decide, [`login`] makes the credential a header, [`forward`] talks to the host, and [`refusal`] says in
//! git's own output what was not done. Packs stream through in both directions, of any size and unread.
//!
//! Git LFS and the older "dumb" protocol are not served: the answers of the first hold credentials, the second reads any file.

pub mod forward;
pub mod login;
pub mod refusal;

mod audit;

use crate::exec::fields::{Current, Fields};
use crate::exec::refresh::Asking;
use audit::Record;
use axum::body::Body;
use forward::{Hosts, IDLE};
use http::header::VIA;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use login::NoLogin;
use refusal::Refusal;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::timeout;
use vertex_injector_core::contract::git::GitProxy;
use vertex_injector_core::git::target::{Step, Target};
use vertex_injector_net::egress::Egress;
use vertex_injector_net::flow::{Bounded, Movement};
use vertex_injector_net::listen::{self, CONNECTION_BYTES, TwoLengths};
use vertex_injector_net::local;
use vertex_injector_net::places::Places;

/// Most connections of the agent at a time.
const CONNECTIONS: usize = 128;

/// How long a request waits for a credential: git does not try again, and the first one may be on its way.
const WAIT: Duration = Duration::from_secs(5);

/// Seconds after which to try again while there is no credential.
const RETRY: u32 = 5;

/// The proxy.
#[derive(Debug)]
pub struct Proxy {
    settings: GitProxy,
    credential: Current,
    asking: Asking,
    hosts: Hosts,
}

impl Proxy {
    /// A proxy that logs in with the credential of the moment, and asks for another when a host does not accept it.
    ///
    /// # Errors
    /// When the system trusts no certificates at all.
    pub fn new(settings: GitProxy, credential: Current, asking: Asking, egress: &Egress) -> std::io::Result<Self> {
        Ok(Self {
            settings,
            credential,
            asking,
            hosts: Hosts::new(egress)?,
        })
    }

    /// Serves until dropped.
    pub async fn serve(self, listener: TcpListener) {
        let proxy = Arc::new(self);
        listen::serve(
            listener,
            Places::new(CONNECTIONS * CONNECTION_BYTES, CONNECTIONS),
            CONNECTION_BYTES,
            move |request| {
                let proxy = Arc::clone(&proxy);
                async move { proxy.answer(request).await }
            },
        )
        .await;
    }

    /// Answers one request, and writes one line about it when the answer has been read.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let movement = Movement::start();
        let mut record = Record::new(movement.clone());
        match self.exchange(request, &movement, &mut record).await {
            Ok(answer) => {
                record.answered(answer.status());
                answer.map(|body| Body::new(Bounded::new(body, &movement, IDLE, record)))
            }
            Err(refusal) => {
                record.refused(&refusal);
                refusal.response()
            }
        }
    }

    async fn exchange(
        &self,
        request: Request<Incoming>,
        movement: &Movement,
        record: &mut Record,
    ) -> Result<Response<Incoming>, Refusal> {
        let (head, body) = request.into_parts();
        if let Some(reason) = foreign(&head) {
            return Err(Refusal::new("foreign", StatusCode::FORBIDDEN, reason));
        }
        let target = Target::parse(&head.method, &head.uri)?;
        let host = self.settings.hosts.iter().find(|host| host.to_string() == target.host);
        let host = host.ok_or_else(|| Refusal::host(&self.settings.hosts))?;
        record.asked(&target);
        if !self.settings.rules.iter().any(|rule| rule.allows(&target)) {
            return Err(Refusal::rules(&target, &self.settings.rules));
        }
        forward::check_media_type(&target, &head.headers)?;
        if target.step == Step::Advertisement && !body.is_end_stream() {
            return Err(Refusal::new("body", StatusCode::BAD_REQUEST, "a GET has no body"));
        }
        let fields = self.fields().await?;
        let authorization = login::authorization(&self.settings.login, host, &fields)
            .map_err(|error| Refusal::new("no credential", StatusCode::BAD_GATEWAY, error.to_string()))?;
        let answer = self
            .hosts
            .ask(&target, &head.headers, body, authorization, movement)
            .await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            self.rejected(&fields);
        }
        let headers = forward::received(&target, &self.settings.rules, &answer)?;
        let mut passed = Response::new(answer.into_body());
        *passed.headers_mut() = headers;
        Ok(passed)
    }

    /// The credential, once there is one.
    async fn fields(&self) -> Result<Arc<Fields>, Refusal> {
        let mut credential = self.credential.clone();
        let present = timeout(WAIT, credential.wait_for(Option::is_some)).await;
        let fields = present.ok().and_then(Result::ok).and_then(|fields| fields.clone());
        fields.ok_or_else(|| {
            let message = "there is no credential at the moment; try again";
            Refusal::new("no credential", StatusCode::SERVICE_UNAVAILABLE, message).later(Some(RETRY))
        })
    }

    /// A host has not accepted a credential: another is asked for, unless there is one already.
    fn rejected(&self, fields: &Arc<Fields>) {
        let current = self.credential.borrow().clone();
        if current.is_some_and(|current| Arc::ptr_eq(&current, fields)) {
            // What comes of it shows at the next request.
            drop(self.asking.ask());
        }
    }
}

/// Whether every host can be logged in to with a credential.
///
/// # Errors
/// When it cannot.
pub fn check(settings: &GitProxy, fields: &Fields) -> Result<(), NoLogin> {
    let mut hosts = settings.hosts.iter();
    hosts.try_for_each(|host| login::authorization(&settings.login, host, fields).map(drop))
}

/// Why a request is not one of a git in this pod.
fn foreign(head: &Parts) -> Option<&'static str> {
    let headers = &head.headers;
    if head.extensions.get::<TwoLengths>().is_some() {
        return Some("a request has Content-Length or Transfer-Encoding, not both");
    }
    if let Some(reason) = local::foreign(head) {
        return Some(reason);
    }
    if headers.contains_key(VIA) {
        return Some("requests that were forwarded are not answered; name 127.0.0.1 in NO_PROXY");
    }
    local::upgrades(headers).then_some("no other protocol than HTTP/1.1 is spoken")
}
