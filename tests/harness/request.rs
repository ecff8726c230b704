//! Plain requests, written as they go over the wire.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take: it may need three attempts upstream.
const PATIENCE: Duration = Duration::from_mins(1);

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// What `Content-Length` counts.
    pub body: String,
}

impl Answer {
    /// The value of a header, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = |line: &&str| {
            line.get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        self.head
            .lines()
            .find(found)
            .and_then(|line| line.split_once(": "))
            .map(|(_, value)| value)
    }
}

/// Sends bytes and reads until one answer is whole, or the connection ends.
pub fn ask(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    // It may answer and close before it has read everything.
    let _ = stream.write_all(request);
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        if let Some(answer) = whole(&bytes) {
            return answer;
        }
        let read = stream
            .read(&mut buffer)
            .unwrap_or_else(|error| panic!("{error} after {:?}", text(&bytes)));
        assert!(read > 0, "the connection ended after {:?}", text(&bytes));
        bytes.extend_from_slice(&buffer[..read]);
    }
}

fn whole(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = text(&bytes[..end]);
    let status = head.split(' ').nth(1)?.parse().expect("a status");
    let mut answer = Answer {
        status,
        body: String::new(),
        head,
    };
    let length: usize = answer
        .header("content-length")
        .map_or(0, |length| length.parse().expect("a length"));
    let body = bytes.get(end..end + length)?;
    answer.body = text(body);
    Some(answer)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
