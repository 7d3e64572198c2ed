//! Payouts on the partner's page: asking for one, once, and how far each is.

use super::partner::{Desk, PAGE, STRIPE};
use super::story::text;
use crate::harness::{PASSWORD, Reply};
use crate::payouts::Stage;
use crate::stripe_api::Fault;
use crate::visitor::{FORM, assert_page, assert_page_to, encode, error_of, value_of};
use serde_json::json;

/// Alice can be paid this.
fn with(commission: i64) -> Desk {
    let stage = Stage::ready();
    stage.earn("p-1", commission);
    Desk::of(stage)
}

/// The form of the page with its hidden fields, as a browser sends it.
fn filled_in(page: &Reply, amount: &str) -> String {
    let (csrf, newest) = (value_of(page, "csrf"), value_of(page, "newest"));
    encode(&[("csrf", &csrf), ("form", "payout"), ("newest", &newest), ("amount", amount)])
}

fn ask(desk: &Desk, amount: &str) -> Reply {
    let form = filled_in(&desk.page(), amount);
    desk.alice.send("POST", PAGE, &[FORM], &form)
}

const REQUESTED: &str = "Your payout is requested. It is reserved now, and listed below.";

#[test]
fn the_whole_or_a_part_is_paid_out() {
    let desk = with(7_500);
    let page = desk.page();
    assert_eq!(value_of(&page, "amount"), "75.00");
    let reads = text(&page.body);
    assert!(reads.contains("From 25.00 USD up to the 75.00 USD that are available."), "{reads}");
    assert!(reads.contains("No payout yet"));
    for balance in [
        "Available Can be paid out, or spent like any credit. 75.00 USD",
        "Pending Commissions on hold: 30 days after the purchase, in case of refunds. 0.00 USD",
        "Reserved In a payout that is under way. 0.00 USD",
        "Paid All payouts that were sent so far. 0.00 USD",
        "Owed Taken back after it was spent or paid out. What you earn next repays it. 0.00 USD",
    ] {
        assert!(reads.contains(balance), "{balance}: {reads}");
    }
    assert_eq!(desk.said(&ask(&desk, "30")), REQUESTED);
    let reads = desk.reads();
    assert!(reads.contains("A payout of 30.00 USD is under way. The next one can be requested once it is settled."));
    assert!(reads.contains("On its way It is about to be sent to Stripe. 30.00 USD"), "{reads}");
    assert!(text(&desk.alice.get("/dashboard").body).contains("A payout of 30.00 USD is under way."));
    let ledger = || text(&desk.alice.get("/dashboard/ledger").body);
    assert!(ledger().contains("Reserved 30.00 USD") && !ledger().contains("Paid out"), "{}", ledger());
    desk.stage.work();
    assert!(ledger().contains("Paid out 30.00 USD") && !ledger().contains("Reserved "), "{}", ledger());
    let reads = desk.reads();
    assert!(reads.contains("Paid Stripe has it. Your bank may take 2 to 7 business days. Sent 14 Feb 2026"), "{reads}");
    assert!(text(&desk.alice.get("/dashboard").body).contains("45.00 USD can be paid out. Pay out"));
    assert_eq!(value_of(&desk.page(), "amount"), "45.00");
    assert_eq!(desk.said(&ask(&desk, "45.00")), REQUESTED);
    desk.stage.work();
    assert_eq!(desk.stage.balance(), [0, 0, 0, 7_500, 0]);
    assert_eq!(desk.stage.sent(), 7_500);
    assert!(desk.reads().contains("There is nothing to pay out yet."));
}

#[test]
fn an_amount_that_cannot_be_is_said_beside_its_field_and_kept() {
    let desk = with(7_500);
    let before = desk.stage.app.dump();
    for (amount, words) in [
        ("", "Write it with digits and a point"),
        ("25,00", "Write it with digits and a point"),
        ("1,000.00", "Write it with digits and a point"),
        ("-30", "Write it with digits and a point"),
        ("25.001", "Write it with digits and a point"),
        ("all", "Write it with digits and a point"),
        ("99999999999999999999", "Write it with digits and a point"),
        ("24.99", "A payout is at least 25.00 USD; 75.00 USD can be paid out."),
        ("0", "A payout is at least 25.00 USD; 75.00 USD can be paid out."),
        ("75.01", "75.00 USD can be paid out."),
    ] {
        let refused = ask(&desk, amount);
        assert_page_to(&refused, 422, STRIPE);
        assert!(error_of(&refused, "amount").unwrap().starts_with(words), "{amount}: {}", text(&refused.body));
        assert!(refused.body.contains("No payout was requested"));
        assert_eq!(value_of(&refused, "amount"), amount);
    }
    assert!(desk.stage.app.dump() == before);
    assert_eq!(desk.said(&ask(&desk, " 25.5 ")), REQUESTED, "white space around it does no harm");
    assert_eq!(desk.stage.balance()[2], 2_550);
}

