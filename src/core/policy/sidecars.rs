//! Credential sidecars: every default filled in, told apart, and reached where they say.

mod credential;
mod filled;
mod git;
mod image;

use super::broker::{Program, Trust};
use super::env::{self, Names, Variable};
use super::errors::{Checked, Errors, all};
use super::resources;
use super::text::Port;
use crate::api::{McpConfig, PolicySpec, Preset, Resources, Transport};
use crate::names;
use crate::operator::Operator;
use crate::presets::Known;
use crate::reserved;
use serde_json::Value;

pub(in crate::policy) use filled::Filled;

pub use credential::{Credential, Source, Wrapper};
pub use git::Git;

/// All sidecars of a policy, and what comes of the operator.
#[derive(Debug)]
pub struct Sidecars {
    /// In the policy's order.
    pub servers: Vec<Sidecar>,
    /// Where our program comes from, for those that it starts.
    pub program: Program,
    /// The operator's certificates.
    pub trust: Option<Trust>,
}

/// A credential sidecar.
#[derive(Debug)]
pub struct Sidecar {
    /// Name within the policy.
    pub name: String,
    /// The preset, if it is of one.
    pub preset: Option<Preset>,
    /// The image.
    pub image: String,
    /// What is run.
    pub command: Command,
    /// Arguments.
    pub args: Vec<String>,
    /// Where it listens.
    pub port: Listen,
    /// How MCP is spoken.
    pub transport: Transport,
    /// Path of the endpoint, when it is not the transport's own.
    pub path: Option<String>,
    /// Key under which the endpoint is registered.
    pub mcp_key: Option<String>,
    /// The credential, and how the server gets it.
    pub credential: Option<Credential>,
    /// The policy's own variables.
    pub env: Vec<Variable>,
    /// Variables of the preset that the policy does not set, as entries of the container.
    pub preset_env: Vec<Value>,
    /// What the container may use.
    pub resources: Option<Resources>,
}

/// What a sidecar runs.
#[derive(Debug)]
pub enum Command {
    /// The image's own entrypoint.
    Image,
    /// The policy's command.
    Own(Vec<String>),
    /// A preset's, which is told its port.
    Preset(&'static Known),
}

/// Where a sidecar listens.
#[derive(Debug, Clone, Copy)]
pub enum Listen {
    /// On this port in every pod.
    At(Port),
    /// On the first from this one on that is free.
    From(Port),
}

impl Command {
    /// The command of a server that listens on this port; empty for the image's own.
    pub fn at(&self, port: u16) -> Vec<String> {
        match self {
            Self::Image => Vec::new(),
            Self::Own(command) => command.clone(),
            Self::Preset(known) => known.command_at(port),
        }
    }
}

impl Listen {
    /// The port that it has in every pod.
    pub fn fixed(self) -> Option<Port> {
        match self {
            Self::At(port) => Some(port),
            Self::From(_) => None,
        }
    }
}

impl Sidecar {
    /// What our program does, where it runs the server.
    pub fn wrapper(&self) -> Option<&Wrapper> {
        self.credential.as_ref()?.wrapper()
    }

    /// Where the endpoint is, without what a client appends by itself.
    pub fn url(&self, port: u16) -> String {
        let path = match (&self.path, self.transport) {
            (Some(path), Transport::SSE | Transport::StreamableHTTP) => path.trim_end_matches('/'),
            (None, Transport::SSE) => "",
            (None, Transport::StreamableHTTP) => "/mcp",
        };
        format!("http://localhost:{port}{path}")
    }

