//! The public leaderboard: off unless the program says so, and only of those who want to be on it.

use crate::harness::{App, Developer};
use serde_json::{Value, json};

const BOARD: &str = "/v1/leaderboard";

fn list_as(developer: &Developer, name: &str) {
    let reply = developer.patch("/v1/developers/me", json!({ "leaderboard_name": name }));
    assert_eq!(reply.status, 200);
}

/// `rank name referrals`, line by line.
fn board(app: &App, query: &str) -> Vec<String> {
    let reply = app.anonymous().get(&format!("{BOARD}{query}"));
    assert_eq!(reply.status, 200, "{}", reply.body);
    let line = |row: &Value| format!("{} {} {}", row["rank"], row["name"].as_str().unwrap(), row["referrals"]);
    reply.json()["data"].as_array().unwrap().iter().map(line).collect()
}

#[test]
fn it_is_off_until_the_program_turns_it_on() {
    let app = App::start();
    let alice = app.developer("Alice");
    list_as(&alice, "ali");
    app.referee("Bob", &alice.code());
    assert_eq!(app.anonymous().get(BOARD).problem(404), "not_found");
    app.change_program(|program| program["leaderboard"]["enabled"] = json!(true));
    assert_eq!(board(&app, ""), ["1 ali 1"]);
    app.change_program(|program| program["leaderboard"]["enabled"] = json!(false));
    assert_eq!(app.anonymous().get(BOARD).status, 404);
}

#[test]
fn only_those_who_opted_in_are_ranked_and_equals_share_a_rank() {
    let app = App::start();
    app.change_program(|program| program["leaderboard"]["enabled"] = json!(true));
    let people: Vec<_> = ["Alice", "Carol", "Dave", "Erin", "Frank"].map(|name| app.developer(name)).into();
    for (n, (developer, referrals)) in people.iter().zip([3, 2, 1, 1, 0]).enumerate() {
        let code = developer.code();
        for m in 0..referrals {
            app.referee(&format!("Ref{n}x{m}"), &code);
        }
    }
    // A rejected referral counts for nobody.
    app.sign_up("Eve", "eve@erin.example", Some(&people[3].code()));
    assert_eq!(board(&app, ""), Vec::<String>::new());
    for (place, name) in [(1, "caro"), (2, "dave!"), (3, "Érin"), (4, "frank")] {
        list_as(&people[place], name);
    }
    assert_eq!(board(&app, ""), ["1 caro 2", "2 dave! 1", "2 Érin 1"], "rank among those listed");
    list_as(&people[0], "ali");
    assert_eq!(board(&app, ""), ["1 ali 3", "2 caro 2", "3 dave! 1", "3 Érin 1"]);
    people[1].patch("/v1/developers/me", json!({ "leaderboard_name": null }));
    people[2].delete("/v1/developers/me");
    assert_eq!(board(&app, ""), ["1 ali 3", "2 Érin 1"]);
    let body = app.anonymous().get(BOARD).body;
    assert!(!body.contains("example") && !body.contains("dev_"), "{body}");
}

#[test]
fn periods_look_back_a_week_or_a_month() {
    let app = App::start();
    app.change_program(|program| program["leaderboard"]["enabled"] = json!(true));
    let alice = app.developer("Alice");
    list_as(&alice, "ali");
    let code = alice.code();
    app.referee("Bob", &code);
    app.advance_days(20);
    app.referee("Carol", &code);
    app.advance_days(5);
    app.referee("Dave", &code);
    let counts = |app: &App| ["?period=week", "?period=month", "?period=all", ""].map(|query| board(app, query));
    let line = |count: i64| vec![format!("1 ali {count}")];
    assert_eq!(counts(&app), [line(2), line(3), line(3), line(3)]);
    app.advance_days(6);
    assert_eq!(counts(&app), [line(1), line(2), line(3), line(3)]);
    app.advance_days(100);
    assert_eq!(counts(&app), [vec![], vec![], line(3), line(3)]);
    for period in ["day", "WEEK", "7"] {
        assert_eq!(app.anonymous().get(&format!("{BOARD}?period={period}")).faults(), ["period: invalid_period"]);
    }
}
