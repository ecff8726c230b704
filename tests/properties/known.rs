//! Single cases that once went wrong, each a sentence of its own.

use crate::model::{containers, decided, environment, list, patched, text};
use serde_json::{Value, json};
use vertex_injector_core::admission::{Decision, Outcome, Reason, UnitState};
use vertex_injector_core::names;

const FEDERATION: &str = "projects/123/locations/global/workloadIdentityPools/pool/providers/prov";

fn policy(spec: Value) -> Value {
    let mut spec = spec;
    if spec.get("agents").is_none() {
        spec["agents"] = json!([{"podSelector": {}, "serviceAccounts": ["default"]}]);
    }
    json!({
        "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy",
        "metadata": {"name": "policy", "namespace": crate::policies::NAMESPACE}, "spec": spec,
    })
}

fn federation() -> Value {
    json!({"workloadIdentityFederation": {"provider": FEDERATION}})
}

fn vertex() -> Value {
    json!({"project": "my-project", "region": "us-east5", "clients": ["ClaudeCode"]})
}

fn pod(spec: &Value) -> Value {
    json!({"metadata": {"name": "agent-0"}, "spec": spec})
}

fn agent(container: Value) -> Value {
    let mut container = container;
    container["name"] = "agent".into();
    pod(&json!({"containers": [container]}))
}

/// The pod after the injection, which must succeed.
fn injected(pod: &Value, policy: &Value) -> (Value, Decision) {
    let decision = decided(pod, policy);
    assert_eq!(decision.outcome, Outcome::Injected, "{}", decision.message);
    (patched(pod, &decision.patch), decision)
}

fn first(pod: &Value) -> &Value {
    &pod["spec"]["containers"][0]
}

fn names_of(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| text(item, "name")).collect()
}

#[test]
fn a_sidecar_may_be_called_like_a_volume_of_ours() {
    for name in ["no-api-token", "credentials", "tmp-other"] {
        let policy = policy(json!({
            "identity": federation(),
            "sidecars": [
                {"name": name, "image": "example.com/mcp/a:1", "port": 18101},
                {"name": "other", "image": "example.com/mcp/b:1", "port": 18102},
            ],
        }));
        let (pod, _) = injected(&agent(json!({})), &policy);
        let volumes = names_of(list(&pod["spec"], "volumes"));
        for (_, container) in containers(&pod) {
            for mount in list(container, "volumeMounts") {
                assert!(volumes.contains(&text(mount, "name")), "{mount} of {volumes:?}");
            }
        }
    }
}

#[test]
fn a_stale_credentials_volume_goes_although_a_sidecar_bears_its_name() {
    let sidecar = policy(json!({"sidecars": [{"name": "credentials", "image": "example.com/mcp/a:1", "port": 18101}]}));
    let (pod, _) = injected(&agent(json!({})), &policy(json!({"identity": federation()})));
    let (pod, _) = injected(&pod, &sidecar);
    assert!(!names_of(list(&pod["spec"], "volumes")).contains(&names::CREDENTIALS_VOLUME));
    assert_eq!(
        pod["metadata"]["annotations"].get(names::CREDENTIAL_CONFIGURATION),
        None
    );
}

#[test]
fn a_pod_follows_its_policy_from_federation_to_gke() {
    let email = "agent@my-project.iam.gserviceaccount.com";
    let gke = policy(json!({"identity": {"gkeWorkloadIdentity": {"serviceAccount": email}}, "vertex": vertex()}));
    let (pod, _) = injected(
        &agent(json!({})),
        &policy(json!({"identity": federation(), "vertex": vertex()})),
    );
    let (pod, decision) = injected(&pod, &gke);
    assert_eq!(
        pod["metadata"]["annotations"].get(names::CREDENTIAL_CONFIGURATION),
        None
    );
    assert!(!environment(first(&pod)).contains_key("GOOGLE_APPLICATION_CREDENTIALS"));
    let removed = decision
        .env
        .iter()
        .filter(|change| change.name == "agent/GOOGLE_APPLICATION_CREDENTIALS");
    assert_eq!(removed.count(), 1, "{:#?}", decision.env);
}

#[test]
fn a_slash_at_the_end_of_a_mount_path_changes_nothing() {
    let mount =
        json!({"name": names::CREDENTIALS_VOLUME, "mountPath": "/var/run/secrets/vertex-injector/", "readOnly": true});
    let before = agent(json!({"volumeMounts": [mount]}));
    let (pod, _) = injected(&before, &policy(json!({"identity": federation()})));
    assert_eq!(list(first(&pod), "volumeMounts").len(), 1);
    assert_eq!(decided(&pod, &policy(json!({"identity": federation()}))).patch, []);
}

