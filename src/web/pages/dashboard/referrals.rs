//! Referred users: who came, how far they are, what they brought, and why something was not given.

use super::words::{Badge, Day, NOT_SIGNED_UP, reason_text, refusal_sentence, standing_text, status_badge};
use super::{Member, failed, sign_in_first};
use crate::domain::error::{Error, Result};
use crate::domain::id::Cursor;
use crate::domain::money::grouped;
use crate::domain::program::Program;
use crate::domain::referral::Status;
use crate::engine::{ReferralCredit, ReferralItem, ReferralPage, Refusal, UnsignedClicks};
use crate::web::Context;
use crate::web::page::{Frame, Place};
use crate::web::query::Query;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

const PAGE: usize = 15;
/// Of each referral; the ledger has the others, and a page stays small.
const LAST_CREDITS: usize = 5;
const LAST_REFUSALS: usize = 3;

#[derive(Template)]
#[template(path = "dashboard/referrals.html")]
struct ReferralsPage {
    frame: Frame,
    filters: Vec<Filter>,
    /// Visitors who have not signed up, on the pages that show them.
    visitors: Option<Visitors>,
    rows: Vec<ReferralRow>,
    is_filtered: bool,
    is_first: bool,
    newest: String,
    next: Option<String>,
}

/// Who clicked and may still sign up.
struct Visitors {
    badge: Badge,
    count: String,
    is_one: bool,
    window_days: u32,
    latest: Option<Day>,
    /// Each of them, the last ones first, where they alone are asked for.
    days: Vec<Day>,
    /// How many are not listed.
    more: Option<String>,
}

impl Visitors {
    fn of(clicks: UnsignedClicks, window_days: u32, each: bool) -> Self {
        let days: Vec<Day> = clicks.recent_at_ms.into_iter().map(Day::of).collect();
        let more = clicks.count - i64::try_from(days.len()).unwrap_or(i64::MAX);
        Self {
            badge: NOT_SIGNED_UP,
            count: grouped(clicks.count),
            is_one: clicks.count == 1,
            window_days,
            latest: days.first().cloned(),
            more: (each && more > 0).then(|| grouped(more)),
            days: if each { days } else { Vec::new() },
        }
    }
}

/// What the list is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    All,
    NotSignedUp,
    Status(Status),
}

impl Wanted {
    const NOT_SIGNED_UP: &str = "not_signed_up";

    fn parse(text: Option<&str>) -> Result<Self> {
        let unknown = || Error::field("status", "invalid_status", "There is no such status.");
        match text {
            None => Ok(Self::All),
            Some(Self::NOT_SIGNED_UP) => Ok(Self::NotSignedUp),
            Some(text) => Status::parse(text).map(Self::Status).ok_or_else(unknown),
        }
    }

    fn as_str(self) -> Option<&'static str> {
        match self {
            Self::All => None,
            Self::NotSignedUp => Some(Self::NOT_SIGNED_UP),
            Self::Status(status) => Some(status.as_str()),
        }
    }

    fn status(self) -> Option<Status> {
        if let Self::Status(status) = self { Some(status) } else { None }
    }

    fn label(self, program: &Program) -> &'static str {
        match self {
            Self::All => "All",
            Self::NotSignedUp => NOT_SIGNED_UP.text,
            Self::Status(status) => status_badge(status, program).text,
        }
    }

    fn url(self, cursor: Option<Cursor>) -> String {
        let status = self.as_str().map(|status| format!("status={status}"));
        let cursor = cursor.map(|cursor| format!("cursor={cursor}"));
        let query = [status, cursor].into_iter().flatten().collect::<Vec<_>>().join("&");
        format!("{}{}{query}", Place::Referrals.url(), if query.is_empty() { "" } else { "?" })
    }
}

struct Filter {
    label: &'static str,
    url: String,
    here: bool,
}

