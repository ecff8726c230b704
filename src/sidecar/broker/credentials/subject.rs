//! `credential_source`: where the subject token of an `external_account` comes from.

use super::fields::{BadCredentials, File};
use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use serde_json::Value;
use std::path::PathBuf;
use vertex_injector_core::endpoint::Endpoint;
use vertex_injector_net::secret::Secret;

/// Most entries of `credential_source.headers`.
const MAX_HEADERS: usize = 16;

/// `credential_source`.
#[derive(Debug)]
pub enum Subject {
    /// A file, as the kubelet keeps one fresh.
    File(PathBuf),
    /// A service that is asked with GET, as CI platforms have one for their jobs.
    Url {
        /// Where it is asked.
        url: Endpoint,
        /// What is sent along: mostly a bearer token.
        headers: Vec<(HeaderName, Secret)>,
    },
}

impl Subject {
    /// Whether what leads to it is a secret, too.
    pub(super) fn has_secrets(&self) -> bool {
        match self {
            Self::File(_) => false,
            Self::Url { headers, .. } => !headers.is_empty(),
        }
    }

    /// The source that a file names.
    ///
    /// # Errors
    /// Names the field that cannot be used.
    pub(super) fn of(source: &File<'_>) -> Result<Self, BadCredentials> {
        for other in ["environment_id", "executable", "certificate"] {
            if source.fields.contains_key(other) {
                return Err(source.bad(
                    other,
                    "is not supported: the subject token must come from credential_source.file or credential_source.url",
                ));
            }
        }
        let Some(url) = source.optional("url")? else {
            return source.text("file").map(|path| Self::File(path.into()));
        };
        if source.fields.contains_key("file") {
            return Err(source.bad("url", "stands beside file; give one of them"));
        }
        Ok(Self::Url {
            url: Endpoint::with_query(url).map_err(|problem| source.bad("url", problem))?,
            headers: headers(source)?,
        })
    }
}

/// `credential_source.headers`: no more than people write, and none that the client writes itself.
fn headers(source: &File<'_>) -> Result<Vec<(HeaderName, Secret)>, BadCredentials> {
    let own = [
        HOST,
        CONTENT_LENGTH,
        TRANSFER_ENCODING,
        CONNECTION,
        UPGRADE,
        TE,
        TRAILER,
        EXPECT,
    ];
    if matches!(source.fields.get("headers"), None | Some(Value::Null)) {
        return Ok(Vec::new());
    }
    let object = source.object("headers")?;
    if object.fields.len() > MAX_HEADERS {
        return Err(source.bad("headers", "has more than 16 entries"));
    }
    let mut headers = Vec::new();
    for field in object.fields.keys() {
        // The key may be anything, a secret by mistake, too.
        let name = HeaderName::from_bytes(field.as_bytes());
        let name = name.map_err(|_| source.bad("headers", "has a key that is no header's name"))?;
        if own.contains(&name) {
            return Err(object.bad(field, "is a header that the client writes itself"));
        }
        let value = object
            .optional(field)?
            .filter(|value| HeaderValue::from_str(value).is_ok());
        let value = value.ok_or_else(|| object.bad(field, "is not a string that a header can carry"))?;
        headers.push((name, Secret::new(value)));
    }
    Ok(headers)
}
