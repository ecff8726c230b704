//! What a pod brings that stands in the way of a policy, and what only looks so.

use super::pieces::{agent, pod, push, world};
use serde_json::json;
use support::World;
use vertex_injector_core::admission::Reason;

#[test]
fn every_collision_is_told_in_one_message_and_nothing_is_injected() {
    let mut full = pod();
    push(
        &mut agent(&mut full)["volumeMounts"],
        json!({"name": "work", "mountPath": "/opt/helpers"}),
    );
    push(
        &mut agent(&mut full)["volumeMounts"],
        json!({"name": "work", "mountPath": "/var/run/secrets/vertex-injector"}),
    );
    push(
        &mut agent(&mut full)["volumeMounts"],
        json!({"name": "work", "mountPath": "/srv", "readOnly": true}),
    );
    push(
        &mut full["spec"]["volumes"],
        json!({"name": "settings", "emptyDir": {}}),
    );
    full["spec"]["containers"][1]["ports"] = json!([{"containerPort": 9000}]);
    push(
        &mut full["spec"]["containers"],
        json!({"name": "vertex-injector-github", "image": "x"}),
    );
    let denied = world().admit(&full);
    let message = denied.denied(Reason::Conflict);
    for part in [
        "team/p",
        "at /opt/helpers",
        "at /var/run/secrets/vertex-injector",
        "mounts /srv read-only",
        "/srv/gateway",
        "/srv/settings",
        "volume \"settings\"",
        "a container \"vertex-injector-github\"",
    ] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
    assert!(!message.contains("Text("), "{message}");
}

#[test]
fn a_port_in_use_is_told_with_its_user() {
    let mut busy = pod();
    busy["spec"]["containers"][1]["ports"] = json!([{"containerPort": 9000}]);
    let denied = world().admit(&busy);
    let message = denied.denied(Reason::Conflict);
    for part in ["\"github\"", "port 9000", "\"helper\""] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
}

#[test]
fn a_mount_collides_when_equal_or_below_a_read_only_parent_and_not_otherwise() {
    let with = |path: &str, read_only: bool| {
        let mut pod = pod();
        push(
            &mut agent(&mut pod)["volumeMounts"],
            json!({"name": "work", "mountPath": path, "readOnly": read_only}),
        );
        world().admit(&pod)
    };
    for (path, read_only) in [
        ("/opt/helpers", false),
        ("/opt/helpers/", false),
        ("/opt", true),
        ("/srv", true),
    ] {
        let denied = with(path, read_only);
        let message = denied.denied(Reason::Conflict);
        assert!(
            message.contains("\"agent\"") && message.contains(path.trim_end_matches('/')),
            "{path}: {message}"
        );
    }
    for (path, read_only) in [
        ("/opt", false),
        ("/srv", false),
        ("/opt/help", true),
        ("/opt/helpers-2", true),
        ("/", false),
    ] {
        with(path, read_only).injected();
    }
}

#[test]
fn a_mount_of_the_pod_below_one_of_ours_is_refused_where_a_file_of_ours_is() {
    let mut below = pod();
    push(
        &mut agent(&mut below)["volumeMounts"],
        json!({"name": "work", "mountPath": "/opt/helpers/cache"}),
    );
    // The kubelet makes the directory in a volume that it writes itself.
    world().admit(&below).injected();
    let directory = "/var/run/secrets/vertex-injector";
    for (path, said) in [
        (format!("{directory}/token"), true),
        (format!("{directory}/logs"), false),
    ] {
        let mut below = pod();
        push(
            &mut agent(&mut below)["volumeMounts"],
            json!({"name": "work", "mountPath": path}),
        );
        let admission = world().admit(&below);
        if said {
            let message = admission.denied(Reason::Conflict);
            assert!(message.contains(&path) && message.contains("below"), "{message}");
        } else {
            admission.injected();
        }
    }
}

#[test]
fn what_the_pod_mounts_already_is_recognised_before_and_after_the_api_servers_defaults() {
    let world = World::serving(
        "  agents: [{podSelector: {}}]
  authHelpers: [{configMapName: helpers, mountPath: /opt/helpers, defaultMode: 420}]
  tokens: [{name: gateway, audience: gateway, mountPath: /srv/gateway}]
  volumes: [{name: own, secret: {secretName: s, defaultMode: 420}}]
  volumeMounts: [{name: own, mountPath: /srv/own}]",
    );
    let mut own = pod();
    let agent = agent(&mut own);
    push(
        &mut agent["volumeMounts"],
        json!({"name": "h", "mountPath": "/opt/helpers"}),
    );
    push(
        &mut agent["volumeMounts"],
        json!({"name": "t", "mountPath": "/srv/gateway", "readOnly": true}),
    );
    push(
        &mut own["spec"]["volumes"],
        json!({"name": "h", "configMap": {"name": "helpers"}}),
    );
    let token = json!({"serviceAccountToken": {"audience": "gateway", "path": "token"}});
    push(
        &mut own["spec"]["volumes"],
        json!({"name": "t", "projected": {"defaultMode": 292, "sources": [token]}}),
    );
    push(
        &mut own["spec"]["volumes"],
        json!({"name": "own", "secret": {"secretName": "s"}}),
    );
    let admission = world.admit(&own);
    assert_eq!(admission.injected().volume_names(), ["work", "h", "t", "own"]);
}

#[test]
fn a_mount_in_another_container_is_no_collision() {
    let mut other = pod();
    other["spec"]["containers"][1]["volumeMounts"] = json!([{"name": "work", "mountPath": "/opt/helpers"}]);
    world().admit(&other).injected().container("helper").unchanged();
}
