//! The guards of what a running agent's credentials follow: annotations, and the broker.

use crate::release::{RELEASE, Release, pod};
use serde_json::{Value, json};
use vertex_injector_core::names::{CREDENTIAL_CONFIGURATION, LOOPBACK_CONFIGURATION, POLICY_REF};

const KEYS: [&str; 3] = [CREDENTIAL_CONFIGURATION, LOOPBACK_CONFIGURATION, POLICY_REF];

#[test]
fn an_update_of_the_pod_cannot_write_it() {
    let Some(release) = &*RELEASE else { return };
    let namespace = injected(release, "guard-update");
    for key in KEYS {
        for change in [format!("{key}=forged"), format!("{key}-")] {
            let error = release
                .cluster
                .try_kubectl(&[
                    "--namespace",
                    namespace,
                    "annotate",
                    "--overwrite",
                    "pod",
                    "agent",
                    &change,
                ])
                .error();
            assert_refused(&error, key);
        }
    }
    // Dropping everything by which the pod could be selected, in the same request.
    let patch =
        json!({"metadata": {"labels": {"fracta-agent-id": null}, "annotations": {CREDENTIAL_CONFIGURATION: "forged"}}});
    assert_refused(
        &patched(release, namespace, "agent", &[], &patch).expect_err("refused"),
        CREDENTIAL_CONFIGURATION,
    );
    let error = patched(
        release,
        namespace,
        "agent",
        &[],
        &json!({"metadata": {"annotations": null}}),
    )
    .expect_err("refused");
    for key in KEYS {
        assert_refused(&error, key);
    }
    assert_unchanged(release, namespace);
}

#[test]
fn a_pod_that_was_created_without_it_cannot_get_it_later() {
    let Some(release) = &*RELEASE else { return };
    let namespace = injected(release, "guard-later");
    for key in KEYS {
        let change = format!("{key}=forged");
        let error = release
            .cluster
            .try_kubectl(&["--namespace", namespace, "annotate", "pod", "other", &change])
            .error();
        assert_refused(&error, key);
    }
}

#[test]
fn an_update_of_the_status_cannot_write_it() {
    let Some(release) = &*RELEASE else { return };
    let namespace = injected(release, "guard-status");
    for key in KEYS {
        for value in [json!("forged"), Value::Null] {
            let patch = json!({"metadata": {"annotations": {key: value}}, "status": {"message": "x"}});
            assert_refused(
                &patched(release, namespace, "agent", &["--subresource=status"], &patch).expect_err("refused"),
                key,
            );
        }
    }
    assert_unchanged(release, namespace);
}

#[test]
fn a_binding_cannot_write_it_by_either_of_its_addresses() {
    let Some(release) = &*RELEASE else { return };
    let namespace = injected(release, "guard-binding");
    for key in KEYS {
        for name in ["agent", "other"] {
            for address in ["bindings".to_owned(), format!("pods/{name}/binding")] {
                let error = bind(release, namespace, name, &address, json!({key: "forged"})).expect_err("refused");
                assert_refused(&error, key);
            }
        }
    }
    assert_unchanged(release, namespace);
}

#[test]
fn the_other_subresources_of_a_pod_cannot_write_it_anyway() {
    let Some(release) = &*RELEASE else { return };
    let namespace = injected(release, "guard-others");
    let forged = json!({"annotations": {CREDENTIAL_CONFIGURATION: "forged", "other": "forged"}});
    let debugger = json!({"name": "debug", "image": "example.com/debug", "terminationMessagePolicy": "File"});
    let patch = json!({"metadata": forged, "spec": {"ephemeralContainers": [debugger]}});
    patched(
        release,
        namespace,
        "agent",
        &["--subresource=ephemeralcontainers"],
        &patch,
    )
    .expect("ephemeral containers");
    let resources = json!({"name": "agent", "resources": {"requests": {"cpu": "2m"}}});
    let patch = json!({"metadata": forged, "spec": {"containers": [resources]}});
    patched(release, namespace, "agent", &["--subresource=resize"], &patch).expect("resize");
    let pod = release.cluster.get(&["--namespace", namespace, "pod", "agent"]);
    assert_eq!(pod["spec"]["containers"][0]["resources"]["requests"]["cpu"], "2m");
    assert_eq!(pod["spec"]["ephemeralContainers"][0]["name"], "debug");
    assert_eq!(pod["metadata"]["annotations"]["other"], Value::Null);
    assert_unchanged(release, namespace);
}

#[test]
fn everything_else_about_pods_works_as_before() {
    let Some(release) = &*RELEASE else { return };
    let namespace = injected(release, "guard-else");
    for name in ["agent", "other"] {
        let in_namespace = |arguments: &[&str]| {
            release
                .cluster
                .kubectl(&[&["--namespace", namespace], arguments].concat())
        };
        in_namespace(&["label", "pod", name, "team=a"]);
        in_namespace(&["label", "pod", name, "team-"]);
        in_namespace(&["annotate", "pod", name, "example.com/note=x"]);
        in_namespace(&["annotate", "pod", name, "example.com/note-"]);
        let status = json!({"metadata": {"annotations": {"example.com/seen": "yes"}}, "status": {"message": "x"}});
        patched(release, namespace, name, &["--subresource=status"], &status).expect("a status");
        bind(
            release,
            namespace,
            name,
            &format!("pods/{name}/binding"),
            json!({"example.com/bound": "yes"}),
        )
        .expect("a binding");
        let pod = release.cluster.get(&["--namespace", namespace, "pod", name]);
        assert_eq!(pod["spec"]["nodeName"], "node-1");
        assert_eq!(pod["metadata"]["annotations"]["example.com/seen"], "yes");
        assert_eq!(pod["metadata"]["annotations"]["example.com/bound"], "yes");
    }
    release.cluster.apply(&pod(namespace, "third", json!({})).to_string());
    bind(release, namespace, "third", "bindings", Value::Null).expect("a binding by the old address");
    assert_unchanged(release, namespace);
    for name in ["agent", "other", "third"] {
        release.cluster.kubectl(&[
            "--namespace",
            namespace,
            "delete",
            "pod",
            name,
            "--force",
            "--wait=false",
        ]);
    }
}

