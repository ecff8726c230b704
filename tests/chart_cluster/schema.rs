//! What the definitions themselves refuse: structure, bounds, and CEL beside the fields.

use crate::judge::api_server;
use crate::release::RELEASE;
use harness::process::repository;
use serde_json::{Value, json};
use std::fs;
use support::{cluster_policy, injection_policy};
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
        .map(|(i, (spec, ..))| injection_policy(&format!("case-{i}"), spec))
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
        .map(|(i, (spec, ..))| cluster_policy(&format!("case-{i}"), spec))
        .collect();
    assert!(api_server(release, &cluster).values().all(Option::is_some));
}

#[test]
fn what_the_demo_shows_is_accepted() {
    let Some(release) = &*RELEASE else { return };
    for file in ["policy", "metadata", "proxy"] {
        let path = repository().join("hack/demo").join(file).with_extension("yaml");
        let text = fs::read_to_string(path).expect("a policy of the demo");
        let mut policies = manifest::documents(&text).expect("well-formed");
        policies.retain(|object| object["apiVersion"] == "vertex-injector.dev/v1alpha1");
        assert!(!policies.is_empty());
        for policy in &mut policies {
            policy["metadata"]["namespace"] = json!("default");
        }
        assert!(api_server(release, &policies).values().all(Option::is_none), "{file}");
    }
}
