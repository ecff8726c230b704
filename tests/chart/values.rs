//! Values: each is described, checked, and does something.

use super::helm::{self, chart, helm, template};
use harness::process::repository;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

#[test]
fn helm_lint_finds_nothing_with_the_required_value_and_with_every_value() {
    let Some(helm) = helm() else { return };
    let chart = chart();
    let chart = chart.to_str().expect("UTF-8");
    let example = |name: &str| format!("{chart}/ci/{name}-values.yaml");
    let examples = ["default", "cert-manager", "private-gke", "observed", "outside"].map(example);
    let listed = fs::read_dir(format!("{chart}/ci")).expect("examples").count();
    assert_eq!(listed, examples.len());
    let mut all = vec![["--values", "tests/chart/every-value.yaml"]];
    all.extend(examples.iter().map(|file| ["--values", file.as_str()]));
    for values in all {
        let ran = helm::run(helm, &[&["lint", "--strict", "--quiet", chart], &values[..]].concat());
        assert!(ran.success(), "{}{}", ran.stdout, ran.stderr);
    }
}

#[test]
fn every_value_has_a_default_a_comment_and_a_description_and_there_are_no_others() {
    let schema = schema();
    let defaults = keys(&defaults(), &schema, &schema);
    assert_eq!(
        defaults,
        schema_keys(&schema, &schema),
        "values.yaml and values.schema.json have the same keys"
    );

    let text = fs::read_to_string(chart().join("values.yaml")).expect("values.yaml");
    let mut path: Vec<&str> = Vec::new();
    let mut before = "";
    let mut commented = BTreeSet::new();
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if let Some((key, _)) = line.trim().split_once(':')
            && !line.trim().starts_with(['#', '-'])
        {
            path.truncate(indent / 2);
            path.push(key);
            if before.trim().starts_with("# ") {
                commented.insert(path.join("."));
            }
        }
        before = line;
    }
    let silent: Vec<&String> = defaults
        .iter()
        .filter(|key| depth(key) <= 2 && !commented.contains(*key))
        .collect();
    assert_eq!(silent, Vec::<&String>::new(), "values without a comment");

    let mut silent = Vec::new();
    described(&schema, "", &mut silent);
    assert_eq!(
        silent,
        Vec::<String>::new(),
        "properties of the schema without a description"
    );
}

#[test]
fn every_value_does_something() {
    let Some(helm) = helm() else { return };
    let (schema, defaults, every) = (schema(), defaults(), every_value());
    let with_every = render(helm, &every);
    assert!(with_every.is_ok(), "{with_every:?}");

    let leaves: Vec<String> = leaves(&defaults, &schema);
    std::thread::scope(|scope| {
        for share in leaves.chunks(leaves.len().div_ceil(4)) {
            let (defaults, every) = (&defaults, &every);
            scope.spawn(move || {
                for path in share {
                    let pointer = pointer_of(path);
                    let value = every
                        .pointer(&pointer)
                        .unwrap_or_else(|| panic!("every-value.yaml lacks {path}"));
                    let other = match (value, defaults.pointer(&pointer).expect("a default")) {
                        _ if path == "webhook.url" => json!("https://webhook.example.com/mutate"),
                        (Value::Bool(value), _) => json!(!value),
                        (value, default) => {
                            assert_ne!(value, default, "every-value.yaml must not set {path} to its default");
                            default.clone()
                        }
                    };
                    let every = &fitting(every, path);
                    let with_every = &render(helm, every);
                    assert!(with_every.is_ok(), "{path}: {with_every:?}");
                    let mut changed = every.clone();
                    *changed.pointer_mut(&pointer).expect("the value") = other;
                    let effective = if let Some(image) = path.strip_suffix(".tag") {
                        // The digest wins over it.
                        let mut every = every.clone();
                        let digest = format!("{}/digest", pointer_of(image));
                        for values in [&mut every, &mut changed] {
                            *values.pointer_mut(&digest).expect("the digest") = json!("");
                        }
                        render(helm, &changed) != render(helm, &every)
                    } else {
                        render(helm, &changed) != *with_every
                    };
                    assert!(effective, "{path} changes nothing");
                }
            });
        }
    });
}

/// The same where a value is read that another one of them puts aside.
fn fitting(every: &Value, path: &str) -> Value {
    let mut every = every.clone();
    if path == "replicas" {
        every["autoscaling"]["enabled"] = false.into();
    } else if path.starts_with("certificates.issuerRef") {
        every["certificates"] = json!({"mode": "cert-manager", "issuerRef": every["certificates"]["issuerRef"]});
        // Those that every-value.yaml has are cert-manager's own then.
        every["webhook"]["annotations"] = json!({});
    } else if [
        "certificates.caLifetime",
        "certificates.lifetime",
        "admissionPolicies.webhookGuard",
    ]
    .contains(&path)
    {
        let of = |name: &str| every["certificates"][name].clone();
        every["certificates"] =
            json!({"mode": "self-signed", "caLifetime": of("caLifetime"), "lifetime": of("lifetime")});
        every["webhook"]["annotations"] = json!({});
    }
    every
}

