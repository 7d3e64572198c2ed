//! The partner's page: who finds it, signing the agreement, keeping it, and going back.

use super::story::{Member, text};
use crate::harness::{App, PASSWORD, Reply};
use crate::payouts::Stage;
use crate::visitor::{FORM, Visitor, assert_page, assert_page_to, encode, error_of, input, value_of};
use refloop::domain::program::Preset;
use refloop::domain::setting::Setting;

pub const STRIPE: &str = "https://connect.stripe.com";
pub const PAGE: &str = "/dashboard/partner";

/// Alice in a browser of her own.
pub struct Desk {
    pub stage: Stage,
    pub alice: Visitor,
}

impl Desk {
    pub fn of(stage: Stage) -> Self {
        let alice = Visitor::new(&stage.app);
        alice.sign_in("alice@alice.example");
        Self { stage, alice }
    }

    /// Alice is on the basic track.
    pub fn basic() -> Self {
        Self::of(Stage::basic())
    }

    /// The page as it is now.
    pub fn page(&self) -> Reply {
        let page = self.alice.get(PAGE);
        let leads_to = if page.body.contains("id=\"money-title\"") { STRIPE } else { "" };
        assert_page_to(&page, 200, leads_to);
        page
    }

    pub fn reads(&self) -> String {
        text(&self.page().body)
    }

    /// Sends one of the page's forms.
    pub fn send(&self, form: &str, fields: &[(&str, &str)]) -> Reply {
        let csrf = value_of(&self.page(), "csrf");
        let fields = [&[("csrf", csrf.as_str()), ("form", form)], fields].concat();
        self.alice.send("POST", PAGE, &[FORM], &encode(&fields))
    }

    /// A form that is taken: what the page says then.
    pub fn done(&self, form: &str, fields: &[(&str, &str)]) -> String {
        self.said(&self.send(form, fields))
    }

    pub fn said(&self, reply: &Reply) -> String {
        assert_eq!((reply.status, reply.header("Location")), (303, Some(PAGE)), "{}", text(&reply.body));
        let page = self.page();
        let (_, after) = page.body.split_once("<p class=\"done\"").expect("the page says what was done");
        let said = after.split_once('>').unwrap().1.split_once("</p>").unwrap().0.to_owned();
        assert!(!self.page().body.contains("class=\"done\""), "and says it once");
        said
    }

    pub fn sign(&self) -> String {
        self.done("upgrade", &[("agreement_version", "1"), ("signature", "Alice Doe"), ("accept", "1")])
    }
}

fn set_agreement(app: &App, text: &str) {
    app.engine.set_project("default", vec![(Setting::PartnerAgreement, text.into())]).unwrap();
}

#[test]
fn a_program_of_credits_has_no_such_page() {
    let app = App::start();
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", None);
    for path in ["/dashboard", "/dashboard/referrals", "/account"] {
        assert!(!alice.page(path).body.contains(PAGE), "{path}");
    }
    let before = app.dump();
    for path in [PAGE, "/dashboard/partner?stripe=return", "/dashboard/partner/agreement"] {
        assert_page(&alice.get(path), 404);
    }
    assert_page(&alice.submit(PAGE, &[("form", "upgrade")]), 404);
    assert!(app.dump() == before);
}

#[test]
fn who_is_not_signed_in_is_asked_to_and_led_back() {
    let stage = Stage::ready();
    let nobody = Visitor::new(&stage.app);
    let before = stage.app.dump();
    for path in [PAGE, "/dashboard/partner?stripe=return", "/dashboard/partner/agreement"] {
        let reply = nobody.get(path);
        assert_eq!((reply.status, reply.header("Location")), (303, Some("/login?next=/dashboard/partner")), "{path}");
    }
    assert_eq!(nobody.send("POST", PAGE, &[FORM], "form=payout").status, 303);
    assert!(stage.app.dump() == before);
    let csrf = nobody.token();
    let fields = [("csrf", csrf.as_str()), ("next", PAGE), ("email", "alice@alice.example"), ("password", PASSWORD)];
    assert_eq!(nobody.send("POST", "/login", &[FORM], &encode(&fields)).header("Location"), Some(PAGE));
}

