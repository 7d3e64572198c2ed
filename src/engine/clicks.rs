//! Clicks through codes: counting them, remembering them for the signup that may follow, and what of them is left.

use super::logins::Devices;
use super::signals::Seen;
use super::{Engine, secrets};
use crate::domain::click::{self, KeptClick, VisitorId};
use crate::domain::code::Code;
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::program::{Attribution, ClickModel};
use crate::domain::referral;
use crate::domain::time::DAY_MS;
use crate::store::{CodeRow, NewClick, Reader, Snapshot, Tx, UnsignedClicks, VersionedProgram};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Clicks that may wait to be stored; more are not counted.
const MOST_WAITING: usize = 4_096;
/// Stored by one job: some milliseconds of the writer's time.
const MOST_A_JOB: usize = 256;

/// Who comes, as far as a request tells. The network and the browser's name are hashed and not kept.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub network: IpAddr,
    pub user_agent: String,
    /// What the browser remembers: [`Remembered::token`], or anything that somebody made up.
    pub remembered: Option<String>,
    /// Who is signed in.
    pub account: Option<AccountId>,
    /// Whom the browser is known to have signed in as.
    pub devices: Devices,
}

/// What the browser is to remember of a click, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    pub token: String,
    pub days: u32,
}

/// A click through a code that can be used.
#[derive(Debug, Clone)]
pub struct Clicked {
    /// Nothing of a click on one's own link.
    pub remembered: Option<Remembered>,
    click: NewClick,
}

/// How a browser that signs up came here.
#[derive(Debug, Clone)]
pub struct CameFrom {
    /// The click that it remembers.
    pub kept: Option<KeptClick>,
    /// Who it is, by what it remembers or else by its address; `None` when nobody has clicked today whose address would
    /// say anything.
    pub visitor: Option<VisitorId>,
    pub seen: Seen,
}

/// Clicks on their way to the disk. One job at a time takes those that wait, so that they come in batches when there are
/// many, and leave the writer to the others in between.
#[derive(Default)]
pub struct ClickLine {
    waiting: Mutex<Waiting>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Waiting {
    clicks: VecDeque<NewClick>,
    /// How many have joined, and how many have been taken to be stored.
    joined: u64,
    taken: u64,
    lost: u64,
    warned: Option<Instant>,
}

impl ClickLine {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The click's number in the line; `None` when the line is too long.
    fn join(&self, click: NewClick) -> Option<u64> {
        let mut waiting = self.waiting();
        if waiting.clicks.len() >= MOST_WAITING {
            return None;
        }
        waiting.clicks.push_back(click);
        waiting.joined += 1;
        Some(waiting.joined)
    }

    /// The next job's clicks; none when the one with this number has been taken.
    fn take(&self, number: u64) -> Vec<NewClick> {
        let mut waiting = self.waiting();
        if waiting.taken >= number {
            return Vec::new();
        }
        let count = waiting.clicks.len().min(MOST_A_JOB);
        let batch: Vec<_> = waiting.clicks.drain(..count).collect();
        waiting.taken += u64::try_from(count).unwrap_or_default();
        batch
    }

    /// Clicks that could not be stored, told once a minute at most.
    fn note_lost(&self, count: usize, why: &str) {
        const PAUSE: Duration = Duration::from_secs(60);
        let mut waiting = self.waiting();
        waiting.lost += u64::try_from(count).unwrap_or_default();
        if waiting.warned.is_none_or(|at| at.elapsed() >= PAUSE) {
            tracing::warn!(clicks = waiting.lost, why, "clicks since the start that were not counted");
            waiting.warned = Some(Instant::now());
        }
    }
}

/// Clicks on a way that may not end well: lost unless they are [`Underway::let_go`] of, also when nobody waits any more.
struct Underway {
    line: Arc<ClickLine>,
    count: usize,
    why: &'static str,
}

impl Underway {
    fn let_go(mut self) {
        self.count = 0;
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        if self.count > 0 {
            self.line.note_lost(self.count, self.why);
        }
    }
}

/// The key of a day's visitors' hashes.
#[derive(Default)]
pub struct VisitorKey {
    /// And which day it is of.
    known: Mutex<Option<(i64, [u8; 32])>>,
    /// Held while it is being made.
    making: tokio::sync::Mutex<()>,
}

impl VisitorKey {
    fn known(&self) -> MutexGuard<'_, Option<(i64, [u8; 32])>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, today: i64) -> Option<[u8; 32]> {
        self.known().filter(|(day, _)| *day == today).map(|(_, key)| key)
    }
}

