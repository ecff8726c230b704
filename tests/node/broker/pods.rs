//! Pods that are what they were, with the broker in them.

use serde_json::{Value, json};

use super::world::{Access, BROKER, broker_status, google, namespace, pod};
use crate::installed::{Agents, WELL, node};

/// Asks a model once.
const ASK: &str = "vertex-injector-fakes agent";

/// Creates a pod and waits until the kubelet says that all went well.
#[track_caller]
fn run(agents: &Agents<'_>, pod: &Value) -> Value {
    let name = format!("pod/{}", pod["metadata"]["name"].as_str().expect("a name"));
    agents.create(pod);
    let wait = [
        "wait",
        "--for=jsonpath={.status.phase}=Succeeded",
        &name,
        "--timeout=60s",
    ];
    let waited = agents
        .node
        .try_kubectl(&[&["--namespace", agents.name], &wait[..]].concat());
    let pod = agents.get(&[&name]);
    let log = agents
        .node
        .try_kubectl(&["--namespace", agents.name, "logs", &name, "--all-containers"]);
    assert!(waited.success(), "{:#}\n{}{}", pod["status"], log.stdout, log.stderr);
    pod
}

/// The same pod with a token of its own, which only user 1001 may read, and only where no other user is in the pod: the kubelet
/// gives the file to the one user.
fn with_own_token(mut pod: Value) -> Value {
    let token = json!({"serviceAccountToken": {"path": "token", "audience": "elsewhere"}});
    let volume = json!({"name": "own", "projected": {"defaultMode": 0o400, "sources": [token]}});
    pod["spec"]["volumes"].as_array_mut().expect("volumes").push(volume);
    let container = &mut pod["spec"]["containers"][0];
    container["securityContext"]["runAsUser"] = 1001.into();
    let mount = json!({"name": "own", "mountPath": "/own"});
    container["volumeMounts"].as_array_mut().expect("mounts").push(mount);
    pod
}

fn opted_out(name: &str, mut pod: Value) -> Value {
    pod["metadata"]["name"] = name.into();
    pod["metadata"]["labels"]["vertex-injector.dev/inject"] = "false".into();
    pod
}

#[test]
fn who_could_read_a_token_of_its_own_that_only_its_user_may_read_still_can() {
    let (Some(node), Some(_)) = (node(), google()) else {
        return;
    };
    let _well = WELL.read();
    let agents = namespace(node, "broker-users");
    let can = "test -s /own/token";
    run(
        &agents,
        &opted_out("before", with_own_token(pod("", Access::Metadata, can))),
    );
    for access in [Access::Metadata, Access::Proxy] {
        let pod = run(&agents, &with_own_token(pod(access.name(), access, can)));
        assert_eq!(pod["spec"]["initContainers"][0]["name"], BROKER);
    }

    // A container of another user would take it away. That is what the broker must not be.
    let mut spoilt = with_own_token(pod("", Access::Metadata, "! test -r /own/token"));
    let mut other = spoilt["spec"]["containers"][0].clone();
    other["name"] = "other".into();
    other["command"] = json!(["true"]);
    other["securityContext"]["runAsUser"] = 65532.into();
    spoilt["spec"]["containers"]
        .as_array_mut()
        .expect("containers")
        .push(other);
    run(&agents, &opted_out("spoilt", spoilt));
}

#[test]
fn a_guaranteed_pod_stays_guaranteed_and_a_root_pod_starts() {
    let (Some(node), Some(_)) = (node(), google()) else {
        return;
    };
    let _well = WELL.read();
    let agents = namespace(node, "broker-classes");
    for access in [Access::Metadata, Access::Proxy] {
        let mut guaranteed = pod(&format!("guaranteed-{}", access.name()), access, ASK);
        let resources = json!({"cpu": "100m", "memory": "32Mi"});
        guaranteed["spec"]["containers"][0]["resources"] = json!({"requests": resources, "limits": resources});
        assert_eq!(run(&agents, &guaranteed)["status"]["qosClass"], "Guaranteed");

        let script = format!("test $(id -u) = 0 && {ASK}");
        let mut root = pod(&format!("root-{}", access.name()), access, &script);
        root["spec"]["securityContext"] = json!({"runAsUser": 0});
        let root = run(&agents, &root);
        assert_eq!(root["spec"]["initContainers"][0]["name"], BROKER);
        let name = format!("pod/{}", root["metadata"]["name"].as_str().expect("a name"));
        let ended = &broker_status(&agents, &name)["state"]["terminated"];
        assert_eq!(ended["exitCode"], 0, "{ended}");
    }
}
