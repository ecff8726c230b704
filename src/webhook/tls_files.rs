//! A certificate and key in files, read again whenever their content changes.
//!
//! By content, not by notification: a mounted Secret is swapped by renaming a directory, which watches on the files
//! miss.

use super::ready::Part;
use super::tls::{Certificate, HotCert};
use anyhow::{Context, ensure};
use prometheus_client::metrics::counter::Counter;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info, warn};

/// How often the files are looked at. The kubelet itself takes about a minute.
const INTERVAL: Duration = Duration::from_secs(2);

/// Most bytes of either file.
const MAX_BYTES: u64 = 1 << 20;

/// The files.
pub(crate) struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
    served: u64,
    trouble: Option<Trouble>,
}

/// Content that cannot be served.
struct Trouble {
    seen: u64,
    told: bool,
}

/// One look at the files. The content is kept as a hash only: a key should not lie around in memory.
struct Look {
    seen: u64,
    result: anyhow::Result<Certificate>,
}

impl TlsFiles {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// When a file cannot be read or used, or the two do not belong together; says which.
    pub(crate) fn open(certificate: PathBuf, key: PathBuf) -> anyhow::Result<(Self, Certificate)> {
        let Look { seen, result } = Look::at(&certificate, &key);
        let first = result?;
        if first.expired(jiff::Timestamp::now().as_second()) {
            warn!(file = %certificate.display(), "the TLS certificate has expired; clients will refuse it");
        }
        let files = Self {
            certificate,
            key,
            served: seen,
            trouble: None,
        };
        Ok((files, first))
    }

    /// Follows the files until the task is dropped. What cannot be served is reported, and the earlier one stays.
    pub(crate) async fn follow(mut self, hot: Arc<HotCert>, failures: Counter, part: Part) {
        part.met();
        loop {
            tokio::time::sleep(INTERVAL).await;
            let (certificate, key) = (self.certificate.clone(), self.key.clone());
            if let Ok(look) = tokio::task::spawn_blocking(move || Look::at(&certificate, &key)).await {
                self.take(look, &hot, &failures);
            }
        }
    }

    fn take(&mut self, Look { seen, result }: Look, hot: &HotCert, failures: &Counter) {
        if seen == self.served {
            self.trouble = None;
            return;
        }
        match result {
            Ok(certificate) => {
                hot.serve(&certificate);
                self.served = seen;
                self.trouble = None;
                info!(file = %self.certificate.display(), "serving the changed TLS certificate");
            }
            // The pair is written as two files: what fails at one look may only be half written.
            Err(problem) => match &mut self.trouble {
                Some(trouble) if trouble.seen == seen => {
                    if !trouble.told {
                        trouble.told = true;
                        failures.inc();
                        error!(
                            error = format!("{problem:#}"),
                            "the changed TLS files cannot be used; still serving the earlier certificate"
                        );
                    }
                }
                trouble => *trouble = Some(Trouble { seen, told: false }),
            },
        }
    }
}

impl Look {
    fn at(certificate: &Path, key: &Path) -> Self {
        let mut hasher = DefaultHasher::new();
        let result = Self::load(certificate, key, &mut hasher);
        if let Err(error) = &result {
            error.to_string().hash(&mut hasher);
        }
        Self {
            seen: hasher.finish(),
            result,
        }
    }

    fn load(certificate: &Path, key: &Path, hasher: &mut DefaultHasher) -> anyhow::Result<Certificate> {
        let chain = read(certificate).context("cannot read the file of --tls-cert-file")?;
        chain.hash(hasher);
        let private = read(key).context("cannot read the file of --tls-key-file")?;
        private.hash(hasher);
        Certificate::from_pem(&chain, &private, &certificate.to_string_lossy(), &key.to_string_lossy())
    }
}

/// The authorities whose clients may call.
///
/// # Errors
/// When the file cannot be read, or holds no certificate of an authority.
pub(crate) fn authorities(path: &Path) -> anyhow::Result<Arc<RootCertStore>> {
    const FLAG: &str = "cannot use the file of --client-ca-file";
    let name = path.display();
    let content = read(path).context(FLAG)?;
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

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let name = path.display();
    let file = File::open(path).with_context(|| name.to_string())?;
    let mut content = Vec::new();
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut content)
        .with_context(|| name.to_string())?;
    ensure!(
        content.len() as u64 <= MAX_BYTES,
        "{name} is larger than {} MiB",
        MAX_BYTES >> 20
    );
    Ok(content)
}
