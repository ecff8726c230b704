//! The webhook's process under attack: what it takes of memory and processor, and connections to it. It ends with its owner.

use super::memory::Limited;
use rustls::client::Resumption;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::CertificateDer;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The process.
pub struct Target {
    child: Child,
    /// Where reviews are answered.
    pub https: SocketAddr,
    /// Where probes and metrics are.
    pub admin: SocketAddr,
    trusting: Arc<ClientConfig>,
    _folder: TempDir,
}

/// An open connection.
pub struct Connection(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl Target {
    /// Starts `program` with these policies and settings, and waits until it is ready.
    pub fn start(program: &str, policies: &str, operator: &str) -> Self {
        Self::launch(Command::new(program), policies, operator)
    }

    /// The same within a limit of memory.
    pub fn start_within(limit: &Limited, program: &str, policies: &str, operator: &str) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ >\"$0\" && exec \"$@\""]);
        command.arg(limit.processes()).arg(program);
        Self::launch(command, policies, operator)
    }

    fn launch(mut command: Command, policies: &str, operator: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("policies")).expect("a folder");
        for (name, content) in [
            ("tls.crt", made.cert.pem()),
            ("tls.key", made.signing_key.serialize_pem()),
            ("policies/policies.yaml", policies.to_owned()),
            ("operator.yaml", operator.to_owned()),
        ] {
            fs::write(path(name), content).expect("write a file");
        }
        let (https, admin) = (free_port(), free_port());
        let child = command
            .arg("webhook")
            .args(["--listen", &https.to_string(), "--admin-listen", &admin.to_string()])
            .arg("--tls-cert-file")
            .arg(path("tls.crt"))
            .arg("--tls-key-file")
            .arg(path("tls.key"))
            .arg("--policy-dir")
            .arg(path("policies"))
            .arg("--config")
            .arg(path("operator.yaml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start the webhook");
        let mut target = Self {
            child,
            https,
            admin,
            trusting: trusting(made.cert.der().clone()),
            _folder: folder,
        };
        let start = Instant::now();
        while target
            .get("/readyz")
            .is_none_or(|answer| !answer.starts_with("HTTP/1.1 200"))
        {
            assert!(start.elapsed() < PATIENCE && target.lives(), "the webhook is not ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        target
    }

    /// Whether it has not ended.
    pub fn lives(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// A field of its memory, in KiB: `VmRSS`, `VmHWM` (the most since [`Self::forget_peak`]).
    pub fn kib(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("its memory");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let text = line.expect("a field").trim().trim_end_matches(" kB");
        text.parse().expect("a number")
    }

    /// Measures the most memory anew.
    pub fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").expect("forget the peak");
    }

    /// The processor time that it has taken.
    pub fn processor(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("its threads");
        let of = |path: std::path::PathBuf| {
            fs::read_to_string(path.join("schedstat"))
                .ok()?
                .split(' ')
                .next()?
                .parse::<u64>()
                .ok()
        };
        let times = tasks.filter_map(|task| of(task.ok()?.path()));
        Duration::from_nanos(times.sum())
    }

    /// The answer of the plain port; none when there is none in time.
    pub fn get(&self, path: &str) -> Option<String> {
        let mut answer = String::new();
        let mut stream = TcpStream::connect_timeout(&self.admin, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        )
        .ok()?;
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// A TLS connection.
    pub fn connect(&self) -> io::Result<Connection> {
        let name = "localhost".try_into().map_err(io::Error::other)?;
        let connection = ClientConnection::new(Arc::clone(&self.trusting), name).map_err(io::Error::other)?;
        let stream = TcpStream::connect_timeout(&self.https, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Connection(BufReader::new(stream)))
    }
}

impl Connection {
    /// The status and the body of the answer to a review.
    pub fn review(&mut self, body: &str) -> io::Result<(u16, String)> {
        let length = body.len();
        let head = format!(
            "POST /mutate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        self.send(head.as_bytes())?;
        self.send(body.as_bytes())?;
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match line.trim_end().split_once([':', ' ']) {
                Some(("HTTP/1.1", rest)) => {
                    status = rest.split(' ').next().and_then(|code| code.parse().ok()).unwrap_or(0);
                }
                Some(("content-length", value)) => length = value.trim().parse().unwrap_or(0),
                None if line == "\r\n" => break,
                _ => {}
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer)?;
        Ok((status, String::from_utf8_lossy(&answer).into_owned()))
    }

    /// Sends some bytes.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)?;
        self.0.get_mut().flush()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn trusting(authority: CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(authority).expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Each connection is another client's.
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address")
}
