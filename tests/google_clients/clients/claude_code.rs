//! Claude Code: the native program that npm installs, without a terminal (`claude -p`).

use super::*;

/// The pod, and how Claude Code ended.
fn run(mode: Mode, arguments: &[&str]) -> Option<(Ready, Ran)> {
    let models = json!({
        "default": "claude-of-code",
        "opus": "claude-of-code",
        "sonnet": "claude-of-code",
        "haiku": "claude-of-code",
    });
    let ready = ready(mode, &["ClaudeCode"], &models)?;
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    let program = installed(&format!(
        "node_modules/@anthropic-ai/claude-code-linux-{architecture}/claude"
    ));
    let ran = ready.run(&[], &[&[program.as_str(), "-p", "Say hello."], arguments].concat());
    Some((ready, ran))
}

#[track_caller]
fn answers(mode: Mode) {
    let Some((ready, ran)) = run(mode, &[]) else { return };
    assert_eq!(ran.output(), ANSWER);
    ready.answered("claude-of-code", &["streamRawPredict"]);
}

answers_in!(file: File, metadata: Metadata, proxy: Proxy);

#[test]
fn proxy_refuses_a_model() {
    refused(run(Mode::Proxy, &["--model", "claude-forbidden"]), "claude-forbidden");
}
