//! Golden cases: folders of `tests/cases` with a pod, the policies, and what is expected of both.
//!
//! `pod.yaml` and `policy.yaml` are written by people, and `config.yaml` where the operator's settings matter.
//! `patch.json` is what `inject -o patch` prints (absent when the pod is denied), `explanation.json` what
//! `explain -o json` prints. `UPDATE_CASES=1 cargo test --test golden` writes these two.

use super::command_line::{self, Ran};
use super::{Admission, World, api_server, read, root};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use vertex_injector_core::admission::{Operator, Outcome};

const WRITTEN: [&str; 3] = ["pod.yaml", "policy.yaml", "config.yaml"];

/// One folder.
#[derive(Debug, Clone)]
pub struct Case {
    pub name: String,
    pub directory: PathBuf,
}

impl Case {
    /// All cases, by name.
    pub fn all() -> Vec<Self> {
        let entries = fs::read_dir(root().join("tests/cases")).expect("tests/cases");
        let mut all: Vec<Self> = entries
            .map(|entry| {
                let entry = entry.expect("an entry");
                let name = entry.file_name().into_string().expect("UTF-8");
                assert!(entry.path().is_dir(), "tests/cases/{name} is not a case");
                Self {
                    name,
                    directory: entry.path(),
                }
            })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// One case.
    #[track_caller]
    pub fn named(name: &str) -> Self {
        let directory = root().join("tests/cases").join(name);
        assert!(directory.is_dir(), "no case {name}");
        Self {
            name: name.to_owned(),
            directory,
        }
    }

    /// The checks that it shows: the words in front of its name that are a letter and a number.
    pub fn checks(&self) -> Vec<String> {
        let is_check = |word: &&str| {
            let (letter, number) = word.split_at(1);
            letter.chars().all(|c| c.is_ascii_lowercase())
                && !number.is_empty()
                && number.chars().all(|c| c.is_ascii_digit())
        };
        self.name
            .split('-')
            .take_while(is_check)
            .map(str::to_uppercase)
            .collect()
    }

    /// The object of `pod.yaml`.
    #[track_caller]
    pub fn object(&self) -> Value {
        let mut documents = read(&self.directory.join("pod.yaml"));
        assert_eq!(documents.len(), 1, "{}: pod.yaml holds one object", self.name);
        documents.remove(0)
    }

    /// The namespace of that object.
    pub fn namespace(&self) -> String {
        self.object()["metadata"]["namespace"]
            .as_str()
            .unwrap_or("team")
            .to_owned()
    }

    /// The pod as its controller creates it.
    pub fn pod(&self) -> Value {
        api_server::pod_of(&self.object()).1
    }

    /// The cluster.
    pub fn world(&self) -> World {
        let config = self.directory.join("config.yaml");
        let operator = if config.exists() {
            vertex_injector_core::manifest::operator(&config).expect("the operator's settings")
        } else {
            Operator::default()
        };
        World::new(&read(&self.directory.join("policy.yaml")), &self.namespace(), &operator)
    }

    /// The pod on its way through the webhook.
    #[track_caller]
    pub fn admit(&self) -> Admission {
        self.world().admit_in(&self.namespace(), &self.pod())
    }

    /// A verb of the command line over the case.
    pub fn run(&self, verb: &str, output: &str) -> Ran {
        let namespace = self.namespace();
        let mut arguments = vec![
            verb,
            "-f",
            "pod.yaml",
            "--policy",
            "policy.yaml",
            "-n",
            &namespace,
            "-o",
            output,
        ];
        if self.directory.join("config.yaml").exists() {
            arguments.extend(["--config", "config.yaml"]);
        }
        command_line::run(&self.directory, &arguments)
    }

    /// Compares `pod.yaml` with what another case's pod becomes, or writes it.
    pub fn check_origin(&self, origin: &Self, update: bool) {
        let injected = origin.run("inject", "yaml");
        assert_eq!(injected.code, 0, "{}", injected.err);
        let text = format!("# What the pod of {} becomes.\n{}", origin.name, injected.out);
        self.compare_with_file("pod.yaml", Some(&text), update);
    }

    /// Runs both callers and compares them with each other and with the kept files.
    pub fn check(&self, update: bool) {
        let name = &self.name;
        let admission = self.admit();
        let denied = admission.decision.outcome == Outcome::Denied;

        let explain = self.run("explain", "json");
        assert_eq!(explain.code, i32::from(denied), "{name}: {}", explain.err);
        self.compare_explanations(&admission, &explain.json());

        let inject = self.run("inject", "patch");
        assert_eq!(inject.code, i32::from(denied), "{name}: {}", inject.err);
        if denied {
            assert_eq!(inject.out, "", "{name}: something was written for a denied pod");
            let message = &admission.decision.message;
            assert!(
                inject.err.contains(message.as_str()),
                "{name}: {} lacks {message}",
                inject.err
            );
        } else {
            self.compare_patches(&admission, inject.json());
        }
        self.compare_with_files(&explain.out, (!denied).then_some(&inject.out), update);
    }

    /// What the command line explains is what the webhook decided.
    fn compare_explanations(&self, admission: &Admission, explained: &Value) {
        let mut decided = serde_json::to_value(&admission.decision).expect("JSON");
        let object = self.object();
        decided["namespace"] = self.namespace().into();
        decided["name"] = object["metadata"]["name"].clone();
        decided["kind"] = object["kind"].clone();
        assert_eq!(explained, &decided, "{}: the webhook decides otherwise", self.name);
    }

    /// The patch of the command line starts at the object, the webhook's at the pod.
    fn compare_patches(&self, admission: &Admission, mut printed: Value) {
        let (at, _) = api_server::pod_of(&self.object());
        for operation in printed.as_array_mut().expect("a patch") {
            let path = operation["path"].as_str().expect("a path");
            let path = path
                .strip_prefix(&at.template)
                .expect("a path within the template")
                .to_owned();
            operation["path"] = path.into();
        }
        let sent = serde_json::to_value(&admission.patch).expect("JSON");
        assert_eq!(printed, sent, "{}: the webhook patches otherwise", self.name);
    }

    fn compare_with_files(&self, explanation: &str, patch: Option<&String>, update: bool) {
        self.compare_with_file("explanation.json", Some(explanation), update);
        self.compare_with_file("patch.json", patch.map(String::as_str), update);
        for entry in fs::read_dir(&self.directory).expect("the case") {
            let file = entry.expect("an entry").file_name().into_string().expect("UTF-8");
            let known = WRITTEN.contains(&file.as_str()) || ["patch.json", "explanation.json"].contains(&file.as_str());
            assert!(known, "{}: {file} belongs to no case", self.name);
        }
    }

    fn compare_with_file(&self, file: &str, actual: Option<&str>, update: bool) {
        let path = self.directory.join(file);
        if update {
            match actual {
                Some(text) => fs::write(&path, text).expect("the file can be written"),
                None => drop(fs::remove_file(&path)),
            }
            return;
        }
        let kept = fs::read_to_string(&path).ok();
        assert!(
            kept.as_deref() == actual,
            "{}/{file} differs; if that is right: UPDATE_CASES=1 cargo test --test golden, and read the difference\n\
             --- kept\n{}\n--- now\n{}",
            path.parent().expect("a folder").display(),
            kept.as_deref().unwrap_or("(no such file)"),
            actual.unwrap_or("(none: the pod is denied)"),
        );
    }
}
