//! What runs by itself. One step is bounded and can be run alone, so that tests need not wait.

mod backup;
mod deliver;
mod mail;
mod rdap;
mod stripe;

pub use backup::{Backups, back_up_once};
pub use deliver::{Couriers, Receiver, deliver_once};
pub use mail::{Mailer, SmtpServer};
pub use rdap::RdapClient;
pub use stripe::StripeClient;

use crate::domain::error::{Error, Result};
use crate::engine::{Engine, Swept};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_secs(30);
/// After a full step, when there may be more to do.
const SHORT_PAUSE: Duration = Duration::from_millis(50);

/// One step of everything that is due. Balances are right without it.
pub fn run_once(engine: &Engine) -> Result<Swept> {
    engine.sweep()
}

/// The thread that takes steps until it is dropped.
pub struct Worker {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// `tidy` is called once a pause for what is kept in memory elsewhere.
    pub fn start(engine: Arc<Engine>, tidy: impl Fn() + Send + 'static) -> Result<Self> {
        let (stop, stopped) = channel();
        let thread = std::thread::Builder::new().name("worker".into()).spawn(move || {
            let mut tidied = Instant::now();
            loop {
                let swept = run_once(&engine).inspect_err(|fault| tracing::warn!(%fault, "sweep"));
                if tidied.elapsed() >= PAUSE {
                    tidy();
                    tidied = Instant::now();
                }
                let pause = if swept.is_ok_and(Swept::is_full) { SHORT_PAUSE } else { PAUSE };
                if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    // What was noted since is written down.
                    let _ = run_once(&engine);
                    return;
                }
            }
        });
        let thread = thread.map_err(|fault| Error::internal(format!("cannot start the worker: {fault}")))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
