//! Real clients call models in each mode, with no configuration but what a pod of the product has.

use std::collections::BTreeSet;

use super::*;
use crate::brokered::{Brokered, PLACEHOLDER, metadata, proxy};

/// A client with everything that it offers: a message whole and streamed, and a count of tokens.
struct Client {
    program: &'static str,
    arguments: &'static [&'static str],
    /// A model that no other client asks for: tells their requests apart.
    model: &'static str,
}

const CLIENTS: [Client; 4] = [
    Client {
        program: "anthropic_vertex.py",
        arguments: &[],
        model: "claude-of-python",
    },
    Client {
        program: "anthropic_vertex.mjs",
        arguments: &[],
        model: "claude-of-node",
    },
    Client {
        program: "google_genai.py",
        arguments: &["--explicit"],
        model: "gemini-of-python",
    },
    Client {
        program: "google_genai.mjs",
        arguments: &[],
        model: "gemini-of-node",
    },
];

impl Client {
    /// Makes all its calls, each of which has to be answered.
    #[track_caller]
    fn calls(&self, google: &GoogleSandbox, pod: &InjectedPod) {
        let arguments = [&[self.model][..], self.arguments].concat();
        let came_back = came_back(&google.run_client(pod, self.program, &arguments));
        assert_eq!(came_back["message"], "Hello from Vertex AI.", "{}", self.program);
        assert_eq!(came_back["usage"], 5, "{}", self.program);
        assert_eq!(
            came_back["stream"],
            json!(["Hello", " from", " Vertex", " AI", "."]),
            "{}",
            self.program
        );
        assert!(came_back["count"].as_u64() > Some(0), "{}: {came_back}", self.program);
    }

    /// What the fake received of it.
    fn received<'a>(&self, journal: &'a [Value]) -> Vec<&'a Value> {
        let is_ours = |entry: &&Value| {
            let parameters = &entry["parameters"];
            parameters["model"] == self.model || parameters["body_model"] == self.model
        };
        journal.iter().filter(is_ours).collect()
    }

    /// The three calls arrived, each once, in the policy's project and region, with a token that was issued here.
    #[track_caller]
    fn arrived(&self, journal: &[Value]) {
        let issued: BTreeSet<&str> = journal
            .iter()
            .filter_map(|entry| entry["token_sha256"].as_str())
            .collect();
        let received = self.received(journal);
        let operations: BTreeSet<&str> = received
            .iter()
            .filter_map(|entry| entry["operation"].as_str())
            .collect();
        let expected = if self.model.starts_with("claude-") {
            ["count-tokens:rawPredict", "rawPredict", "streamRawPredict"]
        } else {
            ["countTokens", "generateContent", "streamGenerateContent"]
        };
        assert_eq!(operations, BTreeSet::from(expected), "{}: {received:#?}", self.program);
        assert_eq!(received.len(), 3, "{}: {received:#?}", self.program);
        for entry in received {
            assert_eq!(entry["status"], 200, "{entry:#}");
            assert_eq!(entry["parameters"]["project"], "my-project", "{entry:#}");
            assert_eq!(entry["parameters"]["location"], "us-east5", "{entry:#}");
            assert_eq!(entry["principal"], PRINCIPAL, "{entry:#}");
            let bearer = entry["bearer_sha256"].as_str().expect("a bearer token");
            assert!(issued.contains(bearer), "{entry:#}");
        }
    }
}

/// All clients at the same time, as different agents would.
#[track_caller]
fn all_call(google: &GoogleSandbox, pod: &InjectedPod) -> Vec<Value> {
    std::thread::scope(|scope| {
        for client in &CLIENTS {
            scope.spawn(|| client.calls(google, pod));
        }
    });
    let journal = google.journal();
    for client in &CLIENTS {
        client.arrived(&journal);
    }
    journal
}

/// The operations that were asked for, without those of models.
fn others(journal: &[Value]) -> Vec<&str> {
    journal
        .iter()
        .filter(|entry| entry["service"] != "aiplatform")
        .map(|entry| entry["operation"].as_str().expect("an operation"))
        .collect()
}

#[test]
fn with_the_file_each_client_exchanges_the_pods_token_itself() {
    let Some(setting) = setting() else { return };
    let pod = injected_pod(Identity::Direct, &setting.good_token());
    let journal = all_call(&setting.google, &pod);

    let exchanges = others(&journal)
        .iter()
        .filter(|operation| **operation == "token")
        .count();
    assert!(exchanges >= CLIENTS.len(), "{exchanges} exchanges in {journal:#?}");
}

#[test]
fn through_the_metadata_server_all_clients_have_the_one_token_of_the_broker() {
    let Some(setting) = setting() else { return };
    let Brokered { agent, broker } = metadata(&setting.good_token());
    let broker = setting.google.start_broker(&broker);
    let journal = all_call(&setting.google, &agent);

    let exchange = only_exchange(&journal);
    for call in calls(&journal) {
        assert_eq!(call["bearer_sha256"], exchange["token_sha256"], "{call:#}");
    }
    assert!(!broker.text().contains("ya29."), "a token in the broker's log");
}

