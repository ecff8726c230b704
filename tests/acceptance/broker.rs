//! Design 4, 5 and 7, checks F3, F7, A4, A7, A8, E2–E4 and R53–R58: the broker in a pod, and an agent that has nothing but
//! its address.

use serde_json::{Value, json};
use support::golden::BROKERED;
use support::golden::Case;
use support::view::list;
use support::{PLAIN, PROVIDER, Provided, World, pod, pod_security};
use vertex_injector_core::admission::{Decision, Reason};
use vertex_injector_core::contract::broker::Broker;
use vertex_injector_core::contract::setting::{Given, Setting};
use vertex_injector_core::operator::Operator;

pub(crate) const BROKER: &str = "vertex-injector-broker";
const DIRECTORY: &str = "/var/run/secrets/vertex-injector";
/// A policy for every pod, with more fields than these.
pub(crate) fn world(more: &str) -> World {
    World::serving(&spec(more))
}

fn spec(more: &str) -> String {
    format!(
        "  agents: [{{podSelector: {{}}, containers: [agent]}}]
  vertex: {{project: my-project, region: us-east5, clients: [ClaudeCode]}}
  identity: {{workloadIdentityFederation: {{provider: {PROVIDER}}}}}
{more}"
    )
}

pub(crate) const METADATA: &str = "  access: Metadata";
pub(crate) const PROXY: &str = "  access: Proxy";

#[test]
fn a_broker_is_the_first_init_container_native_restricted_probed_inside_and_bounded() {
    for case in [
        "broker-kartograph-metadata",
        "broker-kartograph-proxy",
        "f3-f7-fracta-job-metadata",
        "a4-a7-a8-ambient-novertex-metadata",
        "e3-optio-metadata-key",
        "e4-gastown-polecat-proxy",
    ] {
        let admission = Case::named(case).admit();
        let injected = admission.injected();
        let pod = injected.pod();
        assert_eq!(pod["spec"]["initContainers"][0]["name"], BROKER, "{case}");
        let broker = injected.container(BROKER).value();
        assert_eq!(broker["restartPolicy"], "Always");
        assert_eq!(broker["args"], json!(["broker"]));
        assert_eq!(pod_security::violations(broker), Vec::<String>::new(), "{case}");
        // The kubelet cannot reach loopback, and a NetworkPolicy cannot come between (agent-sandbox).
        assert_eq!(
            broker["startupProbe"]["exec"]["command"],
            json!(["/vertex-injector-sidecar", "probe"])
        );
        assert!(broker.get("readinessProbe").is_none() && broker.get("livenessProbe").is_none());
        let budget = broker["startupProbe"]["periodSeconds"].as_i64().unwrap()
            * broker["startupProbe"]["failureThreshold"].as_i64().unwrap();
        assert!(budget >= 60, "{budget} s");
        for bound in ["requests", "limits"] {
            for resource in ["cpu", "memory"] {
                assert!(
                    broker["resources"][bound][resource].is_string(),
                    "{case} {bound} {resource}"
                );
            }
        }
        // F3, E3: status of the first container, logs without a name.
        assert_eq!(
            list(&pod["spec"], "containers").len(),
            list(&admission.before["spec"], "containers").len()
        );
    }
}

