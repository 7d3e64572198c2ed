//! The overview: the code and its links, empty states, what is to come.

use super::story::{MARKET, Member, between, buy, market, refer, refund, sign_up, text, use_api};
use crate::harness::App;
use serde_json::json;

fn words(member: &Member) -> String {
    text(&member.page("/dashboard").body)
}

#[test]
fn one_button_makes_a_code_and_everything_to_share_it_with() {
    let app = App::start();
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", None);
    let empty = alice.page("/dashboard").body;
    assert!(text(&empty).contains("Start with your own code") && text(&empty).contains("Nobody yet"));
    assert!(text(&empty).contains("How it works") && !empty.contains("<svg viewBox=\"0 0 600"));
    assert!(!empty.contains("/qr/") && !empty.contains("x.com"));
    for _ in 0..2 {
        let reply = alice.submit("/dashboard/code", &[]);
        assert_eq!((reply.status, reply.header("Location")), (303, Some("/dashboard")));
    }
    assert_eq!(app.sqlite3("SELECT count(*) FROM code").trim(), "1");
    let page = alice.page("/dashboard").body;
    let (link, code) = (format!("{}/r/ALICE2026", app.url), alice.code());
    assert_eq!(text(between(&page, "id=\"own-link\">", "</code>")).replace(' ', ""), link);
    assert_eq!((between(&page, "id=\"own-code\">", "<"), code.as_str()), ("ALICE2026", "ALICE2026"));
    assert!(page.contains("src=\"/qr/ALICE2026.svg\"") && page.contains("download=\"ALICE2026.svg\""));
    assert_eq!(alice.get("/qr/ALICE2026.svg").status, 200);
    // The same posts as the API's, with this link.
    let told = alice.client().post("/v1/developers/referral-code", json!({})).json();
    let (api_link, post) = (told["referral_url"].as_str().unwrap(), told["share_text"].as_str().unwrap());
    assert_eq!(text(between(&page, "id=\"post-text\">", "</p>")), post.replace(api_link, &link));
    let escape =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    for network in ["x", "linkedin", "telegram", "email"] {
        let url = told["share"][network].as_str().unwrap().replace(&escape(api_link), &escape(&link));
        assert!(page.contains(&format!("href=\"{}\"", url.replace('&', "&#38;"))), "{network}: {url}");
    }
    assert!(words(&alice).contains("LinkedIn takes the link alone"));
    assert!(words(&alice).contains("Whoever signs up with it starts with 1,000 credits"));
    assert_eq!(alice.get("/r/ALICE2026").header("Location"), Some("/signup?ref=ALICE2026"), "the link works");
}

#[test]
fn a_code_that_is_deactivated_or_counted_says_so() {
    let app = App::start();
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", None);
    let limited = alice.client().post("/v1/developers/referral-code", json!({ "code": "TEAMONE", "max_uses": 3 }));
    assert_eq!(limited.status, 201);
    refer(&app, None, "Bob", "TEAMONE");
    assert!(words(&alice).contains("1 of 3 uses taken"));
    assert_eq!(alice.client().delete("/v1/developers/referral-code").status, 200);
    let page = words(&alice);
    assert!(page.contains("Your code is deactivated TEAMONE brings in nobody any more"), "{page}");
    assert!(page.contains("Make my new code"));
    alice.submit("/dashboard/code", &[]);
    assert!(words(&alice).contains("Code ALICE2026"));
}

#[test]
fn a_program_that_is_off_is_said_to_be() {
    let app = App::start();
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", None);
    alice.code();
    assert!(!words(&alice).contains("switched off"));
    app.change_program(|program| program["enabled"] = false.into());
    let page = words(&alice);
    assert!(page.contains("switched off at the moment") && !page.contains("starts with 1,000"), "{page}");
    // Nothing asks to share what counts nobody; the code and the link are still theirs.
    for promise in ["your referral", "Telegram", "What is posted", "Download QR", "Post your link", "Share your link"] {
        assert!(!page.replace("Your referral link", "").contains(promise), "{promise}: {page}");
    }
    assert!(page.contains("Code ALICE2026") && page.contains("counts again"), "{page}");
    let bob = Member::new(&app, None, "Bob", "bob@bob.example", None);
    assert!(!words(&bob).contains("to share"), "{}", words(&bob));
}

