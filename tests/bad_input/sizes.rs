//! Sizes, depths and counts that somebody chose to hurt.

use super::*;

#[test]
fn four_mebibytes_of_junk_are_refused_and_of_padding_are_read() {
    let junk = vec![b'x'; 4 << 20];
    assert_eq!(
        refused(&junk),
        "body is not an AdmissionReview: not JSON (line 1, column 1)"
    );
    let opened = vec![b'['; 4 << 20];
    assert_eq!(
        refused(&opened),
        "body is not an AdmissionReview: the whole: must be an object (line 1, column 0)"
    );
    let mut pod = agent(&json!({}));
    pod["metadata"]["annotations"] = json!({"padding": "x".repeat(200 << 10)});
    pod["spec"]["futureField"] = json!({"padding": "x".repeat(4 << 20), "lines": "\n".repeat(1 << 20)});
    let answer = answered(&pod);
    assert_eq!(answer.decision.outcome, Outcome::Injected);
    assert!(answer.response.len() < 8_000, "{} bytes", answer.response.len());
}

#[test]
fn nesting_of_any_depth_is_skipped_where_nobody_reads_and_refused_where_we_do() {
    let deep = |at: &str| {
        let value = format!("{}1{}", "[".repeat(40_000), "]".repeat(40_000));
        review_of(&agent(&json!({"image": "DEEP"})))
            .to_string()
            .replace("\"image\":\"DEEP\"", &at.replace("DEEP", &value))
    };
    let answer = |body: &str| review(body.as_bytes(), &policies()).expect("an answer").decision;
    let skipped = answer(&deep(r#""image":DEEP"#));
    assert_eq!(skipped.outcome, Outcome::Injected, "{}", skipped.message);
    for (at, problem) in [
        (
            r#""env":[{"name":"GOOGLE_CLOUD_PROJECT","valueFrom":{"a":DEEP}}]"#,
            None,
        ),
        (
            r#""env":DEEP"#,
            Some("spec.containers[0].env[0]: must be an object (line 1"),
        ),
        (
            r#""resources":{"limits":{"cpu":DEEP}}"#,
            Some("spec.containers[0].resources.limits.cpu: must be a quantity (line 1"),
        ),
    ] {
        let decision = answer(&deep(at));
        match problem {
            None => assert_eq!(decision.outcome, Outcome::Injected, "{}", decision.message),
            Some(problem) => {
                assert!(
                    decision
                        .message
                        .starts_with(&format!("the pod cannot be read: {problem}")),
                    "{}",
                    decision.message
                );
            }
        }
    }
    let source = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let mut pod = agent(&json!({}));
    pod["spec"]["volumes"] = json!([{"name": "v", "projected": {"sources": [{"secret": "DEEP"}]}}]);
    let body = review_of(&pod).to_string().replace("\"DEEP\"", &source);
    let message = answer(&body).message;
    let problem = "the pod cannot be read: spec.volumes[0].projected.sources[0].secret: must be an object";
    assert_eq!(message, problem);
}

/// The variables that the policy adds, by name.
fn added(decision: &Decision) -> Vec<&str> {
    decision.env.iter().map(|change| change.name.as_str()).collect()
}

#[test]
fn ten_thousand_variables_are_read_and_kept() {
    let env: Vec<Value> = (0..10_000)
        .map(|i| json!({"name": format!("V{i}"), "value": "x"}))
        .collect();
    let pod = agent(&json!({"env": env}));
    let decision = decided(&pod);
    assert_eq!(decision.outcome, Outcome::Injected);
    assert_eq!(added(&decision), added(&decided(&agent(&json!({})))));
    let mut after = pod.clone();
    json_patch::patch(&mut after, &decision.patch).expect("the patch applies");
    let env = after["spec"]["containers"][0]["env"].as_array().expect("a list");
    assert_eq!(env.len(), 10_000 + added(&decision).len());
    assert_eq!(
        env[..10_000],
        pod["spec"]["containers"][0]["env"].as_array().expect("a list")[..]
    );
}

#[test]
fn ten_thousand_references_in_a_chain_are_resolved() {
    let mut env = vec![json!({"name": "V0", "value": "own-project"})];
    env.extend((1..10_000).map(|i| json!({"name": format!("V{i}"), "value": format!("$(V{})", i - 1)})));
    env.push(json!({"name": "GOOGLE_CLOUD_PROJECT", "value": "$(V9999)"}));
    env.push(json!({"name": "ANTHROPIC_VERTEX_PROJECT_ID", "value": "own-project"}));
    let decision = decided(&agent(&json!({"env": env})));
    assert_eq!(decision.outcome, Outcome::Injected, "{}", decision.message);
    assert!(
        decision.warnings[0].contains("keeps its own GOOGLE_CLOUD_PROJECT"),
        "{:?}",
        decision.warnings
    );
}

#[test]
fn references_that_double_do_not_blow_up() {
    let mut env = vec![json!({"name": "V0", "value": "x".repeat(64)})];
    env.extend((1..200).map(|i| json!({"name": format!("V{i}"), "value": format!("$(V{0})$(V{0})", i - 1)})));
    let plain = decided(&agent(&json!({"env": env.clone()})));
    assert_eq!(plain.outcome, Outcome::Injected);
    assert_eq!(added(&plain), added(&decided(&agent(&json!({})))));

    let mut project = env.clone();
    project.push(json!({"name": "GOOGLE_CLOUD_PROJECT", "value": "$(V199)"}));
    let decision = decided(&agent(&json!({"env": project})));
    assert_eq!(decision.outcome, Outcome::Injected, "{}", decision.message);
    let patch = serde_json::to_string(&decision.patch).expect("JSON");
    assert!(
        patch.contains("$(GOOGLE_CLOUD_PROJECT)") && patch.len() < 8_000,
        "{} bytes",
        patch.len()
    );

    env.push(json!({"name": "CLAUDE_CODE_USE_VERTEX", "value": "$(V199)"}));
    let decision = decided(&agent(&json!({"env": env})));
    assert_eq!((decision.outcome, decision.reason), (Outcome::Denied, Reason::Conflict));
    assert!(
        decision.message.contains("CLAUDE_CODE_USE_VERTEX"),
        "{}",
        decision.message
    );
}

#[test]
fn hostile_lengths_and_counts_do_not_blow_up() {
    let dollars = |count: usize| {
        let (a, b) = ("$(".repeat(count), "$".repeat(count));
        agent(&json!({"env": [{"name": "A", "value": a}, {"name": "B", "value": b}]}))
    };
    assert_eq!(decided(&dollars(1 << 14)).outcome, Outcome::Injected);
    let answer = answered(&dollars(1 << 20)).decision;
    assert!(
        answer.message.contains("dollar signs") && answer.outcome == Outcome::Denied,
        "{}",
        answer.message
    );

    let env: Vec<Value> = (0..10_000)
        .map(|i| json!({"name": format!("V{i}"), "value": ""}))
        .collect();
    let mut pod = agent(&json!({"env": env}));
    let listed: Vec<String> = (0..10_000).map(|i| format!("agent/V{i}")).collect();
    pod["metadata"]["annotations"] = json!({"vertex-injector.dev/rendered-env": listed.join(",")});
    let decision = decided(&pod);
    assert_eq!(
        decision.env.iter().filter(|change| change.op == "remove").count(),
        10_000
    );

    let mut pod = agent(&json!({}));
    pod["spec"]["containers"] = (0..20_000).map(|i| json!({"name": format!("c{i}")})).collect();
    let listed: Vec<String> = (0..20_000).map(|i| format!("c{i}")).collect();
    pod["metadata"]["annotations"] = json!({"vertex-injector.dev/containers": listed.join(",")});
    let decision = decided(&pod);
    assert_eq!(decision.reason, Reason::ContainerNotFound);
    assert!(
        decision.message.ends_with("names more than 16 containers"),
        "{}",
        decision.message
    );

    let mut pod = agent(&json!({}));
    pod["spec"]["containers"][0]["name"] = "n".repeat(1 << 20).into();
    assert_eq!(
        unreadable(&pod),
        "the name of spec.containers[0] has more than 63 characters"
    );
}

/// Why a pod is refused before anything is planned.
fn unreadable(pod: &Value) -> String {
    let decision = answered(pod).decision;
    assert_eq!(decision.reason, Reason::MalformedPod, "{}", decision.message);
    let problem = decision.message.strip_prefix("the pod cannot be read: ");
    problem.expect("a pod that cannot be read").to_owned()
}

#[test]
fn what_no_api_server_stores_is_refused_before_it_is_planned() {
    let with = |pointer: &str, value: Value| {
        let mut pod = full_pod();
        *pod.pointer_mut(pointer).expect("a field") = value;
        unreadable(&pod)
    };
    assert_eq!(
        with("/spec/initContainers/0/name", json!("agent")),
        "spec.initContainers[0].name: \"agent\" is the name of another one, too"
    );
    assert_eq!(
        with("/spec/volumes/2/name", json!("v")),
        "spec.volumes[2].name: \"v\" is the name of another one, too"
    );
    assert_eq!(
        with("/spec/volumes/1/name", json!("v".repeat(64))),
        "the name of spec.volumes[1] has more than 63 characters"
    );
    assert_eq!(
        with("/spec/containers/0/volumeMounts/0/mountPath", json!("/".repeat(4097))),
        "spec.containers[0].volumeMounts[0].mountPath: has more than 4096 bytes"
    );
    assert_eq!(
        with("/metadata/annotations/note", json!("x".repeat(256 << 10))),
        "metadata.annotations: 256 KiB is the most that Kubernetes allows of all together"
    );
    let containers: Vec<Value> = (0..25_001).map(|_| json!({})).collect();
    assert!(
        with("/spec/containers", json!(containers)).ends_with("entries together, and 50000 is the most"),
        "too many entries"
    );
}

#[test]
fn each_pair_of_a_volume_and_a_container_is_no_sentence_of_its_own() {
    let policy = json!({"spec": {"access": "Proxy", "proxy": {"models": ["claude-*"]}}});
    let mut proxied = super::policy();
    json_patch::merge(&mut proxied, &policy);
    proxied["spec"]["vertex"]["models"] = json!({"default": "claude-haiku-4-5"});
    let audience = "//iam.googleapis.com/projects/123/locations/global/workloadIdentityPools/pool/providers/prov";
    let volume = |i: usize| json!({"name": format!("v{i}"), "projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": audience}}]}});
    let mut pod = full_pod();
    pod["spec"]["volumes"] = (0..100).map(volume).collect();
    let mounts: Vec<Value> = (0..100)
        .map(|i| json!({"name": format!("v{i}"), "mountPath": format!("/v{i}")}))
        .collect();
    pod["spec"]["containers"] = (0..30)
        .map(|i| json!({"name": format!("c{i}"), "volumeMounts": mounts}))
        .collect();
    pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] = "c0".into();
    let policy = Policy::compile(
        &manifest::policies::policy(&proxied, "team-a").expect("a policy"),
        &Operator::default(),
    );
    assert_eq!(policy.errors().to_string(), "");
    let policies = PolicySet::new([Arc::new(policy)], &Namespaces::new());
    let json = pod.to_string();
    let decision = decide(&Pod::parse(json.as_bytes()).expect("a pod"), "team-a", &policies);
    assert_eq!(decision.reason, Reason::NotIsolated);
    assert_eq!(decision.problems.len(), 64);
    assert!(
        decision.message.contains("for 3000 reasons: (1) "),
        "{}",
        decision.message
    );
}