#[test]
fn in_metadata_mode_the_agent_gets_an_address_and_no_credential() {
    let admission = world(METADATA).admit(&pod(PLAIN));
    let injected = admission.injected();
    let agent = injected.container("agent");
    for name in ["GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_ROOT"] {
        assert_eq!(agent.env(name), "127.0.0.1:8470");
    }
    assert_eq!(agent.env("METADATA_SERVER_DETECTION"), "assume-present");
    assert_eq!(agent.env("CLAUDE_CODE_USE_VERTEX"), "1");
    assert_eq!(agent.env("GOOGLE_CLOUD_PROJECT"), "my-project");
    agent.lacks(&[
        "GOOGLE_APPLICATION_CREDENTIALS",
        "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE",
        "ANTHROPIC_VERTEX_BASE_URL",
    ]);
    assert_eq!(agent.mount_paths(), Vec::<&str>::new());
    assert_eq!(
        injected.annotation("vertex-injector.dev/credential-configuration"),
        None
    );

    let broker = injected.container(BROKER);
    let (token, mode) = broker.file(&format!("{DIRECTORY}/token"));
    let audience = format!("https://iam.googleapis.com/{PROVIDER}");
    let expiration = 3600;
    assert_eq!(token, Provided::Token { audience, expiration });
    assert_eq!(mode, 0o444);
    let names: Vec<&str> = admission
        .injected()
        .container(BROKER)
        .literals()
        .iter()
        .map(|(name, _)| *name)
        .collect();
    assert_eq!(
        names,
        [
            "VERTEX_INJECTOR_MODE",
            "VERTEX_INJECTOR_PROJECT",
            "VERTEX_INJECTOR_CREDENTIALS_JSON",
            "VERTEX_INJECTOR_METADATA_PORT"
        ]
    );
    let file: Value = serde_json::from_str(broker.env("VERTEX_INJECTOR_CREDENTIALS_JSON")).unwrap();
    assert_eq!(file["type"], "external_account");
    assert_eq!(file["credential_source"]["file"], format!("{DIRECTORY}/token"));
    // Nothing that the broker could read lies beside it: no configuration that somebody could annotate away.
    let sources = &injected.volume("vertex-injector-credentials").unwrap()["projected"]["sources"];
    assert_eq!(sources.as_array().unwrap().len(), 1);
}

#[test]
fn in_proxy_mode_every_client_is_sent_to_the_proxy_and_the_broker_is_told_what_it_lets_through() {
    let admission = Case::named("broker-kartograph-proxy").admit();
    let agent = admission.injected().container("agent-runtime");
    assert_eq!(agent.env("ANTHROPIC_VERTEX_BASE_URL"), "http://127.0.0.1:8601/v1");
    assert_eq!(agent.env("GOOGLE_VERTEX_BASE_URL"), "http://127.0.0.1:8601");
    assert_eq!(agent.env("VERTEXAI_API_BASE"), "http://127.0.0.1:8601");
    assert_eq!(agent.env("GCE_METADATA_HOST"), "127.0.0.1:8470");
    assert_eq!(agent.env("ANTHROPIC_MODEL"), "claude-opus-4-8@default");
    assert_eq!(agent.env("HOME"), "/tmp");
    // gcloud would crash on a directory that it cannot write, and there is none.
    agent.lacks(&["CLOUDSDK_CONFIG", "GOOGLE_APPLICATION_CREDENTIALS"]);
    let environment = admission.injected().container(BROKER).literals();
    let said = |name: &str| {
        let name = format!("VERTEX_INJECTOR_{name}");
        environment
            .iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| *value)
    };
    for (name, value) in [
        ("MODE", "proxy"),
        ("PROJECT", "my-project"),
        ("PUBLISHERS", "anthropic,google"),
        ("MODELS", "claude-*,gemini-*"),
        ("REGIONS", "europe-west1,us-east5"),
        ("ALLOW", "WebSearch,UrlSources"),
        ("VERTEX_ENDPOINT", "https://psc.example.com"),
        ("METADATA_PORT", "8470"),
        ("PROXY_PORT", "8601"),
    ] {
        assert_eq!(said(name), Some(value), "{name}");
    }
}

#[test]
fn every_variable_of_the_broker_is_one_that_it_reads() {
    for case in BROKERED {
        let admission = Case::named(case).admit();
        let (ways_out, told): (Vec<_>, Vec<_>) = admission
            .injected()
            .container(BROKER)
            .literals()
            .into_iter()
            .partition(|(name, _)| ["VERTEX_INJECTOR_CA_FILES", "HTTPS_PROXY", "NO_PROXY"].contains(name));
        let given = |setting: Setting| {
            let own = told.iter().filter(|(name, _)| Some(*name) == setting.variable);
            own.map(|(_, value)| (*value).to_owned()).collect()
        };
        let heard = Broker::read(&Given::new(&given)).unwrap_or_else(|wrong| panic!("{case}: {wrong}"));
        let heard = heard.environment();
        let heard: Vec<(&str, &str)> = heard.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(told, heard, "{case}, beside {ways_out:?}");
    }
}

