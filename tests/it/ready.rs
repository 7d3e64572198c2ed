//! `/readyz` when the writer is stuck or the disk is full, and that it is over by itself.

use crate::harness::{App, Reply};
use crate::process::{Caller, Server, empty_dir, run};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;

fn refused(reply: &Reply, code: &str) {
    assert_eq!(reply.problem(503), code);
    assert_eq!(reply.header("retry-after"), Some("5"), "{}", reply.body);
}

#[test]
fn a_writer_that_does_not_move_is_not_ready() {
    let app = App::start();
    let alice = app.developer("Alice");
    let ready = || app.anonymous().get("/readyz");
    assert_eq!(ready().status, 200);
    let (started, has_started) = channel();
    let (release, released) = channel::<()>();
    std::thread::scope(|scope| {
        let held = scope.spawn(|| {
            app.write(move |_| {
                started.send(()).unwrap();
                released.recv().unwrap();
                Ok(())
            });
        });
        has_started.recv().unwrap();
        app.advance_ms(11_000);
        refused(&ready(), "writer_stuck");
        // It is there, and reading goes on.
        assert_eq!(app.anonymous().get("/healthz").status, 200);
        assert_eq!(alice.get("/v1/developers/me").status, 200);
        release.send(()).unwrap();
        held.join().unwrap();
    });
    assert_eq!(ready().status, 200);
}

/// A file system of its own, as small as that; unmounted when it is dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Result<Self, String> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=6m,mode=0700", "refloop-test"]).arg(at);
        let output = mount.output().map_err(|fault| fault.to_string())?;
        if output.status.success() {
            Ok(Self(at.to_owned()))
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Where no file system can be mounted, `writer::a_full_disk_loses_nothing_and_is_over_when_there_is_room` is what
/// there is: it limits the size of files instead.
#[test]
fn a_disk_that_is_really_full_is_said_and_is_over_when_there_is_room() {
    let (_keep, outer) = empty_dir();
    let dir = outer.join("disk");
    std::fs::create_dir(&dir).unwrap();
    let disk = match SmallDisk::mount(&dir) {
        Ok(disk) => disk,
        Err(why) => {
            eprintln!("no small disk can be mounted here ({}), so none is filled", why.trim());
            return;
        }
    };
    let server = Server::start(&dir);
    let (caller, key) = (Caller::new(&server.url), server.gateway_key());
    let body = json!({ "email": "me@alice.example", "password": "secure-password", "name": "Alice" });
    let alice = caller.post(None, "/v1/developers/signup", &body).unwrap().json();
    let developer = alice["developer"]["id"].as_str().unwrap().to_owned();
    let record = |round: usize| {
        let event = |n: usize| json!({ "id": format!("{round}-{n}"), "developer_id": developer, "calls": 1 });
        let events: Vec<_> = (0..500).map(event).collect();
        caller.post(Some(&key), "/v1/usage", &json!({ "events": events })).unwrap()
    };
    let client = crate::harness::Client::new(&server.url, None);
    let get = |path: &str| client.get(path);
    assert_eq!(get("/readyz").status, 200);
    let ballast = dir.join("ballast");
    fill(&ballast);
    refused(&get("/readyz"), "disk_full");
    let full = (0..1_000).find(|round| {
        let reply = record(*round);
        assert!(reply.status == 200 || reply.json()["code"] == "busy", "{}", reply.body);
        reply.status != 200
    });
    let full = full.expect("the disk never was full");
    assert_eq!(get("/healthz").status, 200);
    let me = client.with_key(alice["api_key"].as_str().unwrap());
    assert_eq!(me.get("/v1/developers/me").status, 200, "reading goes on");
    let refused_write = me.post("/v1/developers/referral-code", json!({}));
    assert_eq!((refused_write.problem(503).as_str(), refused_write.header("retry-after")), ("busy", Some("1")));

    std::fs::remove_file(&ballast).unwrap();
    assert_eq!(get("/readyz").status, 200);
    // What was answered is there, what was refused is not.
    for round in 0..=full {
        let reply = record(round);
        assert_eq!(reply.status, 200, "{}", reply.body);
        let expected = if round < full { "duplicate" } else { "recorded" };
        let reply = reply.json();
        assert!(reply["results"].as_array().unwrap().iter().all(|result| result["status"] == expected), "{reply}");
    }
    drop(server);
    assert_eq!(run(&dir, &["verify", "--json"]).json()["ok"], true);
    drop(disk);
}

/// To the last byte.
fn fill(file: &Path) {
    use std::io::Write;
    let mut open = std::fs::File::create(file).unwrap();
    let block = vec![0; 4_096];
    while open.write_all(&block).is_ok() {}
}
