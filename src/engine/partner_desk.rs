//! What a partner, or who may become one, finds on their page; and payouts that are asked for with its form.

use super::Engine;
use super::partners::{MOST_SIGNATURES, PartnerView, has_stripe, view};
use super::payouts::request;
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, PayoutId, ProjectId};
use crate::domain::partner;
use crate::domain::payout::{self, Asked, StripeStanding};
use crate::store::{Acceptance, PayoutRow, Snapshot, VersionedProgram};

/// Everything on the page, as of one moment.
#[derive(Debug, Clone)]
pub struct PartnerDesk {
    pub view: PartnerView,
    /// Each agreement that was signed, newest first.
    pub signed: Vec<Acceptance>,
    pub program: VersionedProgram,
    /// Newest first.
    pub payouts: Vec<PayoutRow>,
    /// The newest of all: a form for the next one is made for what comes right after it.
    pub newest: Option<PayoutId>,
    /// Nothing of it leaves the house.
    pub is_test: bool,
    pub stripe: StripeStanding,
    /// Why nothing can be paid out now.
    pub unpayable: Option<Error>,
    /// Why there is no way back to the basic track now.
    pub bound: Option<Error>,
}

/// A few words on a partner for who looks in elsewhere.
#[derive(Debug, Clone)]
pub struct PartnerGlance {
    pub stripe: StripeStanding,
    /// They have an account at Stripe, complete or not.
    pub is_connected: bool,
    pub available: i64,
    /// In an open payout.
    pub reserved: i64,
    pub minimum: i64,
}

fn stripe_standing(db: &Snapshot<'_>, project: ProjectId, view: &PartnerView) -> Result<StripeStanding> {
    Ok(match &view.stripe {
        _ if !has_stripe(db, project)? => StripeStanding::NotConfigured,
        Some(stripe) if stripe.ready => StripeStanding::Ready,
        _ => StripeStanding::NotReady,
    })
}

/// `None` for who is no partner.
pub fn glance(db: &Snapshot<'_>, project: ProjectId, account: AccountId) -> Result<Option<PartnerGlance>> {
    if !db.account(project, account)?.partner || partner::currency(&*db.program(project)?).is_err() {
        return Ok(None);
    }
    let view = view(db, project, account)?;
    Ok(Some(PartnerGlance {
        stripe: stripe_standing(db, project, &view)?,
        is_connected: view.stripe.is_some_and(|stripe| stripe.stripe_account.is_some()),
        available: view.balance.available,
        reserved: view.balance.reserved,
        minimum: view.minimum_payout,
    }))
}

fn newest(db: &Snapshot<'_>, project: ProjectId, account: AccountId) -> Result<Option<PayoutId>> {
    Ok(db.payouts(project, account, None, 1)?.first().map(|row| row.id))
}

impl Engine {
    /// With up to `limit` payouts older than `before`. `Conflict` where the program has no partner track.
    pub async fn partner_desk(
        &self,
        project: ProjectId,
        account: AccountId,
        before: Option<i64>,
        limit: usize,
    ) -> Result<PartnerDesk> {
        let read = move |db: &Snapshot<'_>| {
            let (view, program) = (view(db, project, account)?, db.program(project)?);
            let stripe = stripe_standing(db, project, &view)?;
            let has_open_payout = db.has_open_payout(project, account)?;
            let asked = Asked {
                partner: view.partner,
                has_open_payout,
                stripe,
                amount_minor: None,
                available: view.balance.available,
                minimum: view.minimum_payout,
            };
            Ok(PartnerDesk {
                signed: db.acceptances(project, account, None, MOST_SIGNATURES)?,
                payouts: db.payouts(project, account, before, limit)?,
                newest: newest(db, project, account)?,
                is_test: db.project(project)?.mode == "test",
                stripe,
                unpayable: payout::amount(&asked, |minor| program.amount_text(minor)).err(),
                bound: partner::may_leave(&view.balance, has_open_payout).err(),
                view,
                program,
            })
        };
        self.store.read(read).await
    }

    /// [`Engine::request_payout`] by a form that was made when `newest` was the newest payout. A form makes one payout,
    /// however often and however late it is sent: `Conflict` when there has been another since.
    pub async fn request_next_payout(
        &self,
        project: ProjectId,
        account: AccountId,
        newest_then: Option<PayoutId>,
        amount_minor: i64,
    ) -> Result<PayoutRow> {
        self.store
            .write(move |tx| {
                if newest(tx, project, account)? != newest_then {
                    let message = "A payout has been requested since this form was made.";
                    return Err(Error::conflict("form_used", message));
                }
                request(tx, project, account, Some(amount_minor))
            })
            .await
    }
}
