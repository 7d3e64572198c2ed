//! Behaviour from outside: the real app on a real port over a real file. One binary, so that it links once.

mod binary;
mod crash;
mod harness;
mod immutable;
mod loop_of_the_seed;
mod process;
mod races;
mod readme;
mod tidy;
mod verify;
mod writer;
