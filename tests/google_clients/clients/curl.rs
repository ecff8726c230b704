//! curl: offers HTTP/2 where there is no TLS, and waits for 100 Continue before it sends 3 MB.

use super::*;
use harness::google::on_path;
use harness::process::{Missing, or_explain};

/// The pod, and how the script ended.
fn run(mode: Mode, model: &str) -> Option<(Ready, Ran)> {
    or_explain(on_path("curl").ok_or_else(|| Missing("curl is not on the PATH; install it".to_owned())))?;
    let ready = ready(mode, &["ClaudeCode", "GoogleGenAI"], &json!({}))?;
    let ran = ready.run(&[], &[&installed("curl.sh"), model]);
    Some((ready, ran))
}

#[track_caller]
fn answers(mode: Mode) {
    for (model, operation) in [("claude-of-curl", CLAUDE[0]), ("gemini-of-curl", GEMINI[0])] {
        let Some((ready, ran)) = run(mode, model) else { return };
        said_once(&ran);
        ready.answered(model, &[operation]);
        // The offer of HTTP/2 is Google's to take; the proxy ignores it.
        let protocol = if mode == Mode::Proxy { "HTTP/1.1" } else { "HTTP/2" };
        assert_eq!(ran.stderr.trim(), protocol);
    }
}

answers_in!(metadata: Metadata, proxy: Proxy);

#[test]
fn proxy_refuses_a_model() {
    refused(run(Mode::Proxy, "claude-forbidden"), "claude-forbidden");
}
