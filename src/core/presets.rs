//! The servers that policies can name by a preset: the one table of their ports, keys, commands, variables and files.
//!
//! Sources: the keys are those of the runners' registries (Ambient's `CREDENTIAL_MCP_URLS`); the commands and variables are what
//! the servers document: github-mcp-server (`stdio`; its own `http` mode takes a token with each request only), mcp-proxy
//! (`--host`, `--port`, `--pass-environment`), zereight's gitlab-mcp (stdio; its HTTP modes want a token of the client),
//! mcp-atlassian (`--transport`, `--host`, `--port`; listens everywhere by default), kubernetes-mcp-server (`--bind-address`;
//! everywhere by default), workspace-mcp (`--single-user`, a directory of credential files).

use crate::api::{
    CredentialFile, CredentialSource, CredentialVariable, Git, GitCredentials, OnRefresh, Preset, Sidecar, Transport,
};
use std::collections::BTreeMap;

/// Stands for the port in a command.
const PORT: &str = "{port}";

/// Serves what a server says over stdio.
const MCP_PROXY: &[&str] = &[
    "mcp-proxy",
    "--host",
    "127.0.0.1",
    "--port",
    PORT,
    "--pass-environment",
    "--",
];

/// Port of the first preset.
const FIRST_PORT: i32 = 8480;

/// What is known of a server.
#[derive(Debug)]
pub struct Known {
    /// Name of the preset, of its sidecar, of the provider in `CREDENTIAL_IDS` and of the key in `CREDENTIAL_MCP_URLS`.
    pub name: &'static str,
    /// The port unless it is taken.
    pub port: i32,
    /// How it speaks MCP.
    pub transport: Transport,
    /// What begins the command of a server that speaks over stdio only.
    over: &'static [&'static str],
    /// Its command. With `over`, it makes the server listen on loopback only; `{port}` stands for the port.
    command: &'static [&'static str],
    /// Its variables and the fields of the credential that they hold.
    pub variables: &'static [(&'static str, &'static str)],
    /// Its files and the fields of the credential that they hold.
    pub files: &'static [(&'static str, &'static str)],
    /// Variables without secrets.
    pub env: &'static [(&'static str, &'static str)],
    /// Hosts whose git the credential is for.
    pub git_hosts: &'static [&'static str],
}

impl Known {
    /// The whole command of a server that listens on this port.
    pub fn command_at(&self, port: u16) -> Vec<String> {
        let parts = self.over.iter().chain(self.command);
        parts
            .map(|part| {
                if *part == PORT {
                    port.to_string()
                } else {
                    (*part).to_owned()
                }
            })
            .collect()
    }
}

impl Preset {
    /// All presets.
    pub const ALL: [Self; 5] = [Self::Github, Self::Gitlab, Self::Jira, Self::Kubeconfig, Self::Google];

    /// What is known of it.
    pub fn known(self) -> &'static Known {
        match self {
            Self::Github => &Known {
                name: "github",
                port: FIRST_PORT,
                transport: Transport::SSE,
                over: MCP_PROXY,
                command: &["github-mcp-server", "stdio"],
                variables: &[("GITHUB_PERSONAL_ACCESS_TOKEN", "token")],
                files: &[],
                env: &[],
                git_hosts: &["github.com"],
            },
            Self::Gitlab => &Known {
                name: "gitlab",
                port: FIRST_PORT + 1,
                transport: Transport::SSE,
                over: MCP_PROXY,
                command: &["zereight-mcp-gitlab"],
                variables: &[("GITLAB_PERSONAL_ACCESS_TOKEN", "token")],
                files: &[],
                env: &[],
                git_hosts: &["gitlab.com"],
            },
            Self::Jira => &Known {
                name: "jira",
                port: FIRST_PORT + 2,
                transport: Transport::SSE,
                over: &[],
                command: &[
                    "mcp-atlassian",
                    "--transport",
                    "sse",
                    "--host",
                    "127.0.0.1",
                    "--port",
                    PORT,
                ],
                variables: &[
                    ("JIRA_API_TOKEN", "apiToken|token"),
                    ("JIRA_URL", "url"),
                    ("JIRA_USERNAME", "username|email"),
                ],
                files: &[],
                env: &[],
                git_hosts: &[],
            },
            Self::Kubeconfig => &Known {
                name: "kubeconfig",
                port: FIRST_PORT + 3,
                transport: Transport::SSE,
                over: &[],
                command: &[
                    "kubernetes-mcp-server",
                    "--bind-address",
                    "127.0.0.1",
                    "--port",
                    PORT,
                    "--disable-multi-cluster",
                    "--kubeconfig",
                    "/run/vertex-injector/files/kubeconfig",
                ],
                variables: &[],
                files: &[("/run/vertex-injector/files/kubeconfig", "kubeconfig|token")],
                env: &[("KUBECONFIG", "/run/vertex-injector/files/kubeconfig")],
                git_hosts: &[],
            },
            Self::Google => &Known {
                name: "google",
                port: FIRST_PORT + 4,
                transport: Transport::SSE,
                over: MCP_PROXY,
                command: &["workspace-mcp", "--single-user"],
                variables: &[],
                // With one user, any file of this form is the user's.
                files: &[("/run/vertex-injector/files/user@localhost.json", "credentials|token")],
                env: &[
                    ("GOOGLE_MCP_CREDENTIALS_DIR", "/run/vertex-injector/files"),
                    ("WORKSPACE_MCP_CREDENTIALS_DIR", "/run/vertex-injector/files"),
                ],
                git_hosts: &[],
            },
        }
    }
}

