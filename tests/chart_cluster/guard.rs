//! The guards of what a running agent's credentials follow: annotations, and the broker.

use crate::release::{RELEASE, Release, pod};
use harness::process::Ran;
use serde_json::{Value, json};
use vertex_injector_core::names::{CREDENTIAL_CONFIGURATION, LOOPBACK_CONFIGURATION, POLICY_REF};

const KEYS: [&str; 3] = [CREDENTIAL_CONFIGURATION, LOOPBACK_CONFIGURATION, POLICY_REF];

#[test]
fn an_update_of_the_pod_cannot_write_it() {
    let Some(pods) = injected("guard-update") else { return };
    for key in KEYS {
        for change in [format!("{key}=forged"), format!("{key}-")] {
            let error = pods
                .try_kubectl(&["annotate", "--overwrite", "pod", "agent", &change])
                .error();
            assert_refused(&error, key);
        }
    }
    // Dropping everything by which the pod could be selected, in the same request.
    let patch =
        json!({"metadata": {"labels": {"fracta-agent-id": null}, "annotations": {CREDENTIAL_CONFIGURATION: "forged"}}});
    assert_refused(
        &pods.patch("agent", &[], &patch).expect_err("refused"),
        CREDENTIAL_CONFIGURATION,
    );
    let error = pods
        .patch("agent", &[], &json!({"metadata": {"annotations": null}}))
        .expect_err("refused");
    for key in KEYS {
        assert_refused(&error, key);
    }
    pods.assert_unchanged();
}

#[test]
fn a_pod_that_was_created_without_it_cannot_get_it_later() {
    let Some(pods) = injected("guard-later") else { return };
    for key in KEYS {
        let change = format!("{key}=forged");
        let error = pods.try_kubectl(&["annotate", "pod", "other", &change]).error();
        assert_refused(&error, key);
    }
}

#[test]
fn an_update_of_the_status_cannot_write_it() {
    let Some(pods) = injected("guard-status") else { return };
    for key in KEYS {
        for value in [json!("forged"), Value::Null] {
            let patch = json!({"metadata": {"annotations": {key: value}}, "status": {"message": "x"}});
            assert_refused(
                &pods
                    .patch("agent", &["--subresource=status"], &patch)
                    .expect_err("refused"),
                key,
            );
        }
    }
    pods.assert_unchanged();
}

#[test]
fn a_binding_cannot_write_it_by_either_of_its_addresses() {
    let Some(pods) = injected("guard-binding") else { return };
    for key in KEYS {
        for name in ["agent", "other"] {
            for address in ["bindings".to_owned(), format!("pods/{name}/binding")] {
                let error = pods.bind(name, &address, json!({key: "forged"})).expect_err("refused");
                assert_refused(&error, key);
            }
        }
    }
    pods.assert_unchanged();
}

#[test]
fn the_other_subresources_of_a_pod_cannot_write_it_anyway() {
    let Some(pods) = injected("guard-others") else { return };
    let forged = json!({"annotations": {CREDENTIAL_CONFIGURATION: "forged", "other": "forged"}});
    let debugger = json!({"name": "debug", "image": "example.com/debug", "terminationMessagePolicy": "File"});
    let patch = json!({"metadata": forged, "spec": {"ephemeralContainers": [debugger]}});
    pods.patch("agent", &["--subresource=ephemeralcontainers"], &patch)
        .expect("ephemeral containers");
    let resources = json!({"name": "agent", "resources": {"requests": {"cpu": "2m"}}});
    let patch = json!({"metadata": forged, "spec": {"containers": [resources]}});
    pods.patch("agent", &["--subresource=resize"], &patch).expect("resize");
    let pod = pods.get("agent");
    assert_eq!(pod["spec"]["containers"][0]["resources"]["requests"]["cpu"], "2m");
    assert_eq!(pod["spec"]["ephemeralContainers"][0]["name"], "debug");
    assert_eq!(pod["metadata"]["annotations"]["other"], Value::Null);
    pods.assert_unchanged();
}

#[test]
fn everything_else_about_pods_works_as_before() {
    let Some(pods) = injected("guard-else") else { return };
    for name in ["agent", "other"] {
        pods.kubectl(&["label", "pod", name, "team=a"]);
        pods.kubectl(&["label", "pod", name, "team-"]);
        pods.kubectl(&["annotate", "pod", name, "example.com/note=x"]);
        pods.kubectl(&["annotate", "pod", name, "example.com/note-"]);
        let status = json!({"metadata": {"annotations": {"example.com/seen": "yes"}}, "status": {"message": "x"}});
        pods.patch(name, &["--subresource=status"], &status).expect("a status");
        pods.bind(
            name,
            &format!("pods/{name}/binding"),
            json!({"example.com/bound": "yes"}),
        )
        .expect("a binding");
        let pod = pods.get(name);
        assert_eq!(pod["spec"]["nodeName"], "node-1");
        assert_eq!(pod["metadata"]["annotations"]["example.com/seen"], "yes");
        assert_eq!(pod["metadata"]["annotations"]["example.com/bound"], "yes");
    }
    pods.create(&pod(pods.namespace, "third", json!({})));
    pods.bind("third", "bindings", Value::Null)
        .expect("a binding by the old address");
    pods.assert_unchanged();
    for name in ["agent", "other", "third"] {
        pods.kubectl(&["delete", "pod", name, "--force", "--wait=false"]);
    }
}

