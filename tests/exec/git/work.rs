//! Clone, fetch and push, and no token within reach of the agent.

use super::world::World;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

#[test]
fn an_agent_clones_pushes_and_fetches_and_has_no_token_anywhere() {
    let world = World::new(&["acme/app:fetch,push"]);
    world.repository("acme/app");
    let found: Arc<Mutex<Scan>> = Arc::default();
    let (result, spellings) = (Arc::clone(&found), world.spellings());
    // While the host has a request, the agent's git waits for it.
    world.forge.watch(move || result.lock().unwrap().processes(&spellings));

    let url = world.forge.url("acme/app");
    world.agent.git("", &["clone", "--quiet", &url, "first"]).output();
    world.agent.git("", &["clone", "--quiet", &url, "second"]).output();
    let readme = fs::read_to_string(world.agent.home().join("second/README")).expect("a file");
    assert_eq!(readme, "acme/app");

    world.agent.commit("first", "work", b"done");
    world
        .agent
        .git("first", &["push", "origin", "HEAD:refs/heads/topic"])
        .output();
    let pushed = world.head("acme/app", "topic");
    assert_eq!(pushed, world.agent.git("first", &["rev-parse", "HEAD"]).output());
    world.agent.git("second", &["fetch", "--quiet", "origin"]).output();
    assert_eq!(
        pushed,
        world.agent.git("second", &["rev-parse", "origin/topic"]).output()
    );

    let scan = found.lock().unwrap();
    assert!(scan.gits >= 5, "git was not seen at work: {scan:?}");
    assert_eq!(scan.leaks, Vec::<String>::new());
    for secret in world.spellings() {
        assert!(world.agent.env().values().all(|value| !value.contains(&secret)));
        assert_eq!(files_with(world.agent.home(), &secret), Vec::<PathBuf>::new());
        assert!(!world.sidecar.log().contains(&secret));
    }
    assert!(!world.agent.was_asked(), "git asked for a password");
    // The scan can find something.
    assert!(!files_with(world.agent.home(), "acme/app").is_empty());
}

/// What was seen of all processes of the machine.
#[derive(Debug, Default)]
struct Scan {
    /// How often a git that talks HTTP was among them.
    gits: usize,
    leaks: Vec<String>,
}

impl Scan {
    fn processes(&mut self, secrets: &[String]) {
        let all = fs::read_dir("/proc").expect("the processes").filter_map(Result::ok);
        for process in all.filter(|entry| entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit())) {
            for file in ["cmdline", "environ"] {
                // It may have ended.
                let content = fs::read(process.path().join(file)).unwrap_or_default();
                let content = String::from_utf8_lossy(&content);
                self.gits += usize::from(file == "cmdline" && content.contains("git-remote-http"));
                if secrets.iter().any(|secret| content.contains(secret)) {
                    self.leaks.push(format!("{file} of {content:.60}"));
                }
            }
        }
    }
}

