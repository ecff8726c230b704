//! Checks O1–O3, O5 and O7: pods that OpenShell manages.

use serde_json::{Map, Value, json};
use support::golden::Case;
use support::view::list;
use support::{Admission, Injected, World, example, pod_security};
use vertex_injector_core::admission::Reason;

/// A policy for sandboxes that patches their user environment, with more of its spec.
fn patching(more: &str) -> World {
    World::of(&format!(
        "apiVersion: vertex-injector.dev/v1alpha1
kind: InjectionPolicy
metadata: {{name: p, namespace: openshell}}
spec:
  agents: [{{podSelector: {{}}, containers: [agent]}}]
  openShell: PatchUserEnvironment
{more}"
    ))
}

/// O2: what makes the sandbox who it is.
#[track_caller]
fn keeps_the_sandbox_identity(admission: &Admission) {
    let pod = Injected::new(&admission.before, &admission.after);
    pod.same("/spec/serviceAccountName")
        .same("/spec/automountServiceAccountToken")
        .same("/metadata/ownerReferences")
        .same("/metadata/labels")
        .same("/metadata/annotations/openshell.io~1sandbox-id")
        .same("/spec/initContainers");
    let volume = |pod: &Value| {
        list(&pod["spec"], "volumes")
            .iter()
            .find(|it| it["name"] == "openshell-sa-token")
            .map(Value::to_string)
    };
    assert!(volume(&admission.before).is_some());
    assert_eq!(volume(&admission.after), volume(&admission.before));
    for before in list(&admission.before["spec"], "containers") {
        let after = pod.container(before["name"].as_str().expect("a name"));
        after.same_but_env_and_mounts();
        for mount in list(before, "volumeMounts") {
            assert!(list(after.value(), "volumeMounts").contains(mount), "{mount} changed");
        }
        for entry in list(before, "env")
            .iter()
            .filter(|entry| entry["name"] != "OPENSHELL_USER_ENVIRONMENT")
        {
            let name = entry["name"].as_str().expect("a name");
            assert_eq!(after.entry(name), entry, "{name} changed");
        }
        assert_eq!(after.added(), Vec::<&str>::new(), "the supervisor's environment grew");
    }
}

fn user_environment(pod: Injected<'_>) -> Map<String, Value> {
    serde_json::from_str(pod.container("agent").env("OPENSHELL_USER_ENVIRONMENT")).expect("a JSON object")
}

#[test]
fn o1_a_sandbox_is_left_to_openshells_inference_routing_and_the_reason_is_said() {
    let admission = Case::named("o1-openshell-sidecar").admit();
    let message = admission.changes_nothing().skipped(Reason::ManagedByOpenShell);
    assert!(
        message.contains("OpenShell") && message.contains("inference"),
        "{message}"
    );
    assert_eq!(admission.response["auditAnnotations"]["reason"], "ManagedByOpenShell");
}

#[test]
fn o1_a_sandbox_is_recognised_by_its_variable_alone() {
    let mut pod = example("openshell-combined");
    pod["metadata"].as_object_mut().unwrap().shift_remove("annotations");
    let admission = Case::named("o2-openshell-combined").world().admit_in("openshell", &pod);
    admission.changes_nothing().skipped(Reason::ManagedByOpenShell);
}

#[test]
fn o1_a_sandbox_is_recognised_by_its_annotation_alone() {
    let mut pod = example("openshell-combined");
    for container in pod["spec"]["containers"].as_array_mut().unwrap() {
        container["env"]
            .as_array_mut()
            .unwrap()
            .retain(|entry| entry["name"] != "OPENSHELL_SANDBOX_ID");
    }
    let admission = Case::named("o2-openshell-combined").world().admit_in("openshell", &pod);
    admission.changes_nothing().skipped(Reason::ManagedByOpenShell);
}

#[test]
fn o1_a_sandbox_that_asks_is_marked_as_skipped_outside_reserved_prefixes() {
    let mut pod = example("openshell-sidecar");
    pod["metadata"]["labels"]["vertex-injector.dev/inject"] = "true".into();
    let admission = Case::named("o1-openshell-sidecar")
        .world()
        .admit_in("openshell-kartograph", &pod);
    admission.skipped(Reason::ManagedByOpenShell);
    assert_eq!(
        serde_json::to_value(&admission.patch).unwrap(),
        json!([{"op": "add", "path": "/metadata/annotations/vertex-injector.dev~1skipped", "value": "ManagedByOpenShell"}])
    );
    assert!(admission.decision.warnings[0].contains("OpenShell"));
}

