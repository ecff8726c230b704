//! What the injector tells the programs beside an agent is what they read.
#![cfg(test)]

mod mistakes;
mod values;
mod versions;

use proptest::prelude::*;
use vertex_injector_core::contract::broker::{Broker, Mode};
use vertex_injector_core::contract::exec::{Control, Exec};
use vertex_injector_core::contract::probe::Probe;
use vertex_injector_core::contract::setting::{Given, Setting, Wrong};

/// Reads variables and flags as the program does: each flag with its values, a variable where the flag is not given.
pub fn read<T>(
    environment: &[(&str, String)],
    arguments: &[String],
    read: impl Fn(&Given<'_>) -> Result<T, Wrong>,
) -> Result<T, Wrong> {
    let values = |setting: Setting| {
        let flag = setting.to_string();
        let flags = arguments.windows(2).filter(|pair| pair[0] == flag);
        let given: Vec<String> = flags.map(|pair| pair[1].clone()).collect();
        if given.is_empty() {
            let set = environment.iter().find(|(name, _)| Some(*name) == setting.variable);
            set.map(|(_, value)| value.clone()).into_iter().collect()
        } else {
            given
        }
    };
    read(&Given::new(&values))
}

proptest! {
    #[test]
    fn a_broker_reads_from_its_environment_what_it_was_told(broker in values::broker()) {
        let heard = read(&broker.environment(), &[], Broker::read);
        prop_assert_eq!(heard, Ok(broker));
    }

    #[test]
    fn a_broker_reads_from_its_flags_what_it_was_told(broker in values::broker()) {
        let flags = broker.settings().into_iter().flat_map(|(setting, value)| [setting.to_string(), value]);
        let heard = read(&[], &flags.collect::<Vec<_>>(), Broker::read);
        prop_assert_eq!(heard, Ok(broker));
    }

    #[test]
    fn a_wrapper_reads_from_its_arguments_and_environment_what_it_was_told(exec in values::exec()) {
        let heard = read(&exec.environment(), &exec.arguments(), Exec::read);
        prop_assert_eq!(heard, Ok(exec));
    }

    #[test]
    fn a_probe_in_a_brokers_container_asks_the_ports_that_the_broker_was_told(broker in values::broker()) {
        let asked = Probe::Broker {
            metadata_port: broker.metadata_port,
            proxy_port: match &broker.mode {
                Mode::Metadata { .. } => None,
                Mode::Proxy(proxy) => Some(proxy.port),
            },
        };
        let heard = read(&broker.environment(), &asked.arguments(), Probe::read);
        prop_assert_eq!(heard, Ok(asked));
    }

    #[test]
    fn a_probe_in_a_wrappers_container_asks_its_control_port(exec in values::exec(), port: u16, ready: bool) {
        let control = Some(Control { port, git_credentials: None });
        let asked = Probe::Exec { control_port: port, ready };
        let mut arguments = asked.arguments();
        // A flag without a value is there or not.
        arguments.push("true".to_owned());
        let heard = read(&Exec { control, ..exec }.environment(), &arguments, Probe::read);
        prop_assert_eq!(heard, Ok(asked));
    }
}
