//! Design 4, "settings, not variables": one value per setting, in every variable that the clients read.

use serde_json::json;
use support::{Admission, World, agent_with};
use vertex_injector_core::admission::Reason;

fn world(vertex: &str, rest: &str) -> World {
    World::serving_under(
        "endpointHosts: [psc.my-company.example]",
        &format!(
            "  agents: [{{podSelector: {{}}}}]
  vertex: {{project: my-project, region: us-east5, {vertex}}}
  identity: {{workloadIdentityFederation: {{provider: projects/1/locations/global/workloadIdentityPools/pool/providers/prov}}}}
{rest}"
        ),
    )
}

/// What the client's variables say, those for credentials and hardening left out.
#[track_caller]
fn seen(admission: &Admission) -> Vec<(String, String)> {
    let agent = admission.injected().container("agent");
    let rest = [
        "GOOGLE_APPLICATION_CREDENTIALS",
        "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
    ];
    let names = agent.names().into_iter().filter(|name| !rest.contains(name));
    names.map(|name| (name.to_owned(), agent.seen(name))).collect()
}

#[track_caller]
fn sees(admission: &Admission, expected: &[(&str, &str)]) {
    let mut expected: Vec<(String, String)> = expected
        .iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect();
    let mut seen = seen(admission);
    expected.sort();
    seen.sort();
    assert_eq!(seen, expected);
}

#[test]
fn each_client_gets_exactly_the_variables_that_it_reads() {
    let hardening = [
        ("CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST", "1"),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("DISABLE_AUTOUPDATER", "1"),
    ];
    let claude = [
        ("CLAUDE_CODE_USE_VERTEX", "1"),
        ("ANTHROPIC_VERTEX_PROJECT_ID", "my-project"),
        ("CLOUD_ML_REGION", "us-east5"),
    ];
    let claude = [claude.as_slice(), &hardening].concat();
    let of_client: [(&str, Vec<(&str, &str)>); 8] = [
        ("ClaudeCode", claude.clone()),
        (
            "GoogleGenAI",
            vec![
                ("GOOGLE_GENAI_USE_VERTEXAI", "true"),
                ("GOOGLE_CLOUD_LOCATION", "us-east5"),
            ],
        ),
        (
            "LiteLLM",
            vec![("VERTEXAI_PROJECT", "my-project"), ("VERTEXAI_LOCATION", "us-east5")],
        ),
        (
            "AISDK",
            vec![
                ("GOOGLE_VERTEX_PROJECT", "my-project"),
                ("GOOGLE_VERTEX_LOCATION", "us-east5"),
            ],
        ),
        (
            "OpenCode",
            vec![
                ("GOOGLE_CLOUD_LOCATION", "us-east5"),
                ("GOOGLE_VERTEX_LOCATION", "us-east5"),
            ],
        ),
        (
            "Goose",
            vec![("GCP_PROJECT_ID", "my-project"), ("GCP_LOCATION", "us-east5")],
        ),
        ("Ambient", [claude.as_slice(), &[("USE_VERTEX", "1")]].concat()),
        (
            "Kartograph",
            [
                claude.as_slice(),
                &[
                    ("VERTEXAI_LOCATION", "us-east5"),
                    ("CLOUDSDK_CONFIG", "/tmp/gcloud"),
                    ("HOME", "/tmp"),
                ],
            ]
            .concat(),
        ),
    ];
    for (client, variables) in of_client {
        let admission = world(&format!("clients: [{client}]"), "").admit(&agent_with("[]"));
        let all = [variables.as_slice(), &[("GOOGLE_CLOUD_PROJECT", "my-project")]].concat();
        sees(&admission, &all);
    }
}

#[test]
fn models_regions_of_models_and_quota_reach_the_variables_of_the_chosen_clients_only() {
    let vertex = "clients: [ClaudeCode, GoogleGenAI, Goose], quotaProject: quota-project, modelRegions: {HAIKU_4_5: europe-west1},
        models: {default: m-default, opus: m-opus, sonnet: m-sonnet, haiku: m-haiku}";
    let agent_of = world(vertex, "").admit(&agent_with("[]"));
    let agent = agent_of.injected().container("agent");
    for (name, value) in [
        ("ANTHROPIC_MODEL", "m-default"),
        ("GEMINI_MODEL", "m-default"),
        ("GOOSE_MODEL", "m-default"),
        ("ANTHROPIC_DEFAULT_OPUS_MODEL", "m-opus"),
        ("ANTHROPIC_DEFAULT_SONNET_MODEL", "m-sonnet"),
        ("ANTHROPIC_DEFAULT_HAIKU_MODEL", "m-haiku"),
        ("VERTEX_REGION_CLAUDE_HAIKU_4_5", "europe-west1"),
        ("GOOGLE_CLOUD_QUOTA_PROJECT", "quota-project"),
    ] {
        assert_eq!(agent.env(name), value);
    }
    agent.lacks(&["LLM_MODEL_VERTEX_ID"]);
    assert_eq!(
        agent_of.injected().credential_configuration()["quota_project_id"],
        "quota-project"
    );
    let ambient = world("clients: [Ambient], models: {default: m-default}", "").admit(&agent_with("[]"));
    assert_eq!(
        ambient.injected().container("agent").env("LLM_MODEL_VERTEX_ID"),
        "m-default"
    );
}

