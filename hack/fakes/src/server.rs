//! Accepts TLS connections and hands their requests to Google's services.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::google::Google;

/// How many connections are served at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 256;
/// How long a client may take for its TLS handshake, and for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves until dropped.
pub async fn run(listener: TcpListener, tls: Arc<ServerConfig>, google: Arc<Google>) {
    let acceptor = TlsAcceptor::from(tls);
    let router = Router::new().fallback(answer).with_state(google);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
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

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, router: Router) -> anyhow::Result<()> {
    let stream = tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await??;
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await?;
    Ok(())
}

async fn answer(State(google): State<Arc<Google>>, request: Request) -> Response {
    google.answer(request).await
}
