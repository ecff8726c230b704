//! Design 4 and 5: the three identities, the exact credential configuration, tokens.

use serde_json::{Value, json};
use support::view::list;
use support::{Provided, World, agent_with};
use vertex_injector_core::admission::Reason;

const OPERATOR: &str = "endpointHosts: [sts.my-company.example, 'iam.my-company.example:8443']";

fn world(identity: &str, rest: &str) -> World {
    World::serving_under(
        OPERATOR,
        &format!(
            "  agents: [{{podSelector: {{}}, serviceAccounts: [default]}}]
  identity: {identity}
{rest}"
        ),
    )
}

fn federation(more: &str) -> String {
    format!(
        "{{workloadIdentityFederation: {{provider: projects/42/locations/global/workloadIdentityPools/pool/providers/prov{more}}}}}"
    )
}

/// The file of gcloud's create-cred-config, in the order in which we write it.
fn expected() -> Value {
    json!({
        "universe_domain": "googleapis.com",
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/42/locations/global/workloadIdentityPools/pool/providers/prov",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "credential_source": {"file": "/var/run/secrets/vertex-injector/token", "format": {"type": "text"}},
    })
}

#[test]
fn direct_federation_writes_exactly_gclouds_file() {
    let admission = world(&federation(""), "").admit(&agent_with("[]"));
    let mut file = expected();
    file["token_info_url"] = "https://sts.googleapis.com/v1/introspect".into();
    assert_eq!(admission.injected().credential_configuration(), file);
}

#[test]
fn impersonation_replaces_the_introspection_and_may_have_a_lifetime() {
    let account = ", serviceAccount: agent@my-project.iam.gserviceaccount.com";
    let url = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/agent@my-project.iam.gserviceaccount.com:generateAccessToken";
    let mut file = expected();
    file["service_account_impersonation_url"] = url.into();
    let admission = world(&federation(account), "").admit(&agent_with("[]"));
    assert_eq!(admission.injected().credential_configuration(), file);
    file["service_account_impersonation"] = json!({"token_lifetime_seconds": 1800});
    let lifetime = format!("{account}, serviceAccountTokenLifetimeSeconds: 1800");
    let admission = world(&federation(&lifetime), "").admit(&agent_with("[]"));
    assert_eq!(admission.injected().credential_configuration(), file);
}

#[test]
fn endpoints_and_quota_project_reach_the_file() {
    let more = ", serviceAccount: agent@my-project.iam.gserviceaccount.com,
        endpoints: {sts: 'https://sts.my-company.example', iamCredentials: 'https://iam.my-company.example:8443'}";
    let vertex =
        "  vertex: {project: my-project, region: us-east5, clients: [ClaudeCode], quotaProject: quota-project}";
    let admission = world(&federation(more), vertex).admit(&agent_with("[]"));
    let mut file = expected();
    file["token_url"] = "https://sts.my-company.example/v1/token".into();
    file["service_account_impersonation_url"] =
        "https://iam.my-company.example:8443/v1/projects/-/serviceAccounts/agent@my-project.iam.gserviceaccount.com:generateAccessToken".into();
    file["quota_project_id"] = "quota-project".into();
    assert_eq!(admission.injected().credential_configuration(), file);
}

#[test]
fn a_host_that_nobody_allowed_receives_no_token() {
    for (field, url) in [
        ("sts", "https://sts.evil.example"),
        ("sts", "https://iam.my-company.example:8443.evil.example"),
        ("iamCredentials", "https://iam.my-company.example"),
        ("iamCredentials", "https://sts.googleapis.com"),
        ("sts", "https://sts.googleapis.com:8443"),
        ("sts", "https://sts.googleapis.com."),
    ] {
        let denied = world(&federation(&format!(", endpoints: {{{field}: '{url}'}}")), "").admit(&agent_with("[]"));
        let message = denied.denied(Reason::PolicyUnusable);
        assert!(message.contains(&format!("endpoints.{field}")), "{url}: {message}");
    }
}

