//! The JDK's HTTP client, which offers HTTP/2 with every request where there is no TLS.

use super::*;
use harness::google::on_path;
use harness::process::{Missing, or_explain};
use std::path::PathBuf;

/// A JDK, and the folders that it needs beside /usr.
fn jdk() -> Result<(PathBuf, Vec<PathBuf>), Missing> {
    let compiler =
        on_path("javac").ok_or_else(|| Missing("javac is not on the PATH; install a JDK, 17 or later".to_owned()))?;
    let java = compiler.with_file_name("java");
    let mut folders = vec![java.ancestors().nth(2).expect("bin/java below something").to_owned()];
    // Debian keeps its configuration there.
    let entries = std::fs::read_dir("/etc").expect("/etc").filter_map(Result::ok);
    folders.extend(
        entries
            .map(|entry| entry.path())
            .filter(|path| path.to_string_lossy().starts_with("/etc/java-")),
    );
    Ok((java, folders))
}

/// The pod, and how the program ended.
fn run(mode: Mode, arguments: &[&str]) -> Option<(Ready, Ran)> {
    let (java, folders) = or_explain(jdk())?;
    let ready = ready(mode, &["ClaudeCode", "GoogleGenAI"], &json!({}))?;
    let see: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    let program = [
        java.to_str().expect("a path in UTF-8"),
        &installed("HttpClientCall.java"),
    ];
    let ran = ready.run(&see, &[&program, arguments].concat());
    Some((ready, ran))
}

#[track_caller]
fn answers(mode: Mode, options: &[&str]) {
    for (model, operation) in [("claude-of-java", CLAUDE[0]), ("gemini-of-java", GEMINI[0])] {
        let Some((ready, ran)) = run(mode, &[&[model], options].concat()) else {
            return;
        };
        said_once(&ran);
        ready.answered(model, &[operation]);
    }
}

#[test]
fn metadata() {
    answers(Mode::Metadata, &[]);
}

#[test]
fn proxy() {
    answers(Mode::Proxy, &["--expect-continue"]);
}

#[test]
fn proxy_refuses_a_model() {
    refused(run(Mode::Proxy, &["claude-forbidden"]), "claude-forbidden");
}
