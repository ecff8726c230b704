//! The container of one sidecar, and of the program that some need.

use super::server::{Server, Sidecars};
use super::session;
use crate::admission::draft::Draft;
use crate::admission::native::{Defaults, InjectedContainer};
use crate::admission::ports::PlacedSidecar;
use crate::admission::render;
use crate::allowed::{Allowed, Listed};
use crate::api::{CredentialFile, CredentialSource, OnRefresh};
use crate::contract;
use crate::contract::exec::{Control, Exec, GracePeriod, Source};
use crate::contract::git::{GitCredentials, GitProxy};
use crate::contract::probe::Probe;
use crate::endpoint::Endpoint;
use crate::names;
use serde_json::{Value, json};
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

const DEFAULTS: Defaults = Defaults {
    cpu: ("50m", "500m"),
    memory: ("64Mi", "256Mi"),
};

/// What is copied counts as memory of the container that copies it.
const COPY_DEFAULTS: Defaults = Defaults {
    cpu: ("10m", "200m"),
    memory: ("16Mi", "48Mi"),
};

/// Plans the container that copies our program into a volume in memory, and the volume.
pub(in crate::admission) fn plan_program(draft: &mut Draft<'_>, sidecars: &Sidecars) {
    draft.add_volume(
        names::PROGRAM_VOLUME,
        &json!({"emptyDir": {"medium": "Memory", "sizeLimit": "32Mi"}}),
    );
    for secret in &sidecars.pull_secrets {
        draft.pull_with(secret);
    }
    let to = contract::TO.to_string();
    let container = InjectedContainer {
        name: names::COPY_CONTAINER,
        image: &sidecars.image,
        pull_policy: sidecars.pull_policy,
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
        sealed: true,
    };
    container.add_to(draft);
}

/// Plans a sidecar's container with its volumes.
pub(super) fn plan_sidecar(draft: &mut Draft<'_>, placed: &PlacedSidecar<'_>, sidecars: &Sidecars) {
    let Server {
        whole,
        credential,
        env,
        resources,
    } = placed.server;
    let name = format!("{}{}", names::PIECE_PREFIX, whole.name);
    let volume = |kind: &str| format!("{}{kind}-{}", names::PIECE_PREFIX, whole.name);
    let temporary = volume("tmp");
    draft.add_volume(&temporary, &json!({"emptyDir": {"sizeLimit": "16Mi"}}));
    let mut mounts = vec![json!({"name": temporary, "mountPath": "/tmp"})];
    let mut variables: Vec<Value> = env.iter().map(render::env).collect();
    variables.extend(whole.env.iter().map(|(name, value)| render::literal(name, value)));
    let server_command = whole.command(placed.port);
    let mut command = server_command.clone();
    let mut probes = None;
    if let Some(credential) = credential {
        let agent = draft.containers.first();
        let session =
            |agent| session::take_over(agent, placed.server, credential, &sidecars.operator, &mut draft.notes);
        let taken_over = agent.map(session).unwrap_or_default();
        variables.extend(taken_over.env);
        mounts.extend(taken_over.mounts);
        match placed.control {
            None => variables.extend(from_secret(placed.server, credential)),
            Some(control) => {
                let source = volume("cred");
                if let Some(rendered) = source_volume(credential) {
                    draft.add_volume(&source, &rendered);
                    mounts.push(render::read_only_mount(&source, names::SIDECAR_CREDENTIAL_DIRECTORY));
                }
                if let Some(directory) = whole.files.first().and_then(directory) {
                    let files = volume("files");
                    draft.add_volume(&files, &json!({"emptyDir": {"medium": "Memory", "sizeLimit": "4Mi"}}));
                    mounts.push(json!({"name": files, "mountPath": directory}));
                }
                mounts.push(render::read_only_mount(names::PROGRAM_VOLUME, names::PROGRAM_DIRECTORY));
                let exec = match told(placed, control, credential, &taken_over.hosts) {
                    Ok(exec) => exec,
                    Err(problem) => {
                        let problem = format!("sidecar {:?} cannot be told its credential: {problem}", whole.name);
                        draft.notes.deny(None, "sidecars", problem);
                        return;
                    }
                };
                variables.extend(
                    exec.environment()
                        .iter()
                        .map(|(name, value)| render::literal(name, value)),
                );
                command = run(exec.arguments());
                command.extend(server_command);
                probes = Some((probe(control, false), probe(control, true)));
            }
        }
    }
    let (startup_probe, readiness_probe) = probes.unzip();
    let container = InjectedContainer {
        name: &name,
        image: &whole.image,
        pull_policy: "IfNotPresent",
        command: command.iter().map(String::as_str).collect(),
        args: whole.args.iter().map(String::as_str).collect(),
        ports: vec![json!({"containerPort": placed.port, "protocol": "TCP"})],
        env: variables,
        startup_probe,
        readiness_probe,
        stays: true,
        resources: resources.as_ref(),
        defaults: DEFAULTS,
        mounts,
        sealed: false,
    };
    container.add_to(draft);
}

