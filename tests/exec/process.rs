//! The built program, run as the kubelet would.

use harness::program::tied;
use harness::request::ask;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A wrapper that runs; it ends with the test.
pub(crate) struct Wrapper {
    child: Child,
    written: Arc<Mutex<String>>,
    pub startup: Value,
}

/// How to call the program.
pub(crate) fn program() -> Command {
    tied(env!("CARGO_BIN_EXE_vertex-injector-sidecar"))
}

/// Runs `exec` to its end, which must come within two minutes: a source that is not there yet is waited for.
pub(crate) fn run(arguments: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = tied("timeout");
    command.args([
        "--signal=KILL",
        "120",
        env!("CARGO_BIN_EXE_vertex-injector-sidecar"),
        "exec",
    ]);
    command.args(arguments).envs(env.iter().copied());
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("start the program");
    child.wait_with_output().expect("its end")
}

impl Wrapper {
    /// Starts `exec` with everything that it can log, and waits until it serves.
    pub(crate) fn start(arguments: &[&str], env: &[(&str, &str)]) -> Self {
        Self::start_as(program(), arguments, env)
    }

    /// The same with a command that ends in the program.
    pub(crate) fn start_as(mut command: Command, arguments: &[&str], env: &[(&str, &str)]) -> Self {
        let mut child = command
            .args(["exec", "--log-format", "json", "--log", "trace"])
            .args(arguments)
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start the program");
        let written: Arc<Mutex<String>> = Arc::default();
        collect(child.stdout.take().expect("a pipe"), &written);
        collect(child.stderr.take().expect("a pipe"), &written);
        let mut wrapper = Self {
            child,
            written,
            startup: Value::Null,
        };
        wrapper.startup = wrapper.wait_for("serving");
        wrapper
    }

    /// The first event with this message.
    pub(crate) fn wait_for(&mut self, message: &str) -> Value {
        self.wait_for_nth(message, 0)
    }

    /// The event with this message that has `before` such events before it.
    pub(crate) fn wait_for_nth(&mut self, message: &str, before: usize) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let events = self.output();
            let event = events
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok())
                .filter(|event| event["message"] == message)
                .nth(before);
            if let Some(event) = event {
                return event;
            }
            let ended = self.child.try_wait().expect("its state");
            assert!(
                ended.is_none() && Instant::now() < end,
                "no {message:?}, {ended:?}: {events}"
            );
            harness::process::pause(Duration::from_millis(5));
        }
    }

    /// How many events have this message.
    pub(crate) fn count(&self, message: &str) -> usize {
        self.output()
            .lines()
            .filter(|line| line.contains(&format!("\"message\":\"{message}\"")))
            .count()
    }

    /// Everything that it and its child have written to standard output and standard error.
    pub(crate) fn output(&self) -> String {
        self.written.lock().unwrap().clone()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn control(&self) -> SocketAddr {
        self.startup["control"]
            .as_str()
            .expect("a control listener")
            .parse()
            .expect("an address")
    }

    /// The status and body of an answer of the control listener.
    pub(crate) fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let address = self.control();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let answer = ask(address, request.as_bytes());
        (answer.status, answer.body)
    }

    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &self.id().to_string()])
            .status();
        assert!(sent.expect("kill").success());
    }

    /// Waits for its end: the exit code, and how long it took.
    pub(crate) fn ended(&mut self) -> (Option<i32>, Duration) {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("its state") {
                return (status.code(), start.elapsed());
            }
            harness::process::pause(Duration::from_millis(2));
        }
        panic!("it does not end: {}", self.output());
    }
}

impl Drop for Wrapper {
    fn drop(&mut self) {
        // Its child goes with it only if it is asked.
        let _ = Command::new("kill")
            .arg(self.id().to_string())
            .stderr(Stdio::null())
            .status();
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            harness::process::pause(Duration::from_millis(2));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(pipe: impl Read + Send + 'static, written: &Arc<Mutex<String>>) {
    let written = Arc::clone(written);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut written = written.lock().unwrap();
            written.push_str(&line);
            written.push('\n');
        }
    });
}

/// A directory of a test, with its files.
pub(crate) struct Directory(tempfile::TempDir);

impl Directory {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        // Replaced at once: the wrapper may be reading.
        fs::write(self.path(".new"), text).expect("write");
        fs::rename(self.path(".new"), &path).expect("rename");
        path
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Waits until a file holds a text.
    pub(crate) fn wait_for(&self, name: &str, text: &str) {
        let end = Instant::now() + PATIENCE;
        while self.read(name) != text {
            assert!(Instant::now() < end, "{name} holds {:?}, not {text:?}", self.read(name));
            harness::process::pause(Duration::from_millis(5));
        }
    }
}

/// Processes that the program started and that are still there, zombies included.
pub(crate) fn children(process: u32) -> Vec<PathBuf> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    children
        .split_whitespace()
        .map(|id| Path::new("/proc").join(id))
        .collect()
}