#[test]
fn the_token_has_the_audience_and_the_lifetime_of_the_policy() {
    let provider = "projects/42/locations/global/workloadIdentityPools/pool/providers/prov";
    for (more, audience, expiration) in [
        ("", format!("https://iam.googleapis.com/{provider}"), 3600),
        (
            ", audience: sts.my-company.example, tokenExpirationSeconds: 600",
            "sts.my-company.example".to_owned(),
            600,
        ),
    ] {
        let admission = world(&federation(more), "").admit(&agent_with("[]"));
        let agent = admission.injected().container("agent");
        let (token, mode) = agent.file("/var/run/secrets/vertex-injector/token");
        assert_eq!((token, mode), (Provided::Token { audience, expiration }, 0o444));
        assert_eq!(agent.mount("/var/run/secrets/vertex-injector")["readOnly"], true);
    }
}

#[test]
fn variable_mount_and_file_name_the_same_directory() {
    let world = World::serving(
        "  agents: [{podSelector: {}, credentialDirectory: /srv/google}]
  identity: {workloadIdentityFederation: {provider: projects/42/locations/global/workloadIdentityPools/pool/providers/prov}}",
    );
    let admission = world.admit(&agent_with("[]"));
    let agent = admission.injected().container("agent");
    let file = agent.env("GOOGLE_APPLICATION_CREDENTIALS");
    assert_eq!(file, "/srv/google/application_default_credentials.json");
    assert!(matches!(agent.file(file).0, Provided::Text(_)));
    let token = admission.injected().credential_configuration()["credential_source"]["file"].clone();
    assert!(matches!(agent.file(token.as_str().unwrap()).0, Provided::Token { .. }));
}

#[test]
fn an_identity_without_vertex_brings_credentials_and_nothing_of_vertex() {
    let admission = world(&federation(""), "").admit(&agent_with("[{name: ANTHROPIC_API_KEY, value: k}]"));
    let agent = admission.injected().container("agent");
    assert_eq!(
        agent.added(),
        [
            "GOOGLE_APPLICATION_CREDENTIALS",
            "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE"
        ]
    );
    assert_eq!(
        agent.env("ANTHROPIC_API_KEY"),
        "k",
        "without Vertex a key is no conflict"
    );
}

#[test]
fn vertex_without_an_identity_is_unusable() {
    let world = World::serving(
        "  agents: [{podSelector: {}}]
  vertex: {project: my-project, region: us-east5, clients: [ClaudeCode]}",
    );
    let denied = world.admit(&agent_with("[]"));
    assert!(
        denied
            .denied(Reason::PolicyUnusable)
            .contains("spec.identity: vertex needs an identity")
    );
}

#[test]
fn a_key_is_mounted_from_its_secret_and_never_read() {
    let admission = world("{serviceAccountKey: {secretName: google-key, key: sa.json}}", "").admit(&agent_with("[]"));
    let pod = admission.injected();
    let agent = pod.container("agent");
    let (file, mode) = agent.file(agent.env("GOOGLE_APPLICATION_CREDENTIALS"));
    let (kind, name, key) = ("Secret", "google-key".to_owned(), "sa.json".to_owned());
    assert_eq!((file, mode), (Provided::Key { kind, name, key }, 0o444));
    assert_eq!(
        agent.env("CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE"),
        agent.env("GOOGLE_APPLICATION_CREDENTIALS")
    );
    assert_eq!(pod.annotation("vertex-injector.dev/credential-configuration"), None);
    let needs = &admission.decision.needs;
    assert_eq!(
        (needs.len(), needs[0].kind, needs[0].name.as_str()),
        (1, "Secret", "google-key")
    );
}

const GKE: &str = "{gkeWorkloadIdentity: {serviceAccount: agent@my-project.iam.gserviceaccount.com}}";
const VERTEX: &str = "  vertex: {project: my-project, region: us-east5, clients: [ClaudeCode]}";

