//! The leaderboard: those who chose a name to be listed by. Kept in memory until something about it changes.

use super::Store;
use super::tx::Snapshot;
use crate::domain::error::Result;
use crate::domain::id::{AccountId, ProjectId};
use rusqlite::params;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Listed at most.
pub const MOST_LEADERS: usize = 100;
/// How far the clock may go on under a board that looks back a certain time.
const FRESH_MS: i64 = 60_000;

#[derive(Debug, Clone)]
pub struct LeaderRow {
    pub account: AccountId,
    pub rank: i64,
    pub name: String,
    pub referrals: i64,
}

pub type Board = Arc<Vec<LeaderRow>>;

struct KnownBoard {
    board: Board,
    changes: u64,
    made_at_ms: i64,
}

/// The boards in memory, by project and how far they look back.
#[derive(Default)]
pub struct Boards {
    /// Moved by whatever may change a board.
    changes: AtomicU64,
    known: Mutex<HashMap<(ProjectId, Option<i64>), KnownBoard>>,
    /// One is made at a time, so that however many ask, no more than one thread counts.
    making: tokio::sync::Mutex<()>,
}

impl Boards {
    /// After the change is committed.
    pub fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    fn known(&self, key: (ProjectId, Option<i64>), now_ms: i64) -> Option<Board> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(&key).filter(|known| {
            let age_ms = now_ms - known.made_at_ms;
            known.changes == self.changes.load(Ordering::SeqCst) && (0..FRESH_MS).contains(&age_ms)
        });
        found.map(|known| Arc::clone(&known.board))
    }
}

impl Store {
    /// Most referrals first, of those that signed up in the last `looks_back_ms`, or of all; equal numbers share a rank.
    pub async fn leaderboard(&self, project: ProjectId, looks_back_ms: Option<i64>) -> Result<Board> {
        let (boards, key) = (&self.shared.boards, (project, looks_back_ms));
        if let Some(board) = boards.known(key, self.now_ms(project)) {
            return Ok(board);
        }
        let _one_at_a_time = boards.making.lock().await;
        if let Some(board) = boards.known(key, self.now_ms(project)) {
            return Ok(board);
        }
        // Before the snapshot: a change that comes between the two is looked for once more than needed.
        let changes = boards.changes.load(Ordering::SeqCst);
        let made_at_ms = self.now_ms(project);
        let since_ms = looks_back_ms.map_or(i64::MIN, |back_ms| made_at_ms - back_ms);
        let board = Arc::new(self.read(move |db| db.leaderboard(project, since_ms)).await?);
        let known = KnownBoard { board: Arc::clone(&board), changes, made_at_ms };
        boards.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, known);
        Ok(board)
    }
}

impl Snapshot<'_> {
    fn leaderboard(&self, project: ProjectId, since_ms: i64) -> Result<Vec<LeaderRow>> {
        let sql = "SELECT id, rank() OVER (ORDER BY referrals DESC), name, referrals FROM (
                     SELECT account.id AS id, account.leaderboard_name AS name, count(*) AS referrals
                     FROM account JOIN referral ON referral.referrer_id = account.id
                     WHERE account.project_id = $1 AND account.leaderboard_name IS NOT NULL
                       AND referral.status NOT IN ('rejected', 'review') AND referral.signed_up_at_ms >= $2
                     GROUP BY account.id, account.leaderboard_name) AS listed
                   ORDER BY referrals DESC, id LIMIT $3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let most = i64::try_from(MOST_LEADERS).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![project.0, since_ms, most], |row| {
            Ok(LeaderRow {
                account: AccountId(row.get(0)?),
                rank: row.get(1)?,
                name: row.get(2)?,
                referrals: row.get(3)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
