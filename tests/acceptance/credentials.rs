//! Design 8: where a sidecar's credential comes from, and that nobody else in the pod gets it.

use serde_json::{Value, json};
use support::view::list;
use support::{Admission, World, agent_with, example, pod_security, yaml};
use vertex_injector_core::admission::Reason;

const OPERATOR: &str = "
sidecarImages: ['ghcr.io/acme/*']
presetImages: {github: 'ghcr.io/acme/github:1', jira: 'ghcr.io/acme/jira:1', kubeconfig: 'ghcr.io/acme/k8s:1', gitlab: 'ghcr.io/acme/gitlab:1', google: 'ghcr.io/acme/google:1'}
credentialHosts: [tokens.example.com, 'ambient-control-plane.ambient-code.svc:8080', 'ambient-api-server.ambient-code.svc:8000']
broker: {image: 'registry.example.com/vertex-injector:1'}";

/// A policy for containers of this name.
fn serving(container: &str, spec: &str) -> World {
    World::serving_under(
        OPERATOR,
        &format!(
            "  agents: [{{podSelector: {{}}, containers: [{container}]}}]
{spec}"
        ),
    )
}

fn world(spec: &str) -> World {
    serving("agent", spec)
}

pub(crate) fn of_sidecars(sidecars: &str) -> World {
    world(&format!("  sidecars: {sidecars}"))
}

/// The same for Ambient's runners.
pub(crate) fn ambient(spec: &str) -> World {
    serving("ambient-code-runner", spec)
}

pub(crate) fn init_names(admission: &Admission) -> Vec<String> {
    let all = list(&admission.after["spec"], "initContainers").iter();
    all.map(|it| it["name"].as_str().unwrap().to_owned()).collect()
}

/// The command of a wrapped sidecar: its flags, and what it runs.
pub(crate) fn wrapped(admission: &Admission, name: &str) -> (Vec<String>, Vec<String>) {
    let sidecar = admission.injected().container(name);
    let command: Vec<String> = list(sidecar.value(), "command")
        .iter()
        .map(|part| part.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        command[..2],
        ["/run/vertex-injector/program/vertex-injector-sidecar", "exec"]
    );
    let end = command.iter().position(|part| part == "--").expect("--");
    (command[2..end].to_vec(), command[end + 1..].to_vec())
}

pub(crate) const HTTP: &str = "credential: {http: {url: 'https://tokens.example.com/v1/github', audience: tokens}}";

#[test]
fn a_preset_follows_its_secret_and_only_the_sidecar_gets_it() {
    let admission =
        of_sidecars("[{preset: github, credential: {secret: {secretName: github-token}}}]").admit(&agent_with("[]"));
    let pod = admission.injected();
    assert_eq!(
        init_names(&admission),
        ["vertex-injector-copy", "vertex-injector-github"]
    );
    let sidecar = pod.container("vertex-injector-github");
    assert_eq!(sidecar.value()["image"], "ghcr.io/acme/github:1");
    let (flags, command) = wrapped(&admission, "vertex-injector-github");
    assert_eq!(
        flags,
        [
            "--source",
            "file:/run/vertex-injector/credential",
            "--env",
            "GITHUB_PERSONAL_ACCESS_TOKEN=token"
        ]
    );
    assert_eq!(
        command,
        [
            "mcp-proxy",
            "--host",
            "127.0.0.1",
            "--port",
            "8480",
            "--pass-environment",
            "--",
            "github-mcp-server",
            "stdio"
        ]
    );
    let agent = pod.container("agent");
    assert_eq!(
        agent.env("CREDENTIAL_MCP_URLS"),
        r#"{"github":"http://localhost:8480"}"#
    );
    assert!(!agent.value().to_string().contains("github-token"));
    assert_eq!(admission.decision.needs[0].name, "github-token");
}

