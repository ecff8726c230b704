//! What the webhook costs a real API server: the same pods without a webhook, with one that sends a ready-made answer, and with
//! ours, in turn.

use super::webhook::{Files, Webhook};
use super::{POLICY, cluster};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use harness::kube::ControlPlane;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rounds, and pods of each kind in one.
const ROUNDS: usize = 20;
const PODS: usize = 50;

/// Who answers.
#[derive(Clone, Copy)]
enum Answers {
    Nobody,
    ReadyMade,
    Ours,
}

impl Answers {
    const ALL: [Self; 3] = [Self::Nobody, Self::ReadyMade, Self::Ours];

    /// The namespace of its pods.
    fn namespace(self) -> String {
        cluster::namespace(self as usize)
    }

    fn about(self) -> &'static str {
        match self {
            Self::Nobody => "no webhook",
            Self::ReadyMade => "a ready-made answer",
            Self::Ours => "ours",
        }
    }
}

pub(crate) async fn measure() {
    let started = tokio::task::spawn_blocking(ControlPlane::start_or_explain).await;
    let Some(cluster) = started.expect("a cluster") else {
        return;
    };
    let files = Files::new();
    let namespace = Answers::Ours.namespace();
    let policy = POLICY.replace("team-0042", &namespace);
    std::fs::write(files.policies().join("policy.yaml"), policy).expect("write the policy");
    let mut webhook = Webhook::start(&files, &["--policy-dir", files.policies().to_str().expect("a path")]);
    webhook.until_ready();
    let answer: Value = serde_json::from_str(&webhook.review(Answers::Ours as usize)).expect("an answer");
    let ready_made = ready_made(&files, &answer["response"]["patch"]);

    let account = pod()["spec"]["serviceAccountName"].as_str().expect("a name").to_owned();
    for answers in Answers::ALL {
        let name = answers.namespace();
        cluster.create_namespace(&name, &[]);
        cluster.kubectl(&["--namespace", &name, "create", "serviceaccount", &account]);
    }
    for (answers, address) in [(Answers::ReadyMade, ready_made), (Answers::Ours, webhook.address())] {
        cluster.apply(&configuration(answers, address, &files).to_string());
    }
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig()).expect("a kubeconfig");
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let client = Client::try_from(config.expect("a configuration")).expect("a client");
    for answers in [Answers::ReadyMade, Answers::Ours] {
        let start = Instant::now();
        while !is_injected(&create(&client, answers).await) {
            assert!(
                start.elapsed() < Duration::from_secs(30),
                "{} is not asked",
                answers.about()
            );
        }
    }

    let mut measured = Answers::ALL.map(|_| (Vec::new(), 0.0, 0.0));
    for round in 0..ROUNDS {
        for turn in 0..Answers::ALL.len() {
            let kind = (round + turn) % Answers::ALL.len();
            let answers = Answers::ALL[kind];
            let before = (processor(&client).await, asked(&client, answers).await);
            for _ in 0..PODS {
                let start = Instant::now();
                let pod = create(&client, answers).await;
                measured[kind].0.push(start.elapsed().as_secs_f64());
                assert_eq!(is_injected(&pod), !matches!(answers, Answers::Nobody));
            }
            measured[kind].1 += processor(&client).await - before.0;
            measured[kind].2 += asked(&client, answers).await - before.1;
        }
    }
    println!(
        "{} pods each, in turn: at the writer, and at the API server",
        ROUNDS * PODS
    );
    for (answers, (mut times, processor, asked)) in Answers::ALL.into_iter().zip(measured) {
        times.sort_unstable_by(f64::total_cmp);
        let pods = times.len() as f64;
        println!(
            "  {}: median {:.2} ms, p99 {:.2} ms; asked for {:.2} ms; {:.2} ms of its processor time",
            answers.about(),
            times[times.len() / 2] * 1e3,
            times[times.len() * 99 / 100] * 1e3,
            asked * 1e3 / pods,
            processor * 1e3 / pods
        );
    }
}

