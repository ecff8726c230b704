//! The built program as a sidecar: `vertex-injector exec` with a git proxy, around a server that does nothing.

use super::forge::Forge;
use crate::process::{PATIENCE, Wrapper};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A sidecar that runs until it is dropped, or the test's thread ends.
pub(super) struct Sidecar {
    wrapper: Wrapper,
    credential: PathBuf,
}

impl Sidecar {
    /// A sidecar for a host, with these rules and this JSON as its credential; none when it is empty.
    pub(super) fn start(directory: &Path, forge: &Forge, rules: &[&str], credential: &str) -> Self {
        let secrets = directory.join("sidecar");
        fs::create_dir_all(&secrets).expect("a directory");
        let file = secrets.join("credential.json");
        if !credential.is_empty() {
            fs::write(&file, credential).expect("a credential");
        }
        Self::run(&arguments(&file, forge, rules), forge, file)
    }

    /// The same with a credential from this endpoint on loopback.
    pub(super) fn with_endpoint(directory: &Path, forge: &Forge, rules: &[&str], endpoint: &str) -> Self {
        let token = directory.join("projected-token");
        fs::write(&token, "projected").expect("a token");
        let mut arguments = arguments(&token, forge, rules);
        arguments.splice(
            ..1,
            [
                format!("--source={endpoint}"),
                format!("--token-file={}", token.display()),
            ],
        );
        Self::run(&arguments, forge, token)
    }

    fn run(arguments: &[String], forge: &Forge, credential: PathBuf) -> Self {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let trusted = forge.ca().to_str().expect("a path");
        Self {
            wrapper: Wrapper::start(&arguments, &[("VERTEX_INJECTOR_CA_FILES", trusted)]),
            credential,
        }
    }

    /// The proxy's port.
    pub(super) fn port(&self) -> u16 {
        let address = self.wrapper.startup["git"].as_str().expect("an address");
        address.rsplit(':').next().expect("a port").parse().expect("a number")
    }

    /// Its process.
    pub(super) fn id(&self) -> u32 {
        self.wrapper.id()
    }

    /// Replaces the credential, as a rotation does.
    pub(super) fn rotate(&self, credential: &str) {
        let new = self.credential.with_extension("new");
        fs::write(&new, credential).expect("a credential");
        fs::rename(&new, &self.credential).expect("in its place");
    }

    /// The audit lines, once there are so many: those about requests.
    #[track_caller]
    pub(super) fn audit(&self, number: usize) -> Vec<Value> {
        let end = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let about = |event: &Value| {
                event["message"]
                    .as_str()
                    .is_some_and(|text| text.starts_with("git request"))
            };
            let lines: Vec<Value> = events.filter(about).collect();
            if lines.len() >= number {
                return lines;
            }
            assert!(Instant::now() < end, "{number} requests, but {lines:#?}");
            harness::process::pause(Duration::from_millis(5));
        }
    }

    /// Everything that was logged.
    pub(super) fn log(&self) -> String {
        self.wrapper.output()
    }
}

/// How such a sidecar is called.
pub(super) fn arguments(credential: &Path, forge: &Forge, rules: &[&str]) -> Vec<String> {
    let mut arguments = vec![
        format!("--source=file:{}", credential.display()),
        "--git-port=0".to_owned(),
        format!("--git-host={}", forge.host()),
    ];
    let allowed = rules.iter().map(|rule| format!("--git-allow={}/{rule}", forge.host()));
    arguments.extend(allowed);
    arguments.extend(["--", "sleep", "3600"].map(str::to_owned));
    arguments
}