#[test]
fn a_credential_from_an_endpoint_is_fetched_by_the_wrapper_with_a_token_that_is_mounted_only_there() {
    let admission = of_sidecars(&format!("[{{preset: github, {HTTP}}}]")).admit(&agent_with("[]"));
    let pod = admission.injected();
    assert_eq!(
        init_names(&admission),
        ["vertex-injector-copy", "vertex-injector-github"]
    );
    let (flags, command) = wrapped(&admission, "vertex-injector-github");
    assert_eq!(
        flags,
        [
            "--source",
            "https://tokens.example.com/v1/github",
            "--token-file",
            "/run/vertex-injector/credential/token",
            "--allow-host",
            "tokens.example.com:443",
            "--env",
            "GITHUB_PERSONAL_ACCESS_TOKEN=token",
        ]
    );
    assert_eq!(command[0], "mcp-proxy");
    let sidecar = pod.container("vertex-injector-github");
    let volume = sidecar.mount("/run/vertex-injector/credential")["name"]
        .as_str()
        .unwrap();
    let source = &pod.volume(volume).unwrap()["projected"]["sources"][0]["serviceAccountToken"];
    assert_eq!(
        *source,
        json!({"audience": "tokens", "expirationSeconds": 3600, "path": "token"})
    );
    let others = list(&admission.after["spec"], "containers").iter();
    let mut others = others.chain(
        list(&admission.after["spec"], "initContainers")
            .iter()
            .filter(|it| it["name"] != "vertex-injector-github"),
    );
    assert!(!others.any(|container| container["volumeMounts"].to_string().contains(volume)));
}

#[test]
fn our_program_is_copied_into_memory_before_the_sidecar_that_runs_it() {
    let admission = of_sidecars(&format!("[{{preset: github, {HTTP}}}]")).admit(&agent_with("[]"));
    let pod = admission.injected();
    let copy = pod.container("vertex-injector-copy");
    assert_eq!(copy.value()["image"], "registry.example.com/vertex-injector:1");
    assert_eq!(copy.value()["command"], json!(["/vertex-injector-sidecar"]));
    assert_eq!(
        copy.value()["args"],
        json!(["copy", "--to", "/run/vertex-injector/program"])
    );
    assert!(
        copy.value().get("restartPolicy").is_none(),
        "it ends before the agent starts"
    );
    assert_eq!(pod_security::violations(copy.value()), Vec::<String>::new());
    let volume = copy.mount("/run/vertex-injector/program");
    assert_eq!(volume.get("readOnly"), None);
    assert_eq!(
        pod.volume("vertex-injector-program").unwrap()["emptyDir"]["medium"],
        "Memory"
    );
    let sidecar = pod.container("vertex-injector-github");
    assert_eq!(sidecar.mount("/run/vertex-injector/program")["readOnly"], true);
    assert_eq!(pod_security::violations(sidecar.value()), Vec::<String>::new());
}

#[test]
fn a_wrapped_sidecar_is_started_when_it_listens_and_ready_when_it_has_a_credential() {
    let admission = of_sidecars(&format!("[{{preset: github, {HTTP}}}]")).admit(&agent_with("[]"));
    let sidecar = admission.injected().container("vertex-injector-github");
    let program = "/run/vertex-injector/program/vertex-injector-sidecar";
    assert_eq!(
        sidecar.value()["startupProbe"]["exec"]["command"],
        json!([program, "probe"])
    );
    assert_eq!(
        sidecar.value()["readinessProbe"]["exec"]["command"],
        json!([program, "probe", "--ready"])
    );
    assert_eq!(sidecar.env("VERTEX_INJECTOR_CONTROL_PORT"), "8490");
    assert!(
        sidecar.value().get("livenessProbe").is_none(),
        "nobody restarts it because its upstream is down"
    );
}

