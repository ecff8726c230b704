//! What counts as an answer of a token service.

use super::{Hop, TokenError};
use http::StatusCode;
use serde_json::{Value, json};
use vertex_injector_net::secret::Secret;
use vertex_injector_net::upstream::{Answer, Unanswered};

/// A successful answer: one with a token and an error is none. 4xx other than 408 and 429 is a refusal; everything else may pass.
/// `sent` are the secrets of the request, which a badly behaved service might repeat.
pub(super) fn answered(hop: Hop, answer: Result<Answer, Unanswered>, sent: &[&Secret]) -> Result<Answer, TokenError> {
    let answer = answer.map_err(|error| TokenError::passing(hop, error.to_string()))?;
    // Nothing else is whole: 206 is a part, and 202 a promise.
    let whole = answer.status == StatusCode::OK;
    if whole && !has_error(&answer.body) {
        return Ok(answer);
    }
    let status = answer.status.as_u16();
    let detail = match description(&answer.body) {
        Some(text) => {
            let text = sent
                .iter()
                .fold(text, |text, secret| text.replace(secret.expose(), "[redacted]"));
            format!("status {status}: {text}")
        }
        None => format!("status {status}, {} bytes", answer.body.len()),
    };
    let refused = answer.status.is_client_error() && !matches!(status, 408 | 429);
    Err(if refused {
        TokenError::refused(hop, detail)
    } else {
        TokenError::passing(hop, detail)
    })
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
