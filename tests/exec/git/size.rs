//! Packs of any size stream through.

use super::work::random;
use super::world::World;
use std::fs;

/// Far more than the proxy may hold.
const SIZE: usize = 48 * 1024 * 1024;

/// What it may need beyond what it had before.
const ROOM: u64 = 16 * 1024;

#[test]
fn a_large_repository_is_pushed_and_cloned_in_bounded_memory() {
    let world = World::new(&["acme/app:fetch,push"]);
    world.repository("acme/app");
    let url = world.forge.url("acme/app");
    // Connections, TLS and logs have their memory before we look.
    world.agent.git("", &["clone", "--quiet", &url, "small"]).output();
    let before = peak(world.sidecar.id());

    let content = random(SIZE);
    world.agent.commit("small", "large", &content);
    world.agent.git("small", &["push", "--quiet"]).output();
    world.agent.git("", &["clone", "--quiet", &url, "large"]).output();

    let arrived = fs::read(world.agent.home().join("large/large")).expect("the file");
    assert!(arrived == content, "the file has changed on its way");
    let grown = peak(world.sidecar.id()) - before;
    assert!(
        grown < ROOM,
        "the proxy took {grown} KiB more for {} KiB twice",
        SIZE / 1024
    );
    // Three requests of the first clone, three of the push (one of them only asks whether it may), three of the second clone.
    let audit = world.sidecar.audit(9);
    let largest = |field: &str| audit.iter().filter_map(|line| line[field].as_u64()).max();
    assert!(largest("sent") > Some(SIZE as u64) && largest("received") > Some(SIZE as u64));
}

/// The most memory that a process ever had, in KiB.
fn peak(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("its peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
