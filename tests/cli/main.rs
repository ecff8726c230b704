//! The built binary as a person uses it: what it writes where, and how it ends.
#![cfg(test)]

mod copy;
mod crds;
mod diff;
mod directories;
mod explain;
mod help;
mod inject;
mod inputs;
mod man;
mod people;
mod real_manifests;
mod tab;
mod templates;
mod terminal;
mod unreachable;
mod validate;
mod webhook;

use harness::process::Ran;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use vertex_injector_core::manifest;

const LIMIT: Duration = Duration::from_mins(1);

/// The pod and the policy of the README's first command.
const POD: &str = "hack/demo/pod.yaml";
const POLICY: &str = "hack/demo/policy.yaml";

/// A policy for the pods of [`pod`], in the namespace `team`.
const TEAM_POLICY: &str = "
apiVersion: vertex-injector.dev/v1alpha1
kind: InjectionPolicy
metadata: {name: agents, namespace: team}
spec:
  agents: [{podSelector: {matchLabels: {agent: 'yes'}}}]
  vertex: {project: my-project, region: us-east5, clients: [ClaudeCode]}
  identity:
    workloadIdentityFederation:
      provider: projects/1/locations/global/workloadIdentityPools/agents/providers/cluster
  authHelpers: [{configMapName: helpers, mountPath: /opt/helpers}]
";

/// The binary, started at the root of the repository.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vertex-injector"));
    command.args(arguments).current_dir(harness::process::repository());
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command
}

#[track_caller]
fn run(arguments: &[&str]) -> Ran {
    run_with(arguments, "")
}

/// Runs the binary with this on standard input.
#[track_caller]
fn run_with(arguments: &[&str], input: &str) -> Ran {
    harness::process::run(&mut command(arguments), input, LIMIT)
}

/// A pod of the namespace `team` that [`TEAM_POLICY`] serves.
fn pod(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: team, labels: {{agent: 'yes'}}}}\n\
         spec: {{containers: [{{name: agent, image: i}}]}}\n"
    )
}

/// A pod that asks for injection in a namespace where nothing serves it.
fn lost_pod(name: &str) -> String {
    pod(name)
        .replace("namespace: team", "namespace: nowhere")
        .replace("agent: 'yes'", "vertex-injector.dev/inject: 'true'")
}

/// Files of a test, gone with it.
struct Files(TempDir);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        Self(directory)
    }

    fn path(&self, name: &str) -> String {
        let path: PathBuf = self.0.path().join(name);
        path.into_os_string().into_string().unwrap()
    }
}

/// The only object of a YAML or JSON text.
#[track_caller]
fn one(text: &str) -> Value {
    let mut objects = all(text);
    assert_eq!(objects.len(), 1, "{text}");
    objects.remove(0)
}

#[track_caller]
fn all(text: &str) -> Vec<Value> {
    manifest::documents(text).unwrap()
}
