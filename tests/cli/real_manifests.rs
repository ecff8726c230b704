//! Manifests as people keep them: workloads of other systems, and what the API server makes of fields.

use super::{Files, all, one, run_with};
use serde_json::{Value, json};

const POLICY: &str = "
apiVersion: vertex-injector.dev/v1alpha1
kind: InjectionPolicy
metadata: {name: agents, namespace: lab}
spec:
  vertex: {project: my-project, region: us-east5, clients: [ClaudeCode]}
  identity: {workloadIdentityFederation: {provider: projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster}}
";

const TEMPLATE: &str =
    "{metadata: {labels: {vertex-injector.dev/inject: 'true'}}, spec: {containers: [{name: agent, image: 'i:1'}]}}";

fn stream(object: &str) -> String {
    format!("{POLICY}---\n{object}\n")
}

fn job_set() -> String {
    format!(
        "{{apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, metadata: {{name: batch, namespace: lab}}, spec: {{replicatedJobs: [
            {{name: a, template: {{spec: {{template: {TEMPLATE}}}}}}}, {{name: b, template: {{spec: {{template: {TEMPLATE}}}}}}}]}}}}"
    )
}

fn pod(namespace: &str, more: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: a, namespace: {namespace}, labels: {{vertex-injector.dev/inject: 'true'}}}},
           spec: {{containers: [{{name: agent, image: 'i:1'{more}}}]}}}}"
    )
}

fn explained(stream: &str, arguments: &[&str]) -> Value {
    let arguments = [&["explain", "-f", "-", "-o", "json"], arguments].concat();
    let ran = run_with(&arguments, stream);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

#[test]
fn every_template_of_one_object_is_injected_and_its_patch_is_one() {
    let written = all(&run_with(&["inject", "-f", "-"], &stream(&job_set())).output());
    let jobs = written[1]["spec"]["replicatedJobs"].as_array().unwrap();
    for job in jobs {
        let env = &job["template"]["spec"]["template"]["spec"]["containers"][0]["env"];
        assert!(env.to_string().contains("CLAUDE_CODE_USE_VERTEX"), "{env}");
    }
    let patch = run_with(&["inject", "-f", "-", "-o", "patch"], &stream(&job_set())).output();
    let patch: json_patch::Patch = serde_json::from_str(&patch).unwrap();
    let mut object = one(&job_set());
    json_patch::patch(&mut object, &patch).unwrap();
    assert_eq!(object, written[1]);
    let words = run_with(&["explain", "-f", "-"], &stream(&job_set())).output();
    assert!(
        words.contains("JobSet lab/batch (spec.replicatedJobs[1].template.spec.template): injected"),
        "{words}"
    );
}

#[test]
fn a_volume_of_a_claim_template_is_known_and_does_not_become_part_of_the_template() {
    let policy = format!("{POLICY}  podVolumes: [work]\n  volumeMounts: [{{name: work, mountPath: /mnt/work}}]\n");
    let sandbox = format!(
        "{{apiVersion: agents.x-k8s.io/v1alpha1, kind: Sandbox, metadata: {{name: box, namespace: lab}},
           spec: {{podTemplate: {TEMPLATE}, volumeClaimTemplates: [{{metadata: {{name: work}}}}]}}}}"
    );
    let written = all(&run_with(&["inject", "-f", "-"], &format!("{policy}---\n{sandbox}\n")).output());
    let spec = &written[1]["spec"]["podTemplate"]["spec"];
    assert!(
        spec["containers"][0]["volumeMounts"].to_string().contains("/mnt/work"),
        "{spec}"
    );
    let volumes: Vec<&Value> = spec["volumes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|volume| &volume["name"])
        .collect();
    assert_eq!(volumes, ["vertex-injector-credentials"]);
}

#[test]
fn what_looks_like_a_pod_and_cannot_be_served_is_named_on_standard_error() {
    let workflow = "{apiVersion: argoproj.io/v1alpha1, kind: Workflow, metadata: {name: w, namespace: lab},
        spec: {templates: [{name: main, container: {image: i}}]}}";
    for verb in ["inject", "explain"] {
        let ran = run_with(&[verb, "-f", "-"], &stream(workflow));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(
            ran.stderr
                .contains("Workflow lab/w: spec.templates[0] looks like a pod"),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_pod_that_the_webhook_is_never_asked_about_is_explained_as_not_sent() {
    let files = Files::new(&[(
        "operator.yaml",
        "agentSelectors: [{name: fracta, objectSelector: {matchExpressions: [{key: fracta-agent-id, operator: Exists}]}}]",
    )]);
    let config = files.path("operator.yaml");
    let namespace =
        |labels: &str| format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: lab, labels: {labels}}}}}");
    let in_lab = stream(&pod("lab", ""));
    let opted_out = format!("{in_lab}---\n{}\n", namespace("{a: b}"));
    let opted_in = format!(
        "{in_lab}---\n{}\n",
        namespace("{vertex-injector.dev/injection: enabled}")
    );
    for (stream, arguments, outcome, reason) in [
        (&in_lab, vec!["--config", config.as_str()], "NotSent", "NoAgentSelector"),
        (&in_lab, vec![], "injected", "Injected"),
        (&opted_out, vec![], "NotSent", "NamespaceNotOptedIn"),
        (&opted_in, vec![], "injected", "Injected"),
        (&stream(&pod("kube-system", "")), vec![], "NotSent", "NamespaceLeftOut"),
    ] {
        let explanation = &explained(stream, &arguments)[0];
        assert_eq!(
            (&explanation["outcome"], &explanation["reason"]),
            (&json!(outcome), &json!(reason))
        );
    }
    let ran = run_with(&["inject", "-f", "-"], &opted_out);
    assert!(
        ran.stderr
            .contains("the webhook would not be asked (NamespaceNotOptedIn)"),
        "{}",
        ran.stderr
    );
}