/// A sidecar of a policy with every default filled in. What is still missing is empty; `validate` has said so.
#[derive(Debug, Clone, PartialEq)]
pub struct Complete {
    /// Name within the policy.
    pub name: String,
    /// The preset, if there is one.
    pub preset: Option<Preset>,
    /// The image.
    pub image: String,
    /// The command; `{port}` of a preset's stands for the port.
    command: Vec<String>,
    /// Whether the command is the preset's, so that the port may be any.
    is_preset_command: bool,
    /// Arguments.
    pub args: Vec<String>,
    port: Option<i32>,
    default_port: i32,
    /// How MCP is spoken.
    pub transport: Transport,
    /// Path of the endpoint.
    pub path: Option<String>,
    /// Key in `CREDENTIAL_MCP_URLS`.
    pub mcp_key: Option<String>,
    /// Variables with fields of the credential.
    pub variables: Vec<CredentialVariable>,
    /// Files with fields of the credential.
    pub files: Vec<CredentialFile>,
    /// What happens when it has changed; `None` when the policy does not say.
    pub on_refresh: Option<OnRefresh>,
    /// The git proxy, its hosts filled in.
    pub git: Option<Git>,
    /// For whom the credential can be read.
    pub git_credentials: Option<GitCredentials>,
    /// Variables without secrets that the policy does not set itself.
    pub env: Vec<(&'static str, &'static str)>,
}

impl Complete {
    /// Fills in what the preset and the operator know.
    pub fn of(sidecar: &Sidecar, images: &BTreeMap<Preset, String>) -> Self {
        let known = sidecar.preset.map(Preset::known);
        let owned = |text: &str| text.to_owned();
        let is_preset_command = sidecar.command.is_empty() && known.is_some();
        let command = match known {
            Some(known) if is_preset_command => known.over.iter().chain(known.command).copied().map(owned).collect(),
            _ => sidecar.command.clone(),
        };
        // Fields that the policy maps itself take the place of the preset's.
        let mapped = !sidecar.credential_env.is_empty() || !sidecar.credential_files.is_empty();
        let has_credential = sidecar.credential.is_some();
        let preset = known.filter(|_| has_credential && !mapped);
        let variable = |(name, field): &(&str, &str)| CredentialVariable {
            name: owned(name),
            field: owned(field),
        };
        let file = |(path, field): &(&str, &str)| CredentialFile {
            path: owned(path),
            field: owned(field),
        };
        let git = sidecar.git.clone().map(|mut git| {
            if let (true, Some(known)) = (git.hosts.is_empty(), known) {
                git.hosts = known.git_hosts.iter().copied().map(owned).collect();
            }
            git
        });
        let is_free = |(name, _): &(&str, &str)| !sidecar.env.iter().any(|own| own.name == *name);
        Self {
            name: sidecar
                .name
                .clone()
                .or_else(|| known.map(|known| owned(known.name)))
                .unwrap_or_default(),
            preset: sidecar.preset,
            image: sidecar
                .image
                .clone()
                .or_else(|| images.get(&sidecar.preset?).cloned())
                .unwrap_or_default(),
            command,
            is_preset_command,
            args: sidecar.args.clone(),
            port: sidecar.port,
            default_port: known.map_or(FIRST_PORT, |known| known.port),
            transport: sidecar
                .transport
                .or_else(|| known.map(|known| known.transport))
                .unwrap_or_default(),
            path: sidecar.path.clone(),
            mcp_key: sidecar.mcp_key.clone().or_else(|| known.map(|known| owned(known.name))),
            variables: preset.map_or_else(
                || sidecar.credential_env.clone(),
                |known| known.variables.iter().map(variable).collect(),
            ),
            files: preset.map_or_else(
                || sidecar.credential_files.clone(),
                |known| known.files.iter().map(file).collect(),
            ),
            on_refresh: sidecar.on_refresh,
            git,
            git_credentials: sidecar.git_credentials.clone(),
            env: known
                .map(|known| known.env.iter().copied().filter(|entry| is_free(entry)).collect())
                .unwrap_or_default(),
        }
    }