#[test]
fn files_of_a_credential_are_in_memory_and_in_this_sidecar_only() {
    let kubeconfig = "[{preset: kubeconfig, credential: {secret: {secretName: cluster}}, onRefresh: SignalHUP}]";
    let admission = of_sidecars(kubeconfig).admit(&agent_with("[]"));
    let pod = admission.injected();
    let (flags, command) = wrapped(&admission, "vertex-injector-kubeconfig");
    assert_eq!(
        flags,
        [
            "--source",
            "file:/run/vertex-injector/credential",
            "--file",
            "/run/vertex-injector/files/kubeconfig=kubeconfig|token",
            "--on-refresh",
            "signal:HUP",
        ]
    );
    assert!(
        command.join(" ").contains("--bind-address 127.0.0.1 --port 8483"),
        "{command:?}"
    );
    let sidecar = pod.container("vertex-injector-kubeconfig");
    let files = sidecar.mount("/run/vertex-injector/files")["name"].as_str().unwrap();
    assert_eq!(pod.volume(files).unwrap()["emptyDir"]["medium"], "Memory");
    assert_eq!(
        pod.volume("vertex-injector-cred-kubeconfig").unwrap()["secret"]["secretName"],
        "cluster"
    );
    pod.container("agent").lacks(&["KUBECONFIG"]);
}

#[test]
fn ports_are_free_ones_and_those_of_a_preset_move() {
    let two = format!("[{{preset: github, {HTTP}}}, {{preset: gitlab, {HTTP}}}]");
    let mut taken = agent_with("[]");
    taken["spec"]["containers"][0]["ports"] = json!([{"containerPort": 8480}, {"containerPort": 8490}]);
    let admission = of_sidecars(&two).admit(&taken);
    let pod = admission.injected();
    let ports = |name: &str| pod.container(name).value()["ports"][0]["containerPort"].clone();
    assert_eq!(
        (ports("vertex-injector-github"), ports("vertex-injector-gitlab")),
        (json!(8481), json!(8482))
    );
    let control = |name: &str| pod.container(name).env("VERTEX_INJECTOR_CONTROL_PORT").to_owned();
    assert_eq!(control("vertex-injector-github"), "8491");
    assert_eq!(control("vertex-injector-gitlab"), "8492");
}

#[test]
fn what_the_policy_says_wins_over_the_preset() {
    let own = format!(
        "[{{preset: github, name: forge, image: 'ghcr.io/acme/other:2', command: [server, --listen, '127.0.0.1:9000'], port: 9000, transport: StreamableHTTP, path: /x, mcpKey: forge, {HTTP}, credentialEnv: [{{name: PAT, field: 'pat|token'}}], env: [{{name: GITHUB_HOST, value: ghe.example.com}}]}}]"
    );
    let admission = of_sidecars(&own).admit(&agent_with("[]"));
    let (flags, command) = wrapped(&admission, "vertex-injector-forge");
    assert!(
        flags.ends_with(&["--env".to_owned(), "PAT=pat|token".to_owned()]),
        "{flags:?}"
    );
    assert_eq!(command, ["server", "--listen", "127.0.0.1:9000"]);
    let pod = admission.injected();
    assert_eq!(
        pod.container("agent").env("CREDENTIAL_MCP_URLS"),
        r#"{"forge":"http://localhost:9000/x"}"#
    );
    assert_eq!(
        pod.container("vertex-injector-forge").env("GITHUB_HOST"),
        "ghe.example.com"
    );
}

#[test]
fn proxies_and_certificates_are_the_agents_and_replace_nothing() {
    let spec = format!("  sidecars: [{{preset: github, {HTTP}}}, {{preset: jira, {HTTP}, mcpKey: jira2}}]");
    let mut runner = example("ambient-cp-runner");
    runner["spec"]["containers"][0]["env"].as_array_mut().unwrap().extend([
        json!({"name": "HTTPS_PROXY", "value": "http://proxy:3128"}),
        json!({"name": "NO_PROXY", "value": ".svc"}),
    ]);
    // It has a github sidecar of its own.
    let spec = spec.replace("preset: github,", "preset: github, mcpKey: github2,");
    let admission = ambient(&spec).admit(&runner);
    let pod = admission.injected();
    for name in ["vertex-injector-github", "vertex-injector-jira"] {
        let sidecar = pod.container(name);
        assert_eq!(sidecar.env("HTTPS_PROXY"), "http://proxy:3128");
        assert_eq!(sidecar.env("NO_PROXY"), ".svc,127.0.0.1,localhost");
        sidecar.lacks(&["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"]);
        let file = "/run/vertex-injector/trust/SSL_CERT_FILE/service-ca.crt";
        assert_eq!(sidecar.env("VERTEX_INJECTOR_CA_FILES"), file);
        let mount = sidecar.mount(file);
        assert_eq!(
            (&mount["name"], &mount["readOnly"], &mount["subPath"]),
            (&json!("service-ca"), &json!(true), &json!("service-ca.crt"))
        );
    }
    for own in ["ambient-mcp", "credential-github", "credential-jira"] {
        pod.container(own).unchanged();
    }
}

