//! The three calls as their users see them: the seed's examples, races, two projects side by side.

use super::{CONVERT, LINK, STATS, Stage, code_of, data, figures};
use crate::harness::{App, Client, DAY_MS};
use refloop::domain::program::Preset;
use serde_json::{Value, json};
use std::sync::Barrier;

const CLIENTS: usize = 16;

fn all_at_once<T: Send>(run: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(CLIENTS);
    std::thread::scope(|scope| {
        let (start, run) = (&start, &run);
        let begin = |client| {
            move || {
                start.wait();
                run(client)
            }
        };
        let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(begin(client))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    })
}

#[test]
fn the_seeds_bodies() {
    let stage = Stage::on(App::start_with(|settings| settings.public_url = "https://app.example.com".into()));
    let alice = stage.user("referrer-uuid");
    let reply = alice.get(LINK);
    let code = data(&reply)["code"].as_str().unwrap().to_owned();
    assert_eq!(
        reply.body,
        format!(r#"{{"success":true,"data":{{"code":"{code}","link":"https://app.example.com/login?ref={code}"}}}}"#)
    );
    assert_eq!(
        stage.convert(&code, "newuser@example.com").body,
        r#"{"success":true,"data":{"converted":true,"referrerId":"referrer-uuid"}}"#
    );
    assert_eq!(
        stage.convert("00000000", "other@example.org").body,
        r#"{"success":true,"data":{"converted":false,"referrerId":null}}"#
    );
    // Five more convert, and four have signed up and are still to.
    for n in 1..6 {
        stage.converts(&code, &format!("me@converted{n}.example"), "referrer-uuid");
    }
    for n in 0..4 {
        let reply = stage.app.try_sign_up(&format!("me@pending{n}.example"), Some(&code));
        assert_eq!(reply.json()["referral"]["status"], "applied", "{}", reply.body);
    }
    assert_eq!(
        alice.get(STATS).body,
        r#"{"success":true,"data":{"totalReferrals":10,"convertedReferrals":6,"pendingReferrals":4,"totalRewards":30}}"#
    );
}

#[test]
fn a_code_is_eight_upper_case_hex_digits_and_stays() {
    let stage = Stage::new();
    let alice = stage.user("alice");
    let code = code_of(&alice);
    assert!(code.len() == 8 && code.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)), "{code}");
    assert_eq!(data(&alice.get(LINK))["link"], format!("{}/login?ref={code}", stage.app.url));
    assert_eq!(code_of(&alice), code);
    assert_eq!(code_of(&stage.user("alice")), code, "with another token");
    assert_ne!(code_of(&stage.user("bob")), code);
    assert_eq!(alice.send("HEAD", LINK, &[], Vec::new()).status, 200);
    assert_eq!(stage.sql("SELECT group_concat(external_id) FROM account"), "alice,bob");
    // In any case, as people type.
    stage.converts(&code.to_lowercase(), "bob@bob.example", "alice");
}

#[test]
fn the_programs_style_of_codes_holds_here_too() {
    let app = App::start();
    let stage = Stage::on(app);
    stage.app.change_program(|program| program["code_style"] = json!("alphanumeric8"));
    let codes: Vec<_> = (0..8).map(|n| code_of(&stage.user(&format!("user-{n}")))).collect();
    let is_hex = |code: &String| code.bytes().all(|b| b.is_ascii_hexdigit());
    assert!(codes.iter().all(|code| code.len() == 8) && !codes.iter().all(is_hex), "{codes:?}");
}

#[test]
fn a_revoked_code_is_followed_by_another() {
    let stage = Stage::new();
    let alice = stage.user("alice");
    let code = code_of(&alice);
    stage.app.sqlite3("UPDATE code SET revoked_at_ms = created_at_ms");
    let next = code_of(&alice);
    assert_ne!(code, next);
    stage.converts_not(&code, "bob@bob.example");
    stage.converts(&next, "bob@bob.example", "alice");
}

#[test]
fn an_unknown_subject_has_zeros_and_no_account() {
    let stage = Stage::new();
    assert_eq!(figures(&stage.user("nobody")), [0; 4]);
    assert_eq!(figures(&stage.verified("nobody", "nobody@example.com")), [0; 4]);
    assert_eq!(stage.sql("SELECT count(*) FROM account"), "0");
}

