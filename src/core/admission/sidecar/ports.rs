//! Where the sidecars listen in one pod: on ports that neither its own containers nor the agents' systems use.

use super::container::Placed;
use super::server::Server;
use crate::admission::draft::Draft;
use crate::admission::native;
use crate::admission::plan::taken_ports;
use crate::admission::policy::Policy;
use crate::reserved;
use std::collections::BTreeSet;

/// First port of the wrappers' control listeners.
const FIRST_CONTROL: i32 = 8490;

/// First port of the git proxies.
const FIRST_GIT: i32 = 8510;

/// The ports that are left.
pub(super) struct Free {
    taken: BTreeSet<i32>,
}

impl Free {
    /// All that the pod, its broker and the ports that the policy names leave.
    pub(super) fn of(draft: &Draft<'_>, policy: &Policy) -> Self {
        let mut taken = taken_ports(draft, &policy.spec);
        if let Some(broker) = &policy.broker {
            let ports = broker.ports(&taken);
            taken.extend([Some(ports.metadata), ports.proxy, ports.metrics].into_iter().flatten());
        }
        taken.extend(reserved::PORTS.iter().map(|(port, _)| *port));
        for server in &policy.sidecars.servers {
            let git = server.whole.git.as_ref().and_then(|git| git.port);
            taken.extend(server.whole.fixed_port().into_iter().chain(git));
        }
        Self { taken }
    }

    /// Gives a sidecar its ports.
    pub(super) fn place<'s>(&mut self, draft: &mut Draft<'_>, server: &'s Server) -> Placed<'s> {
        let whole = &server.whole;
        deny_used(draft, &whole.name, whole.fixed_port());
        let port = whole.port(|port| self.taken.contains(&port));
        self.taken.insert(port);
        let control = server.is_wrapped().then(|| self.next(FIRST_CONTROL));
        let git = whole.git.as_ref().map(|git| {
            deny_used(draft, &whole.name, git.port);
            git.port.unwrap_or_else(|| self.next(FIRST_GIT))
        });
        Placed {
            server,
            port,
            control,
            git,
        }
    }

    fn next(&mut self, first: i32) -> i32 {
        let port = (first..=65535).find(|port| !self.taken.contains(port)).unwrap_or(first);
        self.taken.insert(port);
        port
    }
}

/// A port that the policy names is not moved: something else may rely on it.
fn deny_used(draft: &mut Draft<'_>, name: &str, port: Option<i32>) {
    let Some(port) = port else { return };
    if let Some(user) = native::user_of_port(draft.pod, port) {
        draft.problems.push(format!(
            "sidecar {name:?} wants port {port}, which container {user:?} uses"
        ));
    }
}
