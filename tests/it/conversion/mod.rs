//! The conversion API, from an app that signs its users in itself and gives them tokens.

mod accounts;
mod api;
mod envelope;
mod rules;
pub mod signer;
mod tokens;

use crate::harness::{App, Client, Reply};
use refloop::domain::program::Preset;
use serde_json::{Value, json};
use signer::Signer;

const LINK: &str = "/api/referral/link";
const CONVERT: &str = "/api/referral/convert";
const STATS: &str = "/api/referral/stats";

/// A team's app with its default project: the `bonus` program, and a secret that both know.
struct Stage {
    app: App,
    signer: Signer,
}

impl Stage {
    fn new() -> Self {
        Self::on(App::start())
    }

    fn on(app: App) -> Self {
        app.change_program(|program| *program = serde_json::to_value(Preset::Bonus.program()).unwrap());
        let signer = Signer::new("HS256");
        signer.introduce_to(&app, "default");
        Self { app, signer }
    }

    /// Claims that are in order for an hour.
    fn claims(&self, sub: &str) -> Value {
        json!({ "sub": sub, "exp": self.app.now_ms() / 1_000 + 3_600 })
    }

    /// Someone whom the app has signed in.
    fn user(&self, sub: &str) -> Client {
        self.app.anonymous().with_key(&self.signer.token(&self.claims(sub)))
    }

    /// Someone whose address the app has verified.
    fn verified(&self, sub: &str, email: &str) -> Client {
        let mut claims = self.claims(sub);
        claims["email"] = email.into();
        claims["email_verified"] = true.into();
        self.app.anonymous().with_key(&self.signer.token(&claims))
    }

    fn convert(&self, code: &str, email: &str) -> Reply {
        self.app.anonymous().post(CONVERT, json!({ "referralCode": code, "email": email }))
    }

    /// Converts through a code of `referrer`, who has the team's own id.
    fn converts(&self, code: &str, email: &str, referrer: &str) {
        assert_eq!(data(&self.convert(code, email)), json!({ "converted": true, "referrerId": referrer }));
    }

    fn converts_not(&self, code: &str, email: &str) {
        assert_eq!(data(&self.convert(code, email)), json!({ "converted": false, "referrerId": null }));
    }

    /// What a query says, without the line's end.
    fn sql(&self, sql: &str) -> String {
        self.app.sqlite3(sql).trim().to_owned()
    }
}

/// The data of an answer that went well.
fn data(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let mut body = reply.json();
    assert_eq!((body["success"].as_bool(), body.as_object().unwrap().len()), (Some(true), 2), "{body}");
    body["data"].take()
}

/// The words of an answer that did not.
fn error(reply: &Reply, status: u16) -> String {
    assert_eq!(reply.status, status, "{:.500}", reply.body);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let body = reply.json();
    assert_eq!((body["success"].as_bool(), body.as_object().unwrap().len()), (Some(false), 2), "{body}");
    let words = body["error"].as_str().unwrap();
    assert!(!words.is_empty());
    words.to_owned()
}

/// Makes or gets the user's code.
fn code_of(user: &Client) -> String {
    data(&user.get(LINK))["code"].as_str().unwrap().to_owned()
}

/// `[totalReferrals, convertedReferrals, pendingReferrals, totalRewards]`
fn figures(user: &Client) -> [i64; 4] {
    let stats = data(&user.get(STATS));
    assert_eq!(stats.as_object().unwrap().len(), 4, "{stats}");
    ["totalReferrals", "convertedReferrals", "pendingReferrals", "totalRewards"]
        .map(|name| stats[name].as_i64().unwrap())
}