#[test]
fn git_is_sent_to_the_sidecar_beside_what_the_pod_has() {
    let spec = format!(
        "[{{preset: github, {HTTP}, git: {{allow: [{{repositories: 'github.com/acme/*', services: [Fetch, Push]}}, {{repositories: 'github.com/oss/**', services: [Fetch]}}]}}}}]"
    );
    let own = "[{name: GIT_CONFIG_COUNT, value: '1'}, {name: GIT_CONFIG_KEY_0, value: safe.directory}, {name: GIT_CONFIG_VALUE_0, value: '*'}]";
    let admission = of_sidecars(&spec).admit(&agent_with(own));
    let (flags, _) = wrapped(&admission, "vertex-injector-github");
    assert_eq!(
        flags[8..],
        [
            "--git-port",
            "8510",
            "--git-host",
            "github.com",
            "--git-allow",
            "github.com/acme/*:fetch,push",
            "--git-allow",
            "github.com/oss/**:fetch"
        ]
    );
    let agent = admission.injected().container("agent");
    assert_eq!(agent.env("GIT_CONFIG_COUNT"), "4");
    assert_eq!(agent.env("GIT_CONFIG_KEY_0"), "safe.directory");
    assert_eq!(
        agent.env("GIT_CONFIG_KEY_1"),
        "url.http://127.0.0.1:8510/github.com/.insteadOf"
    );
    assert_eq!(agent.env("GIT_CONFIG_VALUE_1"), "https://github.com/");
    // Without the sidecar the pod has its own configuration again.
    let without = of_sidecars("[]").admit(&admission.after);
    let agent = &without.after["spec"]["containers"][0]["env"];
    assert_eq!(*agent, yaml(own));
}

#[test]
fn git_of_the_pods_that_would_contradict_or_cannot_be_read_is_refused() {
    let spec = format!(
        "[{{preset: github, {HTTP}, git: {{allow: [{{repositories: 'github.com/acme/*', services: [Fetch]}}]}}}}]"
    );
    for (env, word) in [
        ("[{name: GIT_CONFIG_COUNT, value: x}]", "GIT_CONFIG_COUNT"),
        (
            "[{name: GIT_CONFIG_COUNT, valueFrom: {configMapKeyRef: {name: c, key: k}}}]",
            "valueFrom",
        ),
        (
            "[{name: GIT_CONFIG_COUNT, value: '1'}, {name: GIT_CONFIG_KEY_0, value: 'url.https://m/.insteadOf'}, {name: GIT_CONFIG_VALUE_0, value: 'https://github.com/'}]",
            "GIT_CONFIG_KEY_0",
        ),
    ] {
        let denied = of_sidecars(&spec).admit(&agent_with(env));
        let message = denied.denied(Reason::Conflict);
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn mcp_configuration_as_a_file_follows_an_annotation_and_is_read_only() {
    for (format, file, expected) in [
        (
            "",
            ".mcp.json",
            json!({"mcpServers": {
                "github": {"type": "sse", "url": "http://localhost:8480/sse"},
                "docs": {"type": "http", "url": "http://localhost:9000/mcp"},
            }}),
        ),
        (
            ", format: GeminiCLI",
            "settings.json",
            json!({"mcpServers": {
                "github": {"url": "http://localhost:8480/sse"},
                "docs": {"httpUrl": "http://localhost:9000/mcp"},
            }}),
        ),
    ] {
        let spec = format!(
            "  mcpConfig: {{mountPath: /etc/mcp{format}}}
  sidecars: [{{preset: github, {HTTP}}}, {{name: docs, image: 'ghcr.io/acme/docs:1', port: 9000, transport: StreamableHTTP, mcpKey: docs}}]"
        );
        let admission = world(&spec).admit(&agent_with("[]"));
        let pod = admission.injected();
        let text = pod
            .annotation("vertex-injector.dev/mcp-configuration")
            .expect("an annotation");
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), expected);
        let mount = pod.container("agent").mount("/etc/mcp");
        assert_eq!(mount["readOnly"], true);
        let volume = pod.volume(mount["name"].as_str().unwrap()).unwrap();
        assert_eq!(
            volume["downwardAPI"]["items"],
            json!([{"path": file, "fieldRef": {"fieldPath": "metadata.annotations['vertex-injector.dev/mcp-configuration']"}}])
        );
        // Without it in the policy nothing of it stays.
        let without = of_sidecars("[]").admit(&admission.after).after;
        assert!(!without.to_string().contains("mcp-configuration"), "{without}");
    }
}

