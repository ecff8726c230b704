//! Agents in meshes: the agent gets the injection and a model's answer, wherever the mesh's proxy stands and whenever it came.

use serde_json::{Value, json};

use super::mesh::{MESHES, Mesh};
use super::world::{ACCESS, Access, BROKER, PATIENCE, Told, asking, google, namespace, until_told};
use crate::agent::IMAGE;
use crate::fake_google::{MESH, ca, certificate};
use crate::installed::{Agents, RELEASE, WELL, node};
use harness::node::Node;

/// What a container of a running pod is made of that an injection could touch.
fn parts(container: &Value) -> [Value; 3] {
    // The API server mounts the ServiceAccount's token into every container.
    let mounts = container["volumeMounts"].as_array().into_iter().flatten();
    let own = mounts.filter(|mount| {
        !mount["name"]
            .as_str()
            .unwrap_or_default()
            .starts_with("kube-api-access")
    });
    [
        container["env"].clone(),
        own.cloned().collect(),
        container["args"].clone(),
    ]
}

/// Waits for a model's answer, and sees that the mesh's containers are what the mesh made of them, in its order.
#[track_caller]
fn assert_served(agents: &Agents<'_>, name: &str, mesh: Mesh, access: Access) {
    let pod = format!("pod/{name}");
    agents.until_ready(&pod);
    let told = until_told(agents, &pod, &Told::nothing(), PATIENCE, Told::has_answer);
    assert_eq!(told.answers()[0]["text"], "Hello from Vertex AI.", "{name}");

    let stored = agents.get(&[&pod]);
    let additions = mesh.additions();
    for list in ["initContainers", "containers"] {
        let there = stored["spec"][list].as_array().into_iter().flatten();
        // The broker is first of all, so that others may call models.
        let there: Vec<&Value> = there.filter(|container| container["name"] != BROKER).collect();
        for (at, theirs) in additions[list].as_array().into_iter().flatten().enumerate() {
            assert_eq!(there[at]["name"], theirs["name"], "{name}: {list}");
            let mounts = theirs["volumeMounts"].as_array().cloned().unwrap_or_default();
            let wanted = [theirs["env"].clone(), json!(mounts), theirs["args"].clone()];
            assert_eq!(parts(there[at]), wanted, "{name}: {}", theirs["name"]);
        }
    }
    let containers = stored["spec"]["containers"].as_array().expect("containers");
    let agent = containers
        .iter()
        .find(|container| container["name"] == "agent")
        .expect("the agent");
    let env = |name: &str| {
        agent["env"]
            .as_array()
            .expect("env")
            .iter()
            .filter(|env| env["name"] == name)
            .count()
    };
    assert_eq!(env("ANTHROPIC_VERTEX_PROJECT_ID"), 1, "{name}");
    assert_eq!(
        env("ANTHROPIC_VERTEX_BASE_URL"),
        usize::from(access == Access::Proxy),
        "{name}"
    );
    let restarts = ["initContainerStatuses", "containerStatuses"].map(|list| {
        let statuses = stored["status"][list].as_array().into_iter().flatten();
        statuses
            .filter_map(|status| status["restartCount"].as_u64())
            .sum::<u64>()
    });
    assert_eq!(restarts, [0, 0], "{:#}", stored["status"]);
}

/// Each mesh with another access: which, is not the mesh's matter.
fn each() -> impl Iterator<Item = (Mesh, Access)> {
    MESHES.into_iter().zip(ACCESS.into_iter().cycle())
}

#[test]
fn an_agent_behind_a_meshs_proxy_gets_a_models_answer() {
    let (Some(node), Some(_)) = (node(), google()) else {
        return;
    };
    let _well = WELL.read();
    let agents = namespace(node, "meshes");
    let pods: Vec<Value> = each()
        .map(|(mesh, access)| {
            let mut pod = asking(mesh.name(), access);
            mesh.put_into(&mut pod);
            pod
        })
        .collect();
    agents.create(&json!({"apiVersion": "v1", "kind": "List", "items": pods}));
    for (mesh, access) in each() {
        assert_served(&agents, mesh.name(), mesh, access);
    }
    agents.kubectl(&["delete", "pods", "--all", "--now"]);
}

