//! Every pod of Ambient's with two credential sidecars added, through a real API server with its own plugins (A5 to A8).

use serde_json::{Value, json};

use crate::pods::of_file;
use crate::world::world;

/// Where the ServiceAccount plugin mounts the API token.
const API_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

fn policy(sidecars: &str) -> String {
    format!(
        "
agents:
- podSelector: {{matchExpressions: [{{key: ambient-code.io/session-id, operator: Exists}}]}}
  containers: [ambient-code-runner]
- podSelector: {{matchExpressions: [{{key: agentic-session, operator: Exists}}]}}
  containers: [ambient-code-runner]
mcpConfig: {{mountPath: /etc/mcp}}
sidecars: {sidecars}
"
    )
}

const GITLAB: &str = "{preset: gitlab, image: 'registry.example.com/mcp-gitlab:1', credential: {http: {url: 'https://tokens.example.com/v1/gitlab', audience: tokens}}, git: {allow: [{repositories: 'gitlab.com/acme/**', services: [Fetch]}]}}";
const KUBECONFIG: &str =
    "{preset: kubeconfig, image: 'registry.example.com/mcp-kubernetes:1', credential: {secret: {secretName: cluster}}}";
const GITHUB: &str = "{preset: github, image: 'registry.example.com/mcp-github:1', credential: {http: {url: 'https://tokens.example.com/v1/github', audience: tokens}}}";
const DOCS: &str = "{name: docs, image: 'registry.example.com/mcp-docs:1', port: 9100, transport: StreamableHTTP, mcpKey: docs, command: [server], credential: {secret: {secretName: docs}}, credentialEnv: [{name: TOKEN, field: 'token|apiToken'}]}";

#[test]
fn every_pod_of_ambient_gets_two_more_sidecars_and_keeps_what_it_has_to_the_byte() {
    let Some(world) = world() else { return };
    let kinds: [(&str, [&str; 2], [&str; 2], Value); 3] = [
        (
            "ambient-cp-runner",
            [GITLAB, KUBECONFIG],
            ["gitlab", "kubeconfig"],
            json!({
                "github": "http://localhost:8091", "jira": "http://localhost:8092",
                "gitlab": "http://localhost:8481", "kubeconfig": "http://localhost:8483",
            }),
        ),
        (
            "ambient-cp-runner-novertex",
            [GITHUB, DOCS],
            ["github", "docs"],
            json!({"github": "http://localhost:8480", "docs": "http://localhost:9100/mcp"}),
        ),
        (
            "ambient-operator-runner",
            [GITLAB, KUBECONFIG],
            ["gitlab", "kubeconfig"],
            json!({"gitlab": "http://localhost:8481", "kubeconfig": "http://localhost:8483"}),
        ),
    ];
    for (file, sidecars, names, urls) in kinds {
        let agents = world.opted_in(&format!("two-{file}"));
        agents.policy("agents", &policy(&format!("[{}]", sidecars.join(", "))));
        let plain = world.namespace(&format!("two-{file}-plain"), &[]);
        let pod = &of_file(file)[0];

        let (injected, own) = (agents.create(pod), plain.create(pod));

        // A5: every container but the runner is as it is without us, the runner's but for variables and mounts.
        for (list, (after, before)) in [
            (
                "containers",
                (containers(&injected, "containers"), containers(&own, "containers")),
            ),
            ("initContainers", (foreign(&injected), foreign(&own))),
        ] {
            assert_eq!(after.len(), before.len(), "{file}: {list}");
            for (after, before) in after.iter().zip(before) {
                let mut after = (*after).clone();
                let mut before = before.clone();
                if after["name"] == "ambient-code-runner" {
                    for field in ["env", "volumeMounts"] {
                        after.as_object_mut().unwrap().remove(field);
                        before.as_object_mut().unwrap().remove(field);
                    }
                }
                assert_eq!(unnamed(&after), unnamed(&before), "{file}: {}", before["name"]);
            }
        }
        // A6: the registry is extended, nothing else of it changes.
        let runner = named(&injected, "containers", "ambient-code-runner");
        let registry: Value = serde_json::from_str(variable(runner, "CREDENTIAL_MCP_URLS").as_str().unwrap()).unwrap();
        assert_eq!(registry, urls, "{file}");
        assert_eq!(variable(runner, "CREDENTIAL_SIDECAR_MODE"), "true", "{file}");
        // A7: what a sidecar is.
        let all: Vec<String> = containers(&injected, "initContainers")
            .iter()
            .map(|container| container["name"].as_str().unwrap().to_owned())
            .filter(|name| name.starts_with("vertex-injector-"))
            .collect();
        assert_eq!(
            all,
            [
                "vertex-injector-copy".to_owned(),
                format!("vertex-injector-{}", names[0]),
                format!("vertex-injector-{}", names[1])
            ],
            "{file}"
        );
        for name in names {
            let sidecar = named(&injected, "initContainers", &format!("vertex-injector-{name}"));
            assert_eq!(sidecar["restartPolicy"], "Always");
            assert!(sidecar["startupProbe"]["exec"].is_object() && sidecar["readinessProbe"]["exec"].is_object());
            assert!(
                sidecar["resources"]["requests"]["cpu"].is_string()
                    && sidecar["resources"]["limits"]["memory"].is_string()
            );
            let context = &sidecar["securityContext"];
            assert_eq!(context["runAsNonRoot"], true);
            assert_eq!(context["readOnlyRootFilesystem"], true);
            assert_eq!(context["allowPrivilegeEscalation"], false);
            assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
            assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault");
            assert!(context.get("runAsUser").is_none());
            // The plugin gave it no API token, whatever the pod says of automounting.
            let mount = mount(sidecar, API_TOKEN);
            assert_eq!(mount["name"], "vertex-injector-no-api-token", "{file}: {name}");
        }
        // A8: what the runner trusts, the sidecars do beside their images' own; and they go out where it does.
        let proxy = variable(runner, "HTTPS_PROXY").clone();
        let trusted = variable(runner, "SSL_CERT_FILE").as_str();
        let trusted = trusted.map(|file| file.rsplit('/').next().unwrap_or_default());
        let trusted = trusted.map(|file| format!("/run/vertex-injector/trust/SSL_CERT_FILE/{file}"));
        for sidecar in names {
            let sidecar = named(&injected, "initContainers", &format!("vertex-injector-{sidecar}"));
            assert_eq!(*variable(sidecar, "HTTPS_PROXY"), proxy, "{file}");
            assert_eq!(
                variable(sidecar, "VERTEX_INJECTOR_CA_FILES").as_str(),
                trusted.as_deref(),
                "{file}"
            );
            assert!(variable(sidecar, "SSL_CERT_FILE").is_null(), "{file}");
        }
        let exceptions = variable(runner, "NO_PROXY").as_str().unwrap_or("localhost,127.0.0.1");
        assert!(
            exceptions.contains("localhost") && exceptions.contains("127.0.0.1"),
            "{exceptions}"
        );
        // The credential is the sidecar's: the runner mounts nothing of it.
        let mounts = runner["volumeMounts"].to_string();
        assert!(!mounts.contains("vertex-injector-cred-"), "{mounts}");
    }
}

