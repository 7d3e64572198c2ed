//! Backups that are made by themselves: when, which stay, and what is said when they fail.

use super::names;
use crate::admin::Operator;
use crate::harness::{App, START_MS};
use crate::process::{Server, empty_dir, refloop, run, sqlite3};
use refloop::domain::operator::OperatorRole;
use refloop::engine::{BackupPlan, Engine, Settings};
use refloop::store::{Capacity, Clock, Store};
use refloop::work::back_up_once;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const HOUR_MS: i64 = 3_600_000;

fn settings(dir: &Path, every_hours: u32, keep: u32) -> Settings {
    Settings { backups: Some(BackupPlan { dir: dir.to_owned(), every_hours, keep }), ..Settings::default() }
}

/// A served file with a clock, and a directory for backups.
struct Stage {
    dir: PathBuf,
    clock: Arc<AtomicI64>,
    _keep: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let (keep, dir) = empty_dir();
        std::fs::create_dir(dir.join("out")).unwrap();
        Self { dir, clock: Arc::new(AtomicI64::new(START_MS)), _keep: keep }
    }

    /// The server's life from one start to the next.
    fn engine(&self, every_hours: u32, keep: u32) -> Engine {
        let clock = Clock::Manual(Arc::clone(&self.clock));
        let store = Store::serve(&self.dir.join("refloop.db"), clock, Capacity::default()).unwrap();
        Engine::new(Arc::new(store), settings(&self.dir.join("out"), every_hours, keep))
    }

    fn hours_later(&self, hours: i64) {
        self.clock.fetch_add(hours * HOUR_MS, Ordering::SeqCst);
    }

    fn made(&self) -> Vec<String> {
        names(&self.dir.join("out"))
    }
}

/// Whether one was made.
fn step(engine: &Engine) -> bool {
    back_up_once(engine).is_some_and(|made| made.is_ok())
}

#[test]
fn one_is_made_at_once_and_then_each_time_it_is_due_also_over_restarts() {
    let stage = Stage::new();
    let engine = stage.engine(24, 14);
    assert_eq!([step(&engine), step(&engine)], [true, false]);
    assert_eq!(stage.made(), ["refloop-20260115T100000Z.db"]);
    assert_eq!(run(&stage.dir.join("out"), &["verify", "refloop-20260115T100000Z.db", "--json"]).json()["ok"], true);
    stage.hours_later(23);
    drop(engine);
    let engine = stage.engine(24, 14);
    assert!(!step(&engine), "the restart has made nothing due");
    stage.hours_later(1);
    assert_eq!([step(&engine), step(&engine)], [true, false]);
    assert_eq!(stage.made(), ["refloop-20260115T100000Z.db", "refloop-20260116T100000Z.db"]);
    // The clock is set back by a day and a half: what is from the future counts no more.
    stage.hours_later(-36);
    assert_eq!([step(&engine), step(&engine)], [true, false]);
    assert_eq!(stage.made()[0], "refloop-20260114T220000Z.db");
    let none = Engine::new(
        Arc::new(Store::look(&stage.dir.join("refloop.db"), Clock::System, Capacity::default()).unwrap()),
        Settings::default(),
    );
    assert!(back_up_once(&none).is_none(), "without the setting none is made");
}

#[test]
fn the_newest_stay_and_nothing_but_backups_is_ever_removed() {
    let stage = Stage::new();
    let out = stage.dir.join("out");
    let others = ["acme-20250101T000000Z.db", "refloop-20250101.db", "refloop-notes.db", "refloop.db"];
    for name in others {
        std::fs::write(out.join(name), "precious").unwrap();
    }
    // Nor what only looks like one.
    std::fs::create_dir(out.join("refloop-20250101T000000Z.db")).unwrap();
    std::os::unix::fs::symlink(out.join("refloop.db"), out.join("refloop-20250102T000000Z.db")).unwrap();
    std::fs::write(out.join("refloop-20250103T000000Z.db.partial"), "left by a kill").unwrap();
    let engine = stage.engine(1, 3);
    for _ in 0..5 {
        assert!(step(&engine));
        stage.hours_later(1);
    }
    let mut expected: Vec<_> = others.iter().map(ToString::to_string).collect();
    expected.extend(["refloop-20250101T000000Z.db", "refloop-20250102T000000Z.db"].map(str::to_owned));
    expected.extend(["12", "13", "14"].map(|hour| format!("refloop-20260115T{hour}0000Z.db")));
    expected.sort();
    assert_eq!(stage.made(), expected);
    // Old ones go only after a new one was found in order.
    assert_eq!(sqlite3(&stage.dir.join("refloop.db"), "DROP TRIGGER entry_no_delete"), "");
    let failed = back_up_once(&engine).unwrap().unwrap_err();
    assert_eq!(failed.code, "not_in_order");
    assert_eq!(stage.made(), expected);
}

#[test]
fn a_failure_is_said_where_people_look_and_tried_again() {
    let (_keep, dir) = empty_dir();
    let app = App::start_for(settings(&dir.join("out"), 24, 14));
    let owner = Operator::owner(&app);
    let ready = || app.anonymous().get("/readyz");
    let overview = || owner.page("/admin/default").body;
    assert_eq!(ready().json(), json!({ "status": "ready" }));
    assert!(!overview().contains("backup-problem"));
    let failed = back_up_once(&app.engine).unwrap().unwrap_err();
    assert!(failed.code == "no_backup_dir" && failed.message.contains("cannot look into"), "{failed:?}");
    assert_eq!((ready().status, ready().json()), (200, json!({ "status": "ready", "warnings": ["backup_failed"] })));
    let page = overview();
    assert!(page.contains("backup-problem") && page.contains("The last backup failed"), "{page}");
    let clerk = Operator::of_role(&app, "clerk@example.com", OperatorRole::Operator);
    assert!(!clerk.page("/admin/default").body.contains("backup-problem"), "places on the machine are the owner's");

    std::fs::create_dir(dir.join("out")).unwrap();
    app.advance_ms(HOUR_MS / 4 - 1);
    assert!(back_up_once(&app.engine).is_none(), "not all the time");
    app.advance_ms(1);
    assert!(back_up_once(&app.engine).unwrap().is_ok());
    assert_eq!(ready().json(), json!({ "status": "ready" }));
    assert!(!overview().contains("backup-problem"));
}

#[test]
fn serve_makes_them_by_its_settings() {
    let (_keep, dir) = empty_dir();
    std::fs::create_dir(dir.join("out")).unwrap();
    let mut command = refloop(&dir);
    command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--backup-dir", "out"]).env("REFLOOP_BACKUP_KEEP", "2");
    let server = Server::spawn(command, &dir);
    let is_made = || names(&dir.join("out")).iter().any(|name| name.ends_with("Z.db"));
    while !is_made() {
        std::thread::yield_now();
    }
    server.terminate();
    let mut server = server;
    assert_eq!(server.wait().0, Some(0));
    let made = names(&dir.join("out"));
    assert_eq!(made.len(), 1, "{made:?}");
    super::verifies(&dir, &format!("out/{}", made[0]));
    for wrong in [["--backup-every", "0"], ["--backup-keep", "0"], ["--backup-every", "day"]] {
        assert_eq!(run(&dir, &[&["serve"], &wrong[..]].concat()).code, 2, "{wrong:?}");
    }
}
