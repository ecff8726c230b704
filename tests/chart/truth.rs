//! The chart says the same as the code: definitions, names, flags, defaults, metrics.

use super::helm::{chart, helm, object, objects};
use harness::process::repository;
use regex::Regex;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use vertex_injector_core::admission::{Outcome, Reason};
use vertex_injector_core::api::{Preset, Selector, crds};
use vertex_injector_core::operator::{Broker, CaConfigMap, Operator, PullPolicy};
use vertex_injector_core::{manifest, names};
use vertex_injector_net::telemetry;
use vertex_injector_webhook::metrics;

const IMAGE: [&str; 2] = ["--set", "image.repository=example.com/injector"];
const EVERY: [&str; 2] = ["--values", "tests/chart/every-value.yaml"];

#[test]
fn the_definitions_in_the_chart_are_those_of_the_code() {
    let folder = chart().join("files/crds");
    let mut files: BTreeSet<String> = BTreeSet::new();
    for entry in fs::read_dir(&folder).expect("files/crds") {
        files.insert(entry.expect("an entry").file_name().into_string().expect("UTF-8"));
    }
    let in_code = crds();
    assert_eq!(
        files,
        in_code
            .iter()
            .map(|crd| format!("{}.yaml", crd.spec.names.plural))
            .collect()
    );
    for crd in in_code {
        let file = format!("{}.yaml", crd.spec.names.plural);
        let text = fs::read_to_string(folder.join(&file)).expect("the definition");
        let kept = manifest::documents(&text).expect("well-formed");
        assert!(
            kept == [serde_json::to_value(&crd).expect("JSON")],
            "{file} is not what the code defines; run: vertex-injector crds --output-dir charts/vertex-injector/files/crds"
        );
    }
}