#[test]
fn o2_the_identity_of_a_sandbox_is_untouched_whatever_the_policy_says() {
    for case in [
        "o2-openshell-combined",
        "o3-user-environment-keep",
        "o2-o3-o5-o7-user-environment-override",
    ] {
        keeps_the_sandbox_identity(&Case::named(case).admit());
    }
}

#[test]
fn o3_the_user_environment_keeps_its_keys_and_gains_the_vertex_keys() {
    let admission = Case::named("o3-user-environment-keep").admit();
    let pod = admission.injected();
    let before: Map<String, Value> = {
        let pod = Injected::new(&admission.before, &admission.before);
        user_environment(pod)
    };
    let after = user_environment(pod);
    for (key, value) in &before {
        assert_eq!(after.get(key), Some(value), "{key} changed");
    }
    let added: Vec<&str> = after
        .keys()
        .filter(|key| !before.contains_key(*key))
        .map(String::as_str)
        .collect();
    assert_eq!(
        added,
        [
            "GOOGLE_CLOUD_PROJECT",
            "CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
            "DISABLE_AUTOUPDATER",
        ]
    );
    assert_eq!(after["GOOGLE_CLOUD_PROJECT"], "my-project");
}

#[test]
fn o3_the_sandboxs_own_credential_file_wins_unless_the_policy_overrides() {
    let kept = Case::named("o3-user-environment-keep").admit();
    assert_eq!(
        user_environment(kept.injected())["GOOGLE_APPLICATION_CREDENTIALS"],
        "/tmp/workspace/.gcp-credentials.json"
    );
    assert_eq!(
        kept.injected().volume("vertex-injector-credentials"),
        None,
        "a volume that nothing names"
    );
    let overridden = Case::named("o2-o3-o5-o7-user-environment-override").admit();
    let pod = overridden.injected();
    let file = "/sandbox/.vertex/application_default_credentials.json";
    assert_eq!(user_environment(pod)["GOOGLE_APPLICATION_CREDENTIALS"], file);
    assert_eq!(user_environment(pod)["CLOUD_ML_REGION"], "us-east5");
    let agent = pod.container("agent");
    for (path, is_token) in [(file, false), ("/sandbox/.vertex/token", true)] {
        let (_, mode) = agent.file(path);
        // Processes in the sandbox run as 1000, the supervisor around them as root.
        let mut sandboxed = agent.value().clone();
        sandboxed["securityContext"]["runAsUser"] = 1000.into();
        assert!(pod_security::can_read(pod.pod(), &sandboxed, 1000, mode, is_token));
    }
}

#[test]
fn o3_no_value_in_the_user_environment_refers_to_another_because_nobody_would_resolve_it() {
    let world = Case::named("o3-user-environment-keep").world();
    let mut pod = example("openshell-combined");
    for entry in pod["spec"]["containers"][0]["env"].as_array_mut().unwrap() {
        if entry["name"] == "OPENSHELL_USER_ENVIRONMENT" {
            entry["value"] = r#"{"ANTHROPIC_VERTEX_PROJECT_ID":"own-project"}"#.into();
        }
    }
    let admission = world.admit_in("openshell", &pod);
    let environment = user_environment(admission.injected());
    assert_eq!(environment["GOOGLE_CLOUD_PROJECT"], "own-project");
    assert_eq!(environment["ANTHROPIC_VERTEX_PROJECT_ID"], "own-project");
}

#[test]
fn o3_helpers_and_tokens_reach_the_sandbox_with_their_variables() {
    let world = patching(
        "  authHelpers: [{configMapName: helpers, mountPath: /sandbox/helpers}]
  tokens: [{name: gateway, audience: gateway, mountPath: /sandbox/gateway, envName: GATEWAY_TOKEN_PATH}]
  env: [{name: TEAM, value: t}]",
    );
    let admission = world.admit_in("openshell", &example("openshell-combined"));
    let pod = admission.injected();
    assert_eq!(user_environment(pod)["GATEWAY_TOKEN_PATH"], "/sandbox/gateway/token");
    assert_eq!(user_environment(pod)["TEAM"], "t");
    pod.container("agent").mount("/sandbox/helpers");
    keeps_the_sandbox_identity(&admission);
}

