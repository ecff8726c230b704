//! The environment of a container as it will be.

use super::ContainerDraft;
use crate::admission::env::{Environment, Given};
use crate::admission::pod::Pod;
use serde_json::Value;
use std::borrow::Cow;

impl<'p> ContainerDraft<'p> {
    /// The environment with every edit that is planned so far, references in it resolved anew.
    pub(in crate::admission) fn environment_after<'d>(&'d self, pod: &'d Pod<'p>) -> Environment<'d> {
        if let Some((_, json)) = &self.json {
            return Environment::of_json(json);
        }
        let container = self.chosen.container;
        let own = container.env.iter().flatten().enumerate();
        let own = own.filter_map(|(position, env)| match self.env_edits.replace.get(&position) {
            Some(entry) => written(entry),
            None => {
                let kept = self.env_edits.keeps(position);
                kept.then(|| (Cow::Borrowed(&*env.name), Given::of(env)))
            }
        });
        let appended = self.env_edits.append.iter().filter_map(written);
        Environment::of_entries(pod, container, own.chain(appended))
    }
}

/// Name and value of an entry of ours.
fn written(entry: &Value) -> Option<(Cow<'_, str>, Given<'_>)> {
    let name = entry.get("name")?.as_str()?;
    Some((Cow::Borrowed(name), Given::of_written(entry)))
}
