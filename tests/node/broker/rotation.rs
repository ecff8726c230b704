//! When the kubelet brings a new identity token.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::world::{Access, PATIENCE, Told, asking, broker_status, google, namespace, told, until_told};
use crate::installed::{WELL, node};

#[test]
fn a_new_identity_token_is_exchanged_and_no_call_fails_meanwhile() {
    let (Some(node), Some(google)) = (node(), google()) else {
        return;
    };
    let modes = [Access::Metadata, Access::Proxy];
    let (agents, begun) = {
        let _well = WELL.read();
        let agents = namespace(node, "broker-rotation");
        let pods = modes.map(|access| asking(access.name(), access));
        agents.create(&json!({"apiVersion": "v1", "kind": "List", "items": pods}));
        let begun = modes.map(|access| {
            let pod = format!("pod/{}", access.name());
            agents.until_ready(&pod);
            until_told(&agents, &pod, &Told::nothing(), PATIENCE, Told::has_answer)
        });
        (agents, begun)
    };
    // The identity tokens with which a pod has come so far, told apart by when they were issued and end.
    let tokens = |access: Access| -> BTreeSet<(u64, u64)> {
        let of_pod = |line: &&Value| {
            line["claims"]["namespace"] == agents.name
                && line["claims"]["pod"] == access.name()
                && line["status"] == 200
        };
        let times = |line: &Value| Some((line["claims"]["iat"].as_u64()?, line["claims"]["exp"].as_u64()?));
        google.journal().iter().filter(of_pod).filter_map(times).collect()
    };

    // It forgets the tokens that it has fetched, and fetches others.
    let before = {
        let _unwell = WELL.write();
        let before = modes.map(tokens);
        node.restart_kubelet();
        google.until_reachable();
        before
    };

    let _well = WELL.read();
    for ((access, before), begun) in modes.into_iter().zip(before).zip(begun) {
        assert_eq!(before.len(), 1, "{access:?}: {before:?}");
        let until = Instant::now() + Duration::from_mins(2);
        while tokens(access).is_subset(&before) {
            assert!(
                Instant::now() < until,
                "{access:?} comes with the old token: {before:?}"
            );
            harness::process::pause(Duration::from_secs(1));
        }
        let pod = format!("pod/{}", access.name());
        let so_far = told(&agents, &pod);
        until_told(&agents, &pod, &so_far, PATIENCE, Told::has_answer);
        let meanwhile = told(&agents, &pod).since(&begun);
        assert_eq!(meanwhile.failures(), 0, "{meanwhile:?}");
        assert_eq!(broker_status(&agents, &pod)["restartCount"], 0);
    }
}
