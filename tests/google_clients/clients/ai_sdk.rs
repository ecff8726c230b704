//! The AI SDK with its provider for Vertex AI, and what that has for Claude.

use super::*;

#[track_caller]
fn answers(mode: Mode) {
    for (model, operations) in [("claude-of-sdk", CLAUDE), ("gemini-of-sdk", GEMINI)] {
        let Some(ready) = ready(mode, &["AISDK"], &json!({})) else {
            return;
        };
        said_twice(&ready.node(&installed("ai_sdk.mjs"), &[model]));
        ready.answered(model, &operations);
    }
}

answers_in!(file: File, metadata: Metadata);
