//! Breakages of an installation.

use crate::breakages::{APPLY, Row};
use crate::objects::{NOW, called, certificate, edited, injection, operator, release, seen, unseen};
use serde_json::{Value, json};
use vertex_injector_core::api::crds;
use vertex_injector_operate::Look;
use vertex_injector_operate::check::webhooks::{Configuration, Settings, settings};
use vertex_injector_operate::check::{api_server, certificate as served, definitions, guards, replicas, webhooks};
use vertex_injector_operate::finding::Finding;
use vertex_injector_operate::problem::Problem;

const NAME: &str = "vi-vertex-injector.system.svc";
const GUARD: &str = "vi-vertex-injector-broker";

pub(crate) fn rows() -> Vec<Row> {
    let no_nodes = || seen(json!([]));
    vec![
        (
            "an old API server",
            Problem::ApiServerTooOld,
            api_server::judge((1, 29), &Look::Seen(true), &no_nodes()),
            &["1.29", "1.30 or newer"],
        ),
        (
            "no admission policies",
            Problem::AdmissionPoliciesNotServed,
            api_server::judge((1, 31), &Look::Seen(false), &no_nodes()),
            &["--runtime-config"],
        ),
        (
            "an old node",
            Problem::NodeTooOld,
            api_server::judge(
                (1, 31),
                &Look::Seen(true),
                &seen(json!([
                    {"metadata": {"name": "old"}, "status": {"nodeInfo": node("v1.28.3-gke.1")}},
                    {"metadata": {"name": "new"}, "status": {"nodeInfo": node("v1.31.0")}},
                ])),
            ),
            &["Node old: its kubelet is v1.28.3-gke.1", "upgrade the node"],
        ),
        (
            "no right",
            Problem::CouldNotLook,
            api_server::judge((1, 31), &unseen(), &no_nodes()),
            &["needs get on things", "--only"],
        ),
        (
            "a definition is gone",
            Problem::DefinitionMissing,
            vec![definitions::judge(&crds()[1], &seen(Value::Null))],
            &["clusterinjectionpolicies", "vertex-injector crds | kubectl apply"],
        ),
        (
            "names are taken",
            Problem::DefinitionNotEstablished,
            defined(|crd| {
                crd["status"]["conditions"] = json!([
                    {"type": "NamesAccepted", "status": "False", "reason": "", "message": "vip is taken"},
                ]);
            }),
            &[
                "vip is taken",
                "kubectl describe crd injectionpolicies.vertex-injector.dev",
            ],
        ),
        (
            "an older definition",
            Problem::DefinitionDiffers,
            defined(|crd| {
                crd["metadata"]["labels"]["app.kubernetes.io/version"] = "0.0.1".into();
                crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"] = "old".into();
            }),
            &["labelled 0.0.1", "vertex-injector crds"],
        ),
        (
            "another served version",
            Problem::DefinitionDiffers,
            defined(|crd| crd["spec"]["versions"][0]["served"] = false.into()),
            &["does not serve v1alpha1"],
        ),
        (
            "the mutating configuration is gone",
            Problem::InjectionWebhookMissing,
            webhooks::judge_injection(&release(), &Look::Seen(None), None),
            &["does not exist", APPLY],
        ),
        (
            "the validating configuration is gone",
            Problem::PolicyWebhookMissing,
            vec![webhooks::judge_validation(&release(), &Look::Seen(None))],
            &[APPLY],
        ),
        (
            "no webhooks",
            Problem::NoWebhooks,
            injected(edited(injection(), "/webhooks", json!([]))),
            &[APPLY],
        ),
        (
            "failurePolicy",
            Problem::FailsOpen,
            injected(edited(injection(), "/webhooks/1/failurePolicy", json!("Ignore"))),
            &["Ignore: app.vertex-injector.dev", APPLY],
        ),
        (
            "a webhook less",
            Problem::SelectorsDiffer,
            injected(edited(injection(), "/webhooks", json!([injection()["webhooks"][0]]))),
            &["webhook app.vertex-injector.dev is missing", APPLY],
        ),
        (
            "a webhook more",
            Problem::SelectorsDiffer,
            injected(edited(
                injection(),
                "/webhooks/0/name",
                json!("more.vertex-injector.dev"),
            )),
            &["more.vertex-injector.dev is not in the settings"],
        ),
        (
            "another objectSelector",
            Problem::SelectorsDiffer,
            injected(edited(injection(), "/webhooks/1/objectSelector", json!({}))),
            &["objectSelector of webhook app.vertex-injector.dev"],
        ),
        (
            "another namespaceSelector",
            Problem::SelectorsDiffer,
            injected(edited(injection(), "/webhooks/0/namespaceSelector", json!({}))),
            &["another namespaceSelector", "inject.vertex-injector.dev"],
        ),
        (
            "the Service is gone",
            Problem::ServiceMissing,
            vec![webhooks::judge_service(
                "system",
                "vi-vertex-injector",
                &Look::Seen(false),
            )],
            &["Service system/vi-vertex-injector", APPLY],
        ),
        (
            "the settings are gone",
            Problem::SettingsMissing,
            set_up(None),
            &["ConfigMap system/vi-vertex-injector", APPLY],
        ),
        (
            "a newer setting",
            Problem::SettingsUnreadable,
            set_up(Some("newer: {}")),
            &["unknown field `newer`", "release's version"],
        ),
        (
            "no caBundle",
            Problem::CaBundleMissing,
            served::judge_bundle(&called(Vec::new())).into_iter().collect(),
            &["inject.vertex-injector.dev", "self-signed"],
        ),
        (
            "a broken caBundle",
            Problem::CaBundleUnreadable,
            served::judge_bundle(&called(b"no PEM".to_vec())).into_iter().collect(),
            &["holds no certificate"],
        ),
        (
            "another authority",
            Problem::CertificateNotTrusted,
            certified(NAME, 60, false),
            &["vi-1", "kubectl logs -n system"],
        ),
        (
            "another name",
            Problem::CertificateNameDiffers,
            certified("other.svc", 60, true),
            &[NAME, "--tls-san"],
        ),
        (
            "an old certificate",
            Problem::CertificateExpired,
            certified(NAME, -1, true),
            &["expired", "renewed"],
        ),
        (
            "an aged certificate",
            Problem::CertificateExpiresSoon,
            certified(NAME, 4, true),
            &["for 3 days", "renewed"],
        ),
        (
            "nobody answers",
            Problem::WebhookUnreachable,
            vec![served::judge(
                &called(certificate(NAME, 9).1),
                "vi-1",
                &Err("refused".to_owned()),
                NOW,
            )],
            &["vi-1: refused", "NetworkPolicy"],
        ),
        (
            "the Deployment is gone",
            Problem::DeploymentMissing,
            running(Value::Null, json!([])),
            &[APPLY],
        ),
        (
            "no replica",
            Problem::NoReplicaReady,
            running(deployment(0, "x"), json!([])),
            &["0 of 2", "kubectl describe pods -n system"],
        ),
        (
            "one replica",
            Problem::ReplicasMissing,
            running(deployment(1, "x"), json!([])),
            &["1 of 2"],
        ),
        (
            "no image",
            Problem::ReplicaWaiting,
            running(
                deployment(2, "x"),
                json!([replica("a", json!({"waiting": {"reason": "ImagePullBackOff"}}))]),
            ),
            &["Pod system/vi-1: webhook waits: ImagePullBackOff"],
        ),
        (
            "two images",
            Problem::ReplicasDiffer,
            running(
                deployment(2, "x"),
                json!([replica("a", json!({})), replica("b", json!({}))]),
            ),
            &[
                "a and b",
                "kubectl rollout status -n system deployment/vi-vertex-injector",
            ],
        ),
        (
            "another version",
            Problem::VersionDiffers,
            running(deployment(2, "0.0.1"), json!([])),
            &["0.0.1", "helm upgrade vi"],
        ),
        (
            "no guard",
            Problem::GuardOff,
            guarded("Fail", &["Deny"], false, false),
            &["admissionPolicies", APPLY],
        ),
        (
            "no binding",
            Problem::GuardUnbound,
            guarded("Fail", &["Deny"], true, false),
            &[GUARD, APPLY],
        ),
        (
            "no admission policy",
            Problem::GuardMissing,
            guarded("Fail", &["Deny"], false, true),
            &[APPLY],
        ),
        (
            "a binding that only warns",
            Problem::GuardNotDenying,
            guarded("Fail", &["Warn"], true, true),
            &["does Warn", APPLY],
        ),
        (
            "a guard that fails open",
            Problem::GuardFailsOpen,
            guarded("Ignore", &["Deny"], true, true),
            &[APPLY],
        ),
    ]
}

