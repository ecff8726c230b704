//! What the tabulator key does in the shells that are installed here.

use harness::process::{Missing, or_explain, pause};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long a shell may take to start, or to complete a word.
const PATIENCE: Duration = Duration::from_secs(20);

/// A shell, how it starts without anybody's configuration, and how it learns our completions.
const SHELLS: [(&str, &str, &str); 3] = [
    (
        "bash",
        "bash --norc --noprofile -i",
        "source <(vertex-injector completion bash)",
    ),
    (
        "zsh",
        "zsh -f -i",
        "autoload -U compinit; compinit -u -D; source <(vertex-injector completion zsh)",
    ),
    (
        "fish",
        "fish --no-config -i",
        "vertex-injector completion fish | source",
    ),
];

#[test]
fn tab_completes_verbs_flags_and_values_in_bash_zsh_and_fish() {
    let folder = tempfile::tempdir().unwrap();
    symlink(
        env!("CARGO_BIN_EXE_vertex-injector"),
        folder.path().join("vertex-injector"),
    )
    .unwrap();
    for (name, start, learn) in SHELLS {
        let installed = Command::new("sh")
            .args(["-c", &format!("command -v {name}")])
            .output()
            .unwrap();
        let missing = || Missing(format!("{name} is not installed; hack/kube/packages brings it"));
        if or_explain(installed.status.success().then_some(()).ok_or_else(missing)).is_none() {
            continue;
        }
        let mut shell = Shell::start(start, folder.path());
        shell.type_keys(&format!("{learn}\n"));
        for (typed, completed) in [
            ("vertex-injector inj", "vertex-injector inject"),
            ("vertex-injector inject --recu", "vertex-injector inject --recursive"),
            (
                "vertex-injector validate --output js",
                "vertex-injector validate --output json",
            ),
            ("vertex-injector completions fi", "vertex-injector completions fish"),
        ] {
            shell.completes(typed, completed);
        }
    }
}

/// A shell in a terminal; it ends with this.
struct Shell {
    child: std::process::Child,
    shown: mpsc::Receiver<Vec<u8>>,
    count: u32,
}

impl Shell {
    fn start(command: &str, path: &Path) -> Self {
        let search = std::env::var("PATH").unwrap();
        let mut child = Command::new("script")
            .args(["--quiet", "--flush", "--command", command, "/dev/null"])
            .env("PATH", format!("{}:{search}", path.display()))
            .env("HOME", path)
            .env("TERM", "dumb")
            .env_remove("EDITOR")
            .env_remove("VISUAL")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let (sender, shown) = mpsc::channel();
        std::thread::spawn(move || {
            let mut part = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut part) {
                if sender.send(part[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut shell = Self { child, shown, count: 0 };
        shell.type_keys("echo rea''dy\n");
        shell.until("ready");
        shell
    }

    fn type_keys(&mut self, keys: &str) {
        self.child.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// Presses the key behind what is typed, and has the shell print the line that comes of it.
    fn completes(&mut self, typed: &str, completed: &str) {
        self.count += 1;
        self.type_keys(&format!("{typed}\t"));
        // The shell asks nobody when it is done.
        pause(Duration::from_secs(2));
        // To the line's beginning.
        self.type_keys(&format!("\x01echo line''{} ", self.count));
        self.type_keys("\n");
        self.until(&format!("line{} {completed}", self.count));
    }

    fn until(&mut self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = String::new();
        while !seen.contains(what) {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(part) = self.shown.recv_timeout(left) else {
                panic!("{what:?} is not shown, but\n{seen}");
            };
            seen.push_str(&String::from_utf8_lossy(&part));
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
