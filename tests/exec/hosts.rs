//! Which URLs may be sent a credential.

use vertex_injector_core::allowed::{Allowed, Listed, PlainHttp};
use vertex_injector_core::endpoint::Endpoint;

fn allowed(hosts: &[&str]) -> Allowed {
    Allowed::new(parsed(hosts), PlainHttp::Services)
}

fn parsed(hosts: &[&str]) -> Vec<Listed> {
    hosts.iter().map(|host| host.parse().expect("a host")).collect()
}

#[test]
fn loopback_and_listed_hosts_are_accepted_as_they_are_written() {
    let allowed = allowed(&["api.example.com", "api.team-a.svc:8000", "cp.ambient.svc.cluster.local"]);
    for url in [
        "http://127.0.0.1:8080/token",
        "http://127.9.9.9/",
        "http://localhost:1/x",
        "https://localhost/x",
        "http://[::1]:8080/token",
        "https://[::1]/",
        "https://api.example.com/v1/token",
        "https://API.Example.Com:443/v1/token?name=github",
        "http://api.team-a.svc:8000/",
        "https://api.team-a.svc:8000/",
        "http://cp.ambient.svc.cluster.local/token",
        "http://cp.ambient.svc.cluster.local:80/token",
    ] {
        let endpoint = Endpoint::listed(&allowed, url).unwrap_or_else(|problem| panic!("{url} {problem}"));
        assert!(endpoint.uri().to_string().eq_ignore_ascii_case(url), "{endpoint}");
    }
}

#[test]
fn without_tls_a_credential_stays_on_loopback_unless_it_is_said_otherwise() {
    let hosts = ["api.example.com", "api.team-a.svc:8000", "cp.ambient.svc.cluster.local"];
    let allowed = Allowed::new(parsed(&hosts), PlainHttp::default());
    for url in [
        "http://127.0.0.1:8080/token",
        "http://[::1]/",
        "https://api.team-a.svc:8000/",
    ] {
        Endpoint::listed(&allowed, url).unwrap_or_else(|problem| panic!("{url} {problem}"));
    }
    for url in [
        "http://api.example.com/",
        "http://api.team-a.svc:8000/",
        "http://cp.ambient.svc.cluster.local/token",
        "HTTP://API.team-a.svc:8000/",
    ] {
        let problem = Endpoint::listed(&allowed, url).expect_err("refused");
        assert!(problem.contains("plain http"), "{url}: {problem}");
    }
}

#[test]
fn what_only_looks_like_a_listed_host_is_refused() {
    let allowed = allowed(&[
        "api.example.com",
        "a.team.svc.cluster.local",
        "api.team.svc:8000",
        "evil2.svc",
    ]);
    for (url, words) in [
        // Not listed, whatever its end.
        (
            "http://evil.svc/token",
            "evil.svc:80, which is not listed; if it may have the credential, add --allow-host",
        ),
        ("http://a.svc.cluster.local.evil.com/token", "not listed"),
        ("http://a.team.svc.cluster.local.evil.com/token", "not listed"),
        ("http://evil.team.svc/token", "not listed"),
        ("https://sub.api.example.com/", "not listed"),
        ("https://example.com/", "not listed"),
        ("https://api-example.com/", "not listed"),
        ("http://localhost.evil.com/", "not listed"),
        ("http://127.0.0.1.nip.io/", "not listed"),
        ("https://a.team.svc/", "not listed"),
        // Another port.
        (
            "https://api.example.com:8443/",
            "api.example.com:8443, which is not listed",
        ),
        ("http://api.team.svc/", "api.team.svc:80, which is not listed"),
        ("https://api.team.svc/", "api.team.svc:443, which is not listed"),
        // Plain http outside.
        ("http://api.example.com/", "plain http"),
        ("http://evil2.svc/", "plain http"),
        // A user in front of the host.
        ("https://api.example.com@evil.com/", "has a user"),
        ("https://user:pass@api.example.com/", "has a user"),
        ("http://127.0.0.1:80@evil.com/", "has a user"),
        ("http://localhost@evil.com/", "has a user"),
        // Dots.
        ("https://api.example.com./", "ends in a dot"),
        ("http://localhost./", "ends in a dot"),
        ("https://api..example.com/", "no well-formed host"),
        ("https://.api.example.com/", "no well-formed host"),
        // Addresses, plain and disguised.
        ("http://169.254.169.254/", "has an address"),
        ("http://10.0.0.1:8080/token", "has an address"),
        ("http://0.0.0.0/", "has an address"),
        ("http://[::]/", "has an address"),
        ("http://[::ffff:127.0.0.1]/", "has an address"),
        ("http://[::ffff:169.254.169.254]/", "has an address"),
        ("http://[fe80::1]/", "has an address"),
        ("http://2130706433/", "ends in a number"),
        ("http://0x7f000001/", "ends in a number"),
        ("http://127.1/", "ends in a number"),
        ("http://0177.0.0.1/", "ends in a number"),
        ("http://[127.0.0.1]/", "no well-formed host"),
        // Everything else that is no host, no port or no scheme.
        ("https://api.example.com:0/", "a port that is no number"),
        ("https://api.example.com:99999/", "port"),
        ("https://api_example.com/", "no well-formed host"),
        ("https://xn--/../", "'..'"),
        ("ftp://api.example.com/", "neither https nor http"),
        ("file:///etc/passwd", ""),
        ("//api.example.com/", ""),
        ("api.example.com", "neither https nor http"),
        ("/token", "not an absolute URL"),
        ("", "not a URL"),
        ("https://", "not a URL"),
        ("https://api.example.com\\@evil.com/", "not a URL"),
        ("https://api.example.com/a b", "not a URL"),
        // The path is the endpoint's own.
        ("https://api.example.com/a/../b", "'..'"),
        ("https://api.example.com/a/%2E%2e/b", "'..'"),
        ("https://api.example.com/./b", "'.'"),
        ("https://api.example.com/#fragment", "fragment"),
    ] {
        match Endpoint::listed(&allowed, url) {
            Ok(endpoint) => panic!("{url} is accepted as {endpoint}"),
            Err(problem) => assert!(problem.contains(words), "{url}: {problem}"),
        }
    }
}

#[test]
fn a_refusal_shows_neither_user_nor_path() {
    for url in [
        "https://canary-user:canary-password@api.example.com/canary-path",
        "https://api.example.com:canary/",
        "https://canary host/",
        "https://evil.example/canary-path?canary=1",
        "gopher://canary/",
    ] {
        let problem = Endpoint::listed(&allowed(&[]), url).expect_err("refused");
        assert!(!problem.contains("canary"), "{problem}");
    }
}

#[test]
fn a_host_is_listed_by_its_name_and_nothing_else() {
    for (text, words) in [
        ("*.example.com", "no well-formed host"),
        ("https://example.com", "port"),
        ("example.com/path", "no well-formed host"),
        ("example.com:", "port"),
        ("example.com:x", "port"),
        ("example.com.", "dot"),
        ("10.0.0.1", "address"),
        ("169.254.169.254:80", "address"),
        ("localhost:8080", "always accepted"),
        ("127.0.0.1", "always accepted"),
        ("", "no well-formed host"),
    ] {
        let problem = text.parse::<Listed>().expect_err("refused");
        assert!(problem.contains(words), "{text}: {problem}");
    }
    let listed: Listed = "API.example.com:8443".parse().expect("a host");
    assert_eq!(listed.to_string(), "api.example.com:8443");
}
