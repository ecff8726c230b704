//! The command line and the webhook behind the API server decide alike: workloads of every kind and the golden cases, each pod
//! created as its controller would, and not stored.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use harness::process::repository;
use regex::Regex;
use serde_json::{Value, json};
use support::golden::Case;
use support::read;
use support::workloads::{POLICIES, objects};
use vertex_injector_core::manifest::workload::{self, PodAt};

use crate::proxy::Proxy;
use crate::world::{World, vertex_injector, world};

/// Sends every pod that does not say otherwise.
const REST: &str = r#"extraAgentSelectors=[{"name": "rest", "objectSelector": {"matchExpressions": [{"key": "unsent", "operator": "DoesNotExist"}]}}]"#;

/// A pod of a workload, and what the command line says about it.
struct Pod {
    at: PodAt,
    /// As the controller creates it.
    pod: Value,
    /// By `explain`.
    said: Value,
}

/// The pods of workloads with what `explain` says about each.
#[track_caller]
fn explained(objects: &[Value], files: &[&str]) -> Vec<Pod> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let ran = vertex_injector(
        &[&["explain", "-f", "-", "-o", "json"], files].concat(),
        &list.to_string(),
    );
    let said: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stderr));
    let said = said.as_array().expect("a list");
    let pods: Vec<(PodAt, Value)> = { objects.iter() }
        .flat_map(|object| {
            workload::pods(object)
                .into_iter()
                .map(|at| (at.clone(), created(&at, object)))
        })
        .collect();
    assert_eq!(said.len(), pods.len());
    let together = pods.into_iter().zip(said);
    together
        .map(|((at, pod), said)| Pod {
            at,
            pod,
            said: said.clone(),
        })
        .collect()
}

/// The pod that a controller makes of a template.
fn created(at: &PodAt, object: &Value) -> Value {
    let mut pod = at.pod(object.pointer(&at.template).expect("a template"));
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    let name = format!(
        "{}{}",
        at.name,
        at.template.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
    )
    .to_lowercase();
    pod["metadata"]["name"] = name.trim_end_matches('-').into();
    pod["metadata"]["namespace"] = at.namespace.clone().into();
    pod
}

/// Namespace and name.
fn key(pod: &Value) -> (String, String) {
    let of = |key: &str| pod["metadata"][key].as_str().unwrap_or_default().to_owned();
    (of("namespace"), of("name"))
}

/// Every pod's first review by the webhook, as its log tells it.
fn reviews(world: &World) -> BTreeMap<(String, String), Value> {
    let mut reviews = BTreeMap::new();
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    for event in world.ask_webhook(|webhook| webhook.log()) {
        if event["reason"].is_string() {
            reviews
                .entry((text(&event, "namespace"), text(&event, "pod")))
                .or_insert(event);
        }
    }
    reviews
}

/// A stored pod without what differs between any two: where and when, and the order of what the API server adds on its own.
fn comparable(pod: &Value) -> Value {
    let random = Regex::new("kube-api-access-[a-z0-9]{5}").expect("a pattern");
    let mut pod: Value = serde_json::from_str(&random.replace_all(&pod.to_string(), "kube-api-access")).expect("JSON");
    let by = |list: &mut Value, key: &str| {
        if let Some(list) = list.as_array_mut() {
            list.sort_by_key(|item| item[key].to_string());
        }
    };
    by(&mut pod["spec"]["volumes"], "name");
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            by(&mut container["volumeMounts"], "mountPath");
        }
    }
    json!({"annotations": pod["metadata"]["annotations"], "labels": pod["metadata"]["labels"], "spec": pod["spec"]})
}

