//! Stripe's webhook: a project whose program pays both sides at the first subscription, and events as Stripe shapes
//! them.

mod crash;
mod deliveries;
mod events;
mod hostile;
mod orders;
mod refunds;
pub mod sdk;

use crate::harness::{App, Client, Developer, Reply};
use crate::process::Dice;
use hmac::{Hmac, KeyInit, Mac};
use refloop::domain::program::Preset;
use refloop::web::WebSettings;
use serde_json::{Value, json};
use sha2::Sha256;

pub const SECRET: &str = "whsec_of_the_tests";
pub const PATH: &str = "/webhooks/stripe/default";

/// A header as Stripe writes it.
pub fn signed(body: &[u8], secret: &str, at_ms: i64) -> String {
    let seconds = at_ms / 1_000;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{seconds}.").as_bytes());
    mac.update(body);
    format!("t={seconds},v1={}", hex::encode(mac.finalize().into_bytes()))
}

/// An event of the API version of the day.
pub fn event(id: &str, kind: &str, created_ms: i64, object: Value) -> Value {
    json!({ "id": id, "object": "event", "api_version": "2025-09-30.clover", "created": created_ms / 1_000,
            "livemode": false, "pending_webhooks": 1, "request": { "id": null, "idempotency_key": null },
            "type": kind, "data": { "object": object } })
}

/// Alice, who referred Bob; Stripe's customer `cus_bob`, whom the team's own app calls `pc_bob`.
pub struct Billing {
    pub app: App,
    pub alice: Developer,
    pub bob: Developer,
    stripe: Client,
}

impl Billing {
    pub fn start() -> Self {
        Self::start_with(|_| ())
    }

    pub fn start_with(change: impl FnOnce(&mut WebSettings)) -> Self {
        let app = App::start_with(change);
        let project = app.engine.project_named("default").unwrap();
        app.engine.set_program(&project, Preset::Subscription.program(), "test").unwrap();
        app.sqlite3(&format!("UPDATE project SET stripe_webhook_secrets = '{SECRET}'"));
        let alice = app.developer("Alice");
        let bob = app.referee("Bob", &alice.code());
        name(&app, &bob.id, "pc_bob");
        Self { stripe: app.anonymous(), app, alice, bob }
    }

    /// Five percent of each purchase beside what the preset pays.
    pub fn with_commission(self) -> Self {
        self.app.change_program(|program| {
            program["rules"].as_array_mut().unwrap().push(json!({
                "reason": "commission", "on": "purchase", "to": "referrer",
                "basis_points": { "basic": 500, "partner": 1_000 }
            }));
        });
        self
    }

    pub fn send(&self, body: &[u8], signature: &str) -> Reply {
        let headers = [("Content-Type", "application/json; charset=utf-8"), ("Stripe-Signature", signature)];
        self.stripe.send("POST", PATH, &headers, body.to_vec())
    }

    pub fn deliver(&self, event: &Value) -> Reply {
        let body = event.to_string().into_bytes();
        self.send(&body, &signed(&body, SECRET, self.app.now_ms()))
    }

    /// A delivery that is taken, and what came of it.
    pub fn tell(&self, event: &Value) -> String {
        let reply = self.deliver(event);
        assert_eq!(reply.status, 200, "{}", reply.body);
        assert_eq!(reply.json()["id"], event["id"], "{}", reply.body);
        reply.json()["outcome"].as_str().unwrap().to_owned()
    }

    pub fn event(&self, id: &str, kind: &str, object: Value) -> Value {
        event(id, kind, self.app.now_ms(), object)
    }

    /// What both have earned, net of what was taken back.
    pub fn earned(&self) -> (i64, i64) {
        (net(&self.alice), net(&self.bob))
    }

    pub fn grants(&self) -> String {
        self.app.sqlite3(
            "SELECT group_concat(reason || ' ' || amount, ', ')
             FROM (SELECT reason, amount FROM entry WHERE kind = 'grant' ORDER BY reason, amount)",
        )
    }

    pub fn status(&self) -> String {
        self.app.sqlite3("SELECT group_concat(status) FROM referral").trim().to_owned()
    }
}

pub fn net(who: &Developer) -> i64 {
    let stats = who.stats();
    stats["credits_earned"].as_i64().unwrap() - stats["credits_reversed"].as_i64().unwrap()
}

/// The team's own id of an account, as its app would have given it.
pub fn name(app: &App, developer: &str, external_id: &str) {
    let id: refloop::domain::id::AccountId = developer.parse().unwrap();
    assert_eq!(app.sqlite3(&format!("UPDATE account SET external_id = '{external_id}' WHERE id = {}", id.0)), "");
}

pub fn shuffle<T>(items: &mut [T], dice: &mut Dice) {
    for place in (1..items.len()).rev() {
        let other = dice.between(0, i64::try_from(place).unwrap());
        items.swap(place, usize::try_from(other).unwrap());
    }
}

/// A checkout of a subscription that is paid.
pub fn session(id: &str) -> Value {
    json!({ "id": id, "object": "checkout.session", "mode": "subscription", "status": "complete",
            "payment_status": "paid", "client_reference_id": "pc_bob", "customer": "cus_bob",
            "subscription": "sub_bob", "invoice": "in_1", "payment_intent": null, "amount_total": 2_000,
            "currency": "usd", "metadata": {} })
}

pub fn subscription(id: &str) -> Value {
    json!({ "id": id, "object": "subscription", "status": "active", "customer": "cus_bob", "latest_invoice": "in_1",
            "metadata": {}, "items": { "object": "list", "data": [] } })
}

/// A paid invoice of the newer shape: its payments are in a list.
pub fn invoice(id: &str, amount: i64) -> Value {
    json!({ "id": id, "object": "invoice", "status": "paid", "customer": "cus_bob", "amount_paid": amount,
            "currency": "usd", "billing_reason": "subscription_cycle", "metadata": {},
            "parent": { "type": "subscription_details",
                        "subscription_details": { "subscription": "sub_bob", "metadata": {} } },
            "payments": { "object": "list", "data": [{ "id": format!("inpay_{id}"), "object": "invoice_payment",
                "status": "paid", "payment": { "type": "payment_intent", "payment_intent": format!("pi_{id}") } }] } })
}

/// The charge of an invoice of [`invoice`].
pub fn charge(invoice: &str, refunded: i64) -> Value {
    json!({ "id": format!("ch_{invoice}"), "object": "charge", "customer": "cus_bob", "amount": 2_000,
            "amount_refunded": refunded, "payment_intent": format!("pi_{invoice}"), "status": "succeeded" })
}

pub fn refund(id: &str, invoice: &str, amount: i64, status: &str) -> Value {
    json!({ "id": id, "object": "refund", "amount": amount, "currency": "usd", "charge": format!("ch_{invoice}"),
            "payment_intent": format!("pi_{invoice}"), "status": status })
}

/// Events of a customer, in an order in which some wait for others.
pub fn one_of_each(customer: &str) -> Vec<Value> {
    let mut named = session("cs_1");
    named["client_reference_id"] = json!(customer);
    let objects = [
        ("customer.subscription.created", subscription("sub_bob")),
        ("refund.created", refund("re_1", "in_1", 500, "succeeded")),
        ("invoice.paid", invoice("in_1", 2_000)),
        ("checkout.session.completed", named),
        ("charge.refunded", charge("in_1", 900)),
    ];
    let made = objects.into_iter().enumerate();
    made.map(|(n, (kind, object))| event(&format!("evt_{n}"), kind, 1_768_471_200_000, object)).collect()
}
