//! An injected pod: what `vertex-injector inject` makes of a pod and a policy, and what a kubelet then makes of that.

use std::collections::BTreeMap;

use super::*;

/// The Secret that the policies of tests name.
pub(crate) const KEY_SECRET: &str = "google-key";

/// What the policy says about impersonation.
#[derive(Clone, Copy)]
pub(crate) enum Identity {
    Direct,
    /// Impersonates [`SERVICE_ACCOUNT`], for so many seconds when given.
    Impersonating(Option<u32>),
}

/// A pod as the product injects it in `access: File`, with `token` as its projected ServiceAccount token.
#[track_caller]
pub(crate) fn injected_pod(identity: Identity, token: &str) -> InjectedPod {
    let mut federation = json!({"provider": PROVIDER});
    if let Identity::Impersonating(lifetime) = identity {
        federation["serviceAccount"] = SERVICE_ACCOUNT.into();
        if let Some(seconds) = lifetime {
            federation["serviceAccountTokenLifetimeSeconds"] = seconds.into();
        }
    }
    let pod = injected(&json!({"identity": {"workloadIdentityFederation": federation}}));
    let secrets = Secrets {
        token,
        ..Secrets::default()
    };
    started(&pod, &pod["spec"]["containers"][0], &secrets)
}

/// What the cluster holds for the pod.
#[derive(Clone, Copy, Default)]
pub(crate) struct Secrets<'a> {
    /// Its projected ServiceAccount token.
    pub token: &'a str,
    /// The value of the key that the policy's `serviceAccountKey` names.
    pub key: &'a str,
}

/// The pod of the tests as `vertex-injector inject` gives it back under a policy whose spec has these settings.
#[track_caller]
pub(crate) fn injected(settings: &Value) -> Value {
    let mut policy = json!({
        "apiVersion": "vertex-injector.dev/v1alpha1",
        "kind": "InjectionPolicy",
        "metadata": {"name": "agents", "namespace": "team-a"},
        "spec": {
            "agents": [{"podSelector": {"matchLabels": {"app": "agent"}}}],
            "vertex": {"project": "my-project", "region": "us-east5", "clients": ["ClaudeCode", "GoogleGenAI"]},
            "identity": {"workloadIdentityFederation": {"provider": PROVIDER}},
            "env": [{"name": "VERTEX_SA", "value": SERVICE_ACCOUNT}],
        },
    });
    for (name, value) in settings.as_object().expect("settings") {
        policy["spec"][name] = value.clone();
    }
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "agent-0", "namespace": "team-a", "labels": {"app": "agent"}},
        "spec": {"serviceAccountName": "agent", "containers": [{"name": "agent", "image": "agent"}]},
    });
    inject(&json!({"apiVersion": "v1", "kind": "List", "items": [pod, policy]}))
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

/// Environment and files of one of the pod's containers, as the kubelet makes them.
#[track_caller]
pub(crate) fn started(pod: &Value, container: &Value, secrets: &Secrets<'_>) -> InjectedPod {
    let mut env: BTreeMap<String, String> = BTreeMap::new();
    for variable in list(&container["env"]) {
        let mut value = variable["value"].as_str().expect("a literal value").to_owned();
        for (name, earlier) in &env {
            value = value.replace(&format!("$({name})"), earlier);
        }
        env.insert(variable["name"].as_str().expect("a name").to_owned(), value);
    }
    let mut files = BTreeMap::new();
    for mount in list(&container["volumeMounts"]) {
        assert_eq!(mount["readOnly"], true, "{mount}");
        let volume = list(&pod["spec"]["volumes"])
            .iter()
            .find(|volume| volume["name"] == mount["name"])
            .expect("the mount's volume");
        let directory = mount["mountPath"].as_str().expect("a path");
        for source in sources(volume) {
            for (name, content) in contents(&source, &pod["metadata"], secrets) {
                files.insert(format!("{directory}/{name}"), content);
            }
        }
    }
    InjectedPod { env, files, user: None }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A volume's sources as those of a projected one; an emptyDir has none.
#[track_caller]
fn sources(volume: &Value) -> Vec<Value> {
    if volume.get("emptyDir").is_some() {
        return Vec::new();
    }
    match volume.get("projected") {
        Some(projected) => list(&projected["sources"]).to_vec(),
        None => vec![volume.clone()],
    }
}

/// The files of one source of a volume.
#[track_caller]
fn contents(source: &Value, metadata: &Value, secrets: &Secrets<'_>) -> Vec<(String, String)> {
    let path = |item: &Value| item["path"].as_str().expect("a path").to_owned();
    if let Some(projection) = source.get("serviceAccountToken") {
        assert_eq!(projection["audience"], TOKEN_AUDIENCE);
        return vec![(path(projection), secrets.token.to_owned())];
    }
    if let Some(secret) = source.get("secret") {
        assert_eq!(secret["secretName"], KEY_SECRET);
        let items = list(&secret["items"]);
        return items.iter().map(|item| (path(item), secrets.key.to_owned())).collect();
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
