//! The pages as a browser without JavaScript gets them.

mod csrf;
mod others;
mod signup;
