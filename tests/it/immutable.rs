//! The append-only tables from the plain `sqlite3` shell, as anyone with the file could reach them.

use crate::harness::App;
use crate::process::sqlite3_script;

/// Settings that a connection can choose: the tables have to hold under each.
const SETTINGS: [&str; 3] = [
    "PRAGMA recursive_triggers = OFF; PRAGMA foreign_keys = OFF;",
    "PRAGMA recursive_triggers = ON; PRAGMA foreign_keys = ON;",
    "",
];

/// A file with grants, spends, decisions and two versions of a program.
fn busy_app() -> App {
    let app = App::start();
    let alice = app.developer("Alice");
    let bob = app.referee("Bob", &alice.code());
    bob.use_api(&app.gateway(), "one", 10);
    app.change_program(|program| program["rules"][0]["amount"] = 900.into());
    app
}

fn dump(app: &App) -> String {
    app.sqlite3(".dump")
}

/// Each of these says why in its error and changes nothing, whatever the connection's settings.
fn refused(app: &App, attempts: &[(String, &str)]) {
    let before = dump(app);
    for (sql, why) in attempts {
        for settings in SETTINGS {
            let said = app.sqlite3(&format!("{settings} {sql}"));
            assert!(said.contains("Error") && said.contains(why), "{sql}\nwas to be refused with {why:?}: {said:?}");
        }
        assert!(dump(app) == before, "{sql}\nchanged the file");
    }
}

fn attempts(list: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    list.iter().map(|&(sql, why)| (sql.to_owned(), why)).collect()
}

