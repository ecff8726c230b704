//! A credential as its consumers see it: named secrets.

use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;
use vertex_injector_core::contract::choice::Choice;
use vertex_injector_net::secret::Secret;

/// Most fields of a credential.
pub const MAX_FIELDS: usize = 256;

/// The credential at this moment; `None` while there is none that lasts.
pub type Current = watch::Receiver<Option<Arc<Fields>>>;

/// What a credential consists of: names and secrets. `Debug` shows the names only.
#[derive(Clone, Default)]
pub struct Fields(BTreeMap<String, Secret>);

impl Fields {
    /// Reads a JSON object: strings as they are, null as absent, everything else as its JSON text.
    ///
    /// # Errors
    /// Says what is wrong and where, as the end of a sentence; never with the content.
    pub fn from_json(json: &[u8]) -> Result<Self, String> {
        let object: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(json).map_err(|error| {
            if error.is_data() {
                "is not a JSON object".to_owned()
            } else {
                format!("is not JSON (line {}, column {})", error.line(), error.column())
            }
        })?;
        if object.len() > MAX_FIELDS {
            return Err(format!("has more than {MAX_FIELDS} fields"));
        }
        let mut fields = Self::default();
        for (name, value) in object {
            let text = value.get();
            let secret = if text.starts_with('"') {
                Secret::deserialize(value).map_err(|_| "has a string that is not text".to_owned())?
            } else if text == "null" {
                continue;
            } else {
                Secret::new(text)
            };
            fields.insert(name, secret);
        }
        Ok(fields)
    }

    /// Adds a field, or replaces one of the same name.
    pub fn insert(&mut self, name: impl Into<String>, secret: Secret) {
        self.0.insert(name.into(), secret);
    }

    /// Adds all fields of `others`; theirs win.
    pub fn merge(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// A field by its name.
    pub fn get(&self, name: &str) -> Option<&Secret> {
        self.0.get(name)
    }

    /// The first of these fields that exists and is not empty.
    ///
    /// # Errors
    /// When there is none: which was wanted and which there are, by name.
    pub fn chosen(&self, choice: &Choice) -> Result<&Secret, Missing> {
        let existing = |name| self.get(name).filter(|secret| !secret.expose().is_empty());
        choice.names().find_map(existing).ok_or_else(|| Missing {
            wanted: choice.names().collect::<Vec<_>>().join(" or "),
            found: self.names(),
        })
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether these are the same names with the same contents.
    pub fn same(&self, others: &Self) -> bool {
        let equal = |((name, secret), (other, others)): ((&String, &Secret), (&String, &Secret))| {
            name == other && secret.expose() == others.expose()
        };
        self.0.len() == others.0.len() && self.0.iter().zip(&others.0).all(equal)
    }

    /// The names, for people: those that look like names, and how many others there are.
    pub fn names(&self) -> String {
        let (shown, others): (Vec<&str>, Vec<&str>) = self
            .0
            .keys()
            .map(String::as_str)
            .partition(|name| Choice::is_name(name));
        let odd = (!others.is_empty()).then(|| format!("{} with unusual names", others.len()));
        let shown = (!shown.is_empty()).then(|| shown.join(", "));
        let names: Vec<String> = shown.into_iter().chain(odd).collect();
        let names = names.join(" and ");
        if names.is_empty() { "none".to_owned() } else { names }
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fields({})", self.names())
    }
}

/// A credential lacks a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the credential has no field {wanted}; its fields are: {found}")]
pub struct Missing {
    wanted: String,
    found: String,
}
