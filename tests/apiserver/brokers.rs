//! Pods with a broker, past every admission plugin of a real API server.

use serde_json::{Value, json};

use crate::again::saved;
use crate::difference::stored;
use crate::pods::{document, of_file};
use crate::world::{Namespace, vertex_injector, world};

const METADATA: &str = "
agents: [{podSelector: {matchExpressions: [{key: fracta-agent-id, operator: Exists}]}}]
vertex: {project: my-project, region: us-east5, clients: [ClaudeCode]}
identity:
  workloadIdentityFederation:
    provider: projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster
access: Metadata
";

const AMBIENT: &str = "
agents:
- podSelector: {matchExpressions: [{key: ambient-code.io/session-id, operator: Exists}]}
  containers: [ambient-code-runner]
vertex: {project: other-project, region: europe-west1, clients: [Ambient]}
identity:
  workloadIdentityFederation:
    provider: projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster
access: Proxy
conflicts: {values: Override, apiKeys: Remove}
";

fn proxy() -> String {
    METADATA.replace("access: Metadata", "access: Proxy\nproxy: {models: [claude-*]}")
}

/// A pod that passes the Pod Security Standard restricted by itself.
fn restricted(name: &str) -> Value {
    let mut pod = document(
        "{apiVersion: v1, kind: Pod, metadata: {labels: {fracta-agent-id: a}}, spec: {containers: [
          {name: agent, image: 'example.com/agent:1', resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {cpu: 20m, memory: 32Mi}},
           securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}}]}}",
    );
    pod["metadata"]["name"] = name.into();
    pod
}

fn broker(pod: &Value) -> &Value {
    let broker = &pod["spec"]["initContainers"][0];
    assert_eq!(broker["name"], "vertex-injector-broker", "{pod:#}");
    broker
}

fn agent_environment(pod: &Value) -> Vec<&str> {
    let env = pod["spec"]["containers"][0]["env"].as_array().expect("variables");
    env.iter().filter_map(|entry| entry["name"].as_str()).collect()
}

#[test]
fn a_namespace_of_pod_security_restricted_admits_pods_with_a_broker_in_both_modes() {
    let Some(world) = world() else { return };
    for (mode, policy) in [("metadata", METADATA.to_owned()), ("proxy", proxy())] {
        let labels = [
            ("vertex-injector.dev/injection", "enabled"),
            ("pod-security.kubernetes.io/enforce", "restricted"),
        ];
        let agents = world.namespace(&format!("broker-restricted-{mode}"), &labels);
        agents.policy("agents", &policy);
        // The namespace is as strict as it says.
        let mut loose = restricted("loose");
        loose["spec"]["containers"][0]["securityContext"] = json!({});
        assert!(
            agents
                .refusal(&loose)
                .contains("violates PodSecurity \"restricted:latest\"")
        );

        let created = agents.create(&restricted("agent"));

        assert_eq!(broker(&created)["args"], json!(["broker"]));
        let variables = agent_environment(&created);
        assert!(variables.contains(&"GCE_METADATA_HOST"), "{variables:?}");
        assert!(!variables.contains(&"GOOGLE_APPLICATION_CREDENTIALS"), "{variables:?}");
        assert_eq!(
            variables.contains(&"ANTHROPIC_VERTEX_BASE_URL"),
            mode == "proxy",
            "{variables:?}"
        );
        let mounts = created["spec"]["containers"][0]["volumeMounts"].as_array().unwrap();
        let names: Vec<&str> = mounts.iter().filter_map(|mount| mount["name"].as_str()).collect();
        assert!(
            names.iter().all(|name| name.starts_with("kube-api-access-")),
            "{names:?}"
        );
        // Our container got no API token.
        let ours = broker(&created)["volumeMounts"].as_array().unwrap();
        assert!(
            ours.iter()
                .all(|mount| mount["name"].as_str().unwrap().starts_with("vertex-injector-")),
            "{ours:?}"
        );
    }
}

