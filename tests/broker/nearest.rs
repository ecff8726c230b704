//! Refusals name what is wrong with this call, and the nearest form that would do; and clients show them.

use super::process::Broker;
use super::vertex::{GEMINI, MODELS, Vertex, call};
use serde_json::Value;
use vertex_injector_sidecar::broker::proxy::rules::with_suffix;

/// The message of a refusal, which is no list of all forms.
#[track_caller]
fn refused(broker: &Broker, target: &str, body: &str) -> String {
    let answer = call(broker, target, "", body);
    assert!(matches!(answer.status, 400 | 403), "{target}: {answer:?}");
    let body: Value = serde_json::from_str(&answer.body).expect("JSON");
    body["error"]["message"].as_str().expect("a message").to_owned()
}

#[test]
fn only_a_models_name_with_something_behind_it_is_repeated() {
    let told = |name: &str| with_suffix(name).map(|refusal| refusal.message);
    assert!(told("claude-x[1m]").is_some_and(|words| words.contains("name claude-x;")));
    assert!(told("claude-x[fast]").is_some_and(|words| words.ends_with("name claude-x")));
    for name in [
        "claude-x",
        "claude-x[]",
        "[1m]",
        "a b[1m]",
        "a/b[1m]",
        "claude-x[1 m]",
        "claude-x[1m",
        "claude-x1m]",
    ] {
        assert_eq!(told(name), None, "{name}");
    }
}

