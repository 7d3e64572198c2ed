//! What the page of one developer shows.

use super::frame::{Console, ConsoleFrame};
use super::nav::Section;
use super::words::{Badge, Moment, address, payout_badge, referral_badge};
use crate::domain::error::{Error, Result};
use crate::domain::id::{Cursor, EntryId};
use crate::domain::ledger::NEVER_MS;
use crate::engine::{
    self, BoughtRow, DeveloperFile, DeveloperHistory, LedgerPage, OwnedCode, ReferralLine, VersionedProgram,
};
use crate::web::Context;
use askama::Template;
use std::collections::HashMap;

/// What was typed into a form that was refused.
#[derive(Debug, Default)]
pub struct Typed {
    pub form: String,
    pub amount: String,
    pub takes: bool,
    pub reason: String,
}

impl Typed {
    pub fn of(form: &HashMap<String, String>) -> Self {
        let field = |name: &str| form.get(name).cloned().unwrap_or_default();
        Self {
            form: field("form"),
            amount: field("amount"),
            takes: field("direction") == "take",
            reason: field("reason"),
        }
    }
}

#[derive(Template)]
#[template(path = "console/developer.html")]
pub struct DeveloperPage {
    frame: ConsoleFrame,
    csrf: String,
    url: String,
    list_url: String,
    audit_url: String,
    can_write: bool,
    typed: Typed,
    error: Option<Fault>,
    /// Names this very adjustment, so that a form that is sent twice does it once.
    key: String,
    id: String,
    title: String,
    name: Option<String>,
    facts: Vec<(&'static str, String)>,
    /// When, and by whom.
    erased: Option<(Moment, String)>,
    badges: Vec<Badge>,
    has_open_payout: bool,
    figures: Vec<(&'static str, String)>,
    unit_hint: &'static str,
    lots: Vec<LotRow>,
    codes: Vec<CodeRow>,
    keys: Vec<KeyRow>,
    sessions: Vec<SessionRow>,
    referrals: Vec<ReferralRow>,
    purchases: Vec<PurchaseRow>,
    payouts: Vec<PayoutRow>,
    decisions: Vec<DecisionRow>,
    entries: Vec<EntryRow>,
    older: Option<String>,
    is_newest: bool,
}

struct Fault {
    message: String,
    fields: Vec<(String, String)>,
}

struct LotRow {
    reason: String,
    left: String,
    state: String,
    expires: Option<Moment>,
}

struct CodeRow {
    code: String,
    uses: String,
    is_active: bool,
    made: Moment,
}

struct KeyRow {
    id: String,
    name: Option<String>,
    hint: String,
    used: Option<Moment>,
}

struct SessionRow {
    device: String,
    used: Moment,
}

struct ReferralRow {
    who: String,
    url: String,
    badge: Badge,
    reason: Option<String>,
    code: String,
    at: Moment,
}

struct PurchaseRow {
    id: String,
    amount: String,
    refunded: Option<String>,
    at: Moment,
}

struct PayoutRow {
    id: String,
    amount: String,
    badge: Badge,
    at: Moment,
}

struct DecisionRow {
    rule: String,
    verdict: String,
    code: String,
    event: String,
    version: i64,
    at: Moment,
}

struct EntryRow {
    id: String,
    kind: &'static str,
    reason: String,
    amount: String,
    is_gain: bool,
    status: &'static str,
    at: Moment,
}

fn lots(file: &DeveloperFile) -> Vec<LotRow> {
    let words = |amount| file.program.amount_text(amount);
    let state = |lot: &crate::domain::ledger::Lot| match lot {
        lot if lot.remaining < 0 => "owed".to_owned(),
        lot if lot.lapsed(file.now_ms) > 0 => "expired".into(),
        lot if lot.held => "held while in review".into(),
        lot if lot.pending(file.now_ms) > 0 => format!("vests {}", Moment::day_in_figures(lot.vests_at_ms).text),
        _ => "available".into(),
    };
    let row = |(lot, reason): &(crate::domain::ledger::Lot, String)| LotRow {
        reason: reason.clone(),
        left: words(lot.remaining),
        state: state(lot),
        expires: (lot.expires_at_ms < NEVER_MS).then(|| Moment::day_in_figures(lot.expires_at_ms)),
    };
    file.lots.iter().map(row).collect()
}

fn entries(page: &LedgerPage, program: &VersionedProgram) -> Vec<EntryRow> {
    let row = |line: &crate::engine::LedgerLine| EntryRow {
        id: EntryId(line.entry.seq).to_string(),
        kind: line.entry.kind.as_str(),
        reason: line.entry.reason.to_string(),
        amount: program.amount_text(line.entry.amount),
        is_gain: line.entry.amount > 0,
        status: line.status,
        at: Moment::in_figures(line.entry.at_ms),
    };
    page.lines.iter().map(row).collect()
}

fn facts(file: &DeveloperFile) -> Vec<(&'static str, String)> {
    let account = &file.row.account;
    let mut facts = vec![("Id", account.id.to_string())];
    facts.extend(account.external_id.clone().map(|id| ("Your id", id)));
    facts.extend(account.leaderboard_name.clone().map(|name| ("On the leaderboard", name)));
    facts.push(("Signed up", Moment::in_figures(account.created_at_ms).text));
    facts.extend(file.referred.as_ref().map(|referral| ("Referred by", referral.referrer.to_string())));
    facts.push(("API calls", crate::domain::money::grouped(file.calls)));
    let counts = &file.referrals;
    let brought = format!("{}, of which {} converted", counts.total, counts.converted);
    facts.push(("Referrals", brought));
    if counts.review + counts.rejected > 0 {
        facts.push(("Of them", format!("{} in review; {} more rejected", counts.review, counts.rejected)));
    }
    facts
}

fn badges(file: &DeveloperFile) -> Vec<Badge> {
    let partner = file.row.account.partner.then_some(Badge { text: "Partner", tone: "good" });
    let disposable = Badge { text: "Disposable address: earns nothing", tone: "warn" };
    partner.into_iter().chain(file.row.account.disposable.then_some(disposable)).collect()
}

fn figures(file: &DeveloperFile) -> Vec<(&'static str, String)> {
    let words = |amount: i64| file.program.amount_text(amount);
    vec![
        ("Available", words(file.balance.available)),
        ("Pending", words(file.balance.pending)),
        ("Owed", words(file.balance.owed)),
        ("Earned in all", words(file.totals.granted)),
        ("Spent", words(file.totals.spent)),
        ("Expired", words(file.totals.expired)),
        ("Taken back", words(file.totals.reversed)),
        ("Paid out", words(file.totals.paid)),
    ]
}

impl From<OwnedCode> for CodeRow {
    fn from(code: OwnedCode) -> Self {
        let uses = code.uses_count;
        Self {
            uses: code
                .max_uses
                .map_or_else(|| format!("used {uses} times"), |most| format!("used {uses} of {most} times")),
            code: code.code,
            is_active: code.revoked_at_ms.is_none(),
            made: Moment::day_in_figures(code.created_at_ms),
        }
    }
}

impl From<engine::KeyRow> for KeyRow {
    fn from(key: engine::KeyRow) -> Self {
        Self {
            id: key.id.to_string(),
            name: key.name,
            hint: key.hint,
            used: key.last_used_at_ms.map(Moment::in_figures),
        }
    }
}

impl From<engine::SessionRow> for SessionRow {
    fn from(session: engine::SessionRow) -> Self {
        let device = session.device.unwrap_or_else(|| "A browser".into());
        Self { device, used: Moment::in_figures(session.last_used_at_ms) }
    }
}

impl ReferralRow {
    fn new(line: ReferralLine, list_url: &str, whole: bool) -> Self {
        Self {
            who: address(line.email, whole).unwrap_or_else(|| line.referral.referee.to_string()),
            url: format!("{list_url}/{}", line.referral.referee),
            badge: referral_badge(line.referral.progress.status),
            reason: line.reason,
            code: line.code,
            at: Moment::day_in_figures(line.referral.applied_at_ms),
        }
    }
}

impl From<BoughtRow> for PurchaseRow {
    fn from(row: BoughtRow) -> Self {
        Self {
            id: row.purchase_id,
            amount: minor_text(row.gross_minor, &row.currency),
            refunded: (row.refunded_minor > 0).then(|| minor_text(row.refunded_minor, &row.currency)),
            at: Moment::in_figures(row.purchased_at_ms),
        }
    }
}

impl From<engine::PayoutRow> for PayoutRow {
    fn from(row: engine::PayoutRow) -> Self {
        Self {
            id: row.id.to_string(),
            amount: minor_text(row.amount_minor, &row.currency),
            badge: payout_badge(row.status),
            at: Moment::in_figures(row.created_at_ms),
        }
    }
}

impl From<engine::ListedDecision> for DecisionRow {
    fn from(row: engine::ListedDecision) -> Self {
        Self {
            rule: row.rule,
            verdict: row.verdict,
            code: row.code,
            event: row.event,
            version: row.program_version,
            at: Moment::in_figures(row.at_ms),
        }
    }
}

impl DeveloperPage {
    /// What is wrong with a field of the form that was sent.
    fn fault(&self, form: &str, field: &str) -> Option<&str> {
        let error = self.error.as_ref().filter(|_| self.typed.form == form)?;
        error.fields.iter().find(|(name, _)| name == field).map(|(_, detail)| detail.as_str())
    }

    pub fn new(
        context: &Context,
        console: &Console,
        url: &str,
        typed: Typed,
        error: Option<&Error>,
        (file, history, ledger, eraser): (DeveloperFile, DeveloperHistory, LedgerPage, String),
        before: Option<i64>,
    ) -> Result<Self> {
        let whole = console.role().may_write();
        let (program, list_url) = (file.program.clone(), console.url(Section::Developers));
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|fault| Error::internal(format!("no entropy: {fault}")))?;
        let fault = |error: &Error| Fault {
            message: error.message.clone(),
            fields: error.fields.iter().map(|fault| (fault.field.clone(), fault.detail.clone())).collect(),
        };
        let DeveloperHistory { referrals, purchases, payouts, decisions } = history;
        let account = file.row.account.clone();
        let id = account.id.to_string();
        Ok(Self {
            frame: console.frame(context),
            csrf: console.csrf(context),
            audit_url: format!("{}?subject={id}", console.url(Section::Audit)),
            can_write: whole && file.row.erased_at_ms.is_none(),
            typed,
            error: error.map(fault),
            key: hex::encode(nonce),
            title: match (file.row.erased_at_ms, address(account.email, whole)) {
                (Some(_), _) => "Erased developer".into(),
                (None, Some(email)) => email,
                (None, None) => account.external_id.unwrap_or_else(|| id.clone()),
            },
            id,
            name: account.name.filter(|_| whole),
            facts: facts(&file),
            erased: file.row.erased_at_ms.map(|at_ms| (Moment::in_figures(at_ms), eraser)),
            badges: badges(&file),
            has_open_payout: file.has_open_payout,
            figures: figures(&file),
            unit_hint: if program.unit == "credits" { "in credits" } else { "such as 12.50" },
            lots: lots(&file),
            codes: file.codes.into_iter().map(CodeRow::from).collect(),
            keys: file.keys.into_iter().map(KeyRow::from).collect(),
            sessions: file.sessions.into_iter().map(SessionRow::from).collect(),
            referrals: referrals.into_iter().map(|line| ReferralRow::new(line, &list_url, whole)).collect(),
            purchases: purchases.into_iter().map(PurchaseRow::from).collect(),
            payouts: payouts.into_iter().map(PayoutRow::from).collect(),
            decisions: decisions.into_iter().map(DecisionRow::from).collect(),
            entries: entries(&ledger, &program),
            older: ledger.next.map(|next| format!("{url}?cursor={}#ledger", Cursor(next))),
            is_newest: before.is_none(),
            url: url.to_owned(),
            list_url,
        })
    }
}

/// An amount in the smallest unit of a currency: `25.00 USD`.
pub fn minor_text(minor: i64, currency: &str) -> String {
    let whole = crate::domain::money::grouped(minor / 100);
    format!("{whole}.{:02} {}", (minor % 100).abs(), currency.to_uppercase())
}