/// Compares what was said about pods with what happened to them, and injected pods with what `inject` made of their workloads:
/// created where no webhook sees them, in a namespace with `-plain` behind its name. How often each outcome was.
#[track_caller]
fn assert_alike(
    world: &World,
    proxy: &Proxy,
    pods: &[Pod],
    injected: &BTreeMap<(String, String), Value>,
) -> BTreeMap<String, usize> {
    let sent: Vec<Value> = pods.iter().map(|pod| pod.pod.clone()).collect();
    let answers = proxy.dry_run(&sent);
    let reviews = reviews(world);
    let mut plain: Vec<Value> = { pods.iter() }
        .map(|pod| injected.get(&key(&pod.pod)).unwrap_or(&pod.pod).clone())
        .collect();
    for pod in &mut plain {
        let namespace = format!("{}-plain", pod["metadata"]["namespace"].as_str().expect("a namespace"));
        pod["metadata"]["namespace"] = namespace.into();
    }
    let offline = proxy.dry_run(&plain);

    let mut outcomes = BTreeMap::new();
    for ((pod, answer), offline) in pods.iter().zip(&answers).zip(&offline) {
        let (name, said) = (&pod.pod["metadata"]["name"], &pod.said);
        let title = format!("{} {name}: {} {}", pod.at.kind, said["reason"], said["message"]);
        let outcome = said["outcome"].as_str().expect("an outcome");
        *outcomes.entry(outcome.to_owned()).or_default() += 1;
        let review = reviews.get(&key(&pod.pod));
        if outcome == "NotSent" {
            assert!(review.is_none(), "{title}");
        } else {
            let review = review.unwrap_or_else(|| panic!("never sent: {title}"));
            assert_eq!(
                (&review["outcome"], &review["reason"]),
                (&said["outcome"], &said["reason"]),
                "{title}"
            );
        }
        if outcome == "denied" {
            let message = answer["message"].as_str().expect("a refusal");
            assert!(
                message.contains(said["message"].as_str().expect("a message")),
                "{title}"
            );
        } else if answer["kind"] == "Pod" {
            assert_eq!(comparable(answer), comparable(offline), "{title}");
        } else {
            // What the API server itself refuses, it refuses without us.
            let causes = |answer: &Value| {
                let causes = answer["details"]["causes"].as_array().cloned().unwrap_or_default();
                causes.iter().map(|cause| cause["field"].clone()).collect::<Vec<_>>()
            };
            assert_eq!(answer["reason"], "Invalid", "{title}");
            assert_eq!(causes(answer), causes(offline), "{title}\n{offline}");
        }
    }
    outcomes
}

/// What `inject` makes of workloads: their pods by namespace and name.
#[track_caller]
fn injected(objects: &[&Value], files: &[&str]) -> BTreeMap<(String, String), Value> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let ran = vertex_injector(
        &[&["inject", "-f", "-", "-o", "json"], files].concat(),
        &list.to_string(),
    );
    let written: Value = serde_json::from_str(&ran.output()).expect("JSON");
    let mut pods = BTreeMap::new();
    for object in written["items"].as_array().expect("a list") {
        for at in workload::pods(object) {
            let pod = created(&at, object);
            pods.insert(key(&pod), pod);
        }
    }
    pods
}

/// Explains, injects and creates the pods of workloads, and compares. How often each outcome was.
#[track_caller]
fn compare(world: &World, proxy: &Proxy, objects: &[Value], files: &[&str]) -> BTreeMap<String, usize> {
    let pods = explained(objects, files);
    // `inject` serves also those that are not sent, because people use it in a webhook's place.
    let outside = |object: &Value| {
        let of_it = |pod: &&Pod| workload::pods(object).iter().any(|at| created(at, object) == pod.pod);
        let left = |pod: &Pod| ["denied", "NotSent"].map(Value::from).contains(&pod.said["outcome"]);
        pods.iter().filter(of_it).any(left)
    };
    let admitted: Vec<&Value> = objects.iter().filter(|object| !outside(object)).collect();
    assert_alike(world, proxy, &pods, &injected(&admitted, files))
}

