//! A bulk rejection that nobody waits for to its end: because the server was killed, or the caller has hung up.

use super::REFERRALS;
use crate::process::{Caller, Server, empty_dir, run, sqlite3};
use serde_json::{Value, json};
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};

const REFEREES: usize = 600;
/// Looks at the file, each of which takes some milliseconds.
const MOST_LOOKS: usize = 20_000;

struct Farm {
    _keep: tempfile::TempDir,
    dir: PathBuf,
    server: Server,
    key: String,
    code: String,
}

impl Farm {
    fn start() -> Self {
        let (keep, dir) = empty_dir();
        let server = Server::start(&dir);
        let mut farm = Self { _keep: keep, dir, key: server.gateway_key(), server, code: String::new() };
        let made = farm
            .post("/api/billstack/teams/default/projects/default/referrals/codes", &json!({ "customerId": "alice" }));
        made["code"]["code"].as_str().unwrap_or_else(|| panic!("{made}")).clone_into(&mut farm.code);
        for n in 0..REFEREES {
            let body = json!({ "code": farm.code, "refereeCustomerId": format!("fake{n}") });
            farm.post("/api/billstack/teams/default/projects/default/referrals/apply", &body);
        }
        assert_eq!(farm.count("SELECT count(*) FROM referral"), REFEREES);
        farm
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        Caller::new(&self.server.url).post(Some(&self.key), path, body).unwrap().json()
    }

    fn count(&self, sql: &str) -> usize {
        sqlite3(&self.dir.join("refloop.db"), sql).trim().parse().unwrap()
    }

    fn rejected(&self) -> usize {
        self.count("SELECT count(*) FROM referral WHERE status = 'rejected'")
    }

    fn noted(&self, action: &str) -> usize {
        self.count(&format!("SELECT count(*) FROM audit WHERE action = '{action}'"))
    }

    fn preview(&self) -> Value {
        self.post(&format!("{REFERRALS}/reject"), &json!({ "code": self.code, "preview": true }))
    }

    fn rejection(&self) -> Value {
        json!({ "code": self.code, "digest": self.preview()["digest"], "reason": "a farm" })
    }

    /// Sends the order, and does not wait for what comes of it.
    fn order(&self) -> TcpStream {
        let body = self.rejection().to_string();
        let host = self.server.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        let (path, key, length) = (format!("{REFERRALS}/reject"), &self.key, body.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        stream
    }

    /// Everything was taken back, once.
    fn check_the_end(&self) {
        assert_eq!((self.rejected(), self.noted("referral.reject")), (REFEREES, REFEREES));
        assert_eq!(self.count("SELECT count(DISTINCT subject) FROM audit WHERE action = 'referral.reject'"), REFEREES);
        assert_eq!(self.count("SELECT count(*) FROM lot WHERE reversed <> granted"), 0);
        assert!(self.count("SELECT count(*) FROM lot") >= REFEREES);
        let twice =
            "SELECT count(*) FROM (SELECT 1 FROM entry WHERE kind = 'reverse' GROUP BY lot HAVING count(*) > 1)";
        assert_eq!(self.count(twice), 0);
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    assert!((0..MOST_LOOKS).any(|_| is_so()), "{what}");
}

fn verify(dir: &Path) {
    let said = run(dir, &["verify"]);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn after_a_crash_an_operator_sees_how_far_it_went_and_does_the_rest() {
    let mut farm = Farm::start();
    let order = farm.order();
    until("it begins", || farm.rejected() > 0);
    farm.server.kill_9();
    drop(order);
    let done = farm.rejected();
    assert!((1..REFEREES).contains(&done), "{done}: it was not broken off");
    assert_eq!((farm.noted("referral.reject_all_begin"), farm.noted("referral.reject_all")), (1, 0));
    farm.server = Server::start(&farm.dir);
    assert_eq!((farm.rejected(), farm.noted("referral.reject")), (done, done), "nobody goes on by himself");
    let preview = farm.preview();
    assert_eq!((&preview["rejected_before"], &preview["referrals"]), (&json!(done), &json!(REFEREES - done)));
    let rest = farm.post(&format!("{REFERRALS}/reject"), &farm.rejection());
    assert_eq!(rest["referrals"], json!(REFEREES - done), "{rest}");
    farm.check_the_end();
    let details = sqlite3(
        &farm.dir.join("refloop.db"),
        "SELECT action, details ->> 'referrals' FROM audit WHERE action LIKE 'referral.reject_all%' ORDER BY seq",
    );
    let (begin, end) = ("referral.reject_all_begin", "referral.reject_all");
    assert_eq!(details.trim(), format!("{begin}|{REFEREES}\n{begin}|{0}\n{end}|{0}", REFEREES - done));
    farm.server.terminate();
    farm.server.wait();
    verify(&farm.dir);
}

#[test]
fn whoever_hangs_up_does_not_stop_it() {
    let farm = Farm::start();
    let order = farm.order();
    until("it begins", || farm.noted("referral.reject_all_begin") > 0);
    drop(order);
    until("it ends", || farm.noted("referral.reject_all") > 0);
    farm.check_the_end();
}
