//! The partner's page as its template takes it: where they are on the way from the basic track to being paid.

use super::markdown;
use super::words::{Badge, Moment, days_text, share_text};
use crate::domain::error::Error;
use crate::domain::payout::{PayoutStatus, StripeStanding, failure_words};
use crate::domain::program::{Party, Program, Rule, Trigger};
use crate::engine::{Acceptance, PartnerDesk, PayoutRow};
use crate::web::page::Frame;
use crate::web::pages::done::Done;
use askama::Template;

#[derive(Template)]
#[template(path = "dashboard/partner.html")]
pub struct PartnerPage {
    pub frame: Frame,
    pub csrf: String,
    pub done: Option<Done>,
    pub notice: Option<&'static str>,
    pub faults: Faults,
    pub is_partner: bool,
    pub is_test: bool,
    pub steps: [Step; 3],
    pub terms: Terms,
    /// To be signed: by who is no partner, or has signed an older one.
    pub agreement: Option<Agreement>,
    /// Newest first.
    pub signed: Vec<Signed>,
    pub stripe: StripeCard,
    pub balance: Vec<BalanceLine>,
    pub payable: Payable,
    pub payouts: Vec<PayoutLine>,
    pub older: Option<String>,
    pub is_first: bool,
    /// Why there is no way back now.
    pub bound: Option<String>,
}

pub struct Step {
    pub title: &'static str,
    pub is_done: bool,
    pub is_next: bool,
}

/// What the tracks give.
pub struct Terms {
    /// Of a purchase, on the basic track and as a partner; `None` where they are not shares.
    pub shares: Option<(String, String)>,
    pub minimum: String,
    pub hold: String,
    /// What could be paid out at once.
    pub waiting: Option<String>,
}

pub struct Agreement {
    pub version: i64,
    pub html: String,
    pub signature: String,
    pub is_accepted: bool,
    /// An older one has been signed, and stays good.
    pub is_newer: bool,
}

pub struct Signed {
    pub version: i64,
    pub name: Option<String>,
    pub at: Moment,
}

pub struct StripeCard {
    pub badge: Badge,
    pub is_configured: bool,
    pub is_connected: bool,
    pub is_ready: bool,
    pub missing: Vec<String>,
}

pub struct BalanceLine {
    pub label: &'static str,
    pub figure: String,
    pub unit: String,
    pub meaning: String,
    pub is_due: bool,
}

pub enum Payable {
    Form { amount: String, most: String, least: String, unit: String, newest: String },
    No(String),
}

pub struct PayoutLine {
    pub id: String,
    pub amount: String,
    pub badge: Badge,
    pub note: String,
    pub requested: Moment,
    pub paid: Option<Moment>,
}

/// What is wrong with a form: beside each field, and for the whole of it.
#[derive(Default)]
pub struct Faults {
    pub heading: &'static str,
    pub form: Option<String>,
    pub fields: Vec<(String, String)>,
}

impl Faults {
    pub fn any(&self) -> bool {
        self.form.is_some() || !self.fields.is_empty()
    }

    /// The message beside a field.
    pub fn at(&self, field: &str) -> Option<&str> {
        self.fields.iter().find(|(at, _)| at == field).map(|(_, message)| message.as_str())
    }

    pub fn label(field: &str) -> &'static str {
        match field {
            "signature" => "Your name",
            "accept" => "Agreement",
            _ => "Amount",
        }
    }
}

impl Step {
    pub fn all(desk: &PartnerDesk) -> [Self; 3] {
        let is_ready = desk.view.partner && desk.stripe == StripeStanding::Ready;
        let done = [desk.view.partner, is_ready, is_ready && desk.view.balance.paid > 0];
        let next = done.iter().position(|done| !done);
        let step = |place, title| Self { title, is_done: done[place], is_next: next == Some(place) };
        [step(0, "Accept the agreement"), step(1, "Connect Stripe"), step(2, "Get paid")]
    }
}

impl Terms {
    pub fn of(desk: &PartnerDesk) -> Self {
        let program: &Program = &desk.program;
        let is_commission = |rule: &&Rule| {
            let is_bought = matches!(rule.on, Trigger::Purchase | Trigger::FirstPurchase | Trigger::Conversion);
            is_bought && rule.to == Party::Referrer
        };
        let rules = || program.rules.iter().filter(is_commission);
        let shares = rules().find_map(|rule| rule.basis_points);
        let available = desk.view.balance.available;
        Self {
            shares: shares.map(|shares| (share_text(shares.basic), share_text(shares.partner))),
            minimum: program.amount_text(desk.view.minimum_payout),
            hold: match rules().map(|rule| rule.hold_days).max() {
                None | Some(0) => "None".to_owned(),
                Some(days) => days_text(days),
            },
            waiting: (available > 0).then(|| program.amount_text(available)),
        }
    }
}

impl Agreement {
    /// What is to be signed; `typed` is what was sent before, if anything.
    pub fn of(desk: &PartnerDesk, typed: Option<(&str, bool)>) -> Option<Self> {
        let view = &desk.view;
        let signed = view.acceptance.as_ref().filter(|_| view.partner).map(|signed| signed.version);
        let (signature, is_accepted) = typed.unwrap_or_default();
        (signed != Some(view.agreement.version)).then(|| Self {
            version: view.agreement.version,
            html: markdown::to_html(&view.agreement.text),
            signature: signature.to_owned(),
            is_accepted,
            is_newer: signed.is_some(),
        })
    }
}

impl Signed {
    pub fn of(signed: &Acceptance) -> Self {
        let at = Moment::of(signed.signed_at_ms);
        Self { version: signed.version, name: signed.signature.clone(), at }
    }
}

