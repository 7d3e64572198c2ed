//! What Stripe tells by webhook: whether it is from Stripe, and which of it matters here. And what it is asked: the
//! calls of its API that are made, and what their answers mean.

pub mod api;
pub mod connect;
mod event;
mod signature;

pub use event::{Fact, Link, Refund, RefundState, StripeEvent, ToldTransfer};
pub use signature::{MOST_SECRETS, TOLERANCE_S, verify};
