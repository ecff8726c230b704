//! Where the broker and the sidecars listen in one pod: on ports that neither its own containers nor the agents' systems
//! use. All are given out here, once and in one order, so that no two get the same.

use super::broker::Broker;
use super::finding::Finding;
use super::policy::Policy;
use super::resulting::Resulting;
use super::sidecar::Server;

use crate::api::{Access, Broker as Wishes};
use crate::contract::broker::{DEFAULT_METADATA_PORT, DEFAULT_PROXY_PORT};
use crate::reserved;
use std::collections::BTreeSet;

/// First port of the wrappers' control listeners.
const CONTROL: i32 = 8490;

/// First port of the git proxies.
const GIT: i32 = 8510;

/// Where everything of ours listens in one pod.
#[derive(Default)]
pub(super) struct Ports<'s> {
    /// The policy's broker, if it has one; its ports are kept free even where the pod gets no broker.
    pub(super) broker: Option<PlacedBroker<'s>>,
    /// The sidecars that the pod gets, in order.
    pub(super) sidecars: Vec<PlacedSidecar<'s>>,
}

/// A broker with its ports in one pod.
pub(super) struct PlacedBroker<'s> {
    pub(super) broker: &'s Broker,
    pub(super) metadata: i32,
    /// Of the Vertex proxy; none in other modes.
    pub(super) proxy: Option<i32>,
    /// Of the metrics; none when the policy names none.
    pub(super) metrics: Option<i32>,
    /// Ports that the policy names and the pod uses.
    pub(super) conflicts: Vec<Finding>,
}

/// A sidecar with its ports in one pod.
pub(super) struct PlacedSidecar<'s> {
    pub(super) server: &'s Server,
    pub(super) port: i32,
    /// Of the wrapper's control listener; none without a wrapper.
    pub(super) control: Option<i32>,
    /// Of the git proxy.
    pub(super) git: Option<i32>,
    /// Ports that the policy names and the pod uses.
    pub(super) conflicts: Vec<Finding>,
}

impl<'s> Ports<'s> {
    /// Gives out the ports of the policy's broker, then of the sidecars that the pod gets.
    pub(super) fn of(resulting: Resulting<'_, '_>, policy: &'s Policy, served: &[&'s Server]) -> Self {
        if policy.broker.is_none() && served.is_empty() {
            return Self::default();
        }
        let own = resulting.containers().flat_map(|container| container.ports());
        let named = policy.spec.sidecars.iter().filter_map(|sidecar| sidecar.port);
        let mut free = Free {
            resulting,
            taken: own.chain(named).collect(),
        };
        let broker = policy.broker.as_ref().map(|broker| free.place_broker(broker));
        free.taken.extend(reserved::PORTS.iter().map(|(port, _)| *port));
        for server in &policy.sidecars.servers {
            let git = server.whole.git.as_ref().and_then(|git| git.port);
            free.taken.extend(server.whole.fixed_port().into_iter().chain(git));
        }
        let sidecars = served.iter().map(|server| free.place_sidecar(server));
        Self {
            broker,
            sidecars: sidecars.collect(),
        }
    }
}

/// The ports that are left.
struct Free<'d, 'p> {
    resulting: Resulting<'d, 'p>,
    taken: BTreeSet<i32>,
}

impl Free<'_, '_> {
    /// What the policy says, else the first from the default on that nobody uses.
    fn place_broker<'s>(&mut self, broker: &'s Broker) -> PlacedBroker<'s> {
        let Wishes {
            metadata_port,
            proxy_port,
            metrics_port,
            resources: _,
        } = broker.wishes;
        let wishes = [
            ("broker.metadataPort", metadata_port),
            ("broker.proxyPort", proxy_port),
            ("broker.metricsPort", metrics_port),
        ];
        let conflicts = wishes.into_iter().filter_map(|(field, port)| {
            let (port, user) = self.used(port)?;
            let problem = format!(
                "the broker wants port {port} ({field}), which container {user:?} uses; choose another port, or none, which takes one that is free"
            );
            Some(Finding::conflict(Some(user), field, problem))
        });
        let conflicts = conflicts.collect();
        self.taken.extend(wishes.into_iter().filter_map(|(_, port)| port));
        PlacedBroker {
            broker,
            metadata: self.take(metadata_port, DEFAULT_METADATA_PORT.into()),
            proxy: (broker.access == Access::Proxy).then(|| self.take(proxy_port, DEFAULT_PROXY_PORT.into())),
            metrics: metrics_port,
            conflicts,
        }
    }

    fn place_sidecar<'s>(&mut self, server: &'s Server) -> PlacedSidecar<'s> {
        let whole = &server.whole;
        let git_port = whole.git.as_ref().and_then(|git| git.port);
        let conflicts = [("port", whole.fixed_port()), ("git.port", git_port)];
        let conflicts = conflicts.into_iter().filter_map(|(field, port)| {
            let (port, user) = self.used(port)?;
            let name = &whole.name;
            let problem = format!("sidecar {name:?} wants port {port}, which container {user:?} uses");
            Some(Finding::conflict(
                Some(user),
                &format!("sidecars[{name}].{field}"),
                problem,
            ))
        });
        let conflicts = conflicts.collect();
        let port = whole.port(|port| self.taken.contains(&port));
        self.taken.insert(port);
        PlacedSidecar {
            server,
            port,
            control: server.is_wrapped().then(|| self.take(None, CONTROL)),
            git: whole.git.as_ref().map(|git| self.take(git.port, GIT)),
            conflicts,
        }
    }

    /// A port that the policy names and a container of the pod's own declares, with the container. It is not moved:
    /// something else may rely on it.
    fn used(&self, port: Option<i32>) -> Option<(i32, &str)> {
        let port = port?;
        let user = self.resulting.user_of_port(port)?;
        Some((port, user.name()))
    }

    fn take(&mut self, wish: Option<i32>, first: i32) -> i32 {
        let port = wish.unwrap_or_else(|| (first..=65535).find(|port| !self.taken.contains(port)).unwrap_or(first));
        self.taken.insert(port);
        port
    }
}
