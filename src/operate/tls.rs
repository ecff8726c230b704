//! A handshake with the webhook: which certificates it shows.

use crate::check::certificate::verifier;
use rustls_pki_types::{CertificateDer, ServerName};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use vertex_injector_net::witness::Witness;

/// How long a handshake may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Shakes hands with `ca_bundle` as the only authorities. The chain that was shown, be it believed or not; nothing is sent.
///
/// # Errors
/// When nothing was shown.
pub(crate) async fn chain(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    name: &str,
    ca_bundle: &[u8],
) -> Result<Vec<CertificateDer<'static>>, String> {
    let witness = Witness::new(verifier(ca_bundle));
    let config = witness.config().map_err(|error| error.to_string())?;
    let name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
    let shaken = timeout(LIMIT, TlsConnector::from(Arc::new(config)).connect(name, stream)).await;
    let shown = witness.shown();
    match shaken {
        _ if !shown.is_empty() => Ok(shown),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(_)) => Err("no certificate was shown".to_owned()),
        Err(_) => Err(format!("no handshake within {} s", LIMIT.as_secs())),
    }
}
