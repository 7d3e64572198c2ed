//! `/admin/{project}/review/{referral}`: one referral, with everything that was decided about it.

use super::frame::{Console, ConsoleFrame, failed};
use super::nav::{Section, project_url};
use super::review_words::{At, QueueItem, inputs_in_words, plain};
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ReferralId};
use crate::domain::program::Program;
use crate::engine::{DecisionRow, ReviewGrant, ReviewView};
use crate::web::{Context, readable};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(readable("/review/{referral}", show));
}

#[derive(Template)]
#[template(path = "console/review_one.html")]
struct OnePage {
    frame: ConsoleFrame,
    queue: String,
    csrf: String,
    may_write: bool,
    may_reject: bool,
    may_reopen: bool,
    threshold: u32,
    item: QueueItem,
    milestones: Vec<(&'static str, At)>,
    decisions: Vec<DecisionWords>,
    grants: Vec<GrantWords>,
}

struct DecisionWords {
    at: At,
    what: String,
    verdict: String,
    tone: &'static str,
    code: String,
    version: i64,
    /// Who decided, and the reason that was typed, if it was a person.
    by: Option<(String, String)>,
    inputs: String,
}

impl From<DecisionRow> for DecisionWords {
    fn from(row: DecisionRow) -> Self {
        let text = |name: &str| row.inputs[name].as_str().map(str::to_owned);
        let by = text("actor").zip(text("reason"));
        let mut rest = row.inputs.clone();
        if let Some(fields) = rest.as_object_mut().filter(|_| by.is_some()) {
            fields.retain(|name, _| name != "actor" && name != "reason");
        }
        let tone = match row.verdict.as_str() {
            "granted" | "cleared" | "reopened" => "good",
            "held" => "warn",
            "rejected" => "bad",
            _ => "muted",
        };
        Self {
            at: At::of(row.at_ms),
            what: if row.rule == row.event {
                plain(&row.rule)
            } else {
                format!("{} on {}", plain(&row.rule), plain(&row.event))
            },
            verdict: plain(&row.verdict),
            tone,
            code: row.code,
            version: row.program_version,
            by,
            inputs: inputs_in_words(&rest),
        }
    }
}

struct GrantWords {
    id: String,
    to: &'static str,
    reason: String,
    amount: String,
    status: &'static str,
    reversed: Option<String>,
    owed: Option<String>,
    granted: At,
    vests: At,
}

impl GrantWords {
    fn of(grant: &ReviewGrant, referrer: AccountId, program: &Program) -> Self {
        let some = |amount: i64| (amount > 0).then(|| program.amount_text(amount));
        Self {
            id: grant.id.to_string(),
            to: if grant.account == referrer { "Referrer" } else { "Referee" },
            reason: plain(&grant.reason),
            amount: program.amount_text(grant.amount),
            status: grant.status,
            reversed: some(grant.reversed),
            owed: some(grant.owed),
            granted: At::of(grant.granted_at_ms),
            vests: At::of(grant.vests_at_ms),
        }
    }
}

async fn show(request: HttpRequest, context: web::Data<Context>, path: web::Path<(String, String)>) -> HttpResponse {
    show_one(&request, &context, &path.1).await.unwrap_or_else(|error| failed(&request, error))
}

async fn show_one(request: &HttpRequest, context: &Context, id: &str) -> Result<HttpResponse> {
    let console = Console::enter(context, request, Section::Review)?;
    let id: ReferralId = id.parse().map_err(|_| Error::not_found("There is no such referral."))?;
    let view = context.engine.review(console.project.id, id).await?;
    let program = context.engine.program_of(console.project.id).await?;
    let template = one(context, &console, &program, view);
    console.page(context, StatusCode::OK, &template)
}

fn one(context: &Context, console: &Console, program: &Program, view: ReviewView) -> OnePage {
    let (may_write, may_reopen, may_reject) =
        (console.role().may_write(), view.can_be_reopened(), view.can_be_rejected());
    let referral = &view.item.line.referral;
    let (progress, referrer) = (referral.progress, referral.referrer);
    let milestones = [
        ("Signed up", Some(referral.applied_at_ms)),
        ("First call", progress.first_call_at_ms),
        ("Active", progress.active_at_ms),
        ("Converted", progress.converted_at_ms),
        ("Cleared", view.item.line.cleared_at_ms),
        ("Rejected", view.item.line.rejected_at_ms),
    ];
    OnePage {
        frame: console.frame(context),
        queue: console.url(Section::Review),
        csrf: console.csrf(context),
        may_write,
        may_reject,
        may_reopen,
        threshold: view.threshold,
        item: QueueItem::of(&view.item, program, &project_url(&console.project), may_write),
        milestones: milestones.into_iter().filter_map(|(name, at_ms)| Some((name, At::of(at_ms?)))).collect(),
        grants: view.grants.iter().map(|grant| GrantWords::of(grant, referrer, program)).collect(),
        decisions: view.decisions.into_iter().map(Into::into).collect(),
    }
}
