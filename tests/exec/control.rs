//! The control listener: whom it answers, what it tells, and how often it may be asked for a refresh.

use axum::body::Body;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use vertex_injector_core::contract::git::GitCredentials;
use vertex_injector_net::secret::Secret;
use vertex_injector_sidecar::exec::control::Control;
use vertex_injector_sidecar::exec::fields::Fields;
use vertex_injector_sidecar::exec::refresh::{Asking, Outcome, Request as Asked};

/// A listener, and the other ends of what it sees.
struct Wired {
    control: Arc<Control>,
    credential: watch::Sender<Option<Arc<Fields>>>,
    running: watch::Sender<bool>,
    requests: mpsc::Receiver<Asked>,
}

impl Wired {
    fn new(git: &[&str]) -> Self {
        let (credential, current) = watch::channel(None);
        let (running, runs) = watch::channel(false);
        let (ask, requests) = mpsc::channel(1);
        let git =
            (!git.is_empty()).then(|| GitCredentials::new(git.iter().map(|host| host.parse().unwrap()).collect()));
        Self {
            control: Arc::new(Control::new(current, runs, Asking::new(ask), git)),
            credential,
            running,
            requests,
        }
    }

    fn has(&self, token: &str) {
        let mut fields = Fields::default();
        fields.insert("token", Secret::new(token));
        self.credential.send_replace(Some(Arc::new(fields)));
    }

    async fn get(&self, path: &str) -> (u16, String) {
        told(
            self.control
                .answer(&request("GET", path, &[("host", "127.0.0.1:8095")]))
                .await,
        )
        .await
    }

