//! Requests that git would not make: none of them reaches the host.

use super::world::World;

/// What is asked, below `/HOST`, with which further lines in its head, and the status of the refusal.
const REFUSED: &[(&str, &str, &str, u16)] = &[
    // Other spellings of a repository that is listed.
    ("GET", "/acme/./app/info/refs?service=git-upload-pack", "", 400),
    ("GET", "/acme/../acme/app/info/refs?service=git-upload-pack", "", 400),
    ("GET", "/acme/x/../app/info/refs?service=git-upload-pack", "", 400),
    ("GET", "/acme/.../app/info/refs?service=git-upload-pack", "", 400),
    ("GET", "//acme/app/info/refs?service=git-upload-pack", "", 400),
    ("GET", "/acme//app/info/refs?service=git-upload-pack", "", 400),
    ("GET", "/acme/app//info/refs?service=git-upload-pack", "", 400),
    ("GET", "/acme/app/info/refs/?service=git-upload-pack", "", 400),
    ("GET", "/acme/%61pp/info/refs?service=git-upload-pack", "", 400),
    ("GET", "/acme%2fapp/info/refs?service=git-upload-pack", "", 400),
    (
        "GET",
        "/acme/%2e%2e/acme/app/info/refs?service=git-upload-pack",
        "",
        400,
    ),
    ("GET", "/acme/app%00/info/refs?service=git-upload-pack", "", 400),
    ("GET", "/acme/app;x=y/info/refs?service=git-upload-pack", "", 400),
    ("GET", "/acme/app.git;/info/refs?service=git-upload-pack", "", 400),
    ("GET", "/acme\\app/info/refs?service=git-upload-pack", "", 400),
    ("GET", "/acme/ap\u{fc}/info/refs?service=git-upload-pack", "", 400),
    ("GET", "/acme/app~1/info/refs?service=git-upload-pack", "", 400),
    ("GET", "/acme/app.git.git/info/refs?service=git-upload-pack", "", 400),
    ("GET", "/acme/app.GIT/info/refs?service=git-upload-pack", "", 400),
    ("GET", "/acme/.git/info/refs?service=git-upload-pack", "", 400),
    ("GET", "/acme/app.git/x/info/refs?service=git-upload-pack", "", 400),
    ("GET", "/acme/app/-/info/refs?service=git-upload-pack", "", 400),
    ("GET", "/app/info/refs?service=git-upload-pack", "", 400),
    ("GET", "/info/refs?service=git-upload-pack", "", 400),
    ("GET", "/acme:443/app/info/refs?service=git-upload-pack", "", 400),
    // Other repositories, services and hosts.
    ("GET", "/acme/app2/info/refs?service=git-upload-pack", "", 403),
    ("GET", "/acme/app/x/info/refs?service=git-upload-pack", "", 403),
    ("GET", "/acme/APP/info/refs?service=git-upload-pack", "", 403),
    ("GET", "/acme/app/info/refs?service=git-receive-pack", "", 403),
    (
        "POST",
        "/acme/app/git-receive-pack",
        "Content-Type: application/x-git-receive-pack-request\r\n",
        403,
    ),
    (
        "GET",
        "@evil.example/acme/app/info/refs?service=git-upload-pack",
        "",
        400,
    ),
    (
        "GET",
        ".evil.example/acme/app/info/refs?service=git-upload-pack",
        "",
        403,
    ),
    ("GET", ":443/acme/app/info/refs?service=git-upload-pack", "", 403),
    // Other requests to it.
    ("GET", "/acme/app/info/refs", "", 404),
    ("GET", "/acme/app/info/refs?", "", 404),
    ("GET", "/acme/app/info/refs?service=git-upload-archive", "", 404),
    ("GET", "/acme/app/info/refs?service=git-upload-pack&x=y", "", 404),
    ("GET", "/acme/app/info/refs?x=y&service=git-upload-pack", "", 404),
    (
        "GET",
        "/acme/app/info/refs?service=git-receive-pack&service=git-upload-pack",
        "",
        404,
    ),
    ("GET", "/acme/app/info/refs?service=git%2Dupload-pack", "", 404),
    ("GET", "/acme/app/info/refs?Service=git-upload-pack", "", 404),
    (
        "GET",
        "/acme/app/info/refs?private_token=x&service=git-upload-pack",
        "",
        404,
    ),
    (
        "POST",
        "/acme/app/git-upload-pack?x=y",
        "Content-Type: application/x-git-upload-pack-request\r\n",
        404,
    ),
    ("POST", "/acme/app/info/refs?service=git-upload-pack", "", 404),
    ("GET", "/acme/app/git-upload-pack", "", 404),
    ("DELETE", "/acme/app/info/refs?service=git-upload-pack", "", 404),
    ("PUT", "/acme/app/git-upload-pack", "", 404),
    ("PROPFIND", "/acme/app/", "", 400),
    ("GET", "/acme/app/HEAD", "", 404),
    ("GET", "/acme/app.git/objects/info/packs", "", 404),
    (
        "GET",
        "/acme/app.git/objects/00/0123456789abcdef0123456789abcdef012345",
        "",
        404,
    ),
    ("GET", "/acme/app/archive/main.tar.gz", "", 404),
    ("GET", "/api/v4/user", "", 404),
    (
        "POST",
        "/acme/app.git/info/lfs/objects/batch",
        "Content-Type: application/vnd.git-lfs+json\r\n",
        501,
    ),
    ("GET", "/acme/app.git/info/lfs/locks", "", 501),
    ("GET", "/acme/app/info/lfs/info/refs?service=git-upload-pack", "", 501),
    // Media types.
    ("POST", "/acme/app/git-upload-pack", "", 415),
    ("POST", "/acme/app/git-upload-pack", "Content-Type: text/plain\r\n", 415),
    (
        "POST",
        "/acme/app/git-upload-pack",
        "Content-Type: application/x-git-receive-pack-request\r\n",
        415,
    ),
    (
        "POST",
        "/acme/app/git-upload-pack",
        "Content-Type: application/x-git-upload-pack-request\r\nContent-Type: text/plain\r\n",
        415,
    ),
    (
        "POST",
        "/acme/app/git-upload-pack",
        "Content-Type: application/x-git-upload-pack-request\r\nContent-Encoding: br\r\n",
        415,
    ),
    (
        "POST",
        "/acme/app/git-upload-pack",
        "Content-Type: application/x-git-upload-pack-request\r\nContent-Encoding: gzip\r\nContent-Encoding: gzip\r\n",
        415,
    ),
    (
        "GET",
        "/acme/app/info/refs?service=git-upload-pack",
        "Content-Length: 4\r\n",
        400,
    ),
    (
        "POST",
        "/acme/app/git-upload-pack",
        "Content-Type: application/x-git-upload-pack-request\r\nTransfer-Encoding: chunked\r\n",
        403,
    ),
    // Who asks.
    (
        "GET",
        "/acme/app/info/refs?service=git-upload-pack",
        "Origin: https://evil.example\r\n",
        403,
    ),
    (
        "GET",
        "/acme/app/info/refs?service=git-upload-pack",
        "Origin: null\r\n",
        403,
    ),
    (
        "GET",
        "/acme/app/info/refs?service=git-upload-pack",
        "X-Forwarded-For: 127.0.0.1\r\n",
        403,
    ),
    (
        "GET",
        "/acme/app/info/refs?service=git-upload-pack",
        "Forwarded: for=127.0.0.1\r\n",
        403,
    ),
    (
        "GET",
        "/acme/app/info/refs?service=git-upload-pack",
        "Via: 1.1 proxy\r\n",
        403,
    ),
    (
        "GET",
        "/acme/app/info/refs?service=git-upload-pack",
        "Upgrade: h2c, websocket\r\n",
        403,
    ),
    (
        "GET",
        "/acme/app/info/refs?service=git-upload-pack",
        "Connection: keep-alive, Upgrade\r\n",
        403,
    ),
    (
        "GET",
        "/acme/app/info/refs?service=git-upload-pack",
        "Host: 127.0.0.1\r\n",
        403,
    ),
];

