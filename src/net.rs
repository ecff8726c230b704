//! The network as our sidecars use it: [`upstream`] calls token services, [`allowed`] says which hosts may have a credential,
//! [`egress`] goes by a proxy where there is no other way, [`listen`] accepts the agent's connections, [`local`] refuses those that are nobody's of this pod, [`framing`] watches them,
//! and [`flow`] lets bodies of any size through. All are bounded in size or patience, time and number.

pub mod allowed;
pub mod egress;
pub mod flow;
pub mod framing;
pub mod listen;
pub mod local;
pub mod upstream;
