//! A small HTTP/1.1 client: one request for each connection, bounded in size and time.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use http::header::HOST;
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

/// The largest answer, in bytes.
pub(crate) const LARGEST: usize = 1024 * 1024;

/// An answer that was received whole.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
}

/// Sends `request` to `url`, whose path and host it gets.
///
/// # Errors
///
/// When there is no whole answer within `patience`, or it is larger than [`LARGEST`]; or when the URL is https and there is no
/// `tls`. Neither the URL nor anything of the request is in the error.
pub(crate) async fn send(
    url: &Url,
    tls: Option<&Arc<ClientConfig>>,
    request: Request<Bytes>,
    patience: Duration,
) -> anyhow::Result<Answer> {
    tokio::time::timeout(patience, attempt(url, tls, request))
        .await
        .with_context(|| format!("no answer within {} s", patience.as_secs()))
        .flatten()
}

/// TLS settings that trust the certificates of a PEM file, and nothing else.
///
/// # Errors
///
/// When the file cannot be read or holds no certificates.
pub(crate) fn trusting(path: &Path) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(path).with_context(|| format!("cannot read the CA {}", path.display()))?;
    for certificate in certificates {
        let certificate = certificate.with_context(|| format!("{}: not PEM", path.display()))?;
        roots
            .add(certificate)
            .with_context(|| format!("{}: not a CA certificate", path.display()))?;
    }
    if roots.is_empty() {
        bail!("{}: no certificate in it", path.display());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("cannot choose TLS versions")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

async fn attempt(url: &Url, tls: Option<&Arc<ClientConfig>>, mut request: Request<Bytes>) -> anyhow::Result<Answer> {
    let host = url.host_str().context("the URL has no host")?;
    let port = url.port_or_known_default().context("the URL has no port")?;
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let target = url
        .query()
        .map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    *request.uri_mut() = target.parse().context("the URL's path cannot be sent")?;
    let authority = HeaderValue::from_str(url.authority()).context("the URL's host cannot be sent")?;
    request.headers_mut().insert(HOST, authority);

    let stream = TcpStream::connect((address, port)).await.context("cannot connect")?;
    match (url.scheme(), tls) {
        ("https", Some(tls)) => {
            let name = ServerName::try_from(address.to_owned())
                .context("the URL's host is not a name that a certificate can carry")?;
            let stream = TlsConnector::from(Arc::clone(tls))
                .connect(name, stream)
                .await
                .context("the TLS handshake failed")?;
            over(stream, request).await
        }
        ("https", None) => bail!("https needs a CA to trust"),
        _ => over(stream, request).await,
    }
}

async fn over<S>(stream: S, request: Request<Bytes>) -> anyhow::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends with this function: the connection is dropped when the exchange is over.
    let exchange = async {
        let response = sender.send_request(request.map(Full::new)).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST)
            .collect()
            .await
            .map_err(|error| anyhow::anyhow!("cannot read the answer: {error}"))?
            .to_bytes();
        Ok(Answer { status, body })
    };
    tokio::pin!(connection, exchange);
    tokio::select! {
        outcome = &mut exchange => outcome,
        ended = &mut connection => {
            ended.context("the connection broke")?;
            exchange.await
        }
    }
}
