//! `refloop verify` against someone who has the file, the schema and the source, and all the time in the world.

use crate::harness::App;
use crate::process::{self, run, sqlite3};
use refloop::domain::id::{AccountId, ProjectId, ReferralId};
use refloop::domain::ledger::{Entry, EntryKind};
use refloop::domain::program::Vesting;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A file in order with every kind of history, copies of it to tamper with, and the head that someone kept.
struct Evidence {
    app: App,
    dir: tempfile::TempDir,
    head: Value,
    entries: i64,
}

/// The triggers of `schema.sql`, for an attacker who puts back what was in the way.
fn triggers() -> Vec<String> {
    let schema = include_str!("../../schema.sql");
    let starts = schema.match_indices("CREATE TRIGGER").map(|(start, _)| start);
    starts.map(|start| schema[start..start + schema[start..].find("END;").unwrap() + 4].to_owned()).collect()
}

fn name_of(trigger: &str) -> &str {
    trigger.split_whitespace().nth(2).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    format!("x'{}'", hex::encode(bytes))
}

impl Evidence {
    /// Grants, spends of several lots, milestones, an expiry: eleven entries or more.
    fn gather() -> Self {
        let app = App::start();
        app.change_program(|program| program["rules"][0]["expires_days"] = 30.into());
        let (alice, gateway) = (app.developer("Alice"), app.gateway());
        let code = alice.code();
        let (bob, carol) = (app.referee("Bob", &code), app.referee("Carol", &code));
        bob.use_api(&gateway, "one", 100);
        carol.use_api(&gateway, "two", 50);
        alice.use_api(&gateway, "three", 700);
        app.advance_days(31);
        app.sweep();
        alice.use_api(&gateway, "four", 30);
        let head = app.anonymous().get("/v1/ledger/head").json();
        let entries = head["seq"].as_i64().unwrap();
        assert!(entries >= 11, "{head}");
        Self { app, dir: tempfile::tempdir().unwrap(), head, entries }
    }

    fn copy(&self, name: &str) -> PathBuf {
        let file = self.dir.path().join(format!("{name}.db"));
        let said = self.app.sqlite3(&format!(".backup '{}'", file.display()));
        assert_eq!(said, "");
        file
    }

    /// A copy on which the ledger's triggers were out of the way for a moment.
    fn tampered(&self, name: &str, sql: &str) -> PathBuf {
        let file = self.copy(name);
        tamper(&file, sql);
        file
    }

    fn save_head(&self, name: &str, head: &Value) -> PathBuf {
        let file = self.dir.path().join(format!("{name}.json"));
        std::fs::write(&file, head.to_string()).unwrap();
        file
    }

    fn verify(&self, file: &Path, head: Option<&Value>) -> Value {
        let saved = head.map(|head| self.save_head("kept", head));
        let mut args = vec!["verify", file.to_str().unwrap(), "--json"];
        if let Some(saved) = &saved {
            args.extend(["--head", saved.to_str().unwrap()]);
        }
        let said = run(self.dir.path(), &args);
        let verdict = said.json();
        assert_eq!(said.code, i32::from(verdict["ok"] == false), "{said:?}");
        assert_eq!(said.err, "");
        verdict
    }

    fn finds(&self, file: &Path, head: Option<&Value>, seq: i64, problem: &str) {
        let verdict = self.verify(file, head);
        let found = (verdict["seq"].as_i64(), verdict["problem"].as_str().unwrap_or_default());
        assert!(
            verdict["ok"] == false && found.0 == Some(seq) && found.1.contains(problem),
            "{}: {verdict}",
            file.display()
        );
    }

    fn passes(&self, file: &Path, head: Option<&Value>) {
        let verdict = self.verify(file, head);
        assert_eq!(verdict["ok"], true, "{}: {verdict}", file.display());
    }
}

fn tamper(file: &Path, sql: &str) {
    let triggers = triggers();
    let drop: Vec<_> = triggers.iter().map(|trigger| format!("DROP TRIGGER {};", name_of(trigger))).collect();
    let said = sqlite3(file, &format!("BEGIN; {} {sql}; {} COMMIT", drop.concat(), triggers.concat()));
    assert_eq!(said, "", "{sql}");
}

