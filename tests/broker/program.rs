//! The program around the metadata server: flags, start, probe, metrics, end, and what it never shows.

use super::credentials::{authorized_user, external_account};
use super::exchange::{Directory, reading};
use super::process::{Broker, program};
use harness::scripted::{Google, Reply, token};
use serde_json::{Value, json};
use std::fs;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

const TOKEN: &str = "/computeMetadata/v1/instance/service-accounts/default/token";

fn file(directory: &Directory, google: &Google) -> Value {
    let mut file = reading(external_account(), &directory.file("subject", "canary-subject-token"));
    file["token_url"] = json!(format!("http://{}/v1/token", google.listen()));
    file
}

pub(crate) fn run(arguments: &[&str], env: &[(&str, &str)]) -> Output {
    program()
        .args(arguments)
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("run the program")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn everything_can_be_said_with_variables_alone() {
    let directory = Directory::new("env");
    let google = Google::always(token("canary-access-token", 3599));
    let json = file(&directory, &google).to_string();
    let broker = Broker::start(
        &[],
        &[
            ("VERTEX_INJECTOR_MODE", "metadata"),
            ("VERTEX_INJECTOR_PROJECT", "my-project"),
            ("VERTEX_INJECTOR_PROJECT_NUMBER", "42"),
            ("VERTEX_INJECTOR_CREDENTIALS_JSON", &json),
            ("VERTEX_INJECTOR_METADATA_PORT", "0"),
            ("VERTEX_INJECTOR_METRICS_LISTEN", "127.0.0.1:0"),
        ],
    );
    assert_eq!(broker.startup["mode"], "metadata");
    assert_eq!(broker.startup["project"], "my-project");
    assert_eq!(broker.startup["project_number"], "42");
    assert_eq!(broker.startup["credentials"], "external_account");
    assert_eq!(broker.startup["account"], "my-project.svc.id.goog");
    assert_eq!(broker.metadata(TOKEN).status, 200);
    assert_eq!(
        broker.metadata("/computeMetadata/v1/project/numeric-project-id").body,
        "42"
    );
}

#[test]
fn what_cannot_be_used_is_said_before_anything_listens() {
    let directory = Directory::new("unusable");
    let secret = directory.file("user.json", &authorized_user().to_string());
    let broken = directory.file("broken.json", r#"{"type": "external_account", "audience": "canary"}"#);
    let absent = PathBuf::from("/nonexistent/file.json");
    let inline = authorized_user().to_string();
    let (secret, broken, absent) = (
        secret.to_str().unwrap(),
        broken.to_str().unwrap(),
        absent.to_str().unwrap(),
    );
    for (arguments, env, words) in [
        (vec![], vec![], "no credential: give --credentials FILE"),
        (
            vec!["--credentials", absent],
            vec![],
            "cannot read --credentials /nonexistent/file.json",
        ),
        (vec!["--credentials", broken], vec![], "field credential_source"),
        (
            vec!["--credentials", "-"],
            vec![],
            "cannot use --credentials -: the credential file is not a JSON object",
        ),
        (
            vec![],
            vec![("VERTEX_INJECTOR_CREDENTIALS_JSON", inline.as_str())],
            "only type external_account",
        ),
        (
            vec!["--credentials", secret, "--node-metadata-server"],
            vec![],
            "cannot be used with",
        ),
        (
            vec!["--node-metadata-server=metadata.evil.example"],
            vec![],
            "only 169.254.169.254 and loopback",
        ),
        (
            vec!["--credentials", secret, "--project=../x"],
            vec![],
            "not a project ID",
        ),
        (vec!["--credentials", secret, "--metadata-port=70000"], vec![], "70000"),
        (
            vec!["--credentials", secret, "--log=nonsense=1=2"],
            vec![],
            "invalid --log",
        ),
        (
            vec!["--credentials", secret, "--log=loud"],
            vec![],
            "off, error, warn, info, debug, trace",
        ),
        (
            vec!["--credentials", secret, "--log=info,loud"],
            vec![],
            "off, error, warn, info, debug, trace",
        ),
        (
            vec!["--credentials", secret],
            vec![("VERTEX_INJECTOR_LOG", "vertex_injector")],
            "invalid --log",
        ),
    ] {
        let mut all = vec!["broker", "--mode=metadata"];
        if !arguments.iter().any(|argument| argument.starts_with("--project")) {
            all.push("--project=p");
        }
        all.extend(&arguments);
        let output = run(&all, &env);
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(words), "{arguments:?}: {error}");
        for content in ["canary", "client-secret", "refresh-token"] {
            assert!(!error.contains(content), "{arguments:?}: {error}");
        }
    }
}

#[test]
fn help_explains_the_mode_and_shows_no_value_of_a_credential() {
    let output = run(
        &["broker", "--help"],
        &[("VERTEX_INJECTOR_CREDENTIALS_JSON", "canary-json")],
    );
    let help = text(&output.stdout);
    for words in ["GCE_METADATA_HOST", "VERTEX_INJECTOR_MODE", "503", "SIGTERM"] {
        assert!(help.contains(words), "{words}: {help}");
    }
    assert!(!help.contains("canary"), "{help}");
}

#[test]
fn the_broker_is_ready_although_google_is_away_and_the_probe_says_so() {
    let directory = Directory::new("probe");
    let file = file(&directory, &Google::always(Reply::Hang));
    let credentials = directory.file("credentials.json", &file.to_string());
    let broker = Broker::of_credential(&credentials, &[]);
    let port = broker.address("metadata").port().to_string();
    let env = [("VERTEX_INJECTOR_METADATA_PORT", port.as_str())];
    let output = run(&["probe"], &env);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    drop(broker);
    let output = run(&["probe"], &env);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&format!("the broker does not answer on 127.0.0.1:{port}")));
}

