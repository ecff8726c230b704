//! Hosts and URLs against the `url` crate: what is taken leads where everybody reads it to lead. What is refused needs no reason:
//! less is taken than is valid.

use crate::make::{joined, mutated, one};
use fastrand::Rng;
use std::net::IpAddr;
use vertex_injector_core::host::{Host, HostPort, Url};

const ODD: &[&str] = &[
    ":",
    "/",
    "//",
    "@",
    "#",
    "?",
    "[",
    "]",
    "\\",
    ".",
    "..",
    "%2e",
    "%2F",
    "-",
    "_",
    "xn--",
    "0",
    "1",
    "a",
    "A",
    "é",
    "\u{3002}",
    "\u{ad}",
    " ",
    "\t",
    "\n",
    "\u{0}",
    "*",
    "443",
    "0x7f",
    "017",
    "65536",
    "::1",
    "::ffff:127.0.0.1",
    "example",
    "localhost",
    "svc",
    "https:",
];

pub(crate) fn compare(rng: &mut Rng, inputs: u64) -> Result<u64, String> {
    let mut taken = 0;
    for _ in 0..inputs {
        let mut text = if rng.bool() { url(rng) } else { address(rng) };
        if rng.bool() {
            text = mutated(rng, &text, ODD);
        }
        if let Ok(ours) = text.parse::<Url>() {
            taken += u64::from(leads_alike(&text, ours.host(), ours.port())?);
        }
        if let Ok(HostPort { host, port }) = text.parse::<HostPort>() {
            let as_url = format!("https://{text}");
            taken += u64::from(leads_alike(&as_url, &host, port.map_or(443, Into::into))?);
        }
    }
    Ok(taken)
}

/// Whether the crate reads a URL, to the same host and port. International names, which it decodes and we compare as they are
/// written, need not be read.
fn leads_alike(text: &str, host: &Host, port: u16) -> Result<bool, String> {
    let theirs = match ::url::Url::parse(text) {
        Ok(theirs) => theirs,
        Err(::url::ParseError::IdnaError) => return Ok(false),
        Err(error) => return Err(format!("taken, and the crate says {error}: {text:?}")),
    };
    let their_host = match theirs.host() {
        Some(::url::Host::Domain(name)) => name.parse::<Host>().ok(),
        Some(::url::Host::Ipv4(address)) => Some(Host::Address(IpAddr::V4(address))),
        Some(::url::Host::Ipv6(address)) => Some(Host::Address(IpAddr::V6(address))),
        None => None,
    };
    let harmless = theirs.username().is_empty() && theirs.password().is_none() && theirs.fragment().is_none();
    if their_host.as_ref() == Some(host) && theirs.port_or_known_default() == Some(port) && harmless {
        Ok(true)
    } else {
        Err(format!(
            "{host:?} port {port}, and the crate reads {theirs:?}: {text:?}"
        ))
    }
}

fn url(rng: &mut Rng) -> String {
    let scheme = one(
        rng,
        &["https://", "https://", "http://", "HTTPS://", "https:/", "ftp://", ""],
    );
    let path = joined(
        rng,
        4,
        &["/", "/a", "/..", "/.", "/%2e%2e", "?a=b", "?", "#f", ":generate", "//"],
    );
    format!("{scheme}{}{path}", address(rng))
}

fn address(rng: &mut Rng) -> String {
    let host = match rng.u8(..4) {
        0 => one(
            rng,
            &[
                "localhost",
                "127.0.0.1",
                "10.0.0.1",
                "[::1]",
                "[fd00::1]",
                "[::ffff:1.2.3.4]",
                "1",
                "0x7f.1",
            ],
        )
        .to_owned(),
        1 => one(
            rng,
            &[
                "a.example",
                "A.Example",
                "a-b.example.",
                "xn--nxasmq6b.example",
                "api.team.svc",
                "user@a.example",
            ],
        )
        .to_owned(),
        _ => joined(rng, 5, &["a", "b", "-", ".", "1", "example", "B", "_", "xn--"]),
    };
    let port = one(
        rng,
        &[
            "", "", ":443", ":80", ":8443", ":0", ":", ":065", ":65535", ":65536", ":+1",
        ],
    );
    format!("{host}{port}")
}
