//! Policies and namespaces from a directory, for webhooks without a cluster: read again when the content changes, all
//! or nothing.

use super::policies::Current;
use super::ready::Part;
use crate::metrics::Metrics;
use anyhow::{Context, ensure};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info, warn};
use vertex_injector_core::admission::{Compiler, Policy, PolicySet};
use vertex_injector_core::manifest::policies::Policies;
use vertex_injector_core::manifest::{self, Document, Place};
use vertex_injector_core::operator::Operator;
use vertex_injector_net::watch_files::{Files, Watched};

/// How often the directory is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// A directory of policies.
pub(crate) struct PolicyDir(Watched<Source>);

struct Source {
    directory: PathBuf,
    /// Where policies that name no namespace apply.
    namespace: String,
    operator: Arc<Operator>,
}

/// What the files come to, taken in one object after the other: all at once they would need many times the memory.
struct Loading<'a> {
    source: &'a Source,
    compiler: Compiler,
    set: PolicySet,
    /// Where each policy stands.
    places: Vec<(Arc<Policy>, Place)>,
    problems: Vec<String>,
}

impl PolicyDir {
    /// Reads the directory for the first time.
    ///
    /// # Errors
    /// When it, or any file or policy of it, cannot be read; all files with errors are named.
    pub(crate) fn open(
        directory: PathBuf,
        namespace: String,
        operator: Arc<Operator>,
    ) -> anyhow::Result<(Self, PolicySet)> {
        let source = Source {
            directory,
            namespace,
            operator,
        };
        let (watched, set) = Watched::open(source, INTERVAL).context("cannot use --policy-dir")?;
        info!(
            directory = watched.files().name(),
            policies = set.policies().count(),
            "loaded the policy directory"
        );
        Ok((Self(watched), set))
    }

    /// Follows the directory until the task is dropped. While it is broken, the last good policies stay.
    pub(crate) async fn follow(mut self, current: Arc<Current>, metrics: Arc<Metrics>, read: Part) {
        read.met();
        loop {
            let changed = self.0.changed().await;
            let directory = self.0.files().name();
            match changed {
                Ok(set) => {
                    info!(
                        directory,
                        policies = set.policies().count(),
                        "loaded the changed policy directory"
                    );
                    current.publish(set);
                }
                Err(problem) => {
                    metrics.policy_reload_failures.inc();
                    error!(
                        directory,
                        error = format!("{problem:#}"),
                        "the changed policy directory cannot be used; the last good policies stay"
                    );
                }
            }
        }
    }
}

impl Source {
    fn name(&self) -> String {
        self.directory.display().to_string()
    }
}

impl Files for Source {
    type Content = PolicySet;

    /// Some 300,000 policies.
    const MAX_BYTES: u64 = 256 << 20;

    fn paths(&self) -> anyhow::Result<Vec<PathBuf>> {
        Ok(manifest::manifests_in(&self.directory)?)
    }

    fn load(&self, files: impl Iterator<Item = anyhow::Result<(PathBuf, Vec<u8>)>>) -> anyhow::Result<PolicySet> {
        let mut loading = Loading {
            source: self,
            compiler: Compiler::new(Arc::clone(&self.operator)),
            set: PolicySet::default(),
            places: Vec::new(),
            problems: Vec::new(),
        };
        for file in files {
            let (path, bytes) = file?;
            let text = String::from_utf8(bytes).with_context(|| path.display().to_string())?;
            loading.take(&path, &text);
        }
        loading.finish()
    }
}

impl Loading<'_> {
    fn take(&mut self, path: &Path, text: &str) {
        if let Err(problem) = manifest::each(&path.to_string_lossy(), text, |document| self.add(&document)) {
            self.problems.push(problem.to_string());
        }
    }

    fn add(&mut self, document: &Document) {
        let found = Policies::among([document], &self.source.namespace);
        self.problems.extend(found.unusable.iter().map(ToString::to_string));
        for other in &found.others {
            warn!(place = %other.place, kind = other.kind, name = other.name, "neither a policy nor a Namespace; ignored");
        }
        for (namespace, labels) in found.namespaces {
            self.set.put_namespace(&namespace, self.compiler.labels(labels));
        }
        for (place, policy) in found.objects {
            let policy = self.compiler.policy(&policy);
            match self.set.get(policy.name()) {
                Some(known) if known.is_same(&policy) => continue,
                Some(known) => {
                    let first = self.places.iter().find(|(policy, _)| Arc::ptr_eq(policy, known));
                    let first = first.map(|(_, place)| place.to_string()).unwrap_or_default();
                    let name = policy.name();
                    self.problems.push(format!(
                        "{place}: {name}: another policy of this name stands in {first}; leave one of the two out, or give it another name"
                    ));
                }
                None => {}
            }
            let problem = match policy.unreachable() {
                Some(why) => Some(why.to_owned()),
                None if policy.errors().0.is_empty() => None,
                None => Some(policy.errors().to_string()),
            };
            if let Some(problem) = problem {
                warn!(policy = %policy.name(), problem, "a policy does not work");
            }
            self.places.push((Arc::clone(&policy), place));
            self.set.put(policy);
        }
    }

    fn finish(self) -> anyhow::Result<PolicySet> {
        ensure!(self.problems.is_empty(), self.problems.join("\n"));
        Ok(self.set)
    }
}
