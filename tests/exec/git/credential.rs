//! The credential: replaced, missing, unusable.

use super::forge::Forge;
use super::sidecar::{Sidecar, arguments};
use super::world::{World, spellings, token};
use crate::process::run;
use harness::request::ask;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

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
        harness::process::pause(Duration::from_millis(200));
    }
    world.agent.clone_app(&world.forge.url("acme/app"));
    for secret in spellings(&new) {
        assert!(!world.sidecar.log().contains(&secret));
    }
}

#[test]
fn a_credential_that_the_host_rejects_is_replaced_before_its_end() {
    let (old, new) = (token(), token());
    let rejected = Rejected::start(&[&old, &new], &new);
    assert_eq!(rejected.discover(), 403);
    let end = Instant::now() + Duration::from_mins(1);
    while rejected.discover() != 404 {
        assert!(
            Instant::now() < end,
            "the new credential is not used: {}",
            rejected.sidecar.log()
        );
        harness::process::pause(Duration::from_millis(50));
    }
    assert_eq!(rejected.endpoint.asked(), 2);
}

#[test]
fn rejections_without_end_ask_for_another_credential_only_now_and_then() {
    let rejected = Rejected::start(&[&token(), &token()], &token());
    for _ in 0..20 {
        assert_eq!(rejected.discover(), 403);
        harness::process::pause(Duration::from_millis(50));
    }
    assert_eq!(rejected.endpoint.asked(), 2);
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
    let ended = run(
        &arguments,
        &[("VERTEX_INJECTOR_CA_FILES", forge.ca().to_str().expect("a path"))],
    );
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    let words = "--git-port: the credential has no field token or password or apiToken; its fields are: kubeconfig";
    assert!(said.contains(words) && !said.contains("canary"), "{said}");
}

/// A sidecar whose credential comes from an endpoint, and a host without repositories.
struct Rejected {
    endpoint: Endpoint,
    forge: Forge,
    sidecar: Sidecar,
    _directory: TempDir,
}

impl Rejected {
    /// The endpoint gives these tokens, the host accepts this one.
    fn start(tokens: &[&str], accepted: &str) -> Self {
        let directory = TempDir::new().expect("a directory");
        let forge = Forge::start(directory.path(), &format!("x-access-token:{accepted}"));
        let endpoint = Endpoint::start(tokens);
        let sidecar = Sidecar::with_endpoint(directory.path(), &forge, &["acme/app:fetch"], &endpoint.url);
        Self {
            endpoint,
            forge,
            sidecar,
            _directory: directory,
        }
    }

    /// The status with which the proxy answers git.
    fn discover(&self) -> u16 {
        let path = format!("/{}/acme/app/info/refs?service=git-upload-pack", self.forge.host());
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        ask(([127, 0, 0, 1], self.sidecar.port()).into(), request.as_bytes()).status
    }
}

/// An endpoint that gives these tokens for an hour, one after the other and the last for ever.
struct Endpoint {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Endpoint {
    fn start(tokens: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/token", listener.local_addr().expect("its address"));
        let tokens: Vec<String> = tokens.iter().map(|&token| token.to_owned()).collect();
        let asked: Arc<AtomicUsize> = Arc::default();
        let counted = Arc::clone(&asked);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let _ = stream.read(&mut [0; 4096]);
                let number = counted.fetch_add(1, Ordering::Relaxed);
                let token = tokens.get(number).or(tokens.last()).expect("a token");
                let body = format!(r#"{{"token":"{token}","expires_in":3600}}"#);
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length";
                let _ = write!(stream, "{head}: {}\r\n\r\n{body}", body.len());
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}
