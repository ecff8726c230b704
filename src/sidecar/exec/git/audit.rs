//! One line in the log for each request: what was asked for and what became of it. No credential, no query, and no name that was
//! not read as one.

use super::refusal::Refusal;
use http::StatusCode;
use tracing::{info, warn};
use vertex_injector_core::git::target::{Step, Target};
use vertex_injector_net::flow::{Direction, Guard, Movement};

/// What is known of a request. It is written when dropped: then its answer has been read, or never will be.
#[derive(Debug)]
pub(super) struct Record {
    movement: Movement,
    target: Option<Target>,
    status: Option<StatusCode>,
    /// Why it was refused or ended early.
    reason: Option<&'static str>,
}

impl Record {
    pub(super) fn new(movement: Movement) -> Self {
        Self {
            movement,
            target: None,
            status: None,
            reason: Some("the client went away"),
        }
    }

    /// It is a request for one of our hosts.
    pub(super) fn asked(&mut self, target: &Target) {
        self.target = Some(target.clone());
    }

    pub(super) fn refused(&mut self, refusal: &Refusal) {
        self.status = Some(refusal.status);
        self.reason = Some(refusal.reason);
    }

    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Guard for Record {
    fn finished(&mut self) {
        self.reason = None;
    }

    fn cut(&mut self, why: &'static str) {
        self.reason = Some(why);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let target = self.target.as_ref();
        let (host, repository) = target.map(|target| (&*target.host, &*target.repository)).unzip();
        let service = target.map(|target| tracing::field::display(target.service));
        let step = target.map(|target| match target.step {
            Step::Advertisement => "info/refs",
            Step::Exchange => target.service.name(),
        });
        let status = self.status.map(|status| status.as_u16());
        let reason = self.reason;
        let (sent, received) = (self.movement.bytes(Direction::Up), self.movement.bytes(Direction::Down));
        let seconds = self.movement.elapsed().as_secs_f64();
        if reason.is_some() {
            warn!(
                host,
                repository, service, step, status, reason, sent, received, seconds, "git request not served"
            );
        } else {
            info!(
                host,
                repository, service, step, status, sent, received, seconds, "git request served"
            );
        }
    }
}
