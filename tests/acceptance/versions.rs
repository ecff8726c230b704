//! Two versions side by side: pods that an older one has injected, and policies that a newer one has let in.

use serde_json::{Value, json};
use support::golden::Case;
use support::view::list;
use support::{PLAIN, World, pod, policy_object};
use vertex_injector_core::admission::{Labels, Operator, Outcome, Policy, PolicySet, Reason, review};
use vertex_injector_core::names;

use super::broker::BROKER;

/// A name, and what it does to a pod.
type Rendering = (&'static str, fn(&mut Value));

/// What another version may have rendered otherwise, by name.
const OLDER: [Rendering; 9] = [
    ("another image", |pod| {
        broker(pod)["image"] = "ghcr.io/example/vertex-injector:0.0.1".into();
    }),
    ("an argument more", |pod| {
        broker(pod)["args"] = json!(["broker", "--legacy"]);
    }),
    ("no argument", |pod| {
        drop(broker(pod).as_object_mut().unwrap().shift_remove("args"));
    }),
    ("a variable more", |pod| {
        entries(&mut broker(pod)["env"]).push(json!({"name": "VERTEX_INJECTOR_LEGACY", "value": "1"}));
    }),
    ("a variable less", |pod| drop(entries(&mut broker(pod)["env"]).pop())),
    ("another probe", |pod| {
        broker(pod)["startupProbe"] = json!({"tcpSocket": {"port": 8470}});
    }),
    ("a variable of the agent's more", |pod| {
        let note = &mut pod["metadata"]["annotations"][names::RENDERED_ENV];
        *note = format!("{},agent/VERTEX_LEGACY", note.as_str().unwrap()).into();
        entries(&mut agent(pod)["env"]).push(json!({"name": "VERTEX_LEGACY", "value": "1"}));
    }),
    ("a variable of the agent's less", |pod| {
        let note = pod["metadata"]["annotations"][names::RENDERED_ENV]
            .as_str()
            .unwrap()
            .to_owned();
        let (rest, last) = note.rsplit_once(',').unwrap();
        let (_, variable) = last.split_once('/').unwrap();
        entries(&mut agent(pod)["env"]).retain(|entry| entry["name"] != variable);
        pod["metadata"]["annotations"][names::RENDERED_ENV] = rest.into();
    }),
    ("a container and a volume more", |pod| {
        let old = json!({"name": "vertex-injector-legacy", "image": "old", "restartPolicy": "Always"});
        pod["spec"]["initContainers"].as_array_mut().unwrap().insert(0, old);
        entries(&mut pod["spec"]["volumes"]).push(json!({"name": "vertex-injector-legacy", "emptyDir": {}}));
        let mount = json!({"name": "vertex-injector-legacy", "mountPath": "/legacy"});
        entries(&mut agent(pod)["volumeMounts"]).push(mount);
    }),
];

fn broker(pod: &mut Value) -> &mut Value {
    let containers = pod["spec"]["initContainers"].as_array_mut().unwrap();
    containers
        .iter_mut()
        .find(|container| container["name"] == BROKER)
        .unwrap()
}

fn agent(pod: &mut Value) -> &mut Value {
    &mut pod["spec"]["containers"][0]
}

fn entries(value: &mut Value) -> &mut Vec<Value> {
    if value.is_null() {
        *value = json!([]);
    }
    value.as_array_mut().unwrap()
}

/// With lists in an order that means nothing in the order of their names.
fn sorted(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let sort = |list: &mut Value| entries(list).sort_by_key(|entry| format!("{}{}", entry["name"], entry["mountPath"]));
    sort(&mut pod["spec"]["volumes"]);
    sort(&mut agent(&mut pod)["env"]);
    sort(&mut agent(&mut pod)["volumeMounts"]);
    pod
}

#[test]
fn a_pod_that_an_older_version_has_injected_becomes_what_this_one_makes_of_it_and_nothing_is_there_twice() {
    for mode in [super::broker::METADATA, super::broker::PROXY] {
        let world = super::broker::world(mode);
        let fresh = world.admit(&pod(PLAIN)).injected().pod().clone();
        for (what, older) in OLDER {
            let mut old = fresh.clone();
            older(&mut old);
            assert_ne!(old, fresh, "{what}");
            let admission = world.admit(&old);
            assert_eq!(sorted(admission.injected().pod()), sorted(&fresh), "{mode}, {what}");
            // Asked again, as after a plugin that changed the pod.
            let again = world.admit(&admission.after);
            assert_eq!(again.decision.reason, Reason::AlreadyInjected, "{mode}, {what}");
            again.changes_nothing();
        }
    }
}

#[test]
fn every_case_that_was_injected_by_another_image_is_replaced_whole() {
    for case in Case::all() {
        let admission = case.admit();
        if admission.decision.outcome != Outcome::Injected {
            continue;
        }
        let mut old = admission.after.clone();
        for container in list(&admission.after["spec"], "initContainers").iter().enumerate() {
            if let (i, Some(name)) = (container.0, container.1["name"].as_str())
                && name.starts_with(names::NAME_PREFIX)
            {
                old["spec"]["initContainers"][i]["image"] = "example.com/old:0".into();
            }
        }
        let again = case.world().admit_in(&case.namespace(), &old);
        assert_eq!(again.after, admission.after, "{}", case.name);
    }
}

#[test]
fn a_pod_that_exists_is_never_changed_whatever_injected_it() {
    let world = super::broker::world(super::broker::PROXY);
    let mut old = world.admit(&pod(PLAIN)).injected().pod().clone();
    broker(&mut old)["image"] = "example.com/old:0".into();
    for (operation, part) in [
        ("UPDATE", None),
        ("UPDATE", Some("status")),
        ("CREATE", Some("eviction")),
        ("DELETE", None),
    ] {
        let mut request = json!({
            "uid": "1", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": operation,
            "namespace": "team", "object": old, "oldObject": old,
        });
        if let Some(part) = part {
            request["subResource"] = part.into();
        }
        let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        let answer = review(body.to_string().as_bytes(), &world.policies).unwrap();
        assert!(answer.decision.patch.is_empty(), "{operation} {part:?}");
        assert_ne!(answer.decision.outcome, Outcome::Denied, "{operation} {part:?}");
    }
}

/// What the webhook makes of a pod of `team` beside one policy as a newer API server has it.
fn beside(kind: &str, name: &str, spec: &Value, others: &[Value], pod: &Value) -> support::Admission {
    let stored = |kind: &str, name: &str, spec: &Value| {
        let mut object = policy_object(kind, name, spec);
        if kind == "InjectionPolicy" {
            object["metadata"]["namespace"] = "team".into();
        }
        std::sync::Arc::new(Policy::stored(&object, &Operator::default()))
    };
    let others = others.iter().enumerate();
    let others = others.map(|(i, spec)| stored("InjectionPolicy", &format!("other-{i}"), spec));
    let policies = others.chain([stored(kind, name, spec)]);
    let world = World {
        policies: PolicySet::new(policies, &[("team".to_owned(), Labels::default())].into()),
    };
    world.admit(pod)
}

fn agent_pod(app: &str) -> Value {
    let mut pod = pod(PLAIN);
    pod["metadata"]["labels"] = json!({"app": app});
    pod
}

#[test]
fn a_policy_that_says_what_this_version_does_not_know_refuses_its_pods_and_no_others() {
    let agents = json!([{"podSelector": {"matchLabels": {"app": "agent"}}}]);
    for (spec, field) in [
        (json!({"agents": agents, "budget": {"tokens": 5}}), "spec.budget"),
        (json!({"agents": agents, "isolation": "Sealed"}), "spec.isolation"),
        (json!({"agents": agents, "proxy": {"budget": 5}}), "spec.proxy.budget"),
        (
            json!({"agents": agents, "conflicts": {"values": "Ask"}}),
            "spec.conflicts.values",
        ),
        (
            json!({"agents": agents, "env": [{"name": "A", "value": "1", "sealed": true}]}),
            "spec.env[0].sealed",
        ),
        (json!({"agents": agents, "openShell": 5}), "spec.openShell"),
        (json!({"agents": agents, "env": "all"}), "spec.env"),
    ] {
        for kind in ["InjectionPolicy", "ClusterInjectionPolicy"] {
            let admission = beside(kind, "newer", &spec, &[], &agent_pod("agent"));
            let message = admission.denied(Reason::PolicyUnusable);
            assert!(
                message.contains(field) && message.contains("this version of vertex-injector"),
                "{field}: {message}"
            );
            beside(kind, "newer", &spec, &[], &agent_pod("web")).skipped(Reason::NotSelected);
        }
    }
}

#[test]
fn a_selection_that_this_version_does_not_know_is_taken_for_the_widest() {
    let other = json!({"agents": [{"podSelector": {"matchLabels": {"app": "agent"}}}], "priority": 7, "env": [{"name": "A", "value": "1"}]});
    for spec in [
        json!({"agents": [{"podSelector": {"matchLabels": {"app": "other"}}, "unless": {"app": "agent"}}]}),
        json!({"agents": [{"podSelector": {"matchLabels": 7}}]}),
        json!({"agents": [{"podSelector": {"matchGlobs": {"app": "a*"}}}]}),
        json!({"agents": "all"}),
    ] {
        beside("InjectionPolicy", "newer", &spec, &[], &agent_pod("agent")).denied(Reason::PolicyUnusable);
        // Its rank is known: who comes before it serves.
        beside(
            "InjectionPolicy",
            "newer",
            &spec,
            std::slice::from_ref(&other),
            &agent_pod("agent"),
        )
        .injected();
        let mut first = spec;
        first["priority"] = json!("first");
        let admission = beside(
            "InjectionPolicy",
            "newer",
            &first,
            std::slice::from_ref(&other),
            &agent_pod("agent"),
        );
        admission.denied(Reason::PolicyUnusable);
    }
    for selector in [json!({"matchGlobs": {"a": "*"}}), json!(5)] {
        let spec = json!({"agents": [{"podSelector": {}}], "namespaceSelector": selector});
        let admission = beside(
            "ClusterInjectionPolicy",
            "newer",
            &spec,
            std::slice::from_ref(&other),
            &agent_pod("agent"),
        );
        admission.denied(Reason::PolicyUnusable);
    }
}

#[test]
fn what_is_empty_or_null_and_what_stands_beside_the_spec_is_not_unknown() {
    let agents = json!([{"podSelector": {"matchLabels": {"app": "agent", "any.example.com/key": "x"}}}]);
    let mut pod = agent_pod("agent");
    pod["metadata"]["labels"]["any.example.com/key"] = "x".into();
    for spec in [
        json!({"agents": agents, "env": [{"name": "A", "value": "1"}], "proxy": null}),
        json!({"agents": agents, "env": [{"name": "A", "value": "1"}], "volumes": [], "sidecars": null}),
    ] {
        beside("InjectionPolicy", "known", &spec, &[], &pod).injected();
    }
}
