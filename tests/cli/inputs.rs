//! Inputs that cannot be used: each is told precisely, on standard error, with exit code 2.

use super::{Files, POD, TEAM_POLICY, one, pod, run, run_with};

/// What is told about unusable arguments or input; nothing may be on standard output.
#[track_caller]
fn told(arguments: &[&str], input: &str) -> String {
    let ran = run_with(arguments, input);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
    ran.stderr
}

#[test]
fn a_file_that_does_not_exist() {
    for verb in ["inject", "explain", "validate"] {
        let told = told(&[verb, "-f", "no/such/file.yaml"], "");
        assert_eq!(
            told,
            "error: no/such/file.yaml: cannot be read: No such file or directory (os error 2)\n"
        );
    }
    let told = told(&["inject", "-f", POD, "--policy", "no/such/policy.yaml"], "");
    assert!(told.starts_with("error: no/such/policy.yaml: cannot be read"), "{told}");
}

#[test]
fn all_broken_files_are_told_at_once() {
    let files = Files::new(&[
        ("a.yaml", "a: [\n"),
        ("b.yaml", "kind: A\nkind: B\n"),
        ("c.json", "{\"a\": }"),
    ]);
    let told = told(
        &[
            "inject",
            "-f",
            &files.path("a.yaml"),
            &files.path("b.yaml"),
            "-f",
            &files.path("c.json"),
        ],
        "",
    );
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 2, "{told}");
    assert!(lines[0].contains("a.yaml:1: document 1: not valid YAML"), "{told}");
    assert!(
        lines[1].ends_with("b.yaml:2: document 1: duplicate key \"kind\""),
        "{told}"
    );
}

#[test]
fn what_is_no_object() {
    assert_eq!(
        told(&["inject", "-f", "-"], "replicas: 3\n"),
        "error: standard input: not a Kubernetes object: it has no apiVersion\n"
    );
    assert_eq!(
        told(&["inject", "-f", "-"], "apiVersion: v1\nkind: A\n---\napiVersion: v1\n"),
        "error: standard input (document 2): not a Kubernetes object: it has no kind\n"
    );
    assert!(told(&["inject", "-f", "-"], "hello\n").contains("this is a string"));
    for empty in ["", "# nothing\n", "---\n---\n"] {
        assert_eq!(
            told(&["inject", "-f", "-"], empty),
            "error: no Kubernetes object in the input\n"
        );
    }
    let files = Files::new(&[("README.md", "no manifest")]);
    assert_eq!(
        told(&["explain", "-f", &files.path("")], ""),
        "error: no Kubernetes object in the input\n"
    );
}

#[test]
fn standard_input_twice() {
    assert!(told(&["validate", "-f", "-", "-f", "-"], "").contains("only once"));
    assert_eq!(
        told(&["inject", "-f", "-", "-"], ""),
        "error: standard input (-) can be read only once\n"
    );
    assert_eq!(
        told(&["inject", "-f", "-", "--policy", "-"], &pod("a")),
        "error: standard input (-) can be read only once\n"
    );
}

#[test]
fn an_invalid_policy_is_told_with_all_its_errors() {
    let policy = TEAM_POLICY
        .replace("us-east5", "us east")
        .replace("clients:", "client:");
    let told = told(&["inject", "-f", "-"], &format!("{}---\n{policy}", pod("a")));
    let lines: Vec<&str> = told.lines().collect();
    let place = "error: standard input (document 2): InjectionPolicy/agents: ";
    assert_eq!(lines.len(), 3, "{told}");
    assert!(lines.iter().all(|line| line.starts_with(place)), "{told}");
    assert!(
        told.contains("spec.vertex.region: \"us east\" is not global, us, eu, or a region such as us-east5"),
        "{told}"
    );
    assert!(
        told.contains("spec.vertex.client: unknown field; did you mean clients?"),
        "{told}"
    );
    assert!(told.contains("spec.vertex.clients: is required"), "{told}");
}

#[test]
fn the_same_policy_twice_is_fine_and_two_different_ones_of_a_name_are_not() {
    let files = Files::new(&[
        ("policy.yaml", TEAM_POLICY),
        ("other.yaml", &TEAM_POLICY.replace("us-east5", "global")),
        ("pod.yaml", &pod("a")),
    ]);
    let (pod, policy, other) = (
        files.path("pod.yaml"),
        files.path("policy.yaml"),
        files.path("other.yaml"),
    );
    assert_eq!(run(&["inject", "-f", &pod, &policy, "--policy", &policy]).code, Some(0));
    let told = told(&["inject", "-f", &pod, "--policy", &policy, &other], "");
    assert_eq!(
        told,
        format!(
            "error: {other}: InjectionPolicy/agents: metadata.name: another policy of this name stands in {policy}; leave one of \
             the two out, or give it another name\n"
        )
    );
}

