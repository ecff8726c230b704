//! Who writes a policy may create pods where it applies.

use crate::release::{RELEASE, RUNNER, Release, WRITER};
use serde_json::{Value, json};
use support::{cluster_policy, injection_policy};

/// Gives a user the right to create pods in a namespace; without one in all.
fn allow_pods(release: &Release, user: &str, namespace: Option<&str>) {
    let api = "rbac.authorization.k8s.io";
    let mut role = json!({
        "apiVersion": format!("{api}/v1"), "kind": "ClusterRole", "metadata": {"name": "creates-pods"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create"]}],
    });
    release.cluster.apply(&role.to_string());
    role["kind"] = if namespace.is_some() {
        "RoleBinding"
    } else {
        "ClusterRoleBinding"
    }
    .into();
    role["metadata"] = json!({"name": format!("{user}-creates-pods")});
    if let Some(namespace) = namespace {
        role["metadata"]["namespace"] = namespace.into();
    }
    role.as_object_mut().expect("an object").remove("rules");
    role["roleRef"] = json!({"apiGroup": api, "kind": "ClusterRole", "name": "creates-pods"});
    role["subjects"] = json!([{"apiGroup": api, "kind": "User", "name": user}]);
    release.cluster.apply(&role.to_string());
}

fn in_namespace(namespace: &str, priority: u32) -> Value {
    let mut policy = injection_policy("authored", &json!({"priority": priority}));
    policy["metadata"]["namespace"] = namespace.into();
    policy
}

/// The three ways to write: `kubectl create`, `apply` and server-side apply.
const WAYS: [&[&str]; 3] = [
    &["create"],
    &["apply"],
    &["apply", "--server-side", "--force-conflicts"],
];

#[track_caller]
fn written(release: &Release, way: &[&str], user: &str, policy: &Value) -> Result<(), String> {
    let ran = release
        .cluster
        .try_kubectl_stdin(&[way, &["--as", user, "--filename", "-"]].concat(), &policy.to_string());
    if ran.success() { Ok(()) } else { Err(ran.stderr) }
}

#[test]
fn without_the_right_to_create_pods_there_a_policy_is_neither_created_nor_changed_and_the_right_is_named() {
    let Some(release) = &*RELEASE else { return };
    release.cluster.create_namespace("authors-refused", &[]);
    release.cluster.create_namespace("authors-elsewhere", &[]);
    // Pods elsewhere are not pods here.
    allow_pods(release, WRITER, Some("authors-elsewhere"));
    let expected = r#"writer may not create pods in the namespace authors-refused, and a policy decides what pods there run with; grant the verb "create" on "pods" there"#;
    for way in WAYS {
        let error = written(release, way, WRITER, &in_namespace("authors-refused", 1)).expect_err("created");
        assert!(error.contains(expected), "{way:?}: {error}");
    }
    release.cluster.apply(&in_namespace("authors-refused", 1).to_string());
    for way in &WAYS[1..] {
        let error = written(release, way, WRITER, &in_namespace("authors-refused", 2)).expect_err("changed");
        assert!(error.contains(expected), "{way:?}: {error}");
    }
    // What does not touch the spec is not the author's.
    let label = [
        "--as",
        WRITER,
        "--namespace",
        "authors-refused",
        "label",
        "injectionpolicy",
        "authored",
        "team=a",
    ];
    release.cluster.kubectl(&label);
}

#[test]
fn with_the_right_to_create_pods_there_a_policy_is_written_in_every_way() {
    let Some(release) = &*RELEASE else { return };
    release.cluster.create_namespace("authors-accepted", &[]);
    allow_pods(release, WRITER, Some("authors-accepted"));
    for (priority, way) in (1..).zip(WAYS) {
        written(release, way, WRITER, &in_namespace("authors-accepted", priority)).expect("written");
    }
}

#[test]
fn a_cluster_policy_needs_the_right_in_all_namespaces() {
    let Some(release) = &*RELEASE else { return };
    allow_pods(release, WRITER, Some("default"));
    let error = written(release, WAYS[0], WRITER, &cluster_policy("authored", &json!({}))).expect_err("created");
    let expected = r#"writer may not create pods in all namespaces, and a policy decides what pods there run with; grant the verb "create" on "pods" by a ClusterRoleBinding"#;
    assert!(error.contains(expected), "{error}");

    allow_pods(release, RUNNER, None);
    for (priority, way) in (1..).zip(WAYS) {
        let policy = cluster_policy("authored", &json!({"priority": priority}));
        written(release, way, RUNNER, &policy).expect("written");
    }
}
