//! `refloop restore`: what comes back, and each refusal.

use super::{file_with_history, names, verifies};
use crate::process::{Caller, Server, empty_dir, run, sqlite3};
use serde_json::{Value, json};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

fn get(url: &str, key: &str, path: &str) -> Value {
    let request = ureq::get(format!("{url}{path}")).header("Authorization", format!("Bearer {key}"));
    serde_json::from_str(&request.call().unwrap().body_mut().read_to_string().unwrap()).unwrap()
}

/// The head that `serve` signs, kept in a file.
fn keep_head(dir: &Path, name: &str) -> Value {
    let server = Server::start(dir);
    let head = get(&server.url, "", "/v1/ledger/head");
    std::fs::write(dir.join(name), head.to_string()).unwrap();
    head
}

#[test]
fn a_machine_that_is_lost_comes_back_as_it_was() {
    let (_keep, dir) = empty_dir();
    let key = file_with_history(&dir);
    let mut server = Server::start(&dir);
    let before = get(&server.url, &key, "/v1/developers/me");
    std::fs::create_dir(dir.join("elsewhere")).unwrap();
    let backup = run(&dir, &["backup", "elsewhere", "--json"]).json();
    server.kill_9();

    let (_keep, new) = empty_dir();
    std::fs::copy(dir.join(backup["file"].as_str().unwrap()), new.join("backup.db")).unwrap();
    let said = run(&new, &["restore", "backup.db", "--json"]);
    let restored = said.json();
    assert_eq!((said.code, said.err.as_str(), &restored["file"]), (0, "", &json!("refloop.db")));
    assert_eq!((&restored["head"], &restored["entries"]), (&backup["head"], &backup["entries"]));
    assert_eq!(names(&new), ["backup.db", "refloop.db", "refloop.db-lock"]);
    verifies(&new, "refloop.db");
    let server = Server::start(&new);
    assert_eq!(server.greeting["gateway_key"], Value::Null, "it is no first start");
    assert_eq!(get(&server.url, &key, "/v1/developers/me"), before);
    super::sign_up(&Caller::new(&server.url), "carol");
}

#[test]
fn the_backup_has_to_contain_a_head_that_was_kept() {
    let (_keep, dir) = empty_dir();
    file_with_history(&dir);
    let old = keep_head(&dir, "old.json");
    assert_eq!(run(&dir, &["backup", "backup.db"]).code, 0);
    let server = Server::start(&dir);
    let caller = Caller::new(&server.url);
    let (code, gateway) = (sqlite3(&dir.join("refloop.db"), "SELECT code FROM code LIMIT 1"), "later");
    let body = json!({ "email": format!("me@{gateway}.example"), "password": "secure-password", "name": "Later",
                       "referral_code": code.trim() });
    assert_eq!(caller.post(None, "/v1/developers/signup", &body).unwrap().status, 201);
    drop(server);
    let new = keep_head(&dir, "new.json");
    assert!(new["seq"].as_i64() > old["seq"].as_i64());
    let restore = |head: &str| run(&dir, &["restore", "backup.db", "--db", "back.db", "--head", head]);
    let said = restore("new.json");
    assert!(said.refusal().contains("backup.db is not in order") && said.err.contains("the tail was cut"), "{said:?}");
    let forged = json!({ "seq": 1, "hash": "00".repeat(32), "at": old["at"], "signature": old["signature"],
                         "public_key": old["public_key"] });
    std::fs::write(dir.join("forged.json"), forged.to_string()).unwrap();
    assert!(restore("forged.json").refusal().contains("backup.db is not in order"));
    std::fs::write(dir.join("text.json"), "head").unwrap();
    assert!(restore("text.json").refusal().contains("not a kept head"));
    assert!(restore("missing.json").refusal().contains("cannot read missing.json"));
    assert!(!names(&dir).iter().any(|name| name.starts_with("back.db") && name != "back.db-lock"));
    assert_eq!(restore("old.json").code, 0);
}

