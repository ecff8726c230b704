//! An injected pod, to be asked what a process in it will find.

use serde_json::Value;

/// A pod before and after.
#[derive(Debug, Clone, Copy)]
pub struct Injected<'a> {
    before: &'a Value,
    after: &'a Value,
}

/// One container of it.
#[derive(Debug, Clone, Copy)]
pub struct Container<'a> {
    pod: &'a Value,
    before: Option<&'a Value>,
    after: &'a Value,
}

/// What a volume shows at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provided {
    /// A ServiceAccount token.
    Token {
        /// Who takes it.
        audience: String,
        /// Its life in seconds.
        expiration: i64,
    },
    /// Text that the pod itself holds, by the downward API.
    Text(String),
    /// A key of a ConfigMap or Secret: its kind, name and key (`*` when all keys are mounted).
    Key {
        /// `ConfigMap` or `Secret`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The key, or `*`.
        key: String,
    },
}

impl<'a> Injected<'a> {
    /// A pod and what it was before.
    pub fn new(before: &'a Value, after: &'a Value) -> Self {
        Self { before, after }
    }

    /// The whole pod.
    pub fn pod(&self) -> &'a Value {
        self.after
    }

    /// An annotation.
    pub fn annotation(&self, key: &str) -> Option<&'a str> {
        self.after["metadata"]["annotations"][key].as_str()
    }

    /// A container or init container.
    #[track_caller]
    pub fn container(&self, name: &str) -> Container<'a> {
        let after = find(self.after, name).unwrap_or_else(|| panic!("no container {name:?}"));
        Container {
            pod: self.after,
            before: find(self.before, name),
            after,
        }
    }

    /// The init containers that were added, in order.
    pub fn sidecars(&self) -> Vec<Container<'a>> {
        let all = list(&self.after["spec"], "initContainers").iter();
        all.filter(|after| {
            after["name"]
                .as_str()
                .is_some_and(|name| name.starts_with("vertex-injector-"))
        })
        .map(|after| Container {
            pod: self.after,
            before: None,
            after,
        })
        .collect()
    }

    /// A volume.
    pub fn volume(&self, name: &str) -> Option<&'a Value> {
        list(&self.after["spec"], "volumes")
            .iter()
            .find(|volume| volume["name"] == name)
    }

    /// Names of the volumes, in order.
    pub fn volume_names(&self) -> Vec<&'a str> {
        let all = list(&self.after["spec"], "volumes").iter();
        all.map(|volume| volume["name"].as_str().expect("a name")).collect()
    }

    /// The `external_account` JSON of the annotation.
    #[track_caller]
    pub fn credential_configuration(&self) -> Value {
        let text = self
            .annotation("vertex-injector.dev/credential-configuration")
            .expect("the credential configuration");
        serde_json::from_str(text).expect("JSON")
    }

    /// Asserts that everything at a path of the pod is byte for byte what it was.
    #[track_caller]
    pub fn same(&self, pointer: &str) -> &Self {
        let text = |pod: &Value| pod.pointer(pointer).map(ToString::to_string);
        assert_eq!(text(self.after), text(self.before), "{pointer} changed");
        self
    }
}

impl<'a> Container<'a> {
    /// Its variables, all of which are literals, in order.
    #[track_caller]
    pub fn literals(&self) -> Vec<(&'a str, &'a str)> {
        let text = |entry: &'a Value, key| entry[key].as_str().unwrap_or_else(|| panic!("no literal: {entry}"));
        let entries = list(self.after, "env").iter();
        entries
            .map(|entry| (text(entry, "name"), text(entry, "value")))
            .collect()
    }

