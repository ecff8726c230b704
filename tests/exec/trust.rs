//! Certificates of a private CA are trusted beside the system's, by the wrapper and by the server that it runs.

use super::process::{Directory, program};
use rcgen::generate_simple_self_signed;

/// Writes where it is to find certificates, and what is there.
const SERVER: &str = r#"for file in "$SSL_CERT_FILE" "$CURL_CA_BUNDLE" "$GIT_SSL_CAINFO" "$NODE_EXTRA_CA_CERTS"; do cat "$file"; done >"$OUT"
printf '%s|%s' "$REQUESTS_CA_BUNDLE" "$(env | grep -c VERTEX_INJECTOR_)" >"$OUT.rest""#;

fn certificate() -> String {
    generate_simple_self_signed(vec!["localhost".to_owned()])
        .expect("a certificate")
        .cert
        .pem()
}

/// The text without its line ends, which writers of PEM choose.
fn plain(pem: &str) -> String {
    pem.split_whitespace().collect()
}

/// The server's certificates and the rest, with these files named in `VERTEX_INJECTOR_CA_FILES`.
fn served(directory: &Directory, system: &str, files: &[String]) -> (String, String) {
    let (system, out) = (directory.write("system.pem", system), directory.path("out"));
    let env = [
        ("SSL_CERT_FILE", &*system),
        ("REQUESTS_CA_BUNDLE", "/the/policys"),
        ("VERTEX_INJECTOR_CA_FILES", &files.join(",")),
        ("TMPDIR", &directory.path("")),
        ("OUT", &out),
    ];
    let mut wrapper = program();
    let source = format!("file:{}", directory.write("credential", r#"{"token": "t"}"#));
    wrapper.args([
        "exec", "--source", &source, "--env", "T=token", "--", "sh", "-c", SERVER,
    ]);
    // This machine may have some.
    for name in [
        "CURL_CA_BUNDLE",
        "GIT_SSL_CAINFO",
        "NODE_EXTRA_CA_CERTS",
        "SSL_CERT_DIR",
    ] {
        wrapper.env_remove(name);
    }
    let ended = wrapper.envs(env).output().expect("it runs");
    assert_eq!(
        ended.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    (plain(&directory.read("out")), directory.read("out.rest"))
}

#[test]
fn a_server_finds_the_systems_certificates_and_those_that_are_added() {
    let directory = Directory::new();
    let (system, first, second) = (certificate(), certificate(), certificate());
    let files = [
        directory.write("first.pem", &format!("What a bundle says of itself.\n{first}{second}")),
        // A ConfigMap that is not there yet, and one that holds something else.
        directory.path("missing.pem"),
        directory.write("other.pem", "s3cr3t"),
    ];
    let (found, rest) = served(&directory, &system, &files);
    let all = plain(&[&*system, &first, &second].concat());
    assert_eq!(found, all.repeat(4));
    assert_eq!(rest, "/the/policys|0");
}

#[test]
fn a_server_is_left_alone_where_nothing_is_added() {
    let directory = Directory::new();
    let system = certificate();
    let (found, _) = served(&directory, &system, &[]);
    assert_eq!(found, plain(&system));
}

#[test]
fn a_server_of_an_image_without_certificates_runs_without_when_nothing_is_added() {
    let directory = Directory::new();
    let missing = [directory.path("missing.pem")];
    let (found, _) = served(&directory, "", &missing);
    assert_eq!(found, "");
}