#[test]
fn impossible_values_are_refused_with_their_name() {
    let Some(helm) = helm() else { return };
    for (set, named) in [
        ("image.tagg=1", "'/image': additional properties 'tagg' not allowed"),
        ("replicas=0", "'/replicas': minimum"),
        ("replicas=two", "'/replicas': got string, want integer"),
        ("image.repository=example.com/injector:1", "'/image/repository'"),
        ("image.digest=sha256:abc", "'/image/digest'"),
        ("image.pullPolicy=Sometimes", "'/image/pullPolicy'"),
        (
            "broker.image.repository=example.com/injector:1",
            "'/broker/image/repository'",
        ),
        ("broker.image.pullPolicy=Sometimes", "'/broker/image/pullPolicy'"),
        ("broker.imagePullSecrets={a}", "'/broker/imagePullSecrets/0'"),
        ("broker.caConfigMap.key=a/b", "'/broker/caConfigMap/key'"),
        (
            "broker.httpsProxy=https://proxy.example.com:3128",
            "'/broker/httpsProxy'",
        ),
        ("broker.httpsProxy=http://proxy.example.com", "'/broker/httpsProxy'"),
        ("broker.httpsProxy=http://me:secret@proxy:3128", "'/broker/httpsProxy'"),
        ("broker.noProxy={a b}", "'/broker/noProxy/0'"),
        ("broker.knownFields={a b}", "'/broker/knownFields/0'"),
        ("webhook.url=http://example.com/mutate", "'/webhook/url'"),
        ("webhook.url=https://example.com/", "'/webhook/url'"),
        ("webhook.url=https://me@example.com/mutate", "'/webhook/url'"),
        ("webhook.timeoutSeconds=31", "'/webhook/timeoutSeconds'"),
        ("webhook.port=443", "'/webhook/port'"),
        (
            "certificates.mode=none",
            "'/certificates/mode': value must be one of 'self-signed', 'cert-manager', 'files'",
        ),
        ("certificates.caBundle=LS0t", "'/certificates/caBundle'"),
        (
            "policyLimits.endpointHosts={https://psc.example.com}",
            "'/policyLimits/endpointHosts/0'",
        ),
        (
            "policyLimits.endpointHosts={psc.example.com.}",
            "'/policyLimits/endpointHosts/0'",
        ),
        (
            "policyLimits.apiServerAudiences={/}",
            "'/policyLimits/apiServerAudiences/0'",
        ),
        ("agentSelectors=null", "missing property 'agentSelectors'"),
        ("webhook=null", "missing property 'webhook'"),
        (
            "extraAgentSelectors[0].name=Upper,extraAgentSelectors[0].serviceAccounts={a}",
            "'/extraAgentSelectors/0/name'",
        ),
        (
            "extraAgentSelectors[0].name=nothing",
            "missing property 'objectSelector'",
        ),
        (
            "namespaceSelector.matchExpressions[0].key=a,namespaceSelector.matchExpressions[0].operator=Exits",
            "'/namespaceSelector/matchExpressions/0/operator'",
        ),
        (
            "namespaceSelector.matchExpressions[0].key=a,namespaceSelector.matchExpressions[0].operator=In",
            "missing property 'values'",
        ),
        ("resources.limits.cpu=lots", "'/resources/limits/cpu'"),
        (
            "tolerations[0].effekt=NoSchedule",
            "additional properties 'effekt' not allowed",
        ),
    ] {
        refused(
            helm,
            &["--set", "image.repository=example.com/injector", "--set", set],
            named,
        );
    }
}

#[test]
fn values_that_do_not_fit_together_are_refused_with_what_to_do() {
    let Some(helm) = helm() else { return };
    refused(
        helm,
        &[],
        "image.repository is not set, and has no default because no image is published. Build one with `make image`",
    );
    for (set, message) in [
        (
            "certificates.mode=files",
            "certificates.secretName is not set: with certificates.mode=files, name the Secret",
        ),
        (
            "certificates.secretName=mine",
            "certificates.secretName is only read with certificates.mode=files",
        ),
        (
            "certificates.caBundle=-----BEGIN CERTIFICATE-----x-----END CERTIFICATE-----",
            "certificates.caBundle is only for certificates.mode=files",
        ),
        (
            r"webhook.annotations.cert-manager\.io/inject-ca-from=a/b",
            "both would write it in turn",
        ),
        (
            "certificates.mode=cert-manager,webhook.url=https://webhook.example.com/mutate",
            "certificates.mode=cert-manager is for a webhook in the cluster",
        ),
        (
            "autoscaling.enabled=true,autoscaling.maxReplicas=1",
            "autoscaling.maxReplicas is less than autoscaling.minReplicas",
        ),
        (
            "certificates.caLifetime=31d",
            "certificates.lifetime=30d is more than 15/16 of certificates.caLifetime=31d",
        ),
        (
            "certificates.caLifetime=16h,certificates.lifetime=16h",
            "certificates.lifetime=16h is more than 15/16 of certificates.caLifetime=16h",
        ),
        ("adminPort=8443", "webhook.port and adminPort are the same port"),
        (
            "extraAgentSelectors[0].name=inject,extraAgentSelectors[0].serviceAccounts={a}",
            "two entries of the name \"inject\"",
        ),
    ] {
        refused(
            helm,
            &["--set", "image.repository=example.com/injector", "--set", set],
            message,
        );
    }
    let none = [
        "--set",
        "image.repository=example.com/injector",
        "--set-json",
        "agentSelectors=[]",
    ];
    refused(
        helm,
        &none,
        "agentSelectors is empty: no pod would ever be sent to the webhook",
    );
}

