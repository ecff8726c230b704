//! A control plane with our CRDs, a namespace for the webhook and one for agents.

use harness::kube::ControlPlane;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use vertex_injector_core::api::{InjectionPolicy, crds};

/// Our own namespace.
pub(crate) const SYSTEM: &str = "system";

/// The namespace of agents.
pub(crate) const TEAM: &str = "team";

/// A cluster, and a client with all rights.
pub(crate) struct World {
    pub cluster: ControlPlane,
    pub client: Client,
}

impl World {
    /// None where the machine cannot run one, which is said.
    pub(crate) async fn start() -> Option<Self> {
        let world = Self::without_crds().await?;
        world.install_crds();
        Some(world)
    }

    /// The same without our CRDs.
    pub(crate) async fn without_crds() -> Option<Self> {
        let cluster = tokio::task::spawn_blocking(ControlPlane::start_or_explain)
            .await
            .unwrap()?;
        cluster.create_namespace(SYSTEM, &[]);
        cluster.create_namespace(TEAM, &[("vertex-injector.dev/injection", "enabled")]);
        let client = client(&cluster).await;
        Some(Self { cluster, client })
    }

    pub(crate) fn install_crds(&self) {
        for crd in crds() {
            self.cluster.apply(&serde_json::to_string(&crd).unwrap());
        }
        let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
        // kubectl does not wait for a definition that has no status yet, it fails at once.
        let served = (0..20).any(|_| self.cluster.try_kubectl(&wait).success());
        assert!(served, "the definitions are not served");
    }

    pub(crate) fn policies(&self) -> Api<InjectionPolicy> {
        Api::namespaced(self.client.clone(), TEAM)
    }

    /// Creates or changes a policy of the agents' namespace.
    pub(crate) async fn policy(&self, name: &str, spec: Value) {
        let object = json!({
            "apiVersion": "vertex-injector.dev/v1alpha1",
            "kind": "InjectionPolicy",
            "metadata": {"name": name},
            "spec": spec,
        });
        self.policies()
            .patch(name, &PatchParams::apply("test").force(), &Patch::Apply(object))
            .await
            .unwrap();
    }

    /// The condition `Ready` of a policy, once the webhook has written it for the present generation.
    pub(crate) async fn ready(&self, name: &str) -> (String, String, String) {
        let mut found = None;
        eventually("a status of the present generation", async || {
            let policy = self.policies().get(name).await.unwrap();
            let generation = policy.metadata.generation;
            let status = policy.status.unwrap_or_default();
            found = status
                .conditions
                .into_iter()
                .find(|condition| condition.type_ == "Ready");
            status.observed_generation == generation
                && found
                    .as_ref()
                    .is_some_and(|ready| ready.observed_generation == generation)
        })
        .await;
        let ready = found.unwrap();
        (ready.status, ready.reason, ready.message)
    }

