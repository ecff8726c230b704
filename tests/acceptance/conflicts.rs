//! Design 4, `conflicts`: values, keys and providers that a pod brings.

use serde_json::{Value, json};
use support::{World, agent_with};
use vertex_injector_core::admission::Reason;

/// A policy for every pod, with `conflicts` and more.
fn world(conflicts: &str, rest: &str) -> World {
    World::serving(&format!(
        "  agents: [{{podSelector: {{}}}}]
  vertex: {{project: my-project, region: us-east5, clients: [ClaudeCode, GoogleGenAI]}}
  identity: {{workloadIdentityFederation: {{provider: projects/1/locations/global/workloadIdentityPools/pool/providers/prov}}}}
  conflicts: {conflicts}
{rest}"
    ))
}

const KEYS: [&str; 4] = [
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "GEMINI_API_KEY",
    "GOOGLE_API_KEY",
];
const PROVIDERS: [&str; 3] = [
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_FOUNDRY",
    "CLAUDE_CODE_USE_MANTLE",
];

#[test]
fn a_key_and_vertex_are_never_both_in_a_pod() {
    for key in KEYS {
        for source in ["value: k", "valueFrom: {secretKeyRef: {name: s, key: k}}"] {
            let pod = agent_with(&format!("[{{name: {key}, {source}}}]"));
            let kept = world("{apiKeys: Keep}", "").admit(&pod);
            assert!(kept.changes_nothing().skipped(Reason::OwnApiKey).contains(key));
            let removed = world("{apiKeys: Remove}", "").admit(&pod);
            removed
                .injected()
                .container("agent")
                .lacks(&[key])
                .env("CLAUDE_CODE_USE_VERTEX");
            let denied = world("{apiKeys: Deny}", "").admit(&pod);
            let message = denied.denied(Reason::Conflict);
            assert!(
                message.contains(key) && message.contains("conflicts.apiKeys") && message.contains("remove"),
                "{message}"
            );
        }
    }
}

#[test]
fn an_empty_key_is_no_key() {
    for rule in ["Keep", "Remove", "Deny"] {
        let admission =
            world(&format!("{{apiKeys: {rule}}}"), "").admit(&agent_with("[{name: ANTHROPIC_API_KEY, value: ' '}]"));
        admission.injected().container("agent").env("CLAUDE_CODE_USE_VERTEX");
    }
}

#[test]
fn a_key_in_a_container_that_is_not_the_agent_is_nobodys_business() {
    let mut pod = agent_with("[]");
    pod["spec"]["containers"][1]["env"] = json!([{"name": "ANTHROPIC_API_KEY", "value": "k"}]);
    let admission = world("{apiKeys: Deny}", "").admit(&pod);
    admission.injected().container("helper").unchanged();
}

#[test]
fn a_key_of_one_agent_container_decides_for_the_whole_pod() {
    let mut pod = agent_with("[]");
    pod["spec"]["containers"][1]["env"] = json!([{"name": "ANTHROPIC_API_KEY", "value": "k"}]);
    pod["metadata"]["annotations"] = json!({"vertex-injector.dev/containers": "agent,helper"});
    world("{}", "").admit(&pod).changes_nothing().skipped(Reason::OwnApiKey);
    let removed = world("{apiKeys: Remove}", "").admit(&pod);
    for name in ["agent", "helper"] {
        removed
            .injected()
            .container(name)
            .lacks(&["ANTHROPIC_API_KEY"])
            .env("CLAUDE_CODE_USE_VERTEX");
    }
}

