//! Everything that can happen to two replicas and two API servers, each of which knows the `caBundle` or the one before.
//!
//! A unit of time is long: between two of them every replica that is not cut off has done what there was to do, and what settles has
//! settled. Whatever happens in between happens in any order.

use super::{Authority, Certificate, Lifetimes, Sight, Step};
use std::collections::{HashMap, HashSet, VecDeque};

/// An authority makes way for the next after two units, or after each.
const LIFETIMES: [Lifetimes; 2] = [
    Lifetimes {
        authority: 4,
        certificate: 2,
    },
    Lifetimes {
        authority: 3,
        certificate: 2,
    },
];

/// More than any certificate's life: a year in which nobody was there.
const YEAR: i8 = 10;

/// Longest life that is told apart.
const LONGEST: i8 = 5;

/// Most strokes of fate on one way, and how often a replica restarts, is cut off or comes back. How late API servers learn, who acts
/// first, and when time passes is not counted.
const STROKES: u8 = 1;
const UPSETS: u8 = 2;

/// Index of an authority.
type Id = u8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Cert {
    left: i8,
    authority: Id,
}

/// Since when an API server may distrust somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Calm {
    /// It may not.
    Yes,
    /// One Secret was deleted while both served, and nobody restarted: it may not either.
    OneSecretDeleted,
    /// Somebody has overwritten or deleted more, or a year has passed at once, or no replica could work, or nothing was
    /// there yet.
    No,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    lifetimes: Lifetimes,
    /// Of each authority that something mentions, how long it is good.
    left: Vec<i8>,
    authorities: Vec<Id>,
    stored: Option<(Cert, Vec<Id>)>,
    served: [Option<Cert>; 2],
    settled: [bool; 2],
    /// Serves, and neither sees nor writes anything.
    cut_off: [bool; 2],
    bundle: Vec<Id>,
    before: Vec<Id>,
    /// Of each API server, whether it knows only the bundle before.
    behind: [bool; 2],
    calm: Calm,
    strokes: u8,
    upsets: u8,
}

impl State {
    fn empty(lifetimes: Lifetimes) -> Self {
        Self {
            lifetimes,
            left: Vec::new(),
            authorities: Vec::new(),
            stored: None,
            served: [None; 2],
            settled: [false; 2],
            cut_off: [false; 2],
            bundle: Vec::new(),
            before: Vec::new(),
            behind: [false; 2],
            calm: Calm::No,
            strokes: 0,
            upsets: 0,
        }
    }

    fn sight(&self, replica: usize) -> Sight<Id> {
        let authority = |id: Id| Authority {
            id,
            not_after: self.left[usize::from(id)].into(),
        };
        let certificate = |cert: Cert| Certificate {
            authority: authority(cert.authority),
            not_after: cert.left.into(),
            fits: true,
        };
        let stored = self.stored.as_ref().map(|(cert, _)| *cert);
        Sight {
            now: 0,
            authorities: self.authorities.iter().map(|id| authority(*id)).collect(),
            signs: !self.authorities.is_empty(),
            stored: stored.map(certificate),
            remembered: self.stored.clone().map(|(_, ids)| ids).unwrap_or_default(),
            served: self.served[replica].map(certificate),
            serves_stored: self.served[replica] == stored,
            bundles: vec![self.bundle.clone()],
            settled: self.settled[replica],
        }
    }

    fn next(&self, replica: usize) -> Step<Id> {
        self.sight(replica).next(self.lifetimes)
    }

    fn idle(&self, replica: usize) -> bool {
        self.cut_off[replica] || matches!(self.next(replica), Step::Wait { .. })
    }

    /// What a replica does next; nothing when it waits.
    fn step(&self, replica: usize) -> Option<Self> {
        let mut state = self.clone();
        match self.next(replica) {
            Step::MakeAuthority { keep, .. } => {
                let id = Id::try_from(state.left.len()).unwrap();
                state.left.push(i8::try_from(self.lifetimes.authority).unwrap());
                state.trust([vec![id], keep].concat());
            }
            Step::Trust(ids) => state.trust(ids),
            Step::Announce => {
                let ids = state.authorities.clone();
                state.write_bundle(ids);
            }
            Step::Serve => state.served[replica] = state.stored.as_ref().map(|(cert, _)| *cert),
            Step::MakeCertificate { .. } => {
                let authority = state.authorities[0];
                let left = state.left[usize::from(authority)].min(i8::try_from(self.lifetimes.certificate).unwrap());
                state.stored = Some((Cert { left, authority }, state.authorities.clone()));
            }
            Step::Wait { .. } => return None,
        }
        Some(state)
    }

