//! A running webhook with a folder of its own.

use crate::client::{Client, get};
use clap::Parser;
use hyper::StatusCode;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use vertex_injector_webhook::{Addresses, Args, Webhook};

/// The policy of a new folder: it selects the pod of [`crate::client::agent_review`].
pub(crate) const POLICY: &str = r"
apiVersion: vertex-injector.dev/v1alpha1
kind: InjectionPolicy
metadata: {name: agents, namespace: team}
spec:
  agents: [{podSelector: {matchLabels: {app: agent}}}]
  env: [{name: GREETING, value: first}]
---
apiVersion: v1
kind: Namespace
metadata: {name: team}
";

/// The files that a webhook is started with.
pub(crate) struct Files {
    folder: TempDir,
    /// The certificate that is in `tls.crt`; it is its own authority.
    pub authority: String,
}

/// A webhook, stopped when it is dropped.
pub(crate) struct Running {
    pub files: Files,
    pub addresses: Addresses,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<anyhow::Result<()>>,
}

/// The flags as the command line has them.
#[derive(Parser)]
#[command(args_override_self = true)]
struct Flags {
    #[command(flatten)]
    args: Args,
}

impl Files {
    pub(crate) fn new() -> Self {
        let mut files = Self {
            folder: tempfile::tempdir().unwrap(),
            authority: String::new(),
        };
        fs::create_dir(files.path("policies")).unwrap();
        files.write("policies/policy.yaml", POLICY);
        let (certificate, key) = certificate();
        files.write("tls.crt", &certificate);
        files.write("tls.key", &key.serialize_pem());
        files.authority = certificate;
        files
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    /// The arguments that use these files and free ports.
    pub(crate) fn args(&self, more: &[&str]) -> Args {
        let path = |name| self.path(name).into_os_string().into_string().unwrap();
        let (policies, certificate, key) = (path("policies"), path("tls.crt"), path("tls.key"));
        let own = [
            "webhook",
            "--listen=127.0.0.1:0",
            "--admin-listen=127.0.0.1:0",
            "--drain-seconds=0",
            "--policy-dir",
            &policies,
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
        ];
        args(&[&own, more].concat())
    }

    /// The error of a webhook that cannot start with them.
    pub(crate) async fn refused(&self, more: &[&str]) -> String {
        match Webhook::bind(self.args(more)).await {
            Ok(_) => panic!("it started"),
            Err(error) => format!("{error:#}"),
        }
    }
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::with(Files::new(), &[]).await
    }

    pub(crate) async fn with(files: Files, more: &[&str]) -> Self {
        let webhook = Webhook::bind(files.args(more)).await.unwrap();
        let addresses = webhook.addresses();
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(webhook.run(async {
            stopped.await.unwrap();
        }));
        Self {
            files,
            addresses,
            stop: Some(stop),
            ended,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.addresses.https, &self.files.authority)
    }

    pub(crate) async fn readyz(&self) -> (StatusCode, String) {
        get(self.addresses.admin, "/readyz").await
    }

    /// The value of a metric, by its name and labels as they are written.
    pub(crate) async fn metric(&self, series: &str) -> u64 {
        let (status, text) = get(self.addresses.admin, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no series {series} in\n{text}"))
            .parse()
            .unwrap()
    }

    /// Asks it to stop, as a signal does.
    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    /// Waits for its end, which must come soon.
    pub(crate) async fn ended(self) {
        let ended = tokio::time::timeout(Duration::from_secs(20), self.ended).await;
        ended.expect("it did not end").unwrap().unwrap();
    }
}

/// The arguments of a command line.
pub(crate) fn args(words: &[&str]) -> Args {
    Flags::parse_from(words).args
}

/// A certificate for localhost, and its key.
pub(crate) fn certificate() -> (String, KeyPair) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    (cert.pem(), signing_key)
}

/// Asks again until the answer is yes.
pub(crate) async fn eventually(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !ask().await {
        assert!(start.elapsed() < Duration::from_secs(15), "never: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
