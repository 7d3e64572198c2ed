//! The pages as a browser without JavaScript gets them.

mod csrf;
pub mod dashboard;
mod others;
mod signup;
