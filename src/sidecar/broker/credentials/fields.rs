//! The fields of a credential file by name, and what is said of one that cannot be used.

use serde_json::{Map, Value};
use vertex_injector_core::endpoint::Endpoint;

/// Why a credential file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadCredentials(pub(super) String);

/// Access to the fields of a file by name.
pub(super) struct File<'f> {
    pub(super) fields: &'f Map<String, Value>,
    /// The names of the objects around, each with a dot.
    pub(super) within: String,
}

impl<'f> File<'f> {
    /// A string, where there is one.
    pub(super) fn optional(&self, name: &str) -> Result<Option<&'f str>, BadCredentials> {
        match self.fields.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.bad(name, "is not a string")),
        }
    }

    /// A string that must be there.
    pub(super) fn text(&self, name: &str) -> Result<&'f str, BadCredentials> {
        self.optional(name)?
            .filter(|text| !text.is_empty())
            .ok_or_else(|| self.bad(name, "is missing or empty"))
    }

    /// The e-mail of an account.
    pub(super) fn email(&self, name: &str) -> Result<&'f str, BadCredentials> {
        let text = self.text(name)?;
        if is_email(text) {
            Ok(text)
        } else {
            Err(self.bad(name, "is not an e-mail address"))
        }
    }

    /// An object within.
    pub(super) fn object(&self, name: &str) -> Result<Self, BadCredentials> {
        match self.fields.get(name) {
            Some(Value::Object(fields)) => Ok(Self {
                fields,
                within: format!("{}{name}.", self.within),
            }),
            _ => Err(self.bad(name, "is missing or not an object")),
        }
    }

    /// A URL, or the default where there is none.
    pub(super) fn endpoint(&self, name: &str, default: Option<&str>) -> Result<Endpoint, BadCredentials> {
        let url = match (self.optional(name)?, default) {
            (Some(url), _) => url,
            (None, Some(default)) => default,
            (None, None) => return Err(self.bad(name, "is missing")),
        };
        Endpoint::parse(url).map_err(|problem| self.bad(name, problem))
    }

    /// What is wrong with a field, never its value.
    pub(super) fn bad(&self, name: &str, problem: &str) -> BadCredentials {
        BadCredentials(format!("field {}{name} of the credential file {problem}", self.within))
    }
}

/// Whether a text can stand in a URL's path as an account's name.
pub(super) fn is_email(text: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"@.-_+:".contains(&b);
    text.contains('@') && text.len() <= 256 && text.bytes().all(known)
}
