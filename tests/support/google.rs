//! Real Google clients, run as in an injected pod, against the fake Google of `hack/fakes`.
//!
//! A [`GoogleSandbox`] is a network namespace of its own in which the fake listens on 127.0.0.1:443
//! and nothing else is reachable. Clients run in it with exactly the files and the environment of a
//! pod ([`InjectedPod`]), so a credential file keeps its real `https://sts.googleapis.com/…` URLs.
//! Only the trust in the fake's CA is added. All processes of a sandbox are in one PID namespace,
//! which ends when the test's end of a pipe closes: however the test ends, nothing is left.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test, helpers included, fails by panicking"
)]

pub mod issuer;
mod processes;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

pub use self::processes::{Ran, cannot_run, gcloud_root};

/// How the fake is configured: what an administrator would have set up at Google.
#[derive(Debug, Clone)]
pub struct FakeConfig {
    /// The provider's issuer.
    pub issuer: String,
    /// `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`.
    pub provider: String,
    /// The audiences that a subject token may carry; empty for Google's default.
    pub token_audiences: Vec<String>,
    /// The issuer's public keys, as a JSON Web Key Set.
    pub jwks: Value,
    /// The accounts that may be impersonated.
    pub service_accounts: Vec<String>,
}

/// What an injected pod's container has: its environment, and the files that volumes bring.
#[derive(Debug, Clone, Default)]
pub struct InjectedPod {
    /// The container's environment, without what its image sets.
    pub env: BTreeMap<String, String>,
    /// Absolute path → contents. Files of one directory are one volume, laid out as the kubelet
    /// does it (symbolic links through `..data`), owned by root, mode 0444, mounted read-only.
    pub files: BTreeMap<String, String>,
    /// The container's user; `None` for 65532.
    pub user: Option<u32>,
}

/// A fake Google and the namespaces around it.
#[derive(Debug)]
pub struct GoogleSandbox {
    directory: PathBuf,
    python: PathBuf,
    python_prefix: PathBuf,
    outer: Child,
    init: u32,
    runs: AtomicU32,
}

