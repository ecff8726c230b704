//! The metadata server, as the built program serves it.

use super::credentials::{authorized_user, external_account};
use super::exchange::{Directory, reading};
use super::process::Broker;
use harness::scripted::{Google, Reply, token};
use serde_json::{Value, json};

const ROOT: &str = "/computeMetadata/v1";
const EMAIL: &str = "my-project.svc.id.goog";

/// A broker with a workload identity, over `google`.
fn broker(directory: &Directory, google: &Google) -> Broker {
    let mut file = reading(external_account(), &directory.file("subject", "canary-subject-token"));
    file["token_url"] = json!(format!("http://{}/v1/token", google.listen()));
    let credentials = directory.file("credentials.json", &file.to_string());
    Broker::start(
        &[
            "--mode=metadata",
            "--project=my-project",
            "--metadata-port=0",
            "--metrics-listen=127.0.0.1:0",
            "--credentials",
            credentials.to_str().unwrap(),
        ],
        &[],
    )
}

#[test]
fn every_leaf_and_listing_that_a_client_asks_for_is_there() {
    let directory = Directory::new("leaves");
    let broker = broker(&directory, &Google::always(token("canary-access-token", 3599)));
    let scope = "https://www.googleapis.com/auth/cloud-platform";
    let account = json!({"aliases": ["default"], "email": EMAIL, "scopes": [scope]}).to_string();
    let accounts = format!(r#"{{"default":{account},"{EMAIL}":{account}}}"#);
    let project = r#"{"numericProjectId":123456789,"projectId":"my-project"}"#;
    let own = format!("/instance/service-accounts/{EMAIL}");
    for (path, kind, body) in [
        ("/", "text", "instance/\nproject/\nuniverse/"),
        ("/instance/", "text", "attributes/\nservice-accounts/"),
        ("/instance/attributes/", "text", ""),
        ("/project/", "text", "numeric-project-id\nproject-id"),
        ("/project/?recursive=true", "json", project),
        ("/project/project-id", "text", "my-project"),
        ("/project/project-id?alt=json", "json", "\"my-project\""),
        ("/project/numeric-project-id", "text", "123456789"),
        ("/universe/universe-domain", "text", "googleapis.com"),
        ("/instance/service-accounts/", "text", &format!("default/\n{EMAIL}/")),
        ("/instance/service-accounts/?recursive=true", "json", &accounts),
        (
            "/instance/service-accounts/default/",
            "text",
            "aliases\nemail\nidentity\nscopes\ntoken",
        ),
        ("/instance/service-accounts/default/?recursive=true", "json", &account),
        ("/instance/service-accounts/default/?recursive=True", "json", &account),
        ("/instance/service-accounts/default/email", "text", EMAIL),
        ("/instance/service-accounts/default/aliases", "text", "default"),
        ("/instance/service-accounts/default/scopes", "text", scope),
        (&format!("{own}/email"), "text", EMAIL),
        (&format!("{own}/?recursive=true"), "json", &account),
        (
            "/?recursive=true",
            "json",
            &format!(r#"{{"instance":{{"attributes":{{}},"serviceAccounts":{accounts}}},"project":{project}}}"#),
        ),
    ] {
        let answer = broker.metadata(&format!("{ROOT}{path}"));
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.body, body, "{path}");
        assert_eq!(
            answer.header("content-type"),
            Some(format!("application/{kind}").as_str()),
            "{path}"
        );
        assert_eq!(answer.header("metadata-flavor"), Some("Google"), "{path}");
    }
    for path in [
        "",
        "/instance",
        "/project",
        "/instance/service-accounts",
        "/instance/service-accounts/default",
        &own,
    ] {
        let answer = broker.metadata(&format!("{ROOT}{path}"));
        assert_eq!(answer.status, 301, "{path}");
        assert_eq!(answer.header("location"), Some(format!("{ROOT}{path}/").as_str()));
    }
    let ping = broker.ask("metadata", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert_eq!((ping.status, ping.body.as_str()), (200, "computeMetadata/"));
    assert_eq!(ping.header("metadata-flavor"), Some("Google"));
}

#[test]
fn a_token_is_the_json_that_clients_parse() {
    let directory = Directory::new("token");
    let google = Google::always(token("canary-access-token", 3599));
    let broker = broker(&directory, &google);
    for account in ["default", EMAIL] {
        for query in ["", "?scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcloud-platform"] {
            let answer = broker.metadata(&format!("{ROOT}/instance/service-accounts/{account}/token{query}"));
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.header("content-type"), Some("application/json"));
            assert_eq!(answer.header("metadata-flavor"), Some("Google"));
            let token: Value = serde_json::from_str(&answer.body).expect("JSON");
            assert_eq!(token["access_token"], "canary-access-token");
            assert_eq!(token["token_type"], "Bearer");
            let seconds = token["expires_in"].as_u64().expect("an integer");
            assert!((3500..=3599).contains(&seconds), "{seconds}");
        }
    }
    assert_eq!(google.seen().len(), 1, "it is kept");
}

#[test]
fn what_is_not_there_is_404_and_what_is_not_read_is_405() {
    let directory = Directory::new("absent");
    let broker = broker(&directory, &Google::always(token("canary-access-token", 3599)));
    let accounts = "/computeMetadata/v1/instance/service-accounts";
    for path in [
        &format!("{accounts}/other@p.iam.gserviceaccount.com/token"),
        &format!("{accounts}/DEFAULT/token"),
        &format!("{accounts}/default/token/"),
        &format!("{accounts}/default//token"),
        &format!("{accounts}/default/Token"),
        &format!("{accounts}/x/../default/token"),
        &format!("{accounts}/default/%74oken"),
        &format!("{accounts}/default/identity?audience=32555940559.apps.googleusercontent.com"),
        "/computeMetadata/v1/instance/zone",
        "/computeMetadata/v1/instance/attributes/cluster-name",
        "/computeMetadata/v1/instance/attributes/kube-env",
        "/computeMetadata/v1/instance/attributes/ssh-keys",
        "/computeMetadata/v1beta1/instance/service-accounts/default/token",
        "/0.1/meta-data/service-accounts/default/acquire",
        "/computemetadata/v1/project/project-id",
        "//computeMetadata/v1/project/project-id",
        "/metrics",
    ] {
        let answer = broker.metadata(path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.body.contains("canary"), "{path}");
    }
    let identity = broker.metadata(&format!("{accounts}/default/identity"));
    assert_eq!(identity.status, 400, "without an audience");
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        let request = format!(
            "{method} {accounts}/default/token HTTP/1.1\r\nHost: 127.0.0.1\r\nMetadata-Flavor: Google\r\n\
             Content-Length: 0\r\n\r\n"
        );
        assert_eq!(broker.ask("metadata", &request).status, 405, "{method}");
    }
}

