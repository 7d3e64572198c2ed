//! The dashboard as its owner sees it.

mod access;
mod figures;
mod keys;
mod ledger;
mod overview;
mod partner;
mod partner_payouts;
mod partner_stripe;
mod referrals;
pub mod story;
