//! Pods that run beside the policies of today, and what other policies would do to them.

use crate::objects::{edited, operator, policy, world};
use json_patch::Patch;
use serde_json::{Value, json};
use vertex_injector_core::admission::{Pod, PolicyObject, decide};
use vertex_injector_core::manifest::policies;
use vertex_injector_operate::change::{Effect, effect};
use vertex_injector_operate::difference::difference;
use vertex_injector_operate::finding::Level;
use vertex_injector_operate::pod::judge;
use vertex_injector_operate::problem::Problem;
use vertex_injector_operate::standing::{self, Standing};
use vertex_injector_operate::world::World;

/// A policy with a broker, so that there is a container of ours.
fn brokered(region: &str) -> Value {
    edited(
        policy("team", "True", "Accepted"),
        "/spec",
        json!({
            "agents": [{"podSelector": {"matchLabels": {"app": "agent"}}}], "access": "Metadata", "isolation": "BestEffort",
            "vertex": {"project": "my-project", "region": region, "clients": ["ClaudeCode"]},
            "identity": {"workloadIdentityFederation": {
                "provider": "projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster",
            }},
            "env": [{"name": "GREETING", "value": "hello"}],
        }),
    )
}

fn pod() -> Value {
    json!({
        "metadata": {"name": "agent-1", "namespace": "team", "labels": {"app": "agent"}},
        "spec": {"containers": [{"name": "agent", "image": "agent"}]},
    })
}

/// The pod as the webhook admits it.
fn injected(pod: &Value, world: &World) -> Value {
    let bytes = pod.to_string();
    let decision = decide(&Pod::parse(bytes.as_bytes()).expect("a pod"), "team", &world.set);
    let mut after = pod.clone();
    json_patch::patch(&mut after, &Patch(decision.patch)).expect("a patch that fits");
    after
}

/// The policy for pods with another label.
fn selecting(label: &str, value: &str) -> Value {
    edited(
        brokered("us-east5"),
        "/spec/agents/0/podSelector/matchLabels",
        json!({label: value}),
    )
}

fn today(region: &str) -> World {
    world(&[brokered(region)], &[])
}

#[test]
fn a_pod_stands_as_it_was_injected_until_its_policy_changes() {
    let now = today("us-east5");
    let running = injected(&pod(), &now);
    assert!(matches!(standing::of(&running, "team", &now), Standing::Current { policy } if policy == "team/agents@2"));
    let same = world(&[edited(brokered("us-east5"), "/metadata/generation", json!(9))], &[]);
    assert!(matches!(standing::of(&running, "team", &same), Standing::Current { policy } if policy == "team/agents@9"));
    let Standing::Outdated { changes, .. } = standing::of(&running, "team", &today("europe-west1")) else {
        panic!("not outdated");
    };
    assert!(
        changes.contains(&"~ agent/CLOUD_ML_REGION=us-east5 -> europe-west1".to_owned()),
        "{changes:#?}"
    );
    assert!(matches!(
        standing::of(&pod(), "team", &now),
        Standing::NotInjected { .. }
    ));
    assert!(matches!(
        standing::of(&running, "team", &world(&[], &[])),
        Standing::Orphaned { .. }
    ));
    // Nobody sends its pods any more.
    assert!(
        matches!(standing::of(&running, "other", &now), Standing::Orphaned { why } if why.contains("did not opt in"))
    );
    let bad = edited(brokered("us-east5"), "/spec/env/0/name", json!("ANTHROPIC_BASE_URL"));
    assert!(
        matches!(standing::of(&running, "team", &world(&[bad], &[])), Standing::Refused { reason, .. } if reason == "PolicyUnusable")
    );
    let unrelated = edited(pod(), "/metadata/labels", json!({"tier": "web"}));
    let out = json!({"tier": "web", "vertex-injector.dev/inject": "false"});
    for (pod, policies) in [
        (unrelated, &now),
        // Who wants nothing is not missed.
        (
            edited(pod(), "/metadata/labels", out),
            &world(&[selecting("tier", "web")], &[]),
        ),
    ] {
        assert!(matches!(
            standing::of(&pod, "team", policies),
            Standing::LeftAlone { .. }
        ));
    }
}

#[test]
fn finished_and_leaving_pods_do_not_count() {
    assert!(standing::runs(&pod()));
    for phase in ["Succeeded", "Failed"] {
        assert!(!standing::runs(&edited(pod(), "/status", json!({"phase": phase}))));
    }
    assert!(!standing::runs(&edited(
        pod(),
        "/metadata/deletionTimestamp",
        json!("2026-01-01T00:00:00Z")
    )));
}

