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
    (!asks_for(&request.headers, &NAMES)).then_some("this host name is not this pod's; ask 127.0.0.1 or localhost")
}

/// Whether a request is for a host of one of these names, on whatever port: exactly one `Host`, in any case.
///
/// A page that a browser loads can let its own name resolve to 127.0.0.1, but it cannot choose this header.
pub fn asks_for(headers: &HeaderMap, names: &[&str]) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    names.iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// Whether a request asks for another protocol, after which nobody would look at what passes.
///
/// `h2c` is none that counts: curl, git and the JDK's client offer it with every request, and an offer may be ignored (RFC 9110
/// section 7.8).
pub fn upgrades(headers: &HeaderMap) -> bool {
    let is = |member: &[u8], name: &str| member.eq_ignore_ascii_case(name.as_bytes());
    let mut offers = members(headers, &UPGRADE).peekable();
    if offers.peek().is_none() {
        return members(headers, &CONNECTION).any(|option| is(option, "upgrade"));
    }
    offers.any(|offer| !is(offer, "h2c"))
}

/// The members of a header that is a list.
fn members<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    let values = headers.get_all(name).iter();
    let members = values.flat_map(|value| value.as_bytes().split(|&b| b == b','));
    members.map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}
