//! Random histories of commands against the model. `REFLOOP_MODEL_SEED=n` repeats the one that a failure names.

use crate::harness::{App, Client, DAY_MS, Developer, PASSWORD};
use crate::model::{Account, Code, Model, On, Program, Rule};
use crate::process::Dice;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

const HISTORIES: u64 = 40;
const STEPS: usize = 200;

/// One app, its model, and the dice that decide what happens.
struct History {
    seed: u64,
    dice: Dice,
    app: App,
    gateway: Client,
    model: Model,
    developers: Vec<Developer>,
    done: Vec<String>,
}

impl Drop for History {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let last = self.done.len().saturating_sub(12);
            eprintln!("REFLOOP_MODEL_SEED={} failed at step {}:", self.seed, self.done.len());
            eprintln!("{:#?}\nunder {:#?}", &self.done[last..], self.model.program);
        }
    }
}

fn random_program(dice: &mut Dice) -> Program {
    let rule = |reason, on, to_referrer| Rule {
        reason,
        on,
        to_referrer,
        amount: 0,
        share: None,
        hold_days: 0,
        linear: false,
        expires_days: None,
        min_purchase: None,
    };
    let (few, many) = (dice.between(1, 20), dice.between(21, 60));
    let mut rules = vec![
        rule("welcome", On::Signup, false),
        rule("invite", On::Signup, true),
        rule("first", On::FirstCall, true),
        rule("busy", On::Calls(few), dice.one_in(2)),
        rule("busier", On::Calls(many), true),
        rule("share", On::Purchase, true),
        rule("deal", On::FirstPurchase, false),
        rule("turned", On::Conversion, true),
    ];
    rules.retain(|rule| !dice.one_in(if rule.on == On::Signup { 8 } else { 4 }));
    let least = dice.one_in(2).then(|| dice.between(50, 400));
    for rule in &mut rules {
        rule.amount = if dice.one_in(10) { 0 } else { dice.between(1, 120) };
        rule.hold_days = if dice.one_in(2) { 0 } else { dice.between(1, 12) };
        rule.linear = rule.hold_days > 0 && dice.one_in(2);
        rule.expires_days = dice.one_in(2).then(|| rule.hold_days + dice.between(5, 40));
        match rule.on {
            On::Purchase => {
                // Halves, so that rounding shows.
                rule.share = Some(dice.between(0, 6) * 500);
                rule.min_purchase = least;
            }
            On::FirstPurchase => rule.min_purchase = least.filter(|_| dice.one_in(2)),
            _ => (),
        }
    }
    let conversion = dice.pick(&["first_call", "first_purchase", "convert"]);
    Program { enabled: !dice.one_in(10), conversion, rules }
}

impl History {
    fn begin(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut program = random_program(&mut dice);
        program.enabled = true;
        let app = App::start();
        let gateway = app.gateway();
        let model = Model::new(app.now_ms(), program);
        let mut history = Self { seed, dice, app, gateway, model, developers: Vec::new(), done: Vec::new() };
        history.install_program();
        history.sign_up(None);
        history.make_code(0);
        history.sign_up(Some(0));
        history
    }

    fn install_program(&self) {
        let Program { enabled, conversion, rules } = &self.model.program;
        self.app.change_program(|document| {
            document["enabled"] = (*enabled).into();
            document["conversion"] = (*conversion).into();
            document["rules"] = rules.iter().map(Rule::document).collect();
        });
    }

    fn anyone(&mut self) -> usize {
        let last = i64::try_from(self.model.accounts.len()).unwrap() - 1;
        usize::try_from(self.dice.between(0, last)).unwrap()
    }

    fn any_code(&mut self) -> Option<usize> {
        let codes = i64::try_from(self.model.codes.len()).unwrap();
        (codes > 0).then(|| usize::try_from(self.dice.between(0, codes - 1)).unwrap())
    }

