//! With Litestream beside the server: what was answered survives the loss of the machine, and what cannot be copied is
//! not answered.

use crate::process::{Caller, NO_LIMITS, Server, empty_dir, refloop, run, sqlite3};
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const CLIENTS: usize = 16;

fn tool(name: &str) -> PathBuf {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin").join(name);
    assert!(tool.is_file(), "{} is missing: run tests/run, which installs it", tool.display());
    tool
}

/// A child that is ended with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn started(command: &mut Command, log: &Path) -> Running {
    let log = File::options().create(true).append(true).open(log).unwrap();
    let out = log.try_clone().unwrap();
    Running(command.stdin(Stdio::null()).stdout(out).stderr(log).spawn().unwrap())
}

/// A directory for the server, one for what outlives it, and Litestream's configuration.
struct Site {
    _dir: tempfile::TempDir,
    machine: PathBuf,
    elsewhere: PathBuf,
}

impl Site {
    /// `replica`: the lines under `replica:` of Litestream's configuration; `{}` is the directory elsewhere.
    fn new(replica: &str) -> Self {
        let (dir, root) = empty_dir();
        let root = std::fs::canonicalize(root).unwrap();
        let (machine, elsewhere) = (root.join("machine"), root.join("elsewhere"));
        std::fs::create_dir(&machine).unwrap();
        std::fs::create_dir(&elsewhere).unwrap();
        let replica = replica.replace("{}", elsewhere.to_str().unwrap());
        let configuration = format!(
            "socket:\n  enabled: true\n  path: {0}/litestream.sock\ndbs:\n  - path: {0}/refloop.db\n    replica:\n{replica}\n",
            machine.display(),
        );
        std::fs::write(root.join("litestream.yml"), configuration).unwrap();
        Self { _dir: dir, machine, elsewhere }
    }

    fn configuration(&self) -> PathBuf {
        self.elsewhere.with_file_name("litestream.yml")
    }

    fn litestream(&self) -> Running {
        let mut command = Command::new(tool("litestream"));
        command.args(["replicate", "-config"]).arg(self.configuration());
        started(&mut command, &self.elsewhere.with_file_name("litestream.log"))
    }

    fn serve(&self, ack: &str) -> Server {
        let mut command = refloop(&self.machine);
        command.args(["serve", "--json", "--workers", "2", "--listen", "127.0.0.1:0"]).args(NO_LIMITS);
        command.args(["--replication", "litestream", "--ack", ack, "--litestream-socket", "litestream.sock"]);
        Server::spawn(command, &self.machine)
    }

    /// The machine is lost: another one gets the file from the replica.
    fn restore(&self) -> PathBuf {
        let lost = self.machine.with_file_name("lost");
        std::fs::rename(&self.machine, &lost).unwrap();
        let new = self.machine.with_file_name("new");
        std::fs::create_dir(&new).unwrap();
        let mut command = Command::new(tool("litestream"));
        command.args(["restore", "-integrity-check", "full", "-config"]).arg(self.configuration());
        let output = command.arg("-o").arg(new.join("copy.db")).arg(self.machine.join("refloop.db")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let restored = run(&new, &["restore", "copy.db"]);
        assert_eq!(restored.code, 0, "{restored:?}");
        let verdict = run(&new, &["verify", "--json"]);
        assert_eq!(verdict.json()["ok"], true, "{verdict:?}");
        new
    }
}

fn sign_up(caller: &Caller, name: &str) -> Value {
    let body = json!({ "email": format!("me@{name}.example"), "password": "secure-password", "name": name });
    let reply = caller.post(None, "/v1/developers/signup", &body).unwrap();
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.json()
}

fn event(developer: &str, id: &str) -> Value {
    json!({ "id": id, "developer_id": developer, "calls": 1 })
}

/// Events of many clients at once, until `enough` of them are answered; then `end`. The ids that were answered with 200.
fn answered(server: &mut Server, developer: &str, enough: usize, end: impl FnOnce(&mut Server)) -> Vec<String> {
    let (url, key) = (server.url.clone(), server.gateway_key());
    let (over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let client = |client: usize| {
            let (url, key, over, count) = (&url, &key, &over, &count);
            move || {
                let (caller, mut answered) = (Caller::new(url), Vec::new());
                for turn in 0.. {
                    let id = format!("c{client}-{turn}");
                    match caller.post(Some(key), "/v1/usage", &event(developer, &id)) {
                        Some(reply) if reply.status == 200 => {
                            count.fetch_add(1, Ordering::SeqCst);
                            answered.push(id);
                        }
                        Some(reply) => assert_eq!(reply.status, 503, "{}", reply.body),
                        None => break,
                    }
                    if over.load(Ordering::SeqCst) {
                        break;
                    }
                }
                answered
            }
        };
        let clients: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(client(number))).collect();
        while count.load(Ordering::SeqCst) < enough {
            std::thread::yield_now();
        }
        end(server);
        over.store(true, Ordering::SeqCst);
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    })
}

