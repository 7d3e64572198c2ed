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
            if set.contains("; Max-Age=0") {
                self.cookies.borrow_mut().remove(name);
            } else {
                self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
            }
        }
        reply
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.borrow().get(name).cloned()
    }

    pub fn drop_cookie(&self, name: &str) {
        self.cookies.borrow_mut().remove(name);
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

impl Visitor {
    /// Opens the sign-in, fills it in and sends it.
    pub fn try_sign_in(&self, email: &str, password: &str) -> Reply {
        self.sign_in_from(&[], email, password)
    }

    /// [`Visitor::try_sign_in`] with headers of the browser's.
    pub fn sign_in_from(&self, headers: &[(&str, &str)], email: &str, password: &str) -> Reply {
        let csrf = self.token();
        let form = encode(&[("csrf", &csrf), ("email", email), ("password", password)]);
        self.send("POST", "/login", &[headers, &[FORM]].concat(), &form)
    }

    pub fn sign_in(&self, email: &str) {
        let reply = self.try_sign_in(email, PASSWORD);
        assert_eq!((reply.status, reply.header("Location")), (303, Some("/dashboard")), "{}", reply.body);
    }

    /// Whether the account's pages are open to this visitor.
    pub fn is_signed_in(&self) -> bool {
        let page = self.get("/account");
        match page.status {
            200 => assert_page(&page, 200),
            _ => assert_eq!((page.status, page.header("Location")), (303, Some("/login?next=/account"))),
        }
        page.status == 200
    }

    /// Sends one of the forms of `/account`.
    pub fn ask(&self, form: &str, fields: &[(&str, &str)]) -> Reply {
        let csrf = self.token();
        let form = [&[("csrf", csrf.as_str()), ("form", form)], fields].concat();
        self.send("POST", "/account", &[FORM], &encode(&form))
    }

    pub fn sign_out(&self) -> Reply {
        let csrf = self.token();
        self.send("POST", "/logout", &[FORM], &encode(&[("csrf", &csrf)]))
    }
}

/// The cookie of this name as a reply sets it: its value, and its attributes in order.
pub fn set_cookie(reply: &Reply, name: &str) -> Option<(String, Vec<String>)> {
    let set = reply.headers.iter().filter(|(header, _)| header == "set-cookie").map(|(_, value)| value);
    let cookie = set.into_iter().find(|value| value.starts_with(&format!("{name}=")))?;
    let (pair, attributes) = cookie.split_once("; ")?;
    let mut attributes: Vec<String> = attributes.split("; ").map(String::from).collect();
    attributes.sort_unstable();
    Some((pair.split_once('=')?.1.to_owned(), attributes))
}

pub fn encode(fields: &[(&str, &str)]) -> String {
    let escape = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect::<Vec<_>>().join("&")
}

/// An HTML page of this status, with the headers that keep others from meddling with it.
pub fn assert_page(reply: &Reply, status: u16) {
    assert_page_to(reply, status, "");
}

/// [`assert_page`] for one whose forms lead on to another site, too.
pub fn assert_page_to(reply: &Reply, status: u16, site: &str) {
    let leads_to = if site.is_empty() { String::new() } else { format!(" {site}") };
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self'{leads_to}; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    assert_eq!(reply.status, status, "{:.2000}", reply.body);
    for (name, value) in [
        ("Content-Type", "text/html; charset=utf-8"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "same-origin"),
        ("Cache-Control", "no-store"),
        ("Content-Security-Policy", policy.as_str()),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    let html = reply.body.to_lowercase();
    for inline in ["<style", " style=", " onclick=", " onload=", "javascript:"] {
        assert!(!html.contains(inline), "{inline} would be refused by the policy");
    }
    let scripts = html.matches("<script").count();
    let own = html.matches("<script src=\"/assets/").count();
    assert!(scripts == own && own >= 1, "only our own scripts");
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
