//! JSON as two parsers cannot read it differently: no duplicate keys, bounded in depth and count.
//!
//! A body is one list of [`Node`]s, each value before what is in it, because it is read once and thrown away: a tree would take
//! most of its time to allocate. Strings stay where they are in the body, escapes and all, until somebody reads them. Numbers are of
//! no interest and not kept. So what a body takes beside itself is bounded by [`MOST_BYTES`].

mod parse;

use std::borrow::Cow;

/// Most nodes: values, and the keys of members. The longest conversations have some ten thousand.
const MAX_NODES: usize = 500_000;

/// Most bytes of keys that have escapes, with what it takes to keep each.
const MAX_DECODED: usize = 4 * 1024 * 1024;

/// What a body of any size takes at most beside itself while it is inspected, in bytes: its nodes, and the keys of its largest
/// object in order.
pub const MOST_BYTES: usize = MAX_NODES * (NODE + KEY) + MAX_DECODED;
const NODE: usize = size_of::<Node<'_>>();
const KEY: usize = size_of::<&str>();

/// Longest text that is read of one with escapes, in bytes: what is judged by its text is a name or the beginning of an address.
const READ: usize = 4096;

/// A body.
#[derive(Debug)]
pub struct Json<'a>(Vec<Node<'a>>);

#[derive(Debug)]
enum Node<'a> {
    Null,
    Other,
    Key(Cow<'a, str>),
    Text(Text<'a>),
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
    /// A string.
    Text(Text<'j>),
    /// An array.
    List(Items<'j>),
    /// An object, whose keys differ.
    Object(Members<'j>),
}

/// A string as it stands in the body.
#[derive(Debug, Clone, Copy)]
pub struct Text<'j> {
    raw: &'j str,
    has_escapes: bool,
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
        // A key stands where no value is looked for.
        Node::Null | Node::Key(_) => (Value::Null, after),
        Node::Other => (Value::Other, after),
        Node::Text(text) => (Value::Text(*text), after),
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
        let (Node::Key(key), after) = self.0.nodes.split_first()? else {
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

impl<'j> Text<'j> {
    /// What it says; of one with escapes its first 4 KiB.
    pub fn read(self) -> Cow<'j, str> {
        if self.has_escapes {
            Cow::Owned(decoded(self.raw, READ))
        } else {
            Cow::Borrowed(self.raw)
        }
    }
}

/// A text whose escapes are known to be right, up to so many bytes.
fn decoded(raw: &str, most: usize) -> String {
    let mut text = String::with_capacity(raw.len().min(most));
    let mut rest = raw;
    while text.len() < most && !rest.is_empty() {
        let (plain, escape) = rest.split_at(rest.find('\\').unwrap_or(rest.len()));
        let fits = plain.floor_char_boundary(most - text.len());
        text.push_str(plain.get(..fits).unwrap_or_default());
        let (escape, mut after) = escape.split_at_checked(2).unwrap_or_default();
        text.extend(match escape.as_bytes() {
            [_, b'b'] => Some('\u{8}'),
            [_, b'f'] => Some('\u{c}'),
            [_, b'n'] => Some('\n'),
            [_, b'r'] => Some('\r'),
            [_, b't'] => Some('\t'),
            [_, b'u'] => {
                let mut code = unit(&mut after);
                // A pair of surrogates is one character.
                if (0xd800..0xdc00).contains(&code) {
                    after = after.strip_prefix("\\u").unwrap_or(after);
                    code = 0x10000 + ((code & 0x3ff) << 10) + (unit(&mut after) & 0x3ff);
                }
                char::from_u32(code)
            }
            [_, same] => Some(char::from(*same)),
            _ => None,
        });
        rest = after;
    }
    text
}

/// The four digits at the beginning of a text, which goes on behind them.
fn unit(text: &mut &str) -> u32 {
    let (digits, rest) = text.split_at_checked(4).unwrap_or_default();
    *text = rest;
    u32::from_str_radix(digits, 16).unwrap_or_default()
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
    #[error("the body has more than {MAX_NODES} names and values")]
    TooMany,
    /// Too many keys with escapes.
    #[error("the body has more than {MAX_DECODED} bytes of names that are written with escapes")]
    Escaped,
}

impl Json<'_> {
    /// The value that the body is.
    pub fn value(&self) -> Value<'_> {
        first(&self.0).map_or(Value::Null, |(value, _)| value)
    }
}
