//! JSON as two parsers cannot read it differently: no duplicate keys, bounded in depth and count.
//!
//! A body is one list of [`Node`]s, each value before what is in it, because it is read once and thrown away: a tree would take
//! most of its time to allocate. Strings stay where they are in the body unless they have escapes. Numbers are of no interest and
//! not kept.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

/// Most values, members and elements counted alike. The longest conversations have some ten thousand.
const MAX_VALUES: u32 = 500_000;

/// Up to so many keys are compared each with each, which is faster than hashing them.
const FEW: usize = 16;

/// A body.
#[derive(Debug)]
pub struct Json<'a>(Vec<Node<'a>>);

#[derive(Debug)]
enum Node<'a> {
    Null,
    Other,
    Text(Cow<'a, str>),
    /// With so many nodes, which follow it.
    List(u32),
    /// Each member is a text and a value.
    Object {
        members: u32,
        nodes: u32,
    },
}

/// A value of a body.
#[derive(Debug, Clone, Copy)]
pub enum Value<'j> {
    /// `null`.
    Null,
    /// A number or a boolean.
    Other,
    /// A string, its escapes decoded.
    Text(&'j str),
    /// An array.
    List(Items<'j>),
    /// An object, whose keys differ.
    Object(Members<'j>),
}

/// An array.
#[derive(Debug, Clone, Copy)]
pub struct Items<'j>(&'j [Node<'j>]);

/// An object.
#[derive(Debug, Clone, Copy)]
pub struct Members<'j> {
    nodes: &'j [Node<'j>],
    members: usize,
}

/// The elements of an array that are still to come.
#[derive(Debug, Clone)]
pub struct Elements<'j>(&'j [Node<'j>]);

/// The members of an object that are still to come.
#[derive(Debug, Clone)]
pub struct Pairs<'j>(Members<'j>);

/// The first value of a list of nodes, and the nodes after it.
fn first<'j>(nodes: &'j [Node<'j>]) -> Option<(Value<'j>, &'j [Node<'j>])> {
    let (node, after) = nodes.split_first()?;
    Some(match node {
        Node::Null => (Value::Null, after),
        Node::Other => (Value::Other, after),
        Node::Text(text) => (Value::Text(text), after),
        Node::List(nodes) => {
            let (nodes, after) = after.split_at_checked(*nodes as usize)?;
            (Value::List(Items(nodes)), after)
        }
        Node::Object { members, nodes } => {
            let (nodes, after) = after.split_at_checked(*nodes as usize)?;
            let members = *members as usize;
            (Value::Object(Members { nodes, members }), after)
        }
    })
}

impl<'j> IntoIterator for Items<'j> {
    type Item = Value<'j>;
    type IntoIter = Elements<'j>;

    fn into_iter(self) -> Elements<'j> {
        Elements(self.0)
    }
}

impl<'j> Iterator for Elements<'j> {
    type Item = Value<'j>;

    fn next(&mut self) -> Option<Value<'j>> {
        let (value, after) = first(self.0)?;
        self.0 = after;
        Some(value)
    }
}

impl<'j> IntoIterator for Members<'j> {
    type Item = (&'j str, Value<'j>);
    type IntoIter = Pairs<'j>;

    fn into_iter(self) -> Pairs<'j> {
        Pairs(self)
    }
}

impl<'j> Iterator for Pairs<'j> {
    type Item = (&'j str, Value<'j>);

    fn next(&mut self) -> Option<Self::Item> {
        let (Node::Text(key), after) = self.0.nodes.split_first()? else {
            return None;
        };
        let (value, nodes) = first(after)?;
        let members = self.0.members.saturating_sub(1);
        self.0 = Members { nodes, members };
        Some((key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.members, Some(self.0.members))
    }
}

impl ExactSizeIterator for Pairs<'_> {}

impl<'j> Members<'j> {
    /// The member with this key.
    pub fn get(self, name: &str) -> Option<Value<'j>> {
        self.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The keys.
    pub fn keys(self) -> impl ExactSizeIterator<Item = &'j str> + Clone {
        self.into_iter().map(|(key, _)| key)
    }
}

