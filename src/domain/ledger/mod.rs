//! The ledger: append-only entries in one hash chain, the lots that they move, and the plans of each movement.

mod adjustment;
mod books;
mod entry;
mod lot;
mod movement;
mod schedule;

pub use adjustment::{adjustable, take_back};
pub use books::{Books, Totals};
pub use entry::{Chain, Entry, EntryKind, Head, Heads, SignedHead};
pub(in crate::domain) use entry::{put, put_int};
pub use lot::{Balance, Carried, LINE_STATUSES, Lot, NEVER_MS, line_status};
pub use movement::{
    Draft, Grant, Movement, Purchase, Taken, Terms, expire, grant, payout, payout_return, reversal_due, reverse, spend,
};
pub use schedule::{Due, Schedule};
