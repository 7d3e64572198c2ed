//! An operator at the pages of the default project about people, money and the program.

use super::log_in;
use crate::harness::{App, PASSWORD, Reply};
use crate::visitor::{FORM, Visitor, encode, value_of};
use refloop::domain::operator::OperatorRole;
use serde_json::Value;

/// The calls of the default project.
pub const CALLS: &str = "/v1/admin/projects/default";

/// A call of the default project.
pub fn call(rest: &str) -> String {
    format!("{CALLS}/{rest}")
}

/// What was noted in the audit log, newest first: action, subject, reason.
pub fn noted(app: &App) -> Vec<(String, String, String)> {
    let rows = app.gateway().get(&call("audit?limit=200")).json()["data"].as_array().unwrap().clone();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    rows.iter().map(|row| (text(row, "action"), text(row, "subject"), text(row, "reason"))).collect()
}

/// Someone who is signed in to the console, in a browser without JavaScript.
pub struct Desk {
    pub browser: Visitor,
}

impl Desk {
    pub fn sign_in(app: &App, role: OperatorRole) -> Self {
        let email = format!("{}@team.example", role.as_str());
        app.add_operator_as("default", &email, role);
        let browser = Visitor::new(app);
        let reply = log_in(&browser, &email, PASSWORD);
        assert_eq!(reply.status, 303, "{}", reply.body);
        Self { browser }
    }

    pub fn page(&self, rest: &str) -> Reply {
        self.browser.get(&format!("/admin/default/{rest}"))
    }

    /// Sends a form of a page with the page's own token.
    pub fn send(&self, page: &str, to: &str, fields: &[(&str, &str)]) -> Reply {
        let csrf = value_of(&self.page(page), "csrf");
        let form = encode(&[&[("csrf", csrf.as_str())], fields].concat());
        self.browser.send("POST", &format!("/admin/default/{to}"), &[FORM], &form)
    }

    /// Sends a form, and reads the page that it leads to.
    pub fn done(&self, page: &str, fields: &[(&str, &str)]) -> String {
        let reply = self.send(page, page, fields);
        assert_eq!(reply.status, 303, "{page} {fields:?}: {}", reply.body);
        let next = self.browser.get(reply.header("location").unwrap());
        assert_eq!(next.status, 200, "{}", next.body);
        next.body
    }
}
