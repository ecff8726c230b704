//! The processes that a sandbox needs, and what to do where they cannot run.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::process::{repository, say, scratch};
use serde_json::Value;

/// How long the fake may take to start.
const START: Duration = Duration::from_secs(30);

/// How a command in a pod ended.
#[derive(Debug)]
pub struct Ran {
    /// Whether its exit code was 0.
    pub success: bool,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Ran {
    /// Standard output without white space around it, of a command that succeeded.
    ///
    /// # Panics
    ///
    /// When it failed, with what it wrote.
    #[track_caller]
    pub fn output(&self) -> &str {
        assert!(self.success, "the client failed:\n{}", self.stderr);
        self.stdout.trim()
    }

    /// Standard error of a command that failed, as a client's error should.
    ///
    /// # Panics
    ///
    /// When it succeeded.
    #[track_caller]
    pub fn error(&self) -> &str {
        // Not what it printed: that may be a token.
        assert!(!self.success, "the client succeeded, but should not have");
        &self.stderr
    }
}

/// Says that a test does not run, and why; in CI, where everything must run, fails it.
///
/// # Panics
///
/// When `CI` is set.
#[track_caller]
pub fn cannot_run(reason: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|value| value.is_empty() || value == "false"),
        "cannot run, and in CI every test must: {reason}"
    );
    say(&format!("NOT RUN: {reason}"));
}

/// Whether this process may make namespaces, and if not, what is missing.
pub fn namespaces() -> Result<(), String> {
    static ANSWER: OnceLock<Result<(), String>> = OnceLock::new();
    ANSWER.get_or_init(try_namespaces).clone()
}

/// The Python with the pinned clients (and beside it the pinned clients for Node), and the prefix of the Python that it is made from.
pub fn python() -> Result<(PathBuf, PathBuf), String> {
    static ANSWER: OnceLock<Result<(PathBuf, PathBuf), String>> = OnceLock::new();
    ANSWER.get_or_init(install_python).clone()
}

/// Node, and the directory that it is installed in.
pub fn node() -> (PathBuf, PathBuf) {
    let program = on_path("node").expect("hack/clients/install has looked for node");
    let prefix = program.ancestors().nth(2).expect("bin/node below something");
    (program.clone(), prefix.to_owned())
}

/// Where gcloud is installed, if it is.
pub fn gcloud_root() -> Option<PathBuf> {
    // bin/gcloud finds its parts from where it really is.
    let real = on_path("gcloud")?;
    Some(real.parent()?.parent()?.to_owned())
}

/// The fake's program, built from what is checked out.
pub fn fake() -> &'static Path {
    static FAKE: OnceLock<PathBuf> = OnceLock::new();
    FAKE.get_or_init(build_fake)
}

/// A new directory that only this sandbox uses.
pub fn fresh_directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = scratch().join(format!("google-{}-{number}", std::process::id()));
    // An earlier process may have had our number.
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a directory for the sandbox");
    path
}

/// Waits until the fake says that it listens. Whatever else it prints is a mistake.
pub fn wait_for_listening(outer: &mut Child) -> Result<(), String> {
    let stdout = outer.stdout.take().expect("standard output is a pipe");
    let (sender, line) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = BufReader::new(stdout).read_line(&mut text);
        // Nobody listens after the time is up.
        let _ = sender.send(text);
    });
    match line.recv_timeout(START) {
        Ok(line) if line.starts_with("LISTENING ") => Ok(()),
        Ok(line) => Err(format!("it said {line:?}")),
        Err(_) => Err(format!("no answer within {} s", START.as_secs())),
    }
}

/// The one child of a process, in the numbers of this process's namespace.
pub fn only_child(parent: u32) -> u32 {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let children = fs::read_to_string(&path).expect("the list of children");
    children.trim().parse().expect("exactly one child")
}

/// Runs a command to its end.
pub fn run(mut command: Command) -> Ran {
    let output = command.stdin(Stdio::null()).output().expect("start nsenter");
    Ran {
        success: output.status.success(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// Where a program of the machine really is.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let program = std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())?;
    fs::canonicalize(program).ok()
}

fn try_namespaces() -> Result<(), String> {
    let user = fs::metadata("/proc/self").map(|metadata| metadata.uid());
    if !matches!(user, Ok(0)) {
        return Err("it needs root, for network and mount namespaces".to_owned());
    }
    // Everything that a sandbox does with them, in one go.
    let outcome = Command::new("unshare")
        .args(["--net", "--pid", "--mount", "--fork", "--kill-child", "--"])
        .args(["sh", "-c"])
        .arg("ip link set lo up && mount -t tmpfs probe /mnt && command -v nsenter chroot")
        .stdin(Stdio::null())
        .output();
    explain(
        outcome,
        "unshare, ip, nsenter and the right to make namespaces are needed",
    )
    .map(|_| ())
}

fn install_python() -> Result<(PathBuf, PathBuf), String> {
    let outcome = Command::new(repository().join("hack/clients/install"))
        .arg("--print")
        .stdin(Stdio::null())
        .output();
    let python = PathBuf::from(explain(outcome, "hack/clients/install failed")?);
    let outcome = Command::new(&python)
        .args(["-c", "import sys; print(sys.base_prefix)"])
        .output();
    let prefix = PathBuf::from(explain(outcome, "the installed Python does not run")?);
    Ok((python, prefix))
}

fn build_fake() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .current_dir(repository())
        .args(["build", "--quiet", "--package", "vertex-injector-fakes"])
        .arg("--message-format=json-render-diagnostics")
        .stdin(Stdio::null())
        .output()
        .expect("start cargo");
    assert!(
        output.status.success(),
        "the fake Google does not build:\n{}",
        text(&output.stderr)
    );
    text(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .expect("cargo names the program that it built")
}

fn explain(outcome: std::io::Result<Output>, problem: &str) -> Result<String, String> {
    match outcome {
        Ok(output) if output.status.success() => Ok(text(&output.stdout).trim().to_owned()),
        Ok(output) => Err(format!("{problem}: {}", text(&output.stderr).trim())),
        Err(error) => Err(format!("{problem}: {error}")),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
