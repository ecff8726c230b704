//! Policies and namespaces from a directory, for webhooks without a cluster: read again when the content changes, all
//! or nothing.

use super::policies::Current;
use super::ready::Part;
use crate::metrics::Metrics;
use anyhow::{Context, bail, ensure};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info, warn};
use vertex_injector_core::admission::{Policy, PolicySet};
use vertex_injector_core::manifest::{self, policies::Policies};
use vertex_injector_core::operator::Operator;

/// How often the directory is looked at. By content, not by notification: a mounted ConfigMap is swapped by renaming a
/// directory, which watches on the files miss.
const INTERVAL: Duration = Duration::from_secs(1);

/// Most bytes of all files together.
const MAX_BYTES: u64 = 32 << 20;

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

/// A file's path and its text.
type Manifest = (PathBuf, String);

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
        let manifests = source.read().context("cannot use --policy-dir")?;
        let set = source.parse(&manifests).context("cannot use --policy-dir")?;
        info!(directory = %source.directory.display(), policies = set.policies().count(), "loaded the policy directory");
        let seen = hash(&manifests);
        Ok((Self { source, seen }, set))
    }

    /// Follows the directory until the task is dropped. While it is broken, the last good policies stay.
    pub(crate) async fn follow(mut self, current: Arc<Current>, metrics: Arc<Metrics>, read: Part) {
        read.met();
        loop {
            tokio::time::sleep(INTERVAL).await;
            let (source, known) = (Arc::clone(&self.source), self.seen);
            let Ok(Look { seen, set }) = tokio::task::spawn_blocking(move || source.look(known)).await else {
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
    fn look(&self, known: u64) -> Look {
        let manifests = self.read();
        let seen = match &manifests {
            Ok(manifests) => hash(manifests),
            Err(error) => hash(&format!("{error:#}")),
        };
        let set = (seen != known).then(|| self.parse(&manifests?));
        Look { seen, set }
    }

    /// The `.yaml`, `.yml` and `.json` files in the order of their names; no hidden ones, no subdirectories.
    fn read(&self) -> anyhow::Result<Vec<Manifest>> {
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
        let mut manifests = Vec::with_capacity(paths.len());
        for path in paths {
            let text = read(&path, left).with_context(|| path.display().to_string())?;
            left -= text.len() as u64;
            manifests.push((path, text));
        }
        Ok(manifests)
    }

    fn parse(&self, manifests: &[Manifest]) -> anyhow::Result<PolicySet> {
        let mut documents = Vec::new();
        let mut problems = Vec::new();
        for (path, text) in manifests {
            match manifest::parse(&path.to_string_lossy(), text) {
                Ok(parsed) => documents.extend(parsed),
                Err(problem) => problems.push(problem.to_string()),
            }
        }
        let found = Policies::among(&documents, &self.namespace);
        problems.extend(found.unusable.iter().map(ToString::to_string));
        if !problems.is_empty() {
            bail!(problems.join("\n"));
        }
        for other in &found.others {
            warn!(place = %other.place, kind = other.kind, name = other.name, "neither a policy nor a Namespace; ignored");
        }
        let policies: Vec<_> = found
            .objects
            .iter()
            .map(|(_, policy)| Arc::new(Policy::compile(policy, &self.operator)))
            .collect();
        for policy in &policies {
            let problem = match policy.unreachable() {
                Some(why) => why.to_owned(),
                None if policy.errors().0.is_empty() => continue,
                None => policy.errors().to_string(),
            };
            warn!(policy = %policy.name(), problem, "a policy does not work");
        }
        Ok(PolicySet::new(policies, Arc::new(found.namespaces)))
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

fn hash(content: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}