#[test]
fn gke_workload_identity_needs_a_node_with_a_metadata_server_and_no_file() {
    let admission = world(GKE, VERTEX).admit(&agent_with("[]"));
    let pod = admission.injected();
    assert_eq!(
        pod.pod()["spec"]["nodeSelector"],
        json!({"iam.gke.io/gke-metadata-server-enabled": "true"})
    );
    let agent = pod.container("agent");
    agent.lacks(&[
        "GOOGLE_APPLICATION_CREDENTIALS",
        "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
    ]);
    assert_eq!(agent.env("GOOGLE_CLOUD_PROJECT"), "my-project");
    assert_eq!(list(&pod.pod()["spec"], "volumes").len(), 0);
    assert_eq!(pod.annotation("vertex-injector.dev/credential-configuration"), None);
}

#[test]
fn gke_workload_identity_adds_to_a_node_selector_and_denies_a_contradicting_one() {
    let mut own = agent_with("[]");
    own["spec"]["nodeSelector"] = json!({"disk": "ssd"});
    let admission = world(GKE, "").admit(&own);
    let expected = json!({"disk": "ssd", "iam.gke.io/gke-metadata-server-enabled": "true"});
    assert_eq!(admission.injected().pod()["spec"]["nodeSelector"], expected);
    own["spec"]["nodeSelector"]["iam.gke.io/gke-metadata-server-enabled"] = "false".into();
    let denied = world(GKE, "").admit(&own);
    assert!(
        denied
            .denied(Reason::Conflict)
            .contains("iam.gke.io/gke-metadata-server-enabled")
    );
}

#[test]
fn a_fence_around_the_metadata_server_contradicts_gke_workload_identity() {
    for fence in [
        "GCE_METADATA_HOST",
        "GCE_METADATA_IP",
        "GCE_METADATA_ROOT",
        "NO_GCE_CHECK",
        "METADATA_SERVER_DETECTION",
    ] {
        let fenced = agent_with(&format!("[{{name: {fence}, value: metadata.invalid}}]"));
        let denied = world(GKE, VERTEX).admit(&fenced);
        let message = denied.denied(Reason::Conflict);
        assert!(
            message.contains(fence) && message.contains("conflicts.values: Override"),
            "{message}"
        );
        let admission = world(GKE, &format!("{VERTEX}\n  conflicts: {{values: Override}}")).admit(&fenced);
        admission.injected().container("agent").lacks(&[fence]);
    }
}

#[test]
fn a_credential_file_of_the_pod_gives_way_to_gke_workload_identity_only_under_override() {
    let own = agent_with("[{name: GOOGLE_APPLICATION_CREDENTIALS, value: /creds/key.json}]");
    world(GKE, VERTEX)
        .admit(&own)
        .changes_nothing()
        .skipped(Reason::OwnCredentials);
    let admission = world(GKE, &format!("{VERTEX}\n  conflicts: {{values: Override}}")).admit(&own);
    admission
        .injected()
        .container("agent")
        .lacks(&["GOOGLE_APPLICATION_CREDENTIALS"]);
}

#[test]
fn other_credentials_of_the_pod_would_win_over_gke_workload_identity_too() {
    for name in [
        "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
        "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE",
        "VERTEXAI_CREDENTIALS",
        "google_application_credentials",
    ] {
        let own = agent_with(&format!("[{{name: {name}, value: /creds/key.json}}]"));
        let admission = world(GKE, &format!("{VERTEX}\n  conflicts: {{values: Override}}")).admit(&own);
        admission.injected().container("agent").lacks(&[name]);
        let denied = world(GKE, VERTEX).admit(&own).denied(Reason::Conflict).to_owned();
        assert!(denied.contains(name), "{denied}");
    }
}

#[test]
fn what_clients_prefer_to_the_policys_file_stays_goes_or_denies_as_values_do() {
    for name in ["CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", "VERTEXAI_CREDENTIALS"] {
        let own = agent_with(&format!("[{{name: {name}, value: /creds/key.json}}]"));
        let under =
            |rule: &str| world(&federation(""), &format!("{VERTEX}\n  conflicts: {{values: {rule}}}")).admit(&own);
        let kept = under("Keep");
        assert_eq!(kept.injected().container("agent").env(name), "/creds/key.json");
        let warnings = kept.decision.warnings.join("\n");
        assert!(warnings.contains(&format!("keeps its own {name}")), "{warnings}");
        under("Override").injected().container("agent").lacks(&[name]);
        let denied = under("Deny").denied(Reason::Conflict).to_owned();
        assert!(denied.contains(name), "{denied}");
    }
    let same = agent_with(
        "[{name: VERTEXAI_CREDENTIALS, value: /var/run/secrets/vertex-injector/application_default_credentials.json}]",
    );
    let admission = world(&federation(""), VERTEX).admit(&same);
    admission.injected();
    assert!(admission.decision.warnings.is_empty());
}

