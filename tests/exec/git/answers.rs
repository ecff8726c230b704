//! What a host may answer, and what of it the agent sees.

use super::forge::{Forge, Manner};
use super::sidecar::Sidecar;
use super::world::{World, token};
use harness::request::{Answer, ask};

const ADVERTISEMENT: &str = "application/x-git-upload-pack-advertisement";

#[test]
fn an_answer_that_repeats_the_credential_does_not_reach_the_agent() {
    let world = World::new(&["acme/app:fetch,push"]);
    let echo = || {
        [
            "x-echo",
            "content-type",
            "location",
            "retry-after",
            "set-cookie",
            "www-authenticate",
        ]
    };
    for status in [
        200, 201, 204, 206, 301, 304, 400, 401, 403, 404, 407, 418, 429, 500, 502, 503,
    ] {
        let headers = echo().map(|name| (name, "{authorization}".to_owned()));
        world
            .forge
            .answer(Manner::Fixed(status, headers.into(), "{authorization}".to_owned()));
        let answer = world.discover("acme/app");
        assert!(
            answer.status >= 400 && answer.status != 401,
            "{status}: {}",
            answer.head
        );
        assert!(
            answer.body.starts_with("vertex-injector: "),
            "{status}: {}",
            answer.body
        );
        let error = world
            .agent
            .git("", &["clone", &world.forge.url("acme/app"), "x"])
            .error();
        for secret in world.spellings() {
            assert!(
                !answer.head.contains(&secret) && !answer.body.contains(&secret),
                "{status}: {answer:?}"
            );
            assert!(!error.contains(&secret), "{status}: {error}");
        }
        for name in echo().into_iter().chain(["authorization", "basic"]) {
            let shown = name != "content-type" && answer.head.to_lowercase().contains(name);
            assert!(!shown, "{status}: {}", answer.head);
        }
    }
    let arrived = world.forge.seen();
    assert!(
        arrived.iter().all(|seen| seen.header("authorization").is_some()),
        "nothing was echoed"
    );
    for secret in world.spellings() {
        assert!(!world.sidecar.log().contains(&secret));
    }
    assert!(!world.agent.was_asked());
}

#[test]
fn git_shows_what_the_host_did_in_words() {
    let world = World::new(&["acme/*:fetch"]);
    let host = world.forge.host();
    for (status, headers, words) in [
        (
            401,
            vec![],
            format!("{host} does not accept the credential that is kept here"),
        ),
        (
            403,
            vec![],
            format!("{host} denies the credential that is kept here the fetch of {host}/acme/app"),
        ),
        (
            404,
            vec![],
            format!("{host} has no {host}/acme/app, or does not show it"),
        ),
        (429, vec![], format!("{host} has too much to do (429)")),
        (500, vec![], format!("{host} answered with status 500")),
        (
            200,
            vec![("content-type", "text/html".to_owned())],
            "does not speak git's smart HTTP".to_owned(),
        ),
        (
            200,
            vec![
                ("content-type", ADVERTISEMENT.to_owned()),
                ("content-encoding", "x-canary".to_owned()),
            ],
            "encodes its answer in an unknown way".to_owned(),
        ),
    ] {
        world.forge.answer(Manner::Fixed(status, headers, "canary".to_owned()));
        let error = world
            .agent
            .git("", &["clone", &world.forge.url("acme/app"), "x"])
            .error();
        assert!(
            error.contains("remote: vertex-injector: ") && error.contains(&words),
            "{status}: {error}"
        );
        assert!(!error.contains("canary"), "{error}");
    }
    assert!(!world.agent.was_asked(), "git asked for a password");
}

#[test]
fn a_repository_that_has_moved_is_not_followed_and_its_new_name_is_told_if_it_is_allowed() {
    let world = World::new(&["acme/*:fetch"]);
    world.repository("acme/new");
    let (host, end) = (world.forge.host(), "info/refs?service=git-upload-pack");
    let new = format!("; use {host}/acme/new");
    let nothing = "; use its present name".to_owned();
    for (location, words) in [
        (format!("https://{host}/acme/new.git/{end}"), &new),
        (format!("https://{host}/acme/new/{end}"), &new),
        (format!("https://{host}/evil/new.git/{end}"), &nothing),
        (format!("https://evil.example/acme/new.git/{end}"), &nothing),
        (format!("http://{host}/acme/new.git/{end}"), &nothing),
        (format!("https://u@{host}/acme/new.git/{end}"), &nothing),
        (format!("https://{host}/acme/app.git/{end}"), &nothing),
        (format!("https://{host}/acme/%6eew.git/{end}"), &nothing),
        (format!("/acme/new.git/{end}"), &nothing),
        ("not a URL".to_owned(), &nothing),
    ] {
        for status in [301, 302, 303, 307, 308] {
            let before = world.forge.seen().len();
            world.forge.answer(Manner::Fixed(
                status,
                vec![("location", location.clone())],
                String::new(),
            ));
            let answer = world.discover("acme/app");
            assert_eq!((answer.status, answer.header("location")), (502, None), "{location}");
            let said = format!("vertex-injector: {host}/acme/app has moved{words}");
            assert!(answer.body.starts_with(&said), "{location}: {}", answer.body);
            assert_eq!(world.forge.seen().len(), before + 1, "{location} was followed");
        }
    }
}

#[test]
fn when_to_try_again_is_passed_on_as_a_number() {
    let world = World::new(&["acme/app:fetch"]);
    for (value, passed) in [
        ("30", Some("30")),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("-1", None),
    ] {
        for status in [429, 503] {
            world.forge.answer(Manner::Fixed(
                status,
                vec![("retry-after", value.to_owned())],
                String::new(),
            ));
            let answer = world.discover("acme/app");
            assert_eq!(
                (answer.status, answer.header("retry-after")),
                (status, passed),
                "{value}"
            );
        }
    }
}

#[test]
fn a_host_that_is_away_is_an_error() {
    let world = World::new(&["acme/app:fetch"]);
    let host = world.forge.host();
    drop(world.forge);
    let answer = discover(&world.sidecar, &host);
    assert_eq!(answer.status, 502);
    assert!(
        answer
            .body
            .starts_with(&format!("vertex-injector: {host} cannot be reached")),
        "{}",
        answer.body
    );
}

#[test]
fn a_host_that_is_not_trusted_gets_no_request() {
    let directories = [tempfile::tempdir(), tempfile::tempdir()].map(|directory| directory.expect("a directory"));
    let token = token();
    let login = format!("x-access-token:{token}");
    let [forge, other] = [0, 1].map(|n| Forge::start(directories[n].path(), &login));
    std::fs::copy(other.ca(), forge.ca()).expect("trust another");
    let credential = format!(r#"{{"token":"{token}"}}"#);
    let sidecar = Sidecar::start(directories[0].path(), &forge, &["acme/app:fetch"], &credential);
    let answer = discover(&sidecar, &forge.host());
    assert_eq!(answer.status, 502);
    assert!(
        answer.body.contains("cannot be reached, or is not trusted"),
        "{}",
        answer.body
    );
    assert!(forge.seen().is_empty());
}

fn discover(sidecar: &Sidecar, host: &str) -> Answer {
    let request = format!("GET /{host}/acme/app/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    ask(([127, 0, 0, 1], sidecar.port()).into(), request.as_bytes())
}