#[test]
fn a_volume_that_the_policy_mounts_stays_when_the_credential_file_in_it_is_replaced() {
    let policy = policy(json!({
        "identity": federation(),
        "podVolumes": ["creds"],
        "volumeMounts": [{"name": "creds", "mountPath": "/elsewhere"}],
        "conflicts": {"values": "Override"},
    }));
    let mut before = agent(json!({
        "env": [{"name": "GOOGLE_APPLICATION_CREDENTIALS", "value": "/creds/key.json"}],
        "volumeMounts": [{"name": "creds", "mountPath": "/creds"}],
    }));
    let items = json!([{"key": "k", "path": "key.json"}]);
    before["spec"]["volumes"] = json!([{"name": "creds", "secret": {"secretName": "key", "items": items}}]);
    let (pod, _) = injected(&before, &policy);
    assert!(names_of(list(&pod["spec"], "volumes")).contains(&"creds"));
    assert_eq!(
        names_of(list(first(&pod), "volumeMounts")),
        [names::CREDENTIALS_VOLUME, "creds"]
    );
}

#[test]
fn a_policy_that_has_been_emptied_takes_its_pieces_away_and_says_so_once() {
    let mut pod = agent(json!({}));
    pod["metadata"]["labels"] = json!({names::INJECT: "true"});
    let (pod, _) = injected(&pod, &policy(json!({"identity": federation(), "vertex": vertex()})));
    let empty = policy(json!({}));
    let decision = decided(&pod, &empty);
    assert_eq!(
        (decision.outcome, decision.reason),
        (Outcome::Skipped, Reason::NothingToInject)
    );
    let pod = patched(&pod, &decision.patch);
    assert_eq!(
        pod["metadata"]["annotations"],
        json!({names::SKIPPED: "NothingToInject"})
    );
    assert_eq!(decided(&pod, &empty).patch, []);
}

#[test]
fn a_pod_that_asks_and_has_everything_by_itself_is_marked_as_seen() {
    let policy = policy(json!({"authHelpers": [{"configMapName": "helpers", "mountPath": "/helpers"}]}));
    let (mut pod, _) = injected(&agent(json!({})), &policy);
    pod["metadata"].as_object_mut().unwrap().remove("annotations");
    let silent = decided(&pod, &policy);
    assert_eq!(
        (silent.reason, silent.patch.as_slice()),
        (Reason::AlreadyInjected, [].as_slice())
    );
    pod["metadata"]["labels"] = json!({names::INJECT: "true"});
    let (pod, asked) = injected(&pod, &policy);
    assert_eq!(asked.reason, Reason::AlreadyInjected);
    assert_eq!(
        pod["metadata"]["annotations"],
        json!({names::POLICY_REF: "team-a/policy@0"})
    );
    assert_eq!(decided(&pod, &policy).patch, []);
}

#[test]
fn arguments_and_variables_that_a_sidecar_has_lost_in_the_policy_go_from_the_pod() {
    let with = |sidecar: Value| {
        let mut sidecar = sidecar;
        sidecar["name"] = "github".into();
        sidecar["image"] = "example.com/mcp/github:1".into();
        sidecar["port"] = 18101.into();
        policy(json!({"sidecars": [sidecar]}))
    };
    let env = json!([{"name": "MODE", "value": "rw"}]);
    let (fresh, _) = injected(&agent(json!({})), &with(json!({})));
    for old in [
        json!({"args": ["serve"]}),
        json!({"command": ["/x"]}),
        json!({"env": env}),
    ] {
        let (pod, _) = injected(&agent(json!({})), &with(old));
        let (pod, _) = injected(&pod, &with(json!({})));
        assert_eq!(pod["spec"]["initContainers"], fresh["spec"]["initContainers"]);
    }
}

#[test]
fn a_helper_that_is_no_longer_optional_is_required() {
    let with = |optional: bool| {
        policy(json!({"authHelpers": [{"configMapName": "h", "mountPath": "/opt/h", "optional": optional}]}))
    };
    let (pod, _) = injected(&agent(json!({})), &with(true));
    let (pod, _) = injected(&pod, &with(false));
    assert_eq!(pod["spec"]["volumes"][0]["configMap"].get("optional"), None);
}

#[test]
fn a_helper_of_which_only_some_files_are_shown_is_not_the_policys() {
    let mut before = agent(json!({}));
    before["spec"]["volumes"] = json!([{"name": "vertex-injector-helper-h",
        "configMap": {"name": "h", "defaultMode": 493, "items": [{"key": "evil", "path": "helper"}]}}]);
    let helpers = policy(json!({"authHelpers": [{"configMapName": "h", "mountPath": "/opt/h"}]}));
    let (pod, _) = injected(&before, &helpers);
    assert_eq!(pod["spec"]["volumes"][0]["configMap"].get("items"), None);
}

