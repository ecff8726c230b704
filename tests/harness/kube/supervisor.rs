//! The test's end of `hack/kube/cluster`: reads the facts, sends commands, stops it.
//!
//! The cluster ends when its standard input does. That is a pipe which only this process holds, so
//! the kernel closes it however the test ends.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use crate::process::{Missing, repository, run, wait};

/// How long a cluster may take to be ready on a busy machine.
const START: Duration = Duration::from_mins(3);
/// How long a command may take.
const COMMAND: Duration = Duration::from_mins(2);
/// How long the first build of all programs may take.
const INSTALL: Duration = Duration::from_hours(1);

/// Which cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// etcd and kube-apiserver.
    ControlPlane,
    /// A whole cluster of one node.
    Node,
}

/// A running `hack/kube/cluster`.
#[derive(Debug)]
pub struct Supervisor {
    child: Child,
    facts: BTreeMap<String, PathBuf>,
    /// The lines that it prints. Locked for the time of a command: one at a time.
    answers: Mutex<Receiver<String>>,
}

impl Supervisor {
    /// Builds what is not built, starts the cluster and waits until it is ready.
    ///
    /// # Errors
    ///
    /// What this machine lacks for it, in the words of `hack/kube/cluster`.
    ///
    /// # Panics
    ///
    /// When it does not start; it has said why on standard error.
    #[track_caller]
    pub fn start(size: Size) -> Result<Self, Missing> {
        let size = match size {
            Size::ControlPlane => "control-plane",
            Size::Node => "node",
        };
        let check = run(cluster().args([size, "--check"]), "", COMMAND);
        match check.code {
            Some(0) => {}
            Some(3) => return Err(Missing(check.stderr.trim().to_owned())),
            _ => panic!("hack/kube/cluster {size} --check failed: {}", check.stderr),
        }
        // Inherits standard error: a person who waits ten minutes wants to see for what.
        let mut install = Command::new(repository().join("hack/kube/install"))
            .arg(size)
            .stdin(Stdio::null())
            .spawn()
            .expect("start hack/kube/install");
        let installed = wait(&mut install, Instant::now() + INSTALL);
        assert!(
            installed.is_some_and(|status| status.success()),
            "hack/kube/install {size} failed; see above"
        );

        let mut child = cluster()
            .arg(size)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start hack/kube/cluster");
        let lines = lines_of(&mut child);
        let mut starting = Self {
            child,
            facts: BTreeMap::new(),
            answers: Mutex::new(lines),
        };
        let deadline = Instant::now() + START;
        loop {
            let line = starting.next_line(deadline);
            match line.split_once('=') {
                Some((fact, value)) => {
                    starting.facts.insert(fact.to_owned(), PathBuf::from(value));
                }
                None if line == "READY" => return Ok(starting),
                None => panic!("hack/kube/cluster {size} said {line:?} instead of a fact"),
            }
        }
    }

    /// A fact that it has printed, such as `DIR`.
    ///
    /// # Panics
    ///
    /// When there is no such fact.
    #[track_caller]
    pub fn path(&self, fact: &str) -> &Path {
        let Some(path) = self.facts.get(fact) else {
            panic!("hack/kube/cluster has told {:?}, not {fact}", self.facts.keys());
        };
        path
    }

    /// The process to which the whole cluster is tied, as the machine numbers it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a command and waits until it is done.
    ///
    /// # Panics
    ///
    /// When it fails.
    #[track_caller]
    pub fn command(&self, command: &str) {
        let answers = self.answers.lock().expect("no command has panicked");
        let mut stdin = self.child.stdin.as_ref().expect("standard input is open until the end");
        writeln!(stdin, "{command}").expect("hack/kube/cluster reads its commands");
        let answer = answers.recv_timeout(COMMAND);
        assert_eq!(answer.as_deref(), Ok(format!("DONE {command}").as_str()));
    }

    #[track_caller]
    fn next_line(&mut self, deadline: Instant) -> String {
        let answers = self.answers.get_mut().expect("no command has panicked");
        match answers.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => line,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                panic!("hack/kube/cluster is not ready after {} s", START.as_secs())
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => panic!("hack/kube/cluster has ended; see above"),
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        if wait(&mut self.child, Instant::now() + Duration::from_secs(30)).is_none() {
            // What it has started dies with it.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn cluster() -> Command {
    Command::new(repository().join("hack/kube/cluster"))
}

fn lines_of(child: &mut Child) -> Receiver<String> {
    let stdout = child.stdout.take().expect("standard output is a pipe");
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return; // the cluster was dropped
            }
        }
    });
    lines
}
