//! However a control plane's end comes about, nothing of it stays.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::traces::{assert_all_gone, kill, processes_of, within_ten_seconds};
use harness::kube::ControlPlane;
use harness::process::{or_explain, repository};

#[test]
fn a_control_plane_ends_when_its_test_lets_go_of_it() {
    let Some(cluster) = or_explain(ControlPlane::start_own()) else {
        return;
    };
    let run = cluster.supervisor().unwrap().path("DIR").to_owned();
    assert_is_up(&run);

    drop(cluster);

    assert!(!run.exists());
    assert_gone(&run);
}

#[test]
fn a_control_plane_ends_when_the_process_of_its_test_is_killed() {
    let mut test = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "leftovers::holds_a_control_plane"])
        .args(["--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(test.stdout.take().unwrap()).lines();
    let run = lines
        .map_while(Result::ok)
        .find_map(|line| line.split_once("HOLDS ").map(|(_, run)| PathBuf::from(run)));
    let Some(run) = run else {
        // The other process has said why, and failed if that is a failure.
        assert!(test.wait().unwrap().success());
        return;
    };
    assert_is_up(&run);

    kill(test.id());
    test.wait().unwrap();

    assert_gone(&run);
}

#[test]
#[ignore = "killed by a_control_plane_ends_when_the_process_of_its_test_is_killed"]
fn holds_a_control_plane() {
    let Some(cluster) = or_explain(ControlPlane::start_own()) else {
        return;
    };
    println!("HOLDS {}", cluster.supervisor().unwrap().path("DIR").display());
    std::thread::park();
}

#[test]
fn a_control_plane_ends_when_its_supervisor_is_killed() {
    let Some(cluster) = or_explain(ControlPlane::start_own()) else {
        return;
    };
    let run = cluster.supervisor().unwrap().path("DIR").to_owned();
    assert_is_up(&run);

    kill(cluster.supervisor().unwrap().id());

    assert_gone(&run);
}

#[test]
fn what_is_left_when_everything_is_killed_at_once_is_removed_by_the_next_start() {
    if or_explain(ControlPlane::start_own()).is_none() {
        return;
    }
    // A folder that no other test cleans up. Not below target: sockets want short paths.
    let runs = std::env::temp_dir().join(format!("vertex-injector-runs-{}", std::process::id()));
    let (crashed, crashed_run, _commands) = start_in(&runs);
    let janitor = processes_of(&crashed_run)
        .into_iter()
        .find(|process| process.command.contains("lib/janitor"))
        .unwrap();
    kill(janitor.id);
    kill(crashed.id());
    within_ten_seconds("the processes end", || processes_of(&crashed_run).is_empty());
    assert!(crashed_run.exists());

    let (mut next, next_run, commands) = start_in(&runs);

    assert!(!crashed_run.exists());
    drop(commands);
    assert!(next.wait().unwrap().success());
    assert_gone(&next_run);
    std::fs::remove_dir_all(runs).unwrap();
}

fn start_in(runs: &Path) -> (Child, PathBuf, ChildStdin) {
    let mut cluster = Command::new(repository().join("hack/kube/cluster"))
        .arg("control-plane")
        .env("VERTEX_INJECTOR_KUBE_DIR", runs)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(cluster.stdout.take().unwrap()).lines();
    let facts: Vec<_> = lines.map_while(Result::ok).take_while(|line| line != "READY").collect();
    let run = facts.iter().find_map(|line| line.strip_prefix("DIR=")).unwrap();
    let commands = cluster.stdin.take().unwrap();
    (cluster, PathBuf::from(run), commands)
}

fn assert_is_up(run: &Path) {
    let commands: String = processes_of(run).into_iter().map(|process| process.command).collect();
    assert!(
        commands.contains("etcd") && commands.contains("kube-apiserver"),
        "{commands}"
    );
    assert!(answers(run));
}

#[track_caller]
fn assert_gone(run: &Path) {
    assert_all_gone(run);
    assert!(
        !answers(run),
        "something still listens on the port of {}",
        run.display()
    );
}

/// Whether something listens on the port that the folder is named after.
fn answers(run: &Path) -> bool {
    let name = run.to_str().unwrap();
    let port: u16 = name.rsplit_once('-').unwrap().1.parse().unwrap();
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}
