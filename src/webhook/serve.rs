//! Connections in, each bounded in every direction, and out again without losing a request.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use rustls::ServerConfig;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::{debug, warn};
use vertex_injector_net::listen;
use vertex_injector_net::places::{Place, Places};

/// How long a TLS handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a client may not take what we send.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Most bytes of a request's head, and of what is read of a body at a time. Every connection may have as many.
const MAX_HEAD: usize = 16 << 10;

/// What a connection counts for in [`Places`], in bytes: all the same, because their number is limited.
const CONNECTION: usize = 1 << 10;

/// A listener and what is behind it.
pub(crate) struct Server {
    pub(crate) listener: TcpListener,
    /// None: plain HTTP.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) router: Router,
    pub(crate) limits: Limits,
    pub(crate) open: Gauge,
    /// Connections that had to leave.
    pub(crate) dropped: Counter,
    pub(crate) handshake_failures: Counter,
}

/// Bounds of a server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections at a time.
    pub(crate) connections: usize,
    /// How many of them may wait for one peer.
    pub(crate) waiting_of_a_peer: usize,
    /// How long the head of a request may take. It is also hyper's keep-alive time, so it must exceed the 90 s for
    /// which a Go client keeps an idle connection: if we close first, a review can race the close and fail.
    pub(crate) idle: Duration,
    /// How long requests may take to finish once the server closes.
    pub(crate) grace: Duration,
}

/// The phases of the end. Cloned into every connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drain {
    /// Answers ask clients to close, so that the next request goes to another replica. New ones are still served.
    pub(crate) leaving: CancellationToken,
    /// No new connections; idle ones are closed, open requests are finished.
    pub(crate) closing: CancellationToken,
}

impl Server {
    /// Serves until `drain.closing`, then finishes what is open within the grace period, then drops the rest.
    pub(crate) async fn run(self, drain: Drain) {
        let Self {
            listener,
            tls,
            router,
            limits,
            open,
            dropped,
            handshake_failures,
        } = self;
        let shared = Arc::new(Shared {
            tls: tls.map(TlsAcceptor::from),
            router,
            http: http(limits.idle),
            open,
            handshake_failures,
            drain: drain.clone(),
        });
        let connections = TaskTracker::new();
        let give_up = CancellationToken::new();
        let places = Places::new(limits.connections * CONNECTION, limits.waiting_of_a_peer);
        let accepting = async {
            loop {
                let (stream, peer) = listen::next(&listener).await;
                let place = places.take(peer.ip(), CONNECTION).await;
                let (shared, give_up, dropped) = (Arc::clone(&shared), give_up.clone(), dropped.clone());
                connections.spawn(async move {
                    tokio::select! {
                        () = shared.connection(stream, peer, &place) => {}
                        () = place.has_to_go() => drop(dropped.inc()),
                        () = give_up.cancelled() => {}
                    }
                });
            }
        };
        drain.closing.run_until_cancelled(accepting).await;
        drop(listener);
        connections.close();
        if timeout(limits.grace, connections.wait()).await.is_err() {
            warn!(
                open = connections.len(),
                "some requests did not finish in time; dropping them"
            );
            give_up.cancel();
            connections.wait().await;
        }
    }
}

/// What every connection needs.
struct Shared {
    tls: Option<TlsAcceptor>,
    router: Router,
    http: http1::Builder,
    open: Gauge,
    handshake_failures: Counter,
    drain: Drain,
}

impl Shared {
    async fn connection(&self, stream: TcpStream, peer: SocketAddr, place: &Arc<Place>) {
        let _open = Open::count(&self.open);
        let Some(tls) = &self.tls else {
            return self.http(stream, peer, place).await;
        };
        match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.http(stream, peer, place).await,
            Ok(Err(error)) => {
                // Probes of load balancers connect and leave; that is no failure.
                if error.kind() != io::ErrorKind::UnexpectedEof {
                    self.handshake_failures.inc();
                    // The counter is for alerts. As a warning, this would let anybody fill the log.
                    debug!(%error, %peer, "a TLS handshake failed");
                }
            }
            Err(_) => {
                self.handshake_failures.inc();
                debug!(%peer, "a TLS handshake took too long");
            }
        }
    }

    async fn http(&self, stream: impl AsyncRead + AsyncWrite + Send + 'static, peer: SocketAddr, place: &Arc<Place>) {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_TIMEOUT));
        let service = hyper::service::service_fn(|mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(Arc::clone(place));
            let answer = self.router.clone().oneshot(request.map(Body::new));
            let leaving = self.drain.leaving.clone();
            async move {
                let mut response = answer.await?;
                if leaving.is_cancelled() {
                    response
                        .headers_mut()
                        .insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(response)
            }
        });
        let connection = self.http.serve_connection(TokioIo::new(Box::pin(stream)), service);
        let mut connection = std::pin::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = self.drain.closing.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            debug!(%error, %peer, "a connection ended early");
        }
    }
}

fn http(idle: Duration) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_buf_size(MAX_HEAD);
    http
}

/// Counts a connection for as long as it lives, however it ends.
struct Open<'a>(&'a Gauge);

impl<'a> Open<'a> {
    fn count(gauge: &'a Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn panics() -> &'static str {
        panic!("on purpose")
    }

    async fn serving(connections: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server {
            listener,
            tls: None,
            router: Router::new()
                .route("/", get(async || "fine"))
                .route("/panic", get(panics)),
            limits: Limits {
                connections,
                waiting_of_a_peer: connections,
                idle: Duration::from_secs(1),
                grace: Duration::from_secs(1),
            },
            open: Gauge::default(),
            dropped: Counter::default(),
            handshake_failures: Counter::default(),
        };
        tokio::spawn(server.run(Drain::default()));
        address
    }

    #[tokio::test]
    async fn a_panic_ends_its_own_connection_only() {
        let address = serving(1).await;
        for _ in 0..3 {
            assert_eq!(ask(address, "/panic").await, "");
            assert!(ask(address, "/").await.ends_with("fine"));
        }
    }

    #[tokio::test]
    async fn a_connection_over_the_limit_takes_the_place_of_the_one_that_waited_longest() {
        let address = serving(2).await;
        let mut idle = Vec::new();
        for _ in 0..4 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: ").await.unwrap();
            idle.push(stream);
        }
        let answer = timeout(Duration::from_millis(500), ask(address, "/")).await;
        assert!(answer.expect("an answer").ends_with("fine"));
        let mut longest = idle.remove(0);
        let read = timeout(Duration::from_millis(500), longest.read(&mut [0; 1])).await;
        assert!(matches!(read.expect("closed"), Ok(0) | Err(_)));
    }

    #[tokio::test]
    async fn a_connection_without_a_request_is_closed() {
        let address = serving(2).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let read = timeout(Duration::from_secs(5), silent.read(&mut [0; 1])).await;
        assert_eq!(read.unwrap().unwrap(), 0);
    }
}