#[test]
fn a_sidecar_under_our_name_with_a_command_of_its_own_is_replaced() {
    let sidecars = policy(json!({
        "identity": federation(),
        "sidecars": [{"name": "github", "image": "example.com/mcp/github:1", "port": 18101}],
    }));
    let (fresh, _) = injected(&agent(json!({})), &sidecars);
    for (key, forged) in [
        ("command", json!(["sh", "-c", "cat /creds/*"])),
        ("envFrom", json!([{"secretRef": {"name": "all"}}])),
        ("lifecycle", json!({"postStart": {"exec": {"command": ["sh"]}}})),
    ] {
        let mut pod = fresh.clone();
        pod["spec"]["initContainers"][0][key] = forged;
        let (pod, _) = injected(&pod, &sidecars);
        assert_eq!(pod["spec"]["initContainers"], fresh["spec"]["initContainers"]);
    }
    let mut pod = fresh.clone();
    let mount = json!({"name": names::CREDENTIALS_VOLUME, "mountPath": "/creds"});
    pod["spec"]["initContainers"][0]["volumeMounts"]
        .as_array_mut()
        .expect("a list")
        .push(mount);
    let (pod, _) = injected(&pod, &sidecars);
    assert_eq!(pod["spec"]["initContainers"], fresh["spec"]["initContainers"]);
}

#[test]
fn sidecars_may_exchange_their_ports_and_change_their_names() {
    let with = |a: &str, port_a: u16, port_b: u16| {
        policy(json!({"sidecars": [
            {"name": a, "image": "example.com/mcp/a:1", "port": port_a},
            {"name": "b", "image": "example.com/mcp/b:1", "port": port_b},
        ]}))
    };
    let (pod, _) = injected(&agent(json!({})), &with("a", 18101, 18102));
    let (exchanged, _) = injected(&pod, &with("a", 18102, 18101));
    assert_eq!(
        names_of(list(&exchanged["spec"], "initContainers")),
        ["vertex-injector-a", "vertex-injector-b"]
    );
    injected(&pod, &with("renamed", 18101, 18102));
}

#[test]
fn endpoints_of_sidecars_that_are_gone_leave_the_agents_registry() {
    let with = |key: &str, port: u16| {
        let sidecar = json!({"name": "github", "image": "example.com/mcp/a:1", "port": port, "mcpKey": key});
        policy(json!({"sidecars": [sidecar]}))
    };
    let registry = |pod: &Value| environment(first(pod)).get("CREDENTIAL_MCP_URLS").cloned();
    let own = r#"{"jira":"http://jira:1"}"#;
    let before = agent(json!({"env": [{"name": "CREDENTIAL_MCP_URLS", "value": own}]}));
    let (pod, _) = injected(&before, &with("github", 18101));
    let (moved, _) = injected(&pod, &with("gh", 18102));
    assert_eq!(
        registry(&moved).as_deref(),
        Some(r#"{"jira":"http://jira:1","gh":"http://localhost:18102"}"#)
    );
    let none = policy(json!({"env": [{"name": "TEAM", "value": "a"}]}));
    assert_eq!(registry(&injected(&pod, &none).0).as_deref(), Some(own));
    let (pod, _) = injected(&agent(json!({})), &with("github", 18101));
    assert_eq!(registry(&injected(&pod, &none).0), None);
}

#[test]
fn the_api_servers_way_of_writing_quantities_is_known_in_volumes_too() {
    let volumes = policy(json!({"volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1024Mi"}}]}));
    let (mut pod, _) = injected(&agent(json!({})), &volumes);
    pod["spec"]["volumes"][0]["emptyDir"]["sizeLimit"] = "1Gi".into();
    assert_eq!(injected(&pod, &volumes).1.patch, []);
}

#[test]
fn an_empty_variable_of_a_sidecar_is_known_without_its_value() {
    let sidecar =
        json!({"name": "a", "image": "example.com/mcp/a:1", "port": 18101, "env": [{"name": "X", "value": ""}]});
    let sidecars = policy(json!({"sidecars": [sidecar]}));
    let (mut pod, _) = injected(&agent(json!({})), &sidecars);
    pod["spec"]["initContainers"][0]["env"] = json!([{"name": "X"}]);
    assert_eq!(injected(&pod, &sidecars).1.patch, []);
}

#[test]
fn a_reference_stands_behind_what_it_refers_to() {
    let before = agent(json!({"env": [
        {"name": "ANTHROPIC_VERTEX_PROJECT_ID", "value": ""},
        {"name": "AFTER", "value": "x"},
        {"name": "GOOGLE_CLOUD_PROJECT", "value": "own-project"},
    ]}));
    let both = policy(json!({"identity": federation(), "vertex": vertex()}));
    let (pod, _) = injected(&before, &both);
    assert_eq!(environment(first(&pod))["ANTHROPIC_VERTEX_PROJECT_ID"], "own-project");
    assert_eq!(decided(&pod, &both).patch, []);
}

