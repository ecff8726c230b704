//! The credential: replaced, missing, unusable.

use super::world::{World, spellings, token};
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
    let end = Instant::now() + Duration::from_secs(60);
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
