//! TLS for servers of tests.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use std::path::Path;
use std::sync::Arc;

/// What the servers are called.
const NAMES: [&str; 2] = ["localhost", "vertex.example.com"];

/// What a server needs that speaks this protocol alone. Its authority is new, and written to `ca`.
pub fn localhost(ca: &Path, protocol: &str) -> Arc<ServerConfig> {
    let ca_key = KeyPair::generate().expect("a key");
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let certificate = parameters.self_signed(&ca_key).expect("a CA");
    std::fs::write(ca, certificate.pem()).expect("write the CA");
    let key = KeyPair::generate().expect("a key");
    let names = CertificateParams::new(NAMES.map(str::to_owned)).expect("names");
    let leaf = names
        .signed_by(&key, &Issuer::new(parameters, ca_key))
        .expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).expect("the key"),
        )
        .expect("a configuration");
    config.alpn_protocols = vec![protocol.into()];
    Arc::new(config)
}
