//! Keys without their spelling: Google reads `fileUri` and `file_uri` alike, so both are `fileuri` here.

/// Longest name that is looked for.
const MAX: usize = 32;

/// Up to so many keys are compared each with each.
const FEW: usize = 16;

/// A key in lower case and without underscores and hyphens, if it is short enough to be one that matters.
#[derive(Debug, Clone, Copy)]
pub struct Squashed {
    bytes: [u8; MAX],
    length: usize,
}

impl Squashed {
    /// Squashes a key.
    pub fn of(key: &str) -> Self {
        let mut squashed = Self {
            bytes: [0; MAX],
            length: 0,
        };
        for byte in squash(key) {
            match squashed.bytes.get_mut(squashed.length) {
                Some(place) => *place = byte,
                None => {
                    squashed.length = 0;
                    break;
                }
            }
            squashed.length += 1;
        }
        squashed
    }

    /// The squashed key; nothing when it is too long.
    pub fn name(&self) -> Option<&[u8]> {
        self.bytes.get(..self.length).filter(|name| !name.is_empty())
    }

    /// Whether it is this name, which is given squashed.
    pub fn is(&self, name: &str) -> bool {
        self.name() == Some(name.as_bytes())
    }
}

/// Whether keys that all differ do so in more than spelling.
pub fn distinct<'k>(keys: impl ExactSizeIterator<Item = &'k str> + Clone) -> bool {
    if keys.len() > FEW {
        let mut sorted: Vec<&str> = keys.collect();
        sorted.sort_unstable_by(|one, other| squash(one).cmp(squash(other)));
        return !sorted
            .windows(2)
            .any(|pair| matches!(pair, [one, other] if is_same(one, other)));
    }
    // Of two that are the same when squashed, one is not squashed by itself.
    let others = keys.clone().enumerate();
    let mut spelled = keys.enumerate().filter(|(_, key)| key.bytes().any(is_spelling));
    spelled.all(|(i, key)| !others.clone().any(|(j, other)| i != j && is_same(key, other)))
}

/// Whether two names differ in spelling at most.
pub fn is_same(one: &str, other: &str) -> bool {
    squash(one).eq(squash(other))
}

fn is_spelling(byte: u8) -> bool {
    byte == b'_' || byte == b'-' || byte.is_ascii_uppercase()
}

fn squash(key: &str) -> impl Iterator<Item = u8> {
    key.bytes()
        .filter(|&b| b != b'_' && b != b'-')
        .map(|b| b.to_ascii_lowercase())
}
