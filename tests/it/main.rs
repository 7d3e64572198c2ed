//! Behaviour from outside: the real app on a real port over a real file. One binary, so that it links once.

// A test that cannot go on says so by its panic.
#![allow(clippy::unwrap_used)]

mod auth;
mod browser;
mod calls;
mod harness;
mod hostile;
mod loop_of_the_seed;
mod pages;
mod readme;
mod visitor;
