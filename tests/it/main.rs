//! Behaviour from outside: the real app on a real port over a real file. One binary, so that it links once.

mod auth;
mod browser;
mod calls;
mod harness;
mod hostile;
mod loop_of_the_seed;
mod pages;
mod visitor;