#[test]
fn through_the_proxy_vertex_sees_the_brokers_token_and_the_clients_never_do() {
    let Some(setting) = setting() else { return };
    let Brokered { agent, broker } = proxy(&setting.good_token());
    let broker = setting.google.start_broker(&broker);
    let journal = all_call(&setting.google, &agent);

    let exchange = only_exchange(&journal);
    let headers = [
        "accept",
        "accept-encoding",
        "anthropic-beta",
        "authorization",
        "content-length",
        "content-type",
    ];
    let headers = [
        &headers[..],
        &["user-agent", "x-goog-api-client", "x-vertex-ai-llm-request-type"],
    ]
    .concat();
    for call in calls(&journal) {
        assert_eq!(call["bearer_sha256"], exchange["token_sha256"], "{call:#}");
        assert_eq!(call["protocol"], "HTTP/2.0", "{call:#}");
        let sent = call["headers"]
            .as_array()
            .expect("names")
            .iter()
            .filter_map(Value::as_str);
        for header in sent {
            assert!(headers.contains(&header), "{header} in {call:#}");
        }
    }
    for client in ["google_auth_token.py", "google_auth_library.mjs"] {
        let answer = came_back(&setting.google.run_client(&agent, client, &[]));
        assert_eq!(answer["token"], PLACEHOLDER, "{client}");
    }
    // A line for each call; none has a token.
    let log = broker.log();
    let is_call = |line: &&Value| line["message"] == "model call" && line["model"].is_string();
    let lines: Vec<&Value> = log.iter().filter(is_call).collect();
    assert_eq!(lines.len(), calls(&journal).len(), "{lines:#?}");
    for line in lines {
        assert_eq!(line["outcome"], "Answered", "{line:#}");
        assert_eq!(line["status"], 200, "{line:#}");
    }
    assert!(!broker.text().contains("ya29."), "a token in the broker's log");
}

/// Python's google-genai follows no variable to the proxy. So it asks Google with what it has, which is worth nothing.
#[test]
fn a_client_that_goes_past_the_proxy_has_nothing_that_google_accepts() {
    let Some(setting) = setting() else { return };
    let Brokered { agent, broker } = proxy(&setting.good_token());
    setting.google.start_broker(&broker);
    let ran = setting
        .google
        .run_client(&agent, "google_genai.py", &["gemini-of-python"]);
    let error = ran.error();
    assert!(error.contains("ClientError: 401 UNAUTHENTICATED"), "{error}");

    let journal = setting.google.journal();
    let [call] = calls(&journal)[..] else {
        panic!("not one call: {journal:#?}");
    };
    assert_eq!(call["status"], 401);
    assert_eq!(call["bearer_sha256"], sha256(PLACEHOLDER));
}

#[test]
fn a_model_outside_the_policy_is_each_clients_own_error_with_our_message_at_once() {
    let Some(setting) = setting() else { return };
    let Brokered { agent, broker } = proxy(&setting.good_token());
    let broker = setting.google.start_broker(&broker);
    for (client, model, error) in [
        (
            &CLIENTS[0],
            "claude-forbidden",
            "anthropic.PermissionDeniedError: Error code: 403",
        ),
        (&CLIENTS[1], "claude-forbidden", "PermissionDeniedError: 403"),
        (
            &CLIENTS[2],
            "gemini-forbidden",
            "google.genai.errors.ClientError: 403 PERMISSION_DENIED",
        ),
        (&CLIENTS[3], "gemini-forbidden", "ApiError:"),
    ] {
        let before = denials(&broker.log());
        let arguments = [&[model][..], client.arguments].concat();
        let ran = setting.google.run_client(&agent, client.program, &arguments);
        let shown = ran.error();
        assert!(shown.contains(error), "{error:?} is not in:\n{shown}");
        assert!(shown.contains(&format!("model {model} is not allowed")), "{shown}");
        assert!(shown.contains("claude-of-*, gemini-of-*"), "{shown}");
        // Nobody tries again what will not change.
        assert_eq!(denials(&broker.log()), before + 1, "{}", client.program);
    }
    assert_eq!(calls(&setting.google.journal()).len(), 0);
}

/// Model calls that the proxy has denied.
fn denials(log: &[Value]) -> usize {
    log.iter()
        .filter(|line| line["message"] == "model call" && line["outcome"] == "Denied" && line["reason"] == "Model")
        .count()
}

fn calls(journal: &[Value]) -> Vec<&Value> {
    journal
        .iter()
        .filter(|entry| entry["service"] == "aiplatform")
        .collect()
}

/// The one exchange of the broker; nobody has asked Google for anything else but models.
#[track_caller]
fn only_exchange(journal: &[Value]) -> &Value {
    assert_eq!(others(journal), ["token"], "{journal:#?}");
    let exchange = journal.iter().find(|entry| entry["operation"] == "token");
    exchange.expect("an exchange")
}
