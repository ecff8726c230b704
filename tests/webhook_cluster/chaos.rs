//! What befalls the API server: meanwhile reviews are answered from the last snapshot, and the log says what was and that it is over.

use crate::log::Log;
use crate::replica::Replica;
use crate::world::{World, agent, eventually, greeting, within};
use futures::StreamExt;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{ObjectMeta, PostParams};
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;

/// What the log calls a watch that fails.
const INTERRUPTED: &str = "a watch is interrupted; the last known policies stay";

/// What we logged as wrong and is not over. A watch says once what is wrong with it, and once that this is over.
fn not_over(log: &Log) -> BTreeSet<String> {
    let mut open = BTreeSet::new();
    for line in log.text().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let message = event["message"].as_str().unwrap_or_default();
        if let Some(over) = message.strip_prefix("no longer: ") {
            open.remove(over);
        } else if event["level"] == "WARN"
            && event["target"]
                .as_str()
                .is_some_and(|target| target.starts_with("vertex_injector"))
        {
            open.insert(message.to_owned());
        }
    }
    open
}

/// Asks for reviews past the API server for a time; all must be answered with the policy, and soon.
async fn served_meanwhile(replica: &Replica, authority: &str, time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        let asked = Instant::now();
        let response = replica.review(authority, agent()).await;
        assert!(response["patch"].is_string(), "after {:?}: {response}", start.elapsed());
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        assert_eq!(replica.readyz().await.1, "ready\n");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The next policy is followed, and nothing is wrong any more.
async fn recovers(world: &World, log: &Log) {
    world.policy("agents", greeting("second")).await;
    let second = async || world.admitted_env("GREETING").await.as_deref() == Some("second");
    within(Duration::from_secs(20), "the policy of afterwards", second).await;
    eventually("the log says that it is over", async || not_over(log).is_empty()).await;
}

#[tokio::test]
async fn an_etcd_that_stands_still_for_ten_seconds_is_not_noticed_by_reviews() {
    let Some(world) = World::start().await else { return };
    let Some(supervisor) = world.cluster.supervisor() else {
        return;
    };
    world.policy("agents", greeting("first")).await;
    let log = Log::start();
    let replica = Replica::serving(&world, &[]).await;
    let authority = world.authority().await.unwrap();
    supervisor.command("pause-etcd");
    served_meanwhile(&replica, &authority, Duration::from_secs(10)).await;
    supervisor.command("resume-etcd");
    recovers(&world, &log).await;
}

#[tokio::test]
async fn while_the_disk_of_etcd_is_full_reviews_go_on_and_the_log_says_what_cannot_be_written() {
    let Some(world) = World::start().await else { return };
    let Some(supervisor) = world.cluster.supervisor() else {
        return;
    };
    world.policy("agents", greeting("first")).await;
    let log = Log::start();
    // So short that something has to be written all the time.
    let lifetimes = ["--ca-lifetime=32s", "--certificate-lifetime=30s", "--ca-settle=1s"];
    let replica = Replica::serving(&world, &lifetimes).await;
    let etcd = supervisor.path("DIR").join("etcd.sock");
    space(&etcd, "ACTIVATE").await;
    let more = Secret {
        metadata: ObjectMeta {
            name: Some("more".to_owned()),
            ..ObjectMeta::default()
        },
        ..Secret::default()
    };
    let refused = world.secrets().create(&PostParams::default(), &more).await;
    assert!(refused.unwrap_err().to_string().contains(FULL));
    let authority = world.authority().await.unwrap();
    served_meanwhile(&replica, &authority, Duration::from_secs(10)).await;
    // The API server asks us, too, about what it does not have to store.
    assert_eq!(world.admitted_env("GREETING").await.as_deref(), Some("first"));
    let told = not_over(&log);
    assert!(log.text().contains(FULL) && !told.is_empty(), "{}", log.text());
    space(&etcd, "DEACTIVATE").await;
    recovers(&world, &log).await;
}

/// What etcd answers when its disk, or the part of it that it may use, is full.
const FULL: &str = "database space exceeded";

/// Raises etcd's alarm of a full disk, or ends it.
async fn space(socket: &Path, action: &str) {
    let stream = UnixStream::connect(socket).await.unwrap();
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let alarm = json!({"action": action, "memberID": "1", "alarm": "NOSPACE"}).to_string();
    let request = Request::post("/v3/maintenance/alarm").header("host", "localhost");
    let answer = sender.send_request(request.body(alarm).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn an_api_server_that_restarts_is_followed_again_and_leaves_nothing_wrong() {
    let Some(world) = World::start().await else { return };
    world.policy("agents", greeting("first")).await;
    let log = Log::start();
    let replica = Replica::serving(&world, &[]).await;
    let authority = world.authority().await.unwrap();
    if world.cluster.restart_api_server().is_err() {
        return;
    }
    served_meanwhile(&replica, &authority, Duration::from_secs(2)).await;
    recovers(&world, &log).await;
}

#[tokio::test]
async fn an_api_server_that_answers_503_is_asked_until_it_does_not() {
    let Some(world) = World::start().await else { return };
    world.policy("agents", greeting("first")).await;
    let (broken, is_broken) = watch::channel(false);
    let kubeconfig = between(world.client.clone(), is_broken).await;
    let log = Log::start();
    let replica = Replica::with(kubeconfig.path(), &[]).await;
    world.configure(&[replica.addresses.https]).await;
    replica.until_ready().await;
    let authority = world.authority().await.unwrap();
    broken.send_replace(true);
    served_meanwhile(&replica, &authority, Duration::from_secs(5)).await;
    let told = log.events(INTERRUPTED);
    let told_why = |event: &Value| {
        event["error"]
            .as_str()
            .is_some_and(|error| error.contains("out of order"))
    };
    assert!(told.iter().any(told_why), "{}", log.text());
    assert!(told.len() < 10, "it is told again and again: {}", log.text());
    broken.send_replace(false);
    recovers(&world, &log).await;
}

/// A proxy before the API server; the kubeconfig leads there. While it is broken it cuts what is open and answers 503.
async fn between(client: Client, broken: watch::Receiver<bool>) -> tempfile::NamedTempFile {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut kubeconfig = tempfile::NamedTempFile::new().unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": server}}],
        "users": [{"name": "test", "user": {}}],
    });
    kubeconfig.write_all(config.to_string().as_bytes()).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (client, broken) = (client.clone(), broken.clone());
            let serve = service_fn(move |request| forward(client.clone(), broken.clone(), request));
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), serve));
        }
    });
    kubeconfig
}

async fn forward(
    client: Client,
    mut broken: watch::Receiver<bool>,
    request: Request<Incoming>,
) -> Result<Response<axum::body::Body>, Infallible> {
    if *broken.borrow() {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 503,
            "message": "the API server is out of order", "reason": "ServiceUnavailable",
        });
        let answer = Response::builder()
            .status(503)
            .header("content-type", "application/json");
        return Ok(answer.body(axum::body::Body::from(status.to_string())).unwrap());
    }
    let (mut head, body) = request.into_parts();
    head.headers.remove("host");
    let body = body.collect().await.unwrap().to_bytes();
    let answer = client
        .send(Request::from_parts(head, Body::from(body.to_vec())))
        .await
        .unwrap();
    let (head, body) = answer.into_parts();
    let until_broken = async move { drop(broken.wait_for(|broken| *broken).await) };
    let chunks = body.into_data_stream().take_until(Box::pin(until_broken));
    let chunks = chunks.map(|chunk| chunk.map_err(std::io::Error::other));
    Ok(Response::from_parts(head, axum::body::Body::from_stream(chunks)))
}
