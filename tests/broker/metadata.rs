//! The metadata server, as the built program serves it.

use super::credentials::{authorized_user, external_account};
use super::exchange::{Directory, reading};
use super::process::Broker;
use harness::scripted::{Google, Reply, token};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

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
    let project = r#"{"attributes":{},"numericProjectId":123456789,"projectId":"my-project"}"#;
    let universe = r#"{"universeDomain":"googleapis.com"}"#;
    let instance = format!(r#"{{"attributes":{{}},"serviceAccounts":{accounts}}}"#);
    let whole = format!(r#"{{"instance":{instance},"project":{project},"universe":{universe}}}"#);
    let own = format!("/instance/service-accounts/{EMAIL}");
    for (path, kind, body) in [
        ("/", "text", "instance/\nproject/\nuniverse/"),
        ("/instance/", "text", "attributes/\nservice-accounts/"),
        ("/instance/attributes/", "text", ""),
        ("/instance/?recursive=true", "json", &instance),
        ("/instance/attributes/?recursive=true", "json", "{}"),
        ("/project/", "text", "attributes/\nnumeric-project-id\nproject-id"),
        ("/project/attributes/", "text", ""),
        ("/project/attributes/?recursive=true", "json", "{}"),
        ("/project/?recursive=true", "json", project),
        ("/project/project-id", "text", "my-project"),
        ("/project/project-id?alt=json", "json", "\"my-project\""),
        ("/project/numeric-project-id", "text", "123456789"),
        ("/project/numeric-project-id?alt=json", "json", "123456789"),
        ("/universe/", "text", "universe-domain"),
        ("/universe/?recursive=true", "json", universe),
        ("/universe/universe-domain", "text", "googleapis.com"),
        ("/universe/universe_domain", "text", "googleapis.com"),
        // Lists are lists, whatever is listed.
        ("/?alt=json", "json", r#"["instance/","project/","universe/"]"#),
        ("/instance/attributes/?alt=json", "json", "[]"),
        (
            "/instance/service-accounts/default/aliases?alt=json",
            "json",
            r#"["default"]"#,
        ),
        (
            "/instance/service-accounts/default/scopes?alt=json",
            "json",
            &format!("[\"{scope}\"]"),
        ),
        (
            "/instance/service-accounts/default/email?alt=json",
            "json",
            &format!("\"{EMAIL}\""),
        ),
        ("/project/project-id?alt=text", "text", "my-project"),
        (
            "/project/?recursive=true&alt=text",
            "text",
            "numeric-project-id 123456789\nproject-id my-project",
        ),
        (
            "/instance/service-accounts/default/?alt=text&recursive=true",
            "text",
            &format!("aliases/0 default\nemail {EMAIL}\nscopes/0 {scope}"),
        ),
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
        ("/?recursive=true", "json", &whole),
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
    assert_eq!(broker.metadata("/computeMetadata/").body, "v1/");
    for path in [
        "/computeMetadata",
        ROOT,
        &format!("{ROOT}/instance"),
        &format!("{ROOT}/instance/attributes"),
        &format!("{ROOT}/project"),
        &format!("{ROOT}/project/attributes"),
        &format!("{ROOT}/universe"),
        &format!("{ROOT}/instance/service-accounts"),
        &format!("{ROOT}/instance/service-accounts/default"),
        &format!("{ROOT}{own}"),
        &format!("{ROOT}{}", own.replace('@', "%40")),
    ] {
        for query in ["", "?recursive=true", "?alt=json&recursive=true&x=%2F"] {
            let answer = broker.metadata(&format!("{path}{query}"));
            assert_eq!(answer.status, 301, "{path}");
            assert_eq!(answer.header("location"), Some(format!("{path}/{query}").as_str()));
            assert_eq!(
                broker.metadata(&format!("{path}/{query}")).status,
                200,
                "{path}/{query}"
            );
        }
    }
    let ping = broker.ask("metadata", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert_eq!((ping.status, ping.body.as_str()), (200, "computeMetadata/"));
    assert_eq!(ping.header("metadata-flavor"), Some("Google"));
    // The ping is answered to anybody, and only the ping.
    let all = broker.ask("metadata", "GET /?recursive=true HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
    assert_eq!(all.status, 403);
}

#[test]
fn the_older_flavor_header_counts_as_well() {
    let directory = Directory::new("flavor");
    let broker = broker(&directory, &Google::always(token("canary-access-token", 3599)));
    let ask = |header: &str| {
        let path = format!("{ROOT}/instance/service-accounts/default/token");
        let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}\r\n\r\n");
        broker.ask("metadata", &request).status
    };
    for header in ["X-Google-Metadata-Request: True", "x-google-metadata-request: true"] {
        assert_eq!(ask(header), 200, "{header}");
    }
    for header in [
        "X-Google-Metadata-Request: False",
        "X-Google-Metadata-Request:",
        "X-Google-Metadata-Request: Google",
        "X-Google-Metadata-Request: True\r\nX-Forwarded-For: 10.0.0.1",
    ] {
        assert_eq!(ask(header), 403, "{header}");
    }
}

#[test]
fn who_waits_for_a_change_waits_and_comes_back_with_what_it_knows() {
    let directory = Directory::new("waits");
    let broker = broker(&directory, &Google::always(token("canary-access-token", 3599)));
    let timed = |path: &str| {
        let start = Instant::now();
        let answer = broker.metadata(&format!("{ROOT}{path}"));
        (answer, start.elapsed())
    };
    for path in [
        "/project/project-id",
        "/instance/",
        "/project/?recursive=true",
        "/instance/service-accounts/default/email",
    ] {
        let (now, _) = timed(path);
        let etag = now.header("etag").expect("an ETag").to_owned();
        assert!(
            etag.len() == 16 && etag.bytes().all(|b| b.is_ascii_hexdigit()),
            "{etag}"
        );
        let mark = if path.contains('?') { '&' } else { '?' };
        let wait = format!("{path}{mark}wait_for_change=true&timeout_sec=1");
        for wait in [wait.clone(), format!("{wait}&last_etag={etag}")] {
            let (later, time) = timed(&wait);
            assert_eq!((later.status, &later.body), (200, &now.body), "{wait}");
            assert_eq!(later.header("etag"), Some(etag.as_str()), "{wait}");
            assert!((1000..3000).contains(&time.as_millis()), "{wait}: {time:?}");
        }
        for old in ["0", "0123456789abcdef", "NONE"] {
            let (later, time) = timed(&format!("{wait}&last_etag={old}"));
            assert_eq!((later.status, &later.body), (200, &now.body), "{old}");
            assert!(time.as_millis() < 900, "{old}: {time:?}");
        }
    }
    // Nobody waits for what is not there, or does not wait.
    for (path, status) in [
        ("/instance/zone?wait_for_change=true&timeout_sec=5", 404),
        ("/project?wait_for_change=true&timeout_sec=5", 301),
        ("/project/project-id?wait_for_change=true&timeout_sec=soon", 400),
        ("/project/project-id?wait_for_change=true&timeout_sec=-1", 400),
        ("/project/project-id?wait_for_change=true&timeout_sec=0", 200),
        ("/project/project-id?wait_for_change=false&timeout_sec=5", 200),
        ("/project/project-id?timeout_sec=5&last_etag=0", 200),
        ("/project/project-id?alt=xml", 400),
    ] {
        let (answer, time) = timed(path);
        assert_eq!(answer.status, status, "{path}");
        assert!(time.as_millis() < 900, "{path}: {time:?}");
    }
}

#[test]
fn so_many_may_wait_and_the_others_are_asked_to_come_again() {
    let directory = Directory::new("many-wait");
    let broker = broker(&directory, &Google::always(token("canary-access-token", 3599)));
    let path = format!("{ROOT}/project/project-id");
    let request =
        format!("GET {path}?wait_for_change=true HTTP/1.1\r\nHost: 127.0.0.1\r\nMetadata-Flavor: Google\r\n\r\n");
    let address = broker.address("metadata");
    let waiting: Vec<TcpStream> = (0..32)
        .map(|_| {
            let mut stream = TcpStream::connect(address).expect("connect");
            stream.write_all(request.as_bytes()).expect("send");
            stream
        })
        .collect();
    let end = Instant::now() + Duration::from_secs(10);
    let refused = loop {
        let answer = broker.metadata(&format!("{path}?wait_for_change=true&timeout_sec=0"));
        if answer.status != 200 {
            break answer;
        }
        assert!(Instant::now() < end, "all may wait");
    };
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("10")));
    assert_eq!(broker.metadata(&path).status, 200, "who does not wait is answered");
    // Who goes away waits no more.
    drop(waiting);
    while broker
        .metadata(&format!("{path}?wait_for_change=true&timeout_sec=0"))
        .status
        != 200
    {
        assert!(Instant::now() < end, "the places do not come back");
    }
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
        "Host: 127.0.0.1\r\nX-Google-Metadata-Request: yes\r\n".to_owned(),
        "Host: evil.example\r\nX-Google-Metadata-Request: True\r\n".to_owned(),
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
    let broker = Broker::of_credential(&credentials, &[]);
    let answer = broker.metadata("/computeMetadata/v1/instance/service-accounts/default/token");
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (403, "OAuth token endpoint: status 400: invalid_grant: revoked")
    );
    let number = broker.metadata("/computeMetadata/v1/project/numeric-project-id");
    assert_eq!(number.status, 404, "unknown, and not invented");
}