/// A running pod whose broker has this status.
fn with_broker(status: Value) -> Value {
    let mut status = status;
    status["name"] = "vertex-injector-broker".into();
    edited(
        injected(&pod(), &today("us-east5")),
        "/status",
        json!({"initContainerStatuses": [status]}),
    )
}

#[test]
fn an_explained_pod_tells_what_is_wrong_with_it() {
    let now = today("us-east5");
    let since = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
    let last = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-01-02T00:00:00Z"}});
    let whole = with_broker(json!({"restartCount": 0, "state": since}));
    let without = |pointer: &str, keep: &dyn Fn(&Value) -> bool| {
        let mut pod = whole.clone();
        pod.pointer_mut(pointer)
            .and_then(Value::as_array_mut)
            .expect("a list")
            .retain(keep);
        pod
    };
    let not_named = |name: &'static str| move |it: &Value| it["name"] != name;
    for (what, running, world, problem, words) in [
        (
            "a policy of later",
            whole.clone(),
            today("europe-west1"),
            Problem::AgentOutdated,
            "~ agent/CLOUD_ML_REGION=us-east5 -> europe-west1",
        ),
        (
            "a pod of before",
            pod(),
            today("us-east5"),
            Problem::AgentNotInjected,
            "runs without what team/agents@2 would inject",
        ),
        (
            "a pod that nothing sends",
            edited(pod(), "/metadata/labels", json!({"tier": "web"})),
            world(&[selecting("tier", "web")], &[]),
            Problem::AgentNotSent,
            "runs without what team/agents@2 would inject: no entry of the operator's agentSelectors (inject, app) matches the pod",
        ),
        (
            "no policy any more",
            whole.clone(),
            world(&[], &[]),
            Problem::AgentOrphaned,
            "today: no policy selects the pod",
        ),
        (
            "a lost variable",
            without("/spec/containers/0/env", &not_named("GREETING")),
            today("us-east5"),
            Problem::InjectionIncomplete,
            "variable agent/GREETING",
        ),
        (
            "a broker that waits",
            with_broker(
                json!({"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": last}),
            ),
            today("us-east5"),
            Problem::SidecarNotRunning,
            "waits: CrashLoopBackOff; it ended last: OOMKilled, exit code 137, at 2026-01-02T00:00:00Z",
        ),
        (
            "a broker that has ended",
            with_broker(json!({"restartCount": 0, "state": last})),
            today("us-east5"),
            Problem::SidecarNotRunning,
            "has ended: OOMKilled",
        ),
        (
            "a broker of which nobody knows",
            injected(&pod(), &now),
            today("us-east5"),
            Problem::SidecarNotRunning,
            "has not been started yet",
        ),
        (
            "a broker that came back",
            with_broker(json!({"restartCount": 2, "state": since, "lastState": last})),
            today("us-east5"),
            Problem::SidecarRestarted,
            "was started again 2 times; it ended last: OOMKilled",
        ),
    ] {
        let findings = judge(&running, "team", &world);
        let found: Vec<_> = findings.iter().filter(|it| it.problem == Some(problem)).collect();
        assert_eq!(found.len(), 1, "{what}: {findings:#?}");
        assert!(found[0].found.contains(words), "{what}: {findings:#?}");
        assert!(
            !found[0].remedy.contains("CONTAINER") && !found[0].remedy.contains("NAME"),
            "{what}: {}",
            found[0].remedy
        );
    }
    let fine = judge(&whole, "team", &now);
    assert!(fine.iter().all(|finding| finding.level == Level::Fine), "{fine:#?}");
    assert!(
        fine[0].found.contains("was injected by team/agents@2: variables ")
            && fine[0].found.contains("containers vertex-injector-broker")
    );
}

