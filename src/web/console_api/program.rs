//! A project's program: reading and changing it, its versions, what is different, and what it would have cost.

use super::shared::{Answer, Subject, page, reason};
use crate::domain::error::{Error, Result};
use crate::domain::program::{Change, Party, Program};
use crate::domain::replay::{Comparison, RuleSums, Sum};
use crate::domain::time::rfc3339;
use crate::engine::{NewProgram, ProgramPreview, ProgramVersion, UNKNOWABLE};
use crate::web::auth::{AdminRead, AdminWrite};
use crate::web::body::{Fields, Json};
use crate::web::query::Query;
use crate::web::{Context, json, readable};
use actix_web::http::StatusCode;
use actix_web::web;
use serde::Serialize;
use serde_json::{Map, Value, json as document};

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(readable("/program", show).route(web::put().to(change)))
        .service(readable("/program/versions", versions))
        .service(readable("/program/versions/{version}", version))
        .service(readable("/program/diff", diff))
        .service(web::resource("/program/preview").route(web::post().to(preview)));
}

const MOST_DAYS: i64 = 3_660;
const VERSIONS: std::ops::RangeInclusive<i64> = 1..=1_000_000_000;

#[derive(Serialize)]
struct ProgramBody<'a> {
    version: i64,
    author: String,
    created_at: String,
    program: &'a Program,
}

#[derive(Serialize)]
struct VersionBody {
    version: i64,
    author: String,
    created_at: String,
}

impl From<ProgramVersion> for VersionBody {
    fn from(row: ProgramVersion) -> Self {
        Self { version: row.version, author: row.author, created_at: rfc3339(row.created_at_ms) }
    }
}

#[derive(Serialize)]
struct SumBody {
    grants: i64,
    amount: i64,
}

impl From<Sum> for SumBody {
    fn from(sum: Sum) -> Self {
        Self { grants: sum.grants, amount: sum.amount }
    }
}

#[derive(Serialize)]
struct ComparedBody {
    current: SumBody,
    proposed: SumBody,
    difference: SumBody,
}

impl From<(Sum, Sum)> for ComparedBody {
    fn from((current, proposed): (Sum, Sum)) -> Self {
        Self { current: current.into(), proposed: proposed.into(), difference: current.to(proposed).into() }
    }
}

#[derive(Serialize)]
struct RuleBody {
    rule: String,
    to: Party,
    #[serde(flatten)]
    sums: ComparedBody,
}

impl From<&RuleSums> for RuleBody {
    fn from(rule: &RuleSums) -> Self {
        Self { rule: rule.rule.clone(), to: rule.to, sums: (rule.current, rule.proposed).into() }
    }
}

#[derive(Serialize)]
struct PartiesBody {
    referrer: ComparedBody,
    referee: ComparedBody,
}

#[derive(Serialize)]
struct PreviewBody {
    version: i64,
    unit: String,
    /// Null: all there is.
    since: Option<String>,
    referrals: i64,
    changes: Vec<Change>,
    rules: Vec<RuleBody>,
    parties: PartiesBody,
    total: ComparedBody,
    /// What may lie before `since` or after it; in none of the sums above.
    unsure: ComparedBody,
    unknowable: Vec<Value>,
}

impl From<ProgramPreview> for PreviewBody {
    fn from(preview: ProgramPreview) -> Self {
        let sums: &Comparison = &preview.comparison;
        Self {
            version: preview.current.version,
            unit: preview.current.unit.clone(),
            since: preview.since_ms.map(rfc3339),
            referrals: sums.referrals,
            changes: preview.changes,
            rules: sums.rules.iter().map(RuleBody::from).collect(),
            parties: PartiesBody {
                referrer: sums.of_party(Party::Referrer).into(),
                referee: sums.of_party(Party::Referee).into(),
            },
            total: (sums.current, sums.proposed).into(),
            unsure: (sums.current_unsure, sums.proposed_unsure).into(),
            unknowable: UNKNOWABLE.map(|(code, detail)| document!({ "code": code, "detail": detail })).to_vec(),
        }
    }
}

/// The program in a body, with its faults by their paths under `program`.
fn program_in(body: &Map<String, Value>) -> Result<Program> {
    let Some(program) = body.get("program").filter(|program| program.is_object()) else {
        return Err(Error::field("program", "required", "Give a program, as GET shows it."));
    };
    Program::from_json(&program.to_string()).map_err(|refusal| {
        let fields = refusal.fields.into_iter().map(|mut fault| {
            if fault.field != "program" {
                fault.field = format!("program.{}", fault.field);
            }
            fault
        });
        Error::fields(fields.collect())
    })
}

pub async fn show(access: AdminRead, context: web::Data<Context>) -> Answer {
    let (program, made) = context.engine.program_in_force(access.project.id).await?;
    let created_at = rfc3339(made.created_at_ms);
    Ok(json(StatusCode::OK, ProgramBody { version: made.version, author: made.author, created_at, program: &program }))
}

pub async fn change(access: AdminWrite, context: web::Data<Context>, Json(body): Json) -> Answer {
    let mut fields = Fields::new(&body);
    let on_version = fields.integer("version", VERSIONS).unwrap_or_default();
    let program = fields.check(program_in(&body));
    fields.check(reason(&body));
    fields.finish()?;
    let program = program.ok_or_else(|| Error::internal("a change without its program"))?;
    let new = NewProgram { program, on_version, reason: reason(&body)? };
    let version = context.engine.change_program(access.project.id, new, access.actor).await?;
    Ok(json(StatusCode::OK, document!({ "version": version, "changed": version != on_version })))
}

pub async fn versions(access: AdminRead, context: web::Data<Context>, query: Query) -> Answer {
    let (before, limit) = (query.cursor()?.unwrap_or(i64::MAX), query.limit()?);
    let rows = context.engine.program_versions(access.project.id).await?;
    let rows = rows.into_iter().filter(|row| row.version < before).take(limit + 1).collect();
    Ok(json(StatusCode::OK, page(rows, limit, |row: &ProgramVersion| row.version, VersionBody::from)))
}

pub async fn version(access: AdminRead, context: web::Data<Context>, path: Subject) -> Answer {
    let version = path.1.parse().map_err(|_| Error::not_found("No such version."))?;
    let program = context.engine.program_version(access.project.id, version).await?;
    Ok(json(StatusCode::OK, document!({ "version": version, "program": program })))
}

pub async fn diff(access: AdminRead, context: web::Data<Context>, query: Query) -> Answer {
    let newest = context.engine.program_in_force(access.project.id).await?.1.version;
    let to = query.integer("to", VERSIONS, newest)?;
    let from = query.integer("from", VERSIONS, (to - 1).max(1))?;
    let changes = context.engine.program_diff(access.project.id, from, to).await?;
    Ok(json(StatusCode::OK, document!({ "from": from, "to": to, "changes": changes })))
}

/// Writes nothing; who may only read may ask for it, too.
pub async fn preview(access: AdminRead, context: web::Data<Context>, Json(body): Json) -> Answer {
    let mut fields = Fields::new(&body);
    let days = fields.optional_integer("days", 1..=MOST_DAYS).and_then(|days| u32::try_from(days).ok());
    let program = fields.check(program_in(&body));
    fields.finish()?;
    let program = program.ok_or_else(|| Error::internal("a preview without its program"))?;
    let preview = context.engine.preview_program(access.project.id, program, days).await?;
    Ok(json(StatusCode::OK, PreviewBody::from(preview)))
}
