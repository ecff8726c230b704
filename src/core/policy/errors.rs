//! What a compile finds wrong. Every file notes its errors here and goes on, so that an author sees all at once.

use crate::api::{FieldError, FieldErrors};
use std::fmt::Display;
use std::str::FromStr;

/// What could be compiled, or the proof that an error was noted.
pub(super) type Checked<T> = Result<T, Refused>;

/// An error was noted. Only [`Errors::add`] makes one, so a part that is missing always has its reason.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused(());

/// The errors of one compile.
#[derive(Debug, Default)]
pub(super) struct Errors(Vec<FieldError>);

impl Errors {
    /// Notes that `field` is wrong. What has no use for the proof goes on all the same: [`Errors::conclude`] forgets nothing.
    pub(super) fn add(&mut self, field: impl Into<String>, problem: impl Into<String>) -> Refused {
        self.0.push(FieldError::new(field, problem));
        Refused(())
    }

    /// The whole, if there was no error at all.
    pub(super) fn conclude<T>(self, whole: Checked<T>) -> Result<T, FieldErrors> {
        match whole {
            Ok(whole) if self.0.is_empty() => Ok(whole),
            Ok(_) | Err(Refused(())) => Err(FieldErrors(self.0)),
        }
    }
}

/// All parts, each of which was tried.
pub(super) fn all<T>(parts: impl IntoIterator<Item = Checked<T>>) -> Checked<Vec<T>> {
    let mut whole = Ok(Vec::new());
    for part in parts {
        match (part, &mut whole) {
            (Ok(part), Ok(parts)) => parts.push(part),
            (Ok(_), Err(_)) => {}
            (Err(refused), _) => whole = Err(refused),
        }
    }
    whole
}

/// The one that is set.
pub(super) fn exactly_one<T, const N: usize>(
    ways: [Option<Checked<T>>; N],
    field: &str,
    problem: &str,
    errors: &mut Errors,
) -> Checked<T> {
    let mut set = ways.into_iter().flatten();
    match (set.next(), set.next()) {
        (Some(only), None) => only,
        (None, _) | (Some(_), Some(_)) => Err(errors.add(field, problem)),
    }
}

/// A text in the form that works.
pub(super) fn parsed<T: FromStr<Err: Display>>(text: &str, field: &str, errors: &mut Errors) -> Checked<T> {
    text.parse()
        .map_err(|problem| errors.add(field, format!("{text:?} is {problem}")))
}
