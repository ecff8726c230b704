//! Checks X1–X8 and X10–X12, which hold for all pods. X1–X4 and X12 are asserted of every answer in every test (see
//! `support/invariants.rs`); here are the pods that are meant to break them.

use serde_json::{Value, json};
use std::fs;
use support::golden::Case;
use support::view::list;
use support::{World, api_server, example, pod_security};
use vertex_injector_core::admission::{Operator, Outcome, Reason};
use vertex_injector_core::names;

#[test]
fn x1_existing_duplicates_are_not_made_worse() {
    let mut pod = example("kartograph-sticky");
    let agent = &mut pod["spec"]["containers"][0];
    for value in ["0", "1"] {
        agent["env"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "CLAUDE_CODE_USE_VERTEX", "value": value}));
    }
    let world = Case::named("k1-k2-kartograph-sticky").world();
    let admission = world.admit_in("kartograph-workloads", &pod);
    let names = admission.injected().container("agent-runtime").names();
    assert_eq!(
        names.iter().filter(|name| **name == "CLAUDE_CODE_USE_VERTEX").count(),
        2
    );
}

#[test]
fn x2_an_injected_pod_is_left_as_it_is() {
    let case = Case::named("x2-already-injected");
    let admission = case.admit();
    admission.changes_nothing();
    assert_eq!(admission.decision.reason, Reason::AlreadyInjected);
    assert_eq!(case.object(), Case::named("x1-x5-everything").admit().after);
}

#[test]
fn x2_a_pod_from_an_injected_template_follows_the_edited_policy() {
    let admission = Case::named("x2-policy-edited").admit();
    let pod = admission.injected();
    let text = pod.pod().to_string();
    for gone in [
        "old-project",
        "old-helpers",
        "old-gateway",
        "old.my-company",
        "/old/",
        "us-central1",
        "1.0.0",
        "\"old\"",
        "jira",
        "8095",
    ] {
        assert!(!text.contains(gone), "{gone} is left: {text}");
    }
    let agent = pod.container("agent");
    assert_eq!(agent.env("MY_OWN"), "mine");
    assert_eq!(agent.env("TEAM"), "new");
    assert_eq!(agent.seen("ANTHROPIC_VERTEX_PROJECT_ID"), "new-project");
    assert_eq!(
        agent.env("CREDENTIAL_MCP_URLS"),
        r#"{"github":"http://localhost:8097"}"#
    );
    agent.lacks(&["GONE", "GCP_PROJECT_ID", "GCP_LOCATION"]);
    assert_eq!(agent.mount("/work")["name"], "work");
    assert_eq!(pod.annotation("vertex-injector.dev/policy-ref"), Some("team/agents@2"));

    // It is what the bare pod would have become.
    let bare = Case::named("x2-first-injection").object();
    let fresh = Case::named("x2-policy-edited").world().admit(&bare);
    assert_eq!(sorted(pod.pod()), sorted(fresh.injected().pod()));
}

/// The pod with its variables, mounts and volumes in the order of their names.
fn sorted(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let by = |key: &'static str| move |it: &Value| it[key].as_str().unwrap_or_default().to_owned();
    pod["spec"]["volumes"].as_array_mut().unwrap().sort_by_key(by("name"));
    let agent = &mut pod["spec"]["containers"][0];
    agent["env"].as_array_mut().unwrap().sort_by_key(by("name"));
    agent["volumeMounts"]
        .as_array_mut()
        .unwrap()
        .sort_by_key(by("mountPath"));
    pod
}

#[test]
fn x3_fields_that_nobody_here_knows_survive_at_every_level() {
    let admission = Case::named("x3-unknown-fields").admit();
    let pod = admission.injected();
    pod.same("/futureTop")
        .same("/metadata/futureMetadata")
        .same("/metadata/annotations/example.com~1a")
        .same("/spec/futureSpec")
        .same("/spec/volumes/0")
        .same("/spec/containers/0/env/0")
        .same("/spec/containers/0/env/1")
        .same("/spec/containers/0/volumeMounts/0");
    pod.container("agent").same_but_env_and_mounts();
    pod.container("helper").unchanged();
}

#[test]
fn x4_the_order_of_a_policys_fields_makes_no_difference_to_a_single_byte() {
    let patch = |case: &str| fs::read(Case::named(case).directory.join("patch.json")).expect("a patch");
    assert_eq!(patch("x4-order-of-fields"), patch("x1-x5-everything"));
}

