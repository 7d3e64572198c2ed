//! The program: what it says now, its versions, and a change, which is looked at before it is made.

use super::frame::{Console, ConsoleFrame, failed};
use super::nav::Section;
use super::program_form::{self, Group};
use super::words::Moment;
use crate::domain::audit::Actor;
use crate::domain::developer::reason_for;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::program::{Change, Party, Program, rule_in_words};
use crate::domain::replay::Sum;
use crate::engine::{NewProgram, ProgramPreview, UNKNOWABLE};
use crate::web::query::Query;
use crate::web::{Context, readable};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use std::collections::HashMap;

/// Days that a preview can look back: the one that is chosen first leads.
const PERIODS: [(&str, &str); 4] =
    [("90", "the last 90 days"), ("30", "the last 30 days"), ("365", "the last year"), ("", "all there is")];

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(readable("/program", show).route(web::post().to(save)))
        .service(web::resource("/program/preview").route(web::post().to(preview)));
}

#[derive(Template)]
#[template(path = "console/program.html")]
struct ProgramPage {
    frame: ConsoleFrame,
    csrf: String,
    url: String,
    can_write: bool,
    error: Option<String>,
    faults: Vec<(String, String)>,
    version: i64,
    author: String,
    made: Moment,
    is_on: bool,
    rules: Vec<(String, String)>,
    groups: Vec<Group>,
    text: String,
    by_text: bool,
    periods: [(&'static str, &'static str); 4],
    versions: Vec<Version>,
    diff: Option<(i64, i64, Vec<Change>)>,
}

struct Version {
    number: i64,
    author: String,
    made: Moment,
}

#[derive(Template)]
#[template(path = "console/program_preview.html")]
struct PreviewPage {
    frame: ConsoleFrame,
    csrf: String,
    url: String,
    error: Option<String>,
    version: i64,
    text: String,
    seen: String,
    changes: Vec<Change>,
    period: String,
    referrals: String,
    rows: Vec<CostRow>,
    total: CostRow,
    unsure: Option<(String, String)>,
    unknowable: Vec<&'static str>,
    reason: String,
    can_write: bool,
}

struct CostRow {
    what: String,
    to: &'static str,
    current: String,
    proposed: String,
    difference: String,
    tone: &'static str,
}

impl CostRow {
    fn new(what: &str, to: &'static str, (current, proposed): (Sum, Sum), units: (&Program, &Program)) -> Self {
        let difference = current.to(proposed);
        let cell = |sum: Sum, program: &Program| {
            let grants = if sum.grants == 1 { "grant" } else { "grants" };
            format!("{}, {} {grants}", program.amount_text(sum.amount), crate::domain::money::grouped(sum.grants))
        };
        let sign = if difference.amount > 0 { "+" } else { "" };
        Self {
            what: what.to_owned(),
            to,
            current: cell(current, units.0),
            proposed: cell(proposed, units.1),
            difference: if units.0.unit == units.1.unit {
                format!("{sign}{}", units.1.amount_text(difference.amount))
            } else {
                "another unit".into()
            },
            tone: match difference.amount {
                0 => "",
                more if more > 0 => "dearer",
                _ => "cheaper",
            },
        }
    }
}

fn party(party: Party) -> &'static str {
    match party {
        Party::Referrer => "Referrer",
        Party::Referee => "Referee",
    }
}

/// What was typed into one of the two forms, and what is wrong with it.
#[derive(Default)]
struct Typed<'a> {
    form: Option<&'a HashMap<String, String>>,
    error: Option<&'a Error>,
}

