//! What the child gets of a credential: variables and files.

use super::fields::{Choice, Fields, Missing};
use super::git::login::NoLogin;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use vertex_injector_net::secret::Secret;

/// `NAME=FIELD`: a variable of the child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToVariable {
    name: String,
    field: Choice,
}

/// `PATH=FIELD`: a file for the child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToFile {
    path: PathBuf,
    field: Choice,
}

impl FromStr for ToVariable {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, field) = text.split_once('=').ok_or("not NAME=FIELD")?;
        let mut bytes = name.bytes();
        let starts = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if !starts || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err("not a variable's name: letters, digits and '_', no digit first".to_owned());
        }
        Ok(Self {
            name: name.to_owned(),
            field: field.parse()?,
        })
    }
}

impl FromStr for ToFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (path, field) = text.rsplit_once('=').ok_or("not PATH=FIELD")?;
        let path = PathBuf::from(path);
        if !path.is_absolute() || path.file_name().is_none() {
            return Err("not the absolute path of a file".to_owned());
        }
        Ok(Self {
            path,
            field: field.parse()?,
        })
    }
}

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
    /// When a target is named twice, or a file's directory does not exist.
    pub fn check(&self) -> Result<(), String> {
        let mut seen: Vec<&str> = Vec::new();
        for variable in &self.variables {
            if seen.contains(&variable.name.as_str()) {
                return Err(format!("--env {}: given twice", variable.name));
            }
            seen.push(&variable.name);
        }
        let mut seen: Vec<&Path> = Vec::new();
        for file in &self.files {
            let shown = file.path.display();
            if seen.contains(&file.path.as_path()) {
                return Err(format!("--file {shown}: given twice"));
            }
            seen.push(&file.path);
            if !file.path.parent().is_some_and(Path::is_dir) {
                return Err(format!(
                    "--file {shown}: its directory does not exist; mount a volume there"
                ));
            }
            if file.path.is_dir() {
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
        for ToVariable { name, field } in &self.variables {
            let secret = field.of(fields).map_err(missing(format!("--env {name}={field}")))?;
            if secret.expose().contains('\0') {
                return Err(Unusable::Zero(format!("{name}={field}")));
            }
            share.variables.push((name.clone(), secret.clone()));
        }
        for ToFile { path, field } in &self.files {
            let consumer = format!("--file {}={field}", path.display());
            let secret = field.of(fields).map_err(missing(consumer))?;
            share.files.push((path.clone(), secret.clone()));
        }
        Ok(share)
    }

    /// The names of the variables, for the log.
    pub fn variable_names(&self) -> String {
        join(self.variables.iter().map(|variable| &variable.name))
    }

    /// The paths of the files, for the log.
    pub fn file_names(&self) -> String {
        join(self.files.iter().map(|file| file.path.display()))
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
