//! Help, version and completions.

use super::{command, run};
use std::process::Command;

/// The verbs that help lists, but for `help` itself.
pub(crate) fn verbs() -> Vec<String> {
    let help = run(&["--help"]).output();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let verbs: Vec<String> = commands
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .filter(|verb| verb != "help")
        .collect();
    for verb in [
        "webhook",
        "broker",
        "probe",
        "exec",
        "copy",
        "inject",
        "explain",
        "validate",
        "check",
        "audit",
        "diff",
        "crds",
        "completions",
        "man",
    ] {
        assert!(verbs.iter().any(|known| known == verb), "{help}");
    }
    verbs
}

#[test]
fn the_list_says_of_every_verb_what_its_own_help_begins_with() {
    let list = run(&["--help"]).output();
    for verb in verbs() {
        let own = run(&[&verb, "--help"]).output();
        let first = own.lines().next().unwrap().trim_end_matches('.');
        assert!(!first.is_empty(), "{verb}");
        let line = list.lines().find(|line| line.split_whitespace().next() == Some(&verb));
        assert_eq!(line.unwrap().trim().trim_start_matches(&verb).trim(), first);
    }
}

#[test]
fn every_verb_has_examples() {
    for verb in verbs() {
        let own = run(&[&verb, "--help"]).output();
        let examples = own
            .split("Examples:\n")
            .nth(1)
            .unwrap_or_else(|| panic!("{verb} has no examples"));
        assert!(examples.contains(&format!("vertex-injector {verb}")), "{own}");
    }
}

#[test]
fn the_flags_of_every_example_exist() {
    for verb in verbs() {
        let help = run(&[&verb, "--help"]).output();
        let (flags, examples) = help.split_once("Examples:\n").unwrap();
        let ours: String = examples
            .replace("\\\n", " ")
            .split(['|', '\n', '<', '&'])
            .filter(|command| command.contains(&format!("vertex-injector {verb}")))
            // What follows is another program's.
            .filter_map(|command| command.split(" -- ").next())
            .collect::<Vec<_>>()
            .join(" ");
        for flag in ours
            .split_whitespace()
            .filter(|word| word.starts_with('-') && word.len() > 1)
        {
            assert!(
                [" ", ", ", "\n"]
                    .iter()
                    .any(|end| flags.contains(&format!("{flag}{end}"))),
                "{verb}: {flag}\n{help}"
            );
        }
    }
}

#[test]
fn the_exit_codes_are_written_where_scripts_depend_on_them() {
    for verb in ["inject", "explain", "validate", "check", "audit", "diff", "doctor"] {
        let help = run(&[verb, "--help"]).output();
        assert!(
            help.contains("Exit codes:\n  0  ") && help.contains("\n  1  ") && help.contains("\n  2  "),
            "{help}"
        );
    }
}

#[test]
fn no_arguments_is_a_question_and_not_a_success() {
    let ran = run(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(ran.stderr.contains("Usage: vertex-injector"), "{}", ran.stderr);
}

#[test]
fn the_version_is_that_of_the_package() {
    assert_eq!(
        run(&["--version"]).output(),
        format!("vertex-injector {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn every_shell_gets_completions_that_know_the_verbs() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run(&["completions", shell]).output();
        for verb in verbs() {
            assert!(script.contains(&verb), "{shell}: {verb}");
        }
    }
    let script = run(&["completions", "bash"]).output();
    harness::process::run(Command::new("bash").arg("-n"), &script, super::LIMIT).output();
    // What bash does when somebody presses the tabulator key after `vertex-injector inj`.
    let offered = format!(
        "{script}\nCOMP_WORDS=(vertex-injector inj); COMP_CWORD=1\n\
         complete=$(complete -p vertex-injector); function=${{complete#*-F }}\n\
         ${{function%% *}} vertex-injector inj vertex-injector\necho \"${{COMPREPLY[*]}}\"\n"
    );
    let reply = harness::process::run(&mut Command::new("bash"), &offered, super::LIMIT).output();
    assert_eq!(reply, "inject\n");
}

#[test]
fn the_webhook_refuses_flags_that_do_not_fit_before_it_opens_a_port() {
    let ran = harness::process::run(
        command(&["webhook", "--listen", "nowhere"]).env_remove("VERTEX_INJECTOR_LISTEN"),
        "",
        super::LIMIT,
    );
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("--listen <ADDR:PORT>"), "{}", ran.stderr);
}

/// Of a help text without its line ends and indents.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[test]
fn help_is_as_wide_as_the_terminal_and_examples_can_be_pasted_from_the_narrowest() {
    for verb in verbs() {
        let [narrow, wide] = [40, 200].map(|columns| {
            let ours = env!("CARGO_BIN_EXE_vertex-injector");
            let shown = format!("stty rows 24 cols {columns} && {ours} {verb} --help");
            let mut script = Command::new("script");
            script.args(["--quiet", "--return", "--command", &shown, "/dev/null"]);
            let shown = harness::process::run(script.env("TERM", "dumb").env("NO_COLOR", "1"), "", super::LIMIT);
            shown.output().replace('\r', "")
        });
        let [(narrow, examples), (wide, whole)] =
            [&narrow, &wide].map(|text| text.split_once("\nExamples:\n").expect("examples"));
        assert_eq!(examples, whole, "{verb}");
        assert_eq!(words(narrow), words(wide), "{verb}");
        let longest = |text: &str| text.lines().map(|line| line.chars().count()).max();
        if verb == "inject" {
            assert_ne!(narrow, wide);
        }
        assert!(longest(narrow) <= longest(wide), "{verb}: {narrow}");
    }
}
