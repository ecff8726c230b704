//! The program in mode proxy: flags, help, probe, sockets, and what it never shows.

use super::process::program;
use super::program::{listening, run, text};
use super::vertex::{CANARY, MODELS, Vertex, call};
use harness::request::ask;
use std::fmt::Write as _;
use std::io::Write;

#[test]
fn flags_that_are_missing_wrong_or_of_the_other_mode_are_said_before_anything_listens() {
    let proxy = ["broker", "--mode=proxy", "--project=p", "--node-metadata-server"];
    let metadata = ["broker", "--mode=metadata", "--project=p", "--node-metadata-server"];
    for (start, argument, words) in [
        (proxy, "", "--mode proxy needs --regions"),
        (proxy, "--regions=US", "not a location"),
        (proxy, "--regions=us-east5,a/b", "not a location"),
        (proxy, "--models=a b", "not a pattern"),
        (proxy, "--publishers=meta", "[possible values: anthropic, google]"),
        (proxy, "--allow=Everything", "WebSearch"),
        (
            proxy,
            "--vertex-endpoint=http://example.com",
            "is plain http, which is accepted on loopback only",
        ),
        (proxy, "--vertex-endpoint=example.com", "is not"),
        (proxy, "--proxy-port=70000", "70000"),
        (metadata, "--proxy-port=1", "--proxy-port belongs to --mode proxy"),
        (metadata, "--regions=us", "--regions belongs to --mode proxy"),
        (metadata, "--models=a", "--models belongs to --mode proxy"),
        (metadata, "--publishers=google", "--publishers belongs to --mode proxy"),
        (metadata, "--allow=WebSearch", "--allow belongs to --mode proxy"),
        (
            metadata,
            "--vertex-endpoint=https://a",
            "--vertex-endpoint belongs to --mode proxy",
        ),
    ] {
        let mut arguments = start.to_vec();
        arguments.extend(Some(argument).filter(|argument| !argument.is_empty()));
        if start == proxy && !argument.starts_with("--regions") && !argument.is_empty() {
            arguments.push("--regions=us");
        }
        let output = run(&arguments, &[]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{argument}: {error}");
        assert!(error.contains(words), "{argument}: {error}");
    }
}

#[test]
fn a_variable_of_a_newer_injector_is_refused_and_those_of_a_service_of_our_name_are_not_read() {
    let told = [
        ("VERTEX_INJECTOR_MODE", "proxy"),
        ("VERTEX_INJECTOR_PROJECT", "my-project"),
        ("VERTEX_INJECTOR_NODE_METADATA_SERVER", "127.0.0.1:1"),
        ("VERTEX_INJECTOR_REGIONS", "us-east5"),
    ];
    let output = run(&["broker"], &[&told[..], &[("VERTEX_INJECTOR_BUDGET", "100")]].concat());
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains("VERTEX_INJECTOR_BUDGET") && error.contains("broker.image"),
        "{error}"
    );
    assert!(!error.contains("100"), "{error}");
    let links = [
        ("VERTEX_INJECTOR_METADATA_PORT", "0"),
        ("VERTEX_INJECTOR_PROXY_PORT", "0"),
        ("VERTEX_INJECTOR_SERVICE_HOST", "10.0.0.1"),
        ("VERTEX_INJECTOR_PORT", "tcp://10.0.0.1:443"),
        ("VERTEX_INJECTOR_PORT_443_TCP_PROTO", "tcp"),
    ];
    let broker = super::process::Broker::start(&[], &[&told[..], &links].concat());
    assert_eq!(broker.startup["mode"], "proxy");
}

#[test]
fn help_explains_both_modes_with_examples() {
    let help = text(&run(&["broker", "--help"], &[]).stdout);
    for words in [
        "--mode metadata emulates",
        "--mode proxy keeps the access tokens here as well",
        "ANTHROPIC_VERTEX_BASE_URL",
        "GOOGLE_VERTEX_BASE_URL",
        "VERTEX_INJECTOR_REGIONS",
        "VERTEX_INJECTOR_ALLOW",
        "vertex-injector broker --mode proxy",
    ] {
        assert!(help.contains(words), "{words}: {help}");
    }
}