async fn page(request: &HttpRequest, context: &Context, console: &Console, typed: Typed<'_>) -> Result<HttpResponse> {
    let project = console.project.id;
    let (program, made) = context.engine.program_in_force(project).await?;
    let versions = context.engine.program_versions(project).await?;
    let diff = diff(request, context, console).await?;
    let field = |name: &str| typed.form.and_then(|form| form.get(name)).cloned();
    let faults = typed.error.map(|error| error.fields.clone()).unwrap_or_default();
    let by_text = field("form").as_deref() == Some("text");
    let template = ProgramPage {
        frame: console.frame(context),
        csrf: console.csrf(context),
        url: console.url(Section::Program),
        can_write: console.role().may_write(),
        error: typed.error.map(|error| error.message.clone()),
        groups: program_form::groups(&program, typed.form.filter(|_| !by_text), &faults),
        faults: faults.into_iter().map(|fault| (fault.field, fault.detail)).collect(),
        version: made.version,
        author: made.author,
        made: Moment::in_figures(made.created_at_ms),
        is_on: program.enabled,
        rules: program.rules.iter().map(|rule| (rule.reason.clone(), rule_in_words(rule, &program))).collect(),
        text: field("program").filter(|_| by_text).unwrap_or_else(|| program.to_json()),
        by_text,
        periods: PERIODS,
        versions: versions
            .into_iter()
            .take(50)
            .map(|row| Version { number: row.version, author: row.author, made: Moment::in_figures(row.created_at_ms) })
            .collect(),
        diff,
    };
    console.page_or(context, typed.error, &template)
}

/// The difference that a query asks for.
async fn diff(request: &HttpRequest, context: &Context, console: &Console) -> Result<Option<(i64, i64, Vec<Change>)>> {
    let query = Query::parse(request.query_string())?;
    let number = |name| query.integer(name, 1..=i64::MAX, 0);
    let (from, to) = (number("from")?, number("to")?);
    if from == 0 || to == 0 {
        return Ok(None);
    }
    Ok(Some((from, to, context.engine.program_diff(console.project.id, from, to).await?)))
}

pub async fn show(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    let shown = async {
        let console = Console::enter(&context, &request, Section::Program)?;
        page(&request, &context, &console, Typed::default()).await
    };
    shown.await.unwrap_or_else(|error| failed(&request, error))
}

pub async fn preview(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    previewed(&request, payload, &context).await.unwrap_or_else(|error| failed(&request, error))
}

/// It writes nothing: whoever may look may try a program on the past.
async fn previewed(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let console = Console::enter(context, request, Section::Program)?;
    let form = console.own_form(request, payload, context).await?;
    let proposed = match proposed(context, &console, &form).await {
        Ok(proposed) => proposed,
        Err(error) if matches!(error.kind, Kind::Invalid | Kind::Conflict) => {
            return page(request, context, &console, Typed { form: Some(&form), error: Some(&error) }).await;
        }
        Err(error) => return Err(error),
    };
    match show_preview(context, &console, &form, &proposed, None).await {
        Err(error) if error.kind == Kind::Conflict => {
            page(request, context, &console, Typed { form: Some(&form), error: Some(&error) }).await
        }
        outcome => outcome,
    }
}

fn version_in(form: &HashMap<String, String>) -> Result<i64> {
    let unread = || Error::new(Kind::Malformed, "malformed_form", "The form cannot be read.");
    form.get("version").and_then(|text| text.parse().ok()).ok_or_else(unread)
}

/// The program that a form says: as a text, or as fields on top of the version that the form was made from.
async fn proposed(context: &Context, console: &Console, form: &HashMap<String, String>) -> Result<Program> {
    if form.get("form").map(String::as_str) == Some("text") {
        return Program::from_json(form.get("program").map(String::as_str).unwrap_or_default());
    }
    let base = context.engine.program_version(console.project.id, version_in(form)?).await?;
    program_form::program(&base, form)
}

/// The mark of a preview that this operator has been shown, of this very program.
fn seal(context: &Context, console: &Console, version: i64, text: &str) -> String {
    let digest = blake3::hash(text.as_bytes()).to_hex();
    console.guard.seal(context, &format!("program {} {version} {digest}", console.project.id))
}

