//! The built program, run as the kubelet would.

use harness::program::tied;
use harness::request::{Answer, ask};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// A broker that runs; it ends with the test, and even with the test's thread.
pub(crate) struct Broker {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
    pub startup: Value,
}

/// How to call the program.
pub(crate) fn program() -> Command {
    tied(env!("CARGO_BIN_EXE_vertex-injector-sidecar"))
}

impl Broker {
    /// Starts a broker on ports of the system's choice, with everything that it can log if nothing else is said, and waits until it serves.
    pub(crate) fn start(arguments: &[&str], env: &[(&str, &str)]) -> Self {
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

    /// Starts one that hands out tokens for the credential in a file.
    pub(crate) fn of_credential(file: &Path, more: &[&str]) -> Self {
        let file = file.to_str().expect("UTF-8");
        let arguments = [
            "--mode=metadata",
            "--project=p",
            "--metadata-port=0",
            "--credentials",
            file,
        ];
        Self::start(&[&arguments, more].concat(), &[])
    }

    /// The first event with this message.
    pub(crate) fn wait_for(&mut self, message: &str) -> Value {
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
            harness::process::pause(Duration::from_millis(5));
        }
    }

    /// Everything that was logged.
    pub(crate) fn log(&self) -> String {
        let lines: Vec<_> = self.log.lock().unwrap().iter().map(Value::to_string).collect();
        lines.join("\n")
    }

    /// Where a port listens, by its name in the startup line.
    pub(crate) fn address(&self, port: &str) -> SocketAddr {
        self.startup[port]
            .as_str()
            .expect("a port")
            .parse()
            .expect("an address")
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks the metadata server as its clients do.
    pub(crate) fn metadata(&self, path: &str) -> Answer {
        self.ask(
            "metadata",
            &format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nMetadata-Flavor: Google\r\n\r\n"),
        )
    }

    /// Sends these bytes to a port, and reads until one answer is whole.
    pub(crate) fn ask(&self, port: &str, request: &str) -> Answer {
        ask(self.address(port), request.as_bytes())
    }

    /// Sends a signal and waits for the end: the exit code, and how long it took.
    pub(crate) fn end(mut self, signal: &str) -> (Option<i32>, Duration) {
        let start = Instant::now();
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill").success());
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("its state") {
                return (status.code(), start.elapsed());
            }
            harness::process::pause(Duration::from_millis(2));
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
