//! What a person can get wrong, and what they read then.

use crate::server::{Files, certificate};
use std::net::TcpListener;

#[tokio::test]
async fn a_key_of_another_certificate_is_told_with_both_files() {
    let files = Files::new();
    files.write("tls.key", &certificate().1.serialize_pem());
    let error = files.refused(&[]).await;
    assert!(
        error.contains("tls.key does not belong to the certificate in"),
        "{error}"
    );
    assert!(error.contains("tls.crt"), "{error}");
}

#[tokio::test]
async fn files_that_are_missing_or_hold_something_else_are_named_and_never_quoted() {
    let files = Files::new();
    files.write("tls.crt", "s3cr3t");
    let error = files.refused(&[]).await;
    assert!(
        error.contains("tls.crt holds no certificate: expected a PEM block `BEGIN CERTIFICATE`"),
        "{error}"
    );
    let files = Files::new();
    files.write(
        "tls.key",
        "-----BEGIN PRIVATE KEY-----\ns3cr3t\n-----END PRIVATE KEY-----\n",
    );
    let error = files.refused(&[]).await;
    assert!(error.contains("tls.key holds no usable private key"), "{error}");
    assert!(!error.contains("s3cr3t"), "{error}");
    std::fs::remove_file(files.path("tls.key")).unwrap();
    let error = files.refused(&[]).await;
    assert!(
        error.contains("--tls-key-file") && error.contains("tls.key: No such file"),
        "{error}"
    );
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = Files::new().refused(&["--admin-listen", &address]).await;
    assert!(
        error.contains(&format!(
            "cannot listen on {address} (--admin-listen): Address already in use"
        )),
        "{error}"
    );
}

#[tokio::test]
async fn a_configuration_error_names_file_and_field() {
    let files = Files::new();
    files.write("config.yaml", "sidecarImages: [a/*]\nendpointHost: [b]\n");
    let path = files.path("config.yaml").into_os_string().into_string().unwrap();
    let error = files.refused(&["--config", &path]).await;
    assert!(
        error.contains("config.yaml") && error.contains("endpointHost"),
        "{error}"
    );
    let error = files.refused(&["--config", "/nowhere/config.yaml"]).await;
    assert!(error.contains("/nowhere/config.yaml"), "{error}");
}

#[tokio::test]
async fn a_policy_directory_that_cannot_be_used_is_told_with_every_error() {
    let files = Files::new();
    files.write("policies/a.yaml", "kind: {");
    files.write("policies/b.json", "{\"kind\": ]");
    let error = files.refused(&[]).await;
    assert!(error.contains("a.yaml") && error.contains("b.json"), "{error}");
    let error = files.refused(&["--policy-dir", "/nowhere"]).await;
    assert!(error.contains("--policy-dir") && error.contains("/nowhere"), "{error}");
}

#[tokio::test]
async fn without_a_cluster_the_error_says_what_to_give() {
    let files = Files::new();
    files.write("kubeconfig", "apiVersion: v1\nkind: Config\nclusters: []\n");
    let path = files.path("kubeconfig").into_os_string().into_string().unwrap();
    let policies = files.path("policies").into_os_string().into_string().unwrap();
    let args = crate::server::args(&[
        "webhook",
        "--listen=127.0.0.1:0",
        "--admin-listen=127.0.0.1:0",
        "--policy-dir",
        &policies,
        "--kubeconfig",
        &path,
    ]);
    let Err(error) = vertex_injector_webhook::Webhook::bind(args).await else {
        panic!("it started")
    };
    let error = format!("{error:#}");
    assert!(error.contains("--kubeconfig") && error.contains(&path), "{error}");
}

#[test]
fn half_of_a_certificate_pair_is_refused_by_the_flags() {
    use clap::Parser;
    #[derive(Parser, Debug)]
    struct Flags {
        #[command(flatten)]
        _args: vertex_injector_webhook::Args,
    }
    let error = Flags::try_parse_from(["webhook", "--tls-cert-file=a"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("--tls-key-file"), "{error}");
    let error = Flags::try_parse_from(["webhook", "--listen=localhost"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("--listen") && error.contains("localhost"), "{error}");
    let error = Flags::try_parse_from(["webhook", "--tls-san=a b"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("neither a DNS name nor an IP address"), "{error}");
}