fn entries(file: &Path) -> Vec<Entry> {
    let sql = "SELECT *, hex(prev_hash) AS prev, hex(hash) AS own FROM entry ORDER BY seq";
    let columns = "SELECT json_group_array(json_object(";
    let fields = "'seq', seq, 'project', project_id, 'account', account_id, 'lot', lot, 'kind', kind, 'amount', amount,
        'reason', reason, 'group', group_seq, 'origin', origin_lot, 'referral', referral_id, 'purchase', purchase_id,
        'decision', decision_id, 'version', program_version, 'vests', vests_at_ms, 'vesting', vesting,
        'expires', expires_at_ms, 'at', at_ms, 'prev', prev, 'hash', own";
    let rows: Vec<Value> = serde_json::from_str(&sqlite3(file, &format!("{columns}{fields})) FROM ({sql})"))).unwrap();
    let hash = |text: &Value| hex::decode(text.as_str().unwrap()).unwrap().try_into().unwrap();
    let entry = |row: &Value| Entry {
        seq: row["seq"].as_i64().unwrap(),
        project: ProjectId(row["project"].as_i64().unwrap()),
        account: AccountId(row["account"].as_i64().unwrap()),
        lot: row["lot"].as_i64().unwrap(),
        kind: EntryKind::parse(row["kind"].as_str().unwrap()).unwrap(),
        amount: row["amount"].as_i64().unwrap(),
        reason: row["reason"].as_str().unwrap().to_owned().into(),
        group_seq: row["group"].as_i64().unwrap(),
        origin_lot: row["origin"].as_i64(),
        referral: row["referral"].as_i64().map(ReferralId),
        purchase: row["purchase"].as_i64(),
        decision: row["decision"].as_i64(),
        program_version: row["version"].as_i64(),
        vests_at_ms: row["vests"].as_i64(),
        vesting: row["vesting"].as_str().map(|word| Vesting::parse(word).unwrap()),
        expires_at_ms: row["expires"].as_i64(),
        at_ms: row["at"].as_i64().unwrap(),
        prev_hash: hash(&row["prev"]),
        hash: hash(&row["hash"]),
    };
    rows.iter().map(entry).collect()
}

/// SQL that gives every entry the hash that its fields now call for, from the first to the last.
fn rehash(file: &Path) -> String {
    let mut last = [0; 32];
    let set = |mut entry: Entry| {
        entry.prev_hash = last;
        last = entry.compute_hash();
        let (prev_hash, hash) = (hex(&entry.prev_hash), hex(&last));
        format!("UPDATE entry SET prev_hash = {prev_hash}, hash = {hash} WHERE seq = {};", entry.seq)
    };
    entries(file).into_iter().map(set).collect()
}

#[test]
fn a_file_in_order_passes_with_and_without_a_head() {
    let evidence = Evidence::gather();
    let file = evidence.copy("good");
    let verdict = evidence.verify(&file, Some(&evidence.head));
    let audit = evidence.app.gateway().get("/v1/admin/projects/default/audit/head").json();
    let log = json!({ "rows": audit["seq"], "head": audit["hash"] });
    let good = json!({ "ok": true, "entries": evidence.entries, "head": evidence.head["hash"], "audit": log });
    assert_eq!(verdict, good);

    let said = run(evidence.dir.path(), &["--db", file.to_str().unwrap(), "verify"]);
    let head = evidence.head["hash"].as_str().unwrap();
    assert_eq!(
        (said.code, said.out),
        (0, format!("ok: {} entries, head {head}; 2 rows of the audit log\n", evidence.entries))
    );
    let from_input = ["verify", file.to_str().unwrap(), "--head", "-"];
    assert_eq!(process::run_with_input(evidence.dir.path(), &from_input, &evidence.head.to_string()).code, 0);
    // Beside the running server, and with the head of a ledger that had no entries yet.
    evidence.passes(&evidence.app.db(), Some(&evidence.head));
    let empty = App::start();
    let signed = empty.anonymous().get("/v1/ledger/head").json();
    assert_eq!((&signed["seq"], &signed["hash"]), (&json!(0), &json!("00".repeat(32))));
    evidence.passes(&empty.db(), Some(&signed));
    let alice = empty.developer("Alice");
    empty.referee("Bob", &alice.code());
    evidence.passes(&empty.db(), Some(&signed));
}

