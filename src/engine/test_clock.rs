//! The clock of a test project, which is moved to try an integration to its end.

use super::Engine;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::ProjectId;
use crate::domain::time::{self, DAY_MS};

/// No further ahead of the machine's than this.
const MOST_AHEAD_MS: i64 = 36_500 * DAY_MS;

impl Engine {
    /// Moves a test project's clock forward by an ISO 8601 duration. Returns its new time. `Forbidden` for a live
    /// project, `Invalid` for what is no duration, or goes back.
    pub async fn advance_clock(&self, project: ProjectId, duration: String) -> Result<i64> {
        self.store
            .write(move |tx| {
                if tx.project(project)?.mode != "test" {
                    let message = "This is a live project; its clock is everyone's.";
                    return Err(Error::new(Kind::Forbidden, "live_project", message));
                }
                // As the file has it: another move may be in this very batch.
                let now_ms = tx.machine_now_ms() + tx.clock_ahead_ms(project)?;
                let to_ms = time::after("advance", now_ms, &duration)?;
                let ahead_ms = to_ms - tx.machine_now_ms();
                if ahead_ms > MOST_AHEAD_MS {
                    return Err(Error::field("advance", "too_far", "A test clock goes a hundred years ahead at most."));
                }
                tx.set_clock_ahead(project, ahead_ms)?;
                Ok(to_ms)
            })
            .await
    }
}
