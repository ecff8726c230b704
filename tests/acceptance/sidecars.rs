//! Design 5 and 8: credential sidecars given by a policy.

use serde_json::{Value, json};
use support::view::list;
use support::{PLAIN, World, pod, pod_security, yaml};
use vertex_injector_core::admission::Reason;

fn world(sidecars: &str) -> World {
    World::serving_under(
        "sidecarImages: ['ghcr.io/acme/*', 'exact:1']",
        &format!(
            "  agents: [{{podSelector: {{}}, containers: [agent]}}]
  sidecars: {sidecars}"
        ),
    )
}

const ONE: &str = "[{name: github, image: 'ghcr.io/acme/mcp:1', port: 9000, mcpKey: github}]";

#[test]
fn a_sidecar_is_native_restricted_and_starts_before_the_pods_own_init_containers() {
    let admission = world(ONE).admit(&pod(
        "{initContainers: [{name: clone, image: c}], containers: [{name: agent, image: a}]}",
    ));
    let pod = admission.injected();
    let names: Vec<&Value> = list(&pod.pod()["spec"], "initContainers")
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(names, ["vertex-injector-github", "clone"]);
    let sidecar = pod.container("vertex-injector-github");
    assert_eq!(sidecar.value()["restartPolicy"], "Always");
    assert_eq!(sidecar.value()["imagePullPolicy"], "IfNotPresent");
    assert_eq!(pod_security::violations(sidecar.value()), Vec::<String>::new());
    assert!(sidecar.value().get("readinessProbe").is_none() && sidecar.value().get("livenessProbe").is_none());
    let temporary = sidecar.mount("/tmp")["name"].as_str().unwrap();
    assert!(pod.volume(temporary).unwrap()["emptyDir"]["sizeLimit"].is_string());
}

