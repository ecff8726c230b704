//! What a cluster leaves on a machine while it runs, and must not leave afterwards.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A process that has something to do with a cluster.
#[derive(Debug)]
pub(crate) struct Process {
    /// Its number.
    pub id: u32,
    /// Its command line.
    pub command: String,
}

/// The processes that name a cluster's folder in their arguments.
pub(crate) fn processes_of(run: &Path) -> Vec<Process> {
    let name = run.to_str().expect("a path in UTF-8");
    std::fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let id = path.file_name()?.to_str()?.parse().ok()?;
            // It may have ended meanwhile.
            let command = std::fs::read(path.join("cmdline")).ok()?;
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            command.contains(name).then_some(Process { id, command })
        })
        .collect()
}

/// The processes whose network namespace is this one, as `readlink /proc/*/ns/net` shows it.
pub(crate) fn processes_in(namespace: &Path) -> Vec<PathBuf> {
    std::fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let its = std::fs::read_link(path.join("ns/net")).ok()?;
            (its == namespace).then_some(path)
        })
        .collect()
}

/// The cgroups that belong to a cluster's folder, in all hierarchies.
pub(crate) fn cgroups_of(run: &Path) -> Vec<PathBuf> {
    let name = run.file_name().expect("a folder").to_str().expect("in UTF-8");
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = std::fs::read_dir(root).into_iter().flatten();
    hierarchies
        .filter_map(|entry| Some(entry.ok()?.path()))
        .chain([root.to_owned()])
        .map(|hierarchy| hierarchy.join(format!("vertex-injector-{name}")))
        .filter(|cgroup| cgroup.is_dir())
        .collect()
}

/// Asserts that processes, cgroups, mounts and files of a cluster are gone, within ten seconds.
#[track_caller]
pub(crate) fn assert_all_gone(run: &Path) {
    within_ten_seconds("processes end", || processes_of(run).is_empty());
    within_ten_seconds("the folder goes", || !run.exists());
    within_ten_seconds("cgroups go", || cgroups_of(run).is_empty());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("the mounts");
    assert!(!mounts.contains(run.to_str().expect("a path in UTF-8")), "{mounts}");
}

/// Waits for a condition.
#[track_caller]
pub(crate) fn within_ten_seconds(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "not within ten seconds: {what}");
        harness::process::pause(Duration::from_millis(20));
    }
}

/// SIGKILL.
#[track_caller]
pub(crate) fn kill(process: u32) {
    let status = Command::new("kill").args(["-KILL", &process.to_string()]).status();
    assert!(status.expect("start kill").success());
}
