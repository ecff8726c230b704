//! What would do nothing, or cannot be, is an error that says what would be valid.

use super::read;
use vertex_injector_core::contract::choice::Choice;
use vertex_injector_core::contract::exec::{Exec, OnRefresh};

/// Reads flags `--NAME=VALUE` beside a source.
fn exec(flags: &[&str]) -> Result<Exec, String> {
    let flags = ["--source=file:/credential"].iter().chain(flags);
    let parts = flags.map(|flag| flag.split_once('=').expect("a flag with a value"));
    let arguments: Vec<String> = parts
        .flat_map(|(name, value)| [name.to_owned(), value.to_owned()])
        .collect();
    read(&[], &arguments, Exec::read).map_err(|wrong| wrong.to_string())
}

const PORT: &str = "--git-port=1";
const HOST: &str = "--git-host=github.com";
const ALLOW: &str = "--git-allow=github.com/acme/*:fetch";

#[test]
fn a_source_is_all_that_a_wrapper_needs() {
    let exec = exec(&[]).unwrap();
    assert!(exec.git.is_none() && exec.control.is_none());
    assert_eq!((exec.on_refresh, exec.grace_period.seconds()), (OnRefresh::Restart, 10));
}

#[test]
fn a_git_proxy_has_a_port_hosts_and_rules() {
    let git = exec(&[PORT, HOST, ALLOW]).unwrap().git.expect("a proxy");
    assert_eq!((git.port, git.hosts.len(), git.rules.len()), (1, 1, 1));
    assert_eq!(git.login.password, Choice::PASSWORD);
    assert_eq!(Choice::PASSWORD.to_string(), "token|password|apiToken");
}

#[test]
fn what_would_do_nothing_is_an_error() {
    for (flags, words) in [
        (&[PORT][..], "--git-host"),
        (&[PORT, HOST], "--git-allow"),
        (&[HOST, ALLOW], "--git-port"),
        (&["--git-password=token"], "--git-port"),
        (&["--git-username=me"], "--git-port"),
        (&[PORT, HOST, ALLOW, "--git-username=a:b"], "no colon"),
        (
            &[PORT, HOST, ALLOW, "--git-username=a", "--git-username-field=b"],
            "cannot be used with",
        ),
        (
            &[PORT, HOST, ALLOW, "--git-host=gitlab.com"],
            "--git-host gitlab.com has no --git-allow",
        ),
        (
            &[PORT, HOST, ALLOW, "--git-allow=gitlab.com/acme/*:push"],
            "--git-allow gitlab.com/acme/*:push is for a host that no --git-host names",
        ),
        (&[PORT, "--git-host=https://github.com", ALLOW], "not HOST or HOST:PORT"),
        (&[PORT, HOST, "--git-allow=github.com/acme/app"], "not GLOB:SERVICES"),
        (
            &["--git-credentials=github.com"],
            "--git-credentials needs --control-port",
        ),
        (&["--token-file=/token"], "--token-file is for an https source"),
        (&["--grace-period=0"], "0 is not in 1..=3600"),
        (&["--on-refresh=signal:KILL"], "not one of restart, signal:HUP"),
        (&["--control-port=70000"], "70000"),
        (&["--env=A=x", "--env=A=y"], "--env A: given twice"),
        (&["--file=/f=x", "--file=/f=y"], "--file /f: given twice"),
    ] {
        let error = exec(flags).map(|_| ()).expect_err(&flags.join(" "));
        assert!(error.contains(words), "{flags:?}: {error}");
    }
}
