//! What was asked and what was answered, one line of JSON each, for tests to read.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

/// The longest value of a request that is shown, in bytes.
const LONGEST_SHOWN: usize = 300;

/// The journal of one run. Lines are whole and in the order of the answers.
#[derive(Debug)]
pub(crate) struct Journal {
    file: Mutex<File>,
}

/// What one request becomes in the journal. Never a token, neither a subject's nor one of ours.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Record {
    /// `sts`, `iamcredentials`, `aiplatform`, or the host of a service that is not played here.
    pub service: String,
    /// `token`, `introspect`, `generateAccessToken`, `allowedLocations`, the verb of a model call, or `unknown`.
    pub operation: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: String,
    /// The HTTP method.
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// The client's own name for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// Google clients say here which kind of credentials they use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_client: Option<String>,
    /// The names of all its headers, in alphabetical order.
    pub headers: Vec<String>,
    /// What the request said, as far as it is no secret.
    pub parameters: Map<String, Value>,
    /// The claims of the subject token, once its signature verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claims: Option<Value>,
    /// Whom an issued or presented token stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The fingerprint of the issued token: SHA-256 in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_sha256: Option<String>,
    /// The fingerprint of the bearer token that came with the request, whoever issued it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_sha256: Option<String>,
}

/// How a request ended.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The error's code, when it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
    /// The error's text, when it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_description: Option<&'a str>,
}

impl Journal {
    /// Starts an empty journal.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub(crate) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot write the journal {}", path.display()))?;
        Ok(Self { file: Mutex::new(file) })
    }

    /// Adds a line.
    ///
    /// # Errors
    ///
    /// When the line cannot be written.
    pub(crate) fn add(&self, record: &Record, outcome: &Outcome<'_>) -> anyhow::Result<()> {
        #[derive(Serialize)]
        struct Line<'a> {
            time: Timestamp,
            #[serde(flatten)]
            record: &'a Record,
            #[serde(flatten)]
            outcome: &'a Outcome<'a>,
        }
        let mut line = serde_json::to_vec(&Line {
            time: Timestamp::now(),
            record,
            outcome,
        })
        .context("cannot encode a line of the journal")?;
        line.push(b'\n');
        self.file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write_all(&line)
            .context("cannot write to the journal")
    }
}

/// `value` as it may be shown: a client that puts a token where something else belongs must not
/// find it in the journal or in an error.
pub(crate) fn shown(value: &str) -> String {
    let printable = value.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    let looks_secret = value.contains("eyJ") || value.contains("ya29.");
    if value.len() > LONGEST_SHOWN || !printable || looks_secret {
        format!("({} bytes, not shown)", value.len())
    } else {
        value.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_plain_value_is_shown_as_it_is() {
        assert_eq!(shown("//iam.googleapis.com/x y"), "//iam.googleapis.com/x y");
    }

    #[test]
    fn tokens_control_characters_and_long_values_are_never_shown() {
        assert_eq!(shown("eyJhbGciOiJSUzI1NiJ9.e30.c2ln"), "(29 bytes, not shown)");
        assert_eq!(shown("Bearer ya29.secret"), "(18 bytes, not shown)");
        assert_eq!(shown("a\nb"), "(3 bytes, not shown)");
        assert_eq!(shown(&"x".repeat(301)), "(301 bytes, not shown)");
    }
}