#[test]
fn an_edit_of_any_field_is_named() {
    let evidence = Evidence::gather();
    for (place, set) in [
        "amount = amount + 1",
        "reason = reason || 'x'",
        "at_ms = at_ms + 1",
        "hash = zeroblob(32)",
        "prev_hash = zeroblob(32)",
        "group_seq = 1",
        "vests_at_ms = vests_at_ms + 1",
        "expires_at_ms = 9999999999999",
        "vesting = 'linear'",
        "decision_id = NULL",
        "program_version = NULL",
        "referral_id = NULL",
        "account_id = account_id + 1",
        "project_id = project_id + 1",
    ]
    .iter()
    .enumerate()
    {
        let file = evidence.tampered(&format!("edit{place}"), &format!("UPDATE entry SET {set} WHERE seq = 3"));
        evidence.finds(&file, Some(&evidence.head), 3, "changed");
        evidence.finds(&file, None, 3, "changed");
    }
    // The newest is named as well as the oldest.
    for seq in [1, evidence.entries] {
        let file =
            evidence.tampered(&format!("end{seq}"), &format!("UPDATE entry SET at_ms = at_ms - 1 WHERE seq = {seq}"));
        evidence.finds(&file, None, seq, "changed");
        let said = run(evidence.dir.path(), &["verify", file.to_str().unwrap()]);
        assert_eq!((said.code, said.err.as_str()), (1, ""));
        assert!(said.out.starts_with(&format!("not ok: entry {seq}: ")), "{said:?}");
    }
}

#[test]
fn an_edit_whose_hash_is_mended_breaks_the_next_link() {
    let evidence = Evidence::gather();
    let file = evidence.tampered("mended", "UPDATE entry SET at_ms = at_ms + 1 WHERE seq = 3");
    let hash = entries(&file)[2].compute_hash();
    tamper(&file, &format!("UPDATE entry SET hash = {} WHERE seq = 3", hex(&hash)));
    evidence.finds(&file, None, 4, "chain is broken");
}

#[test]
fn deletions_are_named_by_what_is_missing() {
    let evidence = Evidence::gather();
    for seq in [1, 4] {
        let file = evidence.tampered(&format!("gone{seq}"), &format!("DELETE FROM entry WHERE seq = {seq}"));
        evidence.finds(&file, None, seq, "missing");
        // Closing the gap does not hide it: a number is in the hash.
        tamper(
            &file,
            &format!(
                "PRAGMA ignore_check_constraints = ON; UPDATE entry SET seq = -seq WHERE seq > {seq};
                 UPDATE entry SET seq = -seq - 1 WHERE seq < 0"
            ),
        );
        assert_eq!(evidence.verify(&file, None)["seq"], seq);
    }
    let file =
        evidence.tampered("all", "DELETE FROM entry; DELETE FROM lot; DELETE FROM balance; DELETE FROM account_entry");
    evidence.finds(&file, Some(&evidence.head), 1, "cut");
}

#[test]
fn a_cut_tail_needs_a_kept_head() {
    let evidence = Evidence::gather();
    let last = evidence.entries;
    let cut = "DELETE FROM entry WHERE seq = (SELECT max(seq) FROM entry)";
    let careless = evidence.tampered("careless", cut);
    assert_eq!(evidence.verify(&careless, None)["ok"], false, "the projections tell");

    // The last entry is Alice's spend of 30.
    let spend = entries(&evidence.copy("before")).pop().unwrap();
    assert_eq!((spend.kind, spend.amount), (EntryKind::Spend, -30));
    let mend = format!(
        "{cut}; DELETE FROM account_entry WHERE seq = {last};
         UPDATE lot SET remaining = remaining + 30 WHERE seq = {0};
         UPDATE usage_event SET charged = 0, group_seq = NULL WHERE group_seq = {last};
         UPDATE projected SET entry_seq = entry_seq - 1;
         UPDATE balance SET spent = spent - 30, open = open + 30, spends_to = (
           SELECT coalesce(max(seq), 0) FROM entry WHERE account_id = {1} AND kind = 'spend') WHERE account_id = {1}",
        spend.lot, spend.account.0
    );
    let file = evidence.tampered("careful", &mend);
    evidence.passes(&file, None);
    evidence.finds(&file, Some(&evidence.head), last, "cut");
}

