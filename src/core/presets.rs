//! The servers that policies can name by a preset: the one table of their ports, keys, commands, variables and files.
//!
//! Sources: the keys are those of the runners' registries (Ambient's `CREDENTIAL_MCP_URLS`); the commands and variables are what
//! the servers document: github-mcp-server (`stdio`; its own `http` mode takes a token with each request only), mcp-proxy
//! (`--host`, `--port`, `--pass-environment`), zereight's gitlab-mcp (stdio; its HTTP modes want a token of the client),
//! mcp-atlassian (`--transport`, `--host`, `--port`; listens everywhere by default), kubernetes-mcp-server (`--bind-address`;
//! everywhere by default), workspace-mcp (`--single-user`, a directory of credential files).

use crate::api::{Preset, Transport};
use strum::VariantArray;

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
const FIRST_PORT: u16 = 8480;

/// What is known of a server.
#[derive(Debug)]
pub struct Known {
    /// Name of the preset, of its sidecar, of the provider in `CREDENTIAL_IDS` and of the key in `CREDENTIAL_MCP_URLS`.
    pub name: &'static str,
    /// The port unless it is taken.
    pub port: u16,
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
    pub const ALL: &'static [Self] = Self::VARIANTS;

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
