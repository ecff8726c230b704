//! What `inject` and `explain` are asked about: manifests, policies, the operator's settings, and the decisions.

use super::terminal::say;
use anyhow::{Context, anyhow, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use vertex_injector_core::admission::{
    self, Class, Decision, Labels, Namespaces, Needed, NotSent, Operator, Outcome, Pod, Policy, PolicySet, Reason,
};
use vertex_injector_core::manifest::policies::Policies;
use vertex_injector_core::manifest::workload::{self, PodAt, Unserved};
use vertex_injector_core::manifest::{self, Document, ManifestError, Place};
use vertex_injector_core::names::{INJECTION_ENABLED, NAMESPACE_INJECTION, NAMESPACE_NAME};

/// Why no policy selects a pod where there is none.
const NONE_GIVEN: &str = "no policies were given; name them with --policy, or put them among the manifests";

/// Which manifests and policies.
#[derive(clap::Args, Debug)]
pub(super) struct Inputs {
    /// Manifests: files, directories, or - for standard input
    #[arg(short, long, value_name = "FILE|DIR|-", required = true, num_args = 1..)]
    filename: Vec<PathBuf>,

    /// Read the directories below the named ones, too
    #[arg(short = 'R', long)]
    recursive: bool,

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

    /// Warnings about pods are errors
    #[arg(long)]
    strict: bool,
}

/// The manifests, and what is decided about each of their pods.
pub(super) struct Decided {
    pub(super) documents: Vec<Document>,
    pub(super) pods: Vec<DecidedPod>,
    strict: bool,
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
    /// Why the webhook would never be asked about it, if so.
    pub(super) not_sent: Option<(NotSent, String)>,
    /// The pod as its controller makes it.
    pub(super) pod: Value,
    pub(super) decision: Decision,
}

impl Inputs {
    /// Whether the settings of a cluster's operator are among them.
    pub(super) fn has_settings(&self) -> bool {
        self.config.is_some()
    }

    /// Reads everything and decides about every pod, in the order of the documents.
    pub(super) fn decide(self) -> anyhow::Result<Decided> {
        let Self {
            filename,
            recursive,
            policy,
            namespace,
            config,
            strict,
        } = self;
        let default_namespace = namespace.as_deref().unwrap_or("default");

        stdin_once(filename.iter().chain(&policy))?;
        let documents = read_all(&filename, recursive)?;
        if documents.is_empty() {
            bail!("no Kubernetes object in the input");
        }
        for document in &documents {
            check_object(document)?;
        }
        let policies = read_all(&policy, recursive)?;
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
            .flat_map(|(index, document)| {
                let found = workload::found(&document.value);
                for unserved in &found.unserved {
                    warn_of_unserved(&document.place, unserved, default_namespace);
                }
                found.pods.into_iter().map(move |at| (index, at))
            })
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
        let given = found.namespaces.clone();
        let set = PolicySet::new(
            compiled.collect::<Vec<_>>(),
            &opted_in(found.namespaces, pods.iter().map(|(_, _, namespace)| namespace)),
        );
        let no_policies = found.objects.is_empty();
        let objects = Objects::among(documents.iter().chain(&policies), default_namespace);
        let pods: Vec<DecidedPod> = pods
            .into_iter()
            .filter_map(|(index, at, namespace)| {
                let document = documents.get(index)?;
                let template = document.value.pointer(&at.pointer())?;
                let pod = at.pod(template);
                let (mut decision, not_sent) = decide(&pod, &namespace, &set, given.get(&namespace), &operator);
                objects.forgive(&namespace, &mut decision);
                if no_policies && decision.reason == Reason::NotSelected {
                    NONE_GIVEN.clone_into(&mut decision.message);
                }
                at.fit(template, &mut decision.patch);
                Some(DecidedPod {
                    document: index,
                    place: document.place.clone(),
                    not_sent,
                    decision,
                    pod,
                    at,
                    namespace,
                })
            })
            .collect();
        if config.is_none() {
            warn_of_image(&pods, &operator);
        }
        Ok(Decided {
            documents,
            pods,
            strict,
        })
    }
}

impl Decided {
    /// Tells every warning, skipped pod and denied pod; whether any is denied.
    pub(super) fn remarks(&self) -> bool {
        for pod in &self.pods {
            if let Some((reason, text)) = &pod.not_sent {
                let text = format!(
                    "{}: {}: the webhook would not be asked ({reason}): {text}",
                    pod.place,
                    pod.title()
                );
                say("warning", &text);
            }
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
        self.any_refused()
    }

    /// Whether any pod is denied, be it asked about or not; or warned about, where warnings are errors.
    fn any_refused(&self) -> bool {
        self.pods.iter().any(|pod| pod.decision.outcome == Outcome::Denied) || self.warned()
    }

    /// Whether warnings are errors and there is one about a pod.
    pub(super) fn warned(&self) -> bool {
        let warned = |pod: &DecidedPod| pod.not_sent.is_some() || !pod.decision.warnings.is_empty();
        self.strict && self.pods.iter().any(warned)
    }
}

impl DecidedPod {
    /// `Kind namespace/name`, and which of several templates of it.
    pub(super) fn title(&self) -> String {
        let template = if self.at.one_of_several {
            format!(" ({})", self.at.field())
        } else {
            String::new()
        };
        format!("{} {}/{}{template}", self.at.kind, self.namespace, self.at.name)
    }
}

/// Reads the operator's settings, or takes the defaults.
pub(super) fn read_operator(config: Option<&Path>) -> anyhow::Result<Operator> {
    config.map_or_else(|| Ok(Operator::default()), |path| manifest::operator(path).map_err(all))
}

/// Reads files, directories (with those below them, when it is `recursive`) and standard input, all errors at once.
pub(super) fn read_all(paths: &[PathBuf], recursive: bool) -> anyhow::Result<Vec<Document>> {
    stdin_once(paths.iter())?;
    // Without the address, which may hold a password.
    if paths.iter().any(|path| path.to_string_lossy().contains("://")) {
        bail!(
            "a URL is no file, and nothing is fetched here; fetch it first, for example: curl -fsSL URL | vertex-injector … -f -"
        );
    }
    let below = if recursive {
        directories_below(paths)?
    } else {
        Vec::new()
    };
    let paths = paths.iter().chain(&below);
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

/// All directories below directories, in the order of their names, but hidden ones. Links are not followed.
fn directories_below(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths.iter().filter(|path| path.is_dir()) {
        let unreadable = || format!("{}: cannot be read", path.display());
        let mut within = Vec::new();
        for entry in std::fs::read_dir(path).with_context(unreadable)? {
            let entry = entry.with_context(unreadable)?;
            let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            if !hidden && entry.file_type().with_context(unreadable)?.is_dir() {
                within.push(entry.path());
            }
        }
        within.sort();
        for directory in within {
            found.push(directory.clone());
            found.extend(directories_below(&[directory])?);
        }
    }
    Ok(found)
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

/// The same decision as the webhook's, made from the same bytes, and whether the webhook is asked at all.
fn decide(
    pod: &Value,
    namespace: &str,
    set: &PolicySet,
    labels: Option<&Labels>,
    operator: &Operator,
) -> (Decision, Option<(NotSent, String)>) {
    let bytes = pod.to_string();
    match Pod::parse(bytes.as_bytes()) {
        Ok(pod) => (
            admission::decide(&pod, namespace, set),
            admission::not_sent(&pod, namespace, labels, operator),
        ),
        Err(problem) => (Decision::denied(Reason::MalformedPod, Pod::problem_of(&problem)), None),
    }
}

/// Whose settings are not given has the image of a build on this machine.
fn warn_of_image(pods: &[DecidedPod], operator: &Operator) {
    let image = &operator.broker.image;
    let runs_it = |pod: &&DecidedPod| {
        let patch = serde_json::to_string(&pod.decision.patch).unwrap_or_default();
        patch.contains(image.as_str())
    };
    if let Some(pod) = pods.iter().find(runs_it) {
        say(
            "warning",
            &format!(
                "{}: {}: no operator settings were given, so containers of the injector run image {image:?}, which only a build of your own has; say --config FILE with the cluster's settings (kubectl get configmap -n NAMESPACE RELEASE -o jsonpath='{{.data.operator\\.yaml}}'), or with broker.image",
                pod.place,
                pod.title()
            ),
        );
    }
}

fn warn_of_unserved(place: &Place, unserved: &Unserved, default_namespace: &str) {
    let Unserved {
        field,
        hidden,
        advice,
        namespace,
        kind,
        name,
    } = unserved;
    let namespace = namespace.as_deref().unwrap_or(default_namespace);
    let field = if field.is_empty() { "it" } else { field };
    let problem = if *hidden {
        "has no template of a pod".to_owned()
    } else {
        format!("{field} looks like a pod and is no template of one")
    };
    say(
        "warning",
        &format!("{place}: {kind} {namespace}/{name}: {problem}, so nothing can be injected here; {advice}"),
    );
}

/// The ConfigMaps, Secrets and claims among the inputs.
#[derive(Default)]
struct Objects(BTreeSet<(String, String, String)>);

impl Objects {
    fn among<'d>(documents: impl Iterator<Item = &'d Document>, default_namespace: &str) -> Self {
        let mut found = Self::default();
        for document in documents {
            found.take(&document.value, default_namespace);
        }
        found
    }

    fn take(&mut self, object: &Value, default_namespace: &str) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        for item in object.get("items").and_then(Value::as_array).into_iter().flatten() {
            self.take(item, default_namespace);
        }
        if let (Some(kind), Some(name)) = (text("/kind"), text("/metadata/name")) {
            let namespace = text("/metadata/namespace").unwrap_or(default_namespace);
            self.0.insert((kind.to_owned(), namespace.to_owned(), name.to_owned()));
        }
    }

    /// Nobody is told to make what is there.
    fn forgive(&self, namespace: &str, decision: &mut Decision) {
        let is_there = |needed: &Needed| {
            let object = (needed.kind.to_owned(), namespace.to_owned(), needed.name.clone());
            needed.optional || self.0.contains(&object)
        };
        if decision.needs.iter().all(is_there) {
            decision.warnings.retain(|warning| warning.class != Class::Needs);
        }
    }
}

/// Without a cluster, a namespace counts as opted in; a Namespace among the manifests speaks for itself.
pub(super) fn opted_in<'a>(mut known: Namespaces, namespaces: impl Iterator<Item = &'a String>) -> Namespaces {
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
