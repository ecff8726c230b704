//! The rules of policies that need the operator's lists or more than a schema can say.

use crate::review::{answer, operator};
use serde_json::{Value, json};
use support::{cluster_policy, injection_policy};
use vertex_injector_core::validation::Judgement;

const PROVIDER: &str = "projects/123/locations/global/workloadIdentityPools/pool/providers/prov";

#[test]
fn a_policy_that_uses_everything_rightly_is_accepted_in_both_kinds() {
    let spec = json!({
        "priority": 10,
        "agents": [
            {"podSelector": {"matchLabels": {"kartograph.runtime.kind": "sticky"}}, "containers": ["agent"],
             "credentialDirectory": "/gcloud/config", "env": [{"name": "TZ", "value": "UTC"}]},
            {"serviceAccounts": ["extractor"], "credentialDirectory": "/home/agent-ci/.config/gcloud"},
        ],
        "vertex": {"project": "my-project", "region": "us-east5", "clients": ["ClaudeCode", "Kartograph"],
                   "endpoint": "https://psc.example.com"},
        "identity": {"workloadIdentityFederation": {
            "provider": PROVIDER, "serviceAccount": "agent@my-project.iam.gserviceaccount.com",
            "serviceAccountTokenLifetimeSeconds": 3600, "audience": "https://kubernetes.default.svc.example.com",
            "endpoints": {"sts": "https://sts.us-east5.rep.googleapis.com", "iamCredentials": "https://proxy.example.com:8443"},
        }},
        "authHelpers": [{"configMapName": "helpers", "mountPath": "/opt/fracta/auth-helpers"}],
        "tokens": [{"name": "gateway", "audience": "gateway", "mountPath": "/var/run/secrets/gateway", "envName": "GATEWAY_TOKEN_FILE"}],
        "env": [{"name": "MONKEY", "value": "x"}, {"name": "MY_TOKEN", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}},
                {"name": "EMPTY_SECRET", "value": ""}],
        "volumes": [
            {"name": "scratch", "emptyDir": {}},
            {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"audience": "vault", "path": "token"}}]}},
        ],
        "podVolumes": ["workspace"],
        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}, {"name": "workspace", "mountPath": "/etc/acme"}],
        "sidecars": [
            {"name": "github", "image": "ghcr.io/acme/github-mcp:1.0", "port": 8100, "mcpKey": "github"},
            {"name": "jira", "image": "registry.example.com/acme/mcp-jira@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "port": 8101, "mcpKey": "jira"},
        ],
    });
    for object in [injection_policy("case", &spec), cluster_policy("case", &spec)] {
        assert_eq!(errors(&object), Vec::<String>::new());
    }
}

