//! `man`: pages that man(1) can show.

use super::{Files, run};
use crate::help::verbs;
use std::fs;
use std::process::Command;

#[test]
fn there_is_a_page_for_every_verb_with_its_flags_and_examples_as_they_are_pasted() {
    let files = Files::new(&[]);
    assert_eq!(run(&["man", "--output-dir", &files.path("")]).output(), "");
    for verb in verbs() {
        let page = fs::read_to_string(files.path(&format!("vertex-injector-{verb}.1"))).expect("a page");
        assert!(page.contains(&format!(".TH vertex-injector-{verb} 1")), "{page}");
        let help = run(&[&verb, "--help"]).output();
        for flag in help
            .split_whitespace()
            .filter(|word| word.starts_with("--") && word.len() > 2)
        {
            let name = flag
                .trim_start_matches('-')
                .split(|c: char| !c.is_alphanumeric() && c != '-')
                .next();
            assert!(
                page.contains(&name.expect("a name").replace('-', "\\-")),
                "{verb}: {flag}"
            );
        }
        let (_, examples) = help.split_once("Examples:\n").expect("examples");
        let (_, ours) = page.split_once(".SH EXAMPLES\n.nf\n").expect("examples");
        for (line, ours) in examples
            .lines()
            .take_while(|line| !line.ends_with(':'))
            .zip(ours.lines())
        {
            assert_eq!(ours, format!("\\&{}", line.replace('\\', "\\e").replace('-', "\\-")));
        }
    }
    let whole = fs::read_to_string(files.path("vertex-injector.1")).expect("the page");
    assert_eq!(run(&["man"]).output(), whole);
    assert!(whole.contains("vertex\\-injector\\-inject(1)"), "{whole}");
}

#[test]
fn troff_has_nothing_to_say_against_them() {
    let Ok(true) = Command::new("groff")
        .arg("--version")
        .output()
        .map(|ran| ran.status.success())
    else {
        return;
    };
    let page = run(&["man"]).output();
    let mut groff = Command::new("groff");
    let ran = harness::process::run(groff.args(["-man", "-Tutf8", "-ww"]), &page, super::LIMIT);
    assert_eq!(ran.stderr, "");
}