#[test]
fn the_command_line_decides_and_injects_as_the_webhook_does_behind_the_api_server() {
    let Some(world) = World::with_values(&[REST]) else {
        return;
    };
    let proxy = Proxy::start(&world);
    let account = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: runner, namespace: NAMESPACE}}";
    for namespace in ["files", "brokers"] {
        world
            .cluster
            .create_namespace(namespace, &[("vertex-injector.dev/injection", "enabled")]);
        let plain = format!("{namespace}-plain");
        world.cluster.create_namespace(&plain, &[]);
        for namespace in [namespace, &plain] {
            world.cluster.apply(&account.replace("NAMESPACE", namespace));
        }
    }
    world.cluster.apply(POLICIES);
    // Not `Ready`: they select more than the API server sends, which their condition says.
    let known = "--for=jsonpath={.status.observedGeneration}=1";
    world
        .cluster
        .kubectl(&["wait", known, "clusterinjectionpolicies", "--all", "--timeout=60s"]);
    let (policies, operator) = (world.folder().join("alike.yaml"), world.folder().join("operator.yaml"));
    // As they are stored, with their generation.
    let stored = world.cluster.get(&["clusterinjectionpolicies"]);
    fs::write(&policies, stored.to_string()).expect("the policies");
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let (policies, operator) = (path(&policies), path(&operator));
    let files = ["--policy", &policies, "--config", &operator];

    let mut objects = objects();
    for object in objects.iter_mut().step_by(10) {
        for at in workload::pods(object) {
            object.pointer_mut(&at.template).expect("a template")["metadata"]["labels"]["unsent"] = "true".into();
        }
    }
    let outcomes = compare(&world, &proxy, &objects, &files);

    assert!(objects.len() >= 300, "{}", objects.len());
    for (outcome, least) in [("injected", 100), ("skipped", 20), ("denied", 50), ("NotSent", 20)] {
        assert!(
            outcomes.get(outcome).is_some_and(|times| *times >= least),
            "{outcomes:?}"
        );
    }
}

/// Policies, and the object that they are for.
struct Input {
    policies: Vec<Value>,
    object: Value,
}

impl Input {
    fn of_case(case: &Case) -> Self {
        Self {
            policies: read(&case.directory.join("policy.yaml")),
            object: case.object(),
        }
    }

    /// A stream of one policy and one object.
    fn of_stream(file: &Path) -> Option<Self> {
        let mut documents = read(file);
        let object = documents.pop()?;
        Some(Self {
            policies: documents,
            object,
        })
    }
}

/// Compares inputs under the operator's settings in a file, which the webhook has, each in a namespace of its own whose name begins
/// with these letters. How often each outcome was; at most some of the policies cannot be written.
#[track_caller]
fn compare_inputs(
    (world, proxy): (&World, &Proxy),
    inputs: Vec<Input>,
    prefix: &str,
    unwritten: usize,
) -> BTreeMap<String, usize> {
    let (mut others, mut policies, mut objects) = (Vec::new(), Vec::new(), Vec::new());
    for (index, input) in inputs.into_iter().enumerate() {
        let namespace = format!("{prefix}-{index}");
        for mut policy in input.policies {
            match policy["kind"].as_str() {
                Some("InjectionPolicy") => policy["metadata"]["namespace"] = namespace.clone().into(),
                Some("ClusterInjectionPolicy") => {
                    // It serves this input, and no other.
                    policy["metadata"]["name"] = namespace.clone().into();
                    let labels = json!({"kubernetes.io/metadata.name": namespace});
                    policy["spec"]["namespaceSelector"] = json!({"matchLabels": labels});
                }
                // The input gets another one.
                Some("Namespace") => continue,
                kind => panic!("{kind:?} beside policies"),
            }
            policies.push(policy);
        }
        let mut object = input.object;
        object["metadata"]["namespace"] = namespace.clone().into();
        let spec = object.pointer("/spec/template/spec").unwrap_or(&object["spec"]);
        let account = ["serviceAccountName", "serviceAccount"]
            .iter()
            .find_map(|key| spec[*key].as_str());
        let account = account.unwrap_or("default").to_owned();
        for (namespace, label) in [(namespace.clone(), "enabled"), (format!("{namespace}-plain"), "no")] {
            others.push(json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": namespace, "labels": {"vertex-injector.dev/injection": label}},
            }));
            for account in BTreeSet::from(["default", &account]) {
                others.push(json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": namespace}}));
            }
        }
        objects.push(object);
    }
    let list = |items: &[Value]| json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    world
        .cluster
        .kubectl_stdin(&["create", "--filename", "-"], &list(&others));
    // A policy that nobody can write has no pod to serve.
    let written = world
        .cluster
        .try_kubectl_stdin(&["create", "--filename", "-"], &list(&policies));
    let input = |policy: &Value| {
        let (namespace, name) = key(policy);
        if policy["kind"] == "InjectionPolicy" {
            namespace
        } else {
            name
        }
    };
    let is_of_ours = |policy: &Value| input(policy).starts_with(&format!("{prefix}-"));
    let kinds = "injectionpolicies,clusterinjectionpolicies";
    let stored = world.cluster.get(&["--all-namespaces", kinds]);
    let stored: Vec<Value> = { stored["items"].as_array().into_iter().flatten() }
        .filter(|it| is_of_ours(it))
        .cloned()
        .collect();
    assert!(policies.len() - stored.len() <= unwritten, "{}", written.stderr);
    let known = ["wait", "--for=jsonpath={.status.observedGeneration}=1", "--timeout=60s"];
    for policy in &stored {
        let kind = policy["kind"].as_str().expect("a kind").to_lowercase();
        let (namespace, name) = key(policy);
        let one = [kind.as_str(), &name];
        let one = if namespace.is_empty() {
            one.to_vec()
        } else {
            [&one[..], &["--namespace", &namespace]].concat()
        };
        world.cluster.kubectl(&[&known[..], &one].concat());
    }
    objects.retain(|object| stored.iter().any(|policy| input(policy) == key(object).0));
    let file = world.folder().join(format!("{prefix}.json"));
    fs::write(&file, list(&stored)).expect("the policies");
    let operator = world.folder().join("operator.yaml");
    let files = [
        "--policy",
        file.to_str().expect("UTF-8"),
        "--config",
        operator.to_str().expect("UTF-8"),
    ];
    compare(world, proxy, &objects, &files)
}

