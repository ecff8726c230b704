//! What real manifests ran into: which container is the agent, what may go, what nobody knows, where nothing can be mounted.

use serde_json::{Value, json};
use support::view::list;
use support::{World, pod, yaml};
use vertex_injector_core::admission::Reason;

const IDENTITY: &str = "  identity: {workloadIdentityFederation: {provider: projects/1/locations/global/workloadIdentityPools/pool/providers/prov}}";
const VERTEX: &str = "  vertex: {project: my-project, region: us-east5, clients: [ClaudeCode]}";
const EVERY: &str = "  agents: [{podSelector: {}}]";

fn world(more: &str) -> World {
    World::serving(&format!("{EVERY}\n{VERTEX}\n{IDENTITY}\n{more}"))
}

/// A pod of containers with these names, some with more fields.
fn of(containers: &[(&str, &str)]) -> Value {
    let containers = containers.iter().map(|(name, more)| {
        let mut container = json!({"name": name, "image": "example.com/i:1"});
        let more = yaml(&format!("{{{more}}}"));
        container
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        container
    });
    let containers: Vec<Value> = containers.collect();
    json!({"metadata": {"name": "a"}, "spec": {"containers": containers}})
}

/// The containers of a pod that have the switch to Vertex.
fn served(pod: &Value) -> Vec<&str> {
    let has = |container: &&Value| {
        list(container, "env")
            .iter()
            .any(|env| env["name"] == "CLAUDE_CODE_USE_VERTEX")
    };
    let all = list(&pod["spec"], "containers").iter().filter(has);
    all.map(|container| container["name"].as_str().unwrap_or_default())
        .collect()
}

#[test]
fn a_sidecar_of_a_mesh_or_platform_is_not_the_agent_wherever_it_stands() {
    for sidecar in [
        ("istio-proxy", ""),
        ("linkerd-proxy", ""),
        ("daprd", ""),
        ("vault-agent", ""),
        ("wait", ""),
        ("queue-proxy", ""),
        ("sidecar-logs", ""),
        ("log-sidecar", ""),
        ("kruise-helper", "env: [{name: IS_INJECTED, value: 'true'}]"),
    ] {
        for containers in [[sidecar, ("worker", "")], [("worker", ""), sidecar]] {
            let admission = world("").admit(&of(&containers));
            assert_eq!(served(&admission.after), ["worker"], "{sidecar:?}");
            assert!(
                admission.decision.warnings.is_empty(),
                "{:?}",
                admission.decision.warnings
            );
        }
    }
    let mut listed = of(&[("renamed", ""), ("worker", "")]);
    listed["metadata"]["annotations"] = json!({"sidecar.istio.io/status": "{\"containers\": [\"renamed\"]}"});
    assert_eq!(served(&world("").admit(&listed).after), ["worker"]);
    // Alone it is what there is.
    assert_eq!(served(&world("").admit(&of(&[("wait", "")])).after), ["wait"]);
}

#[test]
fn of_several_containers_the_one_that_is_called_or_configured_like_an_agent_is_it() {
    for (containers, agent) in [
        ([("web", ""), ("agent", "")], "agent"),
        ([("step-clone", ""), ("step-agent", "")], "step-agent"),
        (
            [("web", ""), ("worker", "env: [{name: ANTHROPIC_MODEL, value: m}]")],
            "worker",
        ),
    ] {
        let admission = world("").admit(&of(&containers));
        assert_eq!(served(&admission.after), [agent]);
    }
    let mut default = of(&[("web", ""), ("agent", "")]);
    default["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/default-container": "web"});
    assert_eq!(served(&world("").admit(&default).after), ["web"]);
}

#[test]
fn where_several_could_be_the_agent_a_pod_that_asks_is_denied_and_another_is_warned_with_their_names() {
    let mut unclear = of(&[("web", ""), ("worker", ""), ("istio-proxy", "")]);
    let admission = world("").admit(&unclear);
    assert_eq!(served(&admission.after), ["web"]);
    let warnings = admission.decision.warnings.join("\n");
    assert!(
        warnings.contains("\"web\", \"worker\"") && !warnings.contains("istio-proxy"),
        "{warnings}"
    );
    unclear["metadata"]["labels"] = json!({"vertex-injector.dev/inject": "true"});
    let denied = world("").admit(&unclear);
    let message = denied.denied(Reason::AmbiguousContainer);
    for word in [
        "\"web\", \"worker\"",
        "kubectl.kubernetes.io/default-container",
        "vertex-injector.dev/containers",
    ] {
        assert!(message.contains(word), "{message}");
    }
    unclear["metadata"]["annotations"] = json!({"vertex-injector.dev/containers": "worker"});
    assert_eq!(served(&world("").admit(&unclear).after), ["worker"]);
}

