//! Anthropic's models: the Messages API as Vertex wraps it (`anthropic_version` in the body, the model in the path).

use axum::body::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::{Call, Operation, is_model};
use super::pace::Pace;
use crate::google::reply::{Answer, Refusal};
use crate::journal::shown;

/// What a message may say. Anything else is an error there too.
const FIELDS: [&str; 18] = [
    "anthropic_beta",
    "anthropic_version",
    "cache_control",
    "container",
    "context_management",
    "max_tokens",
    "mcp_servers",
    "messages",
    "metadata",
    "output_config",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
];

/// Answers a call whose prompt has so many tokens.
///
/// # Errors
///
/// Anthropic's, naming the field; Google's for a model that it does not know.
pub(super) fn answer(call: &Call<'_>, body: &Map<String, Value>, tokens: usize, pace: Pace) -> Result<Answer, Refusal> {
    let counting = call.operation == Operation::AnthropicCountTokens;
    let streaming = call.operation == Operation::StreamRawPredict;
    for name in body.keys() {
        let known = FIELDS.contains(&name.as_str()) || name == "top_p" || (counting && name == "model");
        if !known {
            return Err(invalid(format!("{}: Extra inputs are not permitted", shown(name))));
        }
    }
    if !body.get("anthropic_version").is_some_and(Value::is_string) {
        return Err(invalid("anthropic_version: Field required"));
    }
    messages(body.get("messages"))?;
    let model = match body.get("model") {
        None if counting => return Err(invalid("model: Field required")),
        None => &*call.model,
        Some(model) => model
            .as_str()
            .ok_or_else(|| invalid("model: Input should be a string"))?,
    };
    if !model.starts_with("claude-") || !is_model(model) {
        return Err(Refusal::model_not_found(&call.resource()));
    }
    if body.get("stream").map_or(Some(false), Value::as_bool) != Some(streaming) {
        return Err(invalid(format!(
            "stream: Input should be {streaming} for {}",
            call.operation.name()
        )));
    }
    if counting {
        return Ok(Answer::Json(json!({"input_tokens": tokens})));
    }
    if body.get("max_tokens").and_then(Value::as_u64).unwrap_or_default() == 0 {
        return Err(invalid("max_tokens: Input should be greater than or equal to 1"));
    }
    if streaming {
        Ok(Answer::Events {
            content_type: "text/event-stream; charset=utf-8",
            body: pace.body(events(model, tokens, pace)),
        })
    } else {
        let text: String = pace.text().collect();
        let content = json!([{"type": "text", "text": text}]);
        let usage = usage(tokens, pace.pieces);
        Ok(Answer::Json(message(model, &content, Some("end_turn"), &usage)))
    }
}

fn messages(messages: Option<&Value>) -> Result<(), Refusal> {
    let messages = messages.ok_or_else(|| invalid("messages: Field required"))?;
    let messages = messages
        .as_array()
        .ok_or_else(|| invalid("messages: Input should be a valid list"))?;
    if messages.is_empty() {
        return Err(invalid("messages: at least one message is required"));
    }
    for (index, message) in messages.iter().enumerate() {
        if !matches!(message["role"].as_str(), Some("user" | "assistant")) {
            return Err(invalid(format!(
                "messages.{index}.role: Input should be 'user' or 'assistant'"
            )));
        }
        let is_block = |block: &Value| block["type"].is_string();
        let usable = match &message["content"] {
            Value::String(text) => !text.is_empty(),
            Value::Array(blocks) => !blocks.is_empty() && blocks.iter().all(is_block),
            _ => false,
        };
        if !usable {
            return Err(invalid(format!(
                "messages.{index}.content: Input should be a text or a list of blocks"
            )));
        }
    }
    Ok(())
}

fn events(model: &str, tokens: usize, pace: Pace) -> Vec<Bytes> {
    let start = message(model, &json!([]), None, &usage(tokens, 1));
    let end = json!({"stop_reason": "end_turn", "stop_sequence": null});
    let mut events = vec![
        event("message_start", &json!({"type": "message_start", "message": start})),
        event(
            "content_block_start",
            &json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
        event("ping", &json!({"type": "ping"})),
    ];
    events.extend(pace.text().map(|text| {
        let delta = json!({"type": "text_delta", "text": text});
        event(
            "content_block_delta",
            &json!({"type": "content_block_delta", "index": 0, "delta": delta}),
        )
    }));
    events.extend([
        event("content_block_stop", &json!({"type": "content_block_stop", "index": 0})),
        event(
            "message_delta",
            &json!({"type": "message_delta", "delta": end, "usage": usage(tokens, pace.pieces)}),
        ),
        event("message_stop", &json!({"type": "message_stop"})),
    ]);
    events
}

fn event(name: &str, data: &Value) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}

