//! Design 4: `isolation` is checked, not assumed. Each way around the broker is denied with its field, or warned of.

use support::golden::Case;
use support::{PROVIDER, World, pod};
use vertex_injector_core::admission::Reason;

const OPERATOR: &str = "{sidecarImages: ['x*'], credentialHosts: [creds.example.com]}";

pub(super) fn world(identity: &str, more: &str) -> World {
    World::serving(&format!(
        "  agents: [{{podSelector: {{}}, containers: [agent]}}]
  vertex: {{project: my-project, region: us-east5, clients: [ClaudeCode]}}
  identity: {identity}
  access: Metadata
{more}"
    ))
}

pub(super) fn federation() -> String {
    format!("{{workloadIdentityFederation: {{provider: {PROVIDER}}}}}")
}

/// Denied under Required with this said, admitted under BestEffort with the same as a warning.
#[track_caller]
pub(super) fn exposed(identity: &str, spec: &str, said: &str) {
    let pod = pod(spec);
    let denied = world(identity, "").admit(&pod);
    let message = denied.denied(Reason::NotIsolated);
    assert!(message.contains(said), "{said:?} is missing in {message}");
    assert!(message.contains("isolation: BestEffort"), "{message}");
    let admitted = world(identity, "  isolation: BestEffort").admit(&pod);
    admitted.injected();
    let warnings = &admitted.decision.warnings;
    assert!(
        warnings
            .iter()
            .any(|warning| warning.starts_with("isolation: ") && warning.contains(said)),
        "{said:?} is missing in {warnings:?}"
    );
}

#[track_caller]
pub(super) fn isolated(identity: &str, spec: &str) {
    let admission = world(identity, "").admit(&pod(spec));
    admission.injected();
    let warnings = &admission.decision.warnings;
    assert!(
        !warnings.iter().any(|warning| warning.contains("isolation")),
        "{warnings:?}"
    );
}

#[test]
fn a_token_of_the_identitys_audience_in_any_other_container_is_a_way_around() {
    let with = |audience: &str, mounted: &str| {
        format!(
            "{{containers: [{{name: agent, image: a}}, {{name: x, image: b{mounted}}}],
               volumes: [{{name: t, projected: {{sources: [{{serviceAccountToken: {{audience: '{audience}', path: t}}}}]}}}}]}}"
        )
    };
    let mounted = ", volumeMounts: [{name: t, mountPath: /t}]";
    for audience in [
        format!("https://iam.googleapis.com/{PROVIDER}"),
        format!("//iam.googleapis.com/{PROVIDER}"),
    ] {
        exposed(
            &federation(),
            &with(&audience, mounted),
            "container \"x\" mounts volume \"t\", which holds a token of the identity's audience",
        );
        isolated(&federation(), &with(&audience, ""));
    }
    isolated(&federation(), &with("vault", mounted));
    let own = format!("{{workloadIdentityFederation: {{provider: {PROVIDER}, audience: acme}}}}");
    exposed(&own, &with("acme", mounted), "the identity's audience \"acme\"");
}

#[test]
fn the_identitys_key_in_any_other_container_is_a_way_around() {
    let identity = "{serviceAccountKey: {secretName: key, key: k.json}}";
    for (spec, said) in [
        (
            "{containers: [{name: agent, image: a, volumeMounts: [{name: k, mountPath: /k}]}], volumes: [{name: k, secret: {secretName: key}}]}",
            "container \"agent\" mounts volume \"k\", which holds Secret \"key\"",
        ),
        (
            "{containers: [{name: agent, image: a, volumeMounts: [{name: k, mountPath: /k}]}], volumes: [{name: k, projected: {sources: [{secret: {name: key}}]}}]}",
            "container \"agent\" mounts volume \"k\", which holds Secret \"key\"",
        ),
        (
            "{containers: [{name: agent, image: a, envFrom: [{secretRef: {name: key}}]}]}",
            "container \"agent\" takes variables from Secret \"key\"",
        ),
        (
            "{containers: [{name: agent, image: a, env: [{name: K, valueFrom: {secretKeyRef: {name: key, key: k.json}}}]}]}",
            "container \"agent\" takes variables from Secret \"key\"",
        ),
    ] {
        exposed(identity, spec, said);
        isolated(
            identity,
            &spec
                .replace("secretName: key", "secretName: other")
                .replace("name: key", "name: other"),
        );
    }
}

