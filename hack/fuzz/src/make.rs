//! Pieces of text and values, at random.

use fastrand::Rng;
use serde_json::{Map, Value};

/// One of some.
pub(crate) fn one<'a, T: ?Sized>(rng: &mut Rng, of: &[&'a T]) -> &'a T {
    of[rng.usize(..of.len())]
}

/// Up to so many of some, one behind the other.
pub(crate) fn joined(rng: &mut Rng, most: usize, of: &[&str]) -> String {
    (0..rng.usize(..=most)).map(|_| one(rng, of)).collect()
}

/// Some characters in a text changed, removed, doubled or put in.
pub(crate) fn mutated(rng: &mut Rng, text: &str, of: &[&str]) -> String {
    let mut pieces: Vec<String> = text.chars().map(String::from).collect();
    for _ in 0..rng.usize(1..=3) {
        let at = rng.usize(..=pieces.len());
        match (rng.u8(..4), at < pieces.len()) {
            (0, true) => drop(pieces.remove(at)),
            (1, true) => one(rng, of).clone_into(&mut pieces[at]),
            (2, true) => pieces.insert(at, pieces[at].clone()),
            (_, _) => pieces.insert(at, one(rng, of).to_owned()),
        }
    }
    pieces.concat()
}

/// A place somewhere in a value changed: removed, doubled, replaced by another or by null.
pub(crate) fn disturb(rng: &mut Rng, value: &mut Value, others: &[Value]) {
    match value {
        Value::Object(object) if !object.is_empty() && rng.u8(..5) > 0 => in_object(rng, object, others),
        Value::Array(items) if !items.is_empty() && rng.u8(..5) > 0 => {
            let at = rng.usize(..items.len());
            match rng.u8(..8) {
                0 => drop(items.remove(at)),
                1 => items.insert(at, items[at].clone()),
                2 => items.swap(at, 0),
                _ => disturb(rng, &mut items[at], others),
            }
        }
        other => {
            *other = if rng.bool() {
                others[rng.usize(..others.len())].clone()
            } else {
                Value::Null
            }
        }
    }
}

fn in_object(rng: &mut Rng, object: &mut Map<String, Value>, others: &[Value]) {
    let at = rng.usize(..object.len());
    let Some(key) = object.keys().nth(at).cloned() else {
        return;
    };
    if rng.u8(..8) == 0 {
        object.remove(&key);
    } else if let Some(value) = object.get_mut(&key) {
        disturb(rng, value, others);
    }
}