fn message(model: &str, content: &Value, stop_reason: Option<&str>, usage: &Value) -> Value {
    json!({
        "id": "msg_vrtx_01XFDUDYJgAACzvnptvVoYEL",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": null,
        "usage": usage,
    })
}

fn usage(input: usize, output: usize) -> Value {
    json!({
        "input_tokens": input,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output,
    })
}

fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::anthropic(StatusCode::BAD_REQUEST, "invalid_request_error", message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::asked::of;
    use super::{Answer, answer};

    fn ask(verb: &str, body: &Value) -> Result<Answer, String> {
        of(
            answer,
            &format!("/v1/projects/my-project/locations/global/publishers/anthropic/models/{verb}"),
            body,
        )
    }

    fn good() -> Value {
        json!({
            "anthropic_version": "vertex-2023-10-16",
            "max_tokens": 16,
            "messages": [{"role": "user", "content": "Hello"}],
        })
    }

    #[test]
    fn a_message_comes_whole() {
        let Ok(Answer::Json(message)) = ask("claude-x:rawPredict", &good()) else {
            panic!("no message");
        };
        assert_eq!(message["content"][0]["text"], "Hello from Vertex AI.");
        assert_eq!(message["usage"]["input_tokens"], 7);
        assert_eq!(message["stop_reason"], "end_turn");
    }

    #[tokio::test]
    async fn a_streamed_message_is_events_from_start_to_stop() {
        let mut body = good();
        body["stream"] = json!(true);
        let Ok(Answer::Events { body, .. }) = ask("claude-x:streamRawPredict", &body) else {
            panic!("no stream");
        };
        let text = axum::body::to_bytes(body, 64 * 1024).await.unwrap();
        let text = String::from_utf8(text.to_vec()).unwrap();
        let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
        assert_eq!(names[..3], ["message_start", "content_block_start", "ping"]);
        assert_eq!(names[3..8], ["content_block_delta"; 5]);
        assert_eq!(names[8..], ["content_block_stop", "message_delta", "message_stop"]);
    }

    #[test]
    fn tokens_are_counted_for_the_model_in_the_body() {
        let mut body = good();
        body.as_object_mut().unwrap().remove("max_tokens");
        assert_eq!(
            ask("count-tokens:rawPredict", &body).unwrap_err(),
            "model: Field required"
        );
        body["model"] = json!("claude-x");
        let Ok(Answer::Json(count)) = ask("count-tokens:rawPredict", &body) else {
            panic!("no count");
        };
        assert_eq!(count, json!({"input_tokens": 7}));
    }

    #[test]
    fn what_is_wrong_with_a_message_is_named() {
        for (field, value, expected) in [
            ("anthropic_version", json!(null), "anthropic_version: Field required"),
            ("model", json!("claude-x"), "model: Extra inputs are not permitted"),
            (
                "max_tokens",
                json!(0),
                "max_tokens: Input should be greater than or equal to 1",
            ),
            ("messages", json!([]), "messages: at least one message is required"),
            (
                "messages",
                json!([{"role": "system", "content": "x"}]),
                "messages.0.role: Input should be 'user' or 'assistant'",
            ),
            (
                "messages",
                json!([{"role": "user", "content": [{}]}]),
                "messages.0.content: Input should be a text or a list of blocks",
            ),
            ("stream", json!(true), "stream: Input should be false for rawPredict"),
            ("contents", json!([]), "contents: Extra inputs are not permitted"),
        ] {
            let mut body = good();
            body[field] = value;
            assert_eq!(ask("claude-x:rawPredict", &body).unwrap_err(), expected);
        }
        assert_eq!(
            ask("claude-x:streamRawPredict", &good()).unwrap_err(),
            "stream: Input should be true for streamRawPredict"
        );
    }

    #[test]
    fn a_model_of_somebody_else_is_not_found() {
        assert!(
            ask("gemini-x:rawPredict", &good())
                .unwrap_err()
                .starts_with("Publisher Model `projects/my-project/")
        );
    }
}