#[test]
fn a_form_makes_one_payout_however_often_it_is_sent() {
    let desk = with(9_000);
    let known =
        "A payout has been requested already since that form was opened. Nothing was sent twice: it is listed below.";
    let form = filled_in(&desk.page(), "30.00");
    let send = || desk.alice.send("POST", PAGE, &[FORM], &form);
    assert_eq!(desk.said(&send()), REQUESTED);
    assert_eq!(desk.said(&send()), known, "a double click");
    desk.stage.work();
    assert_eq!(desk.said(&send()), known, "back to the form, when the first one is paid");
    let other = filled_in(&desk.page(), "30.00");
    assert_eq!(desk.said(&desk.alice.send("POST", PAGE, &[FORM], &other)), REQUESTED, "another form, another payout");
    assert_eq!(desk.said(&send()), known);
    desk.stage.work();
    assert_eq!(desk.stage.balance(), [3_000, 0, 0, 6_000, 0]);
    assert_eq!(desk.stage.stripe.transfers().len(), 2);
}

#[test]
fn two_that_are_sent_at_once_make_one() {
    let desk = with(9_000);
    let form = filled_in(&desk.page(), "30.00");
    let session = desk.alice.cookie("refloop_session").unwrap();
    let guard = desk.alice.cookie("refloop_form").unwrap();
    let cookie = format!("refloop_session={session}; refloop_form={guard}");
    let client = desk.stage.app.anonymous();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let headers = [FORM, ("Cookie", cookie.as_str())];
                let reply = client.send("POST", PAGE, &headers, form.clone().into_bytes());
                assert_eq!((reply.status, reply.header("Location")), (303, Some(PAGE)));
            });
        }
    });
    assert_eq!(desk.stage.balance(), [6_000, 0, 3_000, 0, 0]);
}

#[test]
fn a_payout_by_api_makes_an_open_form_old() {
    let desk = with(9_000);
    let form = filled_in(&desk.page(), "30.00");
    desk.stage.request(json!({ "amount": 2_500 }));
    let said = desk.said(&desk.alice.send("POST", PAGE, &[FORM], &form));
    assert!(said.contains("Nothing was sent twice"), "{said}");
    assert_eq!(desk.stage.balance()[2], 2_500);
}

#[test]
fn why_there_can_be_no_payout_is_said_instead_of_a_form() {
    let desk = with(2_499);
    let says = |desk: &Desk, words: &str| {
        assert!(desk.reads().contains(words), "{words}: {}", desk.reads());
        assert!(!desk.page().body.contains("name=\"amount\""));
    };
    says(&desk, "A payout is at least 25.00 USD; so far 24.99 USD can be paid out.");
    // The payout was paid, and then its purchase refunded.
    let desk = with(5_000);
    ask(&desk, "50.00");
    desk.stage.work();
    desk.stage.refund("r-1", "p-1", 20_000);
    says(&desk, "20.00 USD is owed. What you earn next repays it first; then payouts go on.");
    assert!(desk.page().body.contains("<div class=\"owed\">"));
    // Stripe wants something more.
    let desk = with(5_000);
    let id = desk.stage.stripe.account_ids()[0].clone();
    let mut restricted = desk.stage.stripe.complete_account(&id);
    restricted["requirements"]["past_due"] = json!(["individual.verification.document"]);
    desk.stage.app.advance_ms(10_000);
    assert_eq!(desk.stage.tell(&desk.stage.event("evt_1", "account.updated", &restricted)), "account");
    let desk = Desk::of(desk.stage);
    says(&desk, "Stripe is not ready to pay out to you yet: what is missing is listed under Stripe.");
    assert!(desk.reads().contains("Your identity document"));
}

