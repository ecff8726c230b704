//! What makes git call the proxy of a sidecar instead of a host: configuration in variables, as git reads it.
//!
//! `GIT_CONFIG_COUNT` says how many pairs `GIT_CONFIG_KEY_n` and `GIT_CONFIG_VALUE_n` there are (git 2.31 and later). The pair
//! `url.BASE.insteadOf` = `PREFIX` lets git read every URL that begins with PREFIX as one that begins with BASE; of several
//! prefixes the longest counts, and of equal ones the first. Source: git-config(1), git's `remote.c`.

use crate::host::{Host, HostPort};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The variable that counts the pairs.
pub const COUNT: &str = "GIT_CONFIG_COUNT";

/// Prefix of the variables of keys, before the pair's number.
pub const KEY: &str = "GIT_CONFIG_KEY_";

/// Prefix of the variables of values, before the pair's number.
pub const VALUE: &str = "GIT_CONFIG_VALUE_";

/// Whether a variable of this name is one of the configuration.
pub fn is_owned(name: &str) -> bool {
    name == COUNT || name.starts_with(KEY) || name.starts_with(VALUE)
}

/// Most pairs that a pod may have; git has no use for so many, and nobody should have to count them.
pub const MAX_PAIRS: usize = 1000;

/// A host that serves git over HTTPS: `HOST` or `HOST:PORT`, a DNS name or an IPv4 address in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GitHost(HostPort);

impl GitHost {
    /// The host without port.
    pub fn host(&self) -> &Host {
        &self.0.host
    }

    /// The URL prefixes by which people name the host's repositories: HTTPS, and what needs a key that the agent has not.
    fn prefixes(&self) -> Vec<String> {
        let mut prefixes = vec![format!("https://{self}/")];
        // The port is that of HTTPS: what listens on SSH's may be another server.
        if self.0.port.is_none() {
            prefixes.push(format!("git@{self}:"));
            prefixes.push(format!("ssh://git@{self}/"));
        }
        prefixes
    }
}

impl FromStr for GitHost {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse() {
            // No path of the proxy can name an address of version 6.
            Err(_)
            | Ok(HostPort {
                host: Host::Address(IpAddr::V6(_)),
                ..
            }) => Err(
                "not HOST or HOST:PORT: a DNS name or an IPv4 address such as github.com, without https:// and path",
            ),
            Ok(HostPort { host, port }) => Ok(Self(HostPort {
                host,
                port: port.filter(|port| *port != 443),
            })),
        }
    }
}

impl fmt::Display for GitHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why git's configuration in an environment cannot be extended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The count is no number.
    #[error("{COUNT} is not a number from 0 to {MAX_PAIRS}, so git refuses to run with it; correct or remove it")]
    Count,
    /// There would be too many pairs.
    #[error("{COUNT} would exceed {MAX_PAIRS}; remove some of the pairs")]
    TooMany,
    /// A counted pair is not whole.
    #[error(
        "{COUNT} counts a variable {0} that is not there, so git refuses to run with it; add it or lower the count"
    )]
    Missing(String),
    /// A variable of a number that is not counted yet has another value.
    #[error("{0} is set but not counted in {COUNT}; count it or remove it, because it would be overwritten")]
    Uncounted(String),
    /// The pod has a rule for the same URLs.
    #[error(
        "{0} already says what git takes {1} for, and the first such rule counts; remove it, or leave this host to it"
    )]
    Taken(String, String),
}