#[test]
fn each_container_that_mounts_the_key_is_named_once() {
    let mounts = "volumeMounts: [{name: k, mountPath: /a}, {name: k, mountPath: /b}]";
    let spec = format!(
        "{{containers: [{{name: agent, image: a, {mounts}}}, {{name: x, image: b, {mounts}}}],
           volumes: [{{name: k, secret: {{secretName: key}}}}]}}"
    );
    let denied = world("{serviceAccountKey: {secretName: key, key: k.json}}", "").admit(&pod(&spec));
    denied.denied(Reason::NotIsolated);
    let named: Vec<_> = { denied.decision.problems.iter() }
        .map(|problem| problem.container.as_deref())
        .collect();
    assert_eq!(named, [Some("agent"), Some("x")], "{:?}", denied.decision.problems);
}

#[test]
fn what_the_injection_takes_away_or_replaces_is_no_way_around() {
    let identity = "{serviceAccountKey: {secretName: key, key: k.json}}";
    let variable = "{containers: [{name: agent, image: a, env: [
        {name: CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE, valueFrom: {secretKeyRef: {name: key, key: k.json}}}]}]}";
    isolated(identity, variable);
    // In a container that the policy does not serve, it stays.
    let helper = variable.replace(
        "name: agent, image: a,",
        "name: agent, image: a}, {name: helper, image: b,",
    );
    exposed(
        identity,
        &helper,
        "container \"helper\" takes variables from Secret \"key\"",
    );

    let volumes = "{containers: [{name: agent, image: a}], volumes: [
        {name: vertex-injector-stale, hostPath: {path: /}}, {name: vertex-injector-helper-h, hostPath: {path: /}}]}";
    let helpers = "  authHelpers: [{configMapName: h, mountPath: /h}]";
    let admission = world(identity, helpers).admit(&pod(volumes));
    let after = admission.injected().pod()["spec"]["volumes"].to_string();
    assert!(!after.contains("hostPath"), "{after}");
}

#[test]
fn a_policy_that_mounts_the_pods_own_key_in_the_agent_is_a_way_around() {
    let identity = "{serviceAccountKey: {secretName: key, key: k.json}}";
    let mounts = "  podVolumes: [k]\n  volumeMounts: [{name: k, mountPath: /k}]";
    let with = |secret: &str| {
        pod(&format!(
            "{{containers: [{{name: agent, image: a}}], volumes: [{{name: k, secret: {{secretName: {secret}}}}}]}}"
        ))
    };
    let denied = world(identity, mounts).admit(&with("key"));
    let message = denied.denied(Reason::NotIsolated);
    let said = "container \"agent\" mounts volume \"k\", which holds Secret \"key\"";
    assert!(message.contains(said), "{message}");
    world(identity, mounts).admit(&with("other")).injected();
}

#[test]
fn a_policy_that_hands_the_identity_out_by_another_field_is_invalid_or_says_so() {
    let token = format!("  tokens: [{{name: t, audience: '//iam.googleapis.com/{PROVIDER}', mountPath: /t}}]");
    let plain = pod("{containers: [{name: agent, image: a}]}");
    let denied = world(&federation(), &token).admit(&plain);
    let message = denied.denied(Reason::PolicyUnusable);
    assert!(
        message.contains("spec.tokens[0].audience") && message.contains("is the identity's audience"),
        "{message}"
    );
    let admitted = world(&federation(), &format!("{token}\n  isolation: BestEffort")).admit(&plain);
    let said = "isolation: the policy's own volume \"tokens[t]\" holds a token of the identity's audience";
    let warnings = &admitted.decision.warnings;
    assert!(warnings.iter().any(|warning| warning.starts_with(said)), "{warnings:?}");
}

