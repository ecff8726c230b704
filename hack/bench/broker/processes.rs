//! The processes that are measured, and what they need. All end with the benchmark.

use rustix::thread::{CpuSet, sched_setaffinity};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_vertex-injector");

/// A program that was built beside the one with every verb.
fn built(name: &str) -> PathBuf {
    let program = Path::new(PROGRAM).with_file_name(name);
    assert!(
        program.exists(),
        "{} is missing: cargo build --release --package {name}",
        program.display()
    );
    program
}

/// A metadata server for the broker to take a token from.
pub(crate) struct TokenServer {
    address: SocketAddr,
}

/// The fake Vertex AI.
pub(crate) struct Fake {
    child: Child,
    _stays_open: Option<ChildStdin>,
    pub address: SocketAddr,
    pub directory: PathBuf,
}

/// The broker in mode proxy.
pub(crate) struct Broker {
    child: Child,
    pub proxy: SocketAddr,
    /// From its start until it listened.
    pub ready: Duration,
}

/// A process that copies bytes between a port of its own and another, and does nothing else: the least that anything in
/// between can add on this machine.
pub(crate) struct Relay {
    child: Child,
    pub address: SocketAddr,
}

/// Watches a process's memory until dropped.
pub(crate) struct Watch {
    most: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
}

impl TokenServer {
    pub(crate) fn start() -> Self {
        const TOKEN: &str = r#"{"access_token":"benchmark","expires_in":3599,"token_type":"Bearer"}"#;
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _ = stream.read(&mut [0; 4096]);
                let length = TOKEN.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nmetadata-flavor: Google\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{TOKEN}"
                );
            }
        });
        Self { address }
    }
}

impl Fake {
    /// Events `pause` milliseconds apart, `pieces` of them with text.
    pub(crate) fn start(pause: u32, pieces: u32) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let mut child = Command::new(built("vertex-injector-fakes"))
            .args(["vertex", "--pause", &pause.to_string(), "--pieces", &pieces.to_string()])
            .arg("--tls-directory")
            .arg(&directory)
            .env("TOKIO_WORKER_THREADS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the fake");
        let stays_open = child.stdin.take();
        let mut line = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
        lines.read_line(&mut line).expect("its address");
        let address = line.trim().strip_prefix("LISTENING ").expect("its address");
        Self {
            address: address.parse().expect("an address"),
            child,
            _stays_open: stays_open,
            directory,
        }
    }
}

impl Broker {
    /// Before a fake, or before nothing.
    pub(crate) fn start(tokens: &TokenServer, fake: Option<&Fake>) -> Self {
        let mut command = Command::new(built("vertex-injector-sidecar"));
        let began = Instant::now();
        command
            // As in a pod, where the environment says it all.
            .arg("broker")
            .envs([
                ("VERTEX_INJECTOR_MODE", "proxy"),
                ("VERTEX_INJECTOR_PROJECT", "benchmark"),
                ("VERTEX_INJECTOR_REGIONS", "us-east5"),
                ("VERTEX_INJECTOR_METADATA_PORT", "0"),
                ("VERTEX_INJECTOR_PROXY_PORT", "0"),
                // Of the usual limit, a thousand streams at once would not all have a place.
                ("VERTEX_INJECTOR_MEMORY_LIMIT", "1073741824"),
            ])
            .env("VERTEX_INJECTOR_NODE_METADATA_SERVER", tokens.address.to_string())
            // As in the image, which has one bundle.
            .env_remove("SSL_CERT_DIR")
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        if let Some(fake) = fake {
            let endpoint = format!("https://localhost:{}", fake.address.port());
            command
                .env("SSL_CERT_FILE", fake.directory.join("ca.crt"))
                .env("VERTEX_INJECTOR_VERTEX_ENDPOINT", endpoint);
        }
        let mut child = command.spawn().expect("start the broker");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let proxy = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.split_once(r#""proxy":""#)?;
            rest.split('"').next()?.parse().ok()
        });
        let ready = began.elapsed();
        // Somebody collects the log, as the container runtime does, and not on the processor that is measured.
        std::thread::spawn(move || {
            let mut all = CpuSet::new();
            (0..CpuSet::MAX_CPU).for_each(|processor| all.set(processor));
            sched_setaffinity(None, &all).expect("any processor");
            lines.map_while(Result::ok).for_each(drop);
        });
        Self {
            child,
            proxy: proxy.expect("the broker starts"),
            ready,
        }
    }

    /// Its memory in MiB.
    pub(crate) fn resident(&self) -> f64 {
        memory(self.child.id(), "VmRSS:") as f64 / 1024.0
    }

    /// What of it is no file's, so that no other process can share it.
    pub(crate) fn own(&self) -> f64 {
        memory(self.child.id(), "RssAnon:") as f64 / 1024.0
    }

    /// Time of a processor that it has had; it has one thread.
    pub(crate) fn processor_time(&self) -> Duration {
        processor_time(self.child.id())
    }

    /// Watches its memory.
    pub(crate) fn watch(&self) -> Watch {
        let (most, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (process, seen, end) = (self.child.id(), Arc::clone(&most), Arc::clone(&done));
        std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                seen.fetch_max(memory(process, "VmRSS:"), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Watch { most, done }
    }
}

impl Relay {
    /// The argument with which this program is the relay.
    pub(crate) const ARGUMENT: &str = "relay-to";

    /// Before this address.
    pub(crate) fn start(to: SocketAddr) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args([Self::ARGUMENT, &to.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the relay");
        let mut line = String::new();
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
        lines.read_line(&mut line).expect("its address");
        Self {
            child,
            address: line.trim().parse().expect("an address"),
        }
    }

    /// What the process does.
    pub(crate) fn run(to: &str) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        println!("{}", listener.local_addr().expect("its address"));
        for here in listener.incoming() {
            let (here, there) = (
                here.expect("a connection"),
                TcpStream::connect(to).expect("a connection"),
            );
            for (from, to) in [(&here, &there), (&there, &here)] {
                from.set_nodelay(true).expect("no delay");
                let (mut from, mut to) = (from.try_clone().expect("a clone"), to.try_clone().expect("a clone"));
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        }
    }
}

impl Watch {
    /// The most memory so far, in MiB.
    pub(crate) fn most(&self) -> f64 {
        self.most.load(Ordering::Relaxed) as f64 / 1024.0
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Time of a processor that the first thread of a process has had.
pub(crate) fn processor_time(process: u32) -> Duration {
    let figures = std::fs::read_to_string(format!("/proc/{process}/schedstat")).unwrap_or_default();
    let nanoseconds = figures.split_whitespace().next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

/// A figure of `/proc/PID/status` in KiB; nothing when the process is gone.
fn memory(process: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok())
        .unwrap_or_default()
}
