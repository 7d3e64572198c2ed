//! `/admin/{project}/review/reject`: all referrals of a code or of an e-mail domain, first as sums.

use super::frame::{Console, ConsoleFrame, failed};
use super::nav::{Section, project_url};
use super::review::reason_or;
use crate::domain::audit::Actor;
use crate::domain::code::Code;
use crate::domain::error::{Error, Result};
use crate::domain::program::Program;
use crate::engine::{Cohort, CohortAccount, Preview, mask};
use crate::web::query::Query;
use crate::web::{Context, readable};
use actix_web::{HttpRequest, HttpResponse, rt, web};
use askama::Template;
use std::sync::Arc;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(readable("/review/reject", show).route(web::post().to(reject)));
}

#[derive(Template)]
#[template(path = "console/review_bulk.html")]
struct BulkPage {
    frame: ConsoleFrame,
    queue: String,
    csrf: String,
    may_write: bool,
    code: String,
    domain: String,
    referrals: usize,
    rejected: i64,
    more: bool,
    total: String,
    pending: String,
    available: String,
    from_others: String,
    debt: String,
    accounts: Vec<LossWords>,
    unnamed: usize,
    digest: String,
    /// As it was typed.
    reason: String,
    error: Option<String>,
    /// There is no such code, or nobody's own domain: nothing to look at.
    is_refused: bool,
}

struct LossWords {
    name: String,
    url: String,
    pending: String,
    available: String,
    from_others: String,
    debt: String,
}

/// What was asked for, as it was typed.
struct Asked {
    code: String,
    domain: String,
    reason: String,
}

impl Asked {
    fn cohort(&self) -> Result<Cohort> {
        match (self.code.as_str(), self.domain.as_str()) {
            ("", domain) if !domain.is_empty() => Ok(Cohort::Domain(domain.to_owned())),
            (code, "") if !code.is_empty() => Code::parse("code", code).map(Cohort::Code),
            _ => Err(Error::field("code", "one_of", "Name either a code or a domain.")),
        }
    }
}

async fn show(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    show_preview(&request, &context).await.unwrap_or_else(|error| failed(&request, error))
}

async fn show_preview(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let console = Console::enter(context, request, Section::Review)?;
    let query = Query::parse(request.query_string())?;
    let text = |name| query.get(name).unwrap_or_default().trim().to_owned();
    let asked = Asked { code: text("code"), domain: text("domain"), reason: String::new() };
    preview(context, &console, asked, None).await
}

async fn preview(context: &Context, console: &Console, asked: Asked, error: Option<Error>) -> Result<HttpResponse> {
    let found = match asked.cohort() {
        Ok(cohort) => context.engine.preview_rejection(console.project.id, cohort).await,
        Err(error) => Err(error),
    };
    let program = context.engine.program_of(console.project.id).await?;
    let (preview, error, is_refused) = match found {
        Ok(preview) => (preview, error, false),
        // In words, and with a way back.
        Err(refusal) if !refusal.fields.is_empty() => (Preview::default(), Some(refusal), true),
        Err(refusal) => return Err(refusal),
    };
    let template = BulkPage { is_refused, ..in_words(context, console, &program, asked, preview, error.as_ref()) };
    console.page_or(context, error.as_ref(), &template)
}

fn in_words(
    context: &Context,
    console: &Console,
    program: &Program,
    Asked { code, domain, reason }: Asked,
    preview: Preview,
    error: Option<&Error>,
) -> BulkPage {
    let (place, may_write) = (project_url(&console.project), console.role().may_write());
    let loss = |of: &CohortAccount| {
        let email = of.email.clone();
        let email = if may_write { email } else { email.as_deref().and_then(mask) };
        LossWords {
            name: email.unwrap_or_else(|| of.account.to_string()),
            url: format!("{place}/developers/{}", of.account),
            pending: program.amount_text(of.pending),
            available: program.amount_text(of.available),
            from_others: program.amount_text(of.from_others),
            debt: program.amount_text(of.debt),
        }
    };
    BulkPage {
        frame: console.frame(context),
        queue: console.url(Section::Review),
        csrf: console.csrf(context),
        may_write,
        code,
        domain,
        referrals: preview.referrals,
        rejected: preview.rejected,
        more: preview.more,
        total: program.amount_text(preview.total),
        pending: program.amount_text(preview.pending),
        available: program.amount_text(preview.available),
        from_others: program.amount_text(preview.from_others),
        debt: program.amount_text(preview.debt),
        unnamed: preview.account_count - preview.accounts.len(),
        accounts: preview.accounts.iter().map(loss).collect(),
        digest: preview.digest,
        reason,
        is_refused: false,
        error: error.map(|error| error.message.clone()),
    }
}

async fn reject(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take_rejection(&request, payload, &context).await.unwrap_or_else(|error| failed(&request, error))
}

async fn take_rejection(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let console = Console::enter(context, request, Section::Review)?;
    let form = console.form(request, payload, context).await?;
    let field = |name: &str| form.get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
    let asked = Asked { code: field("code"), domain: field("domain"), reason: field("reason") };
    let reason = reason_or(&asked.reason, "Rejected together, after a look at the sums");
    let (reason, cohort) = match (reason, asked.cohort()) {
        (Ok(reason), Ok(cohort)) => (reason, cohort),
        (Err(error), _) | (_, Err(error)) => return preview(context, &console, asked, Some(error)).await,
    };
    let (project, actor) = (console.project.id, Actor::Operator(console.operator.operator));
    let (engine, digest) = (Arc::clone(&context.engine), field("digest"));
    // On its own, so that it goes on to its end when the browser has gone.
    let rejecting = rt::spawn(async move { engine.reject_cohort(project, actor, cohort, digest, reason).await });
    match rejecting.await.map_err(|fault| Error::internal(fault.to_string()))? {
        Ok(done) => {
            let program = context.engine.program_of(project).await?;
            let amount = program.amount_text(done.taken_back);
            let referrals = if done.referrals == 1 { "referral" } else { "referrals" };
            let done = format!("Rejected: {} {referrals}, {amount} taken back.", done.referrals);
            console.see(context, &console.url(Section::Review), &done)
        }
        // The sums are others by now: they are shown again.
        Err(error) if error.code == "preview_outdated" || !error.fields.is_empty() => {
            preview(context, &console, asked, Some(error)).await
        }
        Err(error) => Err(error),
    }
}
