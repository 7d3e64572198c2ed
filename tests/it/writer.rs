//! The writer and its queue: what one caller's fault, a full queue, a foreign lock and a full disk do to the others.

use crate::harness::{App, START_MS};
use crate::process::{Caller, Server, empty_dir, refloop, run, sqlite3};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use refloop::domain::error::{Error, Kind, Result};
use refloop::domain::program::{Preset, Program};
use refloop::store::{Capacity, Clock, NewAccount, Store, Tx, verify_file};
use serde_json::json;
use std::future::Future;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::mpsc::channel;

type Answer = std::result::Result<(), (Kind, &'static str)>;

fn open(dir: &Path, queued_writes: usize) -> Store {
    let clock = Clock::Manual(Arc::new(AtomicI64::new(START_MS)));
    Store::open(&dir.join("refloop.db"), clock, Capacity { queued_writes, readers: 4, ..Capacity::default() }).unwrap()
}

/// Makes an account: a change that is easy to see.
fn add(tx: &Tx<'_>, name: &str) -> Result<()> {
    let project = tx.project_named("default")?.id;
    let email = Some(format!("{name}@{name}.example"));
    tx.add_account(project, &NewAccount { email, name: Some(name.into()), ..NewAccount::default() }).map(|_| ())
}

fn is_there(store: &Store, name: &str) -> bool {
    let email = format!("{name}@{name}.example");
    store.read_blocking(|db| Ok(db.account_with_email(db.project_named("default")?.id, &email)?.is_some())).unwrap()
}

async fn queued<F>(store: &Store, work: F) -> Answer
where
    F: FnOnce(&Tx<'_>) -> Result<()> + Send + 'static,
{
    store.write(work).await.map_err(|error| (error.kind, error.code))
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Queues jobs in this order while the writer is held up by one of its own, then lets them all go at once. The
/// answers come in the same order.
fn in_one_batch<'a>(store: &'a Store, jobs: Vec<BoxFuture<'a, Answer>>) -> Vec<Answer> {
    let (started, has_started) = channel();
    let (release, released) = channel::<()>();
    let blocker = queued(store, move |_| {
        started.send(()).unwrap();
        released.recv().unwrap();
        Ok(())
    });
    // Polled in order: each job is in the queue before the next future runs.
    let mut all: Vec<BoxFuture<'_, Answer>> = vec![Box::pin(blocker)];
    all.push(Box::pin(async move {
        has_started.recv().unwrap();
        Ok(())
    }));
    let count = jobs.len();
    all.extend(jobs);
    all.push(Box::pin(async move {
        release.send(()).unwrap();
        Ok(())
    }));
    block_on(join_all(all)).split_off(2)[..count].to_vec()
}

#[test]
fn a_job_that_fails_or_panics_takes_nobody_with_it() {
    let (_keep, dir) = empty_dir();
    let store = open(&dir, 100);
    let answers = in_one_batch(
        &store,
        vec![
            Box::pin(queued(&store, |tx| add(tx, "first"))),
            Box::pin(queued(&store, |tx| {
                add(tx, "undone")?;
                Err(Error::conflict("no", "changed its mind"))
            })),
            Box::pin(queued(&store, |tx| {
                add(tx, "panicked")?;
                // A panic of the kind that nobody foresees.
                std::panic::panic_any("on purpose");
            })),
            Box::pin(queued(&store, |tx| add(tx, "first"))),
            Box::pin(queued(&store, |tx| add(tx, "last"))),
        ],
    );
    let internal = Err((Kind::Internal, "internal"));
    assert_eq!(answers, [Ok(()), Err((Kind::Conflict, "no")), internal, internal, Ok(())]);
    let there = ["first", "undone", "panicked", "last"].map(|name| is_there(&store, name));
    assert_eq!(there, [true, false, false, true]);
    // And the writer goes on.
    store.write_blocking(|tx| add(tx, "undone")).unwrap();
    assert!(is_there(&store, "undone"));
}

#[test]
fn jobs_of_a_batch_run_in_their_order_and_see_each_other() {
    let (_keep, dir) = empty_dir();
    let store = open(&dir, 100);
    let sees = |name: &'static str, of: &'static str| {
        queued(&store, move |tx| {
            let project = tx.project_named("default")?.id;
            assert!(tx.account_with_email(project, &format!("{of}@{of}.example"))?.is_some());
            add(tx, name)
        })
    };
    let first = queued(&store, |tx| add(tx, "a"));
    let answers = in_one_batch(&store, vec![Box::pin(first), Box::pin(sees("b", "a")), Box::pin(sees("c", "b"))]);
    assert_eq!(answers, [Ok(()), Ok(()), Ok(())]);
}

#[test]
fn a_full_queue_is_busy_and_changes_nothing() {
    let (_keep, dir) = empty_dir();
    let store = open(&dir, 3);
    let job = |name: &'static str| -> BoxFuture<'_, Answer> { Box::pin(queued(&store, move |tx| add(tx, name))) };
    let answers = in_one_batch(&store, vec![job("one"), job("two"), job("three"), job("four")]);
    let busy = Err((Kind::Busy, "busy"));
    assert_eq!(answers, [Ok(()), Ok(()), busy, busy]);
    assert_eq!(["one", "two", "three", "four"].map(|name| is_there(&store, name)), [true, true, false, false]);
    store.write_blocking(|tx| add(tx, "three")).unwrap();
}

async fn queued_as<F>(store: &Store, units: usize, work: F) -> Answer
where
    F: FnOnce(&Tx<'_>) -> Result<()> + Send + 'static,
{
    store.write_much(units, work).await.map_err(|error| (error.kind, error.code))
}

#[test]
fn a_batch_counts_as_all_that_is_in_it() {
    let (_keep, dir) = empty_dir();
    let store = open(&dir, 10);
    let busy = Err((Kind::Busy, "busy"));
    // More than may ever wait: it gets its turn when nothing else does, each time.
    for name in ["large", "larger"] {
        assert_eq!(block_on(queued_as(&store, 1_000, move |tx| add(tx, name))), Ok(()));
    }
    // One unit is the job that holds up the writer.
    let batch = |units, name: &'static str| -> BoxFuture<'_, Answer> {
        Box::pin(queued_as(&store, units, move |tx| add(tx, name)))
    };
    let jobs = vec![batch(1_000, "a"), batch(10, "b"), batch(7, "c"), batch(3, "d"), batch(2, "e"), batch(1, "f")];
    assert_eq!(in_one_batch(&store, jobs), [busy, busy, Ok(()), busy, Ok(()), busy]);
    let there = ["large", "larger", "a", "b", "c", "d", "e", "f"].map(|name| is_there(&store, name));
    assert_eq!(there, [true, true, false, false, true, false, true, false]);
    // What was refused and what is done no longer count.
    let jobs = vec![batch(9, "b"), batch(1, "d")];
    assert_eq!(in_one_batch(&store, jobs), [Ok(()), busy]);
}

#[test]
fn what_was_accepted_is_written_before_the_store_closes() {
    let (_keep, dir) = empty_dir();
    let store = open(&dir, 10);
    let (started, has_started) = channel();
    let (release, released) = channel::<()>();
    block_on(async {
        // Nobody waits for the answers.
        let mut blocker: BoxFuture<'_, Answer> = Box::pin(queued(&store, move |_| {
            started.send(()).unwrap();
            released.recv().unwrap();
            Ok(())
        }));
        let mut job: BoxFuture<'_, Answer> = Box::pin(queued(&store, |tx| add(tx, "late")));
        assert!((&mut blocker).now_or_never().is_none());
        has_started.recv().unwrap();
        assert!((&mut job).now_or_never().is_none());
    });
    release.send(()).unwrap();
    drop(store);
    assert!(is_there(&open(&dir, 10), "late"));
}

