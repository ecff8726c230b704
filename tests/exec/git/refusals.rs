//! What is not listed is refused, in git's own output.

use super::world::World;

/// A refusal as a person sees it, before anything reached the host.
#[track_caller]
fn refused(world: &World, below: &str, arguments: &[&str], words: &[&str]) {
    let before = world.forge.seen().len();
    let error = world.agent.git(below, arguments).error();
    for words in words {
        assert!(error.contains(words), "no {words:?} in:\n{error}");
    }
    assert_eq!(world.forge.seen().len(), before, "the host was asked");
    assert!(!world.agent.was_asked(), "git asked for a password");
}

#[test]
fn a_host_that_is_not_listed_is_refused() {
    let world = World::new(&["acme/app:fetch"]);
    let url = format!("http://127.0.0.1:{}/gitlab.example/acme/app", world.sidecar.port());
    let only = format!(
        "remote: vertex-injector: this host is not served here, only: {}",
        world.forge.host()
    );
    refused(&world, "", &["clone", &url, "x"], &[&only, "403"]);
}

#[test]
fn a_repository_that_is_not_listed_is_refused() {
    let world = World::new(&["acme/app:fetch"]);
    world.repository("acme/other");
    let host = world.forge.host();
    let said = format!("remote: vertex-injector: fetch of {host}/acme/other is not allowed here");
    let allowed = format!("{host}/acme/app:fetch");
    refused(
        &world,
        "",
        &["clone", &world.forge.url("acme/other.git"), "x"],
        &[&said, &allowed, "403"],
    );
    let cased = format!("fetch of {host}/Acme/app is not allowed here");
    refused(
        &world,
        "",
        &["clone", &world.forge.url("Acme/app"), "x"],
        &[&cased, "upper and lower case differ"],
    );
}

#[test]
fn a_push_is_refused_where_only_fetch_is_listed() {
    let world = World::new(&["acme/app:fetch"]);
    world.repository("acme/app");
    world.agent.clone_app(&world.forge.url("acme/app"));
    world.agent.commit("app", "work", b"done");
    let before = world.head("acme/app", "main");
    let said = format!(
        "remote: vertex-injector: push of {}/acme/app is not allowed here",
        world.forge.host()
    );
    refused(&world, "app", &["push"], &[&said, "403"]);
    assert_eq!(world.head("acme/app", "main"), before);
}

#[test]
fn a_fetch_is_refused_where_only_push_is_listed_and_the_push_is_not() {
    let world = World::new(&["acme/app:push"]);
    world.repository("acme/app");
    let url = world.forge.url("acme/app");
    let said = format!(
        "remote: vertex-injector: fetch of {}/acme/app is not allowed here",
        world.forge.host()
    );
    refused(&world, "", &["clone", &url, "x"], &[&said, "403"]);

    world.agent.git("", &["init", "--quiet", "own"]).output();
    world.agent.commit("own", "work", b"done");
    world
        .agent
        .git("own", &["push", "--quiet", &url, "HEAD:refs/heads/topic"])
        .output();
    assert_eq!(
        world.head("acme/app", "topic"),
        world.agent.git("own", &["rev-parse", "HEAD"]).output()
    );
}

#[test]
fn the_older_protocol_is_refused_and_says_what_is_spoken() {
    let mut world = World::new(&["acme/app:fetch"]);
    world.repository("acme/app");
    world.agent.set("GIT_SMART_HTTP", "0");
    refused(
        &world,
        "",
        &["clone", &world.forge.url("acme/app"), "x"],
        &["remote: vertex-injector: git's smart HTTP requests are answered, nothing else"],
    );
}
