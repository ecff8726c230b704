//! `copy`: the program gets where another image can run it.

use super::{Files, run};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use vertex_injector_core::names;

#[test]
fn the_copy_runs_and_everybody_may_run_it_but_nobody_change_it() {
    let files = Files::new(&[]);
    for _ in 0..2 {
        // Again, as when the kubelet restarts a pod's init containers.
        let ran = run(&["copy", "--to", &files.path("")]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{}", ran.stderr);
    }
    let copy = files.path(names::PROGRAM);
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o555);
    let version = harness::process::run(Command::new(&copy).arg("--version"), "", super::LIMIT).output();
    assert_eq!(version, run(&["--version"]).output());
    assert_eq!(
        fs::read_dir(files.path("")).unwrap().count(),
        1,
        "something is left over"
    );
}

#[test]
fn a_directory_that_does_not_exist_is_told() {
    let ran = run(&["copy", "--to", "no/such/directory"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(
        ran.stderr
            .starts_with("error: cannot write no/such/directory/vertex-injector-sidecar: "),
        "{}",
        ran.stderr
    );
}
