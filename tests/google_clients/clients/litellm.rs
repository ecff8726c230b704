//! LiteLLM, with Claude and with Gemini.

use super::*;

/// The pod, and how the program ended with the LiteLLM of a folder.
fn run(folder: &str, mode: Mode, model: &str) -> Option<(Ready, Ran)> {
    let mut ready = ready(mode, &["LiteLLM"], &json!({}))?;
    // Prices would come from a host that is not ours.
    ready
        .agent
        .env
        .insert("LITELLM_LOCAL_MODEL_COST_MAP".to_owned(), "True".to_owned());
    let ran = ready.python(folder, &[&installed("litellm/calls.py"), model]);
    Some((ready, ran))
}

#[track_caller]
pub(super) fn answers_of(folder: &str, mode: Mode) {
    for (model, operations) in [("claude-of-litellm", CLAUDE), ("gemini-of-litellm", GEMINI)] {
        let Some((ready, ran)) = run(folder, mode, model) else {
            return;
        };
        said_twice(&ran);
        ready.answered(model, &operations);
    }
}

#[track_caller]
fn answers(mode: Mode) {
    answers_of("litellm", mode);
}

answers_in!(file: File, metadata: Metadata, proxy: Proxy);

#[test]
fn proxy_refuses_a_model() {
    for model in ["claude-forbidden", "gemini-forbidden"] {
        refused(run("litellm", Mode::Proxy, model), model);
    }
}