    /// The container as it stands in the pod.
    pub fn value(&self) -> &'a Value {
        self.after
    }

    /// Asserts that it is byte for byte what it was.
    #[track_caller]
    pub fn unchanged(&self) {
        let before = self.before.expect("the container was there before");
        assert_eq!(self.after.to_string(), before.to_string());
    }

    /// Asserts that of its fields only variables and mounts may have changed.
    #[track_caller]
    pub fn same_but_env_and_mounts(&self) -> &Self {
        let rest = |container: &Value| {
            let mut rest = container.clone();
            let fields = rest.as_object_mut().expect("a container");
            fields.shift_remove("env");
            fields.shift_remove("volumeMounts");
            rest.to_string()
        };
        assert_eq!(
            rest(self.after),
            rest(self.before.expect("the container was there before"))
        );
        self
    }

    /// Names of its variables, in order.
    pub fn names(&self) -> Vec<&'a str> {
        let all = list(self.after, "env").iter();
        all.map(|entry| entry["name"].as_str().expect("a name")).collect()
    }

    /// Names of the variables that were not there before, in order.
    pub fn added(&self) -> Vec<&'a str> {
        let before = self.before.map(|before| list(before, "env")).unwrap_or_default();
        let mut names = self.names();
        names.retain(|name| before.iter().all(|entry| entry["name"] != *name));
        names
    }

    /// The only entry of a variable.
    #[track_caller]
    pub fn entry(&self, name: &str) -> &'a Value {
        let entries: Vec<&Value> = list(self.after, "env")
            .iter()
            .filter(|entry| entry["name"] == name)
            .collect();
        assert_eq!(entries.len(), 1, "{name} occurs {} times", entries.len());
        entries[0]
    }

    /// The only value of a variable, as it is written.
    #[track_caller]
    pub fn env(&self, name: &str) -> &'a str {
        let entry = self.entry(name);
        entry["value"]
            .as_str()
            .unwrap_or_else(|| panic!("{name} has no literal value: {entry}"))
    }

    /// The value that a process will see, with `$(NAME)` resolved as the kubelet does.
    #[track_caller]
    pub fn seen(&self, name: &str) -> String {
        self.entry(name);
        let mut seen: Vec<(&str, String)> = Vec::new();
        for entry in list(self.after, "env") {
            let key = entry["name"].as_str().expect("a name");
            let value = match entry["value"].as_str() {
                Some(text) => expand(text, &seen),
                None => format!("<{}>", entry["valueFrom"]),
            };
            seen.push((key, value));
        }
        seen.into_iter()
            .rev()
            .find(|(key, _)| *key == name)
            .expect("just asserted")
            .1
    }

    /// Asserts that none of these variables is set.
    #[track_caller]
    pub fn lacks(&self, names: &[&str]) -> &Self {
        for name in names {
            assert!(!self.names().contains(name), "{name} is set");
        }
        self
    }

    /// The only mount at a path.
    #[track_caller]
    pub fn mount(&self, path: &str) -> &'a Value {
        let mounts = list(self.after, "volumeMounts").iter();
        let mounts: Vec<&Value> = mounts.filter(|mount| mount["mountPath"] == path).collect();
        assert_eq!(mounts.len(), 1, "{} mounts at {path}", mounts.len());
        mounts[0]
    }

    /// Paths of its mounts, in order.
    pub fn mount_paths(&self) -> Vec<&'a str> {
        let all = list(self.after, "volumeMounts").iter();
        all.map(|mount| mount["mountPath"].as_str().expect("a path")).collect()
    }

    /// What the file at a path holds, and its mode; asserts that exactly one volume shows it.
    #[track_caller]
    pub fn file(&self, path: &str) -> (Provided, i64) {
        let mounts = list(self.after, "volumeMounts").iter();
        let (mount, relative) = mounts
            .filter_map(|mount| {
                let rest = path.strip_prefix(mount["mountPath"].as_str()?)?;
                Some((mount, rest.strip_prefix('/')?))
            })
            .min_by_key(|(_, rest)| rest.len())
            .unwrap_or_else(|| panic!("nothing is mounted at {path}"));
        assert!(mount.get("subPath").is_none(), "a subPath mount never refreshes");
        let volume = list(&self.pod["spec"], "volumes")
            .iter()
            .find(|volume| volume["name"] == mount["name"])
            .unwrap_or_else(|| panic!("no volume {}", mount["name"]));
        let files = files(volume, relative);
        assert_eq!(
            files.len(),
            1,
            "volume {} shows {relative} {} times",
            volume["name"],
            files.len()
        );
        let (provided, mode) = files[0].clone();
        (resolve(self.pod, provided), mode)
    }
}

