//! What the definitions themselves refuse: structure, bounds, and CEL beside the fields.

use crate::judge::{api_server, cluster_policy, names, policy};
use crate::release::RELEASE;
use serde_json::{Value, json};
use vertex_injector_core::manifest;

const PROVIDER: &str = "projects/123/locations/global/workloadIdentityPools/pool/providers/prov";

#[test]
fn rules_beside_the_fields_refuse_with_the_field() {
    let Some(release) = &*RELEASE else { return };
    let federation = json!({"provider": PROVIDER});
    let gke = json!({"serviceAccount": "agent@my-project.iam.gserviceaccount.com"});
    let cases = [
        (
            json!({"agents": [{"containers": ["agent"]}]}),
            "spec.agents[0]",
            "an agent needs podSelector, serviceAccounts or both",
        ),
        (
            json!({"agents": [{"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}]}),
            "spec.agents[0].podSelector.matchExpressions[0]",
            "values is required with In and NotIn",
        ),
        (
            json!({"vertex": {"project": "my-project", "region": "global", "clients": ["ClaudeCode"]}}),
            "spec.identity",
            "vertex needs an identity",
        ),
        (
            json!({"identity": {"workloadIdentityFederation": federation, "gkeWorkloadIdentity": gke}}),
            "spec.identity",
            "exactly one of workloadIdentityFederation, gkeWorkloadIdentity and serviceAccountKey must be set",
        ),
        (
            json!({"identity": {}}),
            "spec.identity",
            "exactly one of workloadIdentityFederation",
        ),
        (
            json!({"env": [{"name": "A"}]}),
            "spec.env[0]",
            "exactly one of value and valueFrom must be set",
        ),
        (
            json!({"env": [{"name": "A", "valueFrom": {}}]}),
            "spec.env[0].valueFrom",
            "exactly one of configMapKeyRef, secretKeyRef and fieldRef",
        ),
        (
            json!({"volumes": [{"name": "a"}]}),
            "spec.volumes[0]",
            "exactly one of configMap, secret, emptyDir, projected",
        ),
        (
            json!({"volumes": [{"name": "vertex-injector-x", "emptyDir": {}}]}),
            "spec.volumes[0].name",
            "reserved for the injector's own volumes",
        ),
        (
            json!({"volumes": [{"name": "a", "projected": {"sources": [{}]}}]}),
            "spec.volumes[0].projected.sources[0]",
            "exactly one of configMap, secret, downwardAPI and serviceAccountToken",
        ),
        (
            json!({"identity": {"workloadIdentityFederation": federation},
                   "vertex": {"project": "my-project", "region": "global", "clients": ["ClaudeCode"], "modelRegions": {"haiku": "us-east5"}}}),
            "spec.vertex.modelRegions",
            "a key is the suffix of VERTEX_REGION_CLAUDE_",
        ),
        (json!({"priority": 5000}), "spec.priority", "1000"),
        (
            json!({"access": "Files"}),
            "spec.access",
            r#"supported values: "File", "Metadata", "Proxy""#,
        ),
        (
            json!({"access": "Metadata", "vertex": {"project": "my-project", "region": "global", "clients": ["ClaudeCode"]}}),
            "spec.identity",
            "access: Metadata and access: Proxy need an identity",
        ),
        (
            json!({"access": "Proxy", "identity": {"workloadIdentityFederation": federation}}),
            "spec.vertex",
            "access: Metadata and access: Proxy need vertex",
        ),
        (
            json!({"proxy": {"models": ["claude-*"]}}),
            "spec.proxy",
            "only access: Proxy has a proxy",
        ),
        (
            json!({"broker": {"metadataPort": 8600}}),
            "spec.broker",
            "only access: Metadata and access: Proxy have a broker",
        ),
        (
            json!({"access": "Proxy", "identity": {"workloadIdentityFederation": federation},
                   "vertex": {"project": "my-project", "region": "global", "clients": ["ClaudeCode"]},
                   "broker": {"proxyPort": 8600, "metricsPort": 8600}}),
            "spec.broker",
            "metadataPort, proxyPort and metricsPort must differ",
        ),
    ];
    let policies: Vec<Value> = cases
        .iter()
        .enumerate()
        .map(|(i, (spec, ..))| policy(&format!("case-{i}"), spec.clone()))
        .collect();
    let verdicts = api_server(release, &policies);
    for (i, (spec, field, message)) in cases.iter().enumerate() {
        let said = verdicts[&format!("case-{i}")]
            .as_ref()
            .unwrap_or_else(|| panic!("accepted: {spec}"));
        assert!(
            said.contains(&format!("{field}: ")) && said.contains(message),
            "{field}: {message} should be in:\n{said}"
        );
    }

    let cluster: Vec<Value> = cases
        .iter()
        .enumerate()
        .map(|(i, (spec, ..))| cluster_policy(&format!("case-{i}"), spec.clone()))
        .collect();
    assert!(api_server(release, &cluster).values().all(Option::is_some));
}

#[test]
fn what_the_offline_check_of_the_structure_refuses_the_api_server_refuses_for_the_same_fields() {
    let Some(release) = &*RELEASE else { return };
    let cases = manifest::documents(include_str!("../schema/refused.yaml")).expect("cases");
    let mut refused = 0;
    for case in cases.iter().filter(|case| case["spec"].is_object()) {
        let errors: Vec<&str> = case["errors"]
            .as_array()
            .expect("errors")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let object = policy("case", case["spec"].clone());
        let arguments = ["create", "--dry-run=server", "--filename", "-"];
        let ran = release.cluster.try_kubectl_stdin(&arguments, &object.to_string());
        if errors.is_empty() {
            // The rules beyond the structure may still find something.
            assert!(
                ran.success() || ran.stderr.contains("ValidatingAdmissionPolicy"),
                "{}:\n{}",
                case["name"],
                ran.stderr
            );
            continue;
        }
        refused += 1;
        assert!(!ran.success(), "{} is accepted", case["name"]);
        for error in errors {
            let (field, _) = error.split_once(": ").expect("FIELD: PROBLEM");
            assert!(
                names(&ran.stderr, field),
                "{}: {field} is not named in:\n{}",
                case["name"],
                ran.stderr
            );
        }
    }
    assert!(refused > 30, "{refused}");
}