#[test]
fn an_agent_that_could_read_the_sidecars_credential_is_denied_unless_the_policy_accepts_it() {
    let secret = "sidecars: [{preset: github, credential: {secret: {secretName: github-token}}}]";
    let ways = [
        (
            "{shareProcessNamespace: true, containers: [{name: agent, image: a}]}",
            "shareProcessNamespace",
        ),
        (
            "{containers: [{name: agent, image: a, env: [{name: T, valueFrom: {secretKeyRef: {name: github-token, key: token}}}]}]}",
            "takes variables from Secret \"github-token\"",
        ),
        (
            "{containers: [{name: agent, image: a, volumeMounts: [{name: s, mountPath: /s}]}], volumes: [{name: s, secret: {secretName: github-token}}]}",
            "mounts volume \"s\"",
        ),
    ];
    for (spec, words) in ways {
        let mut pod = agent_with("[]");
        pod["spec"] = yaml(spec);
        let denied = world(&format!("  {secret}")).admit(&pod);
        let message = denied.denied(Reason::NotIsolated);
        assert!(message.contains(words), "{message}");
        let admitted = world(&format!("  isolation: BestEffort\n  {secret}")).admit(&pod);
        assert!(admitted.decision.warnings.join("\n").contains(words));
        admitted.injected();
    }
}

#[test]
fn a_policy_that_gives_the_agent_the_sidecars_credential_is_a_way_around() {
    let sidecar = "  sidecars: [{preset: github, credential: {secret: {secretName: github-token}}}]";
    let plain = agent_with("[]");
    for (more, said) in [
        (
            "  env: [{name: COPY, valueFrom: {secretKeyRef: {name: github-token, key: token}}}]",
            "the policy's own variable COPY comes from Secret \"github-token\", which is a sidecar's credential",
        ),
        (
            "  volumes: [{name: copy, secret: {secretName: github-token}}]\n  volumeMounts: [{name: copy, mountPath: /copy}]",
            "the policy's own volume \"copy\" holds Secret \"github-token\", which is a sidecar's credential",
        ),
    ] {
        let denied = world(&format!("{sidecar}\n{more}")).admit(&plain);
        let message = denied.denied(Reason::NotIsolated);
        assert!(message.contains(said), "{message}");
        let other = more.replace("github-token", "other");
        world(&format!("{sidecar}\n{other}")).admit(&plain).injected();
    }
}

