//! A Google that answers by script: over memory, so that time can be paused, or over loopback, for the built program.

use http::Uri;
use hyper_util::client::legacy::connect::{Connect, Connected, Connection};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use vertex_injector_net::upstream::Upstream;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The request line.
    pub line: String,
    /// Request line and headers.
    pub head: String,
    /// What `Content-Length` counts.
    pub body: String,
}

impl Seen {
    /// A field of a form.
    pub fn field(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.body.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a body of JSON")
    }
}

/// What the script makes Google do.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Status and JSON.
    Json(u16, Value),
    /// Exactly these bytes, then the end.
    Raw(Vec<u8>),
    /// JSON after a time.
    Late(Duration, Value),
    /// Nothing, ever.
    Hang,
}

/// A token in OAuth's shape.
pub fn token(text: &str, seconds: u64) -> Reply {
    Reply::Json(
        200,
        json!({"access_token": text, "expires_in": seconds, "token_type": "Bearer"}),
    )
}

type Script = Box<dyn FnMut(&Seen) -> Reply + Send>;

/// The script and what it has seen.
#[derive(Clone)]
pub struct Google {
    script: Arc<Mutex<Script>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Google {
    /// Answers by this script.
    pub fn new(script: impl FnMut(&Seen) -> Reply + Send + 'static) -> Self {
        Self {
            script: Arc::new(Mutex::new(Box::new(script))),
            seen: Arc::default(),
        }
    }

    /// Answers everything alike.
    pub fn always(reply: Reply) -> Self {
        Self::new(move |_| reply.clone())
    }

    /// From now on another script.
    pub fn becomes(&self, script: impl FnMut(&Seen) -> Reply + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// A client that reaches this Google, and nothing else, through memory.
    pub fn upstream(&self) -> Upstream {
        Upstream::new(self.transport())
    }

    /// Connections to this Google, whatever the address.
    pub fn transport(&self) -> impl Connect + Clone + Send + Sync + 'static {
        let google = self.clone();
        tower::service_fn(move |_: Uri| {
            let (near, far) = tokio::io::duplex(1024 * 1024);
            tokio::spawn(google.clone().serve(far));
            std::future::ready(Ok::<_, Infallible>(TokioIo::new(Wire(near))))
        })
    }

    /// Listens on loopback until the test's process ends.
    pub fn listen(&self) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        listener.set_nonblocking(true).expect("non-blocking");
        let google = self.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(google.clone().serve(stream));
                }
            });
        });
        address
    }

    async fn serve(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Some(seen) = receive(&mut stream).await else { return };
        let reply = (self.script.lock().unwrap())(&seen);
        self.seen.lock().unwrap().push(seen);
        let bytes = match reply {
            Reply::Json(status, body) => whole(status, &body),
            Reply::Raw(bytes) => bytes,
            Reply::Late(time, body) => {
                tokio::time::sleep(time).await;
                whole(200, &body)
            }
            Reply::Hang => {
                std::future::pending::<()>().await;
                Vec::new()
            }
        };
        // The client may have lost its patience.
        let _ = stream.write_all(&bytes).await;
        let _ = stream.shutdown().await;
    }
}

fn whole(status: u16, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).expect("a head of text");
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().expect("a length"));
    while bytes.len() < end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let line = head.lines().next()?.to_owned();
    let body = String::from_utf8(bytes[end..].to_vec()).expect("a body of text");
    Some(Seen { line, head, body })
}

/// A pipe in memory that hyper takes for a connection.
struct Wire(DuplexStream);

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