impl StripeCard {
    pub fn of(desk: &PartnerDesk) -> Self {
        let account = desk.view.stripe.as_ref().filter(|stripe| stripe.stripe_account.is_some());
        let (is_connected, is_ready) = (account.is_some(), account.is_some_and(|stripe| stripe.ready));
        let is_configured = desk.stripe != StripeStanding::NotConfigured;
        let (text, tone) = match (is_configured, is_connected, is_ready) {
            (false, ..) => ("Not set up here", "muted"),
            (true, false, _) => ("Not connected", "muted"),
            (true, true, false) => ("Not ready", "warn"),
            (true, true, true) => ("Ready", "good"),
        };
        Self { badge: Badge { text, tone }, is_configured, is_connected, is_ready, missing: desk.view.missing() }
    }
}

impl BalanceLine {
    pub fn all(desk: &PartnerDesk, terms: &Terms) -> Vec<Self> {
        let balance = &desk.view.balance;
        let line = |label, amount: i64, meaning: &str| {
            let (figure, unit) = desk.program.amount_parts(amount);
            Self { label, figure, unit, meaning: meaning.to_owned(), is_due: label == "Owed" && amount > 0 }
        };
        let pending = match terms.hold.as_str() {
            "None" => "Commissions that are held back for now.".to_owned(),
            hold => format!("Commissions on hold: {hold} after the purchase, in case of refunds."),
        };
        vec![
            line("Available", balance.available, "Can be paid out, or spent like any credit."),
            line("Pending", balance.pending, &pending),
            line("Reserved", balance.reserved, "In a payout that is under way."),
            line("Paid", balance.paid, "All payouts that were sent so far."),
            line("Owed", balance.owed, "Taken back after it was spent or paid out. What you earn next repays it."),
        ]
    }
}

impl Payable {
    /// With the amount that was typed before, if one was.
    pub fn of(desk: &PartnerDesk, typed: Option<&str>) -> Self {
        let words = |amount| desk.program.amount_text(amount);
        let Some(error) = &desk.unpayable else {
            let available = desk.view.balance.available;
            let amount = format!("{}.{:02}", available / 100, available % 100);
            return Self::Form {
                amount: typed.map_or(amount, str::to_owned),
                most: words(available),
                least: words(desk.view.minimum_payout),
                unit: desk.view.currency.to_uppercase(),
                newest: desk.newest.map(|id| id.to_string()).unwrap_or_default(),
            };
        };
        Self::No(unpayable(desk, error))
    }
}

fn unpayable(desk: &PartnerDesk, error: &Error) -> String {
    let words = |amount| desk.program.amount_text(amount);
    let balance = &desk.view.balance;
    match error.code {
        "payout_open" => {
            let open = words(balance.reserved);
            format!("A payout of {open} is under way. The next one can be requested once it is settled.")
        }
        "stripe_not_configured" => {
            "Payouts are not set up here yet, so nothing can be sent. What you have earned is kept.".to_owned()
        }
        "stripe_not_ready" if desk.view.stripe.is_none() => "Connect Stripe first: it is what pays you.".to_owned(),
        "stripe_not_ready" => {
            "Stripe is not ready to pay out to you yet: what is missing is listed under Stripe.".to_owned()
        }
        _ if balance.owed > 0 => {
            format!("{} is owed. What you earn next repays it first; then payouts go on.", words(balance.owed))
        }
        _ if balance.available == 0 => "There is nothing to pay out yet.".to_owned(),
        _ => {
            let (minimum, available) = (words(desk.view.minimum_payout), words(balance.available));
            format!("A payout is at least {minimum}; so far {available} can be paid out.")
        }
    }
}

/// Why an account has to stay a partner for now.
pub fn bound(desk: &PartnerDesk, error: &Error) -> String {
    let balance = &desk.view.balance;
    let words = |amount| desk.program.amount_text(amount);
    match error.code {
        "payout_open" => "A payout is still under way. Wait until it is settled.".to_owned(),
        "balance_remaining" => {
            format!("{} can still be paid out. Have it paid out or spend it first.", words(balance.available))
        }
        _ => format!("Commissions of {} are still on hold. Wait until they are yours.", words(balance.pending)),
    }
}

impl PayoutLine {
    pub fn of(row: &PayoutRow, program: &Program) -> Self {
        let (badge, note) = standing(row);
        Self {
            id: row.id.to_string(),
            amount: program.amount_text(row.amount_minor),
            badge,
            note,
            requested: Moment::of(row.created_at_ms),
            paid: row.paid_at_ms.map(Moment::of),
        }
    }
}

/// How far a payout is, in a word and in a sentence.
fn standing(row: &PayoutRow) -> (Badge, String) {
    let (text, tone, note) = match row.status {
        PayoutStatus::Queued if row.cancel_asked => ("Being called off", "muted", "The money comes back in a moment."),
        PayoutStatus::Queued if !row.approved => {
            ("Waiting for approval", "warn", "Someone of the team looks at it before it is sent.")
        }
        PayoutStatus::Queued => ("On its way", "info", "It is about to be sent to Stripe."),
        PayoutStatus::Reconciling => {
            ("Being checked", "warn", "Stripe has not confirmed it yet. It stays reserved until that is clear.")
        }
        PayoutStatus::Paid => ("Paid", "good", "Stripe has it. Your bank may take 2 to 7 business days."),
        PayoutStatus::Cancelled => {
            let called_off = "It was not sent, and the money is available again.";
            ("Called off", "muted", row.failure.as_deref().map_or(called_off, failure_words))
        }
        PayoutStatus::Failed => {
            let words = failure_words(row.failure.as_deref().unwrap_or_default());
            return (Badge { text: "Not sent", tone: "bad" }, format!("{words} The money is back."));
        }
    };
    (Badge { text, tone }, note.to_owned())
}
