//! A fake of the Ambient Code platform, as its credential sidecars see it: the control plane that turns an encrypted session into
//! an API token, and the API that turns that into a credential. Plain HTTP, as inside a cluster.

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use clap::Args;
use http::header::{AUTHORIZATION, USER_AGENT};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::journal::{Journal, Outcome, Record, shown};

/// Where the API keeps its credentials.
const CREDENTIALS: &str = "/api/ambient/v1/credentials/";

/// What the fake control plane listens on, and what its credentials are.
#[derive(Debug, Args)]
pub(crate) struct ControlPlaneArguments {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,

    /// Allow an address other than loopback. Only for a network namespace of one's own.
    #[arg(long)]
    allow_non_loopback: bool,

    /// An existing directory that receives public-key.pem and journal.jsonl.
    #[arg(long)]
    directory: PathBuf,

    /// The credentials, as JSON: {"ID": {"provider": "github", "token": "…", "url": "…"}}. Read anew at each request.
    #[arg(long, value_name = "FILE")]
    credentials: PathBuf,
}

/// One run.
#[derive(Debug)]
struct ControlPlane {
    key: OaepPrivateDecryptingKey,
    credentials: PathBuf,
    minted: Mutex<HashSet<String>>,
    journal: Journal,
}

/// What is answered instead: a status and a plain text, as the real ones do.
type Refusal = (StatusCode, &'static str);

/// Makes a key, writes its public half, and describes what to serve.
///
/// # Errors
///
/// When the address is not loopback without leave, or a file cannot be written.
pub(crate) fn router(arguments: ControlPlaneArguments) -> anyhow::Result<Router> {
    let ControlPlaneArguments {
        listen,
        allow_non_loopback,
        directory,
        credentials,
    } = arguments;
    if !listen.ip().is_loopback() && !allow_non_loopback {
        bail!(
            "--listen {listen}: not a loopback address; in a network namespace of its own, say so with --allow-non-loopback"
        );
    }
    let key = PrivateDecryptingKey::generate(KeySize::Rsa4096).context("cannot make a key")?;
    write_public_key(&key, &directory.join("public-key.pem"))?;
    let control_plane = ControlPlane {
        key: OaepPrivateDecryptingKey::new(key).context("cannot use the key")?,
        credentials,
        minted: Mutex::default(),
        journal: Journal::create(&directory.join("journal.jsonl"))?,
    };
    Ok(Router::new().fallback(answer).with_state(Arc::new(control_plane)))
}

async fn answer(State(control_plane): State<Arc<ControlPlane>>, request: Request) -> Response {
    control_plane.answer(&request)
}

fn write_public_key(key: &PrivateDecryptingKey, path: &Path) -> anyhow::Result<()> {
    let der: PublicKeyX509Der<'_> = key.public_key().as_der().context("cannot encode the public key")?;
    let mut pem = "-----BEGIN PUBLIC KEY-----\n".to_owned();
    for (number, character) in BASE64_STANDARD.encode(der.as_ref()).chars().enumerate() {
        if number > 0 && number % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem += "\n-----END PUBLIC KEY-----\n";
    fs::write(path, pem).with_context(|| format!("cannot write {}", path.display()))
}

impl ControlPlane {
    /// Answers a request. Its line is in the journal before the client sees the answer.
    fn answer(&self, request: &Request) -> Response {
        let path = request.uri().path();
        let header = |name| request.headers().get(name)?.to_str().ok();
        let mut record = Record {
            service: "ambient".to_owned(),
            operation: "unknown".to_owned(),
            method: request.method().to_string(),
            path: shown(path),
            user_agent: header(USER_AGENT).map(shown),
            ..Record::default()
        };
        let bearer = header(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        let outcome = if path == "/token" {
            "mint".clone_into(&mut record.operation);
            self.mint(request.method(), bearer, &mut record.parameters)
        } else if let Some(rest) = path.strip_prefix(CREDENTIALS) {
            "credential".clone_into(&mut record.operation);
            self.credential(request.method(), bearer, rest)
        } else {
            Err((StatusCode::NOT_FOUND, "404 page not found"))
        };
        let (status, error) = match &outcome {
            Ok(_) => (StatusCode::OK, None),
            Err((status, text)) => (*status, Some(*text)),
        };
        let written = self.journal.add(
            &record,
            &Outcome {
                status: status.as_u16(),
                error,
                error_description: None,
            },
        );
        if let Err(error) = written {
            // An answer that no test can see in the journal would be a lie.
            eprintln!("vertex-injector-fakes: {error:#}");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        match outcome {
            Ok(body) => axum::Json(body).into_response(),
            Err(refusal) => refusal.into_response(),
        }
    }

    /// `GET /token`: the bearer is the session's name, encrypted with RSA-OAEP (SHA-256 in both places, no label), in base64.
    fn mint(&self, method: &Method, bearer: Option<&str>, shown: &mut Map<String, Value>) -> Result<Value, Refusal> {
        if method != Method::GET {
            return Err((StatusCode::METHOD_NOT_ALLOWED, "method not allowed"));
        }
        let unauthorized = |text| (StatusCode::UNAUTHORIZED, text);
        let bearer = bearer.ok_or(unauthorized("missing bearer token"))?;
        let ciphertext = BASE64_STANDARD
            .decode(bearer)
            .map_err(|_| unauthorized("malformed bearer token"))?;
        let mut buffer = vec![0; self.key.min_output_size()];
        let session = self
            .key
            .decrypt(&OAEP_SHA256_MGF1SHA256, &ciphertext, &mut buffer, None)
            .map_err(|_| unauthorized("decryption failed"))?;
        let session = std::str::from_utf8(session).map_err(|_| unauthorized("decryption failed"))?;
        if session.len() < 8 || session.chars().any(char::is_whitespace) {
            return Err((StatusCode::FORBIDDEN, "invalid session id"));
        }
        shown.insert("session".to_owned(), session.into());
        let failed = (StatusCode::INTERNAL_SERVER_ERROR, "cannot mint a token");
        let mut bytes = [0; 32];
        rand::fill(&mut bytes).map_err(|_| failed)?;
        let token = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        self.minted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(token.clone());
        Ok(json!({"token": token}))
    }

    /// `GET …/{id}/token` and `GET …/{id}`, for tokens that were minted here.
    fn credential(&self, method: &Method, bearer: Option<&str>, rest: &str) -> Result<Value, Refusal> {
        if method != Method::GET {
            return Err((StatusCode::METHOD_NOT_ALLOWED, "method not allowed"));
        }
        let minted = self.minted.lock().unwrap_or_else(PoisonError::into_inner);
        if !bearer.is_some_and(|bearer| minted.contains(bearer)) {
            return Err((StatusCode::UNAUTHORIZED, "unknown token"));
        }
        let (id, wants_token) = match rest.strip_suffix("/token") {
            Some(id) => (id, true),
            None => (rest, false),
        };
        let failed = (StatusCode::INTERNAL_SERVER_ERROR, "cannot read the credentials");
        let text = fs::read(&self.credentials).map_err(|_| failed)?;
        let mut all: Map<String, Value> = serde_json::from_slice(&text).map_err(|_| failed)?;
        let Some(Value::Object(mut credential)) = all.remove(id) else {
            return Err((StatusCode::NOT_FOUND, "no such credential"));
        };
        let token = credential.remove("token").unwrap_or_default();
        let provider = credential.get("provider").cloned().unwrap_or_default();
        Ok(if wants_token {
            json!({"credential_id": id, "provider": provider, "token": token})
        } else {
            credential.insert("id".to_owned(), id.into());
            Value::Object(credential)
        })
    }
}