#[test]
fn a_policy_that_hands_its_own_key_to_the_agent_is_a_way_around() {
    let identity = "{serviceAccountKey: {secretName: key, key: k.json}}";
    let plain = pod("{containers: [{name: agent, image: a}]}");
    for (more, said) in [
        (
            "  env: [{name: COPY, valueFrom: {secretKeyRef: {name: key, key: k.json}}}]",
            "the policy's own variable COPY comes from Secret \"key\"",
        ),
        (
            "  volumes: [{name: copy, secret: {secretName: key}}]\n  volumeMounts: [{name: copy, mountPath: /copy}]",
            "the policy's own volume \"copy\" holds Secret \"key\"",
        ),
    ] {
        let denied = world(identity, more).admit(&plain);
        let message = denied.denied(Reason::NotIsolated);
        assert!(message.contains(said), "{message}");
    }
    let other = "  env: [{name: COPY, valueFrom: {secretKeyRef: {name: other, key: k.json}}}]";
    world(identity, other).admit(&plain).injected();
}

#[test]
fn a_credential_file_that_cannot_be_taken_away_is_a_way_around() {
    let at = |path: &str, volume: &str| {
        format!(
            "{{containers: [{{name: agent, image: a, env: [{{name: GOOGLE_APPLICATION_CREDENTIALS, value: {path}}}], volumeMounts: [{{name: v, mountPath: /v}}]}}],
               volumes: [{{name: v, {volume}}}]}}"
        )
    };
    let said = "container \"agent\" has a credential file of its own";
    exposed(&federation(), &at("/v/key.json", "emptyDir: {}"), said);
    exposed(&federation(), &at("/image/key.json", "emptyDir: {}"), said);
    exposed(&federation(), &at("/v/key.json", "secret: {secretName: s}"), said);
    isolated(
        &federation(),
        &at(
            "/v/key.json",
            "secret: {secretName: s, items: [{key: k, path: key.json}]}",
        ),
    );
}

#[test]
fn a_secret_where_googles_clients_look_before_they_ask_the_broker_is_a_way_around() {
    let with = |path: &str, config: &str, volume: &str| {
        format!(
            "{{containers: [{{name: agent, image: a, env: [{{name: CLOUDSDK_CONFIG, value: {config}}}], volumeMounts: [{{name: v, mountPath: {path}, subPath: x}}]}}],
               volumes: [{{name: v, {volume}}}]}}"
        )
    };
    let (secret, said) = (
        "secret: {secretName: s}",
        "before they ask the broker, in volume \"v\" at /",
    );
    let projected = "projected: {sources: [{secret: {name: s}}]}";
    for (path, config) in [
        ("/root/.config/gcloud", "''"),
        ("/home/me//.config/gcloud/", "/elsewhere"),
        ("/root/.config/gcloud/application_default_credentials.json", "''"),
        ("/gcloud", "/gcloud"),
        ("/gcloud/application_default_credentials.json", "/gcloud/."),
    ] {
        exposed(&federation(), &with(path, config, secret), said);
        exposed(&federation(), &with(path, config, projected), said);
        isolated(&federation(), &with(path, config, "emptyDir: {}"));
        isolated(&federation(), &with(path, config, "configMap: {name: c}"));
    }
    isolated(&federation(), &with("/root/.config/gcloud/logs", "''", secret));
    isolated(&federation(), &with("/workspace", "''", secret));
}

#[test]
fn on_gke_every_pod_is_told_that_the_node_answers_all_of_it() {
    let admission = Case::named("broker-gke-best-effort").admit();
    let selector = &admission.injected().pod()["spec"]["nodeSelector"];
    assert_eq!(selector["iam.gke.io/gke-metadata-server-enabled"], "true");
    let said = "isolation: identity.gkeWorkloadIdentity gives every container of the pod the identity";
    assert!(
        admission
            .decision
            .warnings
            .iter()
            .any(|warning| warning.starts_with(said))
    );
}

