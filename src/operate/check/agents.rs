//! Pods that run, beside the policies of today.

use crate::finding::{Finding, Object, Part};
use crate::problem::Problem;
use crate::standing::Standing;
use serde::Serialize;

/// Most changes that one line names.
const SHOWN: usize = 4;

/// A pod whose injection is not what today's policies say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Who made it, `Kind/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The policy that has injected it, with its generation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub injected_by: Option<String>,
    /// How it stands.
    #[serde(flatten)]
    pub standing: Standing,
}

/// What was found among the pods of some namespaces.
#[derive(Debug, Default)]
pub struct Found {
    /// How many pods have what today's policies say.
    pub current: usize,
    /// Those that have not.
    pub agents: Vec<Agent>,
    /// Namespaces at which nobody could look, and why.
    pub unseen: Vec<(String, String)>,
    /// Whether there are more pods than were looked at.
    pub more: bool,
}

impl Agent {
    /// What is wrong with it, if something is.
    pub fn problem(&self) -> Option<Problem> {
        match self.standing {
            Standing::Current { .. } | Standing::LeftAlone { .. } => None,
            Standing::Outdated { .. } => Some(Problem::AgentOutdated),
            Standing::NotInjected { .. } => Some(Problem::AgentNotInjected),
            Standing::NotSent { .. } => Some(Problem::AgentNotSent),
            Standing::Orphaned { .. } => Some(Problem::AgentOrphaned),
            Standing::Refused { .. } => Some(Problem::AgentWouldBeRefused),
        }
    }

    /// What today's policies would change.
    pub fn changes(&self) -> &[String] {
        match &self.standing {
            Standing::Outdated { changes, .. } => changes,
            Standing::Current { .. }
            | Standing::NotInjected { .. }
            | Standing::NotSent { .. }
            | Standing::Orphaned { .. }
            | Standing::Refused { .. }
            | Standing::LeftAlone { .. } => &[],
        }
    }

    /// Without the changes.
    pub fn summary(&self) -> String {
        match &self.standing {
            Standing::Outdated { policy, changes } => {
                let by = self.injected_by.as_deref().unwrap_or("nobody");
                let count = super::count(changes.len(), "thing", "things");
                format!("was injected by {by}; {policy} would change {count}")
            }
            Standing::Current { .. }
            | Standing::NotInjected { .. }
            | Standing::NotSent { .. }
            | Standing::Orphaned { .. }
            | Standing::Refused { .. }
            | Standing::LeftAlone { .. } => self.words(),
        }
    }

    /// The same in words.
    pub fn words(&self) -> String {
        let by = self.injected_by.as_deref().unwrap_or("nobody");
        match &self.standing {
            Standing::Current { policy } => format!("has what {policy} says"),
            Standing::LeftAlone { reason, why } => format!("is left alone ({reason}): {why}"),
            Standing::Outdated { policy, changes } => {
                let more = changes.len().saturating_sub(SHOWN);
                let more = if more == 0 {
                    String::new()
                } else {
                    format!("; and {more} more")
                };
                let changes: Vec<&str> = changes.iter().take(SHOWN).map(String::as_str).collect();
                format!(
                    "was injected by {by}; {policy} would change: {}{more}",
                    changes.join("; ")
                )
            }
            Standing::NotInjected { policy } => format!("runs without what {policy} would inject"),
            Standing::NotSent { policy, why } => format!("runs without what {policy} would inject: {why}"),
            Standing::Orphaned { why } => format!("was injected by {by}; today: {why}"),
            Standing::Refused { policy, reason, why } => {
                let policy = policy
                    .as_deref()
                    .map(|policy| format!(" by {policy}"))
                    .unwrap_or_default();
                format!("would be refused{policy} ({reason}): {why}")
            }
        }
    }
}

/// Judges them.
pub fn judge(found: &Found) -> Vec<Finding> {
    let pods = || Object::new("agents", "");
    let mut findings = Vec::new();
    if found.agents.is_empty() || found.current > 0 {
        let text = super::count(found.current, "running agent has", "running agents have");
        findings.push(Finding::fine(
            Part::Agents,
            pods(),
            format!("{text} what today's policies say"),
        ));
    }
    let judged = found.agents.iter().filter_map(|agent| {
        let object = Object::within("Pod", &agent.namespace, &agent.name);
        Some(Finding::of(agent.problem()?, object, agent.words()))
    });
    findings.extend(judged);
    let unseen = found.unseen.iter();
    findings
        .extend(unseen.map(|(namespace, why)| Finding::unseen(Part::Agents, Object::new("Namespace", namespace), why)));
    if found.more {
        findings.push(Finding::of(Problem::TooMany, pods(), "not all pods were looked at"));
    }
    findings
}
