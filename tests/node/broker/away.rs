//! While Google is away.

use std::time::{Duration, Instant};

use serde_json::json;

use super::world::{Access, PATIENCE, Told, asking, broker_status, namespace, told, until_told};
use crate::fake_google::{FakeGoogle, HOSTS};
use crate::installed::{WELL, node};

/// How long Google is away.
const AWAY: Duration = Duration::from_mins(2);

#[test]
fn google_is_away_for_two_minutes_no_broker_restarts_and_then_the_answers_come_again() {
    let Some(node) = node() else { return };
    // Another Google than that of all others, for these pods alone.
    let google = FakeGoogle::start(node, "google-that-goes");
    let agents = {
        let _well = WELL.read();
        namespace(node, "broker-away")
    };
    let aliases = json!([{"ip": google.address(), "hostnames": HOSTS}]);
    let start = |name: &str, access: Access| {
        let mut pod = asking(name, access);
        pod["spec"]["hostAliases"] = aliases.clone();
        let _well = WELL.read();
        agents.create(&pod);
        agents.until_ready(&format!("pod/{name}"));
    };
    for access in [Access::Metadata, Access::Proxy] {
        start(access.name(), access);
        let pod = format!("pod/{}", access.name());
        let _well = WELL.read();
        until_told(&agents, &pod, &Told::nothing(), PATIENCE, Told::has_answer);
    }

    google.take_away();
    let back = Instant::now() + AWAY;
    // One that never saw it.
    start("late", Access::Metadata);
    let pods = ["pod/metadata", "pod/proxy", "pod/late"];
    harness::process::pause(back.saturating_duration_since(Instant::now()));
    let before = {
        let _well = WELL.read();
        pods.map(|pod| {
            let told = told(&agents, pod);
            assert!(told.fails_now(), "{told:?}");
            // What its client is told, and what it may do about it.
            assert!(
                told.0.iter().any(|line| line.contains("503 Service Unavailable")),
                "{told:?}"
            );
            told
        })
    };
    assert!(!before[2].has_answer(), "{:?}", before[2]);

    google.bring_back();
    let _well = WELL.read();
    for (pod, before) in pods.iter().zip(&before) {
        until_told(&agents, pod, before, PATIENCE, Told::has_answer);
        let status = broker_status(&agents, pod);
        assert_eq!(
            (&status["restartCount"], &status["ready"]),
            (&json!(0), &json!(true)),
            "{status:#}"
        );
    }
}