#[test]
fn everything_that_leads_around_is_said_in_one_message_beside_what_else_is_wrong() {
    let message = Case::named("broker-not-isolated")
        .admit()
        .denied(Reason::NotIsolated)
        .to_owned();
    let parts = [
        "spec.hostNetwork",
        "spec.hostPID",
        "spec.hostIPC",
        "spec.shareProcessNamespace",
        "securityContext.privileged of container \"agent\"",
        "securityContext.procMount of container \"agent\"",
        "securityContext.capabilities.add of container \"mesh\" has NET_ADMIN,",
        "volume \"docker\" is a hostPath",
        "container \"helper\" mounts volume \"google\"",
        "container \"agent\" has a credential file of its own",
    ];
    for part in parts {
        assert!(message.contains(part), "{part} is missing in {message}");
    }
    assert!(message.contains("for 10 reasons"), "{message}");
    assert!(!message.contains("mesh-init"), "{message}");
    let admitted = Case::named("broker-best-effort").admit();
    let warnings = admitted.decision.warnings.iter();
    assert_eq!(
        warnings.filter(|warning| warning.starts_with("isolation: ")).count(),
        parts.len()
    );

    let both = pod("{hostNetwork: true, containers: [{name: agent, image: a, ports: [{containerPort: 8600}]}]}");
    let admission = world(&federation(), "  broker: {metadataPort: 8600}").admit(&both);
    let message = admission.denied(Reason::Conflict);
    assert!(
        message.contains("port 8600") && message.contains("spec.hostNetwork"),
        "{message}"
    );
}

#[test]
fn in_file_mode_nothing_is_kept_from_the_agent_so_nothing_is_checked() {
    let world = World::serving(&format!(
        "  agents: [{{podSelector: {{}}}}]
  identity: {}",
        federation()
    ));
    let open = pod("{hostNetwork: true, containers: [{name: agent, image: a, securityContext: {privileged: true}}]}");
    world.admit(&open).injected();
}

#[test]
fn a_variable_from_a_file_of_our_volumes_is_refused_in_every_container() {
    let variable = |volume: &str| {
        format!("env: [{{name: T, valueFrom: {{fileKeyRef: {{volumeName: {volume}, path: token, key: t}}}}}}]")
    };
    for volume in ["vertex-injector-credentials", "vertex-injector-cred-tool"] {
        let variable = variable(volume);
        for spec in [
            format!("{{containers: [{{name: agent, image: a, {variable}}}]}}"),
            format!("{{containers: [{{name: agent, image: a}}, {{name: x, image: b, {variable}}}]}}"),
            format!("{{containers: [{{name: agent, image: a}}], initContainers: [{{name: x, image: b, {variable}}}]}}"),
        ] {
            for more in ["", "  isolation: BestEffort"] {
                let denied = world(&federation(), more).admit(&pod(&spec));
                let message = denied.denied(Reason::Conflict);
                assert!(message.contains("fileKeyRef") && message.contains(volume), "{message}");
            }
        }
    }
    let own = format!(
        "{{containers: [{{name: agent, image: a, {}}}], volumes: [{{name: v, emptyDir: {{}}}}]}}",
        variable("v")
    );
    isolated(&federation(), &own);
    let unknown = "{containers: [{name: agent, image: a, env: [{name: T, valueFrom: {newRef: {volumeName: vertex-injector-x}}}]}]}";
    isolated(&federation(), unknown);
}

