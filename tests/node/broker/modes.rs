//! An agent of every mode asks a model; who it is to Google, and what is on its disk.

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::world::{ACCESS, Access, BROKER, PATIENCE, Told, asking, google, namespace_of, until_told};
use crate::container::Container;
use crate::fake_google::{PROVIDER, SERVICE_ACCOUNT};
use crate::installed::{Agents, WELL, node};
use crate::token::claims;

const NAMESPACE: &str = "broker-modes";

/// One agent of each mode, side by side in a namespace of the strictest kind.
fn agents() -> Option<&'static Agents<'static>> {
    static AGENTS: LazyLock<Option<Agents<'static>>> = LazyLock::new(|| {
        let (node, _) = (node()?, google()?);
        let _well = WELL.read();
        let restricted = [("pod-security.kubernetes.io/enforce", "restricted")];
        let agents = namespace_of(node, NAMESPACE, &restricted, Some(SERVICE_ACCOUNT));
        let pods: Vec<Value> = ACCESS.iter().map(|access| asking(access.name(), *access)).collect();
        agents.create(&json!({"apiVersion": "v1", "kind": "List", "items": pods}));
        for access in ACCESS {
            agents.until_ready(&pod(access));
        }
        Some(agents)
    });
    AGENTS.as_ref()
}

fn pod(access: Access) -> String {
    format!("pod/{}", access.name())
}

#[test]
fn an_agent_of_every_mode_in_a_restricted_namespace_with_quota_and_limits_gets_an_answer_of_a_model() {
    let (Some(agents), Some(google)) = (agents(), google()) else {
        return;
    };
    let _well = WELL.read();
    for (access, credential, base) in [
        (
            Access::File,
            "external_account",
            "https://us-east5-aiplatform.googleapis.com/v1",
        ),
        (
            Access::Metadata,
            "metadata",
            "https://us-east5-aiplatform.googleapis.com/v1",
        ),
        (Access::Proxy, "metadata", "http://127.0.0.1:8471/v1"),
    ] {
        let told = until_told(agents, &pod(access), &Told::nothing(), PATIENCE, Told::has_answer);
        let answer = told.answers().remove(0);
        assert_eq!(
            (&answer["credential"], &answer["base"]),
            (&json!(credential), &json!(base))
        );
        assert_eq!(answer["text"], "Hello from Vertex AI.");
    }

    // From the identity token, which this cluster has signed for that pod, to the model: each token is that of the step before.
    let journal = google.journal();
    let good = |service: &str| {
        let service = service.to_owned();
        journal
            .iter()
            .filter(move |line| line["service"] == *service && line["status"] == 200)
    };
    for access in ACCESS {
        let of_pod = |line: &&Value| line["claims"]["namespace"] == NAMESPACE && line["claims"]["pod"] == access.name();
        let exchanged: Vec<&Value> = good("sts").filter(of_pod).collect();
        for line in &exchanged {
            assert_eq!(line["claims"]["aud"], of_google());
            assert_eq!(
                line["claims"]["sub"],
                format!("system:serviceaccount:{NAMESPACE}:default")
            );
        }
        let with = |tokens: &[&Value]| {
            tokens
                .iter()
                .map(|line| line["token_sha256"].clone())
                .collect::<Vec<_>>()
        };
        let tokens = with(&exchanged);
        let impersonated: Vec<&Value> = good("iamcredentials")
            .filter(|line| tokens.contains(&line["bearer_sha256"]))
            .collect();
        let tokens = with(&impersonated);
        let asked = good("aiplatform").find(|line| tokens.contains(&line["bearer_sha256"]));
        let asked = asked.unwrap_or_else(|| panic!("{access:?} has asked no model with its own tokens"));
        assert_eq!(asked["principal"], SERVICE_ACCOUNT);
    }
}

/// The audiences of all tokens in a container.
#[track_caller]
fn audiences(container: &Container) -> Vec<Value> {
    let held = container.tokens_on_disk();
    let mut audiences: Vec<Value> = held.iter().map(|held| claims(&held.token)["aud"].clone()).collect();
    audiences.sort_by_key(ToString::to_string);
    audiences
}

#[track_caller]
fn mounts_of_ours(container: &Container) -> Vec<String> {
    let mounts = container.mount_points();
    mounts
        .into_iter()
        .filter(|point| point.contains("vertex-injector"))
        .collect()
}

fn of_google() -> Value {
    json!([format!("https://iam.googleapis.com/{PROVIDER}")])
}

fn of_api_server() -> Value {
    json!(["https://kubernetes.default.svc"])
}

#[test]
fn with_a_broker_the_agent_has_no_identity_token_on_its_disk_and_the_broker_has_that_alone() {
    let Some(agents) = agents() else { return };
    let _well = WELL.read();
    for access in [Access::Metadata, Access::Proxy] {
        let agent = Container::of(agents, &pod(access), "agent");
        // That of its ServiceAccount, as every container of a user has it.
        assert_eq!(audiences(&agent), [of_api_server()], "{access:?}");
        assert_eq!(mounts_of_ours(&agent), [""; 0], "{access:?}");

        let broker = Container::of(agents, &pod(access), BROKER);
        assert_eq!(audiences(&broker), [of_google()], "{access:?}");
    }
}

#[test]
fn with_a_file_the_agent_has_its_own_identity_token_and_there_is_no_broker() {
    let Some(agents) = agents() else { return };
    let _well = WELL.read();
    let agent = Container::of(agents, &pod(Access::File), "agent");
    assert_eq!(audiences(&agent), [of_google(), of_api_server()]);
    assert_eq!(mounts_of_ours(&agent), ["/var/run/secrets/vertex-injector"]);
    let spec = &agents.get(&[&pod(Access::File)])["spec"];
    assert_eq!(spec["initContainers"], Value::Null);
    assert_eq!(spec["containers"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_pod_beside_them_that_opted_out_or_is_no_agent_is_left_as_it_is() {
    let Some(agents) = agents() else { return };
    let _well = WELL.read();
    let mut out = super::world::pod("opted-out", Access::Metadata, "true");
    out["metadata"]["labels"] = json!({"vertex-injector.dev/inject": "false"});
    out["metadata"]["annotations"] = json!({});
    let mut none = super::world::pod("no-agent", Access::Metadata, "true");
    none["metadata"]["labels"] = json!({});
    none["metadata"]["annotations"] = json!({});
    for (pod, label) in [(out, "vertex-injector.dev/inject"), (none, "nothing of ours")] {
        let name = format!("pod/{}", pod["metadata"]["name"].as_str().expect("a name"));
        agents.create(&pod);
        let admitted = agents.get(&[&name]).to_string().replace(label, "");
        assert!(!admitted.contains("vertex-injector"), "{admitted}");
        agents.kubectl(&[
            "wait",
            "--for=jsonpath={.status.phase}=Succeeded",
            &name,
            "--timeout=30s",
        ]);
    }
}
