//! Reads a body into its nodes: RFC 8259 to the letter, and as strict as serde_json is.

use super::{Json, MAX_DECODED, MAX_NODES, Members, Node, NotStrict, Text, decoded};
use std::borrow::Cow;

/// How deep arrays and objects may nest.
const MAX_DEPTH: u32 = 127;

/// Bytes of a body for each node, about, and room for how many nodes is made before there are any.
const BYTES: usize = 24;
const AT_FIRST: usize = 4096;

/// Up to so many keys are compared each with each, which is faster than sorting them.
const FEW: usize = 16;

/// Bytes that are looked at together, and how often before a string counts as long.
const WORD: usize = 8;
const SOON: usize = 4;

/// What a decoded key takes beside its bytes.
const OVERHEAD: usize = 32;

impl<'a> Json<'a> {
    /// Parses a body as a whole.
    ///
    /// # Errors
    /// Says what is wrong and where, never what stands there.
    pub fn parse(body: &'a [u8]) -> Result<Self, NotStrict> {
        let text = std::str::from_utf8(body).map_err(|_| NotStrict::Encoding)?;
        let mut parser = Parser {
            text,
            at: 0,
            nodes: Vec::with_capacity((text.len() / BYTES).min(AT_FIRST)),
            decoded: 0,
            has_controls: body.iter().fold(false, |found, byte| found | is_control(*byte)),
        };
        match parser.whole() {
            Ok(()) => Ok(Self(parser.nodes)),
            Err(wrong) => {
                let before = body.get(..parser.at).unwrap_or(body);
                let line = 1 + memchr::memchr_iter(b'\n', before).count();
                let column = before.len() - memchr::memrchr(b'\n', before).map_or(0, |end| end + 1) + 1;
                Err(match wrong {
                    Wrong::Syntax => NotStrict::Syntax(line, column),
                    Wrong::DuplicateKey => NotStrict::DuplicateKey(line, column),
                    Wrong::TooMany => NotStrict::TooMany,
                    Wrong::Escaped => NotStrict::Escaped,
                })
            }
        }
    }
}

/// What is wrong where the parser is.
enum Wrong {
    Syntax,
    DuplicateKey,
    TooMany,
    Escaped,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    nodes: Vec<Node<'a>>,
    /// Bytes of decoded keys so far.
    decoded: usize,
    /// Whether there is a control character anywhere, so that strings have to be searched for them. Of most bodies it is said once.
    has_controls: bool,
}

impl<'a> Parser<'a> {
    fn whole(&mut self) -> Result<(), Wrong> {
        self.value(0)?;
        self.space();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(Wrong::Syntax)
        }
    }

    fn value(&mut self, depth: u32) -> Result<(), Wrong> {
        self.space();
        match self.peek() {
            Some(b'n') => self.word("null", Node::Null),
            Some(b't') => self.word("true", Node::Other),
            Some(b'f') => self.word("false", Node::Other),
            Some(b'"') => {
                let text = self.string()?;
                self.push(Node::Text(text))
            }
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'[') => self.list(depth),
            Some(b'{') => self.object(depth),
            _ => Err(Wrong::Syntax),
        }
    }

    fn list(&mut self, depth: u32) -> Result<(), Wrong> {
        let at = self.begin(depth)?;
        if !self.ends(b']') {
            loop {
                self.value(depth + 1)?;
                if self.ends(b']') {
                    break;
                }
                self.expect(b',')?;
            }
        }
        self.close(at, Node::List);
        Ok(())
    }

    fn object(&mut self, depth: u32) -> Result<(), Wrong> {
        let (at, mut members) = (self.begin(depth)?, 0);
        let (mut marks, mut alike) = (0, false);
        if !self.ends(b'}') {
            loop {
                self.space();
                let text = self.string()?;
                let key = self.key(text)?;
                let mark = mark(&key);
                alike |= marks & mark != 0;
                marks |= mark;
                self.push(Node::Key(key))?;
                self.space();
                self.expect(b':')?;
                self.value(depth + 1)?;
                members += 1;
                if self.ends(b'}') {
                    break;
                }
                self.expect(b',')?;
            }
        }
        self.close(at, |nodes| Node::Object { members, nodes });
        if !alike {
            return Ok(());
        }
        let object = Members {
            nodes: self.nodes.get(at + 1..).unwrap_or_default(),
            members: members as usize,
        };
        if differ(object.keys()) {
            Ok(())
        } else {
            Err(Wrong::DuplicateKey)
        }
    }

    /// Goes into a list or an object: the place of what is known of it at its end.
    fn begin(&mut self, depth: u32) -> Result<usize, Wrong> {
        if depth >= MAX_DEPTH {
            return Err(Wrong::Syntax);
        }
        self.at += 1;
        self.push(Node::Null)?;
        Ok(self.nodes.len() - 1)
    }

    /// Puts what is known of a list or an object before its `nodes`, which are the last.
    fn close(&mut self, at: usize, node: impl FnOnce(u32) -> Node<'static>) {
        let nodes = self.nodes.len().saturating_sub(at + 1);
        if let Some(place) = self.nodes.get_mut(at) {
            *place = node(u32::try_from(nodes).unwrap_or(u32::MAX));
        }
    }

    fn push(&mut self, node: Node<'a>) -> Result<(), Wrong> {
        if self.nodes.len() >= MAX_NODES {
            return Err(Wrong::TooMany);
        }
        if self.nodes.len() == self.nodes.capacity() {
            // Twice as many, but no more than there can be.
            let more = self.nodes.len().max(64).min(MAX_NODES - self.nodes.len());
            self.nodes.reserve_exact(more);
        }
        self.nodes.push(node);
        Ok(())
    }

    fn key(&mut self, text: Text<'a>) -> Result<Cow<'a, str>, Wrong> {
        if !text.has_escapes {
            return Ok(Cow::Borrowed(text.raw));
        }
        self.decoded = self.decoded.saturating_add(text.raw.len() + OVERHEAD);
        if self.decoded > MAX_DECODED {
            return Err(Wrong::Escaped);
        }
        Ok(Cow::Owned(decoded(text.raw, usize::MAX)))
    }

    /// A string, with the quotes around it.
    fn string(&mut self) -> Result<Text<'a>, Wrong> {
        self.expect(b'"')?;
        let (start, mut has_escapes) = (self.at, false);
        loop {
            self.at += plain(self.rest(), self.has_controls);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    has_escapes = true;
                    self.escape()?;
                }
                _ => return Err(Wrong::Syntax),
            }
        }
        // Quotes are characters of one byte, so it begins and ends between characters.
        let raw = self.text.get(start..self.at).ok_or(Wrong::Syntax)?;
        self.at += 1;
        Ok(Text { raw, has_escapes })
    }

    fn escape(&mut self) -> Result<(), Wrong> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => {
                self.at += 1;
                match self.unit()? {
                    0xd800..=0xdbff => {
                        self.expect(b'\\')?;
                        self.expect(b'u')?;
                        let low = self.unit()?;
                        if (0xdc00..=0xdfff).contains(&low) {
                            Ok(())
                        } else {
                            Err(Wrong::Syntax)
                        }
                    }
                    0xdc00..=0xdfff => Err(Wrong::Syntax),
                    _ => Ok(()),
                }
            }
            _ => Err(Wrong::Syntax),
        }
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u32, Wrong> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Wrong::Syntax)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(Wrong::Syntax);
        }
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| Wrong::Syntax)
    }

    fn number(&mut self) -> Result<(), Wrong> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        let has_exponent = matches!(self.peek(), Some(b'e' | b'E'));
        if has_exponent {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        // What is greater than any number is none.
        let number = self.text.get(start..self.at).unwrap_or_default();
        let suspicious = has_exponent || number.len() > 300;
        if suspicious && !number.parse::<f64>().is_ok_and(f64::is_finite) {
            return Err(Wrong::Syntax);
        }
        self.push(Node::Other)
    }

    fn digits(&mut self) -> Result<(), Wrong> {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        if digits > 0 { Ok(()) } else { Err(Wrong::Syntax) }
    }

    fn word(&mut self, word: &str, node: Node<'a>) -> Result<(), Wrong> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(Wrong::Syntax);
        }
        self.at += word.len();
        self.push(node)
    }

    /// Whether this is what comes next, and is passed.
    fn ends(&mut self, byte: u8) -> bool {
        self.space();
        let ends = self.peek() == Some(byte);
        self.at += usize::from(ends);
        ends
    }

    fn expect(&mut self, byte: u8) -> Result<(), Wrong> {
        if self.peek() != Some(byte) {
            return Err(Wrong::Syntax);
        }
        self.at += 1;
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }
}