#[test]
fn ours_start_before_all_of_the_pods_own_wherever_the_pod_has_them() {
    let names = |admission: &support::Admission| -> Vec<String> {
        let pod = admission.injected().pod().clone();
        let all = pod["spec"]["initContainers"].as_array().unwrap();
        all.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    let world = world(&federation(), "");
    for inits in [
        "{name: evil, image: x, restartPolicy: Always}, {name: vertex-injector-broker, image: y}",
        "{name: vertex-injector-stale, image: y}, {name: evil, image: x}, {name: vertex-injector-broker, image: y}",
        "{name: vertex-injector-broker, image: y}, {name: evil, image: x}",
        "{name: evil, image: x}",
    ] {
        let first = world.admit(&pod(&format!(
            "{{containers: [{{name: agent, image: a}}], initContainers: [{inits}]}}"
        )));
        assert_eq!(names(&first), ["vertex-injector-broker", "evil"], "{inits}");
        let mut injected = first.injected().pod().clone();
        let again = world.admit(&injected);
        assert!(again.decision.patch.is_empty(), "{:?}", again.decision.patch);
        // Another webhook puts its own in front.
        let list = injected["spec"]["initContainers"].as_array_mut().unwrap();
        list.insert(
            0,
            serde_json::json!({"name": "istio-proxy", "image": "i", "restartPolicy": "Always"}),
        );
        let after = world.admit(&injected);
        assert_eq!(names(&after), ["vertex-injector-broker", "istio-proxy", "evil"]);
        assert!(world.admit(after.injected().pod()).decision.patch.is_empty());
    }
}

#[test]
fn the_program_is_copied_before_the_sidecars_that_run_it() {
    let world = World::serving_under(
        OPERATOR,
        "  agents: [{podSelector: {}, containers: [agent]}]
  sidecars: [{name: tool, image: 'x:1', port: 7777, command: [/s], credential: {secret: {secretName: s}}, credentialEnv: [{name: T, field: t}]}]",
    );
    let fresh = world.admit(&pod("{containers: [{name: agent, image: a}]}"));
    let mut turned = fresh.injected().pod().clone();
    let expected = turned["spec"]["initContainers"].clone();
    turned["spec"]["initContainers"].as_array_mut().unwrap().reverse();
    let mended = world.admit(&turned);
    assert_eq!(mended.injected().pod()["spec"]["initContainers"], expected);
    let mut without = fresh.injected().pod().clone();
    without["spec"]["initContainers"].as_array_mut().unwrap().remove(1);
    assert_eq!(
        world.admit(&without).injected().pod()["spec"]["initContainers"],
        expected
    );
}

#[test]
fn a_secret_in_a_sidecars_own_variables_is_kept_from_the_agent() {
    let world = |more: &str| {
        World::serving_under(
            OPERATOR,
            &format!(
                "  agents: [{{podSelector: {{}}, containers: [agent]}}]
  sidecars: [{{name: tool, image: 'x:1', port: 7777, env: [{{name: T, valueFrom: {{secretKeyRef: {{name: hers, key: t}}}}}}]}}]
{more}"
            ),
        )
    };
    for spec in [
        "{containers: [{name: agent, image: a, env: [{name: K, valueFrom: {secretKeyRef: {name: hers, key: k}}}]}]}",
        "{containers: [{name: agent, image: a, envFrom: [{secretRef: {name: hers}}]}]}",
        "{containers: [{name: agent, image: a, volumeMounts: [{name: k, mountPath: /k}]}], volumes: [{name: k, secret: {secretName: hers}}]}",
        "{shareProcessNamespace: true, containers: [{name: agent, image: a}]}",
    ] {
        world("").admit(&pod(spec)).denied(Reason::NotIsolated);
        world("  isolation: BestEffort").admit(&pod(spec)).injected();
    }
    let plain = pod("{containers: [{name: agent, image: a}]}");
    world("").admit(&plain).injected();
    let own = "  env: [{name: COPY, valueFrom: {secretKeyRef: {name: hers, key: t}}}]";
    world(own).admit(&plain).denied(Reason::NotIsolated);
}

#[test]
fn what_the_broker_keeps_is_no_sidecars_credential() {
    let message = |identity: &str, sidecar: &str, more: &str| {
        let spec = format!(
            "  agents: [{{podSelector: {{}}, containers: [agent]}}]
  vertex: {{project: my-project, region: us-east5, clients: [ClaudeCode]}}
  identity: {identity}
  access: Metadata
  sidecars: [{{name: tool, image: 'x:1', port: 7777, command: [/s], {sidecar}}}]
{more}"
        );
        let admission = World::serving_under(OPERATOR, &spec).admit(&pod("{containers: [{name: agent, image: a}]}"));
        format!("{:?} {}", admission.decision.reason, admission.decision.message)
    };
    let of = |audience: &str| {
        format!(
            "credential: {{http: {{url: 'https://creds.example.com/c', audience: '{audience}'}}}}, credentialEnv: [{{name: T, field: t}}]"
        )
    };
    let key = "{serviceAccountKey: {secretName: key, key: k.json}}";
    let by_secret = "credential: {secret: {secretName: key}}, credentialEnv: [{name: T, field: t}]";
    let by_env = "env: [{name: T, valueFrom: {secretKeyRef: {name: key, key: t}}}]";
    let own = format!("https://iam.googleapis.com/{PROVIDER}");
    for (identity, sidecar, field) in [
        (federation().as_str(), of(&own), "credential.http.audience"),
        (&federation(), of(&format!("{own}/")), "credential.http.audience"),
        (
            &federation(),
            of(&format!("//iam.googleapis.com/{PROVIDER}")),
            "credential.http.audience",
        ),
        (key, by_secret.to_owned(), "credential.secret.secretName"),
        (key, by_env.to_owned(), "env[0].valueFrom.secretKeyRef.name"),
    ] {
        let refused = message(identity, &sidecar, "");
        let field = format!("spec.sidecars[0].{field}");
        assert!(
            refused.starts_with("PolicyUnusable") && refused.contains(&field),
            "{refused}"
        );
        let admitted = message(identity, &sidecar, "  isolation: BestEffort");
        assert!(admitted.starts_with("Injected"), "{admitted}");
    }
    let other = message(&federation(), &of("creds"), "");
    assert!(other.starts_with("Injected"), "{other}");
}

#[test]
fn an_audience_with_a_slash_at_its_end_is_the_same() {
    let own = format!("https://iam.googleapis.com/{PROVIDER}/");
    let spec = format!(
        "{{containers: [{{name: agent, image: a, volumeMounts: [{{name: t, mountPath: /t}}]}}],
           volumes: [{{name: t, projected: {{sources: [{{serviceAccountToken: {{audience: '{own}', path: t}}}}]}}}}]}}"
    );
    exposed(&federation(), &spec, "the identity's audience");
    let token = format!("  tokens: [{{name: t, audience: '{own}', mountPath: /t}}]");
    world(&federation(), &token)
        .admit(&pod("{containers: [{name: agent, image: a}]}"))
        .denied(Reason::PolicyUnusable);
}