#[test]
fn what_is_pending_has_its_day_and_what_expires_too() {
    let app = App::start();
    app.change_program(|program| {
        program["rules"] = json!([
            { "reason": "signup_bonus", "on": "signup", "to": "referee", "amount": 900, "expires_days": 10 },
            { "reason": "slowly", "on": "signup", "to": "referrer", "amount": 300, "hold_days": 3, "vesting": "linear" },
            { "reason": "later", "on": "first_call", "to": "referrer", "amount": 50, "hold_days": 7 },
        ]);
    });
    let zoe = Member::new(&app, None, "Zoe", "zoe@zoe.example", None);
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", Some(&zoe.code()));
    let page = words(&alice);
    assert!(
        page.contains("Nothing is held now") && page.contains("900 credits expire on 25 Jan 2026 unless used before")
    );
    let bob = refer(&app, None, "Bob", &alice.code());
    use_api(&app.gateway(), "b", &bob, 1);
    app.advance_days(1);
    let page = words(&alice);
    assert!(page.contains("Available 1,000 credits"), "{page}");
    assert!(
        page.contains("Pending 250 credits Day by day until 18 Jan 2026 200 credits On 22 Jan 2026 50 credits"),
        "{page}"
    );
    assert!(page.contains("300 credits when someone signs up with your code yours day by day over 3 days"), "{page}");
}

#[test]
fn what_is_owed_is_said_and_explained() {
    let app = App::start();
    let gateway = market(&app);
    let alice = Member::new(&app, Some(MARKET), "Alice", "alice@alice.example", None);
    let bob = refer(&app, Some(MARKET), "Bob", &alice.code());
    buy(&gateway, "p", &bob, 10_000);
    app.advance_days(31);
    alice.sign_in("alice@alice.example");
    use_api(&gateway, "spend", &alice.id, 400);
    assert!(!words(&alice).contains("Owed"));
    refund(&gateway, "r", "p", 10_000);
    let page = words(&alice);
    assert!(page.contains("Available 0.00 USD Owed 4.00 USD Pending 0.00 USD"), "{page}");
    assert!(page.contains("What you earn next repays it first"), "{page}");
    assert!(text(&alice.page("/dashboard/ledger").body).contains("Owed 4.00 USD"));
}

#[test]
fn a_commission_program_shows_both_tracks_and_what_comes_next() {
    let app = App::start();
    market(&app);
    let alice = Member::new(&app, Some(MARKET), "Alice", "alice@alice.example", None);
    let page = words(&alice);
    assert!(page.contains("5% of every purchase they make purchases from 1.00 USD · yours after 30 days"), "{page}");
    assert!(page.contains("Basic Your track 5% of what your referrals buy Partner 10% of what"), "{page}");
    assert!(page.contains("Partners are paid out to their bank, from what they have earned so far, too. Upgrade to"));
    assert_eq!(app.sqlite3("UPDATE account SET track = 'partner'"), "");
    let page = words(&alice);
    assert!(page.contains("10% of every purchase they make"), "{page}");
    assert!(page.contains("Basic 5% of what your referrals buy Partner Your track 10%"), "{page}");
    assert!(page.contains("Connect Stripe next, to be paid out to your bank. Connect Stripe"), "{page}");
    let plain = Member::new(&app, None, "Alice", "alice@alice.example", None);
    assert!(!words(&plain).contains("Partner"));
}

#[test]
fn names_are_escaped_and_long_ones_are_kept_whole() {
    let app = App::start();
    let name = format!("<b>Al</b> & \"{}\"", "x".repeat(80));
    let alice = Member::new(&app, None, &name, "alice@alice.example", None);
    let page = alice.page("/dashboard");
    assert!(!page.body.contains("<b>Al"));
    assert!(text(&page.body).contains(&name), "{}", text(&page.body));
}

#[test]
fn the_overview_lists_the_last_five() {
    let app = App::start();
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", None);
    let code = alice.code();
    for n in 0..6 {
        sign_up(&app, None, "Dev", &format!("someone@dev{n}.example"), Some(&code));
    }
    let page = alice.page("/dashboard").body;
    let recent = text(between(&page, "class=\"people\"", "</ul>"));
    assert!(recent.contains("som***@dev5.example Signed Up 15 Jan 2026 500 credits"), "{recent}");
    assert!(recent.contains("dev1.example") && !recent.contains("dev0.example"), "{recent}");
}