#[test]
fn a_setting_that_no_chosen_client_reads_makes_the_policy_unusable_with_those_that_do() {
    let admission = world(
        "clients: [LiteLLM], models: {opus: m}, modelRegions: {HAIKU_4_5: us-east5}",
        "",
    )
    .admit(&agent_with("[]"));
    let message = admission.denied(Reason::PolicyUnusable);
    for part in [
        "spec.vertex.models.opus",
        "ClaudeCode",
        "spec.vertex.modelRegions",
        "VERTEX_REGION_CLAUDE_",
    ] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
}

#[test]
fn a_private_endpoint_is_written_as_each_client_wants_it() {
    let vertex = "clients: [ClaudeCode, GoogleGenAI, LiteLLM], endpoint: 'https://psc.my-company.example'";
    let admission = world(vertex, "").admit(&agent_with("[]"));
    let agent = admission.injected().container("agent");
    assert_eq!(
        agent.env("ANTHROPIC_VERTEX_BASE_URL"),
        "https://psc.my-company.example/v1"
    );
    assert_eq!(agent.env("GOOGLE_VERTEX_BASE_URL"), "https://psc.my-company.example");
    assert_eq!(agent.env("VERTEXAI_API_BASE"), "https://psc.my-company.example");
}

#[test]
fn a_kept_value_becomes_the_value_of_every_variable_of_its_setting() {
    let clients = "clients: [ClaudeCode, GoogleGenAI, LiteLLM, AISDK, OpenCode, Goose]";
    for name in [
        "GOOGLE_CLOUD_PROJECT",
        "ANTHROPIC_VERTEX_PROJECT_ID",
        "VERTEXAI_PROJECT",
        "GCLOUD_PROJECT",
        "GCP_PROJECT",
    ] {
        let admission = world(clients, "").admit(&agent_with(&format!("[{{name: {name}, value: own-project}}]")));
        let agent = admission.injected().container("agent");
        for other in [
            "GOOGLE_CLOUD_PROJECT",
            "ANTHROPIC_VERTEX_PROJECT_ID",
            "VERTEXAI_PROJECT",
            "GOOGLE_VERTEX_PROJECT",
            "GCP_PROJECT_ID",
        ] {
            assert_eq!(agent.seen(other), "own-project", "{other} from {name}");
        }
        assert_eq!(agent.seen("CLOUD_ML_REGION"), "us-east5");
    }
}

#[test]
fn a_kept_reference_is_passed_on_by_name_because_nobody_here_can_read_it() {
    let own = "[{name: CLOUD_ML_REGION, valueFrom: {configMapKeyRef: {name: c, key: region}}}]";
    let admission = world("clients: [ClaudeCode, LiteLLM]", "").admit(&agent_with(own));
    let agent = admission.injected().container("agent");
    assert_eq!(agent.env("VERTEXAI_LOCATION"), "$(CLOUD_ML_REGION)");
    assert!(agent.entry("CLOUD_ML_REGION").get("valueFrom").is_some());
}

#[test]
fn a_kept_value_that_stands_behind_a_blank_variable_is_still_found_by_it() {
    let own = "[{name: ANTHROPIC_VERTEX_PROJECT_ID, value: ''}, {name: GOOGLE_CLOUD_PROJECT, value: own-project}]";
    let admission = world("clients: [ClaudeCode]", "").admit(&agent_with(own));
    assert_eq!(
        admission
            .injected()
            .container("agent")
            .seen("ANTHROPIC_VERTEX_PROJECT_ID"),
        "own-project"
    );
}

#[test]
fn values_with_dollars_in_them_survive_being_passed_on() {
    let own = "[{name: GOOGLE_CLOUD_PROJECT, value: 'a$$(b)-$c'}]";
    let admission = world("clients: [ClaudeCode]", "").admit(&agent_with(own));
    let agent = admission.injected().container("agent");
    assert_eq!(
        agent.seen("ANTHROPIC_VERTEX_PROJECT_ID"),
        agent.seen("GOOGLE_CLOUD_PROJECT")
    );
}

