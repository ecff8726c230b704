//! Names and other short texts of a policy, each of a form that is checked once.

use super::errors::{Checked, Errors};
use crate::operator::Operator;
use crate::reserved;
use std::fmt;

/// What the issuers of GKE's clusters begin with, which are the audiences of their API servers.
const GKE: &str = "https://container.googleapis.com/v1/projects/";

/// The name of a ConfigMap, Secret, claim or ServiceAccount: a DNS subdomain (RFC 1123).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectName(String);

/// Who a projected ServiceAccount token is for: never the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience(String);

/// A port on which one of our containers listens: 1024 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port(u16);

impl ObjectName {
    pub(super) fn parse(text: &str, field: &str, errors: &mut Errors) -> Checked<Self> {
        if is_object_name(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(errors.add(
                field,
                format!("{text:?} is not a name: lower-case letters, digits, '-' and '.', as in DNS"),
            ))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Audience {
    /// A token for the API server's own audience would be a credential for the cluster.
    pub(super) fn parse(text: &str, field: &str, operator: &Operator, errors: &mut Errors) -> Checked<Self> {
        let plain = text.trim_end_matches('/');
        let mut refused = operator.api_server_audiences.iter();
        if refused.any(|api| is_same_audience(api, text)) || plain.starts_with(GKE) {
            return Err(errors.add(
                field,
                format!(
                    "{text:?} is an audience of the API server: such a token would be a credential for the cluster"
                ),
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The audience.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether two audiences are one to those who check tokens: many take a trailing `/` for nothing.
pub fn is_same_audience(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

impl Port {
    pub(super) fn parse(port: i32, field: &str, errors: &mut Errors) -> Checked<Self> {
        match u16::try_from(port) {
            Ok(port @ 1024..) => Ok(Self(port)),
            Ok(_) | Err(_) => Err(errors.add(field, format!("{port} is not a port from 1024 to 65535"))),
        }
    }

    /// Refuses a port that an agent system has for itself.
    pub(super) fn check_agents(self, field: &str, errors: &mut Errors) {
        if let Some(user) = reserved::user_of_port(self.0) {
            errors.add(field, format!("{self} is taken by {user}; choose another"));
        }
    }

    /// Its number.
    pub const fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) fn is_object_name(name: &str) -> bool {
    let label = |label: &str| {
        let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !label.is_empty() && label.bytes().all(known) && !label.starts_with('-') && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// A path of a file within a volume.
pub(super) fn check_relative(path: &str, field: &str, errors: &mut Errors) {
    if path.starts_with('/') || path.starts_with("..") || path.split('/').any(|part| part == "..") {
        errors.add(field, format!("{path:?} must be a relative path without '..'"));
    }
}

/// A field of the downward API; a volume offers fewer than a variable.
pub(super) fn check_field_path(path: &str, for_env: bool, field: &str, errors: &mut Errors) {
    const ANYWHERE: [&str; 3] = ["metadata.name", "metadata.namespace", "metadata.uid"];
    const VOLUMES_ONLY: [&str; 2] = ["metadata.labels", "metadata.annotations"];
    const ENV_ONLY: [&str; 6] = [
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    ];
    let subscript = VOLUMES_ONLY.iter().any(|map| {
        path.strip_prefix(map)
            .is_some_and(|rest| rest.len() > 4 && rest.starts_with("['") && rest.ends_with("']"))
    });
    let rest: &[&str] = if for_env { &ENV_ONLY } else { &VOLUMES_ONLY };
    if !subscript && !ANYWHERE.contains(&path) && !rest.contains(&path) {
        errors.add(
            field,
            format!("{path:?} is not a field that can be projected here; valid are {}, {}, metadata.labels['KEY'] and metadata.annotations['KEY']", ANYWHERE.join(", "), rest.join(", ")),
        );
    }
}