#[test]
fn the_injection_stays_with_the_agent_when_another_webhook_puts_a_container_in_front_and_ours_is_called_again() {
    let (Some(node), Some(_)) = (node(), google()) else {
        return;
    };
    let _well = WELL.read();
    let agents = namespace(node, "meshed-later");
    install_webhook(node, agents.name);
    // Other than before, so that every mesh is seen with two.
    let each = || MESHES.into_iter().zip(ACCESS.into_iter().cycle().skip(1));
    let pods: Vec<Value> = each()
        .map(|(mesh, access)| {
            let mut pod = asking(&format!("later-{}", mesh.name()), access);
            pod["metadata"]["labels"]["mesh"] = mesh.name().into();
            pod
        })
        .collect();
    agents.create(&json!({"apiVersion": "v1", "kind": "List", "items": pods}));
    for (mesh, access) in each() {
        let name = format!("later-{}", mesh.name());
        assert_served(&agents, &name, mesh, access);
        // Called again, ours may have to put the broker in front of what came.
        let reasons = reasons(node, &name);
        let again = |reason: &str| ["Injected", "AlreadyInjected"].contains(&reason);
        assert!(
            matches!(reasons.as_slice(), [first, second] if first == "Injected" && again(second)),
            "{name}: {reasons:?}"
        );
    }
    agents.kubectl(&["delete", "pods", "--all", "--now"]);
    node.kubectl(&["delete", "mutatingwebhookconfiguration", CONFIGURATION]);
}

/// Behind ours: the API server takes configurations by their names.
const CONFIGURATION: &str = "zz-mesh";

/// The webhook of all meshes; a pod's label `mesh` chooses.
#[track_caller]
fn install_webhook(node: &Node, agents: &str) {
    let (service, namespace) = { MESH.strip_suffix(".svc") }
        .and_then(|name| name.split_once('.'))
        .expect("a Service's name");
    node.create_namespace(namespace, &[]);
    let additions: serde_json::Map<String, Value> = MESHES
        .iter()
        .map(|mesh| (mesh.name().to_owned(), mesh.additions()))
        .collect();
    let labels = json!({"app": service});
    let container = json!({
        "name": "webhook", "image": IMAGE, "stdin": true,
        "command": [
            "vertex-injector-fakes", "mesh", "--listen=0.0.0.0:8443", "--additions=/additions/additions.json",
            "--tls-certificate=/tls/tls.crt", "--tls-key=/tls/tls.key",
        ],
        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
        "volumeMounts": [{"name": "tls", "mountPath": "/tls"}, {"name": "additions", "mountPath": "/additions"}],
    });
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        certificate("tls"),
        {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "additions"},
            "data": {"additions.json": Value::Object(additions).to_string()},
        },
        {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": service},
            "spec": {"selector": labels, "ports": [{"port": 443, "targetPort": 8443}]},
        },
        {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": service, "labels": labels},
            "spec": {
                "terminationGracePeriodSeconds": 1, "containers": [container],
                "volumes": [
                    {"name": "tls", "secret": {"secretName": "tls"}},
                    {"name": "additions", "configMap": {"name": "additions"}},
                ],
            },
        },
    ]});
    node.kubectl_stdin(
        &["--namespace", namespace, "create", "--filename", "-"],
        &objects.to_string(),
    );
    let ready = ["wait", "--for=condition=Ready", "pod/webhook", "--timeout=60s"];
    node.kubectl(&[&["--namespace", namespace], &ready[..]].concat());
    let found = node.get(&["--namespace", namespace, "service", service]);
    let address = found["spec"]["clusterIP"].as_str().expect("an address");
    let connect = format!("until (exec 3<>/dev/tcp/{address}/443) 2>/dev/null; do sleep 0.1; done");
    node.in_netns(&["timeout", "30", "bash", "-c", &connect]).output();

    let webhooks: Vec<Value> = { MESHES.iter() }
        .map(|mesh| {
            json!({
                "name": format!("{}.mesh.example.com", mesh.name()),
                "clientConfig": {
                    "service": {"namespace": namespace, "name": service, "path": format!("/{}", mesh.name())},
                    "caBundle": base64(ca()),
                },
                "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail", "reinvocationPolicy": "Never",
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": agents}},
                "objectSelector": {"matchLabels": {"mesh": mesh.name()}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            })
        })
        .collect();
    let configuration = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": CONFIGURATION}, "webhooks": webhooks,
    });
    node.apply(&configuration.to_string());
}

fn base64(text: &str) -> String {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.encode(text)
}

/// The reasons of ours about a pod, in the order of the reviews, whichever replica answered.
#[track_caller]
fn reasons(node: &Node, pod: &str) -> Vec<String> {
    let logs = ["logs", "--selector=app.kubernetes.io/name=vertex-injector", "--tail=-1"];
    let logs = node.kubectl(&[&["--namespace", RELEASE], &logs[..]].concat());
    let mut reviews: Vec<Value> = logs
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    reviews.retain(|event: &Value| event["pod"] == pod);
    reviews.sort_by_key(|event| event["timestamp"].to_string());
    let reason = |event: &Value| event["reason"].as_str().unwrap_or_default().to_owned();
    reviews.iter().map(reason).collect()
}
