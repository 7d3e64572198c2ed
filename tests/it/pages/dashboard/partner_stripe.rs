//! Connecting Stripe on the partner's page, and what the overview says of it.

use super::partner::{Desk, PAGE, STRIPE};
use super::story::{MARKET, Member, market, text};
use crate::payouts::Stage;
use crate::visitor::{assert_page, assert_page_to};
use refloop::domain::setting::Setting;
use serde_json::json;

fn partner() -> Desk {
    let desk = Desk::basic();
    desk.sign();
    desk
}

fn overview(desk: &Desk) -> String {
    let page = desk.alice.get("/dashboard");
    assert_page(&page, 200);
    text(&page.body)
}

#[test]
fn a_click_leads_to_stripe_and_back_to_a_page_that_knows() {
    let desk = partner();
    assert!(desk.reads().contains("Stripe Not connected Stripe pays you."), "{}", desk.reads());
    assert!(desk.reads().contains("Connect Stripe first: it is what pays you."));
    assert!(overview(&desk).contains("Connect Stripe next, to be paid out to your bank. Connect Stripe"));
    let led = desk.send("connect", &[]);
    let id = desk.stage.stripe.account_ids()[0].clone();
    let place = format!("{STRIPE}/setup/e/{id}");
    assert_eq!((led.status, led.header("Location")), (303, Some(place.as_str())));

    let reads = desk.reads();
    assert!(
        reads.contains("Not ready Before Stripe can pay you, this is missing: Your bank account Your date of birth")
    );
    assert!(reads.contains("Continue at Stripe") && reads.contains("Check again"), "{reads}");
    assert!(overview(&desk).contains("Stripe needs something more from you before it can pay."));

    // Back too early, and then with everything.
    let back = desk.alice.get("/dashboard/partner?stripe=return");
    assert_eq!(desk.said(&back), "Stripe was asked, and something is still missing. It is listed below.");
    desk.stage.stripe.complete_account(&id);
    assert!(desk.reads().contains("Not ready"), "nobody has told yet");
    let back = desk.alice.get("/dashboard/partner?stripe=return");
    assert_eq!(desk.said(&back), "Stripe is ready to pay out to you.");
    let reads = desk.reads();
    assert!(reads.contains("Stripe Ready Everything that Stripe needs is there."), "{reads}");
    assert!(reads.contains("There is nothing to pay out yet.") && reads.contains("Check again"), "{reads}");
    assert!(overview(&desk).contains("0.00 USD can be paid out so far; a payout is at least 25.00 USD."));

    // Once it is ready, the address alone asks nothing of Stripe.
    let calls = desk.stage.stripe.requests_so_far();
    let again = desk.alice.get("/dashboard/partner?stripe=return");
    assert_eq!((again.status, again.header("Location")), (303, Some(PAGE)));
    assert_eq!(desk.stage.stripe.requests_so_far(), calls);
    assert_eq!(desk.send("connect", &[]).header("Location"), Some(place.as_str()), "there is always a way there");
    assert_eq!(desk.stage.stripe.account_ids().len(), 1);
}

#[test]
fn it_can_be_asked_again() {
    let desk = partner();
    desk.send("connect", &[]);
    assert_eq!(desk.done("check", &[]), "Stripe was asked, and something is still missing. It is listed below.");
    let id = desk.stage.stripe.account_ids()[0].clone();
    desk.stage.stripe.complete_account(&id);
    assert_eq!(desk.done("check", &[]), "Stripe is ready to pay out to you.");
}

#[test]
fn a_link_that_has_expired_leads_to_a_button() {
    let desk = partner();
    desk.send("connect", &[]);
    let calls = desk.stage.stripe.requests_so_far();
    let page = desk.alice.get("/dashboard/partner?stripe=refresh");
    assert_page_to(&page, 200, STRIPE);
    let reads = text(&page.body);
    assert!(reads.contains("The link to Stripe had expired, or was used before."), "{reads}");
    assert!(reads.contains("Continue at Stripe"));
    assert_eq!(desk.stage.stripe.requests_so_far(), calls, "to open an address asks nothing of Stripe");
}

#[test]
fn what_comes_back_without_having_left_sees_the_page() {
    let desk = Desk::basic();
    let back = desk.alice.get("/dashboard/partner?stripe=return");
    assert_eq!((back.status, back.header("Location")), (303, Some(PAGE)));
    assert_eq!(desk.stage.stripe.requests_so_far(), 0);
    let refused = desk.send("connect", &[]);
    assert_page(&refused, 409);
    assert!(text(&refused.body).contains("This is for partners: upgrade first."));
    assert_page(&desk.send("check", &[]), 409);
    assert!(desk.stage.stripe.account_ids().is_empty());
}

