//! The sidecars of a policy as far as they are the same for every pod.

use crate::api::{CredentialSource, EnvVar, PolicySpec, Resources};
use crate::operator::Operator;
use crate::presets::Complete;

/// All sidecars of a policy, and what comes of the operator.
#[derive(Debug)]
pub(in crate::admission) struct Sidecars {
    pub(in crate::admission) servers: Vec<Server>,
    /// The image with our program.
    pub(super) image: String,
    pub(super) pull_policy: &'static str,
    pub(super) pull_secrets: Vec<String>,
    pub(super) operator: Operator,
}

/// One sidecar.
#[derive(Debug)]
pub(in crate::admission) struct Server {
    pub(in crate::admission) whole: Complete,
    pub(super) credential: Option<CredentialSource>,
    pub(super) env: Vec<EnvVar>,
    pub(super) resources: Option<Resources>,
}

impl Sidecars {
    /// The sidecars of a policy under the operator's settings.
    pub(in crate::admission) fn of(spec: &PolicySpec, operator: &Operator) -> Self {
        let server = |sidecar: &crate::api::Sidecar| Server {
            whole: Complete::of(sidecar, &operator.preset_images),
            credential: sidecar.credential.clone(),
            env: sidecar.env.clone(),
            resources: sidecar.resources.clone(),
        };
        let broker = &operator.broker;
        Self {
            servers: spec.sidecars.iter().map(server).collect(),
            image: broker.image.clone(),
            pull_policy: broker.image_pull_policy.name(),
            pull_secrets: broker.image_pull_secrets.clone(),
            operator: operator.clone(),
        }
    }

    /// Sentences for the policy's author about credentials that the agent can get.
    pub(in crate::admission) fn notes(&self) -> Vec<String> {
        let all = self.servers.iter().flat_map(Server::warnings);
        all.map(|warning| format!("{warning}; the policy allows it with isolation: BestEffort"))
            .collect()
    }
}

impl Server {
    /// Whether `vertex-injector exec` runs it.
    pub(in crate::admission) fn is_wrapped(&self) -> bool {
        self.credential
            .as_ref()
            .is_some_and(|credential| self.whole.is_wrapped(credential))
    }

    /// By what the agent can get the credential.
    pub(super) fn warnings(&self) -> Vec<String> {
        let name = &self.whole.name;
        let mut warnings = Vec::new();
        if self.credential.as_ref().is_some_and(|it| it.ambient_exchange.is_some()) {
            warnings.push(format!(
                "sidecar {name:?} gets its credential by ambientExchange, which the agent can do as well: it holds the same key and URL"
            ));
        }
        if self.whole.git_credentials.is_some() {
            warnings.push(format!(
                "sidecar {name:?} hands its credential to whoever in the pod asks for it (gitCredentials)"
            ));
        }
        warnings
    }
}
