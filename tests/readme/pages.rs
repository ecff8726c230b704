//! All pages for people: what they link to and name is there, and every "no" of the threats has its test.

use crate::text::{Page, pages, prose_of, quoted};
use regex::Regex;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use support::root;

/// What a link to a heading ends in, as GitHub makes it.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim());
    let plain = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings
        .map(|heading| {
            heading
                .to_lowercase()
                .chars()
                .filter(plain)
                .collect::<String>()
                .replace(' ', "-")
        })
        .collect()
}

#[test]
fn every_link_within_the_repository_resolves() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut count = 0;
    for Page { path, text } in pages() {
        for found in link.captures_iter(&prose_of(text)) {
            let target = &found[1];
            if target.contains("://") {
                continue;
            }
            count += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() {
                path.clone()
            } else {
                path.parent().unwrap().join(file)
            };
            let there = fs::read_to_string(&file)
                .is_ok_and(|text| anchor.is_empty() || anchors(&text).contains(anchor))
                || (anchor.is_empty() && file.exists());
            assert!(there, "{} links to {target}", path.display());
        }
    }
    assert!(count > 5);
}

#[test]
fn every_file_and_folder_that_is_named_exists() {
    let mut count = 0;
    for Page { path, text } in pages() {
        for word in quoted(&prose_of(text))
            .iter()
            .flat_map(|quoted| quoted.split_whitespace())
        {
            if ["hack/", "charts/", "src/", "tests/"]
                .iter()
                .any(|root| word.starts_with(root))
                && !word.contains('…')
            {
                assert!(root().join(word).exists(), "{} names {word}", path.display());
                count += 1;
            }
        }
    }
    assert!(count > 30);
}

#[test]
fn every_threat_that_is_none_names_the_test_that_shows_it() {
    let threats = fs::read_to_string(root().join("docs/threats.md")).unwrap();
    let mut count = 0;
    for line in threats.lines().filter(|line| {
        line.split('|')
            .nth(2)
            .is_some_and(|verdict| verdict.trim().starts_with("no"))
    }) {
        let shown_by = line.trim_end_matches('|').rsplit('|').next().unwrap();
        let tests = quoted(shown_by);
        assert!(
            !tests.is_empty() && tests.iter().all(|test| Path::new(test).starts_with("tests")),
            "{line}"
        );
        count += 1;
    }
    assert!(count > 20);
}

#[test]
fn every_feature_that_is_there_names_the_test_that_shows_it() {
    let features = fs::read_to_string(root().join("docs/features.md")).unwrap();
    let mut count = 0;
    for line in features.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if !cells[2].starts_with("yes") {
            continue;
        }
        let tests = quoted(cells[3]);
        assert!(!tests.is_empty(), "{line}");
        for test in tests {
            let text = fs::read_to_string(root().join(&test)).unwrap();
            assert!(text.contains("test]\n") || text.contains("::test("), "{line}: {test}");
        }
        count += 1;
    }
    assert!(count > 20);
}

/// The tests in the files of a folder, each as `FILE::NAME`.
fn tests_in(folder: &str) -> BTreeSet<String> {
    let function = Regex::new(r"#\[test\]\s+fn (\w+)").unwrap();
    let several = Regex::new(r"(?m)^answers_in!\((.*)\);$").unwrap();
    let mut tests = BTreeSet::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let file = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap();
            let names = function.captures_iter(&text).map(|found| found[1].to_owned());
            let lists = several.captures_iter(&text).map(|found| found[1].to_owned());
            let listed = lists.flat_map(|list| {
                let names = list.split(", ").filter_map(|entry| entry.split(':').next());
                names.map(str::to_owned).collect::<Vec<_>>()
            });
            tests.extend(names.chain(listed).map(|name| format!("{file}::{name}")));
        }
    }
    tests
}

#[test]
fn every_client_that_is_said_to_work_in_a_mode_has_a_test_that_runs_it_there() {
    let page = fs::read_to_string(root().join("docs/clients.md")).unwrap();
    let run = tests_in("tests/google_clients/clients");
    let known: BTreeSet<String> = run.union(&tests_in("tests/google_clients")).cloned().collect();
    // The name of a client's test, and what the name of one of several clients has in it.
    let modes = [
        ("file", "_the_file_"),
        ("metadata", "_the_metadata_server_"),
        ("proxy", "_the_proxy_"),
        ("proxy_refuses_a_model", "_outside_the_policy_"),
    ];
    let rows = page.lines().filter(|line| line.starts_with("| ")).skip(1);
    let mut named = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 2 + modes.len(), "{row}");
        for (cell, (mode, word)) in cells.into_iter().skip(2).zip(modes) {
            let Some(test) = quoted(cell).first().map(ToString::to_string) else {
                assert!(cell.is_empty() || cell.starts_with("no ("), "{cell:?} in {row}");
                continue;
            };
            assert!(known.contains(&test), "there is no test {test}");
            let fits = test.ends_with(&format!("::{mode}")) || (!run.contains(&test) && test.contains(word));
            assert!(fits, "{test} under {mode}");
            named.insert(test);
        }
    }
    let unnamed: Vec<_> = run.difference(&named).collect();
    assert!(unnamed.is_empty(), "docs/clients.md does not name {unnamed:?}");
}
