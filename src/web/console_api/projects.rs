//! A project at a glance, its settings, and the team's projects.

use crate::domain::error::Error;
use crate::domain::setting::Setting;
use crate::domain::time;
use crate::engine::{ProjectOverview, ProjectView};
use crate::web::auth::{AdminOwner, AdminRead, AdminWrite};
use crate::web::body::{Fields, Json};
use crate::web::error::ApiError;
use crate::web::query::Query;
use crate::web::{Context, json, readable};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::{Value, json as document};

type Answer = std::result::Result<HttpResponse, ApiError>;

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .service(readable("/overview", overview))
        .service(readable("/settings", settings).route(web::patch().to(change)))
        .service(web::resource("/projects").route(web::post().to(create)));
}

pub async fn overview(access: AdminRead, context: web::Data<Context>, query: Query) -> Answer {
    let days = query.integer("days", 1..=366, 30)?;
    let seen = context.engine.project_overview(access.project.id, days).await?;
    Ok(json(StatusCode::OK, overview_body(&access, &seen)))
}

fn overview_body(access: &AdminRead, seen: &ProjectOverview) -> Value {
    let (project, books, balance) = (&access.project, &seen.books, seen.books.balance);
    let series = seen.series.iter().map(|day| {
        let row = day.row;
        document!({ "date": day.date, "clicks": row.clicks, "signups": row.signups, "conversions": row.conversions,
            "credits": row.credits })
    });
    document!({
        "project_id": project.id,
        "slug": project.slug,
        "name": project.name,
        "mode": project.mode,
        "may_change": access.may_write(),
        "program": { "version": seen.program.version, "unit": seen.program.unit, "enabled": seen.program.enabled },
        "books": {
            "issued": books.issued,
            "available": balance.available,
            "pending": balance.pending,
            "spent": books.spent,
            "expired": books.expired + balance.lapsed,
            "reversed": books.reversed,
            "paid": books.paid,
            "owed": balance.owed,
            "balanced": books.is_balanced(),
        },
        "waiting": {
            "in_review": seen.waiting.in_review,
            "payouts_to_approve": seen.waiting.payouts_to_approve,
            "parked_deliveries": seen.waiting.parked_deliveries,
        },
        "developers": seen.population.accounts,
        "referrals": seen.population.referrals,
        "converted": seen.population.converted,
        "series": series.collect::<Vec<_>>(),
    })
}

/// Of secrets it says that they are set, and no more.
fn settings_body(view: &ProjectView) -> Value {
    let settings = &view.settings;
    document!({
        "project_id": view.project.id,
        "slug": view.project.slug,
        "mode": view.project.mode,
        "name": settings.name,
        "host": settings.host,
        "landing_url": settings.landing_url,
        "key_prefix": settings.key_prefix,
        "jwt.algorithm": settings.jwt_algorithm,
        "jwt.key_is_set": settings.jwt_key.is_some(),
        "stripe.webhook_secrets": settings.stripe_webhook_secrets.len(),
        "stripe.api_key_is_set": settings.stripe_api_key.is_some(),
        "partner.agreement_version": view.agreement.version,
        "created_at": time::rfc3339(view.project.created_at_ms),
    })
}

pub async fn settings(access: AdminRead, context: web::Data<Context>) -> Answer {
    Ok(json(StatusCode::OK, settings_body(&context.engine.project_settings(access.project.id).await?)))
}

/// Each setting by its name; null unsets it, and what is absent stays.
pub async fn change(access: AdminWrite, context: web::Data<Context>, Json(body): Json) -> Answer {
    let mut fields = Fields::new(&body);
    let given = |setting: Setting| {
        let value = fields.nullable_text(setting.as_str())?;
        Some((setting, value.unwrap_or_default().to_owned()))
    };
    let values: Vec<_> = Setting::ALL.into_iter().filter_map(given).collect();
    fields.finish()?;
    let view = context.engine.set_project_by(access.project.id, values, access.actor).await?;
    Ok(json(StatusCode::OK, settings_body(&view)))
}

/// Another project of the same team.
pub async fn create(owner: AdminOwner, context: web::Data<Context>, Json(body): Json) -> Answer {
    let mut fields = Fields::new(&body);
    let (slug, name) = (fields.text("slug"), fields.optional_text("name"));
    let (preset, mode) = (fields.optional_text("preset"), fields.optional_text("mode"));
    fields.finish()?;
    let slug = slug.ok_or_else(|| Error::internal("a text that is none"))?;
    let (name, preset) = (name.unwrap_or(slug), preset.unwrap_or("credits"));
    let creation = context.engine.create_project_by(&owner.operator, slug, name, preset, mode.unwrap_or("live"));
    let project = creation.await?;
    Ok(json(
        StatusCode::CREATED,
        document!({ "team_id": project.team, "project_id": project.id, "slug": project.slug, "mode": project.mode }),
    ))
}
