//! The way to a host, step by step: its address, the proxy, a connection, TLS, and what time it is there.
//!
//! Connections are made by [`Egress`], as the broker's are; here they are only taken apart.

use super::hop::Hop;
use super::problem::Problem;
use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, Error};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use vertex_injector_core::endpoint::Endpoint;
use vertex_injector_net::egress::Egress;
use vertex_injector_net::trust::Trust;
use vertex_injector_net::witness::Witness;
use x509_parser::prelude::{FromDer, X509Certificate};

/// How long each step may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Most bytes of an answer's head that are read for its date.
const HEAD: u64 = 8 * 1024;

/// Longest name of an authority that is shown, in characters.
const LONGEST: usize = 120;

/// What stopped us.
pub(super) struct Stopped {
    pub(super) problem: Problem,
    pub(super) found: String,
}

/// How far one came.
pub(super) struct Reached {
    /// What was fine.
    pub(super) fine: Vec<(Hop, String)>,
    /// What time it is there, where it was told, or what stopped us.
    pub(super) end: Result<Option<Timestamp>, Stopped>,
}

/// The hops to a host.
pub(super) fn hops(egress: &Egress, to: &Endpoint) -> Vec<Hop> {
    let mut hops = Vec::new();
    if to.host().name().is_some() && egress.proxy_to(to.uri()).is_none() {
        hops.push(Hop::Name);
    }
    if egress.proxy_to(to.uri()).is_some() {
        hops.push(Hop::Proxy);
    } else {
        hops.push(Hop::Connection);
    }
    if to.is_secure() {
        hops.push(Hop::Tls);
    }
    hops
}

/// Goes to a host and asks it for the time.
pub(super) async fn reach(egress: &Egress, to: &Endpoint) -> Reached {
    let mut fine = Vec::new();
    let end = go(egress, to, &mut fine).await;
    Reached { fine, end }
}

async fn go(egress: &Egress, to: &Endpoint, fine: &mut Vec<(Hop, String)>) -> Result<Option<Timestamp>, Stopped> {
    let stream = match egress.proxy_to(to.uri()) {
        Some(proxy) => by_proxy(egress, to, proxy, fine).await?,
        None => straight(egress, to, fine).await?,
    };
    if !to.is_secure() {
        return Ok(None);
    }
    let (authority, date) = tls(egress, to, stream).await?;
    fine.push((Hop::Tls, format!("signed by {authority}")));
    Ok(date)
}

async fn straight(egress: &Egress, to: &Endpoint, fine: &mut Vec<(Hop, String)>) -> Result<TcpStream, Stopped> {
    if let Some(name) = to.host().name() {
        let addresses = resolve(name, to.port()).await.map_err(|why| Stopped {
            problem: Problem::NameUnknown,
            found: format!("{name} has no address here: {why}"),
        })?;
        let shown: Vec<String> = addresses
            .iter()
            .take(3)
            .map(|address| address.ip().to_string())
            .collect();
        fine.push((Hop::Name, shown.join(", ")));
    }
    let stream = connect(egress, to).await.map_err(|error| connection(&error))?;
    let peer = stream.peer_addr().map(|peer| peer.to_string());
    fine.push((Hop::Connection, peer.unwrap_or_default()));
    Ok(stream)
}

async fn by_proxy(
    egress: &Egress,
    to: &Endpoint,
    proxy: &str,
    fine: &mut Vec<(Hop, String)>,
) -> Result<TcpStream, Stopped> {
    let host = to.host();
    let reached = match proxy
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse().ok()?)))
    {
        None => Err("its address has no port".to_owned()),
        Some((host, port)) => match resolve(host.trim_matches(['[', ']']), port).await {
            Err(why) => Err(format!("it has no address here: {why}")),
            Ok(addresses) => match timeout(PATIENCE, TcpStream::connect(addresses.as_slice())).await {
                Err(_) => Err("it does not answer".to_owned()),
                Ok(Err(error)) => Err(words(error.kind()).to_owned()),
                Ok(Ok(_)) => Ok(()),
            },
        },
    };
    reached.map_err(|why| Stopped {
        problem: Problem::ProxyUnreachable,
        found: format!("HTTPS_PROXY is {proxy}, and {why}"),
    })?;
    let stream = connect(egress, to).await.map_err(|error| {
        let wants_user = error.to_string().contains("authorization required");
        let (problem, why) = if wants_user {
            (Problem::ProxyWantsUser, "wants a user and a password (407)")
        } else {
            (Problem::ProxyRefuses, "does not let us through")
        };
        Stopped {
            problem,
            found: format!("HTTPS_PROXY is {proxy}, which {why} to {host}:{}", to.port()),
        }
    })?;
    fine.push((Hop::Proxy, format!("{proxy} connects to {host}:{}", to.port())));
    Ok(stream)
}

