//! The tokens that an answer cost, found while it passes.
//!
//! Anthropic tells them as `usage`, in the answer or in its events; Gemini as `usageMetadata`. The scanner follows strings and
//! nesting, so nothing that a model writes can be taken for either, and keeps no more than one such object.

use serde::Deserialize;
use vertex_injector_core::contract::proxy::Publisher;

/// Longest usage object, in bytes; they have some hundred.
const MAX_OBJECT: usize = 8 * 1024;

/// How deep a usage object stands at most: in an event's `message`, or in an element of a list.
const MAX_DEPTH: u32 = 2;

/// Tokens by kind. Input does not contain what was read from or written to a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Read by the model.
    pub input: u64,
    /// Written by the model, thoughts included.
    pub output: u64,
    /// Read from a cache.
    pub cache_read: u64,
    /// Written to a cache.
    pub cache_write: u64,
}

/// Finds usage in an answer that comes in pieces.
#[derive(Debug)]
pub struct Scanner {
    publisher: Publisher,
    tokens: Tokens,
    depth: u32,
    state: State,
    /// The beginning of the string that is read, enough to know the key.
    text: Vec<u8>,
    /// The object that is read, and the depth around it.
    object: Option<(Vec<u8>, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between tokens; whether a usage key stands before, or even a key and a colon.
    Between(Before),
    /// In a string, perhaps behind a backslash.
    Text { escaped: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Before {
    Anything,
    Key,
    Colon,
}

impl Scanner {
    /// A scanner for the answers of a publisher's models.
    pub fn new(publisher: Publisher) -> Self {
        Self {
            publisher,
            tokens: Tokens::default(),
            depth: 0,
            state: State::Between(Before::Anything),
            text: Vec::new(),
            object: None,
        }
    }

    /// What has been found so far.
    pub fn tokens(&self) -> Tokens {
        self.tokens
    }

    /// Reads the next piece.
    pub fn read(&mut self, mut piece: &[u8]) {
        while let Some((&byte, rest)) = piece.split_first() {
            if let State::Text { escaped } = self.state {
                let end = if escaped { 0 } else { plain(piece) };
                let (text, after) = piece.split_at(end);
                self.keep(text);
                let room = self.key().len() + 1 - self.text.len().min(self.key().len() + 1);
                self.text.extend_from_slice(text.get(..room).unwrap_or(text));
                piece = after;
                if let Some((&byte, rest)) = after.split_first() {
                    self.keep(&[byte]);
                    self.in_text(byte, escaped);
                    piece = rest;
                }
            } else if let Some(rest) = self.after_other_event(piece) {
                piece = rest;
            } else {
                self.between(byte);
                piece = rest;
            }
        }
    }

    /// What follows a line of an event without the key, which most are: such a line is whole by itself.
    fn after_other_event<'p>(&self, piece: &'p [u8]) -> Option<&'p [u8]> {
        if self.depth > 0 || !(piece.starts_with(b"data:") || piece.starts_with(b"event:")) {
            return None;
        }
        let (line, rest) = piece.split_at_checked(memchr::memchr(b'\n', piece)?)?;
        memchr::memmem::find(line, self.key()).is_none().then_some(rest)
    }

    fn key(&self) -> &'static [u8] {
        match self.publisher {
            Publisher::Anthropic => b"usage",
            Publisher::Google => b"usageMetadata",
        }
    }

    /// A byte in a string that may end it.
    fn in_text(&mut self, byte: u8, escaped: bool) {
        self.state = match byte {
            // No JSON string has a line break: whatever this was, the next line starts anew.
            b'\n' => {
                self.restart();
                return;
            }
            _ if escaped => {
                // No key that matters has an escape.
                self.text.push(0);
                State::Text { escaped: false }
            }
            b'\\' => State::Text { escaped: true },
            _ => {
                let found = self.object.is_none() && self.text == self.key();
                State::Between(if found { Before::Key } else { Before::Anything })
            }
        };
    }

    fn between(&mut self, byte: u8) {
        let State::Between(before) = self.state else { return };
        let mut next = Before::Anything;
        match byte {
            b'"' => {
                self.text.clear();
                self.keep(&[byte]);
                self.state = State::Text { escaped: false };
                return;
            }
            b'{' | b'[' => {
                if byte == b'{' && before == Before::Colon && self.depth <= MAX_DEPTH {
                    self.object = Some((Vec::new(), self.depth));
                }
                self.depth = self.depth.saturating_add(1);
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            b':' if before == Before::Key => next = Before::Colon,
            b' ' | b'\t' | b'\r' | b'\n' => next = before,
            _ => {}
        }
        self.state = State::Between(next);
        self.keep(&[byte]);
        let whole = |(_, around): &mut (Vec<u8>, u32)| *around == self.depth;
        if let Some((object, _)) = self.object.take_if(whole) {
            self.found(&object);
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if let Some((object, _)) = &mut self.object {
            object.extend_from_slice(bytes);
            if object.len() > MAX_OBJECT {
                self.object = None;
            }
        }
    }

    fn restart(&mut self) {
        self.depth = 0;
        self.state = State::Between(Before::Anything);
        self.object = None;
    }

    /// Later objects count what earlier ones did, and more; what they leave out has not changed.
    fn found(&mut self, object: &[u8]) {
        let tokens = &mut self.tokens;
        match self.publisher {
            Publisher::Anthropic => {
                let Ok(usage) = serde_json::from_slice::<Usage>(object) else {
                    return;
                };
                let set = |to: &mut u64, from: Option<u64>| *to = from.unwrap_or(*to);
                set(&mut tokens.input, usage.input_tokens);
                set(&mut tokens.output, usage.output_tokens);
                set(&mut tokens.cache_read, usage.cache_read_input_tokens);
                set(&mut tokens.cache_write, usage.cache_creation_input_tokens);
            }
            Publisher::Google => {
                let Ok(usage) = serde_json::from_slice::<UsageMetadata>(object) else {
                    return;
                };
                let prompt = usage
                    .prompt_token_count
                    .saturating_sub(usage.cached_content_token_count);
                *tokens = Tokens {
                    input: prompt.saturating_add(usage.tool_use_prompt_token_count),
                    output: usage.candidates_token_count.saturating_add(usage.thoughts_token_count),
                    cache_read: usage.cached_content_token_count,
                    cache_write: 0,
                };
            }
        }
    }
}

#[derive(Deserialize)]
struct Usage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct UsageMetadata {
    prompt_token_count: u64,
    candidates_token_count: u64,
    thoughts_token_count: u64,
    cached_content_token_count: u64,
    tool_use_prompt_token_count: u64,
}

/// How many bytes of a string mean nothing.
fn plain(piece: &[u8]) -> usize {
    memchr::memchr3(b'"', b'\\', b'\n', piece).unwrap_or(piece.len())
}