#[test]
fn nobody_runs_a_command_in_a_broker_or_attaches_to_one() {
    let Some(release) = &*RELEASE else { return };
    let namespace = served(release, "guard-exec");
    let tried = |what: &str, container: &str| {
        let query = format!("container={container}&stdout=true&command=cat");
        let path = format!("/api/v1/namespaces/{namespace}/pods/agent/{what}?{query}");
        let create = ["create", "--raw", &path, "--filename", "-"];
        release.cluster.try_kubectl_stdin(&create, "").error()
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
fn served<'a>(release: &Release, namespace: &'a str) -> &'a str {
    release.cluster.create_namespace(namespace, &[]);
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
    release.cluster.apply(&agent.to_string());
    namespace
}

#[test]
fn broker_and_sidecars_keep_image_and_resources_while_they_run() {
    let Some(release) = &*RELEASE else { return };
    let namespace = served(release, "guard-image");
    let init = |container: Value| json!({"spec": {"initContainers": [container]}});
    for name in ["vertex-injector-broker", "vertex-injector-tool"] {
        let image = init(json!({"name": name, "image": "evil.example/x:1"}));
        let error = patched(release, namespace, "agent", &[], &image).expect_err("refused");
        let said = format!("the image of {name} cannot be changed");
        assert!(
            error.contains("injector-vertex-injector-broker") && error.contains(&said),
            "{error}"
        );
    }
    let less = json!({"limits": {"memory": "1Mi"}, "requests": {"memory": "1Mi"}});
    let resize = init(json!({"name": "vertex-injector-broker", "resources": less}));
    let error = patched(release, namespace, "agent", &["--subresource=resize"], &resize).expect_err("refused");
    assert!(
        error.contains("the resources of vertex-injector-broker cannot be changed"),
        "{error}"
    );

    let own = |field: &str, value: Value| json!({"spec": {"containers": [{"name": "agent", field: value}]}});
    patched(
        release,
        namespace,
        "agent",
        &[],
        &own("image", json!("example.com/agent:2")),
    )
    .expect("its own image");
    let more = own("resources", json!({"limits": {"cpu": "2"}, "requests": {"cpu": "2"}}));
    patched(release, namespace, "agent", &["--subresource=resize"], &more).expect("its own resources");
    release
        .cluster
        .kubectl(&["--namespace", namespace, "label", "pod", "agent", "team=a"]);
}

#[test]
fn no_debug_container_reaches_what_broker_and_sidecars_keep() {
    let Some(release) = &*RELEASE else { return };
    let namespace = served(release, "guard-debug");
    let debug = |name: &str, more: Value| {
        let mut container = json!({"name": name, "image": "example.com/debug", "terminationMessagePolicy": "File"});
        container
            .as_object_mut()
            .expect("a container")
            .extend(more.as_object().expect("fields").clone());
        let patch = json!({"spec": {"ephemeralContainers": [container]}});
        patched(
            release,
            namespace,
            "agent",
            &["--subresource=ephemeralcontainers"],
            &patch,
        )
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
fn injected<'a>(release: &Release, namespace: &'a str) -> &'a str {
    release.cluster.create_namespace(namespace, &[]);
    let mut agent = pod(namespace, "agent", json!({"fracta-agent-id": "a"}));
    agent["metadata"]["annotations"] =
        json!({CREDENTIAL_CONFIGURATION: "{}", LOOPBACK_CONFIGURATION: "{}", POLICY_REF: "team/policy@1"});
    agent["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "1m"}});
    release.cluster.apply(&agent.to_string());
    release.cluster.apply(&pod(namespace, "other", json!({})).to_string());
    namespace
}

#[track_caller]
fn assert_refused(error: &str, key: &str) {
    assert!(error.contains("injector-vertex-injector-annotations"), "{error}");
    assert!(
        error.contains(key) && error.contains("cannot be added, changed or removed once the pod exists"),
        "{error}"
    );
}

#[track_caller]
fn assert_unchanged(release: &Release, namespace: &str) {
    let agent = release.cluster.get(&["--namespace", namespace, "pod", "agent"]);
    assert_eq!(agent["metadata"]["annotations"][CREDENTIAL_CONFIGURATION], "{}");
    assert_eq!(agent["metadata"]["annotations"][POLICY_REF], "team/policy@1");
}

fn patched(release: &Release, namespace: &str, pod: &str, more: &[&str], patch: &Value) -> Result<String, String> {
    let patch = patch.to_string();
    let arguments = [
        "--namespace",
        namespace,
        "patch",
        "pod",
        pod,
        "--type=strategic",
        "--patch",
        &patch,
    ];
    let ran = release.cluster.try_kubectl(&[&arguments, more].concat());
    if ran.success() { Ok(ran.stdout) } else { Err(ran.stderr) }
}

fn bind(release: &Release, namespace: &str, pod: &str, address: &str, annotations: Value) -> Result<String, String> {
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod, "annotations": annotations},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "node-1"},
    });
    let path = format!("/api/v1/namespaces/{namespace}/{address}");
    let ran = release
        .cluster
        .try_kubectl_stdin(&["create", "--raw", &path, "--filename", "-"], &binding.to_string());
    if ran.success() { Ok(ran.stdout) } else { Err(ran.stderr) }
}
