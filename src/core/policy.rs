//! Policies in the form that works. Compiling is validating: [`compile`] takes what a person wrote to what admission uses, or
//! to everything that is wrong with it, each with its field. Nothing behind it looks at what was written.
//!
//! One file for each part of the wire format ([`crate::api`]): which pods ([`agents`]), whom they are ([`identity`]), how
//! credentials reach them ([`access`] with [`broker`] and [`proxy`]), what they call ([`vertex`]), what else they get
//! ([`pieces`], [`env`], [`volumes`], [`sidecars`]). Parts that differ in kind are enums that carry what only that kind has.

mod access;
mod advice;
mod agents;
mod broker;
mod env;
mod errors;
mod google;
mod guarded;
mod identity;
mod paths;
mod pieces;
mod proxy;
mod reach;
pub(crate) mod render;
mod resources;
mod sidecars;
mod text;
mod vertex;
mod volumes;

use crate::api::{Agent, Conflicts, FieldErrors, Isolation, McpFormat, OnValue, OpenShell, PolicySpec, Selector};
use crate::operator::Operator;
use errors::{Checked, Errors};
use identity::Identity;
use paths::Mounts;
use std::collections::BTreeSet;

pub use access::{Access, Google};
pub use agents::{Kind, Pods};
pub use broker::{Broker, Container as BrokerContainer, Program, Trust};
pub use env::{Source as VariableSource, Variable};
pub use identity::{CredentialFile, Held};
pub use paths::MountPath;
pub use pieces::MountedVolume;
pub use render::Needed;
pub use sidecars::{Command, Credential, Git, Listen, Sidecar, Sidecars, Source, Wrapper};
pub use text::{Audience, ObjectName, Port, is_same_audience};
pub use vertex::Vertex;
pub use volumes::{Mount, Volume, Volumes};

/// What a compile comes to. It depends on the spec and the operator's settings alone, so policies of many namespaces that
/// say the same can share one.
#[derive(Debug)]
pub struct Compilation {
    /// The policy in the form that works, or why there is none.
    pub result: Result<Compiled, Unusable>,
    /// Sentences for the author that are no errors.
    pub notes: Vec<String>,
    /// Why no pod will ever reach the policy, if so.
    pub unreachable: Option<String>,
}

/// A policy that nobody can be served by. It selects all the same: its pods are denied with the errors.
#[derive(Debug)]
pub struct Unusable {
    /// Whose mistake it is.
    pub cause: Cause,
    /// Everything that is wrong with it.
    pub errors: FieldErrors,
    /// Which pods it selects.
    pub pods: Vec<Pods>,
}

/// Why a policy cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It says what cannot be.
    Invalid,
    /// It says what this version does not know: a newer one, or its definitions, let it in.
    Newer,
}

/// A policy in the form that works.
#[derive(Debug)]
pub struct Compiled {
    /// The kinds of pods that it serves; the first to which a pod belongs counts.
    pub kinds: Vec<Kind>,
    /// What becomes of a pod whose agent could get around a broker or a sidecar.
    pub isolation: Isolation,
    /// ConfigMaps of helper programs.
    pub helpers: Vec<MountedVolume>,
    /// More ServiceAccount tokens.
    pub tokens: Vec<MountedVolume>,
    /// Volumes and mounts of the policy's own.
    pub volumes: Volumes,
    /// Credential sidecars.
    pub sidecars: Sidecars,
    /// A file that names the sidecars' endpoints.
    pub mcp_config: Option<McpConfig>,
    /// What gives way when a pod brings something of its own.
    pub conflicts: Conflicts,
    /// What becomes of pods that OpenShell manages.
    pub open_shell: OpenShell,
    /// What GKE workload identity needs on ServiceAccounts.
    pub gke_binding: Option<GkeBinding>,
}

/// A file that names the endpoints of the policy's sidecars.
#[derive(Debug)]
pub struct McpConfig {
    /// The directory in which it is mounted.
    pub directory: MountPath,
    /// Whose format it has.
    pub format: McpFormat,
}

/// What GKE workload identity needs on ServiceAccounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GkeBinding {
    /// Value of the annotation `iam.gke.io/gcp-service-account`.
    pub email: String,
    /// The ServiceAccounts, in every namespace that the policy serves.
    pub service_accounts: Vec<String>,
    /// Whether a differing value is replaced; otherwise it stays and is reported.
    pub replace: bool,
}

/// Compiles a policy for the namespaces of its selector under the operator's settings.
pub fn compile(spec: &PolicySpec, namespaces: Option<&Selector>, operator: &Operator) -> Compilation {
    let mut errors = Errors::default();
    let mut notes = Vec::new();
    let compiled = parts(spec, namespaces, operator, &mut notes, &mut errors);
    let result = errors.conclude(compiled).map_err(|errors| Unusable {
        cause: Cause::Invalid,
        errors,
        pods: Pods::of(spec),
    });
    Compilation {
        result,
        notes,
        unreachable: reach::unreachable(spec, operator),
    }
}

