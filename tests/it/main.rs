//! Behaviour from outside: the real app on a real port over a real file. One binary, so that it links once.

// A test that cannot go on has failed, and says where by panicking.
#![allow(clippy::unwrap_used)]
// Bodies are written in place with `json!`; a reference to each would only be noise.
#![allow(clippy::needless_pass_by_value)]

mod abuse;
mod account;
mod admin;
mod applications;
mod auth;
mod backup;
mod billstack;
mod binary;
mod browser;
mod calls;
mod clicks;
mod codes;
mod commissions;
mod conversion;
mod crash;
mod demo;
mod faults;
mod fraud;
mod harness;
mod histories;
mod hostile;
mod immutable;
mod keys;
mod leaderboard;
mod ledger;
mod limits;
mod loop_of_the_seed;
mod mail;
mod metrics;
mod model;
mod pages;
mod payouts;
mod plans;
mod process;
mod programs;
mod programs_cli;
mod projects;
mod projects_cli;
mod purchases;
mod races;
mod readme;
mod ready;
mod referrals;
mod replica;
mod request_log;
mod screenshots;
mod sessions;
mod signals;
mod signup;
mod statistics;
mod stripe;
mod stripe_api;
mod tenancy;
mod test_clock;
mod tidy;
mod tls;
mod usage;
mod verify;
mod visitor;
mod write_back;
mod writer;
