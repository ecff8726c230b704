//! Where manifests are read from: files, directories of files, standard input. Nothing is read without a limit.

use super::document::{Document, ManifestError};
use super::parse::parse;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Most bytes that one input may have.
pub const MAX_INPUT_BYTES: u64 = 32 << 20;

/// Most files of one directory that are read.
pub const MAX_FILES: usize = 1024;

/// Reads a file, or the `.yaml`, `.yml` and `.json` files of a directory in the order of their names.
///
/// Hidden entries and subdirectories are passed over, so a mounted ConfigMap reads as its keys.
///
/// # Errors
/// Every file that cannot be read or parsed, not only the first.
pub fn read(path: &Path) -> Result<Vec<Document>, Vec<ManifestError>> {
    let metadata = fs::metadata(path).map_err(|error| vec![unreadable(path, &error)])?;
    if !metadata.is_dir() {
        return read_file(path).map_err(|error| vec![error]);
    }
    let mut documents = Vec::new();
    let mut errors = Vec::new();
    for file in manifests_in(path).map_err(|error| vec![error])? {
        match read_file(&file) {
            Ok(read) => documents.extend(read),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(documents) } else { Err(errors) }
}

/// Reads everything from standard input.
///
/// # Errors
/// When it cannot be read or parsed.
pub fn read_stdin() -> Result<Vec<Document>, ManifestError> {
    let name = "standard input";
    let text = read_text(io::stdin().lock(), name)?;
    parse(name, &text)
}

fn read_file(path: &Path) -> Result<Vec<Document>, ManifestError> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let name = path.to_string_lossy();
    let text = read_text(file, &name)?;
    parse(&name, &text)
}

/// The `.yaml`, `.yml` and `.json` files of a directory in the order of their names; no hidden ones, no subdirectories.
///
/// # Errors
/// When it cannot be read, or has more than [`MAX_FILES`].
pub fn manifests_in(directory: &Path) -> Result<Vec<PathBuf>, ManifestError> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| unreadable(directory, &error))? {
        let path = entry.map_err(|error| unreadable(directory, &error))?.path();
        let hidden = path
            .file_name()
            .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let manifest = path
            .extension()
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known));
        if hidden || !manifest || path.is_dir() {
            continue;
        }
        files.push(path);
        if files.len() > MAX_FILES {
            return Err(problem(
                &directory.to_string_lossy(),
                format!("more than {MAX_FILES} manifests in one directory"),
            ));
        }
    }
    files.sort();
    Ok(files)
}

fn read_text(reader: impl Read, name: &str) -> Result<String, ManifestError> {
    let mut bytes = Vec::new();
    reader
        .take(MAX_INPUT_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| problem(name, format!("cannot be read: {error}")))?;
    if bytes.len() as u64 > MAX_INPUT_BYTES {
        return Err(problem(name, format!("larger than {} MiB", MAX_INPUT_BYTES >> 20)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error
            .as_bytes()
            .iter()
            .take(valid)
            .filter(|byte| **byte == b'\n')
            .count() as u64
            + 1;
        ManifestError {
            line: Some(line),
            ..problem(name, "not UTF-8 text".to_owned())
        }
    })
}

fn unreadable(path: &Path, error: &io::Error) -> ManifestError {
    problem(&path.to_string_lossy(), format!("cannot be read: {error}"))
}

fn problem(name: &str, problem: String) -> ManifestError {
    ManifestError {
        input: name.into(),
        document: None,
        line: None,
        problem,
    }
}