#[test]
fn a_form_is_its_own_visitor_s_alone() {
    let stage = Stage::ready();
    stage.earn("p-1", 5_000);
    let desk = Desk::of(stage);
    let bob = Visitor::new(&desk.stage.app);
    bob.sign_in("bob@bob.example");
    let (own, others) = (value_of(&desk.page(), "csrf"), value_of(&bob.get(PAGE), "csrf"));
    let before = desk.stage.app.dump();
    for wrong in ["", others.as_str(), &own[1..]] {
        for form in ["upgrade", "connect", "check", "payout", "leave"] {
            let fields = [("csrf", wrong), ("form", form), ("amount", "25.00"), ("newest", "")];
            assert_page(&desk.alice.send("POST", PAGE, &[FORM], &encode(&fields)), 403);
        }
    }
    assert!(desk.stage.app.dump() == before);
    // Bob sees nothing of Alice's, and his forms are about himself.
    let page = text(&bob.get(PAGE).body);
    assert!(page.contains("The agreement") && !page.contains("Alice") && !page.contains("50.00"), "{page}");
    let fields = [("csrf", others.as_str()), ("form", "payout"), ("amount", "25.00"), ("newest", "")];
    let refused = bob.send("POST", PAGE, &[FORM], &encode(&fields));
    assert_page(&refused, 409);
    assert!(text(&refused.body).contains("This is for partners: upgrade first."));
    assert_eq!(desk.stage.balance(), [5_000, 0, 0, 0, 0]);
}

#[test]
fn forms_that_the_page_does_not_have_are_400() {
    let desk = Desk::of(Stage::ready());
    let good = [("agreement_version", "1"), ("signature", "Alice"), ("accept", "1")];
    assert_page(&desk.send("steal", &good), 400);
    assert_page(&desk.send("", &[]), 400);
    for version in ["", "one", "99999999999999999999"] {
        assert_page(&desk.send("upgrade", &[("agreement_version", version), good[1], good[2]]), 400);
    }
    assert_page(&desk.send("payout", &[("amount", "25.00")]), 400);
    assert_page(&desk.send("payout", &[("amount", "25.00"), ("newest", "po_")]), 400);
    assert_page(&desk.alice.get("/dashboard/partner?cursor=x"), 422);
}

#[test]
fn the_basic_track_says_what_a_partner_gets() {
    let stage = Stage::basic();
    stage.earn("p-1", 1_000);
    let desk = Desk::of(stage);
    let page = desk.page();
    let reads = text(&page.body);
    for words in [
        "Of each purchase 5% 10%",
        "Paid as Credit to use Money to your bank",
        "Payout from – 25.00 USD",
        "On hold 30 days 30 days",
        "5.00 USD that you have earned so far could be paid out",
        "Partner agreement This is a plain text to begin with.",
        "accept it",
    ] {
        assert!(reads.contains(words), "{words}: {reads}");
    }
    assert_eq!(value_of(&page, "agreement_version"), "1");
    assert!(!input(&page, "accept").contains("checked"));
    assert!(page.body.contains("aria-current=\"page\">Partner</a>"));
    assert!(!page.body.contains("id=\"money-title\"") && !page.body.contains("id=\"payouts\""));
    // What is in force can be taken along before it is signed.
    assert!(desk.alice.get("/dashboard/partner/agreement").body.starts_with("# Partner agreement"));
}

#[test]
fn the_agreement_is_markdown_and_never_html() {
    let desk = Desk::basic();
    set_agreement(
        &desk.stage.app,
        "# Ours\n\n**Be fair**, <img src=x onerror=alert(1)>\n\n<script>alert(2)</script>\n",
    );
    let page = desk.page();
    assert!(page.body.contains("<h3>Ours</h3>\n<p><strong>Be fair</strong>, &lt;img"), "{}", page.body);
    assert!(page.body.contains("&lt;script&gt;alert(2)"));
    assert_eq!(page.body.matches("<h1").count(), 1);
}

