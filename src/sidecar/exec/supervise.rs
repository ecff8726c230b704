//! The child's life: started with the first credential, told of each other one, ended with us.

use super::child::{Child, Ended, Launch, reap};
use super::fields::{Current, Fields};
use super::mapping::{Mapping, NotWritten, Share};
use super::signals::{END, PASSED_ON};
use anyhow::{Context, bail};
use rustix::process::Signal;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{error, info, warn};
use vertex_injector_core::contract::exec::{self as told, OnRefresh};

/// Longest that writing the files may take.
const WRITE: Duration = Duration::from_secs(5);

/// When to write files again that could not be written.
const WRITE_AGAIN: Duration = Duration::from_secs(30);

/// How long a killed process may take to be gone.
const KILLED: Duration = Duration::from_secs(5);

/// What the child's life depends on.
pub struct Supervisor {
    /// How to start it.
    pub launch: Launch,
    /// What it gets of the credential.
    pub mapping: Mapping,
    /// What to do when that changes.
    pub on_refresh: OnRefresh,
    /// How long it may take to end before it is killed.
    pub grace: Duration,
    /// The credential.
    pub credential: Current,
    /// Whether it runs, for [`super::control`].
    pub running: watch::Sender<bool>,
    /// From [`super::signals`].
    pub signals: mpsc::Receiver<Signal>,
}

/// The child at this moment.
#[derive(Default)]
struct Now {
    child: Option<Child>,
    /// What it was given last.
    share: Option<Share>,
    ending: Option<Ending>,
    /// When to give it a credential once more, because its files could not be written.
    again: Option<Instant>,
}

/// The child has been asked to end.
struct Ending {
    /// When patience is over.
    deadline: Instant,
    killed: bool,
    then: Then,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Restart,
    End,
}

impl Supervisor {
    /// Goes on until the child ends by itself, or we are asked to end. Returns the exit code: the child's own, or 0 when the end was
    /// asked for, since a Job takes anything else for a failure.
    ///
    /// # Errors
    /// When the child cannot be started, its files cannot be written at first, or it cannot even be killed.
    pub async fn run(mut self) -> anyhow::Result<u8> {
        let mut now = Now::default();
        loop {
            tokio::select! {
                signal = self.signals.recv() => {
                    let Some(signal) = signal else { bail!("signals are no longer received") };
                    if let Some(code) = self.signalled(&mut now, signal)? {
                        return Ok(code);
                    }
                }
                changed = self.credential.changed() => {
                    changed.context("the credential is no longer refreshed")?;
                    self.hand_over(&mut now).await?;
                }
                () = at(now.again) => self.hand_over(&mut now).await?,
                () = at(now.ending.as_ref().map(|ending| ending.deadline)) => self.lose_patience(&mut now)?,
            }
        }
    }

    /// The exit code, if this is the end.
    fn signalled(&self, now: &mut Now, signal: Signal) -> anyhow::Result<Option<u8>> {
        if signal == Signal::CHILD {
            while let Some((id, ended)) = reap() {
                if now.child.as_ref().is_some_and(|child| child.id() == id)
                    && let Some(code) = self.ended(now, ended)?
                {
                    return Ok(Some(code));
                }
            }
        } else if END.contains(&signal) {
            let Some(child) = &now.child else { return Ok(Some(0)) };
            info!("asked to end; so is the child");
            child.tell_all(signal);
            let killed = now.ending.as_ref().is_some_and(|ending| ending.killed);
            now.ending = Some(Ending {
                deadline: Instant::now() + if killed { KILLED } else { self.grace },
                killed,
                then: Then::End,
            });
        } else if PASSED_ON.contains(&signal)
            && let Some(child) = &now.child
        {
            child.tell(signal);
        }
        Ok(None)
    }