/// The pod of the other benchmarks.
fn pod() -> Value {
    let review: Value = serde_json::from_str(super::webhook::REVIEW).expect("a review");
    let object = &review["request"]["object"];
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": object["spec"]});
    let metadata = &object["metadata"];
    pod["metadata"] = json!({
        "generateName": metadata["generateName"], "labels": metadata["labels"], "annotations": metadata["annotations"],
    });
    pod["spec"].as_object_mut().expect("a spec").remove("priority");
    pod
}

async fn create(client: &Client, answers: Answers) -> Pod {
    let pods = Api::<Pod>::namespaced(client.clone(), &answers.namespace());
    let pod = serde_json::from_value(pod()).expect("a pod");
    pods.create(&PostParams::default(), &pod)
        .await
        .expect("a pod that is created")
}

fn is_injected(pod: &Pod) -> bool {
    let annotations = pod.metadata.annotations.iter().flatten();
    annotations
        .into_iter()
        .any(|(name, _)| name == "vertex-injector.dev/policy-ref")
}

fn configuration(answers: Answers, address: SocketAddr, files: &Files) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": answers.namespace()},
        "webhooks": [{
            "name": format!("{}.vertex-injector.dev", answers.namespace()),
            "clientConfig": {
                "url": format!("https://localhost:{}/mutate", address.port()),
                "caBundle": BASE64_STANDARD.encode(files.authority_pem()),
            },
            "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail", "timeoutSeconds": 5,
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": answers.namespace()}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        }],
    })
}

/// Seconds of processor time that the API server has used.
async fn processor(client: &Client) -> f64 {
    metric(client, "process_cpu_seconds_total ").await
}

/// Seconds that it has waited for this webhook.
async fn asked(client: &Client, answers: Answers) -> f64 {
    let name = answers.namespace();
    let series = format!("apiserver_admission_webhook_admission_duration_seconds_sum{{name=\"{name}.");
    metric(client, &series).await
}

/// The first series that begins so; 0 without one.
async fn metric(client: &Client, series: &str) -> f64 {
    let request = http::Request::get("/metrics").body(Vec::new()).expect("a request");
    let text = client.request_text(request).await.expect("metrics");
    let line = text.lines().find(|line| line.starts_with(series));
    let value = line.and_then(|line| line.rsplit_once(' '));
    value.map_or(0.0, |(_, value)| value.parse().expect("a number"))
}

/// A server that answers every review with this patch, on threads of this process until that ends.
fn ready_made(files: &Files, patch: &Value) -> SocketAddr {
    let (certificate, key) = files.identity();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key);
    let config = Arc::new(config.expect("a certificate"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let patch = patch.as_str().expect("a patch").to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (config, patch) = (Arc::clone(&config), patch.clone());
            std::thread::spawn(move || serve(stream, config, &patch));
        }
    });
    address
}

/// Answers one connection's reviews until it ends.
fn serve(stream: TcpStream, config: Arc<ServerConfig>, patch: &str) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let tls = ServerConnection::new(config).ok()?;
    let mut connection = BufReader::new(StreamOwned::new(tls, stream));
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if connection.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end().to_ascii_lowercase().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().ok()?,
                None if line == "\r\n" => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        connection.read_exact(&mut body).ok()?;
        let body = String::from_utf8(body).ok()?;
        let (_, rest) = body.split_once(r#""uid":""#)?;
        let (uid, _) = rest.split_once('"')?;
        let answer = format!(
            r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{{"uid":"{uid}","allowed":true,"patchType":"JSONPatch","patch":"{patch}"}}}}"#
        );
        let length = answer.len();
        let answer =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{answer}");
        connection.get_mut().write_all(answer.as_bytes()).ok()?;
        connection.get_mut().flush().ok()?;
    }
}
