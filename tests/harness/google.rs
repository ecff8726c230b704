//! Real Google clients, run as in an injected pod, against the fake Google of `hack/fakes`.
//!
//! A [`GoogleSandbox`] is a network namespace of its own in which the fake listens on 127.0.0.1:443
//! and nothing else is reachable. Clients run in it with exactly the files and the environment of a
//! pod ([`InjectedPod`]), so a credential file keeps its real `https://sts.googleapis.com/…` URLs.
//! Only the trust in the fake's CA is added. All processes of a sandbox are in one PID namespace,
//! which ends when the test's end of a pipe closes: however the test ends, nothing is left.

pub mod broker;
pub mod issuer;
mod pod;
pub mod processes;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

pub use self::pod::InjectedPod;
use self::pod::Launch;
pub use self::processes::{Ran, cannot_run, gcloud_root, on_path};
use crate::process::{repository, say};

/// The hosts of Google that lead to the fake. It plays the token services and Vertex; what else is asked for is refused, and in
/// its journal.
const HOSTS: [&str; 10] = [
    "sts.googleapis.com",
    "iamcredentials.googleapis.com",
    "oauth2.googleapis.com",
    "aiplatform.googleapis.com",
    "us-east5-aiplatform.googleapis.com",
    "europe-west1-aiplatform.googleapis.com",
    "aiplatform.us.rep.googleapis.com",
    "aiplatform.eu.rep.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "www.googleapis.com",
];

/// How the fake is configured: what an administrator would have set up at Google.
#[derive(Debug, Clone, Default)]
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
    /// Accounts that have a key: email and public keys, as a JSON Web Key Set.
    pub account_keys: Vec<(String, Value)>,
    /// The projects whose models may be called; empty for any.
    pub projects: Vec<String>,
    /// A person who has consented: a credential file of type `authorized_user`.
    pub authorized_user: Option<Value>,
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
    /// The brokers, which end when the sandbox does.
    brokers: Mutex<Vec<Child>>,
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
            format!("127.0.0.1 localhost {}\n", HOSTS.join(" ")),
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
        for project in &config.projects {
            command.args(["--project", project]);
        }
        for (number, (email, keys)) in config.account_keys.iter().enumerate() {
            let file = directory.join(format!("account-{number}.json"));
            fs::write(&file, keys.to_string()).expect("an account's keys");
            command.args(["--account-key", &format!("{email}={}", file.display())]);
        }
        if let Some(user) = &config.authorized_user {
            let file = directory.join("person.json");
            fs::write(&file, user.to_string()).expect("person.json");
            command.arg("--authorized-user").arg(file);
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
            brokers: Mutex::default(),
        })
    }

    /// Runs google-auth's `google.auth.default()` and a refresh in `pod`; on success, standard
    /// output is one line of JSON with `token`, `expiry`, `project` and `service_account`.
    pub fn run_google_auth(&self, pod: &InjectedPod) -> Ran {
        self.run_client(pod, "google_auth_token.py", &[])
    }

    /// Runs a program of `hack/clients`, Python or Node by its name's end, in `pod`.
    pub fn run_client(&self, pod: &InjectedPod, program: &str, arguments: &[&str]) -> Ran {
        let program = repository().join("hack/clients").join(program);
        let path = program.to_str().expect("a path in UTF-8");
        let arguments = [&[path][..], arguments].concat();
        match program.extension().and_then(|end| end.to_str()) {
            Some("py") => self.run_python(pod, &arguments),
            Some("mjs") => self.run_node(pod, &arguments),
            _ => panic!("{path} is no program for Python or Node"),
        }
    }

    /// Runs the Python that has Google's clients, with these arguments, in `pod`.
    pub fn run_python(&self, pod: &InjectedPod, arguments: &[&str]) -> Ran {
        self.run_interpreter(pod, &self.python, &self.python_prefix, arguments)
    }

    /// Runs another Python that `hack/clients/install` has made of the same one, with these arguments, in `pod`.
    pub fn run_other_python(&self, pod: &InjectedPod, python: &Path, arguments: &[&str]) -> Ran {
        self.run_interpreter(pod, python, &self.python_prefix, arguments)
    }

    /// Runs Node, with these arguments, in `pod`.
    pub fn run_node(&self, pod: &InjectedPod, arguments: &[&str]) -> Ran {
        let (node, prefix) = processes::node();
        self.run_interpreter(pod, &node, &prefix, arguments)
    }

    /// Runs a shell command that calls `gcloud`, such as a pod's auth helper, in `pod`.
    ///
    /// `None` where gcloud is not installed, which is said on standard error. No failure even in CI:
    /// gcloud comes from no package registry.
    pub fn run_gcloud(&self, pod: &InjectedPod, command: &str) -> Option<Ran> {
        let Some(root) = gcloud_root() else {
            say("gcloud is not on the PATH: not tested with gcloud");
            return None;
        };
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", root.join("bin").display());
        let launch = Launch {
            see: vec![&root],
            path: Some(&path),
            ..Launch::default()
        };
        Some(processes::run(self.command(pod, &launch, &["/bin/sh", "-c", command])))
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

    /// Runs a program, its arguments behind it, in `pod`, which sees `hack/clients` and these directories of the machine.
    pub fn run_program(&self, pod: &InjectedPod, see: &[&Path], program: &[&str]) -> Ran {
        let clients = repository().join("hack/clients");
        let launch = Launch {
            see: [&[clients.as_path()], see].concat(),
            ..Launch::default()
        };
        processes::run(self.command(pod, &launch, program))
    }

    fn run_interpreter(&self, pod: &InjectedPod, program: &Path, prefix: &Path, arguments: &[&str]) -> Ran {
        let program = program.to_str().expect("a path in UTF-8");
        self.run_program(pod, &[prefix], &[&[program][..], arguments].concat())
    }

    /// The command that starts a program in `pod`, with files and a root of its own.
    fn command(&self, pod: &InjectedPod, launch: &Launch<'_>, program: &[&str]) -> Command {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &self.init.to_string(), "--net", "--pid", "--"])
            .args(["unshare", "--mount", "--"]);
        pod.start(&mut command, &self.directory, number, launch, program);
        command
    }
}

impl Drop for GoogleSandbox {
    fn drop(&mut self) {
        // The fake ends when its standard input does, and everything in its PID namespace with it.
        drop(self.outer.stdin.take());
        let _ = self.outer.wait();
        for broker in self.brokers.get_mut().unwrap_or_else(PoisonError::into_inner) {
            let _ = broker.wait();
        }
        // Kept when a test fails: the journal and the fake's log say why.
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}