#[test]
fn signing_asks_for_a_tick_and_a_name_and_keeps_what_was_typed() {
    let desk = Desk::basic();
    let before = desk.stage.app.dump();
    let (tick, name) = (("accept", "1"), ("signature", "Alice Doe"));
    let version = ("agreement_version", "1");
    let long = "x".repeat(101);
    for (fields, accept, signature) in [
        (vec![version, name], Some("Tick the box"), None),
        (vec![version, name, ("accept", "yes")], Some("Tick the box"), None),
        (vec![version, tick], None, Some("Fill this in.")),
        (vec![version, tick, ("signature", " ")], None, Some("Fill this in.")),
        (vec![version, tick, ("signature", long.as_str())], None, Some("Use at most 100")),
        (vec![version, tick, ("signature", "a\u{202e}b")], None, Some("Control characters")),
        (vec![version], Some("Tick the box"), Some("Fill this in.")),
    ] {
        let refused = desk.send("upgrade", &fields);
        assert_page(&refused, 422);
        for (field, wanted) in [("accept", accept), ("signature", signature)] {
            let error = error_of(&refused, field);
            let fits = wanted.is_none_or(|words| error.as_ref().is_some_and(|error| error.starts_with(words)));
            assert!(error.is_some() == wanted.is_some() && fits, "{field} of {fields:?}: {error:?}");
        }
        assert!(refused.body.contains("The agreement is not signed yet"));
        let typed = |name: &str| fields.iter().find(|(field, _)| *field == name).map_or("", |(_, value)| *value);
        if fields.iter().any(|(field, _)| *field == "signature") {
            assert_eq!(value_of(&refused, "signature"), typed("signature"));
            assert_eq!(input(&refused, "accept").contains("checked"), !typed("accept").is_empty(), "{fields:?}");
        }
    }
    assert!(desk.stage.app.dump() == before, "nothing is signed by that");
}

#[test]
fn a_text_that_changed_meanwhile_is_shown_and_not_signed() {
    let desk = Desk::basic();
    set_agreement(&desk.stage.app, "# Second\n\nBe fairer.\n");
    let refused = desk.send("upgrade", &[("agreement_version", "1"), ("signature", "Alice Doe"), ("accept", "1")]);
    assert_page(&refused, 409);
    let reads = text(&refused.body);
    assert!(
        reads.contains("The agreement has changed There is a newer version than the one that you read."),
        "{reads}"
    );
    assert!(reads.contains("Second Be fairer."));
    assert_eq!(
        (value_of(&refused, "agreement_version"), value_of(&refused, "signature")),
        ("2".into(), "Alice Doe".into())
    );
    assert!(!input(&refused, "accept").contains("checked"), "what is new is accepted anew");
    assert_eq!(desk.stage.partner()["track"], "basic");
}

#[test]
fn who_signs_is_a_partner_and_can_keep_what_was_signed() {
    let desk = Desk::basic();
    assert_eq!(desk.sign(), "You are a partner. New purchases count at the partner rate from now on.");
    assert_eq!(desk.stage.partner()["track"], "partner");
    let reads = desk.reads();
    assert!(reads.contains("You signed version 1 as Alice Doe on 15 Jan 2026, 10:00"), "{reads}");
    let kept = desk.alice.get("/dashboard/partner/agreement");
    assert_eq!(kept.status, 200);
    assert_eq!(kept.header("content-type"), Some("text/markdown; charset=utf-8"));
    assert_eq!(kept.header("content-disposition"), Some("attachment; filename=\"partner-agreement-1.md\""));
    assert_eq!(kept.body, desk.stage.alice.get("/v1/partner/agreement").body);
    assert!(kept.body.ends_with("Version 1, signed by Alice Doe, 2026-01-15T10:00:00Z\n"), "{}", kept.body);
    assert_eq!(desk.sign(), "You are a partner. New purchases count at the partner rate from now on.", "twice is once");
    assert_eq!(desk.stage.app.sqlite3("SELECT count(*) FROM agreement_acceptance"), "1\n");
}