/// The variables that send git's traffic with `hosts` to the proxy on 127.0.0.1:`port`, in addition to what the environment has.
///
/// `existing` tells the present value of a variable. The result names only variables to set: new pairs behind those that are
/// there, and the new count. Pairs that are there already, even for another port, are used again, so that injecting twice is
/// injecting once.
///
/// # Errors
/// When the configuration in the environment is not whole, or would be contradicted.
pub fn git_config_env<'e>(
    existing: impl Fn(&str) -> Option<&'e str>,
    port: u16,
    hosts: &[GitHost],
) -> Result<Vec<(String, String)>, Unusable> {
    let present = pairs(&existing)?;
    let mut variables = Vec::new();
    let mut count = present.len();
    for host in hosts {
        let key = format!("url.http://127.0.0.1:{port}/{host}/.insteadOf");
        for prefix in host.prefixes() {
            match present
                .iter()
                .position(|(key, value)| *value == prefix && rewrites(key))
            {
                Some(at) if present.get(at).is_some_and(|(present, _)| *present == key) => {}
                Some(at) if present.get(at).is_some_and(|(present, _)| is_ours(present, host)) => {
                    variables.push((format!("{KEY}{at}"), key.clone()));
                }
                Some(at) => return Err(Unusable::Taken(format!("{KEY}{at}"), prefix)),
                None => {
                    for (name, value) in [(format!("{KEY}{count}"), &key), (format!("{VALUE}{count}"), &prefix)] {
                        if existing(&name).is_some_and(|there| there != value) {
                            return Err(Unusable::Uncounted(name));
                        }
                        variables.push((name, value.clone()));
                    }
                    count += 1;
                }
            }
        }
    }
    if count > MAX_PAIRS {
        return Err(Unusable::TooMany);
    }
    if count > present.len() {
        variables.push((COUNT.to_owned(), count.to_string()));
    }
    Ok(variables)
}

/// The pairs that the environment has.
fn pairs<'e>(existing: &impl Fn(&str) -> Option<&'e str>) -> Result<Vec<(&'e str, &'e str)>, Unusable> {
    let count = match existing(COUNT) {
        // Git reads an empty count as none.
        None | Some("") => 0,
        Some(text) if text.bytes().all(|b| b.is_ascii_digit()) => text.parse().map_err(|_| Unusable::Count)?,
        Some(_) => return Err(Unusable::Count),
    };
    if count > MAX_PAIRS {
        return Err(Unusable::Count);
    }
    let variable = |name: String| existing(&name).ok_or(Unusable::Missing(name));
    (0..count)
        .map(|n| Ok((variable(format!("{KEY}{n}"))?, variable(format!("{VALUE}{n}"))?)))
        .collect()
}

/// Whether a key is one of `url.BASE.insteadOf`. Git compares the first and the last part without regard to case.
fn rewrites(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    lower.starts_with("url.") && lower.ends_with(".insteadof")
}