/// The code of the click that a browser remembers, if it can be used: nobody has typed it, so nobody could mend it.
pub fn remembered_row(
    db: &Snapshot<'_>,
    project: ProjectId,
    program: &VersionedProgram,
    kept: Option<&KeptClick>,
) -> Result<Option<CodeRow>> {
    let Some(kept) = kept.filter(|kept| kept.is_within(program.attribution, db.now_ms(project))) else {
        return Ok(None);
    };
    usable_row(db, project, program, &kept.code)
}

fn usable_row(
    db: &Snapshot<'_>,
    project: ProjectId,
    program: &VersionedProgram,
    code: &Code,
) -> Result<Option<CodeRow>> {
    let row = db.code(project, code)?;
    Ok(row.filter(|row| referral::usable("ref", Some(row.state()), program).is_ok()))
}

fn count_all(tx: &Tx<'_>, clicks: &[NewClick]) -> Result<()> {
    clicks.iter().try_for_each(|click| tx.count_click(click).map(drop))
}

impl Engine {
    fn kept_click_key(&self) -> [u8; 32] {
        blake3::derive_key("refloop 2026 kept click", &self.store.instance().pepper)
    }

    /// The key of today's visitors. It is made with the day's first click and thrown away when the day is over: after
    /// that nobody can tell, not even with the file, whether an address was among them.
    pub(super) async fn visitor_key(&self) -> Result<[u8; 32]> {
        let today = self.today();
        if let Some(key) = self.visitor_key.of(today) {
            return Ok(key);
        }
        let Ok(_making) = self.visitor_key.making.try_lock() else {
            // Whoever makes it makes it for all who come meanwhile. Nobody tries again after the other: on a disk that
            // takes its time, each would wait for all before.
            drop(self.visitor_key.making.lock().await);
            let none = || Error::internal("the day's key for clicks could not be made");
            return self.visitor_key.of(today).ok_or_else(none);
        };
        let fresh = secrets::fresh_key()?;
        let key = self.store.write(move |tx| tx.visitor_key_of(today, &fresh)).await?;
        // The key before this one may still be in the write-ahead log.
        self.traces_left.store(true, Ordering::SeqCst);
        *self.visitor_key.known() = Some((today, key));
        Ok(key)
    }

    fn today(&self) -> i64 {
        self.store.machine_now_ms().div_euclid(DAY_MS)
    }

    /// How the project remembers clicks.
    pub fn attribution(&self, reader: &Reader, project: ProjectId) -> Result<Attribution> {
        reader.read(|db| Ok(db.program(project)?.attribution))
    }

    /// Whether a click through the code could lead to a signup with it.
    pub fn is_usable(&self, reader: &Reader, project: ProjectId, code: &Code) -> Result<bool> {
        reader.read(|db| Ok(usable_row(db, project, &db.program(project)?, code)?.is_some()))
    }

