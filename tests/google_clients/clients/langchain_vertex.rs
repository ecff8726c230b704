//! LangChain, with Claude: `langchain-google-vertexai`, which reads the variables of Claude Code and of Anthropic's SDK.

use super::*;

/// The pod, and how the program ended.
fn run(mode: Mode, model: &str) -> Option<(Ready, Ran)> {
    let ready = ready(mode, &["ClaudeCode"], &json!({}))?;
    let ran = ready.python("langchain_vertex", &[&installed("langchain_vertex/calls.py"), model]);
    Some((ready, ran))
}

#[track_caller]
fn answers(mode: Mode) {
    let Some((ready, ran)) = run(mode, "claude-of-langchain") else {
        return;
    };
    said_twice(&ran);
    ready.answered("claude-of-langchain", &CLAUDE);
}

answers_in!(file: File, metadata: Metadata, proxy: Proxy);

#[test]
fn proxy_refuses_a_model() {
    refused(run(Mode::Proxy, "claude-forbidden"), "claude-forbidden");
}
