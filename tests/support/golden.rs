//! Golden cases: folders of `tests/cases` with a pod, the policies, and what is expected of both.
//!
//! `pod.yaml` and `policy.yaml` are written by people, and `config.yaml` where the operator's settings matter.
//! `patch.json` is what `inject -o patch` prints (absent when the pod is denied), `explanation.json` what
//! `explain -o json` prints. `UPDATE_CASES=1 cargo test --test golden` writes these two.

use crate::{Admission, World, api_server, read, root};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use vertex_injector_core::admission::Operator;

/// Cases with a broker: one for each mode and identity.
pub const BROKERED: [&str; 5] = [
    "broker-kartograph-metadata",
    "broker-kartograph-proxy",
    "f3-fracta-stream-proxy",
    "broker-gke-best-effort",
    "e3-optio-metadata-key",
];

/// One folder.
#[derive(Debug, Clone)]
pub struct Case {
    /// The folder's name.
    pub name: String,
    /// Where it is.
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

    /// The JSON of a file that the command line wrote; `None` where there is none.
    pub fn kept(&self, file: &str) -> Option<Value> {
        let text = fs::read_to_string(self.directory.join(file)).ok()?;
        Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}/{file}: {error}", self.name)))
    }

    /// Asserts that what is explained (`explain -o json`) is what the webhook decided.
    #[track_caller]
    pub fn compare_explanations(&self, admission: &Admission, explained: &Value) {
        let mut decided = serde_json::to_value(&admission.decision).expect("JSON");
        let object = self.object();
        decided["namespace"] = self.namespace().into();
        decided["name"] = object["metadata"]["name"].clone();
        decided["kind"] = object["kind"].clone();
        let mut explained = explained[0].clone();
        let shown = explained.as_object_mut().expect("a list with an object for the pod");
        shown.shift_remove("template");
        // The webhook shows no values.
        for change in shown["env"].as_array_mut().into_iter().flatten() {
            let change = change.as_object_mut().expect("a change");
            change.shift_remove("value");
            change.shift_remove("valueFrom");
        }
        assert_eq!(explained, decided, "{}: the webhook decides otherwise", self.name);
    }

    /// Asserts that a printed patch (`inject -o patch`) is the webhook's: that one starts at the pod, this one at the object.
    #[track_caller]
    pub fn compare_patches(&self, admission: &Admission, mut printed: Value) {
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
}
