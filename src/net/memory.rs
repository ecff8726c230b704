//! How much memory the container of this process may use, as the kernel knows it.

use std::fs;

/// Where the kernel shows the limits of cgroups: version 2, then version 1.
const UNIFIED: (&str, &str) = ("/sys/fs/cgroup", "memory.max");
const MEMORY: (&str, &str) = ("/sys/fs/cgroup/memory", "memory.limit_in_bytes");

/// The limit in bytes; `None` when there is none that can be seen.
pub fn limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mut limits = Vec::new();
    for (controllers, path) in groups.lines().filter_map(group) {
        let (root, file) = if controllers.is_empty() {
            UNIFIED
        } else if controllers.split(',').any(|controller| controller == "memory") {
            MEMORY
        } else {
            continue;
        };
        // In a namespace of its own a container is at the root; without one its own group is below.
        for group in [path, ""] {
            let text = fs::read_to_string(format!("{root}{group}/{file}")).unwrap_or_default();
            limits.extend(text.trim().parse::<u64>().ok());
        }
    }
    limits.into_iter().min()
}

/// Controllers and path of a line, `4:memory:/path` or `0::/path`.
fn group(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.split_once(':')?;
    rest.split_once(':')
}
