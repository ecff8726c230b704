//! The verbs and their flags, as `--help` prints them.

use crate::check;
use std::process::Command;

const ABOUT: &str = "\
What `--help` of each verb prints. Exit codes: 0, done; 1, a pod was denied, a policy is invalid, a sidecar is not ready,
something is broken or something differs; 2, the arguments or the input cannot be used, or a cluster cannot be asked.";

#[test]
fn the_page_of_commands_is_what_help_prints() {
    let top = help(&[]);
    let mut body = format!("```\n{}\n```\n", top.trim_end());
    let mut count = 0;
    for verb in commands(&top) {
        let own = help(&[verb]);
        body.push_str(&format!("\n## {verb}\n\n```\n{}\n```\n", own.trim_end()));
        count += 1;
        for narrower in commands(&own) {
            let help = help(&[verb, narrower]);
            body.push_str(&format!("\n### {verb} {narrower}\n\n```\n{}\n```\n", help.trim_end()));
        }
    }
    assert!(count > 5);
    check("commands.md", "Commands", ABOUT, &body);
}

/// The verbs that a help lists.
fn commands(help: &str) -> impl Iterator<Item = &str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    let verbs = lines
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    verbs.filter(|verb| *verb != "help")
}

fn help(verb: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vertex-injector"));
    let output = command.args(verb).arg("--help").env_clear().output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
