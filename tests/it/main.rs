//! Behaviour from outside: the real app on a real port over a real file. One binary, so that it links once.

// A test that cannot go on has failed, and says where by panicking.
#![allow(clippy::unwrap_used)]
// Bodies are written in place with `json!`; a reference to each would only be noise.
#![allow(clippy::needless_pass_by_value)]

mod abuse;
mod account;
mod applications;
mod auth;
mod browser;
mod calls;
mod codes;
mod harness;
mod hostile;
mod keys;
mod leaderboard;
mod ledger;
mod limits;
mod loop_of_the_seed;
mod pages;
mod programs;
mod projects;
mod purchases;
mod readme;
mod referrals;
mod signup;
mod statistics;
mod usage;
mod visitor;