#[test]
fn rows_that_change_places_or_come_in_between_are_named() {
    let evidence = Evidence::gather();
    let swap = "UPDATE entry SET seq = -2 WHERE seq = 2; UPDATE entry SET seq = 2, lot = 2 WHERE seq = 4;
                UPDATE entry SET seq = 4, lot = 4 WHERE seq = -2";
    let file = evidence.copy("swap");
    // CHECKs are in the way of a swap of the numbers alone; contents can change places.
    let swapped = "CREATE TEMP TABLE pair AS SELECT * FROM entry WHERE seq IN (1, 2);
                   UPDATE entry SET (account_id, amount, reason, at_ms, prev_hash, hash, decision_id) =
                     (SELECT account_id, amount, reason, at_ms, prev_hash, hash, decision_id FROM pair
                      WHERE pair.seq = 3 - entry.seq) WHERE seq IN (1, 2); DROP TABLE pair";
    tamper(&file, swapped);
    evidence.finds(&file, None, 1, "changed");
    let file = evidence.copy("swap-unchecked");
    tamper(&file, &format!("PRAGMA ignore_check_constraints = ON; {swap}"));
    assert_eq!(evidence.verify(&file, None)["seq"], 2);

    // A forged spend between 5 and 6, well hashed for its place.
    let shift = "UPDATE entry SET seq = -seq WHERE seq >= 6; UPDATE entry SET seq = 1 - seq WHERE seq < 0";
    let file = evidence.copy("insertion");
    tamper(&file, &format!("PRAGMA ignore_check_constraints = ON; {shift}"));
    let before = &entries(&evidence.copy("original"))[4];
    let mut forged = Entry {
        seq: 6,
        kind: EntryKind::Spend,
        amount: -1,
        lot: 1,
        group_seq: 6,
        reason: "api_usage".into(),
        account: entries(&evidence.copy("first"))[0].account,
        prev_hash: before.hash,
        referral: None,
        decision: None,
        program_version: None,
        vests_at_ms: None,
        vesting: None,
        expires_at_ms: None,
        ..before.clone()
    };
    forged.hash = forged.compute_hash();
    let insert = format!(
        "INSERT INTO entry (seq, project_id, account_id, lot, kind, amount, reason, group_seq, at_ms, prev_hash, hash)
         VALUES (6, {}, {}, 1, 'spend', -1, 'api_usage', 6, {}, {}, {})",
        forged.project.0,
        forged.account.0,
        forged.at_ms,
        hex(&forged.prev_hash),
        hex(&forged.hash)
    );
    tamper(&file, &insert);
    evidence.finds(&file, None, 7, "changed");
    tamper(&file, "UPDATE entry SET hash = zeroblob(32) WHERE seq = 6");
    evidence.finds(&file, None, 6, "changed");
}

#[test]
fn a_chain_that_was_rewritten_as_a_whole_is_found_by_a_kept_head_alone() {
    let evidence = Evidence::gather();
    let file = evidence.copy("rewritten");
    // Lot 2 is Alice's: she makes herself richer by 5 and mends everything that follows from it.
    tamper(&file, "UPDATE entry SET amount = amount + 5 WHERE seq = 2");
    evidence.finds(&file, None, 2, "changed");
    let mend = rehash(&file);
    tamper(&file, &mend);
    evidence.finds(&file, None, 2, "projection");
    tamper(
        &file,
        "UPDATE lot SET granted = granted + 5, remaining = remaining + 5, side = 1 WHERE seq = 2;
         UPDATE balance SET granted = granted + 5, open = open + 5
         WHERE account_id = (SELECT account_id FROM lot WHERE seq = 2)",
    );
    evidence.passes(&file, None);
    evidence.finds(&file, Some(&evidence.head), evidence.entries, "rewritten");
}

