//! Referred users on the page.

use super::story::{MARKET, Member, between, buy, click, market, refer, review, sign_up, text, use_api};
use crate::harness::App;
use crate::visitor::assert_page;
use serde_json::json;

const REFERRALS: &str = "/dashboard/referrals";

/// The line of a referred user, with its details.
fn line(member: &Member, path: &str, email: &str) -> String {
    let html = member.page(path).body;
    let body = between(&html, "<tbody>", "</tbody>");
    let rows = body.split("<tr>").skip(1).map(text);
    let mut rows = rows.filter(|row| row.starts_with(email));
    rows.next().unwrap_or_else(|| panic!("no {email} in {}", text(body)))
}

#[test]
fn every_status_has_the_seed_s_words() {
    let app = App::start();
    let gateway = market(&app);
    let host = Some(MARKET);
    let alice = Member::new(&app, host, "Alice", "alice@alice.example", None);
    let code = alice.code();
    refer(&app, host, "signedup", &code);
    let spent = refer(&app, host, "spender", &code);
    buy(&gateway, "p", &spent, 5_000);
    let called = refer(&app, host, "caller", &code);
    use_api(&gateway, "c", &called, 1);
    let busy = refer(&app, host, "busybee", &code);
    use_api(&gateway, "b", &busy, 100);
    let held = refer(&app, host, "heldback", &code);
    review(&app, &held);
    sign_up(&app, host, "Colleague", "colleague@alice.example", Some(&code));
    for (email, badge, status) in [
        ("sign***@signedup.example", "Signed Up", "signed_up"),
        ("spe***@spender.example", "Made a Spend", "converted"),
        ("cal***@caller.example", "First Call", "first_call"),
        ("bus***@busybee.example", "Active", "active"),
        ("held***@heldback.example", "Under Review", "review"),
        ("coll***@alice.example", "Not Counted", "rejected"),
    ] {
        assert!(line(&alice, REFERRALS, email).starts_with(&format!("{email} {badge} 15 Jan 2026 ")), "{email}");
        let filtered = alice.page(&format!("{REFERRALS}?status={status}")).body;
        assert_eq!(filtered.matches("class=\"who\"").count(), 1, "{status}");
        line(&alice, &format!("{REFERRALS}?status={status}"), email);
        let here = format!("<a href=\"{REFERRALS}?status={status}\" aria-current=\"true\">{badge}</a>");
        assert!(filtered.contains(&here), "{status}");
    }
    let rejected = line(&alice, REFERRALS, "coll***");
    assert!(rejected.contains("0.00 USD – Their e-mail address is at your own domain."), "{rejected}");
    assert!(line(&alice, REFERRALS, "held***").contains("is being looked at"));
    let spender = line(&alice, REFERRALS, "spe***");
    assert!(spender.contains("2.50 USD 2.50 USD pending"), "{spender}");
    assert!(
        spender.contains("Converted 15 Jan 2026") && spender.contains("Commission PENDING 2.50 USD vests 14 Feb 2026")
    );
}

#[test]
fn what_was_not_given_is_explained() {
    let app = App::start();
    let gateway = market(&app);
    let host = Some(MARKET);
    let alice = Member::new(&app, host, "Alice", "alice@alice.example", None);
    let bob = refer(&app, host, "bobby", &alice.code());
    assert!(!alice.page(REFERRALS).body.contains("Why something was not given"));
    buy(&gateway, "small", &bob, 99);
    buy(&gateway, "good", &bob, 100);
    let line = line(&alice, REFERRALS, "bo");
    assert!(
        line.contains(
            "Why something was not given Commission: the purchase was smaller than the least that counts. 15 Jan 2026"
        ),
        "{line}"
    );
    assert_eq!(line.matches("Commission: ").count(), 1, "{line}");
}

#[test]
fn lists_go_on_page_by_page_and_keep_their_filter() {
    let app = App::start();
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", None);
    let (code, gateway) = (alice.code(), app.gateway());
    for n in 0..27 {
        let referee = refer(&app, None, &format!("dev{n}"), &code);
        if n > 0 {
            use_api(&gateway, &format!("u{n}"), &referee, 1);
        }
    }
    let first = alice.page(REFERRALS).body;
    assert_eq!(first.matches("class=\"who\"").count(), 15);
    assert!(first.contains("dev26.example") && !first.contains("dev11.example") && !first.contains(">Newest<"));
    let next = |html: &str| {
        html.split_once("\" rel=\"next\"").map(|(it, _)| it.rsplit_once("href=\"").unwrap().1.replace("&#38;", "&"))
    };
    let second = alice.page(&next(&first).unwrap()).body;
    assert!(second.contains("dev11.example") && second.contains("dev0.example") && next(&second).is_none());
    assert_eq!(second.matches("class=\"who\"").count(), 12);
    assert!(second.contains(&format!("href=\"{REFERRALS}\">Newest</a>")));
    let called = alice.page(&format!("{REFERRALS}?status=first_call")).body;
    let rest = alice.page(&next(&called).unwrap()).body;
    assert_eq!(rest.matches("class=\"who\"").count(), 11);
    assert!(rest.contains(&format!("href=\"{REFERRALS}?status=first_call\">Newest</a>")));
}