    /// A webhook configuration with one entry for each address, for agents of opted-in namespaces.
    pub(crate) async fn configure(&self, addresses: &[SocketAddr]) {
        let webhooks: Vec<_> = addresses
            .iter()
            .enumerate()
            .map(|(i, address)| {
                json!({
                    "name": format!("agents-{i}.vertex-injector.dev"),
                    "clientConfig": {"url": format!("https://{address}/mutate")},
                    "admissionReviewVersions": ["v1"],
                    "sideEffects": "None",
                    "failurePolicy": "Fail",
                    "timeoutSeconds": 5,
                    "namespaceSelector": {"matchLabels": {"vertex-injector.dev/injection": "enabled"}},
                    "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
                })
            })
            .collect();
        let object = serde_json::from_value(json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "vertex-injector"},
            "webhooks": webhooks,
        }));
        self.configurations()
            .create(&PostParams::default(), &object.unwrap())
            .await
            .unwrap();
        self.configure_policies(addresses[0]).await;
    }

    /// The same for cluster policies only, so that tests can store bad policies of a namespace.
    pub(crate) async fn configure_policies(&self, address: SocketAddr) {
        let object = serde_json::from_value(json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "vertex-injector"},
            "webhooks": [{
                "name": "policies.vertex-injector.dev",
                "clientConfig": {"url": format!("https://{address}/validate")},
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Ignore",
                "timeoutSeconds": 5,
                "rules": [{"apiGroups": ["vertex-injector.dev"], "apiVersions": ["v1alpha1"],
                           "operations": ["CREATE", "UPDATE"], "resources": ["clusterinjectionpolicies"]}],
            }],
        }));
        self.policy_configurations()
            .create(&PostParams::default(), &object.unwrap())
            .await
            .unwrap();
    }

    pub(crate) fn policy_configurations(&self) -> Api<ValidatingWebhookConfiguration> {
        Api::all(self.client.clone())
    }

    pub(crate) fn configurations(&self) -> Api<MutatingWebhookConfiguration> {
        Api::all(self.client.clone())
    }

    pub(crate) fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), SYSTEM)
    }

    /// What was trusted when the served certificate was signed, as PEM.
    pub(crate) async fn authority(&self) -> Option<String> {
        let secret = self.secrets().get_opt("vertex-injector-tls").await.unwrap()?;
        Some(String::from_utf8(secret.data.unwrap()["ca.crt"].0.clone()).unwrap())
    }

    /// All that are trusted, the newest first, as PEM.
    pub(crate) async fn authorities(&self) -> Option<String> {
        let secret = self.secrets().get_opt("vertex-injector-ca").await.unwrap()?;
        Some(String::from_utf8(secret.data.unwrap()["ca.crt"].0.clone()).unwrap())
    }

    /// The `caBundle` of every webhook, as PEM.
    pub(crate) async fn ca_bundles(&self) -> Vec<String> {
        let configuration = self.configurations().get("vertex-injector").await.unwrap();
        let bundles = configuration
            .webhooks
            .unwrap()
            .into_iter()
            .map(|webhook| webhook.client_config.ca_bundle);
        bundles
            .map(|bundle| String::from_utf8(bundle.unwrap_or_default().0).unwrap())
            .collect()
    }

    /// The `caBundle` of the webhook for policies, as PEM.
    pub(crate) async fn policy_ca_bundle(&self) -> String {
        let configuration = self.policy_configurations().get("vertex-injector").await.unwrap();
        let webhook = configuration.webhooks.unwrap().remove(0);
        String::from_utf8(webhook.client_config.ca_bundle.unwrap_or_default().0).unwrap()
    }

    /// Creates an agent's pod without storing it: what the API server would store, or its refusal.
    pub(crate) async fn admit(&self) -> Result<Pod, String> {
        let pod = serde_json::from_value(agent()).unwrap();
        let params = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let api = Api::<Pod>::namespaced(self.client.clone(), TEAM);
        api.create(&params, &pod).await.map_err(|error| error.to_string())
    }

    /// The value of a variable in an agent's pod as it would be stored.
    pub(crate) async fn admitted_env(&self, name: &str) -> Option<String> {
        let pod = self.admit().await.unwrap();
        let env = pod.spec.unwrap().containers.remove(0).env.unwrap_or_default();
        env.into_iter().find(|variable| variable.name == name)?.value
    }
}

/// A policy for [`agent`] that sets one variable.
pub(crate) fn greeting(value: &str) -> Value {
    json!({
        "agents": [{"podSelector": {"matchLabels": {"app": "agent"}}}],
        "env": [{"name": "GREETING", "value": value}],
    })
}

/// An agent's pod.
pub(crate) fn agent() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "agent", "namespace": TEAM, "labels": {"app": "agent"}},
        "spec": {"containers": [{"name": "agent", "image": "agent"}]},
    })
}

/// A client with all rights.
async fn client(cluster: &ControlPlane) -> Client {
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    Client::try_from(config).unwrap()
}

/// Asks again until the answer is yes.
pub(crate) async fn eventually(what: &str, ask: impl AsyncFnMut() -> bool) {
    within(Duration::from_secs(30), what, ask).await;
}

/// The same, with a limit.
pub(crate) async fn within(limit: Duration, what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !ask().await {
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
