//! Policies: what the API server accepts, what it refuses and how, and how soon an edit counts.

use std::path::Path;
use std::time::Duration;

use regex::Regex;
use serde_json::{Value, json};
use support::injection_policy;
use vertex_injector_core::manifest;

use crate::pods::of_file;
use crate::world::{vertex_injector, world};
use harness::process::Ran;

/// Its `REGION` is to be replaced.
pub(crate) const FRACTA: &str = "
agents: [{podSelector: {matchExpressions: [{key: fracta-agent-id, operator: Exists}]}}]
vertex: {project: my-project, region: REGION, clients: [ClaudeCode]}
identity:
  workloadIdentityFederation:
    provider: projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster
";

#[test]
fn the_definitions_are_established_and_explain_themselves() {
    let Some(world) = world() else { return };
    for name in ["injectionpolicies", "clusterinjectionpolicies"] {
        let crd = world
            .cluster
            .get(&["customresourcedefinition", &format!("{name}.vertex-injector.dev")]);
        let conditions = crd["status"]["conditions"].as_array().unwrap();
        let is = |condition: &str| {
            let found = conditions.iter().find(|found| found["type"] == condition);
            found.map(|found| found["status"].as_str().unwrap())
        };
        assert_eq!(is("Established"), Some("True"));
        assert_eq!(is("NonStructuralSchema"), None);
    }
    let explained = world
        .cluster
        .kubectl(&["explain", "injectionpolicy.spec.identity.workloadIdentityFederation"]);
    assert!(explained.contains("provider\t<string> -required-"), "{explained}");
}

