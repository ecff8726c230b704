//! What people are used to from kubectl and its like.

use super::{LIMIT, POD, POLICY, TEAM_POLICY, command, pod, run, run_with};
use crate::help::verbs;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

#[test]
fn examples_are_shown_as_they_can_be_pasted_however_wide_the_terminal_is() {
    for verb in verbs() {
        let at = |columns: &str| {
            let mut help = command(&[&verb, "--help"]);
            let help = harness::process::run(help.env("COLUMNS", columns), "", LIMIT).output();
            help.split_once("Examples:\n").expect("examples").1.to_owned()
        };
        let examples = at("200");
        assert_eq!(at("80"), examples, "{verb}");
        let widest = examples.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(78), "{verb}: {widest:?}\n{examples}");
        // Nothing of them stands alone on a line.
        for (line, next) in examples.lines().zip(examples.lines().skip(1)) {
            assert!(!next.trim().starts_with("--") || line.ends_with('\\'), "{verb}: {next}");
        }
    }
}

#[test]
fn the_version_is_a_verb_too() {
    assert_eq!(run(&["version"]).output(), run(&["--version"]).output());
}

#[test]
fn as_a_plugin_of_kubectl_its_usage_is_kubectls() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("kubectl-vertex_injector");
    symlink(env!("CARGO_BIN_EXE_vertex-injector"), &plugin).unwrap();
    let ask = |arguments: &[&str]| harness::process::run(Command::new(&plugin).args(arguments), "", LIMIT);

    assert!(
        ask(&["--help"])
            .output()
            .contains("Usage: kubectl vertex-injector <COMMAND>")
    );
    let help = ask(&["inject", "--help"]).output();
    assert!(
        help.contains("Usage: kubectl vertex-injector inject [OPTIONS]"),
        "{help}"
    );
    let wrong = ask(&["inject"]).error();
    assert!(wrong.contains("Usage: kubectl vertex-injector inject"), "{wrong}");
    // Under its own name as before.
    assert!(run(&["inject"]).error().contains("Usage: vertex-injector inject"));
}

#[test]
fn urls_are_refused_in_words_and_not_repeated() {
    for arguments in [
        &["inject", "-f", "https://me:secret@example.com/pod.yaml"][..],
        &["explain", "-f", POD, "--policy", "http://me:secret@example.com/"],
        &["validate", "-f", "s3://me:secret@bucket/policy.yaml"],
    ] {
        let ran = run(arguments);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(
            ran.stderr.contains("a URL is no file, and nothing is fetched here"),
            "{}",
            ran.stderr
        );
        assert!(!ran.stderr.contains("secret"), "{}", ran.stderr);
    }
}

#[test]
fn directories_below_are_read_when_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let below = folder.path().join("teams/a");
    fs::create_dir_all(&below).unwrap();
    fs::create_dir(folder.path().join(".hidden")).unwrap();
    fs::write(folder.path().join("top.yaml"), TEAM_POLICY).unwrap();
    fs::write(
        below.join("deep.yaml"),
        TEAM_POLICY.replace("name: agents", "name: deep"),
    )
    .unwrap();
    fs::write(folder.path().join(".hidden/not.yaml"), "not: [a manifest").unwrap();
    symlink(folder.path(), folder.path().join("loop")).unwrap();
    let folder = folder.path().to_str().unwrap();
    let valid = |arguments: &[&str]| run(arguments).output().matches(": valid").count();

    assert_eq!(valid(&["validate", "-f", folder]), 1);
    for recursive in ["-R", "--recursive"] {
        assert_eq!(valid(&["validate", recursive, "-f", folder]), 2);
    }
    let ran = run_with(&["explain", "-R", "-f", "-", "--policy", folder], &pod("a"));
    assert!(ran.output().contains("Pod team/a: injected"));
}

#[test]
fn where_no_policy_is_given_that_is_what_is_said() {
    let ran = run_with(&["inject", "-f", "-"], &pod("a"));
    assert!(ran.success());
    assert!(
        ran.stderr
            .contains("skipped (NotSelected): no policies were given; name them with --policy"),
        "{}",
        ran.stderr
    );
    let other = run_with(&["inject", "-f", "-", "--policy", POLICY], &pod("a"));
    assert!(other.stderr.contains("no policy selects the pod"), "{}", other.stderr);
}

#[test]
fn warnings_are_errors_when_that_is_asked_for() {
    let manifests = format!("{}---\n{TEAM_POLICY}", pod("a"));
    for verb in ["inject", "explain"] {
        let lenient = run_with(&[verb, "-f", "-"], &manifests);
        assert!(lenient.success(), "{}", lenient.stderr);
        let strict = run_with(&[verb, "-f", "-", "--strict"], &manifests);
        // The ConfigMap of its helpers has to exist.
        assert_eq!(strict.code, Some(1), "{verb}: {}", strict.stderr);
        let whole =
            format!("{manifests}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: helpers, namespace: team}}\n");
        let strict = run_with(&[verb, "-f", "-", "--strict"], &whole);
        assert!(strict.success(), "{verb}: {}{}", strict.stderr, strict.stdout);
    }
    assert!(run(&["validate", "-f", POLICY, "--strict"]).success());
}

#[test]
fn colours_are_as_asked_for() {
    for arguments in [
        &["explain", "-f", POD, "--policy", POLICY][..],
        &["validate", "-f", POLICY],
    ] {
        let with = |when: &str| run(&[arguments, &["--color", when]].concat()).output();
        assert!(with("always").contains("\u{1b}[32m"));
        for never in ["never", "auto"] {
            assert!(!with(never).contains('\u{1b}'));
        }
    }
}
