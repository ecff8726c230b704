//! Google's Go libraries: `golang.org/x/oauth2/google` and `cloud.google.com/go/compute/metadata`.

use super::*;
use harness::process::{Missing, or_explain};

/// The pod, and how the program ended.
fn run(mode: Mode, arguments: &[&str]) -> Option<(Ready, Ran)> {
    let ready = ready(mode, &["GoogleGenAI"], &json!({}))?;
    let program = installed(".bin/google_go");
    let found = Path::new(&program).exists().then_some(());
    or_explain(found.ok_or_else(|| Missing("go is not on the PATH; install Go 1.26 or later".to_owned())))?;
    let ran = ready.run(&[], &[&[program.as_str()], arguments].concat());
    Some((ready, ran))
}

#[test]
fn file() {
    let Some((ready, ran)) = run(Mode::File, &["gemini-of-go"]) else {
        return;
    };
    let came = came_back(&ran);
    assert_eq!(came["message"], ANSWER);
    assert_eq!(came["lasts"], true);
    ready.hands_out(&came["token"]);
    ready.answered("gemini-of-go", &[GEMINI[0]]);
}

/// What the library reads is the same whether tokens are worth something or not.
#[track_caller]
fn reads(mode: Mode) {
    const ACCOUNT: &str = "my-project.svc.id.goog";
    let Some((ready, ran)) = run(mode, &["gemini-of-go", "-metadata"]) else {
        return;
    };
    let came = came_back(&ran);
    for (what, expected) in [
        ("on_gce", json!(true)),
        ("project", json!("my-project")),
        ("credentials_project", json!("my-project")),
        ("number", json!("123456789")),
        ("email", json!(ACCOUNT)),
        ("recursive", json!(ACCOUNT)),
        ("accounts", json!(["default/", format!("{ACCOUNT}/")])),
        ("scopes", json!(["https://www.googleapis.com/auth/cloud-platform"])),
        ("undefined", json!(true)),
        // It waits for a change of what never changes.
        ("subscribed", json!([ACCOUNT])),
        ("ended_by", json!("context deadline exceeded")),
        ("lasts", json!(true)),
        ("message", json!(ANSWER)),
    ] {
        assert_eq!(came[what], expected, "{what}");
    }
    ready.hands_out(&came["token"]);
    ready.answered("gemini-of-go", &[GEMINI[0]]);
}

#[test]
fn metadata() {
    reads(Mode::Metadata);
}

#[test]
fn proxy() {
    reads(Mode::Proxy);
}

#[test]
fn proxy_refuses_a_model() {
    refused(run(Mode::Proxy, &["gemini-forbidden"]), "gemini-forbidden");
}