    /// The provider in `CREDENTIAL_IDS` whose credential it serves.
    pub fn provider(&self) -> Option<&str> {
        self.preset
            .map(|preset| preset.known().name)
            .or(self.mcp_key.as_deref())
    }

    /// The port that it has in every pod: the policy's, or that of a preset whose command is the policy's own and cannot be
    /// told another one.
    pub fn fixed_port(&self) -> Option<i32> {
        self.port.or((!self.is_preset_command).then_some(self.default_port))
    }

    /// The port in a pod in which `is_taken` ones are not free.
    pub fn port(&self, is_taken: impl Fn(i32) -> bool) -> i32 {
        self.fixed_port().unwrap_or_else(|| {
            (self.default_port..=65535)
                .find(|port| !is_taken(*port))
                .unwrap_or(self.default_port)
        })
    }

    /// The command of a server that listens on this port; empty for the image's own.
    pub fn command(&self, port: i32) -> Vec<String> {
        let filled = |part: &String| {
            if self.is_preset_command && part == PORT {
                port.to_string()
            } else {
                part.clone()
            }
        };
        self.command.iter().map(filled).collect()
    }

    /// Whether there is a command that could be wrapped.
    pub fn has_command(&self) -> bool {
        !self.command.is_empty()
    }

    /// Whether `vertex-injector exec` has to run the server: it needs no wrapper when the kubelet alone can give it its
    /// variables, from a Secret's keys.
    pub fn is_wrapped(&self, credential: &CredentialSource) -> bool {
        let by_kubelet = credential.secret.is_some()
            && self.files.is_empty()
            && self.variables.iter().all(|variable| !variable.field.contains('|'))
            && self.on_refresh.is_none()
            && self.git.is_none()
            && self.git_credentials.is_none();
        !by_kubelet
    }

    /// Where the endpoint is, without what a client appends by itself.
    pub fn url(&self, port: i32) -> String {
        let path = match (&self.path, self.transport) {
            (Some(path), _) => path.trim_end_matches('/'),
            (None, Transport::SSE) => "",
            (None, Transport::StreamableHTTP) => "/mcp",
        };
        format!("http://localhost:{port}{path}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Complete, PORT};
    use crate::api::{Preset, Sidecar};
    use std::collections::{BTreeMap, BTreeSet};

    fn complete(preset: Preset) -> Complete {
        let sidecar = Sidecar {
            preset: Some(preset),
            credential: Some(crate::api::CredentialSource::default()),
            ..Sidecar::default()
        };
        Complete::of(&sidecar, &BTreeMap::new())
    }

    #[test]
    fn every_preset_listens_on_loopback_only_and_on_the_port_that_it_is_given() {
        for preset in Preset::ALL {
            let command = complete(preset).command(9999).join(" ");
            assert!(
                command.contains(" 127.0.0.1 ") && command.contains("--port 9999"),
                "{command}"
            );
            assert!(!command.contains(PORT), "{command}");
        }
    }

    #[test]
    fn names_ports_and_keys_differ() {
        let names: BTreeSet<String> = Preset::ALL.into_iter().map(|preset| complete(preset).name).collect();
        let ports: BTreeSet<i32> = Preset::ALL
            .into_iter()
            .map(|preset| complete(preset).port(|_| false))
            .collect();
        assert_eq!((names.len(), ports.len()), (5, 5));
    }

    #[test]
    fn every_preset_hands_its_server_the_credential() {
        for preset in Preset::ALL {
            let complete = complete(preset);
            assert!(
                !complete.variables.is_empty() || !complete.files.is_empty(),
                "{preset:?}"
            );
            for file in &complete.files {
                let named = complete.env.iter().any(|(_, value)| file.path.starts_with(value));
                assert!(
                    named || complete.command(1).contains(&file.path),
                    "{preset:?} {}",
                    file.path
                );
            }
        }
    }

    #[test]
    fn a_port_that_is_taken_moves_to_the_next_only_where_the_command_can_be_told() {
        let taken = |port| port == 8480 || port == 8481;
        assert_eq!(complete(Preset::Github).port(taken), 8482);
        let own = Sidecar {
            preset: Some(Preset::Github),
            command: vec!["server".to_owned()],
            ..Sidecar::default()
        };
        assert_eq!(Complete::of(&own, &BTreeMap::new()).port(taken), 8480);
    }
}
