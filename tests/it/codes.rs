//! Making, naming, sharing and revoking a referral code.

use crate::harness::App;
use serde_json::{Value, json};

const CODE: &str = "/v1/developers/referral-code";

#[test]
fn the_seed_s_curl_makes_a_code_and_gets_it_again() {
    let app = App::start();
    let alice = app.developer("Alice");
    let made = alice.send("POST", CODE, &[], Vec::new());
    assert_eq!(made.status, 201, "{}", made.body);
    let mut answer = made.json();
    let url = format!("{}/signup?ref=ALICE2026", app.url);
    let share_text = answer["share_text"].take();
    let share_text = share_text.as_str().unwrap();
    for part in ["ALICE2026", "1,000 credits", &url] {
        assert!(share_text.contains(part), "{share_text}");
    }
    let share = answer["share"].take();
    assert_eq!(
        answer,
        json!({
            "referral_code": "ALICE2026",
            "referral_url": url,
            "share_text": null,
            "total_referrals": 0,
            "credits_earned": 0,
            "credits_available": 0,
            "share": null,
            "qr_url": format!("{}/qr/ALICE2026.svg", app.url),
        })
    );
    assert_eq!(share.as_object().unwrap().len(), 4);
    let again = alice.send("POST", CODE, &[], Vec::new());
    assert_eq!((again.status, again.json()), (200, made.json()));
    assert_eq!(alice.post(CODE, json!({})).status, 200);
}

#[test]
fn share_links_carry_the_escaped_url() {
    let app = App::start();
    let alice = app.developer("Alice");
    let answer = alice.post(CODE, json!({})).json();
    let escaped_url =
        app.url.replace(':', "%3A").replace('/', "%2F").replace('.', "%2E") + "%2Fsignup%3Fref%3DALICE2026";
    for (network, start) in [
        ("x", "https://x.com/intent/post?text="),
        ("linkedin", "https://www.linkedin.com/sharing/share-offsite/?url="),
        ("telegram", "https://t.me/share/url?url="),
        ("email", "mailto:?subject="),
    ] {
        let link = answer["share"][network].as_str().unwrap();
        assert!(link.starts_with(start), "{link}");
        assert!(link.contains(&escaped_url), "{link} without {escaped_url}");
        assert!(link.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>".contains(&b)), "{link}");
    }
    let qr = app.anonymous().get(answer["qr_url"].as_str().unwrap().strip_prefix(&app.url).unwrap());
    assert_eq!((qr.status, qr.header("content-type")), (200, Some("image/svg+xml")));
}

#[test]
fn the_answer_counts_what_the_code_brought() {
    let app = App::start();
    let alice = app.developer("Alice");
    let code = alice.code();
    app.referee("Bob", &code).use_api(&app.gateway(), "first", 1);
    alice.use_api(&app.gateway(), "spends", 200);
    let answer = alice.post(CODE, json!({})).json();
    assert_eq!(
        (&answer["total_referrals"], &answer["credits_earned"], &answer["credits_available"]),
        (&json!(1), &json!(1_000), &json!(300))
    );
}

#[test]
fn a_code_of_one_s_own_choice_reads_in_any_case() {
    let app = App::start();
    let alice = app.developer("Alice");
    let made = alice.post(CODE, json!({ "code": " Wonder42 " }));
    assert_eq!((made.status, &made.json()["referral_code"]), (201, &json!("WONDER42")));
    for same in ["WONDER42", "wonder42"] {
        assert_eq!(alice.post(CODE, json!({ "code": same })).status, 200);
    }
    for (place, spelling) in ["wonder42", " WoNdEr42 ", "WONDER42"].iter().enumerate() {
        let bob = app.referee(&format!("Bob{place}"), spelling);
        assert_eq!(bob.signup["referral"]["code"], "WONDER42");
    }
    assert_eq!(alice.post(CODE, json!({ "code": "OTHER42" })).problem(409), "code_active");
    assert_eq!(alice.get("/v1/developers/me").json()["referral_code"], "WONDER42");
}

#[test]
fn each_request_for_a_code_that_is_refused() {
    let app = App::start();
    let alice = app.developer("Alice");
    for (body, fault) in [
        (json!({ "code": "ABC" }), "code: invalid_code"),
        (json!({ "code": "A".repeat(21) }), "code: invalid_code"),
        (json!({ "code": "ALI CE" }), "code: invalid_code"),
        (json!({ "code": "ÄLICE" }), "code: invalid_code"),
        (json!({ "code": "" }), "code: required"),
        (json!({ "code": 1234 }), "code: wrong_type"),
        (json!({ "max_uses": 0 }), "max_uses: out_of_range"),
        (json!({ "max_uses": -1 }), "max_uses: out_of_range"),
        (json!({ "max_uses": "3" }), "max_uses: wrong_type"),
        (json!({ "max_uses": 1.5 }), "max_uses: wrong_type"),
    ] {
        assert_eq!(alice.post(CODE, body).faults(), [fault]);
    }
    assert_eq!(alice.get("/v1/developers/me").json()["referral_code"], Value::Null);
    for code in ["ABCD", "12345678901234567890"] {
        assert_eq!(alice.post(CODE, json!({ "code": code, "max_uses": null })).status, 201);
        assert_eq!(alice.delete(CODE).status, 200);
    }
}

#[test]
fn a_code_is_given_out_once_for_ever() {
    let app = App::start();
    let (alice, carol) = (app.developer("Alice"), app.developer("Carol"));
    alice.post(CODE, json!({ "code": "TAKEN" }));
    assert_eq!(carol.post(CODE, json!({ "code": "taken" })).problem(409), "code_taken");
    assert_eq!(alice.delete(CODE).json(), json!({ "referral_code": "TAKEN", "is_active": false }));
    for developer in [&carol, &alice] {
        assert_eq!(developer.post(CODE, json!({ "code": "Taken" })).problem(409), "code_taken");
    }
    alice.delete("/v1/developers/me");
    assert_eq!(carol.post(CODE, json!({ "code": "TAKEN" })).problem(409), "code_taken");
}

#[test]
fn a_revoked_code_is_followed_by_another() {
    let app = App::start();
    let alice = app.developer("Alice");
    assert_eq!(alice.delete(CODE).problem(404), "not_found");
    let first = alice.code();
    let bob = app.referee("Bob", &first);
    assert_eq!(alice.delete(CODE).status, 200);
    assert_eq!(alice.delete(CODE).problem(404), "not_found");
    assert_eq!(alice.get("/v1/developers/me").json()["referral_code"], Value::Null);
    let second = alice.post(CODE, json!({}));
    assert_eq!((second.status, &second.json()["referral_code"]), (201, &json!("ALICE20262")));
    // What the revoked code brought in stays a referral.
    bob.use_api(&app.gateway(), "first", 1);
    let stats = alice.stats();
    assert_eq!((&stats["total_referrals"], &stats["credits_earned"]), (&json!(1), &json!(1_000)));
    let listed = alice.get("/v1/developers/referrals").json();
    assert_eq!(listed["data"][0]["code"], first);
}

#[test]
fn max_uses_counts_accepted_referrals_only() {
    let app = App::start();
    let alice = app.developer("Alice");
    let made = alice.post(CODE, json!({ "max_uses": 2 }));
    assert_eq!(made.status, 201);
    let code = made.json()["referral_code"].as_str().unwrap().to_owned();
    assert_eq!(alice.post(CODE, json!({ "max_uses": 2 })).status, 200);
    assert_eq!(alice.post(CODE, json!({ "max_uses": 3 })).problem(409), "code_active");
    app.referee("Bob", &code);
    for rejected in ["second@alice.example", "x@mailinator.com", "second@bob.example"] {
        let reply = app.try_sign_up(rejected, Some(&code));
        assert_eq!(reply.json()["referral"]["status"], "rejected", "{rejected}");
    }
    app.referee("Carol", &code);
    let reply = app.try_sign_up("dave@dave.example", Some(&code));
    assert_eq!(reply.faults(), ["referral_code: code_used_up"]);
    let erin = app.developer("Erin");
    let late = erin.post("/v1/developers/referrals/apply", json!({ "code": code }));
    assert_eq!(late.faults(), ["code: code_used_up"]);
    assert_eq!(app.sqlite3("SELECT uses_count, max_uses FROM code").trim(), "2|2");
}

#[test]
fn one_use_is_one_use_however_many_come_at_once() {
    let app = App::start();
    let alice = app.developer("Alice");
    alice.post(CODE, json!({ "code": "JUSTONE", "max_uses": 1 }));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let sign_up = |n: u32| app.try_sign_up(&format!("bob@bob{n}.example"), Some("JUSTONE")).status;
        let threads: Vec<_> = (0..6).map(|n| scope.spawn(move || sign_up(n))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 422).count(), 5, "{statuses:?}");
    assert_eq!(alice.stats()["credits_earned"], 500);
}

