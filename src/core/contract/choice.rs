//! Fields of a credential, and where a server gets them.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Longest name of a field.
const LONGEST: usize = 64;

/// Which field is wanted: a name, or several (`apiToken|token`) of which the first that exists is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice(Cow<'static, str>);

/// `NAME=FIELD`: a variable of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToVariable {
    name: String,
    field: Choice,
}

/// `PATH=FIELD`: a file for the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToFile {
    path: PathBuf,
    field: Choice,
}

impl Choice {
    /// `token`.
    pub const TOKEN: Self = Self(Cow::Borrowed("token"));

    /// What sources call a password.
    pub const PASSWORD: Self = Self(Cow::Borrowed("token|password|apiToken"));

    /// The names, the best first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split('|')
    }

    /// Whether this can be a field's name.
    pub fn is_name(text: &str) -> bool {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        !text.is_empty() && text.len() <= LONGEST && text.bytes().all(known)
    }
}

impl FromStr for Choice {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.split('|').all(Self::is_name) {
            Ok(Self(text.to_owned().into()))
        } else {
            Err("not a field: a name of letters, digits, '.', '_' and '-', or several such as apiToken|token")
        }
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ToVariable {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it holds.
    pub fn field(&self) -> &Choice {
        &self.field
    }
}

impl FromStr for ToVariable {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, field) = text.split_once('=').ok_or("not NAME=FIELD")?;
        let mut bytes = name.bytes();
        let starts = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        if !starts || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err("not a variable's name: letters, digits and '_', no digit first");
        }
        Ok(Self {
            name: name.to_owned(),
            field: field.parse()?,
        })
    }
}

impl fmt::Display for ToVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.field)
    }
}

impl ToFile {
    /// Its absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds.
    pub fn field(&self) -> &Choice {
        &self.field
    }
}

impl FromStr for ToFile {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (path, field) = text.rsplit_once('=').ok_or("not PATH=FIELD")?;
        let path = PathBuf::from(path);
        if !path.is_absolute() || path.file_name().is_none() {
            return Err("not the absolute path of a file");
        }
        Ok(Self {
            path,
            field: field.parse()?,
        })
    }
}

impl fmt::Display for ToFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.path.display(), self.field)
    }
}
