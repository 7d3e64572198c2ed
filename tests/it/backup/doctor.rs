//! `refloop doctor`: each thing is really broken, and found with a remedy.

use super::file_with_history;
use crate::mail::smtp::{Answer, Smtp};
use crate::payouts::crash::now_ms;
use crate::process::{Server, empty_dir, refloop, run, sqlite3};
use crate::signals::ages::Rdap;
use crate::stripe_api::{API_KEY, StandIn};
use refloop::store::{Capacity, Clock, Store};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A file in order, in a directory of its own.
struct Patient {
    dir: PathBuf,
    _keep: tempfile::TempDir,
}

impl Patient {
    fn new() -> Self {
        let (keep, dir) = empty_dir();
        file_with_history(&dir);
        Self { dir, _keep: keep }
    }

    fn file(&self) -> PathBuf {
        self.dir.join("refloop.db")
    }

    fn sql(&self, sql: &str) {
        assert_eq!(sqlite3(&self.file(), sql), "", "{sql}");
    }

    fn look(&self, args: &[&str]) -> Value {
        look(&self.dir, args)
    }

    /// It finds exactly this, beside that no backups are made.
    fn has(&self, args: &[&str], check: &str, state: &str, detail: &str, remedy: &str) {
        let found = self.look(args);
        let wrong: Vec<_> = off(&found).into_iter().filter(|finding| finding["check"] != "backups").collect();
        assert_eq!(wrong.len(), 1, "{check} {detail}: {wrong:#?}");
        is(&wrong[0], check, state, detail, remedy);
    }
}

fn look(dir: &Path, args: &[&str]) -> Value {
    let said = run(dir, &[&["doctor", "--json"], args].concat());
    let found = said.json();
    let count = |state: &str| found["findings"].as_array().unwrap().iter().filter(|one| one["state"] == state).count();
    assert_eq!((&found["faults"], &found["warnings"]), (&json!(count("fault")), &json!(count("warning"))), "{found}");
    assert_eq!((said.code, &found["ok"]), (i32::from(count("fault") > 0), &json!(count("fault") == 0)), "{said:?}");
    assert!(off(&found).iter().all(|one| one["remedy"].as_str().is_some_and(|text| text.len() > 10)), "{found:#}");
    found
}

fn off(found: &Value) -> Vec<Value> {
    found["findings"].as_array().unwrap().iter().filter(|finding| finding["state"] != "ok").cloned().collect()
}

fn of<'f>(found: &'f Value, check: &str) -> &'f Value {
    found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["check"] == check)
        .unwrap_or_else(|| panic!("{found:#}"))
}

fn is(finding: &Value, check: &str, state: &str, detail: &str, remedy: &str) {
    let text = |name: &str| finding[name].as_str().unwrap_or_default();
    assert_eq!((text("check"), text("state")), (check, state), "{finding:#}");
    assert!(text("detail").contains(detail) && text("remedy").contains(remedy), "{detail} / {remedy}: {finding:#}");
}

#[test]
fn a_file_in_order_is_well_also_beside_a_server() {
    let patient = Patient::new();
    let server = Server::start(&patient.dir);
    let found = patient.look(&[]);
    assert_eq!((found["faults"].clone(), found["warnings"].clone()), (json!(0), json!(1)), "{found:#}");
    let checks: Vec<_> =
        found["findings"].as_array().unwrap().iter().map(|one| one["check"].as_str().unwrap()).collect();
    assert_eq!(
        checks,
        [
            "file",
            "permissions",
            "directory",
            "server",
            "log",
            "disk",
            "clock",
            "integrity",
            "ledger",
            "settings",
            "backups"
        ]
    );
    is(of(&found, "server"), "server", "ok", "a running one has the file", "");
    is(of(&found, "backups"), "backups", "warning", "none are made by themselves", "--backup-dir");
    drop(server);
    is(of(&patient.look(&[]), "server"), "server", "ok", "none has the file", "");
    let said = run(&patient.dir, &["doctor"]);
    assert_eq!(said.code, 0, "warnings alone are no fault");
    assert!(
        said.out.starts_with("ok       file         refloop.db, 0.") && said.out.contains("→ serve with"),
        "{said:?}"
    );
    assert!(said.out.ends_with("\n0 faults, 1 warning\n"), "{said:?}");
}

