//! The review queue, as operators use it.

use super::{Person, proxied, referrer, seen, sign_up, signals};
use crate::admin::Operator;
use crate::harness::{App, PASSWORD};
use crate::visitor::assert_page;
use refloop::domain::operator::OperatorRole;
use std::path::Path;
use std::process::Command;

const QUEUE: &str = "/admin/default/review";

fn held(app: &App, fakes: usize) -> (String, Vec<Person>) {
    let (_, code) = referrer(app, "alice", "192.0.2.1");
    let fakes = (0..fakes).map(|n| sign_up(app, "192.0.2.1", &format!("x@farm{n}.example"), Some(&code)));
    let fakes = fakes.collect();
    (code, fakes)
}

#[test]
fn what_waits_is_shown_with_its_signals_and_decided_by_a_form() {
    let app = proxied();
    let (code, fakes) = held(&app, 2);
    let operator = Operator::owner(&app);
    let page = operator.page(QUEUE).body;
    for words in ["2 referrals wait", "x@farm0.example", "alice@alice.example", &code, "1,500 credits", "same day"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let id = seen(&app, &fakes[0])["id"].as_str().unwrap().to_owned();
    let done = operator.done(QUEUE, &[("referral", &id), ("do", "clear"), ("reason", "A friend")]);
    assert!(done.body.contains("Cleared") && done.body.contains("One referral waits"), "{}", done.body);
    assert_eq!(seen(&app, &fakes[0])["status"], "signed_up");
    let id = seen(&app, &fakes[1])["id"].as_str().unwrap().to_owned();
    let done = operator.done(QUEUE, &[("referral", &id), ("do", "reject"), ("from", "referral")]);
    assert!(done.body.contains("Rejected: what") && done.body.contains("Open again"), "{}", done.body);
    let shown = seen(&app, &fakes[1]);
    let last = shown["decisions"].as_array().unwrap().last().unwrap();
    assert_eq!(last["inputs"]["reason"], "Looked at, and found to be made up", "who types nothing");
    assert!(last["inputs"]["actor"].as_str().unwrap().starts_with("op_"));
    assert_eq!(operator.post(QUEUE, &[("referral", &id), ("do", "dance")]).status, 422);
    assert_eq!(operator.post(QUEUE, &[("referral", "x"), ("do", "clear")]).status, 404);
}

#[test]
fn the_queue_is_narrowed_and_says_what_it_cannot_find() {
    let app = proxied();
    let (code, _) = held(&app, 1);
    let operator = Operator::owner(&app);
    let shows = |query: &str| operator.page(&format!("{QUEUE}?{query}")).body.contains("x@farm0.example");
    assert!(shows(&format!("code={code}")) && shows("domain=farm0.example") && shows("status=all"));
    assert!(!shows("status=rejected") && !shows("domain=farm1.example"));
    for (query, words) in
        [("code=NOBODYS", "no such referral code"), ("domain=gmail.com", "nothing to do with each other")]
    {
        let page = operator.visitor.get(&format!("{QUEUE}?{query}"));
        assert!(page.status == 422 && page.body.contains(words), "{query}: {}", page.body);
    }
}

#[test]
fn a_referral_s_page_has_its_whole_history() {
    let app = proxied();
    let (_, fakes) = held(&app, 1);
    let operator = Operator::owner(&app);
    let id = seen(&app, &fakes[0])["id"].as_str().unwrap().to_owned();
    let page = operator.page(&format!("{QUEUE}/{id}")).body;
    for words in ["same_address", "held from 100 on", "Every decision", "signup bonus", "under_review", "PENDING"] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert_eq!(operator.visitor.get(&format!("{QUEUE}/ref_0000000000000")).status, 404);
    assert_eq!(operator.visitor.get(&format!("{QUEUE}/nonsense")).status, 404);
}

#[test]
fn a_whole_code_is_rejected_as_previewed_and_no_other_way() {
    let app = proxied();
    let (code, fakes) = held(&app, 3);
    let operator = Operator::owner(&app);
    let preview = operator.page(&format!("{QUEUE}/reject?code={code}"));
    assert!(preview.body.contains("4,500 credits") && preview.body.contains("Reject 3 referrals"), "{}", preview.body);
    let digest = crate::visitor::value_of(&preview, "digest");
    let late = sign_up(&app, "192.0.2.1", "x@farm9.example", Some(&code));
    let fields = [("code", code.as_str()), ("digest", &digest), ("reason", "a farm")];
    let outdated = operator.post(&format!("{QUEUE}/reject"), &fields);
    assert!(outdated.status == 409 && outdated.body.contains("Reject 4 referrals"), "{}", outdated.body);
    assert_eq!(seen(&app, &late)["status"], "review");
    let digest = crate::visitor::value_of(&outdated, "digest");
    let fields = [("code", code.as_str()), ("digest", &digest), ("reason", "a farm")];
    let done = operator.done(&format!("{QUEUE}/reject"), &fields);
    assert!(done.body.contains("Rejected: 4 referrals, 6,000 credits taken back."), "{}", done.body);
    assert!(fakes.iter().all(|fake| seen(&app, fake)["status"] == "rejected"));
    for query in ["", "?code=x&domain=y", "?code=NOBODYS", "?domain=gmail.com"] {
        let refused = operator.visitor.get(&format!("{QUEUE}/reject{query}"));
        assert_page(&refused, 422);
        assert!(refused.body.contains("Back to the queue") && refused.body.contains("role=\"alert\""), "{query}");
        assert!(!refused.body.contains("Taken back in all"), "{query}: {}", refused.body);
    }
    let code = crate::visitor::value_of(&operator.page(&format!("{QUEUE}?code={code}")), "code");
    let long = "x".repeat(501);
    let fields = [("code", code.as_str()), ("digest", "x"), ("reason", &long)];
    let refused = operator.post(&format!("{QUEUE}/reject"), &fields);
    assert_page(&refused, 422);
    let gone = operator.post(&format!("{QUEUE}/reject"), &[("code", "NOBODYS"), ("digest", "x")]);
    assert_page(&gone, 422);
    assert!(gone.body.contains("Back to the queue"), "{}", gone.body);
}

#[test]
fn who_may_only_look_sees_masked_addresses_and_decides_nothing() {
    let app = proxied();
    let (code, fakes) = held(&app, 1);
    let viewer = Operator::of_role(&app, "viewer@example.com", OperatorRole::ReadOnly);
    let id = seen(&app, &fakes[0])["id"].as_str().unwrap().to_owned();
    for path in [QUEUE.to_owned(), format!("{QUEUE}/{id}"), format!("{QUEUE}/reject?code={code}")] {
        let page = viewer.page(&path).body;
        assert!(!page.contains("x@farm0.example") && !page.contains("value=\"reject\""), "{path}: {page}");
    }
    assert_eq!(viewer.post(QUEUE, &[("referral", &id), ("do", "clear")]).status, 403);
    assert_eq!(viewer.post(&format!("{QUEUE}/reject"), &[("code", &code), ("digest", "x")]).status, 403);
    let list = viewer.call("GET", "/v1/admin/projects/default/referrals", &serde_json::Value::Null).json();
    assert_eq!(list["data"][0]["referee"]["email"], "***@farm0.example");
    let all = "/v1/admin/projects/default/referrals/reject";
    let preview = viewer.call("POST", all, &serde_json::json!({ "code": code, "preview": true }));
    assert_eq!(preview.status, 200, "whoever may look may see the sums: {}", preview.body);
    assert!(preview.body.contains("al***@") && !preview.body.contains("alice@"), "{}", preview.body);
    let body = serde_json::json!({ "code": code, "digest": preview.json()["digest"], "reason": "x" });
    assert_eq!(viewer.call("POST", all, &body).problem(403), "role_required");
    let refused = viewer.call(
        "POST",
        &format!("/v1/admin/projects/default/referrals/{id}/clear"),
        &serde_json::json!({ "reason": "x" }),
    );
    assert_eq!(refused.problem(403), "role_required");
    assert_eq!(signals(&seen(&app, &fakes[0])).len(), 1);
}

#[test]
fn an_operator_finds_the_farmer_in_a_real_browser() {
    let app = proxied();
    let (code, fakes) = held(&app, 14);
    app.add_operator("default", "ops@example.com");
    let output = Command::new("node")
        .arg("tests/browser/review.mjs")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .env("REFLOOP_URL", &app.url)
        .env("REFLOOP_EMAIL", "ops@example.com")
        .env("REFLOOP_PASSWORD", PASSWORD)
        .env("REFLOOP_FARM", &code)
        .env("REFLOOP_SHOTS", "target/screenshots")
        .output();
    let output = output.expect("node is on the PATH; tests/run says what else is needed");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("\"ok\":true"), "{said}");
    let rejected = fakes.iter().filter(|fake| seen(&app, fake)["status"] == "rejected").count();
    assert_eq!(rejected, 13, "and one was opened again");
}

#[test]
fn a_review_is_called_what_it_was_wherever_decisions_are_shown() {
    let app = proxied();
    let (_, fakes) = held(&app, 2);
    let operator = Operator::owner(&app);
    for (fake, verb, verdict) in [(&fakes[0], "clear", "cleared"), (&fakes[1], "reject", "rejected")] {
        let id = seen(&app, fake)["id"].as_str().unwrap().to_owned();
        operator.done(QUEUE, &[("referral", &id), ("do", verb)]);
        let path = format!("/v1/admin/projects/default/developers/{}/decisions", fake.id);
        let decisions = app.gateway().get(&path).json()["data"].as_array().unwrap().clone();
        let verdicts: Vec<_> =
            decisions.iter().filter(|one| one["rule"] == "review").map(|one| &one["verdict"]).collect();
        assert_eq!(verdicts, [verdict, "held"], "{decisions:?}");
        let page = operator.page(&format!("/admin/default/developers/{}", fake.id)).body;
        assert!(page.to_lowercase().contains(verdict) && page.to_lowercase().contains("held"), "{page}");
    }
}