#[test]
fn a_kubernetes_without_stable_admission_policies_is_refused() {
    let Some(helm) = helm() else { return };
    let needed = ["--set", "image.repository=example.com/injector", "--kube-version"];
    refused(
        helm,
        &[&needed[..], &["1.29.9"]].concat(),
        "chart requires kubeVersion: >=1.30.0-0",
    );
    // As GKE and EKS number theirs.
    template(helm, &[&needed[..], &["1.30.1-gke.1"]].concat()).output();
}

#[track_caller]
fn refused(helm: &Path, arguments: &[&str], message: &str) {
    let error = template(helm, arguments).error();
    assert!(
        error.contains(message),
        "{arguments:?} should be refused with {message:?}, but:\n{error}"
    );
}

/// What Helm makes of these values, or why nothing.
fn render(helm: &Path, values: &Value) -> Result<String, String> {
    let file = scratch();
    fs::write(&file, values.to_string()).expect("write values");
    let ran = template(helm, &["--values", file.to_str().expect("UTF-8")]);
    fs::remove_file(&file).expect("remove values");
    if ran.success() { Ok(ran.stdout) } else { Err(ran.stderr) }
}

fn scratch() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "values-{}-{}.json",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn read_one(path: &Path) -> Value {
    let text = fs::read_to_string(path).expect("read the file");
    vertex_injector_core::manifest::documents(&text)
        .expect("well-formed")
        .pop()
        .expect("one document")
}

fn defaults() -> Value {
    read_one(&chart().join("values.yaml"))
}

fn every_value() -> Value {
    read_one(&repository().join("tests/chart/every-value.yaml"))
}

fn schema() -> Value {
    read_one(&chart().join("values.schema.json"))
}

fn pointer_of(path: &str) -> String {
    format!("/{}", path.replace('.', "/"))
}

fn depth(path: &str) -> usize {
    path.split('.').count()
}

/// Keys of a map and of the maps in it that have fixed properties.
fn keys(value: &Value, schema: &Value, root: &Value) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let Some(properties) = fixed(schema, root) else {
        return all;
    };
    for (key, value) in value.as_object().expect("a map") {
        all.insert(key.clone());
        if let Some(schema) = properties.get(key)
            && !value.as_object().is_none_or(serde_json::Map::is_empty)
        {
            all.extend(
                keys(value, schema, root)
                    .into_iter()
                    .map(|below| format!("{key}.{below}")),
            );
        }
    }
    all
}

/// The same of the schema, as deep as the defaults go.
fn schema_keys(schema: &Value, root: &Value) -> BTreeSet<String> {
    fn walk(schema: &Value, defaults: &Value, root: &Value) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        let Some(properties) = fixed(schema, root) else {
            return all;
        };
        for (key, schema) in properties {
            // A map that is empty by default, and Helm's own key, go no further; quantities may be left out.
            let Some(default) = defaults.get(key) else {
                assert!(
                    key == "global" || ["cpu", "memory", "ephemeral-storage"].contains(&key.as_str()),
                    "{key} has no default"
                );
                continue;
            };
            all.insert(key.clone());
            if !default.as_object().is_none_or(serde_json::Map::is_empty) {
                all.extend(
                    walk(schema, default, root)
                        .into_iter()
                        .map(|below| format!("{key}.{below}")),
                );
            }
        }
        all
    }
    walk(schema, &defaults(), root)
}

/// Properties of a map that has no others.
fn fixed<'a>(schema: &'a Value, root: &'a Value) -> Option<&'a serde_json::Map<String, Value>> {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.trim_start_matches('#')).expect("a definition"),
        None => schema,
    };
    let properties = schema["properties"].as_object()?;
    assert_eq!(
        schema["additionalProperties"], false,
        "a map with properties allows others: {schema}"
    );
    Some(properties)
}

/// Paths of all values that are no maps with fixed properties.
fn leaves(defaults: &Value, schema: &Value) -> Vec<String> {
    let all = keys(defaults, schema, schema);
    let leaf = |key: &&String| !all.iter().any(|other| other.starts_with(&format!("{key}.")));
    all.iter().filter(leaf).cloned().collect()
}

fn described(schema: &Value, path: &str, silent: &mut Vec<String>) {
    for section in ["properties", "$defs"] {
        for (key, schema) in schema[section].as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            // `if` and `then` repeat a property to narrow it.
            if schema["description"].as_str().is_none_or(str::is_empty) {
                silent.push(path.clone());
            }
            described(schema, &path, silent);
        }
    }
    if schema["items"].is_object() {
        described(&schema["items"], &format!("{path}[]"), silent);
    }
}
