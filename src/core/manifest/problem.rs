//! What is wrong with a text, without its content.

/// What is wrong in one chunk of text.
pub(super) struct Problem {
    /// The line, from 1, if it is known.
    pub(super) line: Option<u64>,
    /// The sentence.
    pub(super) problem: String,
    /// Whether the text is not of this language at all, rather than forbidden in it.
    pub(super) syntax: bool,
}

/// Names a key in an error when it looks like a name; anything else might be content at the wrong place.
pub(super) fn shown_key(key: &str) -> String {
    let plain = key
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/'));
    if plain && (1..=64).contains(&key.len()) {
        format!(" {key:?}")
    } else {
        String::new()
    }
}