impl GoogleSandbox {
    /// Starts a fake Google in namespaces of its own.
    ///
    /// `None` where the machine does not allow it, which is said on standard error; in CI that is a
    /// failure.
    pub fn start(config: &FakeConfig) -> Option<Self> {
        if let Err(reason) = processes::namespaces() {
            cannot_run(&reason);
            return None;
        }
        let (python, python_prefix) = match processes::python() {
            Ok(python) => python,
            Err(reason) => {
                cannot_run(&reason);
                return None;
            }
        };
        let directory = processes::fresh_directory();
        fs::write(directory.join("jwks.json"), config.jwks.to_string()).expect("jwks.json");
        fs::write(
            directory.join("hosts"),
            "127.0.0.1 localhost sts.googleapis.com iamcredentials.googleapis.com\n",
        )
        .expect("hosts");

        let mut command = Command::new("unshare");
        command
            .args(["--net", "--pid", "--fork", "--kill-child", "--"])
            .args(["sh", "-c", r#"ip link set lo up && exec "$@""#, "sh"])
            .arg(processes::fake())
            .args(["google", "--listen", "127.0.0.1:443", "--directory"])
            .arg(&directory)
            .arg("--jwks-file")
            .arg(directory.join("jwks.json"))
            .args(["--issuer", &config.issuer])
            .args(["--provider", &config.provider]);
        for audience in &config.token_audiences {
            command.args(["--allowed-audience", audience]);
        }
        for account in &config.service_accounts {
            command.args(["--service-account", account]);
        }
        let log = fs::File::create(directory.join("fake.log")).expect("fake.log");
        let mut outer = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("start unshare");
        if let Err(reason) = processes::wait_for_listening(&mut outer) {
            // Reaped before the panic, so that not even a zombie stays.
            drop(outer.stdin.take());
            let _ = outer.wait();
            let log = fs::read_to_string(directory.join("fake.log")).unwrap_or_default();
            panic!("the fake Google did not start: {reason}\n{log}");
        }
        let init = processes::only_child(outer.id());
        Some(Self {
            directory,
            python,
            python_prefix,
            outer,
            init,
            runs: AtomicU32::new(0),
        })
    }

    /// Runs google-auth's `google.auth.default()` and a refresh in `pod`; on success, standard
    /// output is one line of JSON with `token`, `expiry`, `project` and `service_account`.
    pub fn run_google_auth(&self, pod: &InjectedPod) -> Ran {
        let script = processes::repository().join("hack/clients/google_auth_token.py");
        let text = fs::read_to_string(script).expect("google_auth_token.py");
        self.run_python(pod, &["-c", &text])
    }

    /// Runs the Python that has google-auth and requests, with these arguments, in `pod`.
    pub fn run_python(&self, pod: &InjectedPod, arguments: &[&str]) -> Ran {
        let venv = self.python.ancestors().nth(2).expect("the venv");
        let python = self.python.to_str().expect("a path in UTF-8");
        let mut command = vec![python];
        command.extend_from_slice(arguments);
        self.run(pod, &[venv, &self.python_prefix], None, &command)
    }

    /// Runs a shell command that calls `gcloud`, such as a pod's auth helper, in `pod`.
    ///
    /// `None` where gcloud is not installed, which is said on standard error. No failure even in CI:
    /// gcloud comes from no package registry.
    pub fn run_gcloud(&self, pod: &InjectedPod, command: &str) -> Option<Ran> {
        let Some(root) = gcloud_root() else {
            processes::say("gcloud is not on the PATH: not tested with gcloud");
            return None;
        };
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", root.join("bin").display());
        Some(self.run(pod, &[&root], Some(&path), &["/bin/sh", "-c", command]))
    }

    /// What the fake received and answered so far, oldest first.
    pub fn journal(&self) -> Vec<Value> {
        self.journal_text()
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of the journal"))
            .collect()
    }

    /// The journal as it is written.
    pub fn journal_text(&self) -> String {
        fs::read_to_string(self.directory.join("journal.jsonl")).expect("the journal")
    }

    /// The process that all others of the sandbox end with, as the machine numbers it.
    pub fn init(&self) -> u32 {
        self.init
    }

    fn run(&self, pod: &InjectedPod, visible: &[&Path], path: Option<&str>, program: &[&str]) -> Ran {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let directory = self.directory.join(format!("run-{number}"));
        let root = directory.join("root");
        fs::create_dir_all(&root).expect("a directory for the run");

        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.init.to_string(), "--net", "--pid", "--"])
            .args(["unshare", "--mount", "--"])
            .arg(processes::repository().join("hack/clients/in-pod"))
            .arg("--root")
            .arg(root)
            .arg("--hosts")
            .arg(self.directory.join("hosts"))
            .arg("--ca")
            .arg(self.directory.join("ca.crt"))
            .args(["--user", &pod.user.unwrap_or(65532).to_string()]);
        for place in visible {
            command.arg("--see").arg(place);
        }
        for (index, (path, files)) in volumes(&pod.files).into_iter().enumerate() {
            let source = directory.join(format!("volume-{index}"));
            write_volume(&source, &files);
            command.arg("--mount").arg(format!("{}:{path}", source.display()));
        }
        // The image's own, then what the test adds so that clients trust the fake, then the pod's.
        if let Some(path) = path {
            command.args(["--env", &format!("PATH={path}")]);
        }
        for name in ["REQUESTS_CA_BUNDLE", "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE"] {
            assert!(!pod.env.contains_key(name), "the pod's {name} would be replaced");
            command.args(["--env", &format!("{name}=/etc/google-ca.crt")]);
        }
        for (name, value) in &pod.env {
            command.args(["--env", &format!("{name}={value}")]);
        }
        command.arg("--").args(program);
        processes::run(command)
    }
}

impl Drop for GoogleSandbox {
    fn drop(&mut self) {
        // The fake ends when its standard input does, and everything in its PID namespace with it.
        drop(self.outer.stdin.take());
        let _ = self.outer.wait();
        // Kept when a test fails: the journal and the fake's log say why.
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// Directory → file name → contents.
fn volumes(files: &BTreeMap<String, String>) -> BTreeMap<&str, BTreeMap<&str, &str>> {
    let mut volumes: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for (path, contents) in files {
        let (directory, name) = path.rsplit_once('/').expect("an absolute path");
        assert!(directory.starts_with('/'), "{path} is not absolute");
        volumes.entry(directory).or_default().insert(name, contents);
    }
    volumes
}

fn write_volume(source: &Path, files: &BTreeMap<&str, &str>) {
    let data = source.join("..2026_01_01_00_00_00.1");
    fs::create_dir_all(&data).expect("the volume");
    for directory in [source, &data] {
        // Whatever umask the tests run under.
        fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).expect("its mode");
    }
    symlink("..2026_01_01_00_00_00.1", source.join("..data")).expect("..data");
    for (name, contents) in files {
        let file = data.join(name);
        fs::write(&file, contents).expect("a file of the volume");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).expect("its mode");
        symlink(format!("..data/{name}"), source.join(name)).expect("its link");
    }
}
