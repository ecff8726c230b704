//! What the child gets of a credential: variables and files.

use super::fields::{Fields, Missing};
use super::git::login::NoLogin;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use vertex_injector_core::contract::choice::{ToFile, ToVariable};
use vertex_injector_net::secret::Secret;

/// All that the child gets.
#[derive(Debug, Clone, Default)]
pub struct Mapping {
    /// Its variables.
    pub variables: Vec<ToVariable>,
    /// Its files.
    pub files: Vec<ToFile>,
}

/// Why a credential cannot be given to the child.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// A field is not there.
    #[error("{consumer}: {missing}")]
    Missing {
        /// The flag that wants it.
        consumer: String,
        /// What is wanted.
        missing: Missing,
    },
    /// No variable can hold it.
    #[error("--env {0}: the field holds a zero byte, which no variable can carry; use --file")]
    Zero(String),
    /// No host of git can be logged in to with it.
    #[error("--git-port: {0}")]
    Git(#[from] NoLogin),
}

impl Mapping {
    /// What is wrong with it before there is a credential.
    ///
    /// # Errors
    /// When a file's directory does not exist.
    pub fn check(&self) -> Result<(), String> {
        for path in self.files.iter().map(ToFile::path) {
            let shown = path.display();
            if !path.parent().is_some_and(Path::is_dir) {
                return Err(format!(
                    "--file {shown}: its directory does not exist; mount a volume there"
                ));
            }
            if path.is_dir() {
                return Err(format!("--file {shown}: is a directory"));
            }
        }
        Ok(())
    }

    /// Takes what the child gets out of a credential.
    ///
    /// # Errors
    /// When a field is missing or cannot be given.
    pub fn of(&self, fields: &Fields) -> Result<Share, Unusable> {
        let missing = |consumer: String| move |missing| Unusable::Missing { consumer, missing };
        let mut share = Share::default();
        for variable in &self.variables {
            let secret = fields
                .chosen(variable.field())
                .map_err(missing(format!("--env {variable}")))?;
            if secret.expose().contains('\0') {
                return Err(Unusable::Zero(variable.to_string()));
            }
            share.variables.push((variable.name().to_owned(), secret.clone()));
        }
        for file in &self.files {
            let secret = fields.chosen(file.field()).map_err(missing(format!("--file {file}")))?;
            share.files.push((file.path().to_owned(), secret.clone()));
        }
        Ok(share)
    }

    /// The names of the variables, for the log.
    pub fn variable_names(&self) -> String {
        join(self.variables.iter().map(ToVariable::name))
    }

    /// The paths of the files, for the log.
    pub fn file_names(&self) -> String {
        join(self.files.iter().map(|file| file.path().display()))
    }
}

/// What the child gets of one credential.
#[derive(Debug, Clone, Default)]
pub struct Share {
    /// Names and values.
    pub variables: Vec<(String, Secret)>,
    /// Paths and contents.
    pub files: Vec<(PathBuf, Secret)>,
}

impl Share {
    /// Whether the variables hold the same as another share's of the same mapping.
    pub fn same_variables(&self, other: &Self) -> bool {
        same(&self.variables, &other.variables)
    }

    /// Whether the files hold the same as another share's of the same mapping.
    pub fn same_files(&self, other: &Self) -> bool {
        same(&self.files, &other.files)
    }

    /// Writes the files, each at once: a reader sees the old or the new one, with mode 0600.
    ///
    /// # Errors
    /// Names the file.
    pub fn write(&self) -> Result<(), NotWritten> {
        for (path, content) in &self.files {
            replace(path, content).map_err(|error| NotWritten {
                path: path.display().to_string(),
                error: error.kind().to_string(),
            })?;
        }
        Ok(())
    }
}

/// A file could not be written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot write --file {path}: {error}")]
pub struct NotWritten {
    path: String,
    error: String,
}

fn replace(path: &Path, content: &Secret) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut file = tempfile::Builder::new()
        .prefix(".vertex-injector-")
        .tempfile_in(directory)?;
    file.write_all(content.expose().as_bytes())?;
    file.persist(path)?;
    Ok(())
}

fn same<N: PartialEq>(some: &[(N, Secret)], others: &[(N, Secret)]) -> bool {
    let equal = |(one, other): (&(N, Secret), &(N, Secret))| one.0 == other.0 && one.1.expose() == other.1.expose();
    some.len() == others.len() && some.iter().zip(others).all(equal)
}

fn join(names: impl Iterator<Item = impl fmt::Display>) -> String {
    names.map(|name| name.to_string()).collect::<Vec<_>>().join(", ")
}
