//! `/dashboard/partner`: from the basic track to being paid, one form after the other.

use super::partner_page::{
    Agreement, BalanceLine, Faults, PartnerPage, Payable, PayoutLine, Signed, Step, StripeCard, Terms, bound,
};
use super::{Member, failed, sign_in_first};
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::{Cursor, PayoutId};
use crate::domain::money::typed_hundredths;
use crate::domain::partner;
use crate::engine::{Connected, NewSignature, PartnerDesk, StripeAccount};
use crate::web::Context;
use crate::web::error::status;
use crate::web::page::{MessagePage, Place, add_headers, let_forms_lead_to};
use crate::web::pages::done::Done;
use crate::web::pages::login::see;
use crate::web::query::Query;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use std::collections::HashMap;

pub const AGREEMENT: &str = "/dashboard/partner/agreement";
/// Payouts on a page.
const PAGE: usize = 20;

/// A form that was refused: what it asked for, its fields, and why.
struct Refused<'a> {
    asked: &'a str,
    fields: &'a HashMap<String, String>,
    error: Error,
}

impl Refused<'_> {
    fn field(&self, form: &str, name: &str) -> Option<&str> {
        self.fields.get(name).filter(|_| self.asked == form).map(String::as_str)
    }

    fn faults(&self, desk: &PartnerDesk) -> Faults {
        let heading = match (self.asked, self.error.code) {
            ("upgrade", "agreement_outdated") => "The agreement has changed",
            ("upgrade", _) => "The agreement is not signed yet",
            ("connect", _) => "Stripe cannot be opened now",
            ("payout", _) => "No payout was requested",
            ("leave", _) => "You are still a partner",
            _ => "Stripe could not be asked",
        };
        let fields: Vec<_> =
            self.error.fields.iter().map(|fault| (fault.field.clone(), fault.detail.clone())).collect();
        let text = match self.error.code {
            "agreement_outdated" => {
                "There is a newer version than the one that you read. It is shown below: read it, and \
                                     accept it if you agree."
                    .to_owned()
            }
            "stripe_unavailable" => {
                "Stripe cannot be reached, or does not take the call. Nothing is lost: try again in a \
                                     minute."
                    .to_owned()
            }
            "stripe_not_configured" => "Payouts are not set up here yet. What you have earned is kept.".to_owned(),
            "balance_remaining" | "commission_pending" | "payout_open" if self.asked == "leave" => {
                bound(desk, &self.error)
            }
            _ => self.error.message.clone(),
        };
        Faults { heading, form: fields.is_empty().then_some(text), fields }
    }
}

/// Someone who is signed in, where there is a partner track. `NotFound` where there is none.
async fn member(request: &HttpRequest, context: &Context) -> Result<Option<Member>> {
    let member = Member::of(request, context).await?;
    match member {
        Some(member) if !member.has_partner_track => {
            Err(Error::not_found("This programme gives credits; it has no partner track."))
        }
        member => Ok(member),
    }
}

pub async fn show(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    open(&request, &context).await.unwrap_or_else(failed)
}

async fn open(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let Some(member) = member(request, context).await? else { return Ok(sign_in_first(Place::Partner)) };
    let query = Query::parse(request.query_string())?;
    match query.get("stripe") {
        Some("return") => come_back(request, context, &member, &query).await,
        // Stripe would rather be asked for a new link at once. But anyone can have a browser open this address; a click
        // on the page's own button is somebody's will.
        Some("refresh") => {
            let notice = "The link to Stripe had expired, or was used before. Continue there with a new one.";
            render(request, context, &member, &query, Some(notice), None).await
        }
        _ => render(request, context, &member, &query, None, None).await,
    }
}

/// From Stripe: an account that was not ready may be now. One that is ready is told of by events.
async fn come_back(request: &HttpRequest, context: &Context, member: &Member, query: &Query) -> Result<HttpResponse> {
    let desk = context.engine.partner_desk(member.project.id, member.account, None, 1).await?;
    let card = StripeCard::of(&desk);
    if !desk.view.partner || !card.is_connected || card.is_ready {
        return Ok(see(Place::Partner.url()));
    }
    match context.engine.ask_stripe(member.project.id, member.account).await {
        Ok(account) => told(context, member, account.as_ref()),
        Err(error) if matches!(error.kind, Kind::Busy | Kind::Conflict) => {
            let refused = Refused { asked: "check", fields: &HashMap::new(), error };
            render(request, context, member, query, None, Some(refused)).await
        }
        Err(error) => Err(error),
    }
}

fn told(context: &Context, member: &Member, account: Option<&StripeAccount>) -> Result<HttpResponse> {
    let done = match account.filter(|account| account.stripe_account.is_some()) {
        None => Done::StripeGone,
        Some(account) if account.ready => Done::StripeReady,
        Some(_) => Done::StripeIncomplete,
    };
    back(context, member, done)
}

