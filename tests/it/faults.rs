//! What goes wrong around the binary: a file system that cannot be written, files that are damaged, clocks that jump,
//! connections that do nothing, no more files to open. What can be gone on from is gone on from; what cannot is said.

use crate::harness::{App, Client};
use crate::process::{NO_LIMITS, Said, Server, empty_dir, refloop, run, without_settings};
use refloop::store::Capacity;
use serde_json::json;
use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const HOUR_MS: i64 = 3_600_000;

#[test]
fn a_clock_that_jumps_an_hour_and_back_makes_no_balance_wrong() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let code = alice.code();
    app.referee("Bob", &code);
    for (round, jump_ms) in [HOUR_MS, -HOUR_MS, -HOUR_MS, HOUR_MS, 24 * HOUR_MS, -24 * HOUR_MS].into_iter().enumerate()
    {
        app.advance_ms(jump_ms);
        let referee = app.referee(&format!("Carol{round}"), &code);
        let before = referee.stats()["credits_available"].as_i64().unwrap();
        let used = referee.use_api(&gateway, &format!("jump-{round}"), 5);
        assert_eq!((used["status"].as_str(), used["charged"].as_i64()), (Some("recorded"), Some(5)), "{used}");
        assert_eq!(referee.stats()["credits_available"].as_i64(), Some(before - 5));
        app.sweep();
        let again = referee.use_api(&gateway, &format!("jump-{round}"), 5);
        assert_eq!(again["status"], "duplicate");
        assert_eq!(app.anonymous().get("/readyz").status, 200, "round {round}");
    }
    let stats = alice.stats();
    // 500 for each signup at once, and 500 for each first call, held.
    assert_eq!(
        (stats["total_referrals"].as_i64(), stats["credits_earned"].as_i64()),
        (Some(7), Some(6_500)),
        "{stats}"
    );
    // What was granted at an hour that is still to come counts from that hour on.
    assert_eq!(stats["credits_available"], 2_500);
    app.advance_ms(24 * HOUR_MS);
    assert_eq!(alice.stats()["credits_available"], 3_500);
    let seqs: Vec<_> = alice.ledger().iter().map(|entry| entry["seq"].as_i64().unwrap()).collect();
    assert!(seqs.is_sorted(), "{seqs:?}");
    // The harness verifies the chain at the end.
}

#[test]
fn a_full_queue_is_503_and_over_when_it_is_worked_off() {
    let app = App::start_over(Capacity { queued_writes: 2, ..Capacity::default() }, |_| ());
    let alice = app.developer("Alice");
    let (started, has_started) = channel();
    let (release, released) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            app.write(move |_| {
                started.send(()).unwrap();
                released.recv().unwrap();
                Ok(())
            });
        });
        has_started.recv().unwrap();
        let waiting = scope.spawn(|| alice.post("/v1/developers/referral-code", json!({})).status);
        while app.engine.vitals().queued < 2 {
            std::thread::yield_now();
        }
        let refused = app.try_sign_up("me@late.example", None);
        assert_eq!(refused.problem(503), "busy");
        assert!(refused.header("retry-after").is_some());
        assert_eq!(alice.get("/v1/developers/me").status, 200, "reading goes on");
        release.send(()).unwrap();
        assert_eq!(waiting.join().unwrap(), 201);
    });
    assert_eq!(app.try_sign_up("me@late.example", None).status, 201);
}

/// A server that may have so many files and connections open.
fn server_with_files(dir: &Path, most: &str) -> Server {
    let binary = refloop(dir).get_program().to_owned();
    let mut command = Command::new("sh");
    without_settings(&mut command);
    command.args(["-c", "ulimit -n \"$1\"; shift; exec \"$0\" \"$@\""]).arg(binary).arg(most).current_dir(dir);
    command.args(["serve", "--json", "--workers", "2", "--listen", "127.0.0.1:0"]).args(NO_LIMITS);
    Server::spawn(command, dir)
}

fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap()
}

/// Asks until the server answers.
fn answers(server: &Server) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    let agent: ureq::Agent = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(5))).build().into();
    while Instant::now() < deadline {
        if agent.get(format!("{}/readyz", server.url)).call().is_ok() {
            return true;
        }
    }
    false
}

#[test]
fn no_more_files_to_open_is_over_when_there_are() {
    let (_keep, dir) = empty_dir();
    let mut server = server_with_files(&dir, "64");
    let body = json!({ "email": "me@alice.example", "password": "secure-password", "name": "Alice" });
    assert_eq!(Client::new(&server.url, None).post("/v1/developers/signup", body).status, 201);
    // The system takes them for the server, which has no more hands for the last of them.
    let open: Vec<_> = (0..120).map(|_| connect(&server)).collect();
    let fds = || std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    let deadline = Instant::now() + Duration::from_secs(30);
    while fds() < 63 {
        assert!(Instant::now() < deadline, "{} files are open", fds());
        std::thread::yield_now();
    }
    drop(open);
    assert!(answers(&server));
    server.terminate();
    assert_eq!(server.wait().0, Some(0));
    assert_eq!(run(&dir, &["verify", "--json"]).json()["ok"], true);
}

