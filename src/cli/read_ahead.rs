//! A whole file comes from the disk much faster than its pages one by one, in the order in which tables ask for them.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs `work`, which reads most of the file, while another thread reads the file from its beginning, so that `work` finds it
/// in the system's cache. For commands alone: it closes the file at the end, and with it go all of the process's locks on it.
pub fn reading_ahead<T>(path: &Path, work: impl FnOnce() -> T) -> T {
    const PIECE: usize = 1 << 20;
    let Ok(file) = File::open(path) else { return work() };
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut file, mut piece) = (&file, vec![0; PIECE]);
            while !done.load(Ordering::Relaxed) && matches!(file.read(&mut piece), Ok(1..)) {}
        });
        let outcome = work();
        done.store(true, Ordering::Relaxed);
        outcome
    })
}
