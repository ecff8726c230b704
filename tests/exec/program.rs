//! The built program around a server: what that gets, when it is restarted, and what nobody gets to see.

use super::bootstrap::{SESSION, environment, keys};
use super::process::{Directory, Wrapper, children, program, run};
use harness::process::repository;
use harness::scripted::{Google as Platform, Reply};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A server that writes down what it got, and waits. Each start adds a line.
const SERVER: &str = r#"printf '%s|%s\n' "$TOKEN" "$(cat "$FILE" 2>/dev/null)" >>"$OUT"; exec sleep 120"#;

/// [`SERVER`] around the credential in the directory, with `arguments`.
fn serving(directory: &Directory, credential: &str, arguments: &[&str]) -> Wrapper {
    let source = format!("file:{}", directory.write("credential", credential));
    let mut all = vec!["--source", &source, "--control-port=0"];
    all.extend(arguments);
    all.extend(["--", "sh", "-c", SERVER]);
    Wrapper::start(
        &all,
        &[("OUT", &directory.path("out")), ("FILE", &directory.path("file"))],
    )
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The environment of the exchange with a platform on loopback.
fn ambient(platform: &Platform) -> Vec<(&'static str, String)> {
    let address = platform.listen();
    let mut environment = environment();
    environment.insert("AMBIENT_API_URL", format!("http://{address}"));
    environment.insert("AMBIENT_CP_TOKEN_URL", format!("http://{address}/token"));
    environment.into_iter().collect()
}

fn borrowed<'a>(env: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    env.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[test]
fn a_server_gets_its_credential_and_is_restarted_with_each_other_one() {
    let directory = Directory::new();
    let file = directory.path("file");
    let mut wrapper = serving(
        &directory,
        r#"{"token": "canary-1", "config": "canary-config-1"}"#,
        &["--env=TOKEN=apiToken|token", "--file", &format!("{file}=config")],
    );
    assert_eq!(wrapper.startup["source"], "file");
    assert_eq!(wrapper.startup["env"], "TOKEN");
    assert_eq!(wrapper.startup["files"], file);
    assert_eq!(wrapper.startup["command"], "sh");
    directory.wait_for("out", "canary-1|canary-config-1\n");
    assert_eq!(wrapper.wait_for("there is a credential")["fields"], "config, token");
    assert_eq!(wrapper.ask("GET", "/readyz").0, 200);

    // A field that nobody uses.
    directory.write(
        "credential",
        r#"{"token": "canary-1", "config": "canary-config-1", "user": "u"}"#,
    );
    assert_eq!(wrapper.ask("POST", "/refresh"), (200, "refreshed\n".to_owned()));
    assert_eq!(wrapper.ask("POST", "/refresh").0, 429);
    // What changes is noticed without being asked: files are looked at every ten seconds.
    directory.write("credential", r#"{"token": "canary-2", "config": "canary-config-2"}"#);
    directory.wait_for("out", "canary-1|canary-config-1\ncanary-2|canary-config-2\n");
    wrapper.wait_for_nth("the child has started", 1);
    assert_eq!(wrapper.ask("GET", "/readyz").0, 200);
    assert_eq!(wrapper.count("the child has started"), 2);

    let shown = wrapper.output() + &wrapper.ask("GET", "/").1 + &wrapper.ask("GET", "/healthz").1;
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn a_server_that_rereads_its_file_is_signalled_and_not_restarted() {
    let directory = Directory::new();
    let source = format!("file:{}", directory.write("credential", "one"));
    let (file, out) = (directory.path("file"), directory.path("out"));
    let server = r#"trap 'cat "$FILE" >>"$OUT"' HUP; cat "$FILE" >>"$OUT"; while :; do sleep 0.05; done"#;
    let mapped = format!("{file}=token");
    let wrapper = Wrapper::start(
        &[
            "--source",
            &source,
            "--file",
            &mapped,
            "--on-refresh=signal:HUP",
            "--control-port=0",
            "--",
            "sh",
            "-c",
            server,
        ],
        &[("OUT", &out), ("FILE", &file)],
    );
    directory.wait_for("out", "one");
    directory.write("credential", "two");
    assert_eq!(wrapper.ask("POST", "/refresh").0, 200);
    directory.wait_for("out", "onetwo");
    assert_eq!(wrapper.count("the child has started"), 1);
}

#[test]
fn a_variable_that_changes_restarts_even_a_server_that_takes_signals() {
    let directory = Directory::new();
    let wrapper = serving(&directory, "one", &["--env=TOKEN=token", "--on-refresh=signal:HUP"]);
    directory.wait_for("out", "one|\n");
    directory.write("credential", "two");
    assert_eq!(wrapper.ask("POST", "/refresh").0, 200);
    directory.wait_for("out", "one|\ntwo|\n");
}

#[test]
fn on_refresh_none_replaces_files_only() {
    let directory = Directory::new();
    let mapped = format!("{}=token", directory.path("file"));
    let mut wrapper = serving(
        &directory,
        "one",
        &["--env=TOKEN=token", "--file", &mapped, "--on-refresh=none"],
    );
    directory.wait_for("out", "one|one\n");
    directory.write("credential", "two");
    assert_eq!(wrapper.ask("POST", "/refresh").0, 200);
    directory.wait_for("file", "two");
    wrapper.wait_for("the credential has changed; the child is not told");
    assert_eq!(directory.read("out"), "one|one\n");
    assert_eq!(wrapper.count("the child has started"), 1);
}

#[test]
fn the_server_inherits_everything_but_what_the_credential_is_fetched_with() {
    let directory = Directory::new();
    let platform = Platform::new(|seen| {
        if seen.line.contains("/token HTTP") && !seen.line.contains("credentials") {
            Reply::Json(200, json!({"token": "canary-api"}))
        } else {
            Reply::Json(200, json!({"token": "the-token", "url": "https://jira.example"}))
        }
    });
    let out = directory.path("environment");
    let mut env = ambient(&platform);
    env.extend([
        ("OUT", out),
        ("JIRA_READ_ONLY_MODE", "true".to_owned()),
        ("JIRA_API_TOKEN", "the image's own".to_owned()),
        ("VERTEX_INJECTOR_LOG", "info".to_owned()),
        ("VERTEX_INJECTOR_CONTROL_PORT", "0".to_owned()),
    ]);
    let mut wrapper = Wrapper::start(
        &[
            "--source=ambient",
            "--env=JIRA_API_TOKEN=apiToken|token",
            "--env=JIRA_URL=url",
            "--",
            "sh",
            "-c",
            r#"env >"$OUT.new"; mv "$OUT.new" "$OUT"; exec sleep 120"#,
        ],
        &borrowed(&env),
    );
    assert_eq!(wrapper.startup["provider"], "github");
    wrapper.wait_for("the child has started");
    let end = Instant::now() + Duration::from_secs(10);
    while directory.read("environment").is_empty() {
        assert!(Instant::now() < end, "{}", wrapper.output());
        harness::process::pause(Duration::from_millis(5));
    }
    let environment = directory.read("environment");
    let names: BTreeSet<&str> = environment
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    for line in [
        "JIRA_API_TOKEN=the-token",
        "JIRA_URL=https://jira.example",
        "JIRA_READ_ONLY_MODE=true",
    ] {
        assert!(environment.lines().any(|one| one == line), "{line}: {names:?}");
    }
    assert!(names.contains("PATH"));
    for name in [
        "SESSION_ID",
        "AMBIENT_API_URL",
        "AMBIENT_CP_TOKEN_URL",
        "AMBIENT_CP_TOKEN_PUBLIC_KEY",
        "CREDENTIAL_IDS",
    ] {
        assert!(!names.contains(name), "{name}");
    }
    assert!(
        !names.iter().any(|name| name.starts_with("VERTEX_INJECTOR_")),
        "{names:?}"
    );
    assert!(
        !environment.contains("BEGIN PUBLIC KEY") && !environment.contains(SESSION) && !environment.contains("canary")
    );
}

#[test]
fn each_missing_variable_of_the_exchange_ends_it_with_code_2_and_its_name() {
    let platform = Platform::always(Reply::Hang);
    let whole = ambient(&platform);
    for missing in [
        "SESSION_ID",
        "AMBIENT_API_URL",
        "AMBIENT_CP_TOKEN_URL",
        "AMBIENT_CP_TOKEN_PUBLIC_KEY",
        "CREDENTIAL_IDS",
    ] {
        let env: Vec<_> = borrowed(&whole)
            .into_iter()
            .filter(|(name, _)| *name != missing)
            .collect();
        let output = run(
            &[
                "--source=ambient",
                "--env=T=token",
                "--",
                "touch",
                "/nonexistent/started",
            ],
            &env,
        );
        assert_eq!(output.status.code(), Some(2), "{missing}");
        let error = text(&output.stderr);
        assert!(error.contains(&format!("{missing} is not set")), "{error}");
        assert!(!error.contains(SESSION), "{error}");
    }
    assert_eq!(platform.seen().len(), 0, "nothing was asked");
}

#[test]
fn what_cannot_be_used_is_said_before_anything_starts() {
    let directory = Directory::new();
    let source = format!("file:{}", directory.write("credential", r#"{"token": "canary"}"#));
    let source = source.as_str();
    let marker = directory.path("started");
    for (arguments, words) in [
        (vec!["--source=vault:x"], "not a source"),
        (vec!["--source=file:"], "not a source"),
        (vec!["--source", source, "--env=1=token"], "not a variable's name"),
        (
            vec!["--source", source, "--env=A=x", "--env=A=token"],
            "--env A: given twice",
        ),
        (
            vec!["--source", source, "--file=/nowhere/f=token"],
            "its directory does not exist",
        ),
        (
            vec!["--source", source, "--on-refresh=signal:KILL"],
            "not one of restart",
        ),
        (vec!["--source", source, "--grace-period=0"], "0 is not in"),
        (vec!["--source", source, "--token-file=/x"], "it would not be used"),
        (
            vec!["--source", source, "--git-credentials=github.com"],
            "--control-port",
        ),
        (
            vec!["--source", source, "--control-port=0", "--git-credentials=a b"],
            "not HOST",
        ),
        (
            vec!["--source", source, "--allow-host=*.example.com"],
            "no well-formed host",
        ),
        (
            vec!["--source=https://tokens.example.com/x"],
            "not listed; if it may have the credential, add --allow-host tokens.example.com:443",
        ),
        (
            vec!["--source=http://evil.svc/x", "--allow-host=evil.svc", "--token-file=/x"],
            "plain http",
        ),
        (vec!["--source=http://127.0.0.1:1/x"], "needs --token-file"),
        (
            vec!["--source", source, "--env=A=apiToken"],
            "--env A=apiToken: the credential has no field apiToken; its fields are: token",
        ),
        (vec!["--source", source, "--log=nonsense=1=2"], "invalid --log"),
        (
            vec!["--source", source, "--log=loud"],
            "off, error, warn, info, debug, trace",
        ),
    ] {
        let mut all = arguments.clone();
        all.extend(["--", "touch", &marker]);
        let output = run(&all, &[]);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(words), "{arguments:?}: {error}");
        assert!(!error.contains("canary"), "{error}");
    }
    let output = run(&["--source", source], &[]);
    assert_eq!(output.status.code(), Some(2), "no command");
    assert!(!fs::exists(&marker).unwrap(), "nothing was started");
}

#[test]
fn a_command_that_does_not_exist_is_an_error_that_names_it() {
    let directory = Directory::new();
    let source = format!("file:{}", directory.write("credential", "canary"));
    let output = run(&["--source", &source, "--", "no-such-program"], &[]);
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(
        error.contains("cannot start no-such-program") && error.contains("No such file"),
        "{error}"
    );
    assert!(!error.contains("canary"));
}

#[test]
fn while_the_platform_fails_it_stays_up_and_unready_and_leaks_nothing() {
    let directory = Directory::new();
    let platform = Platform::new(|seen| Reply::Json(500, json!(format!("canary {}", seen.head))));
    let out = directory.path("out");
    let mut env = ambient(&platform);
    env.push(("OUT", out));
    let mut wrapper = Wrapper::start(
        &[
            "--source=ambient",
            "--env=TOKEN=token",
            "--control-port=0",
            "--",
            "sh",
            "-c",
            SERVER,
        ],
        &borrowed(&env),
    );
    assert_eq!(wrapper.ask("GET", "/healthz").0, 200);
    let event = wrapper.wait_for("no credential at the moment, trying again");
    assert_eq!(event["level"], "WARN");
    assert!(event["advice"].as_str().unwrap().contains("AMBIENT_CP_TOKEN_URL"));
    assert_eq!(wrapper.ask("GET", "/readyz").0, 503);
    assert_eq!(wrapper.ask("POST", "/refresh").0, 503);
    assert!(children(wrapper.id()).is_empty(), "no server without a credential");
    let told = wrapper.count("no credential at the moment, trying again");
    assert_eq!(told, 1, "one line for one kind of trouble");

    // It comes back by itself.
    platform.becomes(|_| Reply::Json(200, json!({"token": "canary-token"})));
    directory.wait_for("out", "canary-token|\n");
    wrapper.wait_for("the credential can be fetched again");
    assert_eq!(wrapper.ask("GET", "/readyz").0, 200);

    let seen = platform.seen();
    let bearer = seen[0]
        .header("authorization")
        .unwrap()
        .trim_start_matches("Bearer ")
        .to_owned();
    let shown = wrapper.output() + &wrapper.ask("GET", "/readyz").1 + &wrapper.ask("POST", "/refresh").1;
    for secret in [
        "canary",
        bearer.get(..20).expect("a long one"),
        SESSION,
        "BEGIN PUBLIC KEY",
        keys().0.get(40..60).expect("a key"),
    ] {
        assert!(!shown.contains(secret), "{secret}: {shown}");
    }
}

#[test]
fn a_refusal_is_told_once_with_what_to_check() {
    let platform = Platform::always(Reply::Json(403, json!("canary")));
    let env = ambient(&platform);
    let mut wrapper = Wrapper::start(
        &[
            "--source=ambient",
            "--env=T=token",
            "--control-port=0",
            "--",
            "sleep",
            "60",
        ],
        &borrowed(&env),
    );
    let event = wrapper.wait_for("credential refused");
    assert_eq!(event["level"], "ERROR");
    assert!(event["detail"].as_str().unwrap().contains("status 403"), "{event}");
    assert_eq!(wrapper.ask("POST", "/refresh").0, 503);
    assert_eq!(wrapper.count("credential refused"), 1);
    assert_eq!(platform.seen().len(), 2);
}

#[test]
fn the_probe_tells_alive_from_ready() {
    let directory = Directory::new();
    let credential = directory.path("credential");
    let source = format!("file:{credential}");
    let wrapper = Wrapper::start(&["--source", &source, "--control-port=0", "--", "sleep", "60"], &[]);
    let port = wrapper.control().port().to_string();
    let probe = |arguments: &[&str]| {
        let mut command = program();
        command
            .arg("probe")
            .args(arguments)
            .env("VERTEX_INJECTOR_CONTROL_PORT", &port);
        command.stdin(Stdio::null()).output().expect("run the probe")
    };
    assert_eq!(probe(&[]).status.code(), Some(0));
    let output = probe(&["--ready"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("there is no credential"),
        "{}",
        text(&output.stderr)
    );
    directory.write("credential", "token");
    assert_eq!(wrapper.ask("POST", "/refresh").0, 200);
    let end = Instant::now() + Duration::from_secs(10);
    while probe(&["--ready"]).status.code() != Some(0) {
        assert!(Instant::now() < end, "{}", wrapper.output());
    }
    drop(wrapper);
    let output = probe(&["--control-port", &port]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("the wrapper does not answer"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn git_credentials_are_off_by_default_and_limited_to_their_hosts() {
    let directory = Directory::new();
    let source = format!("file:{}", directory.write("credential", "canary"));
    let mut wrapper = Wrapper::start(&["--source", &source, "--control-port=0", "--", "sleep", "60"], &[]);
    wrapper.wait_for("the child has started");
    assert_eq!(wrapper.ask("GET", "/git-credentials?host=github.com").0, 404);
    drop(wrapper);
    let mut wrapper = Wrapper::start(
        &[
            "--source",
            &source,
            "--control-port=0",
            "--git-credentials=github.com",
            "--git-credentials-user=oauth2",
            "--",
            "sleep",
            "60",
        ],
        &[],
    );
    wrapper.wait_for("the child has started");
    assert_eq!(wrapper.startup["git_credentials"], "github.com");
    assert_eq!(
        wrapper.ask("GET", "/git-credentials?host=github.com"),
        (200, "username=oauth2\npassword=canary\n".to_owned())
    );
    assert_eq!(wrapper.ask("GET", "/git-credentials?host=evil.example").0, 403);
    assert!(!wrapper.output().contains("canary"));
}

#[test]
fn help_shows_how_to_use_each_source() {
    let output = run(&["--help"], &[]);
    let help = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0));
    for words in [
        "file:PATH",
        "--source ambient",
        "--source https://",
        "apiToken|token",
        "exit code 2",
        "--on-refresh",
    ] {
        assert!(help.contains(words), "{words}: {help}");
    }
}

#[test]
fn the_demo_shows_a_server_that_has_its_token() {
    let source = format!("file:{}", repository().join("hack/demo/credential.json").display());
    let output = run(
        &[
            "--source",
            &source,
            "--env=TOKEN=token",
            "--",
            "sh",
            "-c",
            "echo a token of ${#TOKEN} characters",
        ],
        &[],
    );
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "a token of 17 characters\n");
}
