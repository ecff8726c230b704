//! The hosts that a broker calls.

use super::call::{Target, root};
use super::steps::{place, steps};
use crate::broker::credentials::Configured;
use vertex_injector_core::contract::broker::Credential;
use vertex_injector_core::endpoint::Endpoint;

/// Where a broker with this credential and this target goes, each host once, without paths.
///
/// Nothing is read from a disk: a configuration in a file is another machine's.
pub fn called(credential: &Credential, target: &Target) -> Vec<Endpoint> {
    let configured = match credential {
        Credential::Json(_) => Configured::read(credential).ok(),
        Credential::File(_) | Credential::NodeMetadata(_) => None,
    };
    let steps = configured.map(|configured| steps(&configured.credentials));
    let exchanged = steps.into_iter().flatten().map(|step| step.to);
    let mut hosts: Vec<Endpoint> = Vec::new();
    for to in exchanged.chain(root(target)) {
        let scheme = if to.is_secure() { "https" } else { "http" };
        let host = Endpoint::parse(&format!("{scheme}://{}", place(&to)));
        hosts.extend(host.ok().filter(|host| !hosts.contains(host)));
    }
    hosts
}
