//! Delivers the outbox: one courier for each kind of receiver, each on a thread of its own.

use crate::domain::delivery::{DeliveryKind, Outcome};
use crate::domain::error::{Error, Result};
use crate::engine::{Begun, Engine};
use std::sync::mpsc::{Receiver as Inbox, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Tells another system; the network is only ever here. It must come to an end by itself, within half a minute or so.
pub trait Receiver: Send + Sync {
    fn kind(&self) -> DeliveryKind;
    fn tell(&self, begun: &Begun) -> Outcome;
}

/// Looking costs one step in an index.
const PAUSE: Duration = Duration::from_millis(500);
const AFTER_A_FAULT: Duration = Duration::from_secs(1);
/// Deliveries a step.
const MOST_A_STEP: usize = 50;
/// How long the end waits for a try that has begun. One that takes longer is left alone, and made again at the next
/// start.
const GRACE: Duration = Duration::from_secs(3);

/// Delivers what is due of a receiver's kind, up to a number of deliveries. Returns how many tries were made.
pub fn deliver_once(engine: &Engine, receiver: &dyn Receiver) -> Result<usize> {
    let mut tries = 0;
    while tries < MOST_A_STEP {
        let Some(begun) = engine.next_delivery(receiver.kind())? else { break };
        engine.end_delivery(&begun, tell(receiver, &begun))?;
        tries += 1;
    }
    Ok(tries)
}

/// A receiver that fails badly has still told what it has told.
fn tell(receiver: &dyn Receiver, begun: &Begun) -> Outcome {
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| receiver.tell(begun)));
    let outcome = told.unwrap_or_else(|_| Outcome::Unclear("The delivery broke off here.".into()));
    if let Some(problem) = outcome.problem() {
        let (id, kind, tries) = (begun.delivery.id, begun.delivery.kind.as_str(), begun.delivery.tries);
        tracing::warn!(%id, kind, tries, problem, "not delivered");
    }
    outcome
}

/// The threads that deliver until they are dropped.
pub struct Couriers {
    threads: Vec<(Sender<()>, Inbox<()>)>,
}

impl Couriers {
    pub fn start(engine: &Arc<Engine>, receivers: Vec<Box<dyn Receiver>>) -> Result<Self> {
        let start = |receiver: Box<dyn Receiver>| {
            let (stop, stopped) = channel();
            let (ending, ended) = channel();
            let engine = Arc::downgrade(engine);
            let name = format!("courier-{}", receiver.kind().as_str());
            let run = move || {
                // Dropped with the thread, which says that it has ended.
                let _ending: Sender<()> = ending;
                run(&engine, receiver.as_ref(), &stopped);
            };
            let thread = std::thread::Builder::new().name(name).spawn(run);
            thread.map_err(|fault| Error::internal(format!("cannot start a courier: {fault}")))?;
            Ok((stop, ended))
        };
        Ok(Self { threads: receivers.into_iter().map(start).collect::<Result<_>>()? })
    }
}

/// While it waits for a receiver, a courier keeps nothing of the database open.
fn run(engine: &Weak<Engine>, receiver: &dyn Receiver, stopped: &Inbox<()>) {
    let mut pause = Duration::ZERO;
    while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        let Some(strong) = engine.upgrade() else { return };
        let begun = strong.next_delivery(receiver.kind());
        drop(strong);
        pause = match begun {
            Ok(Some(begun)) => {
                let outcome = tell(receiver, &begun);
                note(engine, &begun, &outcome, stopped)
            }
            Ok(None) => PAUSE,
            Err(fault) => after(&fault),
        };
    }
}

/// Keeps at it: what is not noted will be told again.
fn note(engine: &Weak<Engine>, begun: &Begun, outcome: &Outcome, stopped: &Inbox<()>) -> Duration {
    while let Some(strong) = engine.upgrade() {
        let Err(fault) = strong.end_delivery(begun, outcome.clone()) else { break };
        drop(strong);
        if stopped.recv_timeout(after(&fault)) != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    Duration::ZERO
}

fn after(fault: &Error) -> Duration {
    tracing::error!(%fault, "the outbox");
    AFTER_A_FAULT
}

impl Drop for Couriers {
    fn drop(&mut self) {
        let ended: Vec<_> = self.threads.drain(..).map(|(_, ended)| ended).collect();
        let deadline = Instant::now() + GRACE;
        for ended in ended {
            let _ = ended.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        }
    }
}