#[test]
fn a_target_that_is_almost_right_is_refused_with_what_is_wrong_and_what_would_be_right() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&["--regions=us-east5,global", "--project-number=42"]);
    let at = |path: &str| {
        MODELS.replace(
            "/v1/projects/my-project/locations/us-east5/publishers/anthropic/models",
            path,
        )
    };
    let claude = "/v1/projects/my-project/locations/us-east5/publishers/anthropic/models/MODEL:rawPredict";
    let gemini = "/v1/projects/my-project/locations/us-east5/publishers/google/models/MODEL:generateContent";
    for (target, words) in [
        (
            format!("{MODELS}/:rawPredict"),
            vec!["the call names no model", "vertex.models in the policy"],
        ),
        // The suffix that Claude Code takes for long contexts.
        (
            format!("{MODELS}/claude-x@20250929%5B1m%5D:rawPredict"),
            vec![
                "[1m] is no part of a model's name",
                "name claude-x@20250929;",
                "context-1m-2025-08-07",
            ],
        ),
        (
            format!("{MODELS}/claude-x[1m]:streamRawPredict"),
            vec!["[1m] is no part of a model's name", "name claude-x;"],
        ),
        (
            format!("{MODELS}/claude-x%5b1M%5d:rawPredict"),
            vec!["[1M] is no part of a model's name", "context-1m-2025-08-07"],
        ),
        (
            format!("{GEMINI}/gemini-x[fast]:generateContent"),
            vec!["[fast] is no part of a model's name", "name gemini-x"],
        ),
        // Base URLs.
        (
            at("/projects/my-project/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict"),
            vec![
                "the version is missing before /projects",
                "http://127.0.0.1/v1",
                "asks for /v1/projects/my-project/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict",
            ],
        ),
        (
            at("/v1/v1/projects/my-project/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict"),
            vec!["the version is there twice", "http://127.0.0.1 without /v1"],
        ),
        (
            at("/v1/v1beta1/projects/my-project/locations/us-east5/publishers/google/models/gemini-x:generateContent"),
            vec!["the version is there twice, /v1/v1beta1"],
        ),
        (
            at("//v1/projects/my-project/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict"),
            vec!["the path has // in it", "a slash too many"],
        ),
        (
            at("/v1//projects/my-project/locations/us-east5/publishers/anthropic/models/claude-x:rawPredict"),
            vec!["the path has // in it"],
        ),
        (
            at("/v1alpha/projects/my-project/locations/us-east5/publishers/google/models/gemini-x:generateContent"),
            vec!["version v1alpha of the API is not spoken", "/v1beta1/projects/"],
        ),
        // Methods.
        (
            format!("{MODELS}/claude-x%3ArawPredict"),
            vec!["encoded as %3A", claude],
        ),
        (
            format!("{GEMINI}/gemini-x%3agenerateContent"),
            vec!["encoded as %3A", gemini],
        ),
        (
            format!("{MODELS}/claude-x"),
            vec!["the method is missing", "/claude-x:rawPredict"],
        ),
        (format!("{MODELS}/claude-x:rawpredict"), vec!["spelled as rawPredict"]),
        (
            format!("{GEMINI}/gemini-x:GenerateContent"),
            vec!["spelled as generateContent"],
        ),
        (
            format!("{MODELS}/claude-x:generateContent"),
            vec!["models of anthropic are not called by generateContent: by rawPredict, streamRawPredict"],
        ),
        (
            format!("{MODELS}/claude-x:countTokens"),
            vec!["models/count-tokens:rawPredict"],
        ),
        (
            format!("{GEMINI}/gemini-x:rawPredict"),
            vec!["models of google are not called by rawPredict"],
        ),
        (
            format!("{MODELS}/claude-x:rawPredict/"),
            vec!["nothing may follow the method"],
        ),
        // Projects.
        (
            MODELS.replace("my-project", "123456789012") + "/claude-x:rawPredict",
            vec!["by its number", "has to say projects/my-project"],
        ),
        (
            MODELS.replace("my-project", "other") + "/claude-x:rawPredict",
            vec!["the policy's vertex.project is my-project"],
        ),
        // Other APIs.
        (
            "/v1/messages?beta=true".to_owned(),
            vec![
                "Anthropic's own API",
                "CLAUDE_CODE_USE_VERTEX=1",
                "ANTHROPIC_VERTEX_BASE_URL=http://127.0.0.1/v1",
                claude,
            ],
        ),
        ("/v1/messages/count_tokens".to_owned(), vec!["Anthropic's own API"]),
        ("/v1/messages/batches".to_owned(), vec!["Anthropic's own API"]),
        ("/v1/complete".to_owned(), vec!["Anthropic's own API"]),
        (
            "/v1beta/models/gemini-x:generateContent".to_owned(),
            vec![
                "Gemini's API for developers",
                "GOOGLE_GENAI_USE_VERTEXAI=true",
                "GOOGLE_VERTEX_BASE_URL=http://127.0.0.1 ",
                gemini,
            ],
        ),
        (
            "/v1/models/gemini-x:generateContent".to_owned(),
            vec!["Gemini's API for developers"],
        ),
        (
            "/v1beta1/publishers/google/models/gemini-x:generateContent".to_owned(),
            vec!["the project is missing", "my-project", gemini],
        ),
        (
            "/v1/chat/completions".to_owned(),
            vec![
                "OpenAI's own API",
                "http://127.0.0.1/v1/projects/my-project/locations/us-east5/endpoints/openapi",
                "proxy.methods",
                "ChatCompletions",
            ],
        ),
        ("/v1/embeddings".to_owned(), vec!["OpenAI's own API"]),
        (
            "/v1:generateContent".to_owned(),
            vec!["a method and no model", "LiteLLM"],
        ),
        (
            "/computeMetadata/v1/project/project-id".to_owned(),
            vec!["GCE_METADATA_HOST"],
        ),
        (
            "/ws/google.cloud.aiplatform.v1.LlmBidiService/BidiGenerateContent".to_owned(),
            vec!["Live", "access: Metadata"],
        ),
        // What no policy can allow.
        (
            at("/v1/projects/my-project/locations/us-east5/publishers/meta/models/llama-4:rawPredict"),
            vec!["publisher meta is not served"],
        ),
        (
            format!("{GEMINI}/imagen-4.0-generate-001:predict"),
            vec!["embed texts only", "no policy lets that through", "access: Metadata"],
        ),
        (
            format!("{GEMINI}/veo-3.0-generate-001:predictLongRunning"),
            vec!["predictLongRunning is no call", "access: Metadata"],
        ),
        (
            at("/v1/projects/my-project/locations/us-east5/endpoints/123:generateContent"),
            vec!["tuned models", "access: Metadata"],
        ),
        (
            at("/v1/projects/my-project/locations/us-east5/cachedContents"),
            vec!["cachedContents are no calls of models", "access: Metadata"],
        ),
        (
            at("/v1/projects/my-project/locations/us-east5/batchPredictionJobs"),
            vec!["batchPredictionJobs are no calls of models", "access: Metadata"],
        ),
        (
            at("/v1/projects/my-project/locations/us-east5/reasoningEngines/1:query"),
            vec!["reasoningEngines are no calls"],
        ),
        (
            at("/v1/projects/my-project/locations/us-east5:retrieveContexts"),
            vec!["no call of a model"],
        ),
        // What the policy can allow.
        (
            format!("{GEMINI}/gemini-embedding-001:embedContent"),
            vec![
                "embedContent is not allowed",
                "proxy.methods allows Generate, CountTokens; Embed can be added",
            ],
        ),
        (
            format!("{GEMINI}/text-embedding-005:predict"),
            vec!["predict is not allowed", "Embed can be added"],
        ),
        (
            format!("{GEMINI}/gemini-x:computeTokens"),
            vec!["ComputeTokens can be added"],
        ),
        (
            at("/v1/projects/my-project/locations/global/endpoints/openapi/chat/completions"),
            vec!["ChatCompletions can be added"],
        ),
        (
            at("/v1/projects/my-project/locations/global/endpoints/openapi/embeddings"),
            vec!["there is only", "chat/completions"],
        ),
    ] {
        let message = refused(&broker, &target, "{}");
        for words in words {
            assert!(message.contains(words), "{target}: {words:?} is not in {message:?}");
        }
        assert!(
            !message.contains("only model calls are answered"),
            "{target}: {message}"
        );
    }
    assert_eq!(vertex.calls().len(), 0);
}