#[test]
fn x4_the_order_of_policies_makes_no_difference() {
    let policy = |name: &str, priority: i32| {
        json!({
            "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy",
            "metadata": {"name": name, "namespace": "team"},
            "spec": {"priority": priority, "agents": [{"podSelector": {}}], "env": [{"name": "CHOSEN", "value": name}]},
        })
    };
    let mut policies: Vec<Value> = (0..6).map(|i| policy(&format!("p{i}"), i / 2)).collect();
    let pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "a", "image": "a"}]}});
    for _ in 0..policies.len() {
        policies.rotate_left(1);
        let world = World::new(&policies, "team", &Operator::default());
        assert_eq!(world.admit(&pod).injected().container("a").env("CHOSEN"), "p4");
    }
}

const CANARY: &str = "canary-7f3a9c51e0";

/// Every string value of an object replaced by one with the canary in it, except those under `keep`.
fn with_canaries(value: &mut Value, keep: &[&str]) {
    match value {
        Value::String(text) => *text = format!("{CANARY} {text}"),
        Value::Array(items) => items.iter_mut().for_each(|item| with_canaries(item, keep)),
        Value::Object(fields) => {
            for (key, value) in fields {
                if !keep.contains(&key.as_str()) {
                    with_canaries(value, keep);
                }
            }
        }
        _ => {}
    }
}

#[test]
fn x5_no_value_of_a_pod_is_told_to_anybody() {
    // What identifies the pod and its parts is not secret and names things in messages.
    let keep = [
        "name",
        "namespace",
        "labels",
        "key",
        "configMap",
        "secretName",
        "claimName",
        "mountPath",
        "kind",
        "apiVersion",
    ];
    for case in Case::all() {
        let mut pod = case.pod();
        with_canaries(&mut pod, &keep);
        let asked = case.world().ask(&case.namespace(), &pod);
        let mut decision = asked.decision.clone();
        // A merged value contains what was there before: that is the pod's own, written back where it stood.
        decision.patch.clear();
        for said in [format!("{decision:?}"), serde_json::to_string(&decision).unwrap()] {
            assert!(!said.contains(CANARY), "{}: {said}", case.name);
        }
        let mut response = asked.response.clone();
        response.as_object_mut().unwrap().shift_remove("patch");
        assert!(!response.to_string().contains(CANARY), "{}: {response}", case.name);
        for operation in &asked.patch.0 {
            let text = serde_json::to_string(operation).unwrap();
            let merged = text.contains("OPENSHELL_USER_ENVIRONMENT") || text.contains("CREDENTIAL_MCP_URLS");
            assert!(merged || !text.contains(CANARY), "{}: {text}", case.name);
        }
    }
}

#[test]
fn x5_a_patch_refers_to_secrets_and_never_holds_one() {
    let admission = Case::named("x1-x5-everything").admit();
    let pod = admission.injected();
    let references = [
        (pod.container("claude").entry("LICENSE"), "team-license"),
        (
            pod.container("vertex-injector-github")
                .entry("GITHUB_PERSONAL_ACCESS_TOKEN"),
            "github-token",
        ),
    ];
    for (entry, secret) in references {
        assert_eq!(entry["valueFrom"]["secretKeyRef"]["name"], secret);
        assert!(entry.get("value").is_none());
    }
}

#[test]
fn x6_every_user_can_read_token_and_configuration_with_and_without_a_group() {
    let world = Case::named("x6-mixed-users").world();
    for user in [0, 1000, 1001, 65532, 1_000_640_000] {
        for group in [None, Some(user), Some(4711)] {
            for (pod_user, agent_user, helper_user) in [
                (None, None, None),
                (Some(user), None, None),
                (None, Some(user), Some(user)),
                (None, Some(user), Some(user + 1)),
                (None, Some(user), None),
                (Some(user + 1), Some(user), None),
            ] {
                let mut pod = example_with_users(pod_user, agent_user, helper_user);
                if let Some(group) = group {
                    pod["spec"]["securityContext"]["fsGroup"] = group.into();
                }
                let admission = world.ask("team", &pod);
                let injected = admission.injected();
                let agent = injected.container("agent");
                for (file, is_token) in [("application_default_credentials.json", false), ("token", true)] {
                    let (_, mode) = agent.file(&format!("/var/run/secrets/vertex-injector/{file}"));
                    assert!(
                        pod_security::can_read(injected.pod(), agent.value(), user, mode, is_token),
                        "{file} of mode {mode:o} for {user} in {pod}"
                    );
                }
            }
        }
    }
}

fn example_with_users(pod: Option<i64>, agent: Option<i64>, helper: Option<i64>) -> Value {
    let context = |user: Option<i64>| user.map_or_else(|| json!({}), |user| json!({"runAsUser": user}));
    json!({"metadata": {"name": "a", "labels": {"app": "agent"}}, "spec": {"securityContext": context(pod), "containers": [
        {"name": "agent", "image": "a", "securityContext": context(agent)},
        {"name": "helper", "image": "a", "securityContext": context(helper)},
    ]}})
}

