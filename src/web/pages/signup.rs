//! `/signup`: the minimal form, and the page that shows the key once.

use super::project;
use crate::domain::code::Code;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::referral::abuse_text;
use crate::engine::{Applied, Project, SignedUp, Signup};
use crate::web::Context;
use crate::web::page::{FormGuard, Frame, error_page, error_page_of, form, page};
use crate::web::query::Query;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

#[derive(Template)]
#[template(path = "signup.html")]
struct SignupPage {
    frame: Frame,
    bonus: Option<String>,
    code: String,
    code_known: bool,
    name: String,
    email: String,
    csrf: String,
    errors: FormErrors,
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct WelcomePage {
    frame: Frame,
    name: String,
    api_key: String,
    bonus: Option<String>,
    rejected: Option<String>,
    curl: String,
    code_curl: String,
}

/// A message beside each field, and one for the whole form.
#[derive(Default)]
struct FormErrors {
    name: Option<String>,
    email: Option<String>,
    password: Option<String>,
    referral_code: Option<String>,
    form: Option<String>,
}

impl FormErrors {
    fn of(error: &Error) -> Self {
        let mut errors = Self::default();
        for fault in &error.fields {
            let place = match fault.field.as_str() {
                "name" => &mut errors.name,
                "email" => &mut errors.email,
                "password" => &mut errors.password,
                "referral_code" => &mut errors.referral_code,
                _ => &mut errors.form,
            };
            place.get_or_insert_with(|| fault.detail.clone());
        }
        if !errors.any() {
            errors.form = Some(error.message.clone());
        }
        errors
    }

    fn any(&self) -> bool {
        [&self.name, &self.email, &self.password, &self.referral_code, &self.form].iter().any(|error| error.is_some())
    }
}

pub async fn signup_form(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    show_signup(&request, &context).await.unwrap_or_else(error_page)
}

async fn show_signup(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let project = project(context, request).await?;
    let query = Query::parse(request.query_string())?;
    let typed = Typed { code: query.get("ref").unwrap_or_default().to_owned(), ..Typed::default() };
    render_signup(StatusCode::OK, request, context, &project, typed, FormErrors::default()).await
}

/// What a form came with; the password is never given back.
#[derive(Default)]
struct Typed {
    name: String,
    email: String,
    code: String,
}

async fn render_signup(
    status: StatusCode,
    request: &HttpRequest,
    context: &Context,
    project: &Project,
    typed: Typed,
    errors: FormErrors,
) -> Result<HttpResponse> {
    let parsed = Code::parse("referral_code", &typed.code).ok();
    let code = parsed
        .as_ref()
        .map_or_else(|| typed.code.chars().filter(char::is_ascii_graphic).take(20).collect(), ToString::to_string);
    let (code_known, bonus) = context.engine.signup_offer(project.id, parsed).await?;
    let guard = FormGuard::of(context, request)?;
    let mut response = page(
        status,
        &SignupPage {
            frame: Frame::new(&project.name),
            bonus,
            code,
            code_known,
            name: typed.name,
            email: typed.email,
            csrf: guard.token(context),
            errors,
        },
    );
    guard.keep(context, &mut response);
    Ok(response)
}

pub async fn sign_up(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take_signup(&request, payload, &context).await.unwrap_or_else(error_page)
}

async fn take_signup(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    context.limiter.signup(context.settings.trusted_proxies.client_of(request))?;
    let project = project(context, request).await?;
    let form = form(request, payload).await?;
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if let Err(error) = FormGuard::of(context, request)?.check(context, field("csrf")) {
        // The way back keeps the code, and with it the bonus.
        let code = Code::parse("referral_code", field("referral_code"));
        let signup_url = code.map_or_else(|_| "/signup".to_owned(), |code| format!("/signup?ref={code}"));
        return Ok(error_page_of(Frame::new(&project.name), ("Sign up", signup_url), error));
    }
    let signup = Signup::parse(field("email"), field("password"), field("name"), Some(field("referral_code")));
    let outcome = match signup {
        Ok(signup) => context.engine.sign_up(project.id, signup).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(signed_up) => Ok(welcome(context, &project, signed_up)),
        Err(error) if matches!(error.kind, Kind::Invalid | Kind::Conflict) => {
            let owned = |name: &str| field(name).to_owned();
            let typed = Typed { name: owned("name"), email: owned("email"), code: owned("referral_code") };
            let status = crate::web::error::status(error.kind);
            render_signup(status, request, context, &project, typed, FormErrors::of(&error)).await
        }
        Err(error) => Err(error),
    }
}

/// Nothing here may fail: the account is made, and its key is shown now or never.
fn welcome(context: &Context, project: &Project, signed_up: SignedUp) -> HttpResponse {
    let SignedUp { profile, api_key, referral, bonus, must_confirm } = signed_up;
    let rejected = match referral {
        Some(Applied::Rejected { reason }) => {
            Some(format!("Your account is ready, but no bonus was credited. {}", abuse_text(reason)))
        }
        _ if must_confirm => {
            Some("We are sending you a mail with a link: follow it to confirm your address. Until then, referral codes wait.".into())
        }
        _ => None,
    };
    let url = &context.settings.public_url;
    let authorization = format!("-H \"Authorization: Bearer {api_key}\"");
    page(
        StatusCode::CREATED,
        &WelcomePage {
            frame: Frame::new(&project.name),
            name: profile.profile.account.name.unwrap_or_default(),
            bonus,
            rejected,
            curl: format!("curl {url}/v1/developers/me \\\n  {authorization}"),
            code_curl: format!("curl -X POST {url}/v1/developers/referral-code \\\n  {authorization}"),
            api_key,
        },
    )
}