/// What no string has.
fn is_control(byte: u8) -> bool {
    byte < 0x20
}

/// How many bytes at the beginning are plain text of a string: no quote, no backslash, no control character.
fn plain(bytes: &[u8], has_controls: bool) -> usize {
    // Most strings are names and end soon.
    let (words, _) = bytes.as_chunks::<WORD>();
    for (i, word) in words.iter().take(SOON).enumerate() {
        let special = special(u64::from_le_bytes(*word));
        if special != 0 {
            return WORD * i + special.trailing_zeros() as usize / 8;
        }
    }
    let start = WORD * SOON.min(words.len());
    let rest = bytes.get(start..).unwrap_or_default();
    let end = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
    let text = rest.get(..end).unwrap_or_default();
    start + if has_controls { before_control(text) } else { end }
}

/// The highest bits of the bytes of a word that are no plain text; above the lowest of them perhaps others.
fn special(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; WORD]);
    let are_less = |word: u64, than: u64| word.wrapping_sub(ONES * than) & !word;
    let are = |byte: u8| are_less(word ^ (ONES * u64::from(byte)), 1);
    (are_less(word, 0x20) | are(b'"') | are(b'\\')) & (ONES << 7)
}

/// How many bytes are before the first control character.
fn before_control(bytes: &[u8]) -> usize {
    const LANES: usize = 32;
    // Without a branch for each byte, so that many are looked at together.
    let has = |chunk: &[u8]| chunk.iter().fold(false, |found, byte| found | is_control(*byte));
    let clear = LANES * bytes.chunks_exact(LANES).take_while(|chunk| !has(chunk)).count();
    let rest = bytes.get(clear..).unwrap_or_default();
    clear + rest.iter().position(|byte| is_control(*byte)).unwrap_or(rest.len())
}

/// A bit for a key: keys with different bits differ, and of few keys most have bits of their own.
fn mark(key: &str) -> u64 {
    let bytes = key.as_bytes();
    let end = |byte: Option<&u8>| byte.map_or(0, |byte| u32::from(*byte));
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let mixed = length.wrapping_mul(17) ^ end(bytes.first()).wrapping_mul(5) ^ end(bytes.last()).wrapping_mul(11);
    1 << (mixed % u64::BITS)
}

/// Whether all keys differ.
fn differ<'k>(keys: impl ExactSizeIterator<Item = &'k str> + Clone) -> bool {
    if keys.len() > FEW {
        let mut sorted: Vec<&str> = keys.collect();
        sorted.sort_unstable();
        return !sorted
            .windows(2)
            .any(|pair| matches!(pair, [one, other] if one == other));
    }
    let mut rest = keys;
    while let Some(key) = rest.next() {
        if rest.clone().any(|other| other == key) {
            return false;
        }
    }
    true
}
