//! What no container of the pod's own may have: the credentials of the broker and of every sidecar, and the tokens with which
//! they are fetched. One set for all of ours, because the agent does not care whose credential it gets.

use super::resulting::ResultingVolume;
use crate::policy::{Broker, Credential, Held, Sidecar, Source, Variable, is_same_audience};
use std::collections::BTreeSet;
use std::fmt;

/// The set.
#[derive(Debug, Default)]
pub(super) struct Guarded<'s> {
    things: BTreeSet<Thing<'s>>,
    /// Whether there is a container of ours that hides something.
    hides: bool,
}

/// One of them.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Thing<'s> {
    /// Tokens of an audience.
    Token { audience: &'s str, of: Keeper<'s> },
    /// A Secret.
    Secret { name: &'s str, of: Keeper<'s> },
}

/// Who keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Keeper<'s> {
    Broker,
    Sidecar(&'s str),
}

impl<'s> Guarded<'s> {
    /// Adds what a broker keeps.
    pub(super) fn add_broker(&mut self, broker: &'s Broker) {
        let of = Keeper::Broker;
        self.hides = true;
        match &broker.held {
            Held::Token { audiences, .. } => {
                let tokens = audiences.iter().map(|audience| Thing::Token { audience, of });
                self.things.extend(tokens);
            }
            Held::Key { secret, .. } => {
                let name = secret.as_str();
                self.things.insert(Thing::Secret { name, of });
            }
            Held::Node => {}
        }
    }

    /// Adds what a sidecar keeps.
    pub(super) fn add_sidecar(&mut self, sidecar: &'s Sidecar) {
        let of = Keeper::Sidecar(&sidecar.name);
        let secrets = sidecar.env.iter().filter_map(Variable::secret);
        let secrets: Vec<_> = secrets.map(|name| Thing::Secret { name, of }).collect();
        self.hides |= sidecar.credential.is_some() || !secrets.is_empty();
        self.things.extend(secrets);
        match &sidecar.credential {
            None => {}
            Some(Credential::Kubelet { secret, .. }) => {
                let name = secret.as_str();
                self.things.insert(Thing::Secret { name, of });
            }
            Some(Credential::Wrapped(wrapper)) => match &wrapper.source {
                Source::Secret { name, .. } => {
                    let name = name.as_str();
                    self.things.insert(Thing::Secret { name, of });
                }
                Source::Http { audience, .. } => {
                    let audience = audience.as_str();
                    self.things.insert(Thing::Token { audience, of });
                }
                Source::AmbientExchange { .. } => {}
            },
        }
    }

    /// Whether a container of ours hides something, so that the boundaries of containers matter.
    pub(super) fn hides(&self) -> bool {
        self.hides
    }

    /// Each of them.
    pub(super) fn things(&self) -> impl Iterator<Item = &Thing<'s>> {
        self.things.iter()
    }
}

impl Thing<'_> {
    /// Whether a volume shows it.
    pub(super) fn is_in(&self, volume: &ResultingVolume<'_>) -> bool {
        match self {
            Self::Token { audience, .. } => { volume.audiences.iter() }.any(|other| is_same_audience(other, audience)),
            Self::Secret { name, .. } => volume.secrets.contains(name),
        }
    }

    /// The Secret, which variables can show, too.
    pub(super) fn secret(&self) -> Option<&str> {
        match self {
            Self::Token { .. } => None,
            Self::Secret { name, .. } => Some(name),
        }
    }
}

impl fmt::Display for Thing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token { audience, of } => write!(f, "a token of the {of} audience {audience:?}"),
            Self::Secret { name, of } => match of {
                Keeper::Broker => write!(f, "Secret {name:?}, which holds the identity's key"),
                Keeper::Sidecar(_) => write!(f, "Secret {name:?}, which is a sidecar's credential"),
            },
        }
    }
}

impl fmt::Display for Keeper<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker => f.write_str("identity's"),
            Self::Sidecar(name) => write!(f, "sidecar {name}'s"),
        }
    }
}