fn files_with(directory: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if fs::read(&path).is_ok_and(|content| content.windows(text.len()).any(|part| part == text.as_bytes())) {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_version_of_the_protocol_is_spoken() {
    let world = World::new(&["acme/app:fetch"]);
    world.repository("acme/app");
    let url = world.forge.url("acme/app");
    for (version, header) in [("0", None), ("1", Some("version=1")), ("2", Some("version=2"))] {
        let before = world.forge.seen().len();
        let option = format!("protocol.version={version}");
        world
            .agent
            .git("", &["-c", &option, "clone", "--quiet", &url, version])
            .output();
        let seen = world.forge.seen();
        let seen = &seen[before..];
        assert!(seen.len() >= 2, "version {version}: {seen:?}");
        assert!(
            seen.iter().all(|seen| seen.header("git-protocol") == header),
            "version {version}: {seen:?}"
        );
    }
}

#[test]
fn compressed_requests_and_chunked_ones_arrive_as_they_are() {
    let world = World::new(&["acme/app:fetch,push"]);
    world.repository("acme/app");
    let url = world.forge.url("acme/app");
    world.agent.git("", &["clone", "--quiet", &url, "clone"]).output();
    // More than git sends in one piece, and more commits than it asks for without compression.
    for n in 0..40 {
        let content = random(64 * 1024);
        world.agent.commit("clone", &format!("file{n}"), &content);
        world.agent.git("clone", &["branch", &format!("b{n}")]).output();
    }
    world
        .agent
        .git("clone", &["push", "--quiet", "origin", "--all"])
        .output();
    world.agent.git("", &["clone", "--quiet", &url, "again"]).output();
    assert_eq!(
        world.head("acme/app", "b39"),
        world.agent.git("again", &["rev-parse", "origin/b39"]).output()
    );

    let seen = world.forge.seen();
    let with = |name: &str, value: &str| seen.iter().any(|seen| seen.header(name) == Some(value));
    assert!(with("transfer-encoding", "chunked"), "{seen:#?}");
    assert!(with("content-encoding", "gzip"), "{seen:#?}");
}

/// Bytes that nothing compresses.
pub(super) fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    aws_lc_rs::rand::fill(&mut bytes).expect("randomness");
    bytes
}

#[test]
fn nested_groups_shallow_clones_and_submodules_work() {
    let world = World::new(&["group/**:fetch", "acme/app:fetch,push"]);
    world.repository("group/sub/library");
    world.repository("acme/app");
    let library = world.forge.url("group/sub/library.git");
    world
        .agent
        .git("", &["clone", "--quiet", "--depth=1", &library, "shallow"])
        .output();

    world.agent.clone_app(&world.forge.url("acme/app.git"));
    world
        .agent
        .git("app", &["submodule", "--quiet", "add", &library, "library"])
        .output();
    world
        .agent
        .git("app", &["commit", "--quiet", "--message", "A submodule"])
        .output();
    world.agent.git("app", &["push", "--quiet"]).output();
    let url = world.forge.url("acme/app");
    world
        .agent
        .git("", &["clone", "--quiet", "--recurse-submodules", &url, "whole"])
        .output();
    let readme = fs::read_to_string(world.agent.home().join("whole/library/README")).expect("a file");
    assert_eq!(readme, "group/sub/library");
}

#[test]
fn each_request_is_one_line_of_the_log() {
    let world = World::new(&["acme/app:fetch"]);
    world.repository("acme/app");
    world.agent.clone_app(&world.forge.url("acme/app"));
    world.agent.git("app", &["push", "origin", "HEAD:refs/heads/x"]).error();
    world.discover("acme/other?canary");

    let audit = world.sidecar.audit(5);
    let [discovery, listing, pack, push, other] = &audit[..] else {
        panic!("{audit:#?}")
    };
    for line in [discovery, listing, pack] {
        assert_eq!(line["message"], "git request served");
        assert_eq!(
            (&line["host"], &line["repository"]),
            (&world.forge.host().into(), &"acme/app".into())
        );
        assert_eq!((&line["service"], &line["status"]), (&"fetch".into(), &200.into()));
        assert!(
            line["received"].as_u64() > Some(0) && line["seconds"].as_f64() > Some(0.0),
            "{line}"
        );
    }
    assert_eq!(
        (&discovery["step"], &discovery["sent"]),
        (&"info/refs".into(), &0.into())
    );
    assert_eq!(pack["step"], "git-upload-pack");
    assert!(pack["sent"].as_u64() > Some(0), "{pack}");
    assert_eq!(
        (&push["service"], &push["status"], &push["reason"]),
        (&"push".into(), &403.into(), &"rules".into())
    );
    assert_eq!((&other["status"], &other["reason"]), (&404.into(), &"request".into()));
    assert!(!world.sidecar.log().contains("canary"), "{}", world.sidecar.log());
}

#[test]
fn git_reads_every_spelling_of_a_host_as_the_proxy() {
    let world = World::new(&["acme/app:fetch"]);
    let directory = tempfile::tempdir().expect("a directory");
    let agent = super::agent::Agent::injected(directory.path(), 8472, "github.com");
    for url in [
        "https://github.com/acme/app.git",
        "git@github.com:acme/app.git",
        "ssh://git@github.com/acme/app.git",
    ] {
        let read = agent.git("", &["ls-remote", "--get-url", url]).output();
        assert_eq!(read.trim(), "http://127.0.0.1:8472/github.com/acme/app.git", "{url}");
    }
    let elsewhere = agent
        .git("", &["ls-remote", "--get-url", "https://gitlab.com/acme/app"])
        .output();
    assert_eq!(elsewhere.trim(), "https://gitlab.com/acme/app");
    let name = world.agent.git("", &["config", "user.name"]).output();
    assert_eq!(name.trim(), "Agent", "the pod's own configuration is still there");
}

#[test]
fn a_client_that_goes_away_in_the_middle_is_told_in_the_log() {
    let world = World::new(&["acme/app:fetch,push"]);
    world.repository("acme/app");
    let url = world.forge.url("acme/app");
    world.agent.git("", &["clone", "--quiet", &url, "app"]).output();
    world.agent.commit("app", "large", &random(16 * 1024 * 1024));
    world.agent.git("app", &["push", "--quiet"]).output();
    let before = world.sidecar.audit(6).len();

    // It asks for everything and reads a little.
    let want = world.head("acme/app", "main");
    let body = format!("0032want {}\n00000009done\n", want.trim());
    let host = world.forge.host();
    let request = format!(
        "POST /{host}/acme/app/git-upload-pack HTTP/1.1\r\nHost: 127.0.0.1\r\n\
         Content-Type: application/x-git-upload-pack-request\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = TcpStream::connect(("127.0.0.1", world.sidecar.port())).expect("connect");
    stream.write_all(request.as_bytes()).expect("send");
    let mut start = [0; 12];
    stream.read_exact(&mut start).expect("the beginning of an answer");
    assert_eq!(&start, b"HTTP/1.1 200");
    drop(stream);

    let line = world.sidecar.audit(before + 1).pop().expect("a line");
    assert_eq!(
        (&line["status"], &line["reason"]),
        (&200.into(), &"the client went away".into())
    );
    assert!(line["received"].as_u64() < Some(16 * 1024 * 1024), "{line}");
}