#[test]
fn a_new_version_can_be_signed_and_need_not_be() {
    let desk = Desk::basic();
    desk.sign();
    assert!(!desk.page().body.contains("agreement_version"));
    set_agreement(&desk.stage.app, "# Second\n");
    let page = desk.page();
    assert!(text(&page.body).contains("Version 2 is in force now Yours stays good."), "{}", text(&page.body));
    assert_eq!(value_of(&page, "agreement_version"), "2");
    let nameless = desk.send("upgrade", &[("agreement_version", "2"), ("accept", "1")]);
    assert_page_to(&nameless, 422, STRIPE);
    assert!(nameless.body.contains("<details class=\"more newer\" open>"));
    desk.done("upgrade", &[("agreement_version", "2"), ("signature", "Alice D."), ("accept", "1")]);
    assert!(desk.reads().contains("You signed version 2 as Alice D."));
    assert!(
        desk.reads().contains("What you signed before Version 1 , as Alice Doe, on 15 Jan 2026, 10:00"),
        "{}",
        desk.reads()
    );
    let before = "/dashboard/partner/agreement?version=1";
    assert!(desk.page().body.contains(&format!("href=\"{before}\"")));
    let kept = desk.alice.get(before);
    assert_eq!(kept.header("content-disposition"), Some("attachment; filename=\"partner-agreement-1.md\""));
    assert!(kept.body.ends_with("Version 1, signed by Alice Doe, 2026-01-15T10:00:00Z\n"), "{}", kept.body);
    assert_eq!(desk.alice.get("/dashboard/partner/agreement?version=3").status, 404);
    assert!(!desk.page().body.contains("agreement_version"));
}

#[test]
fn the_way_back_is_open_when_nothing_is_left_to_be_paid_out() {
    let desk = Desk::of(Stage::ready());
    let refuse = |words: &str| {
        assert!(desk.reads().contains(words), "{words}: {}", desk.reads());
        assert!(!desk.page().body.contains("Convert to Basic"));
        let refused = desk.send("leave", &[]);
        assert_page_to(&refused, 409, STRIPE);
        let reads = text(&refused.body);
        assert!(reads.contains(&format!("You are still a partner {words}")), "{reads}");
        assert_eq!(desk.stage.partner()["track"], "partner");
    };
    desk.stage.buy("p-1", 50_000);
    refuse("Commissions of 50.00 USD are still on hold. Wait until they are yours.");
    desk.stage.app.advance_days(30);
    let other = Desk { alice: Visitor::new(&desk.stage.app), stage: desk.stage };
    other.alice.sign_in("alice@alice.example");
    let desk = other;
    let refused = desk.send("leave", &[]);
    assert!(text(&refused.body).contains("50.00 USD can still be paid out. Have it paid out or spend it first."));
    desk.stage.request(serde_json::json!({}));
    let refused = desk.send("leave", &[]);
    assert_page_to(&refused, 409, STRIPE);
    assert!(
        text(&refused.body).contains("You are still a partner A payout is still under way. Wait until it is settled.")
    );
    desk.stage.work();
    assert_eq!(desk.done("leave", &[]), "You are on the basic track again. You can come back at any time.");
    assert_eq!(desk.stage.partner()["track"], "basic");
    let reads = desk.reads();
    assert!(reads.contains("The agreement") && reads.contains("Payouts"), "what was paid stays to be seen: {reads}");
}

#[test]
fn where_rates_are_no_shares_the_page_is_there_too() {
    let app = App::start();
    let project = app.engine.project_named("default").unwrap();
    app.engine.set_program(&project, Preset::Subscription.program(), "test").unwrap();
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", None);
    let page = text(&alice.page(PAGE).body);
    assert!(page.contains("Payout from – 25.00 USD") && !page.contains("Of each purchase"), "{page}");
    let overview = text(&alice.page("/dashboard").body);
    assert!(overview.contains("Basic Your track Credit to use Partner Paid out to your bank"), "{overview}");
}
