//! The audit log: who did what, when and why; as a page, and as a file.

use super::nav::project_url;
use super::{Console, ConsoleFrame, Section, audit_words, failed};
use crate::domain::audit::Record;
use crate::domain::error::{Error, Result};
use crate::domain::id::Cursor;
use crate::domain::time::{self, DAY_MS};
use crate::engine::{AuditFilter, AuditPage};
use crate::web::query::Query;
use crate::web::{Context, readable};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::collections::HashMap;

const PER_PAGE: usize = 50;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(readable("/audit", audit)).service(readable("/audit.{kind:csv|jsonl}", export));
}

#[derive(Template)]
#[template(path = "console/audit.html")]
struct AuditLogPage {
    frame: ConsoleFrame,
    asked: Asked,
    error: Option<String>,
    rows: Vec<Line>,
    here: String,
    query: String,
    older: Option<String>,
}

/// The filter as it was typed.
#[derive(Default)]
struct Asked {
    actor: String,
    action: String,
    subject: String,
    from: String,
    to: String,
}

struct Line {
    seq: i64,
    at: String,
    iso: String,
    /// Who it was, by what they are called now.
    actor: String,
    actor_id: String,
    action: String,
    subject: String,
    /// The page about it, where there is one.
    subject_url: Option<String>,
    reason: String,
    details: Vec<(String, String)>,
    ledger_seq: i64,
}

impl Asked {
    fn of(query: &Query) -> Self {
        let typed = |name| query.get(name).unwrap_or_default().trim().to_owned();
        Self {
            actor: typed("actor"),
            action: typed("action"),
            subject: typed("subject"),
            from: typed("from"),
            to: typed("to"),
        }
    }

