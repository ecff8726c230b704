//! OpenCode: the native program that npm installs, without a terminal (`opencode run`).

use super::*;
use harness::process::{Missing, or_explain};

#[track_caller]
fn answers(mode: Mode) {
    let program = installed("node_modules/opencode-linux-x64-baseline/bin/opencode");
    let found = Path::new(&program).exists().then_some(());
    // Its provider has a list of models, so these are real ones.
    for (provider, model, operation) in [
        (
            "google-vertex-anthropic",
            "claude-sonnet-4-5@20250929",
            "streamRawPredict",
        ),
        ("google-vertex", "gemini-2.5-flash", "streamGenerateContent"),
    ] {
        let Some(mut ready) = ready(mode, &["OpenCode"], &json!({})) else {
            return;
        };
        let missing = || Missing("OpenCode is installed for x86-64 only".to_owned());
        if or_explain(found.ok_or_else(missing)).is_none() {
            return;
        }
        // That list would come from a host that is not ours. A title would be asked of a model of OpenCode's choice.
        ready
            .agent
            .env
            .insert("OPENCODE_DISABLE_MODELS_FETCH".to_owned(), "1".to_owned());
        let model_of = format!("{provider}/{model}");
        let words = ["run", "--title", "hello", "--model", &model_of, "Say hello."];
        let ran = ready.run(&[], &[&[program.as_str()][..], &words].concat());
        assert_eq!(ran.output(), ANSWER, "{model_of}");
        ready.answered(model, &[operation]);
    }
}

answers_in!(file: File, metadata: Metadata);
