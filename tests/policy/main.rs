//! A policy compiles to what admission uses, or to everything that is wrong with it.
#![cfg(test)]

mod mutations;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use vertex_injector_core::api::{PolicySpec, Preset};
use vertex_injector_core::operator::Operator;
use vertex_injector_core::policy::{self, Compilation, Compiled, Listen, Sidecar};

/// An operator who has an image for every preset.
fn operator() -> Operator {
    Operator {
        preset_images: Preset::ALL
            .iter()
            .map(|preset| (*preset, "example.com/mcp:1".to_owned()))
            .collect(),
        ..Operator::default()
    }
}

fn compilation(spec: Value) -> Compilation {
    let spec: PolicySpec = serde_json::from_value(spec).unwrap();
    policy::compile(&spec, None, &operator())
}

fn compiled(spec: Value) -> Compiled {
    compilation(spec)
        .result
        .unwrap_or_else(|unusable| panic!("{}", unusable.errors))
}

/// The only sidecar of a policy, a preset with a Secret.
fn sidecar(preset: Preset, more: &Value) -> Sidecar {
    let mut sidecar = json!({"preset": preset, "credential": {"secret": {"secretName": "s"}}});
    let more = more.as_object().unwrap().clone();
    sidecar.as_object_mut().unwrap().extend(more);
    let mut all = compiled(json!({"sidecars": [sidecar]})).sidecars.servers;
    all.pop().unwrap()
}

#[test]
fn every_part_says_what_is_wrong_with_it_in_one_answer() {
    let wrong = compilation(json!({
        "agents": [{"podSelector": {}, "serviceAccounts": ["No"], "credentialDirectory": "/etc/openshell"}],
        "vertex": {"project": "my-project", "region": "us-east5", "clients": ["Goose"], "endpoint": "http://x"},
        "identity": {"serviceAccountKey": {"secretName": "No", "key": "k"}},
        "access": "Proxy",
        "proxy": {"models": ["a b"]},
        "broker": {"metadataPort": 8001},
        "authHelpers": [{"configMapName": "No", "mountPath": "/opt/x"}],
        "tokens": [{"name": "t", "audience": "api", "mountPath": "/opt/x"}],
        "env": [{"name": "A"}],
        "volumes": [{"name": "v"}],
        "volumeMounts": [{"name": "w", "mountPath": "/opt/w"}],
        "sidecars": [{"name": "s", "image": "x:1", "port": 8091}],
        "mcpConfig": {"mountPath": "/opt/x/.."},
        "openShell": "PatchUserEnvironment",
    }));
    let errors = wrong.result.unwrap_err().errors;
    let fields: BTreeSet<&str> = errors.0.iter().map(|error| error.field.as_str()).collect();
    let expected = [
        "spec.agents[0].credentialDirectory",
        "spec.agents[0].serviceAccounts[0]",
        "spec.authHelpers[0].configMapName",
        "spec.broker.metadataPort",
        "spec.env[0]",
        "spec.identity.serviceAccountKey.secretName",
        "spec.mcpConfig",
        "spec.mcpConfig.mountPath",
        "spec.openShell",
        "spec.proxy.models[0]",
        "spec.sidecars[0].image",
        "spec.sidecars[0].port",
        "spec.tokens[0].audience",
        "spec.tokens[0].mountPath",
        "spec.vertex.clients",
        "spec.vertex.endpoint",
        "spec.volumeMounts[0].name",
        "spec.volumes[0]",
    ];
    assert_eq!(fields, BTreeSet::from(expected), "{errors}");
}

#[test]
fn models_that_a_policy_names_in_variables_are_held_against_what_its_proxy_allows() {
    let spec = |model: &str| {
        json!({
            "agents": [{"serviceAccounts": ["agent"], "env": [{"name": "ANTHROPIC_SMALL_FAST_MODEL", "value": model}]}],
            "env": [{"name": "CLAUDE_CODE_SUBAGENT_MODEL", "value": model}],
            "vertex": {"project": "my-project", "region": "us-east5", "clients": ["ClaudeCode"]},
            "identity": {"workloadIdentityFederation": {
                "provider": "projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster",
            }},
            "access": "Proxy",
            "proxy": {"models": ["claude-haiku-*"]},
        })
    };
    for allowed in ["claude-haiku-4-5[1m]", "haiku", "$(MODEL)"] {
        assert!(compilation(spec(allowed)).result.is_ok(), "{allowed}");
    }
    let errors = compilation(spec("claude-opus-4-8")).result.unwrap_err().errors;
    let fields: Vec<&str> = errors.0.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["spec.agents[0].env[0].value", "spec.env[0].value"], "{errors}");
    assert!(
        errors
            .to_string()
            .contains("not allowed by proxy.models, which has claude-haiku-*")
    );
}

