//! JSON objects where structs are read, and nothing else: serde alone also takes an array, field by field, which no API
//! server does, and operations at paths within it would not apply.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Unexpected, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::marker::PhantomData;

/// A struct whose derived reading takes what it is given.
pub(super) trait FromObject<'de>: Sized {
    /// The derived reading.
    fn from_object<D: Deserializer<'de>>(object: D) -> Result<Self, D::Error>;
}

/// Reads a struct from an object.
pub(super) fn only<'de, T: FromObject<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_map(Object(PhantomData))
}

struct Object<T>(PhantomData<T>);

impl<'de, T: FromObject<'de>> Visitor<'de> for Object<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::from_object(MapAccessDeserializer::new(map))
    }
}

/// An object of which only the text is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawObject<'a>(&'a RawValue);

impl<'a> RawObject<'a> {
    /// The text.
    pub(super) fn get(self) -> &'a str {
        self.0.get()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for RawObject<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        if raw.get().starts_with('{') {
            Ok(Self(raw))
        } else {
            Err(D::Error::invalid_type(
                Unexpected::Other("something else"),
                &"an object",
            ))
        }
    }
}

/// Implements `Deserialize` for structs that derive it with `#[serde(remote = "Self")]`.
macro_rules! only_from_objects {
    ($($name:ident $(<$lifetime:lifetime>)?),*) => {
        $(
            impl<'de $(: $lifetime, $lifetime)?> crate::admission::object::FromObject<'de> for $name $(<$lifetime>)? {
                fn from_object<D: serde::Deserializer<'de>>(object: D) -> Result<Self, D::Error> {
                    Self::deserialize(object)
                }
            }

            impl<'de $(: $lifetime, $lifetime)?> serde::Deserialize<'de> for $name $(<$lifetime>)? {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    crate::admission::object::only(deserializer)
                }
            }
        )*
    };
}

pub(super) use only_from_objects;
