//! The pages as a browser without JavaScript gets them.

mod csrf;
pub mod dashboard;
mod leaderboard;
mod others;
mod signup;