/// An insert of an entry that fits the chain, with some columns changed.
fn entry(verb: &str, changes: &[(&str, &str)]) -> String {
    let mut columns = vec![
        ("seq", "(SELECT max(seq) + 1 FROM entry)"),
        ("project_id", "(SELECT id FROM project)"),
        ("account_id", "(SELECT account_id FROM lot WHERE seq = 1)"),
        ("lot", "1"),
        ("kind", "'spend'"),
        ("amount", "-5"),
        ("reason", "'api_usage'"),
        ("group_seq", "1"),
        ("at_ms", "1"),
        ("prev_hash", "(SELECT hash FROM entry ORDER BY seq DESC LIMIT 1)"),
        ("hash", "randomblob(32)"),
    ];
    for &(name, value) in changes {
        columns.retain(|(column, _)| *column != name);
        columns.push((name, value));
    }
    let (names, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    format!("{verb} INTO entry ({}) VALUES ({})", names.join(", "), values.join(", "))
}

const GRANT: [(&str, &str); 5] = [
    ("kind", "'grant'"),
    ("amount", "5"),
    ("lot", "(SELECT max(seq) + 1 FROM entry)"),
    ("vests_at_ms", "1"),
    ("vesting", "'cliff'"),
];

fn grant(changes: &[(&str, &str)]) -> String {
    entry("INSERT", &[&GRANT, changes].concat())
}

#[test]
fn an_entry_is_never_changed_nor_replaced() {
    let app = busy_app();
    refused(
        &app,
        &attempts(&[
            ("UPDATE entry SET amount = amount + 1", "append-only"),
            ("UPDATE OR IGNORE entry SET reason = 'other' WHERE seq = 2", "append-only"),
            ("UPDATE OR REPLACE entry SET seq = 2 WHERE seq = 3", "append-only"),
            ("UPDATE entry SET hash = hash", "append-only"),
            ("DELETE FROM entry", "append-only"),
            ("DELETE FROM entry WHERE seq = (SELECT max(seq) FROM entry)", "append-only"),
            ("REPLACE INTO entry SELECT * FROM entry WHERE seq = 1", "not the next"),
            ("INSERT OR REPLACE INTO entry SELECT * FROM entry WHERE seq = 2", "not the next"),
            ("INSERT OR IGNORE INTO entry SELECT * FROM entry WHERE seq = 2", "not the next"),
            ("INSERT OR ROLLBACK INTO entry SELECT * FROM entry WHERE seq = 2", "not the next"),
            ("INSERT OR FAIL INTO entry SELECT * FROM entry WHERE seq = 2", "not the next"),
            (
                "INSERT INTO entry SELECT * FROM entry WHERE seq = 1 ON CONFLICT (seq) DO UPDATE SET amount = 1",
                "not the next",
            ),
            ("INSERT INTO entry SELECT * FROM entry WHERE true ON CONFLICT DO NOTHING", "not the next"),
        ]),
    );
}

#[test]
fn an_entry_fits_the_chain_and_its_lot_or_is_refused() {
    let app = busy_app();
    // Without a change each is taken, so that what follows is refused for its own reason.
    let reversal = [("kind", "'reverse'"), ("origin_lot", "1"), ("amount", "-1000")];
    for good in [entry("INSERT", &[]), grant(&[]), entry("INSERT", &reversal)] {
        let said = app.sqlite3(&format!("BEGIN; {good}; SELECT changes(); ROLLBACK"));
        assert_eq!(said.trim(), "1", "{good}");
    }
    let other = "(SELECT account_id FROM lot WHERE seq = 2)";
    let mut list = Vec::new();
    for verb in ["INSERT", "REPLACE", "INSERT OR IGNORE", "INSERT OR ROLLBACK"] {
        for (changes, why) in [
            (&[("seq", "NULL")][..], "not the next"),
            (&[("seq", "1")], "not the next"),
            (&[("seq", "0")], "not the next"),
            (&[("seq", "-1")], "not the next"),
            (&[("seq", "(SELECT max(seq) + 2 FROM entry)")], "not the next"),
            (&[("prev_hash", "zeroblob(32)")], "not the next"),
            (&[("prev_hash", "(SELECT hash FROM entry WHERE seq = 1)")], "not the next"),
            (&[("amount", "-100000")], "does not fit"),
            (&[("kind", "'expire'"), ("amount", "-100000")], "does not fit"),
            (&[("kind", "'payout'"), ("amount", "-100000")], "does not fit"),
            (&[("kind", "'payout_return'"), ("amount", "100000")], "does not fit"),
            (&[("kind", "'repay'"), ("origin_lot", "1"), ("amount", "100000")], "does not fit"),
            (&[("kind", "'reverse'"), ("origin_lot", "1"), ("amount", "-100000")], "does not fit"),
            (&[("kind", "'reverse'"), ("origin_lot", "2")], "does not fit"),
            (&[("kind", "'reverse'"), ("origin_lot", "999")], "does not fit"),
            (
                &[
                    ("kind", "'reverse'"),
                    ("account_id", other),
                    ("lot", "2"),
                    ("origin_lot", "(SELECT max(seq) FROM lot)"),
                    ("amount", "-501"),
                ],
                "does not fit",
            ),
            (&[("account_id", other)], "does not fit"),
            (&[("lot", "2")], "does not fit"),
            (&[("lot", "999")], "does not fit"),
            (&[("project_id", "1")], "does not fit"),
        ] {
            list.push((entry(verb, changes), why));
        }
    }
    refused(&app, &list);
}

#[test]
fn checks_hold_for_every_column_of_an_entry() {
    let app = busy_app();
    let change = |changes: &[(&str, &str)]| (entry("INSERT", changes), "constraint failed");
    let long = format!("'{}'", "x".repeat(41));
    refused(
        &app,
        &[
            change(&[("kind", "'gift'")]),
            change(&[("amount", "0")]),
            change(&[("amount", "5")]),
            change(&[("reason", "''")]),
            change(&[("reason", &long)]),
            change(&[("hash", "zeroblob(31)")]),
            change(&[("hash", "NULL")]),
            change(&[("group_seq", "1000000")]),
            change(&[("expires_at_ms", "5")]),
            change(&[("program_version", "1")]),
            change(&[("decision_id", "1")]),
            change(&[("vests_at_ms", "5"), ("vesting", "'cliff'")]),
            change(&[("kind", "'reverse'")]),
            change(&[("origin_lot", "1")]),
            (grant(&[("amount", "-5")]), "constraint failed"),
            (grant(&[("vesting", "'never'")]), "constraint failed"),
            (grant(&[("vests_at_ms", "NULL")]), "constraint failed"),
            (grant(&[("lot", "1")]), "constraint failed"),
            (entry("INSERT", &[("amount", "'-5x'")]), "cannot store TEXT"),
            (entry("INSERT", &[("at_ms", "1.5")]), "cannot store REAL"),
        ],
    );
}

#[test]
fn decisions_stay_and_a_rule_never_pays_twice() {
    let app = busy_app();
    let again = |verb: &str, id: &str, verdict: &str| {
        format!(
            "{verb} INTO decision SELECT {id}, project_id, referral_id, purchase_id, program_version, event, rule,
             inputs, '{verdict}', code, basis_points, at_ms FROM decision WHERE id = 1"
        )
    };
    let next = "(SELECT max(id) + 1 FROM decision)";
    let mut list = attempts(&[
        ("UPDATE decision SET verdict = 'refused'", "append-only"),
        ("UPDATE OR REPLACE decision SET id = 1 WHERE id = 2", "append-only"),
        ("DELETE FROM decision", "append-only"),
        (
            "INSERT INTO decision SELECT * FROM decision WHERE id = 1 ON CONFLICT DO UPDATE SET code = 'x'",
            "not the next",
        ),
        ("INSERT INTO decision SELECT * FROM decision WHERE true ON CONFLICT DO NOTHING", "not the next"),
    ]);
    for verb in ["INSERT", "REPLACE", "INSERT OR IGNORE", "INSERT OR ROLLBACK", "INSERT OR FAIL"] {
        for id in [next, "NULL", "1", "2", "1000"] {
            list.push((again(verb, id, "granted"), "not the next, or paid already"));
        }
        list.push((again(verb, "1", "refused"), "not the next"));
    }
    list.push((again("INSERT", next, "perhaps"), "constraint failed"));
    refused(&app, &list);
    let said = app.sqlite3(&format!("BEGIN; {}; SELECT changes(); ROLLBACK", again("INSERT", next, "refused")));
    assert_eq!(said.trim(), "1", "a refusal may be told again");

    // The index is the last line of defence where someone dropped the trigger.
    let said =
        app.sqlite3(&format!("BEGIN; DROP TRIGGER decision_in_order; {}; ROLLBACK", again("INSERT", next, "granted")));
    assert!(said.contains("UNIQUE constraint failed"), "{said}");
}

#[test]
fn versions_of_a_program_stay() {
    let app = busy_app();
    let version = |verb: &str, number: &str| {
        format!("{verb} INTO program SELECT project_id, {number}, '{{}}', 'me', 1 FROM program WHERE version = 1")
    };
    let mut list = attempts(&[
        ("UPDATE program SET body = '{}'", "append-only"),
        ("UPDATE OR REPLACE program SET version = 2 WHERE version = 1", "append-only"),
        ("DELETE FROM program WHERE version = 2", "append-only"),
        (
            "INSERT INTO program SELECT * FROM program WHERE version = 1
             ON CONFLICT (project_id, version) DO UPDATE SET body = '{}'",
            "not the next",
        ),
    ]);
    for verb in ["INSERT", "REPLACE", "INSERT OR IGNORE", "INSERT OR ROLLBACK"] {
        list.extend(["1", "2", "4", "0", "NULL"].map(|number| (version(verb, number), "not the next")));
    }
    refused(&app, &list);
}

#[test]
fn what_is_refused_leaves_its_neighbours_in_the_transaction() {
    let app = busy_app();
    let entries = app.sqlite3("SELECT count(*) FROM entry");
    for (place, refused) in [
        "DELETE FROM entry",
        "UPDATE entry SET amount = 1",
        "REPLACE INTO entry SELECT * FROM entry WHERE seq = 1",
        "INSERT OR ROLLBACK INTO entry SELECT * FROM entry WHERE seq = 1",
        "DELETE FROM decision",
        "REPLACE INTO program SELECT * FROM program WHERE version = 1",
    ]
    .iter()
    .enumerate()
    {
        let script = format!(
            "BEGIN; INSERT INTO team VALUES ({place}, 'team{place}', 'Team', 1);\n{refused};
             INSERT INTO team VALUES ({place} + 100, 'late{place}', 'Team', 1); COMMIT;\n"
        );
        let said = sqlite3_script(&app.db(), &script);
        assert!(said.contains("rror"), "{refused}: {said}");
        let kept = app.sqlite3(&format!("SELECT count(*) FROM team WHERE slug IN ('team{place}', 'late{place}')"));
        assert_eq!(kept.trim(), "2", "{refused}");
    }
    assert_eq!(app.sqlite3("SELECT count(*) FROM entry"), entries);
}

#[test]
fn every_table_is_strict_and_refers_to_what_is_there() {
    let app = busy_app();
    let loose = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict
                 AND name NOT LIKE 'sqlite_%'";
    assert_eq!(app.sqlite3(loose), "");
    assert_eq!(app.sqlite3("PRAGMA foreign_key_check"), "");
    assert_eq!(app.sqlite3("PRAGMA integrity_check").trim(), "ok");
    let before = dump(&app);
    for sql in [
        grant(&[("account_id", "5")]),
        grant(&[("project_id", "5")]),
        grant(&[("referral_id", "5")]),
        grant(&[("purchase_id", "5")]),
        grant(&[("decision_id", "500")]),
        "INSERT INTO program VALUES (5, 1, '{}', 'me', 1)".into(),
        "INSERT INTO usage_event VALUES (99, (SELECT id FROM project), 'x', 5, 1, 1, 0, NULL, 1)".into(),
        "DELETE FROM project".into(),
        "DELETE FROM account".into(),
        "DELETE FROM referral".into(),
        "DELETE FROM code".into(),
    ] {
        let said = app.sqlite3(&format!("PRAGMA foreign_keys = ON; {sql}"));
        assert!(said.contains("FOREIGN KEY constraint failed"), "{sql}: {said}");
    }
    assert!(dump(&app) == before);
}

#[test]
fn closed_sets_and_signs_are_checked_everywhere() {
    let app = busy_app();
    let before = dump(&app);
    for sql in [
        "UPDATE referral SET status = 'other'",
        "UPDATE referral SET status = 'rejected'",
        "UPDATE referral SET reason = 'why'",
        "UPDATE referral SET referee_id = referrer_id",
        "UPDATE code SET uses_count = -1",
        "UPDATE code SET max_uses = 0",
        "UPDATE code SET code = lower(code)",
        "UPDATE code SET code = 'ABC'",
        "UPDATE code SET uses_count = 2, max_uses = 1",
        "UPDATE account SET track = 'gold'",
        "UPDATE account SET erased_at_ms = 1",
        "UPDATE account SET email = (SELECT min(email) FROM account)",
        "UPDATE project SET mode = 'demo'",
        "UPDATE instance SET id = 2",
        "UPDATE instance SET signing_key = zeroblob(31)",
        "UPDATE api_key SET hash = zeroblob(31)",
        "UPDATE api_key SET scopes = ''",
        "UPDATE usage_event SET calls = -1",
        "UPDATE usage_event SET charged = -1",
        "UPDATE usage_event SET uncovered = -1",
        "UPDATE usage_total SET calls = -1",
        "INSERT INTO purchase VALUES (1, 1, 'p', 1, 0, 'usd', 1, 1)",
        "INSERT INTO refund VALUES (1, 1, 'r', 'p', 0, 0, 1)",
    ] {
        let said = app.sqlite3(sql);
        assert!(said.contains("constraint failed"), "{sql}: {said}");
    }
    assert!(dump(&app) == before);
}
