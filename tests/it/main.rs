//! Behaviour from outside: the real app on a real port over a real file. One binary, so that it links once.

mod harness;
mod loop_of_the_seed;
mod readme;
