//! A project at a glance: what waits, the books, the days.

use super::{Console, ConsoleFrame, Section, failed};
use crate::domain::error::Result;
use crate::domain::money::{grouped, percent};
use crate::engine::ProjectOverview;
use crate::web::chart::{Charts, PERIODS, Shape, USUAL_DAYS};
use crate::web::day::Moment;
use crate::web::query::Query;
use crate::web::{Context, readable};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(readable("", overview));
}

#[derive(Template)]
#[template(path = "console/overview.html")]
struct OverviewPage {
    frame: ConsoleFrame,
    name: String,
    here: String,
    is_on: bool,
    version: i64,
    /// What keeps the scheduled backups from being made, since when.
    backup_problem: Option<(Moment, String)>,
    facts: Vec<Fact>,
    waits: Vec<Wait>,
    books: Vec<Line>,
    issued: String,
    accounted: String,
    unit: String,
    is_balanced: bool,
    /// Until somebody has signed up.
    first_steps: Vec<(&'static str, String, &'static str)>,
    charts: Charts,
    periods: Vec<(i64, &'static str, bool)>,
}

struct Fact {
    label: &'static str,
    figure: String,
}

/// Something that waits for an operator.
struct Wait {
    label: &'static str,
    count: i64,
    url: String,
}

/// A line of the books.
struct Line {
    label: &'static str,
    note: &'static str,
    amount: String,
}

async fn overview(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    show(&request, &context).await.unwrap_or_else(|error| failed(&request, error))
}

async fn show(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let console = Console::enter(context, request, Section::Overview)?;
    let days = Query::parse(request.query_string())?.integer("days", 1..=366, USUAL_DAYS)?;
    let seen = context.engine.project_overview(console.project.id, days).await?;
    let text = |amount: i64| seen.program.amount_parts(amount).0;
    let template = OverviewPage {
        frame: console.frame(context),
        name: console.project.name.clone(),
        here: console.url(Section::Overview),
        is_on: seen.program.enabled,
        version: seen.program.version,
        backup_problem: backup_problem(&console, context),
        facts: facts(&seen),
        waits: waits(&console, &seen),
        books: books(&seen),
        issued: text(seen.books.issued),
        accounted: text(seen.books.accounted()),
        unit: seen.program.amount_parts(0).1,
        is_balanced: seen.books.is_balanced(),
        charts: Charts::of(&seen.series, &seen.program),
        first_steps: if seen.population.accounts == 0 { first_steps(&console) } else { Vec::new() },
        periods: PERIODS.map(|(length, label)| (length, label, length == days)).to_vec(),
    };
    console.page_or(context, None, &template)
}

/// It names places on the machine, which are not everyone's to know.
fn backup_problem(console: &Console, context: &Context) -> Option<(Moment, String)> {
    let failure = context.engine.backup_failure().filter(|_| console.role().is_owner())?;
    Some((Moment::of(failure.at_ms), failure.problem))
}

/// What there is to do before anybody has signed up: what, where, and why.
fn first_steps(console: &Console) -> Vec<(&'static str, String, &'static str)> {
    vec![
        ("See what is paid", console.url(Section::Program), "and change it before the first one comes."),
        ("Make a key", console.url(Section::Keys), "for the server that reports usage, each its own."),
        ("Say where links lead", console.url(Section::Settings), "and by which name people know the project."),
    ]
}

fn facts(seen: &ProjectOverview) -> Vec<Fact> {
    let people = seen.population;
    vec![
        Fact { label: "Developers", figure: grouped(people.accounts) },
        Fact { label: "Referrals", figure: grouped(people.referrals) },
        Fact { label: "Converted", figure: grouped(people.converted) },
        Fact { label: "Conversion rate", figure: format!("{:.2} %", percent(people.converted, people.referrals)) },
    ]
}

fn waits(console: &Console, seen: &ProjectOverview) -> Vec<Wait> {
    let wait = |label, count, section| Wait { label, count, url: console.url(section) };
    vec![
        wait("Referrals held for review", seen.waiting.in_review, Section::Review),
        wait("Payouts to approve", seen.waiting.payouts_to_approve, Section::Payouts),
        wait("Deliveries that were given up", seen.waiting.parked_deliveries, Section::Deliveries),
    ]
}

fn books(seen: &ProjectOverview) -> Vec<Line> {
    let (books, balance) = (&seen.books, seen.books.balance);
    let line = |label, note, amount: i64| Line { label, note, amount: seen.program.amount_parts(amount).0 };
    let mut lines = vec![
        line("Available", "can be spent now", balance.available),
        line("Pending", "held for a while, or under review", balance.pending),
        line("Spent", "on usage", books.spent),
        line("Expired", "by their date", books.expired + balance.lapsed),
        line("Reversed", "taken back after refunds or abuse", books.reversed),
        line("Paid", "out to partners, or on the way", books.paid),
    ];
    if balance.owed > 0 {
        lines.push(line("Debt", "spent before it was taken back: counts against the rest", -balance.owed));
    }
    lines
}