#[test]
fn a_key_does_not_keep_helpers_tokens_and_variables_out() {
    let world = world(
        "{apiKeys: Keep}",
        "  authHelpers: [{configMapName: helpers, mountPath: /opt/helpers}]\n  env: [{name: TEAM, value: t}]",
    );
    let admission = world.admit(&agent_with("[{name: ANTHROPIC_API_KEY, value: k}]"));
    let agent = admission.injected().container("agent");
    agent.mount("/opt/helpers");
    assert_eq!(agent.env("TEAM"), "t");
    agent.lacks(&[
        "CLAUDE_CODE_USE_VERTEX",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_CLOUD_PROJECT",
    ]);
    assert_eq!(admission.injected().volume("vertex-injector-credentials"), None);
    let skipped = admission
        .decision
        .units
        .iter()
        .filter(|unit| unit.reason == Some(Reason::OwnApiKey));
    assert_eq!(
        skipped.map(|unit| unit.name.as_str()).collect::<Vec<_>>(),
        ["identity", "vertex"]
    );
    assert!(admission.decision.warnings.iter().any(|it| it.contains("OwnApiKey")));
}

#[test]
fn another_provider_follows_its_rule() {
    for provider in PROVIDERS {
        let pod = agent_with(&format!("[{{name: {provider}, value: '1'}}]"));
        let kept = world("{providers: Keep}", "").admit(&pod);
        assert!(kept.changes_nothing().skipped(Reason::OtherProvider).contains(provider));
        let removed = world("{providers: Remove}", "").admit(&pod);
        removed
            .injected()
            .container("agent")
            .lacks(&[provider])
            .env("CLAUDE_CODE_USE_VERTEX");
        let denied = world("{providers: Deny}", "").admit(&pod);
        let message = denied.denied(Reason::Conflict);
        assert!(
            message.contains(provider) && message.contains("conflicts.providers"),
            "{message}"
        );
    }
}

#[test]
fn a_provider_that_is_switched_off_is_no_provider_and_one_that_cannot_be_read_is_one() {
    let off = world("{providers: Deny}", "").admit(&agent_with("[{name: CLAUDE_CODE_USE_BEDROCK, value: '0'}]"));
    assert_eq!(off.injected().container("agent").env("CLAUDE_CODE_USE_BEDROCK"), "0");
    let unread = "[{name: CLAUDE_CODE_USE_BEDROCK, valueFrom: {configMapKeyRef: {name: c, key: k}}}]";
    world("{providers: Keep}", "")
        .admit(&agent_with(unread))
        .changes_nothing()
        .skipped(Reason::OtherProvider);
}