    /// By what the agent can get the credential, each as a sentence.
    pub fn warnings(&self) -> Vec<String> {
        let (name, wrapper) = (&self.name, self.wrapper());
        let exchange = wrapper.is_some_and(|wrapper| match wrapper.source {
            Source::AmbientExchange { .. } => true,
            Source::Secret { .. } | Source::Http { .. } => false,
        });
        let exchange = exchange.then(|| {
            format!(
                "sidecar {name:?} gets its credential by ambientExchange, which the agent can do as well: it holds the same key and URL"
            )
        });
        let handed_out = wrapper
            .is_some_and(|wrapper| wrapper.git_credentials.is_some())
            .then(|| {
                format!("sidecar {name:?} hands its credential to whoever in the pod asks for it (gitCredentials)")
            });
        let plain = wrapper.and_then(|wrapper| match &wrapper.source {
            Source::Http { url, host, .. } if !url.is_secure() => Some(format!(
                "sidecar {name:?} sends its token to {host} by plain http, which the agent can read and answer"
            )),
            Source::Http { .. } | Source::Secret { .. } | Source::AmbientExchange { .. } => None,
        });
        exchange.into_iter().chain(handed_out).chain(plain).collect()
    }
}

pub(super) fn compile(spec: &PolicySpec, operator: &Operator, errors: &mut Errors) -> Checked<Sidecars> {
    let filled: Vec<Filled<'_>> = spec.sidecars.iter().map(Filled::of).collect();
    let mut hosts = git::Hosts::default();
    let servers = filled.iter().enumerate().map(|(i, whole)| {
        let field = format!("spec.sidecars[{i}]");
        let earlier = filled.get(..i).unwrap_or_default();
        let env = env::compile(&whole.sidecar.env, Names::OfSidecars, &format!("{field}.env"), errors);
        let name = check_name(whole, earlier, &field, errors);
        let port = check_port(whole, earlier, &field, errors);
        check_key(whole, earlier, &field, errors);
        let image = image::compile(whole.sidecar, operator, &field, errors);
        let resources = whole.sidecar.resources.clone();
        let resources = resources.map(|resources| resources::checked(resources, &format!("{field}.resources"), errors));
        let git = git::compile(whole, &filled, &mut hosts, &format!("{field}.git"), errors);
        let credential = credential::compile(whole, git, spec.isolation, operator, &field, errors);
        Ok(server(whole, name?, image?, port?, credential?, env?, resources))
    });
    let servers = all(servers);
    Ok(Sidecars {
        servers: servers?,
        program: Program::of(&operator.broker),
        trust: Trust::of(&operator.broker),
    })
}

/// The file that names the sidecars' endpoints needs one.
pub(super) fn check_mcp_config(config: &McpConfig, spec: &PolicySpec, errors: &mut Errors) {
    if { spec.sidecars.iter() }.all(|sidecar| Filled::of(sidecar).mcp_key.is_none()) {
        errors.add(
            "spec.mcpConfig",
            format!(
                "no sidecar has an mcpKey, so there is nothing to write into {}",
                config.format.file_name()
            ),
        );
    }
}

fn server(
    whole: &Filled<'_>,
    name: String,
    image: String,
    port: Listen,
    credential: Option<Credential>,
    env: Vec<Variable>,
    resources: Option<Resources>,
) -> Sidecar {
    let Filled { sidecar, known, .. } = whole;
    let transport = sidecar.transport.or(known.map(|known| known.transport));
    let preset_env = known.iter().flat_map(|known| known.env);
    let preset_env = preset_env.filter(|(name, _)| !env.iter().any(|own| own.name == *name));
    Sidecar {
        name,
        preset: sidecar.preset,
        image,
        command: match (sidecar.command.as_slice(), known) {
            ([], Some(known)) => Command::Preset(known),
            ([], None) => Command::Image,
            (command, _) => Command::Own(command.to_vec()),
        },
        args: sidecar.args.clone(),
        port,
        transport: transport.unwrap_or_default(),
        path: sidecar.path.clone(),
        mcp_key: whole.mcp_key.map(str::to_owned),
        credential,
        preset_env: preset_env
            .map(|(name, value)| super::render::literal(name, value))
            .collect(),
        env,
        resources,
    }
}

fn check_name(whole: &Filled<'_>, earlier: &[Filled<'_>], field: &str, errors: &mut Errors) -> Checked<String> {
    let field = format!("{field}.name");
    let Some(name) = whole.name.filter(|name| !name.is_empty()) else {
        return Err(errors.add(field, "a sidecar without a preset needs a name"));
    };
    if earlier.iter().any(|other| other.name == Some(name)) {
        errors.add(
            &*field,
            format!("{name:?} occurs twice; give one of the two another name"),
        );
    }
    let container = format!("{}{name}", names::NAME_PREFIX);
    if reserved::is_our_container(&container) {
        errors.add(
            field,
            format!("{container} is a container of the injector's own; choose another name"),
        );
    }
    Ok(name.to_owned())
}

fn check_port(whole: &Filled<'_>, earlier: &[Filled<'_>], field: &str, errors: &mut Errors) -> Checked<Listen> {
    let field = format!("{field}.port");
    let port = match (whole.fixed, whole.known) {
        (Some(port), _) => Port::parse(port, &field, errors)?,
        (None, Some(known)) => return Port::parse(known.port.into(), &field, errors).map(Listen::From),
        (None, None) => return Err(errors.add(field, "a sidecar without a preset needs a port")),
    };
    if let Some(other) = earlier.iter().find(|other| other.fixed == whole.fixed) {
        let name = other.name.unwrap_or_default();
        errors.add(&*field, format!("{port} is the port of sidecar {name:?} already"));
    }
    port.check_agents(&field, errors);
    Ok(Listen::At(port))
}

fn check_key(whole: &Filled<'_>, earlier: &[Filled<'_>], field: &str, errors: &mut Errors) {
    let Some(key) = whole.mcp_key else { return };
    if let Some(other) = earlier.iter().find(|other| other.mcp_key == Some(key)) {
        let name = other.name.unwrap_or_default();
        errors.add(
            format!("{field}.mcpKey"),
            format!("{key:?} is the key of sidecar {name:?} already"),
        );
    }
}