#[test]
fn an_injection_stays_where_it_is_whatever_another_webhook_puts_in_front_or_says() {
    for more in [
        VERTEX,
        "  authHelpers: [{configMapName: helpers, mountPath: /opt/helpers}]",
    ] {
        let world = World::serving(&format!("{EVERY}\n{IDENTITY}\n{more}"));
        let first = world.admit(&of(&[("worker", "")])).after;
        let worker = first["spec"]["containers"][0].clone();
        let mut second = first;
        second["spec"]["containers"] = json!([{"name": "storage-helper", "image": "s"}, worker]);
        for default in [None, Some("storage-helper")] {
            if let Some(default) = default {
                second["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"] = default.into();
            }
            let admission = world.admit(&second);
            admission.injected();
            assert_eq!(admission.after, second, "{more}");
        }
    }
}

#[test]
fn a_container_that_gets_its_name_later_is_still_the_one_that_was_served() {
    let template = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"image": "i"}]}});
    let mut named = world("").ask("team", &template).after;
    named["spec"]["containers"][0]["name"] = "user-container".into();
    let proxy = json!({"name": "queue-proxy", "image": "q"});
    named["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .insert(0, proxy.clone());
    let elsewhere = VERTEX.replace("us-east5", "europe-west1");
    let moved = World::serving(&format!("{EVERY}\n{elsewhere}\n{IDENTITY}"));
    let admission = moved.admit(&named);
    let agent = admission.injected().container("user-container");
    assert_eq!(agent.env("CLOUD_ML_REGION"), "europe-west1");
    assert_eq!(admission.after["spec"]["containers"][0], proxy);
}

#[test]
fn what_refers_to_a_variable_that_goes_is_named() {
    let key = "{name: GOOGLE_APPLICATION_CREDENTIALS, value: /k/key.json}";
    let copy = "{name: BACKUP, value: 'x$(GOOGLE_APPLICATION_CREDENTIALS)'}";
    let escaped = "{name: TEXT, value: '$$(GOOGLE_APPLICATION_CREDENTIALS)'}";
    let spec = format!(
        "{{containers: [{{name: agent, image: a, env: [{key}, {copy}, {escaped}], args: ['--key=$(GOOGLE_APPLICATION_CREDENTIALS)'],
            volumeMounts: [{{name: k, mountPath: /k}}]}}],
          volumes: [{{name: k, secret: {{secretName: s, items: [{{key: k, path: key.json}}]}}}}]}}"
    );
    let admission = world("  access: Metadata").admit(&pod(&spec));
    admission.injected();
    let warnings = admission.decision.warnings.join("\n");
    for of in ["BACKUP", "args"] {
        let said = format!("{of} of container agent refers to GOOGLE_APPLICATION_CREDENTIALS, which is removed");
        assert!(warnings.contains(&said), "{warnings}");
    }
    assert!(!warnings.contains("TEXT"), "{warnings}");
}

#[test]
fn probes_and_paths_that_refer_to_a_variable_that_goes_are_named() {
    let word = "['$(ANTHROPIC_BASE_URL)', '$$(HOME)']";
    for (of, then, more) in [
        (
            "livenessProbe",
            "hold the text",
            format!("livenessProbe: {{exec: {{command: {word}}}}}"),
        ),
        (
            "readinessProbe",
            "hold the text",
            format!("readinessProbe: {{exec: {{command: {word}}}}}"),
        ),
        (
            "startupProbe",
            "hold the text",
            format!("startupProbe: {{exec: {{command: {word}}}}}"),
        ),
        (
            "volumeMounts[].subPathExpr",
            "the container will not start",
            "volumeMounts: [{name: w, mountPath: /w, subPathExpr: 'x/$(ANTHROPIC_BASE_URL)'}]".to_owned(),
        ),
    ] {
        let env = "env: [{name: ANTHROPIC_BASE_URL, value: 'https://m.example'}]";
        let spec = format!(
            "{{containers: [{{name: agent, image: a, {env}, {more}}}], volumes: [{{name: w, emptyDir: {{}}}}]}}"
        );
        let admission = world("  access: Metadata").admit(&pod(&spec));
        admission.injected();
        let warnings = admission.decision.warnings.join("\n");
        let said = format!("{of} of container agent refers to ANTHROPIC_BASE_URL, which is removed");
        assert!(warnings.contains(&said) && warnings.contains(then), "{warnings}");
    }
}