#[test]
fn visitors_who_have_not_signed_up_are_counted_for_a_week() {
    let app = App::start();
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", None);
    let code = alice.code();
    let words = |path: &str| text(&alice.page(path).body);
    assert!(words(REFERRALS).contains("Nobody has signed up with your code yet"));
    click(&app, None, &code, "1");
    assert!(words(REFERRALS).contains("1 visitor clicked within 7 days Not Signed Up last click 15 Jan 2026"));
    for n in 2..60 {
        click(&app, None, &code, &n.to_string());
    }
    refer(&app, None, "Bob", &code);
    let all = words(REFERRALS);
    assert!(all.contains("59 visitors clicked within 7 days Not Signed Up") && all.contains("@bob.example"), "{all}");
    let alone = words(&format!("{REFERRALS}?status=not_signed_up"));
    assert_eq!(alone.matches("A visitor Not Signed Up 15 Jan 2026").count(), 50);
    assert!(alone.contains("9 more are not listed.") && !alone.contains("bob.example"), "{alone}");
    app.advance_days(8);
    assert!(!words(REFERRALS).contains("visitors clicked"));
    assert!(words(&format!("{REFERRALS}?status=not_signed_up")).contains("Nobody with this status"));
}

#[test]
fn who_has_erased_the_account_is_nobody_any_more() {
    let app = App::start();
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", None);
    let made = sign_up(&app, None, "Bob", "bob@bob.example", Some(&alice.code()));
    let bob = app.anonymous().with_key(made["api_key"].as_str().unwrap());
    assert_eq!(bob.delete("/v1/developers/me").status, 200);
    assert!(line(&alice, REFERRALS, "Account erased").contains("Signed Up"));
    assert!(text(&alice.page("/dashboard/ledger").body).contains("Account erased Referral signed up"));
    assert!(text(&alice.page("/dashboard").body).contains("Account erased Signed Up"));
}

#[test]
fn a_rule_s_own_name_is_shown_as_words_and_escaped() {
    let app = App::start();
    app.change_program(|program| {
        program["rules"] = json!([{ "reason": "launch_party", "on": "signup", "to": "referrer", "amount": 7 }]);
    });
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", None);
    refer(&app, None, "Bobby", &alice.code());
    let page = alice.page(REFERRALS);
    assert_page(&page, 200);
    assert!(line(&alice, REFERRALS, "bo").contains("Launch party ELIGIBLE 7 credits"));
}

#[test]
fn a_referral_with_much_behind_it_stays_short() {
    let app = App::start();
    let gateway = market(&app);
    let alice = Member::new(&app, Some(MARKET), "Alice", "alice@alice.example", None);
    let code = alice.code();
    for n in 0..20 {
        let referee = refer(&app, Some(MARKET), &format!("someone{n}"), &code);
        for purchase in 0..4 {
            buy(&gateway, &format!("small-{n}-{purchase}"), &referee, 99);
        }
        for purchase in 0..24 {
            buy(&gateway, &format!("p-{n}-{purchase}"), &referee, 1_000 * (purchase + 1));
        }
    }
    let page = alice.page(REFERRALS).body;
    assert!(page.len() < 30_000, "{} bytes", page.len());
    let last = line(&alice, REFERRALS, "some***@someone19");
    assert!(last.contains("150.00 USD 150.00 USD pending"), "{last}");
    // The last five, the newest first, and what the others come to: 0.50 and so on up to 9.50.
    for (amount, times) in [("12.00 USD", 1), ("11.50 USD", 1), ("10.00 USD", 1), ("9.50 USD", 0), ("PENDING", 5)] {
        assert_eq!(last.matches(amount).count(), times, "{amount}: {last}");
    }
    assert!(last.find("12.00 USD") < last.find("11.50 USD"), "{last}");
    assert!(last.contains("19 more in your ledger 95.00 USD"), "{last}");
    let thrice = "smaller than the least that counts. 15 Jan 2026, 15 Jan 2026, 15 Jan 2026";
    assert!(last.ends_with(thrice), "the last three of four: {last}");
    let told = alice.api("/v1/developers/referrals?limit=200");
    let of = |referral: &serde_json::Value| referral["credits"].as_array().unwrap().len();
    assert!(told["data"].as_array().unwrap().iter().all(|referral| of(referral) == 24), "the API has them all");
}