#[test]
fn x6_a_sidecar_does_not_take_the_pods_narrow_token_away_from_its_one_user() {
    let admission = Case::named("x6-one-user-and-a-narrow-token").admit();
    let pod = admission.injected();
    let agent = pod.container("agent");
    let (_, mode) = agent.file("/var/run/secrets/bound/token");
    assert_eq!(mode, 0o400);
    assert!(pod_security::can_read(pod.pod(), agent.value(), 1000, mode, true));
    assert_eq!(
        pod.container("vertex-injector-github").value()["securityContext"]["runAsUser"],
        1000
    );
}

#[test]
fn x7_every_container_that_we_add_passes_the_restricted_standard() {
    let mut checked = 0;
    for case in Case::all() {
        let admission = case.admit();
        if admission.decision.outcome != Outcome::Injected {
            continue;
        }
        let pod = admission.injected();
        for sidecar in pod.sidecars() {
            assert_eq!(
                pod_security::violations(sidecar.value()),
                Vec::<String>::new(),
                "{}",
                case.name
            );
            // What copies our program ends before the agent starts.
            let stays = sidecar.value()["name"] != names::COPY_CONTAINER;
            assert_eq!(sidecar.value()["restartPolicy"] == "Always", stays);
            assert_eq!(sidecar.value()["securityContext"]["readOnlyRootFilesystem"], true);
            checked += 1;
        }
        for name in pod
            .volume_names()
            .into_iter()
            .filter(|name| name.starts_with("vertex-injector-"))
        {
            assert!(
                pod_security::is_restricted_volume(pod.volume(name).unwrap()),
                "{}: {name}",
                case.name
            );
        }
    }
    assert!(checked >= 8, "only {checked} sidecars seen");
}

