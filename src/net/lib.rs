//! What the servers of vertex-injector need of the network and the process around them.
//!
//! [`upstream`] calls token services, on connections that [`gather`] what they send, [`egress`] goes by a proxy where there is no
//! other way, [`trust`] is whom it believes, [`listen`] accepts the agent's connections, [`local`] refuses those that are nobody's
//! of this pod, [`framing`] watches them, and [`flow`] lets bodies of any size through. All are bounded in size or patience, time
//! and number. [`secret`] keeps a token from being shown, [`telemetry`] writes logs, [`remarks`] tells people at a terminal,
//! [`watch_files`] reads files again when they change, [`witness`] notes which certificates a server showed.

pub mod egress;
pub mod flow;
pub mod framing;
pub mod gather;
pub mod holding;
pub mod listen;
pub mod local;
pub mod memory;
pub mod metrics;
pub mod places;
pub mod refresh;
pub mod remarks;
pub mod secret;
pub mod telemetry;
pub mod trust;
pub mod upstream;
pub mod watch_files;
pub mod witness;
