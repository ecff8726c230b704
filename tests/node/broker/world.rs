//! Agents with a broker, and the Google that they come to.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::agent::IMAGE;
use crate::fake_google::{self, FakeGoogle, HOSTS, PROVIDER};
use crate::installed::{Agents, CA_CONFIG_MAP, node};
use harness::node::Node;

/// The container of ours that holds the credential.
pub(super) const BROKER: &str = "vertex-injector-broker";

/// Longer than the longest pause between a broker's attempts, with the kubelet's and the machine's own slowness.
pub(super) const PATIENCE: Duration = Duration::from_mins(1);

/// How an agent reaches a model; each is the name of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// With its own identity token.
    File,
    /// With access tokens of the broker.
    Metadata,
    /// Through the broker, without any token.
    Proxy,
}

/// All ways.
pub(super) const ACCESS: [Access; 3] = [Access::File, Access::Metadata, Access::Proxy];

impl Access {
    /// The policy's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Metadata => "metadata",
            Self::Proxy => "proxy",
        }
    }
}

/// The Google that all pods reach by its real host names; `None` where the machine cannot have a node.
pub(super) fn google() -> Option<&'static FakeGoogle> {
    static GOOGLE: LazyLock<Option<FakeGoogle>> = LazyLock::new(|| {
        let node = node()?;
        let google = FakeGoogle::start(node, "google");
        node.resolve(&HOSTS, &google.address());
        Some(google)
    });
    GOOGLE.as_ref()
}

/// A namespace whose pods count against a quota and stay within limits, with a policy for each way.
#[track_caller]
pub(super) fn namespace<'a>(node: &'a Node, name: &'static str) -> Agents<'a> {
    namespace_of(node, name, &[], None)
}

/// The same with labels, and with agents that Google knows as a service account.
#[track_caller]
pub(super) fn namespace_of<'a>(
    node: &'a Node,
    name: &'static str,
    labels: &[(&str, &str)],
    service_account: Option<&str>,
) -> Agents<'a> {
    let agents = Agents::labelled(node, name, labels);
    agents.create(&json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "quota"},
            "spec": {"hard": {
                "pods": 20, "requests.cpu": 2, "requests.memory": "2Gi", "limits.cpu": 20, "limits.memory": "4Gi",
            }},
        },
        {
            "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "limits"},
            "spec": {"limits": [{
                "type": "Container",
                "min": {"cpu": "1m", "memory": "4Mi"}, "max": {"cpu": 1, "memory": "256Mi"},
            }]},
        },
        {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": CA_CONFIG_MAP},
            "data": {"ca.crt": fake_google::ca()},
        },
    ]}));
    for access in ACCESS {
        agents.policy(&policy(access, service_account));
    }
    agents
}

fn policy(access: Access, service_account: Option<&str>) -> Value {
    let mut federation = json!({"provider": PROVIDER, "tokenExpirationSeconds": 600});
    if let Some(account) = service_account {
        federation["serviceAccount"] = account.into();
    }
    json!({
        "apiVersion": "vertex-injector.dev/v1alpha1", "kind": "InjectionPolicy", "metadata": {"name": access.name()},
        "spec": {
            "access": format!("{access:?}"),
            "vertex": {
                "project": "my-project", "region": "us-east5", "clients": ["ClaudeCode"],
            },
            "identity": {"workloadIdentityFederation": federation},
        },
    })
}

/// A pod whose agent asks a model every second, tells each answer and each failure, and ends well when a test says so.
pub(super) fn asking(name: &str, access: Access) -> Value {
    pod(
        name,
        access,
        "until [ -e /tmp/stop ]; do vertex-injector-fakes agent 2>&1 || echo failed; sleep 1; done",
    )
}

/// A pod whose agent runs a script; as the strictest standard wants it.
pub(super) fn pod(name: &str, access: Access, script: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {"vertex-injector.dev/inject": "true"},
            "annotations": {"vertex-injector.dev/policy": access.name()},
        },
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "agent", "image": IMAGE, "command": ["sh", "-c", script],
                // In File mode it talks to the fake Google itself.
                "env": [{"name": "SSL_CERT_FILE", "value": "/ca/ca.crt"}],
                "resources": {
                    "requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": 1, "memory": "64Mi"},
                },
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [{"name": "ca", "mountPath": "/ca"}],
            }],
            "volumes": [{"name": "ca", "configMap": {"name": CA_CONFIG_MAP}}],
        },
    })
}

/// What a pod's agent has told so far.
#[derive(Debug)]
pub(super) struct Told(pub Vec<String>);

impl Told {
    /// What an agent has told that has not begun.
    pub(super) fn nothing() -> Self {
        Self(Vec::new())
    }

    /// The answers of the model, as the agent tells them.
    pub(super) fn answers(&self) -> Vec<Value> {
        self.0
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Whether there is an answer.
    pub(super) fn has_answer(&self) -> bool {
        !self.answers().is_empty()
    }

    /// How often the agent had no answer.
    pub(super) fn failures(&self) -> usize {
        self.0.iter().filter(|line| *line == "failed").count()
    }

    /// Whether its latest call had no answer.
    pub(super) fn fails_now(&self) -> bool {
        let is_end_of_call = |line: &&String| *line == "failed" || serde_json::from_str::<Value>(line).is_ok();
        self.0.iter().rfind(is_end_of_call).is_some_and(|line| line == "failed")
    }

    /// The same without what was told before.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self(self.0.get(before.0.len()..).unwrap_or_default().to_vec())
    }
}

/// What the agent of a pod has told so far.
#[track_caller]
pub(super) fn told(agents: &Agents<'_>, pod: &str) -> Told {
    // Where a mesh's proxy is first, kubectl would take its.
    let log = agents.kubectl(&["logs", pod, "--container", "agent"]);
    Told(log.lines().map(str::to_owned).collect())
}

/// Waits until the agent has told something such after `before`; what it has told after it.
#[track_caller]
pub(super) fn until_told(
    agents: &Agents<'_>,
    pod: &str,
    before: &Told,
    limit: Duration,
    such: impl Fn(&Told) -> bool,
) -> Told {
    let until = Instant::now() + limit;
    loop {
        let told = told(agents, pod).since(before);
        if such(&told) {
            return told;
        }
        assert!(
            Instant::now() < until,
            "{pod} has told within {} s only:\n{}",
            limit.as_secs(),
            told.0.join("\n")
        );
        harness::process::pause(Duration::from_millis(300));
    }
}

/// The status of the broker's container.
#[track_caller]
pub(super) fn broker_status(agents: &Agents<'_>, pod: &str) -> Value {
    let pod = agents.get(&[pod]);
    let statuses = pod["status"]["initContainerStatuses"].as_array();
    let broker = statuses.into_iter().flatten().find(|status| status["name"] == BROKER);
    broker.unwrap_or_else(|| panic!("{pod:#} has no broker")).clone()
}