/// Variables that the kubelet takes from the Secret.
fn from_secret(server: &Server, credential: &CredentialSource) -> Vec<Value> {
    let Some(secret) = &credential.secret else {
        return Vec::new();
    };
    let variable = |variable: &crate::api::CredentialVariable| {
        json!({
            "name": variable.name,
            "valueFrom": {"secretKeyRef": {"name": secret.secret_name, "key": variable.field}},
        })
    };
    server.whole.variables.iter().map(variable).collect()
}

/// What the credential is made of or fetched with, for this container alone.
fn source_volume(credential: &CredentialSource) -> Option<Value> {
    match credential {
        CredentialSource {
            secret: Some(secret), ..
        } => Some(json!({"secret": {"secretName": secret.secret_name, "defaultMode": 0o444}})),
        CredentialSource { http: Some(http), .. } => Some(json!({"projected": {
            "defaultMode": 0o444,
            "sources": [render::token_source(&http.audience, http.expiration_seconds, names::TOKEN_FILE)],
        }})),
        _ => None,
    }
}

/// What the wrapper is told. An error says what cannot be.
fn told(
    placed: &PlacedSidecar<'_>,
    control: i32,
    credential: &CredentialSource,
    hosts: &[String],
) -> Result<Exec, String> {
    let whole = &placed.server.whole;
    let allow_hosts: Vec<Listed> = hosts.iter().map(|host| read(host)).collect::<Result<_, _>>()?;
    let variables = whole.variables.iter();
    let files = whole.files.iter();
    let git = match (&whole.git, placed.git) {
        (Some(git), Some(port)) => Some(GitProxy::new(
            number(port),
            git.hosts.iter().map(|host| read(host)).collect::<Result<_, _>>()?,
            git.allow
                .iter()
                .map(|rule| read(&rule.flag()))
                .collect::<Result<_, _>>()?,
        )),
        _ => None,
    };
    let git_credentials = match &whole.git_credentials {
        Some(helpers) => Some(GitCredentials::new(
            helpers.hosts.iter().map(|host| read(host)).collect::<Result<_, _>>()?,
        )),
        None => None,
    };
    Ok(Exec {
        source: match credential {
            CredentialSource { http: Some(http), .. } => Source::Http {
                url: Endpoint::listed(&Allowed::new(allow_hosts.clone()), &http.url)
                    .map_err(|problem| format!("the URL of the credential {problem}"))?,
                token_file: Path::new(names::SIDECAR_CREDENTIAL_DIRECTORY).join(names::TOKEN_FILE),
            },
            CredentialSource { secret: Some(_), .. } => Source::File(names::SIDECAR_CREDENTIAL_DIRECTORY.into()),
            _ => Source::Ambient,
        },
        variables: variables
            .map(|variable| read(&format!("{}={}", variable.name, variable.field)))
            .collect::<Result<_, _>>()?,
        files: files
            .map(|file| read(&format!("{}={}", file.path, file.field)))
            .collect::<Result<_, _>>()?,
        on_refresh: whole.on_refresh.map(OnRefresh::told).unwrap_or_default(),
        grace_period: GracePeriod::default(),
        control: Some(Control {
            port: number(control),
            git_credentials,
        }),
        git,
        allow_hosts,
    })
}

fn read<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|problem| format!("{text:?} is {problem}"))
}

/// A port that the schema or [`super::ports`] has bounded.
fn number(port: i32) -> u16 {
    u16::try_from(port).unwrap_or_default()
}

/// The wrapper listens on loopback, where the kubelet cannot ask.
fn probe(control: i32, ready: bool) -> Value {
    let probe = Probe::Exec {
        control_port: number(control),
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

fn directory(file: &CredentialFile) -> Option<&str> {
    file.path.rsplit_once('/').map(|(directory, _)| directory)
}
