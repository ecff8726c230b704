//! What is installed: the webhook's configuration and the webhook itself.

use super::helm::{helm, kinds, object, objects};
use base64::Engine;
use serde_json::{Value, json};

const IMAGE: [&str; 2] = ["--set", "image.repository=example.com/injector"];
const EVERY: [&str; 2] = ["--values", "tests/chart/every-value.yaml"];
const OUTSIDE: [&str; 2] = ["--set", "webhook.url=https://webhook.example.com:8443/mutate"];

#[test]
fn with_the_image_alone_everything_needed_is_installed_and_nothing_that_needs_other_operators() {
    let Some(helm) = helm() else { return };
    let objects = objects(helm, &IMAGE);
    assert_eq!(
        kinds(&objects),
        [
            "ClusterRole",
            "ClusterRole",
            "ClusterRoleBinding",
            "ClusterRoleBinding",
            "ConfigMap",
            "CustomResourceDefinition",
            "CustomResourceDefinition",
            "Deployment",
            "MutatingWebhookConfiguration",
            "NetworkPolicy",
            "Pod",
            "PodDisruptionBudget",
            "Role",
            "Role",
            "RoleBinding",
            "RoleBinding",
            "Service",
            "ServiceAccount",
            "ServiceAccount",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ]
    );
}