#[test]
fn what_is_no_file_of_ours_is_said() {
    let (_keep, dir) = empty_dir();
    std::fs::write(dir.join("empty.db"), "").unwrap();
    std::fs::write(dir.join("notes.db"), "no database, but long enough to look like one; ".repeat(100)).unwrap();
    sqlite3(&dir.join("newer.db"), "PRAGMA application_id = 0x7265666c; PRAGMA user_version = 99; CREATE TABLE t (a)");
    sqlite3(&dir.join("void.db"), "VACUUM");
    for name in ["empty.db", "notes.db", "newer.db", "void.db"] {
        std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(0o600)).ok();
    }
    for (db, detail, remedy) in [
        ("none.db", "there is no database at none.db", "refloop restore BACKUP --db none.db"),
        ("empty.db", "empty.db is empty", "refloop restore BACKUP --db empty.db"),
        ("void.db", "void.db is", "refloop restore BACKUP --db void.db"),
        (".", ". is no file", "refloop serve"),
        ("notes.db", "notes.db is not a refloop database", "keep the file as it is"),
        ("newer.db", "newer.db has schema 99, made by a newer refloop", "use the binary"),
    ] {
        let found = look(&dir, &["--db", db]);
        is(of(&found, "file"), "file", "fault", detail, remedy);
        assert_eq!(found["faults"], 1, "{found:#}");
    }
    assert!(!dir.join("none.db").exists() && !dir.join("none.db-lock").exists(), "asking makes no file");
}