#[test]
fn what_is_no_policy_among_the_policies_is_told_and_ignored() {
    let files = Files::new(&[("policy.yaml", &format!("{TEAM_POLICY}---\n{}", pod("stray")))]);
    let ran = run_with(
        &["inject", "-f", "-", "--policy", &files.path("policy.yaml")],
        &pod("a"),
    );
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.stderr.contains(&format!(
            "warning: {} (document 2): Pod/stray: neither a policy nor a Namespace, ignored\n",
            files.path("policy.yaml")
        )),
        "{}",
        ran.stderr
    );
    assert_eq!(one(&ran.stdout)["metadata"]["name"], "a");
}

#[test]
fn settings_of_the_operator_that_do_not_exist_or_do_not_fit() {
    for (settings, problem) in [
        (
            "sidecarImage: []\n",
            "sidecarImage: unknown field `sidecarImage`, expected one of `namespaceSelector`",
        ),
        ("sidecarImages: s3cr3t\n", "sidecarImages: must be a sequence"),
        ("endpointHosts: [{a: s3cr3t}]\n", "endpointHosts[0]: must be a string"),
        (
            "agentSelectors: [{objectSelector: {}}]\n",
            "agentSelectors[0]: missing field `name`",
        ),
        (
            "endpointHosts: [a.example, 'https://s3cr3t.example']\n",
            "endpointHosts[1]: has a port that is no number from 1 to 65535",
        ),
        (
            "credentialHosts: [10.0.0.1]\n",
            "credentialHosts[0]: has an address for a host; other than on loopback, use its name",
        ),
        (
            "broker: {httpsProxy: 'http://me:s3cr3t@proxy:3128'}\n",
            "broker.httpsProxy: must be http://HOST:PORT, without a user and a password",
        ),
        ("a: 1\n---\nb: 2\n", "more than one document"),
        ("- a\n", "this is a list"),
    ] {
        let files = Files::new(&[("operator.yaml", settings)]);
        let told = told(&["inject", "-f", POD, "--config", &files.path("operator.yaml")], "");
        assert!(
            told.contains(&format!("{}: ", files.path("operator.yaml"))) || told.contains("operator.yaml:1: "),
            "{told}"
        );
        assert!(told.contains(problem), "{problem}\n{told}");
        assert!(!told.contains("s3cr3t"), "{told}");
    }
    let files = Files::new(&[("empty.yaml", "# the defaults\n")]);
    assert_eq!(
        run(&["explain", "-f", POD, "--config", &files.path("empty.yaml")]).code,
        Some(0)
    );
}

#[test]
fn arguments_that_do_not_exist_or_do_not_fit() {
    for (arguments, words) in [
        (&["inject"][..], "--filename"),
        (
            &["inject", "-f", POD, "-o", "xml"],
            "[possible values: yaml, json, patch]",
        ),
        (&["explain", "-f", POD, "-o", "yaml"], "[possible values: text, json]"),
        (&["inject", "-f", POD, "--polices", "x"], "--policy"),
        (&["injct"], "inject"),
        (&["completions", "ksh"], "bash"),
        (&["crds", "--output-dir", "x", "-o", "json"], "cannot be used with"),
    ] {
        let told = told(arguments, "");
        assert!(told.contains(words), "{arguments:?}: {told}");
    }
}

#[test]
fn files_directories_and_several_of_each_are_read() {
    let files = Files::new(&[("b.yaml", &pod("b")), ("a.json", &one(&pod("a")).to_string())]);
    let extra = Files::new(&[("policy.yaml", TEAM_POLICY)]);
    let ran = run(&[
        "explain",
        "-f",
        &files.path(""),
        POD,
        "--policy",
        &extra.path(""),
        "-o",
        "json",
    ]);
    let pods: Vec<serde_json::Value> = serde_json::from_str(&ran.stdout).unwrap();
    let told: Vec<(&str, &str)> = pods
        .iter()
        .map(|pod| (pod["name"].as_str().unwrap(), pod["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(
        told,
        [
            ("a", "Injected"),
            ("b", "Injected"),
            ("kartograph-sticky-01jx8z4m3q2r5t7v9w0y1a2b3c", "NotSelected")
        ]
    );
}
