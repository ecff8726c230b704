//! The table: a breakage, how it is named, and words of what to do.

use crate::objects::{Shown, edited, injection, policy, release, seen, unseen, validation, world};
use crate::{installations, policies};
use installations::{certified, defined, deployment, guarded, injected, node, replica, running, sending, set_up};
use policies::{of_policies, tried};
use serde_json::json;
use std::collections::BTreeSet;
use strum::VariantArray;
use vertex_injector_core::api::crds;
use vertex_injector_operate::Look;
use vertex_injector_operate::check::trial::{Answer, trials};
use vertex_injector_operate::check::{api_server, definitions, guards, replicas, webhooks};
use vertex_injector_operate::finding::Finding;
use vertex_injector_operate::problem::Problem;
use vertex_injector_operate::world::World;

/// What was broken, what it is called, and words that its line has.
pub(crate) type Row = (&'static str, Problem, Vec<Finding>, &'static [&'static str]);

/// How objects of the chart come back.
pub(crate) const APPLY: &str = "helm get manifest vi -n system | kubectl apply -n system";

fn rows() -> Vec<Row> {
    [installations::rows(), policies::rows()]
        .into_iter()
        .flatten()
        .collect()
}

#[test]
fn every_breakage_is_named_with_what_to_do() {
    let rows = rows();
    assert!(rows.len() > 40);
    for (what, problem, findings, words) in rows {
        let findings: Vec<Finding> = findings.into_iter().map(|it| it.in_release("vi", "system")).collect();
        let found: Vec<Finding> = findings
            .iter()
            .filter(|it| it.problem == Some(problem))
            .cloned()
            .collect();
        let all = Shown(findings).to_string();
        assert_eq!(found.len(), 1, "{what}: {problem} is not once in\n{all}");
        let shown = Shown(found).to_string();
        for word in words {
            assert!(shown.contains(word), "{what}: {word:?} is not in\n{shown}");
        }
    }
}

#[test]
fn no_problem_of_an_installation_is_without_a_breakage() {
    let shown: BTreeSet<Problem> = rows().into_iter().map(|row| row.1).collect();
    // Those of pods that run are in the other file; those of many objects need many.
    let elsewhere = |problem: &&Problem| problem.part().name() == "agents" || **problem == Problem::NotInstalled;
    let missing: Vec<&Problem> = Problem::VARIANTS
        .iter()
        .filter(|it| !shown.contains(it) && !elsewhere(it))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn where_all_is_well_nothing_is_named() {
    let pods = json!([replica("a", json!({"running": {}}))]);
    let version = vertex_injector_operate::check::VERSION;
    let validation = sending(validation());
    let all = [
        api_server::judge(
            (1, 30),
            &Look::Seen(true),
            &seen(json!([{"metadata": {"name": "new"}, "status": {"nodeInfo": node("v1.29.0")}}])),
        ),
        defined(|_| ()),
        injected(injection()),
        vec![webhooks::judge_validation(&release(), &validation)],
        set_up(Some(crate::objects::SETTINGS)),
        certified("vi-vertex-injector.system.svc", 60, true),
        running(deployment(2, version), pods),
        replicas::judge(&release(), true, &Look::Seen(None), &seen(json!([]))),
        guarded("Fail", &["Deny"], true, true),
        of_policies(&[policy("team", "True", "Accepted")], &[]),
        tried(Answer::Created(
            json!({"metadata": {"annotations": {"vertex-injector.dev/policy-ref": "team/agents@2"}}}),
        )),
    ];
    let shown = Shown(all.concat()).to_string();
    assert_eq!(shown, "");
}

#[test]
fn what_nobody_may_see_is_neither_fine_nor_broken() {
    let all = [
        vec![definitions::judge(&crds()[0], &unseen())],
        webhooks::judge_injection(&release(), &unseen(), None),
        vec![webhooks::judge_validation(&release(), &unseen())],
        vec![webhooks::judge_service("system", "x", &unseen())],
        replicas::judge(&release(), false, &unseen(), &unseen()),
        guards::judge(&release(), &unseen(), &seen(json!([]))),
    ];
    let all = all.concat();
    assert_eq!(all.len(), 6);
    assert!(all.iter().all(|finding| finding.problem == Some(Problem::CouldNotLook)));
}

#[test]
fn trial_pods_are_what_their_policy_selects() {
    let agents = json!([{"podSelector": {"matchLabels": {"team": "a"}, "matchExpressions": [
        {"key": "app", "operator": "Exists"}, {"key": "tier", "operator": "In", "values": ["gold", "iron"]},
        {"key": "team", "operator": "Exists"}, {"key": "no", "operator": "DoesNotExist"}, {"key": "not", "operator": "NotIn", "values": ["x"]},
    ]}, "serviceAccounts": ["runner"], "containers": ["main", "side"]}]);
    let asks = edited(
        edited(policy("team", "True", "Accepted"), "/spec/agents", json!([])),
        "/metadata/name",
        json!("asks"),
    );
    let cluster = edited(policy("", "True", "Accepted"), "/metadata/name", json!("all"));
    let bad = edited(policy("team", "False", "Invalid"), "/metadata/name", json!("bad"));
    let selects = edited(policy("team", "True", "Accepted"), "/spec/agents", agents);
    let world: World = world(&[selects, asks, bad, policy("other", "True", "Accepted")], &[cluster]);
    let pods: Vec<_> = trials(&world)
        .into_iter()
        .map(|trial| (trial.policy.to_string(), trial.namespace, trial.pod))
        .collect();
    let names: Vec<&str> = pods.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "InjectionPolicy team/agents",
            "InjectionPolicy team/asks",
            "ClusterInjectionPolicy all"
        ]
    );
    let [(_, _, first), (_, _, second), (_, namespace, third)] = pods.as_slice() else {
        panic!("{names:?}")
    };
    assert_eq!(
        first["metadata"]["labels"],
        json!({"team": "a", "app": "check", "tier": "gold"})
    );
    assert_eq!(first["spec"]["serviceAccountName"], "runner");
    assert_eq!(first["spec"]["containers"][1]["name"], "side");
    assert_eq!(
        second["metadata"]["labels"],
        json!({"vertex-injector.dev/inject": "true"})
    );
    assert_eq!(
        (namespace.as_str(), &third["metadata"]["labels"]["app"]),
        ("team", &json!("agent"))
    );
}

#[test]
fn a_certificate_is_fine_until_its_last_week() {
    let fine = |days: i64| {
        certified("vi-vertex-injector.system.svc", days, true)[0]
            .problem
            .is_none()
    };
    assert!(fine(9) && !fine(7));
}
