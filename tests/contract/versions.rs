//! An injector and the program beside the agent need not be of one version.

use super::{read, values};
use proptest::prelude::*;
use vertex_injector_core::contract::broker::{Broker, MODE, REGIONS, SETTINGS};

/// What each setting is called. A name that changes is a contract that changes: brokers of other versions read and write it.
#[test]
fn the_names_of_a_brokers_variables_are_these() {
    let names: Vec<&str> = SETTINGS.iter().filter_map(|setting| setting.variable).collect();
    let short: Vec<&str> = { names.iter() }
        .map(|name| name.strip_prefix("VERTEX_INJECTOR_").expect("our prefix"))
        .collect();
    assert_eq!(
        short,
        [
            "MODE",
            "CREDENTIALS",
            "CREDENTIALS_JSON",
            "NODE_METADATA_SERVER",
            "PROJECT",
            "PROJECT_NUMBER",
            "ID_TOKEN_AUDIENCES",
            "PUBLISHERS",
            "MODELS",
            "REGIONS",
            "METHODS",
            "ALLOW",
            "UNKNOWN_FIELDS",
            "KNOWN_FIELDS",
            "VERTEX_ENDPOINT",
            "METADATA_PORT",
            "PROXY_PORT",
            "MEMORY_LIMIT",
            "METRICS_LISTEN",
        ]
    );
}

proptest! {
    #[test]
    fn whatever_a_broker_is_told_it_is_told_by_these(broker in values::broker()) {
        for (setting, _) in broker.settings() {
            prop_assert!(SETTINGS.contains(&setting), "{setting}");
        }
    }

    /// An older injector says less.
    #[test]
    fn a_broker_that_is_told_less_hears_the_rest_as_it_was_said_or_does_not_start(
        broker in values::broker(),
        left_out in 0..SETTINGS.len(),
    ) {
        let left_out = SETTINGS[left_out];
        let mut environment = broker.environment();
        environment.retain(|(name, _)| Some(*name) != left_out.variable);
        match read(&environment, &[], Broker::read) {
            Ok(heard) => {
                let told: Vec<_> = broker.settings().into_iter().filter(|(setting, _)| *setting != left_out).collect();
                let mut written = heard.settings();
                written.retain(|(setting, _)| *setting != left_out);
                prop_assert_eq!(written, told);
            }
            Err(wrong) => prop_assert!(
                [MODE, REGIONS].contains(&left_out) || wrong.to_string().contains("missing") || wrong.to_string().contains("no credential"),
                "{left_out}: {wrong}"
            ),
        }
    }
}
