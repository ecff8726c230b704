//! The forms that OAuth's endpoints take.

use std::collections::BTreeMap;

use http::StatusCode;

use super::reply::Refusal;
use super::tokens::is_scope;
use super::{Received, header};
use crate::journal::{Record, shown};

const FORM: &str = "application/x-www-form-urlencoded";

/// Field → value.
pub(super) type Form = BTreeMap<String, String>;

/// The form, each of its fields once and known.
///
/// # Errors
///
/// `invalid_request`, naming the field.
pub(super) fn read(request: &Received, known: &[&str]) -> Result<Form, Refusal> {
    if request.parts.uri.query().is_some() {
        return Err(Refusal::invalid_request(
            "Parameters belong into the body, not into the URL.",
        ));
    }
    if request.media_type().as_deref() != Some(FORM) {
        let given = header(&request.parts.headers, "content-type");
        return Err(Refusal::invalid_request(format!(
            "The content type is {}; expected {FORM}.",
            given.as_deref().unwrap_or("missing")
        )));
    }
    let mut form = Form::new();
    for (name, value) in url::form_urlencoded::parse(&request.body) {
        if !known.contains(&name.as_ref()) {
            return Err(Refusal::invalid_request(format!(
                "Unknown parameter {}; known: {}.",
                shown(&name),
                known.join(", ")
            )));
        }
        if form.insert(name.to_string(), value.into_owned()).is_some() {
            return Err(Refusal::invalid_request(format!(
                "Parameter {name} is given more than once."
            )));
        }
    }
    Ok(form)
}

/// Brings the form into the journal, without what is secret.
pub(super) fn record(form: &Form, record: &mut Record) {
    for (name, value) in form {
        let value = match name.as_str() {
            "token" | "subject_token" | "assertion" | "refresh_token" | "client_secret" => {
                format!("({} bytes)", value.len())
            }
            _ => shown(value),
        };
        record.parameters.insert(name.clone(), value.into());
    }
}

/// A field that has to be there.
///
/// # Errors
///
/// `invalid_request` when it is not.
pub(super) fn required<'a>(form: &'a Form, name: &str) -> Result<&'a str, Refusal> {
    match form.get(name).map(String::as_str) {
        Some("") | None => Err(Refusal::invalid_request(format!("Parameter {name} is required."))),
        Some(value) => Ok(value),
    }
}

/// A field that has one value only.
///
/// # Errors
///
/// `invalid_request` when it has another.
pub(super) fn exactly(form: &Form, name: &str, expected: &str) -> Result<(), Refusal> {
    let value = required(form, name)?;
    if value == expected {
        Ok(())
    } else {
        Err(Refusal::invalid_request(format!(
            "{name} is {}; expected {expected}.",
            shown(value)
        )))
    }
}

/// Scopes, separated by single spaces.
///
/// # Errors
///
/// `invalid_scope` when one is not Google's.
pub(super) fn scopes(value: &str) -> Result<Vec<String>, Refusal> {
    let scopes: Vec<String> = value.split(' ').map(str::to_owned).collect();
    match scopes.iter().find(|scope| !is_scope(scope)) {
        None => Ok(scopes),
        Some(scope) => Err(Refusal::oauth(
            StatusCode::BAD_REQUEST,
            "invalid_scope",
            format!("{} is not a scope of Google's.", shown(scope)),
        )),
    }
}