#[test]
fn gke_workload_identity_without_service_accounts_is_unusable() {
    let world = World::serving(&format!(
        "  agents: [{{podSelector: {{}}}}]
  identity: {GKE}"
    ));
    let denied = world.admit(&agent_with("[]"));
    let message = denied.denied(Reason::PolicyUnusable);
    assert!(
        message.contains("spec.identity.gkeWorkloadIdentity") && message.contains("serviceAccounts"),
        "{message}"
    );
}

#[test]
fn a_change_of_identity_leaves_nothing_of_the_old_one() {
    let federated = world(&federation(""), VERTEX).admit(&agent_with("[]")).after;
    let on_gke = world(GKE, VERTEX).admit(&federated);
    let fresh = world(GKE, VERTEX).admit(&agent_with("[]"));
    let rest = |pod: &Value| {
        let mut pod = pod.clone();
        // The pod had no such lists before; an injected one has empty ones.
        pod["spec"].as_object_mut().unwrap().shift_remove("volumes");
        let agent = pod["spec"]["containers"][0].as_object_mut().unwrap();
        agent.shift_remove("volumeMounts");
        agent["env"]
            .as_array_mut()
            .unwrap()
            .sort_by_key(|it| it["name"].to_string());
        pod
    };
    assert_eq!(rest(&on_gke.after), rest(&fresh.after));
    assert_eq!(list(&on_gke.after["spec"], "volumes").len(), 0);
    assert_eq!(list(&on_gke.after["spec"]["containers"][0], "volumeMounts").len(), 0);
}

#[test]
fn extra_tokens_are_projected_read_only_with_a_variable_that_names_the_file() {
    let world = World::serving(
        "  agents: [{podSelector: {}}]
  tokens:
    - {name: gateway, audience: openshell-gateway, expirationSeconds: 900, mountPath: /var/run/secrets/gateway, fileName: jwt, envName: GATEWAY_TOKEN_PATH}
    - {name: plain, audience: plain, mountPath: /srv/plain}",
    );
    let admission = world.admit(&agent_with("[]"));
    let pod = admission.injected();
    let agent = pod.container("agent");
    assert_eq!(agent.env("GATEWAY_TOKEN_PATH"), "/var/run/secrets/gateway/jwt");
    let (audience, expiration) = ("openshell-gateway".to_owned(), 900);
    assert_eq!(
        agent.file("/var/run/secrets/gateway/jwt"),
        (Provided::Token { audience, expiration }, 0o444)
    );
    let (audience, expiration) = ("plain".to_owned(), 3600);
    assert_eq!(
        agent.file("/srv/plain/token").0,
        Provided::Token { audience, expiration }
    );
    assert_eq!(agent.mount("/srv/plain")["readOnly"], true);
    pod.container("helper").unchanged();
    assert_eq!(
        agent.added(),
        ["GATEWAY_TOKEN_PATH"],
        "a policy with tokens only sets nothing of Vertex"
    );
}

#[test]
fn a_token_for_the_api_server_is_refused() {
    for audience in [
        "https://kubernetes.default.svc",
        "https://kubernetes.default.svc.cluster.local/",
        "api",
    ] {
        let world = World::serving(&format!(
            "  agents: [{{podSelector: {{}}}}]
  tokens: [{{name: t, audience: '{audience}', mountPath: /srv/t}}]"
        ));
        let denied = world.admit(&agent_with("[]"));
        assert!(
            denied
                .denied(Reason::PolicyUnusable)
                .contains("spec.tokens[0].audience")
        );
    }
}
