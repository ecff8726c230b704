//! The binary as a container runtime sees it: flags, environment, signals, exit codes.

use crate::server::Files;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};

/// A webhook of its own process. The kernel kills it with the thread that has started it, however that ends.
struct Process {
    child: Child,
    log: BufReader<ChildStderr>,
    _files: Files,
}

impl Process {
    fn start(flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let files = Files::new();
        let mut command = Command::new("setpriv");
        command.args([
            "--pdeathsig",
            "KILL",
            "--",
            env!("CARGO_BIN_EXE_vertex-injector"),
            "webhook",
        ]);
        command
            .args(["--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"])
            .args(flags);
        for (flag, file) in [
            ("--policy-dir", "policies"),
            ("--tls-cert-file", "tls.crt"),
            ("--tls-key-file", "tls.key"),
        ] {
            command.arg(flag).arg(files.path(file));
        }
        let mut child = command
            .envs(environment.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            log,
            _files: files,
        }
    }

    /// Waits for the event with this message.
    fn event(&mut self, message: &str) -> Value {
        loop {
            let mut line = String::new();
            assert!(
                self.log.read_line(&mut line).unwrap() > 0,
                "it ended without {message:?}"
            );
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["message"] == message {
                return event;
            }
        }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }
}

#[test]
fn sigterm_drains_and_exits_with_0() {
    let mut webhook = Process::start(&["--drain-seconds=1"], &[]);
    assert!(
        webhook.event("serving")["https"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1:")
    );
    webhook.signal("-TERM");
    assert_eq!(webhook.event("asked to stop; draining")["signal"], "SIGTERM");
    webhook.event("drained");
    assert_eq!(webhook.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut webhook = Process::start(&[], &[("VERTEX_INJECTOR_DRAIN_SECONDS", "3600")]);
    webhook.event("serving");
    webhook.signal("-INT");
    assert_eq!(webhook.event("asked to stop; draining")["signal"], "SIGINT");
    webhook.signal("-INT");
    let code = webhook.child.wait().unwrap().code();
    assert!(code.is_some_and(|code| code != 0), "{code:?}");
}
