//! A Google on TLS of its own: token services and Vertex AI by path, which answer as told, and repeat in every complaint the secrets
//! that they were sent.

use crate::CANARY;
use harness::tls;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Status and body.
pub(crate) type Answer = (u16, Value);

/// What each service answers.
#[derive(Clone)]
pub(crate) struct Answers {
    pub sts: Answer,
    pub iam: Answer,
    pub vertex: Answer,
    /// How many seconds its clock is behind.
    pub behind: i64,
}

impl Default for Answers {
    fn default() -> Self {
        let end = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(1800);
        let expires = end.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let access = format!("{CANARY}-access");
        Self {
            sts: (
                200,
                json!({"access_token": access, "expires_in": 3599, "token_type": "Bearer"}),
            ),
            iam: (200, json!({"accessToken": access, "expireTime": expires})),
            vertex: (200, json!({"type": "message", "content": CANARY})),
            behind: 0,
        }
    }
}

/// An error of OAuth's.
pub(crate) fn oauth(status: u16, code: &str, words: &str) -> Answer {
    (status, json!({"error": code, "error_description": words}))
}

/// An error of an API of Google's (AIP-193).
pub(crate) fn api(status: u16, code: &str, reason: &str, words: &str) -> Answer {
    let details =
        json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}]);
    (
        status,
        json!({"error": {"code": status, "message": words, "status": code, "details": details}}),
    )
}

/// Serves `localhost` and `vertex.example.com` until the test's process ends.
pub(crate) struct Google {
    pub address: SocketAddr,
    pub answers: Arc<Mutex<Answers>>,
}

impl Google {
    pub(crate) fn start(ca: &Path) -> Self {
        let config = tls::localhost(ca, "http/1.1");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answers: Arc<Mutex<Answers>> = Arc::default();
        let told = Arc::clone(&answers);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (config, told) = (Arc::clone(&config), Arc::clone(&told));
                // Who breaks off has seen enough.
                std::thread::spawn(move || serve(stream, config, &told));
            }
        });
        Self { address, answers }
    }
}

fn serve(stream: TcpStream, config: Arc<ServerConfig>, told: &Mutex<Answers>) -> Option<()> {
    let mut stream = StreamOwned::new(ServerConnection::new(config).ok()?, stream);
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        more(&mut stream, &mut bytes)?;
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |text| text.parse().unwrap());
    while bytes.len() < end + length {
        more(&mut stream, &mut bytes)?;
    }
    let sent = String::from_utf8_lossy(&bytes[end..]).into_owned();
    let answers = told.lock().unwrap().clone();
    let (status, mut body) = if head.contains("/v1/token ") {
        answers.sts
    } else if head.contains(":generateAccessToken ") {
        answers.iam
    } else {
        answers.vertex
    };
    repeat(&mut body, &head, &sent);
    let body = match body {
        Value::String(text) => text,
        body => body.to_string(),
    };
    let now = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(answers.behind);
    let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT");
    let answer = format!(
        "HTTP/1.1 {status} Said\r\ndate: {date}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()
}

fn more(stream: &mut impl Read, bytes: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 4096];
    let read = stream.read(&mut buffer).ok()?;
    bytes.extend_from_slice(&buffer[..read]);
    (read > 0).then_some(())
}

/// Puts the secrets of a request into the words of the answer.
fn repeat(body: &mut Value, head: &str, sent: &str) {
    let bearer = head
        .lines()
        .find_map(|line| line.strip_prefix("authorization: Bearer "))
        .unwrap_or_default();
    let subject = sent
        .split('&')
        .find_map(|field| field.strip_prefix("subject_token="))
        .unwrap_or_default();
    for words in ["/error_description", "/error/message"] {
        if let Some(Value::String(text)) = body.pointer_mut(words) {
            text.push_str(&format!(" [{bearer}{subject}]"));
        }
    }
}
