//! YAML as Kubernetes reads it: version 1.1 scalars, documents divided at `---` lines.

use super::json::Strict;
use super::problem::{Problem, shown_key};
use serde_json::Value;
use serde_saphyr::{Error, budget::BudgetBreach};

/// Deepest nesting of maps and lists. (In JSON it is that of serde_json, 127.)
const MAX_DEPTH: usize = 100;

/// Most maps, lists and scalars that one input may have once its aliases are expanded.
pub(super) const MAX_VALUES: usize = 1_000_000;

/// How the scanner says that it gives up on nesting, before the limit below can say it.
const TOO_DEEP: &str = "recursion limit exceeded";

/// One document's text within a stream.
pub(super) struct Chunk<'a> {
    /// The text, without the `---` line in front of it when nothing else is on that line.
    pub(super) text: &'a str,
    /// Line number of the text's first line, from 1.
    pub(super) line: u64,
}

impl Chunk<'_> {
    /// The text for the place after a `---` line, with a line end; none when it brings its own marker.
    pub(super) fn standing_alone(&self) -> Option<String> {
        if self.text.lines().any(|line| is_marker(line, "---")) {
            return None;
        }
        let end = if self.text.ends_with('\n') { "" } else { "\n" };
        Some(format!("{}{end}", self.text))
    }
}

/// Divides a stream into documents, as kubectl does before it parses any of them: so an error in one has its number,
/// and the text of another can be handed on.
pub(super) fn chunks(text: &str) -> impl Iterator<Item = Chunk<'_>> {
    let mut rest = text;
    let mut line = 1;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (mut end, mut lines, mut directives, mut started) = (0, 0, false, false);
        let mut tail = rest;
        while !tail.is_empty() {
            let (this, next) = split_line(tail);
            if is_marker(this, "---") {
                if end > 0 && (started || !directives) {
                    break;
                }
                started = true;
            } else if is_marker(this, "...") {
                end += this.len();
                lines += 1;
                break;
            } else if this.starts_with('%') && !started {
                directives = true;
            }
            end += this.len();
            lines += 1;
            tail = next;
        }
        let (text, after) = rest.split_at_checked(end)?;
        let (first, second) = split_line(text);
        let bare = is_marker(first, "---") && first.trim_start_matches('-').trim_start().split('#').next() == Some("");
        let chunk = if bare {
            Chunk {
                text: second,
                line: line + 1,
            }
        } else {
            Chunk { text, line }
        };
        rest = after;
        line += lines;
        Some(chunk)
    })
}

/// Reads the documents of one chunk: one, or none when there are only comments.
pub(super) fn objects(text: &str) -> Result<Vec<Value>, Problem> {
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_nodes: MAX_VALUES, max_events: MAX_VALUES },
    };
    let values = serde_saphyr::from_multiple_with_options::<Strict>(text, options);
    let values = values.map(|all| all.into_iter().map(|Strict(value)| value).collect());
    values.map_err(|error| {
        let error = innermost(&error);
        Problem {
            line: error.location().map(|location| location.line()),
            problem: describe(error),
            syntax: match error {
                Error::ExternalMessage { msg, .. } => msg != TOO_DEEP,
                error => matches!(error, Error::Eof { .. }),
            },
        }
    })
}

fn innermost(mut error: &Error) -> &Error {
    while let Error::AliasError { error: inner, .. } | Error::WithSnippet { error: inner, .. } = error {
        error = inner;
    }
    error
}

/// A sentence for each error that can happen. The library's own messages name values in some cases, so only those of
/// its scanner are used, which are fixed sentences.
fn describe(error: &Error) -> String {
    match error {
        Error::DuplicateMappingKey { key, .. } => {
            format!("duplicate key{}", shown_key(key.as_deref().unwrap_or_default()))
        }
        Error::ExternalMessage { msg, .. } if msg == TOO_DEEP => format!("nested more than {MAX_DEPTH} levels deep"),
        Error::ExternalMessage { msg, .. } => format!("not valid YAML: {msg}"),
        Error::Eof { .. } => "not valid YAML: it ends too early".to_owned(),
        Error::UnknownAnchor { .. } => "an alias (*) names an anchor (&) that does not exist".to_owned(),
        Error::NonFiniteFloat { .. } => "infinite and NaN numbers are not allowed".to_owned(),
        Error::Message { msg, .. } if msg.starts_with("duplicate key") => msg.clone(),
        Error::NullIntoString { .. } | Error::Unexpected { .. } | Error::SerdeInvalidType { .. } => {
            "a key must be a string, this one is null, a list or a map".to_owned()
        }
        Error::MergeValueNotMapOrSeqOfMaps { .. } => "the value of << must be a map or a list of maps".to_owned(),
        Error::InvalidBinaryBase64 { .. } | Error::BinaryNotUtf8 { .. } => {
            "a !!binary value must be base64 of UTF-8 text".to_owned()
        }
        Error::Budget {
            breach: BudgetBreach::Depth { .. },
            ..
        } => format!("nested more than {MAX_DEPTH} levels deep"),
        Error::Budget {
            breach: BudgetBreach::Nodes { .. } | BudgetBreach::Events { .. },
            ..
        } => "too many values in one document".to_owned(),
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => "too many anchors, aliases or merge keys".to_owned(),
        _ => "cannot be read as a Kubernetes object".to_owned(),
    }
}

/// The first line with its line end, and what follows.
fn split_line(text: &str) -> (&str, &str) {
    let end = text.find('\n').map_or(text.len(), |at| at + 1);
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// Whether a line is a document marker: three characters at its start, then white space or nothing.
fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}
