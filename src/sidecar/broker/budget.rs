//! What a broker may hold of what comes from the agent: one budget, below the memory limit of its container, for connections,
//! heads, bodies and what is parsed of them, on all its ports.

use super::proxy::json;
use std::sync::Arc;
use vertex_injector_core::contract::broker::ModeName;
use vertex_injector_net::listen::CONNECTION_BYTES;
use vertex_injector_net::memory;
use vertex_injector_net::places::Places;

const MIB: u64 = 1024 * 1024;

/// What the process takes by itself: its program, trusted certificates, connections to Google, metrics, and a reserve.
const OWN: u64 = 16 * MIB;

/// Most connections of the agent at a time, however much memory there is.
const MOST_CONNECTIONS: u64 = 1024;

/// What a call takes beside its connection, in bytes: what is buffered of its answer, here and in the kernel, while its agent does
/// not read, and a small body.
const CALL: usize = 192 * 1024;

/// What a connection of the proxy takes at most, in bytes.
pub const CALL_BYTES: usize = CONNECTION_BYTES + CALL;

/// The budget.
#[derive(Debug)]
pub struct Budget {
    /// Room for connections to whatever port, but that of metrics.
    pub places: Arc<Places>,
    /// Room for large bodies, in bytes.
    pub bodies: usize,
    /// Of how much memory it is a part, in bytes.
    pub limit: u64,
}

impl Budget {
    /// For a broker in this mode, which is told its limit in bytes, if it has another than is usual; what the kernel says counts
    /// when it is less.
    pub fn new(mode: ModeName, told: Option<u64>) -> Self {
        let usual = told.unwrap_or_else(|| mode.usual_memory().bytes());
        Self::of(mode, memory::limit().map_or(usual, |limit| limit.min(usual)))
    }

    /// Of so many bytes of memory.
    pub fn of(mode: ModeName, limit: u64) -> Self {
        let rest = |own: u64| limit.saturating_sub(own).max(4 * MIB) / 8 * 7;
        let (connections, bodies, bytes) = match mode {
            ModeName::Metadata => (rest(OWN), 0, CONNECTION_BYTES),
            // One body at a time is parsed, of those that are not small.
            ModeName::Proxy => {
                let rest = rest(OWN + json::MOST_BYTES as u64);
                (rest / 2, rest / 2, CALL_BYTES)
            }
        };
        let connections = connections.min(MOST_CONNECTIONS * bytes as u64);
        Self {
            places: Places::new(usize::try_from(connections).unwrap_or(usize::MAX), usize::MAX),
            bodies: usize::try_from(bodies).unwrap_or(usize::MAX),
            limit,
        }
    }
}
