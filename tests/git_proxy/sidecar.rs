//! The built program as a sidecar: `vertex-injector exec` with a git proxy, around a server that does nothing.

use super::forge::Forge;
use super::program::program;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// A sidecar that runs until it is dropped, or the test's thread ends.
pub struct Sidecar {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
    credential: PathBuf,
    port: u16,
}

impl Sidecar {
    /// A sidecar for a host, with these rules and this JSON as its credential; none when it is empty.
    pub fn start(directory: &Path, forge: &Forge, rules: &[&str], credential: &str) -> Self {
        let secrets = directory.join("sidecar");
        fs::create_dir_all(&secrets).expect("a directory");
        let credential_file = secrets.join("credential.json");
        if !credential.is_empty() {
            fs::write(&credential_file, credential).expect("a credential");
        }
        let mut command = program();
        command.args(["exec", "--log-format", "json", "--log", "trace"]);
        command
            .arg("--source")
            .arg(format!("file:{}", credential_file.display()));
        command.args(["--control-port", "0", "--git-port", "0", "--git-host", &forge.host()]);
        for rule in rules {
            command.arg("--git-allow").arg(format!("{}/{rule}", forge.host()));
        }
        let mut child = command
            .args(["--", "sleep", "3600"])
            .env("SSL_CERT_FILE", forge.ca())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start the sidecar");
        let log: Arc<Mutex<Vec<Value>>> = Arc::default();
        let lines = BufReader::new(child.stderr.take().expect("a pipe"));
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                written.lock().unwrap().push(line);
            }
        });
        let mut sidecar = Self {
            child,
            log,
            credential: credential_file,
            port: 0,
        };
        let serving = sidecar.wait_for(|event| event["git"].is_string());
        let address = serving["git"].as_str().expect("an address");
        sidecar.port = address.rsplit(':').next().expect("a port").parse().expect("a number");
        sidecar
    }

    /// The proxy's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Replaces the credential, as a rotation does.
    pub fn rotate(&self, credential: &str) {
        let new = self.credential.with_extension("new");
        fs::write(&new, credential).expect("a credential");
        fs::rename(&new, &self.credential).expect("in its place");
    }

    /// The first event of this kind.
    #[track_caller]
    pub fn wait_for(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(event) = self.log.lock().unwrap().iter().find(|event| is_it(event)) {
                return event.clone();
            }
            let ended = self.child.try_wait().expect("its state");
            assert!(ended.is_none() && Instant::now() < end, "{ended:?}: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The audit lines, once there are so many: those about requests.
    #[track_caller]
    pub fn audit(&self, number: usize) -> Vec<Value> {
        let end = Instant::now() + PATIENCE;
        loop {
            let lines = self.audited();
            if lines.len() >= number {
                return lines;
            }
            assert!(Instant::now() < end, "{number} requests, but {lines:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn audited(&self) -> Vec<Value> {
        let log = self.log.lock().unwrap();
        let about = |event: &&Value| {
            event["message"]
                .as_str()
                .is_some_and(|text| text.starts_with("git request"))
        };
        log.iter().filter(about).cloned().collect()
    }

    /// Everything that was logged.
    pub fn log(&self) -> String {
        let lines: Vec<_> = self.log.lock().unwrap().iter().map(Value::to_string).collect();
        lines.join("\n")
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
