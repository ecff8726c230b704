//! The broker's strict JSON against serde_json: what is taken has the same value there, and what is refused is no JSON there, or
//! has a key twice.

use crate::make::{joined, mutated, one};
use fastrand::Rng;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Theirs;
use std::collections::HashSet;
use std::fmt;
use vertex_injector_sidecar::broker::proxy::json::{Json, NotStrict, Value as Ours};

const ODD: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0041",
    "\\ud83d\\ude00",
    "\\ud800",
    "\\u0000",
    "null",
    "true",
    "1",
    "-",
    "0",
    ".",
    "e",
    "E+",
    " ",
    "\n",
    "\u{feff}",
    "\u{7f}",
    "é",
    "\u{2028}",
    "\t",
    "/",
    "//",
    "'",
    "NaN",
    "x",
];

pub(crate) fn compare(rng: &mut Rng, inputs: u64) -> Result<u64, String> {
    let mut taken = 0;
    for _ in 0..inputs {
        let mut text = value(rng, 4);
        if rng.bool() {
            text = mutated(rng, &text, ODD);
        }
        let mut bytes = text.into_bytes();
        if rng.u8(..32) == 0 && !bytes.is_empty() {
            let at = rng.usize(..bytes.len());
            bytes[at] = rng.u8(..);
        }
        let difference = |what: String| Err(format!("{what}: {:?}", String::from_utf8_lossy(&bytes)));
        let theirs: Result<Theirs, _> = serde_json::from_slice(&bytes);
        match (Json::parse(&bytes), theirs) {
            (Ok(ours), Ok(theirs)) if same(ours.value(), &theirs) => taken += 1,
            (Ok(_), Ok(theirs)) => return difference(format!("another value than {theirs}")),
            (Ok(_), Err(error)) => return difference(format!("taken, and serde_json says {error}")),
            (Err(NotStrict::DuplicateKey(_, _)), Ok(_)) if has_a_key_twice(&bytes) => {}
            (Err(error), Ok(_)) => return difference(format!("{error}, and serde_json takes it")),
            (Err(_), Err(_)) => {}
        }
    }
    Ok(taken)
}

fn value(rng: &mut Rng, depth: u8) -> String {
    let space = one(rng, &["", "", "", " ", "\n", "\t\r "]);
    let kind = if depth == 0 { rng.u8(..5) } else { rng.u8(..8) };
    let text = match kind {
        0 => one(rng, &["null", "true", "false"]).to_owned(),
        1 => one(
            rng,
            &[
                "0",
                "-0",
                "1",
                "-1.5",
                "1e9",
                "1E-9",
                "0.1e+3",
                "123456789012345678901234567890",
                "1e400",
            ],
        )
        .to_owned(),
        2..=4 => string(rng),
        5 => {
            let items: Vec<_> = (0..rng.usize(..4)).map(|_| value(rng, depth - 1)).collect();
            format!("[{}]", items.join(","))
        }
        _ => {
            let member = |rng: &mut Rng| {
                let key = if rng.bool() {
                    one(rng, &["\"a\"", "\"b\"", "\"\\u0061\""]).to_owned()
                } else {
                    string(rng)
                };
                format!("{key}:{}", value(rng, depth - 1))
            };
            let members: Vec<_> = (0..rng.usize(..4)).map(|_| member(rng)).collect();
            format!("{{{}}}", members.join(","))
        }
    };
    format!("{space}{text}{space}")
}

fn string(rng: &mut Rng) -> String {
    let inside = joined(
        rng,
        6,
        &[
            "a",
            "b",
            "é",
            "\\n",
            "\\\"",
            "\\\\",
            "\\/",
            "\\u00e9",
            "\\ud83d\\ude00",
            "😀",
            "\u{7f}",
            " ",
        ],
    );
    format!("\"{inside}\"")
}

fn same(ours: Ours<'_>, theirs: &Theirs) -> bool {
    match (ours, theirs) {
        (Ours::Null, Theirs::Null) | (Ours::Other, Theirs::Bool(_) | Theirs::Number(_)) => true,
        (Ours::Text(ours), Theirs::String(theirs)) => ours.read() == theirs.as_str(),
        (Ours::List(ours), Theirs::Array(theirs)) => {
            let ours: Vec<_> = ours.into_iter().collect();
            ours.len() == theirs.len() && ours.into_iter().zip(theirs).all(|(ours, theirs)| same(ours, theirs))
        }
        (Ours::Object(ours), Theirs::Object(theirs)) => {
            let ours: Vec<_> = ours.into_iter().collect();
            ours.len() == theirs.len() && { ours.into_iter().zip(theirs) }
                .all(|((key, ours), (known, theirs))| key == known && same(ours, theirs))
        }
        (_, _) => false,
    }
}

/// Whether an object somewhere in it has a key twice.
fn has_a_key_twice(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Keys>(bytes).is_err()
}

/// JSON whose objects have no key twice, read as slowly and plainly as can be.
struct Keys;

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Keys {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self, A::Error> {
        let mut keys = HashSet::new();
        while let Some((key, _)) = members.next_entry::<String, Self>()? {
            if !keys.insert(key) {
                return Err(A::Error::custom("twice"));
            }
        }
        Ok(self)
    }
}
