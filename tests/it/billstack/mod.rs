//! The projects API, for a project's own server and its team's operators.

mod access;
mod applications;
mod codes;
mod config;
mod conversions;
mod examples;
mod races;

use crate::harness::{App, Client, Reply};
use refloop::domain::program::Preset;
use refloop::engine::Project;
use serde_json::{Value, json};

/// A project with the seed's program, and its server.
struct Acme {
    app: App,
    project: Project,
    gateway: Client,
}

impl Acme {
    fn start() -> Self {
        Self::with(Preset::Subscription)
    }

    fn with(preset: Preset) -> Self {
        let app = App::start();
        let project = app.project("acme", preset, "live");
        Self { gateway: app.gateway_of("acme"), project, app }
    }

    fn id(&self) -> String {
        self.project.id.to_string()
    }

    fn config(&self) -> Value {
        let reply = self.gateway.get(&path("config"));
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()["config"].clone()
    }

    fn set_config(&self, enabled: bool, referrer: i64, referee: i64) {
        let reply = self.gateway.put(&path("config"), config(enabled, referrer, referee));
        assert_eq!(reply.status, 200, "{}", reply.body);
    }

    fn make_code(&self, customer: &str) -> Reply {
        self.gateway.post(&path("codes"), json!({ "customerId": customer }))
    }

    /// A customer's code, made or there already.
    fn code(&self, customer: &str) -> String {
        let reply = self.make_code(customer);
        assert!([200, 201].contains(&reply.status), "{}", reply.body);
        reply.json()["code"]["code"].as_str().unwrap().to_owned()
    }

    fn apply(&self, code: &str, referee: &str) -> Reply {
        self.gateway.post(&path("apply"), json!({ "code": code, "refereeCustomerId": referee }))
    }

    /// The answer to an application that must succeed.
    fn referral(&self, code: &str, referee: &str) -> Value {
        let reply = self.apply(code, referee);
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.json()["referral"].clone()
    }

    /// A code with its referrals.
    fn history(&self, code: &str) -> Value {
        let reply = self.gateway.get(&path(&format!("codes/{code}")));
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    }

    fn statuses(&self, code: &str) -> Vec<String> {
        let history = self.history(code);
        let referrals = history["referrals"].as_array().unwrap().iter();
        referrals.map(|referral| referral["status"].as_str().unwrap().to_owned()).collect()
    }

    /// A purchase, which converts a pending referral.
    fn buy(&self, customer: &str, id: &str) {
        let purchase = json!({ "id": id, "external_id": customer, "amount": 2_900, "currency": "usd" });
        let reply = self.gateway.post("/v1/purchases", purchase);
        assert_eq!(reply.status, 201, "{}", reply.body);
    }

    /// All that a customer has been granted.
    fn granted(&self, customer: &str) -> i64 {
        let sql = format!(
            "SELECT coalesce(sum(granted), 0) FROM balance_now JOIN account ON account.id = account_id
             WHERE external_id = '{customer}'"
        );
        self.app.sqlite3(&sql).trim().parse().unwrap()
    }
}

/// A call of the project, by its slug.
fn path(rest: &str) -> String {
    format!("/api/billstack/teams/default/projects/acme/referrals/{rest}")
}

fn config(enabled: bool, referrer: i64, referee: i64) -> Value {
    json!({ "enabled": enabled, "referrerCreditAmount": referrer, "refereeCreditAmount": referee, "currency": "usd" })
}
