//! The webhook's process, and a client that keeps its connection as an API server does. It ends with the benchmark.

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The pod of namespace `team-0042`, 10 KB.
pub(crate) const REVIEW: &str = include_str!("../review.json");

/// How long loading may take.
const PATIENCE: Duration = Duration::from_mins(5);

/// A certificate, and room for policies.
pub(crate) struct Files {
    folder: TempDir,
    authority: rustls_pki_types::CertificateDer<'static>,
    key: rustls_pki_types::PrivateKeyDer<'static>,
}

/// The webhook.
pub(crate) struct Webhook {
    child: Child,
    started: Instant,
    https: SocketAddr,
    admin: SocketAddr,
    authority: rustls_pki_types::CertificateDer<'static>,
    connection: Option<BufReader<StreamOwned<ClientConnection, TcpStream>>>,
}

impl Files {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        fs::create_dir(folder.path().join("policies")).expect("a folder");
        fs::write(folder.path().join("tls.crt"), made.cert.pem()).expect("write the certificate");
        fs::write(folder.path().join("tls.key"), made.signing_key.serialize_pem()).expect("write the key");
        Self {
            folder,
            authority: made.cert.der().clone(),
            key: made.signing_key.into(),
        }
    }

    /// The certificate, which is its own authority, as PEM.
    pub(crate) fn authority_pem(&self) -> String {
        fs::read_to_string(self.folder.path().join("tls.crt")).expect("the certificate")
    }

    /// The certificate and its key.
    pub(crate) fn identity(
        &self,
    ) -> (
        rustls_pki_types::CertificateDer<'static>,
        rustls_pki_types::PrivateKeyDer<'static>,
    ) {
        (self.authority.clone(), self.key.clone_key())
    }

    pub(crate) fn policies(&self) -> PathBuf {
        self.folder.path().join("policies")
    }
}

impl Webhook {
    pub(crate) fn start(files: &Files, more: &[&str]) -> Self {
        let (https, admin) = (free_port(), free_port());
        let started = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_vertex-injector"))
            .arg("webhook")
            .args(["--listen", &https.to_string(), "--admin-listen", &admin.to_string()])
            .arg("--tls-cert-file")
            .arg(files.folder.path().join("tls.crt"))
            .arg("--tls-key-file")
            .arg(files.folder.path().join("tls.key"))
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start the webhook");
        Self {
            child,
            started,
            https,
            admin,
            authority: files.authority.clone(),
            connection: None,
        }
    }

    /// Where it answers reviews.
    pub(crate) fn address(&self) -> SocketAddr {
        self.https
    }

    /// From its start until it is ready.
    pub(crate) fn until_ready(&mut self) -> Duration {
        loop {
            let taken = self.started.elapsed();
            if self.is_ready() {
                return taken;
            }
            assert!(taken < PATIENCE, "not ready within {PATIENCE:?}");
            let ended = self.child.try_wait().expect("look after the webhook");
            assert!(ended.is_none(), "the webhook ended: {ended:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn is_ready(&self) -> bool {
        let mut answer = String::new();
        TcpStream::connect(self.admin)
            .and_then(|mut stream| {
                stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
                stream.read_to_string(&mut answer)
            })
            .is_ok_and(|_| answer.starts_with("HTTP/1.1 200"))
    }

    /// Its resident memory, and how much of it is not the program's file.
    pub(crate) fn resident(&self) -> String {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its memory");
        let mib = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field)).expect(field);
            let kib: f64 = line.trim_end_matches("kB").trim().parse().expect("a number");
            kib / 1024.0
        };
        format!(
            "{:.1} MiB, of which {:.1} MiB are the program, and at most {:.1} MiB",
            mib("VmRSS:"),
            mib("RssFile:"),
            mib("VmHWM:")
        )
    }

    /// Median of a review's time, answered by an injection.
    pub(crate) fn review_time(&mut self) -> Duration {
        let mut times: Vec<Duration> = (0..2_000)
            .map(|_| {
                let start = Instant::now();
                let answer = self.review(0);
                assert!(answer.contains("JSONPatch"), "{answer}");
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }

    /// The answer to the review of an agent in a namespace.
    pub(crate) fn review(&mut self, namespace: usize) -> String {
        let body = REVIEW.replace("team-0042", &super::cluster::namespace(namespace));
        let connection = self
            .connection
            .get_or_insert_with(|| connect(self.https, &self.authority));
        let length = body.len();
        write!(
            connection.get_mut(),
            "POST /mutate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .expect("send a review");
        let mut length = 0;
        loop {
            let mut line = String::new();
            connection.read_line(&mut line).expect("an answer");
            match line.trim_end().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().expect("a length"),
                None if line == "\r\n" => break,
                _ => {}
            }
        }
        let mut answer = vec![0; length];
        connection.read_exact(&mut answer).expect("an answer");
        String::from_utf8(answer).expect("text")
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(
    address: SocketAddr,
    authority: &rustls_pki_types::CertificateDer<'static>,
) -> BufReader<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().expect("a name");
    let connection = ClientConnection::new(Arc::new(tls), name).expect("a connection");
    let stream = TcpStream::connect(address).expect("the webhook");
    stream.set_nodelay(true).expect("no delay");
    BufReader::new(StreamOwned::new(connection, stream))
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address")
}