#[test]
fn thousands_that_do_nothing_and_readers_that_do_not_read_keep_nobody_waiting() {
    const IDLE: usize = 2_000;
    const SLOW: usize = 50;
    // This process needs as many.
    let pid = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &pid, "--nofile=8192:"]).status().unwrap();
    assert!(raised.success(), "this test opens some 2,000 connections");
    let (_keep, dir) = empty_dir();
    let mut server = server_with_files(&dir, "8192");
    let idle: Vec<_> = (0..IDLE).map(|_| connect(&server)).collect();
    // More answers than fit between the two, and nobody takes them.
    let request = "GET /assets/refloop.css HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200);
    let slow: Vec<_> = (0..SLOW)
        .map(|_| {
            let mut stream = connect(&server);
            stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    let client = Client::new(&server.url, None);
    for n in 0..20 {
        let body = json!({ "email": format!("me@n{n}.example"), "password": "secure-password", "name": "N" });
        assert_eq!(client.post("/v1/developers/signup", body).status, 201, "{n}");
        assert_eq!(client.get("/signup").status, 200);
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let kib: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap()
        .trim()
        .split(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(kib < 300 * 1024, "{kib} KiB for {IDLE} idle connections");
    drop((idle, slow));
    assert!(answers(&server));
    server.terminate();
    assert_eq!(server.wait().0, Some(0));
}

/// A stopped server's file, all of it in one piece.
fn file_of(dir: &Path) {
    let mut server = Server::start(dir);
    let client = Client::new(&server.url, None);
    for n in 0..40 {
        let body = json!({ "email": format!("me@n{n}.example"), "password": "secure-password", "name": "N" });
        assert_eq!(client.post("/v1/developers/signup", body).status, 201);
    }
    server.terminate();
    assert_eq!(server.wait().0, Some(0));
    assert_eq!(crate::process::sqlite3(&dir.join("refloop.db"), "PRAGMA wal_checkpoint(TRUNCATE)"), "0|0|0\n");
}

fn refusal_of_serve(dir: &Path) -> String {
    let mut command = refloop(dir);
    let said: Said = command.args(["serve", "--listen", "127.0.0.1:0"]).output().unwrap().into();
    assert_eq!((said.code, said.out.as_str()), (1, ""), "{said:?}");
    said.err
}

type Damage = fn(&Path);

#[test]
fn a_damaged_file_is_not_served_and_it_is_said_what_to_do() {
    let ways: [(&str, Damage); 4] = [
        ("cut off in the middle", |file| {
            let open = OpenOptions::new().write(true).open(file).unwrap();
            open.set_len(open.metadata().unwrap().len() / 2).unwrap();
        }),
        ("without its beginning", |file| overwrite(file, 0, 4_096)),
        ("with another page in its middle", |file| {
            let middle = std::fs::metadata(file).unwrap().len() / 2 / 4_096 * 4_096;
            overwrite(file, middle, 16 * 4_096);
        }),
        ("that is something else", |file| std::fs::write(file, "not a database, but a note ".repeat(1_000)).unwrap()),
    ];
    for (what, damage) in ways {
        let (_keep, dir) = empty_dir();
        file_of(&dir);
        let file = dir.join("refloop.db");
        damage(&file);
        let before = std::fs::read(&file).unwrap();
        let said = refusal_of_serve(&dir);
        assert!(said.contains("refloop.db") && said.contains("damaged"), "a file {what}: {said}");
        assert!(said.contains("put back a backup"), "a file {what}: {said}");
        assert!(std::fs::read(&file).unwrap() == before, "a file {what} was changed");
    }
}

fn overwrite(file: &Path, from: u64, bytes: usize) {
    let mut open = OpenOptions::new().write(true).open(file).unwrap();
    open.seek(SeekFrom::Start(from)).unwrap();
    open.write_all(&vec![0x5a; bytes]).unwrap();
}

#[test]
fn a_file_that_is_damaged_while_it_is_served_is_said_and_takes_no_more_writes() {
    let (_keep, dir) = empty_dir();
    file_of(&dir);
    let server = Server::start(&dir);
    let client = Client::new(&server.url, None);
    let file = dir.join("refloop.db");
    let length = usize::try_from(std::fs::metadata(&file).unwrap().len()).unwrap();
    // Everything but the beginning, by which the file is known for the same.
    overwrite(&file, 4_096, length - 4_096);
    let signup = |n: usize| {
        let body = json!({ "email": format!("me@late{n}.example"), "password": "secure-password", "name": "N" });
        client.post("/v1/developers/signup", body)
    };
    let first = (0..50).map(signup).find(|reply| reply.status != 201).expect("the damage is never met");
    assert!([500, 503].contains(&first.status), "{}", first.body);
    assert_eq!(signup(60).problem(503), "database_damaged");
    let ready = client.get("/readyz");
    assert_eq!(ready.problem(503), "database_damaged");
    assert!(ready.body.contains("put back a backup"), "{}", ready.body);
    assert_eq!(client.get("/healthz").status, 200);
}

#[test]
fn a_file_system_that_cannot_be_written_is_said_at_the_start() {
    let (_keep, outer) = empty_dir();
    let dir = outer.join("disk");
    std::fs::create_dir(&dir).unwrap();
    let mount = |args: &[&str]| Command::new("mount").args(args).arg(&dir).output();
    let mounted = mount(&["-t", "tmpfs", "-o", "size=20m", "refloop-test"]);
    if !mounted.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("no file system can be mounted here, so none is made read-only: {mounted:?}");
        return;
    }
    file_of(&dir);
    assert!(mount(&["-o", "remount,ro"]).unwrap().status.success());
    let said = refusal_of_serve(&dir);
    assert!(Command::new("umount").arg(&dir).status().unwrap().success());
    assert!(said.contains("Read-only file system") && said.contains("refloop.db"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn a_connection_that_is_closed_in_the_middle_of_everything_harms_nobody() {
    let (_keep, dir) = empty_dir();
    let server = Server::start(&dir);
    for _ in 0..100 {
        let mut stream = connect(&server);
        stream
            .write_all(b"POST /v1/developers/signup HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"email\"")
            .unwrap();
        drop(stream);
    }
    let mut stream = connect(&server);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
