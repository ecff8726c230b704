//! Pods of every kind: agents with keys, files and settings of their own, with volumes of all types, with what other
//! plugins and earlier injections left, with forgeries under our names, with fields that nobody knows.

use crate::tape::Tape;
use serde_json::{Map, Value, json};
use vertex_injector_core::clients::{
    API_KEYS, CREDENTIAL_SOURCES, METADATA_FENCES, OTHER_PROVIDERS, ROUTES, VARIABLES,
};
use vertex_injector_core::names;

/// Directories in which pods and policies mount things; few, so that they meet.
pub(crate) const PATHS: &[&str] = &[
    "/workspace",
    "/opt/helpers",
    "/opt/helpers/deep",
    "/var/run/secrets/gateway",
    "/gcloud/config",
    "/var/run/secrets/vertex-injector",
    "/data",
    "/creds",
];

/// Volumes that pods bring.
pub(crate) const VOLUMES: &[&str] = &["workspace", "creds", "shared", "extra"];

const OUR_VOLUMES: &[&str] = &[
    names::CREDENTIALS_VOLUME,
    names::NO_API_TOKEN_VOLUME,
    names::LOOPBACK_VOLUME,
    names::TRUST_VOLUME,
    "vertex-injector-helper-fracta-auth-helpers",
    "vertex-injector-token-gateway",
    "vertex-injector-tmp-github",
    "vertex-injector-of-old",
];

/// A pod as the API server sends it: names, paths and volumes are unique within their lists.
pub(crate) fn pod(tape: &mut Tape<'_>) -> Value {
    let mut spec = Map::new();
    if tape.chance(60) {
        spec.insert("serviceAccountName".into(), tape.pick(&["agent", "other"]).into());
    }
    if tape.chance(25) {
        let selector = match tape.below(4) {
            0 => json!({}),
            1 => Value::Null,
            2 => json!({"disk": "ssd", "kubernetes.io/os": "linux"}),
            _ => json!({names::GKE_METADATA_NODE: tape.pick(&["true", "false"])}),
        };
        spec.insert("nodeSelector".into(), selector);
    }
    if tape.chance(30) {
        let context = tape.pick(&[
            "{}",
            r#"{"runAsUser":0}"#,
            r#"{"runAsUser":1000,"seLinuxOptions":{"level":"s0"}}"#,
            r#"{"fsGroup":7}"#,
        ]);
        spec.insert("securityContext".into(), parsed(context));
    }
    if tape.chance(5) {
        let field = tape.pick(&["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"]);
        spec.insert(field.to_owned(), tape.chance(70).into());
    }
    if tape.chance(15) {
        let secrets = tape.pick(&["[]", "null", r#"[{"name":"own"}]"#, r#"[{"name":"broker-registry"}]"#]);
        spec.insert("imagePullSecrets".into(), parsed(secrets));
    }
    if tape.chance(10) {
        spec.insert("resources".into(), json!({"limits": {"cpu": "1"}}));
    }
    if tape.chance(3) {
        spec.insert("os".into(), json!({"name": tape.pick(&["linux", "windows"])}));
    }
    let mut volumes: Vec<Value> = VOLUMES
        .iter()
        .filter_map(|name| {
            if tape.chance(55) {
                Some(volume(tape, name))
            } else {
                None
            }
        })
        .collect();
    for name in OUR_VOLUMES {
        if tape.chance(6) {
            let at = tape.below(volumes.len() + 1);
            volumes.insert(at, volume(tape, name));
        }
    }
    if tape.chance(2) {
        volumes.push(volume(tape, "gcp-iam-token"));
    }
    let names: Vec<String> = volumes.iter().map(|volume| text(volume, "name")).collect();
    put_list(tape, &mut spec, "volumes", volumes);

    let mut containers = vec![container(tape, "agent", &names)];
    for name in ["helper", "vertex-injector-forged"] {
        if tape.chance(if name == "helper" { 35 } else { 2 }) {
            let at = tape.below(containers.len() + 1);
            containers.insert(at, container(tape, name, &names));
        }
    }
    spec.insert("containers".into(), containers.into());
    let mut init: Vec<Value> = Vec::new();
    for (name, percent) in [
        ("setup", 30),
        ("vertex-injector-github", 8),
        (names::BROKER_CONTAINER, 6),
        ("vertex-injector-of-old", 5),
    ] {
        if tape.chance(percent) {
            let mut container = container(tape, name, &names);
            if tape.chance(50) {
                container["restartPolicy"] = "Always".into();
            }
            init.push(container);
        }
    }
    put_list(tape, &mut spec, "initContainers", init);
    let mut spec = Value::Object(spec);
    tape.unknown_fields(&mut spec);
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata(tape), "spec": spec});
    tape.unknown_fields(&mut pod);
    pod
}

