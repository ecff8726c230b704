//! The certificate for Google's hosts: of a certificate authority of this run, or of files.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration, OffsetDateTime};

/// Every name that a client may know us by. One wildcard covers the global services and the
/// regional Vertex hosts (`REGION-aiplatform.googleapis.com`); `us` and `eu` have their own shape.
const NAMES: [&str; 8] = [
    "sts.googleapis.com",
    "iamcredentials.googleapis.com",
    "*.googleapis.com",
    "*.us.rep.googleapis.com",
    "*.eu.rep.googleapis.com",
    "credentials.example.com",
    "localhost",
    "127.0.0.1",
];

/// Makes a CA, writes its certificate to `ca.crt` in `directory`, and returns the TLS settings of
/// a server for all of Google's hosts.
///
/// The keys exist only in this process's memory. Valid for a day: longer than any test.
///
/// # Errors
///
/// When a certificate cannot be made or `ca.crt` cannot be written.
pub(crate) fn for_google(directory: &Path) -> anyhow::Result<Arc<ServerConfig>> {
    let now = OffsetDateTime::now_utc();
    // A clock that differs a little between machines must not make the certificate invalid.
    let (from, until) = (now - Duration::minutes(5), now + Duration::days(1));

    let ca_key = KeyPair::generate().context("cannot make the CA's key")?;
    let mut ca = CertificateParams::default();
    ca.distinguished_name
        .push(DnType::CommonName, "vertex-injector fake Google CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (ca.not_before, ca.not_after) = (from, until);
    let ca_certificate = ca.self_signed(&ca_key).context("cannot make the CA")?;

    let server_key = KeyPair::generate().context("cannot make the server's key")?;
    let mut server =
        CertificateParams::new(NAMES.map(String::from)).context("cannot describe the server's certificate")?;
    server
        .distinguished_name
        .push(DnType::CommonName, "vertex-injector fake Google");
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Python 3.13 and later refuse certificates without it.
    server.use_authority_key_identifier_extension = true;
    (server.not_before, server.not_after) = (from, until);
    let certificate = server
        .signed_by(&server_key, &Issuer::new(ca, ca_key))
        .context("cannot sign the server's certificate")?;

    let path = directory.join("ca.crt");
    std::fs::write(&path, ca_certificate.pem())
        .with_context(|| format!("cannot write the CA to {}", path.display()))?;

    let key = PrivateKeyDer::try_from(server_key.serialize_der())
        .map_err(|reason| anyhow::anyhow!("cannot use the server's key: {reason}"))?;
    settings(vec![certificate.der().clone()], key)
}

/// The TLS settings of a server with the certificate chain and the key of two PEM files, whose CA outlives this process.
///
/// # Errors
///
/// When a file cannot be read, or the key is not the certificate's.
pub(crate) fn of_files(chain: &Path, key: &Path) -> anyhow::Result<Arc<ServerConfig>> {
    let certificates = CertificateDer::pem_file_iter(chain)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read the certificate {}", chain.display()))?;
    let key = PrivateKeyDer::from_pem_file(key).with_context(|| format!("cannot read the key {}", key.display()))?;
    settings(certificates, key)
}

fn settings(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> anyhow::Result<Arc<ServerConfig>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("cannot choose TLS versions")?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("cannot use the server's certificate")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
