//! The dashboard as its owner sees it.

mod access;
mod figures;
mod keys;
mod ledger;
mod overview;
mod referrals;
pub mod story;
