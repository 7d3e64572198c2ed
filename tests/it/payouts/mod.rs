//! Partners and their payouts, against a stand-in for Stripe.

mod answers;
mod clocks;
mod connect;
pub mod crash;
mod expiry;
mod keys;
mod model;
mod operators;
mod partner;
mod refunds;
mod requests;
mod sdk;
mod simulation;

use crate::harness::{App, Client, Developer, Reply};
use crate::stripe_api::{API_KEY, StandIn};
use refloop::domain::program::Preset;
use refloop::engine::{Settings, StripeCaller};
use refloop::work::{StripeClient, deliver_once};
use serde_json::{Value, json};
use std::time::Duration;

pub const WEBHOOK_SECRET: &str = "whsec_of_the_payouts";

/// A project with commissions, Alice and Bob, whom she brought in.
pub struct Stage {
    pub app: App,
    pub stripe: StandIn,
    pub client: StripeClient,
    pub alice: Developer,
    pub bob: Developer,
    gateway: Client,
}

impl Stage {
    /// Alice is on the basic track.
    pub fn basic() -> Self {
        Self::with_patience(Duration::from_secs(20))
    }

    pub fn with_patience(timeout: Duration) -> Self {
        Self::over(StandIn::start(), timeout, Settings::default())
    }

    /// Alice is on the basic track, and Stripe's pages can be opened.
    pub fn with_pages() -> Self {
        let stripe = StandIn::start();
        stripe.serve_pages();
        let settings = Settings { stripe_pages: stripe.url.clone(), ..Settings::default() };
        Self::over(stripe, Duration::from_secs(20), settings)
    }

    fn over(stripe: StandIn, timeout: Duration, settings: Settings) -> Self {
        let client = StripeClient::with_timeout(&stripe.url, timeout);
        let caller = client.clone();
        let caller = StripeCaller::new(move |call, key| caller.call(call, key));
        let settings = Settings { stripe: caller, sends_mail: true, ..settings };
        let app = App::start_for(settings);
        stripe.with(|state| state.clock = Some(app.clock()));
        let project = app.engine.project_named("default").unwrap();
        app.engine.set_program(&project, Preset::Commission.program(), "test").unwrap();
        app.sqlite3(&format!(
            "UPDATE project SET stripe_webhook_secrets = '{WEBHOOK_SECRET}', stripe_api_key = '{API_KEY}'"
        ));
        let alice = app.developer("Alice");
        let bob = app.referee("Bob", &alice.code());
        let gateway = app.gateway();
        Self { app, stripe, client, alice, bob, gateway }
    }

    /// Alice is a partner whose Stripe account is ready.
    pub fn ready() -> Self {
        Self::basic().made_ready()
    }

    pub fn made_ready(self) -> Self {
        self.upgrade();
        let connected = self.connect();
        self.stripe.complete_account(connected["account_id"].as_str().unwrap());
        assert_eq!(self.connect()["ready"], true);
        self
    }

    pub fn upgrade(&self) -> Value {
        upgrade(&self.alice)
    }

    pub fn connect(&self) -> Value {
        let reply = self.alice.post("/v1/partner/connect", json!({}));
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    }

    pub fn partner(&self) -> Value {
        let reply = self.alice.get("/v1/partner");
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    }

    /// available, pending, reserved, paid, owed
    pub fn balance(&self) -> [i64; 5] {
        let partner = self.partner();
        ["available", "pending", "reserved", "paid", "owed"].map(|name| partner["balance"][name].as_i64().unwrap())
    }

    pub fn buy(&self, id: &str, amount: i64) {
        let body = json!({ "id": id, "developer_id": self.bob.id, "amount": amount, "currency": "usd" });
        assert_eq!(self.gateway.post("/v1/purchases", body).status, 201);
    }

    pub fn refund(&self, id: &str, purchase: &str, amount: i64) {
        let body = json!({ "id": id, "purchase_id": purchase, "amount": amount });
        assert_eq!(self.gateway.post("/v1/refunds", body).status, 201);
    }

    /// Bob buys for ten times as much, and the hold ends.
    pub fn earn(&self, id: &str, commission: i64) {
        self.buy(id, commission * 10);
        self.app.advance_days(30);
    }

    pub fn ask(&self, body: Value) -> Reply {
        self.alice.post("/v1/payouts", body)
    }

    /// A payout that is taken; its id.
    pub fn request(&self, body: Value) -> String {
        let reply = self.ask(body);
        assert_eq!(reply.status, 201, "{}", reply.body);
        let payout = &reply.json()["payout"];
        assert_eq!(payout["status"], "queued");
        payout["id"].as_str().unwrap().to_owned()
    }

    /// A payout of all there is that Stripe was told of, and nobody knows whether it has sent it.
    pub fn request_and_try(&self) -> String {
        let id = self.request(json!({}));
        self.stripe.script(&[crate::stripe_api::Fault::BreakBefore]);
        self.work();
        assert_eq!(self.status(&id), "reconciling");
        id
    }

    pub fn payout(&self, id: &str) -> Value {
        let reply = self.alice.get(&format!("/v1/payouts/{id}"));
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()["payout"].clone()
    }

    pub fn status(&self, id: &str) -> String {
        self.payout(id)["status"].as_str().unwrap().to_owned()
    }

    /// What is due is told to Stripe. How many tries were made.
    pub fn work(&self) -> usize {
        deliver_once(&self.app.engine, &self.client).unwrap()
    }

    /// The longest pause between two tries is over.
    pub fn work_later(&self) -> usize {
        self.app.advance_ms(6 * 3_600_000);
        self.work()
    }

    /// An event as Stripe would deliver it now; what came of it.
    pub fn tell(&self, event: &Value) -> String {
        let body = event.to_string().into_bytes();
        let signature = crate::stripe::signed(&body, WEBHOOK_SECRET, self.app.now_ms());
        let headers = [("Content-Type", "application/json"), ("Stripe-Signature", signature.as_str())];
        let reply = self.app.anonymous().send("POST", "/webhooks/stripe/default", &headers, body);
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()["outcome"].as_str().unwrap().to_owned()
    }

    pub fn event(&self, id: &str, kind: &str, object: &Value) -> Value {
        crate::stripe::event(id, kind, self.app.now_ms(), object.clone())
    }

    /// What the lots have paid out by the ledger.
    pub fn paid_by_ledger(&self) -> i64 {
        let sum = "SELECT coalesce(-sum(amount), 0) FROM entry WHERE kind IN ('payout', 'payout_return')";
        self.app.sqlite3(sum).trim().parse().unwrap()
    }

    pub fn sent(&self) -> i64 {
        self.stripe.transfers().iter().map(|transfer| transfer["amount"].as_i64().unwrap()).sum()
    }
}

pub fn upgrade(who: &Developer) -> Value {
    let version = who.get("/v1/partner").json()["agreement"]["version"].clone();
    let body = json!({ "agreement_version": version, "signature": "Alice Doe", "accept": true });
    let reply = who.post("/v1/partner/upgrade", body);
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.json()
}