#[test]
fn a_file_that_is_being_served_is_checked_as_it_stands() {
    let evidence = Evidence::gather();
    evidence.app.expect_tampering();
    tamper(&evidence.app.db(), "UPDATE entry SET at_ms = at_ms + 1 WHERE seq = 4");
    evidence.finds(&evidence.app.db(), Some(&evidence.head), 4, "changed");
}

#[test]
fn amounts_that_no_sum_can_hold_are_named() {
    let evidence = Evidence::gather();
    for (place, (seq, amount)) in [(1, i64::MAX), (2, 1_000_000_000_001), (3, i64::MAX)].into_iter().enumerate() {
        let file = evidence.tampered(
            &format!("huge{place}"),
            &format!("UPDATE entry SET amount = {amount} WHERE seq <= 3 AND kind = 'grant' AND seq >= {seq}"),
        );
        let mend = rehash(&file);
        tamper(&file, &mend);
        evidence.finds(&file, None, seq, "amount");
    }
    let spend = entries(&evidence.copy("some")).into_iter().find(|entry| entry.kind == EntryKind::Spend).unwrap();
    let file =
        evidence.tampered("deep", &format!("UPDATE entry SET amount = -{} - 1 WHERE seq = {}", i64::MAX, spend.seq));
    let mend = rehash(&file);
    tamper(&file, &mend);
    evidence.finds(&file, None, spend.seq, "amount");
}

