//! The leaderboard as a page: the same rows as the API's, and the visitor's own place.

use crate::harness::{App, Developer, PASSWORD, Reply};
use crate::visitor::{FORM, Visitor, assert_page, encode, value_of};
use serde_json::json;

fn turn_on(app: &App) {
    app.change_program(|program| program["leaderboard"]["enabled"] = json!(true));
}

fn list_as(developer: &Developer, name: Option<&str>) {
    assert_eq!(developer.patch("/v1/developers/me", json!({ "leaderboard_name": name })).status, 200);
}

/// Somebody with so many referrals, listed under the name.
fn leader(app: &App, name: &str, listed: Option<&str>, referrals: usize) -> Developer {
    let developer = app.developer(name);
    list_as(&developer, listed);
    let code = developer.code();
    for n in 0..referrals {
        app.referee(&format!("{name}x{n}"), &code);
    }
    developer
}

fn sign_in(visitor: &Visitor, email: &str) {
    let csrf = value_of(&visitor.get("/login"), "csrf");
    let fields = [("csrf", csrf.as_str()), ("email", email), ("password", PASSWORD)];
    let reply = visitor.send("POST", "/login", &[FORM], &encode(&fields));
    assert_eq!(reply.status, 303, "{}", reply.body);
}

/// `rank name referrals`, row by row; the visitor's own with a star.
fn rows(page: &Reply) -> Vec<String> {
    assert_page(page, 200);
    let Some((_, body)) = page.body.split_once("<tbody>") else { return Vec::new() };
    let text = |html: &str| html.split('<').next().unwrap().trim().to_owned();
    let row = |html: &str| {
        let own = if html.starts_with(" class=\"own\"") { "*" } else { "" };
        let cell = |tag: &str| text(html.split_once(tag).unwrap().1);
        format!("{own}{} {} {}", cell("class=\"rank\">"), cell("scope=\"row\">"), cell("class=\"number\">"))
    };
    body.split("</tbody>").next().unwrap().split("<tr").skip(1).map(row).collect()
}

#[test]
fn it_is_not_there_until_the_program_turns_it_on() {
    let app = App::start();
    let visitor = Visitor::new(&app);
    for path in ["/leaderboard", "/leaderboard?period=week"] {
        assert_page(&visitor.get(path), 404);
    }
    turn_on(&app);
    let page = visitor.get("/leaderboard");
    assert!(rows(&page).is_empty() && page.body.contains("Nobody is listed yet"));
    assert!(page.body.contains("href=\"/account\"") && page.body.contains("href=\"/login\""), "how to be listed");
    for period in ["day", "WEEK", "%00"] {
        assert_page(&visitor.get(&format!("/leaderboard?period={period}")), 422);
    }
    assert_page(&visitor.get("/leaderboard?period=all&period=all"), 400);
}

#[test]
fn equals_share_a_rank_and_two_may_have_one_name() {
    let app = App::start();
    turn_on(&app);
    leader(&app, "Alice", Some("ali"), 3);
    let twin = leader(&app, "Carol", Some("the same"), 1);
    leader(&app, "Dave", Some("the same"), 1);
    leader(&app, "Erin", None, 2);
    leader(&app, "Frank", Some("frank"), 0);
    let visitor = Visitor::new(&app);
    assert_eq!(rows(&visitor.get("/leaderboard")), ["1 ali 3", "=2 the same 1", "=2 the same 1"]);
    let api = app.anonymous().get("/v1/leaderboard").json();
    assert_eq!(api["data"][1], json!({ "rank": 2, "name": "the same", "referrals": 1 }));
    assert_eq!(api["data"].as_array().unwrap().len(), 3);
    // Gone at once, from both.
    assert_eq!(twin.delete("/v1/developers/me").status, 200);
    assert_eq!(rows(&visitor.get("/leaderboard")), ["1 ali 3", "2 the same 1"]);
}

