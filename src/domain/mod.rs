//! What is right. No I/O, no clock, no randomness: `now` and entropy are arguments.

pub mod access;
pub mod audit;
pub mod click;
pub mod code;
pub mod delivery;
pub mod developer;
pub mod device;
mod disposable;
pub mod email;
pub mod error;
pub mod id;
pub mod jwt;
pub mod ledger;
pub mod limit;
pub mod money;
pub mod operator;
pub mod partner;
pub mod payout;
pub mod payout_order;
pub mod program;
pub mod public_key;
pub mod rdap;
pub mod referral;
pub mod replay;
pub mod reward;
pub mod setting;
pub mod sharing;
pub mod signal;
pub mod stripe;
pub mod text;
pub mod time;
pub mod totp;

pub use error::{Error, FieldError, Kind};
