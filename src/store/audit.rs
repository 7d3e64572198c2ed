//! The audit log: append-only, in a hash chain of its own.

use super::projection;
use super::tx::{Snapshot, Tx};
use crate::domain::audit::{Actor, LONGEST_ACTION, LONGEST_REASON, Record};
use crate::domain::error::{Error, Result};
use crate::domain::id::{ProjectId, TeamId};
use crate::domain::ledger::{Chain, Head, SignedHead};
use rusqlite::{Connection, OptionalExtension, Row, params};

/// What is about to be noted.
pub struct NewAudit<'a> {
    /// `None`: it is about the actor's team, or about the instance.
    pub project: Option<ProjectId>,
    pub actor: &'a Actor,
    /// One of [`crate::domain::audit::action`].
    pub action: &'a str,
    /// The text id of what it was done to.
    pub subject: Option<&'a str>,
    /// As the operator typed it.
    pub reason: Option<&'a str>,
    /// Figures, ids, old and new; never a name, an address, a secret.
    pub details: &'a serde_json::Value,
}

/// Which rows to list.
#[derive(Debug, Clone)]
pub struct AuditFilter {
    pub actor: Option<String>,
    /// The whole action, or its noun: `program` finds `program.change`.
    pub action: Option<String>,
    pub subject: Option<String>,
    pub from_ms: i64,
    /// Exclusive.
    pub to_ms: i64,
}

impl Default for AuditFilter {
    fn default() -> Self {
        Self { actor: None, action: None, subject: None, from_ms: i64::MIN, to_ms: i64::MAX }
    }
}

impl AuditFilter {
    fn lets_through(&self, record: &Record) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found.is_some_and(|found| found.eq_ignore_ascii_case(wanted)))
        };
        let noun = record.action.split('.').next();
        (self.from_ms..self.to_ms).contains(&record.at_ms)
            && is(&self.actor, Some(&record.actor))
            && (is(&self.action, Some(&record.action)) || is(&self.action, noun))
            && is(&self.subject, record.subject.as_deref())
    }
}

/// Some rows, newest first, and the place to go on from when there may be more. With a filter a page can be short.
#[derive(Debug, Clone)]
pub struct AuditPage {
    pub records: Vec<Record>,
    pub next: Option<i64>,
}

/// Rows that one page looks at, so that a filter that finds little does not hold a reader for long.
const MOST_SEEN: usize = 10_000;

const COLUMNS: &str = "seq, team_id, project_id, actor, action, subject, reason, details, entry_seq, entry_hash,
    at_ms, prev_hash, hash";

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        seq: row.get(0)?,
        team: TeamId(row.get(1)?),
        project: row.get::<_, Option<i64>>(2)?.map(ProjectId),
        actor: row.get(3)?,
        action: row.get(4)?,
        subject: row.get(5)?,
        reason: row.get(6)?,
        details: row.get(7)?,
        ledger: Head { seq: row.get(8)?, hash: row.get(9)? },
        at_ms: row.get(10)?,
        prev_hash: row.get(11)?,
        hash: row.get(12)?,
    })
}

fn head(connection: &Connection) -> Result<Head> {
    let mut statement = connection.prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?;
    let head = statement.query_row([], |row| Ok(Head { seq: row.get(0)?, hash: row.get(1)? })).optional()?;
    Ok(head.unwrap_or(Head::EMPTY))
}

impl Snapshot<'_> {
    pub fn audit_head(&self) -> Result<Head> {
        head(self.connection)
    }

    /// What was done to a project and to its team as a whole, newest first, those before `before` only. Without a
    /// project, to all of the team's.
    pub fn audit(
        &self,
        team: TeamId,
        project: Option<ProjectId>,
        filter: &AuditFilter,
        before: Option<i64>,
        limit: usize,
    ) -> Result<AuditPage> {
        let sql = format!("SELECT {COLUMNS} FROM audit WHERE team_id = $1 AND seq < $2 ORDER BY seq DESC");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![team.0, before.unwrap_or(i64::MAX)])?;
        let (mut records, mut seen): (Vec<Record>, usize) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let found = record(row)?;
            seen += 1;
            if (project.is_none() || found.project.is_none() || found.project == project) && filter.lets_through(&found)
            {
                if records.len() == limit {
                    return Ok(AuditPage { next: records.last().map(|record| record.seq), records });
                }
                records.push(found);
            } else if seen >= MOST_SEEN {
                return Ok(AuditPage { next: Some(found.seq), records });
            }
        }
        Ok(AuditPage { records, next: None })
    }

    /// How many rows of an action there are about something since a time, among the newest 500 of its team.
    pub fn recent_audits(&self, team: TeamId, action: &str, subject: &str, since_ms: i64) -> Result<i64> {
        let sql = "SELECT count(*) FROM (SELECT action, subject, at_ms FROM audit
                     WHERE team_id = $1 ORDER BY seq DESC LIMIT 500) AS newest
                   WHERE action = $2 AND subject = $3 AND at_ms > $4";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row(params![team.0, action, subject, since_ms], |row| row.get(0))?)
    }

    /// The team that came with the file.
    pub fn first_team(&self) -> Result<TeamId> {
        let sql = "SELECT min(id) FROM team";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.get(0).map(TeamId))?)
    }

    /// Whose log it belongs to: the project's team, else the actor's, else the one that came with the file.
    fn team_of(&self, new: &NewAudit<'_>) -> Result<TeamId> {
        if let Some(project) = new.project {
            return Ok(self.project(project)?.team);
        }
        match new.actor {
            Actor::Operator(id) => {
                let sql = "SELECT team_id FROM operator WHERE id = $1";
                Ok(self.connection.prepare_cached(sql)?.query_row(params![id.0], |row| row.get(0).map(TeamId))?)
            }
            Actor::Key(id) => {
                let sql = "SELECT team_id FROM project JOIN api_key ON project_id = project.id WHERE api_key.id = $1";
                Ok(self.connection.prepare_cached(sql)?.query_row(params![id.0], |row| row.get(0).map(TeamId))?)
            }
            Actor::CommandLine | Actor::FirstStart | Actor::Visitor => self.first_team(),
        }
    }
}