#[test]
fn a_quota_that_wants_requests_and_limits_of_everything_admits_the_broker() {
    let Some(world) = world() else { return };
    let agents = world.opted_in("broker-quota");
    agents.policy("agents", METADATA);
    let hard = json!({"requests.cpu": "1", "requests.memory": "1Gi", "limits.cpu": "2", "limits.memory": "2Gi"});
    let mut quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "quota", "namespace": "broker-quota"}, "spec": {"hard": hard},
    });
    world.cluster.apply(&quota.to_string());
    // What the controller would do.
    let zero = json!({"requests.cpu": "0", "requests.memory": "0", "limits.cpu": "0", "limits.memory": "0"});
    quota["status"] = json!({"hard": hard, "used": zero});
    let status = json!({"status": quota["status"]}).to_string();
    agents.kubectl(&[
        "patch",
        "resourcequota",
        "quota",
        "--subresource=status",
        "--type=merge",
        "--patch",
        &status,
    ]);
    let mut unbounded = restricted("unbounded");
    unbounded["spec"]["containers"][0]["resources"] = json!({});
    assert!(agents.refusal(&unbounded).contains("must specify limits.cpu"));

    let created = agents.create(&restricted("agent"));

    assert_eq!(
        broker(&created)["resources"],
        json!({"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}})
    );
    let used = agents.get(&["resourcequota", "quota"]);
    assert_eq!(
        used["status"]["used"]["requests.cpu"], "20m",
        "the agent's and the broker's"
    );
}

#[test]
fn what_a_limit_range_adds_to_the_broker_stays_and_a_pod_made_anew_is_the_same() {
    let Some(world) = world() else { return };
    let agents = world.opted_in("broker-limit-range");
    agents.policy("agents", &proxy());
    world.cluster.apply(
        "{apiVersion: v1, kind: LimitRange, metadata: {name: limits, namespace: broker-limit-range}, spec: {limits: [
          {type: Container, defaultRequest: {ephemeral-storage: 1Mi}, default: {ephemeral-storage: 64Mi, cpu: '2'}}]}}",
    );

    let created = agents.create(&restricted("agent"));

    let limits = &broker(&created)["resources"]["limits"];
    assert_eq!(
        (&limits["ephemeral-storage"], &limits["cpu"]),
        (&json!("64Mi"), &json!("500m"))
    );
    let reasons = world.ask_webhook(|webhook| webhook.reasons("broker-limit-range", "agent"));
    assert_eq!(reasons, ["Injected", "AlreadyInjected"]);
    agents.kubectl(&["delete", "pod", "agent", "--now"]);
    let again = agents.create(&saved(created.clone()));
    assert_eq!(stored(&again), stored(&created));
}

