//! Signals, exit codes, and what is left of a server's processes.

use super::process::{Directory, PATIENCE, Wrapper, children};
use harness::scripted::{Google as Platform, Reply};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A wrapper around a shell script, which writes to `$OUT` what it wants to tell.
fn around(directory: &Directory, arguments: &[&str], script: &str) -> Wrapper {
    let source = format!("file:{}", directory.write("credential", "token"));
    let mut all = vec!["--source", &source, "--env=TOKEN=token", "--control-port=0"];
    all.extend(arguments);
    all.extend(["--", "sh", "-c", script]);
    Wrapper::start(&all, &[("OUT", &directory.path("out"))])
}

#[test]
fn the_exit_code_of_a_server_that_ends_by_itself_is_ours() {
    for (script, code) in [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -KILL $$", 137),
        ("kill -SEGV $$", 139),
        ("kill -TERM $$", 143),
    ] {
        let directory = Directory::new();
        let mut wrapper = around(&directory, &[], script);
        assert_eq!(wrapper.ended().0, Some(code), "{script}: {}", wrapper.output());
    }
}

#[test]
fn being_asked_to_end_ends_the_server_in_its_own_way_and_is_no_failure() {
    for signal in ["TERM", "INT", "QUIT"] {
        let directory = Directory::new();
        let script = r#"trap 'printf "%s ended" "$TOKEN" >"$OUT"; exit 9' TERM INT QUIT; printf up >"$OUT"; while :; do sleep 0.05; done"#;
        let mut wrapper = around(&directory, &[], script);
        directory.wait_for("out", "up");
        wrapper.signal(signal);
        let (code, time) = wrapper.ended();
        assert_eq!(code, Some(0), "{signal}: {}", wrapper.output());
        assert!(time < Duration::from_secs(5), "{signal} took {time:?}");
        assert_eq!(directory.read("out"), "token ended", "{signal}");
    }
}

#[test]
fn a_server_that_does_not_end_is_killed_with_all_that_it_started() {
    let directory = Directory::new();
    let script = r#"trap "" TERM; sleep 300 & printf '%s' "$!" >"$OUT"; while :; do sleep 0.05; done"#;
    let mut wrapper = around(&directory, &["--grace-period=1"], script);
    let end = Instant::now() + PATIENCE;
    while directory.read("out").is_empty() {
        assert!(Instant::now() < end);
        harness::process::pause(Duration::from_millis(5));
    }
    let grandchild = format!("/proc/{}", directory.read("out"));
    wrapper.signal("TERM");
    let (code, time) = wrapper.ended();
    assert_eq!(code, Some(0), "{}", wrapper.output());
    assert!(
        (Duration::from_millis(900)..Duration::from_secs(6)).contains(&time),
        "{time:?}"
    );
    gone(Path::new(&grandchild));
}

/// Waits until a process is gone, or at least dead: who reaps an orphan here is not our business.
fn gone(process: &Path) {
    let end = Instant::now() + PATIENCE;
    loop {
        let status = fs::read_to_string(process.join("status")).unwrap_or_default();
        if status.is_empty() || status.contains("State:\tZ") {
            return;
        }
        assert!(Instant::now() < end, "{} is still there", process.display());
        harness::process::pause(Duration::from_millis(5));
    }
}

#[test]
fn before_there_is_a_server_a_signal_ends_it_at_once() {
    let directory = Directory::new();
    let source = format!("file:{}", directory.path("nothing"));
    for signal in ["TERM", "INT"] {
        let mut wrapper = Wrapper::start(&["--source", &source, "--", "sleep", "60"], &[]);
        wrapper.signal("HUP");
        wrapper.wait_for("no credential at the moment, trying again");
        wrapper.signal(signal);
        let (code, time) = wrapper.ended();
        assert_eq!(code, Some(0), "{signal}");
        assert!(time < Duration::from_secs(2), "{signal} took {time:?}");
    }
}

#[test]
fn a_platform_that_hangs_keeps_nobody_from_ending_it() {
    let platform = Platform::always(Reply::Hang);
    let address = platform.listen();
    let directory = Directory::new();
    let token = directory.write("token", "projected");
    let source = format!("http://{address}/credential");
    let mut wrapper = Wrapper::start(&["--source", &source, "--token-file", &token, "--", "sleep", "60"], &[]);
    let end = Instant::now() + PATIENCE;
    while platform.seen().is_empty() {
        assert!(Instant::now() < end, "nothing was asked");
        harness::process::pause(Duration::from_millis(5));
    }
    wrapper.signal("TERM");
    let (code, time) = wrapper.ended();
    assert_eq!(code, Some(0));
    assert!(time < Duration::from_secs(2), "{time:?}");
}

