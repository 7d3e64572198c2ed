//! The ledger on the page, and as CSV with a session.

use super::story::{Member, Story, amount, between, refer, text, use_api};
use crate::harness::App;
use crate::visitor::assert_page;
use serde_json::Value;

/// The rows of all pages from this one on: date, e-mail, reason, status, amount, and the balance if it is there.
fn rows(member: &Member, path: &str) -> Vec<Vec<String>> {
    let (mut rows, mut path) = (Vec::new(), path.to_owned());
    loop {
        let html = member.page(&path).body;
        if let Some((_, body)) = html.split_once("<tbody>") {
            let body = body.split("</tbody>").next().unwrap();
            let cells = |row: &str| row.split("<td").skip(1).map(|cell| text(&format!("<td{cell}"))).collect();
            rows.extend(body.split("<tr").skip(1).map(cells).collect::<Vec<Vec<String>>>());
        }
        let Some((before, _)) = html.split_once("\" rel=\"next\"") else { return rows };
        before.rsplit_once("href=\"").unwrap().1.replace("&#38;", "&").clone_into(&mut path);
    }
}

fn entries(member: &Member, query: &str) -> Vec<Value> {
    member.api(&format!("/v1/developers/ledger?limit=200{query}"))["data"].as_array().unwrap().clone()
}

fn signed(entry: &Value, unit: &str) -> String {
    let size = entry["credit_amount"].as_i64().unwrap();
    format!("{}{}", if size > 0 { "+" } else { "" }, amount(size, unit)).replace('-', "−")
}

#[test]
fn the_page_says_what_the_api_says_and_its_balances_add_up() {
    let app = App::start();
    let story = Story::tell(&app);
    for (member, unit) in [(&story.credits, "credits"), (&story.commission, "USD")] {
        let (rows, entries) = (rows(member, "/dashboard/ledger"), entries(member, ""));
        assert_eq!(rows.len(), entries.len());
        assert!(rows.len() > 25, "more than a page");
        let total: i64 = entries.iter().map(|entry| entry["credit_amount"].as_i64().unwrap()).sum();
        let mut balance = total;
        for (row, entry) in rows.iter().zip(&entries) {
            assert_eq!(row[3], entry["status"].as_str().unwrap(), "{row:?}");
            assert_eq!(row[4], signed(entry, unit), "{row:?}");
            let of_balance = |text: &str| {
                text.split(' ').next().unwrap().replace([',', '.'], "").replace('−', "-").parse::<i64>().unwrap()
            };
            assert_eq!(of_balance(&row[5]), balance, "{row:?}");
            balance -= entry["credit_amount"].as_i64().unwrap();
            assert_eq!(row[1] == "–", entry["referee_id"].is_null(), "{row:?}");
        }
        assert_eq!(balance, 0, "the first entry starts from nothing");
        let stats = member.api("/v1/developers/referral-stats");
        let of = |name: &str| stats[name].as_i64().unwrap();
        assert_eq!(total, of("credits_available") + of("credits_pending") - of("owed"));
        let totals = text(between(&member.page("/dashboard/ledger").body, "class=\"card totals\"", "</section>"));
        for (label, name) in [
            ("Earned", "credits_earned"),
            ("Available", "credits_available"),
            ("Pending", "credits_pending"),
            ("Used", "credits_used"),
            ("Taken back", "credits_reversed"),
            ("Expired", "credits_expired"),
        ] {
            let shown = totals.contains(&format!("{label} {}", amount(of(name), unit)));
            assert_eq!(shown, of(name) > 0 || ["Earned", "Available", "Pending", "Used"].contains(&label), "{totals}");
        }
    }
    let words = text(&story.commission.page("/dashboard/ledger").body);
    assert!(words.contains("held while under review") && words.contains("vests "), "{words}");
    let all: String = rows(&story.commission, "/dashboard/ledger").concat().concat();
    assert!(all.contains("You") && all.contains("Signup bonus") && all.contains("expired 14 Feb 2026"), "{all}");
    assert!(!all.contains("alice@alice.example") && all.contains("buy***@buyer"));
}

