//! The webhook as a process of its own, which cannot outlive this one.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

use harness::process::wait;
use harness::program::tied;

/// How long it may take to be ready, and to end when asked to.
const LIMIT: Duration = Duration::from_secs(30);

/// A running `vertex-injector webhook`; killed when dropped.
#[derive(Debug)]
pub(crate) struct Webhook {
    child: Child,
    admin: SocketAddr,
    log: PathBuf,
}

impl Webhook {
    /// Starts it on `port` of 127.0.0.1 and returns when it is ready.
    #[track_caller]
    pub(crate) fn start(arguments: &[String], kubeconfig: &Path, port: u16, folder: &Path) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let log = folder.join(format!("webhook-{}.log", NEXT.fetch_add(1, Ordering::Relaxed)));
        let mut command = tied(env!("CARGO_BIN_EXE_vertex-injector"));
        command
            .args(arguments)
            .args(["--drain-seconds", "0", "--log-format", "json"])
            .args([
                "--listen",
                &format!("127.0.0.1:{port}"),
                "--admin-listen",
                "127.0.0.1:0",
            ])
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("the webhook's log"));
        let mut started = Self {
            child: spawn_tied(command),
            admin: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            log,
        };
        started.admin = started.until("it listens", |webhook| {
            let serving = webhook.log().into_iter().find(|event| event["message"] == "serving")?;
            serving["admin"].as_str()?.parse().ok()
        });
        started.until_ready();
        started
    }

    /// Waits until `/readyz` says so.
    #[track_caller]
    pub(crate) fn until_ready(&mut self) {
        self.until("it is ready", |webhook| {
            webhook.get("/readyz").starts_with("HTTP/1.1 200 ").then_some(())
        });
    }

    /// The events that it has logged.
    #[track_caller]
    pub(crate) fn log(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).expect("the webhook's log");
        // A line may be half written.
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// The reasons of the reviews of one pod, in order.
    #[track_caller]
    pub(crate) fn reasons(&self, namespace: &str, pod: &str) -> Vec<String> {
        let events = self.log().into_iter();
        let reviews = events.filter(|event| event["namespace"] == namespace && event["pod"] == pod);
        reviews
            .map(|event| event["reason"].as_str().expect("a reason").to_owned())
            .collect()
    }

    /// What the port for probes and metrics answers, head included.
    pub(crate) fn get(&self, path: &str) -> String {
        let mut text = String::new();
        let answer = TcpStream::connect_timeout(&self.admin, Duration::from_secs(5)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nHost: webhook\r\nConnection: close\r\n\r\n"
            )?;
            stream.read_to_string(&mut text)
        });
        match answer {
            Ok(_) => text,
            Err(error) => error.to_string(),
        }
    }

    /// SIGKILL.
    #[track_caller]
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("kill the webhook");
        self.child.wait().expect("the killed webhook");
    }

    #[track_caller]
    fn until<T>(&mut self, what: &str, condition: impl Fn(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(met) = condition(self) {
                return met;
            }
            let ended = wait(&mut self.child, Instant::now());
            if ended.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                let ready = self.get("/readyz");
                panic!("waited for the webhook until {what}; exit code: {ended:?}\n{ready}\n{log}");
            }
            harness::process::pause(Duration::from_millis(20));
        }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port on which nobody listens, below those that the system gives to outgoing connections: the
/// API server must know it before the webhook is started, and find it there again afterwards.
pub(crate) fn free_port() -> u16 {
    static TRIED: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 9000).expect("below 9000");
    for _ in 0..1000 {
        let port = 10_000 + (first + TRIED.fetch_add(1, Ordering::Relaxed)) % 9000;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between 10000 and 19000");
}

/// Starts a program that the kernel kills when the thread that started it ends. That must not be
/// the thread of one test, so it is one that lasts as long as the process.
pub(crate) fn spawn_tied(mut command: Command) -> Child {
    let (sender, child) = mpsc::channel();
    std::thread::spawn(move || {
        // Whoever waits for it, waits below.
        let _ = sender.send(command.spawn());
        loop {
            std::thread::park();
        }
    });
    let child = child.recv().expect("the thread that starts it");
    child.expect("start setpriv (util-linux)")
}