#[test]
fn the_operators_image_secrets_certificates_and_proxy_reach_the_broker_and_nobody_else() {
    let admission = Case::named("broker-kartograph-metadata").admit();
    let injected = admission.injected();
    let broker = injected.container(BROKER);
    let image = broker.value()["image"].as_str().unwrap();
    assert!(
        image.starts_with("registry.example.com/acme/vertex-injector@sha256:"),
        "{image}"
    );
    assert_eq!(
        injected.pod()["spec"]["imagePullSecrets"],
        json!([{"name": "registry"}])
    );
    let file = broker.env("VERTEX_INJECTOR_CA_FILES");
    let expected = Provided::Key {
        kind: "ConfigMap",
        name: "acme-trust".to_owned(),
        key: "acme.pem".to_owned(),
    };
    assert_eq!(broker.file(file), (expected, 0o444));
    assert_eq!(broker.env("HTTPS_PROXY"), "http://proxy.example.com:3128");
    assert_eq!(broker.env("NO_PROXY"), ".example.com,10.0.0.0/8");
    injected
        .container("agent-runtime")
        .lacks(&["VERTEX_INJECTOR_CA_FILES", "SSL_CERT_FILE", "HTTPS_PROXY"]);
    assert!(
        admission
            .decision
            .needs
            .iter()
            .any(|need| need.kind == "ConfigMap" && need.name == "acme-trust")
    );
    // Metrics are for others; they hold no token.
    assert_eq!(broker.env("VERTEX_INJECTOR_METRICS_LISTEN"), "0.0.0.0:9464");
    assert_eq!(
        broker.env("VERTEX_INJECTOR_ID_TOKEN_AUDIENCES"),
        "https://tools.example.com"
    );
    assert_eq!(
        broker.value()["ports"],
        json!([{"name": "metrics", "containerPort": 9464, "protocol": "TCP"}])
    );
}

#[test]
fn a_secret_that_the_pod_names_already_is_not_named_twice() {
    let operator = "broker: {image: 'a:1', imagePullSecrets: [own, other]}";
    let admission = World::serving_under(operator, &spec(METADATA)).admit(&pod(
        "{imagePullSecrets: [{name: own}], containers: [{name: agent, image: a}]}",
    ));
    assert_eq!(
        admission.after["spec"]["imagePullSecrets"],
        json!([{"name": "own"}, {"name": "other"}])
    );
}

