//! The connections to Vertex AI: HTTP/2 where it is spoken, pooled, bounded in streams and windows, no redirects.

use super::refusal::{Reason, Refusal};
use super::target::{Query, Target};
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::connect::Connect;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::timeout;
use vertex_injector_core::contract::proxy::Project;
use vertex_injector_core::endpoint::Endpoint;

/// How long Vertex AI may take to begin its answer; models think for minutes.
const FIRST_BYTE: Duration = Duration::from_mins(10);

/// Most calls on one connection. Google's frontends allow 100 streams; what is more would wait for the others' end.
const STREAMS: usize = 96;

/// Connections, each with a pool of its own. Together they carry as many calls as the agent can have connections.
const LANES: usize = 11;

/// What one answer may buffer here while its reader is slow, in bytes. With [`STREAMS`], this bounds what a connection buffers.
const STREAM_WINDOW: u32 = 64 * 1024;

/// Never used up, but h2 measures with it how many small frames may be unread: beyond that it ends the connection and all answers
/// on it. It allows half of this in bytes that frames are short of 256, so that every answer may be full of events of 80 bytes.
const CONNECTION_WINDOW: u32 = 32 * 1024 * 1024;

/// How often a connection with open calls is asked whether it lives, and how long it may take to say so.
const PING: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_mins(4);

/// In which Google is told whose quota counts. The agent's own is not passed on.
const USER_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");

type Sent = BoxFuture<'static, Result<Response<Incoming>, Error>>;

/// The client of Vertex AI.
pub struct Vertex {
    /// Instead of Google's public hosts.
    endpoint: Option<Endpoint>,
    lanes: Vec<Lane>,
    /// The project that calls are counted against, if not their own.
    quota_project: Option<HeaderValue>,
}

struct Lane {
    send: Box<dyn Fn(Request<Full<Bytes>>) -> Sent + Send + Sync>,
    open: Arc<AtomicUsize>,
}

/// A call's place on its connection, until its answer has been read.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Vertex {
    /// A client over `transport`, [`vertex_injector_net::upstream::google`] in earnest.
    pub fn new(endpoint: Option<Endpoint>, transport: &(impl Connect + Clone + Send + Sync + 'static)) -> Self {
        // Google's frontends speak HTTP/2, and knowing that makes calls that begin at once share one handshake.
        let secure = endpoint.as_ref().is_none_or(|endpoint| endpoint.is_secure());
        let lane = |_| {
            let client = Client::builder(TokioExecutor::new())
                .http2_only(secure)
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(IDLE)
                .pool_max_idle_per_host(STREAMS)
                .http2_initial_stream_window_size(STREAM_WINDOW)
                .http2_initial_connection_window_size(CONNECTION_WINDOW)
                .http2_keep_alive_interval(PING.0)
                .http2_keep_alive_timeout(PING.1)
                .build(transport.clone());
            Lane {
                send: Box::new(move |request| Box::pin(client.request(request))),
                open: Arc::default(),
            }
        };
        Self {
            endpoint,
            lanes: (0..LANES).map(lane).collect(),
            quota_project: None,
        }
    }

    /// The same client, whose calls are counted against this project.
    #[must_use]
    pub fn counted_against(self, project: Option<&Project>) -> Self {
        let quota_project = project.and_then(|project| HeaderValue::from_str(project.as_str()).ok());
        Self { quota_project, ..self }
    }

    /// Sends a call and waits for the head of its answer, whatever its status.
    ///
    /// # Errors
    /// When there is no answer in time.
    pub async fn call(
        &self,
        target: &Target<'_>,
        query: Query,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(Response<Incoming>, Place), Refusal> {
        let uri = self.uri(target, query).ok_or_else(|| {
            let message = "the address of Vertex AI cannot be formed; check --vertex-endpoint";
            Refusal::new(Reason::Unexpected, StatusCode::INTERNAL_SERVER_ERROR, message)
        })?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        if let Some(project) = &self.quota_project {
            request.headers_mut().insert(USER_PROJECT, project.clone());
        }
        let busy = || Refusal::later(Reason::Busy, "too many calls at a time; try again", 1);
        let (lane, place) = self.place().ok_or_else(busy)?;
        match timeout(FIRST_BYTE, (lane.send)(request)).await {
            Ok(Ok(response)) => Ok((response, place)),
            Ok(Err(error)) if error.is_connect() => Err(Refusal::later(
                Reason::Unreachable,
                "Vertex AI cannot be reached; try again",
                2,
            )),
            Ok(Err(_)) => Err(Refusal::new(
                Reason::BrokenOff,
                StatusCode::BAD_GATEWAY,
                "the answer of Vertex AI broke off",
            )),
            Err(_) => Err(Refusal::new(
                Reason::Silent,
                StatusCode::GATEWAY_TIMEOUT,
                "Vertex AI did not answer within 10 minutes",
            )),
        }
    }

    /// The first connection with room, so that few stay many calls' and warm.
    fn place(&self) -> Option<(&Lane, Place)> {
        self.lanes.iter().find_map(|lane| {
            let place = Place::take(&lane.open)?;
            Some((lane, place))
        })
    }

    fn uri(&self, target: &Target<'_>, query: Query) -> Option<Uri> {
        let path = target.path(query);
        let uri = match &self.endpoint {
            Some(endpoint) => format!("{}{path}", endpoint.to_string().trim_end_matches('/')),
            None => format!("https://{}{path}", host(target.region)),
        };
        uri.parse().ok()
    }
}

/// Where Vertex AI serves a location.
pub fn host(region: &str) -> String {
    match region {
        "global" => "aiplatform.googleapis.com".to_owned(),
        "us" | "eu" => format!("aiplatform.{region}.rep.googleapis.com"),
        region => format!("{region}-aiplatform.googleapis.com"),
    }
}

impl Place {
    fn take(open: &Arc<AtomicUsize>) -> Option<Self> {
        if open.fetch_add(1, Ordering::Relaxed) < STREAMS {
            return Some(Self(Arc::clone(open)));
        }
        open.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Vertex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vertex")
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}
