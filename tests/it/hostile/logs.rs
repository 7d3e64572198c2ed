//! What the binary writes to its log when it is asked for everything: no address, key, password or code.

use crate::harness::{Client, PASSWORD};
use crate::visitor::value_of;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

struct Served {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    stderr: Option<std::thread::JoinHandle<String>>,
    greeting: Value,
}

impl Served {
    fn start(dir: &std::path::Path, log: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_refloop"))
            .args(["serve", "--listen", "127.0.0.1:0", "--workers", "2", "--json"])
            .current_dir(dir)
            .env("REFLOOP_LOG", log)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let greeting = serde_json::from_str(&line).unwrap();
        Self { child, stdout, stderr: Some(stderr), greeting }
    }

    /// Ends it as an operator does; what it wrote after the greeting.
    fn stop(mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
        let mut written = String::new();
        self.stdout.read_to_string(&mut written).unwrap();
        written + &self.stderr.take().unwrap().join().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// Signups, failures and calls that have something private in each place where a log could take it from.
fn traffic(url: &str, gateway_key: &str) -> Vec<String> {
    let public = Client::new(url, None);
    let mut private: Vec<String> =
        [PASSWORD, "short-1", "alice@private.example", "private.example", "Alicia", gateway_key]
            .map(String::from)
            .to_vec();
    let body = json!({ "email": "alice@private.example", "password": PASSWORD, "name": "Alicia Keyes" });
    let reply = public.post("/v1/developers/signup", body.clone());
    assert_eq!(reply.status, 201, "{}", reply.body);
    let key = reply.json()["api_key"].as_str().unwrap().to_owned();
    assert_eq!(public.post("/v1/developers/signup", body.clone()).status, 409);
    let mut bad = body.clone();
    bad["password"] = "short-1".into();
    assert_eq!(public.post("/v1/developers/signup", bad).status, 422);
    let raw = body.to_string();
    let headers = [("Content-Type", "application/json")];
    assert_eq!(public.send("POST", "/v1/developers/signup", &headers, raw.as_bytes()[1..].to_vec()).status, 400);
    assert_eq!(public.send("POST", "/v1/developers/signup", &[], raw.into_bytes()).status, 415);

    let alice = public.with_key(&key);
    assert_eq!(alice.get("/v1/developers/me?email=alice@private.example").status, 200);
    assert_eq!(alice.get("/v1/developers/alice@private.example").status, 404);
    assert_eq!(alice.get(&format!("/v1/developers/ledger?status={key}")).status, 422);
    assert_eq!(alice.patch("/v1/developers/me", json!({ "name": "Alicia Keyes-Private" })).status, 200);
    let code = alice.post("/v1/developers/referral-code", json!({})).json()["referral_code"].clone();
    let convert = json!({ "referralCode": code, "email": "bob@converted.example" });
    assert_eq!(public.post("/api/referral/convert", convert).status, 200);
    assert_eq!(public.post("/api/referral/convert", json!({ "email": "carol@converted" })).status, 400);
    assert_eq!(public.with_key("eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IifQ.").get("/api/referral/link").status, 401);
    let gateway = public.with_key(gateway_key);
    assert_eq!(gateway.post("/v1/keys/verify", json!({ "api_key": key })).status, 200);
    let usage = json!({ "id": "u-1", "api_key": key, "calls": 5 });
    assert_eq!(gateway.post("/v1/usage", usage).status, 200);
    assert_eq!(gateway.get("/v1/developers/me").status, 403);
    assert_eq!(public.with_key("bw_live_guessed-by-someone").get("/v1/developers/me").status, 401);
    assert_eq!(public.get(&format!("/signup?ref={}", code.as_str().unwrap())).status, 200);
    let visit = [("User-Agent", "Browser of Alicia"), ("Cookie", "refloop_visit=guessed-by-someone")];
    let clicked = public.send("GET", &format!("/r/{}", code.as_str().unwrap()), &visit, Vec::new());
    let (remembered, _) = clicked.header("set-cookie").unwrap().split_once(';').unwrap();
    private.push(remembered.split_once('=').unwrap().1.to_owned());
    assert_eq!(public.get("/admin/setup?token=guessed-by-someone").status, 404);
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let typed = format!("csrf=x&email=alice%40private.example&password={PASSWORD}&name=Alicia");
    assert_eq!(public.send("POST", "/signup", &form, typed.into_bytes()).status, 403);
    let page = public.get("/admin/login");
    let (cookie, _) = page.header("set-cookie").unwrap().split_once(';').unwrap();
    let typed = format!("csrf={}&email=alice%40private.example&password={PASSWORD}", value_of(&page, "csrf"));
    let headers = [form[0], ("Cookie", cookie)];
    assert_eq!(public.send("POST", "/admin/login", &headers, typed.into_bytes()).status, 401);
    let customers = "/api/billstack/teams/default/projects/default/referrals/codes";
    assert_eq!(gateway.post(customers, json!({ "customerId": "alice@private.example" })).status, 201);
    let session = [("Cookie", "refloop_operator=guessed-by-someone")];
    assert_eq!(public.send("GET", customers, &session, Vec::new()).status, 401);
    assert_eq!(alice.delete("/v1/developers/me").status, 200);
    assert_eq!(alice.get("/v1/developers/me").status, 401);
    private.extend([key, "guessed-by-someone".to_owned()]);
    private.extend(["bob@converted.example", "carol@converted", "eyJzdWIiOiJib2IifQ"].map(String::from));
    private
}

#[test]
fn the_log_holds_nothing_private() {
    let dir = tempfile::tempdir().unwrap();
    // Everything that refloop and its libraries have to say.
    let served = Served::start(dir.path(), "trace");
    let text = |name: &str| served.greeting[name].as_str().unwrap().to_owned();
    let (url, gateway_key, operator_url) = (text("url"), text("gateway_key"), text("operator_url"));
    let mut private = traffic(&url, &gateway_key);
    assert_eq!(Client::new("", None).get(&operator_url).status, 200);
    private.push(operator_url.split_once("token=").unwrap().1.to_owned());
    let written = served.stop();
    assert!(written.contains("/v1/developers/signup"), "the log says what was called:\n{written}");
    for secret in private {
        let line = written.lines().find(|line| line.contains(&secret));
        assert_eq!(line, None, "{secret} is in the log");
    }
}
