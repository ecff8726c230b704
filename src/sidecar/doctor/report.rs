//! What was found, hop by hop.

use super::hop::{Hop, Level};
use super::known::Known;
use super::problem::Problem;
use serde::Serialize;

/// One hop, as it was found.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// Which hop.
    pub hop: Hop,
    /// The host, account or file in question; empty where the hop says all.
    pub at: String,
    /// How it is.
    pub level: Level,
    /// What is wrong, if something is: a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// What was found; Google's own words where it spoke.
    pub found: String,
    /// What to do: sentences, and commands that can be pasted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remedy: Vec<String>,
}

/// All hops from a pod to a model.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The version that looked.
    pub version: &'static str,
    /// In the order in which they are gone.
    pub hops: Vec<Finding>,
}

impl Report {
    /// The hop that is broken.
    pub fn broken(&self) -> Option<&Finding> {
        self.hops.iter().find(|finding| finding.level == Level::Broken)
    }
}

/// The hops that are to be gone, and what was found on them so far.
pub(super) struct Log<'l> {
    planned: Vec<(Hop, String)>,
    found: Vec<Finding>,
    /// Who is told of each as it is found.
    tell: &'l mut dyn FnMut(&Finding),
    /// For remedies.
    pub(super) known: Known,
}

/// A hop is broken: nothing after it is tried.
pub(super) struct Broken;

impl<'l> Log<'l> {
    pub(super) fn new(known: Known, tell: &'l mut dyn FnMut(&Finding)) -> Self {
        Self {
            planned: Vec::new(),
            found: Vec::new(),
            tell,
            known,
        }
    }

    /// A hop is to come.
    pub(super) fn plan(&mut self, hop: Hop, at: impl Into<String>) {
        self.planned.push((hop, at.into()));
    }

    pub(super) fn fine(&mut self, hop: Hop, at: &str, found: impl Into<String>) {
        self.add(hop, at, Level::Fine, None, found.into());
    }

    pub(super) fn warning(&mut self, problem: Problem, at: &str, found: impl Into<String>) {
        self.add(problem.hop(), at, Level::Warning, Some(problem), found.into());
    }

    pub(super) fn broken(&mut self, problem: Problem, at: &str, found: impl Into<String>) -> Broken {
        self.add(problem.hop(), at, Level::Broken, Some(problem), found.into());
        Broken
    }

    fn add(&mut self, hop: Hop, at: &str, level: Level, problem: Option<Problem>, found: String) {
        self.planned
            .retain(|planned| (planned.0, planned.1.as_str()) != (hop, at));
        self.push(Finding {
            hop,
            at: at.to_owned(),
            level,
            problem,
            found,
            remedy: problem.map(|problem| problem.remedy(&self.known)).unwrap_or_default(),
        });
    }

    fn push(&mut self, finding: Finding) {
        (self.tell)(&finding);
        self.found.push(finding);
    }

    /// What is broken so far.
    pub(super) fn problem(&self) -> Option<Problem> {
        let mut broken = self.found.iter().filter(|finding| finding.level == Level::Broken);
        broken.next()?.problem
    }

    pub(super) fn report(mut self) -> Report {
        for (hop, at) in std::mem::take(&mut self.planned) {
            self.push(Finding {
                hop,
                at,
                level: Level::NotTried,
                problem: None,
                found: "not tried".to_owned(),
                remedy: Vec::new(),
            });
        }
        Report {
            version: env!("CARGO_PKG_VERSION"),
            hops: self.found,
        }
    }
}