/// A `sqlite3` shell that stays open, as another process on the file.
struct Shell {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Shell {
    fn open(db: &Path) -> Self {
        let mut command = Command::new("sqlite3");
        let mut child = command.arg(db).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    /// Returns when it has been done.
    fn run(&mut self, sql: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{sql}\n.print done").unwrap();
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        assert_eq!(line, "done\n");
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_lock_that_another_process_holds_is_busy_and_passes() {
    let app = App::start();
    let alice = app.developer("Alice");
    let mut other = Shell::open(&app.db());
    other.run("BEGIN IMMEDIATE;");
    let reply = alice.post("/v1/developers/referral-code", json!({}));
    assert_eq!((reply.status, reply.header("retry-after").is_some()), (503, true), "{}", reply.body);
    assert_eq!(reply.problem(503), "busy");
    // Reading goes on meanwhile.
    assert_eq!(alice.stats()["total_referrals"], 0);
    assert_eq!(alice.get("/v1/developers/me").json()["referral_code"], json!(null));
    other.run("ROLLBACK;");
    assert_eq!(alice.code(), "ALICE2026");
}

#[test]
fn reading_writes_nothing() {
    let app = App::start();
    let alice = app.developer("Alice");
    app.referee("Bob", &alice.code()).use_api(&app.gateway(), "one", 5);
    let files = || {
        let names = ["refloop.db", "refloop.db-wal"].map(|name| app.db().with_file_name(name));
        names.map(|name| std::fs::read(name).unwrap())
    };
    let before = files();
    for path in [
        "/v1/developers/me",
        "/v1/developers/referrals",
        "/v1/developers/referral-stats",
        "/v1/developers/ledger",
        "/v1/developers/ledger.csv",
        "/v1/developers/api-keys",
        "/v1/ledger/head",
        "/signup",
        "/signup?ref=NOSUCH",
        "/healthz",
    ] {
        assert_eq!(alice.get(path).status, 200, "{path}");
    }
    let verify = app.gateway().post("/v1/keys/verify", json!({ "api_key": alice.key }));
    assert_eq!(verify.json()["valid"], true);
    assert!(files() == before);
}

/// The limit on the size of its files under which a process runs. A write beyond it fails as on a full disk.
fn set_room(server: &Server, bytes: &str) {
    let limit = format!("--fsize={bytes}:unlimited");
    let set = Command::new("prlimit").args(["--pid", &server.pid().to_string(), &limit]).status().unwrap();
    assert!(set.success());
}

/// A server that is told, not killed, when a file would grow beyond its limit.
fn server_that_can_run_out_of_room(dir: &Path) -> Server {
    let binary = refloop(dir).get_program().to_owned();
    let mut command = Command::new("sh");
    crate::process::without_settings(&mut command);
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(binary).current_dir(dir);
    command.args(["serve", "--json", "--listen", "127.0.0.1:0"]).args(crate::process::NO_LIMITS);
    Server::spawn(command, dir)
}

#[test]
fn a_full_disk_loses_nothing_and_is_over_when_there_is_room() {
    let (_keep, dir) = empty_dir();
    let server = server_that_can_run_out_of_room(&dir);
    let (caller, key) = (Caller::new(&server.url), server.gateway_key());
    let body = json!({ "email": "me@alice.example", "password": "secure-password", "name": "Alice" });
    let alice = caller.post(None, "/v1/developers/signup", &body).unwrap().json();
    let developer = alice["developer"]["id"].as_str().unwrap().to_owned();
    let batch = |round: usize| {
        let events = (0..50).map(|n| json!({ "id": format!("{round}-{n}"), "developer_id": developer, "calls": 1 }));
        json!({ "events": events.collect::<Vec<_>>() })
    };
    let record = |round: usize| caller.post(Some(&key), "/v1/usage", &batch(round)).unwrap();
    assert_eq!(record(0).status, 200);

    let wal = dir.join("refloop.db-wal");
    set_room(&server, &(std::fs::metadata(&wal).unwrap().len() + 40_000).to_string());
    let mut recorded = vec![0];
    let full = (1..200).find(|&round| {
        let reply = record(round);
        if reply.status == 200 {
            recorded.push(round);
        } else {
            assert_eq!((reply.status, reply.json()["code"].as_str()), (503, Some("busy")), "{}", reply.body);
        }
        reply.status != 200
    });
    let full = full.expect("the room was never used up");
    // As often as one tries, and whoever asks.
    for _ in 0..3 {
        assert_eq!(record(full).status, 503);
    }
    // Not even a byte more, so that the smallest of writes fails too.
    set_room(&server, "4096");
    let ready = || ureq::get(format!("{}/readyz", server.url)).config().http_status_as_error(false).build();
    let ready = || ready().call().unwrap().status();
    assert_eq!([ready(), ready()], [503, 503]);
    let stats = || {
        let mut request = ureq::get(format!("{}/v1/developers/me", server.url));
        request = request.header("Authorization", format!("Bearer {}", alice["api_key"].as_str().unwrap()));
        request.call().unwrap().status()
    };
    assert_eq!(stats(), 200, "reading goes on");

    set_room(&server, "unlimited");
    assert_eq!(ready(), 200);
    let reply = record(full).json();
    let told: Vec<_> = reply["results"].as_array().unwrap().iter().map(|result| result["status"].clone()).collect();
    assert!(told.iter().all(|word| word == "recorded"), "nothing of a refused batch was kept: {reply}");
    recorded.push(full);
    for round in recorded {
        let reply = record(round).json();
        assert!(reply["results"].as_array().unwrap().iter().all(|result| result["status"] == "duplicate"), "{reply}");
    }
    let counted =
        sqlite3(&dir.join("refloop.db"), "SELECT calls = (SELECT count(*) FROM usage_event) FROM usage_total_now");
    assert_eq!(counted, "1\n");
    drop(server);
    assert_eq!(run(&dir, &["verify", "--json"]).json()["ok"], true);
}

/// A deferred foreign key is checked at the commit, and this one leads nowhere.
const LOSES_THE_COMMIT: &str = "
    CREATE TABLE lost (id INTEGER REFERENCES team DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER lose AFTER INSERT ON account WHEN NEW.name = 'wrong' BEGIN INSERT INTO lost VALUES (-1); END";

#[test]
fn a_commit_that_fails_fails_everyone_in_it() {
    let (_keep, dir) = empty_dir();
    let store = open(&dir, 100);
    store.write_blocking(|tx| add(tx, "before")).unwrap();
    let file: PathBuf = dir.join("refloop.db");
    sqlite3(&file, LOSES_THE_COMMIT);
    let job = |name: &'static str| -> BoxFuture<'_, Answer> { Box::pin(queued(&store, move |tx| add(tx, name))) };
    let answers = in_one_batch(&store, vec![job("one"), job("wrong"), job("two")]);
    assert!(answers.iter().all(|answer| answer == &Err((Kind::Internal, "internal"))), "{answers:?}");
    assert_eq!(["one", "wrong", "two"].map(|name| is_there(&store, name)), [false; 3]);
    assert_eq!(in_one_batch(&store, vec![job("one"), job("two")]), [Ok(()), Ok(())], "the next batch is another");
    sqlite3(&file, "DROP TRIGGER lose; DROP TABLE lost");
    drop(store);
    assert_eq!(verify_file(&file, None).unwrap().fault, None);
}

/// The default program, with another bonus.
fn paying(amount: i64) -> Program {
    let mut program = Preset::Credits.program();
    program.rules[0].amount = Some(amount);
    program
}

/// Makes it the next version and looks at it, as whoever changes a program and goes on does.
fn change_program(tx: &Tx<'_>, amount: i64) -> Result<()> {
    let project = tx.project_named("default")?.id;
    let version = tx.add_program(project, &paying(amount), "test")?;
    let program = tx.program(project)?;
    assert_eq!((program.version, program.rules[0].amount), (version, Some(amount)));
    Ok(())
}

#[test]
fn a_program_that_was_undone_is_not_remembered() {
    let (_keep, dir) = empty_dir();
    let store = open(&dir, 100);
    let in_force = || {
        let read = store.read_blocking(|db| db.program(db.project_named("default")?.id));
        let program = read.unwrap();
        (program.version, program.rules[0].amount)
    };
    store
        .write_blocking(|tx| change_program(tx, 1).and_then(|()| Err::<(), _>(Error::conflict("no", "mind changed"))))
        .unwrap_err();
    store.write_blocking(|tx| change_program(tx, 2)).unwrap();
    assert_eq!(in_force(), (2, Some(2)), "after a job that failed");

    let panics = |tx: &Tx<'_>| -> Result<()> {
        change_program(tx, 3)?;
        std::panic::panic_any("on purpose");
    };
    store.write_blocking(panics).unwrap_err();
    store.write_blocking(|tx| change_program(tx, 4)).unwrap();
    assert_eq!(in_force(), (3, Some(4)), "after a job that panicked");

    let file = dir.join("refloop.db");
    sqlite3(&file, LOSES_THE_COMMIT);
    store.write_blocking(|tx| change_program(tx, 5).and_then(|()| add(tx, "wrong"))).unwrap_err();
    store.write_blocking(|tx| change_program(tx, 6)).unwrap();
    assert_eq!(in_force(), (4, Some(6)), "after a commit that failed");
    sqlite3(&file, "DROP TRIGGER lose; DROP TABLE lost");
    drop(store);
    assert_eq!(verify_file(&file, None).unwrap().fault, None);
}
