//! Policies with every field, valid by construction.

use crate::tape::Tape;
use serde_json::{Value, json};
use std::sync::Arc;
use vertex_injector_core::admission::{Namespaces, Operator, Policy, PolicySet};
use vertex_injector_core::manifest::policies::policy as read;
use vertex_injector_core::operator::{Broker, CaConfigMap};

/// The Secret with which the broker's image is pulled.
pub(crate) const PULL_SECRET: &str = "broker-registry";

/// The namespace of policies and pods.
pub(crate) const NAMESPACE: &str = "team-a";

const CLIENTS: &[&str] = &[
    "ClaudeCode",
    "GoogleGenAI",
    "LiteLLM",
    "AISDK",
    "OpenCode",
    "Goose",
    "Ambient",
    "Kartograph",
];

/// The operator's settings under which generated policies are valid.
pub(crate) fn operator() -> Operator {
    Operator {
        sidecar_images: vec!["example.com/mcp/*".to_owned()],
        endpoint_hosts: vec!["sts.example.com".parse().expect("a host")],
        credential_hosts: vec!["tokens.example.com".parse().expect("a host")],
        broker: Broker {
            image_pull_secrets: vec![PULL_SECRET.to_owned()],
            ca_config_map: Some(CaConfigMap {
                name: "trust".to_owned(),
                key: "ca.pem".to_owned(),
            }),
            ..Broker::default()
        },
        ..Operator::default()
    }
}

/// A set of this one policy.
pub(crate) fn set_of(policy: &Value) -> PolicySet {
    let object =
        read(policy, NAMESPACE).unwrap_or_else(|errors| panic!("the generator's policy: {errors}\n{policy:#}"));
    let policy = Policy::compile(&object, &operator());
    assert!(policy.errors().0.is_empty(), "{}\n{:#?}", policy.errors(), object);
    PolicySet::new([Arc::new(policy)], &Namespaces::new())
}

/// A policy that selects most generated pods.
pub(crate) fn policy(tape: &mut Tape<'_>) -> Value {
    let agents = agents(tape);
    let (volumes, mounts, pod_volumes) = volumes(tape);
    with(tape, &agents, &volumes, &mounts, &pod_volumes)
}

/// Two policies for the same pods, with the same volumes under names of the policy's own choice.
pub(crate) fn before_and_after(tape: &mut Tape<'_>) -> (Value, Value) {
    let agents = agents(tape);
    let (volumes, mounts, pod_volumes) = volumes(tape);
    let before = with(tape, &agents, &volumes, &mounts, &pod_volumes);
    let after = with(tape, &agents, &volumes, &mounts, &pod_volumes);
    (before, after)
}

fn with(tape: &mut Tape<'_>, agents: &Value, volumes: &Value, mounts: &Value, pod_volumes: &Value) -> Value {
    let mut spec = json!({"agents": agents});
    let file = identity(tape, &mut spec, agents);
    let broker = broker(tape, &mut spec);
    if tape.chance(25) {
        spec["authHelpers"] = json!([{"configMapName": "fracta-auth-helpers", "mountPath": "/opt/helpers"}]);
        if tape.chance(40) {
            spec["authHelpers"][0]["optional"] = true.into();
        }
        if tape.chance(40) {
            let mode = 0o555;
            let second = json!({"configMapName": "fracta-auth-helpers", "mountPath": "/opt/more", "defaultMode": mode});
            spec["authHelpers"].as_array_mut().expect("a list").push(second);
        }
        if tape.chance(30) {
            let long = json!({"configMapName": format!("{}.dots", "long".repeat(20)), "mountPath": "/opt/long"});
            spec["authHelpers"].as_array_mut().expect("a list").push(long);
        }
    }
    if tape.chance(30) {
        let audience = tape.pick(&["openshell-gateway", "https://gateway.example.com"]);
        let mut token = json!({"name": "gateway", "audience": audience, "mountPath": "/var/run/secrets/gateway"});
        if tape.chance(60) {
            token["envName"] = "GATEWAY_TOKEN_PATH".into();
            token["fileName"] = "jwt".into();
        }
        spec["tokens"] = json!([token]);
    }
    if tape.chance(40) {
        spec["env"] = env(tape, &["LOG_LEVEL", "TEAM", "FROM_FIELD"]);
    }
    for (key, list) in [
        ("volumes", volumes),
        ("volumeMounts", mounts),
        ("podVolumes", pod_volumes),
    ] {
        if list != &json!([]) {
            spec[key] = list.clone();
        }
    }
    let open_shell = file && !broker && tape.chance(25);
    if open_shell {
        spec["openShell"] = "PatchUserEnvironment".into();
    } else if tape.chance(30) {
        spec["sidecars"] = sidecars(tape);
        let all = spec["sidecars"].as_array().expect("a list");
        let mut keys = all.iter().filter(|sidecar| sidecar.get("mcpKey").is_some());
        if keys.next().is_some() && tape.chance(40) {
            spec["mcpConfig"] = json!({"mountPath": "/etc/acme/mcp"});
        }
        // What a pod's own looseness lets the agent see is another test's.
        spec["isolation"] = "BestEffort".into();
    }
    spec["conflicts"] = json!({
        "values": tape.pick(&["Keep", "Override", "Keep", "Override", "Deny"]),
        "apiKeys": tape.pick(&["Remove", "Keep", "Deny"]),
        "providers": tape.pick(&["Remove", "Keep", "Deny"]),
    });
    let name = "policy";
    if tape.chance(20) {
        spec["overridable"] = tape.chance(50).into();
        return json!({
            "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "ClusterInjectionPolicy",
            "metadata": {"name": name, "generation": tape.below(9)}, "spec": spec,
        });
    }
    json!({
        "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy",
        "metadata": {"name": name, "namespace": NAMESPACE, "generation": tape.below(9)}, "spec": spec,
    })
}