#[test]
fn without_the_operators_word_the_image_is_the_one_that_is_built_here() {
    let name = include_str!("../../hack/image/name").trim();
    let image = format!("{name}:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(Operator::default().broker.image, image);
    let admission = world(METADATA).admit(&pod(PLAIN));
    let broker = admission.injected().container(BROKER).value();
    assert_eq!(broker["image"], image);
    assert_eq!(broker["imagePullPolicy"], "IfNotPresent");
}

#[test]
fn a_key_moves_from_the_agent_into_the_broker() {
    let admission = Case::named("e3-optio-metadata-key").admit();
    let injected = admission.injected();
    let agent = injected.container("main");
    agent.lacks(&["GOOGLE_APPLICATION_CREDENTIALS"]);
    assert_eq!(agent.mount_paths(), ["/workspace"]);
    assert_eq!(injected.volume("vol-1"), None);
    let broker = injected.container(BROKER);
    let file = broker.env("VERTEX_INJECTOR_CREDENTIALS");
    let key = Provided::Key {
        kind: "Secret",
        name: "gsa-key".to_owned(),
        key: "gsa-key.json".to_owned(),
    };
    assert_eq!(broker.file(file).0, key);
    // A Guaranteed pod stays Guaranteed.
    let resources = &broker.value()["resources"];
    assert_eq!(resources["requests"], resources["limits"]);
}

#[test]
fn a4_ambient_finds_a_file_without_a_secret_whose_every_endpoint_is_the_broker() {
    for (case, directory, port) in [
        ("a4-a7-a8-ambient-novertex-metadata", DIRECTORY, 8470),
        ("a3-a4-a7-ambient-static-key-proxy", "/app/vertex", 8470),
    ] {
        let admission = Case::named(case).admit();
        let injected = admission.injected();
        let runner = injected.container("ambient-code-runner");
        let file = runner.env("GOOGLE_APPLICATION_CREDENTIALS");
        assert_eq!(file, format!("{directory}/application_default_credentials.json"));
        let (Provided::Text(text), mode) = runner.file(file) else {
            panic!("{case}: no text")
        };
        assert!(pod_security::can_read(
            injected.pod(),
            runner.value(),
            1001,
            mode,
            false
        ));
        let configuration: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(configuration["type"], "external_account");
        let root = format!("http://127.0.0.1:{port}/vertex-injector/v1/");
        for endpoint in [&configuration["token_url"], &configuration["credential_source"]["url"]] {
            assert!(endpoint.as_str().unwrap().starts_with(&root), "{endpoint}");
        }
        for secret in ["file", "private_key", "client_secret", "refresh_token"] {
            assert!(!text.contains(&format!("\"{secret}\"")), "{secret} in {text}");
        }
        // Never a mix: the fence gives way to the broker, in all three variables.
        for name in ["GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_ROOT"] {
            assert_eq!(runner.env(name), format!("127.0.0.1:{port}"));
        }
        assert_eq!(runner.env("USE_VERTEX"), "1");
        let everybody = list(&admission.before["spec"], "containers").iter();
        for other in everybody.filter(|other| other["name"] != "ambient-code-runner") {
            injected.container(other["name"].as_str().unwrap()).unchanged();
        }
    }
}

#[test]
fn a3_ambients_static_key_goes_whole_when_a_broker_comes() {
    let admission = Case::named("a3-a4-a7-ambient-static-key-proxy").admit();
    let injected = admission.injected();
    assert_eq!(injected.volume("vertex"), None);
    let mount = injected.container("ambient-code-runner").mount("/app/vertex");
    assert_eq!(mount["name"], "vertex-injector-loopback");
}

#[test]
fn a_forged_broker_is_replaced_by_ours_whatever_it_adds() {
    let world = world(METADATA);
    let injected = world.admit(&pod(PLAIN)).after;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut forged = injected.clone();
        change(&mut forged["spec"]["initContainers"][0]);
        forged
    };
    let push = |list: &'static str, entry: Value| {
        move |broker: &mut Value| broker[list].as_array_mut().unwrap().push(entry.clone())
    };
    let forgeries: Vec<Value> = vec![
        with(&|broker| broker["image"] = "evil.example/image:1".into()),
        with(&|broker| broker["args"] = json!(["broker", "--metrics-listen", "0.0.0.0:1"])),
        with(&|broker| broker["command"] = json!(["/bin/sh"])),
        with(&|broker| broker["lifecycle"] = json!({"postStart": {"exec": {"command": ["x"]}}})),
        with(&|broker| broker["livenessProbe"] = json!({"exec": {"command": ["x"]}})),
        with(&push("env", json!({"name": "VERTEX_INJECTOR_LOG", "value": "trace"}))),
        with(&push("env", json!({"name": "LD_PRELOAD", "value": "/x.so"}))),
        with(&push("env", json!({"name": "SSL_CERT_FILE", "value": "/x.pem"}))),
        with(&push(
            "volumeMounts",
            json!({"name": "x", "mountPath": "/etc/ssl/certs"}),
        )),
        with(&push(
            "volumeMounts",
            json!({"name": "x", "mountPath": "/vertex-injector-sidecar"}),
        )),
        with(&push(
            "volumeMounts",
            json!({"name": "x", "mountPath": "/var/run/secrets"}),
        )),
        with(&push("volumeMounts", json!({"name": "x", "mountPath": "/var/../etc"}))),
        with(&push("volumeMounts", json!({"name": "x", "mountPath": "/lib"}))),
        with(&push(
            "volumeMounts",
            json!({"name": "x", "mountPath": "/var/run/secrets/eks.amazonaws.com/serviceaccount"}),
        )),
        with(&push(
            "env",
            json!({"name": "HTTPS_PROXY", "value": "http://proxy:3128"}),
        )),
        with(&|broker| {
            broker["terminationMessagePath"] = "/var/run/secrets/vertex-injector/token".into();
        }),
        with(&|broker| broker["readinessProbe"] = json!({"httpGet": {"host": "evil.example", "port": 80}})),
        with(&|broker| broker["workingDir"] = "/x".into()),
        with(&|broker| broker["stdin"] = true.into()),
        with(&|broker| broker["volumeDevices"] = json!([{"name": "x", "devicePath": "/dev/x"}])),
        with(&|broker| broker["securityContext"]["seLinuxOptions"] = json!({"level": "s0", "type": "spc_t"})),
        with(&|broker| broker["securityContext"]["appArmorProfile"] = json!({"type": "Unconfined"})),
    ];
    for forged in forgeries {
        let healed = world.admit(&forged).after;
        assert_eq!(
            healed["spec"]["initContainers"][0], injected["spec"]["initContainers"][0],
            "{}",
            forged["spec"]["initContainers"][0]
        );
    }
    // What plugins of every cluster set stays.
    let fine = [
        with(&|broker| broker["securityContext"]["runAsUser"] = 1_000_660_000.into()),
        with(&|broker| broker["resources"]["limits"]["ephemeral-storage"] = "1Gi".into()),
    ];
    for pod in fine {
        let mut pod = pod;
        pod["spec"]["volumes"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "x", "emptyDir": {}}));
        world.admit(&pod).changes_nothing();
    }
}

