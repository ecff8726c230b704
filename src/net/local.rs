//! Requests on loopback that come from somewhere else: through a proxy, or from a page in a browser of this pod.

use http::HeaderName;
use http::header::{CONNECTION, FORWARDED, HOST, HeaderMap, ORIGIN, UPGRADE};
use http::request::Parts;

/// The names of this machine.
const NAMES: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// What a request carries that a program of this pod does not send.
const TRACES: [HeaderName; 3] = [FORWARDED, HeaderName::from_static("x-forwarded-for"), ORIGIN];

/// Why a request is not one of this pod's programs; `None` when it may be.
pub fn foreign(request: &Parts) -> Option<&'static str> {
    if TRACES.iter().any(|name| request.headers.contains_key(name)) {
        return Some("requests from web pages, and those that were forwarded, are not answered");
    }
    // A page that a browser loads can let its own name resolve to 127.0.0.1, but it cannot choose the Host header.
    let mut hosts = request.headers.get_all(HOST).iter();
    match (hosts.next().map(|host| host.to_str()), hosts.next()) {
        (Some(Ok(host)), None) if is_own(host) => None,
        _ => Some("this host name is not this pod's; ask 127.0.0.1 or localhost"),
    }
}

/// Whether a request asks for another protocol, after which nobody would look at what passes.
pub fn upgrades(headers: &HeaderMap) -> bool {
    let mut options = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&b| b == b','));
    headers.contains_key(UPGRADE) || options.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

fn is_own(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    NAMES.iter().any(|own| name.eq_ignore_ascii_case(own))
}