#[test]
fn each_refusal_of_a_restore_leaves_everything_as_it_was() {
    let (_keep, dir) = empty_dir();
    file_with_history(&dir);
    assert_eq!(run(&dir, &["backup", "good.db"]).code, 0);
    let copy = |name: &str| {
        std::fs::copy(dir.join("good.db"), dir.join(name)).unwrap();
        dir.join(name)
    };
    let text = "no database, but long enough to look like one; ".repeat(100);
    std::fs::write(dir.join("notes.db"), text).unwrap();
    std::fs::write(dir.join("empty.db"), "").unwrap();
    assert_eq!(sqlite3(&dir.join("void.db"), "VACUUM"), "");
    assert_eq!(sqlite3(&copy("newer.db"), "PRAGMA user_version = 2"), "");
    let chain = "DROP TRIGGER entry_no_update; UPDATE entry SET at_ms = 1 WHERE seq = 2";
    assert_eq!(sqlite3(&copy("chain.db"), chain), "");
    assert_eq!(sqlite3(&copy("balance.db"), "UPDATE balance SET open = open + 1"), "");
    let mut file = std::fs::File::options().write(true).open(copy("damaged.db")).unwrap();
    let page = sqlite3(&dir.join("good.db"), "SELECT rootpage FROM sqlite_schema WHERE name = 'entry'");
    file.seek(SeekFrom::Start((page.trim().parse::<u64>().unwrap() - 1) * 4096)).unwrap();
    file.write_all(&[0x5a; 4096]).unwrap();
    let file = std::fs::File::options().write(true).open(copy("cut.db")).unwrap();
    file.set_len(100_000).unwrap();
    for (from, why) in [
        ("none.db", "there is no backup at none.db"),
        ("empty.db", "there is no backup at empty.db"),
        ("void.db", "void.db is"),
        (".", "there is no backup at ."),
        ("notes.db", "notes.db is not a refloop database"),
        ("newer.db", "newer.db has schema 2, made by a newer refloop; this one knows schema 1. Use the newer binary"),
        ("chain.db", "chain.db is not in order: entry 2: "),
        ("balance.db", "balance.db is not in order: entry "),
        ("damaged.db", "damaged"),
        ("cut.db", ""),
    ] {
        let said = run(&dir, &["restore", from, "--db", "back.db"]);
        assert!(said.code == 1 && said.out.is_empty() && said.err.contains(why), "{from}: {said:?}");
        let said = run(&dir, &["restore", from, "--db", "back.db", "--json"]);
        assert!(said.code == 1 && said.json()["error"]["message"].as_str().unwrap().contains(why), "{from}: {said:?}");
        let left: Vec<_> = names(&dir).into_iter().filter(|name| name.starts_with("back.db")).collect();
        assert!(left.iter().all(|name| name == "back.db-lock"), "{from}: {left:?}");
    }
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let name = format!("there{suffix}");
        std::fs::write(dir.join(&name), "").unwrap();
        let said = run(&dir, &["restore", "good.db", "--db", "there"]);
        assert!(said.refusal().contains("there is not empty: a backup is put back only where nothing is"), "{said:?}");
        std::fs::remove_file(dir.join(&name)).unwrap();
    }
    let before = std::fs::read(dir.join("refloop.db")).unwrap();
    assert!(run(&dir, &["restore", "good.db"]).refusal().contains("Move the file away first"));
    assert_eq!(std::fs::read(dir.join("refloop.db")).unwrap(), before);
    assert!(
        run(&dir, &["restore", "good.db", "--db", "no/where.db"]).refusal().contains("cannot open no/where.db-lock")
    );
    assert_eq!(run(&dir, &["restore"]).code, 2);
}

#[test]
fn a_file_that_is_served_is_not_restored_even_when_its_name_is_gone() {
    let (_keep, dir) = empty_dir();
    file_with_history(&dir);
    let server = Server::start(&dir);
    assert_eq!(run(&dir, &["backup", "good.db"]).code, 0);
    let why = "another refloop is serving refloop.db; stop it first";
    assert!(run(&dir, &["restore", "good.db"]).refusal().contains(why));
    for suffix in ["", "-wal", "-shm"] {
        std::fs::rename(dir.join(format!("refloop.db{suffix}")), dir.join(format!("old{suffix}"))).unwrap();
    }
    assert!(run(&dir, &["restore", "good.db"]).refusal().contains(why));
    drop(server);
    assert_eq!(run(&dir, &["restore", "good.db"]).code, 0);
}
