//! Ctrl-C, being told to stop, and a terminal that is closed: noted, so that what is half done can be removed.

use crate::domain::error::{Error, Kind, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::Runtime;
#[cfg(unix)]
use tokio::signal::unix::SignalKind;

pub struct Interrupted(Arc<AtomicBool>);

impl Interrupted {
    /// Listens from now on, whenever the runtime runs.
    pub fn listen(runtime: &Runtime) -> Result<Self> {
        let noted = Arc::new(AtomicBool::new(false));
        let _context = runtime.enter();
        let fault = |fault: std::io::Error| Error::internal(format!("cannot listen for signals: {fault}"));
        #[cfg(unix)]
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
            let (mut signal, noted) = (tokio::signal::unix::signal(kind).map_err(fault)?, Arc::clone(&noted));
            drop(runtime.spawn(async move {
                if signal.recv().await.is_some() {
                    noted.store(true, Ordering::SeqCst);
                }
            }));
        }
        #[cfg(windows)]
        {
            let (mut signal, noted) = (tokio::signal::windows::ctrl_c().map_err(fault)?, Arc::clone(&noted));
            drop(runtime.spawn(async move {
                if signal.recv().await.is_some() {
                    noted.store(true, Ordering::SeqCst);
                }
            }));
        }
        Ok(Self(noted))
    }

    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::SeqCst) {
            return Err(Error::new(Kind::Busy, "interrupted", "interrupted; nothing was made"));
        }
        Ok(())
    }
}
