//! Where in a body we are, in our words and in the providers'.
//!
//! A key that cannot be a member's name is not repeated: it may be anything.

use super::tables::snake;
use std::borrow::Cow;
use std::fmt::Write;

/// The way from the body's top.
#[derive(Debug, Default)]
pub struct Path<'b>(Vec<Step<'b>>);

#[derive(Debug)]
enum Step<'b> {
    Key(&'b str),
    Index(usize),
    /// Nothing is below it, but Anthropic names the type of an object after its place.
    Type(Cow<'b, str>),
}

impl<'b> Path<'b> {
    /// Goes to a member.
    pub fn key(&mut self, key: &'b str) {
        self.0.push(Step::Key(key));
    }

    /// Goes to an element.
    pub fn index(&mut self, index: usize) {
        self.0.push(Step::Index(index));
    }

    /// Notes the type of the object here.
    pub fn of_type(&mut self, name: Cow<'b, str>) {
        self.0.push(Step::Type(name));
    }

    /// Goes back one step.
    pub fn back(&mut self) {
        self.0.pop();
    }

    /// As in `messages[0].content[1]`.
    pub fn shown(&self) -> String {
        let text = joined(&self.0, str::to_owned);
        if text.is_empty() { "its top".to_owned() } else { text }
    }

    /// As Anthropic's API says it: `messages.0.content.1.text.citations`.
    pub fn of_anthropic(&self) -> String {
        let mut text = String::new();
        for step in &self.0 {
            text += if text.is_empty() { "" } else { "." };
            match step {
                Step::Index(i) => {
                    let _ = write!(text, "{i}");
                }
                Step::Key(name) => text += name_or_dots(name),
                Step::Type(name) => text += name_or_dots(name),
            }
        }
        text
    }

    /// As Google's APIs say it: where the last member stands, `contents[0].function_call`, and its name; no place at the top.
    pub fn of_google(&self) -> (Option<String>, &str) {
        let Some((Step::Key(name), above)) = self.0.split_last() else {
            return (None, "…");
        };
        let place = joined(above, |key| snake(key).map(char::from).collect());
        (Some(place).filter(|place| !place.is_empty()), name_or_dots(name))
    }
}

fn joined(steps: &[Step<'_>], spelled: impl Fn(&str) -> String) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Index(i) => {
                let _ = write!(text, "[{i}]");
            }
            Step::Key(key) => {
                text += if text.is_empty() { "" } else { "." };
                text += &match name_or_dots(key) {
                    "…" => "…".to_owned(),
                    name => spelled(name),
                };
            }
            Step::Type(_) => {}
        }
    }
    text
}

/// A name if it is one.
pub fn name_or_dots(text: &str) -> &str {
    let plain = !text.is_empty() && text.len() <= 40 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if plain { text } else { "…" }
}
