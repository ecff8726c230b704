//! The certificate that is served, replaceable while connections are open.

use anyhow::{Context, bail};
use arc_swap::ArcSwapOption;
use prometheus_client::metrics::gauge::Gauge;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// The HTTP versions that we offer in the handshake. The API server speaks HTTP/1.1 to Services, but would take h2
/// from a `webhook.url` that offers it, and put all reviews on one connection.
const ALPN: &[u8] = b"http/1.1";

/// A certificate chain with its key, checked to belong together.
pub(crate) struct Certificate {
    key: Arc<CertifiedKey>,
    /// When it expires, in seconds since 1970.
    pub(crate) not_after: i64,
}

impl Certificate {
    /// Reads PEM. `chain_name` and `key_name` say in errors where the two come from.
    ///
    /// # Errors
    /// When one of them cannot be read, or the key is not the certificate's. Never quotes content.
    pub(crate) fn from_pem(chain: &[u8], key: &[u8], chain_name: &str, key_name: &str) -> anyhow::Result<Self> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .with_context(|| format!("{chain_name} is not a PEM file of certificates"))?;
        let Some(leaf) = chain.first() else {
            bail!("{chain_name} holds no certificate: expected a PEM block `BEGIN CERTIFICATE`");
        };
        let not_after = not_after(leaf).with_context(|| format!("{chain_name} holds no valid X.509 certificate"))?;
        // The parser's error could name what it found; that it is no key is all that may be said.
        let Ok(key) = PrivateKeyDer::from_pem_slice(key) else {
            bail!("{key_name} holds no usable private key: expected a PEM block `BEGIN PRIVATE KEY`");
        };
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                anyhow::anyhow!("the private key in {key_name} does not belong to the certificate in {chain_name}")
            }
            _ => anyhow::anyhow!("{key_name} holds no usable private key: expected ECDSA, Ed25519 or RSA"),
        })?;
        Ok(Self {
            key: Arc::new(key),
            not_after,
        })
    }

    /// Whether it expires before `now`, in seconds since 1970.
    pub(crate) fn expired(&self, now: i64) -> bool {
        self.not_after <= now
    }
}

/// The certificate that the next handshake gets. Empty at first: handshakes fail until there is one.
#[derive(Debug)]
pub(crate) struct HotCert {
    current: ArcSwapOption<CertifiedKey>,
    expiry: Gauge,
}

impl HotCert {
    /// None yet. `expiry` shows when the served one expires.
    pub(crate) fn new(expiry: Gauge) -> Self {
        Self {
            current: ArcSwapOption::empty(),
            expiry,
        }
    }

    /// Serves `certificate` from the next handshake on.
    pub(crate) fn serve(&self, certificate: &Certificate) {
        self.expiry.set(certificate.not_after);
        self.current.store(Some(Arc::clone(&certificate.key)));
    }
}

impl ResolvesServerCert for HotCert {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load_full()
    }
}

/// TLS 1.2 and 1.3 with the certificate of the moment, HTTP/1.1 only, for everybody or for clients of these authorities.
///
/// # Errors
/// When the TLS library refuses its own defaults, which is a bug.
pub(crate) fn server_config(
    certificate: Arc<HotCert>,
    clients: Option<Arc<RootCertStore>>,
) -> anyhow::Result<ServerConfig> {
    const PROBLEM: &str = "cannot set up TLS";
    let provider = Arc::new(provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .context(PROBLEM)?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(roots) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            builder.with_client_cert_verifier(verifier.build().context(PROBLEM)?)
        }
    };
    let mut config = builder.with_cert_resolver(certificate);
    config.alpn_protocols = vec![ALPN.to_vec()];
    Ok(config)
}

/// When a certificate expires, in seconds since 1970.
pub(crate) fn not_after(certificate: &CertificateDer<'_>) -> anyhow::Result<i64> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate)?;
    Ok(parsed.validity().not_after.timestamp())
}

fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}
