//! `diff` without a cluster, and what the verbs that ask one say where there is none.

use super::{Files, LIMIT, TEAM_POLICY, command, pod, run, run_with};

#[test]
fn what_a_branch_does_to_manifests_is_shown_with_every_difference() {
    let after = TEAM_POLICY.replace("us-east5", "europe-west1");
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: team}\n\
        spec: {template: {metadata: {labels: {agent: 'yes'}}, spec: {containers: [{name: agent, image: i}]}}}\n";
    let unrelated = pod("other").replace("agent: 'yes'", "agent: 'no'");
    let files = Files::new(&[
        ("before.yaml", TEAM_POLICY),
        ("after.yaml", &after),
        (
            "pods.yaml",
            &format!("{}---\n{deployment}---\n{unrelated}", pod("agent")),
        ),
    ]);
    let (before, after, pods) = (
        files.path("before.yaml"),
        files.path("after.yaml"),
        files.path("pods.yaml"),
    );

    let same = run(&["diff", "-f", &before, &pods, "--before", &before]);
    assert_eq!(
        (same.code, same.stdout.as_str()),
        (Some(0), "0 of 3 pods would get something else\n")
    );
    let changed = run(&["diff", "-f", &after, &pods, "--before", &before]);
    assert_eq!(changed.code, Some(1), "{}", changed.stderr);
    assert_eq!(
        changed.stdout,
        "Pod team/agent would be injected otherwise by team/agents\n  ~ agent/CLOUD_ML_REGION=us-east5 -> europe-west1\n\
         Deployment team/web would be injected otherwise by team/agents\n  ~ agent/CLOUD_ML_REGION=us-east5 -> europe-west1\n\
         2 of 3 pods would get something else\n"
    );
    let new = run(&["diff", "-f", &after, &pods]);
    assert_eq!(new.code, Some(1), "{}", new.stderr);
    new.tells(&[
        "Deployment team/web would be injected by team/agents\n",
        "  + agent/CLOUD_ML_REGION=europe-west1\n",
        "  + volume vertex-injector-credentials\n",
    ]);
}

#[test]
fn a_pod_that_would_be_denied_is_told_why_and_an_invalid_policy_is_trouble() {
    let files = Files::new(&[("before.yaml", TEAM_POLICY)]);
    let before = files.path("before.yaml");
    let with = |policy: &str| {
        let input = format!("{policy}---\n{}", pod("agent"));
        run_with(&["diff", "-f", "-", "--before", &before], &input)
    };
    let denied = with(&TEAM_POLICY.replace("{podSelector:", "{containers: [absent], podSelector:"));
    assert_eq!(denied.code, Some(1), "{}", denied.stderr);
    assert!(
        denied
            .stdout
            .starts_with("Pod team/agent would be denied (ContainerNotFound): policy team/agents: the pod has no"),
        "{}",
        denied.stdout
    );
    let left = with(&TEAM_POLICY.replace("agent: 'yes'", "agent: 'no'"));
    assert!(
        left.stdout
            .starts_with("Pod team/agent would be left alone (NotSelected): no policy selects"),
        "{}",
        left.stdout
    );
    let invalid = with(&format!(
        "{TEAM_POLICY}  env: [{{name: ANTHROPIC_BASE_URL, value: x}}]\n"
    ));
    assert_eq!((invalid.code, invalid.stdout.as_str()), (Some(2), ""));
    assert!(
        invalid.stderr.contains("policy team/agents: spec.env[0].name"),
        "{}",
        invalid.stderr
    );
    let nothing = run_with(&["diff", "-f", "-"], &pod("agent"));
    assert_eq!(nothing.code, Some(2));
    assert!(nothing.stderr.contains("no policy in the input"), "{}", nothing.stderr);
    let alone = run_with(&["diff", "-f", "-"], TEAM_POLICY);
    assert_eq!(alone.code, Some(2), "{}", alone.stdout);
    assert!(
        alone.stderr.contains("no pod to look at; say --cluster"),
        "{}",
        alone.stderr
    );
}

#[test]
fn pods_that_nothing_sends_are_told_of() {
    let settings = "agentSelectors: [{name: sessions, objectSelector: {matchLabels: {session: 'yes'}}}]\n";
    let files = Files::new(&[("operator.yaml", settings)]);
    let input = format!("{TEAM_POLICY}---\n{}", pod("agent"));
    let ran = run_with(&["diff", "-f", "-", "--config", &files.path("operator.yaml")], &input);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(0), "0 of 1 pods would get something else\n")
    );
    for word in [
        "policy team/agents would select pods that are never sent, such as team/agent:",
        "agentSelectors (sessions)",
    ] {
        assert!(ran.stderr.contains(word), "{}", ran.stderr);
    }
}

#[test]
fn where_no_cluster_answers_that_is_said_and_nothing_else() {
    let kubeconfig =
        "{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}],
      clusters: [{name: a, cluster: {server: 'http://127.0.0.1:9'}}], users: [{name: a, user: {token: secret-token}}]}";
    let files = Files::new(&[("config", kubeconfig), ("policy.yaml", TEAM_POLICY)]);
    let (config, policy) = (files.path("config"), files.path("policy.yaml"));
    for arguments in [
        &["check"][..],
        &["check", "pod", "agent"],
        &["audit"],
        &["diff", "--cluster", "-f", &policy],
    ] {
        let ran = run(&[arguments, &["--kubeconfig", &config]].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(
            ran.stderr.starts_with("error: ") && !ran.stderr.contains("secret-token"),
            "{}",
            ran.stderr
        );
        let other = run(&[arguments, &["--kubeconfig", &config, "--context", "b"]].concat());
        assert_eq!(other.code, Some(2), "{arguments:?}");
        assert!(
            other.stderr.contains("cannot use the file of --kubeconfig"),
            "{}",
            other.stderr
        );
    }
    let mut none = command(&["check"]);
    none.env("KUBECONFIG", "/nonexistent")
        .env_remove("KUBERNETES_SERVICE_HOST");
    let ran = harness::process::run(&mut none, "", LIMIT);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr
            .contains("no cluster is configured: set KUBECONFIG, give --kubeconfig, or run in a pod"),
        "{}",
        ran.stderr
    );
}