    fn trust(&mut self, ids: Vec<Id>) {
        self.authorities = ids;
        self.settled = [false; 2];
    }

    /// No API server is more than one bundle behind.
    fn write_bundle(&mut self, ids: Vec<Id>) {
        self.before = std::mem::replace(&mut self.bundle, ids);
        self.behind = [true; 2];
        self.settled = [false; 2];
    }

    /// Time passes, or jumps.
    fn pass(&mut self, units: i8) {
        let all = self.left.iter_mut().chain(
            self.served
                .iter_mut()
                .flatten()
                .chain(self.stored.as_mut().map(|(cert, _)| cert))
                .map(|cert| &mut cert.left),
        );
        for left in all {
            *left = (*left - units).clamp(-1, LONGEST);
        }
        for (served, cut_off) in self.served.iter_mut().zip(self.cut_off) {
            // Who was cut off for the life of a certificate serves nobody, and can do nothing about it.
            *served = served.filter(|cert| !cut_off || cert.left > 0);
        }
    }

    /// All that can happen next, with a word for it.
    fn successors(&self) -> Vec<(String, Self)> {
        let mut all = Vec::new();
        let mut can = |what: String, change: &dyn Fn(&mut Self)| {
            let mut state = self.clone();
            change(&mut state);
            all.push((what, state));
        };
        let mut calm = self.calm;
        if calm == Calm::OneSecretDeleted {
            calm = Calm::No;
        }
        for i in 0..2 {
            if self.behind[i] {
                can(format!("API server {i} learns of the bundle"), &|state| {
                    state.behind[i] = false;
                });
            }
            if self.upsets < UPSETS {
                can(format!("replica {i} restarts"), &|state| {
                    state.served[i] = None;
                    state.settled[i] = false;
                    state.cut_off[i] = false;
                    state.calm = calm;
                    state.upsets += 1;
                });
                can(format!("replica {i} is cut off, or no longer"), &|state| {
                    state.cut_off[i] ^= true;
                    state.upsets += 1;
                });
            }
            if !self.cut_off[i] && !self.settled[i] && self.can_settle() {
                can(format!("for replica {i} all is settled"), &|state| {
                    state.settled[i] = true;
                });
            }
        }
        let rests = |i: usize| self.cut_off[i] || (self.settled[i] && self.idle(i));
        if self.behind == [false; 2] && rests(0) && rests(1) {
            can("time passes".to_owned(), &|state| {
                state.pass(1);
                // While nobody keeps the certificates, they come to their end.
                if state.cut_off == [true; 2] {
                    state.calm = Calm::No;
                }
            });
        }
        if self.strokes < STROKES {
            let mut stroke = |what: &str, change: &dyn Fn(&mut Self)| {
                can(what.to_owned(), &|state| {
                    change(state);
                    state.strokes += 1;
                });
            };
            let deleted = if self.calm == Calm::Yes && self.served.iter().all(Option::is_some) {
                Calm::OneSecretDeleted
            } else {
                Calm::No
            };
            stroke("somebody overwrites the caBundle", &|state| {
                state.write_bundle(Vec::new());
                state.calm = Calm::No;
            });
            stroke("somebody deletes the Secret of authorities", &|state| {
                state.trust(Vec::new());
                state.calm = deleted;
            });
            stroke("somebody deletes the serving Secret", &|state| {
                state.stored = None;
                state.calm = deleted;
            });
            stroke("the clock jumps ahead", &|state| {
                state.pass(YEAR);
                state.calm = Calm::No;
            });
            stroke("the clock jumps back", &|state| state.pass(-3));
        }
        for i in 0..2 {
            if let Some(state) = (!self.cut_off[i]).then(|| self.step(i)).flatten() {
                all.push((format!("replica {i}: {:?}", self.next(i)), state));
            }
        }
        all.into_iter().map(|(what, state)| (what, state.tidy())).collect()
    }

    /// The time for which something has to stay as it is, is longer than any API server is behind.
    fn can_settle(&self) -> bool {
        self.behind == [false; 2] && self.bundle == self.authorities && !self.authorities.is_empty()
    }

    /// Why an API server would not talk to a replica that serves.
    fn distrust(&self) -> Option<String> {
        for (i, cert) in self.served.iter().enumerate() {
            let Some(cert) = cert else { continue };
            if cert.left <= 0 {
                return Some(format!("replica {i} serves an expired certificate"));
            }
            for (j, behind) in self.behind.iter().enumerate() {
                let known = if *behind { &self.before } else { &self.bundle };
                if !known.contains(&cert.authority) {
                    return Some(format!("API server {j} does not trust what replica {i} serves"));
                }
            }
        }
        None
    }