#[test]
fn what_else_listens_on_the_port_does_not_pass_the_probe() {
    let google = Google::always(Reply::Json(200, json!({})));
    let port = google.listen().port().to_string();
    let output = run(&["probe", "--metadata-port", &port], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("is not a broker's metadata server"));
}

#[test]
fn a_signal_ends_it_at_once_and_well_even_while_google_hangs() {
    for signal in ["TERM", "INT"] {
        let directory = Directory::new(&format!("signal-{signal}"));
        let file = file(&directory, &Google::always(Reply::Hang));
        let credentials = directory.file("credentials.json", &file.to_string());
        let broker = Broker::of_credential(&credentials, &[]);
        let (code, time) = broker.end(signal);
        assert_eq!(code, Some(0), "{signal}");
        assert!(time < Duration::from_secs(1), "{signal} took {time:?}");
    }
}

#[test]
fn only_the_metrics_port_can_be_reached_from_outside_and_it_has_no_token() {
    let directory = Directory::new("sockets");
    let file = file(&directory, &Google::always(token("canary-access-token", 3599)));
    let credentials = directory.file("credentials.json", &file.to_string());
    let broker = Broker::of_credential(&credentials, &["--metrics-listen=0.0.0.0:0"]);
    let metrics = broker.address("metrics").port();
    for (address, port) in listening(broker.id()) {
        assert!(address == "0100007F" || port == metrics, "{address}:{port} listens");
    }
    assert_eq!(broker.metadata(TOKEN).status, 200);
    for path in [TOKEN, "/", "/computeMetadata/v1/", "/token"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nMetadata-Flavor: Google\r\n\r\n");
        let answer = harness::request::ask(format!("127.0.0.1:{metrics}").parse().unwrap(), request.as_bytes());
        assert_eq!(answer.status, 404, "{path}");
    }
    let request = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = harness::request::ask(format!("127.0.0.1:{metrics}").parse().unwrap(), request.as_bytes());
    for line in [
        r#"vertex_injector_broker_token_requests_total{result="Token"} 1"#,
        r#"vertex_injector_broker_token_fetches_total{result="Token"} 1"#,
    ] {
        assert!(answer.body.contains(line), "{}", answer.body);
    }
}

/// The addresses, as the kernel writes them, and ports on which a process listens.
pub(crate) fn listening(process: u32) -> Vec<(String, u16)> {
    let descriptors = fs::read_dir(format!("/proc/{process}/fd")).expect("its descriptors");
    let sockets: Vec<String> = descriptors
        .filter_map(|entry| fs::read_link(entry.expect("a descriptor").path()).ok())
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let mut found = Vec::new();
    for table in ["tcp", "tcp6", "udp", "udp6"] {
        let text = fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let listens = fields[3] == "0A" || (table.starts_with("udp") && fields[3] == "07");
            if listens && sockets.iter().any(|socket| socket == fields[9]) {
                let (address, port) = fields[1].rsplit_once(':').expect("an address");
                found.push((address.to_owned(), u16::from_str_radix(port, 16).expect("a port")));
            }
        }
    }
    assert!(!found.is_empty(), "nothing listens");
    found
}

#[test]
fn canaries_appear_in_no_log_error_or_metric() {
    let directory = Directory::new("canary");
    let google = Google::always(token("canary-access-token", 3599));
    let credentials = directory.file("credentials.json", &file(&directory, &google).to_string());
    let broker = Broker::of_credential(&credentials, &["--metrics-listen=127.0.0.1:0"]);
    let whole = broker.metadata(TOKEN);
    assert!(whole.body.contains("canary-access-token"), "the canaries are alive");
    assert_eq!(
        google.seen()[0].field("subject_token").as_deref(),
        Some("canary-subject-token")
    );
    let mut shown = String::new();
    for path in [
        "/",
        "/?recursive=true",
        "/instance/service-accounts/?recursive=true",
        "/nowhere",
        "/instance/service-accounts/default/",
    ] {
        shown += &broker.metadata(&format!("/computeMetadata/v1{path}")).body;
    }
    shown += &broker
        .ask(
            "metadata",
            &format!("GET {TOKEN} HTTP/1.1\r\nHost: canary.example\r\n\r\n"),
        )
        .body;
    shown += &broker.ask("metrics", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").body;
    shown += &broker.log();
    assert!(shown.contains("serving"), "the log is there");
    assert!(!shown.contains("canary-access"), "{shown}");
    assert!(!shown.contains("canary-subject"), "{shown}");
}
