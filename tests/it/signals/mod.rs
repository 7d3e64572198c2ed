//! Signals of abuse: what holds a referral, who is told what, and what operators then decide.

pub mod ages;
mod broken_off;
mod calls;
mod erased;
mod farms;
mod held;
mod pages;
mod reviews;
mod reviews_in_bulk;

pub use ages::Rdap;

use crate::harness::{App, Client, PASSWORD, Reply};
use refloop::engine::{Browser, Settings};
use refloop::store::Capacity;
use refloop::web::TrustedProxies;
use serde_json::{Value, json};

/// Behind a proxy of its own, so that a request can come from any address.
pub fn proxied() -> App {
    proxied_with(Settings::default())
}

pub fn proxied_with(settings: Settings) -> App {
    App::start_as(Capacity::default(), settings, |web| {
        web.trusted_proxies = TrustedProxies::parse("127.0.0.1").unwrap();
    })
}

/// A call from an address.
pub fn call(client: &Client, from: &str, path: &str, body: &Value) -> Reply {
    let headers = [("X-Forwarded-For", from), ("Content-Type", "application/json")];
    client.send("POST", path, &headers, body.to_string().into_bytes())
}

/// Someone who has signed up from somewhere.
#[derive(Clone)]
pub struct Person {
    pub id: String,
    pub client: Client,
    pub signup: Value,
}

impl Person {
    pub fn code(&self, from: &str) -> String {
        let reply = call(&self.client, from, "/v1/developers/referral-code", &json!({}));
        reply.json()["referral_code"].as_str().unwrap().to_owned()
    }

    /// What became of the code that they came with.
    pub fn referral(&self) -> &Value {
        &self.signup["referral"]
    }
}

pub fn sign_up(app: &App, from: &str, email: &str, code: Option<&str>) -> Person {
    let body = json!({ "email": email, "password": PASSWORD, "name": "Somebody", "referral_code": code });
    let reply = call(&app.anonymous(), from, "/v1/developers/signup", &body);
    assert_eq!(reply.status, 201, "{}", reply.body);
    let signup = reply.json();
    let client = app.anonymous().with_key(signup["api_key"].as_str().unwrap());
    Person { id: signup["developer"]["id"].as_str().unwrap().to_owned(), client, signup }
}

/// A referrer at an address, and their code.
pub fn referrer(app: &App, name: &str, from: &str) -> (Person, String) {
    let person = sign_up(app, from, &format!("{name}@{name}.example"), None);
    let code = person.code(from);
    (person, code)
}

pub const REFERRALS: &str = "/v1/admin/projects/default/referrals";

/// The referrals of the project, as operators list them.
pub fn listed(app: &App, query: &str) -> Vec<Value> {
    let reply = app.gateway().get(&format!("{REFERRALS}?{query}"));
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()["data"].as_array().unwrap().clone()
}

/// What operators see of the referral that brought someone in.
pub fn seen(app: &App, referee: &Person) -> Value {
    let all = listed(app, "limit=200");
    let found = all.iter().find(|item| item["referee"]["id"] == referee.id.as_str());
    let id = found.unwrap()["id"].as_str().unwrap();
    app.gateway().get(&format!("{REFERRALS}/{id}")).json()
}

/// The codes of its signals.
pub fn signals(referral: &Value) -> Vec<String> {
    let all = referral["signals"].as_array().unwrap().iter();
    all.map(|signal| signal["code"].as_str().unwrap().to_owned()).collect()
}

/// What someone can spend.
pub fn available(app: &App, person: &Person) -> i64 {
    let body = json!({ "id": format!("look-{}-{}", person.id, app.now_ms()), "developer_id": person.id, "calls": 0 });
    app.gateway().post("/v1/usage", body).json()["available"].as_i64().unwrap()
}

pub fn decide(app: &App, referral: &Value, what: &str) -> Reply {
    let id = referral["id"].as_str().unwrap();
    app.gateway().post(&format!("{REFERRALS}/{id}/{what}"), json!({ "reason": "looked at" }))
}

/// The tokens by which a browser is known that has signed in as someone.
pub fn devices_of(app: &App, person: &Person) -> String {
    let project = app.engine.project_named("default").unwrap().id;
    let account = person.id.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let begun = runtime.block_on(app.engine.begin_session(project, account, Browser::default()));
    begun.unwrap().devices.to_string()
}