    /// Somebody has come through a code: what their browser is to remember, and what [`Engine::count_click`] counts.
    /// `None` for a code that cannot be used.
    pub async fn click(
        &self,
        reader: &Reader,
        project: ProjectId,
        code: Code,
        arrival: Arrival,
    ) -> Result<Option<Clicked>> {
        let kept = self.kept_click(project, arrival.remembered.as_deref());
        let found = reader.read(|db| {
            let (program, row) = (db.program(project)?, db.code(project, &code)?);
            let usable = referral::usable("ref", row.as_ref().map(CodeRow::state), &program).is_ok();
            let earlier = remembered_row(db, project, &program, kept.as_ref())?;
            Ok((program.attribution, row.filter(|_| usable), earlier.is_some()))
        })?;
        let (attribution, Some(row), earlier_is_good) = found else { return Ok(None) };
        let now_ms = self.now_ms(project);
        let is_own = arrival.account == Some(row.owner);
        let today = self.visitor_of_today(project, &arrival, kept.is_none() && !is_own).await?;
        let visitor = kept.as_ref().map(|kept| kept.visitor).or(today);
        let click = NewClick {
            project,
            code: row.id,
            referrer: row.owner,
            visitor: visitor.filter(|_| !is_own),
            also: today.filter(|_| is_own || today != visitor),
            at_ms: now_ms,
            window_from_ms: now_ms - click::window_ms(attribution),
        };
        let Some(visitor) = click.visitor else { return Ok(Some(Clicked { remembered: None, click })) };
        // A first click whose code is gone by now is nobody's.
        let earlier = kept.filter(|_| earlier_is_good);
        let kept = KeptClick::after(KeptClick { code, at_ms: now_ms, visitor }, earlier, attribution);
        let remembered =
            Remembered { token: kept.seal(&self.kept_click_key(), project), days: attribution.window_days };
        Ok(Some(Clicked { remembered: Some(remembered), click }))
    }

    /// Who comes, without what their browser remembers. When that is all there is to know them by, a click without it
    /// is lost; else it is only not known that way.
    async fn visitor_of_today(
        &self,
        project: ProjectId,
        arrival: &Arrival,
        is_needed: bool,
    ) -> Result<Option<VisitorId>> {
        let nameless = self.underway(1, "the day's key was not to be had");
        let key = match self.visitor_key().await {
            Err(fault) if is_needed => return Err(fault),
            key => key.ok(),
        };
        nameless.let_go();
        Ok(key.map(|key| VisitorId::of(&key, project, arrival.network, &arrival.user_agent)))
    }

    /// What an arrival says about who signs up. Nothing is written but the day's key, where there is none yet.
    pub async fn came_from(&self, project: ProjectId, arrival: &Arrival) -> Result<CameFrom> {
        let seen = self.seen(project, arrival).await;
        if let Some(kept) = self.kept_click(project, arrival.remembered.as_deref()) {
            return Ok(CameFrom { visitor: Some(kept.visitor), kept: Some(kept), seen });
        }
        let today = self.today();
        let mut key = self.visitor_key.of(today);
        if key.is_none() {
            let stored = self.store.read(move |db| Ok(db.visitor_key()?.filter(|(day, _)| *day == today))).await?;
            key = stored.map(|(_, key)| key);
        }
        let visitor = key.map(|key| VisitorId::of(&key, project, arrival.network, &arrival.user_agent));
        Ok(CameFrom { kept: None, visitor, seen })
    }

    fn kept_click(&self, project: ProjectId, remembered: Option<&str>) -> Option<KeptClick> {
        KeptClick::open(&self.kept_click_key(), project, remembered?)
    }

    /// The code that a signup form is filled in with: the one in the page's address or of the click that the browser
    /// remembers, as the program's click model says. One in the address that cannot be used stays only when the browser
    /// remembers no better one: other sites put words of theirs there.
    pub fn code_to_fill_in(
        &self,
        reader: &Reader,
        project: ProjectId,
        given: Option<Code>,
        remembered: Option<&str>,
    ) -> Result<Option<Code>> {
        let Some(kept) = self.kept_click(project, remembered) else { return Ok(given) };
        reader.read(|db| {
            let program = db.program(project)?;
            let Some(_) = remembered_row(db, project, &program, Some(&kept))? else { return Ok(given) };
            let is_good = |code: &Code| usable_row(db, project, &program, code).map(|row| row.is_some());
            let given_is_good = given.as_ref().map(is_good).transpose()?.unwrap_or(false);
            let (kept, given) = (Some(kept.code), given.filter(|_| given_is_good));
            Ok(match program.attribution.click {
                ClickModel::First => kept.or(given),
                ClickModel::Last => given.or(kept),
            })
        })
    }