fn agents(tape: &mut Tape<'_>) -> Value {
    let mut any = json!({"podSelector": {}, "serviceAccounts": ["agent", "other", "default"]});
    match tape.below(16) {
        0..3 => any["containers"] = json!(["agent"]),
        3 => any["containers"] = json!(["agent", "setup"]),
        4 => any["containers"] = json!(["helper", "agent"]),
        _ => {}
    }
    if tape.chance(40) {
        any["credentialDirectory"] = "/gcloud/config".into();
    }
    if tape.chance(20) {
        any["env"] = env(tape, &["TEAM"]);
    }
    if tape.chance(20) {
        let batch = json!({
            "podSelector": {"matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["batch"]},
                {"key": "missing", "operator": "DoesNotExist"},
            ]},
            "serviceAccounts": ["agent"],
        });
        return json!([batch, any]);
    }
    json!([any])
}

/// Puts in identity and vertex; whether there is a credential file.
fn identity(tape: &mut Tape<'_>, spec: &mut Value, agents: &Value) -> bool {
    let kind = tape.below(10);
    match kind {
        0..6 => {
            let mut federation = json!({
                "provider": tape.pick(&[
                    "projects/123/locations/global/workloadIdentityPools/pool/providers/prov",
                    "projects/456/locations/global/workloadIdentityPools/pool/providers/other",
                ]),
            });
            if tape.chance(40) {
                federation["serviceAccount"] = "agent@my-project.iam.gserviceaccount.com".into();
                federation["serviceAccountTokenLifetimeSeconds"] = 1800.into();
            }
            if tape.chance(30) {
                federation["audience"] = "https://audience.example.com".into();
            }
            if tape.chance(30) {
                federation["tokenExpirationSeconds"] = 7200.into();
            }
            if tape.chance(20) {
                federation["endpoints"] = json!({"sts": "https://sts.example.com"});
            }
            spec["identity"] = json!({"workloadIdentityFederation": federation});
        }
        6 | 7 => spec["identity"] = json!({"serviceAccountKey": {"secretName": "google-key", "key": "key.json"}}),
        8 => {
            assert!(agents.as_array().is_some(), "agents with ServiceAccounts");
            let email = "agent@my-project.iam.gserviceaccount.com";
            spec["identity"] = json!({"gkeWorkloadIdentity": {"serviceAccount": email}});
        }
        _ => return false,
    }
    if tape.chance(85) {
        let mut clients = tape.some_of(CLIENTS, 35);
        clients.retain(|client| kind != 8 || *client != "Ambient");
        if clients.is_empty() {
            clients.push("ClaudeCode");
        }
        let claude = clients
            .iter()
            .any(|client| ["ClaudeCode", "Kartograph"].contains(client));
        let mut vertex = json!({
            "project": tape.pick(&["my-project", "next-project"]),
            "region": tape.pick(&["us-east5", "global", "eu"]),
            "clients": clients,
        });
        if claude && tape.chance(50) {
            vertex["models"] = json!({"default": "claude-opus-4-6", "haiku": "claude-haiku-4-5@20251001"});
            vertex["modelRegions"] = json!({"HAIKU_4_5": "europe-west1"});
        }
        if tape.chance(25) {
            vertex["quotaProject"] = "quota-project".into();
        }
        if claude && tape.chance(25) {
            vertex["endpoint"] = "https://us-east5-aiplatform.googleapis.com".into();
        }
        spec["vertex"] = vertex;
    }
    kind != 8
}

