//! The example NetworkPolicies of the demo.

use crate::release::RELEASE;
use harness::process::repository;
use serde_json::{Value, json};
use std::net::IpAddr;

#[test]
fn the_example_network_policies_are_accepted_and_keep_agents_from_the_nodes_metadata_server() {
    let Some(release) = &*RELEASE else { return };
    release.cluster.create_namespace("kartograph-workloads", &[]);
    for mode in ["file", "metadata", "proxy"] {
        let file = repository()
            .join("hack/demo/networkpolicies")
            .join(mode)
            .with_extension("yaml");
        let file = file.to_str().expect("UTF-8");
        release.cluster.kubectl(&["apply", "--server-side", "--filename", file]);
        let stored = release.cluster.get(&[
            "--namespace",
            "kartograph-workloads",
            "networkpolicy",
            &format!("agents-{mode}"),
        ]);
        let spec = &stored["spec"];
        assert_eq!(spec["policyTypes"], json!(["Egress"]));
        let egress = spec["egress"].as_array().expect("rules");
        let ports = |rule: &Value| -> Vec<u64> {
            let ports = rule["ports"].as_array().expect("ports").iter();
            ports.map(|port| port["port"].as_u64().expect("a number")).collect()
        };
        // Of Kubernetes, and of OpenShift.
        let dns = [[53, 53], [5353, 5353]];
        for dns in dns {
            assert!(egress.iter().any(|rule| ports(rule) == dns), "no DNS in {mode}");
        }
        for rule in egress.iter().filter(|rule| !dns.iter().any(|dns| ports(rule) == dns)) {
            assert_eq!(ports(rule), [443], "{mode}");
            for peer in rule["to"].as_array().expect("peers") {
                let block = &peer["ipBlock"];
                let reaches = |address: &str| {
                    holds(&block["cidr"], address)
                        && !block["except"]
                            .as_array()
                            .into_iter()
                            .flatten()
                            .any(|except| holds(except, address))
                };
                for closed in [
                    "169.254.169.254",
                    "10.0.0.1",
                    "172.16.0.1",
                    "192.168.1.1",
                    "fe80::1",
                    "fd00:ec2::254",
                ] {
                    assert!(!reaches(closed), "{mode} lets agents reach {closed}");
                }
            }
            let open = ["142.250.1.95", "2a00:1450::1"];
            for address in open {
                let peers = rule["to"].as_array().expect("peers").iter();
                assert!(
                    { peers }.any(|peer| holds(&peer["ipBlock"]["cidr"], address)),
                    "{mode}: {address}"
                );
            }
        }
    }
}

/// Whether a network holds an address.
fn holds(cidr: &Value, address: &str) -> bool {
    let (network, length) = cidr
        .as_str()
        .expect("a network")
        .split_once('/')
        .expect("NETWORK/LENGTH");
    let bits = |address: &str| match address.parse().expect("an address") {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 4),
        IpAddr::V6(address) => (u128::from(address), 6),
    };
    let ((network, family), (address, other)) = (bits(network), bits(address));
    let length: u32 = length.parse().expect("a number");
    family == other && (length == 0 || (network ^ address) >> (128 - length) == 0)
}