#[test]
fn what_is_wrong_around_the_file_is_found() {
    let patient = Patient::new();
    let mode = |name: &str, mode| {
        std::fs::set_permissions(patient.dir.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("refloop.db", 0o644);
    patient.has(&[], "permissions", "fault", "refloop.db: others on this machine may read", "chmod 600 refloop.db");
    mode("refloop.db", 0o600);
    mode("refloop.db-lock", 0o660);
    patient.has(&[], "permissions", "fault", "refloop.db-lock: others", "chmod 600 refloop.db-lock");
    mode("refloop.db-lock", 0o600);
    // As a command that root has run may leave it. Only root can give a file away.
    let lock = patient.dir.join("refloop.db-lock");
    if std::os::unix::fs::chown(&lock, Some(65_534), None).is_ok() {
        patient.has(
            &[],
            "permissions",
            "fault",
            "refloop.db-lock: another owner than refloop.db has",
            "chown --reference",
        );
        std::fs::remove_file(&lock).unwrap();
    }
    // A log of a gigabyte, of which the disk has next to nothing; with nobody who empties it.
    let held = Store::look(&patient.file(), Clock::System, Capacity::default()).unwrap();
    let log = std::fs::File::options().write(true).open(patient.dir.join("refloop.db-wal")).unwrap();
    log.set_len(1_200_000_000).unwrap();
    let found = patient.look(&[]);
    is(
        of(&found, "log"),
        "log",
        "warning",
        "the write-ahead log has 1200.0 MB: it is not emptied",
        "restart the server",
    );
    drop(held);

    let at_ms = now_ms() + 3_600_000;
    patient.sql(&format!("UPDATE instance SET created_at_ms = {at_ms}"));
    patient.has(&[], "clock", "fault", "but the newest entry is of", "NTP");
    patient.sql("UPDATE instance SET created_at_ms = 1");
    assert_eq!(of(&patient.look(&[]), "clock")["state"], "ok", "the entries are newer");
    let (_keep, dir) = empty_dir();
    drop(Server::start(&dir));
    assert_eq!(sqlite3(&dir.join("refloop.db"), "UPDATE instance SET created_at_ms = 1"), "");
    is(of(&look(&dir, &[]), "clock"), "clock", "warning", "more than a year before", "NTP");
}

#[test]
fn a_directory_that_cannot_be_written_to_is_found() {
    let patient = Patient::new();
    let mode = |mode| std::fs::set_permissions(&patient.dir, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o500);
    let found = if std::fs::write(patient.dir.join("trial"), "").is_err() {
        patient.look(&[])
    } else {
        // Root may write everywhere but to what is mounted for reading only.
        let script = "mount --bind . . && cd . && mount -o remount,bind,ro . && \"$0\" doctor --json --db \"$1\"";
        let mut shell = std::process::Command::new("unshare");
        shell.args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_refloop")]).arg(patient.file());
        let said = shell.current_dir(&patient.dir).output().unwrap();
        serde_json::from_slice(&said.stdout).unwrap_or_else(|_| panic!("{said:?}"))
    };
    mode(0o700);
    is(of(&found, "directory"), "directory", "fault", "cannot be written to", "mount it for writing");
}

#[test]
fn damage_is_found() {
    let patient = Patient::new();
    let whole = std::fs::read(patient.file()).unwrap();
    patient.sql("UPDATE balance SET open = open + 1");
    patient.has(&[], "ledger", "fault", "the balance of", "refloop restore BACKUP --db refloop.db");
    std::fs::write(patient.file(), &whole).unwrap();
    patient.sql("DROP TRIGGER entry_no_update; UPDATE entry SET at_ms = 1 WHERE seq = 2");
    patient.has(&[], "ledger", "fault", "entry 2: ", "put the newest good backup back");
    std::fs::write(patient.file(), &whole).unwrap();
    patient.sql("DROP TRIGGER entry_no_update");
    patient.has(&[], "ledger", "fault", "trigger entry_no_update", "refloop restore");
    let mut broken = whole;
    let page = sqlite3(&patient.file(), "SELECT rootpage FROM sqlite_schema WHERE name = 'entry'");
    let start = (page.trim().parse::<usize>().unwrap() - 1) * 4096;
    broken[start..start + 4096].fill(0x5a);
    std::fs::write(patient.file(), &broken).unwrap();
    let found = patient.look(&[]);
    is(of(&found, "integrity"), "integrity", "fault", "", "stop the server");
    assert!(!found.to_string().contains("\"ledger\""), "what cannot be read is not added up");
}

#[test]
fn settings_that_contradict_each_other_are_found() {
    let patient = Patient::new();
    std::fs::write(patient.dir.join("list"), "no domain at all\n").unwrap();
    std::fs::write(patient.dir.join("smtp"), "smtp://127.0.0.1:1").unwrap();
    std::fs::set_permissions(patient.dir.join("smtp"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let url = "https://refer.example.com";
    for (args, state, detail, remedy) in [
        (&["--trusted-proxies", "127.0.0.1"][..], "warning", "does not begin with https://", "--public-url"),
        (&["--listen", "0.0.0.0:8080"], "warning", "goes over the network in the clear", "127.0.0.1"),
        (&["--public-url", url], "warning", "no proxy is trusted", "--trusted-proxies"),
        (&["--mail-from", "refer@example.com"], "warning", "there is no mail server", "REFLOOP_SMTP_URL"),
        (&["--disposable-domains", "list"], "fault", "serve does not start", "mend the file"),
        (&["--disposable-domains", "nowhere"], "fault", "cannot read nowhere", "mend the file"),
    ] {
        patient.has(args, "settings", state, detail, remedy);
    }
    let well = ["--public-url", url, "--trusted-proxies", "127.0.0.1"];
    assert_eq!(of(&patient.look(&well), "settings")["state"], "ok");
    let smtp = Smtp::start();
    let found = patient.look(&["--smtp-url", &smtp.url()]);
    is(of(&found, "settings"), "settings", "fault", "nobody whom mail comes from", "--mail-from");
    let found = patient.look(&["--smtp-url", "@smtp", "--mail-from", "refer@example.com"]);
    is(of(&found, "settings"), "settings", "warning", "smtp holds the mail server's password", "chmod 600 smtp");

    let stripe = |key: &str, secret: &str| {
        patient.sql(&format!("UPDATE project SET stripe_api_key = '{key}', stripe_webhook_secrets = {secret}"));
    };
    let nowhere = ["--stripe-api-url", "http://127.0.0.1:1"];
    stripe("sk_live_secret", "'whsec'");
    let found = patient.look(&nowhere);
    is(
        of(&found, "settings"),
        "settings",
        "fault",
        "default: a live key of Stripe's would be sent to",
        "leave --stripe",
    );
    stripe("sk_other_secret", "NULL");
    let found = patient.look(&nowhere);
    is(
        of(&found, "settings"),
        "settings",
        "warning",
        "default has a Stripe key, but no webhook secret",
        "webhook_secret",
    );
    assert!(!found.to_string().contains("_secret\""), "keys are not printed");
    // A test project has no Stripe.
    patient.sql("UPDATE project SET mode = 'test'");
    let found = patient.look(&nowhere);
    assert_eq!(of(&found, "settings")["state"], "ok");
    assert!(!found.to_string().contains("\"stripe\""), "{found:#}");
}

#[test]
fn backups_that_are_missing_old_or_on_the_same_disk_are_found() {
    let patient = Patient::new();
    let args = ["--backup-dir", "out", "--backup-every", "1"];
    let backups = |state: &str, detail: &str, remedy: &str| {
        is(of(&patient.look(&args), "backups"), "backups", state, detail, remedy);
    };
    backups("fault", "cannot look into out", "make the directory, or mount it");
    std::fs::create_dir(patient.dir.join("out")).unwrap();
    backups("warning", "there is none in out yet", "start the server");
    std::fs::write(patient.dir.join("out/refloop-20260101T000000Z.db"), "").unwrap();
    backups("fault", "the newest of 1 in out is of 2026-01-01T00:00:00Z", "its log says why");
    assert_eq!(run(&patient.dir, &["backup", "out"]).code, 0);
    backups("warning", "out is on the disk that the database is on", "mount another one there");
}

#[test]
fn what_cannot_be_reached_is_found_and_nothing_else_is_asked() {
    let patient = Patient::new();
    let (smtp, stripe, rdap) = (Smtp::start(), StandIn::start(), Rdap::start());
    patient.sql(&format!("UPDATE project SET stripe_api_key = '{API_KEY}', stripe_webhook_secrets = 'whsec'"));
    let url = smtp.url();
    let args = |smtp: &str, stripe: &str, rdap: &str| {
        let from = ["--mail-from", "refer@example.com"];
        let rest = ["--smtp-url", smtp, "--stripe-api-url", stripe, "--rdap-url", rdap];
        patient.look(&[&from[..], &rest].concat())
    };
    let found = args(&url, &stripe.url, &rdap.url);
    for check in ["mail", "stripe", "rdap"] {
        assert_eq!(of(&found, check)["state"], "ok", "{found:#}");
    }
    assert!(smtp.mails().is_empty(), "no mail is sent");
    assert_eq!(stripe.requests("GET", "/v1/balance").len(), stripe.requests_so_far(), "and nothing is changed");

    let nowhere = "http://127.0.0.1:1";
    let found = args("smtp://127.0.0.1:1", nowhere, nowhere);
    is(of(&found, "mail"), "mail", "fault", "the server cannot be used", "REFLOOP_SMTP_URL");
    is(of(&found, "stripe"), "stripe", "fault", "default: http://127.0.0.1:1 cannot be reached", "payouts wait");
    is(of(&found, "rdap"), "rdap", "warning", "it is not to be reached", "REFLOOP_RDAP_URL");
    smtp.answers(&[Answer::Silence]);
    rdap.say("help", 503, String::new());
    stripe.with(|state| state.ahead_ms = 2 * 3_600_000);
    let found = args(&url, &stripe.url, &format!("{}/rdap", rdap.url));
    is(of(&found, "mail"), "mail", "fault", "the server cannot be used", "REFLOOP_SMTP_URL");
    is(of(&found, "stripe"), "stripe", "fault", "seconds apart: no payout is sent", "NTP");
    is(of(&found, "rdap"), "rdap", "warning", "it answers 503", "REFLOOP_RDAP_URL");
    stripe.with(|state| state.is_down = true);
    let found = args("smtp://nobody@", &stripe.url, &rdap.url);
    is(of(&found, "mail"), "mail", "fault", "Give smtp://user:password@host:587", "REFLOOP_SMTP_URL");
    is(of(&found, "stripe"), "stripe", "warning", "answers 5", "payouts wait");
    stripe.with(|state| {
        state.is_down = false;
        state.api_keys.clear();
    });
    is(
        of(&args(&url, &stripe.url, &rdap.url), "stripe"),
        "stripe",
        "fault",
        "default: Stripe does not know the key",
        "api_key",
    );
}

#[test]
fn it_takes_the_settings_of_serve_from_the_environment() {
    let (_keep, dir) = empty_dir();
    let said = refloop(&dir).args(["doctor", "--json"]).env("REFLOOP_BACKUP_DIR", "nowhere").output().unwrap();
    assert!(String::from_utf8_lossy(&said.stdout).contains("cannot look into nowhere"));
    assert_eq!(run(&dir, &["doctor", "--backup-every", "0"]).code, 2);
}