    /// All is well, and nobody has anything to do.
    fn is_well(&self) -> bool {
        let stored = self.stored.as_ref().is_some_and(|(cert, _)| cert.left > 0);
        let whole = stored && self.can_settle();
        let serve = self.served.iter().all(Option::is_some);
        whole && serve && self.distrust().is_none() && self.idle(0) && self.idle(1)
    }

    /// The same state, written in one way: authorities are counted in the order in which something mentions them.
    fn tidy(mut self) -> Self {
        if self.is_well() {
            self.calm = Calm::Yes;
        }
        if self.behind == [false; 2] {
            self.before = Vec::new();
        }
        // Replicas do not differ, nor do API servers.
        self.behind.sort_unstable();
        let mut replicas = [0, 1].map(|i| (self.served[i], self.cut_off[i], self.settled[i]));
        replicas.sort_unstable();
        self.served = replicas.map(|(served, _, _)| served);
        self.cut_off = replicas.map(|(_, cut_off, _)| cut_off);
        self.settled = replicas.map(|(_, _, settled)| settled);
        let mut names = HashMap::new();
        let mut left = Vec::new();
        let known = self.left.clone();
        let mut rename = |id: &mut Id| {
            *id = *names.entry(*id).or_insert_with(|| {
                left.push(known[usize::from(*id)]);
                Id::try_from(left.len() - 1).unwrap()
            });
        };
        self.authorities.iter_mut().for_each(&mut rename);
        if let Some((cert, ids)) = &mut self.stored {
            rename(&mut cert.authority);
            ids.iter_mut().for_each(&mut rename);
        }
        for cert in self.served.iter_mut().flatten() {
            rename(&mut cert.authority);
        }
        self.bundle.iter_mut().for_each(&mut rename);
        self.before.iter_mut().for_each(&mut rename);
        self.left = left;
        self
    }

    /// How many rounds it takes until all is well, when nothing more happens and nobody is cut off.
    fn rounds_to_heal(&self) -> Option<usize> {
        let mut state = self.clone();
        state.cut_off = [false; 2];
        for round in 0..20 {
            if state.is_well() {
                return Some(round);
            }
            for i in 0..2 {
                while let Some(next) = state.step(i) {
                    state = next.tidy();
                }
            }
            state.behind = [false; 2];
            if state.can_settle() {
                state.settled = [true; 2];
            }
        }
        None
    }
}

#[test]
fn whatever_happens_no_api_server_distrusts_a_replica_but_right_after_somebody_has_overwritten_or_deleted_something() {
    LIFETIMES.into_iter().for_each(walk);
}

fn walk(lifetimes: Lifetimes) {
    let start = State::empty(lifetimes).tidy();
    let mut from: HashMap<State, (Option<State>, String)> = HashMap::new();
    from.insert(start.clone(), (None, "start".to_owned()));
    let mut queue = VecDeque::from([start]);
    let (mut rounds, mut healed) = (0, 0);
    let mut actions = HashSet::new();
    while let Some(state) = queue.pop_front() {
        if state.calm != Calm::No
            && let Some(why) = state.distrust()
        {
            panic!("{why}\n{}", way(&from, &state));
        }
        if state.calm == Calm::No {
            let Some(heals) = state.rounds_to_heal() else {
                panic!("never heals\n{}", way(&from, &state));
            };
            rounds = rounds.max(heals);
        }
        healed += usize::from(state.distrust().is_some());
        for (what, next) in state.successors() {
            if !from.contains_key(&next) {
                actions.extend(
                    what.split_once(": ")
                        .map(|(_, action)| action.split([' ', '(']).next().unwrap().to_owned()),
                );
                from.insert(next.clone(), (Some(state.clone()), what));
                queue.push_back(next);
            }
        }
    }
    println!(
        "{} states, {healed} of distrust, each heals in at most {rounds} rounds",
        from.len()
    );
    // Else the model would be an empty one.
    assert!(from.len() > 10_000 && healed > 1_000, "{} {healed}", from.len());
    assert_eq!(actions.len(), 5, "{actions:?}");
    assert!(rounds <= 4, "{rounds}");
}

/// What has led to a state.
fn way(from: &HashMap<State, (Option<State>, String)>, state: &State) -> String {
    let mut lines = vec![format!("{state:?}")];
    let mut at = Some(state);
    while let Some((before, what)) = at.and_then(|state| from.get(state)) {
        lines.push(what.clone());
        at = before.as_ref();
    }
    lines.reverse();
    lines.join("\n")
}
