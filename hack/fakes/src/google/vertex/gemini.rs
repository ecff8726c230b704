//! Google's models: `GenerateContent` and its kin.

use axum::body::Bytes;
use serde_json::{Map, Value, json};

use super::call::{Call, Operation};
use super::pace::Pace;
use crate::google::reply::{Answer, Refusal};
use crate::journal::shown;

/// What a request may say, in the spelling of JSON. Google takes the one of protocol buffers as well.
const FIELDS: [&str; 10] = [
    "cachedContent",
    "contents",
    "generationConfig",
    "labels",
    "modelArmorConfig",
    "safetySettings",
    "serviceTier",
    "systemInstruction",
    "toolConfig",
    "tools",
];

/// Answers a call whose prompt has so many tokens.
///
/// # Errors
///
/// Google's, naming the field.
pub(super) fn answer(call: &Call<'_>, body: &Map<String, Value>, tokens: usize, pace: Pace) -> Result<Answer, Refusal> {
    if !call.model.starts_with("gemini-") {
        return Err(Refusal::model_not_found(&call.resource()));
    }
    if let Some(name) = body.keys().find(|name| !FIELDS.contains(&camel(name).as_str())) {
        return Err(Refusal::invalid_argument(format!(
            "Invalid JSON payload received. Unknown name \"{}\": Cannot find field.",
            shown(name)
        )));
    }
    contents(body.get("contents"))?;
    match call.operation {
        Operation::GeminiCountTokens => Ok(Answer::Json(json!({
            "totalTokens": tokens,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}],
        }))),
        Operation::StreamGenerateContent => Ok(Answer::Events {
            content_type: "text/event-stream",
            body: pace.body(events(&call.model, tokens, pace)),
        }),
        _ => {
            let text: String = pace.text().collect();
            let usage = usage(tokens, pace.pieces);
            Ok(Answer::Json(response(&call.model, &text, Some(usage))))
        }
    }
}

fn contents(contents: Option<&Value>) -> Result<(), Refusal> {
    let contents = contents
        .and_then(Value::as_array)
        .filter(|contents| !contents.is_empty());
    let contents = contents.ok_or_else(|| {
        Refusal::invalid_argument("Unable to submit request because at least one contents field is required.")
    })?;
    for content in contents {
        if !matches!(content["role"].as_str(), Some("user" | "model")) {
            return Err(Refusal::invalid_argument("Please use a valid role: user, model."));
        }
        if content["parts"].as_array().is_none_or(Vec::is_empty) {
            return Err(Refusal::invalid_argument(
                "Unable to submit request because it must include at least one parts field.",
            ));
        }
    }
    Ok(())
}

fn events(model: &str, tokens: usize, pace: Pace) -> Vec<Bytes> {
    let last = pace.pieces.saturating_sub(1);
    let chunk = |(index, text): (usize, &str)| {
        let usage = (index == last).then(|| usage(tokens, pace.pieces));
        Bytes::from(format!("data: {}\r\n\r\n", response(model, text, usage)))
    };
    pace.text().enumerate().map(chunk).collect()
}

/// A response, or a part of one; only the last part has its usage, and the reason why it ends.
fn response(model: &str, text: &str, usage: Option<Value>) -> Value {
    let content = json!({"role": "model", "parts": [{"text": text}]});
    let candidate = match usage {
        Some(_) => json!({"content": content, "finishReason": "STOP"}),
        None => json!({"content": content}),
    };
    json!({
        "candidates": [candidate],
        "usageMetadata": usage.unwrap_or_else(|| json!({"trafficType": "ON_DEMAND"})),
        "modelVersion": model,
        "createTime": "2026-01-01T00:00:00.000000Z",
        "responseId": "MzU0aZ6oJ4jCnvgPwOaJ0Ag",
    })
}

fn usage(input: usize, output: usize) -> Value {
    json!({
        "promptTokenCount": input,
        "candidatesTokenCount": output,
        "totalTokenCount": input.saturating_add(output),
        "trafficType": "ON_DEMAND",
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": input}],
        "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": output}],
    })
}

/// `generation_config` as `generationConfig`.
fn camel(name: &str) -> String {
    let mut upper = false;
    let mut camel = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            '_' => upper = true,
            _ if upper => {
                camel.push(letter.to_ascii_uppercase());
                upper = false;
            }
            _ => camel.push(letter),
        }
    }
    camel
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::asked::of;
    use super::{Answer, answer};

    fn ask(verb: &str, body: &Value) -> Result<Answer, String> {
        of(
            answer,
            &format!("/v1beta1/projects/my-project/locations/global/publishers/google/models/{verb}"),
            body,
        )
    }

    fn good() -> Value {
        json!({"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]})
    }

    #[test]
    fn content_comes_whole() {
        let Ok(Answer::Json(response)) = ask("gemini-x:generateContent", &good()) else {
            panic!("no content");
        };
        assert_eq!(
            response["candidates"][0]["content"]["parts"][0]["text"],
            "Hello from Vertex AI."
        );
        assert_eq!(response["usageMetadata"]["totalTokenCount"], 12);
    }

    #[tokio::test]
    async fn a_stream_ends_with_the_reason_and_the_usage() {
        let Ok(Answer::Events { body, .. }) = ask("gemini-x:streamGenerateContent", &good()) else {
            panic!("no stream");
        };
        let text = axum::body::to_bytes(body, 64 * 1024).await.unwrap();
        let text = String::from_utf8(text.to_vec()).unwrap();
        let chunks: Vec<Value> = text
            .split("\r\n\r\n")
            .filter_map(|event| event.strip_prefix("data: "))
            .map(|data| serde_json::from_str(data).unwrap())
            .collect();
        assert_eq!(chunks.len(), 5);
        assert_eq!(chunks[0]["candidates"][0].get("finishReason"), None);
        assert_eq!(chunks[4]["candidates"][0]["finishReason"], "STOP");
        assert_eq!(chunks[4]["usageMetadata"]["promptTokenCount"], 7);
    }

    #[test]
    fn what_is_wrong_with_a_request_is_named() {
        for (body, expected) in [
            (
                json!({}),
                "Unable to submit request because at least one contents field is required.",
            ),
            (
                json!({"contents": [{"role": "system", "parts": [{}]}]}),
                "Please use a valid role: user, model.",
            ),
            (
                json!({"contents": [{"role": "user", "parts": []}]}),
                "Unable to submit request because it must include at least one parts field.",
            ),
            (
                json!({"messages": []}),
                "Invalid JSON payload received. Unknown name \"messages\": Cannot find field.",
            ),
        ] {
            assert_eq!(ask("gemini-x:countTokens", &body).unwrap_err(), expected);
        }
    }

    #[test]
    fn both_spellings_of_a_field_are_known() {
        for name in ["system_instruction", "systemInstruction"] {
            let mut body = good();
            body[name] = json!({"parts": [{"text": "Be brief."}]});
            assert!(ask("gemini-x:countTokens", &body).is_ok(), "{name}");
        }
    }
}
