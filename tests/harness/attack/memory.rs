//! A limit of memory that the kernel enforces, as a kubelet sets it: a cgroup, of version 2 where it has the controller, else of
//! version 1.

use crate::process::Missing;
use std::fs;
use std::io;
use std::path::PathBuf;

/// A cgroup with a limit. Gone when this is dropped after its processes have ended.
#[derive(Debug)]
pub struct Limited {
    folder: PathBuf,
    version: Version,
}

#[derive(Debug, Clone, Copy)]
enum Version {
    One,
    Two,
}

impl Limited {
    /// One of so many bytes.
    ///
    /// # Errors
    /// What this machine lacks for it.
    pub fn of(bytes: u64) -> Result<Self, Missing> {
        let missing = |error: io::Error| {
            Missing(format!(
                "no memory can be limited here ({error}): be root, where cgroups have the memory controller"
            ))
        };
        let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
        let (root, version, limit) = if controllers.split_whitespace().any(|name| name == "memory") {
            let passed_on = fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
            passed_on.map_err(missing)?;
            ("/sys/fs/cgroup", Version::Two, "memory.max")
        } else {
            ("/sys/fs/cgroup/memory", Version::One, "memory.limit_in_bytes")
        };
        let folder = PathBuf::from(root).join(format!("vertex-injector-limited-{}", std::process::id()));
        fs::create_dir(&folder).map_err(missing)?;
        let limited = Self { folder, version };
        fs::write(limited.folder.join(limit), bytes.to_string()).map_err(missing)?;
        Ok(limited)
    }

    /// Where a process is written to become limited.
    pub(super) fn processes(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }

    /// How many of its processes the kernel has killed for their memory.
    pub fn kills(&self) -> u64 {
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        let text = fs::read_to_string(self.folder.join(file)).expect("what became of it");
        let kills = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        kills.expect("a number of kills").trim().parse().expect("a number")
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        // A process that has just ended is still in it for a moment.
        for _ in 0..50 {
            if fs::remove_dir(&self.folder).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
