//! The console and its calls.

mod access;
mod audit;
mod browser;
pub mod calls;
mod deliveries;
mod desk;
mod developers;
mod exports;
mod interventions;
mod keys;
mod limits;
mod operators;
mod overview;
mod pages;
mod payouts;
mod programs;
mod second_factor;
mod settings;
mod walk;

use crate::harness::{App, PASSWORD, Reply};
use crate::visitor::{FORM, Visitor, assert_page, encode, value_of};
use refloop::domain::operator::OperatorRole;
use serde_json::Value;

/// Someone who is signed in to the console by its form.
pub struct Operator {
    pub visitor: Visitor,
    pub email: String,
}

impl Operator {
    /// Makes an owner of the default team and signs them in.
    pub fn owner(app: &App) -> Self {
        Self::of_role(app, "owner@example.com", OperatorRole::Owner)
    }

    pub fn of_role(app: &App, email: &str, role: OperatorRole) -> Self {
        app.add_operator_as("default", email, role);
        Self::sign_in(app, email)
    }

    /// One who is there already.
    pub fn sign_in(app: &App, email: &str) -> Self {
        let operator = Self { visitor: Visitor::new(app), email: email.to_owned() };
        let reply = log_in(&operator.visitor, email, PASSWORD);
        assert_eq!((reply.status, reply.header("Location")), (303, Some("/admin")), "{}", reply.body);
        operator
    }

    /// A page, after a check that it is one.
    pub fn page(&self, path: &str) -> Reply {
        let page = self.visitor.get(path);
        assert_page(&page, 200);
        page
    }

    /// Sends a form of the console.
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let csrf = value_of(&self.visitor.get("/admin/account"), "csrf");
        let fields = [&[("csrf", csrf.as_str())], fields].concat();
        self.visitor.send("POST", path, &[FORM], &encode(&fields))
    }

    /// Sends a form that is taken, and gives the page that says what was done.
    pub fn done(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let reply = self.post(path, fields);
        assert_eq!(reply.status, 303, "{}", reply.body);
        let page = self.page(reply.header("Location").unwrap());
        assert!(page.body.contains("class=\"done\""), "{}", page.body);
        page
    }

    /// A call with the session.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> Reply {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        self.visitor.send(method, path, &[("Content-Type", "application/json")], &text)
    }
}

/// Opens the sign-in, fills it in and sends it.
pub fn log_in(visitor: &Visitor, email: &str, password: &str) -> Reply {
    let page = visitor.get("/admin/login");
    assert_page(&page, 200);
    let csrf = value_of(&page, "csrf");
    visitor.send("POST", "/admin/login", &[FORM], &encode(&[("csrf", &csrf), ("email", email), ("password", password)]))
}

/// The actions in the log, oldest first.
pub fn actions(app: &App) -> Vec<String> {
    app.sqlite3("SELECT action FROM audit ORDER BY seq").lines().map(str::to_owned).collect()
}