#[test]
fn a_head_that_proves_nothing_is_refused() {
    let evidence = Evidence::gather();
    let file = evidence.copy("good");
    let stranger = App::start();
    let alice = stranger.developer("Alice");
    stranger.referee("Bob", &alice.code());
    let other = stranger.anonymous().get("/v1/ledger/head").json();
    evidence.finds(&file, Some(&other), 2, "another instance");
    let mut forged = evidence.head.clone();
    forged["seq"] = 2.into();
    evidence.finds(&file, Some(&forged), 2, "signature");
    forged["seq"] = (-1).into();
    evidence.finds(&file, Some(&forged), -1, "signature");
    for (name, text) in [("nothing", ""), ("words", "a head"), ("list", "[]"), ("part", r#"{"seq":1}"#)] {
        let head = evidence.dir.path().join(name);
        std::fs::write(&head, text).unwrap();
        let said = run(evidence.dir.path(), &["verify", file.to_str().unwrap(), "--head", head.to_str().unwrap()]);
        assert!(said.refusal().contains("not a kept head"), "{said:?}");
    }
    let said = run(evidence.dir.path(), &["verify", file.to_str().unwrap(), "--head", "missing.json"]);
    assert!(said.refusal().contains("missing.json"), "{said:?}");
}

#[test]
fn projections_are_never_trusted() {
    let evidence = Evidence::gather();
    let columns = "project_id account_id referral_id purchase_id decision_id granted_at_ms vests_at_ms vesting
                   expires_at_ms granted remaining side expired reversed paid";
    for column in columns.split_whitespace() {
        let value = if column == "vesting" { "'linear'".into() } else { format!("coalesce({column}, 2) - 1") };
        let unchecked = "PRAGMA ignore_check_constraints = ON";
        let file = evidence.tampered(column, &format!("{unchecked}; UPDATE lot SET {column} = {value} WHERE seq = 2"));
        evidence.finds(&file, None, 2, "projection");
    }
    for column in ["granted", "spent", "expired", "reversed", "paid", "open", "owed"] {
        let sql = format!(
            "UPDATE balance SET {column} = {column} + 1 WHERE account_id = (SELECT account_id FROM lot WHERE seq = 2)"
        );
        let file = evidence.tampered(column, &sql);
        // Alice's newest entry is the last one.
        evidence.finds(&file, None, evidence.entries, "balance");
    }
    let word = "PRAGMA ignore_check_constraints = ON; UPDATE lot SET vesting = 'later' WHERE seq = 2";
    let file = evidence.copy("unreadable");
    assert_eq!(sqlite3(&file, word), "");
    evidence.finds(&file, None, 2, "projection");
    let nobody = "PRAGMA foreign_keys = OFF; DELETE FROM account WHERE id = (SELECT account_id FROM lot WHERE seq = 2)";
    let file = evidence.copy("nobody");
    assert_eq!(sqlite3(&file, nobody), "");
    evidence.finds(&file, None, 2, "does not exist");
    let file = evidence.tampered("lot", "DELETE FROM lot WHERE seq = 2");
    evidence.finds(&file, None, 2, "lot");
    let file = evidence.tampered(
        "invented",
        "INSERT INTO lot SELECT 999, project_id, account_id, referral_id, purchase_id,
        decision_id, granted_at_ms, vests_at_ms, vesting, expires_at_ms, granted, remaining, side, 0, 0, 0 FROM lot LIMIT 1",
    );
    evidence.finds(&file, None, 999, "projection");
    let file = evidence
        .tampered("balance-gone", "DELETE FROM balance WHERE account_id = (SELECT account_id FROM lot WHERE seq = 2)");
    evidence.finds(&file, None, evidence.entries, "balance");
}

#[test]
fn missing_triggers_are_named_after_everything_else() {
    let evidence = Evidence::gather();
    for trigger in triggers() {
        let name = name_of(&trigger);
        let file = evidence.copy(name);
        assert_eq!(sqlite3(&file, &format!("DROP TRIGGER {name}")), "");
        evidence.finds(&file, Some(&evidence.head), 0, &format!("trigger {name}"));
    }
    let file = evidence.copy("both");
    sqlite3(&file, "DROP TRIGGER entry_no_update; UPDATE entry SET at_ms = 1 WHERE seq = 5");
    evidence.finds(&file, None, 5, "changed");
    let file = evidence.copy("added");
    sqlite3(&file, "CREATE TRIGGER thief AFTER INSERT ON entry BEGIN SELECT 1; END");
    evidence.finds(&file, None, 0, "trigger thief");
    let file = evidence.copy("weakened");
    sqlite3(
        &file,
        "DROP TRIGGER entry_no_delete;
         CREATE TRIGGER entry_no_delete BEFORE DELETE ON entry BEGIN SELECT 1; END",
    );
    evidence.finds(&file, None, 0, "trigger entry_no_delete");
}

#[test]
fn what_is_not_a_refloop_file_is_refused() {
    let (_keep, dir) = process::empty_dir();
    assert!(run(&dir, &["verify"]).refusal().contains("no database at refloop.db"));
    assert!(run(&dir, &["verify", "missing.db"]).refusal().contains("missing.db"));
    assert!(run(&dir, &["verify", "."]).refusal().contains("no database at ."));
    std::fs::write(dir.join("notes.txt"), "not a database, but long enough to look like one ".repeat(100)).unwrap();
    assert!(run(&dir, &["verify", "notes.txt"]).refusal().contains("not a refloop database"));
    for (name, sql) in [
        ("other.db", "CREATE TABLE song (title TEXT)"),
        ("same-version.db", "CREATE TABLE entry (seq INTEGER); PRAGMA user_version = 1"),
        ("same-shape.db", "CREATE TABLE song (title TEXT); PRAGMA user_version = 1; PRAGMA application_id = 7"),
    ] {
        assert_eq!(sqlite3(&dir.join(name), sql), "");
        assert!(run(&dir, &["verify", name]).refusal().contains("not a refloop database"), "{name}");
        let said = run(&dir, &["verify", name, "--json"]);
        assert_eq!((said.code, said.json()["error"]["code"].as_str()), (1, Some("database_unusable")), "{said:?}");
    }
    for wrong in [&["verify", "a", "b"][..], &["verify", "--tail"], &["verify", "--head"]] {
        let said = run(&dir, wrong);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{said:?}");
    }
}
