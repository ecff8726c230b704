//! What `exec` is told of git: a proxy that adds the credential, and helpers that may have it.

use super::choice::Choice;
use super::setting::{Given, Setting, Written, Wrong};
use crate::git::config::GitHost;
use crate::git::rules::Rule;
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// [`GitProxy::port`].
pub const GIT_PORT: Setting = Setting::flag("git-port");
/// [`GitProxy::hosts`].
pub const GIT_HOST: Setting = Setting::flag("git-host");
/// [`GitProxy::rules`].
pub const GIT_ALLOW: Setting = Setting::flag("git-allow");
/// [`Username::Named`].
pub const GIT_USERNAME: Setting = Setting::flag("git-username");
/// [`Username::Field`].
pub const GIT_USERNAME_FIELD: Setting = Setting::flag("git-username-field");
/// [`GitProxy::password`].
pub const GIT_PASSWORD: Setting = Setting::flag("git-password");
/// [`GitCredentials::hosts`].
pub const GIT_CREDENTIALS: Setting = Setting::flag("git-credentials");
/// [`GitCredentials::user`].
pub const GIT_CREDENTIALS_USER: Setting = Setting::flag("git-credentials-user");
/// [`GitCredentials::field`].
pub const GIT_CREDENTIALS_FIELD: Setting = Setting::flag("git-credentials-field");

/// A proxy that adds the credential to git's fetches and pushes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitProxy {
    /// Its port on 127.0.0.1; 0 lets the system choose.
    pub port: u16,
    /// The hosts that get the credential. Each has a rule.
    pub hosts: Vec<GitHost>,
    /// What is allowed. Each is about one of the hosts.
    pub rules: Vec<Rule>,
    /// How to log in there.
    pub login: Login,
}

/// Where user name and password come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user name.
    pub username: Username,
    /// The field of the password; of several, the first that exists.
    pub password: Choice,
}

/// Where the user name comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Username {
    /// What the host's kind expects beside a token.
    OfHost,
    /// This one.
    Named(UserName),
    /// A field of the credential.
    Field(Choice),
}

/// A user name as Basic authentication can carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserName(Cow<'static, str>);

/// For whom `GET /git-credentials` exists. The agent can read the credential then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitCredentials {
    /// The hosts, exactly.
    pub hosts: Vec<GitHost>,
    /// The user name that goes with the token.
    pub user: UserName,
    /// Which field is the token.
    pub field: Choice,
}

impl GitProxy {
    /// A proxy with what is usual for the login.
    pub fn new(port: u16, hosts: Vec<GitHost>, rules: Vec<Rule>) -> Self {
        Self {
            port,
            hosts,
            rules,
            login: Login {
                username: Username::OfHost,
                password: Choice::PASSWORD,
            },
        }
    }

    /// Everything that it is told, by setting.
    pub(super) fn settings(&self) -> Written {
        let Self {
            port,
            hosts,
            rules,
            login: Login { username, password },
        } = self;
        let mut written = vec![(GIT_PORT, port.to_string())];
        written.extend(hosts.iter().map(|host| (GIT_HOST, host.to_string())));
        written.extend(rules.iter().map(|rule| (GIT_ALLOW, rule.to_string())));
        match username {
            Username::OfHost => {}
            Username::Named(name) => written.push((GIT_USERNAME, name.to_string())),
            Username::Field(field) => written.push((GIT_USERNAME_FIELD, field.to_string())),
        }
        if *password != Choice::PASSWORD {
            written.push((GIT_PASSWORD, password.to_string()));
        }
        written
    }

