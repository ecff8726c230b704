//! Checks F1–F5, F8 and F9: Fracta's jobs and stream pods.

use serde_json::json;
use support::golden::Case;
use support::view::list;
use support::{Provided, World, example};
use vertex_injector_core::admission::Reason;

const HELPERS: &str = "/opt/fracta/auth-helpers";

#[test]
fn f1_the_auth_helpers_are_mounted_executable_and_read_only_in_the_agent_alone() {
    let admission = Case::named("f1-f2-fracta-job").admit();
    let pod = admission.injected();
    let agent = pod.container("agent");
    let mount = agent.mount(HELPERS);
    assert_eq!(mount["readOnly"], true);
    let (file, mode) = agent.file(&format!("{HELPERS}/fetch-vertex-token"));
    let (kind, name, key) = ("ConfigMap", "fracta-auth-helpers".to_owned(), "*".to_owned());
    assert_eq!((file, mode), (Provided::Key { kind, name, key }, 0o755));
    pod.container("workspace-init").unchanged();
}

#[test]
fn f1_command_arguments_and_path_of_the_agent_stay_as_they_are() {
    let admission = Case::named("f1-f2-fracta-job").admit();
    let pod = admission.injected();
    let agent = pod.container("agent");
    agent.same_but_env_and_mounts().lacks(&["PATH"]);
    assert!(agent.value().get("command").is_none());
    assert_eq!(agent.value()["args"][0], "claude");
    pod.same("/spec/restartPolicy")
        .same("/spec/serviceAccountName")
        .same("/metadata/labels");
}

#[test]
fn f2_what_the_profile_has_is_not_repeated_and_what_it_lacks_is_added() {
    let admission = Case::named("f1-f2-fracta-job").admit();
    let agent = admission.injected().container("agent");
    assert_eq!(agent.env("CLAUDE_CODE_USE_VERTEX"), "1");
    assert_eq!(agent.env("ANTHROPIC_VERTEX_PROJECT_ID"), "my-project");
    assert_eq!(agent.env("CLOUD_ML_REGION"), "us-east5");
    assert_eq!(agent.env("VERTEX_SA"), "agent@my-project.iam.gserviceaccount.com");
    let file = "/var/run/secrets/vertex-injector/application_default_credentials.json";
    assert_eq!(agent.env("GOOGLE_APPLICATION_CREDENTIALS"), file);
    assert_eq!(
        agent.env("CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE"),
        file,
        "gcloud ignores the other"
    );
    assert_eq!(agent.seen("GOOGLE_CLOUD_PROJECT"), "my-project");
    agent.lacks(&["CLAUDE_CODE_SKIP_VERTEX_AUTH", "CLOUDSDK_CONFIG", "HOME"]);
}

#[test]
fn f2_a_kept_project_becomes_the_project_of_every_variable() {
    let admission = Case::named("f2-conflicting-project-keep").admit();
    let agent = admission.injected().container("agent");
    assert_eq!(agent.env("ANTHROPIC_VERTEX_PROJECT_ID"), "my-project");
    assert_eq!(agent.env("GOOGLE_CLOUD_PROJECT"), "$(ANTHROPIC_VERTEX_PROJECT_ID)");
    assert_eq!(agent.seen("GOOGLE_CLOUD_PROJECT"), "my-project");
    let warnings = &admission.decision.warnings;
    assert!(
        warnings
            .iter()
            .any(|it| it.contains("ANTHROPIC_VERTEX_PROJECT_ID") && it.contains("vertex.project")),
        "{warnings:?}"
    );
}

#[test]
fn f2_an_overridden_project_is_replaced_in_place() {
    let admission = Case::named("f2-conflicting-project-override").admit();
    let agent = admission.injected().container("agent");
    assert_eq!(agent.env("ANTHROPIC_VERTEX_PROJECT_ID"), "other-project");
    assert_eq!(agent.seen("GOOGLE_CLOUD_PROJECT"), "other-project");
    assert_eq!(agent.names()[2], "ANTHROPIC_VERTEX_PROJECT_ID");
}

#[test]
fn f2_a_denied_project_is_refused_with_variable_field_and_remedy() {
    let admission = Case::named("f2-conflicting-project-deny").admit();
    let message = admission.denied(Reason::Conflict);
    for part in [
        "fracta/fracta",
        "\"agent\"",
        "ANTHROPIC_VERTEX_PROJECT_ID",
        "vertex.project",
        "conflicts.values",
        "remove",
    ] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
    assert!(!message.contains("my-project"), "a value of the pod is told: {message}");
}

