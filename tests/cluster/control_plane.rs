//! etcd and kube-apiserver.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use harness::kube::{ControlPlane, NAMED_CLUSTER};
use harness::process::{or_explain, repository, run};

/// For tests that leave it as they find it but for names of their own. It ends with this process.
static SHARED: LazyLock<Option<ControlPlane>> = LazyLock::new(|| or_explain(ControlPlane::start_own()));

#[test]
fn two_control_planes_run_side_by_side_and_share_nothing() {
    let Some(one) = or_explain(ControlPlane::start_own()) else {
        return;
    };
    let Some(other) = or_explain(ControlPlane::start_own()) else {
        return;
    };

    one.create_namespace("only-in-one", &[("team", "a")]);

    let namespace = one.get(&["namespace", "only-in-one"]);
    assert_eq!(namespace["metadata"]["labels"]["team"], "a");
    let error = other.try_kubectl(&["get", "namespace", "only-in-one"]).error();
    assert!(error.contains("not found"), "{error}");
}

#[test]
fn the_api_server_restarts_with_its_address_and_data() {
    let Some(cluster) = or_explain(ControlPlane::start_own()) else {
        return;
    };
    cluster.kubectl(&["create", "configmap", "kept", "--from-literal", "a=b"]);
    let started_at = || {
        let metrics = cluster.kubectl(&["get", "--raw", "/metrics"]);
        let line = metrics
            .lines()
            .find(|line| line.starts_with("process_start_time_seconds "));
        line.expect("the API server tells when it was started").to_owned()
    };
    let before = started_at();

    cluster.restart_api_server().unwrap();

    assert_ne!(started_at(), before);
    assert_eq!(cluster.get(&["configmap", "kept"])["data"]["a"], "b");
}

#[test]
fn a_new_namespace_admits_pods_and_they_get_a_service_account_token() {
    let Some(cluster) = &*SHARED else { return };
    cluster.create_namespace("agents", &[]);

    cluster.apply(
        "{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: agents},
          spec: {containers: [{name: web, image: example.com/web}]}}",
    );

    let pod = cluster.get(&["--namespace", "agents", "pod", "web"]);
    assert_eq!(pod["spec"]["serviceAccountName"], "default");
    let mount = &pod["spec"]["containers"][0]["volumeMounts"][0]["mountPath"];
    assert_eq!(mount, "/var/run/secrets/kubernetes.io/serviceaccount");
}

#[test]
fn helm_renders_offline_for_the_kubernetes_that_it_installs_into() {
    let Some(cluster) = &*SHARED else { return };
    let chart = folder("chart");
    std::fs::create_dir_all(chart.join("templates")).unwrap();
    let about = "{apiVersion: v2, name: tiny, version: 1.0.0, kubeVersion: '>= 1.30.0-0'}";
    std::fs::write(chart.join("Chart.yaml"), about).unwrap();
    let template = "{apiVersion: v1, kind: ConfigMap, metadata: {name: tiny},
        data: {minor: 'minor {{ .Capabilities.KubeVersion.Minor }}'}}";
    std::fs::write(chart.join("templates/configmap.yaml"), template).unwrap();
    let chart = chart.to_str().unwrap();

    let offline = cluster.helm(&["template", "tiny", chart]);
    cluster.helm(&["install", "tiny", chart]);

    let installed = cluster.get(&["configmap", "tiny"]);
    let minor = installed["data"]["minor"].as_str().unwrap();
    assert!(offline.contains(minor), "{offline}");
}

#[test]
fn a_cluster_that_the_user_names_is_used_and_never_restarted() {
    let Some(cluster) = &*SHARED else { return };

    // Tests read the name from their environment, so another process has to.
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "control_plane::uses_the_named_cluster"])
        .args(["--ignored", "--nocapture"])
        .env(NAMED_CLUSTER, cluster.kubeconfig())
        .output()
        .unwrap();

    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    assert!(
        printed.contains("a cluster whose API server is not this test's to restart"),
        "{printed}"
    );
    assert_eq!(cluster.get(&["configmap", "from-a-test"])["data"]["a"], "b");
}

#[test]
#[ignore = "run by a_cluster_that_the_user_names_is_used_and_never_restarted"]
fn uses_the_named_cluster() {
    let cluster = ControlPlane::start().unwrap();
    cluster.kubectl(&["create", "configmap", "from-a-test", "--from-literal", "a=b"]);
    println!("{}", cluster.restart_api_server().unwrap_err());
}

#[test]
fn a_program_that_dies_at_the_start_is_named_with_the_end_of_its_log() {
    let assets = folder("assets");
    for (name, script) in [
        ("etcd", "#!/bin/sh\necho no room left; exit 1\n"),
        ("kube-apiserver", "#!/bin/sh\nexec sleep 60\n"),
        ("kubectl", "#!/bin/sh\nexit 1\n"),
        ("helm", "#!/bin/sh\nexit 1\n"),
    ] {
        std::fs::write(assets.join(name), script).unwrap();
        std::fs::set_permissions(assets.join(name), PermissionsExt::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", std::env::var("PATH").unwrap(), assets.display());

    let mut cluster = Command::new(repository().join("hack/kube/cluster"))
        .arg("control-plane")
        .env("KUBEBUILDER_ASSETS", &assets)
        .env("PATH", path)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Held open, so that it does not end for want of commands.
    let _commands = cluster.stdin.take();
    let output = cluster.wait_with_output().unwrap();

    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("etcd has died"), "{error}");
    assert!(error.contains("no room left"), "{error}");
    let log = error.split(['(', ')']).find(|part| part.ends_with("etcd.log"));
    let log = Path::new(log.expect("it names the log"));
    assert!(log.is_file(), "{error}");
    // It would be kept for a day.
    std::fs::remove_dir_all(log.parent().unwrap()).unwrap();
}

#[test]
fn what_a_folder_of_assets_lacks_is_listed() {
    let assets = folder("no-assets");
    let mut check = Command::new(repository().join("hack/kube/cluster"));
    check
        .args(["control-plane", "--check"])
        .env("KUBEBUILDER_ASSETS", &assets);

    let checked = run(&mut check, "", Duration::from_secs(30));

    assert_eq!(checked.code, Some(3));
    for program in ["etcd", "kube-apiserver", "kubectl"] {
        let line = format!("- {program} in {}", assets.display());
        assert!(checked.stderr.contains(&line), "{}", checked.stderr);
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cluster").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
