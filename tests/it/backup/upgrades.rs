//! Files of older releases, by a schema that only these tests have: schema 2 is this release's with one table more.

use super::{fatten, file_with_history, names};
use crate::process::{Server, empty_dir, run, sqlite3};
use refloop::store::{Capacity, Clock, KeptHeads, Schema, Store, verify_by};
use std::path::Path;
use std::process::{Command, Stdio};

const STEP: &str = "CREATE TABLE later (id INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;
    INSERT INTO later WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
      SELECT i, hex(zeroblob(400)) FROM n;";

/// A row refers to nothing then: foreign keys are off while tables are made anew.
const DANGLING: &str = "CREATE TABLE later (id INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT; DELETE FROM team";

const NEXT: Schema = Schema {
    sql: concat!(
        include_str!("../../../schema.sql"),
        "\nCREATE TABLE later (id INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;\n"
    ),
    steps: &[STEP],
};

fn serve(file: &Path, schema: &Schema) -> refloop::domain::error::Result<Store> {
    Store::serve_by(file, Clock::System, Capacity::default(), schema)
}

fn version(file: &Path) -> String {
    sqlite3(file, "PRAGMA user_version").trim().to_owned()
}

fn copies(dir: &Path) -> Vec<String> {
    names(dir).into_iter().filter(|name| name.starts_with("refloop.db.before-v2-2")).collect()
}