#[test]
fn everything_of_the_proxy_can_be_said_with_variables_alone_and_the_start_says_it() {
    let vertex = Vertex::always(200, "", "{}");
    let endpoint = format!("http://{}/", vertex.address);
    let broker = super::process::Broker::start(
        &[],
        &[
            ("VERTEX_INJECTOR_MODE", "proxy"),
            ("VERTEX_INJECTOR_PROJECT", "my-project"),
            ("VERTEX_INJECTOR_NODE_METADATA_SERVER", "127.0.0.1:1"),
            ("VERTEX_INJECTOR_METADATA_PORT", "0"),
            ("VERTEX_INJECTOR_PROXY_PORT", "0"),
            ("VERTEX_INJECTOR_REGIONS", "us-east5,global"),
            ("VERTEX_INJECTOR_MODELS", "claude-*,gemini-2*"),
            ("VERTEX_INJECTOR_PUBLISHERS", "anthropic"),
            ("VERTEX_INJECTOR_ALLOW", "WebSearch,UrlSources"),
            ("VERTEX_INJECTOR_VERTEX_ENDPOINT", &endpoint),
        ],
    );
    assert_eq!(broker.startup["mode"], "proxy");
    assert_eq!(broker.startup["project"], "my-project");
    assert_eq!(broker.startup["account"], "my-project.svc.id.goog");
    assert_eq!(broker.startup["endpoint"], endpoint.as_str());
    assert_eq!(
        broker.startup["rules"],
        "publishers anthropic; models claude-*, gemini-2*; regions us-east5, global; allow WebSearch, UrlSources"
    );
    let (metadata, proxy) = (broker.address("metadata").port(), broker.address("proxy").port());
    let (metadata, proxy) = (metadata.to_string(), proxy.to_string());
    let env = |mode: &'static str, proxy: &'static str| {
        [
            ("VERTEX_INJECTOR_MODE", mode),
            ("VERTEX_INJECTOR_METADATA_PORT", metadata.as_str()),
            ("VERTEX_INJECTOR_PROXY_PORT", proxy),
        ]
    };
    let proxy: &'static str = proxy.leak();
    // As the kubelet does, more than once: it may still be busy with its start.
    let probes = (0..10).map(|_| run(&["probe"], &env("proxy", proxy)));
    let ready = probes.into_iter().find(|probe| probe.status.success());
    let ready = ready.unwrap_or_else(|| run(&["probe"], &env("proxy", proxy)));
    assert_eq!(ready.status.code(), Some(0), "{}", text(&ready.stderr));
    // Each port of the mode is asked.
    let elsewhere: &'static str = metadata.clone().leak();
    let wrong = run(&["probe"], &env("proxy", elsewhere));
    assert_eq!(wrong.status.code(), Some(1));
    assert!(
        text(&wrong.stderr).contains("is not a broker's Vertex proxy"),
        "{}",
        text(&wrong.stderr)
    );
    assert_eq!(run(&["probe"], &env("metadata", "1")).status.code(), Some(0));
    // Nobody has called a model.
    assert!(!broker.log().contains("model call"), "{}", broker.log());
}

#[test]
fn only_the_metrics_port_can_be_reached_from_outside_and_it_calls_no_model() {
    let vertex = Vertex::always(200, "", "{}");
    let broker = vertex.broker(&["--metrics-listen=0.0.0.0:0"]);
    let metrics = broker.address("metrics");
    let sockets = listening(broker.id());
    assert_eq!(sockets.len(), 3, "{sockets:?}");
    for (address, port) in sockets {
        assert!(
            address == "0100007F" || port == metrics.port(),
            "{address}:{port} listens"
        );
    }
    let request = super::vertex::post(&format!("{MODELS}/claude-x:rawPredict"), "", "{}");
    let answer = ask(format!("127.0.0.1:{}", metrics.port()).parse().unwrap(), &request);
    assert_eq!(answer.status, 404);
    assert_eq!(vertex.calls().len(), 0);
}

#[test]
fn the_token_appears_in_no_answer_log_error_or_metric() {
    let vertex = Vertex::new(|stream, seen| {
        let token = seen.header("authorization").expect("a token").to_owned();
        assert!(token.contains(CANARY), "the canary is alive");
        let answer = match seen.body.len() {
            2 => super::vertex::whole(200, "", "{}"),
            3 => super::vertex::whole(401, &format!("www-authenticate: {token}\r\n"), &token),
            4 => super::vertex::whole(302, &format!("location: https://evil.example/?{token}\r\n"), &token),
            5 => super::vertex::whole(500, &format!("request-id: {token}\r\n"), &token),
            _ => format!("HTTP/1.1 200 {token}\r\nnot a header {token}\r\n\r\n").into_bytes(),
        };
        let _ = stream.write_all(&answer);
    });
    let broker = vertex.broker(&[]);
    let target = format!("{MODELS}/claude-x:rawPredict");
    let mut shown = String::new();
    for spaces in 0..5 {
        let body = format!("{{{}}}", " ".repeat(spaces));
        let answer = call(&broker, &target, "", &body);
        let _ = write!(shown, "{answer:?}");
    }
    assert_eq!(vertex.calls().len(), 5);
    for (path, body) in [
        ("/", "x"),
        ("/v1/token", "{}"),
        (&target, "{"),
        (&target, r#"{"container":"c"}"#),
    ] {
        let answer = call(&broker, path, "Authorization: Bearer x\r\n", body);
        let _ = write!(shown, "{answer:?}");
    }
    shown += &broker
        .metadata("/computeMetadata/v1/instance/service-accounts/default/token")
        .body;
    shown += &broker.metadata("/computeMetadata/v1/?recursive=true").body;
    shown += &broker.ask("metrics", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").body;
    shown += &broker.log();
    let crashed = program().args(["broker", "--mode=proxy"]).output().expect("run");
    shown += &text(&crashed.stderr);
    assert!(
        shown.contains("model call") && shown.contains("[redacted]"),
        "the log is there"
    );
    for canary in [CANARY, "canary-subject-token"] {
        assert!(!shown.contains(canary), "{shown}");
    }
}
