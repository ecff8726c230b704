//! A session and a job of Kartograph and jobs of Fracta, created as those systems create them. Only the image is another
//! one: `localhost/agent:1` (`agent.rs`).

use serde_json::{Value, json};

use crate::agent::IMAGE;
use crate::container;
use crate::installed::{Agents, WELL, documents, node};
use crate::token::{Taken, google};

const PROVIDER: &str = "projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster";
const AUDIENCE: &str =
    "https://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/agents/providers/cluster";
const VERTEX_SA: &str = "agent@my-project.iam.gserviceaccount.com";
const KARTOGRAPH_SA: &str = "kartograph-agent@my-project.iam.gserviceaccount.com";

/// Fracta's auth helper. Its last line is the one of Fracta's documentation.
const HELPER: &str = "#!/bin/sh\nexec gcloud auth print-access-token --impersonate-service-account=$VERTEX_SA\n";

/// A pod or job of `tests/pods` with our image in all its containers.
#[track_caller]
fn of_file(name: &str) -> Value {
    let mut object = documents(&format!("tests/pods/{name}.yaml")).remove(0);
    let spec = if object["kind"] == "Job" {
        "/spec/template/spec"
    } else {
        "/spec"
    };
    let spec = object.pointer_mut(spec).expect("a pod's specification");
    for list in ["initContainers", "containers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            container["image"] = IMAGE.into();
        }
    }
    object
}

/// The token is for Google alone, as long as the policy says, and the pod's own.
#[track_caller]
fn assert_token(taken: &Taken, agents: &Agents<'_>, account: &str, seconds: u64) {
    let claims = &taken.claims;
    assert_eq!(claims["aud"], json!([AUDIENCE]));
    let time = |claim: &str| claims[claim].as_u64().expect("a time");
    assert_eq!(time("exp") - time("iat"), seconds);
    assert_eq!(
        claims["sub"],
        format!("system:serviceaccount:{}:{account}", agents.name)
    );
}

#[test]
fn a_sticky_session_of_kartograph_serves_ends_and_google_takes_its_token() {
    let Some(node) = node() else { return };
    let _well = WELL.read();
    let agents = Agents::new(node, "kartograph-workloads", "kartograph-agent");
    let policy = documents("hack/demo/policy.yaml").remove(0);
    agents.policy(&policy);
    let session = of_file("kartograph-sticky");
    let claim = session["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]
        .as_str()
        .unwrap();
    agents.claim(claim);

    agents.create(&session);

    let pod = format!("pod/{}", session["metadata"]["name"].as_str().unwrap());
    // Its own readiness probe asks for /health.
    agents.until_ready(&pod);
    let taken = agents.take(&pod);
    assert_eq!(taken.pod.user, Some(65532));
    assert_eq!(
        taken.pod.env["GOOGLE_APPLICATION_CREDENTIALS"],
        "/gcloud/config/application_default_credentials.json"
    );
    assert_token(&taken, &agents, "kartograph-agent", 3600);
    assert_eq!(agents.exec(&pod, &["sh", "-c", "echo $PATH"]), "/bin\n");

    if let Some(google) = google(node, PROVIDER, KARTOGRAPH_SA) {
        let came_back: Value = serde_json::from_str(google.run_google_auth(&taken.pod).output()).unwrap();
        assert_eq!(came_back["project"], "my-project");
        assert_eq!(came_back["service_account"], KARTOGRAPH_SA);
        assert!(came_back["token"].as_str().unwrap().starts_with("ya29."));
    }

    agents.stop(&pod);
    let log = agents.kubectl(&["logs", &pod]);
    assert!(
        log.contains("agent: user 65532") && log.contains("agent: done"),
        "{log}"
    );
}

#[test]
fn an_extraction_job_of_kartograph_completes() {
    let Some(node) = node() else { return };
    let _well = WELL.read();
    let agents = Agents::new(node, "kartograph-jobs", "kartograph-agent");
    agents.policy(&documents("hack/demo/policy.yaml")[0]);
    let mut job = of_file("kartograph-agentic-ci-job");
    // Another test has the namespace that the file names.
    job["metadata"]["namespace"] = agents.name.into();
    let volumes = &job["spec"]["template"]["spec"]["volumes"];
    agents.claim(volumes[0]["persistentVolumeClaim"]["claimName"].as_str().unwrap());

    agents.create(&job);

    let job = job["metadata"]["name"].as_str().unwrap();
    let pod = agents.pod_of(job);
    agents.until_ready(&pod);
    let taken = agents.take(&pod);
    assert_eq!(taken.pod.user, Some(1000));
    assert_token(&taken, &agents, "kartograph-agent", 3600);
    let directory = "/home/agent-ci/.config/gcloud";
    assert_eq!(
        taken.configuration["credential_source"]["file"],
        format!("{directory}/token")
    );

    agents.stop(&pod);
    agents.kubectl(&[
        "wait",
        "--for=condition=Complete",
        &format!("job/{job}"),
        "--timeout=30s",
    ]);
    let log = agents.kubectl(&["logs", &format!("job/{job}")]);
    assert!(log.contains("agent: user 1000"), "{log}");
}

/// Everything that Fracta makes beside its Job.
#[track_caller]
fn fracta(agents: &Agents<'_>, policy: &Value) -> Value {
    agents.policy(&json!({
        "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy", "metadata": {"name": "fracta"},
        "spec": policy,
    }));
    let object = |kind: &str, name: &str, data: Value| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "data": data});
    agents.create(&json!({"apiVersion": "v1", "kind": "List", "items": [
        object("ConfigMap", "fracta-config-a1b2c3", json!({"user-settings.json": "{}"})),
        object("ConfigMap", "fracta-auth-helpers", json!({"fetch-vertex-token": HELPER})),
        object("Secret", "fracta-auth-a1b2c3", json!({})),
    ]}));
    let mut job = of_file("fracta-job-pod");
    job["metadata"]["namespace"] = agents.name.into();
    agents.create(&job);
    job
}