#[test]
fn a_guaranteed_pod_stays_guaranteed_beside_a_broker() {
    let Some(world) = world() else { return };
    let agents = world.opted_in("broker-guaranteed");
    agents.policy("agents", METADATA);
    let mut pod = restricted("agent");
    pod["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "1", "memory": "1Gi"}});
    let created = agents.create(&pod);
    assert_eq!(created["status"]["qosClass"], "Guaranteed", "{created:#}");
    assert_eq!(
        broker(&created)["resources"]["requests"],
        broker(&created)["resources"]["limits"]
    );
}

#[test]
fn a_dry_run_shows_the_broker_and_leaves_nothing_behind() {
    let Some(world) = world() else { return };
    let agents = world.opted_in("broker-dry-run");
    agents.policy("agents", METADATA);
    let shown = agents.try_create(&["--dry-run=server"], &restricted("agent")).output();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    broker(&shown);
    assert_eq!(agents.get(&["pods"])["items"], json!([]));
}

#[test]
fn ambients_runner_gets_its_file_by_the_downward_api_and_keeps_its_neighbours() {
    let Some(world) = world() else { return };
    let agents = world.opted_in("broker-ambient");
    agents.policy("agents", AMBIENT);

    let created = agents.create(&of_file("ambient-cp-runner")[0]);

    let runner = &created["spec"]["containers"][0];
    let value = |name: &str| {
        let env = runner["env"].as_array().unwrap().iter();
        let mut found = env
            .filter(|entry| entry["name"] == name)
            .map(|entry| entry["value"].clone());
        let value = found.next().unwrap_or_default();
        assert_eq!(found.next(), None, "{name} twice");
        value
    };
    assert_eq!(value("GCE_METADATA_HOST"), "127.0.0.1:8470");
    assert_eq!(value("ANTHROPIC_VERTEX_BASE_URL"), "http://127.0.0.1:8471/v1");
    assert_eq!(
        value("GOOGLE_APPLICATION_CREDENTIALS"),
        "/var/run/secrets/vertex-injector/application_default_credentials.json"
    );
    let volumes = created["spec"]["volumes"].as_array().unwrap();
    let loopback = volumes
        .iter()
        .find(|volume| volume["name"] == "vertex-injector-loopback")
        .expect("the volume");
    let field = &loopback["downwardAPI"]["items"][0]["fieldRef"]["fieldPath"];
    assert_eq!(
        field,
        "metadata.annotations['vertex-injector.dev/loopback-configuration']"
    );
    let configuration = created["metadata"]["annotations"]["vertex-injector.dev/loopback-configuration"].as_str();
    assert!(
        configuration
            .unwrap()
            .contains("http://127.0.0.1:8470/vertex-injector/v1/token")
    );
    assert!(volumes.iter().all(|volume| volume["name"] != "vertex"));
}

#[test]
fn a_pod_that_could_get_around_its_broker_is_refused_with_every_field_or_admitted_with_every_warning() {
    let Some(world) = world() else { return };
    let agents = world.opted_in("broker-isolation");
    agents.policy("agents", METADATA);
    let mut pod = restricted("agent");
    pod["spec"]["shareProcessNamespace"] = true.into();
    pod["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    pod["spec"]["volumes"] = json!([{"name": "docker", "hostPath": {"path": "/var/run/docker.sock"}}]);

    let refusal = agents.refusal(&pod);

    let parts = [
        "spec.shareProcessNamespace is true",
        "securityContext.privileged of container \"agent\" is true",
        "volume \"docker\" is a hostPath",
    ];
    for part in parts {
        assert!(refusal.contains(part), "{part} is missing in {refusal}");
    }
    assert_eq!(
        world.ask_webhook(|webhook| webhook.reasons("broker-isolation", "agent")),
        ["NotIsolated"]
    );

    agents.policy("agents", &format!("{METADATA}\nisolation: BestEffort"));
    let admitted = agents.try_create(&[], &pod);
    assert!(admitted.success(), "{}", admitted.stderr);
    for part in parts {
        assert!(
            admitted.stderr.contains(&format!("Warning: isolation: {part}")),
            "{part}: {}",
            admitted.stderr
        );
    }
}

#[test]
fn what_is_stored_is_what_the_command_line_says_with_the_operators_broker() {
    let Some(world) = world() else { return };
    let agents = world.opted_in("broker-offline");
    agents.policy("agents", &proxy());
    let online = agents.create(&restricted("agent"));
    let offline = offline(&agents, &restricted("agent"));
    let image = |pod: &Value| broker(pod)["image"].clone();
    assert_eq!(image(&offline), image(&online));
    for field in ["env", "args", "startupProbe", "securityContext", "volumeMounts"] {
        assert_eq!(
            broker(&offline)[field].as_array().map(Vec::len),
            broker(&online)[field].as_array().map(Vec::len),
            "{field}"
        );
    }
    assert_eq!(broker(&offline)["env"], broker(&online)["env"]);
}

/// What `inject` makes of a pod with the cluster's policy and the operator's settings.
fn offline(agents: &Namespace<'_>, pod: &Value) -> Value {
    let mut pod = pod.clone();
    pod["metadata"]["namespace"] = agents.name.clone().into();
    let folder = agents.world.folder();
    let policy = folder.join(format!("{}.json", agents.name));
    std::fs::write(&policy, agents.get(&["injectionpolicy", "agents"]).to_string()).unwrap();
    let operator = folder.join("operator.yaml");
    let files = [
        "--policy",
        policy.to_str().unwrap(),
        "--config",
        operator.to_str().unwrap(),
    ];
    let text = vertex_injector(
        &[&["inject", "-f", "-", "-o", "json"], &files[..]].concat(),
        &pod.to_string(),
    )
    .output();
    serde_json::from_str(&text).unwrap()
}
