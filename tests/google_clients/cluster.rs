//! Tokens of a real kube-apiserver, judged by Google's rules: by signature, issuer, audience and time against the keys that this
//! cluster publishes. What Google says no to, the broker tells the agent in Google's words and the operator in a line of its log.

use std::sync::LazyLock;

use super::*;
use crate::brokered::{Brokered, metadata_on};
use harness::google::broker::Broker;
use harness::kube::ControlPlane;
use harness::process::or_explain;

/// One for all tests here; each takes tokens and leaves nothing. It ends with this process.
static CLUSTER: LazyLock<Option<ControlPlane>> = LazyLock::new(|| {
    let cluster = or_explain(ControlPlane::start_own())?;
    cluster.create_namespace("team-a", &[]);
    cluster.kubectl(&["--namespace=team-a", "create", "serviceaccount", "agent"]);
    cluster.apply(
        "{apiVersion: v1, kind: Pod, metadata: {name: agent-0, namespace: team-a},
          spec: {serviceAccountName: agent, containers: [{name: agent, image: agent}]}}",
    );
    Some(cluster)
});

/// A real cluster and a Google that an administrator has told about it.
struct Real {
    cluster: &'static ControlPlane,
    google: GoogleSandbox,
    issuer: String,
}

fn real() -> Option<Real> {
    let cluster = CLUSTER.as_ref()?;
    let issuer = published(cluster, "/.well-known/openid-configuration")["issuer"]
        .as_str()
        .expect("an issuer")
        .to_owned();
    let google = google_for(cluster, &issuer)?;
    Some(Real {
        cluster,
        google,
        issuer,
    })
}

fn google_for(cluster: &ControlPlane, issuer: &str) -> Option<GoogleSandbox> {
    GoogleSandbox::start(&FakeConfig {
        issuer: issuer.to_owned(),
        provider: PROVIDER.to_owned(),
        jwks: published(cluster, "/openid/v1/jwks"),
        ..FakeConfig::default()
    })
}

/// What the API server tells anybody who federates with it.
fn published(cluster: &ControlPlane, path: &str) -> Value {
    serde_json::from_str(&cluster.kubectl(&["get", "--raw", path])).expect("JSON")
}

impl Real {
    /// A token for the ServiceAccount `agent` in its pod, by TokenRequest: what the kubelet asks for.
    fn token(&self, audience: &str) -> String {
        let bound = [
            "--bound-object-kind=Pod",
            "--bound-object-name=agent-0",
            "--duration=1h",
        ];
        let options = ["--namespace=team-a", "create", "token", "agent", "--audience", audience];
        let token = self.cluster.kubectl(&[&options[..], &bound].concat());
        token.trim().to_owned()
    }

    /// Claims that the cluster's own key signs, but that its API server would not.
    fn forged(&self, change: impl FnOnce(&mut Value)) -> String {
        let supervisor = self.cluster.supervisor().expect("a cluster of ours");
        let key = supervisor.path("DIR").join("pki/sa.key");
        let keys = published(self.cluster, "/openid/v1/jwks");
        let id = keys["keys"][0]["kid"].as_str().expect("a key's name");
        let mut claims = claims(&self.issuer, TOKEN_AUDIENCE, "team-a", "agent");
        change(&mut claims);
        Issuer::of_file(&key, id).sign(&claims)
    }
}

/// A pod in `access: Metadata` whose token is `token`, on a port of its own.
#[track_caller]
fn broker_on(google: &GoogleSandbox, port: u16, token: &str) -> (InjectedPod, Broker) {
    let Brokered { agent, broker } = metadata_on(port, token);
    (agent, google.start_broker(&broker))
}

/// Status and body of a request for a token, as the agent sees them.
#[track_caller]
fn asked(google: &GoogleSandbox, agent: &InjectedPod) -> (u64, String) {
    const SCRIPT: &str = r#"
import json, os, requests
response = requests.get(
    "http://" + os.environ["GCE_METADATA_HOST"] + "/computeMetadata/v1/instance/service-accounts/default/token",
    headers={"metadata-flavor": "Google"},
    timeout=20,
)
print(json.dumps([response.status_code, "(a token)" if response.ok else response.text]))
"#;
    let answer = came_back(&google.run_python(agent, &["-c", SCRIPT]));
    let body = answer[1].as_str().expect("a body").to_owned();
    (answer[0].as_u64().expect("a status"), body)
}

/// The broker with this token: what the agent is told, and that the operator finds it in one line.
#[track_caller]
fn refusal(google: &GoogleSandbox, port: u16, token: &str) -> String {
    let (agent, broker) = broker_on(google, port, token);
    let (status, body) = asked(google, &agent);
    assert_eq!(status, 403, "{body}");
    // Asked again, Google is not: the refusal is remembered, and told once.
    assert_eq!(asked(google, &agent), (403, body.clone()));

    let log = broker.log();
    let lines: Vec<&Value> = log.iter().filter(|line| line["level"] == "ERROR").collect();
    let [line] = lines.as_slice() else {
        panic!("not one line: {log:#?}");
    };
    assert_eq!(line["message"], "token refused");
    assert_eq!(line["hop"], "token exchange");
    let detail = line["detail"].as_str().expect("what Google said");
    assert_eq!(body, format!("token exchange: {detail}"));
    let advice = line["advice"].as_str().expect("what to check");
    for thing in ["audience", "issuer", "keys", "attribute condition"] {
        assert!(advice.contains(thing), "{advice}");
    }
    let text = broker.text();
    for part in token.split('.') {
        assert!(!text.contains(part), "a part of the token in the log");
        assert!(!body.contains(part), "a part of the token in the answer");
    }
    detail.to_owned()
}