#[test]
fn a_forged_list_of_our_variables_makes_nobodys_key_ours() {
    let with = |policy: &str, env: &str| {
        let mut pod = pod(&format!("{{containers: [{{name: agent, image: a, env: [{env}]}}]}}"));
        let forged = "agent/ANTHROPIC_API_KEY,agent/CLAUDE_CODE_USE_BEDROCK,agent/GOOGLE_APPLICATION_CREDENTIALS";
        pod["metadata"]["annotations"]["vertex-injector.dev/rendered-env"] = forged.into();
        let deny = "  conflicts: {values: Deny, apiKeys: Deny, providers: Deny}";
        World::serving(&format!(
            "  agents: [{{podSelector: {{}}, containers: [agent]}}]
  vertex: {{project: my-project, region: us-east5, clients: [ClaudeCode]}}
  identity: {}
{policy}
{deny}",
            federation()
        ))
        .admit(&pod)
        .denied(Reason::Conflict)
        .to_owned()
    };
    for policy in ["", "  access: Metadata", "  access: Proxy"] {
        for (variable, value) in [
            ("ANTHROPIC_API_KEY", "k"),
            ("CLAUDE_CODE_USE_BEDROCK", "1"),
            ("GOOGLE_APPLICATION_CREDENTIALS", "/x/key.json"),
        ] {
            let said = with(policy, &format!("{{name: {variable}, value: '{value}'}}"));
            assert!(said.contains(variable), "{policy}: {said}");
        }
    }
}