fn metadata(tape: &mut Tape<'_>) -> Value {
    let mut metadata = json!({"name": "agent-0"});
    let mut labels = json!({"app": "agent"});
    match tape.below(40) {
        0..25 => labels[names::INJECT] = "true".into(),
        25 => labels[names::INJECT] = "false".into(),
        _ => {}
    }
    if tape.chance(60) {
        labels["tier"] = tape.pick(&["interactive", "batch"]).into();
    }
    if tape.chance(1) {
        labels["kubeagents.x-k8s.io/has-credential-proxy"] = "true".into();
    }
    metadata["labels"] = labels;
    let mut annotations = json!({});
    for (key, value, percent) in [
        ("example.com/note", "\"quoted\" ~/path", 40),
        (names::CREDENTIAL_CONFIGURATION, "{\"forged\": true}", 8),
        (names::LOOPBACK_CONFIGURATION, "{\"forged\": true}", 5),
        (names::POLICY_REF, "team-a/other@7", 8),
        (
            names::RENDERED_ENV,
            "agent/GOOGLE_CLOUD_PROJECT,agent/FOO,helper/BAR,agent/GONE",
            8,
        ),
        (names::SKIPPED, "OwnApiKey", 5),
        (names::POLICY, "policy", 10),
        (names::POLICY, "another", 1),
        (names::CONTAINERS, "agent", 8),
        (names::CONTAINERS, "agent, setup", 3),
        (names::CONTAINERS, "agent,vertex-injector-github", 3),
        ("kubectl.kubernetes.io/default-container", "helper", 8),
        ("openshell.io/sandbox-id", "sb-1", 4),
        ("kubernetes.io/config.mirror", "x", 1),
    ] {
        if tape.chance(percent) {
            annotations[key] = value.into();
        }
    }
    match tape.below(10) {
        0 if annotations == json!({}) => metadata["annotations"] = Value::Null,
        1 => metadata["annotations"] = annotations,
        _ if annotations == json!({}) => {}
        _ => metadata["annotations"] = annotations,
    }
    tape.unknown_fields(&mut metadata);
    metadata
}