/// A list of an object, or an empty one.
pub fn list<'v>(object: &'v Value, key: &str) -> &'v [Value] {
    object
        .get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn find<'v>(pod: &'v Value, name: &str) -> Option<&'v Value> {
    let spec = &pod["spec"];
    list(spec, "containers")
        .iter()
        .chain(list(spec, "initContainers"))
        .find(|container| container["name"] == name)
}

/// What the kubelet makes of a value: `$(NAME)` of earlier variables, `$$` for `$`.
fn expand(text: &str, seen: &[(&str, String)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once('$') {
        out.push_str(before);
        let reference = tail.strip_prefix('(').and_then(|tail| tail.split_once(')'));
        if let Some(tail) = tail.strip_prefix('$') {
            out.push('$');
            rest = tail;
        } else if let Some((name, tail)) = reference {
            match seen.iter().rev().find(|(key, _)| *key == name) {
                Some((_, value)) => out.push_str(value),
                None => out.extend(["$(", name, ")"]),
            }
            rest = tail;
        } else {
            out.push('$');
            rest = tail;
        }
    }
    out + rest
}

/// The sources of a volume that show a file, each with the file's mode.
fn files(volume: &Value, path: &str) -> Vec<(Provided, i64)> {
    let kinds = [("secret", "Secret", "secretName"), ("configMap", "ConfigMap", "name")];
    let of_object = |source: &Value, kind: &'static str, name: &str, mode: i64| {
        let key = |key: &str| Provided::Key {
            kind,
            name: name.to_owned(),
            key: key.to_owned(),
        };
        let items = list(source, "items");
        if items.is_empty() {
            return vec![(key("*"), mode)];
        }
        let items = items.iter().filter(|item| item["path"] == path);
        items
            .map(|item| {
                (
                    key(item["key"].as_str().expect("a key")),
                    item["mode"].as_i64().unwrap_or(mode),
                )
            })
            .collect()
    };
    for (field, kind, name) in kinds {
        if let Some(source) = volume.get(field) {
            let mode = source["defaultMode"].as_i64().unwrap_or(0o644);
            return of_object(source, kind, source[name].as_str().expect("a name"), mode);
        }
    }
    let text = |source: &Value, mode: i64| -> Vec<(Provided, i64)> {
        let items = list(&source["downwardAPI"], "items").iter();
        items
            .filter(|item| item["path"] == path)
            .map(|item| {
                let field = item["fieldRef"]["fieldPath"].as_str().expect("a field");
                (Provided::Text(field.to_owned()), mode)
            })
            .collect()
    };
    let mut found = text(volume, volume["downwardAPI"]["defaultMode"].as_i64().unwrap_or(0o644));
    let mode = volume["projected"]["defaultMode"].as_i64().unwrap_or(0o644);
    for source in list(&volume["projected"], "sources") {
        if let Some(token) = source.get("serviceAccountToken").filter(|token| token["path"] == path) {
            let audience = token["audience"].as_str().unwrap_or_default().to_owned();
            let expiration = token["expirationSeconds"].as_i64().unwrap_or(3600);
            found.push((Provided::Token { audience, expiration }, mode));
        }
        found.extend(text(source, mode));
        for (field, kind, _) in kinds {
            if let Some(source) = source.get(field) {
                found.extend(of_object(source, kind, source["name"].as_str().expect("a name"), mode));
            }
        }
    }
    found
}

/// Replaces a field of the pod by its text.
#[track_caller]
fn resolve(pod: &Value, provided: Provided) -> Provided {
    let Provided::Text(field) = &provided else {
        return provided;
    };
    let key = field
        .strip_prefix("metadata.annotations['")
        .and_then(|rest| rest.strip_suffix("']"));
    let text = match key {
        Some(key) => pod["metadata"]["annotations"][key].as_str(),
        None => pod
            .pointer(&format!("/{}", field.replace('.', "/")))
            .and_then(Value::as_str),
    };
    Provided::Text(text.unwrap_or_else(|| panic!("{field} is empty")).to_owned())
}
