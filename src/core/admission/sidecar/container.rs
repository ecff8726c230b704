//! The container of one sidecar, and of the program that some need.

use super::session::{self, Proxies};
use super::trust::Trusted;
use crate::admission::draft::Draft;
use crate::admission::finding::{Class, Finding};
use crate::admission::injected_container::{Defaults, InjectedContainer};
use crate::admission::ports::PlacedSidecar;
use crate::allowed::Listed;
use crate::contract;
use crate::contract::exec::{self, Control, Exec, GracePeriod};
use crate::contract::git::GitProxy;
use crate::contract::probe::Probe;
use crate::names;
use crate::policy::{Credential, Program, Sidecar, Source, Wrapper, render};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::path::Path;

const DEFAULTS: Defaults = Defaults {
    cpu: ("50m", "500m"),
    memory: ("64Mi", Cow::Borrowed("256Mi")),
};

/// What is copied counts as memory of the container that copies it.
const COPY_DEFAULTS: Defaults = Defaults {
    cpu: ("10m", "200m"),
    memory: ("16Mi", Cow::Borrowed("48Mi")),
};

/// Plans the container that copies our program into a volume in memory, and the volume.
pub(in crate::admission) fn plan_program(draft: &mut Draft<'_>, program: &Program) {
    draft.add_volume(
        names::PROGRAM_VOLUME,
        &json!({"emptyDir": {"medium": "Memory", "sizeLimit": "32Mi"}}),
    );
    draft.pull_with(&program.pull_secrets);
    let to = contract::TO.to_string();
    let container = InjectedContainer {
        name: names::COPY_CONTAINER,
        image: &program.image,
        pull_policy: program.pull_policy,
        command: vec![names::PROGRAM_IN_IMAGE],
        args: vec![contract::COPY, &to, names::PROGRAM_DIRECTORY],
        ports: Vec::new(),
        env: Vec::new(),
        startup_probe: None,
        readiness_probe: None,
        stays: false,
        resources: None,
        defaults: COPY_DEFAULTS,
        mounts: vec![json!({"name": names::PROGRAM_VOLUME, "mountPath": names::PROGRAM_DIRECTORY})],
    };
    container.add_to(draft);
}

/// Plans a sidecar's container with its volumes.
pub(super) fn plan_sidecar(
    draft: &mut Draft<'_>,
    placed: &PlacedSidecar<'_>,
    proxies: Option<&Proxies>,
    trusted: &Trusted,
) {
    let sidecar: &Sidecar = placed.sidecar;
    let name = format!("{}{}", names::NAME_PREFIX, sidecar.name);
    let temporary = volume_name("tmp", sidecar);
    draft.add_volume(&temporary, &json!({"emptyDir": {"sizeLimit": "16Mi"}}));
    let mut mounts = vec![json!({"name": temporary, "mountPath": "/tmp"})];
    let mut variables: Vec<Value> = sidecar.env.iter().map(|var| var.entry.clone()).collect();
    variables.extend(sidecar.preset_env.iter().cloned());
    let mut command = sidecar.command.at(placed.port);
    let mut probes = None;
    if let Some(credential) = &sidecar.credential {
        let agent = draft.containers.first().zip(proxies);
        let taken_over = agent.map(|(agent, proxies)| session::take_over(agent, proxies, sidecar, &mut draft.notes));
        let taken_over = taken_over.unwrap_or_default();
        variables.extend(taken_over.env);
        mounts.extend(trusted.mounts());
        match (credential, placed.control) {
            (Credential::Kubelet { env, .. }, _) => {
                variables.extend(trusted.for_a_server_alone());
                variables.extend(env.iter().cloned());
                if !trusted.is_empty() {
                    draft.notes.warnings.push(half_trusting(sidecar));
                }
            }
            (Credential::Wrapped(_), None) => {}
            (Credential::Wrapped(wrapper), Some(control)) => {
                variables.extend(trusted.for_our_program());
                plan_wrapper(draft, sidecar, wrapper, &mut mounts);
                let exec = told(wrapper, placed.git, control, taken_over.hosts);
                let environment = exec.environment();
                variables.extend(environment.iter().map(|(name, value)| render::literal(name, value)));
                command = { run(exec.arguments()).into_iter() }.chain(command).collect();
                probes = Some((probe(control, false), probe(control, true)));
            }
        }
    }
    let (startup_probe, readiness_probe) = probes.unzip();
    let container = InjectedContainer {
        name: &name,
        image: &sidecar.image,
        pull_policy: "IfNotPresent",
        command: command.iter().map(String::as_str).collect(),
        args: sidecar.args.iter().map(String::as_str).collect(),
        ports: vec![json!({"containerPort": placed.port, "protocol": "TCP"})],
        env: variables,
        startup_probe,
        readiness_probe,
        stays: true,
        resources: sidecar.resources.as_ref(),
        defaults: DEFAULTS,
        mounts,
    };
    container.add_to(draft);
}

