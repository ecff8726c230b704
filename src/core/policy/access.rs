//! How credentials reach an agent: as a file, from the node, or by a broker that keeps them from it.

use super::broker::{self, Broker};
use super::errors::{Checked, Errors, all, parsed};
use super::identity::{CredentialFile, Identity};
use super::paths::MountPath;
use super::proxy;
use super::vertex::Vertex;
use crate::api::{self, Client, Isolation, OpenShell, PolicySpec};
use crate::contract::broker as told;
use crate::operator::Operator;
use std::sync::Arc;

/// Nobody can call Vertex without being somebody.
const NEEDED_BY_VERTEX: &str = "vertex needs an identity: set identity.workloadIdentityFederation, identity.gkeWorkloadIdentity or identity.serviceAccountKey";

/// What of Google one kind of pods gets.
#[derive(Debug)]
pub struct Google {
    /// How credentials reach it.
    pub access: Access,
    /// The settings of its clients.
    pub vertex: Option<Arc<Vertex>>,
}

/// How credentials reach an agent.
#[derive(Debug)]
pub enum Access {
    /// A credential file in a volume of ours.
    File(CredentialFile),
    /// The node's metadata server (GKE): nothing but a node with one.
    Node,
    /// A broker beside the agent, which keeps the credential.
    Broker {
        /// The same for all kinds of pods of the policy.
        broker: Arc<Broker>,
        /// Where the credential file is mounted that leads to the broker and holds no secret, for clients that demand one.
        loopback: Option<MountPath>,
    },
}

/// What of Google all kinds of pods get, before it is known where one keeps its credentials.
#[derive(Debug)]
pub(super) struct Means {
    mode: Mode,
    vertex: Option<Arc<Vertex>>,
}

#[derive(Debug)]
enum Mode {
    /// The agent has the credential.
    Agent(Identity),
    /// A broker has it.
    Broker { broker: Arc<Broker>, demands_file: bool },
}

impl Means {
    /// For agents that keep their credentials in `directory`.
    pub(super) fn at(&self, directory: &MountPath) -> Google {
        let quota_project = self.vertex.as_ref().and_then(|vertex| vertex.quota_project.as_deref());
        Google {
            access: match &self.mode {
                Mode::Agent(identity) => {
                    let file = identity.file(directory, quota_project);
                    file.map_or(Access::Node, Access::File)
                }
                Mode::Broker { broker, demands_file } => Access::Broker {
                    broker: Arc::clone(broker),
                    loopback: demands_file.then(|| directory.clone()),
                },
            },
            vertex: self.vertex.clone(),
        }
    }
}

/// Checks what access modes need and exclude, and finds out how credentials reach agents.
pub(super) fn compile(
    spec: &PolicySpec,
    identity: Checked<Option<Identity>>,
    vertex: Checked<Option<Vertex>>,
    operator: &Operator,
    errors: &mut Errors,
) -> Checked<Option<Means>> {
    let id_tokens = id_tokens(spec, errors);
    if spec.proxy.is_some() && spec.access != api::Access::Proxy {
        errors.add("spec.proxy", "only access: Proxy has a proxy that could enforce it");
    }
    match spec.access {
        api::Access::File => {
            check_without_broker(spec, errors);
            without_broker(spec, identity, vertex, errors)
        }
        api::Access::Metadata => {
            check_broker_mode(spec, errors);
            let mode = |vertex: &Vertex| {
                let project = vertex.project.clone();
                Ok(told::Mode::Metadata { project })
            };
            with_broker(spec, identity, vertex, id_tokens, mode, operator, errors).map(Some)
        }
        api::Access::Proxy => {
            check_broker_mode(spec, errors);
            let wanted = proxy::compile(spec, &operator.broker.known_fields, errors);
            let mode = |vertex: &Vertex| {
                Ok(told::Mode::Proxy(told::Proxy {
                    port: told::DEFAULT_PROXY_PORT,
                    rules: wanted?.within(vertex),
                    endpoint: vertex.endpoint.clone(),
                }))
            };
            with_broker(spec, identity, vertex, id_tokens, mode, operator, errors).map(Some)
        }
    }
}

