//! The endpoints of the credential file without a secret, for clients that demand a file.

use super::credentials::external_account;
use super::exchange::{Directory, reading};
use super::process::Broker;
use harness::request::Answer;
use harness::scripted::{Google, Reply, token};
use serde_json::{Value, json};

const SUBJECT: &str = "/vertex-injector/v1/subject-token";
const EXCHANGE: &str = "/vertex-injector/v1/token";
const GRANT: &str = "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";

fn broker(name: &str, google: &Google) -> (Broker, Directory) {
    let directory = Directory::new(name);
    let mut file = reading(external_account(), &directory.file("subject", "canary-subject-token"));
    file["token_url"] = json!(format!("http://{}/v1/token", google.listen()));
    let broker = Broker::start(
        &["--mode=metadata", "--project=p", "--metadata-port=0"],
        &[("VERTEX_INJECTOR_CREDENTIALS_JSON", &file.to_string())],
    );
    (broker, directory)
}

fn exchange(broker: &Broker, headers: &str, form: &str) -> Answer {
    let length = form.len();
    broker.ask(
        "metadata",
        &format!(
            "POST {EXCHANGE} HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n{headers}\r\n{form}"
        ),
    )
}

fn form(subject: &str) -> String {
    format!(
        "grant_type={GRANT}&audience=x&subject_token={subject}&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt"
    )
}

const HOST: &str = "Host: 127.0.0.1\r\n";

#[test]
fn who_follows_the_file_gets_the_token_that_the_metadata_server_hands_out() {
    let google = Google::always(token("canary-access-token", 3599));
    let (broker, _directory) = broker("loopback-follows", &google);
    let subject = broker.metadata(SUBJECT);
    assert_eq!(subject.status, 200);
    assert_eq!(subject.body.len(), 32);
    assert!(!subject.body.contains("canary"), "the subject token is nobody else's");
    let answer = exchange(&broker, HOST, &form(&subject.body));
    assert_eq!(answer.status, 200, "{}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["access_token"], "canary-access-token");
    assert_eq!(body["token_type"], "Bearer");
    assert_eq!(
        body["issued_token_type"],
        "urn:ietf:params:oauth:token-type:access_token"
    );
    assert!(body["expires_in"].as_u64().unwrap() > 3000, "{body}");
}

#[test]
fn neither_endpoint_answers_what_a_browser_or_a_proxy_could_have_sent() {
    let google = Google::always(token("canary-access-token", 3599));
    let (broker, _directory) = broker("loopback-guards", &google);
    for request in [
        format!("GET {SUBJECT} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
        format!("GET {SUBJECT} HTTP/1.1\r\nHost: evil.example\r\nMetadata-Flavor: Google\r\n\r\n"),
        format!(
            "GET {SUBJECT} HTTP/1.1\r\nHost: 127.0.0.1\r\nMetadata-Flavor: Google\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n"
        ),
    ] {
        let answer = broker.ask("metadata", &request);
        assert_eq!(answer.status, 403, "{request}");
    }
    let subject = broker.metadata(SUBJECT).body;
    for headers in [
        "Host: evil.example\r\n".to_owned(),
        format!("{HOST}Origin: http://127.0.0.1\r\n"),
        format!("{HOST}X-Forwarded-For: 10.0.0.1\r\n"),
        format!("{HOST}Forwarded: for=10.0.0.1\r\n"),
    ] {
        let answer = exchange(&broker, &headers, &form(&subject));
        assert_eq!(answer.status, 403, "{headers}");
        assert!(!answer.body.contains("canary"), "{}", answer.body);
    }
}

#[test]
fn only_its_own_subject_token_can_be_exchanged_and_only_in_the_one_way() {
    let google = Google::always(token("canary-access-token", 3599));
    let (broker, _directory) = broker("loopback-own", &google);
    let subject = broker.metadata(SUBJECT).body;
    for (form, code) in [
        (form("0123456789abcdef0123456789abcdef"), "invalid_grant"),
        (form(""), "invalid_grant"),
        (format!("grant_type={GRANT}"), "invalid_grant"),
        (
            format!("grant_type=refresh_token&subject_token={subject}"),
            "unsupported_grant_type",
        ),
        (format!("subject_token={subject}"), "unsupported_grant_type"),
        (
            format!("{}&x={}", form(&subject), "x".repeat(20_000)),
            "invalid_request",
        ),
    ] {
        let answer = exchange(&broker, HOST, &form);
        assert_eq!(answer.status, 400, "{form:.80}");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(body["error"], code, "{body}");
        assert!(
            !answer.body.contains("canary") && !answer.body.contains(&subject),
            "{body}"
        );
    }
    let get = broker.metadata(EXCHANGE);
    assert_eq!(get.status, 405);
    // Beside it is nothing.
    assert_eq!(broker.metadata("/vertex-injector/v1/").status, 404);
    assert_eq!(broker.metadata("/vertex-injector/v1/token/").status, 404);
}

#[test]
fn a_token_that_google_refuses_or_cannot_give_is_an_error_of_oauth() {
    let refusing = Google::always(Reply::Json(
        400,
        json!({"error": "invalid_grant", "error_description": "the audience is wrong"}),
    ));
    let (broker, _directory) = broker("loopback-refused", &refusing);
    let subject = broker.metadata(SUBJECT).body;
    let answer = exchange(&broker, HOST, &form(&subject));
    assert_eq!(answer.status, 403);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["error"], "access_denied");
    assert!(
        body["error_description"]
            .as_str()
            .unwrap()
            .contains("the audience is wrong"),
        "{body}"
    );
}
