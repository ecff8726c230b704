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
    /// What the pod leaves open: which container is the agent, on which nodes it runs.
    Unclear,
    /// A part of the policy is left out.
    LeftOut,
    /// The pod is left alone; what the decision's message says.
    Outcome,
    /// Objects that must exist before the pod can start.
    Needs,
}

/// Findings as they are collected: the first of them, and how many more there were. A hostile pod must not make a sentence of
/// each pair of its parts.
#[derive(Debug, Default)]
pub(super) struct Findings {
    kept: Vec<Finding>,
    more: usize,
}

impl Findings {
    /// Most that are kept. The API server passes on 4,400 characters of a refusal and 4,096 of warnings.
    const MAX: usize = 64;

    /// Adds one.
    pub(super) fn push(&mut self, finding: Finding) {
        self.push_with(|| finding);
    }

    /// Adds one, which is only written if it is kept.
    pub(super) fn push_with(&mut self, finding: impl FnOnce() -> Finding) {
        if self.kept.len() < Self::MAX {
            self.kept.push(finding());
        } else {
            self.more += 1;
        }
    }

    /// Takes all of another collection.
    pub(super) fn append(&mut self, other: Self) {
        self.more += other.more;
        self.extend(other.kept);
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// How many there were.
    pub(super) fn count(&self) -> usize {
        self.kept.len() + self.more
    }

    /// The same findings, each changed.
    pub(super) fn map(self, change: impl FnMut(Finding) -> Finding) -> Self {
        Self {
            kept: self.kept.into_iter().map(change).collect(),
            more: self.more,
        }
    }

    /// The first of them, and a last one that counts the rest.
    pub(super) fn into_shown(self) -> Vec<Finding> {
        let Self { mut kept, more } = self;
        if let Some(last) = kept.last().filter(|_| more > 0) {
            kept.push(Finding::new(
                last.class,
                None,
                &last.field.clone(),
                format!("and {more} more"),
            ));
        }
        kept
    }

    /// The first of them.
    pub(super) fn into_kept(self) -> Vec<Finding> {
        self.kept
    }
}

impl Extend<Finding> for Findings {
    fn extend<I: IntoIterator<Item = Finding>>(&mut self, findings: I) {
        findings.into_iter().for_each(|finding| self.push(finding));
    }
}

impl Finding {
    /// Longest sentence, in bytes.
    const MAX: usize = 2000;

    pub(super) fn new(class: Class, container: Option<&str>, field: &str, text: impl Into<String>) -> Self {
        let mut text = text.into();
        if text.len() > Self::MAX {
            text.truncate(text.floor_char_boundary(Self::MAX));
            text.push('…');
            text.shrink_to_fit();
        }
        Self {
            class,
            container: container.map(str::to_owned),
            field: field.to_owned(),
            text,
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
