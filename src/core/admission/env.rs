//! The environment of one container as its processes will see it.

use super::pod::{Container, Env, EnvFrom, Pod};
use serde_json::Value;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};

/// Most text that references may expand to in one container. What is longer cannot be compared.
const MAX_EXPANSION: usize = 256 * 1024;

/// A container's variables in order; the last of a name wins, as in the kubelet.
#[derive(Debug, Default)]
pub(super) struct Environment<'p> {
    entries: Vec<Entry<'p>>,
    /// Positions of the entries that count.
    latest: HashMap<Cow<'p, str>, usize>,
    /// By positions of entries that count, where the last reference to each is; known when somebody has asked.
    referred: OnceCell<HashMap<usize, usize>>,
}

/// The variables of a container that are not in its list: nobody sees them at admission.
#[derive(Debug, Default)]
struct Elsewhere<'p> {
    /// What the variables of each `envFrom` begin with, in order, without those that begin with another.
    prefixes: Vec<&'p str>,
    /// Whether there are those of every Service of the namespace, or of the API server's alone.
    of_services: bool,
    /// Whether there are any of Services.
    in_pod: bool,
}

#[derive(Debug)]
struct Entry<'p> {
    name: Cow<'p, str>,
    given: Given<'p>,
    known: Known<'p>,
    /// Whether processes see nothing but space.
    is_blank: bool,
}

/// A value as it is given.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Given<'p> {
    /// Literal text, with `$(NAME)` not yet resolved.
    Literal(Cow<'p, str>),
    /// A `valueFrom`, which nobody can read at admission.
    From {
        source: &'p str,
        /// Whether the variable may be missing.
        optional: bool,
    },
}

/// A value as far as it can be known.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Known<'p> {
    /// The text that processes will see.
    Text(Cow<'p, str>),
    /// It comes, at least in part, from outside (a `valueFrom`, an `envFrom`, a Service), or is too long to resolve.
    Opaque {
        /// The `valueFrom` whose value it is; nothing when it is not that alone.
        source: &'p str,
        /// Whether the variable may be missing.
        optional: bool,
    },
}

impl<'p> Environment<'p> {
    /// The environment of an ordinary container of a pod.
    pub(super) fn of(pod: &Pod<'p>, container: &'p Container<'p>) -> Self {
        let given = container.env.iter().flatten();
        let entries = given.map(|env| (Cow::Borrowed(&*env.name), Given::of(env)));
        Self::of_entries(pod, container, entries)
    }

    /// The environment that these entries of a container make, which need not be the pod's.
    pub(super) fn of_entries(
        pod: &Pod<'p>,
        container: &'p Container<'p>,
        entries: impl Iterator<Item = (Cow<'p, str>, Given<'p>)>,
    ) -> Self {
        Self::new(entries, &Elsewhere::of(pod, container))
    }

    /// The environment that a JSON object of strings describes, for OpenShell.
    pub(super) fn of_json(object: &serde_json::Map<String, Value>) -> Self {
        let text = |value: &Value| Cow::Owned(value.as_str().unwrap_or_default().to_owned());
        Self::new(
            object
                .iter()
                .map(|(name, value)| (Cow::Owned(name.clone()), Given::Literal(text(value)))),
            &Elsewhere::default(),
        )
    }

    /// Resolves references to earlier variables in one pass, as the kubelet does.
    fn new(given: impl Iterator<Item = (Cow<'p, str>, Given<'p>)>, elsewhere: &Elsewhere<'p>) -> Self {
        let mut entries: Vec<Entry<'p>> = Vec::new();
        let mut latest: HashMap<Cow<'p, str>, usize> = HashMap::new();
        let mut budget = MAX_EXPANSION;
        for (name, given) in given {
            let known = match &given {
                Given::From { source, optional } => Known::Opaque {
                    source,
                    optional: *optional,
                },
                Given::Literal(text) if !text.contains('$') => Known::Text(text.clone()),
                Given::Literal(text) => {
                    let earlier = |name: &str| latest.get(name).and_then(|i| entries.get(*i)).map(|e| &e.known);
                    expand(text, &mut budget, earlier, elsewhere)
                }
            };
            latest.insert(name.clone(), entries.len());
            let is_blank = matches!(&known, Known::Text(text) if text.trim().is_empty());
            entries.push(Entry {
                name,
                given,
                known,
                is_blank,
            });
        }
        Self {
            entries,
            latest,
            referred: OnceCell::new(),
        }
    }