#[test]
fn o3_a_reference_has_no_place_in_the_user_environment_and_is_refused() {
    let world = patching("  env: [{name: LICENSE, valueFrom: {secretKeyRef: {name: s, key: k}}}]");
    let denied = world.admit_in("openshell", &example("openshell-combined"));
    let message = denied.denied(Reason::Conflict);
    assert!(
        message.contains("LICENSE") && message.contains("OPENSHELL_USER_ENVIRONMENT"),
        "{message}"
    );
}

#[test]
fn o3_an_edited_policy_brings_the_user_environment_up_to_date() {
    let policy = |rest: &str| patching(&format!("  env: [{rest}]"));
    let first = policy("{name: TEAM, value: old}, {name: GONE, value: old}")
        .admit_in("openshell", &example("openshell-combined"));
    let second = policy("{name: TEAM, value: new}").admit_in("openshell", &first.after);
    let fresh = policy("{name: TEAM, value: new}").admit_in("openshell", &example("openshell-combined"));
    assert_eq!(user_environment(second.injected()), user_environment(fresh.injected()));
}

#[test]
fn o3_a_malformed_user_environment_is_refused_and_never_overwritten() {
    let admission = Case::named("o3-user-environment-malformed").admit();
    let message = admission.denied(Reason::Conflict);
    for part in [
        "OPENSHELL_USER_ENVIRONMENT",
        "JSON object of strings",
        "openShell",
        "\"agent\"",
    ] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
    let world = Case::named("o3-user-environment-malformed").world();
    for (value, what) in [
        (json!({"value": "[]"}), "a list"),
        (json!({"value": "{\"A\":1}"}), "a number"),
        (json!({"value": ""}), "nothing"),
        (
            json!({"valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}),
            "a reference",
        ),
    ] {
        let mut pod = example("openshell-combined");
        for entry in pod["spec"]["containers"][0]["env"].as_array_mut().unwrap() {
            if entry["name"] == "OPENSHELL_USER_ENVIRONMENT" {
                let mut other = value.clone();
                other["name"] = entry["name"].take();
                *entry = other;
            }
        }
        let admission = world.admit_in("openshell", &pod);
        assert!(
            admission
                .denied(Reason::Conflict)
                .contains("OPENSHELL_USER_ENVIRONMENT"),
            "{what}"
        );
    }
}

#[test]
fn o5_nothing_is_mounted_where_openshell_keeps_its_own_and_no_volume_has_a_reserved_name() {
    let admission = Case::named("o2-o3-o5-o7-user-environment-override").admit();
    let pod = admission.injected();
    let before = Injected::new(&admission.before, &admission.before);
    let mut paths = pod.container("agent").mount_paths();
    paths.retain(|path| !before.container("agent").mount_paths().contains(path));
    assert_eq!(paths, ["/sandbox/.vertex"]);
    let mut volumes = pod.volume_names();
    volumes.retain(|name| !before.volume_names().contains(name));
    assert_eq!(volumes, ["vertex-injector-credentials"]);
}

#[test]
fn o5_a_policy_that_mounts_over_openshells_files_is_unusable() {
    for path in [
        "/var/run/secrets/openshell",
        "/etc/openshell",
        "/etc/openshell-tls/client",
        "/opt/openshell/bin",
        "/run/openshell",
        "/run/openshell-sidecar",
        "/run/netns",
        "/var/run/netns",
    ] {
        let world = World::serving(&format!(
            "  agents: [{{podSelector: {{}}}}]
  authHelpers: [{{configMapName: helpers, mountPath: {path}}}]"
        ));
        let admission =
            world.admit(&json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "a", "image": "a"}]}}));
        let message = admission.denied(Reason::PolicyUnusable);
        assert!(
            message.contains("spec.authHelpers[0].mountPath") && message.contains(path),
            "{message}"
        );
    }
}

#[test]
fn o7_the_credential_configuration_reads_a_file_and_depends_on_no_ci_platform() {
    let admission = Case::named("o2-o3-o5-o7-user-environment-override").admit();
    let configuration = admission.injected().credential_configuration();
    let source = configuration["credential_source"].as_object().expect("a source");
    assert_eq!(source["file"], "/sandbox/.vertex/token");
    assert!(
        !source.contains_key("url") && !source.contains_key("environment_id") && !source.contains_key("executable")
    );
    assert_eq!(configuration["type"], "external_account");
    let provider =
        "//iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/agents/providers/cluster";
    assert_eq!(configuration["audience"], provider);
    assert_eq!(configuration["token_url"], "https://sts.googleapis.com/v1/token");
}