#[test]
fn names_make_codes_until_they_are_taken() {
    let app = App::start();
    let code_of = |email: &str, name: &str| app.sign_up(name, email, None).code();
    assert_eq!(code_of("1@alice.example", "Alice Smith"), "ALICE2026");
    assert_eq!(code_of("2@alice.example", "alice"), "ALICE20262");
    assert_eq!(code_of("3@alice.example", "Alice"), "ALICE20263");
    app.advance_days(365);
    assert_eq!(code_of("4@alice.example", "Alice"), "ALICE2027");
    let unspellable = code_of("5@alice.example", "李雷");
    assert!(unspellable.len() == 8 && unspellable.bytes().all(|b| b.is_ascii_alphanumeric()), "{unspellable}");
}

#[test]
fn the_program_says_how_codes_are_made() {
    let app = App::start();
    for (style, alphabet) in [("hex8", "0123456789ABCDEF"), ("alphanumeric8", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")] {
        app.change_program(|program| program["code_style"] = json!(style));
        let code = app.developer(&format!("Alice{style}")).code();
        assert!(code.len() == 8 && code.chars().all(|c| alphabet.contains(c)), "{style}: {code}");
    }
}

#[test]
fn only_a_developer_has_a_code() {
    let app = App::start();
    for (method, path) in [("POST", CODE), ("DELETE", CODE)] {
        let nobody = app.anonymous().send(method, path, &[], Vec::new());
        assert_eq!(nobody.problem(401), "missing_key");
        assert_eq!(nobody.header("www-authenticate"), Some("Bearer"));
        let stranger = app.anonymous().with_key("bw_live_0").send(method, path, &[], Vec::new());
        assert_eq!(stranger.problem(401), "invalid_key");
        assert_eq!(app.gateway().send(method, path, &[], Vec::new()).problem(403), "developer_key_required");
    }
}