pub(crate) fn sending(value: Value) -> Look<Option<Configuration>> {
    let object: k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration =
        serde_json::from_value(value).expect("a configuration");
    Look::Seen(Some(Configuration::from(&object)))
}

pub(crate) fn injected(value: Value) -> Vec<Finding> {
    webhooks::judge_injection(&release(), &sending(value), Some(&operator()))
}

pub(crate) fn set_up(text: Option<&str>) -> Vec<Finding> {
    let map = text.map(|text| json!({"metadata": {"name": "x"}, "data": {"operator.yaml": text}}));
    match settings(&release(), &seen(map.unwrap_or(Value::Null))) {
        Settings::Known(_) => Vec::new(),
        Settings::Unknown(finding) => vec![finding],
    }
}

pub(crate) fn deployment(ready: i32, version: &str) -> Value {
    json!({
        "metadata": {"name": "vi-vertex-injector", "labels": {"app.kubernetes.io/version": version}},
        "spec": {"replicas": 2, "selector": {}, "template": {}}, "status": {"readyReplicas": ready},
    })
}

pub(crate) fn replica(image: &str, state: Value) -> Value {
    json!({
        "metadata": {"name": "vi-1", "namespace": "system"},
        "spec": {"containers": [{"name": "webhook", "image": image}]},
        "status": {"containerStatuses": [{"name": "webhook", "image": image, "imageID": "", "ready": false, "restartCount": 0, "state": state}]},
    })
}

