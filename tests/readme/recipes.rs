//! The recipes: each policy does to its system's pods what the page says (that it is valid, `policies.rs` says).

use serde_json::{Value, json};
use support::{example_document, root};
use vertex_injector_core::manifest;

use crate::policies::vertex_injector;

const PAGE: &str = include_str!("../../docs/recipes.md");

/// The policies of the page, each with the heading above it.
fn recipes() -> Vec<(&'static str, Value)> {
    let mut recipes = Vec::new();
    for section in PAGE.split("\n## ").skip(1) {
        let heading = section.lines().next().expect("a heading");
        for block in section.split("```yaml\n").skip(1) {
            let (text, _) = block.split_once("```").expect("the end of the block");
            let spec = manifest::documents(text).expect("well-formed YAML").remove(0)["spec"].take();
            recipes.push((heading, spec));
        }
    }
    recipes
}

/// The nth policy of a section.
#[track_caller]
fn recipe(heading: &str, index: usize) -> Value {
    let mut found = recipes().into_iter().filter(|(of, _)| *of == heading);
    found
        .nth(index)
        .unwrap_or_else(|| panic!("no policy {index} for {heading}"))
        .1
}

/// A pod of `tests/pods`, as its controller creates it.
fn pod(file: &str, document: usize) -> Value {
    let mut pod = example_document(file, document);
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod
}

/// What `inject` makes of a pod under a policy; it must not be refused.
#[track_caller]
fn injected(spec: &Value, mut pod: Value) -> Value {
    pod["metadata"]["namespace"] = "team".into();
    let policy = json!({
        "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy",
        "metadata": {"name": "recipe", "namespace": "team"}, "spec": spec,
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [policy, pod]});
    let config = ["inject", "-f", "-", "-o", "json", "--config", "hack/demo/operator.yaml"];
    let ran = vertex_injector(&config, &list.to_string());
    assert!(ran.success(), "{}", ran.stderr);
    let written: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    written["items"][1].clone()
}

/// The value of a variable in a container.
fn value(pod: &Value, container: &str, name: &str) -> Option<String> {
    let containers = pod["spec"]["containers"].as_array().expect("containers");
    let container = containers.iter().find(|it| it["name"] == container).expect("the agent");
    let mut env = container["env"].as_array().into_iter().flatten();
    let value = env.find(|variable| variable["name"] == name)?["value"].as_str();
    Some(value.unwrap_or_default().to_owned())
}

#[track_caller]
fn assert_env(pod: &Value, container: &str, wanted: &[(&str, &str)]) {
    for (name, wanted) in wanted {
        let is = value(pod, container, name);
        let is = is
            .as_deref()
            .map(|is| is.replace("$(ANTHROPIC_VERTEX_PROJECT_ID)", "my-project"));
        assert_eq!(is.as_deref(), Some(*wanted), "{name}: {pod:#}");
    }
}

#[test]
fn kartographs_jobs_without_labels_are_found_by_their_account_with_or_without_a_key_and_gcloud_can_write() {
    for document in [0, 1] {
        let mut job = pod("kartograph-agentic-ci-job", document);
        let container = job["spec"]["containers"][0]["name"]
            .as_str()
            .expect("a name")
            .to_owned();
        let key = value(&job, &container, "ANTHROPIC_API_KEY");
        assert_eq!(key.is_some(), document == 1);
        job["metadata"]["labels"] = json!(null);
        job["spec"]["serviceAccountName"] = "agentic-ci".into();
        let pod = injected(&recipe("Kartograph", 0), job.clone());
        let directory = "/home/agent-ci/.config/gcloud/application_default_credentials.json";
        assert_env(
            &pod,
            &container,
            &[
                ("CLAUDE_CODE_USE_VERTEX", "1"),
                ("GOOGLE_APPLICATION_CREDENTIALS", directory),
                ("CLOUDSDK_CONFIG", "/tmp/gcloud"),
                ("CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE", directory),
                ("HOME", "/tmp"),
            ],
        );
        assert_eq!(value(&pod, &container, "ANTHROPIC_API_KEY"), None);
        // Another account is somebody else.
        job["spec"]["serviceAccountName"] = "other".into();
        let other = injected(&recipe("Kartograph", 0), job);
        assert_eq!(value(&other, &container, "CLOUDSDK_CONFIG"), None);
    }
}

