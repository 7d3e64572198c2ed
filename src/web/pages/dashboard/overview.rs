//! The overview: the code and how to share it, the figures, what is to come, who came last.

use super::referrals::ReferralRow;
use super::tracks::Tracks;
use super::words::{Day, Earning};
use super::{Member, failed, sign_in_first};
use crate::domain::email::Email;
use crate::domain::error::Result;
use crate::domain::ledger::{Due, Schedule};
use crate::domain::money::{grouped, percent};
use crate::domain::program::{Conversion, Party, Program};
use crate::domain::sharing::Invitation;
use crate::engine::{Overview, OwnCode, Project, Reader, Stats};
use crate::web::Context;
use crate::web::chart::{Charts, PERIODS, Shape, USUAL_DAYS};
use crate::web::page::{Frame, Place};
use crate::web::pages::done::Done;
use crate::web::pages::login::see;
use crate::web::query::Query;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

const RECENT: usize = 5;
const DUES: usize = 4;

#[derive(Template)]
#[template(path = "dashboard/overview.html")]
struct OverviewPage {
    frame: Frame,
    name: String,
    csrf: String,
    share: Option<Share>,
    revoked: Option<String>,
    /// What a referee starts with.
    bonus: Option<String>,
    is_on: bool,
    /// Nothing has happened yet.
    is_new: bool,
    /// How long a click is remembered.
    window_days: u32,
    metrics: Vec<Metric>,
    balance: BalanceCard,
    charts: Charts,
    periods: Vec<(i64, &'static str, bool)>,
    earnings: Vec<Earning>,
    tracks: Option<Tracks>,
    done: Option<Done>,
    unconfirmed: Option<Unconfirmed>,
    recent: Vec<ReferralRow>,
    has_leaderboard: bool,
}

/// An address that has to be confirmed before there can be a code.
struct Unconfirmed {
    address: String,
    /// Another link can be sent.
    sends_mail: bool,
}

/// Everything to share a code with.
struct Share {
    code: String,
    /// The link up to its path, which is the part that may be cut short where there is little room.
    host: String,
    path: String,
    uses: Option<String>,
    invitation: Invitation,
}

struct Metric {
    label: &'static str,
    figure: String,
    unit: String,
    note: String,
}

/// An amount with its unit set apart.
struct Amount {
    figure: String,
    unit: String,
}

struct BalanceCard {
    available: Amount,
    pending: Amount,
    owed: Option<String>,
    vesting: Vec<DueRow>,
    /// Days that are not listed, and what comes due on them.
    later: Option<String>,
    in_review: Option<String>,
    expiring: Option<DueRow>,
}

struct DueRow {
    day: Day,
    amount: String,
    gradual: bool,
}

pub async fn show(request: HttpRequest, context: web::Data<Context>, reader: web::Data<Reader>) -> HttpResponse {
    show_overview(&request, &context, &reader).await.unwrap_or_else(failed)
}

async fn show_overview(request: &HttpRequest, context: &Context, reader: &Reader) -> Result<HttpResponse> {
    let Some(member) = Member::of(request, context).await? else { return Ok(sign_in_first(Place::Overview)) };
    let days = Query::parse(request.query_string())?.integer("days", 1..=366, USUAL_DAYS)?;
    let (project, account) = (member.project.id, member.account);
    context.engine.give_way().await;
    let stats = context.engine.stats(reader, project, account, days).await?;
    let overview = context.engine.overview(project, account).await?;
    let tracks = Tracks::of(&overview);
    let Overview { account: owner, code, program, schedule, is_unconfirmed, sends_mail, .. } = overview;
    let recent = context.engine.referrals(project, account, None, None, RECENT).await?;
    let bonus = program.signup_bonus();
    let bonus = (bonus > 0).then(|| program.amount_text(bonus));
    let (share, revoked) = match code {
        OwnCode::Active { code, uses_count, max_uses } => {
            let uses = max_uses.map(|most| format!("{} of {} uses taken", grouped(uses_count), grouped(most)));
            (Some(Share::new(context, &member.project, &program, code, uses)), None)
        }
        OwnCode::Revoked(code) => (None, Some(code)),
        OwnCode::None => (None, None),
    };
    let mine = program.rules.iter().filter(|rule| rule.to == Party::Referrer);
    let done = Done::of(context, request, &member.guard);
    let template = OverviewPage {
        frame: member.frame(context, Place::Overview),
        name: owner.name.clone().or(owner.email.clone()).unwrap_or_default(),
        csrf: member.guard.token(context),
        share,
        revoked,
        bonus,
        is_on: program.enabled,
        is_new: stats.clicks + stats.counts.total + stats.counts.rejected + stats.totals.granted == 0,
        window_days: program.attribution.window_days,
        metrics: metrics(&stats, &program),
        balance: BalanceCard::new(&stats, &schedule, &program),
        charts: Charts::of(&stats.series, &program),
        periods: PERIODS.map(|(length, label)| (length, label, length == days)).to_vec(),
        earnings: mine.map(|rule| Earning::of(rule, &program, owner.partner)).collect(),
        tracks,
        done,
        unconfirmed: is_unconfirmed.then(|| Unconfirmed { address: owner.email.unwrap_or_default(), sends_mail }),
        recent: recent.items.into_iter().map(|item| ReferralRow::new(item, &program, &[])).collect(),
        has_leaderboard: program.leaderboard.enabled,
    };
    let mut response = member.page(context, StatusCode::OK, &template);
    if done.is_some() {
        Done::forget(context, &mut response)?;
    }
    Ok(response)
}

/// A code for who has none. Where there is one already, it stays.
pub async fn make_code(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take_code(&request, payload, &context).await.unwrap_or_else(failed)
}

async fn take_code(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let Some(member) = Member::of(request, context).await? else { return Ok(sign_in_first(Place::Overview)) };
    member.form(request, payload, context).await?;
    match context.engine.referral_code(member.project.id, member.account, None, None).await {
        Ok(_) => Ok(see(Place::Overview.url())),
        // The page says what to do about it.
        Err(error) if error.code == "address_unconfirmed" => Ok(see(Place::Overview.url())),
        Err(error) => Err(error),
    }
}

/// Another letter with a link to confirm one's own address.
pub async fn confirm_again(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    send_again(&request, payload, &context).await.unwrap_or_else(failed)
}

async fn send_again(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let Some(member) = Member::of(request, context).await? else { return Ok(sign_in_first(Place::Overview)) };
    member.form(request, payload, context).await?;
    let overview = context.engine.overview(member.project.id, member.account).await?;
    let mut response = see(Place::Overview.url());
    let address = overview.account.email.filter(|_| overview.is_unconfirmed && overview.sends_mail);
    if let Some(address) = address {
        let address = Email::parse("email", &address)?;
        context.limiter.mail(member.project.id, &address.address())?;
        context.engine.confirm_again(member.project.id, address).await?;
        Done::LinkSent.leave(context, &member.guard, &mut response)?;
    }
    Ok(response)
}

impl Share {
    fn new(context: &Context, project: &Project, program: &Program, code: String, uses: Option<String>) -> Self {
        let (host, path) = (context.url_of(project.host.as_deref()), format!("/r/{code}"));
        let link = format!("{host}{path}");
        let bonus = Some(program.signup_bonus()).filter(|bonus| *bonus > 0).map(|bonus| program.amount_text(bonus));
        let invitation = Invitation::new(&program.sharing, &project.name, &code, bonus.as_deref(), &link);
        Self { code, host, path, uses, invitation }
    }
}

impl Amount {
    fn of(amount: i64, program: &Program) -> Self {
        let (figure, unit) = program.amount_parts(amount);
        Self { figure, unit }
    }
}

/// The six of the seed, in its order, each as the statistics of the API say it.
fn metrics(stats: &Stats, program: &Program) -> Vec<Metric> {
    let (counts, totals) = (&stats.counts, &stats.totals);
    let count = |label, figure: i64, note: String| Metric { label, figure: grouped(figure), unit: String::new(), note };
    let earned = Amount::of(totals.granted, program);
    let taken_back = match totals.reversed {
        0 => "Pending and used included".to_owned(),
        reversed => format!("{} of it taken back since", program.amount_text(reversed)),
    };
    let not_counted = match counts.rejected {
        0 => "Signed up with your code".to_owned(),
        rejected => format!("Signed up with your code; {} not counted", grouped(rejected)),
    };
    let rate = percent(counts.converted, counts.total);
    vec![
        count("Total Referrals", counts.total, not_counted),
        count("Conversions", counts.converted, conversion_note(program).to_owned()),
        Metric { label: "Total Earnings", figure: earned.figure, unit: earned.unit, note: taken_back },
        Metric {
            label: "Conversion Rate",
            figure: format!("{rate:.2}%"),
            unit: String::new(),
            note: "Of all referrals".to_owned(),
        },
        count("Total Clicks", stats.clicks, "Visits through your code".to_owned()),
        count("Pending Referrals", counts.total - counts.converted, "Signed up, not converted yet".to_owned()),
    ]
}

fn conversion_note(program: &Program) -> &'static str {
    match program.conversion {
        Conversion::FirstCall => "Made their first API call",
        Conversion::Convert => "Reported as converted",
        Conversion::FirstPurchase => "Made a qualifying purchase",
    }
}

impl BalanceCard {
    fn new(stats: &Stats, schedule: &Schedule, program: &Program) -> Self {
        let balance = &stats.balance;
        let text = |amount: i64| (amount > 0).then(|| program.amount_text(amount));
        let row = |due: &Due| DueRow {
            day: Day::of(due.day_ms),
            amount: program.amount_text(due.amount),
            gradual: due.gradual,
        };
        let later: i64 = schedule.vesting.iter().skip(DUES).map(|due| due.amount).sum();
        Self {
            available: Amount::of(balance.available, program),
            pending: Amount::of(balance.pending, program),
            owed: text(balance.owed),
            vesting: schedule.vesting.iter().take(DUES).map(row).collect(),
            later: text(later),
            in_review: text(schedule.in_review),
            expiring: schedule.expiring.first().map(row),
        }
    }

    fn is_quiet(&self) -> bool {
        self.vesting.is_empty() && self.in_review.is_none()
    }
}