#[test]
fn a_suffix_in_the_body_is_told_as_one_in_the_path() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&[]);
    let body = r#"{"model":"claude-x@20250929[1m]","messages":[{"role":"user","content":"hi"}]}"#;
    let message = refused(&broker, &format!("{MODELS}/count-tokens:rawPredict"), body);
    for words in [
        "[1m] is no part of a model's name",
        "name claude-x@20250929;",
        "context-1m-2025-08-07",
    ] {
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn what_is_no_name_is_not_repeated() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&[]);
    for target in [
        "/canary%20secret/projects/x",
        "/projects/canary%20secret/locations/us-east5",
        "/v1/projects/p/locations/l/canary%20secret",
        "/v1/projects/p/locations/l/publishers/canary%20secret/models/m:rawPredict",
        "/v1/projects/p/locations/l/publishers/google/models/gemini-x:canary%20secret",
        "/v1/projects/p/locations/l/publishers/google/models/canary%20secret:generateContent",
    ] {
        let message = refused(&broker, target, "{}");
        assert!(!message.contains("canary"), "{target}: {message}");
    }
}

#[test]
fn claude_code_which_takes_403_for_broken_credentials_gets_400() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&[]);
    let agent = "User-Agent: claude-cli/2.1.330 (external, sdk-cli)\r\n";
    for target in [format!("{MODELS}/gpt-4:rawPredict"), "/v1/messages".to_owned()] {
        let answer = call(&broker, &target, agent, "{}");
        assert_eq!(answer.status, 400, "{}", answer.body);
        let body: Value = serde_json::from_str(&answer.body).expect("JSON");
        assert_eq!(
            (&body["error"]["code"], &body["error"]["status"]),
            (&400.into(), &"FAILED_PRECONDITION".into())
        );
        // Others get what is meant.
        for agent in [
            "User-Agent: AnthropicVertex/Python 2.12.0\r\n",
            "User-Agent: x claude-cli/2\r\n",
            "",
        ] {
            assert_eq!(call(&broker, &target, agent, "{}").status, 403);
        }
    }
    assert_eq!(vertex.calls().len(), 0);
}

#[test]
fn gcloud_is_told_what_it_needs_beside_a_proxy() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&[]);
    let ask = |command: &str| {
        let agent = format!("google-cloud-sdk gcloud/528.0.0 command/{command} environment/GCE");
        let path = "/computeMetadata/v1/instance/service-accounts/default/token";
        broker.ask(
            "metadata",
            &format!(
                "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nMetadata-Flavor: Google\r\nUser-Agent: {agent}\r\n\r\n"
            ),
        )
    };
    let answer = ask("gcloud.ai.models.list");
    assert_eq!(answer.status, 403);
    assert!(
        answer.body.contains("with access: Metadata gcloud works"),
        "{}",
        answer.body
    );
    assert_eq!(ask("gcloud.auth.print-access-token").status, 200);
    let list = "GET /v1/projects/my-project/locations/us-east5/models HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    let answer = broker.ask("proxy", list);
    assert!(
        answer.body.contains("as gcloud does, needs access: Metadata"),
        "{}",
        answer.body
    );
}
