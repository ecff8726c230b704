//! The webhook as a container runtime sees it: flags, environment, signals, exit codes.

use super::{Files, TEAM_POLICY};
use harness::program::tied;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command, Stdio};

/// A webhook of its own process.
struct Process {
    child: Child,
    log: BufReader<ChildStderr>,
    _files: Files,
}

impl Process {
    fn start(flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = Files::new(&[
            ("policy.yaml", TEAM_POLICY),
            ("tls.crt", &cert.pem()),
            ("tls.key", &signing_key.serialize_pem()),
        ]);
        let mut child = tied(env!("CARGO_BIN_EXE_vertex-injector"))
            .args(["webhook", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"])
            .args(["--policy-dir", &files.path("")])
            .args(["--tls-cert-file", &files.path("tls.crt")])
            .args(["--tls-key-file", &files.path("tls.key")])
            .args(flags)
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
