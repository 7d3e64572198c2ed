//! What Stripe tells by webhook: whether it is from Stripe, and which of it matters here.

mod event;
mod signature;

pub use event::{Fact, Link, Refund, RefundState, StripeEvent};
pub use signature::{MOST_SECRETS, TOLERANCE_S, verify};
