//! A release from a copy of this repository.

use harness::process::{Missing, Ran, or_explain, repository, run};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_mins(15);

/// The two programs of a release.
pub(crate) const PROGRAMS: [&str; 2] = ["vertex-injector", "vertex-injector-sidecar"];

/// A checkout of what is here, uncommitted files included.
#[derive(Debug)]
pub(crate) struct Checkout(TempDir);

impl Checkout {
    /// Makes one; `None` where this machine lacks what a release needs, which is said.
    #[track_caller]
    pub(crate) fn new() -> Option<Self> {
        can_build()?;
        let copy = TempDir::new().expect("a folder");
        let list = "git ls-files -z --cached --others --exclude-standard | tar --create --null --files-from - |
            tar --extract --touch --directory \"$0\"";
        let mut shell = Command::new("bash");
        let copied = shell.args(["-euo", "pipefail", "-c", list]).arg(copy.path());
        run(copied.current_dir(repository()), "", LIMIT).output();
        for built in ["hack/kube/bin", "hack/release/bin"] {
            symlink(repository().join(built), copy.path().join(built)).expect("a link");
        }
        Some(Self(copy))
    }

    /// `hack/release/build` of the commit of a moment in 2026.
    pub(crate) fn build(&self, out: &Path, arguments: &[&str]) -> Ran {
        let mut build = Command::new(self.0.path().join("hack/release/build"));
        build.arg("--out").arg(out).args(arguments);
        run(build.env("SOURCE_DATE_EPOCH", "1795000000"), "", LIMIT)
    }
}

/// What is built but for programs.
#[track_caller]
fn can_build() -> Option<()> {
    static CAN: LazyLock<Result<(), String>> = LazyLock::new(|| {
        for needed in ["hack/kube/install helm", "hack/release/install", "buildah --version"] {
            let mut shell = Command::new("sh");
            let ran = run(shell.args(["-c", needed]).current_dir(repository()), "", LIMIT);
            if !ran.success() {
                return Err(ran.error());
            }
        }
        Ok(())
    });
    or_explain(CAN.clone().map_err(Missing))
}

/// A folder for `--prebuilt`, with stand-ins for the programs of these architectures.
pub(crate) fn programs(arches: &[&str]) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for arch in arches {
        let below = folder.path().join(format!("linux-{arch}"));
        fs::create_dir(&below).expect("a folder");
        for program in PROGRAMS {
            let path = below.join(program);
            let ours = env!("CARGO_BIN_EXE_vertex-injector");
            fs::write(&path, format!("#!/bin/sh\nexec {ours} \"$@\" # {program} {arch}\n")).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
        }
    }
    folder
}

/// A release for both architectures, from a checkout of its own.
#[track_caller]
pub(crate) fn release() -> Option<TempDir> {
    let checkout = Checkout::new()?;
    let programs = programs(&["amd64", "arm64"]);
    let out = TempDir::new().expect("a folder");
    let prebuilt = programs.path().to_str().expect("UTF-8");
    let made = checkout.build(out.path(), &["--prebuilt", prebuilt, "--repository", "acme/injector"]);
    let mut told: Vec<String> = made.output().lines().map(str::to_owned).collect();
    told.sort();
    let there = names(out.path()).into_iter().map(|name| format!("FILE={name}"));
    assert_eq!(told, there.collect::<Vec<_>>());
    Some(out)
}

/// One for all tests that only look at it.
pub(crate) fn shared() -> Option<&'static Path> {
    static SHARED: LazyLock<Option<TempDir>> = LazyLock::new(release);
    SHARED.as_ref().map(TempDir::path)
}

/// What a folder has.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

/// The one file of a release that ends so.
#[track_caller]
pub(crate) fn file(release: &Path, end: &str) -> PathBuf {
    let found: Vec<String> = names(release).into_iter().filter(|name| name.ends_with(end)).collect();
    assert_eq!(found.len(), 1, "…{end}: {found:?}");
    release.join(&found[0])
}

/// What a command writes that has to succeed here.
#[track_caller]
pub(crate) fn output(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    run(command.args(arguments).current_dir(repository()), "", LIMIT).output()
}