#[test]
fn no_token_goes_to_a_page_a_forwarder_or_a_client_without_the_header() {
    let directory = Directory::new("refused");
    let broker = broker(&directory, &Google::always(token("canary-access-token", 3599)));
    let flavor = "Metadata-Flavor: Google\r\n";
    let path = "/computeMetadata/v1/instance/service-accounts/default/token";
    for head in [
        "Host: 127.0.0.1\r\n".to_owned(),
        "Host: 127.0.0.1\r\nMetadata-Flavor: google\r\n".to_owned(),
        "Host: 127.0.0.1\r\nX-Google-Metadata-Request: True\r\n".to_owned(),
        format!("Host: 127.0.0.1\r\nX-Forwarded-For: 10.0.0.1\r\n{flavor}"),
        format!("Host: 127.0.0.1\r\nForwarded: for=10.0.0.1\r\n{flavor}"),
        format!("Host: evil.example\r\n{flavor}"),
        format!("Host: 127.0.0.1.evil.example\r\n{flavor}"),
        format!("Host: 127.0.0.1@evil.example\r\n{flavor}"),
        format!("Host: 127.0.0.1\r\nHost: evil.example\r\n{flavor}"),
        format!("Host: \r\n{flavor}"),
        flavor.to_owned(),
    ] {
        let answer = broker.ask("metadata", &format!("GET {path} HTTP/1.1\r\n{head}\r\n"));
        assert_eq!(answer.status, 403, "{head:?}");
        assert!(!answer.body.contains("canary"), "{head:?}");
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
    for host in [
        "127.0.0.1:8470",
        "localhost",
        "LOCALHOST:1",
        "metadata.google.internal.",
        "169.254.169.254",
    ] {
        let answer = broker.ask(
            "metadata",
            &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{flavor}\r\n"),
        );
        assert_eq!(answer.status, 200, "{host}");
    }
}

#[test]
fn while_google_is_away_clients_are_told_when_to_come_back() {
    let directory = Directory::new("away");
    let broker = broker(&directory, &Google::always(Reply::Json(503, json!({}))));
    let answer = broker.metadata("/computeMetadata/v1/instance/service-accounts/default/token");
    assert_eq!(answer.status, 503);
    let seconds: u64 = answer
        .header("retry-after")
        .expect("Retry-After")
        .parse()
        .expect("seconds");
    assert!((1..=30).contains(&seconds), "{seconds}");
    assert_eq!(answer.header("metadata-flavor"), Some("Google"));
    let project = broker.metadata("/computeMetadata/v1/project/project-id");
    assert_eq!(project.status, 200, "what needs no Google is answered all the same");
}

#[test]
fn a_refusal_reaches_the_client_in_googles_words_and_the_log_with_advice_once() {
    let directory = Directory::new("permanent");
    let reply =
        json!({"error": "invalid_target", "error_description": "The provider is disabled: canary-subject-token."});
    let mut broker = broker(&directory, &Google::always(Reply::Json(400, reply)));
    let token = "/computeMetadata/v1/instance/service-accounts/default/token";
    let answer = broker.metadata(token);
    assert_eq!(answer.status, 403);
    assert_eq!(
        answer.body,
        "token exchange: status 400: invalid_target: The provider is disabled: [redacted]."
    );
    assert_eq!(broker.metadata(token).status, 403);
    let event = broker.wait_for("token refused");
    assert_eq!(event["hop"], "token exchange");
    assert_eq!(event["level"], "ERROR");
    assert!(
        event["advice"].as_str().unwrap().contains("attribute condition"),
        "{event}"
    );
    assert_eq!(broker.log().matches("token refused").count(), 1);
}

#[test]
fn an_outage_of_a_users_login_is_told_like_any_other() {
    let directory = Directory::new("user");
    let google = Google::always(Reply::Json(
        400,
        json!({"error": "invalid_grant", "error_description": "revoked"}),
    ));
    let mut file = authorized_user();
    file["token_uri"] = json!(format!("http://{}/token", google.listen()));
    let credentials = directory.file("credentials.json", &file.to_string());
    let broker = Broker::start(
        &[
            "--mode=metadata",
            "--project=p",
            "--metadata-port=0",
            "--credentials",
            credentials.to_str().unwrap(),
        ],
        &[],
    );
    let answer = broker.metadata("/computeMetadata/v1/instance/service-accounts/default/token");
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (403, "OAuth token endpoint: status 400: invalid_grant: revoked")
    );
    let number = broker.metadata("/computeMetadata/v1/project/numeric-project-id");
    assert_eq!(number.status, 404, "unknown, and not invented");
}
