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
    pod["metadata"]["annotations"] = json!({"padding": "x".repeat(4 << 20)});
    pod["spec"]["futureField"] = json!({"padding": "\n".repeat(1 << 20)});
    let answer = answered(&pod);
    assert_eq!(answer.decision.outcome, Outcome::Injected);
    assert!(answer.response.len() < 8_000, "{} bytes", answer.response.len());
}

#[test]
fn nesting_of_any_depth_is_skipped_where_nobody_reads_and_refused_where_we_do() {
    let deep = |at: &str| {
        let value = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
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
    assert!(
        message.starts_with("the pod cannot be read: spec.volumes[0].projected.sources[0]"),
        "{message}"
    );
    assert!(message.contains("nested too deeply"), "{message}");
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
    let dollars =
        json!({"env": [{"name": "A", "value": "$(".repeat(1 << 20)}, {"name": "B", "value": "$".repeat(1 << 20)}]});
    assert_eq!(decided(&agent(&dollars)).outcome, Outcome::Injected);

    let env: Vec<Value> = (0..50_000)
        .map(|i| json!({"name": format!("V{i}"), "value": ""}))
        .collect();
    let mut pod = agent(&json!({"env": env}));
    let listed: Vec<String> = (0..50_000).map(|i| format!("agent/V{i}")).collect();
    pod["metadata"]["annotations"] = json!({"vertex-injector.dev/rendered-env": listed.join(",")});
    let decision = decided(&pod);
    assert_eq!(
        decision.env.iter().filter(|change| change.op == "remove").count(),
        50_000
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
    let decision = decided(&pod);
    assert_eq!(decision.reason, Reason::MalformedPod);
    let problem = "the name of spec.containers[0] has more than 63 characters";
    assert!(decision.message.ends_with(problem), "{}", decision.message);
}
