//! Someone at the pages without JavaScript: keeps cookies, reads forms, and checks each page's headers.

use crate::harness::{App, Client, PASSWORD, Reply};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::cell::RefCell;
use std::collections::BTreeMap;

pub struct Visitor {
    client: Client,
    cookies: RefCell<BTreeMap<String, String>>,
}

pub const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

impl Visitor {
    pub fn new(app: &App) -> Self {
        Self { client: app.anonymous(), cookies: RefCell::default() }
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let jar = self.cookies.borrow().iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
        let cookie = jar.join("; ");
        let mut headers = headers.to_vec();
        if !cookie.is_empty() {
            headers.push(("Cookie", &cookie));
        }
        let reply = self.client.send(method, path, &headers, body.as_bytes().to_vec());
        for (_, set) in reply.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
        }
        reply
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[("Accept", "text/html")], "")
    }

    /// The token of a fresh form.
    pub fn token(&self) -> String {
        let page = self.get("/signup");
        assert_page(&page, 200);
        value_of(&page, "csrf")
    }

    /// Posts the signup form as it is, without a token of its own.
    pub fn post(&self, fields: &[(&str, &str)]) -> Reply {
        self.send("POST", "/signup", &[FORM], &encode(fields))
    }

    /// Opens the form, fills it in and sends it.
    pub fn sign_up(&self, name: &str, email: &str, password: &str, code: &str) -> Reply {
        let token = self.token();
        self.post(&[
            ("csrf", &token),
            ("name", name),
            ("email", email),
            ("password", password),
            ("referral_code", code),
        ])
    }

    pub fn sign_up_well(&self, name: &str, email: &str, code: &str) -> Reply {
        self.sign_up(name, email, PASSWORD, code)
    }
}

pub fn encode(fields: &[(&str, &str)]) -> String {
    let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect::<Vec<_>>().join("&")
}

/// An HTML page of this status, with the headers that keep others from meddling with it.
pub fn assert_page(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{:.2000}", reply.body);
    for (name, value) in [
        ("Content-Type", "text/html; charset=utf-8"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "same-origin"),
        ("Cache-Control", "no-store"),
        (
            "Content-Security-Policy",
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self'; \
             base-uri 'none'; frame-ancestors 'none'",
        ),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    let html = reply.body.to_lowercase();
    for inline in ["<style", " style=", " onclick=", " onload=", "javascript:"] {
        assert!(!html.contains(inline), "{inline} would be refused by the policy");
    }
    let scripts = html.matches("<script").count();
    assert_eq!((scripts, html.matches("<script src=\"/assets/").count()), (1, 1), "only our own script");
}

/// The value of the input with this name, as it stands in the HTML.
pub fn value_of(page: &Reply, name: &str) -> String {
    let input = input(page, name);
    let (_, after) = input.split_once(" value=\"").unwrap_or_else(|| panic!("{input} has no value"));
    after.split_once('"').unwrap().0.to_owned()
}

/// The tag of the input with this name.
pub fn input(page: &Reply, name: &str) -> String {
    let tags = page.body.split("<input").skip(1).map(|rest| rest.split('>').next().unwrap());
    let mut tags = tags.filter(|tag| tag.contains(&format!(" name=\"{name}\"")));
    tags.next().unwrap_or_else(|| panic!("no input {name} in {}", page.body)).to_owned()
}

/// The message beside a field, if there is one.
pub fn error_of(page: &Reply, name: &str) -> Option<String> {
    let (_, after) = page.body.split_once(&format!("id=\"{name}-error\">"))?;
    let message = after.split_once("</p>").unwrap().0;
    assert!(input(page, name).contains("aria-invalid=\"true\""), "{name} is marked");
    Some(message.rsplit('>').next().unwrap().to_owned())
}
