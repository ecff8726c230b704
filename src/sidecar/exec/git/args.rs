//! The flags of the git proxy, and what they mean together.

use super::login::{Login, NoLogin, Username, is_username};
use crate::exec::fields::{Choice, Fields};
use anyhow::bail;
use vertex_injector_core::git::config::GitHost;
use vertex_injector_core::git::rules::Rule;

/// Flags of the git proxy.
#[derive(clap::Args, Debug, Clone)]
#[group(skip)]
pub struct Args {
    /// Port on 127.0.0.1 of a proxy that adds the credential to git's fetches and pushes; 0 lets the system choose. Git uses it
    /// with url.http://127.0.0.1:PORT/HOST/.insteadOf = https://HOST/ [default: no proxy]
    #[arg(long, value_name = "N", requires_all = ["git_host", "git_allow"])]
    pub git_port: Option<u16>,

    /// A host that the credential is for, over HTTPS; may be repeated
    #[arg(long, value_name = "HOST[:PORT]", requires = "git_port")]
    pub git_host: Vec<GitHost>,

    /// Repositories and what may be done with them: HOST/OWNER/REPO:fetch, :push or :fetch,push; may be repeated. Within a name *
    /// stands for any text, and ** as a part for one part or more, as in gitlab.com/group/**:fetch. Neither fetch nor push
    /// implies the other; upper and lower case differ
    #[arg(long, value_name = "GLOB:SERVICES", requires = "git_port")]
    pub git_allow: Vec<Rule>,

    /// The user name beside the credential [default: oauth2 for hosts called gitlab.*, else x-access-token]
    #[arg(long, value_name = "NAME", requires = "git_port", value_parser = username)]
    pub git_username: Option<String>,

    /// The field of the credential that holds the user name
    #[arg(long, value_name = "FIELD", requires = "git_port", conflicts_with = "git_username")]
    pub git_username_field: Option<Choice>,

    /// The field of the credential that holds the password; of several, the first that exists
    #[arg(
        long,
        value_name = "FIELD",
        requires = "git_port",
        default_value = "token|password|apiToken"
    )]
    pub git_password: Choice,
}

/// A git proxy, as configured.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// The hosts that get the credential.
    pub hosts: Vec<GitHost>,
    /// What is allowed.
    pub rules: Vec<Rule>,
    /// How to log in.
    pub login: Login,
}

impl Settings {
    /// Whether every host can be logged in to with a credential.
    ///
    /// # Errors
    /// When it cannot.
    pub fn check(&self, fields: &Fields) -> Result<(), NoLogin> {
        let mut hosts = self.hosts.iter();
        hosts.try_for_each(|host| self.login.authorization(host, fields).map(drop))
    }

    /// The rules, for the log.
    pub fn rules_text(&self) -> String {
        let rules: Vec<String> = self.rules.iter().map(Rule::to_string).collect();
        rules.join(" ")
    }
}

impl Args {
    /// The proxy that the flags describe, if any.
    ///
    /// # Errors
    /// When a host has no rule or a rule has no host: one of both is a mistake.
    pub fn settings(&self) -> anyhow::Result<Option<Settings>> {
        let Some(port) = self.git_port else { return Ok(None) };
        if let Some(rule) = self.git_allow.iter().find(|rule| !self.git_host.contains(rule.host())) {
            bail!(
                "--git-allow {rule} is for a host that no --git-host names; add --git-host {}",
                rule.host()
            );
        }
        for host in &self.git_host {
            if !self.git_allow.iter().any(|rule| rule.host() == host) {
                bail!(
                    "--git-host {host} has no --git-allow, so nothing could be done there; add --git-allow {host}/OWNER/REPO:fetch"
                );
            }
        }
        let username = match (&self.git_username, &self.git_username_field) {
            (Some(name), _) => Username::Named(name.clone()),
            (None, Some(field)) => Username::Field(field.clone()),
            (None, None) => Username::OfHost,
        };
        Ok(Some(Settings {
            port,
            hosts: self.git_host.clone(),
            rules: self.git_allow.clone(),
            login: Login {
                username,
                password: self.git_password.clone(),
            },
        }))
    }
}

fn username(text: &str) -> Result<String, &'static str> {
    if is_username(text) {
        Ok(text.to_owned())
    } else {
        Err("a user name is not empty and has no colon and no control character")
    }
}

#[cfg(test)]
mod tests {
    use super::{Args, Settings};
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        git: Args,
    }

    fn settings(flags: &[&str]) -> Result<Option<Settings>, String> {
        let program = Program::try_parse_from([&["program"], flags].concat()).map_err(|error| error.to_string())?;
        program.git.settings().map_err(|error| error.to_string())
    }

    const PORT: &str = "--git-port=1";
    const HOST: &str = "--git-host=github.com";
    const ALLOW: &str = "--git-allow=github.com/acme/*:fetch";

    #[test]
    fn without_flags_there_is_no_proxy() {
        assert!(settings(&[]).unwrap().is_none());
    }

    #[test]
    fn a_proxy_has_a_port_hosts_and_rules() {
        let settings = settings(&[PORT, HOST, ALLOW]).unwrap().expect("a proxy");
        assert_eq!((settings.port, settings.hosts.len(), settings.rules.len()), (1, 1, 1));
        assert_eq!(settings.login.password.to_string(), "token|password|apiToken");
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
        ] {
            let error = settings(flags).map(|_| ()).expect_err(&flags.join(" "));
            assert!(error.contains(words), "{flags:?}: {error}");
        }
    }
}