async fn connect(egress: &Egress, to: &Endpoint) -> io::Result<TcpStream> {
    match timeout(PATIENCE, egress.connect(to.uri())).await {
        Ok(connected) => connected.map_err(|error| io::Error::new(kind(&*error), error)),
        Err(_) => Err(ErrorKind::TimedOut.into()),
    }
}

/// The kind of the first error of the system's among the causes.
fn kind(error: &(dyn std::error::Error + 'static)) -> ErrorKind {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return error.kind();
        }
        cause = error.source();
    }
    ErrorKind::Other
}

fn connection(error: &io::Error) -> Stopped {
    let problem = match error.kind() {
        ErrorKind::ConnectionRefused => Problem::ConnectionRefused,
        _ => Problem::ConnectionFails,
    };
    Stopped {
        problem,
        found: words(error.kind()).to_owned(),
    }
}

fn words(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ConnectionRefused => "it refuses connections",
        ErrorKind::TimedOut => "it does not answer within 5 s",
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => "no route leads there",
        _ => "the connection fails",
    }
}

async fn resolve(name: &str, port: u16) -> Result<Vec<SocketAddr>, &'static str> {
    match timeout(PATIENCE, lookup_host((name, port))).await {
        Err(_) => Err("no resolver answers within 5 s"),
        Ok(Err(_)) => Err("the resolver does not know it, or does not answer"),
        Ok(Ok(found)) => {
            let addresses: Vec<_> = found.collect();
            if addresses.is_empty() {
                Err("the resolver knows none")
            } else {
                Ok(addresses)
            }
        }
    }
}

/// Shakes hands: who signed the certificate, and what time it is there.
async fn tls(egress: &Egress, to: &Endpoint, stream: TcpStream) -> Result<(String, Option<Timestamp>), Stopped> {
    let fails = |why: String| Stopped {
        problem: Problem::TlsFails,
        found: why,
    };
    let trust = Trust::of(egress.ca_files()).map_err(|error| Stopped {
        problem: Problem::AuthorityUntrusted,
        found: format!("{error}: the system has none, and SSL_CERT_FILE and VERTEX_INJECTOR_CA_FILES add none"),
    })?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(trust.roots()), provider).build();
    let witness = Witness::new(Some(verifier.map_err(|error| fails(error.to_string()))?));
    let config = witness.config().map_err(|error| fails(error.to_string()))?;
    let host = to.host().to_string();
    let name =
        ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(|error| fails(error.to_string()))?;
    let shaken = timeout(PATIENCE, TlsConnector::from(Arc::new(config)).connect(name, stream)).await;
    let issuer = witness.shown().last().map(issuer).unwrap_or_default();
    let mut stream = match shaken {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(refused(&error, &issuer)),
        Err(_) => return Err(fails("no handshake within 5 s".to_owned())),
    };
    let asked = async {
        let request = format!("HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut head = Vec::new();
        // An end that is not said is an end, too.
        let _ = stream.take(HEAD).read_to_end(&mut head).await;
        date(&String::from_utf8_lossy(&head))
    };
    Ok((issuer, timeout(PATIENCE, asked).await.ok().flatten()))
}

fn refused(error: &io::Error, issuer: &str) -> Stopped {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let (problem, found) = match inner {
        // A signature that is bad is that of another authority of the same name.
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)) => (
            Problem::AuthorityUntrusted,
            format!("the certificate is signed by {issuer}, whom nobody here believes"),
        ),
        Some(Error::InvalidCertificate(_)) => (
            Problem::CertificateInvalid,
            format!(
                "the certificate, signed by {issuer}, cannot be accepted: {}",
                error.get_ref().map(ToString::to_string).unwrap_or_default()
            ),
        ),
        _ => (Problem::TlsFails, words(error.kind()).to_owned()),
    };
    Stopped { problem, found }
}

/// The `Date` of an answer.
fn date(head: &str) -> Option<Timestamp> {
    let (_, value) = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("date"))?;
    let zoned = jiff::fmt::rfc2822::parse(value.trim()).ok()?;
    Some(zoned.timestamp())
}

/// Who signed the last of a chain, which is the nearest to the authority.
fn issuer(certificate: &CertificateDer<'_>) -> String {
    match X509Certificate::from_der(certificate) {
        Ok((_, certificate)) => {
            let name = certificate.issuer().to_string();
            let fit = |c: &char| !c.is_control();
            format!("{:?}", name.chars().filter(fit).take(LONGEST).collect::<String>())
        }
        Err(_) => "somebody unreadable".to_owned(),
    }
}