/// Plans what our program needs beside a server: itself, what the credential is made of, and a place for its files.
fn plan_wrapper(draft: &mut Draft<'_>, sidecar: &Sidecar, wrapper: &Wrapper, mounts: &mut Vec<Value>) {
    if let Some(volume) = wrapper.source.volume() {
        let source = volume_name("cred", sidecar);
        draft.add_volume(&source, volume);
        mounts.push(render::read_only_mount(&source, names::SIDECAR_CREDENTIAL_DIRECTORY));
    }
    if let Some(directory) = &wrapper.directory {
        let files = volume_name("files", sidecar);
        draft.add_volume(&files, &json!({"emptyDir": {"medium": "Memory", "sizeLimit": "4Mi"}}));
        mounts.push(json!({"name": files, "mountPath": directory}));
    }
    mounts.push(render::read_only_mount(names::PROGRAM_VOLUME, names::PROGRAM_DIRECTORY));
}

/// Without its command our program cannot run a server, and no variable but Node's adds to what is trusted.
fn half_trusting(sidecar: &Sidecar) -> Finding {
    let name = &sidecar.name;
    let text = format!(
        "sidecar {name:?} runs its image's own command, so of the certificates that the pod or the operator adds only Node's programs learn; name its command, and all do"
    );
    Finding::new(Class::LeftOut, None, &format!("sidecars[{name}].command"), text)
}

fn volume_name(kind: &str, sidecar: &Sidecar) -> String {
    format!("{}{kind}-{}", names::NAME_PREFIX, sidecar.name)
}

/// What the wrapper is told in this pod.
fn told(wrapper: &Wrapper, git_port: Option<u16>, control: u16, allow_hosts: Vec<Listed>) -> Exec {
    let directory = Path::new(names::SIDECAR_CREDENTIAL_DIRECTORY);
    let git = wrapper.git.as_ref().zip(git_port);
    Exec {
        source: match &wrapper.source {
            Source::Secret { .. } => exec::Source::File(directory.to_owned()),
            Source::Http { url, .. } => exec::Source::Http {
                url: url.clone(),
                token_file: directory.join(names::TOKEN_FILE),
            },
            Source::AmbientExchange { .. } => exec::Source::Ambient,
        },
        allow_hosts,
        plain_http: wrapper.plain_http,
        variables: wrapper.variables.clone(),
        files: wrapper.files.clone(),
        on_refresh: wrapper.on_refresh,
        grace_period: GracePeriod::default(),
        control: Some(Control {
            port: control,
            git_credentials: wrapper.git_credentials.clone(),
        }),
        git: git.map(|(git, port)| GitProxy::new(port, git.hosts.clone(), git.allow.clone())),
    }
}

/// The wrapper listens on loopback, where the kubelet cannot ask.
fn probe(control: u16, ready: bool) -> Value {
    let probe = Probe::Exec {
        control_port: control,
        ready,
    };
    let (period, failures) = if ready { (10, 3) } else { (1, 60) };
    json!({
        "exec": {"command": run(probe.arguments())},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    })
}

/// Our program with these arguments.
fn run(arguments: Vec<String>) -> Vec<String> {
    let program = format!("{}/{}", names::PROGRAM_DIRECTORY, names::PROGRAM);
    std::iter::once(program).chain(arguments).collect()
}
