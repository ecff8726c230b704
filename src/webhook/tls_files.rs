//! A certificate and key in files, read again whenever their content changes.

use super::ready::Part;
use super::tls::{Certificate, HotCert};
use anyhow::{Context, bail, ensure};
use prometheus_client::metrics::counter::Counter;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info, warn};
use vertex_injector_net::watch_files::{Files, Watched, read_at_most};

/// How often the files are looked at. The kubelet itself takes about a minute.
const INTERVAL: Duration = Duration::from_secs(1);

/// Most bytes of the authorities of clients.
const MAX_BYTES: u64 = 1 << 20;

/// The files, watched.
pub(crate) struct TlsFiles(Watched<Pair>);

struct Pair {
    certificate: PathBuf,
    key: PathBuf,
}

impl TlsFiles {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// When a file cannot be read or used, or the two do not belong together; says which.
    pub(crate) fn open(certificate: PathBuf, key: PathBuf) -> anyhow::Result<(Self, Certificate)> {
        let (watched, first) = Watched::open(Pair { certificate, key }, INTERVAL)?;
        if first.expired(jiff::Timestamp::now().as_second()) {
            let file = watched.files().certificate.display();
            warn!(%file, "the TLS certificate has expired; clients will refuse it");
        }
        Ok((Self(watched), first))
    }

    /// Follows the files until the task is dropped. What cannot be served is reported, and the earlier one stays.
    pub(crate) async fn follow(mut self, hot: Arc<HotCert>, failures: Counter, part: Part) {
        part.met();
        loop {
            match self.0.changed().await {
                Ok(certificate) => {
                    hot.serve(&certificate);
                    let file = self.0.files().certificate.display();
                    info!(%file, "serving the changed TLS certificate");
                }
                Err(problem) => {
                    failures.inc();
                    error!(
                        error = format!("{problem:#}"),
                        "the changed TLS files cannot be used; still serving the earlier certificate"
                    );
                }
            }
        }
    }
}

impl Files for Pair {
    type Content = Certificate;

    const MAX_BYTES: u64 = 2 << 20;

    fn paths(&self) -> anyhow::Result<Vec<PathBuf>> {
        Ok(vec![self.certificate.clone(), self.key.clone()])
    }

    fn load(&self, mut files: impl Iterator<Item = anyhow::Result<(PathBuf, Vec<u8>)>>) -> anyhow::Result<Certificate> {
        let mut next = |why: &'static str| match files.next() {
            Some(file) => file.context(why),
            None => bail!(why),
        };
        let (chain, chain_bytes) = next("cannot read the file of --tls-cert-file")?;
        let (key, key_bytes) = next("cannot read the file of --tls-key-file")?;
        Certificate::from_pem(
            &chain_bytes,
            &key_bytes,
            &chain.to_string_lossy(),
            &key.to_string_lossy(),
        )
    }
}

/// The authorities whose clients may call.
///
/// # Errors
/// When the file cannot be read, or holds no certificate of an authority.
pub(crate) fn authorities(path: &Path) -> anyhow::Result<Arc<RootCertStore>> {
    const FLAG: &str = "cannot use the file of --client-ca-file";
    let name = path.display();
    let content = read_at_most(path, MAX_BYTES).context(FLAG)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&content) {
        let added = certificate.map(|certificate| roots.add(certificate));
        ensure!(
            matches!(added, Ok(Ok(()))),
            "{FLAG}: {name} is not a PEM file of certificate authorities"
        );
    }
    ensure!(
        !roots.is_empty(),
        "{FLAG}: {name} holds no certificate: expected a PEM block `BEGIN CERTIFICATE`"
    );
    Ok(Arc::new(roots))
}
