//! What becomes of references from one variable to another when variables move.

use super::ContainerDraft;
use crate::admission::env::{Known, references};
use crate::admission::pod::Container;
use crate::policy::render;
use serde_json::{Value, json};
use std::collections::BTreeSet;

impl ContainerDraft<'_> {
    /// Whether an entry at this position would refer to a variable that only follows behind it.
    pub(super) fn precedes_a_reference(&self, position: usize, entry: &Value) -> bool {
        let text = entry.get("value").and_then(Value::as_str).unwrap_or_default();
        self.json.is_none()
            && references(text).any(|name| match self.environment.position(name) {
                Some(other) => other > position || self.env_edits.remove.contains(&other),
                None => self.planned.contains(name),
            })
    }

    /// An entry as one that refers to nothing, when variables behind its position refer to it and that can be done.
    pub(super) fn resolved(&self, name: &str, position: usize, entry: &Value) -> Option<Value> {
        if !self.environment.is_referred_to(name, position) {
            return None;
        }
        let text = entry.get("value").and_then(Value::as_str)?;
        let mut edited = references(text).filter_map(|name| self.environment.position(name));
        if edited.any(|position| !self.env_edits.keeps(position)) {
            return None;
        }
        match self.environment.resolve(text)? {
            Known::Text(text) => Some(render::literal(name, &text.replace('$', "$$"))),
            Known::Opaque { source: "", .. } => None,
            Known::Opaque { source, .. } => {
                let source: Value = serde_json::from_str(source).ok()?;
                Some(json!({"name": name, "valueFrom": source}))
            }
        }
    }

    /// What of the container's own refers to variables that are not before it any more, as the kubelet wants them: each with
    /// the variable, and whether that one is still there. Each is told once.
    pub(in crate::admission) fn dangling(&self, mut tell: impl FnMut(Dangling<'_>)) {
        if self.json.is_some() || self.env_edits.remove.is_empty() {
            return;
        }
        let gone: BTreeSet<&str> = { self.env_edits.remove.iter() }
            .filter_map(|position| self.environment.name(*position))
            .collect();
        let added: BTreeSet<&str> = { self.env_edits.append.iter() }
            .filter_map(|entry| entry.get("name")?.as_str())
            .collect();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut lost: BTreeSet<&str> = BTreeSet::new();
        for (i, (name, literal)) in self.environment.literals().enumerate() {
            let stays = !self.env_edits.remove.contains(&i);
            if self.env_edits.keeps(i) {
                let to = references(literal.unwrap_or_default()).filter(|variable| lost.contains(variable));
                for to in to.collect::<BTreeSet<_>>() {
                    let late = added.contains(to);
                    tell(Dangling { of: name, to, late });
                }
            }
            if gone.contains(name) {
                if stays {
                    seen.insert(name);
                    lost.remove(name);
                } else if !seen.contains(name) {
                    lost.insert(name);
                }
            }
        }
        let is_lost = |variable: &&str| lost.contains(variable) && !added.contains(variable);
        let Container {
            command,
            args,
            liveness_probe,
            readiness_probe,
            startup_probe,
            volume_mounts,
            ..
        } = self.chosen.container;
        for (field, raw) in [
            ("command", *command),
            ("args", *args),
            ("livenessProbe", liveness_probe.command()),
            ("readinessProbe", readiness_probe.command()),
            ("startupProbe", startup_probe.command()),
        ] {
            let words: Vec<String> =
                raw.map_or_else(Vec::new, |raw| serde_json::from_str(raw.get()).unwrap_or_default());
            let to = words.iter().flat_map(|word| references(word)).filter(is_lost);
            for to in to.collect::<BTreeSet<_>>() {
                let (of, late) = (field, false);
                tell(Dangling { of, to, late });
            }
        }
        let mounts = volume_mounts.iter().flatten().enumerate();
        let kept = mounts.filter(|(i, _)| self.keeps_mount(*i));
        let paths = kept.filter_map(|(_, mount)| mount.sub_path_expr.as_deref());
        for to in paths.flat_map(references).filter(is_lost).collect::<BTreeSet<_>>() {
            let (of, late) = (SUB_PATH, false);
            tell(Dangling { of, to, late });
        }
    }
}

/// The field of a mount without which the kubelet does not start a container.
pub(in crate::admission) const SUB_PATH: &str = "volumeMounts[].subPathExpr";

/// A reference that the kubelet will not resolve any more.
pub(in crate::admission) struct Dangling<'d> {
    /// The variable that has it, or the field.
    pub(in crate::admission) of: &'d str,
    /// The variable that it is to.
    pub(in crate::admission) to: &'d str,
    /// Whether that one is there, but too late.
    pub(in crate::admission) late: bool,
}
