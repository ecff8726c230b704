//! What the arguments say in place of an environment.

use std::path::PathBuf;
use vertex_injector_core::contract::proxy::{Project, Region};
use vertex_injector_core::endpoint::Endpoint;

/// What a person says; the environment says the rest.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// A credential configuration.
    pub(super) credentials: Option<PathBuf>,
    /// The project to call.
    pub(super) project: Option<Project>,
    /// The location.
    pub(super) region: Option<Region>,
    /// The model.
    pub(super) model: Option<String>,
    /// Hosts to which the way is gone when a broker does not do what it should.
    pub(super) reach: Vec<Endpoint>,
}