#[test]
fn probes_and_reviews_are_let_in_and_nobody_else_unless_he_is_named() {
    let Some(helm) = helm() else { return };
    let spec = |more: &[&str]| {
        let objects = objects(helm, &[&IMAGE[..], more].concat());
        object(&objects, "NetworkPolicy", "injector")["spec"].clone()
    };
    let https = json!({"ports": [{"port": "https"}]});
    let default = spec(&[]);
    // Where the API server is, nobody knows; its probes' node is let in by every network plugin.
    assert_eq!(
        (&default["policyTypes"], &default["ingress"], &default["egress"]),
        (&json!(["Ingress"]), &json!([https]), &Value::Null)
    );
    let monitored = spec(&["--set", "serviceMonitor.enabled=true"]);
    let every_pod = json!({"ports": [{"port": "admin"}], "from": [{"namespaceSelector": {}}]});
    assert_eq!(monitored["ingress"], json!([https, every_pod]));
    let known = spec(&["--set", "networkPolicy.apiServer[0].ipBlock.cidr=10.0.0.1/32"]);
    let api_server = json!([{"ipBlock": {"cidr": "10.0.0.1/32"}}]);
    assert_eq!(known["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(
        (&known["ingress"][0]["from"], &known["egress"][0]["to"]),
        (&api_server, &api_server)
    );
}

#[test]
fn with_a_client_ca_the_webhook_is_told_its_file() {
    let Some(helm) = helm() else { return };
    let objects = objects(helm, &EVERY);
    let data = &object(&objects, "ConfigMap", "injector")["data"];
    assert!(
        data["client-ca.crt"]
            .as_str()
            .is_some_and(|ca| ca.starts_with("-----BEGIN")),
        "{data}"
    );
    let container = &object(&objects, "Deployment", "injector")["spec"]["template"]["spec"]["containers"][0];
    let flag = json!("--client-ca-file=/etc/vertex-injector/client-ca.crt");
    assert!(container["args"].as_array().expect("arguments").contains(&flag));
}

#[test]
fn no_two_objects_are_the_same_and_all_say_what_they_belong_to() {
    let Some(helm) = helm() else { return };
    for values in [IMAGE, EVERY, OUTSIDE] {
        let objects = objects(helm, &values);
        let mut seen = Vec::new();
        for object in &objects {
            let id = (&object["kind"], &object["metadata"]["name"]);
            assert!(!seen.contains(&id), "{id:?} occurs twice");
            seen.push(id);
            assert_eq!(
                object["metadata"]["labels"]["app.kubernetes.io/instance"], "test",
                "{id:?}"
            );
            assert_eq!(
                object["metadata"]["labels"]["app.kubernetes.io/managed-by"], "Helm",
                "{id:?}"
            );
        }
    }
}

#[test]
fn a_webhook_outside_the_cluster_is_called_by_its_url_and_nothing_runs_inside() {
    let Some(helm) = helm() else { return };
    let objects = objects(helm, &OUTSIDE);
    for kind in ["Deployment", "Service", "PodDisruptionBudget"] {
        assert!(!kinds(&objects).contains(&kind), "{kind}");
    }
    for webhook in webhooks(&objects) {
        assert_eq!(
            webhook["clientConfig"],
            json!({"url": "https://webhook.example.com:8443/mutate"})
        );
    }
    assert_eq!(
        policy_webhook(&objects)["clientConfig"],
        json!({"url": "https://webhook.example.com:8443/validate"})
    );
}

#[test]
fn each_agent_selector_becomes_a_webhook_that_can_hold_up_nothing_else() {
    let Some(helm) = helm() else { return };
    let objects = objects(helm, &EVERY);
    let names: Vec<&str> = webhooks(&objects)
        .iter()
        .filter_map(|webhook| webhook["name"].as_str())
        .collect();
    assert_eq!(
        names,
        [
            "ambient.vertex-injector.dev",
            "everything-of-team-b.vertex-injector.dev",
            "jobs.vertex-injector.dev"
        ]
    );
    for webhook in webhooks(&objects) {
        assert_eq!(webhook["failurePolicy"], "Fail");
        assert_eq!(webhook["reinvocationPolicy"], "IfNeeded");
        assert_eq!(webhook["matchPolicy"], "Equivalent");
        assert_eq!(webhook["sideEffects"], "NoneOnDryRun");
        assert_eq!(webhook["timeoutSeconds"], 3);
        assert_eq!(webhook["admissionReviewVersions"], json!(["v1"]));
        assert_eq!(
            webhook["rules"],
            json!([{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "scope": "Namespaced"}])
        );
        assert_eq!(
            webhook["namespaceSelector"],
            json!({
                "matchLabels": {"ambient-code.io/managed": "true"},
                "matchExpressions": [
                    {"key": "team", "operator": "In", "values": ["a", "b"]},
                    {"key": "kubernetes.io/metadata.name", "operator": "NotIn",
                     "values": ["kube-node-lease", "kube-public", "kube-system", "injector"]},
                ],
            })
        );
    }
    let not_out = json!({"key": "vertex-injector.dev/inject", "operator": "NotIn", "values": ["false"]});
    assert_eq!(
        webhooks(&objects)[0]["objectSelector"],
        json!({
            "matchLabels": {"ambient-code.io/managed": "true"},
            "matchExpressions": [{"key": "ambient-code.io/session-id", "operator": "Exists"}, not_out],
        })
    );
    assert_eq!(webhooks(&objects)[0]["matchConditions"], Value::Null);
    for (webhook, accounts) in [(1, r#"["agent"]"#), (2, r#"["kartograph-agent","kartograph-worker"]"#)] {
        assert_eq!(
            webhooks(&objects)[webhook]["objectSelector"],
            json!({"matchExpressions": [not_out.clone()]})
        );
        let condition = &webhooks(&objects)[webhook]["matchConditions"][0];
        let expression = condition["expression"].as_str().expect("an expression");
        assert!(
            expression.ends_with(&format!(r#": "default") in {accounts}"#)),
            "{expression}"
        );
    }
}

#[test]
fn the_webhook_is_asked_about_policies_and_holds_up_none() {
    let Some(helm) = helm() else { return };
    let objects = objects(helm, &EVERY);
    let webhook = policy_webhook(&objects);
    assert_eq!(webhook["name"], "policies.vertex-injector.dev");
    assert_eq!(webhook["clientConfig"]["service"]["path"], "/validate");
    assert_eq!(webhook["failurePolicy"], "Ignore");
    assert_eq!(webhook["sideEffects"], "None");
    assert_eq!(webhook["matchPolicy"], "Equivalent");
    assert_eq!(webhook["timeoutSeconds"], 3);
    assert_eq!(
        webhook["rules"],
        json!([{"operations": ["CREATE", "UPDATE"], "apiGroups": ["vertex-injector.dev"], "apiVersions": ["v1alpha1"],
                "resources": ["injectionpolicies", "clusterinjectionpolicies"]}])
    );
}

#[test]
fn without_a_namespace_selector_only_the_opt_in_label_counts() {
    let Some(helm) = helm() else { return };
    for webhook in webhooks(&objects(helm, &IMAGE)) {
        assert_eq!(
            webhook["namespaceSelector"]["matchLabels"],
            json!({"vertex-injector.dev/injection": "enabled"})
        );
    }
    let set = "namespaceSelector.matchLabels.ambient-code\\.io/managed=true";
    for webhook in webhooks(&objects(helm, &[&IMAGE[..], &["--set-string", set]].concat())) {
        assert_eq!(
            webhook["namespaceSelector"]["matchLabels"],
            json!({"ambient-code.io/managed": "true"})
        );
    }
}

#[test]
fn the_ca_bundle_belongs_to_the_webhook_unless_the_certificate_is_yours() {
    let Some(helm) = helm() else { return };
    for values in [IMAGE, OUTSIDE] {
        let objects = objects(helm, &values);
        for webhook in webhooks(&objects).iter().chain([policy_webhook(&objects)]) {
            assert!(webhook["clientConfig"].get("caBundle").is_none(), "{webhook}");
        }
    }
    let objects = objects(helm, &EVERY);
    for webhook in webhooks(&objects).iter().chain([policy_webhook(&objects)]) {
        let bundle = webhook["clientConfig"]["caBundle"].as_str().expect("a caBundle");
        let pem = base64::engine::general_purpose::STANDARD
            .decode(bundle)
            .expect("base64");
        assert!(pem.starts_with(b"-----BEGIN CERTIFICATE-----\n"));
    }
}

/// A disk that is full is none of its business.
#[test]
fn the_webhook_can_write_nowhere() {
    let Some(helm) = helm() else { return };
    for more in ["", ",certificates.mode=cert-manager,certificates.issuerRef.name=ca"] {
        let values = format!("image.repository=example.com/injector{more}");
        let objects = objects(helm, &["--set", &values]);
        let pod = &object(&objects, "Deployment", "injector")["spec"]["template"]["spec"];
        assert_eq!(pod["containers"].as_array().map(Vec::len), Some(1));
        assert!(pod["initContainers"].is_null());
        let container = &pod["containers"][0];
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        for mount in container["volumeMounts"].as_array().expect("mounts") {
            assert_eq!(mount["readOnly"], true, "{mount}");
        }
        for volume in pod["volumes"].as_array().expect("volumes") {
            let read_only = ["configMap", "secret", "projected"]
                .iter()
                .any(|kind| volume[kind].is_object());
            assert!(read_only, "{volume}");
        }
    }
}

#[test]
fn the_webhook_runs_twice_unprivileged_and_drains_before_it_is_killed() {
    let Some(helm) = helm() else { return };
    for (values, drain, grace) in [(IMAGE, "--drain-seconds=20", 35), (EVERY, "--drain-seconds=40", 55)] {
        let objects = objects(helm, &values);
        let deployment = object(&objects, "Deployment", "injector");
        let pod = &deployment["spec"]["template"]["spec"];
        let replicas = match deployment["spec"]["replicas"].as_u64() {
            Some(replicas) => Some(replicas),
            // Then another one says how many.
            None => object(&objects, "HorizontalPodAutoscaler", "injector")["spec"]["minReplicas"].as_u64(),
        };
        assert!(replicas >= Some(2));
        assert_eq!(pod["terminationGracePeriodSeconds"], grace);
        let container = &pod["containers"][0];
        assert!(
            container["args"]
                .as_array()
                .is_some_and(|args| args.contains(&json!(drain))),
            "{container}"
        );
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
            assert_eq!(container[probe]["httpGet"], json!({"path": path, "port": "admin"}));
        }
        let selector = &deployment["spec"]["selector"]["matchLabels"];
        for (key, value) in selector.as_object().expect("labels") {
            assert_eq!(deployment["spec"]["template"]["metadata"]["labels"][key], *value);
        }
        assert_eq!(object(&objects, "Service", "injector")["spec"]["selector"], *selector);
        assert_eq!(
            object(&objects, "PodDisruptionBudget", "injector")["spec"]["selector"]["matchLabels"],
            *selector
        );
        assert_eq!(
            pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
            *selector
        );
    }
}

#[test]
fn cert_managers_certificate_is_mounted_and_its_ca_is_written_where_the_api_server_looks() {
    let Some(helm) = helm() else { return };
    let objects = objects(
        helm,
        &[&IMAGE[..], &["--set", "certificates.mode=cert-manager"]].concat(),
    );
    let certificate = &object(&objects, "Certificate", "injector")["spec"];
    let issuer = object(&objects, "Issuer", "injector");
    assert_eq!(certificate["issuerRef"]["name"], issuer["metadata"]["name"]);
    let service = object(&objects, "Service", "injector");
    let host = format!(
        "{}.{}.svc",
        service["metadata"]["name"].as_str().expect("a name"),
        "injector"
    );
    assert_eq!(certificate["dnsNames"], json!([host]));
    let pod = &object(&objects, "Deployment", "injector")["spec"]["template"]["spec"];
    let volumes = pod["volumes"].as_array().expect("volumes");
    let mounted = volumes
        .iter()
        .find(|volume| volume["name"] == "tls")
        .expect("the certificate");
    assert_eq!(mounted["secret"]["secretName"], certificate["secretName"]);
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        let configuration = object(&objects, kind, "injector");
        let from = &configuration["metadata"]["annotations"]["cert-manager.io/inject-ca-from"];
        assert_eq!(*from, json!("injector/test-vertex-injector"), "{configuration}");
    }
    // The webhook then writes no certificate of its own.
    assert!(!objects.iter().any(is_own_role));
}

#[test]
fn everything_of_the_values_for_all_objects_is_on_each() {
    let Some(helm) = helm() else { return };
    for object in objects(helm, &EVERY)
        .iter()
        .filter(|object| object["metadata"]["name"] != "extra")
    {
        let metadata = &object["metadata"];
        assert_eq!(metadata["labels"]["cost-centre"], "agents", "{metadata}");
        assert_eq!(metadata["annotations"]["example.com/contact"], "platform", "{metadata}");
    }
}

#[test]
fn a_budget_that_would_block_every_drain_is_left_out() {
    let Some(helm) = helm() else { return };
    let objects = objects(helm, &[&IMAGE[..], &["--set", "replicas=1"]].concat());
    assert!(!kinds(&objects).contains(&"PodDisruptionBudget"));
}

#[test]
fn the_image_is_taken_by_digest_before_tag_before_the_version_of_the_chart() {
    let Some(helm) = helm() else { return };
    let digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    for (set, image) in [
        (
            "image.tag=",
            format!("example.com/injector:{}", env!("CARGO_PKG_VERSION")),
        ),
        ("image.tag=1.2", "example.com/injector:1.2".to_owned()),
        (
            &format!("image.tag=1.2,image.digest={digest}"),
            format!("example.com/injector@{digest}"),
        ),
    ] {
        let objects = objects(helm, &[&IMAGE[..], &["--set", set]].concat());
        let deployment = object(&objects, "Deployment", "injector");
        assert_eq!(deployment["spec"]["template"]["spec"]["containers"][0]["image"], image);
    }
}

#[test]
fn a_change_of_the_operators_settings_rolls_the_pods_and_nothing_else_does() {
    let Some(helm) = helm() else { return };
    let checksum = |set: &str| {
        let objects = objects(helm, &[&IMAGE[..], &["--set", set]].concat());
        object(&objects, "Deployment", "injector")["spec"]["template"]["metadata"]["annotations"]["checksum/operator"]
            .clone()
    };
    let before = checksum("replicas=2");
    assert!(before.is_string());
    assert_eq!(checksum("replicas=3"), before);
    assert_ne!(checksum("policyLimits.sidecarImages={example.com/*}"), before);
}

#[test]
fn the_webhook_may_do_what_it_needs_and_nothing_more() {
    let Some(helm) = helm() else { return };
    let read = json!(["get", "list", "watch"]);
    let policies = json!({"apiGroups": ["vertex-injector.dev"], "resources": ["injectionpolicies", "clusterinjectionpolicies"], "verbs": ["list", "watch"]});
    let status = json!({"apiGroups": ["vertex-injector.dev"], "resources": ["injectionpolicies/status", "clusterinjectionpolicies/status"], "verbs": ["patch"]});
    let namespaces = json!({"apiGroups": [""], "resources": ["namespaces"], "verbs": read});
    let events = json!({"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]});
    let accounts = json!({"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["list", "watch", "patch"]});
    let configuration = json!({
        "apiGroups": ["admissionregistration.k8s.io"], "resources": ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
        "resourceNames": ["test-vertex-injector"], "verbs": ["get", "list", "watch", "patch"],
    });

    let own = objects(helm, &IMAGE);
    assert_eq!(
        object(&own, "ClusterRole", "injector")["rules"],
        json!([policies, status, namespaces, events, configuration])
    );
    assert_eq!(
        object(&own, "Role", "injector")["rules"],
        json!([
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]},
            {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["test-vertex-injector-tls", "test-vertex-injector-ca"],
             "verbs": ["get", "list", "watch", "update", "delete"]},
        ])
    );
    assert_eq!(object(&own, "Role", "injector")["metadata"]["namespace"], "injector");

    // With files there is no certificate to keep, so neither Secrets nor the webhook configuration.
    let files = objects(helm, &EVERY);
    assert_eq!(
        object(&files, "ClusterRole", "injector")["rules"],
        json!([policies, status, namespaces, events, accounts])
    );
    assert!(!files.iter().any(is_own_role));
}

/// Whether it is the webhook's Role in its namespace, and not that of the chart's test.
fn is_own_role(object: &Value) -> bool {
    object["kind"] == "Role" && object["metadata"]["name"] == "test-vertex-injector"
}

fn webhooks(objects: &[Value]) -> &[Value] {
    let configuration = object(objects, "MutatingWebhookConfiguration", "injector");
    configuration["webhooks"].as_array().expect("webhooks")
}

/// The webhook that is asked about policies.
fn policy_webhook(objects: &[Value]) -> &Value {
    let webhooks = &object(objects, "ValidatingWebhookConfiguration", "injector")["webhooks"];
    assert_eq!(webhooks.as_array().map(Vec::len), Some(1));
    &webhooks[0]
}