#[test]
fn other_signals_are_passed_on_to_the_server_alone() {
    let directory = Directory::new();
    let script = r#"for s in HUP USR1 USR2; do trap "printf '$s ' >>\"\$OUT\"" $s; done; sleep 300 & printf 'up ' >"$OUT"; while :; do sleep 0.02; done"#;
    let wrapper = around(&directory, &[], script);
    let mut told = "up ".to_owned();
    directory.wait_for("out", &told);
    for signal in ["HUP", "USR1", "USR2"] {
        wrapper.signal(signal);
        told.push_str(signal);
        told.push(' ');
        directory.wait_for("out", &told);
    }
    let server = children(wrapper.id());
    let id: u32 = server[0].file_name().unwrap().to_str().unwrap().parse().unwrap();
    let long = children(id)
        .into_iter()
        .filter(|child| fs::read_to_string(child.join("cmdline")).unwrap_or_default() == "sleep\x00300\x00");
    assert_eq!(long.count(), 1, "what the server started was not hit");
}

#[test]
fn a_restart_takes_no_longer_than_the_server_and_leaves_nothing_behind() {
    let directory = Directory::new();
    let mut wrapper = around(&directory, &[], r#"sleep 300 & printf '%s\n' "$TOKEN" >>"$OUT"; wait"#);
    directory.wait_for("out", "token\n");
    let old = children(wrapper.id());
    let grandchildren = children(old[0].file_name().unwrap().to_str().unwrap().parse().unwrap());
    assert_eq!((old.len(), grandchildren.len()), (1, 1));
    directory.write("credential", "other");
    let start = Instant::now();
    assert_eq!(wrapper.ask("POST", "/refresh").0, 200);
    directory.wait_for("out", "token\nother\n");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    wrapper.wait_for_nth("the child has started", 1);
    assert_eq!(children(wrapper.id()).len(), 1, "no zombie");
    gone(&grandchildren[0]);
    wrapper.signal("TERM");
    assert_eq!(wrapper.ended().0, Some(0));
}

#[test]
fn a_server_that_ignores_the_restart_is_killed_and_one_that_fails_after_it_ends_us() {
    let directory = Directory::new();
    let script =
        r#"if [ "$TOKEN" = other ]; then exit 5; fi; trap "" TERM; printf up >"$OUT"; while :; do sleep 0.05; done"#;
    let mut wrapper = around(&directory, &["--grace-period=1"], script);
    directory.wait_for("out", "up");
    directory.write("credential", "other");
    assert_eq!(wrapper.ask("POST", "/refresh").0, 200);
    wrapper.wait_for("the child has not ended in time and is killed");
    assert_eq!(wrapper.ended().0, Some(5), "{}", wrapper.output());
}

#[test]
fn as_a_containers_first_process_it_buries_orphans_and_hears_signals() {
    let directory = Directory::new();
    let source = format!("file:{}", directory.write("credential", "token"));
    // An orphan whose parent is gone, and, later, how many zombies there are.
    let script = r#"(sleep 0.3 & printf '%s' "$!" >"$OUT.orphan"); sleep 1; grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l >"$OUT"; exec sleep 120"#;
    let mut command = Command::new("setpriv");
    command.args([
        "--pdeathsig",
        "KILL",
        "unshare",
        "--pid",
        "--mount-proc",
        "--fork",
        "--kill-child",
        "--",
    ]);
    command.arg(env!("CARGO_BIN_EXE_vertex-injector-sidecar"));
    let mut wrapper = Wrapper::start_as(
        command,
        &["--source", &source, "--", "sh", "-c", script],
        &[("OUT", &directory.path("out"))],
    );
    directory.wait_for("out", "0\n");
    assert_ne!(directory.read("out.orphan"), "");
    // It has no other handlers than its own: without them the kernel would not deliver the signal.
    let inner = children(wrapper.id());
    let id = inner[0].file_name().unwrap().to_str().unwrap();
    assert!(Command::new("kill").args(["-TERM", id]).status().unwrap().success());
    assert_eq!(wrapper.ended().0, Some(0), "{}", wrapper.output());
}
