//! What the server trusts: what we do. Its own variables would replace the system's certificates, so it gets a bundle of all.

use super::child::Launch;
use anyhow::Context;
use std::env::temp_dir;
use std::ffi::OsString;
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tracing::warn;
use vertex_injector_net::egress::Egress;
use vertex_injector_net::trust::Trust;

/// The variable by which OpenSSL, Go and others find certificates, in place of the system's. What it named is in the bundle.
const REPLACED: &str = "SSL_CERT_FILE";

/// The same for others, unless the policy sets them: curl, git, Node and Python's requests.
const OTHERS: [&str; 4] = [
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
];

/// The file's name in the directory for temporary files.
const BUNDLE: &str = "vertex-injector-ca-bundle.crt";

/// Where more certificates than the system's are trusted, writes all of them for the server and has it find them.
///
/// # Errors
/// When they cannot be written.
pub fn extend(launch: &mut Launch, egress: &Egress) -> anyhow::Result<()> {
    if egress.ca_files().is_empty() {
        return Ok(());
    }
    // An image without any, and an optional ConfigMap that is not there: a server that speaks no TLS does without.
    let Ok(trust) = Trust::of(egress.ca_files()) else {
        warn!(
            "COMMAND gets no certificates: there are none in this image and none in the files of VERTEX_INJECTOR_CA_FILES"
        );
        return Ok(());
    };
    let file = temp_dir().join(BUNDLE);
    write(&file, &trust.pem())
        .with_context(|| format!("cannot write {}, the certificates for COMMAND", file.display()))?;
    let environment = &mut launch.environment;
    environment.retain(|(name, _)| name != REPLACED);
    for name in [REPLACED].into_iter().chain(OTHERS).map(OsString::from) {
        if !environment.iter().any(|(other, _)| *other == name) {
            environment.push((name, file.clone().into()));
        }
    }
    Ok(())
}

/// At once: whoever finds it finds it whole.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    let mut written = tempfile::Builder::new()
        .prefix(".vertex-injector-")
        .tempfile_in(directory)?;
    written.write_all(text.as_bytes())?;
    written.as_file().set_permissions(Permissions::from_mode(0o444))?;
    written.persist(file)?;
    Ok(())
}
