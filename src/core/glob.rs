//! Patterns with `*`, as policies and flags write names of models and repositories.

use std::fmt;
use std::str::FromStr;

/// Longest pattern, in bytes.
const MAX: usize = 253;

/// A pattern in which `*` stands for any characters, also for none. All others stand for themselves, case included. It holds no
/// comma, which separates patterns.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Glob(String);

impl Glob {
    /// `*`.
    pub fn any() -> Self {
        Self("*".to_owned())
    }

    /// Whether `text` as a whole is of this form. Takes time in proportion to both, whatever the pattern.
    pub fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else {
            return self.0 == text;
        };
        let Some(mut text) = text.strip_prefix(first) else {
            return false;
        };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        for part in middle.split('*') {
            // The first place is the best one: it leaves most for what follows.
            let Some((_, after)) = text.split_once(part) else {
                return false;
            };
            text = after;
        }
        text.ends_with(last)
    }

    /// Whether it matches everything.
    pub fn is_any(&self) -> bool {
        self.0.bytes().all(|b| b == b'*')
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Glob {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > MAX || !text.bytes().all(|b| b.is_ascii_graphic() && b != b',') {
            return Err(
                "not a pattern: 1 to 253 printable ASCII characters without spaces and commas, * stands for any",
            );
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    fn matches(glob: &str, text: &str) -> bool {
        glob.parse::<Glob>().expect("a pattern").matches(text)
    }

    #[test]
    fn a_star_stands_for_any_characters_and_for_none() {
        for (glob, text) in [
            ("*", ""),
            ("*", "claude"),
            ("claude-*", "claude-"),
            ("claude-*", "claude-opus-4@20250514"),
            ("*-opus-*@*", "claude-opus-4@20250514"),
            ("a*b*c", "abbc"),
            ("a**c", "ac"),
            ("ab*ba", "abba"),
        ] {
            assert!(matches(glob, text), "{glob} {text}");
        }
    }

    #[test]
    fn everything_else_stands_for_itself() {
        for (glob, text) in [
            ("claude-*", "Claude-opus"),
            ("claude-*", "xclaude-opus"),
            ("claude", "claude-opus"),
            ("a.c", "abc"),
            ("ab*ba", "aba"),
            ("*b*c", "cb"),
            ("a*b*b", "ab"),
        ] {
            assert!(!matches(glob, text), "{glob} {text}");
        }
    }

    #[test]
    fn a_pattern_is_printable_and_short() {
        for text in ["", "a b", "a,b", "a\n", "ü", &"a".repeat(254)] {
            assert!(text.parse::<Glob>().is_err(), "{text:?}");
        }
    }
}
