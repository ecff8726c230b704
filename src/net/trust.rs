//! Whose certificates are trusted: the system's, and more, never fewer.

use crate::watch_files::read_at_most;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tracing::warn;

/// Most bytes of one file: what a ConfigMap may hold.
const MAX_FILE: u64 = 1024 * 1024;

/// Characters in a line of PEM (RFC 7468).
const LINE: usize = 64;

/// Trusted certificates.
pub struct Trust(Vec<CertificateDer<'static>>);

impl Trust {
    /// The system's, or those of `SSL_CERT_FILE`, and those of these files. A file without any is logged, and that is all: what it
    /// would have added is not trusted.
    ///
    /// # Errors
    /// When there are none at all.
    pub fn of(files: &[PathBuf]) -> io::Result<Self> {
        let mut found = rustls_native_certs::load_native_certs().certs;
        for file in files {
            let read = read(file);
            let trusted = read.as_ref().map_or(0, Vec::len);
            if let Err(problem) = &read {
                warn!(file = %file.display(), problem, "no more certificates are trusted than without this file");
            }
            tracing::debug!(file = %file.display(), trusted, "trusted beside the system's certificates");
            found.extend(read.unwrap_or_default());
        }
        if found.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "there are no trusted certificates",
            ));
        }
        Ok(Self(found))
    }

    /// For connections that present no certificate.
    ///
    /// # Errors
    /// When TLS cannot be spoken at all.
    pub fn config(self) -> io::Result<ClientConfig> {
        let roots = self.roots();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(io::Error::other)?;
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    }

    /// As those of whom certificates are believed.
    pub fn roots(self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(self.0);
        roots
    }

    /// All of them as PEM.
    pub fn pem(&self) -> String {
        pem(&self.0)
    }
}

/// Certificates as PEM.
pub fn pem<'a>(certificates: impl IntoIterator<Item = &'a CertificateDer<'static>>) -> String {
    let mut pem = String::new();
    for certificate in certificates {
        let text = BASE64_STANDARD.encode(certificate);
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        for (i, character) in text.chars().enumerate() {
            if i > 0 && i % LINE == 0 {
                pem.push('\n');
            }
            pem.push(character);
        }
        pem.push_str("\n-----END CERTIFICATE-----\n");
    }
    pem
}

fn read(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read_at_most(file, MAX_FILE).map_err(|error| error.root_cause().to_string())?;
    let found = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) | Err(_) => Err("it holds something else than PEM blocks `BEGIN CERTIFICATE`".to_owned()),
    }
}