#[test]
fn nobody_runs_a_command_in_a_broker_or_attaches_to_one() {
    let Some(pods) = served("guard-exec") else { return };
    let tried = |what: &str, container: &str| {
        let query = format!("container={container}&stdout=true&command=cat");
        pods.post(&format!("pods/agent/{what}?{query}"), "").error()
    };
    for what in ["exec", "attach"] {
        for container in ["vertex-injector-broker", "vertex-injector-tool"] {
            let error = tried(what, container);
            assert!(
                error.contains(&format!("no command can be run in {container}")),
                "{error}"
            );
        }
        // The agent's own passes; this API server has no node to send it to.
        let error = tried(what, "agent");
        assert!(error.contains("does not have a host assigned"), "{error}");
    }
}

/// A pod with a broker and a credential sidecar.
fn served(namespace: &'static str) -> Option<Pods> {
    let pods = Pods::within(namespace)?;
    let mut agent = pod(namespace, "agent", json!({}));
    let resources = json!({"limits": {"cpu": "1", "memory": "64Mi"}});
    let token = json!([{"name": "T", "valueFrom": {"secretKeyRef": {"name": "variable", "key": "k"}}}]);
    agent["spec"]["initContainers"] = json!([
        {"name": "vertex-injector-broker", "image": "example.com/broker:1", "restartPolicy": "Always", "resources": resources},
        {"name": "vertex-injector-tool", "image": "example.com/tool:1", "restartPolicy": "Always", "env": token},
    ]);
    agent["spec"]["containers"][0]["resources"] = resources;
    agent["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "work", "mountPath": "/work"}]);
    agent["spec"]["volumes"] = json!([
        {"name": "vertex-injector-credentials", "emptyDir": {}},
        {"name": "vertex-injector-cred-tool", "secret": {"secretName": "file"}},
        {"name": "work", "emptyDir": {}},
        {"name": "unjudged", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": "a"}}]}},
    ]);
    pods.create(&agent);
    Some(pods)
}

#[test]
fn broker_and_sidecars_keep_image_and_resources_while_they_run() {
    let Some(pods) = served("guard-image") else { return };
    let init = |container: Value| json!({"spec": {"initContainers": [container]}});
    for name in ["vertex-injector-broker", "vertex-injector-tool"] {
        let image = init(json!({"name": name, "image": "evil.example/x:1"}));
        let error = pods.patch("agent", &[], &image).expect_err("refused");
        let said = format!("the image of {name} cannot be changed");
        assert!(
            error.contains("injector-vertex-injector-broker") && error.contains(&said),
            "{error}"
        );
    }
    let less = json!({"limits": {"memory": "1Mi"}, "requests": {"memory": "1Mi"}});
    let resize = init(json!({"name": "vertex-injector-broker", "resources": less}));
    let error = pods
        .patch("agent", &["--subresource=resize"], &resize)
        .expect_err("refused");
    assert!(
        error.contains("the resources of vertex-injector-broker cannot be changed"),
        "{error}"
    );

    let own = |field: &str, value: Value| json!({"spec": {"containers": [{"name": "agent", field: value}]}});
    pods.patch("agent", &[], &own("image", json!("example.com/agent:2")))
        .expect("its own image");
    let more = own("resources", json!({"limits": {"cpu": "2"}, "requests": {"cpu": "2"}}));
    pods.patch("agent", &["--subresource=resize"], &more)
        .expect("its own resources");
    pods.kubectl(&["label", "pod", "agent", "team=a"]);
}

#[test]
fn no_debug_container_reaches_what_broker_and_sidecars_keep() {
    let Some(pods) = served("guard-debug") else { return };
    let debug = |name: &str, more: Value| {
        let mut container = json!({"name": name, "image": "example.com/debug", "terminationMessagePolicy": "File"});
        container
            .as_object_mut()
            .expect("a container")
            .extend(more.as_object().expect("fields").clone());
        let patch = json!({"spec": {"ephemeralContainers": [container]}});
        pods.patch("agent", &["--subresource=ephemeralcontainers"], &patch)
    };
    let context = |context: Value| json!({"securityContext": context});
    let variable =
        |secret: &str| json!({"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": secret, "key": "k"}}}]});
    let reaches = "spec.ephemeralContainers: spy would reach what vertex-injector-broker, vertex-injector-tool keep";
    let unconfined =
        "spec.ephemeralContainers: the securityContext of spy is beyond the Pod Security Standard baseline";
    let reads = "spec.ephemeralContainers: spy takes variables from a Secret that vertex-injector-broker, vertex-injector-tool keep";
    for (more, said) in [
        (json!({"targetContainerName": "vertex-injector-broker"}), reaches),
        (json!({"targetContainerName": "vertex-injector-tool"}), reaches),
        (
            json!({"volumeMounts": [{"name": "vertex-injector-credentials", "mountPath": "/c"}]}),
            reaches,
        ),
        (
            json!({"volumeMounts": [{"name": "vertex-injector-cred-tool", "mountPath": "/c"}]}),
            reaches,
        ),
        (
            json!({"volumeMounts": [{"name": "unjudged", "mountPath": "/c"}]}),
            reaches,
        ),
        (context(json!({"privileged": true})), unconfined),
        (context(json!({"capabilities": {"add": ["SYS_PTRACE"]}})), unconfined),
        (context(json!({"seccompProfile": {"type": "Unconfined"}})), unconfined),
        (context(json!({"appArmorProfile": {"type": "Unconfined"}})), unconfined),
        (context(json!({"seLinuxOptions": {"type": "spc_t"}})), unconfined),
        (variable("variable"), reads),
        (variable("file"), reads),
        (json!({"envFrom": [{"secretRef": {"name": "file"}}]}), reads),
    ] {
        let error = debug("spy", more.clone()).expect_err("refused");
        assert!(error.contains(said), "{more}: {error}");
    }
    let mut fine = json!({"targetContainerName": "agent", "volumeMounts": [{"name": "work", "mountPath": "/w"}]});
    fine["env"] = variable("other")["env"].clone();
    fine["securityContext"] = json!({"capabilities": {"add": ["CHOWN"]}});
    debug("debugger", fine).expect("a debug container of the agent");
}