#[test]
fn openshells_user_environment_gains_vertex_where_the_sandbox_reads_it_and_a_half_token_is_refused() {
    let recipe = recipe("OpenShell and fullsend", 0);
    let mut sandbox = pod("openshell-combined", 0);
    sandbox["metadata"]["labels"]["agents.x-k8s.io/sandbox-name-hash"] = "a1b2".into();
    let pod = injected(&recipe, sandbox.clone());
    let environment = value(&pod, "agent", "OPENSHELL_USER_ENVIRONMENT").expect("the environment");
    let environment: Value = serde_json::from_str(&environment).expect("JSON");
    assert_eq!(environment["CLAUDE_CODE_USE_VERTEX"], "1", "{environment}");
    let own = value(&sandbox, "agent", "OPENSHELL_USER_ENVIRONMENT").expect("its own");
    let own: Value = serde_json::from_str(&own).expect("JSON");
    for (name, value) in own.as_object().expect("an object") {
        assert_eq!(&environment[name], value, "{name}");
    }

    let says = |spec: &Value, sandbox: &Value| {
        let mut sandbox = sandbox.clone();
        sandbox["metadata"]["namespace"] = "team".into();
        let policy = json!({
            "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy",
            "metadata": {"name": "recipe", "namespace": "team"}, "spec": spec,
        });
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [policy, sandbox]});
        vertex_injector(&["inject", "-f", "-"], &list.to_string())
    };
    assert!(!says(&recipe, &sandbox).stderr.contains("sandbox reads"));
    let mut elsewhere = recipe.clone();
    elsewhere["agents"][0]["credentialDirectory"] = "/var/run/secrets/vertex-injector".into();
    let ran = says(&elsewhere, &sandbox);
    assert!(
        ran.success() && ran.stderr.contains("set agents[].credentialDirectory"),
        "{}",
        ran.stderr
    );

    let mut token = recipe;
    let name = own
        .as_object()
        .and_then(|own| own.keys().next())
        .expect("a variable of its own");
    token["tokens"] = json!([{"name": "t", "audience": "elsewhere", "mountPath": "/sandbox/t", "envName": name}]);
    let ran = says(&token, &sandbox);
    assert!(
        ran.code == Some(1) && ran.stderr.contains(name.as_str()),
        "{}",
        ran.stderr
    );
}

#[test]
fn fractas_jobs_and_streams_have_what_both_of_its_agents_read() {
    let recipe = recipe("Fracta", 0);
    for file in ["fracta-job-pod", "fracta-stream-pod"] {
        let pod = injected(&recipe, pod(file, 0));
        assert_env(
            &pod,
            "agent",
            &[
                ("CLAUDE_CODE_USE_VERTEX", "1"),
                ("CLOUD_ML_REGION", "us-east5"),
                ("VERTEX_SA", "agent@my-project.iam.gserviceaccount.com"),
            ],
        );
        // OpenCode's own names.
        assert!(value(&pod, "agent", "GOOGLE_CLOUD_PROJECT").is_some(), "{pod:#}");
        assert!(value(&pod, "agent", "GOOGLE_VERTEX_LOCATION").is_some(), "{pod:#}");
    }
}

#[test]
fn ambients_switch_gives_way_the_sessions_model_stays_and_author_and_committer_are_set() {
    for index in [0, 1] {
        for file in ["ambient-cp-runner", "ambient-cp-runner-novertex"] {
            let session = pod(file, 0);
            let runner = "ambient-code-runner";
            let pod = injected(&recipe("Ambient", index), session.clone());
            assert_env(&pod, runner, &[("USE_VERTEX", "1"), ("CLAUDE_CODE_USE_VERTEX", "1")]);
            assert_eq!(value(&pod, runner, "LLM_MODEL"), value(&session, runner, "LLM_MODEL"));
            assert_eq!(value(&pod, runner, "ANTHROPIC_API_KEY"), None);
            let committer = value(&pod, runner, "GIT_COMMITTER_EMAIL");
            assert_eq!(committer.is_some(), index == 1);
        }
    }
    let mut switch = recipe("Ambient", 0);
    switch["conflicts"] = json!({"switches": "Override", "apiKeys": "Remove"});
    let pod = injected(&switch, pod("ambient-cp-runner-novertex", 0));
    assert_env(&pod, "ambient-code-runner", &[("USE_VERTEX", "1")]);
}

#[test]
fn kagent_keeps_its_project_and_gets_nothing_of_claude_code() {
    let agent = pod("kagent-agent", 0);
    let pod = injected(&recipe("kagent and other google-genai agents", 0), agent.clone());
    let project = value(&agent, "kagent", "GOOGLE_CLOUD_PROJECT");
    assert!(project.is_some());
    assert_eq!(value(&pod, "kagent", "GOOGLE_CLOUD_PROJECT"), project);
    assert!(value(&pod, "kagent", "GOOGLE_APPLICATION_CREDENTIALS").is_some());
    assert_eq!(value(&pod, "kagent", "CLAUDE_CODE_USE_VERTEX"), None);
}

#[test]
fn a_sandbox_is_injected_as_its_pod_is_and_two_of_a_warm_pool_alike() {
    let recipe = recipe("agent-sandbox", 0);
    let pod = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": {"agents.x-k8s.io/sandbox-name-hash": "a1b2"}},
            "spec": {"automountServiceAccountToken": false, "containers": [{"name": "agent", "image": "i:1"}]},
        })
    };
    let (one, two) = (injected(&recipe, pod("one")), injected(&recipe, pod("two")));
    assert_eq!(one["spec"], two["spec"]);
    assert_env(&one, "agent", &[("CLAUDE_CODE_USE_VERTEX", "1")]);
    let sandbox = json!({
        "apiVersion": "agents.x-k8s.io/v1alpha1", "kind": "Sandbox", "metadata": {"name": "one"},
        "spec": {"podTemplate": {"spec": pod("one")["spec"]}},
    });
    assert_eq!(injected(&recipe, sandbox)["spec"]["podTemplate"]["spec"], one["spec"]);
}

#[test]
fn every_example_of_a_network_policy_is_named_on_the_page() {
    for entry in std::fs::read_dir(root().join("hack/demo/networkpolicies")).expect("the folder") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        assert!(PAGE.contains(&name), "{name}");
    }
}