#[test]
fn the_credentials_volume_mounted_by_another_container_is_denied() {
    let world = world(METADATA);
    let mut pod = world
        .admit(&pod("{containers: [{name: agent, image: a}, {name: spy, image: b}]}"))
        .after;
    let mount = json!([{"name": "vertex-injector-credentials", "mountPath": "/stolen"}]);
    pod["spec"]["containers"][1]["volumeMounts"] = mount.clone();
    let message = world.admit(&pod).denied(Reason::Conflict).to_owned();
    assert!(
        message.contains("\"spy\" mounts volume \"vertex-injector-credentials\""),
        "{message}"
    );
    // The agent's own is taken away.
    pod["spec"]["containers"][1]
        .as_object_mut()
        .unwrap()
        .shift_remove("volumeMounts");
    pod["spec"]["containers"][0]["volumeMounts"] = mount;
    let admission = world.admit(&pod);
    assert_eq!(
        admission.injected().container("agent").mount_paths(),
        Vec::<&str>::new()
    );
}

#[test]
fn a_template_that_was_injected_in_another_mode_becomes_what_the_bare_pod_would() {
    for (case, origin) in [
        ("broker-after-file-mode", "k1-k2-kartograph-sticky"),
        ("broker-before-file-mode", "a4-a7-a8-ambient-novertex-metadata"),
    ] {
        let case = Case::named(case);
        let admission = case.admit();
        let fresh = case.world().admit_in(&case.namespace(), &Case::named(origin).pod());
        assert_eq!(sorted(&admission.after), sorted(&fresh.after), "{}", case.name);
    }
}

/// The pod with its variables, mounts and volumes in the order of their names.
fn sorted(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let by = |key: &'static str| move |it: &Value| it[key].as_str().unwrap_or_default().to_owned();
    pod["spec"]["volumes"].as_array_mut().unwrap().sort_by_key(by("name"));
    for list in ["containers", "initContainers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            for (list, key) in [("env", "name"), ("volumeMounts", "mountPath")] {
                if let Some(items) = container[list].as_array_mut() {
                    items.sort_by_key(by(key));
                }
            }
        }
    }
    // A list that was emptied is as good as none.
    if list(&pod["spec"], "initContainers").is_empty() {
        pod["spec"].as_object_mut().unwrap().shift_remove("initContainers");
    }
    pod["metadata"]["annotations"].as_object_mut().unwrap().sort_keys();
    pod["metadata"]["annotations"]["vertex-injector.dev/rendered-env"] = Value::Null;
    pod
}