/// Puts a broker between agent and identity, in some policies that can have one.
fn broker(tape: &mut Tape<'_>, spec: &mut Value) -> bool {
    if spec.get("vertex").is_none() || !tape.chance(40) {
        return false;
    }
    let proxy = tape.chance(50);
    spec["access"] = if proxy { "Proxy" } else { "Metadata" }.into();
    if spec["identity"].get("gkeWorkloadIdentity").is_some() || tape.chance(70) {
        spec["isolation"] = "BestEffort".into();
    }
    if proxy {
        let vertex = spec["vertex"].as_object_mut().expect("a map");
        vertex.shift_remove("quotaProject");
        let clients = vertex["clients"].as_array_mut().expect("a list");
        clients.retain(|client| !["AISDK", "OpenCode", "Goose"].contains(&client.as_str().expect("a name")));
        if clients.is_empty() {
            clients.push("ClaudeCode".into());
        }
        if tape.chance(50) {
            spec["proxy"] =
                json!({"models": ["claude-*", "gemini-*"], "regions": ["us-east5", "global", "eu", "europe-west1"]});
            if tape.chance(50) {
                spec["proxy"]["allow"] = json!(["WebSearch", "CodeExecution"]);
            }
        }
    }
    let file = spec["vertex"]["clients"]
        .as_array()
        .expect("a list")
        .contains(&json!("Ambient"));
    for agent in spec["agents"]
        .as_array_mut()
        .expect("a list")
        .iter_mut()
        .filter(|_| !file)
    {
        agent
            .as_object_mut()
            .expect("a map")
            .shift_remove("credentialDirectory");
    }
    if tape.chance(40) {
        spec["broker"] =
            json!({"metadataPort": 18201, "resources": {"requests": {"cpu": "0.1"}, "limits": {"memory": "1024Mi"}}});
        if tape.chance(50) {
            spec["broker"]["metricsPort"] = 18202.into();
        }
    }
    true
}

fn env(tape: &mut Tape<'_>, names: &[&str]) -> Value {
    tape.some_of(names, 60)
        .into_iter()
        .map(|name| match tape.below(5) {
            0 => json!({"name": name, "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "k"}}}),
            1 => json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
            2 => json!({"name": name, "value": ""}),
            _ => json!({"name": name, "value": tape.pick(&["plain", "$(FOO)-x", "debug"])}),
        })
        .collect()
}

fn volumes(tape: &mut Tape<'_>) -> (Value, Value, Value) {
    let (mut volumes, mut mounts, mut pod_volumes) = (Vec::new(), Vec::new(), Vec::new());
    if tape.chance(30) {
        let source = tape.pick(&[
            r#"{"emptyDir":{"sizeLimit":"1024Mi"}}"#,
            r#"{"configMap":{"name":"policy-files","items":[{"key":"a","path":"b"}]}}"#,
            r#"{"persistentVolumeClaim":{"claimName":"data"}}"#,
            r#"{"projected":{"sources":[{"downwardAPI":{"items":[{"path":"l","fieldRef":{"fieldPath":"metadata.labels"}}]}}]}}"#,
        ]);
        let mut volume: Value = serde_json::from_str(source).expect("JSON in the generator");
        volume["name"] = tape
            .pick(&["policy-volume", "policy-volume", "policy-volume", "extra"])
            .into();
        mounts.push(json!({"name": volume["name"], "mountPath": "/data", "readOnly": tape.chance(50)}));
        volumes.push(volume);
    }
    if tape.chance(15) {
        let name = tape.pick(&["workspace", "creds"]);
        pod_volumes.push(json!(name));
        mounts.push(json!({"name": name, "mountPath": "/policy-view", "subPath": "view"}));
    }
    (volumes.into(), mounts.into(), pod_volumes.into())
}

fn sidecars(tape: &mut Tape<'_>) -> Value {
    // Names that could be taken for one of our volumes, which have another namespace than containers.
    let name = tape.pick(&["github", "github", "credentials", "no-api-token", "tmp-jira"]);
    let mut first = json!({"name": name, "image": "example.com/mcp/github:1", "port": 18101});
    if tape.chance(60) {
        first["mcpKey"] = "github".into();
    }
    if tape.chance(50) {
        first["args"] = json!(["serve"]);
    }
    if tape.chance(60) {
        first["env"] =
            json!([{"name": "TOKEN_FILE", "valueFrom": {"secretKeyRef": {"name": "github", "key": "token"}}}]);
        if tape.chance(50) {
            first["env"][0] = json!({"name": "EMPTY", "value": ""});
        }
    }
    if tape.chance(40) {
        first["resources"] = json!({"requests": {"cpu": "0.1"}, "limits": {"memory": "1024Mi"}});
    }
    let mut sidecars = vec![first];
    if tape.chance(40) {
        let mut second = json!({"name": "jira", "image": "example.com/mcp/jira:1", "port": 18102, "mcpKey": "jira2"});
        if tape.chance(60) {
            hold_a_credential(tape, &mut second);
        }
        sidecars.push(second);
    }
    sidecars.into()
}

/// Gives a sidecar a credential from one of the sources, and everything that follows from it.
fn hold_a_credential(tape: &mut Tape<'_>, sidecar: &mut Value) {
    sidecar["command"] = json!(["mcp-atlassian", "--port", "18102"]);
    sidecar["credential"] = if tape.chance(50) {
        json!({"secret": {"secretName": "jira"}})
    } else {
        json!({"http": {"url": "https://tokens.example.com/jira", "audience": "tokens"}})
    };
    sidecar["credentialEnv"] = json!([{"name": "JIRA_API_TOKEN", "field": tape.pick(&["token", "apiToken|token"])}]);
    if tape.chance(40) {
        sidecar["credentialFiles"] = json!([{"path": "/run/jira/token", "field": "token"}]);
    }
    if tape.chance(40) {
        sidecar["git"] = json!({
            "hosts": ["git.example.com"],
            "allow": [{"repositories": "git.example.com/acme/*", "services": ["Fetch"]}],
        });
    }
}
