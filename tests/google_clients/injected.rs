//! An injected pod: what `vertex-injector inject` makes of a pod and a policy, and what a kubelet then makes of that.

use std::collections::BTreeMap;

use super::*;

/// What the policy says about impersonation.
#[derive(Clone, Copy)]
pub enum Identity {
    Direct,
    /// Impersonates [`SERVICE_ACCOUNT`], for so many seconds when given.
    Impersonating(Option<u32>),
}

/// A pod as the product injects it, with `token` as its projected ServiceAccount token.
#[track_caller]
pub fn injected_pod(identity: Identity, token: &str) -> InjectedPod {
    let mut federation = json!({"provider": PROVIDER});
    if let Identity::Impersonating(lifetime) = identity {
        federation["serviceAccount"] = SERVICE_ACCOUNT.into();
        if let Some(seconds) = lifetime {
            federation["serviceAccountTokenLifetimeSeconds"] = seconds.into();
        }
    }
    let policy = json!({
        "apiVersion": "vertex-injector.dev/v1alpha1",
        "kind": "InjectionPolicy",
        "metadata": {"name": "agents", "namespace": "team-a"},
        "spec": {
            "agents": [{"podSelector": {"matchLabels": {"app": "agent"}}}],
            "vertex": {"project": "my-project", "region": "us-east5", "clients": ["ClaudeCode"]},
            "identity": {"workloadIdentityFederation": federation},
            "env": [{"name": "VERTEX_SA", "value": SERVICE_ACCOUNT}],
        },
    });
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "agent-0", "namespace": "team-a", "labels": {"app": "agent"}},
        "spec": {"serviceAccountName": "agent", "containers": [{"name": "agent", "image": "agent"}]},
    });
    started(
        &inject(&json!({"apiVersion": "v1", "kind": "List", "items": [pod, policy]})),
        token,
    )
}

/// The first object of a list, as `vertex-injector inject` gives it back.
#[track_caller]
fn inject(list: &Value) -> Value {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vertex-injector"))
        .args(["inject", "--filename", "-", "--output", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start vertex-injector");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(list.to_string().as_bytes()).expect("write the list");
    drop(stdin);
    let output = child.wait_with_output().expect("vertex-injector");
    assert!(output.status.success(), "vertex-injector inject failed");
    let list: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    list["items"][0].clone()
}

/// Environment and files of the pod's container, as the kubelet makes them.
#[track_caller]
fn started(pod: &Value, token: &str) -> InjectedPod {
    let container = &pod["spec"]["containers"][0];
    let mut env: BTreeMap<String, String> = BTreeMap::new();
    for variable in container["env"].as_array().expect("variables") {
        let mut value = variable["value"].as_str().expect("a literal value").to_owned();
        for (name, earlier) in &env {
            value = value.replace(&format!("$({name})"), earlier);
        }
        env.insert(variable["name"].as_str().expect("a name").to_owned(), value);
    }
    let mut files = BTreeMap::new();
    for mount in container["volumeMounts"].as_array().expect("mounts") {
        assert_eq!(mount["readOnly"], true, "{mount}");
        let volumes = pod["spec"]["volumes"].as_array().expect("volumes");
        let volume = volumes
            .iter()
            .find(|volume| volume["name"] == mount["name"])
            .expect("the mount's volume");
        for source in volume["projected"]["sources"].as_array().expect("a projected volume") {
            for (name, content) in projected(source, &pod["metadata"], token) {
                let directory = mount["mountPath"].as_str().expect("a path");
                files.insert(format!("{directory}/{name}"), content);
            }
        }
    }
    InjectedPod { env, files, user: None }
}

/// The files of one source of a projected volume.
#[track_caller]
fn projected(source: &Value, metadata: &Value, token: &str) -> Vec<(String, String)> {
    let path = |item: &Value| item["path"].as_str().expect("a path").to_owned();
    if let Some(projection) = source.get("serviceAccountToken") {
        assert_eq!(projection["audience"], TOKEN_AUDIENCE);
        return vec![(path(projection), token.to_owned())];
    }
    let items = source["downwardAPI"]["items"]
        .as_array()
        .expect("a source that pods of the product have");
    let content = |item: &Value| {
        let field = item["fieldRef"]["fieldPath"].as_str().expect("a field");
        let annotation = field
            .strip_prefix("metadata.annotations['")
            .and_then(|rest| rest.strip_suffix("']"));
        let annotation = &metadata["annotations"][annotation.expect("an annotation")];
        annotation.as_str().expect("its value").to_owned()
    };
    items.iter().map(|item| (path(item), content(item))).collect()
}