#[test]
fn the_definitions_are_installed_whole_and_kept_when_the_release_goes() {
    let Some(helm) = helm() else { return };
    let rendered = objects(helm, &IMAGE);
    for crd in crds() {
        let installed = object(
            &rendered,
            "CustomResourceDefinition",
            crd.metadata.name.as_deref().expect("a name"),
        );
        let defined = serde_json::to_value(&crd.spec).expect("JSON");
        assert!(alike(&installed["spec"], &defined), "{}", installed["metadata"]["name"]);
        assert_eq!(installed["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
    }
    for installed in objects(helm, &EVERY)
        .iter()
        .filter(|object| object["kind"] == "CustomResourceDefinition")
    {
        assert_eq!(
            installed["metadata"]["annotations"]["helm.sh/resource-policy"],
            Value::Null
        );
    }
}

#[test]
fn the_versions_of_chart_and_program_are_the_same() {
    let text = fs::read_to_string(chart().join("Chart.yaml")).expect("Chart.yaml");
    let chart = &manifest::documents(&text).expect("well-formed")[0];
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn every_flag_of_the_container_exists() {
    let Some(helm) = helm() else { return };
    let program = Command::new(env!("CARGO_BIN_EXE_vertex-injector"))
        .args(["webhook", "--help"])
        .output()
        .expect("run");
    let flags = String::from_utf8(program.stdout).expect("UTF-8");
    for values in [IMAGE, EVERY] {
        let rendered = objects(helm, &values);
        let container = &object(&rendered, "Deployment", "injector")["spec"]["template"]["spec"]["containers"][0];
        let mut arguments = container["args"]
            .as_array()
            .expect("arguments")
            .iter()
            .filter_map(Value::as_str);
        assert_eq!(arguments.next(), Some("webhook"));
        for argument in arguments {
            let (flag, _) = argument.split_once('=').expect("--flag=value");
            assert!(flags.contains(&format!("{flag} ")), "{flag} is not in:\n{flags}");
        }
    }
}

#[test]
fn the_log_level_is_the_programs_own_default() {
    let text = fs::read_to_string(chart().join("values.yaml")).expect("values.yaml");
    let values = &manifest::documents(&text).expect("well-formed")[0];
    assert_eq!(values["log"]["level"], telemetry::DEFAULT_LEVELS);
}

#[test]
fn the_webhook_reads_the_operators_settings_as_the_chart_writes_them() {
    let Some(helm) = helm() else { return };
    let settings = |values: [&str; 2]| {
        let rendered = objects(helm, &values);
        let text = object(&rendered, "ConfigMap", "injector")["data"]["operator.yaml"]
            .as_str()
            .expect("settings")
            .to_owned();
        let file = std::env::temp_dir().join(format!("operator-{}-{}.yaml", std::process::id(), values[1].len()));
        fs::write(&file, text).expect("write");
        let settings = manifest::operator(&file).expect("the webhook's settings");
        fs::remove_file(&file).expect("remove");
        settings
    };
    let default = settings(IMAGE);
    let opted_in = |settings: &Operator, labels: &[(&str, &str)]| {
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        settings.not_opted_in("team", &labels.collect()).is_none()
    };
    assert!(opted_in(
        &default,
        &[(names::NAMESPACE_INJECTION, names::INJECTION_ENABLED)]
    ));
    assert!(!opted_in(&default, &[(names::NAMESPACE_INJECTION, "no")]));
    assert_eq!(
        Operator {
            namespace_selector: None,
            agent_selectors: Vec::new(),
            broker: Broker::default(),
            ..default.clone()
        },
        Operator::default()
    );
    let own = Broker {
        image: concat!("example.com/injector:", env!("CARGO_PKG_VERSION")).to_owned(),
        ..Broker::default()
    };
    assert_eq!(default.broker, own);
    assert_eq!(default.agent_selectors.len(), 10);

    let every = settings(EVERY);
    assert_eq!(
        every.sidecar_images,
        ["registry.example.com/acme/mcp-*", "ghcr.io/acme/github-mcp:1.0"]
    );
    assert_eq!(
        every.preset_images,
        [(Preset::Github, "ghcr.io/acme/github-mcp:1.0".to_owned())].into()
    );
    assert_eq!(
        every.credential_hosts,
        ["tokens.example.com", "tokens.agents.svc:8080"].map(|host| host.parse().expect("a host"))
    );
    assert_eq!(
        every.endpoint_hosts,
        ["psc.example.com", "psc.example.com:8443"].map(|host| host.parse().expect("a host"))
    );
    assert_eq!(every.api_server_audiences, ["https://issuer.example.com/"]);
    let digest = "sha256:fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
    assert_eq!(
        every.broker,
        Broker {
            image: format!("registry.example.com/acme/broker@{digest}"),
            image_pull_policy: PullPolicy::Never,
            image_pull_secrets: vec!["broker-registry".to_owned()],
            ca_config_map: Some(CaConfigMap {
                name: "acme-trust".to_owned(),
                key: "acme.pem".to_owned(),
            }),
            https_proxy: Some("http://proxy.example.com:3128".to_owned().try_into().expect("a proxy")),
            no_proxy: vec![".example.com".to_owned(), "10.0.0.0/8".to_owned()],
            known_fields: vec!["time_travel".parse().unwrap(), "2026".parse().unwrap()],
        }
    );
    assert_eq!(
        every.agent_selectors[2].service_accounts,
        ["kartograph-agent", "kartograph-worker"]
    );
}

#[test]
fn the_broker_is_the_webhooks_image_unless_it_has_one_of_its_own() {
    let Some(helm) = helm() else { return };
    let hex = "0123456789abcdef".repeat(4);
    let version = env!("CARGO_PKG_VERSION");
    for (set, expected) in [
        (
            "image.repository=a.example/i,image.tag=v1".to_owned(),
            "a.example/i:v1".to_owned(),
        ),
        (
            format!("image.repository=a.example/i,image.digest=sha256:{hex}"),
            format!("a.example/i@sha256:{hex}"),
        ),
        (
            format!("image.repository=a.example/i,image.digest=sha256:{hex},broker.image.tag=v2"),
            "a.example/i:v2".to_owned(),
        ),
        (
            format!("image.repository=a.example/i,image.digest=sha256:{hex},broker.image.repository=b.example/i"),
            format!("b.example/i:{version}"),
        ),
        (
            "webhook.url=https://webhook.example.com/mutate".to_owned(),
            Broker::default().image,
        ),
    ] {
        let rendered = objects(helm, &["--set", &set]);
        let settings = object(&rendered, "ConfigMap", "injector")["data"]["operator.yaml"].clone();
        let settings = &manifest::documents(settings.as_str().expect("settings")).expect("well-formed")[0];
        assert_eq!(settings["broker"]["image"], expected.as_str(), "{set}");
    }
}

#[test]
fn each_known_system_is_asked_about_once_and_what_is_no_agent_never() {
    let Some(helm) = helm() else { return };
    let rendered = objects(helm, &IMAGE);
    let webhooks = object(&rendered, "MutatingWebhookConfiguration", "injector")["webhooks"].clone();
    let asked = |labels: &BTreeMap<String, String>| -> Vec<String> {
        let webhooks = webhooks.as_array().expect("webhooks").iter();
        let selected = webhooks.filter(|webhook| {
            let selector: Selector = serde_json::from_value(webhook["objectSelector"].clone()).expect("a selector");
            selector.matches(|key| labels.get(key).map(String::as_str))
        });
        selected
            .map(|webhook| {
                webhook["name"]
                    .as_str()
                    .expect("a name")
                    .trim_end_matches(".vertex-injector.dev")
                    .to_owned()
            })
            .collect()
    };
    for (file, expected) in [
        ("ambient-cp-runner", Some("ambient-session")),
        ("ambient-cp-runner-novertex", Some("ambient-session")),
        ("ambient-operator-runner", Some("ambient-runner")),
        ("fracta-job-pod", Some("fracta")),
        ("fracta-stream-pod", Some("fracta")),
        ("gastown-polecat", Some("gastown")),
        ("kagent-agent", Some("kagent")),
        ("kartograph-agentic-ci-job", Some("kartograph")),
        ("kartograph-ephemeral-worker", None),
        ("kartograph-sticky", Some("kartograph")),
        ("openshell-combined", Some("agent-sandbox")),
        ("openshell-sidecar", Some("agent-sandbox")),
    ] {
        let text =
            fs::read_to_string(repository().join("tests/pods").join(file).with_extension("yaml")).expect("a pod");
        let mut pods = Vec::new();
        for document in manifest::documents(&text).expect("well-formed") {
            for pod in manifest::workload::pods(&document) {
                pods.push(document.pointer(&pod.pointer()).expect("a pod").clone());
            }
        }
        assert!(!pods.is_empty(), "{file} has no pod");
        for pod in pods {
            let mut labels: BTreeMap<String, String> =
                serde_json::from_value(pod["metadata"]["labels"].clone()).expect("labels");
            assert_eq!(asked(&labels), Vec::from_iter(expected.map(str::to_owned)), "{file}");
            labels.insert(names::INJECT.to_owned(), "false".to_owned());
            assert_eq!(asked(&labels), Vec::<String>::new(), "{file} that opted out");
        }
    }
    // Fracta's control plane carries the label `app: fracta`, too.
    assert_eq!(
        asked(&BTreeMap::from([("app".to_owned(), "fracta".to_owned())])),
        Vec::<String>::new()
    );
    assert_eq!(
        asked(&BTreeMap::from([(names::INJECT.to_owned(), "true".to_owned())])),
        ["inject"]
    );
}

#[test]
fn only_names_of_the_code_are_used() {
    let Some(helm) = helm() else { return };
    let known = [
        names::NAMESPACE_INJECTION,
        names::INJECT,
        names::POLICY_REF,
        names::CREDENTIAL_CONFIGURATION,
        names::LOOPBACK_CONFIGURATION,
        names::MCP_CONFIGURATION,
        names::RENDERED_ENV,
        names::SKIPPED,
    ];
    let mut used = BTreeSet::new();
    let key = Regex::new(r"vertex-injector\.dev/[a-z-]+").expect("a pattern");
    for values in [IMAGE, EVERY] {
        for mut object in objects(helm, &values) {
            // The definitions speak of everything; another test compares them.
            if object["kind"] != "CustomResourceDefinition" {
                object["data"].take();
                used.extend(
                    key.find_iter(&object.to_string())
                        .map(|found| found.as_str().to_owned()),
                );
            }
        }
    }
    assert_eq!(used, known.map(str::to_owned).into());

    let rendered = objects(helm, &IMAGE);
    let guard = object(&rendered, "ValidatingAdmissionPolicy", "-annotations").to_string();
    for guarded in [
        names::POLICY_REF,
        names::CREDENTIAL_CONFIGURATION,
        names::LOOPBACK_CONFIGURATION,
        names::MCP_CONFIGURATION,
    ] {
        assert_eq!(
            guard.matches(guarded).count(),
            2,
            "{guarded} in the condition and in the rule"
        );
    }
    let guard = object(&rendered, "ValidatingAdmissionPolicy", "-broker").to_string();
    assert!(guard.contains(names::NAME_PREFIX), "{guard}");
    let asked = &object(&rendered, "ValidatingWebhookConfiguration", "injector")["webhooks"][0]["rules"][0];
    let guard = object(&rendered, "ValidatingAdmissionPolicy", "-authors");
    for rules in [asked, &guard["spec"]["matchConstraints"]["resourceRules"][0]] {
        assert_eq!(rules["apiGroups"][0], names::GROUP);
        assert_eq!(rules["apiVersions"][0], names::VERSION);
        assert_eq!(
            rules["resources"],
            json!(["injectionpolicies", "clusterinjectionpolicies"])
        );
    }
}

#[test]
fn alerts_ask_for_metrics_that_exist() {
    let Some(helm) = helm() else { return };
    let metrics = metrics::Metrics::new();
    metrics.reviewed(Outcome::Denied, Reason::Conflict, 0.1);
    let served = metrics.encode().expect("metrics");
    let rendered = objects(helm, &EVERY);
    let metric = Regex::new(r"vertex_injector_[a-z_]+").expect("a pattern");
    let label = Regex::new(r#"(?:outcome|state)="[a-z]+""#).expect("a pattern");
    let runbooks = fs::read_to_string(repository().join("docs/troubleshooting.md")).expect("the page");
    let mut asked = 0;
    for rule in object(&rendered, "PrometheusRule", "injector")["spec"]["groups"][0]["rules"]
        .as_array()
        .expect("rules")
    {
        let expression = rule["expr"].as_str().expect("an expression");
        parses(expression);
        for value in label.find_iter(expression) {
            assert!(
                served.contains(value.as_str()),
                "{} is not served:\n{served}",
                value.as_str()
            );
        }
        for name in metric.find_iter(expression) {
            let family = name.as_str().trim_end_matches("_total").trim_end_matches("_bucket");
            assert!(
                served.contains(&format!("# TYPE {family} ")),
                "{family} is not served:\n{served}"
            );
            asked += 1;
        }
        assert!(rule["annotations"]["summary"].is_string() && rule["annotations"]["description"].is_string());
        let name = rule["alert"].as_str().expect("a name");
        assert!(
            runbooks.contains(&format!("\n### {name}\n")),
            "{name} has no heading in docs/troubleshooting.md"
        );
        assert_eq!(
            rule["annotations"]["runbook_url"],
            format!("https://docs.example.com/troubleshooting.html#{}", name.to_lowercase())
        );
    }
    assert_eq!(asked, 5, "metrics");
}

#[test]
fn the_dashboard_asks_for_metrics_and_labels_that_exist() {
    let Some(helm) = helm() else { return };
    let rendered = objects(helm, &EVERY);
    let text = object(&rendered, "ConfigMap", "injector-dashboard")["data"]["vertex-injector.json"].clone();
    let dashboard: Value = serde_json::from_str(text.as_str().expect("text")).expect("JSON");
    let reference = fs::read_to_string(repository().join("docs/reference/metrics.md")).expect("the page");
    let metric = Regex::new(r"(?:vertex_injector|apiserver)_[a-z_]+").expect("a pattern");
    let grouped = Regex::new(r"by \(([a-z, ]+)\)").expect("a pattern");
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(panels.len() > 5);
    for target in panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().expect("queries"))
    {
        let query = target["expr"].as_str().expect("a query");
        // Grafana puts a duration there.
        parses(&query.replace("$__rate_interval", "5m"));
        let name = metric
            .find(query)
            .expect("a metric")
            .as_str()
            .trim_end_matches("_bucket");
        // The API server's own; a test in a real one reads them.
        let of_the_api_server = [
            "| `apiserver_admission_webhook_admission_duration_seconds` | `name`",
            "| `apiserver_admission_webhook_rejection_count` | `name`, `error_type`",
        ];
        let row = reference
            .lines()
            .chain(of_the_api_server)
            .find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("{name} is no metric"));
        for labels in grouped.captures_iter(query) {
            for label in labels[1].split(", ").filter(|label| *label != "le") {
                assert!(
                    row.contains(&format!("`{label}`")),
                    "{name} has no label {label}: {query}"
                );
            }
        }
    }
}

/// Whether Prometheus can read it.
#[track_caller]
fn parses(expression: &str) {
    if let Err(error) = promql_parser::parser::parse(expression) {
        panic!("{expression}: {error}");
    }
}

/// Equality of JSON in which 1 and 1.0 are the same number.
fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| alike(a, b)))
        }
        (a, b) => a == b,
    }
}
