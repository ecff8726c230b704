//! What no policy may take, because a promise of ours stands on it: the one table of variables, paths, names and ports.
//!
//! There is no more to refuse. Whoever writes a policy may run pods in its namespace (the chart has the API server ask), and
//! Kubernetes gives such a person everything else there, its Secrets too: a variable or a mount that a policy adds to an
//! agent, or to a sidecar whose image the operator allows, is one that its author could add to a pod.

use crate::git::config;
use crate::{clients, names, path};

/// Variables that no policy sets.
struct Variables {
    are_reserved: fn(&str) -> bool,
    because: &'static str,
    /// Whether credential sidecars, whose other variables are their server's, may not have them either.
    in_sidecars: bool,
}

const VARIABLES: [Variables; 3] = [
    Variables {
        are_reserved: configure_us,
        because: "it configures the injector's own programs",
        in_sidecars: true,
    },
    Variables {
        are_reserved: clients::is_owned,
        because: "it routes or authenticates model calls; use the policy's own fields (vertex, identity, conflicts)",
        in_sidecars: false,
    },
    Variables {
        are_reserved: config::is_owned,
        because: "it sends git to the sidecars; use their field git, or a configuration file of git's",
        in_sidecars: false,
    },
];

/// Directories at and below which nothing is mounted. `/run` stands for `/var/run`, too.
const DIRECTORIES: [&str; 10] = [
    // Whether a container has an API token is the pod's to say, and ours have none.
    names::API_TOKEN_PATH,
    // Our program and what it reads.
    "/run/vertex-injector",
    "/etc/vertex-injector",
    // An OpenShell pod is left as it is.
    "/etc/openshell",
    "/etc/openshell-tls",
    "/opt/openshell",
    "/run/netns",
    "/run/openshell",
    "/run/openshell-sidecar",
    "/run/secrets/openshell",
];

/// Names of sidecars whose containers would be called like ones of ours.
const CONTAINERS: [&str; 2] = [names::BROKER_CONTAINER, names::COPY_CONTAINER];

/// Ports that agent systems use on loopback in every pod of theirs; a server of ours there would take a client's place.
pub const PORTS: [(u16, &str); 8] = [
    (8001, "the Ambient runner"),
    (8090, "Ambient's own MCP server"),
    (8091, "Ambient's GitHub sidecar"),
    (8092, "Ambient's Jira sidecar"),
    (8093, "Ambient's Kubernetes sidecar"),
    (8094, "Ambient's Google sidecar"),
    (8174, "OpenShell's metadata server"),
    (8787, "Kartograph's runtime"),
];

/// Last words of names under which a literal value is taken for a secret, in any case: no policy and no pod shows one.
const SECRETS: [&str; 13] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "APIKEY",
    "API_KEY",
    "ACCESS_KEY",
    "SECRET_KEY",
    "PRIVATE_KEY",
    "AUTH_KEY",
    "CREDENTIAL",
    "CREDENTIALS",
];

/// Why no policy may set this variable in an agent; `None` when it may.
pub fn variable(name: &str) -> Option<&'static str> {
    because(name, |_| true)
}

/// Why no policy may set this variable in a credential sidecar, by hand or from the credential; `None` when it may.
pub fn variable_of_sidecar(name: &str) -> Option<&'static str> {
    because(name, |variables| variables.in_sidecars)
}

/// Whether a variable of this name holds a secret by all appearance: it ends in a word such as `TOKEN` or `API_KEY`.
pub fn is_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    SECRETS.iter().any(|word| {
        upper
            .strip_suffix(word)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
    })
}

/// The reserved directory that a plain absolute path is or lies below.
pub fn directory(path: &str) -> Option<&'static str> {
    DIRECTORIES.into_iter().find(|directory| is_within(path, directory))
}

/// Whether a plain absolute path is, or lies below, the directory where credentials are mounted by default.
pub fn is_for_credentials(path: &str) -> bool {
    is_within(path, names::CREDENTIAL_DIRECTORY)
}

/// The same path with `/run` for `/var/run`, which is a link to it in nearly every image.
pub fn real(path: &str) -> String {
    match path.strip_prefix("/var/run") {
        Some(rest) if path::is_within(path, "/var/run") => format!("/run{rest}"),
        _ => path.to_owned(),
    }
}

/// Whether a container of this name is one of ours that no sidecar may replace.
pub fn is_our_container(name: &str) -> bool {
    CONTAINERS.contains(&name)
}

/// Whether a volume of this name is one of ours.
pub fn is_our_volume(name: &str) -> bool {
    name.starts_with(names::NAME_PREFIX)
}

/// Who uses this port on loopback in the pods of an agent system.
pub fn user_of_port(port: u16) -> Option<&'static str> {
    PORTS.iter().find(|(taken, _)| *taken == port).map(|(_, user)| *user)
}

fn because(name: &str, which: impl Fn(&Variables) -> bool) -> Option<&'static str> {
    let mut found = VARIABLES.iter().filter(|variables| which(variables));
    found
        .find(|variables| (variables.are_reserved)(name))
        .map(|variables| variables.because)
}

fn configure_us(name: &str) -> bool {
    name.starts_with("VERTEX_INJECTOR_")
}

/// Whether `path` is `directory` or below it.
fn is_within(path: &str, directory: &str) -> bool {
    path::is_within(&real(path), &real(directory))
}