pub(crate) fn running(deployment: Value, pods: Value) -> Vec<Finding> {
    replicas::judge(&release(), false, &seen(deployment), &seen(pods))
}

pub(crate) fn guarded(failure: &str, actions: &[&str], policy: bool, binding: bool) -> Vec<Finding> {
    let policies = if policy {
        json!([{"metadata": {"name": GUARD}, "spec": {"failurePolicy": failure}}])
    } else {
        json!([])
    };
    let bindings = if binding {
        json!([{"metadata": {"name": GUARD}, "spec": {"policyName": GUARD, "validationActions": actions}}])
    } else {
        json!([])
    };
    let all = guards::judge(&release(), &seen(policies), &seen(bindings));
    all.into_iter().filter(|finding| finding.object.name == GUARD).collect()
}

pub(crate) fn certified(name: &str, days: i64, trusted: bool) -> Vec<Finding> {
    let (chain, authority) = certificate(name, days);
    let bundle = if trusted { authority } else { certificate(name, days).1 };
    vec![served::judge(&called(bundle), "vi-1", &Ok(chain), NOW)]
}

pub(crate) fn defined(edit: impl Fn(&mut Value)) -> Vec<Finding> {
    let [wanted, _] = crds();
    let mut found = serde_json::to_value(&wanted).expect("JSON");
    found["status"] = json!({"conditions": [{"type": "Established", "status": "True", "reason": "", "message": ""}]});
    edit(&mut found);
    vec![definitions::judge(&wanted, &seen(found))]
}

pub(crate) fn node(kubelet: &str) -> Value {
    let fields = [
        "architecture",
        "bootID",
        "containerRuntimeVersion",
        "kernelVersion",
        "kubeProxyVersion",
        "machineID",
        "operatingSystem",
        "osImage",
        "systemUUID",
    ];
    let mut info: Value = fields
        .into_iter()
        .map(|field| (field.to_owned(), Value::from("")))
        .collect::<serde_json::Map<_, _>>()
        .into();
    info["kubeletVersion"] = kubelet.into();
    info
}