    /// Answers every request for a refresh alike.
    fn refreshes(mut self, outcome: Outcome) -> (Arc<Control>, tokio::task::JoinHandle<()>) {
        let task = tokio::spawn(async move {
            while let Some(asked) = self.requests.recv().await {
                let _ = asked.send(outcome);
            }
        });
        (self.control, task)
    }
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

async fn told(response: Response<Body>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

async fn post(control: &Control) -> Response<Body> {
    control
        .answer(&request("POST", "/refresh", &[("host", "localhost")]))
        .await
}

#[tokio::test]
async fn it_is_healthy_at_once_and_ready_with_a_credential_and_a_running_server() {
    let wired = Wired::new(&[]);
    assert_eq!(wired.get("/healthz").await.0, 200);
    assert_eq!(wired.get("/readyz").await, (503, "there is no credential\n".to_owned()));
    wired.has("t");
    assert_eq!(
        wired.get("/readyz").await,
        (503, "the server is not running\n".to_owned())
    );
    wired.running.send_replace(true);
    assert_eq!(wired.get("/readyz").await, (200, "ok\n".to_owned()));
    wired.credential.send_replace(None);
    assert_eq!(wired.get("/readyz").await.0, 503);
    assert_eq!(wired.get("/healthz").await.0, 200);
}

#[tokio::test]
async fn requests_of_web_pages_proxies_and_other_names_are_refused() {
    let wired = Wired::new(&["github.com"]);
    wired.has("canary");
    wired.running.send_replace(true);
    let own = ("host", "127.0.0.1:8095");
    for headers in [
        vec![("host", "evil.example")],
        vec![("host", "evil.example:8095")],
        vec![("host", "10.0.0.1:8095")],
        vec![("host", "127.0.0.1.evil.example")],
        vec![("host", "localhost.evil.example:80")],
        vec![("host", "user@127.0.0.1")],
        vec![("host", "")],
        vec![],
        vec![own, ("host", "evil.example")],
        vec![own, ("origin", "https://evil.example")],
        vec![own, ("origin", "null")],
        vec![own, ("x-forwarded-for", "10.0.0.1")],
        vec![own, ("forwarded", "for=10.0.0.1")],
    ] {
        for (method, path) in [
            ("GET", "/healthz"),
            ("GET", "/readyz"),
            ("POST", "/refresh"),
            ("GET", "/git-credentials?host=github.com"),
        ] {
            let (status, body) = told(wired.control.answer(&request(method, path, &headers)).await).await;
            assert_eq!(status, 403, "{path} {headers:?}");
            assert!(!body.contains("canary"));
        }
    }
    for host in ["127.0.0.1", "localhost:8095", "LOCALHOST", "[::1]:8095", "[::1]"] {
        let answer = wired
            .control
            .answer(&request("GET", "/readyz", &[("host", host)]))
            .await;
        assert_eq!(answer.status(), StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn only_what_exists_is_answered_and_only_with_its_method() {
    let wired = Wired::new(&[]);
    for (method, path, status) in [
        ("POST", "/healthz", 405),
        ("PUT", "/readyz", 405),
        ("GET", "/refresh", 405),
        ("GET", "/", 404),
        ("GET", "/token", 404),
        ("GET", "/credentials", 404),
        ("GET", "/healthz/", 404),
        ("HEAD", "/healthz", 200),
    ] {
        let answer = wired
            .control
            .answer(&request(method, path, &[("host", "localhost")]))
            .await;
        assert_eq!(answer.status(), status, "{method} {path}");
        assert_eq!(answer.headers().contains_key("allow"), status == 405, "{method} {path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_can_be_had_every_30_s_whatever_came_of_the_last_one() {
    for (outcome, status) in [
        (Outcome::Changed, 200),
        (Outcome::Unchanged, 200),
        (Outcome::Failed, 503),
    ] {
        let (control, task) = Wired::new(&[]).refreshes(outcome);
        assert_eq!(post(&control).await.status(), status);
        for (second, wait) in [(0, "30"), (10, "20"), (19, "1")] {
            sleep(Duration::from_secs(second)).await;
            let refused = post(&control).await;
            assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(refused.headers()["retry-after"], wait);
        }
        sleep(Duration::from_secs(1)).await;
        assert_eq!(post(&control).await.status(), status);
        task.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_callers_at_once_cause_one_refresh() {
    let (control, task) = Wired::new(&[]).refreshes(Outcome::Changed);
    let mut accepted = 0;
    for _ in 0..100 {
        accepted += usize::from(post(&control).await.status() == StatusCode::OK);
    }
    assert_eq!(accepted, 1);
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_takes_forever_is_not_waited_for_forever() {
    let wired = Wired::new(&[]);
    let start = tokio::time::Instant::now();
    assert_eq!(post(&wired.control).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(start.elapsed().as_secs(), 60);
    assert_eq!(
        post(&wired.control).await.status(),
        StatusCode::TOO_MANY_REQUESTS,
        "one is under way"
    );
}

#[tokio::test]
async fn git_gets_the_credential_for_listed_hosts_only() {
    let wired = Wired::new(&["github.com", "git.example:8443"]);
    let (status, _) = wired.get("/git-credentials?host=github.com").await;
    assert_eq!(status, 503, "there is none yet");
    wired.has("t0k3n");
    for query in [
        "host=github.com",
        "host=GitHub.com&protocol=https&path=a/b.git",
        "host=git.example:8443",
    ] {
        assert_eq!(
            wired.get(&format!("/git-credentials?{query}")).await,
            (200, "username=x-access-token\npassword=t0k3n\n".to_owned())
        );
    }
    for query in [
        "",
        "host=",
        "host=evil.example",
        "host=evil.github.com",
        "host=github.com.evil.example",
        "host=github.com.",
        "host=github.com:443",
        "host=git.example",
        "host=github.com&host=evil.example",
        "host=github.com&protocol=http",
        "host=github.com%00",
    ] {
        let (status, body) = wired.get(&format!("/git-credentials?{query}")).await;
        assert_eq!(status, 403, "{query}");
        assert!(!body.contains("t0k3n"));
    }
    let answer = wired
        .control
        .answer(&request(
            "POST",
            "/git-credentials?host=github.com",
            &[("host", "localhost")],
        ))
        .await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn a_token_that_would_break_gits_protocol_is_not_handed_out() {
    let wired = Wired::new(&["github.com"]);
    for token in ["a\nhost=evil.example", "a\rb", ""] {
        wired.has(token);
        assert_eq!(wired.get("/git-credentials?host=github.com").await.0, 404, "{token:?}");
    }
}

#[tokio::test]
async fn without_the_flag_there_is_nothing_for_git() {
    let wired = Wired::new(&[]);
    wired.has("t0k3n");
    assert_eq!(
        wired.get("/git-credentials?host=github.com").await,
        (404, "not found\n".to_owned())
    );
}
