//! What the metadata server tells, as a tree: every directory is listed, redirected to and read with all that is below it in the
//! same way.

use serde_json::{Map, Value};

/// Something that has a path.
#[derive(Debug)]
pub(super) enum Node {
    /// What has more below it, in alphabetical order.
    Directory(Vec<(String, Self)>),
    /// A text.
    Text(String),
    /// A number.
    Number(u64),
    /// Texts, which are lines unless JSON is asked for.
    List(Vec<String>),
    /// The access token, made anew when it is asked for.
    Token,
    /// An ID token, for an audience.
    Identity,
}

/// What stands at a path.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found<'n> {
    /// This.
    Node(&'n Node),
    /// A directory, which is asked for without its slash.
    Slashless,
}

impl Node {
    /// A directory.
    pub(super) fn directory<N: Into<String>>(entries: impl IntoIterator<Item = (N, Self)>) -> Self {
        let entries = entries.into_iter().map(|(name, node)| (name.into(), node));
        Self::Directory(entries.collect())
    }

    /// What stands at `path`, which begins with a slash. Only a directory's ends with one.
    pub(super) fn find(&self, path: &str) -> Option<Found<'_>> {
        let mut parts = path.strip_prefix('/')?.split('/').peekable();
        let mut node = self;
        while let Some(part) = parts.next() {
            let Self::Directory(entries) = node else { return None };
            if part.is_empty() {
                return parts.peek().is_none().then_some(Found::Node(node));
            }
            // Some clients encode the at sign, and nothing else of an address needs encoding.
            let name = part.replace("%40", "@");
            node = entries.iter().find(|(entry, _)| *entry == name).map(|(_, node)| node)?;
        }
        match node {
            Self::Directory(_) => Some(Found::Slashless),
            Self::Text(_) | Self::Number(_) | Self::List(_) | Self::Token | Self::Identity => Some(Found::Node(node)),
        }
    }

    /// What is in a directory, by name; nothing for others.
    pub(super) fn names(&self) -> Vec<String> {
        let Self::Directory(entries) = self else {
            return Vec::new();
        };
        let shown = |(name, node): &(String, Self)| match node {
            Self::Directory(_) => format!("{name}/"),
            Self::Text(_) | Self::Number(_) | Self::List(_) | Self::Token | Self::Identity => name.clone(),
        };
        entries.iter().map(shown).collect()
    }

    /// With all that is below it. `None` for tokens, which are in no collection.
    pub(super) fn json(&self) -> Option<Value> {
        Some(match self {
            Self::Directory(entries) => {
                let members = entries.iter();
                let members = members.filter_map(|(name, node)| Some((camel(name), node.json()?)));
                Value::Object(members.collect::<Map<_, _>>())
            }
            Self::Text(text) => Value::from(text.as_str()),
            Self::Number(number) => Value::from(*number),
            Self::List(texts) => Value::from(texts.as_slice()),
            Self::Token | Self::Identity => return None,
        })
    }

    /// The same as lines of a path and a value, below `path`.
    pub(super) fn lines(&self, path: &str, out: &mut Vec<String>) {
        match self {
            Self::Directory(entries) => {
                for (name, node) in entries {
                    let below = if path.is_empty() {
                        name.clone()
                    } else {
                        format!("{path}/{name}")
                    };
                    node.lines(&below, out);
                }
            }
            Self::Text(text) => out.push(format!("{path} {text}")),
            Self::Number(number) => out.push(format!("{path} {number}")),
            Self::List(texts) => out.extend(texts.iter().enumerate().map(|(i, text)| format!("{path}/{i} {text}"))),
            Self::Token | Self::Identity => {}
        }
    }
}

/// A name as JSON has it. Account's names have no hyphens that begin a word of ours, and stay.
fn camel(name: &str) -> String {
    if name.contains('@') || name.contains('.') {
        return name.to_owned();
    }
    let mut words = name.split('-');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}
