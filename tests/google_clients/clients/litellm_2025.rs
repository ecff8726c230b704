//! LiteLLM as it was in November 2025, with the same environment. Beside a proxy it asks for no path that names a model.

use super::litellm::answers_of;
use super::*;

#[track_caller]
fn answers(mode: Mode) {
    answers_of("litellm_2025", mode);
}

answers_in!(file: File, metadata: Metadata);