/// Whether a key is what we write for a host, for whichever port.
fn is_ours(key: &str, host: &GitHost) -> bool {
    key.strip_prefix("url.http://127.0.0.1:")
        .and_then(|rest| rest.strip_suffix(&format!("/{host}/.insteadOf")))
        .is_some_and(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::{COUNT, GitHost, KEY, Unusable, VALUE, git_config_env};
    use std::collections::BTreeMap;

    type Env = BTreeMap<String, String>;

    fn env(variables: &[(&str, &str)]) -> Env {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        variables.iter().map(owned).collect()
    }

    fn host(text: &str) -> GitHost {
        text.parse().unwrap()
    }

    /// The environment after an injection.
    fn injected(mut env: Env, port: u16, hosts: &[&str]) -> Result<Env, Unusable> {
        let hosts: Vec<GitHost> = hosts.iter().map(|text| host(text)).collect();
        let added = git_config_env(|name| env.get(name).map(String::as_str), port, &hosts)?;
        env.extend(added);
        Ok(env)
    }

    #[test]
    fn a_pod_without_any_gets_a_pair_for_each_spelling() {
        let after = injected(Env::new(), 8472, &["github.com"]).unwrap();
        let key = "url.http://127.0.0.1:8472/github.com/.insteadOf";
        let expected = [
            (COUNT, "3"),
            ("GIT_CONFIG_KEY_0", key),
            ("GIT_CONFIG_VALUE_0", "https://github.com/"),
            ("GIT_CONFIG_KEY_1", key),
            ("GIT_CONFIG_VALUE_1", "git@github.com:"),
            ("GIT_CONFIG_KEY_2", key),
            ("GIT_CONFIG_VALUE_2", "ssh://git@github.com/"),
        ];
        assert_eq!(after, env(&expected));
    }

    #[test]
    fn pairs_of_the_pod_stay_where_they_are() {
        let own = env(&[
            (COUNT, "1"),
            ("GIT_CONFIG_KEY_0", "safe.directory"),
            ("GIT_CONFIG_VALUE_0", "*"),
        ]);
        let after = injected(own.clone(), 8472, &["git.example.com:8443"]).unwrap();
        assert_eq!(after[COUNT], "2");
        assert_eq!(after["GIT_CONFIG_KEY_0"], own["GIT_CONFIG_KEY_0"]);
        assert_eq!(after["GIT_CONFIG_VALUE_0"], "*");
        assert_eq!(
            after["GIT_CONFIG_KEY_1"],
            "url.http://127.0.0.1:8472/git.example.com:8443/.insteadOf"
        );
        assert_eq!(after["GIT_CONFIG_VALUE_1"], "https://git.example.com:8443/");
    }

    #[test]
    fn injecting_twice_is_injecting_once_and_another_port_replaces_the_first() {
        let once = injected(env(&[(COUNT, "")]), 8472, &["github.com", "gitlab.com"]).unwrap();
        assert_eq!(
            injected(once.clone(), 8472, &["github.com", "gitlab.com"]).unwrap(),
            once
        );
        let moved = injected(once, 9000, &["github.com", "gitlab.com"]).unwrap();
        assert_eq!(
            moved,
            injected(Env::new(), 9000, &["github.com", "gitlab.com"]).unwrap()
        );
    }

    #[test]
    fn a_count_that_git_would_refuse_is_an_error() {
        for count in ["-1", "x", "1 ", "+1", "0x1", "1001", "99999999999999999999999"] {
            assert_eq!(
                injected(env(&[(COUNT, count)]), 8472, &["github.com"]),
                Err(Unusable::Count),
                "{count:?}"
            );
        }
    }

    #[test]
    fn a_pair_that_is_not_whole_is_named() {
        let without_value = env(&[(COUNT, "1"), ("GIT_CONFIG_KEY_0", "a.b")]);
        let error = injected(without_value, 8472, &["github.com"]);
        assert_eq!(error, Err(Unusable::Missing(format!("{VALUE}0"))));
        let without_key = env(&[(COUNT, "1"), ("GIT_CONFIG_VALUE_0", "a")]);
        let error = injected(without_key, 8472, &["github.com"]);
        assert_eq!(error, Err(Unusable::Missing(format!("{KEY}0"))));
    }

    #[test]
    fn a_variable_that_is_not_counted_is_not_overwritten() {
        let stray = env(&[("GIT_CONFIG_VALUE_1", "precious")]);
        let error = injected(stray, 8472, &["github.com"]);
        assert_eq!(error, Err(Unusable::Uncounted("GIT_CONFIG_VALUE_1".to_owned())));
    }

    #[test]
    fn a_rule_of_the_pod_for_the_same_urls_is_an_error_because_it_would_win() {
        let own = env(&[
            (COUNT, "1"),
            ("GIT_CONFIG_KEY_0", "URL.https://mirror.example/.insteadof"),
            ("GIT_CONFIG_VALUE_0", "https://github.com/"),
        ]);
        let error = injected(own, 8472, &["github.com"]).unwrap_err();
        assert_eq!(
            error,
            Unusable::Taken("GIT_CONFIG_KEY_0".to_owned(), "https://github.com/".to_owned())
        );
        assert!(error.to_string().contains("GIT_CONFIG_KEY_0"), "{error}");
    }

    #[test]
    fn more_pairs_than_anybody_can_count_are_an_error() {
        let mut many = env(&[(COUNT, "999")]);
        for n in 0..999 {
            many.insert(format!("{KEY}{n}"), "a.b".to_owned());
            many.insert(format!("{VALUE}{n}"), String::new());
        }
        assert_eq!(injected(many, 8472, &["github.com"]), Err(Unusable::TooMany));
    }

    #[test]
    fn hosts_are_names_and_not_urls() {
        for (text, shown) in [
            ("github.com", "github.com"),
            ("GitHub.com:443", "github.com"),
            ("git.example.com:8443", "git.example.com:8443"),
            ("127.0.0.1:1", "127.0.0.1:1"),
        ] {
            assert_eq!(host(text).to_string(), shown);
        }
        for text in [
            "",
            ".",
            "github.com.",
            "https://github.com",
            "github.com/acme",
            "user@github.com",
            "[::1]",
            "::1",
            "github.com:",
            "github.com:0",
            "github.com:065",
            "github.com:65536",
            "github.com:80:80",
            "-x.com",
            "a b",
            "github.com\n",
            "*.github.com",
        ] {
            assert!(text.parse::<GitHost>().is_err(), "{text:?}");
        }
    }
}