fn container(tape: &mut Tape<'_>, name: &str, volumes: &[String]) -> Value {
    let mut container = Map::new();
    container.insert("name".into(), name.into());
    container.insert("image".into(), "example.com/agent:1".into());
    if tape.chance(30) {
        container.insert("args".into(), json!(["--model", "$(ANTHROPIC_MODEL)", "é\n"]));
    }
    let mut env: Vec<Value> = Vec::new();
    for _ in 0..tape.below(9) {
        env.push(variable(tape));
    }
    if tape.chance(6) {
        env.push(json!({"name": "OPENSHELL_SANDBOX_ID", "value": "sb-1"}));
    }
    if tape.chance(8) {
        let value = tape.pick(&[
            "{}",
            "{\"GOOGLE_CLOUD_PROJECT\": \"own-project\", \"A\": \"b\"}",
            "not JSON",
            "{\"A\": 1}",
        ]);
        env.push(json!({"name": "OPENSHELL_USER_ENVIRONMENT", "value": value}));
    }
    put_list(tape, &mut container, "env", env);
    if tape.chance(10) {
        let from = json!([{"secretRef": {"name": "keys"}}, {"prefix": "P_", "configMapRef": {"name": "settings", "optional": true}}]);
        container.insert("envFrom".into(), from);
    }
    let mut mounts: Vec<Value> = Vec::new();
    for path in PATHS {
        if volumes.is_empty() || !tape.chance(12) {
            continue;
        }
        let name = &volumes[tape.below(volumes.len())];
        let slash = if tape.chance(10) { "/" } else { "" };
        let mut mount = json!({"name": name, "mountPath": format!("{path}{slash}")});
        match tape.below(8) {
            0 => mount["readOnly"] = true.into(),
            1 => mount["subPath"] = "part".into(),
            2 => mount["mountPropagation"] = "HostToContainer".into(),
            _ => {}
        }
        tape.unknown_fields(&mut mount);
        mounts.push(mount);
    }
    put_list(tape, &mut container, "volumeMounts", mounts);
    if tape.chance(15) {
        let port = [8080, 18101, 18102, 8470, 8471, 18201][tape.below(6)];
        container.insert("ports".into(), json!([{"name": "http", "containerPort": port}]));
    }
    if tape.chance(40) {
        let resources = tape.pick(&[
            r#"{"requests":{"cpu":"1","memory":"1Gi"},"limits":{"cpu":"1000m","memory":"1024Mi"}}"#,
            r#"{"requests":{"cpu":0.1}}"#,
            "{}",
            "null",
        ]);
        container.insert("resources".into(), parsed(resources));
    }
    if tape.chance(30) {
        let mut context = json!({"runAsUser": tape.pick(&[&0, &1000])});
        match tape.below(20) {
            0 => context["privileged"] = true.into(),
            1 => context["capabilities"] = json!({"add": ["SYS_PTRACE", "CHOWN"], "drop": null}),
            2 => context["procMount"] = "Unmasked".into(),
            _ => {}
        }
        container.insert("securityContext".into(), context);
    }
    let mut container = Value::Object(container);
    tape.unknown_fields(&mut container);
    container
}

