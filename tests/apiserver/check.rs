//! `check` of a real installation that is broken on purpose: it names what is broken, and what it says to do mends it.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::pods::{document, of_file};
use crate::policies::FRACTA;
use crate::world::{RELEASE, World};
use harness::process::{Ran, repository, run};

/// How long the webhook and the API server may take to follow.
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn whatever_is_broken_is_named_and_what_it_says_mends_it() {
    let Some(world) = World::start_or_explain() else { return };
    let agents = world.opted_in("agents");
    agents.policy("agents", &FRACTA.replace("REGION", "us-east5"));
    agents.create(&agent("running"));
    let all = report(&world, &[]);
    assert!(
        findings(&all).iter().all(|finding| finding["level"] == "fine"),
        "{all:#}"
    );
    let asked = check(&world, &[]);
    assert_eq!(asked.code, Some(0), "{}", asked.stdout);
    asked.tells(&[
        "✓ Kubernetes: the API server is 1.",
        "a pod in agents is injected (agents/agents@1)",
    ]);

    let mutating = "mutatingwebhookconfiguration vertex-injector";
    let guard = "validatingadmissionpolicy vertex-injector-broker";
    let binding = "validatingadmissionpolicybinding vertex-injector-broker";
    for (problem, object, breaking) in [
        (
            "InjectionWebhookMissing",
            "MutatingWebhookConfiguration vertex-injector",
            format!("kubectl delete {mutating}"),
        ),
        (
            "PolicyWebhookMissing",
            "ValidatingWebhookConfiguration vertex-injector",
            "kubectl delete validatingwebhookconfiguration vertex-injector".to_owned(),
        ),
        (
            "FailsOpen",
            "MutatingWebhookConfiguration vertex-injector",
            patch(
                mutating,
                r#"[{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"}]"#,
            ),
        ),
        (
            "SelectorsDiffer",
            "MutatingWebhookConfiguration vertex-injector",
            patch(mutating, r#"[{"op": "remove", "path": "/webhooks/1"}]"#),
        ),
        (
            "NoWebhooks",
            "MutatingWebhookConfiguration vertex-injector",
            patch(mutating, r#"[{"op": "replace", "path": "/webhooks", "value": []}]"#),
        ),
        (
            "SettingsMissing",
            "ConfigMap vertex-injector/vertex-injector",
            "kubectl delete configmap -n vertex-injector vertex-injector".to_owned(),
        ),
        (
            "DefinitionMissing",
            "CustomResourceDefinition clusterinjectionpolicies.vertex-injector.dev",
            "kubectl delete crd clusterinjectionpolicies.vertex-injector.dev".to_owned(),
        ),
        (
            "DefinitionDiffers",
            "CustomResourceDefinition injectionpolicies.vertex-injector.dev",
            patch(
                "crd injectionpolicies.vertex-injector.dev",
                r#"[{"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/openShell"}]"#,
            ),
        ),
        (
            "GuardUnbound",
            "ValidatingAdmissionPolicy vertex-injector-broker",
            format!("kubectl delete {binding}"),
        ),
        (
            "GuardMissing",
            "ValidatingAdmissionPolicy vertex-injector-broker",
            format!("kubectl delete {guard}"),
        ),
        (
            "GuardOff",
            "ValidatingAdmissionPolicy vertex-injector-broker",
            format!("kubectl delete {guard} && kubectl delete {binding}"),
        ),
        (
            "GuardNotDenying",
            "ValidatingAdmissionPolicy vertex-injector-broker",
            patch(
                binding,
                r#"[{"op": "replace", "path": "/spec/validationActions", "value": ["Audit"]}]"#,
            ),
        ),
        (
            "GuardFailsOpen",
            "ValidatingAdmissionPolicy vertex-injector-broker",
            patch(
                guard,
                r#"[{"op": "replace", "path": "/spec/failurePolicy", "value": "Ignore"}]"#,
            ),
        ),
        (
            "PolicyNotOptedIn",
            "InjectionPolicy agents/agents",
            "kubectl label namespace agents vertex-injector.dev/injection-".to_owned(),
        ),
        // The webhook may not write any more, and somebody else does.
        (
            "CertificateNotTrusted",
            "MutatingWebhookConfiguration vertex-injector",
            format!(
                "kubectl delete clusterrole vertex-injector && sleep 1 && {}",
                patch(
                    mutating,
                    &format!(
                        r#"[{{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": "{}"}}]"#,
                        other_authority()
                    ),
                )
            ),
        ),
        (
            "CaBundleMissing",
            "MutatingWebhookConfiguration vertex-injector",
            format!(
                "kubectl delete clusterrole vertex-injector && sleep 1 && {}",
                patch(
                    mutating,
                    r#"[{"op": "remove", "path": "/webhooks/0/clientConfig/caBundle"}]"#
                )
            ),
        ),
    ] {
        shell(&world, &breaking).output();
        let broken = named(&world, problem, object);
        let remedy = broken["remedy"].as_str().expect("a remedy");
        let said = shell(&world, command_of(remedy, &broken));
        assert!(said.success(), "{problem}: {remedy}: {}{}", said.stdout, said.stderr);
        mended(&world, problem);
    }
}

#[test]
fn what_is_wrong_with_policies_agents_and_a_webhook_that_is_away_is_named() {
    let Some(world) = World::start_or_explain() else { return };
    let agents = world.opted_in("agents");
    let later = world.namespace("later", &[]);
    agents.policy("agents", &FRACTA.replace("REGION", "us-east5"));
    agents.create(&agent("running"));
    later.create(&agent("early"));

    agents.policy("agents", &FRACTA.replace("REGION", "europe-west1"));
    let outdated = named(&world, "AgentOutdated", "Pod agents/running");
    let found = outdated["found"].as_str().expect("words");
    assert!(
        found.contains("was injected by agents/agents@1; agents/agents@2 would change: ~ "),
        "{found}"
    );
    assert!(found.contains("CLOUD_ML_REGION=us-east5 -> europe-west1"), "{found}");
    assert_eq!(check(&world, &[]).code, Some(0));
    assert_eq!(check(&world, &["--strict"]).code, Some(1));
    agents.kubectl(&["delete", "pod", "running", "--now"]);
    agents.create(&agent("running"));
    mended(&world, "AgentOutdated");

    later.write_policy("agents", &FRACTA.replace("REGION", "us-east5"));
    later
        .world
        .cluster
        .kubectl(&["label", "namespace", "later", "vertex-injector.dev/injection=enabled"]);
    named(&world, "AgentNotInjected", "Pod later/early");
    later.kubectl(&["delete", "pod", "early", "--now"]);
    mended(&world, "AgentNotInjected");
    later.kubectl(&["delete", "injectionpolicy", "agents"]);
    let alone = named(&world, "NamespaceWithoutPolicy", "Namespace later");
    shell(&world, command_of(alone["remedy"].as_str().expect("a remedy"), &alone)).output();
    mended(&world, "NamespaceWithoutPolicy");

    world.kill_webhook();
    for (problem, object) in [
        ("WebhookUnreachable", "MutatingWebhookConfiguration vertex-injector"),
        ("WebhookFails", "InjectionPolicy agents/agents"),
    ] {
        named(&world, problem, object);
    }
    let asked = check(&world, &[]);
    assert_eq!(asked.code, Some(1), "{}", asked.stdout);
    asked.tells(&["✗ MutatingWebhookConfiguration vertex-injector: 127.0.0.1:"]);
    let bad = FRACTA.replace("REGION", "us-east5") + "env: [{name: ANTHROPIC_BASE_URL, value: x}]\n";
    agents.write_policy("agents", &bad);
    let unjudged = named(&world, "PolicyNotJudged", "InjectionPolicy agents/agents");
    let own = "this program says: spec.env[0].name: \"ANTHROPIC_BASE_URL\" may not be set by a policy";
    assert!(
        unjudged["found"].as_str().is_some_and(|found| found.contains(own)),
        "{unjudged}"
    );

    world.start_webhook();
    named(&world, "PolicyUnusable", "InjectionPolicy agents/agents");
    named(&world, "AgentWouldBeRefused", "Pod agents/running");
    agents.kubectl(&["delete", "injectionpolicy", "agents"]);
    named(&world, "AgentOrphaned", "Pod agents/running");
    agents.policy("agents", &FRACTA.replace("REGION", "europe-west1"));
    for problem in [
        "WebhookUnreachable",
        "WebhookFails",
        "PolicyNotJudged",
        "PolicyUnusable",
        "AgentWouldBeRefused",
        "AgentOrphaned",
    ] {
        mended(&world, problem);
    }
}

#[test]
fn who_may_not_look_is_told_which_right_is_missing_and_never_that_all_is_well() {
    let Some(world) = World::start_or_explain() else { return };
    world
        .cluster
        .kubectl(&["--namespace", "default", "create", "serviceaccount", "nobody"]);
    let token = world
        .cluster
        .kubectl(&["--namespace", "default", "create", "token", "nobody"]);
    let admin = std::fs::read_to_string(world.cluster.kubeconfig()).expect("the administrator's kubeconfig");
    let mut config = document(&admin);
    config["users"][0]["user"] = serde_json::json!({"token": token.trim()});
    let file = world.folder().join("nobody.kubeconfig");
    std::fs::write(&file, config.to_string()).expect("a kubeconfig");
    let ask = |more: &[&str]| {
        let kubeconfig = ["check", "--kubeconfig", file.to_str().expect("UTF-8")];
        crate::world::vertex_injector(&[&kubeconfig[..], more].concat(), "")
    };

    let asked = ask(&["--release", RELEASE, "--namespace", RELEASE]);
    assert_eq!(asked.code, Some(2), "{}{}", asked.stdout, asked.stderr);
    asked.tells(&[
        "✓ Kubernetes",
        "? CustomResourceDefinition injectionpolicies.vertex-injector.dev: needs get on customresourcedefinitions.apiextensions.k8s.io/injectionpolicies.vertex-injector.dev",
        "? MutatingWebhookConfiguration vertex-injector: needs get on mutatingwebhookconfigurations.admissionregistration.k8s.io/vertex-injector",
        "? policies: needs list on injectionpolicies.vertex-injector.dev",
        "? trials: needs list on injectionpolicies.vertex-injector.dev",
        "0 broken",
    ]);
    let asked = ask(&[]);
    assert_eq!(asked.code, Some(2));
    asked.tells(&["? release: needs list on "]);
}

#[test]
fn a_release_of_which_nothing_runs_is_told_apart_from_others() {
    let Some(world) = World::start_or_explain() else { return };
    let chart = repository().join("charts/vertex-injector");
    world.cluster.helm(&[
        "install", "second", chart.to_str().expect("UTF-8"), "--namespace", "second", "--create-namespace",
        "--set", "image.repository=registry.example.com/vertex-injector,crds.install=false,namespaceSelector.matchLabels.nobody=here",
        "--set", "admissionPolicies.brokerGuard=false",
    ]);
    let several = check(&world, &[]);
    assert_eq!(several.code, Some(2));
    assert!(
        several
            .stderr
            .contains("there are several releases: second in second, vertex-injector in vertex-injector"),
        "{}",
        several.stderr
    );
    let has = |problem: &str, object: &str| {
        let report = report(&world, &["--release", "second"]);
        let known = findings(&report)
            .into_iter()
            .any(|it| it["problem"] == problem && it["object"] == object);
        assert!(known, "{problem} of {object} is not in {report:#}");
    };
    has("NoReplicaReady", "Deployment second/second-vertex-injector");
    has("CaBundleMissing", "MutatingWebhookConfiguration second-vertex-injector");
    has("GuardOff", "ValidatingAdmissionPolicy second-vertex-injector-exec");
    world.cluster.kubectl(&[
        "-n",
        "second",
        "label",
        "deployment",
        "second-vertex-injector",
        "--overwrite",
        "app.kubernetes.io/version=0.0.1",
    ]);
    has("VersionDiffers", "Deployment second/second-vertex-injector");
    world
        .cluster
        .kubectl(&["-n", "second", "delete", "deployment,service", "second-vertex-injector"]);
    has("DeploymentMissing", "Deployment second/second-vertex-injector");
    has("ServiceMissing", "Service second/second-vertex-injector");

    let first = report(&world, &["--namespace", RELEASE]);
    assert_eq!(first["release"], "vertex-injector/vertex-injector");
    let none = report(&world, &["--release", "third"]);
    assert_eq!(findings(&none).last().expect("a finding")["problem"], "NotInstalled");
}

pub(crate) fn agent(name: &str) -> Value {
    let mut pod = of_file("fracta-stream-pod").remove(0);
    pod["metadata"]["name"] = name.into();
    pod
}

fn patch(object: &str, operations: &str) -> String {
    format!("kubectl patch {object} --type=json --patch '{operations}'")
}

/// A certificate that has signed nothing.
fn other_authority() -> String {
    use base64::Engine;
    let ca = rcgen::generate_simple_self_signed(vec!["other".to_owned()]).expect("a certificate");
    base64::engine::general_purpose::STANDARD.encode(ca.cert.pem())
}

fn check(world: &World, more: &[&str]) -> Ran {
    let kubeconfig = world.cluster.kubeconfig().to_str().expect("UTF-8");
    crate::world::vertex_injector(&[&["check", "--kubeconfig", kubeconfig], more].concat(), "")
}

fn report(world: &World, more: &[&str]) -> Value {
    let asked = check(world, &[&["-o", "json"], more].concat());
    serde_json::from_str(&asked.stdout).unwrap_or_else(|_| panic!("{}{}", asked.stdout, asked.stderr))
}

fn findings(report: &Value) -> Vec<Value> {
    report["findings"].as_array().expect("findings").clone()
}

/// The finding of this problem with this object, which comes soon.
#[track_caller]
fn named(world: &World, problem: &str, object: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let report = report(world, &[]);
        let of = |finding: &Value| finding["problem"] == problem && finding["object"] == object;
        if let Some(finding) = findings(&report).into_iter().find(of) {
            return finding;
        }
        assert!(Instant::now() < deadline, "{problem} of {object} is not in {report:#}");
    }
}

/// Nothing is broken or worth a warning any more, soon.
#[track_caller]
fn mended(world: &World, problem: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let report = report(world, &[]);
        let bad: Vec<Value> = findings(&report)
            .into_iter()
            .filter(|finding| finding["level"] != "fine")
            .collect();
        // Other breakages of the same test are mended later.
        if bad.iter().all(|finding| finding["problem"] != problem) {
            return;
        }
        assert!(Instant::now() < deadline, "{problem} is still there: {bad:#?}");
    }
}

/// The command within a remedy. What the webhook itself mends needs its rights.
fn command_of<'r>(remedy: &'r str, finding: &Value) -> &'r str {
    let rights = "helm get manifest vertex-injector -n vertex-injector | kubectl apply -n vertex-injector --server-side --force-conflicts -f -";
    if finding["part"] == "certificate" {
        return rights;
    }
    let starts = ["helm get ", "vertex-injector crds ", "kubectl label "];
    let start = starts.iter().find_map(|start| remedy.find(start)).expect("a command");
    let (_, command) = remedy.split_at(start);
    command.split(" (").next().expect("the command")
}

/// `bash` with kubectl, helm and the program.
fn shell(world: &World, script: &str) -> Ran {
    let programs = repository().join("hack/kube/bin");
    let own = Path::new(env!("CARGO_BIN_EXE_vertex-injector"))
        .parent()
        .expect("a folder");
    let mut bash: Command = world.cluster.command(Path::new("bash"));
    let path = std::env::var("PATH").expect("PATH");
    bash.env("PATH", format!("{}:{}:{path}", programs.display(), own.display()));
    bash.args(["-euo", "pipefail", "-c", script]);
    run(&mut bash, "", Duration::from_mins(2))
}
