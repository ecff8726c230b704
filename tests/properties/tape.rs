//! Choices read from a tape of numbers. A generator that reads them can be written as plain code, and a shorter tape or
//! smaller numbers make a simpler value, so that proptest's shrinking works on it.

use proptest::prelude::*;
use serde_json::{Value, json};

/// A tape that is being read. Behind its end everything is the first, the simplest choice.
pub(crate) struct Tape<'t> {
    numbers: &'t [u16],
    next: usize,
}

/// Tapes that are long enough for a rich pod and a rich policy.
pub(crate) fn tapes() -> impl Strategy<Value = Vec<u16>> {
    prop::collection::vec(any::<u16>(), 0..700)
}

impl<'t> Tape<'t> {
    pub(crate) fn new(numbers: &'t [u16]) -> Self {
        Self { numbers, next: 0 }
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let number = self.numbers.get(self.next).copied().unwrap_or(0);
        self.next += 1;
        usize::from(number) % limit.max(1)
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) >= 100 - percent
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }

    /// Every choice with a chance of its own, in order.
    pub(crate) fn some_of<'a>(&mut self, choices: &[&'a str], percent: usize) -> Vec<&'a str> {
        choices.iter().copied().filter(|_| self.chance(percent)).collect()
    }

    /// Any JSON, with what makes parsers stumble: escapes, other scripts, empty and null, nesting.
    pub(crate) fn json(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 6 } else { 8 }) {
            0 => Value::Null,
            1 => json!(self.chance(50)),
            2 => json!(self.below(1 << 16)),
            3 => json!(-1.5),
            4 => json!(""),
            5 => json!(self.pick(&[
                "text",
                "with \"quotes\"",
                "über 你好",
                "line\nbreak\t",
                "\u{7f}\u{0}",
                "$(FOO)"
            ])),
            6 => (0..self.below(4)).map(|_| self.json(depth - 1)).collect(),
            _ => (0..self.below(4))
                .map(|i| {
                    (
                        format!("{}{i}", self.pick(&["x", "kind", "a/b~c", "ü"])),
                        self.json(depth - 1),
                    )
                })
                .collect(),
        }
    }

    /// Adds fields to an object that no version of Kubernetes has.
    pub(crate) fn unknown_fields(&mut self, object: &mut Value) {
        for name in ["futureField", "x-vendor/extension"] {
            if self.chance(15) {
                object[name] = self.json(3);
            }
        }
    }
}
