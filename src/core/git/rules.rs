//! Which repositories the agent may use, and for what.

use super::target::{Service, Target, ends_in_git, is_plain};
use crate::git::config::GitHost;
use crate::glob::Glob;
use std::fmt;
use std::str::FromStr;

/// What a rule allows. Neither service implies the other: a push reads the names of branches, and no content.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Services {
    /// Clone and fetch.
    pub fetch: bool,
    /// Push.
    pub push: bool,
}

/// `GLOB:fetch`, `GLOB:push` or `GLOB:fetch,push`: repositories, and what may be done with them.
///
/// The glob stands for `HOST/OWNER/REPO`; `*` is any text within one part, and `**` alone is one part or more, as in the nested
/// groups of GitLab. Names are compared exactly, case included, although hosts compare more loosely: what is not spelled as
/// listed is not listed. `.git` at the end means nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    host: GitHost,
    parts: Vec<Part>,
    services: Services,
}

/// A part of a path, or several.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// One that is of this form.
    One(Glob),
    /// Any number, but at least one.
    Several,
}

impl Rule {
    /// The host that it is about.
    pub fn host(&self) -> &GitHost {
        &self.host
    }

    /// Whether this is allowed by it.
    pub fn allows(&self, target: &Target) -> bool {
        let names: Vec<&str> = target.repository.split('/').collect();
        self.services.include(target.service) && target.host == self.host.to_string() && self.matches(&names)
    }

    fn matches(&self, names: &[&str]) -> bool {
        let several = self.parts.iter().position(|part| matches!(part, Part::Several));
        let Some((before, after)) = several.and_then(|at| Some((self.parts.get(..at)?, self.parts.get(at + 1..)?)))
        else {
            return self.parts.len() == names.len() && all_match(&self.parts, names);
        };
        names.len() >= self.parts.len()
            && all_match(before, names)
            && names
                .get(names.len() - after.len()..)
                .is_some_and(|last| all_match(after, last))
    }
}

/// Whether the first names are of the form of these parts.
fn all_match(parts: &[Part], names: &[&str]) -> bool {
    parts.iter().zip(names).all(|(part, name)| match part {
        Part::One(glob) => glob.matches(name),
        Part::Several => true,
    })
}

impl FromStr for Rule {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (glob, services) = text
            .rsplit_once(':')
            .ok_or("not GLOB:SERVICES, such as github.com/acme/*:fetch,push")?;
        let services = services_of(services)?;
        let glob = glob.strip_suffix(".git").unwrap_or(glob);
        let (host, repository) = glob
            .split_once('/')
            .filter(|(_, rest)| rest.contains('/') || *rest == "**")
            .ok_or("the glob is not HOST/OWNER/REPO, such as github.com/acme/*")?;
        let host: GitHost = host
            .parse()
            .map_err(|_| "the glob does not begin with a host, HOST or HOST:PORT without *")?;
        let parts: Vec<Part> = repository.split('/').map(part_of).collect::<Result<_, _>>()?;
        if parts.iter().filter(|part| matches!(part, Part::Several)).count() > 1 {
            return Err("** can occur once only");
        }
        Ok(Self { host, parts, services })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.host)?;
        for part in &self.parts {
            match part {
                Part::One(glob) => write!(f, "/{glob}")?,
                Part::Several => f.write_str("/**")?,
            }
        }
        write!(f, ":{}", self.services)
    }
}

impl Services {
    /// Whether a service is one of these.
    pub fn include(self, service: Service) -> bool {
        match service {
            Service::Fetch => self.fetch,
            Service::Push => self.push,
        }
    }
}

impl fmt::Display for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.fetch, self.push) {
            (true, true) => "fetch,push",
            (true, false) => "fetch",
            (false, true) => "push",
            (false, false) => "nothing",
        })
    }
}

fn services_of(text: &str) -> Result<Services, &'static str> {
    let mut services = Services::default();
    for name in text.split(',') {
        let service = match name {
            "fetch" => &mut services.fetch,
            "push" => &mut services.push,
            _ => return Err("what is allowed is fetch, push or fetch,push, behind the last colon"),
        };
        if std::mem::replace(service, true) {
            return Err("a service is named twice");
        }
    }
    Ok(services)
}

fn part_of(text: &str) -> Result<Part, &'static str> {
    if text == "**" {
        return Ok(Part::Several);
    }
    if text.contains("**") {
        return Err("** stands for whole parts of a path only, as in gitlab.com/group/**");
    }
    if text.bytes().all(|b| b == b'.') || ends_in_git(text) || !text.bytes().all(|b| is_plain(b) || b == b'*') {
        return Err("a part of the glob is empty or is no name: letters, digits, '.', '_', '-' and *");
    }
    text.parse().map(Part::One)
}

#[cfg(test)]
mod tests {
    use super::Rule;
    use crate::git::target::Target;
    use http::Method;

    fn rule(text: &str) -> Rule {
        text.parse().expect(text)
    }

    fn fetch(repository: &str) -> Target {
        let uri = format!("/{repository}/info/refs?service=git-upload-pack");
        Target::parse(&Method::GET, &uri.parse().unwrap()).unwrap()
    }