/// The cases are those of `tests/schema`, which shows that the command line refuses them for these fields. What the schema
/// refuses the API server refuses before it asks anybody, in its own words; the rest, in those of the webhook.
#[test]
fn every_policy_that_validate_refuses_is_refused_by_the_api_server_for_the_same_fields() {
    let Some(world) = world() else { return };
    let cases = manifest::documents(include_str!("../schema/refused.yaml")).unwrap();
    // The same place in two spellings: `labels[app.kubernetes.io/name]` and `labels.app.kubernetes.io/name`.
    let key = Regex::new(r"\[([^0-9\]][^\]]*)\]").unwrap();
    let config = world.folder().join("operator.yaml");
    let mut wrong = Vec::new();
    for case in cases {
        let mut object = case
            .get("object")
            .cloned()
            .unwrap_or_else(|| injection_policy("case", &case["spec"]));
        object["metadata"]["namespace"] = "default".into();
        let create = ["create", "--dry-run=server", "--validate=strict", "--filename", "-"];
        let answer = world.cluster.try_kubectl_stdin(&create, &object.to_string());

        for error in case["errors"].as_array().unwrap() {
            let field = error.as_str().unwrap().split_once(": ").unwrap().0;
            let field = key.replace_all(field, ".$1");
            // What is no policy at all does not get as far as the schema.
            let reaches_schema = field.starts_with("spec.") || field.starts_with("spec[");
            if answer.success() || reaches_schema && !answer.stderr.contains(&*field) {
                wrong.push(format!("{}: not for {field}: {}", case["name"], answer.stderr));
            }
        }
        if case["errors"].as_array().unwrap().is_empty() {
            let offline = validate(&config, &object.to_string());
            let offline: Value = serde_json::from_str(&offline.stdout).unwrap();
            let words = words(&offline);
            if words.is_empty() != answer.success() || !answer.stderr.contains(&words) {
                wrong.push(format!("{}: {words}: {}", case["name"], answer.stderr));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The errors that `validate -o json` finds with one policy, as the API server passes them on.
fn words(verdict: &Value) -> String {
    let errors = verdict["policies"][0]["errors"].as_array().unwrap().iter();
    let errors: Vec<String> = errors
        .map(|error| {
            format!(
                "{}: {}",
                error["field"].as_str().unwrap(),
                error["problem"].as_str().unwrap()
            )
        })
        .collect();
    errors.join("; ")
}

#[test]
fn a_policy_that_breaks_a_rule_beyond_the_schema_is_refused_with_the_field_offline_and_by_the_api_server() {
    let Some(world) = world() else { return };
    let federation = json!({"workloadIdentityFederation": {"provider":
        "projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster"}});
    let config = world.folder().join("operator.yaml");
    // Two of them are in CEL beside their field, which speaks first.
    for (spec, field, what, by_webhook) in [
        (
            json!({"vertex": {"project": "my-project", "region": "us-east5", "clients": ["ClaudeCode"]}}),
            "spec",
            "identity",
            false,
        ),
        (
            json!({"identity": federation, "agents": [{"containers": ["agent"]}]}),
            "spec.agents[0]",
            "podSelector",
            false,
        ),
        (
            json!({"volumeMounts": [{"name": "helpers", "mountPath": "/opt/helpers"}], "volumes": [{"name": "tools", "emptyDir": {}}]}),
            "spec.volumeMounts[0].name",
            "tools",
            true,
        ),
        (
            json!({"env": [{"name": "ANTHROPIC_BASE_URL", "value": "https://example.com"}]}),
            "spec.env[0].name",
            "ANTHROPIC_BASE_URL",
            true,
        ),
        (
            json!({"authHelpers": [{"configMapName": "helpers", "mountPath": "/run/vertex-injector/program"}]}),
            "spec.authHelpers[0].mountPath",
            "/run/vertex-injector",
            true,
        ),
        (
            json!({"tokens": [{"name": "api", "audience": "https://kubernetes.default.svc", "mountPath": "/var/run/x"}]}),
            "spec.tokens[0].audience",
            "https://kubernetes.default.svc",
            true,
        ),
        (
            json!({"sidecars": [{"name": "github", "image": "docker.io/evil/mcp:1", "port": 8091}]}),
            "spec.sidecars[0].image",
            "registry.example.com/mcp-*",
            true,
        ),
    ] {
        let object = injection_policy("case", &spec).to_string();

        let offline = validate(&config, &object);
        assert_eq!(offline.code, Some(1), "{spec}");
        let refused = world
            .cluster
            .try_kubectl_stdin(&["create", "--filename", "-"], &object)
            .error();

        let words = words(&serde_json::from_str(&offline.stdout).unwrap());
        assert!(
            words.contains(field) && words.contains(what),
            "{spec} is refused with:\n{words}"
        );
        assert!(
            refused.contains(field) && refused.contains(&words) == by_webhook,
            "{spec} is refused with:\n{refused}\nand not with:\n{words}"
        );
    }
}

#[test]
fn a_policy_is_edited_and_a_second_later_the_next_pod_follows() {
    let Some(world) = world() else { return };
    let agents = world.opted_in("edited");
    agents.policy("agents", &FRACTA.replace("REGION", "us-east5"));
    let pod = |name: &str| {
        let mut pod = of_file("fracta-stream-pod").remove(0);
        pod["metadata"]["name"] = name.into();
        region(&agents.create(&pod))
    };
    assert_eq!(pod("before"), "us-east5");

    agents.write_policy("agents", &FRACTA.replace("REGION", "europe-west1"));
    a_second_passes();

    assert_eq!(pod("after"), "europe-west1");
    let status = agents.get(&["injectionpolicy", "agents"])["status"].clone();
    assert_eq!(status["observedGeneration"], 2, "{status:#}");
}

#[test]
fn a_policy_is_deleted_and_a_second_later_pods_pass_untouched() {
    let Some(world) = world() else { return };
    let agents = world.opted_in("deleted");
    let plain = world.namespace("deleted-plain", &[]);
    agents.policy("agents", &FRACTA.replace("REGION", "us-east5"));
    agents.kubectl(&["delete", "injectionpolicy", "agents"]);
    a_second_passes();

    assert_eq!(agents.change(&plain, &of_file("fracta-stream-pod")[0]), "");
}

#[test]
fn a_cluster_policy_serves_the_namespaces_that_it_selects_and_wins_unless_it_is_overridable() {
    let Some(world) = world() else { return };
    let inside = world.namespace(
        "cluster-policy",
        &[("vertex-injector.dev/injection", "enabled"), ("team", "cluster-policy")],
    );
    let outside = world.opted_in("cluster-policy-outside");
    let plain = world.namespace("cluster-policy-plain", &[]);
    let cluster_policy = |overridable: bool| {
        let mut spec = crate::pods::document(&FRACTA.replace("REGION", "asia-east1"));
        spec["namespaceSelector"] = json!({"matchLabels": {"team": "cluster-policy"}});
        spec["overridable"] = overridable.into();
        let policy = json!({"apiVersion": "vertex-injector.dev/v1alpha1", "kind": "ClusterInjectionPolicy",
            "metadata": {"name": "cluster-policy"}, "spec": spec});
        world.cluster.apply(&policy.to_string());
        let name = "clusterinjectionpolicy/cluster-policy";
        world
            .cluster
            .kubectl(&["wait", "--for=condition=Ready", name, "--timeout=10s"]);
    };
    let pod = &of_file("fracta-stream-pod")[0];
    inside.policy("agents", &FRACTA.replace("REGION", "us-east5"));
    let stored_region = || {
        let text = inside.try_create(&["--dry-run=server"], pod).output();
        region(&serde_json::from_str(&text).unwrap())
    };

    cluster_policy(false);
    assert_eq!(stored_region(), "asia-east1");
    cluster_policy(true);
    assert_eq!(stored_region(), "us-east5");

    assert_eq!(outside.change(&plain, pod), "");
    world
        .cluster
        .kubectl(&["delete", "clusterinjectionpolicy", "cluster-policy"]);
}

#[test]
fn the_service_accounts_that_a_gke_policy_names_get_their_annotation_and_keep_another_one() {
    let Some(world) = world() else { return };
    let agents = world.opted_in("gke");
    agents.kubectl(&["create", "serviceaccount", "agent"]);
    agents.kubectl(&["create", "serviceaccount", "taken"]);
    agents.kubectl(&[
        "annotate",
        "serviceaccount",
        "taken",
        "iam.gke.io/gcp-service-account=other@my-project.iam.gserviceaccount.com",
    ]);
    agents.policy(
        "agents",
        "
agents: [{podSelector: {matchLabels: {vertex-injector.dev/inject: 'true'}}, serviceAccounts: [agent, taken]}]
identity: {gkeWorkloadIdentity: {serviceAccount: agent@my-project.iam.gserviceaccount.com}}
",
    );

    let annotation = r"{.metadata.annotations.iam\.gke\.io/gcp-service-account}";
    let wanted = format!("--for=jsonpath={annotation}=agent@my-project.iam.gserviceaccount.com");
    agents.kubectl(&["wait", &wanted, "serviceaccount/agent", "--timeout=10s"]);

    let taken = agents.get(&["serviceaccount", "taken"]);
    let kept = &taken["metadata"]["annotations"]["iam.gke.io/gcp-service-account"];
    assert_eq!(kept, "other@my-project.iam.gserviceaccount.com");
}

/// The region of an injected pod's agent.
#[track_caller]
pub(crate) fn region(pod: &Value) -> String {
    let env = pod["spec"]["containers"][0]["env"].as_array().expect("variables");
    let found = env
        .iter()
        .find(|env| env["name"] == "CLOUD_ML_REGION")
        .expect("CLOUD_ML_REGION");
    found["value"].as_str().expect("a value").to_owned()
}

fn a_second_passes() {
    harness::process::pause(Duration::from_secs(1));
}

/// What `validate` says of an object with the operator's settings.
fn validate(config: &Path, object: &str) -> Ran {
    let config = config.to_str().unwrap();
    vertex_injector(&["validate", "-f", "-", "--config", config, "-o", "json"], object)
}