#[test]
fn a_form_that_has_grown_old_is_refused_in_words() {
    let desk = with(5_000);
    let form = filled_in(&desk.page(), "50.00");
    desk.stage.refund("r-1", "p-1", 10_000);
    let refused = desk.alice.send("POST", PAGE, &[FORM], &form);
    assert_page_to(&refused, 422, STRIPE);
    assert_eq!(error_of(&refused, "amount").unwrap(), "40.00 USD can be paid out.");
    desk.stage.stripe.with(|state| state.is_down = true);
    assert_eq!(desk.said(&ask(&desk, "40.00")), REQUESTED, "it is sent when Stripe is back");
    assert_eq!(desk.stage.balance(), [0, 0, 4_000, 0, 0]);
}

#[test]
fn each_state_of_a_payout_has_words() {
    let stage = Stage::ready();
    stage.app.change_program(|program| program["payouts"] = json!({ "minimum": 500, "approval": true }));
    stage.earn("p-1", 9_000);
    let desk = Desk::of(stage);
    let approve = |desk: &Desk| {
        let open = desk.stage.app.engine.payouts_of_project("default", true).unwrap();
        desk.stage.app.engine.approve_payout(open[0].payout.id).unwrap();
        open[0].payout.id
    };
    let says = |words: &str| assert!(desk.reads().contains(words), "{words}: {}", desk.reads());
    ask(&desk, "10.00");
    says("Waiting for approval Someone of the team looks at it before it is sent. 10.00 USD");
    approve(&desk);
    desk.stage.stripe.script(&[Fault::AccountClosed]);
    desk.stage.work();
    says(
        "Not sent Stripe could not pay to your account there. See what Stripe wants to know, then ask for it again. \
          The money is back. 10.00 USD",
    );
    assert!(!desk.reads().contains("The account is closed"), "Stripe's words are the operators'");
    says("Not ready Before Stripe can pay you, this is missing: Stripe refused a payout to this account: check again");
    desk.send("check", &[]);
    says("Stripe Ready");
    ask(&desk, "11.00");
    let id = approve(&desk);
    desk.stage.app.engine.cancel_payout(id).unwrap();
    says("Being called off The money comes back in a moment. 11.00 USD");
    desk.stage.work();
    says("Called off It was not sent, and the money is available again. 11.00 USD");
    // One that is refunded in part before it is sent: what comes back pays that first.
    ask(&desk, "90.00");
    approve(&desk);
    desk.stage.refund("r-1", "p-1", 10_000);
    desk.stage.work();
    says(
        "Called off It was refunded or owed before it was sent. Its money pays what is owed; the rest can be asked for \
          again. 90.00 USD",
    );
    ask(&desk, "12.00");
    approve(&desk);
    desk.stage.stripe.script(&[Fault::BreakBefore]);
    desk.stage.work();
    says("Being checked Stripe has not confirmed it yet. It stays reserved until that is clear. 12.00 USD");
    assert_eq!(desk.stage.balance()[2], 1_200);
}

#[test]
fn an_account_is_not_erased_while_a_payout_is_under_way() {
    let desk = with(5_000);
    ask(&desk, "50.00");
    let erase = || desk.alice.ask("erase", &[("erase_confirmation", "ERASE"), ("erase_password", PASSWORD)]);
    let refused = erase();
    assert_page(&refused, 409);
    let reads = text(&refused.body);
    assert!(reads.contains("Your account is not erased A payout is still under way."), "{reads}");
    desk.stage.work();
    assert_eq!(erase().header("Location"), Some("/account/erased"));
}

#[test]
fn a_long_list_has_pages() {
    let stage = Stage::ready();
    stage.app.change_program(|program| program["payouts"] = json!({ "minimum": 1 }));
    stage.earn("p-1", 9_000);
    for n in 1..=21 {
        stage.request(json!({ "amount": 100 + n }));
        stage.work();
    }
    let desk = Desk::of(stage);
    let first = desk.page();
    assert_eq!(first.body.matches("<tr id=\"po_").count(), 20);
    assert!(text(&first.body).contains("1.21 USD") && !text(&first.body).contains("1.01 USD"));
    let (_, after) = first.body.split_once("href=\"/dashboard/partner?cursor=").unwrap();
    let cursor = after.split_once("#payouts\"").unwrap().0;
    let second = desk.alice.get(&format!("/dashboard/partner?cursor={cursor}"));
    assert_page_to(&second, 200, STRIPE);
    let reads = text(&second.body);
    assert!(reads.contains("1.01 USD") && !reads.contains("1.21 USD") && reads.contains("Newest"), "{reads}");
    assert_eq!(second.body.matches("<tr id=\"po_").count(), 1);
    // The form there is bound to the newest payout too.
    assert_eq!(value_of(&second, "newest"), value_of(&first, "newest"));
}
