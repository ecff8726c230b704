//! What to do next about the self-made certificates: a function of what a replica sees, without clock, client or key.
//!
//! Replicas do not talk to each other. Each looks, takes one step, and looks again; every write is refused when somebody else was
//! faster. In the ordinary course of a rotation
//!
//! 1. a new authority is made and stands beside the old one in the Secret of authorities ([`Step::MakeAuthority`]),
//! 2. every `caBundle` gets both ([`Step::Announce`]),
//! 3. when that was so for the time in which every API server learns of it ([`Sight::settled`]), the new one signs a certificate into
//!    the serving Secret ([`Step::MakeCertificate`]), and each replica serves it ([`Step::Serve`]),
//! 4. when the old authority has expired, and with it whatever it has signed, it is forgotten ([`Step::Trust`]), also by every
//!    `caBundle`: whoever still serves a certificate of it, cut off for weeks, serves one that has ended by itself.
//!
//! The model beside it walks through all that can happen to two replicas and two API servers.

#[cfg(test)]
mod model;

/// Most authorities that are trusted at a time. Only who deletes Secrets again and again makes so many; the oldest goes.
const MAX_AUTHORITIES: usize = 32;

/// How long certificates are good, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Lifetimes {
    pub(crate) authority: i64,
    /// Less than the authority's. The difference is the time after which there is another authority.
    pub(crate) certificate: i64,
}

/// An authority, by what identifies it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Authority<I> {
    pub(crate) id: I,
    /// When it expires, in seconds since 1970.
    pub(crate) not_after: i64,
}

/// A server certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Certificate<I> {
    pub(crate) authority: Authority<I>,
    pub(crate) not_after: i64,
    /// Whether it is for all our names.
    pub(crate) fits: bool,
}