    fn step(&mut self) {
        self.model.touched.clear();
        match self.dice.between(1, 100) {
            1..=4 => {
                let code = if self.dice.one_in(5) { None } else { self.any_code() };
                self.sign_up(code);
            }
            5..=7 => {
                let who = self.anyone();
                self.make_code(who);
            }
            8 => self.revoke_code(),
            9..=12 => self.apply(),
            13..=50 => self.use_api(),
            51..=66 => self.buy(),
            67..=80 => self.refund(),
            81..=92 => {
                let ms = self.time_to_pass();
                self.done.push(format!("{ms} ms pass"));
                self.app.advance_ms(ms);
                self.model.now_ms += ms;
                let at_an_end = |end: i64| (end - self.model.now_ms).abs() <= 1;
                let ends = |account: &Account| {
                    account.lots.iter().any(|lot| at_an_end(lot.vests_ms) || at_an_end(lot.expires_ms))
                };
                let ending = (0..self.model.accounts.len()).filter(|who| ends(&self.model.accounts[*who]));
                let ending: Vec<_> = ending.collect();
                self.model.touched.extend(ending);
            }
            93..=96 => {
                self.done.push("sweep".into());
                self.app.sweep();
                self.model.sweep();
                self.model.touched.extend(0..self.model.accounts.len());
            }
            97..=99 => {
                let program = random_program(&mut self.dice);
                self.model.set_program(program);
                self.done.push(format!("program {:?}", self.model.program));
                self.install_program();
            }
            _ if self.model.accounts.len() > 4 => self.erase(),
            _ => (),
        }
        let bystander = self.anyone();
        self.model.touched.insert(bystander);
        for who in self.model.touched.clone() {
            self.check_stats(who);
        }
    }

    /// Some hours, or to the very instant at which a lot vests or expires, or just before.
    fn time_to_pass(&mut self) -> i64 {
        let now_ms = self.model.now_ms;
        let lots = self.model.accounts.iter().flat_map(|account| &account.lots);
        let ends = lots.flat_map(|lot| [lot.vests_ms, lot.expires_ms]);
        let ends: Vec<_> = ends.filter(|end| (now_ms + 2..now_ms + 20 * DAY_MS).contains(end)).collect();
        match self.dice.between(1, 3) {
            1 if !ends.is_empty() => self.dice.pick(&ends) - now_ms - self.dice.pick(&[0, 1]),
            2 => self.dice.between(24, 700) * 3_600_000,
            _ => self.dice.between(1, 40) * 3_600_000,
        }
    }

    fn sign_up(&mut self, code: Option<usize>) {
        let place = self.model.accounts.len();
        let domain = match self.dice.between(1, 6) {
            1 if place > 0 => {
                let of = self.anyone();
                self.model.accounts[of].domain.clone()
            }
            _ => format!("d{place}.example"),
        };
        self.done.push(format!("{place} of {domain} signs up with code {code:?}"));
        let text = code.map(|code| self.model.codes[code].text.clone());
        let email = format!("dev{}@{domain}", self.done.len());
        if let Some(fault) = code.and_then(|code| self.model.unusable(code)) {
            let body = json!({ "email": email, "password": PASSWORD, "name": "Dev", "referral_code": text });
            let reply = self.app.anonymous().post("/v1/developers/signup", body);
            assert_eq!(reply.faults(), [format!("referral_code: {fault}")]);
            return;
        }
        let developer = self.app.sign_up(&format!("Dev{place}"), &email, text.as_deref());
        let signed_up_ms = self.model.now_ms;
        self.model.accounts.push(Account { domain, signed_up_ms, ..Account::default() });
        self.model.touched.insert(place);
        let answer = &developer.signup["referral"];
        match code.map(|code| self.model.introduce(code, place)) {
            None => assert_eq!(*answer, Value::Null),
            Some(Err(reason)) => assert_eq!(*answer, json!({ "status": "rejected", "reason": reason })),
            Some(Ok(())) => {
                let bonus: i64 = self.model.accounts[place].lots.iter().map(|lot| lot.granted).sum();
                assert_eq!(*answer, json!({ "status": "applied", "code": text, "bonus_credits": bonus }));
            }
        }
        self.developers.push(developer);
    }