#[test]
fn a_variable_that_others_refer_to_keeps_its_place_and_takes_the_value() {
    let kartograph = VERTEX.replace("[ClaudeCode]", "[ClaudeCode, Kartograph]");
    let world = World::serving(&format!("{EVERY}\n{kartograph}\n{IDENTITY}"));
    let url = "{name: METRICS_URL, value: 'https://m.example/r$(CLOUD_ML_REGION)'}";
    let from = "valueFrom: {configMapKeyRef: {name: c, key: k}}";
    for (region, found) in [
        (
            "value: europe-west1",
            json!({"name": "CLOUD_ML_REGION", "value": "europe-west1"}),
        ),
        (
            from,
            json!({"name": "CLOUD_ML_REGION", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}),
        ),
    ] {
        let env = format!("[{{name: CLOUD_ML_REGION, value: ''}}, {url}, {{name: VERTEXAI_LOCATION, {region}}}]");
        let admission = world.admit(&support::agent_with(&env));
        admission.injected();
        assert_eq!(admission.after["spec"]["containers"][0]["env"][0], found);
    }
}

#[test]
fn what_only_the_kubelet_can_resolve_is_neither_on_nor_off_nor_text() {
    let from = "envFrom: [{configMapRef: {name: settings}}], ";
    let with = |more: &str, env: &str| {
        pod(&format!(
            "{{containers: [{{name: agent, image: a, {more}env: [{env}]}}]}}"
        ))
    };
    let bedrock = |value: &str| format!("{{name: CLAUDE_CODE_USE_BEDROCK, value: '{value}'}}");
    world("")
        .admit(&with(from, &bedrock("$(BEDROCK)")))
        .skipped(Reason::OtherProvider);
    world("")
        .admit(&with("", &bedrock("$(FLAGS_SERVICE_HOST)")))
        .skipped(Reason::OtherProvider);
    // Nothing defines it, so the kubelet leaves the text, which means off.
    world("").admit(&with("", &bedrock("$(BEDROCK)"))).injected();
    let prefixed = "envFrom: [{prefix: APP_, configMapRef: {name: settings}}], ";
    world("").admit(&with(prefixed, &bedrock("$(BEDROCK)"))).injected();
    world("")
        .admit(&with(prefixed, &bedrock("$(APP_BEDROCK)")))
        .skipped(Reason::OtherProvider);
    let project = world("  access: Proxy").admit(&with(from, "{name: GOOGLE_CLOUD_PROJECT, value: $(PROJECT)}"));
    project.injected();
    let warnings = project.decision.warnings.join("\n");
    assert!(
        warnings.contains("GOOGLE_CLOUD_PROJECT from what cannot be read at admission"),
        "{warnings}"
    );
    let off = world("").admit(&with(from, "{name: CLAUDE_CODE_USE_VERTEX, value: $(VERTEX)}"));
    assert!(off.denied(Reason::Conflict).contains("CLAUDE_CODE_USE_VERTEX"));
}

#[test]
fn a_provider_switch_in_env_from_would_win_over_vertex_and_an_api_key_would_not() {
    let pod = pod("{containers: [{name: agent, image: a, envFrom: [{configMapRef: {name: settings}}]}]}");
    let said = |world: &World| world.admit(&pod).decision.warnings.join("\n");
    let claude = said(&world(""));
    assert!(
        claude.ends_with("would win over Vertex; an API key would not"),
        "{claude}"
    );
    let gemini = VERTEX.replace("[ClaudeCode]", "[GoogleGenAI]");
    let gemini = said(&World::serving(&format!("{EVERY}\n{gemini}\n{IDENTITY}")));
    assert!(gemini.contains("but for GOOGLE_API_KEY in Gemini CLI"), "{gemini}");
}

#[test]
fn an_agent_behind_a_proxy_is_told_that_its_broker_is_not_unless_the_operator_says_how() {
    let pod = |no_proxy: &str| {
        support::agent_with(&format!(
            "[{{name: HTTPS_PROXY, value: 'http://p:3128'}}, {{name: NO_PROXY, value: '{no_proxy}'}}]"
        ))
    };
    let spec = format!("{EVERY}\n{VERTEX}\n{IDENTITY}\n  access: Metadata");
    let said = "through an HTTP proxy (HTTPS_PROXY), and the broker";
    let warned = |operator: &str, no_proxy: &str| {
        let admission = World::serving_under(operator, &spec).admit(&pod(no_proxy));
        admission.decision.warnings.join("\n").contains(said)
    };
    assert!(warned("{}", ".svc"));
    assert!(!warned("{}", ".svc,.googleapis.com"));
    assert!(!warned("{broker: {httpsProxy: 'http://p:3128'}}", ".svc"));
}

