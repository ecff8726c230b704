//! What a check says: one line for each thing that was looked at.

use crate::problem::Problem;
use serde::{Serialize, Serializer};
use std::fmt;

pub use crate::part::{Level, Part};

/// An object of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    /// Its kind, or another word for it.
    pub kind: String,
    /// Its namespace, if it has one.
    pub namespace: Option<String>,
    /// Its name; empty where the kind says all.
    pub name: String,
}

impl Object {
    /// One of the cluster.
    pub fn new(kind: &str, name: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            namespace: None,
            name: name.to_owned(),
        }
    }

    /// One of a namespace.
    pub fn within(kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            namespace: Some(namespace.to_owned()),
            ..Self::new(kind, name)
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        match &self.namespace {
            Some(namespace) => write!(f, " {namespace}/{}", self.name),
            None if self.name.is_empty() => Ok(()),
            None => write!(f, " {}", self.name),
        }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One line of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Where it belongs.
    pub part: Part,
    /// How it is.
    pub level: Level,
    /// What is wrong, if something is: a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// With what.
    pub object: Object,
    /// What was found.
    pub found: String,
    /// What to do; empty when all is well.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Finding {
    /// All is well.
    pub fn fine(part: Part, object: Object, found: impl Into<String>) -> Self {
        Self {
            part,
            level: Level::Fine,
            problem: None,
            object,
            found: found.into(),
            remedy: String::new(),
        }
    }

    /// Something is wrong, and its remedy is told with the names of `object`.
    pub fn of(problem: Problem, object: Object, found: impl Into<String>) -> Self {
        let namespace = object.namespace.clone().unwrap_or_else(|| object.name.clone());
        let remedy = (problem.remedy())
            .replace("NAMESPACE", &namespace)
            .replace("NAME", &object.name);
        Self {
            part: problem.part(),
            level: problem.level(),
            problem: Some(problem),
            object,
            found: found.into(),
            remedy,
        }
    }

    /// Nobody could look at it: `why` says which right is missing, or what failed.
    pub fn unseen(part: Part, object: Object, why: &str) -> Self {
        Self {
            part,
            ..Self::of(Problem::CouldNotLook, object, why)
        }
    }

    /// The same, of a release: its names are put into the remedy.
    #[must_use]
    pub fn in_release(mut self, release: &str, namespace: &str) -> Self {
        self.remedy = self.remedy.replace("RELEASE", release).replace("SYSTEM", namespace);
        self
    }
}
