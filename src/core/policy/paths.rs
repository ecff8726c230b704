//! Where a policy may mount something: not over what is reserved, and nothing twice.

use super::errors::{Checked, Errors};
use crate::path::is_plain;
use crate::{names, reserved};
use std::collections::HashMap;
use std::fmt;

/// A plain absolute path at which a policy may mount something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPath(String);

/// The paths that are taken, with the fields that take them.
#[derive(Debug, Default)]
pub(super) struct Mounts(HashMap<String, String>);

impl MountPath {
    pub(super) fn parse(path: &str, field: &str, errors: &mut Errors) -> Checked<Self> {
        if !is_plain(path) {
            return Err(errors.add(
                field,
                format!("{path:?} is not a plain absolute path: no empty, '.' or '..' part, no '/' at the end"),
            ));
        }
        if let Some(directory) = reserved::directory(path) {
            return Err(errors.add(
                field,
                format!("{path:?} is not for policies: nothing may be mounted at or below {directory}"),
            ));
        }
        Ok(Self(path.to_owned()))
    }

    /// Where credentials are mounted when a policy does not say otherwise.
    pub(super) fn of_credentials() -> Self {
        Self(names::CREDENTIAL_DIRECTORY.to_owned())
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Mounts {
    /// Takes a path for a mount of the policy's own.
    pub(super) fn take(&mut self, path: &str, field: &str, errors: &mut Errors) -> Checked<MountPath> {
        let parsed = MountPath::parse(path, field, errors);
        if reserved::is_for_credentials(path) {
            errors.add(
                field,
                format!("{path:?} is where credentials are mounted by default; choose another directory"),
            );
        }
        if let Some(other) = self.0.insert(reserved::real(path), field.to_owned()) {
            errors.add(field, format!("{path:?} is the mount path of {other} already"));
        }
        parsed
    }

    /// A directory for credentials, of which several kinds of pods may have the same.
    pub(super) fn directory(&self, path: &str, field: &str, errors: &mut Errors) -> Checked<MountPath> {
        let parsed = MountPath::parse(path, field, errors);
        if let Some(other) = self.0.get(&reserved::real(path)) {
            errors.add(field, format!("{path:?} is the mount path of {other} already"));
        }
        parsed
    }
}

impl fmt::Display for MountPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
