//! JSON as two parsers cannot read it differently: no duplicate keys, bounded in depth and count.
//!
//! Strings stay where they are in the body unless they have escapes. Numbers are of no interest and not kept.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

/// Most values, members and elements counted alike. The longest conversations have some ten thousand.
const MAX_VALUES: u32 = 500_000;

/// Up to so many keys are compared each with each, which is faster than hashing them.
const FEW: usize = 16;

/// A value of a body.
#[derive(Debug, PartialEq)]
pub enum Json<'a> {
    /// `null`.
    Null,
    /// A number or a boolean.
    Other,
    /// A string, its escapes decoded.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Self>),
    /// An object, whose keys differ.
    Object(Vec<(Cow<'a, str>, Self)>),
}

/// Why a body is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotStrict {
    /// Not UTF-8.
    #[error("the body is not UTF-8")]
    Encoding,
    /// Not JSON, or nested too deeply.
    #[error("the body is not JSON, or nested deeper than 127 levels, at line {0} column {1}")]
    Syntax(usize, usize),
    /// The same key twice in one object.
    #[error("the body has an object with the same key twice, at line {0} column {1}")]
    DuplicateKey(usize, usize),
    /// Too many values.
    #[error("the body has more than {MAX_VALUES} values")]
    TooMany,
}

impl<'a> Json<'a> {
    /// Parses a body as a whole.
    ///
    /// # Errors
    /// Says what is wrong and where, never what stands there.
    pub fn parse(body: &'a [u8]) -> Result<Self, NotStrict> {
        let text = std::str::from_utf8(body).map_err(|_| NotStrict::Encoding)?;
        let state = State {
            left: Cell::new(MAX_VALUES),
            duplicate: Cell::new(false),
        };
        let mut json = serde_json::Deserializer::from_str(text);
        let parsed = Seed(&state).deserialize(&mut json);
        let parsed = parsed.and_then(|value| json.end().map(|()| value));
        parsed.map_err(|error| {
            if state.left.get() == 0 {
                NotStrict::TooMany
            } else if state.duplicate.get() {
                NotStrict::DuplicateKey(error.line(), error.column())
            } else {
                NotStrict::Syntax(error.line(), error.column())
            }
        })
    }
}

struct State {
    left: Cell<u32>,
    duplicate: Cell<bool>,
}

#[derive(Clone, Copy)]
struct Seed<'s>(&'s State);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        match self.0.left.get().checked_sub(1) {
            Some(left) if left > 0 => self.0.left.set(left),
            _ => {
                self.0.left.set(0);
                return Err(D::Error::custom("too many values"));
            }
        }
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Json::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Json::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Json::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Json::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = from.next_element_seed(self)? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
        let mut members: Vec<(Cow<'de, str>, Json<'de>)> = Vec::new();
        while let Some(key) = from.next_key_seed(Key)? {
            members.push((key, from.next_value_seed(self)?));
        }
        if differ(members.iter().map(|(key, _)| &**key)) {
            return Ok(Json::Object(members));
        }
        self.0.duplicate.set(true);
        Err(A::Error::custom("duplicate key"))
    }
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// Whether all keys differ.
fn differ<'k>(keys: impl ExactSizeIterator<Item = &'k str> + Clone) -> bool {
    if keys.len() > FEW {
        let mut seen = HashSet::with_capacity(keys.len());
        return keys.into_iter().all(|key| seen.insert(key));
    }
    let mut rest = keys;
    while let Some(key) = rest.next() {
        if rest.clone().any(|other| other == key) {
            return false;
        }
    }
    true
}
