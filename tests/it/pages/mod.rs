//! The pages as a browser without JavaScript gets them.

mod csrf;
mod leaderboard;
mod others;
mod signup;