    /// Position of the entry that counts.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.latest.get(name).copied()
    }

    /// Positions of all entries of a name, ascending.
    pub(super) fn positions(&self, name: &str) -> Vec<usize> {
        self.entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| entry.name == name)
            .map(|(i, _)| i)
            .collect()
    }

    /// Positions of all entries whose name is one of these, by name.
    pub(super) fn positions_of(&self, is_one: impl Fn(&str) -> bool) -> BTreeMap<String, Vec<usize>> {
        let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (i, entry) in self.entries.iter().enumerate().filter(|(_, entry)| is_one(&entry.name)) {
            found.entry(entry.name.to_string()).or_default().push(i);
        }
        found
    }

    /// The name of the entry at a position.
    pub(super) fn name(&self, position: usize) -> Option<&str> {
        self.entries.get(position).map(|entry| &*entry.name)
    }

    /// All entries in order, each with its text as it is given, if it is one.
    pub(super) fn literals(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.entries.iter().map(|entry| {
            let text = match &entry.given {
                Given::Literal(text) => Some(&**text),
                Given::From { .. } => None,
            };
            (&*entry.name, text)
        })
    }

    /// Whether an entry behind a position refers to a variable.
    pub(super) fn is_referred_to(&self, name: &str, position: usize) -> bool {
        let referred = self.referred.get_or_init(|| {
            let texts = self
                .literals()
                .enumerate()
                .filter_map(|(i, (_, text))| Some((i, text?)));
            let all = texts.flat_map(|(i, text)| references(text).map(move |name| (i, name)));
            all.filter_map(|(i, name)| Some((self.position(name)?, i))).collect()
        });
        let last = self.position(name).and_then(|of| referred.get(&of));
        last.is_some_and(|last| *last > position)
    }

    /// What a text would be behind all entries; none when it refers to what is not among them.
    pub(super) fn resolve(&self, text: &str) -> Option<Known<'p>> {
        let entry = |name: &str| self.position(name).and_then(|i| self.entries.get(i));
        if references(text).any(|name| entry(name).is_none()) {
            return None;
        }
        let mut budget = MAX_EXPANSION;
        Some(expand(
            text,
            &mut budget,
            |name| entry(name).map(|it| &it.known),
            &Elsewhere::default(),
        ))
    }

    /// The value as given.
    pub(super) fn given(&self, name: &str) -> Option<&Given<'p>> {
        self.entries.get(self.position(name)?).map(|entry| &entry.given)
    }

    /// The value as processes will see it; `None` when the variable is absent or blank, which clients read alike.
    pub(super) fn known(&self, name: &str) -> Option<&Known<'p>> {
        let entry = self.entries.get(self.position(name)?)?;
        (!entry.is_blank).then_some(&entry.known)
    }
}

impl<'p> Given<'p> {
    /// The value of an entry of the pod's own.
    pub(super) fn of(env: &'p Env<'p>) -> Self {
        match env.value_from {
            Some(source) => Self::From {
                source: source.get(),
                optional: is_optional(source.get()),
            },
            None => Self::Literal(Cow::Borrowed(env.value.as_deref().unwrap_or_default())),
        }
    }

    /// The value of an entry that a patch writes.
    pub(super) fn of_written(entry: &'p Value) -> Self {
        match entry.get("value").and_then(Value::as_str) {
            Some(text) => Self::Literal(Cow::Borrowed(text)),
            None => Self::From {
                source: "",
                optional: false,
            },
        }
    }
}

impl<'p> Elsewhere<'p> {
    fn of(pod: &Pod<'p>, container: &'p Container<'p>) -> Self {
        let prefix = |source: &'p EnvFrom<'p>| source.prefix.as_deref().unwrap_or_default();
        let mut prefixes: Vec<&str> = container.env_from.iter().map(prefix).collect();
        prefixes.sort_unstable();
        prefixes.dedup_by(|next, kept| next.starts_with(*kept));
        Self {
            prefixes,
            of_services: pod.spec.enable_service_links != Some(false),
            in_pod: true,
        }
    }

    /// Whether a variable of this name may come from there.
    fn may_have(&self, name: &str) -> bool {
        // Whatever stands between a prefix and what begins with it begins with it, too.
        let before = self.prefixes.partition_point(|prefix| *prefix <= name);
        let last = before.checked_sub(1).and_then(|last| self.prefixes.get(last));
        last.is_some_and(|prefix| name.starts_with(prefix))
            || self.in_pod && is_of_service(name) && (self.of_services || name.starts_with("KUBERNETES_"))
    }
}