    fn push(repository: &str) -> Target {
        let uri = format!("/{repository}/git-receive-pack");
        Target::parse(&Method::POST, &uri.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_repository_is_the_same_with_and_without_git_at_its_end() {
        for rule_text in ["github.com/acme/app:fetch", "github.com/acme/app.git:fetch"] {
            for repository in ["github.com/acme/app", "github.com/acme/app.git"] {
                assert!(rule(rule_text).allows(&fetch(repository)), "{rule_text} {repository}");
            }
        }
    }

    #[test]
    fn a_star_stays_within_its_part() {
        let star = rule("gitlab.com/acme/*:fetch");
        assert!(star.allows(&fetch("gitlab.com/acme/app")));
        for other in [
            "gitlab.com/acme/sub/app",
            "gitlab.com/acmes/app",
            "gitlab.com.evil/acme/app",
        ] {
            assert!(!star.allows(&fetch(other)), "{other}");
        }
        let part = rule("gitlab.com/acme/app-*:fetch");
        assert!(part.allows(&fetch("gitlab.com/acme/app-1")));
        assert!(part.allows(&fetch("gitlab.com/acme/app-")));
        assert!(!part.allows(&fetch("gitlab.com/acme/app")));
        assert!(!part.allows(&fetch("gitlab.com/acme/x-app-1")));
    }

    #[test]
    fn two_stars_are_the_nested_groups_below() {
        let below = rule("gitlab.com/acme/**:fetch");
        assert!(below.allows(&fetch("gitlab.com/acme/app")));
        assert!(below.allows(&fetch("gitlab.com/acme/sub/sub/app")));
        assert!(!below.allows(&fetch("gitlab.com/acmes/app")));
        assert!(rule("gitlab.com/**:fetch").allows(&fetch("gitlab.com/acme/app")));
        let between = rule("gitlab.com/acme/**/docs:fetch");
        assert!(between.allows(&fetch("gitlab.com/acme/a/b/docs")));
        assert!(!between.allows(&fetch("gitlab.com/acme/docs")));
    }

    #[test]
    fn a_dot_is_a_dot() {
        let dotted = rule("github.com/acme/a.b:fetch");
        assert!(dotted.allows(&fetch("github.com/acme/a.b")));
        assert!(!dotted.allows(&fetch("github.com/acme/axb")));
        assert!(!dotted.allows(&fetch("githubxcom/acme/a.b")));
    }

    #[test]
    fn case_counts_even_where_the_host_does_not_care() {
        let exact = rule("github.com/acme/app:push");
        for other in ["github.com/Acme/app", "github.com/acme/APP", "GitHub.com/acme/app"] {
            assert!(!exact.allows(&push(other)), "{other}");
        }
    }

    #[test]
    fn neither_service_implies_the_other() {
        let repository = "github.com/acme/app";
        for (text, fetches, pushes) in [
            ("fetch", true, false),
            ("push", false, true),
            ("push,fetch", true, true),
        ] {
            let rule = rule(&format!("{repository}:{text}"));
            assert_eq!(rule.allows(&fetch(repository)), fetches, "{text}");
            assert_eq!(rule.allows(&push(repository)), pushes, "{text}");
        }
    }

    #[test]
    fn a_port_belongs_to_the_host() {
        let ported = rule("localhost:8443/acme/app:fetch");
        assert!(ported.allows(&fetch("localhost:8443/acme/app")));
        assert!(!ported.allows(&fetch("localhost/acme/app")));
        assert_eq!(ported.host().to_string(), "localhost:8443");
    }

    #[test]
    fn a_rule_is_shown_as_it_is_understood() {
        for (text, shown) in [
            (
                "GitHub.com:443/acme/app.git:push,fetch",
                "github.com/acme/app:fetch,push",
            ),
            ("gitlab.com/**/docs-*:push", "gitlab.com/**/docs-*:push"),
        ] {
            assert_eq!(rule(text).to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_rule_says_what_would_be() {
        for (text, words) in [
            ("github.com/acme/app", "not GLOB:SERVICES"),
            ("github.com/acme/app:", "fetch, push or fetch,push"),
            ("github.com/acme/app:clone", "fetch, push or fetch,push"),
            ("github.com/acme/app:fetch, push", "fetch, push or fetch,push"),
            ("github.com/acme/app:fetch,fetch", "named twice"),
            ("github.com/acme:fetch", "HOST/OWNER/REPO"),
            ("*:fetch", "HOST/OWNER/REPO"),
            ("*/acme/app:fetch", "begin with a host"),
            ("gitlab.com/**/a/**:fetch", "once only"),
            ("https://github.com/acme/app:fetch", "begin with a host"),
            ("github.com//app:fetch", "empty or is no name"),
            ("github.com/acme/:fetch", "empty or is no name"),
            ("github.com/../app:fetch", "empty or is no name"),
            ("github.com/acme.git/app:fetch", "empty or is no name"),
            ("github.com/acme/a?b:fetch", "empty or is no name"),
            ("github.com/acme/[ab]:fetch", "empty or is no name"),
            ("github.com/acme/a**:fetch", "whole parts"),
        ] {
            let error = text.parse::<Rule>().expect_err(text);
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
