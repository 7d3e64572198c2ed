//! A project's settings. Secrets can be set and unset, and are never shown.

use super::{Console, ConsoleFrame, Section, failed};
use crate::domain::audit::Actor;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::setting::Setting;
use crate::web::{Context, readable};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use std::collections::HashMap;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(readable("/settings", settings).route(web::post().to(change)));
}

const SHOWN: [(Setting, &str, &str); 4] = [
    (Setting::Name, "Name", "As developers see it."),
    (Setting::Host, "Host", "Whose pages and signups are this project’s, such as refer.example.com."),
    (Setting::LandingUrl, "Landing page", "Where links lead; empty for the signup page here."),
    (Setting::KeyPrefix, "Prefix of developer keys", "bw makes keys that begin with bw_live_."),
];
const SECRET: [(Setting, &str, &str); 3] = [
    (Setting::JwtKey, "Key of your app’s tokens", "The secret of HS256, or a public key in PEM."),
    (Setting::StripeWebhookSecret, "Stripe webhook secret", "Several, one a line, while you rotate them."),
    (Setting::StripeApiKey, "Stripe API key", "For partners and their payouts."),
];
const ALGORITHMS: [&str; 4] = ["HS256", "RS256", "ES256", "EdDSA"];

#[derive(Template)]
#[template(path = "console/settings.html")]
struct SettingsPage {
    frame: ConsoleFrame,
    here: String,
    id: String,
    slug: String,
    mode: String,
    shown: Vec<Field>,
    algorithm: String,
    algorithms: [&'static str; 4],
    secrets: Vec<Field>,
    may_change: bool,
    error: Option<Error>,
}

struct Field {
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    /// Empty for a secret.
    value: String,
    is_set: bool,
    fault: Option<String>,
}

async fn settings(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    let shown = async {
        let console = Console::enter(&context, &request, Section::Settings)?;
        show(&console, &context, None, &HashMap::new()).await
    };
    shown.await.unwrap_or_else(|error| failed(&request, error))
}

async fn show(
    console: &Console,
    context: &Context,
    error: Option<Error>,
    typed: &HashMap<String, String>,
) -> Result<HttpResponse> {
    let settings = context.engine.project_settings(console.project.id).await?.settings;
    let fault = |name: &str| {
        let fields = error.as_ref().map(|error| error.fields.as_slice()).unwrap_or_default();
        fields.iter().find(|fault| fault.field == name).map(|fault| fault.detail.clone())
    };
    let field = |(setting, label, hint): (Setting, &'static str, &'static str)| {
        let name = setting.as_str();
        let (value, is_set) = match setting {
            Setting::Name => (Some(settings.name.clone()), true),
            Setting::Host => (settings.host.clone(), true),
            Setting::LandingUrl => (settings.landing_url.clone(), true),
            Setting::KeyPrefix => (Some(settings.key_prefix.clone()), true),
            Setting::JwtKey => (None, settings.jwt_key.is_some()),
            Setting::StripeWebhookSecret => (None, !settings.stripe_webhook_secrets.is_empty()),
            Setting::StripeApiKey => (None, settings.stripe_api_key.is_some()),
            Setting::JwtAlgorithm | Setting::PartnerAgreement => (None, false),
        };
        let value = typed.get(name).filter(|_| !setting.is_secret()).cloned().or(value).unwrap_or_default();
        Field { name, label, hint, value, is_set, fault: fault(name) }
    };
    let template = SettingsPage {
        frame: console.frame(context),
        here: console.url(Section::Settings),
        id: console.project.id.to_string(),
        slug: console.project.slug.clone(),
        mode: console.project.mode.clone(),
        shown: SHOWN.map(field).into(),
        algorithm: typed.get("jwt.algorithm").cloned().or(settings.jwt_algorithm.clone()).unwrap_or_default(),
        algorithms: ALGORITHMS,
        secrets: SECRET.map(field).into(),
        may_change: console.role().may_write(),
        error: error.clone(),
    };
    console.page_or(context, error.as_ref(), &template)
}

async fn change(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take(&request, payload, &context).await.unwrap_or_else(|error| failed(&request, error))
}

async fn take(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let console = Console::enter(context, request, Section::Settings)?;
    let form = console.form(request, payload, context).await?;
    let mut values = Vec::new();
    for setting in Setting::ALL {
        let name = setting.as_str();
        let is_unset = form.get("unset").is_some_and(|unset| unset == name);
        match form.get(name).map(|typed| typed.replace("\r\n", "\n")) {
            _ if is_unset => values.push((setting, String::new())),
            // An empty field of a secret leaves it as it is.
            Some(typed) if !(setting.is_secret() && typed.trim().is_empty()) => values.push((setting, typed)),
            _ => {}
        }
    }
    // The two are there together or not at all.
    if form.get("unset").is_some_and(|unset| unset == Setting::JwtKey.as_str()) {
        values.push((Setting::JwtAlgorithm, String::new()));
    }
    let actor = Actor::Operator(console.operator.operator);
    match context.engine.set_project_by(console.project.id, values, actor).await {
        Ok(_) => console.see(context, &console.url(Section::Settings), "The settings are saved."),
        Err(error) if matches!(error.kind, Kind::Invalid | Kind::Conflict) => {
            show(&console, context, Some(error), &form).await
        }
        Err(error) => Err(error),
    }
}