#[test]
fn what_a_policy_may_not_say_of_a_credential_is_refused_with_its_field() {
    let http = |url: &str| format!("[{{preset: github, credential: {{http: {{url: '{url}', audience: tokens}}}}}}]");
    let cases = [
        (
            http("https://tokens.example.com.evil.com/x"),
            "credential.http.url",
            "tokens.example.com.evil.com:443",
        ),
        (
            http("https://tokens.example.com:8443/x"),
            "credential.http.url",
            "may not receive tokens",
        ),
        (
            http("https://tokens.example.com./x"),
            "credential.http.url",
            "not of the form",
        ),
        (http("https://127.0.0.1/xxx"), "credential.http.url", "not of the form"),
        (
            http("http://tokens.example.com/x"),
            "credential.http.url",
            "unencrypted",
        ),
        (
            "[{preset: github, credential: {http: {url: 'https://tokens.example.com/x', audience: kubernetes}}}]"
                .to_owned(),
            "credential.http.audience",
            "API server",
        ),
        (
            "[{preset: github, credential: {ambientExchange: {}}}]".to_owned(),
            "credential.ambientExchange",
            "needs BestEffort",
        ),
        (
            format!("[{{preset: github, {HTTP}, gitCredentials: {{hosts: [github.com]}}}}]"),
            "gitCredentials",
            "needs BestEffort",
        ),
        (
            format!(
                "[{{name: x, image: 'ghcr.io/acme/x:1', port: 9000, {HTTP}, credentialEnv: [{{name: T, field: token}}]}}]"
            ),
            "command",
            "wrapper",
        ),
        (
            format!("[{{preset: github, {HTTP}, credentialEnv: [{{name: VERTEX_INJECTOR_LOG, field: token}}]}}]"),
            "credentialEnv[0].name",
            "injector's own",
        ),
        (
            format!("[{{preset: github, {HTTP}, env: [{{name: VERTEX_INJECTOR_LOG, value: trace}}]}}]"),
            "env[0].name",
            "injector's own",
        ),
        (
            format!("[{{preset: github, {HTTP}, credentialFiles: [{{path: /tmp/token, field: token}}]}}]"),
            "credentialFiles[0].path",
            "directory of its own",
        ),
        (
            format!(
                "[{{preset: github, {HTTP}, credentialFiles: [{{path: /var/run/vertex-injector/credential/token, field: token}}]}}]"
            ),
            "credentialFiles[0].path",
            "/run/vertex-injector",
        ),
        (
            format!(
                "[{{preset: jira, {HTTP}, git: {{allow: [{{repositories: 'github.com/a/b', services: [Fetch]}}]}}}}]"
            ),
            "git.hosts",
            "needed",
        ),
        (
            format!(
                "[{{preset: github, {HTTP}, git: {{allow: [{{repositories: 'gitlab.com/a/b', services: [Fetch]}}]}}}}]"
            ),
            "git.allow[0].repositories",
            "does not begin",
        ),
        (
            format!("[{{preset: github, {HTTP}}}, {{preset: github, {HTTP}}}]"),
            "sidecars[1].name",
            "occurs twice",
        ),
        (
            format!("[{{preset: github, name: copy, {HTTP}}}]"),
            "sidecars[0].name",
            "injector's own",
        ),
        (
            "[{preset: github, image: 'ghcr.io/acme/x:latest'}]".to_owned(),
            "image",
            "other than latest",
        ),
        (
            "[{preset: github, image: 'ghcr.io:443/acme/x'}]".to_owned(),
            "image",
            "other than latest",
        ),
        (
            "[{preset: github, onRefresh: Restart}]".to_owned(),
            "onRefresh",
            "needs credential",
        ),
    ];
    for (sidecars, field, words) in cases {
        let denied = of_sidecars(&sidecars).admit(&agent_with("[]"));
        let message = denied.denied(Reason::PolicyUnusable);
        assert!(
            message.contains(field) && message.contains(words),
            "{sidecars}: {message}"
        );
    }
}

#[test]
fn what_a_server_reads_of_its_credential_is_its_authors_to_say() {
    let sidecars = format!(
        "[{{preset: github, {HTTP}, credentialEnv: [{{name: LD_PRELOAD, field: token}}],
            credentialFiles: [{{path: /usr/lib/token, field: token}}]}}]"
    );
    of_sidecars(&sidecars).admit(&agent_with("[]")).injected();
}

#[test]
fn a_preset_without_an_image_of_the_operators_needs_one() {
    let world = World::serving_under(
        "{}",
        "  agents: [{podSelector: {}}]
  sidecars: [{preset: jira}]",
    );
    let denied = world.admit(&agent_with("[]"));
    let message = denied.denied(Reason::PolicyUnusable);
    assert!(
        message.contains("spec.sidecars[0].image: the operator sets no image for preset jira"),
        "{message}"
    );
}
