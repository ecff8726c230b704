//! Reviews that cost as much as a review of their size can: one for each list of a pod, and for each text that is taken apart.

use serde_json::{Value, json};

/// Namespaces with a policy that asks for much, and the policies.
pub const POLICIES: &str = include_str!("policies.yaml");

/// What the operator allows.
pub const OPERATOR: &str = "sidecarImages: [\"registry.example.com/*\"]\ncredentialHosts: [credentials.example.com]\nbroker: {image: \"registry.example.com/vertex-injector:1\"}\n";

/// The namespaces of [`POLICIES`].
pub const NAMESPACES: [&str; 6] = ["file", "proxy", "key", "sidecars", "openshell", "references"];

/// An audience of the identity in [`POLICIES`].
const AUDIENCE: &str =
    "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster";

/// What a review is made of: a part that is repeated, `#` for its number, and the pod around it, with `@` in their place.
pub struct Shape {
    /// For the figures.
    pub name: &'static str,
    part: &'static str,
    separator: &'static str,
    pub(super) around: Around,
}

pub(super) enum Around {
    /// A field of the spec.
    Spec(&'static str),
    /// A field of the agent's container.
    Agent(&'static str),
    /// A variable's value.
    Variable(&'static str),
    /// An annotation.
    Annotation(&'static str),
    /// A field of the metadata.
    Metadata(&'static str),
    /// A field of the request.
    Request(&'static str),
}
use Around::{Agent, Annotation, Metadata, Request, Spec, Variable};

pub(super) const fn shape(name: &'static str, part: &'static str, separator: &'static str, around: Around) -> Shape {
    Shape {
        name,
        part,
        separator,
        around,
    }
}

/// All of them.
pub const SHAPES: [Shape; 48] = [
    shape("empty containers", "{}", ",", Spec(r#""containers":[@]"#)),
    shape(
        "named containers",
        r#"{"name":"c#"}"#,
        ",",
        Spec(r#""containers":[{"name":"agent"},@]"#),
    ),
    shape(
        "init containers",
        r#"{"name":"i#"}"#,
        ",",
        Spec(r#""initContainers":[@]"#),
    ),
    shape(
        "our init containers",
        r#"{"name":"vertex-injector-#"}"#,
        ",",
        Spec(r#""initContainers":[@]"#),
    ),
    shape(
        "an init container of ours",
        r#"{"name":"V#"}"#,
        ",",
        Spec(r#""initContainers":[{"name":"vertex-injector-broker","env":[@]}]"#),
    ),
    shape(
        "numbers in an init container of ours",
        "1",
        ",",
        Spec(r#""initContainers":[{"name":"vertex-injector-broker","x":[@]}]"#),
    ),
    shape("volumes", r#"{"name":"v#"}"#, ",", Spec(r#""volumes":[@]"#)),
    shape(
        "volumes of one name",
        r#"{"name":"v","projected":{"sources":[{"serviceAccountToken":{"audience":"A"}}]}}"#,
        ",",
        Spec(r#""volumes":[@]"#),
    ),
    shape(
        "our volumes",
        r#"{"name":"vertex-injector-#"}"#,
        ",",
        Spec(r#""volumes":[@]"#),
    ),
    shape(
        "volumes of the identity",
        r#"{"name":"v#","projected":{"sources":[{"serviceAccountToken":{"audience":"A"}}]}}"#,
        ",",
        Spec(r#""volumes":[@]"#),
    ),
    shape(
        "sources of a volume",
        "{}",
        ",",
        Spec(r#""volumes":[{"name":"v","projected":{"sources":[@]}}]"#),
    ),
    shape(
        "sources of our volume",
        r#"{"a":1}"#,
        ",",
        Spec(r#""volumes":[{"name":"vertex-injector-credentials","projected":{"sources":[@]}}]"#),
    ),
    shape(
        "volumes of a Secret",
        r#"{"name":"v#","secret":{"secretName":"token"}}"#,
        ",",
        Spec(r#""volumes":[@]"#),
    ),
    shape("pull secrets", "{}", ",", Spec(r#""imagePullSecrets":[@]"#)),
    shape("node selector", r#""k#":"""#, ",", Spec(r#""nodeSelector":{@}"#)),
    shape(
        "sysctls",
        r#"{"name":"s#","value":""}"#,
        ",",
        Spec(r#""securityContext":{"sysctls":[@]}"#),
    ),
    shape("unknown numbers", "1", ",", Spec(r#""unknown":[@]"#)),
    shape("unknown depth", "[", "", Spec(r#""unknown":@"#)),
    shape("variables", r#"{"name":"V#"}"#, ",", Agent(r#""env":[@]"#)),
    shape(
        "variables of one name",
        r#"{"name":"A","value":"x"}"#,
        ",",
        Agent(r#""env":[@]"#),
    ),
    shape(
        "variables in a chain",
        r#"{"name":"V","value":"$(V)$(V)"}"#,
        ",",
        Agent(r#""env":[{"name":"V","value":"x"},@]"#),
    ),
    shape(
        "variables of a Secret",
        r#"{"name":"S","valueFrom":{"secretKeyRef":{"name":"token"}}}"#,
        ",",
        Agent(r#""env":[@]"#),
    ),
    shape(
        "variables of many Secrets",
        r#"{"name":"S","valueFrom":{"secretKeyRef":{"name":"s#"}}}"#,
        ",",
        Agent(r#""env":[@]"#),
    ),
    shape(
        "regions of models",
        r#"{"name":"VERTEX_REGION_#","value":"nowhere"}"#,
        ",",
        Agent(r#""env":[@]"#),
    ),
    shape(
        "configuration of git",
        r#"{"name":"GIT_CONFIG_KEY_#","value":""}"#,
        ",",
        Agent(r#""env":[@]"#),
    ),
    shape("sources of variables", "{}", ",", Agent(r#""envFrom":[@]"#)),
    shape(
        "ConfigMaps of variables",
        r#"{"configMapRef":{"name":"c#"}}"#,
        ",",
        Agent(r#""envFrom":[@]"#),
    ),
    shape(
        "mounts",
        r#"{"name":"v#","mountPath":"/m#"}"#,
        ",",
        Agent(r#""volumeMounts":[@]"#),
    ),
    shape(
        "mounts of ours",
        r#"{"name":"vertex-injector-x","mountPath":"/m#"}"#,
        ",",
        Agent(r#""volumeMounts":[@]"#),
    ),
    shape(
        "a long path",
        "/x",
        "",
        Agent(r#""volumeMounts":[{"name":"v","mountPath":"@"}]"#),
    ),
    shape("ports", r#"{"containerPort":#}"#, ",", Agent(r#""ports":[@]"#)),
    shape(
        "capabilities",
        r#""""#,
        ",",
        Agent(r#""securityContext":{"capabilities":{"add":[@]}}"#),
    ),
    shape("resources", r#""r#":1"#, ",", Agent(r#""resources":{"limits":{@}}"#)),
    shape(
        "a wrong type at the end",
        r#"{"name":"V#"}"#,
        ",",
        Agent(r#""env":[@,{"name":1}]"#),
    ),
    shape("exceptions of the proxy", ",", "", Variable("NO_PROXY")),
    shape("hosts without a proxy", "a", ",", Variable("NO_PROXY")),
    shape("a proxy", "$", "", Variable("HTTPS_PROXY")),
    shape("a model", "x-", "", Variable("ANTHROPIC_MODEL")),
    shape("endpoints", r#"\"k#\":\"\""#, ",", Variable("CREDENTIAL_MCP_URLS")),
    shape(
        "an environment of OpenShell",
        r#"\"k#\":\"\""#,
        ",",
        Variable("OPENSHELL_USER_ENVIRONMENT"),
    ),
    shape("references", "$(V)", "", Variable("GOOGLE_CLOUD_PROJECT")),
    shape(
        "rendered variables",
        "agent/V#",
        ",",
        Annotation("vertex-injector.dev/rendered-env"),
    ),
    shape(
        "chosen containers",
        "agent",
        ",",
        Annotation("vertex-injector.dev/containers"),
    ),
    shape("annotations", r#""k#":"""#, ",", Metadata(r#""annotations":{@}"#)),
    shape(
        "managed fields",
        r#""f:x#":{}"#,
        ",",
        Metadata(r#""managedFields":[{"fieldsV1":{@}}]"#),
    ),
    shape(
        "an envelope that cannot be read",
        r#""g#":"""#,
        ",",
        Request(r#""userInfo":{"extra":{@}},"dryRun":1"#),
    ),
    shape(
        "groups of the user",
        r#""g#""#,
        ",",
        Request(r#""userInfo":{"groups":[@]}"#),
    ),
    shape("a uid", "u", "", Request(r#""uid":"@""#)),
];

impl Shape {
    /// The review of a pod in a namespace, of at most so many bytes.
    pub fn review(&self, namespace: &str, bytes: usize) -> String {
        let parts = self.parts(bytes);
        self.around(namespace, &parts)
    }

    /// As many parts as fit, one behind the other.
    pub(super) fn parts(&self, bytes: usize) -> String {
        let part = self.part.replace(r#""A""#, &json!(AUDIENCE).to_string());
        let pieces: Vec<&str> = part.split('#').collect();
        let mut parts = String::with_capacity(bytes);
        for i in 0_usize.. {
            let next = pieces.join(&i.to_string());
            if parts.len() + self.separator.len() + next.len() + 1500 > bytes {
                break;
            }
            if i > 0 {
                parts.push_str(self.separator);
            }
            parts.push_str(&next);
        }
        if self.name == "unknown depth" {
            let half = parts.len() / 2;
            parts.truncate(half);
            parts.push_str(&"]".repeat(half));
        }
        parts
    }

    fn around(&self, namespace: &str, parts: &str) -> String {
        let fill = |template: &str| template.replacen('@', parts, 1);
        let mut annotations = json!({"kubectl.kubernetes.io/default-container": "agent"}).to_string();
        let (mut metadata, mut spec, mut agent, mut request) =
            (String::new(), String::new(), String::new(), String::new());
        match self.around {
            Spec(template) => spec = format!(",{}", fill(template)),
            Agent(template) => agent = format!(",{}", fill(template)),
            Variable(name) => {
                let sandbox = if namespace == "openshell" {
                    "OPENSHELL_SANDBOX_ID"
                } else {
                    "V"
                };
                agent = format!(
                    r#","env":[{{"name":"{sandbox}","value":"x"}},{{"name":"HTTP_PROXY","value":"http://proxy:80"}},{{"name":"{name}","value":"{parts}"}}]"#
                );
            }
            Annotation(name) => annotations = format!(r#"{{"{name}":"{parts}"}}"#),
            Metadata(template) => metadata = format!(",{}", fill(template)),
            Request(template) => request = format!(",{}", fill(template)),
        }
        let annotations = if metadata.contains("\"annotations\"") {
            String::new()
        } else {
            format!(r#","annotations":{annotations}"#)
        };
        let containers = if spec.contains("\"containers\"") {
            String::new()
        } else {
            format!(r#","containers":[{{"name":"agent"{agent}}}]"#)
        };
        let uid = if request.contains("\"uid\"") {
            ""
        } else {
            r#","uid":"u-1""#
        };
        format!(
            r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{{"operation":"CREATE"{uid},"namespace":"{namespace}"{request},"object":{{"metadata":{{"name":"agent-1","labels":{{"vertex-injector.dev/inject":"true"}}{annotations}{metadata}}},"spec":{{"serviceAccountName":"default"{spec}{containers}}}}}}}}}"#
        )
    }
}

/// Every volume of the identity in every container: as many pairs as fit into so many entries.
pub fn pairs(namespace: &str, volumes: usize, containers: usize) -> String {
    let volume = |i: usize| json!({"name": format!("v{i}"), "projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": AUDIENCE}}]}});
    let mounts: Vec<Value> = (0..volumes)
        .map(|i| json!({"name": format!("v{i}"), "mountPath": format!("/m{i}")}))
        .collect();
    let container = |i: usize| json!({"name": format!("c{i}"), "volumeMounts": mounts});
    pod(
        namespace,
        &(0..volumes).map(volume).collect::<Vec<_>>(),
        &(0..containers).map(container).collect::<Vec<_>>(),
    )
}

/// Volumes of one name, each a token of the identity, and containers that mount it.
pub fn one_name(namespace: &str, volumes: usize, containers: usize) -> String {
    let volume =
        json!({"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": AUDIENCE}}]}});
    let container = |i: usize| json!({"name": format!("c{i}"), "volumeMounts": [{"name": "v", "mountPath": "/v"}]});
    pod(
        namespace,
        &vec![volume; volumes],
        &(0..containers).map(container).collect::<Vec<_>>(),
    )
}

/// What an honest agent's system asks.
pub fn honest(namespace: &str) -> String {
    let env: Vec<Value> = (0..30)
        .map(|i| json!({"name": format!("SETTING_{i}"), "value": "x".repeat(100)}))
        .collect();
    pod(
        namespace,
        &[],
        &[json!({"name": "agent", "image": "registry.example.com/agent:1", "env": env})],
    )
}

pub(super) fn pod(namespace: &str, volumes: &[Value], containers: &[Value]) -> String {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "operation": "CREATE", "namespace": namespace,
            "object": {
                "metadata": {
                    "name": "agent-1", "labels": {"vertex-injector.dev/inject": "true"},
                    "annotations": {"kubectl.kubernetes.io/default-container": containers[0]["name"]},
                },
                "spec": {"volumes": volumes, "containers": containers},
            },
        },
    })
    .to_string()
}