/// One entry of `env`. Settings and their references are frequent, what shuts the gate is rare.
fn variable(tape: &mut Tape<'_>) -> Value {
    let name = match tape.below(40) {
        0..10 => VARIABLES[tape.below(VARIABLES.len())].name,
        10 => "CLAUDE_CODE_USE_VERTEX",
        11 | 12 => API_KEYS[tape.below(API_KEYS.len())],
        13 => OTHER_PROVIDERS[tape.below(OTHER_PROVIDERS.len())],
        14 => METADATA_FENCES[tape.below(METADATA_FENCES.len())],
        15 => "GOOGLE_APPLICATION_CREDENTIALS",
        16 => tape.pick(&["CREDENTIAL_MCP_URLS", "CREDENTIAL_IDS", "CREDENTIAL_SIDECAR_MODE"]),
        17 => tape.pick(&[
            "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
            "HOME",
            "CLOUDSDK_CONFIG",
            "VERTEX_REGION_CLAUDE_HAIKU_4_5",
        ]),
        18..22 => tape.pick(&["LOG_LEVEL", "TEAM", "FROM_FIELD", "GATEWAY_TOKEN_PATH"]),
        22 => ROUTES[tape.below(ROUTES.len())],
        23 => CREDENTIAL_SOURCES[tape.below(CREDENTIAL_SOURCES.len())],
        _ => tape.pick(&["FOO", "BAR", "POD_NAME", "WORKSPACE"]),
    };
    let mut entry = json!({"name": name});
    match tape.below(20) {
        0 => {}
        1 => entry["valueFrom"] = json!({"secretKeyRef": {"name": "s", "key": "k"}}),
        2 => entry["valueFrom"] = json!({"configMapKeyRef": {"name": "c", "key": "k", "optional": true}}),
        3 => entry["valueFrom"] = json!({"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}),
        4 => {
            entry["value"] = tape
                .pick(&[
                    "$(FOO)",
                    "$(GOOGLE_CLOUD_PROJECT)",
                    "$(GCLOUD_PROJECT)",
                    "$$(FOO)",
                    "$(",
                    "a$(BAR)b$",
                ])
                .into();
        }
        5 => entry["value"] = tape.pick(&["", " ", "\u{e9}\n\"", "0", "false"]).into(),
        _ => entry["value"] = usual_value(tape, name).into(),
    }
    tape.unknown_fields(&mut entry);
    entry
}

fn usual_value(tape: &mut Tape<'_>, name: &str) -> String {
    let form = VARIABLES.iter().find(|variable| variable.name == name);
    let file = |directory: &str| format!("{directory}/{}", names::CREDENTIAL_FILE);
    match name {
        "GOOGLE_APPLICATION_CREDENTIALS" => tape
            .pick(&["/creds/key.json", "/creds/deep/key.json", "/workspace/key.json"])
            .to_owned(),
        "CREDENTIAL_MCP_URLS" => tape
            .pick(&[
                "{}",
                r#"{"jira": "http://jira:1"}"#,
                r#"{"github": "http://localhost:18101"}"#,
                "[]",
            ])
            .to_owned(),
        "CREDENTIAL_IDS" => tape
            .pick(&[r#"{"github": "1"}"#, "{}", r#"{"unbound": "1"}"#])
            .to_owned(),
        "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE" => file(names::CREDENTIAL_DIRECTORY),
        _ => match form.map(|variable| variable.setting) {
            Some(vertex_injector_core::clients::Setting::Project) => {
                tape.pick(&["my-project", "own-project"]).to_owned()
            }
            Some(vertex_injector_core::clients::Setting::Region) => tape.pick(&["us-east5", "global"]).to_owned(),
            Some(vertex_injector_core::clients::Setting::Endpoint) => tape
                .pick(&[
                    "https://us-east5-aiplatform.googleapis.com/v1",
                    "https://proxy.example.com/v1/",
                ])
                .to_owned(),
            Some(vertex_injector_core::clients::Setting::Switch) => tape.pick(&["1", "true", "0"]).to_owned(),
            Some(_) => tape.pick(&["1", "true"]).to_owned(),
            None => tape.pick(&["plain", "other"]).to_owned(),
        },
    }
}

/// A volume of any type, ours included.
fn volume(tape: &mut Tape<'_>, name: &str) -> Value {
    let source = tape.pick(&[
        r#"{"emptyDir":{}}"#,
        r#"{"emptyDir":{"sizeLimit":"16Mi"}}"#,
        r#"{"configMap":{"name":"fracta-auth-helpers","defaultMode":493}}"#,
        r#"{"configMap":{"name":"fracta-auth-helpers","defaultMode":493,"optional":true}}"#,
        r#"{"secret":{"secretName":"key","items":[{"key":"key.json","path":"key.json"}]}}"#,
        r#"{"projected":{"defaultMode":288,"sources":[{"serviceAccountToken":{"audience":"x","expirationSeconds":3600,"path":"token"}}]}}"#,
        r#"{"hostPath":{"path":"/etc","type":""}}"#,
        r#"{"csi":{"driver":"secrets-store.csi.k8s.io","volumeAttributes":{"a":"b"}}}"#,
        r#"{"persistentVolumeClaim":{"claimName":"data"}}"#,
        r#"{"image":{"reference":"example.com/x:1"}}"#,
        "{}",
    ]);
    let mut volume = json!({"name": name});
    for (key, value) in parsed(source).as_object().expect("an object") {
        volume[key] = value.clone();
    }
    tape.unknown_fields(&mut volume);
    volume
}

/// A list, or one of the ways to say that there is none.
fn put_list(tape: &mut Tape<'_>, object: &mut Map<String, Value>, key: &str, list: Vec<Value>) {
    match (list.is_empty(), tape.below(3)) {
        (true, 0) => {}
        (true, 1) => drop(object.insert(key.to_owned(), Value::Null)),
        _ => drop(object.insert(key.to_owned(), list.into())),
    }
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).expect("JSON in the generator")
}

fn text(object: &Value, key: &str) -> String {
    object[key].as_str().unwrap_or_default().to_owned()
}
