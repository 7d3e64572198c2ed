//! `refloop backup`: beside a server at work, killed, and without room.

use super::{fatten, file_with_history, names, sign_up, verifies};
use crate::harness::App;
use crate::process::{Caller, Server, empty_dir, refloop, run, sqlite3, sqlite3_script};
use refloop::store::{Copying, back_up};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn what_was_answered_before_it_began_is_in_it_while_eight_clients_write() {
    let (_keep, dir) = empty_dir();
    let server = Server::start(&dir);
    let caller = Caller::new(&server.url);
    let developers: Vec<_> = (0..8).map(|n| sign_up(&caller, &format!("dev{n}"))["developer"]["id"].clone()).collect();
    let (key, over, answered) = (server.gateway_key(), AtomicBool::new(false), Mutex::new(Vec::<String>::new()));
    let answers = || answered.lock().unwrap().len();
    std::thread::scope(|scope| {
        for (client, developer) in developers.iter().enumerate() {
            let (caller, key, over, answered) = (caller.clone(), &key, &over, &answered);
            scope.spawn(move || {
                for turn in 0.. {
                    let ids: Vec<_> = (0..5).map(|n| format!("c{client}-{turn}-{n}")).collect();
                    let events = ids.iter().map(|id| json!({ "id": id, "developer_id": developer, "calls": 1 }));
                    let body = json!({ "events": events.collect::<Vec<_>>() });
                    assert_eq!(caller.post(Some(key), "/v1/usage", &body).unwrap().status, 200);
                    answered.lock().unwrap().extend(ids);
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                }
            });
        }
        for round in 0..3 {
            let enough = answers() + 300;
            while answers() < enough {
                std::thread::yield_now();
            }
            let before = answered.lock().unwrap().clone();
            let name = format!("copy-{round}.db");
            let said = run(&dir, &["backup", &name, "--json"]);
            assert_eq!((said.code, &said.json()["file"]), (0, &json!(name)), "{said:?}");
            verifies(&dir, &name);
            let there = sqlite3(&dir.join(&name), "SELECT event_id FROM usage_event");
            let there: std::collections::HashSet<_> = there.lines().collect();
            assert!(before.iter().all(|id| there.contains(id.as_str())), "something that was answered is missing");
            let mode = std::fs::metadata(dir.join(&name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        over.store(true, Ordering::SeqCst);
    });
    assert!(names(&dir).iter().all(|name| !name.contains("copy") || name.len() == "copy-0.db".len()), "and no more");
}

#[test]
fn writes_that_never_end_do_not_make_it_begin_again() {
    let app = App::start();
    fatten(&app.db(), 4_000);
    let to = app.db().with_file_name("copy.db");
    let (mut seen, mut people) = (Vec::<Copying>::new(), 0);
    let copied = back_up(&app.db(), &to, &mut |copying| {
        // By the server, and by another process.
        app.developer(&format!("Person{people}"));
        app.sqlite3_unprepared(&format!("INSERT INTO team VALUES (-{people} - 1, 'late-{people}', 'late', 1)"));
        people += 1;
        seen.push(copying);
        true
    });
    assert_eq!(copied.unwrap().verdict.fault, None);
    assert!(seen.len() >= 4 && seen.windows(2).all(|pair| pair[0].pages < pair[1].pages && pair[0].of == pair[1].of));
    assert_eq!(seen.last().map(|last| last.pages), seen.first().map(|first| first.of));
    assert_eq!(sqlite3(&to, "SELECT count(*) FROM account; SELECT count(*) FROM team WHERE name = 'late'"), "0\n0\n");
    let refusal = back_up(&app.db(), &to.with_file_name("stopped.db"), &mut |_| false).unwrap_err();
    assert_eq!(refusal.code, "stopped");
    assert!(!names(to.parent().unwrap()).iter().any(|name| name.contains("stopped")));
}

#[test]
fn a_directory_gets_a_name_with_the_time() {
    let (_keep, dir) = empty_dir();
    file_with_history(&dir);
    std::fs::create_dir(dir.join("out")).unwrap();
    // What a killed one has left goes, what others have there stays.
    for name in ["refloop-20260101T000000Z.db.partial", "other-20260101T000000Z.db.partial", "notes"] {
        std::fs::write(dir.join("out").join(name), "x").unwrap();
    }
    let made = run(&dir, &["backup", "out", "--json"]).json();
    let file = made["file"].as_str().unwrap();
    let stamp = file.strip_prefix("out/refloop-2").and_then(|rest| rest.strip_suffix("Z.db"));
    assert!(stamp.is_some_and(|stamp| stamp.len() == 14), "{file}");
    verifies(&dir, file);
    let left = names(&dir.join("out"));
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(left.contains(&"notes".into()) && left.contains(&"other-20260101T000000Z.db.partial".into()), "{left:?}");
    let said = run(&dir, &["backup", "named.db"]);
    assert!(said.out.starts_with("named.db is there and in order: 0.") && said.out.contains(" entries, head "));
}

#[test]
fn each_refusal_of_a_backup_leaves_nothing() {
    let (_keep, dir) = empty_dir();
    file_with_history(&dir);
    let text = "no database, but long enough to look like one; ".repeat(100);
    std::fs::write(dir.join("notes.db"), text).unwrap();
    std::fs::write(dir.join("taken.db"), "").unwrap();
    std::fs::write(dir.join("half.db-wal"), "").unwrap();
    sqlite3(&dir.join("newer.db"), "PRAGMA application_id = 0x7265666c; PRAGMA user_version = 99; CREATE TABLE t (a)");
    std::fs::copy(dir.join("refloop.db"), dir.join("changed.db")).unwrap();
    assert_eq!(sqlite3(&dir.join("changed.db"), "UPDATE balance SET open = open + 1"), "");
    let before = names(&dir);
    for (db, to, why) in [
        ("none.db", "out.db", "there is no database at none.db"),
        ("notes.db", "out.db", "notes.db is not a refloop database"),
        ("newer.db", "out.db", "made by a newer refloop"),
        ("changed.db", "out.db", "changed.db is not in order: entry "),
        ("refloop.db", "taken.db", "taken.db is there already, and is never overwritten"),
        ("refloop.db", "half.db", "half.db-wal is there already"),
        ("refloop.db", "refloop.db", "refloop.db is there already"),
        ("refloop.db", "nowhere/out.db", "cannot make nowhere/out.db.partial"),
    ] {
        let said = run(&dir, &["backup", to, "--db", db]);
        assert!(said.refusal().contains(why), "{db} {to}: {said:?}");
        let said = run(&dir, &["backup", to, "--db", db, "--json"]);
        assert!(said.code == 1 && said.json()["error"]["message"].as_str().unwrap().contains(why), "{said:?}");
        let left: Vec<_> = names(&dir).into_iter().filter(|name| !name.ends_with("-lock")).collect();
        assert_eq!(
            left,
            before.iter().filter(|name| !name.ends_with("-lock")).cloned().collect::<Vec<_>>(),
            "{db} {to}"
        );
    }
    assert_eq!(run(&dir, &["backup"]).code, 2);
    // While one makes it, another does not.
    let partial = std::fs::File::create(dir.join("both.db.partial")).unwrap();
    partial.lock().unwrap();
    assert!(run(&dir, &["backup", "both.db"]).refusal().contains("another process is making both.db.partial"));
    partial.unlock().unwrap();
    assert_eq!(run(&dir, &["backup", "both.db"]).code, 0);
}

#[test]
fn kill_9_at_any_moment_leaves_no_file_under_the_name() {
    let (_keep, dir) = empty_dir();
    file_with_history(&dir);
    fatten(&dir.join("refloop.db"), 10_000);
    let size = std::fs::metadata(dir.join("refloop.db")).unwrap().len();
    let (partial, whole) = (dir.join("out.db.partial"), dir.join("out.db"));
    // As soon as so much of it is there.
    for part in [0, 1, 4, 8, 10] {
        let mut command = refloop(&dir);
        let mut child = command.args(["backup", "out.db"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let written = || std::fs::metadata(&partial).map(|meta| meta.len()).ok();
        while written().is_none_or(|written| written < size / 10 * part) && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        child.kill().unwrap();
        let whole_anyway = child.wait().unwrap().success();
        assert_eq!(whole.exists(), whole_anyway, "{part}");
        if whole.exists() {
            verifies(&dir, "out.db");
            std::fs::remove_file(&whole).unwrap();
        }
    }
    assert_eq!(run(&dir, &["backup", "out.db"]).code, 0);
    assert!(whole.exists() && !partial.exists(), "{:?}", names(&dir));
    verifies(&dir, "out.db");
}

/// Runs a command where the directory `small` has less room than the file needs: on a small file system of its own where
/// that may be mounted, else with a limit for the length of files.
fn without_room(dir: &Path, args: &str) -> (i32, String) {
    std::fs::create_dir_all(dir.join("small")).unwrap();
    let unshare = |script: &str| {
        let mut shell = Command::new("unshare");
        shell.args(["-rm", "sh", "-c", script]).current_dir(dir).output()
    };
    let mount = "mount -t tmpfs -o size=256k none small";
    let binary = env!("CARGO_BIN_EXE_refloop");
    let said = if unshare(mount).is_ok_and(|output| output.status.success()) {
        unshare(&format!("{mount} && {binary} {args} 2>&1; code=$?; ls -A small; exit $code"))
    } else {
        let script = format!("trap '' XFSZ; ulimit -f 400; {binary} {args} 2>&1; code=$?; ls -A small; exit $code");
        Command::new("sh").args(["-c", &script]).current_dir(dir).output()
    };
    let said = said.unwrap();
    (said.status.code().unwrap(), String::from_utf8(said.stdout).unwrap())
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing() {
    let (_keep, dir) = empty_dir();
    file_with_history(&dir);
    assert_eq!(run(&dir, &["backup", "good.db"]).code, 0);
    for (args, file) in
        [("backup small/out.db", "small/out.db"), ("restore good.db --db small/back.db", "small/back.db")]
    {
        let (code, said) = without_room(&dir, args);
        let lines: Vec<_> = said.lines().filter(|line| !line.ends_with("-lock")).collect();
        assert_eq!((code, lines.len()), (1, 1), "it says so, and nothing is there: {said}");
        let is_said = lines[0].contains(&format!("there is no space for {file}")) || lines[0].contains("cannot copy");
        assert!(is_said, "{said}");
    }
    verifies(&dir, "refloop.db");
}

/// By such indexes it is known that nothing is there twice.
#[test]
fn an_index_that_lacks_a_row_is_damage_too() {
    let (_guard, dir) = empty_dir();
    file_with_history(&dir);
    let file = dir.join("refloop.db");
    let ours = "type = 'index' AND name = 'account_email'";
    let row = sqlite3(&file, &format!("SELECT quote(rootpage) || ', ' || quote(sql) FROM sqlite_schema WHERE {ours}"));
    let open = ".dbconfig defensive off\n.dbconfig writable_schema on\n";
    sqlite3_script(&file, &format!("{open}DELETE FROM sqlite_schema WHERE {ours};"));
    sqlite3(&file, "UPDATE account SET email = 'other@other.example' WHERE id = (SELECT min(id) FROM account)");
    let back = format!("INSERT INTO sqlite_schema VALUES ('index', 'account_email', 'account', {});", row.trim());
    sqlite3_script(&file, &format!("{open}{back}"));
    assert_eq!(run(&dir, &["verify"]).code, 0, "the ledger is in order");
    let refused = run(&dir, &["backup", "copy.db"]);
    assert!(refused.refusal().contains("account_email"), "{refused:?}");
    assert!(!dir.join("copy.db").exists());
}