/// Every event that was answered is known to the new machine.
fn all_are_there(new: &Path, key: &str, developer: &str, ids: &[String]) {
    let server = Server::start(new);
    let caller = Caller::new(&server.url);
    for some in ids.chunks(500) {
        let events: Vec<_> = some.iter().map(|id| event(developer, id)).collect();
        let reply = caller.post(Some(key), "/v1/usage", &json!({ "events": events })).unwrap();
        for result in reply.json()["results"].as_array().unwrap() {
            assert_eq!(result["status"], "duplicate", "{result} was answered, and is lost");
        }
    }
}

fn machine_lost(site: &Site, enough: usize) {
    let mut litestream = site.litestream();
    let mut server = site.serve("replica");
    let developer = sign_up(&Caller::new(&server.url), "alice")["developer"]["id"].as_str().unwrap().to_owned();
    let ids = answered(&mut server, &developer, enough, |server| {
        server.kill_9();
        litestream.0.kill().unwrap();
        litestream.0.wait().unwrap();
    });
    assert!(ids.len() >= enough);
    all_are_there(&site.restore(), &server.gateway_key(), &developer, &ids);
}

const DIRECTORY: &str = "      type: file\n      path: {}/replica";

#[test]
fn what_was_answered_survives_the_machine() {
    machine_lost(&Site::new(DIRECTORY), 600);
}

#[test]
fn without_litestream_nothing_is_answered_and_with_it_again_everything_goes_on() {
    let site = Site::new(DIRECTORY);
    let mut litestream = site.litestream();
    let server = site.serve("replica");
    let caller = Caller::new(&server.url);
    let alice = sign_up(&caller, "alice");
    let developer = alice["developer"]["id"].as_str().unwrap();
    let key = server.gateway_key();
    let tell = |id: &str| caller.post(Some(&key), "/v1/usage", &event(developer, id)).unwrap();
    assert_eq!(tell("before").status, 200);

    litestream.0.kill().unwrap();
    litestream.0.wait().unwrap();
    let reply = tell("meanwhile");
    assert_eq!((reply.status, reply.json()["code"].as_str()), (503, Some("not_replicated")), "{}", reply.body);
    let reply = tell("at-once");
    assert_eq!((reply.status, reply.json()["code"].as_str()), (503, Some("replica_unreachable")));
    // Reads go on.
    let request = ureq::get(format!("{}/v1/developers/me", server.url));
    let key_of_alice = format!("Bearer {}", alice["api_key"].as_str().unwrap());
    assert_eq!(request.header("Authorization", key_of_alice).call().unwrap().status().as_u16(), 200);

    let _litestream = site.litestream();
    let again = (0..200).find_map(|_| {
        let reply = tell("meanwhile");
        if reply.status == 503 {
            std::thread::park_timeout(std::time::Duration::from_millis(100));
        }
        (reply.status == 200).then(|| reply.json())
    });
    assert_eq!(again.expect("it goes on")["status"], "duplicate", "what was not confirmed was written here");
    assert_eq!(tell("at-once").json()["status"], "recorded", "what was refused before was not");
}

#[test]
fn an_acknowledgement_of_this_disk_alone_does_not_wait_for_litestream() {
    let site = Site::new(DIRECTORY);
    let server = site.serve("local");
    sign_up(&Caller::new(&server.url), "alice");
}

#[test]
fn the_log_is_left_to_litestream() {
    let place = Site::new(DIRECTORY);
    let litestream = place.litestream();
    let mut server = place.serve("replica");
    let developer = sign_up(&Caller::new(&server.url), "alice")["developer"]["id"].as_str().unwrap().to_owned();
    server.terminate();
    server.wait();
    drop(litestream);
    let log = place.machine.join("refloop.db-wal");
    let size = || std::fs::metadata(&log).map_or(0, |meta| meta.len());
    let before = size();
    assert!(before > 0, "the server moved the log when it ended");
    assert_eq!(run(&place.machine, &["verify"]).code, 0);
    assert_eq!(run(&place.machine, &["key", "list"]).code, 0);
    assert!(size() >= before, "a command moved the log");
    assert_eq!(sqlite3(&place.machine.join("refloop.db"), "SELECT count(*) FROM account"), "1\n", "{developer}");

    let refused = run(&place.machine, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(refused.refusal().contains("--replication litestream"), "{refused:?}");
}

#[test]
fn a_replica_that_nobody_makes_is_not_waited_for() {
    let (_guard, dir) = empty_dir();
    let refused = run(&dir, &["serve", "--listen", "127.0.0.1:0", "--ack", "replica"]);
    assert!(refused.refusal().contains("REFLOOP_REPLICATION=litestream"), "{refused:?}");
}
