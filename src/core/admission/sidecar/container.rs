//! The container of one sidecar, and of the program that some need.

use super::server::{Server, Sidecars};
use super::session;
use crate::admission::draft::Draft;
use crate::admission::native::{Defaults, InjectedContainer};
use crate::admission::ports::PlacedSidecar;
use crate::admission::render;
use crate::api::{CredentialFile, CredentialSource};
use crate::names;
use serde_json::{Value, json};

const DEFAULTS: Defaults = Defaults {
    cpu: ("50m", "500m"),
    memory: ("64Mi", "256Mi"),
};

/// What is copied counts as memory of the container that copies it.
const COPY_DEFAULTS: Defaults = Defaults {
    cpu: ("10m", "200m"),
    memory: ("32Mi", "160Mi"),
};

/// Plans the container that copies our program into a volume in memory, and the volume.
pub(in crate::admission) fn plan_program(draft: &mut Draft<'_>, sidecars: &Sidecars) {
    draft.add_volume(
        names::PROGRAM_VOLUME,
        &json!({"emptyDir": {"medium": "Memory", "sizeLimit": "128Mi"}}),
    );
    for secret in &sidecars.pull_secrets {
        draft.pull_with(secret);
    }
    let container = InjectedContainer {
        name: names::COPY_CONTAINER,
        image: &sidecars.image,
        pull_policy: sidecars.pull_policy,
        command: Vec::new(),
        args: vec!["copy", "--to", names::PROGRAM_DIRECTORY],
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
                variables.push(render::literal("VERTEX_INJECTOR_CONTROL_PORT", &control.to_string()));
                command = wrapper(placed, credential, &taken_over.hosts);
                command.extend(server_command);
                probes = Some((probe(&["probe"]), probe(&["probe", "--ready"])));
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

/// `vertex-injector exec` with its flags, up to the server's command.
fn wrapper(placed: &PlacedSidecar<'_>, credential: &CredentialSource, hosts: &[String]) -> Vec<String> {
    let whole = &placed.server.whole;
    let mut command = vec![program(), "exec".to_owned(), "--source".to_owned()];
    let mut add = |parts: &[&str]| command.extend(parts.iter().map(|part| (*part).to_owned()));
    match credential {
        CredentialSource { http: Some(http), .. } => {
            let token = format!("{}/{}", names::SIDECAR_CREDENTIAL_DIRECTORY, names::TOKEN_FILE);
            add(&[&http.url, "--token-file", &token]);
        }
        CredentialSource { secret: Some(_), .. } => {
            add(&[&format!("file:{}", names::SIDECAR_CREDENTIAL_DIRECTORY)]);
        }
        _ => add(&["ambient"]),
    }
    for host in hosts {
        add(&["--allow-host", host]);
    }
    for variable in &whole.variables {
        add(&["--env", &format!("{}={}", variable.name, variable.field)]);
    }
    for file in &whole.files {
        add(&["--file", &format!("{}={}", file.path, file.field)]);
    }
    if let Some(on_refresh) = whole.on_refresh {
        add(&["--on-refresh", on_refresh.flag()]);
    }
    if let (Some(git), Some(port)) = (&whole.git, placed.git) {
        add(&["--git-port", &port.to_string()]);
        for host in &git.hosts {
            add(&["--git-host", host]);
        }
        for rule in &git.allow {
            add(&["--git-allow", &rule.flag()]);
        }
    }
    for host in whole.git_credentials.iter().flat_map(|it| &it.hosts) {
        add(&["--git-credentials", host]);
    }
    add(&["--"]);
    command
}

/// The wrapper listens on loopback, where the kubelet cannot ask.
fn probe(arguments: &[&str]) -> Value {
    let mut command = vec![program()];
    command.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    let (period, failures) = if arguments.len() > 1 { (10, 3) } else { (1, 60) };
    json!({
        "exec": {"command": command},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    })
}

fn program() -> String {
    format!("{}/{}", names::PROGRAM_DIRECTORY, names::PROGRAM)
}

fn directory(file: &CredentialFile) -> Option<&str> {
    file.path.rsplit_once('/').map(|(directory, _)| directory)
}