#[test]
fn periods_are_links() {
    let app = App::start();
    turn_on(&app);
    let alice = leader(&app, "Alice", Some("ali"), 1);
    app.advance_days(10);
    app.referee("Later", &alice.code());
    let visitor = Visitor::new(&app);
    for (period, row, title) in
        [("all", "1 ali 2", "All time"), ("month", "1 ali 2", "Last 30 days"), ("week", "1 ali 1", "Last 7 days")]
    {
        let page = visitor.get(&format!("/leaderboard?period={period}"));
        assert_eq!(rows(&page), [row], "{period}");
        let link = format!("<a href=\"/leaderboard?period={period}\" aria-current=\"page\">{title}</a>");
        assert_eq!((page.body.contains(&link), page.body.matches("aria-current").count()), (true, 1));
    }
    app.advance_days(40);
    assert!(visitor.get("/leaderboard?period=month").body.contains("Nobody is listed for this time"));
}

#[test]
fn the_board_follows_each_change_at_once() {
    let app = App::start();
    turn_on(&app);
    let alice = leader(&app, "Alice", Some("ali"), 1);
    let visitor = Visitor::new(&app);
    let board = || rows(&visitor.get("/leaderboard"));
    assert_eq!(board(), ["1 ali 1"]);
    app.referee("Second", &alice.code());
    assert_eq!(board(), ["1 ali 2"]);
    list_as(&alice, Some("a. li"));
    assert_eq!(board(), ["1 a. li 2"]);
    app.sqlite3(
        "UPDATE referral SET status = 'review', reason = 'same_address' WHERE id = (SELECT max(id) FROM referral)",
    );
    assert_eq!(board(), ["1 a. li 1"], "also what another program has changed");
    list_as(&alice, None);
    assert!(board().is_empty());
}

#[test]
fn a_name_is_shown_as_it_is_written() {
    let app = App::start();
    turn_on(&app);
    leader(&app, "Alice", Some("<b class=x>'\"&"), 1);
    let page = Visitor::new(&app).get("/leaderboard");
    assert_page(&page, 200);
    assert!(!page.body.contains("<b ") && page.body.contains("&#60;b class=x&#62;"), "{}", page.body);
}

#[test]
fn one_s_own_row_is_marked_or_its_absence_explained() {
    let app = App::start();
    turn_on(&app);
    let alice = leader(&app, "Alice", None, 1);
    leader(&app, "Carol", Some("caro"), 1);
    let visitor = Visitor::new(&app);
    sign_in(&visitor, "alice@alice.example");
    let page = visitor.get("/leaderboard");
    assert_eq!(rows(&page), ["1 caro 1"]);
    assert!(page.body.contains("You are not listed") && page.body.contains("Sign out"));
    list_as(&alice, Some("ali"));
    let page = visitor.get("/leaderboard");
    assert_eq!(rows(&page), ["*=1 ali 1", "=1 caro 1"]);
    assert!(page.body.contains("You are on this list") && page.body.matches(">You</span>").count() == 1);
    app.advance_days(8);
    let page = visitor.get("/leaderboard?period=week");
    assert!(rows(&page).is_empty() && page.body.contains("You are not on this list yet"));
    assert!(!visitor.get("/leaderboard").body.contains("dev_"), "no ids");
}

#[test]
fn after_the_hundredth_it_ends() {
    let app = App::start();
    turn_on(&app);
    let last = leader(&app, "Last", Some("last"), 1);
    let code = app.sqlite3("SELECT id FROM code").trim().to_owned();
    // A hundred others with two each, as an import would have written them.
    let made = app.sqlite3(&format!(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 300)
         INSERT INTO account (id, project_id, leaderboard_name, created_at_ms)
         SELECT n, project.id, CASE WHEN n <= 100 THEN 'p' || n END, 1 FROM n, project;
         INSERT INTO referral (id, project_id, code_id, referrer_id, referee_id, status, signed_up_at_ms, applied_at_ms,
                               judged_version)
         SELECT id, project_id, {code}, (id - 101) / 2 + 1, id, 'signed_up', 1, 1, 1
         FROM account WHERE id BETWEEN 101 AND 300;"
    ));
    assert_eq!(made, "");
    let visitor = Visitor::new(&app);
    sign_in(&visitor, "last@last.example");
    let page = visitor.get("/leaderboard");
    assert_eq!(rows(&page).len(), 100);
    assert!(page.body.contains("it ends at a hundred"));
    for n in 0..2 {
        app.referee(&format!("More{n}"), &last.code());
    }
    assert_eq!(rows(&visitor.get("/leaderboard"))[0], "*1 last 3");
}
