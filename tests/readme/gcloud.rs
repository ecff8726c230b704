//! The commands for Google's side, as far as they go without Google: gcloud's own parser takes them.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::text::commands;
use harness::google::gcloud_root;
use harness::process::{run, say};

/// gcloud's exit code for a command that it does not understand.
const USAGE: Option<i32> = Some(2);

#[test]
fn gcloud_understands_every_command_and_lacks_nothing_but_somebody_who_is_logged_in() {
    if gcloud_root().is_none() {
        // No failure even in CI: gcloud comes from no package registry.
        say("gcloud is not on the PATH: the README's gcloud commands are not tested");
        return;
    }
    let all = commands("sh gcloud");
    assert!(all.iter().all(|command| command.contains("gcloud ")), "{all:?}");
    for command in &all {
        let ran = try_gcloud(command);
        assert_eq!(ran.code, Some(1), "{command}\n{}", ran.stderr);
        let lacks = "You do not currently have an active account selected";
        assert!(ran.stderr.contains(lacks), "{command}\n{}", ran.stderr);
    }
    // So a mistake would be noticed.
    for wrong in [
        "gcloud iam workload-identity-pools create agents --project=p --location=global --no-such-flag",
        "gcloud projects add-iam-policy-binding p --role=r",
    ] {
        let ran = try_gcloud(wrong);
        assert_eq!(ran.code, USAGE, "{wrong}\n{}", ran.stderr);
    }
}

/// With an empty configuration, and as root where nothing can be reached: it must never act for a person who is logged in.
fn try_gcloud(command: &str) -> harness::process::Ran {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gcloud");
    std::fs::create_dir_all(&home).expect("a folder for gcloud");
    std::fs::write(home.join("jwks.json"), r#"{"keys": []}"#).expect("what a command before has saved");
    let isolated = "unshare --net true 2>/dev/null && exec unshare --net bash -c \"$0\"; exec bash -c \"$0\"";
    let mut bash = Command::new("bash");
    bash.args(["-c", isolated, command])
        .current_dir(&home)
        .env("HOME", &home)
        .env("CLOUDSDK_CONFIG", home.join("configuration"))
        .env("CLOUDSDK_CORE_DISABLE_PROMPTS", "1")
        .env("CLOUDSDK_CORE_DISABLE_USAGE_REPORTING", "1")
        .env_remove("GOOGLE_APPLICATION_CREDENTIALS")
        .env_remove("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE")
        .env_remove("CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE")
        // The metadata server of a machine of Google would be somebody who is logged in.
        .env("NO_GCE_CHECK", "true")
        .env("PROJECT", "my-project")
        .env("PROJECT_NUMBER", "123456789012")
        .env("ISSUER", "https://issuer.example.com");
    run(&mut bash, "", Duration::from_mins(2))
}