#[test]
fn a_sidecar_that_the_operators_lists_do_not_cover_is_refused_when_the_policy_is_written() {
    let Some(world) = world() else { return };
    let agents = world.opted_in("uncovered");
    for (sidecar, words) in [
        ("{preset: github, image: 'docker.io/evil:1'}", "is not allowed"),
        ("{preset: github}", "the operator sets no image for preset github"),
        (
            "{preset: github, image: 'registry.example.com/mcp-a:1', credential: {http: {url: 'https://evil.example/x', audience: a}}}",
            "may not receive tokens",
        ),
        (
            "{preset: github, image: 'registry.example.com/mcp-a:latest'}",
            "must name a version",
        ),
        (
            "{preset: github, image: 'registry.example.com/mcp-a:1', credential: {ambientExchange: {}}}",
            "isolation",
        ),
    ] {
        let refused = agents.refused_policy("refused", &format!("sidecars: [{sidecar}]"));
        assert!(refused.contains(words), "{sidecar}: {refused}");
    }
}

fn containers<'p>(pod: &'p Value, list: &str) -> Vec<&'p Value> {
    pod["spec"][list]
        .as_array()
        .map(|all| all.iter().collect())
        .unwrap_or_default()
}

/// The init containers that are not ours.
fn foreign(pod: &Value) -> Vec<&Value> {
    let mut all = containers(pod, "initContainers");
    all.retain(|container| !container["name"].as_str().unwrap().starts_with("vertex-injector-"));
    all
}

#[track_caller]
fn named<'p>(pod: &'p Value, list: &str, name: &str) -> &'p Value {
    let all = containers(pod, list);
    all.into_iter()
        .find(|container| container["name"] == name)
        .unwrap_or_else(|| panic!("no container {name}"))
}

fn variable<'p>(container: &'p Value, name: &str) -> &'p Value {
    let env = container["env"].as_array().map(Vec::as_slice).unwrap_or_default();
    env.iter()
        .find(|entry| entry["name"] == name)
        .map_or(&Value::Null, |entry| &entry["value"])
}

#[track_caller]
fn mount<'p>(container: &'p Value, path: &str) -> &'p Value {
    let mounts = container["volumeMounts"].as_array().expect("mounts");
    mounts
        .iter()
        .find(|mount| mount["mountPath"] == path)
        .unwrap_or_else(|| panic!("nothing at {path}"))
}

/// Without the random name of the API token's volume.
fn unnamed(container: &Value) -> String {
    let text = container.to_string();
    match text.split_once("kube-api-access-") {
        Some((before, after)) => format!("{before}kube-api-access-{}", after.get(5..).unwrap_or_default()),
        None => text,
    }
}