/// To the page, which says what was done.
fn back(context: &Context, member: &Member, done: Done) -> Result<HttpResponse> {
    let mut response = see(Place::Partner.url());
    done.leave(context, &member.guard, &mut response)?;
    Ok(response)
}

async fn render(
    request: &HttpRequest,
    context: &Context,
    member: &Member,
    query: &Query,
    notice: Option<&'static str>,
    refused: Option<Refused<'_>>,
) -> Result<HttpResponse> {
    let before = query.cursor()?;
    let desk = context.engine.partner_desk(member.project.id, member.account, before, PAGE + 1).await?;
    let done = Done::of(context, request, &member.guard).filter(|_| refused.is_none());
    let status = refused.as_ref().map_or(StatusCode::OK, |refused| status(refused.error.kind));
    let leads_to_stripe = desk.view.partner && !desk.is_test;
    let template =
        PartnerPage { notice, done, is_first: before.is_none(), ..fill(context, member, desk, refused.as_ref()) };
    let mut response = member.page(context, status, &template);
    if leads_to_stripe {
        let_forms_lead_to(context.engine.stripe_pages(), &mut response);
    }
    if let Some(refused) = refused {
        add_headers(&refused.error, &mut response);
    }
    if done.is_some() {
        Done::forget(context, &mut response)?;
    }
    Ok(response)
}

fn fill(context: &Context, member: &Member, mut desk: PartnerDesk, refused: Option<&Refused<'_>>) -> PartnerPage {
    let mut payouts = std::mem::take(&mut desk.payouts);
    let has_older = payouts.len() > PAGE;
    payouts.truncate(PAGE);
    let older = payouts.last().filter(|_| has_older).map(|row| Cursor(row.id.0));
    // What was typed stays; but a new text is accepted anew.
    let is_outdated = refused.is_some_and(|refused| refused.error.code == "agreement_outdated");
    let typed = refused.and_then(|refused| {
        let is_accepted = refused.field("upgrade", "accept").is_some() && !is_outdated;
        Some((refused.field("upgrade", "signature")?, is_accepted))
    });
    let terms = Terms::of(&desk);
    PartnerPage {
        frame: member.frame(context, Place::Partner),
        csrf: member.guard.token(context),
        done: None,
        notice: None,
        faults: refused.map(|refused| refused.faults(&desk)).unwrap_or_default(),
        is_partner: desk.view.partner,
        is_test: desk.is_test,
        steps: Step::all(&desk),
        balance: BalanceLine::all(&desk, &terms),
        terms,
        agreement: Agreement::of(&desk, typed),
        signed: desk.signed.iter().map(Signed::of).collect(),
        stripe: StripeCard::of(&desk),
        payable: Payable::of(&desk, refused.and_then(|refused| refused.field("payout", "amount"))),
        payouts: payouts.iter().map(|row| PayoutLine::of(row, &desk.program)).collect(),
        older: older.map(|cursor| format!("{}?cursor={cursor}#payouts", Place::Partner.url())),
        is_first: true,
        bound: desk.bound.as_ref().map(|error| bound(&desk, error)),
    }
}

pub async fn take(request: HttpRequest, payload: web::Payload, context: web::Data<Context>) -> HttpResponse {
    take_form(&request, payload, &context).await.unwrap_or_else(failed)
}

/// One of the page's forms, from someone who is signed in.
struct Asked<'a> {
    request: &'a HttpRequest,
    context: &'a Context,
    member: &'a Member,
    fields: &'a HashMap<String, String>,
}

async fn take_form(request: &HttpRequest, payload: web::Payload, context: &Context) -> Result<HttpResponse> {
    let Some(member) = member(request, context).await? else { return Ok(sign_in_first(Place::Partner)) };
    let fields = member.form(request, payload, context).await?;
    let asked = Asked { request, context, member: &member, fields: &fields };
    let outcome = match asked.field("form") {
        "upgrade" => asked.upgrade().await,
        "connect" => asked.connect().await,
        "check" => asked.check().await,
        "payout" => asked.pay_out().await,
        "leave" => asked.leave().await,
        _ => Err(Error::new(Kind::Malformed, "malformed_form", "The page has no such form.")),
    };
    match outcome {
        Ok(response) => Ok(response),
        Err(error) if matches!(error.kind, Kind::Invalid | Kind::Conflict | Kind::Busy) => {
            let refused = Refused { asked: asked.field("form"), fields: &fields, error };
            render(request, context, &member, &Query::parse("")?, None, Some(refused)).await
        }
        Err(error) => Err(error),
    }
}