#[test]
fn rewards_are_the_referrers_own_and_what_is_left_of_them() {
    let stage = Stage::new();
    stage.app.change_program(|program| {
        let rules = program["rules"].as_array_mut().unwrap();
        rules.push(json!({ "reason": "welcome", "on": "conversion", "to": "referee", "amount": 100 }));
        rules.push(json!({ "reason": "share", "on": "purchase", "to": "referrer",
                           "basis_points": { "basic": 1000, "partner": 1000 } }));
    });
    let alice = stage.user("alice");
    let alices = code_of(&alice);
    stage.converts(&alices, "bob@bob.example", "alice");
    let bob = stage.verified("bob", "bob@bob.example");
    let bobs = code_of(&bob);
    assert_eq!(figures(&bob), [0; 4], "what Bob got as a referee is no reward of his");
    stage.converts(&bobs, "carol@carol.example", "bob");
    assert_eq!((figures(&alice), figures(&bob)), ([1, 1, 0, 5], [1, 1, 0, 5]));

    let gateway = stage.app.gateway();
    let purchase = json!({ "id": "p", "external_id": "bob", "amount": 1_000, "currency": "usd" });
    assert_eq!(gateway.post("/v1/purchases", purchase).status, 201);
    assert_eq!(figures(&alice), [1, 1, 0, 105]);
    gateway.post("/v1/refunds", json!({ "id": "r", "purchase_id": "p", "amount": 400 }));
    assert_eq!(figures(&alice), [1, 1, 0, 65], "what a refund took back was not earned");
    // Spending is not losing.
    gateway.post("/v1/usage", json!({ "id": "u", "external_id": "alice", "calls": 50 }));
    assert_eq!(figures(&alice), [1, 1, 0, 65]);
}

#[test]
fn a_link_that_all_ask_for_is_one_code_of_one_account() {
    let stage = Stage::new();
    let tokens: Vec<Client> = (0..CLIENTS)
        .map(|n| if n % 2 == 0 { stage.user("alice") } else { stage.verified("alice", "alice@alice.example") })
        .collect();
    let codes = all_at_once(|client| code_of(&tokens[client]));
    assert!(codes.iter().all(|code| *code == codes[0]), "{codes:?}");
    assert_eq!(stage.sql("SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM code)"), "1|1");
}

#[test]
fn an_address_that_all_convert_is_converted_and_paid_once() {
    let stage = Stage::new();
    let (alice, carol) = (stage.user("alice"), stage.user("carol"));
    let codes = [code_of(&alice), code_of(&carol)];
    let answers = all_at_once(|client| {
        let email = if client % 3 == 0 { "BOB@bob.example" } else { "bob@BOB.example" };
        data(&stage.convert(&codes[client % 2], email))
    });
    let converted: Vec<&Value> = answers.iter().filter(|answer| answer["converted"] == true).collect();
    assert_eq!(converted.len(), 1, "{answers:?}");
    let not = json!({ "converted": false, "referrerId": null });
    assert_eq!(answers.iter().filter(|answer| **answer == not).count(), CLIENTS - 1);
    assert_eq!(figures(&alice)[3] + figures(&carol)[3], 5);
    assert_eq!(stage.sql("SELECT count(*) FROM referral"), "1");
    assert_eq!(stage.sql("SELECT count(*), sum(amount) FROM entry"), "1|5");
}

#[test]
fn the_address_and_its_user_may_come_at_the_same_time() {
    let stage = Stage::new();
    let code = code_of(&stage.user("alice"));
    let bob = stage.verified("bob", "bob@bob.example");
    let answers = all_at_once(|client| match client % 3 {
        0 => data(&stage.convert(&code, "bob@bob.example"))["converted"] == true,
        1 => code_of(&bob).is_empty(),
        _ => figures(&bob) != [0; 4],
    });
    assert_eq!(answers.iter().filter(|converted| **converted).count(), 1);
    assert_eq!(
        stage.sql("SELECT external_id, (SELECT count(*) FROM referral WHERE referee_id = account.id) FROM account WHERE email = 'bob@bob.example'"),
        "bob|1"
    );
    assert_eq!(stage.sql("SELECT count(*) FROM account"), "2");
}