impl Tx<'_> {
    /// Notes what the same transaction does. The row's number.
    pub fn add_audit(&self, new: &NewAudit<'_>) -> Result<i64> {
        self.add_audit_of(self.team_of(new)?, new)
    }

    /// [`Tx::add_audit`] about a team as a whole, whoever acts.
    pub fn add_audit_of(&self, team: TeamId, new: &NewAudit<'_>) -> Result<i64> {
        let too_long = |text: &str, most: usize| text.chars().count() > most;
        if too_long(new.action, LONGEST_ACTION) || new.reason.is_some_and(|reason| too_long(reason, LONGEST_REASON)) {
            return Err(Error::internal(format!("{} cannot be noted: it is too long", new.action)));
        }
        // The ledger's newest entries may still be gathered in memory.
        self.append_now()?;
        let newest = head(self.connection)?;
        let mut record = Record {
            seq: newest.seq + 1,
            team,
            project: new.project,
            actor: new.actor.to_string(),
            action: new.action.to_owned(),
            subject: new.subject.map(str::to_owned),
            reason: new.reason.map(str::to_owned),
            details: new.details.to_string(),
            ledger: projection::head(self.connection)?,
            at_ms: self.machine_now_ms(),
            prev_hash: newest.hash,
            hash: [0; 32],
        };
        record.hash = record.compute_hash();
        let sql =
            format!("INSERT INTO audit ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)");
        self.connection.prepare_cached(&sql)?.execute(params![
            record.seq,
            record.team.0,
            record.project.map(|id| id.0),
            record.actor,
            record.action,
            record.subject,
            record.reason,
            record.details,
            record.ledger.seq,
            record.ledger.hash,
            record.at_ms,
            record.prev_hash,
            record.hash
        ])?;
        Ok(record.seq)
    }
}

/// What someone kept to compare with.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeptHeads<'a> {
    pub ledger: Option<&'a SignedHead>,
    pub audit: &'a [SignedHead],
}

/// Recomputes the chain, compares the ledger's heads that it names with the ledger, and itself with heads that were
/// kept. The log's head, and what is wrong with the first row that is off.
pub(super) fn verify(
    connection: &Connection,
    kept: &[SignedHead],
    public_key: &[u8; 32],
) -> Result<(Head, Option<String>)> {
    let (head, mut problem) = fold(connection)?;
    for kept in kept {
        if problem.is_none() {
            problem = against_kept(connection, head, kept, public_key)?;
        }
    }
    Ok((head, problem))
}

fn fold(connection: &Connection) -> Result<(Head, Option<String>)> {
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM audit ORDER BY seq"))?;
    let mut entry_hash = connection.prepare("SELECT hash FROM entry WHERE seq = $1")?;
    let (mut rows, mut head, mut ledger_seq) = (statement.query([])?, Head::EMPTY, 0);
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let off = |problem: String| Some(format!("audit row {seq}: {problem}"));
        let Ok(record) = record(row) else { return Ok((head, off("it does not read".into()))) };
        head = match record.follow(head) {
            Ok(next) => next,
            Err(problem) => return Ok((head, off(problem))),
        };
        let hash = entry_hash.query_row([record.ledger.seq], |row| row.get::<_, [u8; 32]>(0)).optional()?;
        let is_there =
            if record.ledger.seq == 0 { record.ledger == Head::EMPTY } else { hash == Some(record.ledger.hash) };
        if !is_there || record.ledger.seq < ledger_seq {
            let entry = record.ledger.seq;
            return Ok((head, off(format!("it saw another ledger: entry {entry} is not what it was, or is gone"))));
        }
        ledger_seq = record.ledger.seq;
    }
    Ok((head, None))
}

/// Whether the log goes on from a head that was kept.
fn against_kept(
    connection: &Connection,
    newest: Head,
    kept: &SignedHead,
    public_key: &[u8; 32],
) -> Result<Option<String>> {
    let kept = match kept.check(Chain::Audit, public_key) {
        Ok(kept) if kept == Head::EMPTY => return Ok(None),
        Ok(kept) => kept,
        Err(problem) => return Ok(Some(format!("audit log: {problem}"))),
    };
    if kept.seq > newest.seq {
        let first = newest.seq + 1;
        return Ok(Some(format!("audit row {first}: the tail was cut, up to row {} of the kept head", kept.seq)));
    }
    let sql = "SELECT hash FROM audit WHERE seq = $1";
    let hash: Option<[u8; 32]> = connection.query_row(sql, [kept.seq], |row| row.get(0)).optional()?;
    let rewritten = format!("audit row {}: history was rewritten, the kept head has another hash", kept.seq);
    Ok((hash != Some(kept.hash)).then_some(rewritten))
}
