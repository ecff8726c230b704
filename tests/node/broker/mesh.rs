//! What linkerd and istio put into pods, in their order and under their names; the programs are stand-ins (`agent.rs`). Traffic is
//! not redirected: that is the meshes' own work, with exceptions for hosts and ports.

use serde_json::{Value, json};

use crate::agent::IMAGE;

/// A mesh, and the way in which its proxy stands in a pod.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mesh {
    /// The proxy is the first container and holds the others back until it is ready: linkerd's default.
    Linkerd,
    /// The proxy is a native sidecar (`config.linkerd.io/proxy-enable-native-sidecar`).
    LinkerdNative,
    /// The proxy is the first container and holds the others back (`holdApplicationUntilProxyStarts`).
    Istio,
    /// The proxy is a native sidecar (`ENABLE_NATIVE_SIDECARS`).
    IstioNative,
    /// A container that nobody knows, in front, without any annotation.
    Unknown,
}

/// All of them.
pub(super) const MESHES: [Mesh; 5] = [
    Mesh::Linkerd,
    Mesh::LinkerdNative,
    Mesh::Istio,
    Mesh::IstioNative,
    Mesh::Unknown,
];

impl Mesh {
    /// A name, for pods and paths.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Linkerd => "linkerd",
            Self::LinkerdNative => "linkerd-native",
            Self::Istio => "istio",
            Self::IstioNative => "istio-native",
            Self::Unknown => "unknown",
        }
    }

    /// What it puts in front of a pod's containers, and behind its volumes.
    pub(super) fn additions(self) -> Value {
        match self {
            Self::Linkerd => linkerd(&json!([linkerd_init()]), &json!([linkerd_proxy()])),
            Self::LinkerdNative => {
                let mut proxy = native(linkerd_proxy());
                let ready = json!({"path": "/ready", "port": 4191});
                proxy["startupProbe"] = json!({"httpGet": ready, "failureThreshold": 120, "periodSeconds": 1});
                linkerd(&json!([linkerd_init(), proxy]), &json!([]))
            }
            Self::Istio => {
                let mut proxy = istio_proxy();
                proxy["lifecycle"] = json!({"postStart": {"exec": {"command": ["pilot-agent", "wait"]}}});
                istio(&json!([istio_init()]), &json!([proxy]))
            }
            Self::IstioNative => istio(&json!([istio_init(), native(istio_proxy())]), &json!([])),
            Self::Unknown => json!({"containers": [with_resources(json!({
                "name": "shim", "image": IMAGE, "command": ["sh", "-c", "until [ -e /tmp/stop ]; do sleep 1; done"],
            }))]}),
        }
    }

    /// A pod in which the mesh is already.
    pub(super) fn put_into(self, pod: &mut Value) {
        let additions = self.additions();
        for (map, entries) in [
            ("labels", &additions["labels"]),
            ("annotations", &additions["annotations"]),
        ] {
            for (key, value) in entries.as_object().into_iter().flatten() {
                pod["metadata"][map][key] = value.clone();
            }
        }
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        for name in ["initContainers", "containers"] {
            pod["spec"][name] = [list(&additions[name]), list(&pod["spec"][name])].concat().into();
        }
        pod["spec"]["volumes"] = [list(&pod["spec"]["volumes"]), list(&additions["volumes"])]
            .concat()
            .into();
    }
}

fn linkerd(init_containers: &Value, containers: &Value) -> Value {
    json!({
        "labels": {"linkerd.io/control-plane-ns": "linkerd", "linkerd.io/workload-ns": "meshes"},
        "annotations": {
            "linkerd.io/created-by": "linkerd/proxy-injector edge-25.9.2",
            "linkerd.io/inject": "enabled",
            "linkerd.io/proxy-version": "edge-25.9.2",
            "linkerd.io/trust-root-sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
            "viz.linkerd.io/tap-enabled": "true",
        },
        "initContainers": init_containers,
        "containers": containers,
        "volumes": [
            {"name": "linkerd-proxy-init-xtables-lock", "emptyDir": {}},
            {"name": "linkerd-identity-end-entity", "emptyDir": {"medium": "Memory"}},
            {"name": "linkerd-identity-token", "projected": {"sources": [
                {"serviceAccountToken": {"path": "linkerd-identity-token", "expirationSeconds": 86400, "audience": "identity.l5d.io"}},
            ]}},
        ],
    })
}

fn linkerd_init() -> Value {
    with_resources(json!({
        "name": "linkerd-init", "image": IMAGE, "command": ["true"],
        "args": [
            "--ipv6=false", "--incoming-proxy-port", "4143", "--outgoing-proxy-port", "4140", "--proxy-uid", "2102",
            "--inbound-ports-to-ignore", "4190,4191,4567,4568", "--outbound-ports-to-ignore", "4567,4568",
        ],
        "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}, "privileged": false,
            "readOnlyRootFilesystem": true, "runAsNonRoot": true, "runAsUser": 65534, "runAsGroup": 65534,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "linkerd-proxy-init-xtables-lock", "mountPath": "/run"}],
    }))
}

