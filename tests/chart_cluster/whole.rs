//! Pods that ask for injection are injected whole or not created, also while no webhook is configured for them.

use crate::judge::{Verdicts, api_server};
use crate::release::{RELEASE, Release, eventually, helm, pod, upgrade};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use support::golden::Case;
use vertex_injector_core::admission::Outcome;
use vertex_injector_core::names::{INJECT, NAME_PREFIX, POLICY_REF, RENDERED_ENV, SKIPPED};

/// The namespace that opted in to a release whose webhook configuration somebody has changed: it selects no pod any more.
const NAMESPACE: &str = "whole";

/// Cases with fields of later versions, or with more ways around the broker than one pod may have.
const UNKNOWN: [&str; 2] = ["broker-best-effort", "x3-unknown-fields"];

/// Cases that have everything between them: files, helpers, brokers, sidecars, and a list in OpenShell's JSON.
const TAKEN_APART: [&str; 5] = [
    "a4-a7-a8-ambient-novertex-metadata",
    "a5-a6-a7-a8-credential-sidecars",
    "broker-kartograph-proxy",
    "o2-o3-o5-o7-user-environment-override",
    "x1-x5-everything",
];

static GUARDED: LazyLock<Option<&Release>> = LazyLock::new(|| {
    let release = RELEASE.as_ref()?;
    let values = [
        "--set",
        "webhook.url=https://127.0.0.1:9/mutate,crds.install=false",
        "--set",
        "namespaceSelector.matchLabels.whole=yes",
        "--set",
        "admissionPolicies.annotationGuard=false,admissionPolicies.brokerGuard=false,admissionPolicies.authorGuard=false",
    ];
    helm(&release.cluster, &upgrade("whole", "whole-system", &values));
    let nobody = json!([{
        "op": "replace", "path": "/webhooks", "value": [{
            "name": "nobody.vertex-injector.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"url": "https://127.0.0.1:9/mutate"}, "objectSelector": {"matchLabels": {"nobody": "here"}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        }],
    }]);
    release.cluster.kubectl(&[
        "patch",
        "mutatingwebhookconfiguration",
        "whole-vertex-injector",
        "--type=json",
        "--patch",
        &nobody.to_string(),
    ]);
    release.cluster.create_namespace(NAMESPACE, &[("whole", "yes")]);
    let bare = in_namespace(pod(NAMESPACE, "bare", json!({INJECT: "true"})), "bare");
    eventually("the guard", || {
        let verdicts = api_server(release, std::slice::from_ref(&bare));
        refusal(&verdicts, "bare").is_some_and(|message| message.contains("nothing has injected it"))
    });
    Some(release)
});

#[test]
fn what_the_webhook_admits_passes() {
    let Some(release) = &*GUARDED else { return };
    let admitted: Vec<Value> = admitted().into_iter().map(|(pod, _)| pod).collect();
    assert!(admitted.len() > 40, "{} cases", admitted.len());
    let verdicts = api_server(release, &admitted);
    let refused: Verdicts = verdicts.into_iter().filter(|(_, verdict)| verdict.is_some()).collect();
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn a_pod_that_lacks_anything_of_its_injection_is_refused_and_told_what() {
    let Some(release) = &*GUARDED else { return };
    let (mut pods, mut told, mut kinds) = (Vec::new(), Vec::new(), BTreeSet::new());
    for (whole, outcome) in admitted() {
        if outcome != Outcome::Injected || !TAKEN_APART.contains(&name_of(&whole)) {
            continue;
        }
        for (kind, what, lacking) in lacking(&whole) {
            let name = format!("lacking-{}", pods.len());
            pods.push(in_namespace(lacking, &name));
            told.push((name, what));
            kinds.insert(kind);
        }
    }
    assert_eq!(kinds, BTreeSet::from(["annotation", "container", "mounts", "variable"]));
    assert!(pods.len() > 50, "{} pods", pods.len());
    let verdicts = api_server(release, &pods);
    for (name, what) in told {
        let message = refusal(&verdicts, &name).unwrap_or_else(|| panic!("{name} without {what} is created"));
        assert!(message.contains("whole-vertex-injector-injection"), "{message}");
        assert!(message.contains(&what), "{message} does not name {what}");
    }
}

#[test]
fn who_does_not_ask_or_was_left_alone_for_a_reason_passes() {
    let Some(release) = &*GUARDED else { return };
    let annotated = |name: &str, key: &str| {
        let mut pod = in_namespace(pod(NAMESPACE, name, json!({INJECT: "true"})), name);
        pod["metadata"]["annotations"] = json!({key: "OwnCredentials"});
        pod
    };
    let mut elsewhere = pod("default", "elsewhere", json!({INJECT: "true"}));
    elsewhere["spec"]["automountServiceAccountToken"] = false.into();
    let pods = [
        pod(NAMESPACE, "silent", json!({})),
        pod(NAMESPACE, "opted-out", json!({INJECT: "false"})),
        annotated("skipped", SKIPPED),
        elsewhere,
    ];
    let verdicts = api_server(release, &pods);
    assert!(verdicts.values().all(Option::is_none), "{verdicts:#?}");
    let verdicts = api_server(release, &[annotated("noted", "example.com/note")]);
    let message = refusal(&verdicts, "noted").expect("refused");
    assert!(
        message.contains("nothing has injected it") && message.contains("Install the chart anew, or remove the label"),
        "{message}"
    );
}

/// Every golden case that this API server can create, as a pod that asks, as the webhook admits it.
fn admitted() -> Vec<(Value, Outcome)> {
    let cases = Case::all().into_iter().filter(|case| !UNKNOWN.contains(&&*case.name));
    let admitted = cases.filter_map(|case| {
        let mut pod = case.pod();
        pod["metadata"]["labels"][INJECT] = "true".into();
        let admission = case.world().ask(&case.namespace(), &pod);
        let outcome = admission.decision.outcome;
        (outcome != Outcome::Denied).then(|| (in_namespace(admission.after, &case.name), outcome))
    });
    admitted.collect()
}

/// A pod as it can be created in this cluster, where other objects that it names do not exist.
fn in_namespace(mut pod: Value, name: &str) -> Value {
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    let metadata = pod["metadata"].as_object_mut().expect("metadata");
    metadata.remove("generateName");
    metadata.insert("name".into(), name.into());
    metadata.insert("namespace".into(), NAMESPACE.into());
    let spec = pod["spec"].as_object_mut().expect("a spec");
    for field in [
        "serviceAccountName",
        "serviceAccount",
        "priorityClassName",
        "runtimeClassName",
        "nodeName",
    ] {
        spec.remove(field);
    }
    pod
}

/// The pod without one thing, what it is, and what a message about it has to name.
fn lacking(whole: &Value) -> Vec<(&'static str, String, Value)> {
    let mut lacking = Vec::new();
    let annotations = whole["metadata"]["annotations"].as_object().expect("annotations");
    let ours = |key: &&String| {
        *key == POLICY_REF || key.ends_with("-configuration") && key.starts_with("vertex-injector.dev/")
    };
    for key in annotations.keys().filter(ours) {
        let mut pod = whole.clone();
        pod["metadata"]["annotations"]
            .as_object_mut()
            .expect("annotations")
            .remove(key);
        lacking.push(("annotation", key.clone(), pod));
    }
    let rendered = annotations
        .get(RENDERED_ENV)
        .and_then(Value::as_str)
        .unwrap_or_default();
    for entry in rendered.split(',').filter(|entry| !entry.is_empty()) {
        let mut words = entry.split('/');
        let (container, variable) = (words.next().expect("a container"), words.next().expect("a variable"));
        let mut pod = whole.clone();
        edit(&mut pod, |fields| {
            if fields["name"] != container {
                return;
            }
            let environment = fields["env"].as_array_mut().expect("variables");
            environment.retain(|known| known["name"] != variable);
            for known in environment
                .iter_mut()
                .filter(|known| known["name"] == "OPENSHELL_USER_ENVIRONMENT")
            {
                let text = known["value"]
                    .as_str()
                    .expect("JSON")
                    .replace(&format!("\"{variable}\""), "\"OTHER\"");
                known["value"] = text.into();
            }
        });
        lacking.push(("variable", entry.to_owned(), pod));
    }
    for volume in whole["spec"]["volumes"].as_array().into_iter().flatten() {
        let name = volume["name"].as_str().expect("a name");
        if !name.starts_with(NAME_PREFIX) {
            continue;
        }
        let mut pod = whole.clone();
        edit(&mut pod, |fields| {
            if let Some(mounts) = fields.get_mut("volumeMounts").and_then(Value::as_array_mut) {
                mounts.retain(|mount| mount["name"] != name);
            }
        });
        lacking.push(("mounts", name.to_owned(), pod));
    }
    for container in whole["spec"]["initContainers"].as_array().into_iter().flatten() {
        let name = container["name"].as_str().expect("a name");
        // It is missed by a volume that it alone mounts.
        let Some(volume) = own_volume(whole, name).filter(|_| name.starts_with(NAME_PREFIX)) else {
            continue;
        };
        let mut pod = whole.clone();
        let containers = pod["spec"]["initContainers"].as_array_mut().expect("containers");
        containers.retain(|known| known["name"] != name);
        lacking.push(("container", volume, pod));
    }
    lacking
}

/// A volume that a container mounts and no other does.
fn own_volume(pod: &Value, container: &str) -> Option<String> {
    let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    edit(&mut pod.clone(), |fields| {
        for mount in fields["volumeMounts"].as_array().into_iter().flatten() {
            let volume = mount["name"].as_str().expect("a name").to_owned();
            users.entry(volume).or_default().push(name_of_container(fields));
        }
    });
    let of = |names: &Vec<String>| names.iter().all(|name| name == container);
    users.into_iter().find(|(_, names)| of(names)).map(|(volume, _)| volume)
}

fn name_of_container(fields: &Value) -> String {
    fields["name"].as_str().expect("a name").to_owned()
}

fn edit(pod: &mut Value, mut change: impl FnMut(&mut Value)) {
    for list in ["initContainers", "containers"] {
        let containers = pod["spec"].get_mut(list).and_then(Value::as_array_mut);
        containers.into_iter().flatten().for_each(&mut change);
    }
}

fn name_of(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().expect("a name")
}

fn refusal<'v>(verdicts: &'v Verdicts, name: &str) -> Option<&'v String> {
    verdicts.get(name)?.as_ref()
}
