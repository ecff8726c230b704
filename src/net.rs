//! The network as our sidecars use it: [`upstream`] calls token services, [`listen`] accepts the agent's connections. Both
//! are bounded in size, time and number.

pub mod listen;
pub mod upstream;