    /// The child has ended.
    fn ended(&self, now: &mut Now, ended: Ended) -> anyhow::Result<Option<u8>> {
        self.running.send_replace(false);
        if let Some(child) = now.child.take() {
            // What it started would hold its port and its credential.
            child.tell_all(Signal::KILL);
        }
        match now.ending.take().map(|ending| ending.then) {
            Some(Then::Restart) => {
                self.start(now)?;
                Ok(None)
            }
            Some(Then::End) => {
                info!(code = ended.code(), "the child has ended, as asked");
                Ok(Some(0))
            }
            None => {
                warn!(code = ended.code(), "the child has ended by itself");
                Ok(Some(ended.code()))
            }
        }
    }

    fn start(&self, now: &mut Now) -> anyhow::Result<()> {
        let Some(share) = &now.share else { return Ok(()) };
        let child = Child::start(&self.launch, share)
            .with_context(|| format!("cannot start {}", self.launch.program.to_string_lossy()))?;
        info!(process = child.id().as_raw_nonzero().get(), "the child has started");
        now.child = Some(child);
        self.running.send_replace(true);
        Ok(())
    }

    /// Gives the child what it needs of the current credential, if that is something new.
    async fn hand_over(&mut self, now: &mut Now) -> anyhow::Result<()> {
        now.again = None;
        let fields: Option<Arc<Fields>> = self.credential.borrow_and_update().clone();
        // A credential that has ended stays with the child: its own error tells more than a closed port.
        let Some(fields) = fields else { return Ok(()) };
        // The refresher has checked it.
        let Ok(share) = self.mapping.of(&fields) else {
            return Ok(());
        };
        let (variables, files) = match &now.share {
            None => (true, true),
            Some(old) => (!share.same_variables(old), !share.same_files(old)),
        };
        if !variables && !files {
            return Ok(());
        }
        if files && let Err(problem) = write(&share).await {
            if now.share.is_none() {
                return Err(problem).context("nothing is started without its credential");
            }
            error!(detail = %problem, "the child keeps its old credential");
            now.again = Some(Instant::now() + WRITE_AGAIN);
            return Ok(());
        }
        now.share = Some(share);
        let Some(child) = &now.child else {
            info!(fields = fields.names(), "there is a credential");
            return self.start(now);
        };
        if now.ending.is_some() {
            return Ok(());
        }
        match self.on_refresh {
            OnRefresh::None => info!("the credential has changed; the child is not told"),
            OnRefresh::Signal(signal) if !variables => {
                info!("the credential has changed; the child is signalled");
                child.tell(number(signal));
            }
            // No environment can be changed from outside.
            OnRefresh::Restart | OnRefresh::Signal(_) => {
                info!("the credential has changed; the child is restarted");
                child.tell_all(Signal::TERM);
                now.ending = Some(Ending {
                    deadline: Instant::now() + self.grace,
                    killed: false,
                    then: Then::Restart,
                });
            }
        }
        Ok(())
    }

    fn lose_patience(&self, now: &mut Now) -> anyhow::Result<()> {
        let (Some(ending), Some(child)) = (&mut now.ending, &now.child) else {
            now.ending = None;
            return Ok(());
        };
        if ending.killed {
            bail!("the child does not end although it was killed");
        }
        warn!(
            seconds = self.grace.as_secs(),
            "the child has not ended in time and is killed"
        );
        child.tell_all(Signal::KILL);
        ending.killed = true;
        ending.deadline = Instant::now() + KILLED;
        Ok(())
    }
}

/// Writes in a thread of its own, because a volume can hang.
async fn write(share: &Share) -> anyhow::Result<()> {
    let share = share.clone();
    let written: Result<(), NotWritten> = timeout(WRITE, tokio::task::spawn_blocking(move || share.write()))
        .await
        .with_context(|| format!("the files of --file could not be written within {} s", WRITE.as_secs()))?
        .context("the files of --file could not be written")?;
    Ok(written?)
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

fn number(signal: told::Signal) -> Signal {
    match signal {
        told::Signal::Hup => Signal::HUP,
        told::Signal::Usr1 => Signal::USR1,
        told::Signal::Usr2 => Signal::USR2,
        told::Signal::Winch => Signal::WINCH,
    }
}