#[test]
fn two_projects_have_the_same_users_side_by_side() {
    let stage = Stage::new();
    for (slug, host) in [("acme", "acme.example"), ("other", "other.example")] {
        stage.app.project(slug, Preset::Bonus, "live");
        stage.app.sqlite3(&format!("UPDATE project SET host = '{host}' WHERE slug = '{slug}'"));
        stage.signer.introduce_to(&stage.app, slug);
    }
    let alice = stage.user("alice");
    let at = |host: &str, client: &Client, method: &str, path: &str, body: Option<Value>| {
        let headers = [("Host", host), ("Content-Type", "application/json")];
        data(&client.send(method, path, &headers, body.map(|body| body.to_string()).unwrap_or_default().into_bytes()))
    };
    let get = |host: &str, path: &str| at(host, &alice, "GET", path, None);
    let code = |host: &str| get(host, LINK)["code"].as_str().unwrap().to_owned();
    let (acmes, others) = (code("ACME.example:8080"), code("other.example"));
    let default = code_of(&alice);
    assert!(acmes != others && acmes != default && others != default);
    // The same code in another project, of another account.
    stage.app.sqlite3(&format!("UPDATE code SET code = '{acmes}' WHERE code = '{others}'"));
    let convert = |host: &str, code: &str| {
        let body = json!({ "referralCode": code, "email": "bob@bob.example" });
        at(host, &stage.app.anonymous(), "POST", CONVERT, Some(body))["converted"] == true
    };
    assert!(!convert("nowhere.example", &acmes), "the default project has no such code");
    assert!(!convert("acme.example", &default));
    assert!(convert("acme.example", &acmes));
    assert_eq!(get("other.example", STATS)["totalReferrals"], 0);
    assert!(convert("other.example", &acmes), "an address converts once in each");
    assert!(convert("127.0.0.1", &default));
    for host in ["acme.example", "other.example", "127.0.0.1"] {
        assert!(!convert(host, if host == "127.0.0.1" { &default } else { &acmes }));
        let one = json!({ "totalReferrals": 1, "convertedReferrals": 1, "pendingReferrals": 0, "totalRewards": 5 });
        assert_eq!(get(host, STATS), one, "{host}");
    }
    // Each user's balance is its project's, also for that project's gateway.
    let usage = json!({ "id": "u", "external_id": "alice", "calls": 3 });
    assert_eq!(stage.app.gateway_of("acme").post("/v1/usage", usage.clone()).json()["available"], 2);
    assert_eq!(stage.app.gateway_of("other").post("/v1/usage", usage).json()["available"], 2);
}

#[test]
fn a_test_project_goes_by_its_own_clock_but_for_tokens() {
    let stage = Stage::new();
    let sandbox = stage.app.project("sandbox", Preset::Bonus, "test");
    stage.app.sqlite3("UPDATE project SET host = 'sandbox.example' WHERE slug = 'sandbox'");
    stage.app.set_clock_ahead_ms(&sandbox, 400 * DAY_MS);
    assert_eq!(stage.app.engine.now_ms(sandbox.id) - stage.app.now_ms(), 400 * DAY_MS);
    stage.signer.introduce_to(&stage.app, "sandbox");
    let reply = stage.user("alice").send("GET", LINK, &[("Host", "sandbox.example")], Vec::new());
    assert!(data(&reply)["code"].is_string(), "the token has not expired by the machine's clock");
    let expired = stage.signer.token(&json!({ "sub": "alice", "exp": stage.app.now_ms() / 1_000 - 61 }));
    let reply = stage.app.anonymous().with_key(&expired).send("GET", LINK, &[("Host", "sandbox.example")], Vec::new());
    assert_eq!(reply.status, 401);
}

#[test]
fn signing_up_later_takes_the_converted_account_over() {
    let stage = Stage::new();
    let (alice, dave) = (stage.user("alice"), stage.user("dave"));
    let (alices, daves) = (code_of(&alice), code_of(&dave));
    stage.converts(&alices, "bob@bob.example", "alice");
    let reply = stage.app.try_sign_up("bob@bob.example", Some(&daves));
    assert_eq!(reply.status, 201, "{}", reply.body);
    let body = reply.json();
    assert_eq!(body["developer"]["name"], "Bob");
    assert!(body["developer"]["referred_by"].is_string(), "the referral is still Alice's");
    assert_eq!(body["referral"], json!({ "status": "rejected", "reason": "already_referred" }));
    assert_eq!((figures(&alice), figures(&dave)), ([1, 1, 0, 5], [0; 4]));
    let bob = stage.app.anonymous().with_key(body["api_key"].as_str().unwrap());
    assert_eq!(bob.get("/v1/developers/me").json()["email"], "bob@bob.example");
    // Once: the account is theirs now.
    assert_eq!(stage.app.try_sign_up("bob@bob.example", None).problem(409), "email_taken");
    assert_eq!(stage.sql("SELECT count(*) FROM account WHERE email IS NOT NULL"), "1");
    assert!(stage.sql("SELECT password_hash FROM account WHERE email IS NOT NULL").starts_with("$argon2id$"));
}

#[test]
fn a_converted_account_that_the_apps_user_has_cannot_be_signed_up_for() {
    let stage = Stage::new();
    let code = code_of(&stage.user("alice"));
    stage.converts(&code, "bob@bob.example", "alice");
    code_of(&stage.verified("bob", "bob@bob.example"));
    assert_eq!(stage.app.try_sign_up("bob@bob.example", None).problem(409), "email_taken");
    assert_eq!(stage.sql("SELECT count(*) FROM account WHERE password_hash IS NOT NULL"), "0");
}
