//! The verbs that run in pods.

use crate::ending::Ending;
use crate::{broker, copy, exec, probe, variables};
use clap::Subcommand;
use vertex_injector_core::contract::broker::VERB;

/// A verb with its arguments.
// Arguments are built when their verb is called: brokers are many, and small. That is why the list of verbs has its lines from
// here, while a verb's own help begins with those of its arguments.
#[derive(Subcommand, Debug)]
#[command(defer = true)]
pub enum Verb {
    /// Hold a pod's Google credential, so that its agent does not have to
    #[command(after_help = "\
Examples:
  # As the metadata server for the programs of this shell
  vertex-injector broker --mode metadata --credentials credentials.json \\
    --project my-project &
  export GCE_METADATA_HOST=127.0.0.1:8470 GCE_METADATA_IP=127.0.0.1:8470 \\
    GCE_METADATA_ROOT=127.0.0.1:8470

  # The same with the identity that gcloud has
  vertex-injector broker --mode metadata --project my-project \\
    --credentials ~/.config/gcloud/application_default_credentials.json

  # As the Vertex proxy for Claude Code, which never sees a token
  vertex-injector broker --mode proxy --project my-project \\
    --regions us-east5,global --models 'claude-*' \\
    --credentials ~/.config/gcloud/application_default_credentials.json &
  export CLAUDE_CODE_USE_VERTEX=1 CLAUDE_CODE_SKIP_VERTEX_AUTH=1 \\
    ANTHROPIC_VERTEX_PROJECT_ID=my-project CLOUD_ML_REGION=us-east5 \\
    ANTHROPIC_VERTEX_BASE_URL=http://127.0.0.1:8471/v1

  # Web search by the provider is off unless it is allowed by name
  vertex-injector broker --mode proxy --project my-project --regions global \\
    --allow WebSearch --node-metadata-server")]
    Broker(broker::Args),
    /// Ask the broker of this pod, or the wrapper of this container, whether it is ready
    #[command(after_help = "\
Examples:
  # In a pod, as the startup probe of the broker's container
  vertex-injector probe

  # A broker with a port of its own
  vertex-injector probe --metadata-port 8480 && echo ready

  # Both ports of a proxy
  vertex-injector probe --mode proxy --metadata-port 8480 --proxy-port 8481 \\
    && echo ready

  # A credential sidecar: whether it listens, and whether its server runs with
  # a credential
  vertex-injector probe --control-port 8095
  vertex-injector probe --control-port 8095 --ready")]
    Probe(probe::Args),
    /// Run a server with a credential that is fetched, handed to it alone, and kept fresh
    #[command(after_help = "\
Examples:
  # A server that reads its token from a variable; the token is in a mounted
  # Secret
  vertex-injector exec --source file:/var/run/secrets/github \\
    --env GITHUB_PERSONAL_ACCESS_TOKEN=token -- github-mcp-server http

  # A server that reads a file and takes HUP as the sign to read it again
  vertex-injector exec --source https://tokens.example.com/v1/cluster \\
    --allow-host tokens.example.com \\
    --token-file /var/run/secrets/tokens/token \\
    --file /tmp/kubeconfig=kubeconfig --on-refresh signal:HUP \\
    --control-port 8095 -- kubernetes-mcp-server --port 8093 \\
    --kubeconfig /tmp/kubeconfig

  # The same token for the agent's git, which then needs none: it may fetch
  # all repositories of acme, and push to one
  vertex-injector exec --source file:/var/run/secrets/github \\
    --env GITHUB_PERSONAL_ACCESS_TOKEN=token --git-port 8096 \\
    --git-host github.com --git-allow 'github.com/acme/*:fetch' \\
    --git-allow github.com/acme/app:fetch,push -- github-mcp-server http

  # The exchange of the Ambient Code platform, for Jira
  vertex-injector exec --source ambient \\
    --allow-host ambient-control-plane.ambient-code.svc:8080 \\
    --allow-host ambient-api-server.ambient-code.svc:8000 \\
    --env 'JIRA_API_TOKEN=apiToken|token' --env JIRA_URL=url \\
    --env JIRA_USERNAME=email -- mcp-atlassian --transport sse --port 8092")]
    Exec(exec::Args),
    /// Copy this program into a directory, from which other containers of the pod can run it
    #[command(after_help = "\
Examples:
  # As an init container, into a volume of the pod
  vertex-injector copy --to /run/vertex-injector/program")]
    Copy(copy::Args),
}

impl Verb {
    /// The broker as the injector starts it: by its name, and all else in the environment. Brokers are many, and small: such a one
    /// neither builds nor reads a flag. `None` when there is more to understand, or an error to explain.
    pub fn of_container() -> Option<Self> {
        let is_broker = std::env::args_os().skip(1).eq([VERB]);
        is_broker.then(broker::Args::of_environment)?.map(Self::Broker)
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When its arguments, or the files that they name, cannot be used.
    pub fn run(self) -> anyhow::Result<Ending> {
        let names = || std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        match self {
            Self::Broker(args) => {
                variables::check(names())?;
                broker::run(args).map(|()| Ending::Done)
            }
            Self::Probe(args) => Ok(probe::run(&args)),
            Self::Exec(args) => {
                variables::check(names())?;
                exec::run(args).map(Ending::Code)
            }
            Self::Copy(args) => copy::run(&args),
        }
    }
}