#[test]
fn x7_a_sidecar_has_requests_and_limits_so_that_quotas_admit_the_pod() {
    let admission = Case::named("x7-x8-no-user-of-our-own").admit();
    let resources = &admission.injected().sidecars()[0].value()["resources"];
    assert_eq!(
        *resources,
        json!({"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}})
    );
}

#[test]
fn x7_a_guaranteed_pod_stays_guaranteed() {
    let admission = Case::named("x7-guaranteed").admit();
    let resources = &admission.injected().sidecars()[0].value()["resources"];
    assert_eq!(resources["requests"], resources["limits"]);
    assert!(resources["limits"]["cpu"].is_string() && resources["limits"]["memory"].is_string());
}

#[test]
fn x7_a_pod_with_resources_as_a_whole_shares_them_with_the_sidecar() {
    let admission = Case::named("x7-pod-level-resources").admit();
    let pod = admission.injected();
    assert!(pod.sidecars()[0].value().get("resources").is_none());
    pod.same("/spec/resources");
}

/// What minikube's gcp-auth adds to a pod: a key of the host for every container, variables where there are none.
fn gcp_auth(pod: &Value) -> Value {
    let mut pod = pod.clone();
    let key = json!({"path": "/var/lib/minikube/google_application_credentials.json", "type": "File"});
    if pod["spec"]["volumes"].is_null() {
        pod["spec"]["volumes"] = json!([]);
    }
    let volumes = pod["spec"]["volumes"].as_array_mut().unwrap();
    volumes.push(json!({"name": "gcp-creds", "hostPath": key}));
    for container in pod["spec"]["containers"].as_array_mut().unwrap() {
        for list in ["env", "volumeMounts"] {
            if container[list].is_null() {
                container[list] = json!([]);
            }
        }
        let mount = json!({"name": "gcp-creds", "mountPath": "/google-app-creds.json", "readOnly": true});
        container["volumeMounts"].as_array_mut().unwrap().push(mount);
        let env = container["env"].as_array_mut().unwrap();
        for (name, value) in [
            ("GOOGLE_APPLICATION_CREDENTIALS", "/google-app-creds.json"),
            ("GOOGLE_CLOUD_PROJECT", "hosts-project"),
        ] {
            if env.iter().all(|entry| entry["name"] != name) {
                env.push(json!({"name": name, "value": value}));
            }
        }
    }
    pod
}

#[test]
fn e7_with_another_webhook_in_either_order_there_is_one_credential_file_and_one_answer() {
    let case = Case::named("x7-x8-no-user-of-our-own");
    let world = case.world();
    let mut asking = case.pod();
    asking["metadata"]["labels"]["vertex-injector.dev/inject"] = "true".into();
    let first = world.admit(&asking);
    // The API server asks again because the other one changed the pod.
    let ours_first = world.admit(&gcp_auth(&first.after));
    let pod = ours_first.changes_nothing().injected();
    let file = "/var/run/secrets/vertex-injector/application_default_credentials.json";
    let agent = pod.container("agent");
    assert_eq!(agent.env("GOOGLE_APPLICATION_CREDENTIALS"), file);
    assert_eq!(agent.env("GOOGLE_CLOUD_PROJECT"), "my-project");
    let theirs_first = world.admit(&gcp_auth(&asking));
    theirs_first.skipped(Reason::ServedByOtherWebhook);
    let env = list(&theirs_first.after["spec"]["containers"][0], "env");
    let files = env
        .iter()
        .filter(|entry| entry["name"] == "GOOGLE_APPLICATION_CREDENTIALS");
    assert_eq!(files.count(), 1);
}

#[test]
fn x8_a_sidecar_names_no_user_so_that_openshift_can_assign_one() {
    let admission = Case::named("x7-x8-no-user-of-our-own").admit();
    let context = &admission.injected().sidecars()[0].value()["securityContext"];
    for field in ["runAsUser", "runAsGroup", "fsGroup", "seLinuxOptions"] {
        assert!(context.get(field).is_none(), "{field} is set");
    }
    // The SCC fills users in after us, and the webhook is asked again.
    let mut assigned = admission.after.clone();
    for container in ["/spec/initContainers/0", "/spec/containers/0"] {
        assigned.pointer_mut(container).unwrap()["securityContext"]["runAsUser"] = 1_000_640_000.into();
    }
    assigned["spec"]["securityContext"] = json!({"fsGroup": 1_000_640_000, "seLinuxOptions": {"level": "s0:c25,c10"}});
    let again = Case::named("x7-x8-no-user-of-our-own").world().admit(&assigned);
    again.changes_nothing().injected();
}

#[test]
fn x8_in_a_root_pod_the_sidecar_has_the_user_of_its_image_as_the_design_says() {
    let admission = Case::named("x7-x8-root-pod").admit();
    assert_eq!(
        admission.injected().sidecars()[0].value()["securityContext"]["runAsUser"],
        65532
    );
}

#[test]
fn x10_a_pod_can_opt_out_by_label() {
    let admission = Case::named("x10-opted-out").admit();
    admission.changes_nothing().skipped(Reason::OptedOut);
}

#[test]
fn x10_deleting_the_policies_restores_pass_through() {
    for case in Case::all() {
        let world = World::new(&[], &case.namespace(), &Operator::default());
        let pod = case.pod();
        let admission = world.ask(&case.namespace(), &pod);
        assert!(admission.patch.0.is_empty(), "{}", case.name);
        assert_ne!(admission.decision.outcome, Outcome::Denied, "{}", case.name);
    }
}

#[test]
fn x11_an_unusable_policy_refuses_its_pods_with_its_name_and_every_field() {
    let admission = Case::named("x11-unusable-policy").admit();
    let message = admission.denied(Reason::PolicyUnusable);
    for part in [
        "team/agents",
        "spec.agents[0].credentialDirectory",
        "spec.identity.workloadIdentityFederation.audience",
        "spec.identity.workloadIdentityFederation.endpoints.sts",
        "spec.env[0].name: \"ANTHROPIC_BASE_URL\"",
        "spec.env[1].value: \"DEPLOY_TOKEN\"",
        "spec.sidecars[0].image",
        "spec.sidecars[0].port",
    ] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
    assert!(!message.contains("a-literal"), "the literal secret is told: {message}");
}

#[test]
fn x11_an_unusable_policy_touches_no_other_pod() {
    let world = Case::named("x11-unusable-policy").world();
    let pod = json!({"metadata": {"name": "a", "labels": {"app": "other"}}, "spec": {"containers": [{"name": "a", "image": "a"}]}});
    world.admit(&pod).changes_nothing().skipped(Reason::NotSelected);
}

#[test]
fn x12_a_dry_run_is_answered_like_any_other_and_says_so() {
    let case = Case::named("x12-dry-run");
    let (world, pod) = (case.world(), case.pod());
    let ask = |dry_run| {
        vertex_injector_core::admission::review(&api_server::review(&pod, "team", dry_run), &world.policies).unwrap()
    };
    let (real, dry) = (ask(false), ask(true));
    assert!(!real.dry_run && dry.dry_run);
    assert_eq!(real.response, dry.response);
    assert_eq!(real.decision, dry.decision);
    assert!(!dry.decision.patch.is_empty(), "the person sees what would be stored");
}
