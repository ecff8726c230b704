//! A broker beside the agent: another container of the same pod, so in the same network, with files and a root of its own.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::pod::Launch;
use super::{GoogleSandbox, InjectedPod, processes};

/// Where the image has the program of brokers.
const PROGRAM: &str = "/vertex-injector-sidecar";
/// How long a broker may take to be ready.
const START: Duration = Duration::from_secs(20);
/// How long it may run: longer than its test.
const LIMIT: Duration = Duration::from_mins(10);

/// The broker's container, as its pod describes it.
#[derive(Debug, Clone)]
pub struct BrokerContainer {
    /// The program of its image, as the machine has it.
    pub program: PathBuf,
    /// Its environment and its files.
    pub container: InjectedPod,
    /// Its arguments, after the program.
    pub arguments: Vec<String>,
    /// The command of its startup probe.
    pub probe: Vec<String>,
}

/// A broker that runs; it ends with its sandbox.
#[derive(Debug)]
pub struct Broker {
    log: PathBuf,
}

impl GoogleSandbox {
    /// Starts a broker, and waits until its startup probe succeeds.
    ///
    /// # Panics
    ///
    /// When it does not, with what it logged.
    #[track_caller]
    pub fn start_broker(&self, broker: &BrokerContainer) -> Broker {
        let image = Launch {
            programs: vec![(&broker.program, PROGRAM)],
            limit: LIMIT,
            ..Launch::default()
        };
        let arguments = broker.arguments.iter().map(String::as_str);
        let words: Vec<&str> = [PROGRAM].into_iter().chain(arguments).collect();
        let mut brokers = self.brokers.lock().expect("no test panics while it has it");
        let log = self.directory.join(format!("broker-{}.log", brokers.len()));
        let child = self
            .command(&broker.container, &image, &words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).expect("a log"))
            .spawn()
            .expect("start nsenter");
        brokers.push(child);
        drop(brokers);

        let probe: Vec<&str> = broker.probe.iter().map(String::as_str).collect();
        let end = Instant::now() + START;
        let broker_log = Broker { log };
        loop {
            let probed = processes::run(self.command(&broker.container, &image, &probe));
            if probed.success {
                return broker_log;
            }
            assert!(
                Instant::now() < end,
                "the broker is not ready: {}\n{}",
                probed.stderr,
                broker_log.text()
            );
        }
    }
}

impl Broker {
    /// What it logged so far, a JSON object for each line.
    ///
    /// # Panics
    ///
    /// When a line is none: a container's log is JSON.
    #[track_caller]
    pub fn log(&self) -> Vec<Value> {
        let text = self.text();
        // The last line may still be on its way.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        whole.lines().map(parse).collect()
    }

    /// The same as it is written.
    pub fn text(&self) -> String {
        fs::read_to_string(&self.log).expect("the broker's log")
    }
}
