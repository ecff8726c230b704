//! The network as our sidecars use it: [`upstream`] calls token services, [`listen`] accepts the agent's connections, and
//! [`framing`] watches them. All are bounded in size, time and number.

pub mod framing;
pub mod listen;
pub mod upstream;
