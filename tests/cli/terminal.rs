//! Terminals and pipes.

use super::{LIMIT, POD, POLICY, TEAM_POLICY, command, pod, run, run_with};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

const EXPLAIN: [&str; 5] = ["explain", "-f", POD, "--policy", POLICY];

/// What a command writes to a terminal.
fn on_a_terminal(command: &mut Command) -> String {
    let mut terminal = File::from(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap());
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let other_end = ptsname(&terminal, Vec::new()).unwrap();
    let other_end = OpenOptions::new()
        .read(true)
        .write(true)
        .open(other_end.to_str().unwrap())
        .unwrap();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::from(other_end))
        .spawn()
        .unwrap();
    // The command keeps its end of the terminal open until it is dropped.
    command.stdout(Stdio::null());
    let mut text = Vec::new();
    let mut part = [0; 4096];
    // With the other end gone, reading from a terminal fails on Linux.
    while let Ok(length @ 1..) = terminal.read(&mut part) {
        text.extend_from_slice(&part[..length]);
    }
    assert!(ended(&mut child).success());
    String::from_utf8(text).unwrap()
}

fn ended(child: &mut Child) -> std::process::ExitStatus {
    harness::process::wait(child, Instant::now() + LIMIT).unwrap()
}

#[test]
fn colours_are_for_terminals() {
    let plain = run(&EXPLAIN).output();
    assert!(!plain.contains('\u{1b}'));
    let coloured = on_a_terminal(command(&EXPLAIN).env("TERM", "xterm"));
    assert!(coloured.contains("\u{1b}[32minjected\u{1b}[0m"), "{coloured:?}");
    let mut without = coloured;
    for escape in ["\u{1b}[1m", "\u{1b}[32m", "\u{1b}[0m", "\r"] {
        without = without.replace(escape, "");
    }
    assert_eq!(without, plain);
}

#[test]
fn no_color_is_respected() {
    let text = on_a_terminal(command(&EXPLAIN).env("TERM", "xterm").env("NO_COLOR", "1"));
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn colours_can_be_asked_for() {
    let ran = harness::process::run(command(&EXPLAIN).env("CLICOLOR_FORCE", "1"), "", LIMIT);
    assert!(ran.output().contains('\u{1b}'));
}

#[test]
fn a_name_with_control_characters_does_not_reach_the_terminal() {
    let evil = pod("a").replace("name: a,", "name: \"a\\e[31m\\a\",");
    for ran in [
        run_with(&["explain", "-f", "-"], &evil),
        run_with(&["inject", "-f", "-"], &evil),
        run_with(&["validate", "-f", "-"], &format!("{evil}---\n{TEAM_POLICY}")),
    ] {
        assert!(!ran.stdout.contains(['\u{1b}', '\u{7}']), "{:?}", ran.stdout);
        assert!(!ran.stderr.contains(['\u{1b}', '\u{7}']), "{:?}", ran.stderr);
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    // More than a pipe holds, so that the writer is still writing when the reader goes.
    let mut child = command(&["crds"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 16];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    assert_eq!(&first, b"apiVersion: apie");
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
    assert_eq!(ended(&mut child).code(), Some(0));
}

#[test]
fn a_full_disk_is_an_error() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut child = command(&["crds"]).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.starts_with("error: No space left on device"), "{said}");
    assert_eq!(ended(&mut child).code(), Some(2));
}

#[test]
fn pipes_join_verbs_and_process_substitution_works() {
    let script = format!(
        "set -euo pipefail; {0} inject -f {POD} --policy <(cat {POLICY}) | {0} explain -f - --policy {POLICY} -o json",
        env!("CARGO_BIN_EXE_vertex-injector")
    );
    let ran = harness::process::run(
        Command::new("bash")
            .args(["-c", &script])
            .current_dir(harness::process::repository()),
        "",
        LIMIT,
    );
    let explanation: serde_json::Value = serde_json::from_str(&ran.output()).unwrap();
    assert_eq!(explanation[0]["reason"], "AlreadyInjected");
}
