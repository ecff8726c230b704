//! Helm as a person runs it, on this repository's chart.

use harness::process::{Missing, Ran, or_explain, repository};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// How long one command may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(1);

/// How long building Helm may take.
const BUILD: Duration = Duration::from_hours(1);

/// The chart.
pub(crate) fn chart() -> PathBuf {
    repository().join("charts/vertex-injector")
}

/// Helm of the pinned version, built where it is not; `None` where it cannot be, which is said.
#[track_caller]
pub(crate) fn helm() -> Option<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let install = harness::process::run(
            Command::new(repository().join("hack/kube/install")).arg("helm"),
            "",
            BUILD,
        );
        if install.success() {
            Ok(repository().join("hack/kube/bin/helm"))
        } else {
            Err(install.error())
        }
    });
    or_explain(
        built
            .as_deref()
            .map_err(|why| Missing(format!("Helm cannot be built: {why}"))),
    )
}

/// Runs Helm. It finds no configuration of the person's, and no cluster.
pub(crate) fn run(helm: &Path, arguments: &[&str]) -> Ran {
    let nowhere = Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm");
    let mut command = Command::new(helm);
    command
        .args(arguments)
        .current_dir(repository())
        .env_clear()
        .env("HOME", &nowhere);
    harness::process::run(&mut command, "", LIMIT)
}

/// `helm template` of the release `test` in the namespace `injector`, with further arguments.
pub(crate) fn template(helm: &Path, arguments: &[&str]) -> Ran {
    let chart = chart();
    let chart = chart.to_str().expect("UTF-8");
    run(
        helm,
        &[&["template", "test", chart, "--namespace", "injector"], arguments].concat(),
    )
}

/// The objects of a rendering that must succeed.
#[track_caller]
pub(crate) fn objects(helm: &Path, arguments: &[&str]) -> Vec<Value> {
    vertex_injector_core::manifest::documents(&template(helm, arguments).output()).expect("well-formed objects")
}

/// The one object of this kind whose name ends so; a whole name goes first.
#[track_caller]
pub(crate) fn object<'a>(objects: &'a [Value], kind: &str, name_end: &str) -> &'a Value {
    let of_kind = || objects.iter().filter(|object| object["kind"] == kind);
    if let Some(exact) = of_kind().find(|object| object["metadata"]["name"] == name_end) {
        return exact;
    }
    let found: Vec<&Value> = of_kind()
        .filter(|object| {
            object["metadata"]["name"]
                .as_str()
                .is_some_and(|name| name.ends_with(name_end))
        })
        .collect();
    assert_eq!(found.len(), 1, "objects of kind {kind} named …{name_end}");
    found[0]
}

/// Kinds of all objects, sorted.
pub(crate) fn kinds(objects: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<&str> = objects.iter().filter_map(|object| object["kind"].as_str()).collect();
    kinds.sort_unstable();
    kinds
}