    /// Counts a click, unless it is the same visitor again or the day is full, together with those that wait. Returns
    /// when the disk has it, or will not take it: then it is not counted.
    pub async fn count_click(&self, clicked: &Clicked) {
        let line = &self.clicks;
        let Some(number) = line.join(clicked.click) else { return line.note_lost(1, "too many wait") };
        let _turn = line.turn.lock().await;
        loop {
            let batch = line.take(number);
            if batch.is_empty() {
                return;
            }
            let (count, is_done) = (batch.len(), Arc::new(AtomicBool::new(false)));
            let (underway, done) = (self.underway(count, "the disk did not take them"), is_done.clone());
            let stored = self.store.write(move |tx| {
                count_all(tx, &batch)?;
                done.store(true, Ordering::SeqCst);
                underway.let_go();
                Ok(())
            });
            // What failed before has been told by itself, to nobody if need be.
            if let Err(fault) = stored.await
                && is_done.load(Ordering::SeqCst)
            {
                line.note_lost(count, &fault.message);
            }
        }
    }

    fn underway(&self, count: usize, why: &'static str) -> Underway {
        Underway { line: self.clicks.clone(), count, why }
    }

    /// Stores the clicks of visitors who did not stay for it.
    pub(super) fn store_waiting_clicks(&self) {
        loop {
            let batch = self.clicks.take(u64::MAX);
            if batch.is_empty() {
                return;
            }
            let count = batch.len();
            let stored = self.store.write_blocking(move |tx| count_all(tx, &batch));
            if let Err(fault) = stored {
                self.clicks.note_lost(count, &fault.message);
            }
        }
    }

    /// Visitors of the account's codes who have not signed up, as long as they still may.
    pub async fn unsigned_clicks(&self, project: ProjectId, account: AccountId) -> Result<UnsignedClicks> {
        const MOST_RECENT: i64 = 50;
        self.store
            .read(move |db| {
                let since_ms = db.now_ms(project) - click::kept_ms(db.program(project)?.attribution);
                db.unsigned_clicks(project, account, since_ms, MOST_RECENT)
            })
            .await
    }

    /// Forgets single clicks that no signup can come of any more, and yesterday's key. Returns how many.
    pub(super) fn forget_clicks(&self, most: usize) -> Result<usize> {
        let today = self.today();
        if self.store.read_blocking(|db| Ok(db.visitor_key()?.is_some_and(|(day, _)| day != today)))? {
            self.store.write_blocking(move |tx| tx.forget_visitor_key(today))?;
            self.traces_left.store(true, Ordering::SeqCst);
        }
        let due = self.store.read_blocking(|db| {
            let mut due = Vec::new();
            for project in db.projects()? {
                let before_ms = db.now_ms(project.id) - click::kept_ms(db.program(project.id)?.attribution);
                if db.has_clicks_before(project.id, before_ms)? {
                    due.push((project.id, before_ms));
                }
            }
            Ok(due)
        })?;
        let mut forgotten = 0;
        for (project, before_ms) in due {
            let most = i64::try_from(most).unwrap_or(i64::MAX);
            forgotten += self.store.write_blocking(move |tx| tx.forget_clicks(project, before_ms, most))?;
        }
        Ok(forgotten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_bounded_and_leaves_in_portions() {
        let line = ClickLine::default();
        let (project, referrer, visitor) = (ProjectId(1), AccountId(1), VisitorId([0; 16]));
        let click =
            NewClick { project, code: 1, referrer, visitor: Some(visitor), also: None, at_ms: 0, window_from_ms: 0 };
        let numbers: Vec<u64> = std::iter::from_fn(|| line.join(click)).collect();
        assert_eq!((numbers.len(), numbers[0], numbers[4_095]), (4_096, 1, 4_096));
        assert_eq!((line.take(1).len(), line.take(1).len()), (256, 0), "the first has been taken");
        assert_eq!((line.take(256).len(), line.take(257).len()), (0, 256));
        assert_eq!(line.join(click), Some(4_097), "there is room again");
        let portions: Vec<usize> =
            std::iter::from_fn(|| Some(line.take(4_097).len()).filter(|count| *count > 0)).collect();
        assert_eq!((portions.len(), portions.iter().sum::<usize>()), (15, 4_097 - 512));
    }
}
