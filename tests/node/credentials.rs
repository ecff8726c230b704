//! Credential sidecars in a session of Ambient's: the wrapper runs servers that have a credential, which nobody else in the pod
//! has, on ports that no other pod reaches. Only the images are others: `localhost/agent:1` (`agent.rs`).

use rcgen::generate_simple_self_signed;
use serde_json::{Value, json};

use crate::agent::IMAGE;
use crate::container;
use crate::installed::{Agents, CA_CONFIG_MAP, WELL, documents, node};
use harness::node::Node;

const RUNNER: &str = "ambient-code-runner";
const API_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// What the sidecars hold. Whoever has seen it can say its checksum.
const FORGE: &str = "forge-s3cr3t-canary";
const CLUSTER: &str = "cluster-s3cr3t-canary";

/// Servers that tell a checksum of their credential, on loopback.
const FORGE_SERVER: &str = "mkdir -p /tmp/www && printf %s \"$FORGE_TOKEN\" | sha256sum >/tmp/www/sum && exec httpd -f -p 127.0.0.1:9100 -h /tmp/www";
const CLUSTER_SERVER: &str = "mkdir -p /tmp/www && sha256sum </run/cluster/kubeconfig >/tmp/www/sum && exec httpd -f -p 127.0.0.1:9101 -h /tmp/www";

fn policy() -> Value {
    json!({
        "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy", "metadata": {"name": "sidecars"},
        "spec": {
            "agents": [{
                "podSelector": {"matchExpressions": [{"key": "ambient-code.io/session-id", "operator": "Exists"}]},
                "containers": [RUNNER],
            }],
            "sidecars": [
                {
                    "name": "forge", "image": IMAGE, "port": 9100, "mcpKey": "forge",
                    "command": ["sh", "-c", FORGE_SERVER],
                    "credential": {"secret": {"secretName": "forge"}},
                    // Which of the two there is, only the wrapper can tell.
                    "credentialEnv": [{"name": "FORGE_TOKEN", "field": "apiToken|token"}],
                },
                {
                    "name": "cluster", "image": IMAGE, "port": 9101, "mcpKey": "cluster",
                    "command": ["sh", "-c", CLUSTER_SERVER],
                    "credential": {"secret": {"secretName": "cluster"}},
                    "credentialFiles": [{"path": "/run/cluster/kubeconfig", "field": "kubeconfig"}],
                },
            ],
        },
    })
}

/// The control plane's pod with our image in all its containers, which wait; the runner serves the port of its own.
fn session() -> Value {
    let mut pod = documents("tests/pods/ambient-cp-runner.yaml").remove(0);
    for container in pod["spec"]["containers"].as_array_mut().expect("containers") {
        container["image"] = IMAGE.into();
        container["imagePullPolicy"] = "IfNotPresent".into();
        let serve = if container["name"] == RUNNER {
            "httpd -p 8001 -h /tmp; "
        } else {
            ""
        };
        container["command"] = json!([
            "sh",
            "-c",
            format!("trap 'exit 0' TERM; {serve}while :; do sleep 0.1; done")
        ]);
    }
    pod["metadata"].as_object_mut().expect("metadata").remove("namespace");
    pod
}

fn secret(name: &str, key: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: value}})
}

#[test]
fn a_session_of_ambient_runs_with_two_more_sidecars_whose_credentials_and_ports_are_theirs_alone() {
    let Some(node) = node() else { return };
    let _well = WELL.read();
    let account = "session-2xyzabcdefghijklmnopqrstuvw-sa";
    let agents = Agents::new(node, "ambient-sidecars", account);
    agents.create(&secret("ambient-vertex", "ambient-code-key.json", "{}"));
    agents.create(&secret("forge", "token", FORGE));
    agents.create(&secret("cluster", "kubeconfig", CLUSTER));
    // The operator's certificates, which are trusted by everything of ours.
    agents.create(&json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CA_CONFIG_MAP},
        "data": {"ca.crt": generate_simple_self_signed(vec!["google".to_owned()]).expect("a certificate").cert.pem()},
    }));
    agents.policy(&policy());
    let session = session();

    agents.create(&session);

    let name = session["metadata"]["name"].as_str().expect("a name");
    let pod = format!("pod/{name}");
    // Both wrappers have a credential, and their servers run.
    agents.until_ready(&pod);
    let exec = |container: &str, script: &str| container::exec(&agents, &pod, container, &["sh", "-c", script]);
    for (port, credential) in [(9100, FORGE), (9101, CLUSTER)] {
        let told = exec(RUNNER, &format!("wget -q -O - http://127.0.0.1:{port}/sum"));
        assert_eq!(
            told,
            exec(RUNNER, &format!("printf %s {credential} | sha256sum")),
            "{port}"
        );
    }
    let registry = exec(RUNNER, "echo \"$CREDENTIAL_MCP_URLS\"");
    let registry: Value = serde_json::from_str(&registry).expect("JSON");
    assert_eq!(registry["forge"], "http://localhost:9100");
    assert_eq!(registry["github"], "http://localhost:8091");

    nobody_else_has_the_credentials(&exec);
    only_this_pod_reaches_the_sidecars(&agents, name);
    what_the_session_had_is_as_it_was(&agents, node, &session);

    let status = agents.get(&[&pod])["status"].clone();
    let restarted = |list: &str| {
        let all = status[list].as_array().cloned().unwrap_or_default();
        all.iter().any(|container| container["restartCount"] != 0)
    };
    assert!(
        !restarted("containerStatuses") && !restarted("initContainerStatuses"),
        "{status:#}"
    );
    agents.kubectl(&["delete", &pod, "--now", "--wait=false"]);
}