#[test]
fn what_other_policies_would_do_to_a_pod_is_told() {
    let now = today("us-east5");
    let with = |policy: Value| {
        let mut policy = policy;
        policy["kind"] = "InjectionPolicy".into();
        policy["apiVersion"] = "vertex-injector.dev/v1alpha1".into();
        let object: PolicyObject = policies::policy(&policy, "team").expect("a policy");
        now.with(&[object])
    };
    let running = injected(&pod(), &now);
    let of = |then: &World| effect(&running, "team", &now, then);
    assert_eq!(of(&with(brokered("us-east5"))), None);
    let (changed, lines) = of(&with(brokered("europe-west1"))).expect("a change");
    assert!(matches!(changed, Effect::Changed { .. }));
    assert!(
        lines.contains(&"~ agent/CLOUD_ML_REGION=us-east5 -> europe-west1".to_owned()),
        "{lines:#?}"
    );
    let elsewhere = selecting("app", "other");
    assert!(matches!(of(&with(elsewhere)), Some((Effect::LeftAlone { reason, .. }, _)) if reason == "NotSelected"));
    let named = edited(brokered("us-east5"), "/spec/agents/0/containers", json!(["absent"]));
    assert!(
        matches!(of(&with(named.clone())), Some((Effect::Denied { reason, .. }, _)) if reason == "ContainerNotFound")
    );

    let empty = World::of(&[], now.namespaces.clone(), operator());
    let (added, lines) = effect(&pod(), "team", &empty, &now).expect("a change");
    assert!(matches!(added, Effect::Injected { policy } if policy == "team/agents@2"));
    assert!(
        lines.contains(&"+ container vertex-injector-broker".to_owned()),
        "{lines:#?}"
    );
    assert!(lines.contains(&"+ agent/GREETING=hello".to_owned()), "{lines:#?}");
    assert!(matches!(
        effect(&pod(), "team", &with(named), &now),
        Some((Effect::Admitted, _))
    ));
    assert_eq!(effect(&pod(), "other", &empty, &now), None);
}

#[test]
fn what_the_api_server_has_filled_in_is_no_difference() {
    let now = today("us-east5");
    let mut running = injected(&pod(), &now);
    let of_broker = |pod: &mut Value, changes: Value| {
        let broker = pod.pointer_mut("/spec/initContainers/0").expect("the broker");
        json_patch::merge(broker, &changes);
    };
    of_broker(
        &mut running,
        json!({
            "startupProbe": {"successThreshold": 1},
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
        }),
    );
    let mut other = brokered("us-east5");
    other["spec"]["broker"] = json!({"resources": {"limits": {"cpu": "2"}}});
    let then = world(&[other], &[]);
    let (_, lines) = effect(&running, "team", &now, &then).expect("a change");
    assert_eq!(lines, ["~ container vertex-injector-broker: resources"]);
    // What it never fills in is one.
    of_broker(&mut running, json!({"command": ["/other"]}));
    let lines = difference(&running, &injected(&pod(), &now));
    assert_eq!(lines, ["~ container vertex-injector-broker: command"]);
}

#[test]
fn differences_are_those_that_injection_makes() {
    let before = json!({
        "metadata": {"annotations": {"vertex-injector.dev/policy-ref": "a@1", "vertex-injector.dev/mcp-configuration": "{}", "mine": "1"}},
        "spec": {
            "containers": [{"name": "agent", "env": [{"name": "A", "value": "1"}, {"name": "GONE", "valueFrom": {"fieldRef": {}}}],
                            "volumeMounts": [{"name": "old", "mountPath": "/etc/x"}]}],
            "initContainers": [{"name": "vertex-injector-broker", "image": "one", "args": ["a"]}],
            "volumes": [{"name": "old", "emptyDir": {}}],
        },
    });
    let after = json!({
        "metadata": {"annotations": {"vertex-injector.dev/policy-ref": "a@2", "mine": "2"}},
        "spec": {
            "containers": [{"name": "agent", "env": [{"name": "A", "value": "2"}, {"name": "NEW", "value": "x".repeat(100)}],
                            "volumeMounts": [{"name": "new", "mountPath": "/etc/x"}]}],
            "initContainers": [{"name": "vertex-injector-broker", "image": "two", "args": ["a"]}],
            "volumes": [{"name": "new", "emptyDir": {}}],
            "nodeSelector": {"gke": "true"},
        },
    });
    let long = format!("+ agent/NEW={}…", "x".repeat(80));
    assert_eq!(
        difference(&before, &after),
        [
            "~ agent/A=1 -> 2",
            &long,
            "- agent/GONE={\"fieldRef\":{}}",
            "~ mount agent/etc/x=old -> new",
            "~ container vertex-injector-broker: image",
            "+ volume new",
            "- volume old",
            "- annotation vertex-injector.dev/mcp-configuration={}",
            "+ nodeSelector gke=true",
        ]
    );
    assert!(difference(&after, &after).is_empty());
}