/// What a replica sees.
#[derive(Debug, Clone)]
pub(crate) struct Sight<I> {
    /// In seconds since 1970. It may jump in either direction.
    pub(crate) now: i64,
    /// What the Secret of authorities holds, the newest first. Empty: nothing.
    pub(crate) authorities: Vec<Authority<I>>,
    /// Whether the newest one's key is there.
    pub(crate) signs: bool,
    /// What the serving Secret holds.
    pub(crate) stored: Option<Certificate<I>>,
    /// All authorities that were trusted when that was written.
    pub(crate) remembered: Vec<I>,
    /// What this replica serves.
    pub(crate) served: Option<Certificate<I>>,
    /// Whether both are the same.
    pub(crate) serves_stored: bool,
    /// What each `caBundle` trusts that could be read.
    pub(crate) bundles: Vec<Vec<I>>,
    /// Whether authorities and all bundles have been as they are for as long as API servers may take to learn of a bundle. By a
    /// clock that does not jump.
    pub(crate) settled: bool,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step<I> {
    /// Make an authority, and go on trusting these.
    MakeAuthority { keep: Vec<I>, why: &'static str },
    /// Write these, the newest first, into the Secret of authorities.
    Trust(Vec<I>),
    /// Write all authorities into every `caBundle`.
    Announce,
    /// Serve what the serving Secret holds.
    Serve,
    /// Let the newest authority sign a certificate into the serving Secret.
    MakeCertificate { why: &'static str },
    /// Nothing before this time, unless something changes.
    Wait { until: Option<i64> },
}

impl<I> Certificate<I> {
    /// Whether a client accepts it that trusts its authority, and asks for a name that it has.
    pub(crate) fn works(&self, now: i64) -> bool {
        self.not_after > now
    }

    /// What is to be renewed, and why; the rest of its life is then the time in which that may fail.
    fn due(&self, newest: &Authority<I>, now: i64, lifetimes: Lifetimes) -> Option<&'static str>
    where
        I: PartialEq,
    {
        let left = self.not_after - now;
        if !self.fits {
            Some("the one before was not for all our names")
        } else if left <= 0 {
            Some("the one before has expired")
        } else if self.authority.id != newest.id {
            Some("there is a new authority")
        } else if left <= lifetimes.certificate / 2 {
            Some("the one before expires soon")
        } else {
            None
        }
    }
}

impl<I: Clone + PartialEq> Sight<I> {
    /// The next step. Doing it leads to another sight, and at last to [`Step::Wait`].
    pub(crate) fn next(&self, lifetimes: Lifetimes) -> Step<I> {
        let ids = self.ids();
        let needed = self.needed();
        let Some(newest) = self.authorities.first() else {
            return make(union(needed, self.remembered.clone()), "there was none");
        };
        if !self.signs {
            return make(union(needed, ids), "the key of the one before was lost");
        }
        let left = newest.not_after - self.now;
        // One that has signed nothing yet is only just being announced; to make another would begin again and again.
        let has_signed = self.working().any(|certificate| certificate.authority.id == newest.id);
        if left <= 0 || (has_signed && left <= lifetimes.certificate) {
            return make(union(needed, ids), "the one before expires soon");
        }
        // Whatever is served has to be trusted, whoever has deleted what; and what expired, and is not served, is forgotten.
        let kept: Vec<I> = self
            .authorities
            .iter()
            .enumerate()
            .filter(|(i, known)| *i == 0 || known.not_after > self.now || needed.contains(&known.id) || !self.settled)
            .map(|(_, known)| known.id.clone())
            .collect();
        let wanted = union(kept, needed);
        if wanted != ids {
            return Step::Trust(wanted);
        }
        if self.bundles.iter().any(|bundle| *bundle != ids) {
            return Step::Announce;
        }
        if let Some(stored) = self.stored.as_ref().filter(|stored| stored.works(self.now))
            && !self.serves_stored
            && self.may_serve(&stored.authority.id)
        {
            return Step::Serve;
        }
        let due = match &self.stored {
            None => Some("there was none"),
            Some(stored) => stored.due(newest, self.now, lifetimes),
        };
        match due {
            Some(why) if self.may_sign(&newest.id) => Step::MakeCertificate { why },
            _ => Step::Wait {
                until: self.until(newest, lifetimes),
            },
        }
    }

    fn ids(&self) -> Vec<I> {
        self.authorities.iter().map(|authority| authority.id.clone()).collect()
    }

    /// The certificates that clients may meet.
    fn working(&self) -> impl Iterator<Item = &Certificate<I>> {
        let all = self.stored.iter().chain(&self.served);
        all.filter(|certificate| certificate.works(self.now))
    }

    /// Their authorities.
    fn needed(&self) -> Vec<I> {
        let all = self.working().map(|certificate| certificate.authority.id.clone());
        all.fold(Vec::new(), |known, id| union(known, vec![id]))
    }

    /// Whether API servers know this authority as well as the one by which they trust us now, or trust us in no case.
    fn may_serve(&self, authority: &I) -> bool {
        let served = self.served.as_ref().filter(|served| served.works(self.now));
        self.settled || served.is_none_or(|served| served.authority.id == *authority)
    }

    /// The same for what all replicas will serve.
    fn may_sign(&self, newest: &I) -> bool {
        self.settled
            || self.working().next().is_none()
            || self.working().any(|certificate| certificate.authority.id == *newest)
    }

    /// When one of the certificates is due next.
    fn until(&self, newest: &Authority<I>, lifetimes: Lifetimes) -> Option<i64> {
        let stored = self.stored.iter();
        let certificate = stored.map(|stored| stored.not_after - lifetimes.certificate / 2);
        let older = self.authorities.iter().skip(1).map(|authority| authority.not_after);
        let times = certificate
            .chain(older)
            .chain([newest.not_after - lifetimes.certificate]);
        times.filter(|time| *time > self.now).min()
    }
}

fn make<I>(mut keep: Vec<I>, why: &'static str) -> Step<I> {
    keep.truncate(MAX_AUTHORITIES - 1);
    Step::MakeAuthority { keep, why }
}

fn union<I: PartialEq>(mut known: Vec<I>, more: Vec<I>) -> Vec<I> {
    for id in more {
        if !known.contains(&id) {
            known.push(id);
        }
    }
    known
}