#[test]
fn a_mount_of_no_volume_is_refused_with_its_place_its_name_and_the_valid_names() {
    let spec = json!({
        "volumes": [{"name": "scratch", "emptyDir": {}}],
        "podVolumes": ["workspace"],
        "volumeMounts": [{"name": "scratch", "mountPath": "/a"}, {"name": "x", "mountPath": "/b"}],
    });
    for object in [injection_policy("case", &spec), cluster_policy("case", &spec)] {
        let message = errors(&object).join("; ");
        let expected =
            r#"spec.volumeMounts[1].name: "x" references no volume of this policy; valid names: [scratch, workspace]"#;
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_in_one_message_and_no_value_of_a_variable_is() {
    let spec = json!({
        "agents": [{"podSelector": {}, "env": [{"name": "ANTHROPIC_BASE_URL", "value": "https://canary-1"}]}],
        "env": [{"name": "MY_TOKEN", "value": "canary-2"}],
        "sidecars": [{"name": "a", "image": "docker.io/evil:1", "port": 8090, "env": [{"name": "API_KEY", "value": "canary-3"}]}],
        "volumeMounts": [{"name": "x", "mountPath": "/run/vertex-injector/a"}],
    });
    let answer = answer("CREATE", &injection_policy("case", &spec)).to_string();
    // As JSON has it.
    let message = answer.replace("\\\"", "\"");
    for part in [
        r#"spec.agents[0].env[0].name: "ANTHROPIC_BASE_URL" may not be set by a policy: it routes or authenticates model calls"#,
        r#"spec.env[0].value: "MY_TOKEN" looks like a secret"#,
        r#"spec.sidecars[0].env[0].value: "API_KEY" looks like a secret"#,
        r#"spec.sidecars[0].image: "docker.io/evil:1" is not allowed: the operator's list of sidecarImages has registry.example.com/acme/mcp-*, "#,
        "spec.sidecars[0].port: 8090 is taken by Ambient's own MCP server",
        r#"spec.volumeMounts[0].name: "x" references no volume of this policy; valid names: []"#,
        r#"spec.volumeMounts[0].mountPath: "/run/vertex-injector/a" is not for policies: nothing may be mounted at or below /run/vertex-injector"#,
    ] {
        assert!(message.contains(part), "{part} is missing in:\n{message}");
    }
    assert!(!message.contains("canary"), "{message}");
}

#[test]
fn what_does_not_fit_together_is_refused() {
    let gke = json!({"gkeWorkloadIdentity": {"serviceAccount": "agent@my-project.iam.gserviceaccount.com"}});
    let vertex = |clients: Value| json!({"project": "my-project", "region": "global", "clients": clients});
    let sidecar = |name: &str, port: u32, key: &str| json!({"name": name, "image": "ghcr.io/acme/github-mcp:1.0", "port": port, "mcpKey": key});
    let specs = [
        json!({"identity": gke}),
        json!({"identity": gke, "agents": [{"serviceAccounts": ["a"]}, {"podSelector": {}}]}),
        json!({"identity": gke, "agents": [{"serviceAccounts": ["a"]}], "vertex": vertex(json!(["Ambient"]))}),
        json!({"identity": gke, "agents": [{"serviceAccounts": ["a"]}], "openShell": "PatchUserEnvironment"}),
        json!({"openShell": "PatchUserEnvironment", "sidecars": [sidecar("a", 8100, "a")]}),
        json!({"identity": {"workloadIdentityFederation": {"provider": PROVIDER, "serviceAccountTokenLifetimeSeconds": 700}}}),
        json!({"podVolumes": ["a"], "volumes": [{"name": "a", "emptyDir": {}}]}),
        json!({"sidecars": [sidecar("a", 8100, "a"), sidecar("b", 8100, "b")]}),
        json!({"sidecars": [sidecar("a", 8100, "a"), sidecar("b", 8101, "a")]}),
        json!({"sidecars": [sidecar("a", 8787, "a")]}),
        json!({"sidecars": [sidecar("a", 8100, "a"), with_resources(&json!({"requests": {"cpu": "1"}, "limits": {"cpu": "999m"}}))]}),
        json!({"sidecars": [with_resources(&json!({"requests": {"memory": "1Gi", "cpu": "1"}, "limits": {"memory": "1000Mi", "cpu": "1"}}))]}),
        json!({"tokens": [{"name": "a", "audience": "b", "mountPath": "/a", "envName": "GCE_METADATA_HOST"}]}),
        json!({"tokens": [{"name": "a", "audience": "b", "mountPath": "/run/a"}], "authHelpers": [{"configMapName": "c", "mountPath": "/var/run/a"}]}),
        json!({"agents": [{"podSelector": {}, "credentialDirectory": "/a"}], "authHelpers": [{"configMapName": "c", "mountPath": "/a"}]}),
        json!({"authHelpers": [{"configMapName": "c", "mountPath": "/var/run/secrets/vertex-injector/helpers"}]}),
    ];
    assert_eq!(refused(&specs), specs.len());
    let rightly = [
        json!({"identity": gke, "agents": [{"serviceAccounts": ["a"]}], "vertex": vertex(json!(["ClaudeCode"]))}),
        json!({"openShell": "PatchUserEnvironment"}),
        json!({"sidecars": [with_resources(&json!({"requests": {"memory": "1000Mi", "cpu": "0.5"}, "limits": {"memory": "1Gi", "cpu": "500m"}}))]}),
        json!({"sidecars": [with_resources(&json!({"requests": {"memory": "1Gi"}, "limits": {"cpu": "500m"}}))]}),
        json!({"sidecars": [with_resources(&json!({"limits": {"cpu": null}, "requests": {"cpu": "1"}}))]}),
        json!({"agents": [{"podSelector": {}, "credentialDirectory": "/var/run/secrets/vertex-injector"}]}),
    ];
    assert_eq!(refused(&rightly), 0);
}

#[test]
fn where_a_sidecars_credential_may_come_from() {
    let github = |more: Value| {
        let mut sidecar = json!({"preset": "github"});
        let fields = more.as_object().expect("a map").clone();
        sidecar.as_object_mut().expect("a map").extend(fields);
        sidecar
    };
    let http = |url: &str| json!({"credential": {"http": {"url": url, "audience": "tokens"}}});
    let only = |sidecar: Value| json!({ "sidecars": [sidecar] });
    let specs = [
        only(json!({"preset": "jira"})),
        only(json!({"image": "ghcr.io/acme/github-mcp:1.0"})),
        only(github(json!({"image": "ghcr.io/acme/github-mcp:1.0", "name": "copy"}))),
        only(github(json!({"image": "registry.example.com/acme/mcp-a:latest"}))),
        only(github(json!({"image": "registry.example.com/acme/mcp-a"}))),
        only(github(json!({"port": 8787}))),
        only(github(json!({"onRefresh": "Restart"}))),
        only(github(http("https://evil.example/x"))),
        only(github(http("https://tokens.example.com:8443/x"))),
        only(github(http("https://tokens.example.com.evil.com/x"))),
        only(github(http("http://tokens.example.com/x"))),
        only(github(http("http://tokens.agents.svc/x"))),
        only(github(http("http://tokens.agents.svc:8080/x"))),
        json!({"isolation": "BestEffort", "sidecars": [github(http("http://tokens.example.com/x"))]}),
        only(github(
            json!({"credential": {"http": {"url": "https://tokens.example.com/x", "audience": "api"}}}),
        )),
        only(github(json!({"credential": {}}))),
        only(github(json!({"credential": {"ambientExchange": {}}}))),
        only(github(
            json!({"credential": {"secret": {"secretName": "a"}}, "gitCredentials": {"hosts": ["github.com"]}}),
        )),
        json!({"sidecars": [github(json!({})), github(json!({}))]}),
        json!({"sidecars": [github(json!({})), github(json!({"name": "other"}))]}),
    ];
    assert_eq!(refused(&specs), specs.len());
    let git = json!({"credential": {"secret": {"secretName": "a"}},
                     "git": {"allow": [{"repositories": "github.com/acme/*", "services": ["Fetch"]}]}});
    let rightly = [
        only(github(json!({}))),
        only(github(http("https://tokens.example.com/x"))),
        only(github(http("https://tokens.example.com:443/x"))),
        json!({"isolation": "BestEffort", "sidecars": [github(http("http://tokens.agents.svc:8080/x"))]}),
        only(github(git)),
        json!({"isolation": "BestEffort", "sidecars": [github(json!({"credential": {"ambientExchange": {}}}))]}),
        json!({"mcpConfig": {"mountPath": "/etc/mcp"}, "sidecars": [github(json!({})), github(json!({"name": "other", "mcpKey": "other"}))]}),
    ];
    assert_eq!(refused(&rightly), 0);
}

#[test]
fn what_a_broker_needs_and_what_it_cannot_do() {
    let federation = json!({"workloadIdentityFederation": {"provider": PROVIDER}});
    let gke = json!({"gkeWorkloadIdentity": {"serviceAccount": "agent@my-project.iam.gserviceaccount.com"}});
    let vertex = |clients: Value| json!({"project": "my-project", "region": "us-east5", "clients": clients});
    let with = |access: &str, more: Value| {
        let mut spec = json!({"access": access, "identity": federation, "vertex": vertex(json!(["ClaudeCode"]))});
        let fields = more.as_object().expect("a map").clone();
        spec.as_object_mut().expect("a map").extend(fields);
        spec
    };
    let metadata = |more| with("Metadata", more);
    let proxy = |more| with("Proxy", more);
    let pinned = |more: Value| {
        let mut vertex = vertex(json!(["ClaudeCode"]));
        vertex
            .as_object_mut()
            .expect("a map")
            .extend(more.as_object().expect("a map").clone());
        vertex
    };
    let sidecar = json!({"name": "a", "image": "ghcr.io/acme/github-mcp:1.0", "port": 8100});
    let accounts = json!([{"serviceAccounts": ["a"]}]);
    let specs = [
        json!({"access": "Metadata"}),
        metadata(json!({"identity": null})),
        proxy(json!({"vertex": null})),
        metadata(json!({"proxy": {"models": ["claude-*"]}})),
        json!({"broker": {}}),
        json!({"isolation": "BestEffort"}),
        metadata(json!({"openShell": "PatchUserEnvironment"})),
        metadata(json!({"identity": gke, "agents": accounts})),
        metadata(json!({"agents": [{"podSelector": {}, "credentialDirectory": "/gcloud/config"}]})),
        metadata(json!({"broker": {"proxyPort": 8600}})),
        proxy(json!({"broker": {"metadataPort": 8600, "proxyPort": 8600}})),
        proxy(json!({"broker": {"metadataPort": 8174, "proxyPort": 8787, "metricsPort": 8001}})),
        proxy(json!({"broker": {"metricsPort": 8100}, "sidecars": [sidecar]})),
        proxy(
            json!({"broker": {"resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "999m", "memory": "1000Mi"}}}}),
        ),
        json!({"identity": {"serviceAccountKey": {"secretName": "a", "key": "b"}, "idTokenAudiences": ["https://a"]}}),
        metadata(
            json!({"identity": {"workloadIdentityFederation": {"provider": PROVIDER}, "idTokenAudiences": ["https://a"]}}),
        ),
        proxy(json!({"vertex": vertex(json!(["ClaudeCode", "OpenCode", "Goose", "AISDK"]))})),
        proxy(json!({"vertex": pinned(json!({"quotaProject": "other-project"}))})),
        proxy(json!({"proxy": {"publishers": ["google"]}})),
        proxy(json!({"vertex": vertex(json!(["GoogleGenAI"])), "proxy": {"publishers": ["anthropic"]}})),
        proxy(
            json!({"vertex": pinned(json!({"models": {"default": "gemini-3", "opus": "claude-opus-4-8", "sonnet": "claude-sonnetX4", "haiku": "xclaude-haiku"}})),
                     "proxy": {"models": ["claude-opus-*", "claude-sonnet.4", "claude-haiku"]}}),
        ),
        proxy(json!({"proxy": {"regions": ["global"]}})),
        proxy(
            json!({"vertex": pinned(json!({"modelRegions": {"HAIKU_4_5": "europe-west1", "5_OPUS": "us-east5"}})), "proxy": {"regions": ["us-east5"]}}),
        ),
        proxy(json!({"vertex": pinned(json!({"endpoint": "https://evil.example"}))})),
        metadata(json!({"tokens": [{"name": "a", "audience": "b", "mountPath": "/a"},
                                   {"name": "b", "audience": format!("//iam.googleapis.com/{PROVIDER}"), "mountPath": "/b"}]})),
        metadata(
            json!({"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "projected": {"sources": [
            {"configMap": {"name": "c"}}, {"serviceAccountToken": {"audience": format!("https://iam.googleapis.com/{PROVIDER}"), "path": "t"}}]}}]}),
        ),
        metadata(
            json!({"identity": {"workloadIdentityFederation": {"provider": PROVIDER, "audience": "own"}},
                        "tokens": [{"name": "a", "audience": "own", "mountPath": "/a"}]}),
        ),
    ];
    assert_eq!(refused(&specs), specs.len());
    let account = json!({"workloadIdentityFederation": {"provider": PROVIDER, "serviceAccount": "agent@my-project.iam.gserviceaccount.com"},
                         "idTokenAudiences": ["https://a", "b"]});
    let rightly = [
        metadata(json!({})),
        proxy(json!({"broker": {}, "isolation": "BestEffort"})),
        metadata(json!({"isolation": "Required", "identity": account})),
        metadata(
            json!({"identity": gke, "agents": accounts, "isolation": "BestEffort", "vertex": vertex(json!(["Ambient"]))}),
        ),
        json!({"isolation": "BestEffort", "sidecars": [sidecar]}),
        metadata(
            json!({"vertex": vertex(json!(["Ambient"])), "agents": [{"podSelector": {}, "credentialDirectory": "/app/vertex"}]}),
        ),
        metadata(json!({"vertex": vertex(json!(["OpenCode", "Goose", "AISDK"]))})),
        proxy(json!({"broker": {"metadataPort": 8471, "metricsPort": 8470}})),
        proxy(json!({"broker": {"resources": {"requests": {"cpu": "1"}, "limits": {"memory": "64Mi"}}}})),
        proxy(
            json!({"vertex": pinned(json!({"endpoint": "https://psc.example.com", "models": {"opus": "claude-opus-4.8@default"}})),
                     "proxy": {"models": ["claude-*@default"], "regions": ["us-east5"], "publishers": ["anthropic"], "allow": ["WebSearch"]}}),
        ),
        proxy(
            json!({"vertex": pinned(json!({"modelRegions": {"HAIKU_4_5": "europe-west1"}})), "proxy": {"regions": ["us-east5", "europe-west1"]}}),
        ),
        proxy(json!({"vertex": vertex(json!(["GoogleGenAI", "LiteLLM"])), "proxy": {"publishers": ["google"]}})),
        metadata(json!({"broker": null, "proxy": null})),
        metadata(json!({"isolation": "BestEffort",
                        "tokens": [{"name": "b", "audience": format!("//iam.googleapis.com/{PROVIDER}"), "mountPath": "/b"}]})),
        json!({"identity": federation, "tokens": [{"name": "b", "audience": format!("//iam.googleapis.com/{PROVIDER}"), "mountPath": "/b"}]}),
    ];
    assert_eq!(refused(&rightly), 0);
}

#[test]
fn a_field_that_is_null_is_a_field_that_is_absent() {
    let federation = json!({"provider": PROVIDER, "audience": null, "serviceAccount": null, "endpoints": null});
    let specs = [
        json!({"vertex": null, "identity": null, "agents": null, "sidecars": null}),
        json!({"identity": {"workloadIdentityFederation": federation, "gkeWorkloadIdentity": null},
               "vertex": {"project": "my-project", "region": "global", "clients": ["ClaudeCode"], "endpoint": null}}),
        json!({"identity": {"workloadIdentityFederation": {"provider": PROVIDER, "endpoints": {"sts": null, "iamCredentials": null}}}}),
        json!({"agents": [{"podSelector": {}, "credentialDirectory": null, "env": [
            {"name": "A_TOKEN", "value": null, "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}]}]}),
        json!({"tokens": [{"name": "a", "audience": "b", "mountPath": "/a", "envName": null}]}),
        json!({"volumes": [{"name": "a", "emptyDir": {}, "projected": null},
                           {"name": "b", "projected": {"sources": [{"configMap": {"name": "c"}, "serviceAccountToken": null}]}}]}),
        json!({"sidecars": [{"name": "a", "image": "ghcr.io/acme/github-mcp:1.0", "port": 8100, "mcpKey": null}]}),
    ];
    assert_eq!(refused(&specs), 0);
}

#[test]
fn only_googles_hosts_for_the_purpose_and_the_operators_receive_tokens() {
    let hosts = [
        "sts.googleapis.com",
        "sts.googleapis.com:443",
        "sts.googleapis.com:8443",
        "sts.us-east5.rep.googleapis.com",
        "sts.useast5.rep.googleapis.com",
        "sts.us-east5.googleapis.com",
        "sts.googleapis.com.evil.example",
        "xsts.googleapis.com",
        "stsxgoogleapis.com",
        "STS.googleapis.com",
        "sts.googleapis.com.",
        "iamcredentials.googleapis.com",
        "iamcredentials.us-east5.rep.googleapis.com",
        "aiplatform.googleapis.com",
        "us-east5-aiplatform.googleapis.com",
        "us-east-aiplatform.googleapis.com",
        "-aiplatform.googleapis.com",
        "aiplatform.us.rep.googleapis.com",
        "aiplatform.eu.rep.googleapis.com",
        "aiplatform.asia.rep.googleapis.com",
        "aiplatform.us-east5.rep.googleapis.com",
        "psc.example.com",
        "psc.example.com:443",
        "proxy.example.com",
        "proxy.example.com:8443",
        "evil.psc.example.com",
        "evil.example",
        "127.0.0.1",
        "[::1]",
        "localhost:8443",
    ];
    for at in [
        (|url| json!({"identity": {"workloadIdentityFederation": {"provider": PROVIDER, "endpoints": {"sts": url}}}}))
            as fn(String) -> Value,
        |url| json!({"identity": {"workloadIdentityFederation": {"provider": PROVIDER, "endpoints": {"iamCredentials": url}}}}),
        |url| {
            json!({"identity": {"workloadIdentityFederation": {"provider": PROVIDER}},
                   "vertex": {"project": "my-project", "region": "global", "clients": ["ClaudeCode"], "endpoint": url}})
        },
    ] {
        let specs: Vec<Value> = hosts.iter().map(|host| at(format!("https://{host}"))).collect();
        let refused = refused(&specs);
        assert!((20..hosts.len() - 2).contains(&refused), "{refused} of {}", hosts.len());
    }
}

#[test]
fn no_token_is_projected_for_the_api_server() {
    let audiences = [
        "https://kubernetes.default.svc",
        "https://kubernetes.default.svc/",
        "https://kubernetes.default.svc///",
        "https://kubernetes.default.svc.cluster.local",
        "https://kubernetes.default.svc/x",
        "https://issuer.example.com",
        "https://issuer.example.com/",
        "api",
        "api/",
        "/api",
        "apiserver",
        "vault",
        "/",
    ];
    for at in [
        (|audience| json!({"identity": {"workloadIdentityFederation": {"provider": PROVIDER, "audience": audience}}}))
            as fn(&str) -> Value,
        |audience| json!({"tokens": [{"name": "t", "audience": audience, "mountPath": "/t"}]}),
        |audience| {
            json!({"volumes": [{"name": "a", "emptyDir": {}}, {"name": "v", "projected": {"sources": [
                {"configMap": {"name": "c"}}, {"serviceAccountToken": {"audience": audience, "path": "t"}}]}}]})
        },
    ] {
        let specs: Vec<Value> = audiences.iter().map(|audience| at(audience)).collect();
        assert_eq!(refused(&specs), 7);
    }
}

#[test]
fn sidecars_run_images_of_the_operators_list_only() {
    let images = [
        ("registry.example.com/acme/mcp-github:1", true),
        ("registry.example.com/acme/mcp-:1", true),
        ("registry.example.com/acme/mcp", false),
        ("registryXexample.com/acme/mcp-github:1", false),
        ("evil.example/registry.example.com/acme/mcp-github:1", false),
        ("ghcr.io/acme/github-mcp:1.0", true),
        ("ghcr.io/acme/github-mcp:1x0", false),
        ("ghcr.io/acme/github-mcp:1.0-evil", false),
        ("example.com/open/anything:v?", false),
        ("example.com/open/anything:v1", false),
    ];
    let spec = |image: &str| json!({"sidecars": [{"name": "a", "image": image, "port": 8100}]});
    let allowed: Vec<Value> = images
        .iter()
        .filter(|(_, allowed)| *allowed)
        .map(|(image, _)| spec(image))
        .collect();
    let others: Vec<Value> = images
        .iter()
        .filter(|(_, allowed)| !allowed)
        .map(|(image, _)| spec(image))
        .collect();
    assert_eq!(refused(&allowed), 0);
    assert_eq!(refused(&others), others.len());
}

/// How many of these specs cannot be used.
fn refused(specs: &[Value]) -> usize {
    let bad = specs
        .iter()
        .filter(|spec| !errors(&injection_policy("case", spec)).is_empty());
    bad.count()
}

/// Everything that is wrong with a policy.
fn errors(object: &Value) -> Vec<String> {
    let judgement = Judgement::of(object, "default", &operator());
    judgement.errors.0.iter().map(ToString::to_string).collect()
}

/// A sidecar with these resources.
fn with_resources(resources: &Value) -> Value {
    json!({"name": "resources", "image": "ghcr.io/acme/github-mcp:1.0", "port": 8200, "resources": resources})
}