    fn fields(&self) -> [(&'static str, &str); 5] {
        [
            ("actor", &self.actor),
            ("action", &self.action),
            ("subject", &self.subject),
            ("from", &self.from),
            ("to", &self.to),
        ]
    }

    fn query(&self) -> String {
        let given = self.fields().into_iter().filter(|(_, value)| !value.is_empty());
        given
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
            .collect::<Vec<_>>()
            .join("&")
    }

    /// An operator may be named by their address. The last day counts whole.
    fn filter(&self, operators: &HashMap<String, String>) -> Result<AuditFilter> {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let day = |field, text: &str| if text.is_empty() { Ok(None) } else { time::parse(field, text).map(Some) };
        let id = operators.iter().find(|(_, email)| email.eq_ignore_ascii_case(&self.actor)).map(|(id, _)| id.clone());
        Ok(AuditFilter {
            actor: id.or_else(|| text(&self.actor)),
            action: text(&self.action),
            subject: text(&self.subject),
            from_ms: day("from", &self.from)?.unwrap_or(i64::MIN),
            to_ms: day("to", &self.to)?.map_or(i64::MAX, |to| if self.to.len() == 10 { to + DAY_MS } else { to }),
        })
    }
}

/// Operators' addresses by their ids.
async fn operators(console: &Console, context: &Context) -> Result<HashMap<String, String>> {
    let (rows, _) = context.engine.team(console.operator.team).await?;
    Ok(rows.into_iter().map(|row| (row.id.to_string(), row.email)).collect())
}

fn line(record: Record, operators: &HashMap<String, String>, project_url: &str) -> Line {
    let iso = time::rfc3339(record.at_ms);
    let who = |id: &str| operators.get(id).cloned();
    Line {
        seq: record.seq,
        at: iso.replace('T', " ").chars().take(19).collect(),
        iso,
        actor: who(&record.actor).unwrap_or_else(|| record.actor.clone()),
        actor_id: record.actor,
        action: record.action,
        subject_url: record.subject.as_deref().and_then(|subject| audit_words::url(subject, project_url)),
        subject: record.subject.map(|subject| who(&subject).unwrap_or(subject)).unwrap_or_default(),
        reason: record.reason.unwrap_or_default(),
        details: audit_words::details(&record.details),
        ledger_seq: record.ledger.seq,
    }
}

async fn audit(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    show(&request, &context).await.unwrap_or_else(|error| failed(&request, error))
}

async fn show(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let console = Console::enter(context, request, Section::Audit)?;
    let query = Query::parse(request.query_string())?;
    let (asked, operators) = (Asked::of(&query), operators(&console, context).await?);
    let wanted = asked.filter(&operators).and_then(|filter| Ok((filter, query.cursor()?)));
    let (page, error): (AuditPage, Option<Error>) = match wanted {
        Ok((filter, before)) => {
            let (team, project) = (console.operator.team, Some(console.project.id));
            (context.engine.audit(team, project, filter, before, PER_PAGE).await?, None)
        }
        Err(error) => (AuditPage { records: Vec::new(), next: None }, Some(error)),
    };
    let (here, typed, place) = (console.url(Section::Audit), asked.query(), project_url(&console.project));
    let template = AuditLogPage {
        frame: console.frame(context),
        error: error.as_ref().map(|error| error.message.clone()),
        older: page.next.map(|next| format!("{here}?{typed}&cursor={}", Cursor(next))),
        rows: page.records.into_iter().map(|record| line(record, &operators, &place)).collect(),
        query: typed,
        here,
        asked,
    };
    console.page_or(context, error.as_ref(), &template)
}

async fn export(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    download(&request, &context).await.unwrap_or_else(|error| failed(&request, error))
}

/// A page at a time, so that a slow reader holds nothing.
async fn download(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    const AT_ONCE: usize = 500;
    let console = Console::enter(context, request, Section::Audit)?;
    let asked = Asked::of(&Query::parse(request.query_string())?);
    let filter = asked.filter(&operators(&console, context).await?)?;
    let is_csv = request.match_info().get("kind") == Some("csv");
    let (engine, team, project) = (context.engine.clone(), console.operator.team, Some(console.project.id));
    let pages = futures_util::stream::try_unfold(Some(None), move |place: Option<Option<i64>>| {
        let (engine, filter) = (engine.clone(), filter.clone());
        async move {
            let Some(before) = place else { return Ok(None) };
            let page = engine.audit(team, project, filter, before, AT_ONCE).await.map_err(std::io::Error::other)?;
            let head = is_csv && before.is_none();
            let text = if is_csv { csv(&page.records, head) } else { Ok(lines(&page.records)) };
            Ok::<_, std::io::Error>(Some((web::Bytes::from(text?), page.next.map(Some))))
        }
    });
    let (media_type, name) = if is_csv {
        ("text/csv; charset=utf-8", "audit.csv")
    } else {
        ("application/jsonl; charset=utf-8", "audit.jsonl")
    };
    let disposition = format!("attachment; filename=\"{}-{name}\"", console.project.slug);
    let mut response = HttpResponse::Ok();
    response.content_type(media_type).insert_header((header::CONTENT_DISPOSITION, disposition));
    Ok(response.streaming(pages))
}

fn lines(records: &[Record]) -> String {
    let line = |record: &Record| crate::web::audit_body::body(record).to_string() + "\n";
    records.iter().map(line).collect()
}

fn csv(records: &[Record], head: bool) -> std::io::Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    if head {
        writer.write_record(["seq", "at", "actor", "action", "subject", "reason", "details", "ledger_seq", "hash"])?;
    }
    for record in records {
        writer.write_record([
            record.seq.to_string(),
            time::rfc3339(record.at_ms),
            safe(&record.actor),
            safe(&record.action),
            safe(record.subject.as_deref().unwrap_or_default()),
            safe(record.reason.as_deref().unwrap_or_default()),
            safe(&record.details),
            record.ledger.seq.to_string(),
            hex::encode(record.hash),
        ])?;
    }
    let bytes = writer.into_inner().map_err(|fault| std::io::Error::other(fault.to_string()))?;
    String::from_utf8(bytes).map_err(std::io::Error::other)
}

/// What a spreadsheet would take for a formula is led by an apostrophe.
fn safe(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::safe;

    #[test]
    fn no_spreadsheet_computes_what_somebody_typed() {
        for (typed, written) in
            [("=1+1", "'=1+1"), ("-2", "'-2"), ("@x", "'@x"), ("+1", "'+1"), ("a=b", "a=b"), ("", "")]
        {
            assert_eq!(safe(typed), written);
        }
    }
}
