//! In the agent's place: beside a broker, with a file, and where there is nothing.

use crate::CANARY;
use crate::fake::{api, oauth};
use crate::world::World;
use harness::program::tied;
use harness::scripted::Reply;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

/// A broker that runs; it ends with the test.
struct Broker {
    child: Child,
    metadata: String,
    proxy: Option<String>,
}

impl Broker {
    fn start(world: &World, mode: &str) -> Self {
        let mut command = tied(env!("CARGO_BIN_EXE_vertex-injector"));
        let mut child = command
            .args(["broker", "--log-format=json", "--metadata-port=0"])
            .args(if mode == "proxy" { &["--proxy-port=0"][..] } else { &[] })
            .envs(world.env.iter().map(|(name, value)| (*name, value.as_str())))
            .env("VERTEX_INJECTOR_MODE", mode)
            .env("VERTEX_INJECTOR_CREDENTIALS_JSON", world.credential.to_string())
            .env("SSL_CERT_FILE", world.path("ca.crt"))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let started = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                serde_json::from_str::<Value>(&line)
                    .ok()
                    .filter(|line| line["message"] == "serving")
            })
            .expect("it serves");
        // Its log is read to the end, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            metadata: started["metadata"].as_str().unwrap().to_owned(),
            proxy: started["proxy"].as_str().map(str::to_owned),
        }
    }

    /// The agent's environment beside it.
    fn agent(&self, world: &mut World, model: &str) {
        world.env.clear();
        world.env.insert("GOOGLE_CLOUD_PROJECT", "my-project".to_owned());
        world.env.insert("CLOUD_ML_REGION", "us-east5".to_owned());
        world.env.insert("ANTHROPIC_MODEL", format!("{model}[1m]"));
        world.env.insert("GCE_METADATA_HOST", self.metadata.clone());
        if let Some(proxy) = &self.proxy {
            world
                .env
                .insert("ANTHROPIC_VERTEX_BASE_URL", format!("http://{proxy}/v1"));
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A world, and a broker that its agent stands beside.
fn beside(mode: &str, model: &str, breaks: impl Fn(&mut World)) -> (World, Broker) {
    let mut world = World::new();
    breaks(&mut world);
    if mode == "metadata" {
        for only_proxy in [
            "VERTEX_INJECTOR_REGIONS",
            "VERTEX_INJECTOR_MODELS",
            "VERTEX_INJECTOR_VERTEX_ENDPOINT",
        ] {
            world.env.remove(only_proxy);
        }
    }
    let broker = Broker::start(&world, mode);
    broker.agent(&mut world, model);
    (world, broker)
}

#[test]
fn an_agent_beside_a_proxy_asks_the_broker() {
    let google = harness::scripted::Google::always(Reply::Json(200, json!({"content": CANARY})));
    let endpoint = format!("http://{}", google.listen());
    let (mut world, _broker) = beside("proxy", "claude-haiku-4-5", |world| {
        world.env.insert("VERTEX_INJECTOR_VERTEX_ENDPOINT", endpoint.clone());
    });
    // A broker that does what it should is all that is needed.
    world.arguments = vec!["--reach=https://127.0.0.1:1".to_owned()];
    let told = world.told();
    assert_eq!(told.code, Some(0), "{}", told.text);
    assert!(!told.text.contains("connection"), "{}", told.text);
    assert!(
        told.text.contains("✓ vertex claude-haiku-4-5 in us-east5"),
        "{}",
        told.text
    );
    google.becomes(|_| {
        let details = json!([{"reason": "SERVICE_DISABLED"}]);
        let error = json!({"message": "Vertex AI API is disabled.", "status": "PERMISSION_DENIED", "details": details});
        Reply::Json(403, json!({"error": error}))
    });
    let told = world.told();
    assert_eq!(told.broken()["problem"], "VertexApiDisabled", "{}", told.text);
    assert!(
        told.text.contains("✓ broker") && told.text.contains("Vertex AI API is disabled."),
        "{}",
        told.text
    );
}

#[test]
fn a_broker_that_does_not_reach_google_says_so() {
    let (world, _broker) = beside("proxy", "claude-haiku-4-5", |world| {
        world
            .env
            .insert("VERTEX_INJECTOR_VERTEX_ENDPOINT", "http://127.0.0.1:1".to_owned());
    });
    let told = world.told();
    assert_eq!(told.broken()["problem"], "BrokerCutOff", "{}", told.text);
    assert!(
        told.text.contains("vertex-injector: Vertex AI cannot be reached"),
        "{}",
        told.text
    );
}

#[test]
fn a_broker_that_refuses_the_model_says_so() {
    let (world, _broker) = beside("proxy", "gemini-2.5-pro", |_| {});
    let told = world.told();
    assert_eq!(told.code, Some(1), "{}", told.text);
    assert_eq!(
        (&told.broken()["hop"], &told.broken()["problem"]),
        (&"broker".into(), &"BrokerRefuses".into())
    );
    assert!(
        told.text.contains("model gemini-2.5-pro is not allowed"),
        "{}",
        told.text
    );
    assert!(told.text.contains("proxy.models"), "{}", told.text);
    assert_eq!(told.hops().last().unwrap()["level"], "not-tried");
}

#[test]
fn a_broker_without_a_token_tells_which_hop_failed() {
    let (world, _broker) = beside("proxy", "claude-haiku-4-5", |world| {
        world.google.answers.lock().unwrap().sts = oauth(
            400,
            "unauthorized_client",
            "The given credential is rejected by the attribute condition.",
        );
    });
    let told = world.told();
    assert_eq!(told.broken()["problem"], "BrokerNoToken", "{}", told.text);
    let found = told.broken()["found"].as_str().unwrap();
    assert!(
        found.contains("token exchange") && found.contains("attribute condition"),
        "{found}"
    );
    assert!(told.text.contains("kubectl logs POD"), "{}", told.text);
    assert!(!told.text.contains("✓ tls"), "{}", told.text);
}

#[test]
fn where_a_broker_has_no_token_the_ways_that_it_goes_are_looked_at_beside_it() {
    let (mut world, _broker) = beside("proxy", "claude-haiku-4-5", |world| {
        world.google.answers.lock().unwrap().sts = oauth(400, "invalid_grant", "No.");
    });
    let port = world.google.address.port();
    world.arguments = vec![
        format!("--reach=https://localhost:{port}"),
        "--reach=https://127.0.0.1:1".to_owned(),
    ];
    let told = world.told();
    assert_eq!(told.code, Some(1));
    assert_eq!(told.broken()["problem"], "BrokerNoToken", "{}", told.text);
    for line in [
        format!("✓ connection localhost:{port}"),
        format!("✓ tls localhost:{port}: signed by"),
        format!("✓ clock localhost:{port}: as there"),
        "! connection 127.0.0.1:1: it refuses connections".to_owned(),
        "    ConnectionRefused: ".to_owned(),
    ] {
        assert!(told.text.contains(&line), "{line} is not in {}", told.text);
    }
}

#[test]
fn a_broker_that_is_not_there_is_missed() {
    let mut world = World::new();
    world.env.clear();
    world.env.insert("GOOGLE_CLOUD_PROJECT", "my-project".to_owned());
    world.env.insert("CLOUD_ML_REGION", "us-east5".to_owned());
    world.env.insert("ANTHROPIC_MODEL", "claude-haiku-4-5".to_owned());
    world
        .env
        .insert("GOOGLE_VERTEX_BASE_URL", "http://127.0.0.1:1".to_owned());
    let told = world.told();
    assert_eq!(
        (told.code, &told.broken()["problem"]),
        (Some(1), &"BrokerAbsent".into()),
        "{}",
        told.text
    );
    world.env.remove("GOOGLE_VERTEX_BASE_URL");
    world.env.insert("GCE_METADATA_HOST", "127.0.0.1:1".to_owned());
    let told = world.told();
    assert_eq!(
        (told.code, &told.broken()["problem"]),
        (Some(1), &"MetadataAbsent".into()),
        "{}",
        told.text
    );
}

#[test]
fn an_agent_beside_a_metadata_server_takes_its_token() {
    let (mut world, _broker) = beside("metadata", "claude-haiku-4-5", |_| {});
    let endpoint = format!("https://localhost:{}/v1", world.google.address.port());
    world.env.insert("ANTHROPIC_VERTEX_BASE_URL", endpoint);
    let told = world.told();
    assert_eq!(told.code, Some(0), "{}", told.text);
    assert!(
        told.text.contains("✓ metadata") && told.text.contains("the model answered"),
        "{}",
        told.text
    );
    world.google.answers.lock().unwrap().vertex = api(429, "RESOURCE_EXHAUSTED", "", "Quota exceeded.");
    assert_eq!(world.told().broken()["problem"], "QuotaExceeded");
}

#[test]
fn a_metadata_server_without_a_token_says_why() {
    let (world, _broker) = beside("metadata", "claude-haiku-4-5", |world| {
        world.google.answers.lock().unwrap().iam = api(
            403,
            "PERMISSION_DENIED",
            "IAM_PERMISSION_DENIED",
            "Permission 'iam.serviceAccounts.getAccessToken' denied.",
        );
    });
    let told = world.told();
    assert_eq!(told.broken()["problem"], "MetadataRefused", "{}", told.text);
    assert!(
        told.text.contains("impersonation") && told.text.contains("getAccessToken"),
        "{}",
        told.text
    );
}

#[test]
fn an_agent_with_a_file_goes_the_way_itself() {
    let mut world = World::new();
    let port = world.google.address.port();
    world.write("credentials.json", &world.credential.to_string());
    world.env.clear();
    world.env.insert(
        "GOOGLE_APPLICATION_CREDENTIALS",
        world.path("credentials.json").display().to_string(),
    );
    world.env.insert("ANTHROPIC_VERTEX_PROJECT_ID", "my-project".to_owned());
    let told = world.told();
    assert_eq!(told.code, Some(0), "{}", told.text);
    assert_eq!(told.hops().last().unwrap()["problem"], "NothingNamed");
    assert!(
        told.text
            .contains("vertex-injector doctor --project my-project --region REGION --model MODEL"),
        "{}",
        told.text
    );
    // The arguments name what the environment lacks.
    world
        .env
        .insert("VERTEXAI_API_BASE", format!("https://localhost:{port}"));
    world.arguments = ["--region=global", "--model=gemini-2.5-flash"]
        .map(str::to_owned)
        .into();
    let told = world.told();
    assert!(
        told.text.contains("✓ vertex gemini-2.5-flash in global"),
        "{}",
        told.text
    );
}

#[test]
fn where_there_is_nothing_to_look_at_it_says_what_would_be() {
    let mut world = World::new();
    world.env.clear();
    let ran = world.run(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert!(
        ran.stderr.contains("--credentials FILE") && ran.stderr.contains("--job"),
        "{}",
        ran.stderr
    );
    world.env.insert("VERTEX_INJECTOR_MODE", "proxy".to_owned());
    let ran = world.run(&[]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("--project is missing") && !ran.stderr.contains(CANARY),
        "{}",
        ran.stderr
    );
}