fn with_broker(
    spec: &PolicySpec,
    identity: Checked<Option<Identity>>,
    vertex: Checked<Option<Vertex>>,
    id_tokens: Checked<Vec<told::Audience>>,
    mode: impl FnOnce(&Vertex) -> Checked<told::Mode>,
    operator: &Operator,
    errors: &mut Errors,
) -> Checked<Means> {
    const NO_IDENTITY: &str =
        "access: Metadata and access: Proxy need an identity, which the broker keeps from the agent";
    const NO_VERTEX: &str = "access: Metadata and access: Proxy need vertex: the broker tells clients its project";
    let container = broker::container(spec, errors);
    let needed = if spec.vertex.is_some() {
        NEEDED_BY_VERTEX
    } else {
        NO_IDENTITY
    };
    let identity = identity.and_then(|it| it.ok_or_else(|| errors.add("spec.identity", needed)));
    let vertex = vertex.and_then(|it| it.ok_or_else(|| errors.add("spec.vertex", NO_VERTEX)));
    let (identity, vertex) = (identity?, vertex?);
    let demands_file = vertex.clients.iter().any(|client| client.traits().demands_file);
    let broker = Broker::new(&identity, id_tokens?, mode(&vertex)?, container?, operator);
    Ok(Means {
        mode: Mode::Broker {
            broker: Arc::new(broker),
            demands_file,
        },
        vertex: Some(Arc::new(vertex)),
    })
}

fn without_broker(
    spec: &PolicySpec,
    identity: Checked<Option<Identity>>,
    vertex: Checked<Option<Vertex>>,
    errors: &mut Errors,
) -> Checked<Option<Means>> {
    match identity? {
        Some(identity) => Ok(Some(Means {
            mode: Mode::Agent(identity),
            vertex: vertex?.map(Arc::new),
        })),
        None if spec.vertex.is_none() => Ok(None),
        None => Err(errors.add("spec.identity", NEEDED_BY_VERTEX)),
    }
}

fn check_broker_mode(spec: &PolicySpec, errors: &mut Errors) {
    if spec.open_shell == OpenShell::PatchUserEnvironment {
        errors.add(
            "spec.openShell",
            "PatchUserEnvironment and a broker exclude each other: a process in the sandbox has another loopback; use access: File",
        );
    }
    let mut clients = spec.vertex.iter().flat_map(|vertex| &vertex.clients);
    if !clients.any(|client| client.traits().demands_file) {
        let demanding = Client::ALL.iter().filter(|client| client.traits().demands_file);
        let demanding: Vec<String> = demanding.map(|client| format!("{client:?}")).collect();
        for (i, _) in { spec.agents.iter().enumerate() }.filter(|(_, agent)| agent.credential_directory.is_some()) {
            errors.add(
                format!("spec.agents[{i}].credentialDirectory"),
                format!(
                    "with a broker nothing is mounted in the agent, except for the client {}; remove it",
                    demanding.join(", ")
                ),
            );
        }
    }
    if spec.isolation == Isolation::Required {
        let identity = spec.identity.as_ref();
        if identity.is_some_and(|identity| identity.gke_workload_identity.is_some()) {
            errors.add(
                "spec.isolation",
                "gkeWorkloadIdentity with a broker needs BestEffort: the node's metadata server gives the identity to every container of the pod",
            );
        }
    }
}

fn check_without_broker(spec: &PolicySpec, errors: &mut Errors) {
    if spec.broker.is_some() {
        errors.add("spec.broker", "only access: Metadata and access: Proxy have a broker");
    }
    if spec.isolation == Isolation::BestEffort && spec.sidecars.is_empty() {
        errors.add(
            "spec.isolation",
            "nothing is kept from the agent with access: File and no sidecars, so there is nothing to choose; remove it",
        );
    }
}

/// The audiences for which the broker may hand out ID tokens.
fn id_tokens(spec: &PolicySpec, errors: &mut Errors) -> Checked<Vec<told::Audience>> {
    const FIELD: &str = "spec.identity.idTokenAudiences";
    let Some(identity) = spec.identity.as_ref().filter(|it| !it.id_token_audiences.is_empty()) else {
        return Ok(Vec::new());
    };
    let federation = identity.workload_identity_federation.as_ref();
    if !spec.access.has_broker() {
        errors.add(
            FIELD,
            "only access: Metadata and access: Proxy have a broker that hands out ID tokens",
        );
    } else if federation.is_some_and(|federation| federation.service_account.is_none()) {
        errors.add(
            FIELD,
            "needs workloadIdentityFederation.serviceAccount: Google mints ID tokens for service accounts only",
        );
    }
    let audiences = identity.id_token_audiences.iter().enumerate();
    all(audiences.map(|(i, audience)| parsed(audience, &format!("{FIELD}[{i}]"), errors)))
}