/// One referral.
pub struct ReferralRow {
    pub email: String,
    pub badge: Badge,
    pub since: Day,
    pub code: String,
    pub milestones: Vec<(&'static str, Day)>,
    pub earned: String,
    pub pending: Option<String>,
    /// The last ones, the newest first.
    pub credits: Vec<CreditRow>,
    /// How many credits are not listed, and what they come to.
    pub more_credits: Option<(String, String)>,
    pub standing: Option<&'static str>,
    /// The last ones, each sentence once, with its days.
    pub refusals: Vec<(String, Vec<Day>)>,
}

pub struct CreditRow {
    pub reason: String,
    pub amount: String,
    pub status: &'static str,
    pub tone: &'static str,
    /// When it vests, while that is to come and is not held by a review.
    pub vests: Option<Day>,
    pub taken_back: Option<String>,
}

impl ReferralRow {
    pub fn new(item: ReferralItem, program: &Program, refusals: &[Refusal]) -> Self {
        let milestones = [
            ("First call", item.progress.first_call_at_ms),
            ("Active", item.progress.active_at_ms),
            ("Converted", item.progress.converted_at_ms),
        ];
        let sum =
            |credits: &[ReferralCredit]| credits.iter().map(|credit| credit.amount - credit.reversed).sum::<i64>();
        let earned = sum(&item.credits);
        let (earlier, last) = item.credits.split_at(item.credits.len().saturating_sub(LAST_CREDITS));
        let more = i64::try_from(earlier.len()).unwrap_or(i64::MAX);
        let pending: i64 = item.credits.iter().map(|credit| credit.pending).sum();
        let in_review = item.progress.status == Status::Review;
        let credit = |credit: &ReferralCredit| CreditRow {
            reason: reason_text(&credit.reason),
            amount: program.amount_text(credit.amount),
            status: credit.status,
            tone: super::words::line_tone(credit.status),
            vests: (credit.status == "PENDING" && !in_review).then(|| Day::of(credit.vests_at_ms)),
            taken_back: (credit.reversed > 0).then(|| program.amount_text(credit.reversed)),
        };
        Self {
            email: item.masked_email.unwrap_or_else(|| "Account erased".to_owned()),
            badge: status_badge(item.progress.status, program),
            since: Day::of(item.signed_up_at_ms),
            code: item.code,
            milestones: milestones.into_iter().filter_map(|(name, at_ms)| Some((name, Day::of(at_ms?)))).collect(),
            earned: program.amount_text(earned),
            pending: (pending > 0).then(|| program.amount_text(pending)),
            credits: last.iter().rev().map(credit).collect(),
            more_credits: (more > 0).then(|| (grouped(more), program.amount_text(sum(earlier)))),
            standing: standing_text(item.progress.status, item.reason.as_deref()),
            refusals: last_refusals(refusals, program),
        }
    }

    /// Whether there is more to say than the row does.
    pub fn has_details(&self) -> bool {
        !self.credits.is_empty() || !self.milestones.is_empty() || self.standing.is_some() || !self.refusals.is_empty()
    }
}

fn last_refusals(refusals: &[Refusal], program: &Program) -> Vec<(String, Vec<Day>)> {
    let said =
        refusals.iter().filter_map(|refusal| Some((refusal_sentence(refusal, program)?, Day::of(refusal.at_ms))));
    let mut each: Vec<(String, Vec<Day>)> = Vec::new();
    for (sentence, day) in said.take(LAST_REFUSALS) {
        match each.iter_mut().find(|(other, _)| *other == sentence) {
            Some((_, days)) => days.push(day),
            None => each.push((sentence, vec![day])),
        }
    }
    each
}

fn filters(wanted: Wanted, program: &Program) -> Vec<Filter> {
    let each = Status::ALL.into_iter().map(Wanted::Status);
    let all = [Wanted::All, Wanted::NotSignedUp].into_iter().chain(each);
    all.map(|it| Filter { label: it.label(program), url: it.url(None), here: it == wanted }).collect()
}

pub async fn show(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    show_referrals(&request, &context).await.unwrap_or_else(failed)
}

async fn show_referrals(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let Some(member) = Member::of(request, context).await? else { return Ok(sign_in_first(Place::Referrals)) };
    let query = Query::parse(request.query_string())?;
    let wanted = Wanted::parse(query.get("status"))?;
    let before = query.cursor()?;
    let (engine, project, account) = (&context.engine, member.project.id, member.account);
    let program = engine.program_of(project).await?;
    let visitors = match (wanted, before) {
        (Wanted::All, None) | (Wanted::NotSignedUp, _) => {
            let clicks = engine.unsigned_clicks(project, account).await?;
            let each = wanted == Wanted::NotSignedUp;
            (clicks.count > 0).then(|| Visitors::of(clicks, program.attribution.window_days, each))
        }
        _ => None,
    };
    let page = match wanted {
        Wanted::NotSignedUp => ReferralPage { items: Vec::new(), next: None },
        _ => engine.referrals(project, account, wanted.status(), before, PAGE).await?,
    };
    let ids = page.items.iter().map(|item| item.id).collect();
    let refusals = engine.refusals(project, account, ids).await?;
    let rows = page.items.into_iter().zip(&refusals);
    let template = ReferralsPage {
        frame: member.frame(context, Place::Referrals),
        filters: filters(wanted, &program),
        visitors,
        rows: rows.map(|(item, refusals)| ReferralRow::new(item, &program, refusals)).collect(),
        is_filtered: wanted != Wanted::All,
        is_first: before.is_none(),
        newest: wanted.url(None),
        next: page.next.map(|next| wanted.url(Some(Cursor(next)))),
    };
    Ok(member.page(context, StatusCode::OK, &template))
}