/// Starts the webhook anew with settings laid over the chart's.
#[track_caller]
fn restart_under(world: &World, chart: &Value, settings: &Value) {
    let mut operator = chart.clone();
    for (field, value) in settings.as_object().expect("an object") {
        operator[field] = value.clone();
    }
    world.kill_webhook();
    fs::write(world.folder().join("operator.yaml"), operator.to_string()).expect("the settings");
    world.start_webhook();
}

#[test]
fn the_golden_cases_are_decided_alike_behind_the_api_server() {
    let Some(world) = world() else { return };
    let proxy = Proxy::start(world);
    let plain = Case::all();
    let plain = plain.iter().filter(|case| !case.directory.join("config.yaml").exists());

    let outcomes = compare_inputs((world, &proxy), plain.map(Input::of_case).collect(), "case", 6);

    assert!(outcomes.values().sum::<usize>() > 40, "{outcomes:?}");
    assert!(
        ["injected", "skipped", "denied"]
            .iter()
            .all(|outcome| outcomes.contains_key(*outcome)),
        "{outcomes:?}"
    );
}

#[test]
fn golden_cases_with_an_operators_settings_and_single_inputs_are_decided_alike_behind_the_api_server() {
    let Some(world) = World::start_or_explain() else {
        return;
    };
    let proxy = Proxy::start(&world);
    let chart = read(&world.folder().join("operator.yaml")).remove(0);
    let mut groups: BTreeMap<String, Vec<Input>> = BTreeMap::new();
    for case in Case::all() {
        let settings = case.directory.join("config.yaml");
        if settings.exists() {
            let group = groups.entry(read(&settings).remove(0).to_string()).or_default();
            group.push(Input::of_case(&case));
        }
    }
    let folder = repository().join("tests/apiserver/inputs");
    let settings = read(&folder.join("operator.yaml")).remove(0).to_string();
    let files = fs::read_dir(&folder)
        .expect("the inputs")
        .map(|entry| entry.expect("a file").path());
    let files = files.filter(|file| !file.ends_with("operator.yaml"));
    groups.insert(settings, files.filter_map(|file| Input::of_stream(&file)).collect());

    let mut all: BTreeMap<String, usize> = BTreeMap::new();
    for (number, (settings, inputs)) in groups.into_iter().enumerate() {
        let settings: Value = serde_json::from_str(&settings).expect("JSON");
        restart_under(&world, &chart, &settings);
        let outcomes = compare_inputs((&world, &proxy), inputs, &format!("set{number}"), 2);
        for (outcome, times) in outcomes {
            *all.entry(outcome).or_default() += times;
        }
    }

    for (outcome, least) in [("injected", 25), ("skipped", 1), ("denied", 10), ("NotSent", 1)] {
        assert!(all.get(outcome).is_some_and(|times| *times >= least), "{all:?}");
    }
}
