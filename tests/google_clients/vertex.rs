//! What the fake Vertex AI refuses, each time with one thing wrong in a request that it accepts otherwise.

use super::*;

/// Sends the requests of its argument with a token of the pod's: `[method, host, path, headers, body]` each. Prints status and
/// body of each answer.
const SCRIPT: &str = r#"
import json, sys
import google.auth, google.auth.transport.requests, requests
credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
credentials.refresh(google.auth.transport.requests.Request())
answers = []
for method, host, path, headers, body in json.loads(sys.argv[1]):
    headers = {name: value.replace("TOKEN", credentials.token) for name, value in headers.items()}
    response = requests.request(method, f"https://{host}{path}", headers=headers, data=json.dumps(body), timeout=20)
    answers.append([response.status_code, response.json()])
print(json.dumps(answers))
"#;

const HOST: &str = "us-east5-aiplatform.googleapis.com";
const PATH: &str =
    "/v1/projects/my-project/locations/us-east5/publishers/anthropic/models/claude-sonnet-4-5@20250929:rawPredict";

/// A request that is accepted: method, host, path, headers, body.
fn good() -> [Value; 5] {
    [
        json!("POST"),
        json!(HOST),
        json!(PATH),
        json!({"authorization": "Bearer TOKEN", "content-type": "application/json"}),
        json!({
            "anthropic_version": "vertex-2023-10-16",
            "max_tokens": 16,
            "messages": [{"role": "user", "content": "Hello"}],
        }),
    ]
}

/// The good request with another value in one of its five parts.
fn with(part: usize, value: Value) -> [Value; 5] {
    let mut request = good();
    request[part] = value;
    request
}

/// The good request with another header.
fn header(name: &str, value: &str) -> [Value; 5] {
    let mut request = good();
    request[3][name] = json!(value);
    request
}

#[test]
fn a_request_with_one_thing_wrong() {
    let Some(setting) = setting() else { return };
    let no_token = json!({"content-type": "application/json"});
    let mut with_model = good();
    with_model[4]["model"] = json!("claude-sonnet-4-5@20250929");
    let google = |status: u64, name: &str, message: &str| json!([status, name, message]);
    let cases = [
        (
            with(3, no_token),
            google(
                401,
                "UNAUTHENTICATED",
                "Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid authentication credential.",
            ),
        ),
        (
            header("authorization", "Bearer ya29.made-up"),
            google(
                401,
                "UNAUTHENTICATED",
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.",
            ),
        ),
        (
            header("x-goog-api-key", "AIza-key"),
            google(
                400,
                "INVALID_ARGUMENT",
                "The header x-goog-api-key has no place in a model call.",
            ),
        ),
        (
            header("content-type", "text/plain"),
            google(
                400,
                "INVALID_ARGUMENT",
                "The content type is text/plain; expected application/json.",
            ),
        ),
        (
            with(1, json!("europe-west1-aiplatform.googleapis.com")),
            google(
                400,
                "INVALID_ARGUMENT",
                "The location us-east5 in the path does not match the location europe-west1 of the host.",
            ),
        ),
        (
            with(2, json!(PATH.replace("my-project", "other-project"))),
            google(
                403,
                "PERMISSION_DENIED",
                "Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/projects/other-project/locations/us-east5/publishers/anthropic/models/claude-sonnet-4-5@20250929' (or it may not exist).",
            ),
        ),
        (
            with(2, json!(format!("{PATH}?key=AIza-key"))),
            google(
                400,
                "INVALID_ARGUMENT",
                "The query is key=AIza-key; rawPredict takes another.",
            ),
        ),
        (with(0, json!("PUT")), google(404, "NOT_FOUND", "Method not found.")),
        (
            with_model,
            google(400, "invalid_request_error", "model: Extra inputs are not permitted"),
        ),
    ];
    let requests: Vec<Value> = [good()]
        .into_iter()
        .chain(cases.iter().map(|(request, _)| request.clone()))
        .map(|request| json!(request))
        .collect();
    let pod = injected_pod(Identity::Direct, &setting.good_token());
    let ran = setting
        .google
        .run_python(&pod, &["-c", SCRIPT, &json!(requests).to_string()]);
    let answers = came_back(&ran);

    assert_eq!(answers[0][0], 200, "{}", answers[0]);
    assert_eq!(answers[0][1]["content"][0]["text"], "Hello from Vertex AI.");
    for (answer, (_, expected)) in answers.as_array().expect("answers").iter().skip(1).zip(&cases) {
        let error = &answer[1]["error"];
        // Anthropic's servers say `type` where Google says `status`.
        let name = error.get("status").unwrap_or(&error["type"]);
        assert_eq!(json!([answer[0], name, error["message"]]), *expected);
    }
    // What is no secret is told in the journal, and nothing else.
    assert!(
        !setting.google.journal_text().contains("Hello"),
        "a prompt in the journal"
    );
}