/// What becomes of a policy that this version does not know all of. What is not understood may restrict, so its pods are denied:
/// those of its `agents`, or all where these are not understood.
pub fn newer(errors: FieldErrors, agents: Option<Vec<Agent>>) -> Compilation {
    let spec = PolicySpec {
        agents: agents.unwrap_or_else(|| vec![Agent::default()]),
        ..PolicySpec::default()
    };
    Compilation {
        result: Err(Unusable {
            cause: Cause::Newer,
            errors,
            pods: Pods::of(&spec),
        }),
        notes: Vec::new(),
        unreachable: None,
    }
}

fn parts(
    spec: &PolicySpec,
    namespaces: Option<&Selector>,
    operator: &Operator,
    notes: &mut Vec<String>,
    errors: &mut Errors,
) -> Checked<Compiled> {
    if let Some(selector) = namespaces {
        agents::check_selector(selector, "spec.namespaceSelector", errors);
    }
    agents::check_pods(spec, errors);
    let vertex = vertex::compile(spec, operator, errors);
    let identity = identity::compile(spec, operator, errors);
    let binding = identity
        .as_ref()
        .ok()
        .and_then(|identity| binding(identity.as_ref()?, spec));
    let identity_note = { identity.as_ref().ok() }.and_then(|it| it.as_ref()?.note(spec.access.has_broker()));
    let means = access::compile(spec, identity, vertex, operator, errors);
    let env = env::compile(&spec.env, env::Names::OfAgents, "spec.env", errors);
    let mut mounts = Mounts::default();
    let helpers = pieces::helpers(spec, &mut mounts, errors);
    let tokens = pieces::tokens(spec, &mut mounts, operator, errors);
    let volumes = volumes::compile(spec, &mut mounts, operator, errors);
    let sidecars = sidecars::compile(spec, operator, errors);
    let mcp_config = mcp_config(spec, &mut mounts, errors);
    let kinds = agents::compile(spec, means, env, &mounts, errors);
    check_open_shell(spec, errors);
    guarded::check(spec, errors);
    if let Ok(sidecars) = &sidecars {
        let warnings = sidecars.servers.iter().flat_map(Sidecar::warnings);
        notes.extend(warnings.map(|warning| format!("{warning}; the policy allows it with isolation: BestEffort")));
    }
    notes.extend(identity_note);
    notes.extend(advice::of(spec));
    Ok(Compiled {
        kinds: kinds?,
        isolation: spec.isolation,
        helpers: helpers?,
        tokens: tokens?,
        volumes: volumes?,
        sidecars: sidecars?,
        mcp_config: mcp_config?,
        conflicts: spec.conflicts.clone(),
        open_shell: spec.open_shell,
        gke_binding: binding,
    })
}

fn binding(identity: &Identity, spec: &PolicySpec) -> Option<GkeBinding> {
    let gke = match identity {
        Identity::Gke(gke) => gke,
        Identity::Federation(_) | Identity::Key(_) => return None,
    };
    let accounts = spec.agents.iter().flat_map(|agent| &agent.service_accounts);
    let accounts: BTreeSet<&String> = accounts.collect();
    Some(GkeBinding {
        email: gke.email.clone(),
        service_accounts: accounts.into_iter().cloned().collect(),
        replace: spec.conflicts.values == OnValue::Override,
    })
}

fn mcp_config(spec: &PolicySpec, mounts: &mut Mounts, errors: &mut Errors) -> Checked<Option<McpConfig>> {
    let Some(config) = &spec.mcp_config else {
        return Ok(None);
    };
    sidecars::check_mcp_config(config, spec, errors);
    let directory = mounts.take(&config.mount_path, "spec.mcpConfig.mountPath", errors)?;
    Ok(Some(McpConfig {
        directory,
        format: config.format,
    }))
}

fn check_open_shell(spec: &PolicySpec, errors: &mut Errors) {
    const FIELD: &str = "spec.openShell";
    match spec.open_shell {
        OpenShell::Skip => return,
        OpenShell::PatchUserEnvironment => {}
    }
    let identity = spec.identity.as_ref();
    if identity.is_some_and(|identity| identity.gke_workload_identity.is_some()) {
        errors.add(
            FIELD,
            "PatchUserEnvironment needs a credential file, and gkeWorkloadIdentity has none: OpenShell blocks the metadata server; use workloadIdentityFederation",
        );
    }
    if !spec.sidecars.is_empty() {
        errors.add(
            FIELD,
            "PatchUserEnvironment and sidecars exclude each other: a process in the sandbox has another loopback",
        );
    }
}