#[test]
fn two_different_values_for_one_setting_are_refused_with_both_names() {
    let own =
        "[{name: GOOGLE_CLOUD_PROJECT, value: one-project}, {name: ANTHROPIC_VERTEX_PROJECT_ID, value: two-project}]";
    let denied = world("clients: [ClaudeCode]", "").admit(&agent_with(own));
    let message = denied.denied(Reason::Conflict);
    for part in [
        "GOOGLE_CLOUD_PROJECT",
        "ANTHROPIC_VERTEX_PROJECT_ID",
        "vertex.project",
        "conflicts.values: Override",
        "\"agent\"",
    ] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
    assert!(
        !message.contains("one-project") && !message.contains("two-project"),
        "{message}"
    );
    let overridden = world("clients: [ClaudeCode]", "  conflicts: {values: Override}").admit(&agent_with(own));
    let agent = overridden.injected().container("agent");
    assert_eq!(
        (
            agent.env("GOOGLE_CLOUD_PROJECT"),
            agent.env("ANTHROPIC_VERTEX_PROJECT_ID")
        ),
        ("my-project", "my-project")
    );
}

#[test]
fn two_values_that_resolve_to_one_are_one() {
    let own = "[{name: BASE, value: own}, {name: GOOGLE_CLOUD_PROJECT, value: $(BASE)-project},
                {name: ANTHROPIC_VERTEX_PROJECT_ID, value: own-project}]";
    let admission = world("clients: [ClaudeCode]", "").admit(&agent_with(own));
    let agent = admission.injected().container("agent");
    assert_eq!(agent.env("GOOGLE_CLOUD_PROJECT"), "$(BASE)-project");
    assert_eq!(agent.seen("ANTHROPIC_VERTEX_PROJECT_ID"), "own-project");
}

#[test]
fn a_variable_that_no_chosen_client_reads_is_no_value_of_the_setting() {
    let own = "[{name: GCP_PROJECT_ID, value: gooses-project}]";
    let admission = world("clients: [ClaudeCode]", "").admit(&agent_with(own));
    let agent = admission.injected().container("agent");
    assert_eq!(agent.env("GOOGLE_CLOUD_PROJECT"), "my-project");
    assert_eq!(agent.env("GCP_PROJECT_ID"), "gooses-project");
}

#[test]
fn a_variable_that_a_client_reads_before_ours_counts_and_is_overridden_too() {
    // Claude Code prefers GCLOUD_PROJECT to its own variable.
    let own = "[{name: GCLOUD_PROJECT, value: own-project}]";
    let kept = world("clients: [ClaudeCode]", "").admit(&agent_with(own));
    assert_eq!(
        kept.injected().container("agent").seen("ANTHROPIC_VERTEX_PROJECT_ID"),
        "own-project"
    );
    let overridden = world("clients: [ClaudeCode]", "  conflicts: {values: Override}").admit(&agent_with(own));
    assert_eq!(
        overridden.injected().container("agent").env("GCLOUD_PROJECT"),
        "my-project"
    );
    let denied = world("clients: [ClaudeCode]", "  conflicts: {values: Deny}").admit(&agent_with(own));
    assert!(denied.denied(Reason::Conflict).contains("GCLOUD_PROJECT"));
}

#[test]
fn an_optional_reference_cannot_be_relied_on() {
    let own = "[{name: CLOUD_ML_REGION, valueFrom: {configMapKeyRef: {name: c, key: region, optional: true}}}]";
    let denied = world("clients: [ClaudeCode, LiteLLM]", "").admit(&agent_with(own));
    let message = denied.denied(Reason::Conflict);
    assert!(
        message.contains("CLOUD_ML_REGION") && message.contains("optional"),
        "{message}"
    );
    let overridden = world("clients: [ClaudeCode]", "  conflicts: {values: Override}").admit(&agent_with(own));
    assert_eq!(
        overridden.injected().container("agent").env("CLOUD_ML_REGION"),
        "us-east5"
    );
}

