//! The credential: replaced, missing, unusable.

use super::forge::Forge;
use super::sidecar::arguments;
use super::world::{World, spellings, token};
use super::wrapper::run;
use std::time::{Duration, Instant};

#[test]
fn a_new_credential_is_used_by_the_next_request() {
    let world = World::new(&["acme/app:fetch"]);
    world.repository("acme/app");
    assert_eq!(world.discover("acme/app").status, 200);
    let new = token();
    world.forge.let_in(&format!("x-access-token:{new}"));
    assert_eq!(world.discover("acme/app").status, 403, "the old one is no longer good");

    world.sidecar.rotate(&format!(r#"{{"token":"{new}"}}"#));
    let end = Instant::now() + Duration::from_mins(1);
    while world.discover("acme/app").status != 200 {
        assert!(
            Instant::now() < end,
            "the new credential is not used: {}",
            world.sidecar.log()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    world
        .agent
        .git("", &["clone", "--quiet", &world.forge.url("acme/app"), "app"])
        .output();
    for secret in spellings(&new) {
        assert!(!world.sidecar.log().contains(&secret));
    }
}

#[test]
fn without_a_credential_it_says_when_to_try_again() {
    let world = World::with(&["acme/app:fetch"], &token(), "");
    let answer = world.discover("acme/app");
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    let error = world
        .agent
        .git("", &["clone", &world.forge.url("acme/app"), "x"])
        .error();
    assert!(
        error.contains("remote: vertex-injector: there is no credential at the moment; try again"),
        "{error}"
    );
    assert!(world.forge.seen().is_empty() && !world.agent.was_asked());
}

#[test]
fn a_credential_that_lacks_what_git_needs_ends_it_and_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let forge = Forge::start(directory.path(), "nobody:nothing");
    let credential = directory.path().join("credential.json");
    std::fs::write(&credential, r#"{"kubeconfig":"canary"}"#).expect("a credential");
    let arguments = arguments(&credential, &forge, &["acme/app:fetch"]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = run(&arguments, &[("SSL_CERT_FILE", forge.ca().to_str().expect("a path"))]);
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    let words = "--git-port: the credential has no field token or password or apiToken; its fields are: kubeconfig";
    assert!(said.contains(words) && !said.contains("canary"), "{said}");
}