impl Value<'_> {
    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether it is an array with nothing in it.
    pub fn is_empty_list(self) -> bool {
        matches!(self, Self::List(Items([])))
    }
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
        let mut parsed = Parsed {
            nodes: Vec::with_capacity((text.len() / BYTES).min(AT_FIRST)),
            left: MAX_VALUES,
            duplicate: false,
        };
        let mut json = serde_json::Deserializer::from_str(text);
        let whole = Seed(&mut parsed).deserialize(&mut json).and_then(|()| json.end());
        match whole {
            Ok(()) => Ok(Self(parsed.nodes)),
            Err(_) if parsed.left == 0 => Err(NotStrict::TooMany),
            Err(error) if parsed.duplicate => Err(NotStrict::DuplicateKey(error.line(), error.column())),
            Err(error) => Err(NotStrict::Syntax(error.line(), error.column())),
        }
    }

    /// The value that the body is.
    pub fn value(&self) -> Value<'_> {
        first(&self.0).map_or(Value::Null, |(value, _)| value)
    }
}

/// Bytes of a body for each node, about, and room for how many nodes is made before there are any.
const BYTES: usize = 24;
const AT_FIRST: usize = 4096;

struct Parsed<'a> {
    nodes: Vec<Node<'a>>,
    left: u32,
    duplicate: bool,
}

impl Parsed<'_> {
    /// Puts what is known of a list or an object before its `nodes`, which are the last.
    fn close(&mut self, at: usize, node: impl FnOnce(u32) -> Node<'static>) {
        let nodes = self.nodes.len().saturating_sub(at + 1);
        if let Some(place) = self.nodes.get_mut(at) {
            *place = node(u32::try_from(nodes).unwrap_or(u32::MAX));
        }
    }
}

/// Parses a value, or an object's key.
struct Seed<'p, 'a>(&'p mut Parsed<'a>);

impl<'a> DeserializeSeed<'a> for Seed<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, from: D) -> Result<(), D::Error> {
        match self.0.left.checked_sub(1) {
            Some(left) if left > 0 => self.0.left = left,
            _ => {
                self.0.left = 0;
                return Err(D::Error::custom("too many values"));
            }
        }
        from.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Seed<'_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.nodes.push(Node::Null);
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.0.nodes.push(Node::Other);
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.0.nodes.push(Node::Other);
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.0.nodes.push(Node::Other);
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.0.nodes.push(Node::Other);
        Ok(())
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<(), E> {
        self.0.nodes.push(Node::Text(Cow::Borrowed(text)));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.nodes.push(Node::Text(Cow::Owned(text.to_owned())));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut from: A) -> Result<(), A::Error> {
        let at = self.0.nodes.len();
        self.0.nodes.push(Node::Null);
        while from.next_element_seed(Seed(self.0))?.is_some() {}
        self.0.close(at, Node::List);
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut from: A) -> Result<(), A::Error> {
        let (at, mut members) = (self.0.nodes.len(), 0);
        self.0.nodes.push(Node::Null);
        while from.next_key_seed(Key(self.0))?.is_some() {
            from.next_value_seed(Seed(self.0))?;
            members += 1;
        }
        self.0.close(at, |nodes| Node::Object { members, nodes });
        let object = Members {
            nodes: self.0.nodes.get(at + 1..).unwrap_or_default(),
            members: members as usize,
        };
        if differ(object.keys()) {
            return Ok(());
        }
        self.0.duplicate = true;
        Err(A::Error::custom("duplicate key"))
    }
}

struct Key<'p, 'a>(&'p mut Parsed<'a>);

impl<'a> DeserializeSeed<'a> for Key<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_str(Seed(self.0))
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
