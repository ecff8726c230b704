//! What a decision has to tell people: one value for each thing that was found, with the place that it is about.

use serde::{Serialize, Serializer};
use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

/// Something that the author of the pod or of the policy should know. It reads, and is serialised, as its sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing it is.
    pub class: Class,
    /// The container that it is about; none when it is about the pod or the policy.
    pub container: Option<String>,
    /// The variable, field or object that it is about.
    pub field: String,
    text: String,
}

/// The kinds of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Something of the pod stands in the way of something of the policy.
    Conflict,
    /// The agent could get around the broker or a credential sidecar.
    Exposure,
    /// A value of the pod's own stays and differs from the policy's.
    Kept,
    /// A value of the pod's own gives way.
    Replaced,
    /// Values that cannot be read at admission.
    Unseen,
    /// A part of the policy is left out.
    LeftOut,
    /// The pod is left alone; what the decision's message says.
    Outcome,
    /// Objects that must exist before the pod can start.
    Needs,
}

impl Finding {
    pub(super) fn new(class: Class, container: Option<&str>, field: &str, text: impl Into<String>) -> Self {
        Self {
            class,
            container: container.map(str::to_owned),
            field: field.to_owned(),
            text: text.into(),
        }
    }

    /// What stands in the way, with what to do.
    pub(super) fn conflict(container: Option<&str>, field: &str, text: impl Into<String>) -> Self {
        Self::new(Class::Conflict, container, field, text)
    }

    /// A way around the broker or a sidecar.
    pub(super) fn exposure(container: Option<&str>, field: &str, text: impl Into<String>) -> Self {
        Self::new(Class::Exposure, container, field, text)
    }

    /// An exposure as the warning that `isolation: BestEffort` makes of it.
    pub(super) fn admitted(self) -> Self {
        Self {
            text: format!("isolation: {}", self.text),
            ..self
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Deref for Finding {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl Borrow<str> for Finding {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}