fn fracta_policy() -> Value {
    json!({
        "agents": [{"podSelector": {"matchExpressions": [{"key": "fracta-agent-id", "operator": "Exists"}]}}],
        "vertex": {"project": "my-project", "region": "us-east5", "clients": ["ClaudeCode"]},
        "identity": {"workloadIdentityFederation": {"provider": PROVIDER, "tokenExpirationSeconds": 1800}},
        "authHelpers": [{"configMapName": "fracta-auth-helpers", "mountPath": "/opt/fracta/auth-helpers"}],
        "env": [{"name": "VERTEX_SA", "value": VERTEX_SA}],
    })
}

#[test]
fn a_job_of_fracta_runs_its_helper_completes_and_google_takes_its_token() {
    let Some(node) = node() else { return };
    let _well = WELL.read();
    let agents = Agents::new(node, "fracta", "fracta-agent");

    fracta(&agents, &fracta_policy());

    let job = "job/fracta-agent-a1b2c3";
    let pod = agents.pod_of("fracta-agent-a1b2c3");
    agents.until_ready(&pod);
    let taken = agents.take(&pod);
    assert_token(&taken, &agents, "fracta-agent", 1800);
    // The image's, because nothing of the pod's PATH is the injector's.
    assert_eq!(agents.exec(&pod, &["sh", "-c", "echo $PATH"]), "/bin\n");
    assert_eq!(taken.pod.env["GOOGLE_CLOUD_PROJECT"], "my-project");

    if let Some(google) = google(node, PROVIDER, VERTEX_SA) {
        let came_back: Value = serde_json::from_str(google.run_google_auth(&taken.pod).output()).unwrap();
        assert!(came_back["token"].as_str().unwrap().starts_with("ya29."));
        let helper = HELPER.lines().last().unwrap().trim_start_matches("exec ");
        for command in ["gcloud auth print-access-token", helper] {
            if let Some(printed) = google.run_gcloud(&taken.pod, command) {
                assert!(printed.output().starts_with("ya29."), "{command}");
            }
        }
    }

    agents.stop(&pod);
    agents.kubectl(&["wait", "--for=condition=Complete", job, "--timeout=30s"]);
    let log = agents.kubectl(&["logs", job]);
    assert!(
        log.contains("agent: helper /opt/fracta/auth-helpers/fetch-vertex-token\n"),
        "{log}"
    );
    let says = format!("agent: helper says gcloud auth print-access-token --impersonate-service-account={VERTEX_SA}\n");
    assert!(log.contains(&says), "{log}");
}

#[test]
fn a_job_with_a_credential_sidecar_reaches_it_completes_and_still_has_one_container() {
    let Some(node) = node() else { return };
    let _well = WELL.read();
    let agents = Agents::new(node, "fracta-sidecar", "fracta-agent");
    let mut policy = fracta_policy();
    let serve = "while true; do echo at your service | nc -l -p 8105; done";
    policy["sidecars"] = json!([
        {"name": "github", "image": IMAGE, "command": ["sh", "-c", serve], "port": 8105, "mcpKey": "github"},
    ]);

    fracta(&agents, &policy);

    let job = "job/fracta-agent-a1b2c3";
    let pod = agents.pod_of("fracta-agent-a1b2c3");
    agents.until_ready(&pod);
    let spec = agents.get(&[&pod])["spec"].clone();
    assert_eq!(spec["containers"].as_array().unwrap().len(), 1);
    assert_eq!(spec["initContainers"][0]["name"], "vertex-injector-github");
    // Neither Google's credentials nor the API server's are there.
    for path in [
        "/var/run/secrets/vertex-injector",
        "/var/run/secrets/kubernetes.io/serviceaccount/token",
    ] {
        let test = format!("test ! -e {path}");
        container::exec(&agents, &pod, "vertex-injector-github", &["sh", "-c", &test]);
    }

    agents.stop(&pod);
    agents.kubectl(&["wait", "--for=condition=Complete", job, "--timeout=30s"]);
    let log = agents.kubectl(&["logs", job]);
    assert!(log.contains("agent: sidecar says at your service"), "{log}");
}