#[test]
fn explain_shows_what_variables_will_have() {
    let explanation = explained(&stream(&pod("lab", "")), &[]);
    let env = explanation[0]["env"].as_array().unwrap();
    let project = env
        .iter()
        .find(|change| change["name"] == "agent/GOOGLE_CLOUD_PROJECT")
        .unwrap();
    assert_eq!(project["value"], "my-project");
    let words = run_with(&["explain", "-f", "-"], &stream(&pod("lab", ""))).output();
    assert!(words.contains("+CLOUD_ML_REGION=us-east5"), "{words}");
}

#[test]
fn containers_of_ours_without_settings_are_told_with_their_image_and_the_way_to_choose_one() {
    let brokered = stream(&pod("lab", "")).replace("spec:\n", "spec:\n  access: Metadata\n");
    let files = Files::new(&[("operator.yaml", "broker: {image: 'registry.example/vertex-injector:1'}")]);
    for verb in ["inject", "explain"] {
        let told = run_with(&[verb, "-f", "-"], &brokered).stderr;
        for word in [
            "no operator settings were given",
            "localhost/vertex-injector:",
            "--config FILE",
            "broker.image",
        ] {
            assert!(told.contains(word), "{told}");
        }
        let told = run_with(&[verb, "-f", "-", "--config", &files.path("operator.yaml")], &brokered).stderr;
        assert_eq!(told, "", "{verb}");
        assert_eq!(
            run_with(&[verb, "-f", "-"], &stream(&pod("lab", ""))).stderr,
            "",
            "{verb}"
        );
    }
}

#[test]
fn nobody_is_told_to_make_an_object_that_stands_among_the_inputs() {
    let policy = format!("{POLICY}  authHelpers: [{{configMapName: helpers, mountPath: /opt/helpers}}]\n");
    let input = format!("{policy}---\n{}\n", pod("lab", ""));
    let helpers = "{apiVersion: v1, kind: ConfigMap, metadata: {name: helpers, namespace: lab}}";
    assert!(
        run_with(&["inject", "-f", "-"], &input)
            .stderr
            .contains("waits in ContainerCreating unless namespace lab has ConfigMap helpers")
    );
    let told = run_with(&["inject", "-f", "-"], &format!("{input}---\n{helpers}\n")).stderr;
    assert_eq!(told, "");
}

#[test]
fn data_passes_as_it_is_and_an_error_names_a_field_and_no_line_that_nobody_wrote() {
    let odd = pod("lab", "").replace("name: a,", "name: a, annotations: {pattern: \"[\\x7f]\\x1b[0m\"},");
    let written = run_with(&["inject", "-f", "-", "-o", "json"], &stream(&odd)).output();
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(
        written["items"][1]["metadata"]["annotations"]["pattern"],
        "[\u{7f}]\u{1b}[0m"
    );
    let wrong = pod("lab", ", env: [{name: RETRIES, value: 5}]");
    let explanation = explained(&stream(&wrong), &[]);
    assert_eq!(
        explanation[0]["message"],
        "spec.containers[0].env[0].value: must be a string"
    );
}

#[test]
fn a_pod_that_the_charts_own_selectors_miss_is_told_where_the_clusters_are_not_given() {
    let told =
        |verb: &str, input: &str, more: &[&str]| run_with(&[&[verb, "-f", "-"][..], more].concat(), input).stderr;
    let labelled = stream(&pod("lab", ""));
    assert_eq!(told("explain", &labelled, &[]), "");
    let missed = labelled
        .replace("{vertex-injector.dev/inject: 'true'}", "{app: mine}")
        .replace(
            "spec:\n",
            "spec:\n  agents: [{podSelector: {matchLabels: {app: mine}}}]\n",
        );
    let note = told("explain", &missed, &[]);
    for word in [
        "note: ",
        "chart's own agentSelectors",
        "--config FILE",
        "vertex-injector.dev/inject=true",
    ] {
        assert!(note.contains(word), "{note}");
    }
    // Whoever injects without a webhook does not wait for one.
    assert_eq!(told("inject", &missed, &[]), "");
    let files = Files::new(&[("operator.yaml", "agentSelectors: [{name: all, objectSelector: {}}]")]);
    assert_eq!(
        told("explain", &missed, &["--config", &files.path("operator.yaml")]),
        ""
    );
}