#[test]
fn uids_follow_the_pod_where_its_own_token_files_would_suffer() {
    let narrow = "{securityContext: {runAsUser: 1001}, containers: [{name: agent, image: a, volumeMounts: [{name: t, mountPath: /t}]}],
        volumes: [{name: t, projected: {defaultMode: 256, sources: [{serviceAccountToken: {audience: other, path: t}}]}}]}";
    let user = |spec: &str| {
        let admission = world(METADATA).admit(&pod(spec));
        admission.injected().container(BROKER).value()["securityContext"]
            .get("runAsUser")
            .cloned()
    };
    assert_eq!(user(narrow), Some(json!(1001)));
    assert_eq!(
        user("{securityContext: {runAsUser: 0}, containers: [{name: agent, image: a}]}"),
        Some(json!(65532))
    );
    assert_eq!(user(PLAIN), None);
}

#[test]
fn explain_tells_of_the_broker_in_one_line() {
    let Decision { units, message, .. } = Case::named("f3-fracta-stream-proxy").admit().decision;
    let broker = units.iter().find(|unit| unit.name == "broker").expect("the unit");
    assert_eq!(
        broker.detail,
        "vertex-injector-broker (Proxy): Vertex AI at 127.0.0.1:8471"
    );
    assert!(message.contains("broker, vertex"), "{message}");
}

#[test]
fn members_of_bodies_that_are_not_known_pass_where_the_policy_or_the_operator_says_so() {
    let said = |operator: &str, more: &str| {
        let admission = World::serving_under(operator, &spec(more)).admit(&pod(PLAIN));
        let environment = admission.injected().container(BROKER).literals().into_iter();
        let known = environment.filter(|(name, _)| name.ends_with("_FIELDS"));
        known
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<Vec<_>>()
    };
    let named = "broker: {knownFields: [time_travel, hologram]}";
    let pair = |name: &str, value: &str| (format!("VERTEX_INJECTOR_{name}"), value.to_owned());
    let (all, known) = (
        pair("UNKNOWN_FIELDS", "Allow"),
        pair("KNOWN_FIELDS", "time_travel,hologram"),
    );
    let allow = "  access: Proxy\n  proxy: {unknownFields: Allow}";
    let deny = "  access: Proxy\n  proxy: {unknownFields: Deny}";
    for (operator, more, expected) in [
        ("{}", PROXY, vec![]),
        ("{}", deny, vec![]),
        ("{}", allow, vec![all.clone()]),
        (named, PROXY, vec![known]),
        (named, allow, vec![all]),
        (named, METADATA, vec![]),
    ] {
        assert_eq!(said(operator, more), expected, "{operator} {more}");
    }
}

#[test]
fn kinds_of_calls_that_are_not_usual_are_told_the_broker_where_the_policy_allows_them() {
    let said = |more: &str| {
        let admission = World::serving_under("{}", &spec(more)).admit(&pod(PLAIN));
        let environment = admission.injected().container(BROKER).literals().into_iter();
        let methods = environment.filter(|(name, _)| *name == "VERTEX_INJECTOR_METHODS");
        methods.map(|(_, value)| value.to_owned()).collect::<Vec<_>>()
    };
    let with = |methods: &str| said(&format!("  access: Proxy\n  proxy: {{methods: [{methods}]}}"));
    assert_eq!(said(PROXY), [""; 0]);
    assert_eq!(with("Generate, CountTokens"), [""; 0]);
    assert_eq!(with("Embed"), ["Embed"]);
    assert_eq!(with("Generate, ChatCompletions"), ["Generate,ChatCompletions"]);
}