    /// Reads what was written.
    ///
    /// # Errors
    /// When something would do nothing: a host without a rule, a rule without its host, or either without a port.
    pub(super) fn read(given: &Given<'_>) -> Result<Option<Self>, Wrong> {
        let others = [GIT_HOST, GIT_ALLOW, GIT_USERNAME, GIT_USERNAME_FIELD, GIT_PASSWORD];
        let Some(port) = given.port(GIT_PORT)? else {
            return match others.into_iter().find(|setting| given.has(*setting)) {
                Some(setting) => Err(Wrong(format!("{setting} needs {GIT_PORT}, the port of a proxy"))),
                None => Ok(None),
            };
        };
        if let Some(missing) = [GIT_HOST, GIT_ALLOW].into_iter().find(|setting| !given.has(*setting)) {
            return Err(Wrong(format!(
                "{GIT_PORT} needs {missing}; without it nothing could be done there"
            )));
        }
        let (hosts, rules): (Vec<GitHost>, Vec<Rule>) = (given.each(GIT_HOST)?, given.each(GIT_ALLOW)?);
        if let Some(rule) = rules.iter().find(|rule| !hosts.contains(rule.host())) {
            return Err(Wrong(format!(
                "{GIT_ALLOW} {rule} is for a host that no {GIT_HOST} names; add {GIT_HOST} {}",
                rule.host()
            )));
        }
        if let Some(host) = hosts.iter().find(|host| !rules.iter().any(|rule| rule.host() == *host)) {
            return Err(Wrong(format!(
                "{GIT_HOST} {host} has no {GIT_ALLOW}, so nothing could be done there; add {GIT_ALLOW} {host}/OWNER/REPO:fetch"
            )));
        }
        let username = match (given.one(GIT_USERNAME)?, given.one(GIT_USERNAME_FIELD)?) {
            (None, None) => Username::OfHost,
            (Some(name), None) => Username::Named(name),
            (None, Some(field)) => Username::Field(field),
            (Some(_), Some(_)) => {
                return Err(Wrong(format!(
                    "{GIT_USERNAME} cannot be used with {GIT_USERNAME_FIELD}"
                )));
            }
        };
        Ok(Some(Self {
            login: Login {
                username,
                password: given.one(GIT_PASSWORD)?.unwrap_or(Choice::PASSWORD),
            },
            ..Self::new(port, hosts, rules)
        }))
    }
}

impl GitCredentials {
    /// For helpers that want a token.
    pub fn new(hosts: Vec<GitHost>) -> Self {
        Self {
            hosts,
            user: UserName::TOKEN,
            field: Choice::TOKEN,
        }
    }

    /// Everything that it is told, by setting.
    pub(super) fn settings(&self) -> Written {
        let hosts = self.hosts.iter().map(|host| (GIT_CREDENTIALS, host.to_string()));
        let user = (self.user != UserName::TOKEN).then(|| (GIT_CREDENTIALS_USER, self.user.to_string()));
        let field = (self.field != Choice::TOKEN).then(|| (GIT_CREDENTIALS_FIELD, self.field.to_string()));
        hosts.chain(user).chain(field).collect()
    }

    /// Reads what was written.
    ///
    /// # Errors
    /// When it cannot be understood.
    pub(super) fn read(given: &Given<'_>) -> Result<Option<Self>, Wrong> {
        let hosts: Vec<GitHost> = given.list(GIT_CREDENTIALS)?;
        let user = given.one(GIT_CREDENTIALS_USER)?.unwrap_or(UserName::TOKEN);
        let field = given.one(GIT_CREDENTIALS_FIELD)?.unwrap_or(Choice::TOKEN);
        Ok((!hosts.is_empty()).then_some(Self { hosts, user, field }))
    }
}

impl UserName {
    /// What most hosts expect beside a token.
    pub const TOKEN: Self = Self(Cow::Borrowed("x-access-token"));

    /// What GitLab expects beside a token.
    pub const GITLAB: Self = Self(Cow::Borrowed("oauth2"));

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.chars().any(|c| c == ':' || c.is_control()) {
            return Err("a user name is not empty and has no colon and no control character");
        }
        Ok(Self(text.to_owned().into()))
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