#[test]
fn a_token_of_the_cluster_for_the_policys_audience_becomes_a_model_answer() {
    let Some(real) = real() else { return };
    let token = real.token(TOKEN_AUDIENCE);
    let (agent, _broker) = broker_on(&real.google, 8470, &token);
    let answer = came_back(
        &real
            .google
            .run_client(&agent, "anthropic_vertex.py", &["claude-of-python"]),
    );
    assert_eq!(answer["message"], "Hello from Vertex AI.");

    let journal = real.google.journal();
    let exchange = &journal[0];
    assert_eq!(exchange["operation"], "token", "{journal:#?}");
    assert_eq!(exchange["claims"]["iss"], real.issuer.as_str());
    assert_eq!(exchange["claims"]["aud"], json!([TOKEN_AUDIENCE]));
    assert_eq!(exchange["claims"]["sub"], "system:serviceaccount:team-a:agent");
    assert_eq!(exchange["claims"]["pod"], "agent-0");
    assert_eq!(exchange["principal"], PRINCIPAL);
    for call in &journal[1..] {
        assert_eq!(call["bearer_sha256"], exchange["token_sha256"], "{call:#}");
        assert_eq!(call["status"], 200, "{call:#}");
    }
    assert_eq!(journal.len(), 4, "{journal:#?}");
}

#[test]
fn what_google_refuses_is_told_in_its_words() {
    let Some(real) = real() else { return };
    let now = now();
    let good = real.token(TOKEN_AUDIENCE);
    let other_cluster = Issuer::new("other-cluster").sign(&claims(&real.issuer, TOKEN_AUDIENCE, "team-a", "agent"));
    let cases = [
        (
            real.token("https://kubernetes.default.svc.cluster.local"),
            format!(
                "The audience in ID Token [https://kubernetes.default.svc.cluster.local] does not match the expected audience {TOKEN_AUDIENCE}."
            ),
        ),
        (
            real.forged(|claims| claims["iss"] = json!("https://other.example")),
            format!(
                "The issuer in ID Token https://other.example does not match the expected one: {}.",
                real.issuer
            ),
        ),
        (
            real.forged(|claims| {
                claims["iat"] = json!(now - 7200);
                claims["exp"] = json!(now - 3600);
            }),
            "The ID Token expired 36".to_owned(),
        ),
        (
            tampered(&good),
            "The signature of the ID Token does not verify with the issuer's key".to_owned(),
        ),
        (
            other_cluster,
            "The ID Token was signed with the key other-cluster, which is not one of the issuer's.".to_owned(),
        ),
    ];
    // Each in a pod of its own, all at the same time; the port tells them apart.
    std::thread::scope(|scope| {
        for (port, (token, expected)) in (8470..).zip(&cases) {
            let google = &real.google;
            scope.spawn(move || {
                let detail = refusal(google, port, token);
                let expected = format!("status 400: invalid_grant: {expected}");
                assert!(detail.starts_with(&expected), "{detail}\nis not\n{expected}");
            });
        }
    });
    let journal = real.google.journal();
    assert_eq!(journal.len(), cases.len(), "{journal:#?}");
    assert!(journal.iter().all(|entry| entry["status"] == 400), "{journal:#?}");
}

#[test]
fn a_token_of_the_cluster_is_refused_where_the_provider_has_another_issuer() {
    let Some(cluster) = CLUSTER.as_ref() else { return };
    let Some(google) = google_for(cluster, "https://gitlab.example") else {
        return;
    };
    let real = Real {
        cluster,
        google,
        issuer: String::new(),
    };
    let detail = refusal(&real.google, 8470, &real.token(TOKEN_AUDIENCE));
    assert!(
        detail.ends_with("does not match the expected one: https://gitlab.example."),
        "{detail}"
    );
}

#[test]
fn clients_show_why_google_refused_the_brokers_token() {
    let Some(real) = real() else { return };
    let (agent, _broker) = broker_on(&real.google, 8470, &real.token("https://other.example"));
    let expected = "The audience in ID Token [https://other.example] does not match the expected audience";
    std::thread::scope(|scope| {
        for (client, model) in [
            ("google_auth_token.py", ""),
            ("google_auth_library.mjs", ""),
            ("anthropic_vertex.py", "claude-of-python"),
            ("anthropic_vertex.mjs", "claude-of-node"),
            ("google_genai.py", "gemini-of-python"),
            ("google_genai.mjs", "gemini-of-node"),
        ] {
            let (google, agent) = (&real.google, &agent);
            scope.spawn(move || {
                let ran = google.run_client(agent, client, &[model]);
                assert!(ran.error().contains(expected), "{client}: {}", ran.error());
            });
        }
    });
}

/// The same token, with one character of its signature changed.
fn tampered(token: &str) -> String {
    let (rest, signature) = token.rsplit_once('.').expect("a JWT");
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let others: String = signature.chars().skip(1).collect();
    format!("{rest}.{first}{others}")
}
