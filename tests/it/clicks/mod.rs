//! Clicks: what counts, what the browser remembers, what a signup makes of it, and that a flood does no harm.

mod attribution;
mod bounds;
mod counting;
mod reports;

use crate::harness::{App, Developer, Reply};
use crate::visitor::Visitor;

pub const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
pub const CHROME: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
pub const COOKIE: &str = "refloop_visit";

pub fn clicks(developer: &Developer) -> i64 {
    developer.stats()["total_clicks"].as_i64().unwrap()
}

/// Opens a page with a browser of that name, which keeps its cookies.
pub fn open(visitor: &Visitor, agent: &str, path: &str) -> Reply {
    visitor.send("GET", path, &[("Accept", "text/html"), ("User-Agent", agent)], "")
}

/// A request by a browser that keeps nothing.
pub fn once(app: &App, agent: &str, path: &str) -> Reply {
    open(&Visitor::new(app), agent, path)
}

/// The cookie that remembers a click, with its attributes.
pub fn cookie(reply: &Reply) -> Option<&str> {
    let cookies = reply.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, value)| value.as_str());
    let mut cookies = cookies.filter(|value| value.starts_with(COOKIE) || value.starts_with("__Host-refloop_visit"));
    let cookie = cookies.next();
    assert!(cookies.next().is_none(), "it is set once");
    cookie
}

/// Its value alone.
pub fn kept(reply: &Reply) -> Option<&str> {
    cookie(reply).map(|cookie| cookie.split_once('=').unwrap().1.split(';').next().unwrap())
}

pub fn rows(app: &App, table: &str) -> usize {
    app.sqlite3(&format!("SELECT count(*) FROM {table}")).trim().parse().unwrap()
}