#[test]
fn while_stripe_is_down_the_page_says_so_and_works() {
    let desk = partner();
    desk.stage.stripe.with(|state| state.is_down = true);
    let refused = desk.send("connect", &[]);
    assert_page_to(&refused, 503, STRIPE);
    assert!(refused.header("retry-after").is_some());
    let reads = text(&refused.body);
    assert!(
        reads.contains("Stripe cannot be opened now Stripe cannot be reached, or does not take the call."),
        "{reads}"
    );
    assert!(reads.contains("You signed version 1 as Alice Doe") && reads.contains("Connect with Stripe"));
    desk.stage.stripe.with(|state| state.is_down = false);
    desk.send("connect", &[]);
    desk.stage.stripe.with(|state| state.is_down = true);
    for refused in [desk.alice.get("/dashboard/partner?stripe=return"), desk.send("check", &[])] {
        assert_page_to(&refused, 503, STRIPE);
        let reads = text(&refused.body);
        assert!(reads.contains("Stripe could not be asked") && reads.contains("Your bank account"), "{reads}");
    }
    assert!(desk.reads().contains("Not ready"));
}

#[test]
fn without_a_key_of_the_team_s_the_page_says_so() {
    let desk = partner();
    desk.stage.app.engine.set_project("default", vec![(Setting::StripeApiKey, String::new())]).unwrap();
    let reads = desk.reads();
    assert!(reads.contains("Not set up here") && reads.contains("has to connect its own Stripe first"), "{reads}");
    assert!(reads.contains("Payouts are not set up here yet, so nothing can be sent."));
    assert!(!desk.page().body.contains("Connect with Stripe"));
    let refused = desk.send("connect", &[]);
    assert_page_to(&refused, 409, STRIPE);
    assert!(text(&refused.body).contains("Payouts are not set up here yet. What you have earned is kept."));
    assert!(overview(&desk).contains("Payouts are not set up here yet."));
}

#[test]
fn a_bank_that_refuses_is_shown_beside_a_ready_account() {
    let desk = Desk::of(Stage::ready());
    let mut event =
        desk.stage.event("evt_1", "payout.failed", &json!({ "id": "po_x", "failure_code": "account_closed" }));
    event["account"] = desk.stage.partner()["stripe"]["account_id"].clone();
    assert_eq!(desk.stage.tell(&event), "account");
    let reads = desk.reads();
    assert!(
        reads.contains("Stripe can pay you. It also says: Your bank refused money from Stripe (account_closed)"),
        "{reads}"
    );
    assert!(reads.contains("Continue at Stripe"));
}

#[test]
fn an_account_that_stripe_does_not_know_any_more_is_said_and_made_anew() {
    let desk = partner();
    desk.send("connect", &[]);
    let first = desk.stage.stripe.account_ids()[0].clone();
    desk.stage.stripe.with(|state| state.accounts.remove(&first));
    let said = "Stripe does not know the account any more that was connected. Connect with Stripe again.";
    assert_eq!(desk.done("check", &[]), said);
    assert!(desk.reads().contains("Stripe Not connected") && desk.reads().contains("Connect with Stripe"));
    assert_eq!(desk.send("connect", &[]).status, 303);
    assert_ne!(desk.stage.stripe.account_ids()[0], first);
}

#[test]
fn pages_elsewhere_are_led_to_by_a_link() {
    let desk = partner();
    // As if Stripe's pages had moved to where the policy does not let forms lead.
    desk.stage.stripe.serve_pages();
    let page = desk.send("connect", &[]);
    assert_page(&page, 200);
    let id = desk.stage.stripe.account_ids()[0].clone();
    let link = format!("href=\"{}/setup/e/{id}\"", desk.stage.stripe.url);
    assert!(page.body.contains(&link) && page.body.contains("Go to Stripe"), "{}", page.body);
}

#[test]
fn a_test_project_s_stripe_is_ready_at_once_and_nothing_leaves() {
    let app = crate::harness::App::start();
    market(&app);
    let alice = Member::new(&app, Some(MARKET), "Alice", "alice@alice.example", None);
    let signed = [("form", "upgrade"), ("agreement_version", "1"), ("signature", "Alice"), ("accept", "1")];
    assert_eq!(alice.submit(PAGE, &signed).status, 303);
    let page = alice.page(PAGE);
    assert!(text(&page.body).contains("This is a test project: its Stripe is made up, and no money moves."));
    let led = alice.submit(PAGE, &[("form", "connect")]);
    assert_eq!((led.status, led.header("Location")), (303, Some("/dashboard/partner?stripe=return")));
    assert_eq!(alice.get("/dashboard/partner?stripe=return").status, 303);
    assert!(text(&alice.page(PAGE).body).contains("Stripe Ready"));
}
