//! The subject token of an `external_account`: from a file or from a URL, as text or as a field of JSON (AIP-4117).

use super::super::credentials::{ExternalAccount, Subject};
use super::answer::answered;
use super::{Hop, TokenError};
use serde_json::Value;
use std::io::ErrorKind;
use std::path::Path;
use tokio::io::AsyncReadExt;
use vertex_injector_net::secret::Secret;
use vertex_injector_net::upstream::Upstream;
use zeroize::Zeroizing;

/// Most bytes of a subject token, and of what it stands in.
const MAX_TOKEN: usize = 64 * 1024;

/// The token, fetched anew at every exchange because it lives shortly, and trimmed.
///
/// # Errors
/// When there is none, and why.
pub async fn read(account: &ExternalAccount, upstream: &Upstream) -> Result<Secret, TokenError> {
    let (hop, whence, text) = match &account.subject {
        Subject::File(path) => {
            let whence = "the subject token's file";
            let text = of_file(path).await;
            let failed = |problem| TokenError::passing(Hop::TokenFile, format!("{whence} {problem}"));
            (Hop::TokenFile, whence, text.map_err(failed)?)
        }
        Subject::Url { url, headers } => {
            let hop = Hop::TokenUrl;
            // Whole, and without `Bearer`.
            let values = headers.iter().map(|(_, value)| value);
            let words = values.clone().filter_map(|value| value.expose().split_once(' '));
            let words: Vec<Secret> = words.map(|(_, word)| Secret::new(word)).collect();
            let secrets: Vec<&Secret> = values
                .chain(&words)
                .filter(|secret| !secret.expose().is_empty())
                .collect();
            let answer = answered(hop, upstream.get_with(url, headers).await, &secrets)?;
            // JSON tells by itself whether it is whole.
            if account.token_field.is_none() && !answer.has_end {
                return Err(TokenError::passing(hop, "the answer does not say where it ends"));
            }
            let text = std::str::from_utf8(&answer.body).map(|text| Zeroizing::new(text.to_owned()));
            let text = text.map_err(|_| TokenError::passing(hop, "the answer is not text"))?;
            (hop, "the answer", text)
        }
    };
    token(&text, account.token_field.as_deref())
        .map_err(|problem| TokenError::passing(hop, format!("{whence} {problem}")))
}

async fn of_file(path: &Path) -> Result<Zeroizing<String>, &'static str> {
    let file = tokio::fs::File::open(path).await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => "does not exist",
        ErrorKind::PermissionDenied => "may not be read",
        _ => "cannot be read",
    })?;
    let mut text = Zeroizing::new(String::new());
    let limit = MAX_TOKEN as u64 + 1;
    let read = file.take(limit).read_to_string(&mut text).await;
    read.map_err(|_| "cannot be read as text")?;
    Ok(text)
}

/// The token in a text; the end of a sentence when there is none.
fn token(text: &str, field: Option<&str>) -> Result<Secret, &'static str> {
    if text.len() > MAX_TOKEN {
        return Err("is longer than any token");
    }
    let token = match field {
        None => text.trim().to_owned(),
        Some(field) => {
            let json: Value = serde_json::from_str(text).map_err(|_| "is not JSON")?;
            let token = json.get(field).and_then(Value::as_str);
            let token = token.ok_or("lacks the field that subject_token_field_name names")?;
            token.trim().to_owned()
        }
    };
    if token.is_empty() {
        return Err("is empty");
    }
    Ok(Secret::new(token))
}
