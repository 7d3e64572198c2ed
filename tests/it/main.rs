//! Behaviour from outside: the real app on a real port over a real file. One binary, so that it links once.

// A test says what it expects; what is not there is a failure with a place.
#![allow(clippy::unwrap_used)]
// `json!({ … })` reads better without a reference before it.
#![allow(clippy::needless_pass_by_value)]

mod binary;
mod crash;
mod harness;
mod histories;
mod immutable;
mod loop_of_the_seed;
mod model;
mod process;
mod races;
mod readme;
mod tidy;
mod verify;
mod writer;
