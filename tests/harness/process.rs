//! Other programs, run by tests: bounded in time, and with something to say where they cannot run.

use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// What this machine lacks for a test, and what to do about it.
#[derive(Debug)]
pub struct Missing(pub String);

impl fmt::Display for Missing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What a test needs, or `None` after saying on standard error that it does not run and why: the
/// test returns then. In CI, where everything must run, that is a failure.
///
/// # Panics
///
/// When something is missing and `CI` is set.
#[track_caller]
pub fn or_explain<T>(needed: Result<T, Missing>) -> Option<T> {
    needed
        .map_err(|missing| {
            assert!(!in_ci(), "cannot run, and in CI every test must: {missing}");
            say(&format!("NOT RUN: {missing}"));
        })
        .ok()
}

/// Writes past the test harness's capture, with the test's name: a person must see it.
pub fn say(message: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    // Without standard error there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{name}: {message}");
}

/// The root of the repository.
pub fn repository() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("tests/harness is in it")
}

/// Where tests may leave what they write: `tmp` in Cargo's target folder.
pub fn scratch() -> PathBuf {
    let program = std::env::current_exe().expect("this program");
    let target = program.ancestors().nth(3).expect("PROFILE/deps/PROGRAM");
    target.join("tmp")
}

/// How a program ended.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    what: String,
}

impl Ran {
    /// Whether its exit code was 0.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// Standard output of a program that had to succeed.
    ///
    /// # Panics
    ///
    /// When it failed, with what it wrote.
    #[track_caller]
    pub fn output(self) -> String {
        assert!(self.success(), "{} failed:\n{}{}", self.what, self.stdout, self.stderr);
        self.stdout
    }

    /// Asserts that all of this is on standard output.
    ///
    /// # Panics
    ///
    /// When one is not, with what it wrote.
    #[track_caller]
    pub fn tells(&self, texts: &[&str]) {
        for text in texts {
            assert!(
                self.stdout.contains(text),
                "{text:?} is not in\n{}{}",
                self.stdout,
                self.stderr
            );
        }
    }

    /// Standard error of a program that had to fail.
    ///
    /// # Panics
    ///
    /// When it succeeded, with what it wrote.
    #[track_caller]
    pub fn error(self) -> String {
        assert!(
            !self.success(),
            "{} succeeded, but should not have:\n{}",
            self.what,
            self.stdout
        );
        self.stderr
    }
}

/// Runs a program to its end, with `input` on its standard input.
///
/// # Panics
///
/// When it cannot be started, or has not ended after `limit`; it is killed then.
#[track_caller]
pub fn run(command: &mut Command, input: &str, limit: Duration) -> Ran {
    let what = describe(command);
    let deadline = Instant::now() + limit;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{what} cannot be started: {error}"));
    let stdout = read_all(child.stdout.take());
    let stderr = read_all(child.stderr.take());
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_owned();
        // A program that ends without reading all of it says why by itself.
        std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    }
    let (stdout, stderr) = (receive(&stdout, deadline), receive(&stderr, deadline));
    let (Some(stdout), Some(stderr), Some(status)) = (stdout, stderr, wait(&mut child, deadline)) else {
        // It may have ended this very moment.
        let _ = child.kill();
        let _ = child.wait();
        panic!("{what} has not ended within {} s", limit.as_secs());
    };
    Ran {
        code: status.code(),
        stdout,
        stderr,
        what,
    }
}

/// Waits for the end of a program; `None` when it is still running at the deadline.
pub fn wait(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait().expect("one's own child can be waited for") {
            return Some(status);
        }
        if Instant::now() >= deadline {
            return None;
        }
        pause(Duration::from_millis(5));
    }
}

/// Lets a time pass. Not in a test with a runtime: it would block a worker.
#[expect(clippy::disallowed_methods, reason = "this is where it is allowed")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false")
}

fn read_all(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What has arrived before an error is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        // Nobody listens after the deadline.
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

fn receive(text: &Receiver<String>, deadline: Instant) -> Option<String> {
    text.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        .ok()
}

fn describe(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect();
    words.join(" ")
}
