//! A Vertex AI that does what a test says, down to the byte and the moment, and a broker in mode proxy before it.

use super::credentials::external_account;
use super::exchange::{Directory, reading};
use super::process::Broker;
use harness::request::Answer;
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Where the calls of most tests go.
pub(crate) const MODELS: &str = "/v1/projects/my-project/locations/us-east5/publishers/anthropic/models";
/// The same for Gemini.
pub(crate) const GEMINI: &str = "/v1beta1/projects/my-project/locations/us-east5/publishers/google/models";
/// The token that no one but Vertex AI may see.
pub(crate) const CANARY: &str = "canary-access-token";

const PATIENCE: Duration = Duration::from_secs(20);

/// A request as it arrived at Vertex AI.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub target: String,
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &str| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value.len())
        };
        let line = self.head.lines().find(|line| named(line).is_some())?;
        line.split_once(": ").map(|(_, value)| value)
    }
}

/// The scripted service. It answers what is left of a connection after `play`, and closes it.
#[derive(Clone)]
pub(crate) struct Vertex {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Vertex {
    /// `play` gets the connection when a request is whole. Tokens are handed out besides.
    pub(crate) fn new(play: impl Fn(&mut TcpStream, &Seen) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (recorded, play) = (Arc::clone(&seen), Arc::new(play));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (recorded, play) = (Arc::clone(&recorded), Arc::clone(&play));
                std::thread::spawn(move || serve(stream, &recorded, &*play));
            }
        });
        Self { address, seen }
    }

    /// Answers every call with this.
    pub(crate) fn always(status: u16, headers: &str, body: &str) -> Self {
        let bytes = whole(status, headers, body);
        Self::new(move |stream, _| {
            let _ = stream.write_all(&bytes);
        })
    }

    /// All calls of models so far.
    pub(crate) fn calls(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// A broker before it, with everything that it can log; `arguments` come on top of a usual set.
    pub(crate) fn broker(&self, arguments: &[&str]) -> Broker {
        self.broker_with(arguments, &[])
    }

    /// The same with more variables.
    pub(crate) fn broker_with(&self, arguments: &[&str], env: &[(&str, &str)]) -> Broker {
        let directory = Directory::new(&format!("proxy-{}", self.address.port()));
        let mut file = reading(external_account(), &directory.file("subject", "canary-subject-token"));
        file["token_url"] = json!(format!("http://{}/v1/token", self.address));
        let endpoint = format!("--vertex-endpoint=http://{}", self.address);
        let mut all = vec![
            "--mode=proxy",
            "--project=my-project",
            "--metadata-port=0",
            "--proxy-port=0",
        ];
        for default in [
            endpoint.as_str(),
            "--regions=us-east5",
            "--models=claude-*,gemini-*",
            "--metrics-listen=127.0.0.1:0",
        ] {
            let flag = default.split('=').next().unwrap();
            if !arguments.iter().any(|argument| argument.starts_with(flag)) {
                all.push(default);
            }
        }
        all.extend(arguments);
        // The file is read at start; the subject token's stays as long as the directory, which is the process's.
        let file = file.to_string();
        let mut variables = vec![("VERTEX_INJECTOR_CREDENTIALS_JSON", file.as_str())];
        variables.extend(env);
        let broker = Broker::start(&all, &variables);
        std::mem::forget(directory);
        broker
    }
}

/// An answer with a length, after which the connection ends.
pub(crate) fn whole(status: u16, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} Scripted\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
        .into_bytes()
}

/// A piece of a chunked body.
pub(crate) fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// The head of a chunked answer.
pub(crate) const EVENTS: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Seen>>, play: &dyn Fn(&mut TcpStream, &Seen)) {
    let Some(request) = receive(&stream) else { return };
    if request.target == "/v1/token" {
        let token = json!({"access_token": CANARY, "expires_in": 3599, "token_type": "Bearer"});
        let _ = stream.write_all(&whole(200, "content-type: application/json\r\n", &token.to_string()));
        return;
    }
    seen.lock().unwrap().push(request.clone());
    play(&mut stream, &request);
}

fn receive(stream: &TcpStream) -> Option<Seen> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let target = head.split(' ').nth(1)?.to_owned();
    let mut seen = Seen {
        target,
        head,
        body: Vec::new(),
    };
    let length = seen
        .header("content-length")
        .map_or(0, |length| length.parse().expect("a length"));
    seen.body = vec![0; length];
    reader.read_exact(&mut seen.body).ok()?;
    Some(seen)
}

/// The bytes of a call with a JSON body.
pub(crate) fn post(target: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = format!(
        "POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Calls a model through a broker, and reads the answer, which has a length.
pub(crate) fn call(broker: &Broker, target: &str, headers: &str, body: impl AsRef<[u8]>) -> Answer {
    harness::request::ask(broker.address("proxy"), &post(target, headers, body))
}

/// A connection to the proxy, with this sent.
pub(crate) fn connect(broker: &Broker, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(broker.address("proxy")).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_nodelay(true).expect("no delay");
    // It may answer and close before it has read everything.
    let _ = stream.write_all(bytes);
    stream
}

/// Reads until this text has come.
pub(crate) fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut got = Vec::new();
    let mut buffer = [0; 16 * 1024];
    while !String::from_utf8_lossy(&got).contains(text) {
        let read = stream.read(&mut buffer).expect("more to read");
        assert!(
            read > 0,
            "the end came before {text:?}: {:?}",
            String::from_utf8_lossy(&got)
        );
        got.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8(got).expect("text")
}