#[test]
fn sources_that_hide_variables_are_named_and_denied_where_the_policy_denies() {
    let mut pod = agent_with("[]");
    pod["spec"]["containers"][0]["envFrom"] = json!([
        {"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "keys"}, "prefix": "X_"},
    ]);
    for conflicts in ["{}", "{apiKeys: Remove, providers: Remove}"] {
        let admission = world(conflicts, "").admit(&pod);
        let warning = admission.warning("envFrom");
        assert!(
            warning.contains("ConfigMap settings, Secret keys") && warning.contains("agent"),
            "{warning}"
        );
        assert_eq!(
            admission.injected().container("agent").value()["envFrom"],
            pod["spec"]["containers"][0]["envFrom"]
        );
    }
    for conflicts in ["{apiKeys: Deny}", "{providers: Deny}"] {
        let denied = world(conflicts, "").admit(&pod);
        let message = denied.denied(Reason::Conflict);
        assert!(
            message.contains("ConfigMap settings, Secret keys") && message.contains("envFrom"),
            "{message}"
        );
    }
}

#[test]
fn an_own_credential_file_follows_the_rule_for_values() {
    let own = agent_with("[{name: GOOGLE_APPLICATION_CREDENTIALS, value: /creds/key.json}]");
    world("{values: Keep}", "")
        .admit(&own)
        .changes_nothing()
        .skipped(Reason::OwnCredentials);
    let replaced = world("{values: Override}", "").admit(&own);
    let file = "/var/run/secrets/vertex-injector/application_default_credentials.json";
    assert_eq!(
        replaced
            .injected()
            .container("agent")
            .env("GOOGLE_APPLICATION_CREDENTIALS"),
        file
    );
    let denied = world("{values: Deny}", "").admit(&own);
    let message = denied.denied(Reason::Conflict);
    for part in ["GOOGLE_APPLICATION_CREDENTIALS", "conflicts.values", "remove", "team/p"] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
}

/// A volume that shows the file of the pod's own credential and nothing else.
fn key_alone() -> Value {
    json!({"secret": {"secretName": "key", "items": [{"key": "k", "path": "key.json"}]}})
}

/// A pod with its own credential file in a volume, which a second container may mount too.
fn with_key_volume(volume: Value, shared: bool) -> Value {
    let mut pod = agent_with("[{name: GOOGLE_APPLICATION_CREDENTIALS, value: /creds/key.json}]");
    let mut volume = volume;
    volume["name"] = "creds".into();
    pod["spec"]["volumes"] = json!([{"name": "work", "emptyDir": {}}, volume]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([
        {"name": "work", "mountPath": "/work"}, {"name": "creds", "mountPath": "/creds", "readOnly": true},
    ]);
    if shared {
        pod["spec"]["containers"][1]["volumeMounts"] = json!([{"name": "creds", "mountPath": "/creds"}]);
    }
    pod
}

#[test]
fn an_overridden_credential_file_takes_mount_and_volume_with_it_and_never_one_alone() {
    for volume in [
        json!({"secret": {"secretName": "key", "items": [{"key": "k", "path": "key.json"}]}}),
        json!({"configMap": {"name": "wif", "items": [{"key": "k", "path": "./key.json"}]}}),
        json!({"projected": {"sources": [{"secret": {"name": "key", "items": [{"key": "k", "path": "key.json"}]}}]}}),
    ] {
        let admission = world("{values: Override}", "").admit(&with_key_volume(volume, false));
        let pod = admission.injected();
        assert_eq!(pod.volume_names(), ["work", "vertex-injector-credentials"]);
        assert_eq!(
            pod.container("agent").mount_paths(),
            ["/work", "/var/run/secrets/vertex-injector"]
        );
    }
}

#[test]
fn a_credential_volume_that_another_container_uses_stays() {
    let shared = with_key_volume(key_alone(), true);
    let admission = world("{values: Override}", "").admit(&shared);
    let pod = admission.injected();
    assert!(pod.volume("creds").is_some());
    assert!(!pod.container("agent").mount_paths().contains(&"/creds"));
    pod.container("helper").unchanged();
}

#[test]
fn a_credential_volume_that_the_agent_mounts_twice_loses_only_the_mount_of_the_file() {
    let mut twice = with_key_volume(key_alone(), false);
    let mounts = twice["spec"]["containers"][0]["volumeMounts"].as_array_mut().unwrap();
    mounts.push(json!({"name": "creds", "mountPath": "/other"}));
    let admission = world("{values: Override}", "").admit(&twice);
    assert!(admission.injected().volume("creds").is_some());
    admission.injected().container("agent").mount("/other");
}

#[test]
fn a_volume_that_may_hold_more_than_the_credential_file_stays_and_what_points_there_is_named() {
    let further = json!({"name": "GITHUB_TOKEN_FILE", "value": "/creds/github"});
    for volume in [
        json!({"secret": {"secretName": "key"}}),
        json!({"configMap": {"name": "wif"}}),
        json!({"projected": {"sources": [{"secret": {"name": "key"}}]}}),
        json!({"projected": {"sources": [
            {"secret": {"name": "key", "items": [{"key": "k", "path": "key.json"}]}},
            {"serviceAccountToken": {"path": "token", "audience": "a"}},
        ]}}),
        json!({"secret": {"secretName": "key", "items": [{"key": "k", "path": "key.json"}, {"key": "g", "path": "github"}]}}),
    ] {
        let mut pod = with_key_volume(volume, false);
        pod["spec"]["containers"][0]["env"]
            .as_array_mut()
            .unwrap()
            .push(further.clone());
        let admission = world("{values: Override}", "").admit(&pod);
        admission.injected().container("agent").mount("/creds");
        assert!(admission.injected().volume("creds").is_some());
        let warnings = admission.decision.warnings.join("\n");
        assert!(
            warnings
                .contains("volume \"creds\" at /creds, which may hold more than it (GITHUB_TOKEN_FILE points there)"),
            "{warnings}"
        );
        // Beside a broker the key may not stay.
        let denied = world("{values: Override}", "\n  access: Metadata").admit(&pod);
        let message = denied.denied(Reason::NotIsolated);
        assert!(message.contains("GITHUB_TOKEN_FILE points there"), "{message}");
    }
}

#[test]
fn a_mount_of_the_credential_file_alone_goes_and_one_beside_it_stays() {
    let mut pod = with_key_volume(json!({"secret": {"secretName": "keys"}}), false);
    let mounts = pod["spec"]["containers"][0]["volumeMounts"].as_array_mut().unwrap();
    mounts[1] = json!({"name": "creds", "mountPath": "/creds/key.json", "subPath": "gcp", "readOnly": true});
    mounts.push(json!({"name": "creds", "mountPath": "/creds/github", "subPath": "github", "readOnly": true}));
    let admission = world("{values: Override}", "").admit(&pod);
    let injected = admission.injected();
    assert_eq!(
        injected.container("agent").mount_paths(),
        ["/work", "/creds/github", "/var/run/secrets/vertex-injector"]
    );
    assert!(injected.volume("creds").is_some());
}

#[test]
fn a_workspace_with_a_credential_file_in_it_is_never_removed() {
    for volume in [
        json!({"emptyDir": {}}),
        json!({"persistentVolumeClaim": {"claimName": "work"}}),
        json!({"hostPath": {"path": "/work"}}),
        json!({"csi": {"driver": "secrets-store.csi.k8s.io"}}),
    ] {
        let admission = world("{values: Override}", "").admit(&with_key_volume(volume, false));
        let pod = admission.injected();
        assert!(pod.volume("creds").is_some());
        pod.container("agent").mount("/creds");
    }
}

#[test]
fn a_credential_file_that_the_pod_mounts_at_the_policys_own_path_is_still_the_pods() {
    let mut own = agent_with(
        "[{name: GOOGLE_APPLICATION_CREDENTIALS, value: /gcloud/config/application_default_credentials.json}]",
    );
    own["spec"]["containers"][0]["volumeMounts"] =
        json!([{"name": "gcloud", "mountPath": "/gcloud/config", "readOnly": true}]);
    let file = "application_default_credentials.json";
    own["spec"]["volumes"] =
        json!([{"name": "gcloud", "secret": {"secretName": "adc", "items": [{"key": "k", "path": file}]}}]);
    let world = |rule: &str| {
        World::serving(&format!(
            "  agents: [{{podSelector: {{}}, credentialDirectory: /gcloud/config}}]
  identity: {{workloadIdentityFederation: {{provider: projects/1/locations/global/workloadIdentityPools/pool/providers/prov}}}}
  conflicts: {{values: {rule}}}"
        ))
    };
    world("Keep")
        .admit(&own)
        .changes_nothing()
        .skipped(Reason::OwnCredentials);
    let denied = world("Deny").admit(&own);
    assert!(
        denied
            .denied(Reason::Conflict)
            .contains("GOOGLE_APPLICATION_CREDENTIALS")
    );
    let replaced = world("Override").admit(&own);
    let pod = replaced.injected();
    assert_eq!(pod.volume_names(), ["vertex-injector-credentials"]);
    assert_eq!(
        pod.container("agent").mount("/gcloud/config")["name"],
        "vertex-injector-credentials"
    );
}

#[test]
fn a_variable_that_names_our_file_before_it_is_there_is_no_conflict() {
    let file = "/var/run/secrets/vertex-injector/application_default_credentials.json";
    let own = agent_with(&format!("[{{name: GOOGLE_APPLICATION_CREDENTIALS, value: {file}}}]"));
    for rule in ["Keep", "Override", "Deny"] {
        let admission = world(&format!("{{values: {rule}}}"), "").admit(&own);
        let agent = admission.injected().container("agent");
        assert_eq!(agent.env("GOOGLE_APPLICATION_CREDENTIALS"), file);
        agent.file(file);
    }
}

#[test]
fn what_the_policy_denies_is_denied_even_beside_something_that_the_pod_keeps() {
    let keyed = "[{name: ANTHROPIC_API_KEY, value: k}, {name: CLAUDE_CODE_USE_BEDROCK, value: '1'}]";
    let denied = world("{apiKeys: Keep, providers: Deny}", "").admit(&agent_with(keyed));
    assert!(denied.denied(Reason::Conflict).contains("CLAUDE_CODE_USE_BEDROCK"));
    let denied = world("{apiKeys: Deny, providers: Keep}", "").admit(&agent_with(keyed));
    assert!(denied.denied(Reason::Conflict).contains("ANTHROPIC_API_KEY"));
}

#[test]
fn a_differing_value_does_not_matter_where_nothing_of_vertex_is_injected() {
    let own = "[{name: ANTHROPIC_API_KEY, value: k}, {name: CLOUD_ML_REGION, value: elsewhere}]";
    world("{values: Deny, apiKeys: Keep}", "")
        .admit(&agent_with(own))
        .changes_nothing()
        .skipped(Reason::OwnApiKey);
}

#[test]
fn a_credential_file_in_the_image_has_no_mount_to_remove() {
    let admission = world("{values: Override}", "").admit(&agent_with(
        "[{name: GOOGLE_APPLICATION_CREDENTIALS, value: /baked/key.json}]",
    ));
    assert_eq!(
        admission.injected().container("agent").mount_paths(),
        ["/var/run/secrets/vertex-injector"]
    );
}

#[test]
fn a_variable_of_the_policy_follows_the_rule_for_values() {
    let own = agent_with("[{name: TEAM, value: own}]");
    let env = "  env: [{name: TEAM, value: policy}]";
    let kept = world("{values: Keep}", env).admit(&own);
    assert_eq!(kept.injected().container("agent").env("TEAM"), "own");
    assert!(
        kept.decision
            .warnings
            .iter()
            .any(|it| it.contains("TEAM") && it.contains("conflicts.values: Keep"))
    );
    let replaced = world("{values: Override}", env).admit(&own);
    assert_eq!(replaced.injected().container("agent").env("TEAM"), "policy");
    let denied = world("{values: Deny}", env).admit(&own);
    let message = denied.denied(Reason::Conflict);
    assert!(
        message.contains("TEAM") && message.contains("conflicts.values"),
        "{message}"
    );
    for rule in ["Keep", "Override", "Deny"] {
        let equal = world(&format!("{{values: {rule}}}"), env).admit(&agent_with("[{name: TEAM, value: policy}]"));
        assert_eq!(equal.injected().container("agent").env("TEAM"), "policy");
    }
}

#[test]
fn an_override_replaces_a_reference_by_the_value_whole() {
    let own = agent_with("[{name: TEAM, valueFrom: {configMapKeyRef: {name: c, key: k}}}]");
    let admission = world("{values: Override}", "  env: [{name: TEAM, value: policy}]").admit(&own);
    assert_eq!(
        *admission.injected().container("agent").entry("TEAM"),
        json!({"name": "TEAM", "value": "policy"})
    );
}

#[test]
fn all_conflicts_of_a_pod_are_told_at_once() {
    let pod = agent_with(
        "[{name: ANTHROPIC_API_KEY, value: k}, {name: CLAUDE_CODE_USE_BEDROCK, value: '1'}, {name: CLOUD_ML_REGION, value: r},
          {name: GOOGLE_CLOUD_PROJECT, value: p}, {name: GOOGLE_APPLICATION_CREDENTIALS, value: /f}, {name: TEAM, value: t}]",
    );
    let denied = world(
        "{values: Deny, apiKeys: Deny, providers: Deny}",
        "  env: [{name: TEAM, value: policy}]",
    )
    .admit(&pod);
    let message = denied.denied(Reason::Conflict);
    for part in [
        "ANTHROPIC_API_KEY",
        "CLAUDE_CODE_USE_BEDROCK",
        "CLOUD_ML_REGION",
        "vertex.region",
        "GOOGLE_CLOUD_PROJECT",
        "vertex.project",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "TEAM",
        "(6)",
    ] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
}