/// A namespace with an injected pod, `agent`, and one that is none, `other`. It did not opt in, so that no webhook is called.
fn injected(namespace: &'static str) -> Option<Pods> {
    let pods = Pods::within(namespace)?;
    let mut agent = pod(namespace, "agent", json!({"fracta-agent-id": "a"}));
    agent["metadata"]["annotations"] =
        json!({CREDENTIAL_CONFIGURATION: "{}", LOOPBACK_CONFIGURATION: "{}", POLICY_REF: "team/policy@1"});
    agent["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "1m"}});
    pods.create(&agent);
    pods.create(&pod(namespace, "other", json!({})));
    Some(pods)
}

#[track_caller]
fn assert_refused(error: &str, key: &str) {
    assert!(error.contains("injector-vertex-injector-annotations"), "{error}");
    assert!(
        error.contains(key) && error.contains("cannot be added, changed or removed once the pod exists"),
        "{error}"
    );
}

/// The pods of a namespace in the shared cluster.
struct Pods {
    release: &'static Release,
    namespace: &'static str,
}

impl Pods {
    fn within(namespace: &'static str) -> Option<Self> {
        let release = RELEASE.as_ref()?;
        release.cluster.create_namespace(namespace, &[]);
        Some(Self { release, namespace })
    }

    #[track_caller]
    fn kubectl(&self, arguments: &[&str]) {
        self.try_kubectl(arguments).output();
    }

    #[track_caller]
    fn try_kubectl(&self, arguments: &[&str]) -> Ran {
        let cluster = &self.release.cluster;
        cluster.try_kubectl(&[&["--namespace", self.namespace], arguments].concat())
    }

    #[track_caller]
    fn create(&self, pod: &Value) {
        self.release.cluster.apply(&pod.to_string());
    }

    #[track_caller]
    fn get(&self, name: &str) -> Value {
        self.release.cluster.get(&["--namespace", self.namespace, "pod", name])
    }

    /// Sends something to an address of the namespace.
    #[track_caller]
    fn post(&self, address: &str, body: &str) -> Ran {
        let path = format!("/api/v1/namespaces/{}/{address}", self.namespace);
        let create = ["create", "--raw", &path, "--filename", "-"];
        self.release.cluster.try_kubectl_stdin(&create, body)
    }

    #[track_caller]
    fn patch(&self, pod: &str, more: &[&str], patch: &Value) -> Result<String, String> {
        let patch = patch.to_string();
        let arguments = ["patch", "pod", pod, "--type=strategic", "--patch", &patch];
        said(self.try_kubectl(&[&arguments, more].concat()))
    }

    #[track_caller]
    fn bind(&self, pod: &str, address: &str, annotations: Value) -> Result<String, String> {
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod, "annotations": annotations},
            "target": {"apiVersion": "v1", "kind": "Node", "name": "node-1"},
        });
        said(self.post(address, &binding.to_string()))
    }

    #[track_caller]
    fn assert_unchanged(&self) {
        let agent = self.get("agent");
        assert_eq!(agent["metadata"]["annotations"][CREDENTIAL_CONFIGURATION], "{}");
        assert_eq!(agent["metadata"]["annotations"][POLICY_REF], "team/policy@1");
    }
}

fn said(ran: Ran) -> Result<String, String> {
    if ran.success() { Ok(ran.stdout) } else { Err(ran.stderr) }
}
