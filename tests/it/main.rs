//! Behaviour from outside: the real app on a real port over a real file. One binary, so that it links once.

// A test that cannot go on says so by its panic.
#![allow(clippy::unwrap_used)]
// `json!({ … })` reads better without a reference before it.
#![allow(clippy::needless_pass_by_value)]

mod auth;
mod binary;
mod browser;
mod calls;
mod crash;
mod harness;
mod histories;
mod hostile;
mod immutable;
mod loop_of_the_seed;
mod model;
mod pages;
mod process;
mod races;
mod readme;
mod tidy;
mod verify;
mod visitor;
mod writer;
