//! What people who operate vertex-injector ask a cluster: whether all of it works ([`installation`]), and how the pods that run
//! stand to the policies of today.
//!
//! Reading and judging are apart. `cluster` and `reading` read; the judges in [`check`], [`standing`] and [`difference`] are
//! functions of objects in memory, and what they say is a [`finding`]. [`audit`], [`pod`] and [`change`] are the verbs about
//! pods. Decisions about pods are those of
//! [`vertex_injector_core::admission`], by the same code. [`ephemeral`] is the only one that changes something: it adds a container to a
//! pod. [`problem`] is every breakage that is known, with its remedy.

pub mod audit;
pub mod change;
pub mod check;
mod cluster;
pub mod difference;
pub mod ephemeral;
mod fields;
pub mod finding;
pub mod installation;
mod part;
pub mod pod;
pub mod problem;
mod reading;
pub mod release;
pub mod standing;
mod tls;
pub mod world;

pub use cluster::{Cluster, Listed, Look, Which as WhichCluster};
pub use reading::Which as WhichRelease;