fn linkerd_proxy() -> Value {
    let field = |path: &str| json!({"fieldRef": {"apiVersion": "v1", "fieldPath": path}});
    with_resources(json!({
        "name": "linkerd-proxy", "image": IMAGE, "args": ["linkerd2-proxy"],
        "env": [
            {"name": "_pod_name", "valueFrom": field("metadata.name")},
            {"name": "_pod_ns", "valueFrom": field("metadata.namespace")},
            {"name": "LINKERD2_PROXY_LOG", "value": "warn,linkerd=info"},
            {"name": "LINKERD2_PROXY_DESTINATION_CONTEXT", "value": "{\"ns\":\"$(_pod_ns)\", \"pod\":\"$(_pod_name)\"}"},
            {"name": "LINKERD2_PROXY_IDENTITY_DIR", "value": "/var/run/linkerd/identity/end-entity"},
        ],
        "lifecycle": {"postStart": {"exec": {"command": [
            "/usr/lib/linkerd/linkerd-await", "--timeout=2m", "--port=4191",
        ]}}},
        "livenessProbe": {"httpGet": {"path": "/live", "port": 4191}, "initialDelaySeconds": 10},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 4191}, "initialDelaySeconds": 2},
        "ports": [{"name": "linkerd-proxy", "containerPort": 4143}, {"name": "linkerd-admin", "containerPort": 4191}],
        "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true,
            "runAsNonRoot": true, "runAsUser": 2102, "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "linkerd-identity-end-entity", "mountPath": "/var/run/linkerd/identity/end-entity"},
            {"name": "linkerd-identity-token", "mountPath": "/var/run/secrets/tokens"},
        ],
    }))
}

fn istio(init_containers: &Value, containers: &Value) -> Value {
    let names = |list: &Value| match list.as_array() {
        Some(list) if !list.is_empty() => list.iter().map(|container| container["name"].clone()).collect(),
        _ => Value::Null,
    };
    let status = json!({
        "initContainers": names(init_containers), "containers": names(containers),
        "volumes": ["istio-envoy", "istio-data", "istio-podinfo", "istio-token"],
        "imagePullSecrets": null, "revision": "default",
    });
    let label = json!({"fieldRef": {"fieldPath": "metadata.labels"}, "path": "labels"});
    json!({
        "labels": {"security.istio.io/tlsMode": "istio", "service.istio.io/canonical-revision": "latest"},
        "annotations": {
            "istio.io/rev": "default",
            "kubectl.kubernetes.io/default-container": "agent",
            "kubectl.kubernetes.io/default-logs-container": "agent",
            "prometheus.io/path": "/stats/prometheus", "prometheus.io/port": "15020", "prometheus.io/scrape": "true",
            "sidecar.istio.io/status": status.to_string(),
        },
        "initContainers": init_containers,
        "containers": containers,
        "volumes": [
            {"name": "istio-envoy", "emptyDir": {"medium": "Memory"}},
            {"name": "istio-data", "emptyDir": {}},
            {"name": "istio-podinfo", "downwardAPI": {"items": [label]}},
            {"name": "istio-token", "projected": {"sources": [
                {"serviceAccountToken": {"path": "istio-token", "expirationSeconds": 43200, "audience": "istio-ca"}},
            ]}},
        ],
    })
}

fn istio_init() -> Value {
    with_resources(json!({
        "name": "istio-init", "image": IMAGE,
        "args": [
            "pilot-agent", "istio-iptables", "-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT", "-i", "*", "-x", "", "-b",
            "*", "-d", "15090,15021,15020", "--log_output_level=default:info",
        ],
        "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]},
            "privileged": false, "readOnlyRootFilesystem": false, "runAsGroup": 0, "runAsNonRoot": false, "runAsUser": 0,
        },
    }))
}

fn istio_proxy() -> Value {
    let ready = json!({"path": "/healthz/ready", "port": 15021});
    with_resources(json!({
        "name": "istio-proxy", "image": IMAGE,
        "args": ["pilot-agent", "proxy", "sidecar", "--domain", "$(POD_NAMESPACE).svc.cluster.local", "--log_output_level=default:info"],
        "env": [
            {"name": "PILOT_CERT_PROVIDER", "value": "istiod"},
            {"name": "CA_ADDR", "value": "istiod.istio-system.svc:15012"},
            {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}},
            {"name": "ISTIO_META_APP_CONTAINERS", "value": "agent"},
            {"name": "GOOGLE_CLOUD_PROJECT_OF_MESH", "value": "another"},
        ],
        "ports": [{"name": "http-envoy-prom", "containerPort": 15090, "protocol": "TCP"}],
        "readinessProbe": {"httpGet": ready, "failureThreshold": 4, "periodSeconds": 15, "timeoutSeconds": 3},
        "startupProbe": {"httpGet": ready, "failureThreshold": 600, "periodSeconds": 1, "timeoutSeconds": 3},
        "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "privileged": false,
            "readOnlyRootFilesystem": true, "runAsGroup": 1337, "runAsNonRoot": true, "runAsUser": 1337,
        },
        "volumeMounts": [
            {"name": "istio-data", "mountPath": "/var/lib/istio/data"},
            {"name": "istio-envoy", "mountPath": "/etc/istio/proxy"},
            {"name": "istio-token", "mountPath": "/var/run/secrets/tokens"},
            {"name": "istio-podinfo", "mountPath": "/etc/istio/pod"},
        ],
    }))
}

/// A proxy as a native sidecar.
fn native(mut container: Value) -> Value {
    container["restartPolicy"] = "Always".into();
    container
}

/// The namespace's quota wants them of every container.
fn with_resources(mut container: Value) -> Value {
    container["resources"] = json!({
        "requests": {"cpu": "5m", "memory": "8Mi"}, "limits": {"cpu": 1, "memory": "32Mi"},
    });
    container
}
