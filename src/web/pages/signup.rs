//! `/signup`: the minimal form, and the page that shows the key once.

use super::clicks::{code_of_query, elsewhere};
use crate::domain::code::Code;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::ProjectId;
use crate::domain::referral::abuse_text;
use crate::engine::{Applied, SignedUp, Signup};
use crate::web::auth::{Visit, reader, visit};
use crate::web::page::{FormGuard, Frame, error_page, error_page_of, form, page};
use crate::web::query::Query;
use crate::web::session::Session;
use crate::web::{Context, arrival};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;

/// What someone whose referral is under review is told.
pub const HELD: &str = "Your account is ready. The bonus of your referral code waits until we have looked at the referral; you will find it in your \
     balance then. Everything else works at once.";

#[derive(Template)]
#[template(path = "signup.html")]
struct SignupPage {
    frame: Frame,
    signed_in_as: Option<String>,
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
    has_session: bool,
    signed_in_as: Option<String>,
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
    let visit = visit(context, request).await?;
    if let Some(response) = elsewhere(request, context, &visit.project, code_of_query(request).as_ref()).await? {
        return Ok(response);
    }
    let query = Query::parse(request.query_string())?;
    let given = query.get("ref").unwrap_or_default();
    let code = code_to_fill_in(request, context, visit.project.id, given)?;
    let code = code.map_or_else(|| given.to_owned(), |code| code.to_string());
    let typed = Typed { code, ..Typed::default() };
    render_signup(StatusCode::OK, request, context, &visit, typed, FormErrors::default()).await
}

/// The code of a page's `ref` or of an earlier click, whichever a signup is to be counted for. `None` when there is none
/// that could be used.
pub fn code_to_fill_in(
    request: &HttpRequest,
    context: &Context,
    project: ProjectId,
    given: &str,
) -> Result<Option<Code>> {
    let (given, remembered) = (Code::parse("ref", given).ok(), arrival::remembered(context, request));
    context.engine.code_to_fill_in(reader(request)?, project, given, remembered.as_deref())
}

/// Who is signed in here. Nothing depends on it but a word on the page.
async fn signed_in_as(context: &Context, visit: &Visit) -> Option<String> {
    context.engine.called(visit.session?).await.ok()
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
    visit: &Visit,
    typed: Typed,
    errors: FormErrors,
) -> Result<HttpResponse> {
    let parsed = Code::parse("referral_code", &typed.code).ok();
    let code = parsed
        .as_ref()
        .map_or_else(|| typed.code.chars().filter(char::is_ascii_graphic).take(20).collect(), ToString::to_string);
    let (code_known, bonus) = context.engine.signup_offer(visit.project.id, parsed).await?;
    let guard = FormGuard::of(context, request)?;
    let mut response = page(
        status,
        &SignupPage {
            frame: Frame::new(&visit.project.name),
            signed_in_as: signed_in_as(context, visit).await,
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
    let visit = visit(context, request).await?;
    let form = form(request, payload).await?;
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    if let Err(error) = FormGuard::of(context, request)?.check(context, field("csrf")) {
        // The way back keeps the code, and with it the bonus.
        let code = Code::parse("referral_code", field("referral_code"));
        let signup_url = code.map_or_else(|_| "/signup".to_owned(), |code| format!("/signup?ref={code}"));
        return Ok(error_page_of(Frame::new(&visit.project.name), ("Sign up", signup_url), error));
    }
    let signup = Signup::parse(field("email"), field("password"), field("name"), Some(field("referral_code")));
    let signed_in_as = signed_in_as(context, &visit).await;
    let outcome = match signup {
        Ok(signup) => {
            let came_from = arrival::came_from(context, request, visit.project.id).await;
            context.engine.sign_up(visit.project.id, signup.coming_from(came_from)).await
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(signed_up) => Ok(welcome(request, context, &visit, signed_up, signed_in_as).await),
        Err(error) if matches!(error.kind, Kind::Invalid | Kind::Conflict) => {
            let owned = |name: &str| field(name).to_owned();
            let typed = Typed { name: owned("name"), email: owned("email"), code: owned("referral_code") };
            let status = crate::web::error::status(error.kind);
            render_signup(status, request, context, &visit, typed, FormErrors::of(&error)).await
        }
        Err(error) => Err(error),
    }
}

/// Nothing here may fail: the account is made, and its key is shown now or never.
/// Their session begins as well; who is signed in already stays so, and has signed up someone else.
async fn welcome(
    request: &HttpRequest,
    context: &Context,
    visit: &Visit,
    signed_up: SignedUp,
    signed_in_as: Option<String>,
) -> HttpResponse {
    let SignedUp { profile, api_key, referral, bonus, must_confirm } = signed_up;
    let rejected = match referral {
        Some(Applied::Rejected { reason }) => {
            Some(format!("Your account is ready, but no bonus was credited. {}", abuse_text(reason)))
        }
        Some(Applied::Held { .. }) => Some(HELD.into()),
        _ if must_confirm => {
            Some("We are sending you a mail with a link: follow it to confirm your address. Until then, referral codes wait.".into())
        }
        _ => None,
    };
    let url = context.url_of(visit.project.host.as_deref());
    let authorization = format!("-H \"Authorization: Bearer {api_key}\"");
    let begun = match visit.session {
        None => {
            let (account, browser) = (profile.profile.account.id, Session::Account.browser(context, request));
            context.engine.begin_session(visit.project.id, account, browser).await.ok()
        }
        Some(_) => None,
    };
    let mut response = page(
        StatusCode::CREATED,
        &WelcomePage {
            frame: Frame::new(&visit.project.name),
            has_session: begun.is_some(),
            signed_in_as,
            name: profile.profile.account.name.unwrap_or_default(),
            bonus,
            rejected,
            curl: format!("curl {url}/v1/developers/me \\\n  {authorization}"),
            code_curl: format!("curl -X POST {url}/v1/developers/referral-code \\\n  {authorization}"),
            api_key,
        },
    );
    if let Some(begun) = begun {
        // Without the cookie they sign in themselves.
        let _ = Session::Account.begin(context, &begun, &mut response);
    }
    response
}
