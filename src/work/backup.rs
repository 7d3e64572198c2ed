//! Makes the scheduled backups, on a thread of its own: a copy of a large file takes a while.

use crate::domain::error::{Error, Result};
use crate::engine::Engine;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

const PAUSE: Duration = Duration::from_secs(30);
/// How long the end waits for one that is being made. What is left of it then is removed by the next one.
const GRACE: Duration = Duration::from_secs(3);

/// Makes the backup that is due, if one is. The fault of one that failed is noted as well.
pub fn back_up_once(engine: &Engine) -> Option<Result<PathBuf>> {
    let due = engine.due_backup()?;
    let made = due.make(&|| true);
    engine.note_backup(&due, &made);
    Some(made)
}

/// The thread that makes backups until it is dropped.
pub struct Backups {
    stop: Option<Sender<()>>,
    stopping: Arc<AtomicBool>,
    ended: Receiver<()>,
}

impl Backups {
    pub fn start(engine: &Arc<Engine>) -> Result<Self> {
        let (stop, stopped) = channel();
        let (ending, ended) = channel();
        let stopping = Arc::new(AtomicBool::new(false));
        let (engine, over) = (Arc::downgrade(engine), Arc::clone(&stopping));
        let work = move || {
            // Dropped with the thread, which says that it has ended.
            let _ending: Sender<()> = ending;
            run(&engine, &stopped, &over);
        };
        let thread = std::thread::Builder::new().name("backups".into()).spawn(work);
        thread.map_err(|fault| Error::internal(format!("cannot start the backups: {fault}")))?;
        Ok(Self { stop: Some(stop), stopping, ended })
    }
}

/// While one is made, nothing of the database is kept from being closed.
fn run(engine: &Weak<Engine>, stopped: &Receiver<()>, stopping: &AtomicBool) {
    let mut pause = Duration::ZERO;
    while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        pause = PAUSE;
        let Some(due) = engine.upgrade().and_then(|engine| engine.due_backup()) else { continue };
        let made = due.make(&|| !stopping.load(Ordering::SeqCst));
        if let Some(engine) = engine.upgrade().filter(|_| !stopping.load(Ordering::SeqCst)) {
            engine.note_backup(&due, &made);
        }
    }
}

impl Drop for Backups {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        drop(self.stop.take());
        let _ = self.ended.recv_timeout(GRACE);
    }
}
