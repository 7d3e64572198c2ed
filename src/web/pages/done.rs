//! A word on what was just done, for the page that a form leads to. It travels in a cookie that only this server can
//! make for this visitor, so that no link can put words on a page.

use crate::domain::error::Result;
use crate::web::Context;
use crate::web::page::FormGuard;
use crate::web::session::{cookie, set};
use actix_web::cookie::time::Duration;
use actix_web::{HttpRequest, HttpResponse};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    SignedOut,
    ProfileSaved,
    PasswordChanged,
    LettersChosen,
    LinkSent,
    PartnerNow,
    BasicNow,
    StripeReady,
    StripeIncomplete,
    StripeGone,
    PayoutRequested,
    PayoutKnown,
    SessionEnded,
    OthersEnded,
    Erased,
}

impl Done {
    const ALL: [Self; 15] = [
        Self::SignedOut,
        Self::ProfileSaved,
        Self::PasswordChanged,
        Self::LettersChosen,
        Self::LinkSent,
        Self::PartnerNow,
        Self::BasicNow,
        Self::StripeReady,
        Self::StripeIncomplete,
        Self::StripeGone,
        Self::PayoutRequested,
        Self::PayoutKnown,
        Self::SessionEnded,
        Self::OthersEnded,
        Self::Erased,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::SignedOut => "signed-out",
            Self::ProfileSaved => "profile-saved",
            Self::PasswordChanged => "password-changed",
            Self::LettersChosen => "letters-chosen",
            Self::LinkSent => "link-sent",
            Self::PartnerNow => "partner-now",
            Self::BasicNow => "basic-now",
            Self::StripeReady => "stripe-ready",
            Self::StripeIncomplete => "stripe-incomplete",
            Self::StripeGone => "stripe-gone",
            Self::PayoutRequested => "payout-requested",
            Self::PayoutKnown => "payout-known",
            Self::SessionEnded => "session-ended",
            Self::OthersEnded => "others-ended",
            Self::Erased => "erased",
        }
    }

    pub fn text(self) -> &'static str {
        match self {
            Self::SignedOut => "You are signed out.",
            Self::ProfileSaved => "Your profile is saved.",
            Self::PasswordChanged => "Your password is changed. You are signed out everywhere else.",
            Self::LettersChosen => "Your choice of mails is saved.",
            Self::LinkSent => "A mail with a new link is on its way to you.",
            Self::PartnerNow => "You are a partner. New purchases count at the partner rate from now on.",
            Self::BasicNow => "You are on the basic track again. You can come back at any time.",
            Self::StripeReady => "Stripe is ready to pay out to you.",
            Self::StripeIncomplete => "Stripe was asked, and something is still missing. It is listed below.",
            Self::StripeGone => {
                "Stripe does not know the account any more that was connected. Connect with Stripe again."
            }
            Self::PayoutRequested => "Your payout is requested. It is reserved now, and listed below.",
            Self::PayoutKnown => {
                "A payout has been requested already since that form was opened. Nothing was sent twice: it is listed below."
            }
            Self::SessionEnded => "That browser is signed out.",
            Self::OthersEnded => "You are signed out everywhere else.",
            Self::Erased => "Your account is erased.",
        }
    }

    fn cookie_name(context: &Context) -> &'static str {
        if context.is_https() { "__Host-refloop_done" } else { "refloop_done" }
    }

    /// What the visitor is to be told.
    pub fn of(context: &Context, request: &HttpRequest, guard: &FormGuard) -> Option<Self> {
        let cookie = request.cookie(Self::cookie_name(context))?;
        let is_it = |done: &Self| cookie.value() == guard.seal(context, done.name());
        Self::ALL.into_iter().find(is_it)
    }

    /// Has the next page say it.
    pub fn leave(self, context: &Context, guard: &FormGuard, response: &mut HttpResponse) -> Result<()> {
        let sealed = guard.seal(context, self.name());
        set(response, &cookie(context, Self::cookie_name(context), &sealed, Duration::MINUTE))
    }

    /// It has been said, and is not said again.
    pub fn forget(context: &Context, response: &mut HttpResponse) -> Result<()> {
        set(response, &cookie(context, Self::cookie_name(context), "", Duration::ZERO))
    }
}
