//! The built program, run as the kubelet would, and plain requests to it.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// A broker that runs; it ends with the test, and even with the test's thread.
pub struct Broker {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
    pub startup: Value,
}

/// How to call the program.
pub fn program() -> Command {
    // The kernel kills it when the thread that started it is gone, however that went.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", env!("CARGO_BIN_EXE_vertex-injector")]);
    for (name, _) in std::env::vars() {
        if name.starts_with("VERTEX_INJECTOR_") || name.to_ascii_uppercase().ends_with("_PROXY") {
            command.env_remove(name);
        }
    }
    command
}

impl Broker {
    /// Starts a broker on ports of the system's choice, with everything that it can log if nothing else is said, and waits until it serves.
    pub fn start(arguments: &[&str], env: &[(&str, &str)]) -> Self {
        let mut child = program()
            .args(["broker", "--log-format", "json"])
            .args(arguments)
            .env("VERTEX_INJECTOR_LOG", "trace")
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start the broker");
        let log: Arc<Mutex<Vec<Value>>> = Arc::default();
        let lines = BufReader::new(child.stderr.take().expect("a pipe"));
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                written.lock().unwrap().push(line);
            }
        });
        let mut broker = Self {
            child,
            log,
            startup: Value::Null,
        };
        broker.startup = broker.wait_for("serving");
        broker
    }

    /// The first event with this message.
    pub fn wait_for(&mut self, message: &str) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(event) = self
                .log
                .lock()
                .unwrap()
                .iter()
                .find(|event| event["message"] == message)
            {
                return event.clone();
            }
            let ended = self.child.try_wait().expect("its state");
            assert!(
                ended.is_none() && Instant::now() < end,
                "no {message:?}, {ended:?}: {:#?}",
                self.log
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Everything that was logged.
    pub fn log(&self) -> String {
        let lines: Vec<_> = self.log.lock().unwrap().iter().map(Value::to_string).collect();
        lines.join("\n")
    }

    /// Where a port listens, by its name in the startup line.
    pub fn address(&self, port: &str) -> SocketAddr {
        self.startup[port]
            .as_str()
            .expect("a port")
            .parse()
            .expect("an address")
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks the metadata server as its clients do.
    pub fn metadata(&self, path: &str) -> Answer {
        self.ask(
            "metadata",
            &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nMetadata-Flavor: Google\r\n\r\n"),
        )
    }

    /// Sends these bytes to a port, and reads until one answer is whole.
    pub fn ask(&self, port: &str, request: &str) -> Answer {
        ask(self.address(port), request.as_bytes())
    }

    /// Sends a signal and waits for the end: the exit code, and how long it took.
    pub fn end(mut self, signal: &str) -> (Option<i32>, Duration) {
        let start = Instant::now();
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill").success());
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("its state") {
                return (status.code(), start.elapsed());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("it ignores {signal}");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
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