#[test]
fn a_switch_that_says_off_is_believed_under_keep_whatever_the_clients() {
    for (client, switch) in [
        ("ClaudeCode", "CLAUDE_CODE_USE_VERTEX"),
        ("GoogleGenAI", "GOOGLE_GENAI_USE_VERTEXAI"),
        ("Ambient", "USE_VERTEX"),
    ] {
        for off in ["0", "false", "no", "off", "False"] {
            let own = agent_with(&format!("[{{name: {switch}, value: '{off}'}}]"));
            let kept = world(&format!("clients: [{client}]"), "").admit(&own);
            let message = kept.changes_nothing().skipped(Reason::VertexSwitchedOff);
            assert!(message.contains(switch), "{message}");
            let overridden = world(&format!("clients: [{client}]"), "  conflicts: {values: Override}").admit(&own);
            let value = overridden.injected().container("agent").env(switch).to_owned();
            assert!(["1", "true"].contains(&value.as_str()));
            let denied = world(&format!("clients: [{client}]"), "  conflicts: {values: Deny}").admit(&own);
            assert!(denied.denied(Reason::Conflict).contains(switch));
        }
    }
}

#[test]
fn a_switch_that_says_on_in_another_word_stays_as_it_is() {
    for on in ["1", "true", "TRUE"] {
        for rule in ["Keep", "Override", "Deny"] {
            let own = agent_with(&format!("[{{name: CLAUDE_CODE_USE_VERTEX, value: '{on}'}}]"));
            let admission = world("clients: [ClaudeCode]", &format!("  conflicts: {{values: {rule}}}")).admit(&own);
            assert_eq!(
                admission.injected().container("agent").env("CLAUDE_CODE_USE_VERTEX"),
                on
            );
        }
    }
}

#[test]
fn a_switch_is_read_as_its_client_reads_it() {
    // google-genai takes nothing but `true` and `1` for on, the Ambient runner no `on`.
    for (client, switch, word) in [
        ("GoogleGenAI", "GOOGLE_GENAI_USE_VERTEXAI", "yes"),
        ("GoogleGenAI", "GOOGLE_GENAI_USE_VERTEXAI", "on"),
        ("Ambient", "USE_VERTEX", "on"),
    ] {
        let own = agent_with(&format!("[{{name: {switch}, value: '{word}'}}]"));
        world(&format!("clients: [{client}]"), "")
            .admit(&own)
            .changes_nothing()
            .skipped(Reason::VertexSwitchedOff);
        let overridden = world(&format!("clients: [{client}]"), "  conflicts: {values: Override}").admit(&own);
        assert_ne!(overridden.injected().container("agent").env(switch), word);
    }
    let own = agent_with("[{name: CLAUDE_CODE_USE_VERTEX, value: 'on'}]");
    let admission = world("clients: [ClaudeCode]", "").admit(&own);
    assert_eq!(
        admission.injected().container("agent").env("CLAUDE_CODE_USE_VERTEX"),
        "on"
    );
}

#[test]
fn switches_that_contradict_each_other_or_cannot_be_read_are_refused() {
    let both = "[{name: CLAUDE_CODE_USE_VERTEX, value: '1'}, {name: USE_VERTEX, value: '0'}]";
    let denied = world("clients: [Ambient]", "").admit(&agent_with(both));
    let message = denied.denied(Reason::Conflict);
    assert!(
        message.contains("CLAUDE_CODE_USE_VERTEX") && message.contains(" USE_VERTEX"),
        "{message}"
    );
    let unread = "[{name: USE_VERTEX, valueFrom: {configMapKeyRef: {name: c, key: k}}}]";
    let denied = world("clients: [Ambient]", "").admit(&agent_with(unread));
    let message = denied.denied(Reason::Conflict);
    assert!(
        message.contains("USE_VERTEX") && message.contains("valueFrom"),
        "{message}"
    );
}

#[test]
fn a_blank_variable_counts_as_absent() {
    let admission = world("clients: [ClaudeCode]", "  conflicts: {values: Deny}")
        .admit(&agent_with("[{name: CLOUD_ML_REGION, value: ' '}]"));
    assert_eq!(
        admission.injected().container("agent").env("CLOUD_ML_REGION"),
        "us-east5"
    );
}

#[test]
fn several_containers_are_settled_each_by_itself() {
    let mut two = agent_with("[{name: GOOGLE_CLOUD_PROJECT, value: own-project}]");
    two["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "second", "image": "s"}));
    two["metadata"]["annotations"] = json!({"vertex-injector.dev/containers": "agent,second"});
    let admission = world("clients: [ClaudeCode]", "").admit(&two);
    let pod = admission.injected();
    assert_eq!(
        pod.container("agent").seen("ANTHROPIC_VERTEX_PROJECT_ID"),
        "own-project"
    );
    assert_eq!(
        pod.container("second").seen("ANTHROPIC_VERTEX_PROJECT_ID"),
        "my-project"
    );
}