async fn show_preview(
    context: &Context,
    console: &Console,
    form: &HashMap<String, String>,
    proposed: &Program,
    error: Option<&Error>,
) -> Result<HttpResponse> {
    let (version, text) = (version_in(form)?, proposed.to_json());
    let days: Option<u32> =
        form.get("days").and_then(|days| days.parse().ok()).filter(|days| (1..=3_660).contains(days));
    let preview = context.engine.preview_program(console.project.id, proposed.clone(), days).await?;
    let ProgramPreview { current, changes, comparison, since_ms } = preview;
    let units: (&Program, &Program) = (&current, proposed);
    let row = |rule: &crate::domain::replay::RuleSums| {
        CostRow::new(&rule.rule, party(rule.to), (rule.current, rule.proposed), units)
    };
    let mut rows: Vec<_> = comparison.rules.iter().map(row).collect();
    for who in [Party::Referrer, Party::Referee] {
        rows.push(CostRow::new("All rules", party(who), comparison.of_party(who), units));
    }
    let unsure = (comparison.current_unsure, comparison.proposed_unsure);
    let template = PreviewPage {
        frame: console.frame(context),
        csrf: console.csrf(context),
        url: console.url(Section::Program),
        error: error.map(|error| error.message.clone()),
        seen: seal(context, console, version, &text),
        version,
        changes,
        period: since_ms
            .map_or_else(|| "all there is".into(), |at_ms| format!("since {}", Moment::day_in_figures(at_ms).text)),
        referrals: crate::domain::money::grouped(comparison.referrals),
        rows,
        total: CostRow::new("In all", "", (comparison.current, comparison.proposed), units),
        unsure: (unsure.0.grants + unsure.1.grants > 0)
            .then(|| (units.0.amount_text(unsure.0.amount), units.1.amount_text(unsure.1.amount))),
        unknowable: UNKNOWABLE.iter().map(|(_, words)| *words).collect(),
        reason: form.get("reason").cloned().unwrap_or_default(),
        can_write: console.role().may_write(),
        text,
    };
    match error {
        Some(error) => console.page_or(context, Some(error), &template),
        None => console.page(context, StatusCode::OK, &template),
    }
}

pub async fn save(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    saved(&request, payload, &context).await.unwrap_or_else(|error| failed(&request, error))
}

async fn saved(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let console = Console::enter(context, request, Section::Program)?;
    let form = console.form(request, payload, context).await?;
    let text = form.get("program").map(String::as_str).unwrap_or_default();
    let program = match Program::from_json(text) {
        Ok(program) => program,
        Err(error) => return page(request, context, &console, Typed { form: Some(&form), error: Some(&error) }).await,
    };
    match make(context, &console, &form, &program).await {
        Ok(version) => {
            let said = format!("Version {version} is in force from now on. What was granted before stays as it is.");
            console.see(context, &console.url(Section::Program), &said)
        }
        Err(error) if error.kind == Kind::Invalid => {
            show_preview(context, &console, &form, &program, Some(&error)).await
        }
        Err(error) if error.kind == Kind::Conflict => {
            // What was typed is kept as the text that it had become, above the version that is in force now.
            let mut form = form;
            form.insert("form".to_owned(), "text".to_owned());
            page(request, context, &console, Typed { form: Some(&form), error: Some(&error) }).await
        }
        Err(error) => Err(error),
    }
}

/// `Invalid` for a program whose preview was not shown, or without a reason that reads.
async fn make(context: &Context, console: &Console, form: &HashMap<String, String>, program: &Program) -> Result<i64> {
    let on_version = version_in(form)?;
    let seen = seal(context, console, on_version, &program.to_json());
    if form.get("seen") != Some(&seen) {
        let message = "Look at what it would have cost first.";
        return Err(Error::new(Kind::Invalid, "preview_required", message));
    }
    let reason = form.get("reason").map(|reason| reason.trim()).filter(|reason| !reason.is_empty());
    let new = NewProgram { program: program.clone(), on_version, reason: reason.map(reason_for).transpose()? };
    let actor = Actor::Operator(console.operator.operator);
    context.engine.change_program(console.project.id, new, actor).await
}
