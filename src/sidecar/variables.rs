//! Variables of ours that this version does not know. The injector may be newer than the image that it puts beside an agent
//! (`broker.image`), and what it says with such a variable may restrict: who cannot read it does not start.

use vertex_injector_core::contract::{CA_FILES, broker, exec};
use vertex_injector_net::telemetry::{LOG, LOG_FORMAT};

const PREFIX: &str = "VERTEX_INJECTOR_";

/// Looks at the names of variables.
///
/// # Errors
/// The first that is ours and unknown.
pub(crate) fn check(names: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
    let unknown = names.into_iter().find(|name| {
        let rest = name.strip_prefix(PREFIX);
        rest.is_some_and(|rest| !is_known(name) && !is_of_a_service(rest))
    });
    match unknown {
        None => Ok(()),
        Some(name) => anyhow::bail!(
            "this version ({}) does not know the variable {name}; run the image of the version that set it (broker.image of the \
             chart), or unset it",
            env!("CARGO_PKG_VERSION")
        ),
    }
}

fn is_known(name: &str) -> bool {
    let settings = broker::SETTINGS.iter().chain([&exec::CONTROL_PORT]);
    let variables = settings.filter_map(|setting| setting.variable);
    variables.chain([CA_FILES, LOG, LOG_FORMAT]).any(|known| known == name)
}

/// Whether Kubernetes sets it, for a Service of the pod's namespace whose name begins as our variables do.
fn is_of_a_service(rest: &str) -> bool {
    let has_port = |(_, after): (&str, &str)| after.starts_with(|c: char| c.is_ascii_digit());
    let name = format!("_{rest}");
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || name.split_once("_PORT_").is_some_and(has_port)
}

#[cfg(test)]
mod tests {
    use super::check;

    fn refused(name: &str) -> bool {
        check(["PATH".to_owned(), name.to_owned()]).is_err()
    }

    #[test]
    fn what_may_restrict_and_is_not_known_is_refused_by_name() {
        for name in [
            "VERTEX_INJECTOR_BUDGET",
            "VERTEX_INJECTOR_",
            "VERTEX_INJECTOR_MODELS_2",
            "VERTEX_INJECTOR_PORTS",
        ] {
            let error = check([name.to_owned()]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("broker.image"), "{error}");
        }
    }

    #[test]
    fn what_is_known_of_a_service_or_not_ours_is_not() {
        for name in [
            "VERTEX_INJECTOR_MODELS",
            "VERTEX_INJECTOR_CA_FILES",
            "VERTEX_INJECTOR_LOG",
            "VERTEX_INJECTOR_CONTROL_PORT",
            "VERTEX_INJECTOR_PORT",
            "VERTEX_INJECTOR_SERVICE_HOST",
            "VERTEX_INJECTOR_SERVICE_PORT_HTTPS",
            "VERTEX_INJECTOR_PORT_443_TCP_ADDR",
            "VERTEX_INJECTOR_METRICS_PORT_9090_TCP",
            "VERTEX_INJECTORS",
            "MY_VERTEX_INJECTOR_BUDGET",
        ] {
            assert!(!refused(name), "{name}");
        }
    }
}