#[test]
fn filters_pick_and_the_csv_is_the_api_s_own() {
    let app = App::start();
    let story = Story::tell(&app);
    let alice = &story.commission;
    for (page, api) in [
        ("", ""),
        ("status=PENDING", "status=PENDING"),
        ("status=reversed", "status=REVERSED"),
        // The last day counts whole on the page; the API's end is exclusive.
        ("from=2026-02-01&to=2026-02-28", "from=2026-02-01&to=2026-03-01"),
        ("from=2026-02-01&to=2026-02-28&status=ELIGIBLE", "from=2026-02-01&to=2026-03-01&status=ELIGIBLE"),
        ("from=2031-01-01", "from=2031-01-01"),
    ] {
        let wanted: Vec<String> = entries(alice, &format!("&{api}")).iter().map(|entry| signed(entry, "USD")).collect();
        let rows = rows(alice, &format!("/dashboard/ledger?{page}"));
        assert_eq!(rows.iter().map(|row| row[4].clone()).collect::<Vec<_>>(), wanted, "{page}");
        assert!(page.is_empty() || rows.iter().all(|row| row.len() == 5), "a part has no running balance");
        let (own, theirs) = (
            alice.get(&format!("/dashboard/ledger.csv?{page}")),
            alice.client().get(&format!("/v1/developers/ledger.csv?{api}")),
        );
        assert_eq!((own.status, own.header("Content-Type")), (200, theirs.header("Content-Type")));
        assert_eq!(own.header("Content-Disposition"), Some("attachment; filename=\"ledger.csv\""));
        assert!(own.body == theirs.body, "{page}");
        assert_eq!(own.body.lines().count(), wanted.len() + 1);
    }
    let page = alice.page("/dashboard/ledger?from=2026-02-01&status=PENDING").body;
    assert!(page.contains("href=\"/dashboard/ledger.csv?from=2026%2D02%2D01&#38;status=PENDING\""), "{page}");
    assert!(page.contains("value=\"2026-02-01\"") && page.contains("<option selected>PENDING"));
    // Also where there has been no payout yet.
    assert!(page.contains("<option>PAID<") && page.contains("<option>RETURNED<"), "{page}");
}

#[test]
fn a_filter_that_cannot_be_is_said_and_keeps_what_was_typed() {
    let app = App::start();
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", None);
    for query in ["from=2026-13-01", "status=%3Cb%3E", "from=2026-02-02&to=2026-02-01", "to=%22%3E%3Ci%3E"] {
        let page = alice.get(&format!("/dashboard/ledger?{query}"));
        assert_page(&page, 422);
        assert!(page.body.contains("The filter was not used") && page.body.contains("<title>Error: "), "{query}");
        assert!(!page.body.contains("<b>") && !page.body.contains("<i>"));
        assert!(page.body.contains("href=\"/dashboard/ledger.csv\""), "no link to what would fail");
    }
    assert!(alice.get("/dashboard/ledger?from=2026-02-02&to=2026-02-01").body.contains("value=\"2026-02-02\""));
}

#[test]
fn an_empty_ledger_says_how_it_fills() {
    let app = App::start();
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", None);
    assert!(text(&alice.page("/dashboard/ledger").body).contains("Nothing has moved yet"));
    assert!(text(&alice.page("/dashboard/ledger?status=PAID").body).contains("No entry fits"));
    assert_eq!(alice.get("/dashboard/ledger.csv").body.lines().count(), 1, "the header");
    let bob = refer(&app, None, "Bob", &alice.code());
    use_api(&app.gateway(), "b", &bob, 1);
    let words = text(&alice.page("/dashboard/ledger").body);
    assert!(words.contains("bo***@bob.example") || words.contains("b***@bob.example"), "{words}");
    assert!(words.contains("Referral’s first API call vests 22 Jan 2026 PENDING +500 credits"), "{words}");
    // Who has erased the account is nobody any more.
    app.sqlite3("SELECT 1");
    assert!(alice.page("/dashboard/ledger").body.contains("href=\"/v1/ledger/head\""));
}

#[test]
fn what_has_expired_is_gone_before_it_is_booked() {
    let app = App::start();
    app.change_program(|program| {
        program["rules"] = serde_json::json!([
            { "reason": "signup_bonus", "on": "signup", "to": "referee", "amount": 900, "expires_days": 10 },
            { "reason": "kept", "on": "signup", "to": "referrer", "amount": 40 },
        ]);
    });
    let zoe = Member::new(&app, None, "Zoe", "zoe@zoe.example", None);
    let alice = Member::new(&app, None, "Alice", "alice@alice.example", Some(&zoe.code()));
    refer(&app, None, "Bob", &alice.code());
    let row = |row: &[&str]| row.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    let gain = |expires: &str, status: &str| {
        let reason = format!("Signup bonus {expires} 25 Jan 2026");
        row(&["15 Jan 2026", "You", &reason, status, "+900 credits", "900 credits"])
    };
    let seen = |path: &str| rows(&alice, path);
    let before = seen("/dashboard/ledger");
    assert_eq!((before.len(), &before[1], before[0][5].as_str()), (2, &gain("expires", "ELIGIBLE"), "940 credits"));
    app.advance_days(11);
    let gone = row(&["26 Jan 2026", "–", "Expired", "EXPIRED", "−900 credits", "40 credits"]);
    let lapsed = seen("/dashboard/ledger");
    assert_eq!((lapsed.len(), &lapsed[0], &lapsed[2]), (3, &gone, &gain("expired", "EXPIRED")), "{lapsed:?}");
    assert_eq!((lapsed[1][5].as_str(), entries(&alice, "").len()), ("940 credits", 2), "it is not booked yet");
    assert!(text(&alice.page("/dashboard/ledger").body).contains("Available 40 credits"));
    assert_eq!(seen("/dashboard/ledger?status=EXPIRED").len(), 1, "a filter picks among entries");
    app.sweep();
    let booked = seen("/dashboard/ledger");
    assert_eq!((&booked[1..], &booked[0][2..], entries(&alice, "").len()), (&lapsed[1..], &gone[2..], 3));
}
