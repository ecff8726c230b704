//! `make demo`, from a person's keyboard.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use harness::process::{Missing, or_explain, repository, run, wait};

/// How long the whole demo may take, images compiled before.
const LIMIT: Duration = Duration::from_mins(40);

/// What one run prints; `None` where the machine cannot have a node, which is said.
pub(crate) fn shown() -> Option<&'static str> {
    static SHOWN: LazyLock<Option<String>> = LazyLock::new(|| {
        can_run()?;
        let place = Place::new("whole");
        let ran = run(&mut place.demo(&[]), "", LIMIT);
        place.assert_empty();
        Some(ran.output())
    });
    SHOWN.as_deref()
}

#[test]
fn it_shows_the_pod_what_was_added_the_answer_a_refusal_a_theft_and_the_end() {
    let Some(shown) = shown() else { return };
    // Long lines are folded.
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    let whole = squeezed(shown);
    let mut rest = whole.as_str();
    for line in [
        "helm install vertex-injector charts/vertex-injector",
        "STATUS: deployed",
        "kubectl apply --filename hack/demo/live/policy.yaml",
        "injectionpolicy.vertex-injector.dev/agents created",
        "vertex-injector.dev/inject: \"true\"",
        "pod/agent created",
        "ANTHROPIC_VERTEX_PROJECT_ID=my-project",
        "ANTHROPIC_VERTEX_BASE_URL=http://127.0.0.1:",
        "vertex-injector-broker",
        "\"text\":\"Hello from Vertex AI.\"",
        "vertex-injector: model claude-opus-4-8 is not allowed: the policy's proxy.models allows claude-haiku-*",
        "401 Unauthorized",
        "claude-haiku-4-5",
        "Completed",
    ] {
        let (_, after) = rest
            .split_once(&squeezed(line))
            .unwrap_or_else(|| panic!("{line:?} is not shown, or too early:\n{shown}"));
        rest = after;
    }
}

#[test]
fn one_step_is_shown_alone() {
    if can_run().is_none() {
        return;
    }
    let place = Place::new("step");
    let shown = run(&mut place.demo(&["STEP=answer"]), "", LIMIT).output();
    assert!(shown.contains("Hello from Vertex AI."), "{shown}");
    assert!(!shown.contains("helm install"), "{shown}");
    place.assert_empty();

    let unknown = run(&mut place.demo(&["STEP=answers"]), "", LIMIT).error();
    assert!(unknown.contains("the steps are install google policy pod"), "{unknown}");
}

#[test]
fn ctrl_c_in_the_middle_ends_it_and_nothing_stays() {
    if can_run().is_none() {
        return;
    }
    let place = Place::new("interrupted");
    // Through a terminal, which sends the signal to every process of the foreground, as a keyboard does.
    // Who starts the tests in the background may have it ignored.
    let mut command = Command::new("env");
    let log = place.folder.join("typescript");
    command
        .args(["--default-signal=INT", "script"])
        .args(["--quiet", "--return", "--flush", "--command", "make demo"])
        .arg(log);
    place.surround(&mut command);
    let mut demo = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start script");
    until_shown(&mut demo, "pod/agent created");

    demo.stdin
        .as_mut()
        .expect("a terminal")
        .write_all(b"\x03")
        .expect("Ctrl-C");

    let ended = wait(&mut demo, Instant::now() + Duration::from_secs(30)).expect("it ends");
    assert!(!ended.success());
    place.assert_empty();
}

/// Reads until the demo shows this; what comes after it is read, too, so that it can go on.
fn until_shown(demo: &mut Child, what: &str) {
    let mut output = BufReader::new(demo.stdout.take().expect("a pipe"));
    let mut seen = String::new();
    while !seen.contains(what) {
        let mut line = Vec::new();
        let read = output.read_until(b'\n', &mut line).expect("output");
        assert!(read > 0, "it has ended:\n{seen}");
        seen.push_str(&String::from_utf8_lossy(&line));
    }
    std::thread::spawn(move || output.read_to_end(&mut Vec::new()));
}

/// Whether this machine can run a node; it says what it lacks.
pub(crate) fn can_run() -> Option<()> {
    let mut check = Command::new(repository().join("hack/kube/cluster"));
    let check = run(check.args(["node", "--check"]), "", Duration::from_secs(30));
    or_explain(match check.code {
        Some(3) => Err(Missing(check.stderr)),
        _ => Ok(()),
    })
}

/// Where everything that a demo makes on this machine is.
struct Place {
    folder: PathBuf,
}

impl Place {
    fn new(name: &str) -> Self {
        // Short, because sockets are below it.
        let folder = PathBuf::from(format!("/tmp/vertex-injector-demo-{name}-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("tmp")).expect("a folder");
        Self { folder }
    }

    fn demo(&self, variables: &[&str]) -> Command {
        let mut make = Command::new("make");
        make.args(["--no-print-directory", "demo"]).args(variables);
        self.surround(&mut make);
        make
    }

    fn surround(&self, command: &mut Command) {
        command
            .current_dir(repository())
            .env("VERTEX_INJECTOR_KUBE_DIR", self.folder.join("kube"))
            .env("TMPDIR", self.folder.join("tmp"))
            .env_remove("MAKEFLAGS")
            .env_remove("MAKELEVEL");
    }

    /// No cluster, process, mount or file of the demo is left.
    #[track_caller]
    fn assert_empty(&self) {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let left = self.left();
            if left.is_empty() {
                break;
            }
            assert!(Instant::now() < until, "{left:?}");
            harness::process::pause(Duration::from_millis(100));
        }
    }

    fn left(&self) -> Vec<String> {
        let name = self.folder.to_str().expect("UTF-8");
        let mut left: Vec<String> = ["tmp", "kube"]
            .iter()
            .flat_map(|folder| names_in(&self.folder.join(folder)))
            .filter(|name| !name.starts_with('.'))
            .collect();
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("the mounts");
        left.extend(mounts.lines().filter(|mount| mount.contains(name)).map(str::to_owned));
        let processes = names_in(Path::new("/proc")).into_iter();
        let commands = processes.filter_map(|id| std::fs::read(format!("/proc/{id}/cmdline")).ok());
        let commands = commands.map(|command| String::from_utf8_lossy(&command).replace('\0', " "));
        left.extend(commands.filter(|command| command.contains(name)));
        left
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is there tells why a test has failed; the test has told it.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect()
}