#[test]
fn an_older_file_is_brought_up_to_date_when_it_is_served_and_a_copy_stays() {
    let (_keep, dir) = empty_dir();
    file_with_history(&dir);
    let file = dir.join("refloop.db");
    drop(serve(&file, &NEXT).unwrap());
    assert_eq!((version(&file).as_str(), sqlite3(&file, "SELECT count(*) FROM later").as_str()), ("2", "20000\n"));
    assert_eq!(verify_by(&file, KeptHeads::default(), &NEXT).unwrap().fault, None);
    let copy = copies(&dir).remove(0);
    assert_eq!(names(&dir), ["refloop.db", "refloop.db-lock", copy.as_str()]);
    assert_eq!(version(&dir.join(&copy)), "1");
    super::verifies(&dir, &copy);
    drop(serve(&file, &NEXT).unwrap());
    assert_eq!(copies(&dir).len(), 1, "once");
    // This release finds a file from the future.
    let said = run(&dir, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(said.refusal().contains("refloop.db has schema 2, made by a newer refloop"), "{said:?}");
    // The way back is the copy.
    assert_eq!(run(&dir, &["restore", &copy, "--db", "back.db"]).code, 0);
    super::verifies(&dir, "back.db");
}

#[test]
fn commands_leave_an_older_file_to_serve() {
    let (_keep, dir) = empty_dir();
    file_with_history(&dir);
    let file = dir.join("refloop.db");
    let why = "refloop.db has schema 1, made by an older refloop; this one has schema 2. `refloop serve` brings it up";
    let refusal = verify_by(&file, KeptHeads::default(), &NEXT).unwrap_err();
    assert!(refusal.message.contains(why), "{refusal}");
}

#[test]
fn a_step_that_fails_leaves_the_file_as_it_was() {
    let (_keep, dir) = empty_dir();
    file_with_history(&dir);
    let file = dir.join("refloop.db");
    let before = std::fs::read(&file).unwrap();
    for (steps, why) in [
        (&["CREATE TABLE later (id); SELECT * FROM nowhere"][..], "the step from schema 1 to 2: no such table"),
        (
            &["CREATE TABLE other (id INTEGER PRIMARY KEY) STRICT"],
            "table later did not become what it is in a new file",
        ),
        (&["DROP TRIGGER entry_no_update; CREATE TABLE later (id)"], "did not become what it is in a new file"),
    ] {
        let Err(refusal) = serve(&file, &Schema { steps, ..NEXT }) else { panic!("{steps:?} was taken") };
        assert!(refusal.message.contains(why) && refusal.message.contains("is as it was before"), "{refusal}");
        assert_eq!(names(&dir), ["refloop.db", "refloop.db-lock"], "{steps:?}");
        assert_eq!(std::fs::read(&file).unwrap(), before);
    }
    // What would hurt the ledger is found on the second copy.
    let forged = "DROP TRIGGER entry_no_update; UPDATE entry SET at_ms = at_ms + 1 WHERE seq = 1;
                  CREATE TABLE later (id INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;";
    let schema = include_str!("../../../schema.sql");
    let start = schema.find("CREATE TRIGGER entry_no_update").unwrap();
    let trigger = &schema[start..start + schema[start..].find("END;").unwrap() + 4];
    let step: &'static str = Box::leak(format!("{forged} {trigger}").into_boxed_str());
    let steps: &'static [&'static str] = Box::leak(vec![step].into_boxed_slice());
    let Err(refusal) = serve(&file, &Schema { steps, ..NEXT }) else { panic!("it was taken") };
    assert!(refusal.message.contains("changed"), "{refusal}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let Err(refusal) = serve(&file, &Schema { steps: &[DANGLING], ..NEXT }) else { panic!("it was taken") };
    assert!(refusal.message.contains("would refer to what is not there"), "{refusal}");
    drop(serve(&file, &NEXT).unwrap());
}

/// The process that is killed: this test binary again, told by a variable what to serve.
#[test]
fn serves_the_next_schema_where_it_is_told_to() {
    if let Some(file) = std::env::var_os("UPGRADED_FILE") {
        drop(serve(Path::new(&file), &NEXT).unwrap());
    }
}

#[test]
fn kill_9_at_any_moment_of_an_upgrade_leaves_the_file_as_before_or_as_after() {
    let (_keep, dir) = empty_dir();
    file_with_history(&dir);
    let file = dir.join("refloop.db");
    fatten(&file, 500);
    std::fs::copy(&file, dir.join("older.db")).unwrap();
    let is_there = |part: &str| names(&dir).iter().any(|name| name.contains(part));
    let log = || std::fs::metadata(dir.join("refloop.db-wal")).map_or(0, |meta| meta.len());
    let moments: [&dyn Fn() -> bool; 6] = [
        &|| is_there("before-v2") || is_there("rehearsal"),
        &|| is_there("rehearsal"),
        &|| !copies(&dir).is_empty() && copies(&dir)[0].ends_with('Z'),
        &|| log() > 100_000,
        &|| log() > 8_000_000,
        &|| is_there("before-v2") && version(&file) == "2",
    ];
    for (round, is_time) in moments.iter().enumerate() {
        for name in names(&dir).iter().filter(|name| name.starts_with("refloop.db")) {
            std::fs::remove_file(dir.join(name)).unwrap();
        }
        std::fs::copy(dir.join("older.db"), &file).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "backup::upgrades::serves_the_next_schema_where_it_is_told_to"]);
        let mut child =
            command.env("UPGRADED_FILE", &file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        while !is_time() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let there = sqlite3(&file, "SELECT count(*) FROM sqlite_schema WHERE name = 'later'");
        match version(&file).as_str() {
            "1" => {
                assert_eq!(there, "0\n", "round {round}");
                super::verifies(&dir, "refloop.db");
            }
            "2" => {
                assert_eq!(sqlite3(&file, "SELECT count(*) FROM later"), "20000\n", "round {round}");
                assert!(!copies(&dir).is_empty());
            }
            other => panic!("round {round}: {other}"),
        }
        drop(serve(&file, &NEXT).unwrap());
        assert_eq!(verify_by(&file, KeptHeads::default(), &NEXT).unwrap().fault, None, "round {round}");
        assert!(!is_there("partial"), "round {round}: {:?}", names(&dir));
    }
}

/// Made anew by `tests/fixtures/make` whenever `schema.sql` changes, until the first release; from then on it stays, and
/// each release adds its own.
#[test]
fn a_file_of_each_released_schema_opens_verifies_and_serves() {
    let (_keep, dir) = empty_dir();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/schema-1.db");
    std::fs::copy(fixture, dir.join("refloop.db")).unwrap();
    let verdict = run(&dir, &["verify", "--json"]).json();
    assert_eq!(verdict["ok"], true, "run tests/fixtures/make if schema.sql has changed: {verdict}");
    assert!(verdict["entries"].as_i64() > Some(50), "{verdict}");
    let server = Server::start(&dir);
    assert_eq!(ureq::get(format!("{}/readyz", server.url)).call().unwrap().status(), 200);
    drop(server);
    super::verifies(&dir, "refloop.db");
}