#[test]
fn a_pod_that_asks_for_windows_by_any_field_is_denied_and_one_that_may_get_it_is_warned() {
    let term = |os: &str| format!("{{matchExpressions: [{{key: kubernetes.io/os, {os}}}]}}");
    let affinity = |terms: &[String]| {
        format!(
            "affinity: {{nodeAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: {{nodeSelectorTerms: [{}]}}}}}}",
            terms.join(", ")
        )
    };
    let (windows, linux) = (
        term("operator: In, values: [windows]"),
        term("operator: In, values: [linux]"),
    );
    let plain = "containers: [{name: agent, image: a}]";
    for field in [
        "os: {name: windows}".to_owned(),
        "nodeSelector: {beta.kubernetes.io/os: windows}".to_owned(),
        "nodeSelector: {node.kubernetes.io/windows-build: '10.0.20348'}".to_owned(),
        affinity(&["{matchExpressions: [{key: node.kubernetes.io/windows-build, operator: Exists}]}".to_owned()]),
        "securityContext: {windowsOptions: {runAsUserName: ContainerUser}}".to_owned(),
        "securityContext: {windowsOptions: {hostProcess: true}}".to_owned(),
        "securityContext: {windowsOptions: {gmsaCredentialSpec: s}}".to_owned(),
        "securityContext: {windowsOptions: {gmsaCredentialSpecName: s}}".to_owned(),
        affinity(std::slice::from_ref(&windows)),
        affinity(&[term("operator: NotIn, values: [linux]"), windows.clone()]),
    ] {
        world("")
            .admit(&pod(&format!("{{{field}, {plain}}}")))
            .denied(Reason::WindowsPod);
    }
    let either = world("").admit(&pod(&format!("{{{}, {plain}}}", affinity(&[windows, linux.clone()]))));
    either.injected();
    assert!(
        either
            .decision
            .warnings
            .join("\n")
            .contains("spec.affinity.nodeAffinity lets this pod run on a Windows node")
    );
    for field in [
        affinity(&[linux]),
        "os: {name: linux}".to_owned(),
        affinity(&[term("operator: In, values: [linux, windows]")]),
        affinity(&[term("operator: NotIn, values: [linux, windows]")]),
        affinity(&["{matchExpressions: [{key: node.kubernetes.io/windows-build, operator: DoesNotExist}]}".to_owned()]),
        affinity(&["{matchExpressions: [{key: team, operator: In, values: [windows]}]}".to_owned()]),
    ] {
        let admission = world("").admit(&pod(&format!("{{{field}, {plain}}}")));
        admission.injected();
        assert_eq!(admission.decision.warnings, [], "{field}");
    }
}

#[test]
fn below_what_the_kubelet_writes_something_can_be_mounted_and_below_what_nobody_can_write_not() {
    let spec =
        format!("  agents: [{{podSelector: {{}}, credentialDirectory: /opt/tools/creds}}]\n{VERTEX}\n{IDENTITY}");
    let world = World::serving(&spec);
    let with = |mount: &str, volume: &str| {
        pod(&format!(
            "{{containers: [{{name: agent, image: a, volumeMounts: [{{name: v, {mount}}}]}}], volumes: [{{name: v, {volume}}}]}}"
        ))
    };
    let (plain, read_only) = ("mountPath: /opt/tools", "mountPath: /opt/tools, readOnly: true");
    for (mount, volume) in [
        (read_only, "secret: {secretName: s}"),
        (read_only, "configMap: {name: c}"),
        (read_only, "projected: {sources: []}"),
        (read_only, "downwardAPI: {items: []}"),
        (plain, "emptyDir: {}"),
        (plain, "persistentVolumeClaim: {claimName: c}"),
    ] {
        world.admit(&with(mount, volume)).injected();
    }
    for (mount, volume) in [
        (plain, "image: {reference: r}"),
        (read_only, "emptyDir: {}"),
        (plain, "persistentVolumeClaim: {claimName: c, readOnly: true}"),
        (plain, "nfs: {server: s, path: /, readOnly: true}"),
        ("mountPath: /opt/tools, subPath: part", "secret: {secretName: s}"),
        ("mountPath: /opt/../opt//tools/, readOnly: true", "emptyDir: {}"),
    ] {
        let denied = world.admit(&with(mount, volume));
        assert!(
            denied
                .denied(Reason::Conflict)
                .contains("nothing can be mounted below it"),
            "{mount} {volume}"
        );
    }
    for path in ["/opt/tools//creds/", "/opt/x/../tools/creds"] {
        let denied = world.admit(&with(&format!("mountPath: {path}"), "emptyDir: {}"));
        assert!(denied.denied(Reason::Conflict).contains("already"), "{path}");
    }
}

