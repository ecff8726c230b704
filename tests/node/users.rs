//! Whoever the agent runs as, it can read its token and its credential configuration, and the auth helper is executable.

use serde_json::{Value, json};

use crate::agent::IMAGE;
use crate::installed::{Agents, WELL, node};

/// Root, the users of the systems' images, and one of those that OpenShift hands out.
const USERS: [u32; 5] = [0, 1000, 1001, 65532, 1_000_680_000];

/// Prints nothing but that all went well; no output of a token.
const LOOK: &str = r#"
set -eu
test -s "$GOOGLE_APPLICATION_CREDENTIALS"
token=$(sed -n 's/.*"credential_source":{"file":"\([^"]*\)".*/\1/p' "$GOOGLE_APPLICATION_CREDENTIALS")
test "$(cut -d. -f1-3 "$token" | wc -c)" -gt 500
test "$(/opt/helpers/hello)" = hello
! touch "$token" 2>/dev/null
echo "$(id -u) can"
"#;

/// Without capabilities, because with them root could read everything anyway.
fn container(name: &str, user: Option<u32>) -> Value {
    let mut container = json!({
        "name": name, "image": IMAGE, "command": ["sh", "-c", LOOK],
        "securityContext": {"capabilities": {"drop": ["ALL"]}, "allowPrivilegeEscalation": false},
    });
    if let Some(user) = user {
        container["securityContext"]["runAsUser"] = user.into();
    }
    container
}

fn pod(name: &str, group: Option<u32>, user: Option<u32>, containers: &[Value]) -> Value {
    let names: Vec<&str> = containers
        .iter()
        .filter_map(|container| container["name"].as_str())
        .collect();
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {"vertex-injector.dev/inject": "true"},
            "annotations": {"vertex-injector.dev/containers": names.join(",")},
        },
        "spec": {"restartPolicy": "Never", "containers": containers, "securityContext": {}},
    });
    let context = &mut pod["spec"]["securityContext"];
    if let Some(group) = group {
        context["fsGroup"] = group.into();
    }
    if let Some(user) = user {
        context["runAsUser"] = user.into();
    }
    pod
}

#[test]
fn every_user_reads_them_alone_in_its_pod_or_beside_others_with_and_without_a_group() {
    let Some(node) = node() else { return };
    let _well = WELL.read();
    let agents = Agents::new(node, "users", "default");
    agents.kubectl(&[
        "create",
        "configmap",
        "helpers",
        "--from-literal=hello=#!/bin/sh\necho hello",
    ]);
    agents.policy(&json!({
        "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy", "metadata": {"name": "users"},
        "spec": {
            "identity": {"workloadIdentityFederation": {
                "provider": "projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster",
            }},
            "authHelpers": [{"configMapName": "helpers", "mountPath": "/opt/helpers"}],
        },
    }));

    let mut pods = Vec::new();
    for (group, suffix) in [(None, "no-group"), (Some(2000), "group")] {
        for user in USERS {
            pods.push(pod(
                &format!("user-{user}-{suffix}"),
                group,
                Some(user),
                &[container("agent", None)],
            ));
        }
        let mixed: Vec<Value> = USERS
            .iter()
            .map(|user| container(&format!("user-{user}"), Some(*user)))
            .collect();
        pods.push(pod(&format!("mixed-{suffix}"), group, None, &mixed));
        // The image's own user.
        pods.push(pod(
            &format!("image-{suffix}"),
            group,
            None,
            &[container("agent", None)],
        ));
    }
    agents.create(&json!({"apiVersion": "v1", "kind": "List", "items": pods}));

    let succeeded = "--for=jsonpath={.status.phase}=Succeeded";
    let waited = [
        "--namespace",
        "users",
        "wait",
        succeeded,
        "pods",
        "--all",
        "--timeout=90s",
    ];
    let waited = node.try_kubectl(&waited);
    let logs = agents.kubectl(&[
        "logs",
        "--selector",
        "vertex-injector.dev/inject=true",
        "--all-containers",
        "--prefix",
        "--max-log-requests=20",
    ]);
    assert!(waited.success(), "{}{}{logs}", waited.stdout, waited.stderr);
    for user in USERS {
        // Alone and mixed, with and without a group.
        let expected = if user == 65532 { 6 } else { 4 };
        let can = format!(" {user} can");
        assert_eq!(
            logs.lines().filter(|line| line.ends_with(&can)).count(),
            expected,
            "{user} in:\n{logs}"
        );
    }
}