#[test]
fn a_variable_that_only_some_clients_read_stays_replaced() {
    let before = agent(json!({"env": [{"name": "VERTEX_LOCATION", "value": "global"}]}));
    let mut vertex = vertex();
    vertex["clients"] = json!(["OpenCode"]);
    let both = policy(json!({"identity": federation(), "vertex": vertex, "conflicts": {"values": "Override"}}));
    let (pod, _) = injected(&before, &both);
    assert_eq!(environment(first(&pod))["VERTEX_LOCATION"], "us-east5");
    assert_eq!(decided(&pod, &both).patch, []);
}

#[test]
fn values_around_one_source_are_compared_with_what_is_around_it() {
    let from = json!({"secretKeyRef": {"name": "s", "key": "k"}});
    let both = policy(json!({"identity": federation(), "vertex": vertex()}));
    for (one, other, outcome) in [
        ("$(SOURCE)", "$(SOURCE)", Outcome::Injected),
        ("$(SOURCE)-a", "$(SOURCE)-b", Outcome::Denied),
        ("$(SOURCE)", "$(SOURCE)-b", Outcome::Denied),
    ] {
        let before = agent(json!({"env": [
            {"name": "SOURCE", "valueFrom": from},
            {"name": "GOOGLE_CLOUD_PROJECT", "value": one},
            {"name": "ANTHROPIC_VERTEX_PROJECT_ID", "value": other},
        ]}));
        assert_eq!(decided(&before, &both).outcome, outcome, "{one} and {other}");
    }
}

#[test]
fn a_container_of_ours_cannot_be_chosen() {
    let sidecars =
        policy(json!({"sidecars": [{"name": "github", "image": "example.com/mcp/github:1", "port": 18101}]}));
    let (mut pod, _) = injected(&agent(json!({})), &sidecars);
    pod["metadata"]["annotations"][names::CONTAINERS] = "agent,vertex-injector-github".into();
    let decision = decided(&pod, &sidecars);
    assert_eq!(
        (decision.outcome, decision.reason),
        (Outcome::Denied, Reason::ContainerNotFound)
    );
    assert!(
        decision
            .message
            .contains("\"vertex-injector-github\" is the injector's own"),
        "{}",
        decision.message
    );
}

#[test]
fn a_template_without_metadata_is_injected() {
    for metadata in [json!(null), Value::Null] {
        let mut template = json!({"spec": {"containers": [{"name": "agent"}]}});
        template["metadata"] = metadata;
        let (pod, _) = injected(&template, &policy(json!({"identity": federation()})));
        assert!(
            pod["metadata"]["annotations"]
                .get(names::CREDENTIAL_CONFIGURATION)
                .is_some()
        );
    }
    let template = json!({"spec": {"containers": [{"name": "agent"}]}});
    injected(&template, &policy(json!({"identity": federation()})));
}

#[test]
fn a_message_is_bounded_whatever_the_pod_says() {
    let mut pod = agent(json!({}));
    for key in [names::POLICY, names::CONTAINERS] {
        pod["metadata"]["annotations"] = json!({key: "x".repeat(100_000)});
        let decision = decided(&pod, &policy(json!({"identity": federation()})));
        assert_eq!(decision.outcome, Outcome::Denied);
        assert!(decision.message.len() < 4_100, "{} bytes", decision.message.len());
    }
}

#[test]
fn units_that_are_left_out_leave_nothing_behind() {
    let both = policy(json!({"identity": federation(), "vertex": vertex()}));
    let (mut pod, _) = injected(&agent(json!({})), &both);
    let key = json!({"name": "ANTHROPIC_API_KEY", "valueFrom": {"secretKeyRef": {"name": "k", "key": "k"}}});
    pod["spec"]["containers"][0]["env"]
        .as_array_mut()
        .expect("a list")
        .push(key.clone());
    let decision = decided(&pod, &both);
    assert!(decision.units.iter().all(|unit| unit.state == UnitState::Skipped));
    assert_eq!(
        (decision.outcome, decision.reason),
        (Outcome::Skipped, Reason::OwnApiKey)
    );
    let pod = patched(&pod, &decision.patch);
    assert_eq!(first(&pod)["env"], json!([key]));
    assert_eq!(list(&pod["spec"], "volumes"), [] as [Value; 0]);
    assert_eq!(pod["metadata"]["annotations"], json!({names::SKIPPED: "OwnApiKey"}));
}
