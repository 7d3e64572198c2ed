//! The two tracks on the overview: which one it is, what each gives, and what comes next.

use super::words::share_text;
use crate::domain::partner;
use crate::domain::payout::StripeStanding;
use crate::domain::program::{Party, Program};
use crate::engine::{Overview, PartnerGlance};

pub struct Tracks {
    /// Of a purchase, on the basic track and as a partner; `None` where they are not shares, or the same.
    pub shares: Option<(String, String)>,
    pub is_partner: bool,
    /// What comes next, in one line, and what the way there is called.
    pub next: String,
    pub way: &'static str,
}

impl Tracks {
    /// `None` where there is no partner track.
    pub fn of(overview: &Overview) -> Option<Self> {
        let program: &Program = &overview.program;
        partner::currency(program).ok()?;
        let shares = program.rules.iter().filter(|rule| rule.to == Party::Referrer).find_map(|rule| rule.basis_points);
        let shares = shares.filter(|shares| shares.basic != shares.partner);
        let (next, way) = match &overview.partner {
            None => (
                "Partners are paid out to their bank, from what they have earned so far, too.".into(),
                "Upgrade to Partner",
            ),
            Some(glance) => next_of(glance, program),
        };
        Some(Self {
            shares: shares.map(|shares| (share_text(shares.basic), share_text(shares.partner))),
            is_partner: overview.account.partner,
            next,
            way,
        })
    }
}

fn next_of(glance: &PartnerGlance, program: &Program) -> (String, &'static str) {
    let words = |amount| program.amount_text(amount);
    if glance.reserved > 0 {
        return (format!("A payout of {} is under way.", words(glance.reserved)), "See the payout");
    }
    match glance.stripe {
        StripeStanding::NotConfigured => ("Payouts are not set up here yet.".into(), "Partner page"),
        StripeStanding::NotReady if glance.is_connected => {
            ("Stripe needs something more from you before it can pay.".into(), "See what is missing")
        }
        StripeStanding::NotReady => ("Connect Stripe next, to be paid out to your bank.".into(), "Connect Stripe"),
        StripeStanding::Ready if glance.available >= glance.minimum && glance.available > 0 => {
            (format!("{} can be paid out.", words(glance.available)), "Pay out")
        }
        StripeStanding::Ready => {
            let (available, minimum) = (words(glance.available), words(glance.minimum));
            (format!("{available} can be paid out so far; a payout is at least {minimum}."), "Partner page")
        }
    }
}