#[test]
fn f3_the_number_of_containers_stays_one_and_a_sidecar_is_native() {
    let mut world = example("fracta-job-pod");
    world["metadata"]["labels"]["app"] = "agent".into();
    let admission = Case::named("x7-x8-no-user-of-our-own").world().admit(&world);
    let pod = admission.injected();
    assert_eq!(list(&pod.pod()["spec"], "containers").len(), 1);
    let sidecars = pod.sidecars();
    assert_eq!(sidecars.len(), 1);
    assert_eq!(sidecars[0].value()["restartPolicy"], "Always");
    assert_eq!(pod.pod()["spec"]["initContainers"][0]["name"], "vertex-injector-github");
    pod.container("workspace-init").unchanged();
}

#[test]
fn f4_helpers_that_are_mounted_already_are_not_mounted_twice() {
    let admission = Case::named("f4-fracta-stream").admit();
    let pod = admission.injected();
    assert_eq!(pod.container("agent").mount(HELPERS)["name"], "auth-helpers");
    assert_eq!(
        pod.volume_names(),
        [
            "workspace",
            "agent-config",
            "auth-secret",
            "auth-helpers",
            "vertex-injector-credentials"
        ]
    );
    pod.same("/spec/volumes/3");
    let unit = admission
        .decision
        .units
        .iter()
        .find(|unit| unit.name == "authHelpers[fracta-auth-helpers]");
    assert_eq!(serde_json::to_value(unit.unwrap().state).unwrap(), "present");
}

#[test]
fn f4_another_source_under_the_name_and_path_is_refused() {
    let admission = Case::named("f4-other-source-at-the-path").admit();
    let message = admission.denied(Reason::Conflict);
    for part in ["container \"agent\"", "\"auth-helpers\"", HELPERS, "fracta/fracta"] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
}

#[test]
fn f4_another_volume_of_the_name_elsewhere_keeps_its_name_and_place() {
    let admission = Case::named("f4-other-volume-of-the-name").admit();
    let pod = admission.injected();
    let agent = pod.container("agent");
    assert_eq!(agent.mount("/scratch")["name"], "auth-helpers");
    pod.same("/spec/volumes/3");
    let mounted = agent.mount(HELPERS)["name"].as_str().unwrap();
    assert_eq!(pod.volume(mounted).unwrap()["configMap"]["name"], "fracta-auth-helpers");
}

#[test]
fn f5_every_object_that_the_pod_will_wait_for_is_named_and_warned_about() {
    let admission = Case::named("f5-needs-are-named").admit();
    admission.injected();
    let needs: Vec<(&str, &str, bool)> = admission
        .decision
        .needs
        .iter()
        .map(|it| (it.kind, it.name.as_str(), it.optional))
        .collect();
    assert_eq!(
        needs,
        [
            ("ConfigMap", "fracta-auth-helpers", false),
            ("ConfigMap", "team-licenses", false),
            ("ConfigMap", "team-settings", false),
            ("PersistentVolumeClaim", "team-cache", false),
            ("Secret", "team-certificate", true),
        ]
    );
    let warning = admission
        .decision
        .warnings
        .iter()
        .find(|it| it.contains("ConfigMap fracta-auth-helpers"))
        .unwrap();
    for part in [
        "team-licenses",
        "team-settings",
        "team-cache",
        "namespace fracta",
        "ContainerCreating",
    ] {
        assert!(warning.contains(part), "{warning} lacks {part}");
    }
    assert!(
        !warning.contains("team-certificate"),
        "an optional object keeps no pod waiting: {warning}"
    );
}

#[test]
fn f8_the_control_plane_is_left_alone() {
    let admission = Case::named("f8-fracta-control-plane").admit();
    admission.changes_nothing().skipped(Reason::NotSelected);
}

#[test]
fn f9_a_mount_of_an_undefined_volume_is_named_with_the_valid_names() {
    let admission = Case::named("f9-mount-of-an-undefined-volume").admit();
    let message = admission.denied(Reason::PolicyUnusable);
    for part in [
        "fracta/fracta",
        "spec.volumeMounts[0].name",
        "\"cahce\"",
        "valid names: [cache, workspace]",
    ] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
}

#[test]
fn f9_empty_lists_have_no_effect_and_no_warning() {
    let admission = Case::named("f9-empty-lists").admit();
    admission.changes_nothing().skipped(Reason::NothingToInject);
    assert!(admission.decision.warnings.is_empty() && admission.decision.needs.is_empty());
}

#[test]
fn a_volume_that_the_pod_should_bring_and_does_not_is_missed_by_name() {
    let world = World::serving(
        "  agents: [{podSelector: {}}]
  podVolumes: [workspace]
  volumeMounts: [{name: workspace, mountPath: /srv/work}]",
    );
    let mut pod = json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "a", "image": "a"}]}});
    let refused = world.admit(&pod);
    let message = refused.denied(Reason::Conflict);
    assert!(
        message.contains("\"workspace\"") && message.contains("podVolumes"),
        "{message}"
    );
    pod["spec"]["volumes"] = json!([{"name": "workspace", "emptyDir": {}}]);
    let admission = world.admit(&pod);
    assert_eq!(
        admission.injected().container("a").mount("/srv/work")["name"],
        "workspace"
    );
}
