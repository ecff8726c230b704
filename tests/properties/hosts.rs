//! Hosts and URLs are read as the library for them reads them, or refused.

use super::config;
use proptest::prelude::*;
use std::net::IpAddr;
use vertex_injector_core::host::{Host, Url};

/// What URLs are made of, and what is not quite it.
const PIECES: &str = "(https?|HTTP|ftp)://|:|/|//|@|#|\\?|\\[|\\]|\\\\|\\.|\\.\\.|%2e|-|_|xn--|localhost|LocalHost|127\\.0\\.0\\.1|0x7f|2130706433|::1|::ffff:127\\.0\\.0\\.1|443|80|0|65536|a|B\\.example|svc| ";

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn an_accepted_url_leads_where_everybody_reads_it_to_lead(
        start in "(https://|http://|)(localhost|127\\.0\\.0\\.1|a\\.example|\\[::1\\])?",
        rest in prop::collection::vec(PIECES, 0..6),
    ) {
        let text = start + &rest.concat();
        let Ok(url) = text.parse::<Url>() else { return Ok(()) };
        let oracle = match url::Url::parse(&text) {
            Ok(oracle) => oracle,
            // The library decodes international names; here they are compared as they are written.
            Err(url::ParseError::IdnaError) => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(format!("{text:?}: {error}"))),
        };
        prop_assert_eq!(url.port(), oracle.port_or_known_default().unwrap_or_default());
        prop_assert_eq!(url.is_secure(), oracle.scheme() == "https");
        prop_assert_eq!((oracle.username(), oracle.password(), oracle.fragment()), ("", None, None));
        let host = match oracle.host() {
            Some(url::Host::Domain(name)) => name.parse::<Host>().ok(),
            Some(url::Host::Ipv4(address)) => Some(Host::Address(IpAddr::V4(address))),
            Some(url::Host::Ipv6(address)) => Some(Host::Address(IpAddr::V6(address))),
            None => None,
        };
        prop_assert_eq!(Some(url.host()), host.as_ref());
    }
}
