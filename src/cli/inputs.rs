//! What `inject` and `explain` are asked about: manifests, policies, the operator's settings, and the decisions.

use super::terminal::say;
use anyhow::{anyhow, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vertex_injector_core::admission::{
    self, Class, Decision, Namespaces, Operator, Outcome, Pod, Policy, PolicySet, Reason,
};
use vertex_injector_core::manifest::policies::Policies;
use vertex_injector_core::manifest::workload::{self, PodAt};
use vertex_injector_core::manifest::{self, Document, ManifestError, Place};
use vertex_injector_core::names::{INJECTION_ENABLED, NAMESPACE_INJECTION, NAMESPACE_NAME};

/// Which manifests and policies.
#[derive(clap::Args, Debug)]
pub(super) struct Inputs {
    /// Manifests: files, directories, or - for standard input
    #[arg(short, long, value_name = "FILE|DIR|-", required = true, num_args = 1..)]
    filename: Vec<PathBuf>,

    /// More policies and Namespaces, which do not become part of the output
    #[arg(long, value_name = "FILE|DIR|-", num_args = 1..)]
    policy: Vec<PathBuf>,

    /// Namespace of objects and policies that name none [default: default]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,

    /// The operator's settings, as the chart writes them for the webhook (kubectl get configmap -n NAMESPACE RELEASE -o
    /// jsonpath='{.data.operator\.yaml}'). Without them nothing is allowed that needs a list of theirs, and brokers run the
    /// image that `make image` builds
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The manifests, and what is decided about each of their pods.
pub(super) struct Decided {
    pub(super) documents: Vec<Document>,
    pub(super) pods: Vec<DecidedPod>,
}

/// A pod and what is decided about it.
pub(super) struct DecidedPod {
    /// Index of its document.
    pub(super) document: usize,
    /// Where that came from.
    pub(super) place: Place,
    /// Where the pod is in the document.
    pub(super) at: PodAt,
    /// The namespace that it will be in.
    pub(super) namespace: String,
    pub(super) decision: Decision,
}

impl Inputs {
    /// Reads everything and decides about every pod, in the order of the documents.
    pub(super) fn decide(self) -> anyhow::Result<Decided> {
        let Self {
            filename,
            policy,
            namespace,
            config,
        } = self;
        let default_namespace = namespace.as_deref().unwrap_or("default");

        stdin_once(filename.iter().chain(&policy))?;
        let documents = read_all(&filename)?;
        if documents.is_empty() {
            bail!("no Kubernetes object in the input");
        }
        for document in &documents {
            check_object(document)?;
        }
        let policies = read_all(&policy)?;
        for other in Policies::among(&policies, default_namespace).others {
            say(
                "warning",
                &format!(
                    "{}: {}/{}: neither a policy nor a Namespace, ignored",
                    other.place, other.kind, other.name
                ),
            );
        }
        let found = Policies::among(documents.iter().chain(&policies), default_namespace);
        if !found.unusable.is_empty() {
            let problems: Vec<_> = found.unusable.iter().map(ToString::to_string).collect();
            bail!(problems.join("\n"));
        }

        let operator = read_operator(config.as_deref())?;
        let compiled = found
            .objects
            .iter()
            .map(|(_, policy)| Arc::new(Policy::compile(policy, &operator)));
        let pods: Vec<_> = documents
            .iter()
            .enumerate()
            .flat_map(|(index, document)| workload::pods(&document.value).into_iter().map(move |at| (index, at)))
            .map(|(index, at)| {
                let namespace = at.namespace.clone().unwrap_or_else(|| default_namespace.to_owned());
                (index, at, namespace)
            })
            .collect();
        if namespace.is_none() && !pods.is_empty() && pods.iter().all(|(_, _, namespace)| namespace != "default") {
            for policy in &found.homeless {
                say(
                    "warning",
                    &format!(
                        "{}: {}/{} names no namespace and is taken for \"default\", where none of the pods is; say \
                         -n NAMESPACE",
                        policy.place, policy.kind, policy.name
                    ),
                );
            }
        }
        let set = PolicySet::new(
            compiled.collect::<Vec<_>>(),
            &opted_in(found.namespaces, pods.iter().map(|(_, _, namespace)| namespace)),
        );
        let pods = pods
            .into_iter()
            .filter_map(|(index, at, namespace)| {
                let document = documents.get(index)?;
                let pod = document.value.pointer(&at.pointer())?;
                Some(DecidedPod {
                    document: index,
                    place: document.place.clone(),
                    decision: decide(pod, &namespace, &set),
                    at,
                    namespace,
                })
            })
            .collect();
        Ok(Decided { documents, pods })
    }
}

impl Decided {
    /// Tells every warning, skipped pod and denied pod; whether any is denied.
    pub(super) fn remarks(&self) -> bool {
        for pod in &self.pods {
            for warning in &pod.decision.warnings {
                say("warning", &format!("{}: {}: {warning}", pod.place, pod.title()));
            }
            let (label, verb) = match pod.decision.outcome {
                Outcome::Injected => continue,
                // Some skipped pods come with a warning that says so.
                Outcome::Skipped if { pod.decision.warnings.iter() }.any(|it| it.class == Class::Outcome) => continue,
                Outcome::Skipped => ("note", "skipped"),
                Outcome::Denied => ("error", "denied"),
            };
            let Decision { reason, message, .. } = &pod.decision;
            say(
                label,
                &format!("{}: {}: {verb} ({reason}): {message}", pod.place, pod.title()),
            );
        }
        self.any_denied()
    }

    /// Whether any pod is denied.
    pub(super) fn any_denied(&self) -> bool {
        self.pods.iter().any(|pod| pod.decision.outcome == Outcome::Denied)
    }
}

impl DecidedPod {
    /// `Kind namespace/name`.
    pub(super) fn title(&self) -> String {
        format!("{} {}/{}", self.at.kind, self.namespace, self.at.name)
    }
}

/// Reads the operator's settings, or takes the defaults.
pub(super) fn read_operator(config: Option<&Path>) -> anyhow::Result<Operator> {
    config.map_or_else(|| Ok(Operator::default()), |path| manifest::operator(path).map_err(all))
}

/// Reads files, directories and standard input, all errors at once.
pub(super) fn read_all(paths: &[PathBuf]) -> anyhow::Result<Vec<Document>> {
    stdin_once(paths.iter())?;
    let mut documents = Vec::new();
    let mut errors = Vec::new();
    for path in paths {
        let read = if is_stdin(path) {
            manifest::read_stdin().map_err(|error| vec![error])
        } else {
            manifest::read(path)
        };
        match read {
            Ok(read) => documents.extend(read),
            Err(several) => errors.extend(several),
        }
    }
    if errors.is_empty() {
        Ok(documents)
    } else {
        Err(all(errors))
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn stdin_once<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> anyhow::Result<()> {
    if paths.filter(|path| is_stdin(path)).count() > 1 {
        bail!("standard input (-) can be read only once");
    }
    Ok(())
}

/// The same decision as the webhook's, made from the same bytes.
fn decide(pod: &Value, namespace: &str, set: &PolicySet) -> Decision {
    let bytes = pod.to_string();
    match Pod::parse(bytes.as_bytes()) {
        Ok(pod) => admission::decide(&pod, namespace, set),
        Err(problem) => Decision::denied(Reason::MalformedPod, problem),
    }
}

/// Without a cluster, a namespace counts as opted in; a Namespace among the manifests speaks for itself.
fn opted_in<'a>(mut known: Namespaces, namespaces: impl Iterator<Item = &'a String>) -> Namespaces {
    for namespace in namespaces {
        known.entry(namespace.clone()).or_insert_with(|| {
            BTreeMap::from([
                (NAMESPACE_NAME.to_owned(), namespace.clone()),
                (NAMESPACE_INJECTION.to_owned(), INJECTION_ENABLED.to_owned()),
            ])
        });
    }
    known
}

fn check_object(document: &Document) -> anyhow::Result<()> {
    for (field, value) in [("apiVersion", document.api_version()), ("kind", document.kind())] {
        if value.is_empty() {
            bail!("{}: not a Kubernetes object: it has no {field}", document.place);
        }
    }
    Ok(())
}

/// One error with a line for each.
fn all(errors: impl IntoIterator<Item = ManifestError>) -> anyhow::Error {
    let lines: Vec<_> = errors.into_iter().map(|error| error.to_string()).collect();
    anyhow!(lines.join("\n"))
}
