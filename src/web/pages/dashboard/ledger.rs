//! The ledger as its owner reads it, and as CSV.

use super::words::{Day, line_tone, minus, reason_text};
use super::{Member, failed, sign_in_first};
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, Cursor};
use crate::domain::ledger::{EntryKind, LINE_STATUSES};
use crate::domain::program::Program;
use crate::domain::time::DAY_MS;
use crate::engine::{LedgerFilter, LedgerLine, LedgerSheet, Reader, Stats, mask};
use crate::web::chart::USUAL_DAYS;
use crate::web::page::{Frame, Place};
use crate::web::query::Query;
use crate::web::{Context, ledger_csv};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

const PAGE: usize = 25;

#[derive(Template)]
#[template(path = "dashboard/ledger.html")]
struct LedgerPage {
    frame: Frame,
    totals: Vec<(&'static str, String)>,
    statuses: Vec<(&'static str, bool)>,
    asked: Asked,
    rows: Vec<Row>,
    /// Whether the lines say what all up to them comes to.
    has_balance: bool,
    is_first: bool,
    newest: String,
    next: Option<String>,
    csv: String,
    problem: Option<String>,
}

struct Row {
    id: String,
    day: Day,
    email: Option<String>,
    reason: String,
    figure: String,
    unit: String,
    is_gain: bool,
    status: &'static str,
    tone: &'static str,
    /// When it vests, while that is to come.
    vests: Option<Vests>,
    /// When, in the word for what is to come or has been.
    expires: Option<(&'static str, Day)>,
    /// The figure of what all up to here comes to.
    balance: Option<String>,
}

enum Vests {
    On(Day),
    AfterReview,
}

/// What the form asks for, as it was typed.
#[derive(Default)]
struct Asked {
    from: String,
    to: String,
    status: String,
}

impl Asked {
    fn of(query: &Query) -> Self {
        let typed = |name| query.get(name).unwrap_or_default().to_owned();
        Self { from: typed("from"), to: typed("to"), status: typed("status") }
    }

    /// The days named count whole, the last one too.
    fn filter(&self, query: &Query) -> Result<LedgerFilter> {
        let mut filter = ledger_csv::filter(query)?;
        if self.to.len() == "2026-01-15".len() {
            filter.to_ms += DAY_MS;
        }
        if filter.from_ms >= filter.to_ms {
            return Err(Error::field("from", "out_of_range", "The first day comes after the last."));
        }
        Ok(filter)
    }

    fn is_empty(&self) -> bool {
        [&self.from, &self.to, &self.status].iter().all(|field| field.is_empty())
    }

    fn url(&self, path: &str, cursor: Option<Cursor>) -> String {
        let cursor = cursor.map(|cursor| cursor.to_string()).unwrap_or_default();
        let fields = [("from", &self.from), ("to", &self.to), ("status", &self.status), ("cursor", &cursor)];
        let given = fields.into_iter().filter(|(_, value)| !value.is_empty());
        let pairs = given.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
        let query = pairs.collect::<Vec<_>>().join("&");
        format!("{path}{}{query}", if query.is_empty() { "" } else { "?" })
    }
}

pub async fn show(request: HttpRequest, context: web::Data<Context>, reader: web::Data<Reader>) -> HttpResponse {
    show_ledger(&request, &context, &reader).await.unwrap_or_else(failed)
}

async fn show_ledger(request: &HttpRequest, context: &Context, reader: &Reader) -> Result<HttpResponse> {
    let Some(member) = Member::of(request, context).await? else { return Ok(sign_in_first(Place::Ledger)) };
    let query = Query::parse(request.query_string())?;
    let (asked, before) = (Asked::of(&query), query.cursor()?);
    let (filter, problem) = match asked.filter(&query) {
        Ok(filter) => (filter, None),
        Err(error) => (LedgerFilter::default(), Some(error.message)),
    };
    let (project, account) = (member.project.id, member.account);
    let program = context.engine.program_of(project).await?;
    let stats = context.engine.stats(reader, project, account, USUAL_DAYS).await?;
    let sheet = context.engine.ledger_sheet(project, account, filter, before, PAGE).await?;
    let LedgerSheet { page, total, lapsed, reserved } = sheet;
    let total = total.filter(|_| asked.is_empty());
    let now_ms = context.engine.now_ms(project);
    let lapsed =
        total.filter(|_| before.is_none() && lapsed > 0).map(|total| lapsed_row(lapsed, now_ms, &program, total));
    let lines = rows(page.lines, account, &program, total, now_ms);
    let shown = if problem.is_some() { &Asked::default() } else { &asked };
    let template = LedgerPage {
        frame: member.frame(context, Place::Ledger),
        totals: totals(&stats, reserved, &program),
        statuses: LINE_STATUSES.map(|status| (status, status.eq_ignore_ascii_case(&asked.status))).to_vec(),
        rows: lapsed.into_iter().chain(lines).collect(),
        has_balance: total.is_some(),
        is_first: before.is_none(),
        newest: shown.url(Place::Ledger.url(), None),
        next: page.next.map(|next| shown.url(Place::Ledger.url(), Some(Cursor(next)))),
        csv: shown.url("/dashboard/ledger.csv", None),
        problem,
        asked,
    };
    let code = if template.problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(member.page(context, code, &template))
}

pub async fn export(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    let answer = async {
        let Some(member) = Member::of(&request, &context).await? else { return Ok(sign_in_first(Place::Ledger)) };
        let query = Query::parse(request.query_string())?;
        let filter = Asked::of(&query).filter(&query)?;
        Ok(ledger_csv::export(member.project.id, member.account, context.clone(), filter))
    };
    answer.await.unwrap_or_else(failed)
}

/// The statistics that the ledger adds up to: what was earned is where it went, and what is left.
fn totals(stats: &Stats, reserved: i64, program: &Program) -> Vec<(&'static str, String)> {
    let (totals, balance) = (&stats.totals, &stats.balance);
    let always = [
        ("Earned", totals.granted, true),
        ("Available", balance.available, true),
        ("Pending", balance.pending, true),
        ("Used", totals.spent, true),
        ("Expired", totals.expired + balance.lapsed, false),
        ("Taken back", totals.reversed, false),
        ("Reserved", reserved, false),
        ("Paid out", (totals.paid - reserved).max(0), false),
        ("Owed", balance.owed, false),
    ];
    let shown = always.into_iter().filter(|(_, amount, always)| *always || *amount != 0);
    shown.map(|(label, amount, _)| (label, program.amount_text(amount))).collect()
}

/// What has expired since the last entry, which the next one is going to book.
fn lapsed_row(lapsed: i64, now_ms: i64, program: &Program, total: i64) -> Row {
    let (figure, unit) = program.amount_parts(-lapsed);
    Row {
        id: "lapsed".to_owned(),
        day: Day::of(now_ms),
        email: None,
        reason: reason_text("expired"),
        figure: minus(&figure),
        unit,
        is_gain: false,
        status: "EXPIRED",
        tone: line_tone("EXPIRED"),
        vests: None,
        expires: None,
        balance: Some(minus(&program.amount_parts(total - lapsed).0)),
    }
}

/// A grant's last day, as long as that says something: what was used up before it neither expires nor has expired.
fn expiry(line: &LedgerLine, now_ms: i64) -> Option<(&'static str, Day)> {
    let at_ms = line.entry.expires_at_ms.filter(|_| line.entry.kind == EntryKind::Grant)?;
    match (at_ms > now_ms, line.status) {
        (true, _) => Some(("expires", Day::of(at_ms))),
        (false, "EXPIRED") => Some(("expired", Day::of(at_ms))),
        (false, _) => None,
    }
}

/// The lines with what all entries up to each come to, from the newest line's total down.
fn rows(lines: Vec<LedgerLine>, account: AccountId, program: &Program, total: Option<i64>, now_ms: i64) -> Vec<Row> {
    let mut balance = total;
    let row = |line: LedgerLine| {
        let (amount, at_line) = (line.entry.amount, balance);
        balance = balance.map(|balance| balance - amount);
        let (figure, unit) = program.amount_parts(amount);
        let vests = match line.entry.vests_at_ms {
            Some(at_ms) if line.status == "PENDING" => {
                Some(if line.held { Vests::AfterReview } else { Vests::On(Day::of(at_ms)) })
            }
            _ => None,
        };
        Row {
            id: line.id().to_string(),
            day: Day::of(line.entry.at_ms),
            email: match line.referee {
                Some(referee) if referee == account => Some("You".to_owned()),
                Some(_) => {
                    Some(line.referee_email.as_deref().and_then(mask).unwrap_or_else(|| "Account erased".into()))
                }
                None => None,
            },
            reason: reason_text(&line.entry.reason),
            figure: if amount > 0 { format!("+{figure}") } else { minus(&figure) },
            unit,
            is_gain: amount > 0,
            status: line.status,
            tone: line_tone(line.status),
            vests,
            expires: expiry(&line, now_ms),
            balance: at_line.map(|balance| minus(&program.amount_parts(balance).0)),
        }
    };
    lines.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time;

    #[test]
    fn the_last_day_counts_whole() {
        let filter = |text: &str| {
            let query = Query::parse(text).unwrap();
            Asked::of(&query).filter(&query)
        };
        let both = filter("from=2026-01-15&to=2026-01-15").unwrap();
        assert_eq!(both.to_ms - both.from_ms, DAY_MS);
        assert_eq!(both.from_ms, time::parse("from", "2026-01-15").unwrap());
        let exact = filter("to=2026-01-15T00%3A00%3A00Z").unwrap();
        assert_eq!(exact.to_ms, both.from_ms);
        assert_eq!(filter("from=2026-01-16&to=2026-01-15").unwrap_err().code, "out_of_range");
        assert!(filter("from=yesterday").is_err() && filter("status=NEW").is_err());
        assert_eq!(filter("").unwrap().to_ms, i64::MAX);
    }

    #[test]
    fn links_keep_what_was_asked_for() {
        let asked = Asked { from: "2026-01-15".into(), to: String::new(), status: "PAID".into() };
        assert_eq!(asked.url("/x", None), "/x?from=2026%2D01%2D15&status=PAID");
        assert_eq!(Asked::default().url("/x", None), "/x");
    }
}
