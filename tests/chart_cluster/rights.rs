//! What the chart's ServiceAccounts may do is what `docs/rights.md` says, and nothing more.

use crate::install::second;
use crate::release::{OWN, RELEASE, Release, chart};
use harness::process::repository;
use harness::rights::{Right, rights};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use vertex_injector_core::manifest;

/// What may be asked of one account.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rights {
    everywhere: BTreeSet<Right>,
    own_namespace: BTreeSet<Right>,
}

/// What a section of the page says: of a release by its objects' name, with the settings that hold for it.
fn documented(section: &str, name: &str, settings: &[&str]) -> Rights {
    let page = fs::read_to_string(repository().join("docs/rights.md")).expect("the page");
    let (_, after) = page.split_once(&format!("\n## {section}\n")).expect("the section");
    let section = after.split("\n## ").next().expect("a first part");
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let mut rights = Rights::default();
    let mut read = 0;
    for row in rows {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [verbs, resources, names, place, when, why] = cells[..] else {
            panic!("{row}")
        };
        assert!(!why.is_empty(), "{row}");
        read += 1;
        let list = |cell: &str| -> Vec<String> {
            cell.split(", ")
                .map(|word| word.trim_matches('`').replace("NAME", name))
                .collect()
        };
        if !when.is_empty() && !settings.contains(&when.trim_matches('`')) {
            continue;
        }
        let place = match place {
            "cluster" => &mut rights.everywhere,
            "its namespace" => &mut rights.own_namespace,
            _ => panic!("{row}"),
        };
        for verb in list(verbs) {
            for resource in list(resources) {
                place.extend(list(names).into_iter().map(|name| Right {
                    verb: verb.clone(),
                    resource: resource.clone(),
                    name,
                }));
            }
        }
    }
    assert!(read > 3, "{section}");
    rights
}

/// What the API server says of an account, but for what it says of every account.
fn held(release: &Release, account: &str, namespace: &str) -> Rights {
    let all = |account: &str, namespace: &str| {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace},
        });
        let create = [
            "create",
            "--validate=false",
            "--as",
            account,
            "--filename",
            "-",
            "--output",
            "json",
        ];
        let answer = release.cluster.kubectl_stdin(&create, &review.to_string());
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer["status"]["incomplete"], false, "{answer}");
        rights(&answer["status"]["resourceRules"])
    };
    let nobody = "system:serviceaccount:default:nobody";
    let everywhere = &all(account, "default") - &all(nobody, "default");
    let own = &all(account, namespace) - &all(nobody, namespace);
    assert!(everywhere.is_subset(&own), "{account}");
    Rights {
        own_namespace: &own - &everywhere,
        everywhere,
    }
}

#[test]
fn the_webhook_may_do_what_the_page_says_and_nothing_more() {
    let Some(release) = &*RELEASE else { return };
    let keeps = "certificates.mode=self-signed";
    assert_eq!(
        held(
            release,
            &format!("system:serviceaccount:{OWN}:injector-vertex-injector"),
            OWN
        ),
        documented("The webhook", "injector-vertex-injector", &[keeps])
    );
    second(release, "rights", &["--set", "gkeWorkloadIdentity.enabled=true"]);
    assert_eq!(
        held(
            release,
            "system:serviceaccount:rights-system:rights-vertex-injector",
            "rights-system"
        ),
        documented(
            "The webhook",
            "rights-vertex-injector",
            &[keeps, "gkeWorkloadIdentity.enabled"]
        )
    );
    let files = ["--set", "certificates.mode=files,certificates.secretName=given"];
    second(release, "given", &files);
    assert_eq!(
        held(
            release,
            "system:serviceaccount:given-system:given-vertex-injector",
            "given-system"
        ),
        documented("The webhook", "given-vertex-injector", &[])
    );
}

#[test]
fn the_charts_own_test_may_do_what_the_page_says_and_nothing_more() {
    let Some(release) = &*RELEASE else { return };
    let namespace = "page-system";
    release.cluster.create_namespace(namespace, &[]);
    let rendered = release.cluster.helm(&[
        "template",
        "page",
        &chart(),
        "--namespace",
        namespace,
        "--set=image.repository=example.com/injector",
        "--show-only=templates/tests/check.yaml",
    ]);
    for object in manifest::documents(&rendered).expect("objects") {
        let object = object.to_string();
        if object.contains("rbac.authorization.k8s.io/v1") {
            let apply = ["--namespace", namespace, "apply", "--filename", "-"];
            release.cluster.kubectl_stdin(&apply, &object);
        }
    }
    assert_eq!(
        held(
            release,
            "system:serviceaccount:page-system:page-vertex-injector-test",
            namespace
        ),
        documented("`helm test`", "page-vertex-injector", &[])
    );
}