#[test]
fn a_helper_of_the_pods_own_with_fewer_rights_is_named_with_them_and_one_with_more_is_as_good() {
    let world = World::serving(&format!(
        "{EVERY}\n  authHelpers: [{{configMapName: helpers, mountPath: /opt/helpers}}]"
    ));
    let with = |more: &str| {
        pod(&format!(
            "{{containers: [{{name: agent, image: a, volumeMounts: [{{name: h, mountPath: /opt/helpers, readOnly: true}}]}}],
              volumes: [{{name: h, configMap: {{name: helpers{more}}}}}]}}"
        ))
    };
    let denied = world.admit(&with(""));
    let message = denied.denied(Reason::Conflict);
    assert!(
        message.contains("defaultMode 0644, where the policy has 0755"),
        "{message}"
    );
    for more in [
        ", defaultMode: 493",
        ", defaultMode: 511",
        ", defaultMode: 493, optional: true",
    ] {
        assert_eq!(world.admit(&with(more)).injected().volume_names(), ["h"], "{more}");
    }
}

#[test]
fn a_token_whose_variable_the_pod_sets_itself_is_refused_and_never_half_there() {
    let world = World::serving(&format!(
        "{EVERY}\n  tokens: [{{name: gateway, audience: gateway, mountPath: /srv/gateway, envName: TOKEN_PATH}}]"
    ));
    let denied = world.admit(&support::agent_with("[{name: TOKEN_PATH, value: /elsewhere}]"));
    let message = denied.denied(Reason::Conflict);
    assert!(
        message.contains("TOKEN_PATH") && message.contains("tokens[gateway]"),
        "{message}"
    );
    world
        .admit(&support::agent_with("[{name: TOKEN_PATH, value: /srv/gateway/token}]"))
        .injected();
}

#[test]
fn a_model_of_the_pods_own_that_the_proxy_refuses_is_denied_whatever_gives_way() {
    let model = |name: &str| support::agent_with(&format!("[{{name: {name}, value: claude-opus-4-8}}]"));
    for rule in ["Keep", "Override"] {
        let world = world(&format!(
            "  access: Proxy\n  proxy: {{models: ['claude-haiku-*']}}\n  conflicts: {{values: {rule}}}"
        ));
        for name in [
            "ANTHROPIC_DEFAULT_OPUS_MODEL",
            "ANTHROPIC_MODEL",
            "CLAUDE_CODE_SUBAGENT_MODEL",
        ] {
            let denied = world.admit(&model(name));
            assert!(denied.denied(Reason::Conflict).contains(name), "{rule} {name}");
        }
    }
}

#[test]
fn a_skipped_pod_that_a_policy_selects_carries_the_reason_and_one_that_none_selects_is_as_it_was() {
    let keyed = support::agent_with("[{name: ANTHROPIC_API_KEY, value: k}]");
    let skipped = world("").admit(&keyed);
    skipped.skipped(Reason::OwnApiKey);
    assert_eq!(
        skipped.after["metadata"]["annotations"]["vertex-injector.dev/skipped"],
        "OwnApiKey"
    );
    let other = World::serving(&format!(
        "  agents: [{{podSelector: {{matchLabels: {{app: other}}}}}}]\n{VERTEX}\n{IDENTITY}"
    ));
    let left = other.admit(&keyed);
    left.skipped(Reason::NotSelected);
    assert_eq!(left.after, keyed);
}

#[test]
fn null_is_the_empty_string_and_the_old_name_of_the_service_account_counts() {
    let world = World::serving(&format!(
        "  agents: [{{serviceAccounts: [runner]}}]\n{VERTEX}\n{IDENTITY}"
    ));
    let mut pod = pod("{serviceAccount: runner, containers: [{name: agent, image: a, env: [{name: A, value: null}]}]}");
    pod["metadata"]["annotations"] = json!({"note": null, "owner": "red"});
    pod["metadata"]["labels"] = json!({"tier": null});
    world.ask("team", &pod).injected();
}
