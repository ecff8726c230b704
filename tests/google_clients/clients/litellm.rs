//! LiteLLM, with Claude and with Gemini.

use super::*;

/// The pod, and how the program ended.
fn run(mode: Mode, model: &str) -> Option<(Ready, Ran)> {
    let mut ready = ready(mode, &["LiteLLM"], &json!({}))?;
    // Prices would come from a host that is not ours.
    ready
        .agent
        .env
        .insert("LITELLM_LOCAL_MODEL_COST_MAP".to_owned(), "True".to_owned());
    let ran = ready.python("litellm", &[&installed("litellm/calls.py"), model]);
    Some((ready, ran))
}

#[track_caller]
fn answers(mode: Mode) {
    for (model, operations) in [("claude-of-litellm", CLAUDE), ("gemini-of-litellm", GEMINI)] {
        let Some((ready, ran)) = run(mode, model) else { return };
        said_twice(&ran);
        ready.answered(model, &operations);
    }
}

answers_in!(file: File, metadata: Metadata, proxy: Proxy);

#[test]
fn proxy_refuses_a_model() {
    for model in ["claude-forbidden", "gemini-forbidden"] {
        refused(run(Mode::Proxy, model), model);
    }
}
