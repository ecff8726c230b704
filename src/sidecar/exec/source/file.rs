//! A credential in files: one file, or a directory with one file for each field, such as a mounted Secret.

use super::credential::{Credential, FetchError};
use crate::exec::fields::{Fields, MAX_FIELDS};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use vertex_injector_net::secret::Secret;
use zeroize::Zeroizing;

/// Most bytes of one file: what a Secret may hold altogether.
const MAX_FILE: u64 = 1024 * 1024;

/// Longest that reading may take: a volume of a network can hang.
const DEADLINE: Duration = Duration::from_secs(10);

/// What to check when it cannot be read.
const ADVICE: &str =
    "check that the Secret exists, that it is mounted there, and that this container's user may read it";

/// A file or a directory, read anew each time because the kubelet replaces them.
#[derive(Debug)]
pub struct FileSource(PathBuf);

impl FileSource {
    /// Takes the credential from here.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn place(&self) -> String {
        self.0.display().to_string()
    }

    pub(super) async fn fetch(&self) -> Result<Credential, FetchError> {
        let failed = |detail: String| FetchError {
            refused: false,
            detail,
            advice: ADVICE,
        };
        let fields = timeout(DEADLINE, fields(&self.0))
            .await
            .map_err(|_| {
                failed(format!(
                    "{} could not be read within {} s",
                    self.place(),
                    DEADLINE.as_secs()
                ))
            })?
            .map_err(failed)?;
        Ok(Credential {
            fields,
            expires: None,
            incomplete: false,
        })
    }
}

/// Reads a file of text.
///
/// # Errors
/// Says what is wrong, with the path and without the content.
pub(super) async fn read(path: &Path) -> Result<Zeroizing<String>, String> {
    let failed = |problem: &str| format!("{} {problem}", path.display());
    let metadata = tokio::fs::metadata(path)
        .await
        .map_err(|error| failed(problem(error.kind())))?;
    // Opening a pipe would wait for its writer.
    if !metadata.is_file() {
        return Err(failed("is not a file"));
    }
    let file = tokio::fs::File::open(path)
        .await
        .map_err(|error| failed(problem(error.kind())))?;
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_FILE + 1)
        .read_to_string(&mut text)
        .await
        .map_err(|error| failed(problem(error.kind())))?;
    if text.len() as u64 > MAX_FILE {
        return Err(failed(&format!("is longer than {MAX_FILE} bytes")));
    }
    Ok(text)
}

async fn fields(path: &Path) -> Result<Fields, String> {
    let metadata = tokio::fs::metadata(path)
        .await
        .map_err(|error| format!("{} {}", path.display(), problem(error.kind())))?;
    let fields = if metadata.is_dir() {
        each(path).await?
    } else {
        whole(path).await?
    };
    if fields.is_empty() {
        return Err(format!("{} holds no field", path.display()));
    }
    Ok(fields)
}

/// One file: a JSON object of fields, or the field `token`.
async fn whole(path: &Path) -> Result<Fields, String> {
    let text = read(path).await?;
    if text.trim_start().starts_with('{') {
        return Fields::from_json(text.as_bytes()).map_err(|problem| format!("{} {problem}", path.display()));
    }
    let mut fields = Fields::default();
    if !text.trim().is_empty() {
        fields.insert("token", line(&text));
    }
    Ok(fields)
}

/// One file for each field. What begins with a dot is the kubelet's own.
async fn each(path: &Path) -> Result<Fields, String> {
    // The kubelet replaces all files at once by turning this link: followed once, so that all fields are of one generation.
    let link = path.join("..data");
    let generation = tokio::fs::canonicalize(&link).await.ok();
    let path = generation.as_deref().unwrap_or(path);
    let failed = |error: std::io::Error| format!("{} {}", path.display(), problem(error.kind()));
    let mut fields = Fields::default();
    let mut entries = tokio::fs::read_dir(path).await.map_err(failed)?;
    let mut count = 0;
    while let Some(entry) = entries.next_entry().await.map_err(failed)? {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
            continue;
        };
        count += 1;
        if count > MAX_FIELDS {
            return Err(format!("{} holds more than {MAX_FIELDS} files", path.display()));
        }
        // The kubelet's entries are links.
        if tokio::fs::metadata(entry.path()).await.map_err(failed)?.is_file() {
            fields.insert(name, line(&read(&entry.path()).await?));
        }
    }
    // What it replaced is removed, perhaps while it was read: then some of its files were not seen.
    if generation != tokio::fs::canonicalize(&link).await.ok() {
        return Err(format!("{} was replaced while it was read", path.display()));
    }
    Ok(fields)
}

/// Editors and `echo` end a file with a line's end, which belongs to no token.
fn line(text: &str) -> Secret {
    let text = text.strip_suffix('\n').unwrap_or(text);
    Secret::new(text.strip_suffix('\r').unwrap_or(text))
}

fn problem(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "does not exist",
        ErrorKind::PermissionDenied => "may not be read",
        ErrorKind::InvalidData => "is not UTF-8 text",
        _ => "cannot be read",
    }
}