impl Asked<'_> {
    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map(String::as_str).unwrap_or_default()
    }

    async fn upgrade(&self) -> Result<HttpResponse> {
        let version = self.field("agreement_version").parse().map_err(|_| unread())?;
        let name = partner::signature("signature", self.field("signature"));
        let accepted = match self.field("accept") {
            "1" => Ok(()),
            _ => Err(Error::field("accept", "not_accepted", "Tick the box if you accept the agreement.")),
        };
        let (name, ()) = match (name, accepted) {
            (Ok(name), Ok(accepted)) => (name, accepted),
            (name, accepted) => {
                let faults = accepted.err().into_iter().chain(name.err());
                return Err(Error::fields(faults.flat_map(|fault| fault.fields).collect()));
            }
        };
        let address = self.context.settings.trusted_proxies.client_of(self.request);
        let signature = NewSignature { version, name, address };
        self.context.engine.upgrade(self.member.project.id, self.member.account, signature).await?;
        back(self.context, self.member, Done::PartnerNow)
    }

    async fn connect(&self) -> Result<HttpResponse> {
        let links = self.context.connect_links();
        let connected = self.context.engine.connect(self.member.project.id, self.member.account, links).await?;
        Ok(lead_to(self.context, self.member, connected))
    }

    async fn check(&self) -> Result<HttpResponse> {
        let account = self.context.engine.ask_stripe(self.member.project.id, self.member.account).await?;
        told(self.context, self.member, account.as_ref())
    }

    async fn pay_out(&self) -> Result<HttpResponse> {
        let amount_minor = typed_hundredths(self.field("amount").trim()).ok_or_else(|| {
            Error::field("amount", "not_an_amount", "Write it with digits and a point, such as 25.00.")
        })?;
        let newest = self.newest()?;
        let (project, account) = (self.member.project.id, self.member.account);
        let requested = self.context.engine.request_next_payout(project, account, newest, amount_minor).await;
        match requested {
            Ok(_) => back(self.context, self.member, Done::PayoutRequested),
            // The same form twice, or one that is older than the newest payout: there it is.
            Err(error) if error.code == "form_used" => back(self.context, self.member, Done::PayoutKnown),
            Err(error) => Err(error),
        }
    }

    /// The newest payout that there was when the form was made.
    fn newest(&self) -> Result<Option<PayoutId>> {
        match self.fields.get("newest").map(String::as_str) {
            Some("") => Ok(None),
            Some(id) => id.parse().map(Some).map_err(|_| unread()),
            None => Err(unread()),
        }
    }

    async fn leave(&self) -> Result<HttpResponse> {
        self.context.engine.downgrade(self.member.project.id, self.member.account).await?;
        back(self.context, self.member, Done::BasicNow)
    }
}

fn unread() -> Error {
    Error::new(Kind::Malformed, "malformed_form", "The form cannot be read.")
}

/// To Stripe's page; to another than the policy lets forms lead to only by a link.
fn lead_to(context: &Context, member: &Member, connected: Connected) -> HttpResponse {
    let url = connected.onboarding_url;
    let is_of =
        |origin: &str| url.strip_prefix(origin).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    // A test project's link leads straight back, and is followed where the visitor is.
    let own_path = url.strip_prefix(&context.url_of(member.project.host.as_deref()));
    if let Some(path) = own_path.filter(|path| path.starts_with('/')) {
        return see(path);
    }
    if is_of(context.engine.stripe_pages()) {
        return see(&url);
    }
    let text = "Stripe asks for what it needs to pay you on its own pages.".to_owned();
    let link = Some(("Go to Stripe".to_owned(), url));
    let frame = member.frame(context, Place::Partner);
    member.page(context, StatusCode::OK, &MessagePage { frame, heading: "Continue at Stripe".into(), text, link })
}

pub async fn agreement(request: HttpRequest, context: web::Data<Context>) -> HttpResponse {
    keep(&request, &context).await.unwrap_or_else(failed)
}

/// What was signed last, or in an older version, with the signatures; or what is in force, for who has not signed.
async fn keep(request: &HttpRequest, context: &Context) -> Result<HttpResponse> {
    let Some(member) = member(request, context).await? else { return Ok(sign_in_first(Place::Partner)) };
    let version = Query::parse(request.query_string())?.integer("version", 0..=1_000_000_000, 0)?;
    let version = Some(version).filter(|version| *version > 0);
    let kept = context.engine.agreement_to_keep(member.project.id, member.account, version).await?;
    let disposition = format!("attachment; filename=\"partner-agreement-{}.md\"", kept.version);
    let mut response = HttpResponse::Ok();
    response.content_type("text/markdown; charset=utf-8").insert_header((header::CONTENT_DISPOSITION, disposition));
    Ok(response.body(kept.text))
}