#[test]
fn a_port_of_the_broker_that_a_preset_has_with_its_own_command_is_refused_by_the_presets_name() {
    let errors = compilation(json!({
        "identity": {"serviceAccountKey": {"secretName": "key", "key": "key.json"}},
        "access": "Metadata",
        "broker": {"metadataPort": 8090},
        "sidecars": [{"preset": "github", "port": 8090, "credential": {"secret": {"secretName": "s"}}}],
    }));
    let errors = errors.result.unwrap_err().errors.to_string();
    assert!(
        errors.contains("8090 is the port of sidecar \"github\" already"),
        "{errors}"
    );
}

#[test]
fn the_operators_image_for_a_preset_has_the_form_of_one() {
    for image in ["example.com/../mcp:1", "example.com/mcp", "example.com/a@b:1"] {
        let mut operator = operator();
        operator.preset_images.insert(Preset::ALL[0], image.to_owned());
        let spec = json!({"sidecars": [{"preset": Preset::ALL[0], "credential": {"secret": {"secretName": "s"}}}]});
        let spec: PolicySpec = serde_json::from_value(spec).unwrap();
        let errors = policy::compile(&spec, None, &operator)
            .result
            .unwrap_err()
            .errors
            .to_string();
        assert!(
            errors.contains("spec.sidecars[0].image") && errors.contains("(presetImages)"),
            "{errors}"
        );
    }
}

#[test]
fn an_unusable_policy_still_says_which_pods_it_selects() {
    let wrong = compilation(json!({"agents": [{"serviceAccounts": ["agent"]}], "env": [{"name": "A"}]}));
    let unusable = wrong.result.unwrap_err();
    assert!(unusable.pods[0].contain(|_| None, "agent"));
    assert!(!unusable.pods[0].contain(|_| None, "other"));
}

#[test]
fn every_preset_listens_on_loopback_only_and_on_the_port_that_it_is_given() {
    for &preset in Preset::ALL {
        let command = sidecar(preset, &json!({})).command.at(9999).join(" ");
        assert!(
            command.contains(" 127.0.0.1 ") && command.contains("--port 9999"),
            "{command}"
        );
        assert!(!command.contains("{port}"), "{command}");
    }
}

#[test]
fn names_ports_and_keys_of_presets_differ() {
    let all: Vec<_> = Preset::ALL.iter().map(|&preset| sidecar(preset, &json!({}))).collect();
    let names: BTreeSet<&str> = all.iter().map(|sidecar| sidecar.name.as_str()).collect();
    let keys: BTreeSet<&str> = all.iter().filter_map(|sidecar| sidecar.mcp_key.as_deref()).collect();
    let ports: BTreeSet<u16> = Preset::ALL.iter().map(|preset| preset.known().port).collect();
    assert_eq!((names.len(), keys.len(), ports.len()), (5, 5, 5));
}

#[test]
fn every_preset_hands_its_server_the_credential() {
    for &preset in Preset::ALL {
        let known = preset.known();
        assert!(!known.variables.is_empty() || !known.files.is_empty(), "{preset:?}");
        for (path, _) in known.files {
            let named = known.env.iter().any(|(_, value)| path.starts_with(value));
            assert!(
                named || known.command_at(1).iter().any(|part| part == path),
                "{preset:?} {path}"
            );
        }
    }
}

#[test]
fn a_port_moves_only_where_the_command_can_be_told() {
    let preset = sidecar(Preset::Github, &json!({}));
    assert!(matches!(preset.port, Listen::From(port) if port.number() == 8480));
    let own = sidecar(Preset::Github, &json!({"command": ["server"]}));
    assert!(matches!(own.port, Listen::At(port) if port.number() == 8480));
}
