//! Policies and pods that would lead an agent to what a broker or a sidecar keeps from it: every file of `tests/attack/pods`
//! through `vertex-injector inject`, under the operator's settings of `tests/attack/operator.yaml`.
//!
//! A file begins with comments: what it is, and what is right.
//!
//! | comment | what is right |
//! |---|---|
//! | `# refused: WORDS` | it is refused, and these words say why; may be repeated |
//! | `# injected` | it is injected |
//! | `# warned: WORDS` | a warning has these words |
//! | `# has: WORDS` | the result has these words in a line; may be repeated |
//! | `# lacks: WORDS` | the result has them nowhere; may be repeated |
//!
//! Words are of what the injector adds, so a `lacks` speaks of its containers only when the words are not the pod's own.

use harness::process::{self, Ran};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// What the comments of a file say.
#[derive(Default)]
struct Right {
    refused: Vec<String>,
    injected: bool,
    warned: Vec<String>,
    has: Vec<String>,
    lacks: Vec<String>,
}

impl Right {
    fn of(text: &str) -> Self {
        let mut right = Self::default();
        let comments = text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim);
        for comment in comments {
            if comment == "injected" {
                right.injected = true;
                continue;
            }
            let Some((key, words)) = comment.split_once(": ") else {
                continue;
            };
            let list = match key {
                "refused" => &mut right.refused,
                "warned" => &mut right.warned,
                "has" => &mut right.has,
                "lacks" => &mut right.lacks,
                _ => continue,
            };
            list.push(words.to_owned());
        }
        right
    }

    /// What is wrong with a result, each as a sentence.
    fn wrongs(&self, ran: &Ran) -> Vec<String> {
        let mut wrongs = Vec::new();
        // The policy passes through unchanged, with the comments of the file.
        let lines = ran.stdout.lines().filter(|line| !line.starts_with('#'));
        let result = lines.collect::<Vec<_>>().join("\n");
        let mut demand = |right: bool, wrong: String| {
            if !right {
                wrongs.push(wrong);
            }
        };
        demand(
            self.injected == self.refused.is_empty(),
            "the file has to say either what it is refused for or that it is injected".to_owned(),
        );
        // 1: the pod is denied; 2: the policy could not be stored in a cluster.
        let refused = matches!(ran.code, Some(1 | 2));
        demand(
            if self.injected { ran.code == Some(0) } else { refused },
            format!("exit code {:?}: {}", ran.code, ran.stderr),
        );
        demand(
            self.injected || ran.stdout.is_empty(),
            "a refused pod is written".to_owned(),
        );
        for words in self.refused.iter().chain(&self.warned) {
            demand(
                ran.stderr.contains(words.as_str()),
                format!("{words:?} is not said: {}", ran.stderr),
            );
        }
        for words in &self.has {
            demand(
                result.contains(words.as_str()),
                format!("{words:?} is not in the result:\n{result}"),
            );
        }
        for words in &self.lacks {
            demand(
                !result.contains(words.as_str()),
                format!("{words:?} is in the result:\n{result}"),
            );
        }
        wrongs
    }
}

#[test]
fn every_attack_is_answered_as_its_file_says() {
    let directory = process::repository().join("tests/attack/pods");
    let mut files: Vec<PathBuf> = { fs::read_dir(directory).unwrap() }
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() > 40, "where are they? {files:?}");
    // Most of the time goes into starting the program.
    let quarter = files.len().div_ceil(4);
    let failed: Vec<String> = thread::scope(|scope| {
        let quarters = files.chunks(quarter);
        let running: Vec<_> = quarters
            .map(|files| scope.spawn(|| files.iter().flat_map(|file| failures(file)).collect::<Vec<_>>()))
            .collect();
        running
            .into_iter()
            .flat_map(|running| running.join().unwrap())
            .collect()
    });
    assert!(
        failed.is_empty(),
        "{} are answered otherwise:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

fn failures(file: &Path) -> Vec<String> {
    let right = Right::of(&fs::read_to_string(file).unwrap());
    let mut command = Command::new(env!("CARGO_BIN_EXE_vertex-injector"));
    command
        .arg("inject")
        .arg("-f")
        .arg(file)
        .args(["--config", "tests/attack/operator.yaml"]);
    command.current_dir(process::repository());
    let ran = process::run(&mut command, "", Duration::from_mins(1));
    let name = file.file_stem().unwrap_or_default().display();
    right
        .wrongs(&ran)
        .into_iter()
        .map(|wrong| format!("{name}: {wrong}"))
        .collect()
}
