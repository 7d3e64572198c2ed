//! The pages as a browser without JavaScript gets them.

mod account;
mod csrf;
pub mod dashboard;
mod guessing;
mod leaderboard;
mod login;
mod others;
mod signup;
