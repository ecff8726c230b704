//! Policies and namespaces from a directory, for webhooks without a cluster: read again when the content changes, all
//! or nothing.

use super::policies::Current;
use super::ready::Part;
use crate::metrics::Metrics;
use anyhow::{Context, ensure};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info, warn};
use vertex_injector_core::admission::{Compiler, Policy, PolicySet};
use vertex_injector_core::manifest::policies::Policies;
use vertex_injector_core::manifest::{self, Document, Place};
use vertex_injector_core::operator::Operator;

/// How often the directory is looked at. By content, not by notification: a mounted ConfigMap is swapped by renaming a
/// directory, which watches on the files miss.
const INTERVAL: Duration = Duration::from_secs(1);

/// Most bytes of all files together: some 300,000 policies.
const MAX_BYTES: u64 = 256 << 20;

/// A directory of policies.
pub(crate) struct PolicyDir {
    source: Arc<Source>,
    seen: u64,
}

struct Source {
    directory: PathBuf,
    /// Where policies that name no namespace apply.
    namespace: String,
    operator: Arc<Operator>,
}

/// One look at the directory.
struct Look {
    seen: u64,
    /// None: the content was `known`.
    set: Option<anyhow::Result<PolicySet>>,
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
        let source = Arc::new(Source {
            directory,
            namespace,
            operator,
        });
        let Look { seen, set } = source.look(None);
        let set = set.unwrap_or_else(|| Ok(PolicySet::default()));
        let set = set.context("cannot use --policy-dir")?;
        info!(directory = %source.directory.display(), policies = set.policies().count(), "loaded the policy directory");
        Ok((Self { source, seen }, set))
    }

    /// Follows the directory until the task is dropped. While it is broken, the last good policies stay.
    pub(crate) async fn follow(mut self, current: Arc<Current>, metrics: Arc<Metrics>, read: Part) {
        read.met();
        loop {
            tokio::time::sleep(INTERVAL).await;
            let (source, known) = (Arc::clone(&self.source), self.seen);
            let Ok(Look { seen, set }) = tokio::task::spawn_blocking(move || source.look(Some(known))).await else {
                continue;
            };
            self.seen = seen;
            let directory = self.source.directory.display();
            match set {
                None => {}
                Some(Ok(set)) => {
                    info!(%directory, policies = set.policies().count(), "loaded the changed policy directory");
                    current.publish(set, 0);
                }
                Some(Err(problem)) => {
                    metrics.policy_reload_failures.inc();
                    error!(
                        %directory,
                        error = format!("{problem:#}"),
                        "the changed policy directory cannot be used; the last good policies stay"
                    );
                }
            }
        }
    }
}

impl Source {
    fn look(&self, known: Option<u64>) -> Look {
        // Most looks find nothing new; only then is anything parsed.
        if let Some(known) = known
            && hash_of(&self.each(|_, _| {})) == known
        {
            return Look { seen: known, set: None };
        }
        let mut loading = Loading {
            source: self,
            compiler: Compiler::new(Arc::clone(&self.operator)),
            set: PolicySet::default(),
            places: Vec::new(),
            problems: Vec::new(),
        };
        let read = self.each(|path, text| loading.take(path, text));
        Look {
            seen: hash_of(&read),
            set: Some(read.and_then(|_| loading.finish())),
        }
    }

    /// Takes the `.yaml`, `.yml` and `.json` files one by one, in the order of their names; no hidden ones, no
    /// subdirectories. The hash of their names and contents.
    fn each(&self, mut take: impl FnMut(&Path, &str)) -> anyhow::Result<u64> {
        let entries = fs::read_dir(&self.directory).with_context(|| self.directory.display().to_string())?;
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.with_context(|| self.directory.display().to_string())?.path();
            if is_manifest(&path) {
                paths.push(path);
            }
            ensure!(
                paths.len() <= manifest::MAX_FILES,
                "more than {} manifests",
                manifest::MAX_FILES
            );
        }
        paths.sort();
        let mut left = MAX_BYTES;
        let mut hasher = DefaultHasher::new();
        for path in paths {
            let text = read(&path, left).with_context(|| path.display().to_string())?;
            left -= text.len() as u64;
            (&path, &text).hash(&mut hasher);
            take(&path, &text);
        }
        Ok(hasher.finish())
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
                        "{place}: {name}: the same policy stands differently in {first}"
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

fn is_manifest(path: &Path) -> bool {
    let hidden = path
        .file_name()
        .is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    let known = path
        .extension()
        .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known));
    known && !hidden && !path.is_dir()
}

fn read(path: &Path, limit: u64) -> anyhow::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(limit + 1).read_to_string(&mut text)?;
    ensure!(
        text.len() as u64 <= limit,
        "all files together are larger than {} MiB",
        MAX_BYTES >> 20
    );
    Ok(text)
}

/// The hash of the files or, when they cannot be read, of the reason.
fn hash_of(read: &anyhow::Result<u64>) -> u64 {
    match read {
        Ok(hash) => *hash,
        Err(error) => {
            let mut hasher = DefaultHasher::new();
            format!("{error:#}").hash(&mut hasher);
            hasher.finish()
        }
    }
}