    fn make_code(&mut self, who: usize) {
        let active = self.model.codes.iter().find(|code| code.owner == who && !code.revoked);
        let max_uses = if active.is_none() && self.dice.one_in(3) { Some(self.dice.between(1, 3)) } else { None };
        self.done.push(format!("{who} makes a code, max_uses {max_uses:?}"));
        let reply = self.developers[who].post("/v1/developers/referral-code", json!({ "max_uses": max_uses }));
        if self.model.accounts[who].erased {
            assert_eq!(reply.status, 401);
            return;
        }
        let text = reply.json()["referral_code"].as_str().unwrap_or_default().to_owned();
        if let Some(code) = active {
            assert_eq!((reply.status, &text), (200, &code.text));
            return;
        }
        assert_eq!(reply.status, 201, "{}", reply.body);
        assert!(self.model.codes.iter().all(|code| code.text != text), "{text} was given out before");
        self.model.codes.push(Code { text, owner: who, max_uses, uses: 0, revoked: false });
    }

    fn revoke_code(&mut self) {
        let who = self.anyone();
        self.done.push(format!("{who} revokes the code"));
        let reply = self.developers[who].delete("/v1/developers/referral-code");
        let erased = self.model.accounts[who].erased;
        match self.model.codes.iter_mut().find(|code| code.owner == who && !code.revoked) {
            Some(code) => {
                code.revoked = true;
                assert_eq!(reply.json(), json!({ "referral_code": code.text, "is_active": false }));
            }
            None => assert_eq!(reply.status, if erased { 401 } else { 404 }),
        }
    }

    fn apply(&mut self) {
        let Some(code) = self.any_code() else { return };
        let who = self.anyone();
        self.done.push(format!("{who} applies code {code}"));
        let body = json!({ "code": self.model.codes[code].text });
        let reply = self.developers[who].post("/v1/developers/referrals/apply", body);
        let account = &self.model.accounts[who];
        let refusal = match () {
            () if account.erased => Some((401, "invalid_key")),
            () if account.referral.is_some() => Some((409, "already_referred")),
            () if account.calls > 0 => Some((409, "already_active")),
            () if self.model.now_ms - account.signed_up_ms > 7 * DAY_MS => Some((409, "apply_window_closed")),
            () if self.model.codes[code].owner == who => Some((422, "self_referral")),
            () => self.model.unusable(code).map(|fault| (422, fault)),
        };
        match refusal {
            Some((422, fault)) => assert_eq!(reply.faults(), [format!("code: {fault}")]),
            Some((status, fault)) => assert_eq!(reply.problem(status), fault),
            None => {
                let expected = match self.model.introduce(code, who) {
                    Ok(()) => "applied",
                    Err(_) => "rejected",
                };
                assert_eq!(reply.json()["referral"]["status"], expected, "{}", reply.body);
            }
        }
    }

    fn use_api(&mut self) {
        let who = self.anyone();
        let calls = if self.dice.one_in(3) { self.dice.between(0, 2) } else { self.dice.between(1, 40) };
        let spend = if self.dice.one_in(2) { self.dice.between(0, 200) } else { calls };
        let full = self.dice.one_in(4);
        let fresh = i64::try_from(self.done.len()).unwrap();
        let id = format!("use-{}", if self.dice.one_in(8) { self.dice.between(0, fresh) } else { fresh });
        self.done.push(format!("{who} uses {id}: {calls} calls, {spend} credits, full: {full}"));
        let mut body = json!({ "id": id, "developer_id": self.developers[who].id, "calls": calls, "spend": spend });
        if full {
            body["require"] = "full".into();
        }
        let expected = self.model.use_api(&id, who, calls, spend, full);
        let answer = self.gateway.post("/v1/usage", body).json();
        let told = ["charged", "uncovered", "available"].map(|field| answer[field].as_i64().unwrap());
        assert_eq!(answer["status"], expected.status, "{answer}");
        assert_eq!(answer["code"].as_str(), expected.code, "{answer}");
        assert_eq!(told, [expected.charged, expected.uncovered, expected.available], "{answer}");
    }

