//! Installing, running as, upgrading and uninstalling the chart.

use crate::release::{OWN, RELEASE, Release, chart, helm, pod, upgrade};
use base64::Engine;
use harness::process::repository;
use serde_json::{Value, json};
use vertex_injector_core::manifest;

const ACCOUNT: &str = "system:serviceaccount:injector-system:injector-vertex-injector";

#[test]
fn helm_says_what_to_run_next() {
    let Some(release) = &*RELEASE else { return };
    let notes = release.notes.trim_end();
    assert!(
        notes.contains("vertex-injector webhook --config operator.yaml"),
        "{notes}"
    );
    assert!(
        notes.contains("--webhook-configuration injector-vertex-injector --tls-san 127.0.0.1"),
        "{notes}"
    );
    assert!(
        notes.ends_with("\n  kubectl label namespace NAMESPACE vertex-injector.dev/injection=enabled"),
        "{notes}"
    );

    let image = [
        "--set",
        "image.repository=example.com/injector",
        "--set",
        "crds.install=false",
    ];
    let dry_run = ["install", "test", &chart(), "--namespace", OWN, "--dry-run=client"];
    let inside = release.cluster.helm(&[&dry_run[..], &image].concat());
    assert!(
        inside.contains("\n  kubectl -n injector-system rollout status deployment/test-vertex-injector\n"),
        "{inside}"
    );
    assert!(
        inside
            .trim_end()
            .ends_with("\n  kubectl label namespace NAMESPACE vertex-injector.dev/injection=enabled"),
        "{inside}"
    );
}

#[test]
fn the_api_server_knows_every_field_that_the_chart_sets() {
    let Some(release) = &*RELEASE else { return };
    let every = repository().join("tests/chart/every-value.yaml");
    // Their definitions belong to the Prometheus operator.
    let monitors = "serviceMonitor.enabled=false,prometheusRule.enabled=false";
    for values in [
        vec!["--set", "image.repository=example.com/injector"],
        vec!["--values", every.to_str().expect("UTF-8"), "--set", monitors],
    ] {
        let template = ["template", "test", &chart(), "--namespace", OWN];
        let rendered = release.cluster.helm(&[&template[..], &values].concat());
        // The pod of `helm test` needs its ServiceAccount, which a dry run does not leave; tests/chart_cluster/hook.rs creates it.
        let rendered: Vec<_> = { rendered.split("\n---\n") }
            .filter(|object| !object.lines().any(|line| line == "kind: Pod"))
            .collect();
        let rendered = rendered.join("\n---\n");
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--dry-run=server",
            "--validate=strict",
            "--filename",
            "-",
        ];
        release.cluster.kubectl_stdin(&apply, &rendered);
    }
}

#[test]
fn the_webhook_runs_where_only_restricted_pods_may() {
    let Some(release) = &*RELEASE else { return };
    release
        .cluster
        .create_namespace("restricted", &[("pod-security.kubernetes.io/enforce", "restricted")]);
    let every = repository().join("tests/chart/every-value.yaml");
    for values in [
        ["--set", "image.repository=example.com/injector"],
        ["--values", every.to_str().expect("UTF-8")],
    ] {
        let template = [
            "template",
            "test",
            &chart(),
            "--namespace",
            "restricted",
            "--show-only",
            "templates/deployment.yaml",
        ];
        // The node's network is for namespaces that allow it.
        let inside = ["--set", "hostNetwork=false,dnsPolicy="];
        let rendered = release.cluster.helm(&[&template[..], &values, &inside].concat());
        let deployment = manifest::documents(&rendered).expect("well-formed").remove(0);
        let mut pod = pod("restricted", "webhook", json!({}));
        pod["spec"] = deployment["spec"]["template"]["spec"].clone();
        let account = pod["spec"]["serviceAccountName"]
            .as_str()
            .expect("an account")
            .to_owned();
        release
            .cluster
            .kubectl(&["--namespace", "restricted", "create", "serviceaccount", &account]);
        let create = ["create", "--dry-run=server", "--filename", "-"];
        release.cluster.kubectl_stdin(&create, &pod.to_string());

        // Only when less is refused does this say something.
        pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
        let error = release.cluster.try_kubectl_stdin(&create, &pod.to_string()).error();
        assert!(error.contains("violates PodSecurity"), "{error}");
    }
}

#[test]
fn what_the_webhook_follows_by_name_it_may_list_by_that_name_and_only_so() {
    let Some(release) = &*RELEASE else { return };
    for (kind, name, namespace) in [
        ("mutatingwebhookconfigurations", "injector-vertex-injector", "default"),
        ("validatingwebhookconfigurations", "injector-vertex-injector", "default"),
        ("secrets", "injector-vertex-injector-tls", OWN),
        ("secrets", "injector-vertex-injector-ca", OWN),
    ] {
        let list = ["--as", ACCOUNT, "--namespace", namespace, "get", kind];
        release
            .cluster
            .kubectl(&[&list[..], &["--field-selector", &format!("metadata.name={name}")]].concat());
        for more in [&[][..], &["--field-selector", "metadata.name=another"]] {
            let error = release.cluster.try_kubectl(&[&list[..], more].concat()).error();
            assert!(error.contains("Forbidden"), "{error}");
        }
    }
}

