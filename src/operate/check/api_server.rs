//! What the API server and the nodes can.

use crate::cluster::Look;
use crate::finding::{Finding, Object, Part};
use crate::problem::Problem;
use k8s_openapi::api::core::v1::Node;

/// The oldest API server: ValidatingAdmissionPolicies and match conditions are stable since then. The chart asks for the same.
const OLDEST: (u32, u32) = (1, 30);

/// The oldest kubelet that starts native sidecars without being asked to.
const OLDEST_NODE: (u32, u32) = (1, 29);

/// Judges version, features and nodes.
pub fn judge(version: (u32, u32), policies_served: &Look<bool>, nodes: &Look<Vec<Node>>) -> Vec<Finding> {
    let server = || Object::new("Kubernetes", "");
    let (major, minor) = version;
    let mut findings = Vec::new();
    if version < OLDEST {
        findings.push(Finding::of(
            Problem::ApiServerTooOld,
            server(),
            format!("the API server is {major}.{minor}"),
        ));
    }
    match policies_served {
        Look::Seen(true) if version >= OLDEST => findings.push(Finding::fine(
            Part::ApiServer,
            server(),
            format!("the API server is {major}.{minor} and serves ValidatingAdmissionPolicies"),
        )),
        Look::Seen(true) => {}
        Look::Seen(false) => findings.push(Finding::of(
            Problem::AdmissionPoliciesNotServed,
            server(),
            format!("the API server is {major}.{minor} and serves no ValidatingAdmissionPolicies"),
        )),
        Look::Unseen(why) => findings.push(Finding::unseen(Part::ApiServer, server(), why)),
    }
    match nodes {
        Look::Unseen(why) => findings.push(Finding::unseen(Part::ApiServer, Object::new("nodes", ""), why)),
        Look::Seen(nodes) => {
            let old: Vec<Finding> = nodes.iter().filter_map(too_old).collect();
            if old.is_empty() && !nodes.is_empty() {
                let text = format!("{} start native sidecars", super::count(nodes.len(), "node", "nodes"));
                findings.push(Finding::fine(Part::ApiServer, Object::new("nodes", ""), text));
            }
            findings.extend(old);
        }
    }
    findings
}

fn too_old(node: &Node) -> Option<Finding> {
    let version = &node.status.as_ref()?.node_info.as_ref()?.kubelet_version;
    let mut numbers = version
        .trim_start_matches('v')
        .split('.')
        .map_while(|part| part.parse::<u32>().ok());
    let version_of_node = (numbers.next()?, numbers.next()?);
    (version_of_node < OLDEST_NODE).then(|| {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        Finding::of(
            Problem::NodeTooOld,
            Object::new("Node", name),
            format!("its kubelet is {version}"),
        )
    })
}