    fn buy(&mut self) {
        let (who, amount) = (self.anyone(), self.dice.between(1, 900));
        let id = format!("buy-{}", self.dice.between(0, 40));
        // Not so far back that it has expired when it is granted.
        let at_ms = self.model.now_ms - if self.dice.one_in(3) { self.dice.between(0, 4 * DAY_MS) } else { 0 };
        self.done.push(format!("{who} buys {id} for {amount}"));
        let at = refloop::domain::time::rfc3339(at_ms);
        let body = json!({ "id": id, "developer_id": self.developers[who].id, "amount": amount, "currency": "usd",
                           "at": at });
        let reply = self.gateway.post("/v1/purchases", body);
        if self.model.purchases.contains_key(&id) {
            assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("duplicate")));
        } else if self.model.accounts[who].erased {
            assert_eq!(reply.faults(), ["developer_id: unknown_developer"]);
        } else {
            assert_eq!(reply.status, 201, "{}", reply.body);
            self.model.purchase(&id, who, amount, at_ms);
            self.model.touched.insert(who);
        }
    }

    fn refund(&mut self) {
        let (purchase, amount) = (format!("buy-{}", self.dice.between(0, 42)), self.dice.between(1, 500));
        let id = format!("refund-{}", self.dice.between(0, 60));
        self.done.push(format!("{id} of {amount} for {purchase}"));
        let body = json!({ "id": id, "purchase_id": purchase, "amount": amount });
        let reply = self.gateway.post("/v1/refunds", body);
        if self.model.refunds.contains_key(&id) {
            assert_eq!(reply.status, 200);
            return;
        }
        assert_eq!(reply.status, 201, "{}", reply.body);
        self.model.refunds.insert(id, (purchase.clone(), amount));
        self.model.take_back(&purchase);
    }

    fn erase(&mut self) {
        let who = self.anyone();
        self.done.push(format!("{who} is erased"));
        let reply = self.developers[who].delete("/v1/developers/me");
        assert_eq!(reply.status, if self.model.accounts[who].erased { 401 } else { 200 });
        self.model.accounts[who].erased = true;
        self.model.codes.iter_mut().filter(|code| code.owner == who).for_each(|code| code.revoked = true);
    }

    fn check_stats(&self, who: usize) {
        let (account, now_ms) = (&self.model.accounts[who], self.model.now_ms);
        if account.erased {
            return;
        }
        let stats = self.developers[who].stats();
        let taken = |kind: &str| -> i64 {
            account.lines.iter().filter(|line| line.kind == kind).map(|line| -line.amount).sum()
        };
        let lots = &account.lots;
        let lapsed: i64 = lots.iter().map(|lot| lot.lapsed(now_ms)).sum();
        let open: i64 = lots.iter().map(|lot| lot.left.max(0)).sum();
        let mine: Vec<_> = self.model.referrals.iter().filter(|known| known.referrer == who).collect();
        let count = |which: &dyn Fn(&crate::model::Referral) -> bool| {
            i64::try_from(mine.iter().filter(|known| !known.rejected && which(known)).count()).unwrap()
        };
        let (total, converted) = (count(&|_| true), count(&|known| known.converted_ms.is_some()));
        let first_day = (now_ms / DAY_MS - 29) * DAY_MS;
        let granted = account.lines.iter().filter(|line| line.kind == "grant");
        let recent: i64 = granted.filter(|line| line.at_ms >= first_day).map(|line| line.amount).sum();
        let in_series = |name: &str| -> i64 {
            stats["series"].as_array().unwrap().iter().map(|day| day[name].as_i64().unwrap()).sum()
        };
        let milestones = &stats["milestones"];
        for (what, told, expected) in [
            ("total_referrals", stats["total_referrals"].as_i64().unwrap(), total),
            ("conversions", stats["conversions"].as_i64().unwrap(), converted),
            ("pending_referrals", stats["pending_referrals"].as_i64().unwrap(), total - converted),
            ("first_call", milestones["first_call"].as_i64().unwrap(), count(&|known| known.first_call)),
            ("active", milestones["active"].as_i64().unwrap(), count(&|known| known.active)),
            ("earned", stats["credits_earned"].as_i64().unwrap(), lots.iter().map(|lot| lot.granted).sum()),
            ("used", stats["credits_used"].as_i64().unwrap(), taken("spend")),
            ("expired", stats["credits_expired"].as_i64().unwrap(), taken("expire") + lapsed),
            ("reversed", stats["credits_reversed"].as_i64().unwrap(), taken("reverse")),
            ("available", stats["credits_available"].as_i64().unwrap(), account.available(now_ms)),
            ("pending", stats["credits_pending"].as_i64().unwrap(), open - lapsed - account.available(now_ms)),
            ("owed", stats["owed"].as_i64().unwrap(), lots.iter().map(|lot| (-lot.left).max(0)).sum()),
            ("credits of 30 days", in_series("credits"), recent),
            ("signups of 30 days", in_series("signups"), count(&|known| known.at_ms >= first_day)),
            (
                "conversions of 30 days",
                in_series("conversions"),
                count(&|known| known.converted_ms.is_some_and(|at_ms| at_ms >= first_day)),
            ),
        ] {
            assert_eq!(told, expected, "{what} of {who}: {stats}");
        }
    }

    /// Every line of an account's ledger, and what its lots refer to.
    fn check_ledger(&self, who: usize) {
        let account = &self.model.accounts[who];
        if account.erased {
            return;
        }
        let ledger = self.developers[who].ledger();
        assert_eq!(ledger.len(), account.lines.len(), "lines of {who}: {:#?}", account.lines);
        assert!(ledger.is_sorted_by_key(|line| line["seq"].as_i64().unwrap()));
        for (told, line) in ledger.iter().zip(&account.lines) {
            let expected = json!({
                "kind": line.kind, "reason": line.reason, "credit_amount": line.amount,
                "created_at": refloop::domain::time::rfc3339(line.at_ms),
                "lot_id": ledger[line.lot]["id"], "group_id": ledger[line.group]["id"],
            });
            for (field, value) in expected.as_object().unwrap() {
                assert_eq!(told[field], *value, "{field} of {told}, expected {line:?}");
            }
        }
        for lot in &account.lots {
            let told = &ledger[lot.line];
            let status = match () {
                () if lot.reversed > 0 && lot.reversed + lot.expired >= lot.granted => "REVERSED",
                () if lot.expired > 0 || self.model.now_ms >= lot.expires_ms && lot.left > 0 => "EXPIRED",
                () if self.model.now_ms < lot.vests_ms => "PENDING",
                () => "ELIGIBLE",
            };
            let unvested_by_the_day = lot.linear && self.model.now_ms < lot.vests_ms;
            assert!(told["status"] == status || unvested_by_the_day, "{told}: {lot:?}, expected {status}");
        }
    }
}

/// Returns the kinds of entries that came about.
fn run(seed: u64) -> BTreeSet<&'static str> {
    let mut history = History::begin(seed);
    while history.done.len() < STEPS {
        history.step();
    }
    for who in 0..history.model.accounts.len() {
        history.check_stats(who);
        history.check_ledger(who);
    }
    history.model.accounts.iter().flat_map(|account| &account.lines).map(|line| line.kind).collect()
}

#[test]
fn random_histories_come_out_as_the_model_says() {
    if let Ok(seed) = std::env::var("REFLOOP_MODEL_SEED") {
        run(seed.parse().unwrap());
        return;
    }
    let (next, kinds) = (AtomicU64::new(1), Mutex::new(BTreeSet::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed > HISTORIES {
                        return;
                    }
                    let came_about = run(seed);
                    kinds.lock().unwrap().extend(came_about);
                }
            });
        }
    });
    let kinds: Vec<_> = kinds.into_inner().unwrap().into_iter().collect();
    assert_eq!(kinds, ["expire", "grant", "repay", "reverse", "spend"], "the dice leave something out");
}
