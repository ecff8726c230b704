//! LangChain, with Gemini: `langchain-google-genai`.

use super::*;

/// The pod, and how the program ended.
fn run(mode: Mode, arguments: &[&str]) -> Option<(Ready, Ran)> {
    let ready = ready(mode, &["GoogleGenAI"], &json!({}))?;
    let ran = ready.python(".", &[&[installed("langchain_genai.py").as_str()], arguments].concat());
    Some((ready, ran))
}

#[track_caller]
fn answers(mode: Mode, arguments: &[&str]) {
    let arguments = [&["gemini-of-langchain"], arguments].concat();
    let Some((ready, ran)) = run(mode, &arguments) else {
        return;
    };
    said_twice(&ran);
    ready.answered("gemini-of-langchain", &GEMINI);
}

#[test]
fn file() {
    answers(Mode::File, &[]);
}

#[test]
fn metadata() {
    answers(Mode::Metadata, &[]);
}

/// Project and location have to be in the program: Python's google-genai forgets them beside a base URL.
#[test]
fn proxy() {
    answers(Mode::Proxy, &["--explicit"]);
}

#[test]
fn proxy_refuses_a_model() {
    refused(
        run(Mode::Proxy, &["gemini-forbidden", "--explicit"]),
        "gemini-forbidden",
    );
}
