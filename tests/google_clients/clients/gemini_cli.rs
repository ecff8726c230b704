//! Gemini CLI, without a terminal (`gemini -p`).

use super::*;

/// The pod, and how Gemini CLI ended.
fn run(mode: Mode, arguments: &[&str]) -> Option<(Ready, Ran)> {
    let ready = ready(mode, &["GoogleGenAI"], &json!({"default": "gemini-of-cli"}))?;
    let program = installed("node_modules/@google/gemini-cli/bundle/gemini.js");
    // It works in no folder that nobody has trusted.
    let words = ["--skip-trust", "-p", "Say hello."];
    let ran = ready.node(&program, &[&words, arguments].concat());
    Some((ready, ran))
}

#[track_caller]
fn answers(mode: Mode) {
    let Some((ready, ran)) = run(mode, &[]) else { return };
    assert_eq!(ran.output(), ANSWER);
    ready.answered("gemini-of-cli", &["streamGenerateContent"]);
}

answers_in!(file: File, metadata: Metadata, proxy: Proxy);

#[test]
fn proxy_refuses_a_model() {
    refused(run(Mode::Proxy, &["--model", "gemini-forbidden"]), "gemini-forbidden");
}
