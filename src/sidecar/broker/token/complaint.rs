//! What an answer complains of: its codes, and its words.

use super::words::clean;
use http::StatusCode;
use serde_json::{Value, json};
use vertex_injector_net::secret::Secret;
use vertex_injector_net::upstream::Answer;

/// What a service answered that gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The status.
    pub status: u16,
    /// OAuth's `error`, or the name of `google.rpc.Code`.
    pub code: Option<String>,
    /// `reason` of Google's `ErrorInfo`.
    pub reason: Option<String>,
}

/// The same with its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// What programs read.
    pub said: Said,
    /// What people read: one line, capped and without tokens.
    pub words: String,
}

impl Complaint {
    /// What an answer complains of; `None` when it is whole: one with a token and an error is not. `sent` are the secrets of the
    /// request, which a badly behaved service might repeat.
    pub fn of(answer: &Answer, sent: &[&Secret]) -> Option<Self> {
        // Nothing else is whole: 206 is a part, and 202 a promise.
        let whole = answer.status == StatusCode::OK;
        if whole && !has_error(&answer.body) {
            return None;
        }
        let status = answer.status.as_u16();
        let words = match description(&answer.body) {
            Some(text) => {
                let text = sent
                    .iter()
                    .fold(text, |text, secret| text.replace(secret.expose(), "[redacted]"));
                format!("status {status}: {text}")
            }
            None => format!("status {status}, {} bytes", answer.body.len()),
        };
        Some(Self {
            said: Said::of(status, &answer.body),
            words: clean(&words),
        })
    }
}

impl Said {
    fn of(status: u16, body: &[u8]) -> Self {
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let name = |value: Option<&Value>| {
            let known = |b: u8| b.is_ascii_alphabetic() || b == b'_';
            let name = value.and_then(Value::as_str);
            name.filter(|name| (1..=64).contains(&name.len()) && name.bytes().all(known))
                .map(str::to_owned)
        };
        let details = json.pointer("/error/details").and_then(Value::as_array);
        let mut reasons = details.into_iter().flatten().map(|detail| name(detail.get("reason")));
        Self {
            status,
            code: name(json.get("error")).or_else(|| name(json.pointer("/error/status"))),
            reason: reasons.find_map(|reason| reason),
        }
    }
}

/// Whether an answer tells an error, whatever else it holds.
fn has_error(body: &[u8]) -> bool {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let error = json.as_ref().and_then(|json| json.get("error"));
    error.is_some_and(|error| !error.is_null() && *error != json!("") && *error != json!(false))
}

/// Google's explanation: `error_description` of OAuth, `error.message` of other APIs.
fn description(body: &[u8]) -> Option<String> {
    let json: Value = serde_json::from_slice(body).ok()?;
    let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str);
    match (text("/error"), text("/error_description"), text("/error/message")) {
        (Some(code), Some(description), _) => Some(format!("{code}: {description}")),
        (Some(code), None, _) => Some(code.to_owned()),
        (None, _, Some(message)) => Some(message.to_owned()),
        _ => None,
    }
}