/// Not in the runner's environment, processes and files; and the sidecars have no token for the API.
fn nobody_else_has_the_credentials(exec: &impl Fn(&str, &str) -> String) {
    let seen = exec(
        RUNNER,
        "cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'; cat /proc/self/mountinfo; find /run /var /tmp -type f 2>/dev/null; true",
    );
    for canary in [
        FORGE,
        CLUSTER,
        "vertex-injector-cred",
        "/run/cluster",
        "/run/vertex-injector",
    ] {
        assert!(!seen.contains(canary), "the runner has {canary}:\n{seen}");
    }
    assert!(
        exec(RUNNER, &format!("ls {API_TOKEN}")).contains("token"),
        "the runner has its own"
    );
    for sidecar in ["vertex-injector-forge", "vertex-injector-cluster"] {
        assert_eq!(
            exec(sidecar, &format!("ls -A {API_TOKEN}")),
            "",
            "{sidecar} has an API token"
        );
        assert_ne!(exec(sidecar, "id -u").trim(), "0");
    }
    // Beside each other, neither has the other's.
    let other = exec("vertex-injector-forge", "cat /proc/self/mountinfo; env");
    assert!(
        !other.contains("vertex-injector-cred-cluster") && !other.contains("/run/cluster"),
        "{other}"
    );
}

/// Another pod reaches what listens everywhere, so it could reach the sidecars if they did.
fn only_this_pod_reaches_the_sidecars(agents: &Agents<'_>, name: &str) {
    let pod = agents.get(&["pod", name]);
    let address = pod["status"]["podIP"].as_str().expect("an address");
    let tries: Vec<String> = [8001, 9100, 9101, 8490, 8491]
        .iter()
        .map(|port| {
            format!("nc -w 3 {address} {port} </dev/null >/dev/null 2>&1 && echo {port} open || echo {port} closed")
        })
        .collect();
    agents.create(&json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other"},
        "spec": {"restartPolicy": "Never", "containers": [{
            "name": "other", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", tries.join("; ")],
        }]},
    }));
    agents.kubectl(&[
        "wait",
        "--for=jsonpath={.status.phase}=Succeeded",
        "pod/other",
        "--timeout=60s",
    ]);
    let found = agents.kubectl(&["logs", "other"]);
    assert_eq!(
        found.lines().collect::<Vec<_>>(),
        ["8001 open", "9100 closed", "9101 closed", "8490 closed", "8491 closed"]
    );
}

/// Every container of the session's own, compared with the same pod where nobody injects. The runner's list of servers alone may
/// differ.
fn what_the_session_had_is_as_it_was(agents: &Agents<'_>, node: &Node, session: &Value) {
    let account = session["spec"]["serviceAccountName"].as_str().expect("an account");
    let plain = "ambient-sidecars-plain";
    node.create_namespace(plain, &[]);
    node.kubectl(&["--namespace", plain, "create", "serviceaccount", account]);
    let create = [
        "--namespace",
        plain,
        "create",
        "--dry-run=server",
        "--output",
        "json",
        "--filename",
        "-",
    ];
    let own: Value = serde_json::from_str(&node.kubectl_stdin(&create, &session.to_string())).expect("JSON");
    let injected = agents.get(&["pod", session["metadata"]["name"].as_str().expect("a name")]);
    let containers = |pod: &Value| -> Vec<String> {
        let all = pod["spec"]["containers"].as_array().expect("containers").clone();
        let others = all.into_iter().map(|mut container| {
            for entry in container["env"].as_array_mut().into_iter().flatten() {
                if entry["name"] == "CREDENTIAL_MCP_URLS" {
                    entry["value"].take();
                }
            }
            // The volume of the API token has a random name.
            for mount in container["volumeMounts"].as_array_mut().into_iter().flatten() {
                if mount["mountPath"] == API_TOKEN {
                    mount["name"] = "kube-api-access".into();
                }
            }
            container.to_string()
        });
        others.collect()
    };
    assert_eq!(containers(&injected), containers(&own));
}