/// Whether the kubelet gives variables of such names to pods for Services: `NAME_SERVICE_HOST`, `NAME_PORT_80_TCP_ADDR`
/// and so on.
fn is_of_service(name: &str) -> bool {
    let shape = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let of_port = |rest: &str| {
        let mut parts = rest.split('_');
        let number = parts.next().is_some_and(|part| part.parse::<u16>().is_ok());
        let protocol = parts.next().is_some_and(|part| matches!(part, "TCP" | "UDP" | "SCTP"));
        let what = parts
            .next()
            .is_none_or(|part| matches!(part, "ADDR" | "PORT" | "PROTO"));
        number && protocol && what && parts.next().is_none()
    };
    let named = |(service, _): (&str, &str)| !service.is_empty();
    let ends = |end: &str| name.strip_suffix(end).is_some_and(|service| !service.is_empty());
    name.bytes().all(shape)
        && (ends("_SERVICE_HOST")
            || ends("_PORT")
            || name.split_once("_SERVICE_PORT_").is_some_and(named)
            || name
                .rsplit_once("_PORT_")
                .is_some_and(|(service, rest)| !service.is_empty() && of_port(rest)))
}

/// Replaces `$(NAME)` by the earlier value and `$$` by `$`. A reference to a name that is nowhere stays as it is.
fn expand<'e, 'p: 'e>(
    literal: &str,
    budget: &mut usize,
    earlier: impl Fn(&str) -> Option<&'e Known<'p>>,
    elsewhere: &Elsewhere<'_>,
) -> Known<'p> {
    let mut text = String::with_capacity(literal.len());
    for part in parts(literal) {
        match part {
            Part::Text(plain) => text.push_str(plain),
            Part::Reference(name) => match earlier(name) {
                Some(Known::Text(value)) if value.len() > *budget => {
                    return Known::Opaque {
                        source: "",
                        optional: false,
                    };
                }
                Some(Known::Text(value)) => {
                    *budget -= value.len();
                    text.push_str(value);
                }
                Some(Known::Opaque { source, optional }) => {
                    // With text around it, it is another value than its source's.
                    let alone = literal.len() == name.len() + "$()".len();
                    return Known::Opaque {
                        source: if alone { source } else { "" },
                        optional: *optional,
                    };
                }
                None if elsewhere.may_have(name) => {
                    return Known::Opaque {
                        source: "",
                        optional: false,
                    };
                }
                None => {
                    text.push_str("$(");
                    text.push_str(name);
                    text.push(')');
                }
            },
        }
    }
    Known::Text(Cow::Owned(text))
}

/// The names that a literal refers to.
pub fn references(literal: &str) -> impl Iterator<Item = &str> {
    parts(literal).filter_map(|part| match part {
        Part::Reference(name) => Some(name),
        Part::Text(_) => None,
    })
}

/// A piece of a literal.
enum Part<'l> {
    Text(&'l str),
    Reference(&'l str),
}

/// A literal in pieces, `$$` already read as `$`. One look at each byte, whatever it holds.
fn parts(literal: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = literal;
    // Once no parenthesis closes any more, none is looked for.
    let mut closes = true;
    std::iter::from_fn(move || {
        let Some(dollar) = rest.find('$') else {
            let last = std::mem::take(&mut rest);
            return (!last.is_empty()).then_some(Part::Text(last));
        };
        if dollar > 0 {
            let (before, from_dollar) = rest.split_at(dollar);
            rest = from_dollar;
            return Some(Part::Text(before));
        }
        let (sign, after) = rest.split_at(1);
        if let Some(after) = after.strip_prefix('$') {
            rest = after;
            return Some(Part::Text(sign));
        }
        if let Some(inside) = after.strip_prefix('(').filter(|_| closes) {
            if let Some((name, behind)) = inside.split_once(')') {
                rest = behind;
                return Some(Part::Reference(name));
            }
            closes = false;
        }
        rest = after;
        Some(Part::Text(sign))
    })
}

/// Whether a `valueFrom` may yield nothing.
fn is_optional(source: &str) -> bool {
    let Ok(Value::Object(source)) = serde_json::from_str(source) else {
        return false;
    };
    source
        .values()
        .any(|reference| reference.get("optional").and_then(Value::as_bool) == Some(true))
}