#[test]
fn sidecars_keep_the_order_of_the_policy() {
    let two = "[{name: b, image: 'exact:1', port: 9001}, {name: a, image: 'exact:1', port: 9002}]";
    let admission = world(two).admit(&pod(PLAIN));
    let order = |admission: &support::Admission| -> Vec<String> {
        let all = list(&admission.after["spec"], "initContainers").iter();
        all.map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(order(&admission), ["vertex-injector-b", "vertex-injector-a"]);
}

#[test]
fn nothing_of_the_agents_credentials_reaches_a_sidecar_and_nothing_of_the_sidecars_the_agent() {
    let secret = "[{name: github, image: 'exact:1', port: 9000, env: [{name: GITHUB_TOKEN, valueFrom: {secretKeyRef: {name: s, key: k}}}]}]";
    let admission = world(secret).admit(&pod(PLAIN));
    let pod = admission.injected();
    pod.container("agent").lacks(&["GITHUB_TOKEN"]);
    assert!(!pod.container("agent").value().to_string().contains("secretKeyRef"));
    let sidecar = pod.container("vertex-injector-github");
    let mut volumes: Vec<&str> = list(sidecar.value(), "volumeMounts")
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    volumes.sort_unstable();
    assert_eq!(volumes, ["vertex-injector-no-api-token", "vertex-injector-tmp-github"]);
    assert_eq!(admission.decision.needs[0].name, "s");
}

#[test]
fn an_image_that_the_operator_does_not_allow_is_refused() {
    for image in ["docker.io/evil/mcp", "exact:10", "xghcr.io/acme/mcp", "ghcr.io/acme"] {
        let denied = world(&format!("[{{name: x, image: '{image}', port: 9000}}]")).admit(&pod(PLAIN));
        let message = denied.denied(Reason::PolicyUnusable);
        assert!(
            message.contains("spec.sidecars[0].image") && message.contains("ghcr.io/acme/*, exact:1"),
            "{message}"
        );
    }
}

#[test]
fn an_image_that_a_runtime_reads_otherwise_than_the_operators_list_is_refused() {
    let digest = "0".repeat(64);
    for image in [
        "ghcr.io/acme/../evil/x:1".to_owned(),
        "ghcr.io/acme/x@evil.com/y:1".to_owned(),
        "ghcr.io/acme//x:1".to_owned(),
        "ghcr.io/acme/./x:1".to_owned(),
        "ghcr.io/acme/x/:1/".to_owned(),
        format!("ghcr.io/acme/x@evil.com/y@sha256:{digest}"),
        format!("ghcr.io/acme/x@sha256:{digest}/y:1"),
        "ghcr.io/acme/x@sha256:0:1".to_owned(),
    ] {
        let denied = world(&format!("[{{name: x, image: '{image}', port: 9000}}]")).admit(&pod(PLAIN));
        let message = denied.denied(Reason::PolicyUnusable);
        assert!(
            message.contains("spec.sidecars[0].image") && message.contains("of the form"),
            "{message}"
        );
    }
    for image in [
        "ghcr.io/acme/x/y:1".to_owned(),
        format!("ghcr.io/acme/x@sha256:{digest}"),
        format!("ghcr.io/acme/x:1@sha256:{digest}"),
    ] {
        let admission = world(&format!("[{{name: x, image: '{image}', port: 9000}}]")).admit(&pod(PLAIN));
        admission.injected();
    }
}

#[test]
fn both_variables_of_the_registry_are_new_where_there_was_none() {
    let admission = world(ONE).admit(&pod(PLAIN));
    let agent = admission.injected().container("agent");
    assert_eq!(
        agent.env("CREDENTIAL_MCP_URLS"),
        r#"{"github":"http://localhost:9000"}"#
    );
    assert_eq!(agent.env("CREDENTIAL_SIDECAR_MODE"), "true");
}

#[test]
fn a_sidecar_without_a_key_is_not_registered() {
    let admission = world("[{name: x, image: 'exact:1', port: 9000}]").admit(&pod(PLAIN));
    admission.injected().container("agent").unchanged();
}

#[test]
fn a_registry_that_cannot_be_read_here_is_refused() {
    let from = "{containers: [{name: agent, image: a, env: [{name: CREDENTIAL_MCP_URLS, valueFrom: {configMapKeyRef: {name: c, key: k}}}]}]}";
    let denied = world(ONE).admit(&pod(from));
    let message = denied.denied(Reason::Conflict);
    assert!(
        message.contains("CREDENTIAL_MCP_URLS") && message.contains("valueFrom"),
        "{message}"
    );
}

#[test]
fn a_sidecar_that_leaves_the_policy_takes_its_own_endpoint_with_it_and_no_other() {
    let mut with_own = pod(PLAIN);
    with_own["spec"]["containers"][0]["env"] =
        json!([{"name": "CREDENTIAL_MCP_URLS", "value": r#"{"jira":"http://localhost:8092"}"#}]);
    let two = "[{name: github, image: 'exact:1', port: 9000, mcpKey: github}, {name: gitlab, image: 'exact:1', port: 9001, mcpKey: gitlab}]";
    let first = world(two).admit(&with_own).after;
    let one_left = world("[{name: gitlab, image: 'exact:1', port: 9001, mcpKey: gitlab}]").admit(&first);
    assert_eq!(
        one_left.injected().container("agent").env("CREDENTIAL_MCP_URLS"),
        r#"{"jira":"http://localhost:8092","gitlab":"http://localhost:9001"}"#
    );
    let none_left = world("[]").admit(&first);
    let agent = &none_left.after["spec"]["containers"][0];
    assert_eq!(
        agent["env"],
        json!([{"name": "CREDENTIAL_MCP_URLS", "value": r#"{"jira":"http://localhost:8092"}"#}])
    );
}

#[test]
fn what_an_earlier_injection_merged_is_taken_out_and_the_rest_given_back_for_good() {
    let world = |sidecars: &str| {
        World::serving_under(
            "sidecarImages: ['*']",
            &format!(
                "  agents: [{{podSelector: {{}}, containers: [agent]}}]
  env: [{{name: TEAM, value: t}}]
  sidecars: {sidecars}"
            ),
        )
    };
    let mut own = pod(PLAIN);
    let registry = json!({"name": "CREDENTIAL_MCP_URLS", "value": r#"{"jira":"http://localhost:8092"}"#});
    let exceptions = json!({"name": "NO_PROXY", "value": ".svc"});
    own["spec"]["containers"][0]["env"] =
        json!([registry, exceptions, {"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]);
    let with = world("[{name: github, image: 'exact:1', port: 9000, mcpKey: github}]").admit(&own);
    let agent = with.injected().container("agent");
    assert_eq!(agent.env("NO_PROXY"), ".svc,127.0.0.1,localhost");
    // The second time nothing tells of a sidecar any more.
    let without = world("[]").admit(&with.after);
    let again = world("[]").admit(&without.after);
    for admission in [without, again] {
        let agent = admission.injected().container("agent");
        assert_eq!(*agent.entry("CREDENTIAL_MCP_URLS"), registry);
        assert_eq!(*agent.entry("NO_PROXY"), exceptions);
        agent.lacks(&["CREDENTIAL_SIDECAR_MODE", "no_proxy"]);
    }
}

#[test]
fn an_endpoint_on_loopback_goes_past_the_pods_proxy() {
    let with = |env: &str| {
        let mut pod = pod(PLAIN);
        pod["spec"]["containers"][0]["env"] = yaml(env);
        world(ONE).admit(&pod)
    };
    for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"] {
        let admission = with(&format!("[{{name: {proxy}, value: 'http://proxy:3128'}}]"));
        let agent = admission.injected().container("agent");
        assert_eq!(agent.env("NO_PROXY"), "127.0.0.1,localhost");
        assert_eq!(agent.env("no_proxy"), "127.0.0.1,localhost");
    }
    for (found, expected) in [
        (".svc", ".svc,127.0.0.1,localhost"),
        ("localhost, .svc", "localhost, .svc,127.0.0.1"),
        ("127.0.0.1,localhost", "127.0.0.1,localhost"),
        ("*", "*"),
        ("", "127.0.0.1,localhost"),
    ] {
        let admission = with(&format!(
            "[{{name: HTTP_PROXY, value: p}}, {{name: NO_PROXY, value: '{found}'}}]"
        ));
        let agent = admission.injected().container("agent");
        assert_eq!(agent.env("NO_PROXY"), expected);
        agent.lacks(&["no_proxy"]);
    }
    let both = with("[{name: HTTP_PROXY, value: p}, {name: NO_PROXY, value: a}, {name: no_proxy, value: b}]");
    let agent = both.injected().container("agent");
    assert_eq!(
        (agent.env("NO_PROXY"), agent.env("no_proxy")),
        ("a,127.0.0.1,localhost", "b,127.0.0.1,localhost")
    );
    let resolved = with(
        "[{name: MINE, value: 'localhost,127.0.0.1'}, {name: HTTP_PROXY, value: p}, {name: NO_PROXY, value: '.svc,$(MINE)'}]",
    );
    assert_eq!(resolved.injected().container("agent").env("NO_PROXY"), ".svc,$(MINE)");
    let unread =
        with("[{name: HTTP_PROXY, value: p}, {name: NO_PROXY, valueFrom: {configMapKeyRef: {name: c, key: k}}}]");
    assert!(
        unread
            .injected()
            .container("agent")
            .entry("NO_PROXY")
            .get("valueFrom")
            .is_some()
    );
    assert!(
        unread
            .decision
            .warnings
            .iter()
            .any(|it| it.contains("NO_PROXY") && it.contains("localhost"))
    );
}

#[test]
fn exceptions_of_which_nobody_can_look_at_each_are_refused_with_what_to_do() {
    let with = |bytes: usize| {
        let mut pod = pod(PLAIN);
        let hosts = "a.b,".repeat(bytes / 4);
        pod["spec"]["containers"][0]["env"] =
            json!([{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}, {"name": "NO_PROXY", "value": hosts}]);
        world(ONE).admit(&pod)
    };
    with(32 << 10).injected();
    let refused = with((32 << 10) + 4).decision;
    assert_eq!(refused.reason, Reason::Conflict);
    assert!(
        refused
            .message
            .contains("NO_PROXY of container \"agent\" has more than 32 KiB; name domains or networks"),
        "{}",
        refused.message
    );
}

#[test]
fn without_a_proxy_or_without_a_sidecar_the_exceptions_stay_as_they_are() {
    let mut without_proxy = pod(PLAIN);
    without_proxy["spec"]["containers"][0]["env"] = json!([{"name": "NO_PROXY", "value": ".svc"}]);
    assert_eq!(
        world(ONE)
            .admit(&without_proxy)
            .injected()
            .container("agent")
            .env("NO_PROXY"),
        ".svc"
    );
    let mut without_sidecar = without_proxy;
    let env = without_sidecar["spec"]["containers"][0]["env"].as_array_mut().unwrap();
    env.push(json!({"name": "HTTPS_PROXY", "value": "http://proxy:3128"}));
    let policy = "apiVersion: vertex-injector.dev/v1alpha1
kind: InjectionPolicy
metadata: {name: p}
spec:
  agents: [{podSelector: {}}]
  env: [{name: TEAM, value: t}]";
    assert_eq!(
        World::of(policy)
            .admit(&without_sidecar)
            .injected()
            .container("agent")
            .env("NO_PROXY"),
        ".svc"
    );
}

#[test]
fn the_endpoint_follows_transport_and_path() {
    for (more, expected) in [
        ("", "http://localhost:9000"),
        (", transport: SSE, path: /github/", "http://localhost:9000/github"),
        (", transport: StreamableHTTP", "http://localhost:9000/mcp"),
        (
            ", transport: StreamableHTTP, path: /v1/mcp",
            "http://localhost:9000/v1/mcp",
        ),
    ] {
        let admission =
            world(&format!("[{{name: x, image: 'exact:1', port: 9000, mcpKey: x{more}}}]")).admit(&pod(PLAIN));
        let urls = admission
            .injected()
            .container("agent")
            .env("CREDENTIAL_MCP_URLS")
            .to_owned();
        assert_eq!(urls, format!(r#"{{"x":"{expected}"}}"#));
    }
}

#[test]
fn the_users_of_a_pod_decide_about_the_sidecars_user() {
    let narrow = "volumes: [{name: t, projected: {defaultMode: 256, sources: [{serviceAccountToken: {path: t}}]}}]";
    let wide = "volumes: [{name: t, projected: {defaultMode: 420, sources: [{serviceAccountToken: {path: t}}]}}]";
    let cases = [
        // Assigned by the platform or the image.
        (format!("{{containers: [{{name: agent, image: a}}], {wide}}}"), None),
        (
            format!("{{securityContext: {{runAsUser: 1000}}, containers: [{{name: agent, image: a}}], {wide}}}"),
            None,
        ),
        (
            format!("{{containers: [{{name: agent, image: a, securityContext: {{runAsUser: 1000}}}}], {wide}}}"),
            None,
        ),
        // Root is nobody's choice for a sidecar.
        (
            format!("{{securityContext: {{runAsUser: 0}}, containers: [{{name: agent, image: a}}], {wide}}}"),
            Some(65532),
        ),
        (
            format!("{{securityContext: {{runAsUser: 0}}, containers: [{{name: agent, image: a}}], {narrow}}}"),
            Some(65532),
        ),
        (
            format!("{{containers: [{{name: agent, image: a, securityContext: {{runAsUser: 0}}}}], {narrow}}}"),
            None,
        ),
        // The one user that owns a narrow token.
        (
            format!("{{containers: [{{name: agent, image: a, securityContext: {{runAsUser: 1000}}}}], {narrow}}}"),
            Some(1000),
        ),
        (
            format!(
                "{{securityContext: {{runAsUser: 0}}, containers: [{{name: agent, image: a, securityContext: {{runAsUser: 7}}}}], {narrow}}}"
            ),
            Some(7),
        ),
        // Several users, or a group: the kubelet gives the token to nobody in particular.
        (
            format!(
                "{{containers: [{{name: agent, image: a, securityContext: {{runAsUser: 1000}}}}, {{name: b, image: b, securityContext: {{runAsUser: 1}}}}], {narrow}}}"
            ),
            None,
        ),
        (
            format!(
                "{{securityContext: {{fsGroup: 5}}, containers: [{{name: agent, image: a, securityContext: {{runAsUser: 1000}}}}], {narrow}}}"
            ),
            None,
        ),
    ];
    for (spec, expected) in cases {
        let admission = world(ONE).admit(&pod(&spec));
        let sidecar = admission.injected().container("vertex-injector-github");
        let user = sidecar.value()["securityContext"]
            .get("runAsUser")
            .and_then(Value::as_i64);
        assert_eq!(user, expected, "{spec}");
    }
}

#[test]
fn resources_are_the_policys_with_defaults_that_fit_them() {
    let with = |resources: &str| {
        let admission = world(&format!(
            "[{{name: github, image: 'exact:1', port: 9000, resources: {resources}}}]"
        ))
        .admit(&pod(PLAIN));
        admission.injected().container("vertex-injector-github").value()["resources"].clone()
    };
    assert_eq!(
        with("{requests: {cpu: 20m, memory: 32Mi}, limits: {cpu: 200m, memory: 128Mi}}"),
        json!({"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"cpu": "200m", "memory": "128Mi"}})
    );
    assert_eq!(
        with("{limits: {cpu: 10m, memory: 16Mi}}"),
        json!({"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "10m", "memory": "16Mi"}})
    );
    let large = with("{requests: {cpu: '2', memory: 1Gi}}");
    assert_eq!(large["requests"], json!({"cpu": "2", "memory": "1Gi"}));
    assert_eq!(
        large["limits"],
        json!({"cpu": "2", "memory": "1Gi"}),
        "a limit below its request is refused by the API server"
    );
}

#[test]
fn requests_above_limits_make_the_policy_unusable() {
    let denied =
        world("[{name: github, image: 'exact:1', port: 9000, resources: {requests: {cpu: '2'}, limits: {cpu: '1'}}}]")
            .admit(&pod(PLAIN));
    assert!(
        denied
            .denied(Reason::PolicyUnusable)
            .contains("spec.sidecars[0].resources")
    );
}

#[test]
fn a_pod_that_is_not_guaranteed_is_not_made_so() {
    for resources in [
        "{}",
        "{limits: {cpu: '1'}}",
        "{requests: {cpu: 500m, memory: 1Gi}, limits: {cpu: '1', memory: 1Gi}}",
    ] {
        let admission = world(ONE).admit(&pod(&format!(
            "{{containers: [{{name: agent, image: a, resources: {resources}}}]}}"
        )));
        let sidecar = &admission.injected().container("vertex-injector-github").value()["resources"];
        assert_ne!(sidecar["requests"], sidecar["limits"], "{resources}");
    }
}

#[test]
fn sidecars_and_open_shell_exclude_each_other() {
    let world = World::serving_under(
        "sidecarImages: ['*']",
        "  agents: [{podSelector: {}}]
  sidecars: [{name: x, image: x, port: 9000}]
  openShell: PatchUserEnvironment",
    );
    let denied = world.admit(&pod(PLAIN));
    assert!(denied.denied(Reason::PolicyUnusable).contains("spec.openShell"));
}
