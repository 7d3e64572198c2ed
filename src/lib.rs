//! refloop is a referral programme in one binary, for teams that sell an API.
//!
//! A request comes in through a face, becomes one engine call, which makes one store transaction, which asks the
//! domain what is right; the answer goes back the same way. Nothing reaches past its neighbour:
//!
//! ```text
//! domain ← store ← engine ← { web, work } ← cli ← main
//! ```
//!
//! - [`domain`]: what is right, as pure functions. Programs are data; [`domain::reward::decide`] says what an event
//!   earns, [`domain::ledger`] which lots a movement touches.
//! - [`store`]: one SQLite file, one writer thread that commits many callers' work together and replies after the
//!   disk has it, and a pool of read-only snapshots. The entries of the ledger are the truth; lots and balances are
//!   projections that `verify` recomputes. What usage spends is known in memory first (`staging`, `holdings`, `cache`)
//!   and is written back to the projections in bulk (`write_back`, `projection`).
//! - [`engine`]: the use cases. One method, one transaction.
//! - [`web`]: the faces over HTTP: the developers' API, the conversion API for apps that sign their users in themselves, the
//!   projects API, the pages, the operators' console with its calls, and where Stripe delivers its events.
//! - [`work`]: what happens by itself. It tidies up behind the clock, on which no balance depends, and tells other
//!   systems what the outbox holds for them: the rows that a transaction has written for mail, payouts, and whatever
//!   else leaves the house, such as the question how old a domain is. The network is nowhere else.
//! - [`config`] and [`cli`]: settings as one value, and the commands that put everything together.
//!
//! Time decides and is always an argument: whether a lot has vested or expired follows from `now`, not from a job
//! that ran.

pub mod domain;

pub mod store;

pub mod engine;

pub mod web;

pub mod work;

pub mod config;

pub mod cli;
