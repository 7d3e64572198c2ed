//! kill -9 on the real binary at every step of a payout.

use super::WEBHOOK_SECRET;
use crate::process::{NO_LIMITS, Server, empty_dir, refloop, run, sqlite3};
use crate::stripe::signed;
use crate::stripe_api::{API_KEY, Fault, StandIn};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub fn now_ms() -> i64 {
    i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

/// The real binary, the stand-in, and partners who have earned more than they will ever ask for.
pub struct World {
    _keep: tempfile::TempDir,
    dir: PathBuf,
    pub stripe: StandIn,
    pub server: Server,
    agent: ureq::Agent,
    /// Their keys.
    pub partners: Vec<String>,
    /// Theirs at Stripe.
    pub accounts: Vec<String>,
}

fn serve(dir: &Path, stripe: &StandIn, log: &str) -> Server {
    let mut command = refloop(dir);
    command.env("REFLOOP_LOG", log);
    command.args(["serve", "--json", "--workers", "1", "--listen", "127.0.0.1:0"]).args(NO_LIMITS);
    command.args(["--stripe-api-url", &stripe.url]);
    Server::spawn(command, dir)
}

impl World {
    pub fn new(partners: usize) -> Self {
        Self::with(partners, "warn")
    }

    /// With one partner, and with a log of this kind.
    pub fn logging(log: &str) -> Self {
        Self::with(1, log)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn with(partners: usize, log: &str) -> Self {
        let (keep, dir) = empty_dir();
        let stripe = StandIn::start();
        let server = serve(&dir, &stripe, log);
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut world = Self { _keep: keep, dir, stripe, server, agent, partners: Vec::new(), accounts: Vec::new() };
        let program = json!({ "unit": "usd", "conversion": "first_purchase", "code_style": "hex8",
            "sharing": { "text": "x" }, "payouts": { "minimum": 1 },
            "rules": [{ "reason": "commission", "on": "purchase", "to": "referrer",
                        "basis_points": { "basic": 10_000, "partner": 10_000 } }] });
        std::fs::write(world.dir.join("program.json"), program.to_string()).unwrap();
        assert_eq!(run(&world.dir, &["project", "program", "default", "program.json", "--json"]).code, 0);
        std::fs::write(world.dir.join("key"), API_KEY).unwrap();
        std::fs::write(world.dir.join("secret"), WEBHOOK_SECRET).unwrap();
        let set = ["project", "set", "default", "stripe.api_key=@key", "stripe.webhook_secret=@secret", "--json"];
        assert_eq!(run(&world.dir, &set).code, 0);
        let gateway = world.server.gateway_key();
        for n in 0..partners {
            let (partner, _) = world.sign_up(&format!("partner{n}"), None);
            let code = world.post(&partner, "/v1/developers/referral-code", &json!({})).1["referral_code"].clone();
            let (_, buyer) = world.sign_up(&format!("buyer{n}"), code.as_str());
            let signature = json!({ "agreement_version": 1, "signature": "P", "accept": true });
            assert_eq!(world.post(&partner, "/v1/partner/upgrade", &signature).0, 200);
            let account = world.post(&partner, "/v1/partner/connect", &json!({})).1["account_id"].clone();
            world.stripe.complete_account(account.as_str().unwrap());
            assert_eq!(world.post(&partner, "/v1/partner/connect", &json!({})).1["ready"], true);
            let bought =
                json!({ "id": format!("p-{n}"), "developer_id": buyer, "amount": 900_000_000, "currency": "usd" });
            assert_eq!(world.post(&gateway, "/v1/purchases", &bought).0, 201);
            world.partners.push(partner);
            world.accounts.push(account.as_str().unwrap().to_owned());
        }
        world
    }

    fn sign_up(&self, name: &str, code: Option<&str>) -> (String, String) {
        let body = json!({ "email": format!("me@{name}.example"), "password": "secure-password", "name": name,
                           "referral_code": code });
        let (status, body) = self.post("", "/v1/developers/signup", &body);
        assert_eq!(status, 201, "{body}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&body["api_key"]), text(&body["developer"]["id"]))
    }

    pub fn post(&self, key: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = self.agent.post(format!("{}{path}", self.server.url)).header("Content-Type", "application/json");
        let mut response = request.header("Authorization", format!("Bearer {key}")).send(body.to_string()).unwrap();
        let body = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&body).unwrap())
    }

    pub fn tell(&self, event: &Value) {
        let body = event.to_string();
        let header = signed(body.as_bytes(), WEBHOOK_SECRET, now_ms());
        let request = self.agent.post(format!("{}/webhooks/stripe/default", self.server.url));
        assert_eq!(request.header("Stripe-Signature", header).send(body).unwrap().status(), 200);
    }

    pub fn get(&self, key: &str, path: &str) -> Value {
        let request = self.agent.get(format!("{}{path}", self.server.url));
        let mut response = request.header("Authorization", format!("Bearer {key}")).call().unwrap();
        serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap()
    }

    pub fn restart(&mut self) {
        self.server.kill_9();
        self.server = serve(&self.dir, &self.stripe, "warn");
    }

    pub fn sql(&self, sql: &str) -> String {
        sqlite3(&self.dir.join("refloop.db"), &format!("PRAGMA busy_timeout = 10000; {sql}")).split_off("10000\n".len())
    }

    /// Cuts every pause short, as if what was told was told hours ago, and has what is parked tried again. How many payouts
    /// are still open.
    pub fn hurry(&self) -> usize {
        let sql = "UPDATE outbox SET due_at_ms = 0, state = 'waiting', tries = 1
                   WHERE state = 'parked' OR state = 'waiting' AND due_at_ms > 0;
                   UPDATE payout SET last_sent_at_ms = last_sent_at_ms - 7200000
                   WHERE status = 'reconciling' AND last_sent_at_ms > 0;
                   SELECT count(*) FROM payout WHERE status IN ('queued', 'reconciling')";
        self.sql(sql).trim().parse().unwrap()
    }

    /// Until there is nothing open any more.
    pub fn settle(&self) {
        while self.hurry() > 0 {
            self.stripe.wait_for_calls(usize::MAX);
        }
    }

    /// Everyone agrees. How many payouts there were, and how many were paid.
    pub fn check(&self) -> (usize, usize) {
        let mut sent = BTreeMap::new();
        for transfer in self.stripe.transfers() {
            let group = transfer["transfer_group"].as_str().unwrap().to_owned();
            assert!(sent.insert(group, transfer["amount"].as_i64().unwrap()).is_none(), "paid twice: {transfer}");
        }
        assert_eq!(run(&self.dir, &["verify", "--json"]).json()["ok"], true);
        let listed = self.sql("SELECT id, status, amount_minor FROM payout");
        let (mut all, mut paid) = (0, BTreeMap::new());
        for line in listed.lines() {
            let fields: Vec<&str> = line.split('|').collect();
            let id = refloop::domain::id::PayoutId(fields[0].parse().unwrap()).to_string();
            all += 1;
            match fields[1] {
                "paid" => assert!(paid.insert(id, fields[2].parse::<i64>().unwrap()).is_none()),
                "failed" | "cancelled" => assert!(!sent.contains_key(&id), "freed and sent: {line}"),
                _ => panic!("still open: {line}"),
            }
        }
        assert_eq!(sent, paid);
        let ledger = self.sql("SELECT coalesce(-sum(amount), 0) FROM entry WHERE kind IN ('payout', 'payout_return')");
        assert_eq!(ledger.trim().parse::<i64>().unwrap(), paid.values().sum::<i64>());
        (all, paid.len())
    }
}

#[test]
fn kill_9_between_any_two_steps_of_a_payout() {
    let mut world = World::new(1);
    let partner = world.partners[0].clone();
    for fault in [None, Some(Fault::BlockBefore), Some(Fault::BlockAfter)] {
        world.stripe.with(|state| state.script.extend(fault));
        assert_eq!(world.post(&partner, "/v1/payouts", &json!({ "amount": 500 })).0, 201);
        if fault.is_some() {
            world.stripe.wait_until_blocked();
        }
        world.server.kill_9();
        if fault.is_some() {
            world.stripe.let_go();
        }
        let reserved =
            world.sql("SELECT status IN ('queued', 'reconciling', 'paid') FROM payout ORDER BY id DESC LIMIT 1");
        assert_eq!(reserved.trim(), "1", "what was acknowledged is there");
        world.server = serve(&world.dir, &world.stripe, "warn");
        world.settle();
        world.server.kill_9();
        world.server = serve(&world.dir, &world.stripe, "warn");
        world.check();
    }
    assert_eq!(world.check(), (3, 3));
}