#[test]
fn what_the_webhook_wrote_into_its_configuration_survives_upgrades_and_gitops() {
    let Some(release) = &*RELEASE else { return };
    second(release, "bundle", &[]);
    let name = "bundle-vertex-injector";
    let configuration = || {
        release.cluster.get(&["mutatingwebhookconfiguration", name])["webhooks"]
            .as_array()
            .expect("webhooks")
            .clone()
    };
    let before = configuration();
    assert!(
        before
            .iter()
            .all(|webhook| webhook["clientConfig"]["caBundle"].is_null()),
        "the chart leaves the field out"
    );

    let ca = rcgen::generate_simple_self_signed(vec!["webhook".to_owned()])
        .expect("a certificate")
        .cert
        .pem();
    let ca = base64::engine::general_purpose::STANDARD.encode(ca);
    let add = |i| json!({"op": "add", "path": format!("/webhooks/{i}/clientConfig/caBundle"), "value": ca});
    let patch = (0..before.len()).map(add).collect::<Value>().to_string();
    release.cluster.kubectl(&[
        "patch",
        "mutatingwebhookconfiguration",
        name,
        "--type=json",
        "--field-manager=vertex-injector",
        "--patch",
        &patch,
    ]);
    let bundles = || {
        let count = |webhook: &&Value| webhook["clientConfig"]["caBundle"] == *ca;
        configuration().iter().filter(count).count()
    };
    assert_eq!(bundles(), before.len());

    let more = [
        "--set",
        "webhook.timeoutSeconds=3",
        "--set",
        "extraAgentSelectors[0].name=more,extraAgentSelectors[0].serviceAccounts={more}",
    ];
    second(release, "bundle", &more);
    assert_eq!(configuration().len(), before.len() + 1);
    assert_eq!(configuration()[0]["timeoutSeconds"], 3);
    assert_eq!(
        bundles(),
        before.len(),
        "an upgrade keeps it, and leaves the new webhook to the webhook"
    );

    let template = [
        "template",
        "bundle",
        &chart(),
        "--namespace",
        "bundle-system",
        "--show-only",
        "templates/mutatingwebhookconfiguration.yaml",
    ];
    let rendered = release
        .cluster
        .helm(&[&template[..], &SECOND, &["--set", "webhook.timeoutSeconds=4"]].concat());
    for apply in [
        vec![
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=argocd-controller",
            "--filename",
            "-",
        ],
        vec!["apply", "--filename", "-"],
    ] {
        release.cluster.kubectl_stdin(&apply, &rendered);
        assert_eq!(configuration()[0]["timeoutSeconds"], 4);
        assert_eq!(bundles(), before.len(), "kubectl {apply:?}");
    }
}

#[test]
fn a_second_release_shares_nothing_with_the_first_and_leaves_nothing_behind() {
    let Some(release) = &*RELEASE else { return };
    second(
        release,
        "second",
        &[
            "--set",
            "admissionPolicies.annotationGuard=true,admissionPolicies.brokerGuard=true,admissionPolicies.injectionGuard=true,admissionPolicies.authorGuard=true",
        ],
    );
    let labelled = || {
        let kinds = "mutatingwebhookconfigurations,validatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings,clusterroles,clusterrolebindings";
        let all = release
            .cluster
            .get(&[kinds, "--selector", "app.kubernetes.io/instance=second"]);
        all["items"].as_array().expect("items").len()
    };
    assert_eq!(labelled(), 20);
    release
        .cluster
        .helm(&["uninstall", "second", "--namespace", "second-system"]);
    assert_eq!(labelled(), 0);
    release.cluster.get(&["crd", "injectionpolicies.vertex-injector.dev"]);
    release
        .cluster
        .get(&["mutatingwebhookconfiguration", "injector-vertex-injector"]);
}

/// What a release beside the first needs, so that it does not stand in the way of other tests.
const SECOND: [&str; 6] = [
    "--set",
    "webhook.url=https://127.0.0.1:9/mutate",
    "--set",
    "crds.install=false,namespaceSelector.matchLabels.nobody=here",
    "--set",
    "admissionPolicies.annotationGuard=false,admissionPolicies.brokerGuard=false,admissionPolicies.injectionGuard=false,admissionPolicies.authorGuard=false",
];

pub(crate) fn second(release: &Release, name: &str, more: &[&str]) {
    let namespace = format!("{name}-system");
    helm(&release.cluster, &upgrade(name, &namespace, &[&SECOND, more].concat()));
}
