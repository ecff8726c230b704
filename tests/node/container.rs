//! A running container, seen from outside by root: its process, its files, its mounts.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::installed::Agents;
use harness::process::run;

/// The largest file that is looked into. Programs are larger than any token's file, and smaller than this.
const LARGEST: u64 = 256 * 1024 * 1024;

/// The first process of a container.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    /// As the machine numbers it.
    process: u32,
}

/// A file that holds a JSON Web Token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Its path in the container, links resolved.
    pub path: PathBuf,
    /// The token.
    pub token: String,
}

/// Runs a command in a container as the runtime does: nobody can ask the API server to where the container is ours.
#[track_caller]
pub(crate) fn exec(agents: &Agents<'_>, pod: &str, name: &str, command: &[&str]) -> String {
    let socket = agents.node.supervisor().path("CONTAINERD");
    let mut ctr = Command::new("ctr");
    ctr.arg("--address").arg(socket);
    ctr.args(["--namespace", "k8s.io", "task", "exec", "--exec-id", "test"]);
    // A folder that the runtime sees, too.
    ctr.arg("--fifo-dir").arg(socket.with_file_name("test-fifos"));
    ctr.arg(id_of(agents, pod, name)).args(command);
    run(&mut ctr, "", Duration::from_secs(20)).output()
}

/// The runtime's name of the running container of this name in a pod.
#[track_caller]
fn id_of(agents: &Agents<'_>, pod: &str, name: &str) -> String {
    let pod = agents.get(&[pod]);
    let lists = ["containerStatuses", "initContainerStatuses"];
    let statuses = lists.iter().filter_map(|list| pod["status"][list].as_array()).flatten();
    let status = statuses.clone().find(|status| status["name"] == name);
    let status = status.unwrap_or_else(|| panic!("no container {name} in {:#}", pod["status"]));
    let id = status["containerID"].as_str().expect("a container that has started");
    id.trim_start_matches("containerd://").to_owned()
}

impl Container {
    /// The running container of this name in a pod.
    #[track_caller]
    pub(crate) fn of(agents: &Agents<'_>, pod: &str, name: &str) -> Self {
        Self {
            process: first_process(&id_of(agents, pod, name)),
        }
    }

    /// Whether its first process is alive.
    pub(crate) fn is_alive(&self) -> bool {
        // A zombie has nothing left but its number.
        fs::read_to_string(self.proc("stat")).is_ok_and(|stat| {
            !stat
                .rsplit_once(") ")
                .is_some_and(|(_, rest)| rest.starts_with(['Z', 'X']))
        })
    }

    /// Kills its first process as the kernel does when memory is short.
    #[track_caller]
    pub(crate) fn kill(&self) {
        let process = self.process.to_string();
        run(
            Command::new("kill").args(["-KILL", &process]),
            "",
            Duration::from_secs(5),
        )
        .output();
        let until = Instant::now() + Duration::from_secs(5);
        while self.is_alive() {
            assert!(Instant::now() < until, "process {process} survives SIGKILL");
        }
    }

    /// A file in it, if there is one; an absolute path, without links.
    pub(crate) fn read(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.proc("root").join(path.trim_start_matches('/'))).ok()
    }

    /// Where something is mounted in it.
    #[track_caller]
    pub(crate) fn mount_points(&self) -> Vec<String> {
        let mounts = fs::read_to_string(self.proc("mounts")).expect("its mounts");
        let point = |mount: &str| mount.split(' ').nth(1).expect("a mount point").to_owned();
        mounts.lines().map(point).collect()
    }

    /// The files anywhere in it that hold a JSON Web Token, whoever may read them.
    #[track_caller]
    pub(crate) fn tokens_on_disk(&self) -> Vec<Held> {
        let root = self.proc("root");
        let mut held = Vec::new();
        let mut looked_into = 0;
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("a folder of the container").flatten() {
                let (path, kind) = (entry.path(), entry.file_type().expect("its type"));
                if kind.is_dir() && !is_of_the_kernel(&root, &path) {
                    folders.push(path);
                } else if kind.is_file() {
                    looked_into += 1;
                    held.extend(token_in(&path).map(|token| Held {
                        path: Path::new("/").join(path.strip_prefix(&root).expect("below the root")),
                        token,
                    }));
                }
            }
        }
        assert!(looked_into > 1, "not the files of a container");
        held
    }

    fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.process))
    }
}

/// Processes, devices and settings: no files.
fn is_of_the_kernel(root: &Path, path: &Path) -> bool {
    ["proc", "sys", "dev"].iter().any(|name| root.join(name) == path)
}

/// The first JSON Web Token in a file.
#[track_caller]
fn token_in(path: &Path) -> Option<String> {
    let length = fs::metadata(path).expect("the file's length").size();
    assert!(length < LARGEST, "{} is too large to look into", path.display());
    let bytes = fs::read(path).expect("a file of the container");
    let token = regex::bytes::Regex::new(r"eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}").expect("a pattern");
    let found = token.find(&bytes)?;
    Some(String::from_utf8_lossy(found.as_bytes()).into_owned())
}

/// Cgroups carry the container's name; the first process of its namespace is number 1 in there.
#[track_caller]
fn first_process(container: &str) -> u32 {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let of_it = |number: &u32| {
        let read = |name: &str| fs::read_to_string(format!("/proc/{number}/{name}")).unwrap_or_default();
        let first = read("status")
            .lines()
            .any(|line| line.starts_with("NSpid:") && line.split_whitespace().last() == Some("1"));
        first && read("cgroup").contains(container)
    };
    let found = numbers.filter(of_it).min();
    found.unwrap_or_else(|| panic!("no process of container {container}"))
}