/// Heads that are refused as a whole; `{host}` is the host that is served.
const HEADS: &[(&str, u16)] = &[
    (
        "GET /{host}/acme/app/info/refs?service=git-upload-pack HTTP/1.1\r\n\r\n",
        403,
    ),
    (
        "GET /{host}/acme/app/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        403,
    ),
    (
        "GET /{host}/acme/app/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: {host}.evil.example\r\n\r\n",
        403,
    ),
    (
        "GET /{host}/acme/app/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: github.com\r\n\r\n",
        403,
    ),
    (
        "GET http://127.0.0.1/{host}/acme/app/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        400,
    ),
    (
        "GET https://{host}/acme/app/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        400,
    ),
    ("CONNECT {host} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
    ("OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
    ("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
    (
        "GET /gitlab.example/acme/app/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        403,
    ),
    (
        "GET /{host}/acme/app/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: 127.0.0.1\r\n folded: x\r\n\r\n",
        400,
    ),
    (
        "GET /{host}/acme/app/info/refs?service=git-upload-pack HTTP/1.1\r\nHost: 127.0.0.1\r\nA b: c\r\n\r\n",
        400,
    ),
];

#[test]
fn requests_that_git_does_not_make_do_not_reach_the_host() {
    let world = World::new(&["acme/app:fetch"]);
    let host = world.forge.host();
    let below = REFUSED.iter().map(|(method, below, head, status)| {
        let length = if *method == "POST" { "Content-Length: 0\r\n" } else { "" };
        let request = format!("{method} /{host}{below} HTTP/1.1\r\nHost: 127.0.0.1\r\n{length}{head}\r\n");
        let body = if head.contains("Content-Length: 4") { "0000" } else { "" };
        (request + body, *status)
    });
    let whole = HEADS
        .iter()
        .map(|(head, status)| (head.replace("{host}", &host), *status));
    let mut asked = 0;
    for (request, status) in below.chain(whole) {
        let answer = world.ask(&request);
        assert_eq!(answer.status, status, "{request}\n{}\n{}", answer.head, answer.body);
        assert!(
            answer.header("www-authenticate").is_none() && answer.header("location").is_none(),
            "{request}"
        );
        let said =
            answer.body.starts_with("vertex-injector: ") || answer.body.starts_with("{\"message\":\"vertex-injector: ");
        // What is no HTTP at all is refused before us.
        assert!(said || answer.body.is_empty(), "{request}\n{}", answer.body);
        asked += 1;
    }
    assert!(asked >= 75);
    let seen = world.forge.seen();
    assert!(seen.is_empty(), "{seen:#?}");

    // The same request, as git makes it, does.
    world.repository("acme/app");
    assert_eq!(world.discover("acme/app").status, 200);
    assert_eq!(world.forge.seen().len(), 1);
}

#[test]
fn what_the_agent_says_of_itself_does_not_reach_the_host() {
    let world = World::new(&["acme/app:fetch"]);
    world.repository("acme/app");
    let host = world.forge.host();
    let answer = world.ask(&format!(
        "GET /{host}/acme/app/info/refs?service=git-upload-pack HTTP/1.1\r\n\
         Host: localhost:1\r\n\
         Authorization: Basic Y2FuYXJ5OmNhbmFyeQ==\r\n\
         Proxy-Authorization: Basic Y2FuYXJ5OmNhbmFyeQ==\r\n\
         Private-Token: canary\r\nJob-Token: canary\r\nPrivate-Token: canary\r\nX-Api-Key: canary\r\n\
         Cookie: session=canary\r\n\
         Accept: application/canary\r\nAccept-Encoding: gzip\r\nAccept-Language: en\r\nUser-Agent: git/2.39.5\r\n\
         Git-Protocol: version=2:canary\r\n\
         Sudo: canary\r\nX-HTTP-Method-Override: POST\r\nReferer: http://canary\r\n\r\n"
    ));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let [seen] = &world.forge.seen()[..] else {
        panic!("one request")
    };
    assert_eq!(seen.line, "GET /acme/app.git/info/refs?service=git-upload-pack");
    let mut names: Vec<&str> = seen.headers.keys().map(http::HeaderName::as_str).collect();
    names.sort_unstable();
    let expected = [
        "accept",
        "accept-encoding",
        "accept-language",
        "authorization",
        "host",
        "pragma",
        "user-agent",
    ];
    assert_eq!(names, expected);
    assert!(
        seen.headers
            .values()
            .all(|value| !value.to_str().unwrap().contains("canary"))
    );
    assert_eq!(seen.header("host"), Some(host.as_str()));
    assert!(
        world
            .spellings()
            .iter()
            .any(|secret| seen.header("authorization").unwrap().contains(secret))
    );
}

#[test]
fn git_lfs_is_told_in_its_own_words() {
    let world = World::new(&["acme/app:fetch"]);
    let host = world.forge.host();
    let answer = world.ask(&format!(
        "POST /{host}/acme/app.git/info/lfs/objects/batch HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{{}}"
    ));
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (501, Some("application/vnd.git-lfs+json"))
    );
    let json: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    assert!(
        json["message"].as_str().unwrap().contains("GIT_LFS_SKIP_SMUDGE=1"),
        "{json}"
    );
}
