//! Accepts connections, with or without TLS, and hands their requests on: HTTP/2 and HTTP/1.1, as Google's front end.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::google::vertex::Vertex;
use crate::google::{Google, answer_anybody};

/// How long a client may take for its TLS handshake, and for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many requests one HTTP/2 connection may have under way: what Google's front end allows.
const STREAMS: u32 = 100;

/// All of Google.
pub(crate) fn google(google: Arc<Google>) -> Router {
    async fn answer(State(google): State<Arc<Google>>, request: Request) -> Response {
        google.answer(request).await
    }
    Router::new().fallback(answer).with_state(google)
}

/// Vertex alone, for anybody.
pub(crate) fn vertex(vertex: Arc<Vertex>) -> Router {
    async fn answer(State(vertex): State<Arc<Vertex>>, request: Request) -> Response {
        answer_anybody(&vertex, request).await
    }
    Router::new().fallback(answer).with_state(vertex)
}

/// Serves at most so many connections at a time until dropped; more wait in the kernel's queue.
pub(crate) async fn run(listener: TcpListener, tls: Option<Arc<ServerConfig>>, router: Router, connections: usize) {
    let acceptor = tls.map(TlsAcceptor::from);
    let places = Arc::new(Semaphore::new(connections));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of descriptors, most likely: others close theirs soon.
                eprintln!("vertex-injector-fakes: cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (acceptor, router) = (acceptor.clone(), router.clone());
        tokio::spawn(async move {
            if let Err(error) = connection(stream, acceptor, router).await {
                // A client that does not trust the CA shows here and nowhere else.
                eprintln!("vertex-injector-fakes: a connection ended early: {error:#}");
            }
            drop(place);
        });
    }
}

async fn connection(stream: TcpStream, acceptor: Option<TlsAcceptor>, router: Router) -> anyhow::Result<()> {
    // Small events must not wait for the client's acknowledgements.
    stream.set_nodelay(true)?;
    match acceptor {
        Some(acceptor) => {
            let stream = tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await??;
            requests(stream, router).await
        }
        None => requests(stream, router).await,
    }
}

async fn requests<S>(stream: S, router: Router) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(STREAMS);
    builder
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await
        .map_err(|error| anyhow::anyhow!(error))
}
