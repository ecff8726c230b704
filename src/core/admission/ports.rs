//! Where the broker and the sidecars listen in one pod: on ports that neither its own containers nor the agents' systems
//! use. All are given out here, once and in one order, so that no two get the same.

use super::finding::Finding;
use super::resulting::Resulting;
use crate::contract::broker::{DEFAULT_METADATA_PORT, DEFAULT_PROXY_PORT};
use crate::policy::{Broker, BrokerContainer, Listen, Port, Sidecar, Sidecars};
use crate::reserved;
use std::collections::BTreeSet;

/// First port of the wrappers' control listeners.
const CONTROL: u16 = 8490;

/// First port of the git proxies.
const GIT: u16 = 8510;

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
    pub(super) metadata: u16,
    /// Of the Vertex proxy; none in other modes.
    pub(super) proxy: Option<u16>,
    /// Of the metrics; none when the policy names none.
    pub(super) metrics: Option<u16>,
    /// Ports that the policy names and the pod uses.
    pub(super) conflicts: Vec<Finding>,
}

/// A sidecar with its ports in one pod.
pub(super) struct PlacedSidecar<'s> {
    pub(super) sidecar: &'s Sidecar,
    pub(super) port: u16,
    /// Of the wrapper's control listener; none without a wrapper.
    pub(super) control: Option<u16>,
    /// Of the git proxy.
    pub(super) git: Option<u16>,
    /// Ports that the policy names and the pod uses.
    pub(super) conflicts: Vec<Finding>,
}

impl<'s> Ports<'s> {
    /// Gives out the ports of the broker, then of the sidecars that the pod gets.
    pub(super) fn of(
        resulting: Resulting<'_, '_>,
        broker: Option<&'s Broker>,
        all: &Sidecars,
        served: &[&'s Sidecar],
    ) -> Self {
        if broker.is_none() && served.is_empty() {
            return Self::default();
        }
        let own = resulting.containers().flat_map(|container| container.ports());
        let named = all.servers.iter().filter_map(|sidecar| sidecar.port.fixed());
        let mut free = Free {
            resulting,
            taken: own.chain(named.map(Port::number)).collect(),
        };
        let broker = broker.map(|broker| free.place_broker(broker));
        free.taken.extend(reserved::PORTS.iter().map(|(port, _)| *port));
        free.taken
            .extend(all.servers.iter().filter_map(git_port).map(Port::number));
        let sidecars = served.iter().map(|sidecar| free.place_sidecar(sidecar));
        Self {
            broker,
            sidecars: sidecars.collect(),
        }
    }
}

fn git_port(sidecar: &Sidecar) -> Option<Port> {
    sidecar.wrapper()?.git.as_ref()?.port
}

/// The ports that are left.
struct Free<'d, 'p> {
    resulting: Resulting<'d, 'p>,
    taken: BTreeSet<u16>,
}

impl Free<'_, '_> {
    /// What the policy says, else the first from the default on that nobody uses.
    fn place_broker<'s>(&mut self, broker: &'s Broker) -> PlacedBroker<'s> {
        let BrokerContainer {
            metadata_port,
            proxy_port,
            metrics_port,
            resources: _,
        } = broker.container;
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
        self.taken
            .extend(wishes.into_iter().filter_map(|(_, port)| port).map(Port::number));
        PlacedBroker {
            broker,
            metadata: self.take(metadata_port, DEFAULT_METADATA_PORT),
            proxy: (broker.told.proxy().is_some()).then(|| self.take(proxy_port, DEFAULT_PROXY_PORT)),
            metrics: metrics_port.map(Port::number),
            conflicts,
        }
    }

    fn place_sidecar<'s>(&mut self, sidecar: &'s Sidecar) -> PlacedSidecar<'s> {
        let conflicts = [("port", sidecar.port.fixed()), ("git.port", git_port(sidecar))];
        let conflicts = conflicts.into_iter().filter_map(|(field, port)| {
            let (port, user) = self.used(port)?;
            let name = &sidecar.name;
            let problem = format!("sidecar {name:?} wants port {port}, which container {user:?} uses");
            Some(Finding::conflict(
                Some(user),
                &format!("sidecars[{name}].{field}"),
                problem,
            ))
        });
        let conflicts = conflicts.collect();
        let port = match sidecar.port {
            Listen::At(port) => self.take(Some(port), port.number()),
            Listen::From(port) => self.take(None, port.number()),
        };
        let control = sidecar.wrapper().map(|_| self.take(None, CONTROL));
        let git = sidecar.wrapper().and_then(|wrapper| wrapper.git.as_ref());
        PlacedSidecar {
            sidecar,
            port,
            control,
            git: git.map(|git| self.take(git.port, GIT)),
            conflicts,
        }
    }

    /// A port that the policy names and a container of the pod's own declares, with the container. It is not moved:
    /// something else may rely on it.
    fn used(&self, port: Option<Port>) -> Option<(u16, &str)> {
        let port = port?.number();
        let user = self.resulting.user_of_port(port)?;
        Some((port, user.name()))
    }

    fn take(&mut self, wish: Option<Port>, first: u16) -> u16 {
        let port = wish.map(Port::number);
        // The first gap among those that are taken.
        let gap = || { (first..=u16::MAX).zip(self.taken.range(first..)) }.find(|(port, taken)| port != *taken);
        let behind = || {
            self.taken
                .range(first..)
                .count()
                .try_into()
                .map_or(u16::MAX, |taken: u16| first.saturating_add(taken))
        };
        let port = port.unwrap_or_else(|| gap().map_or_else(behind, |(port, _)| port));
        self.taken.insert(port);
        port
    }
}
