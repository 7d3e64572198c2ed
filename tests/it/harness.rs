//! Starts the real app on port 0 over a file of its own, with a clock that tests move, and gives typed actors.
//! When it is dropped, the server stops and `verify` must find the file in order.

use argon2::{Argon2, PasswordHasher};
use refloop::domain::access::Scope;
use refloop::domain::error::Result;
use refloop::domain::operator::OperatorRole;
use refloop::domain::program::Preset;
use refloop::engine::{Engine, Project, Settings, Swept};
use refloop::store::{Capacity, Clock, Pace, Store, Tx, verify_file};
use refloop::web::{self, Context, Limits, Quota, TrustedProxies, WebSettings};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// 2026-01-15T10:00:00Z
pub const START_MS: i64 = 1_768_471_200_000;
pub const DAY_MS: i64 = 86_400_000;
pub const PASSWORD: &str = "secure-password";

pub struct App {
    pub url: String,
    pub engine: Arc<Engine>,
    store: Arc<Store>,
    clock: Arc<AtomicI64>,
    dir: tempfile::TempDir,
    server: Option<(actix_web::dev::ServerHandle, JoinHandle<()>)>,
    gateway_key: String,
    operator_token: String,
    tampered: AtomicBool,
}

/// No limit that a test would run into without meaning to.
pub fn no_limits() -> Limits {
    let none = Quota::new(0, Duration::from_secs(1));
    Limits {
        signup: none,
        bad_key: none,
        login: none,
        public: none,
        convert: none,
        mail: none,
        developer: none,
        gateway: none,
    }
}

impl App {
    pub fn start() -> Self {
        Self::start_with(|_| ())
    }

    pub fn start_with(change: impl FnOnce(&mut WebSettings)) -> Self {
        // Little by little and with hardly any memory, so that every test sees the projections at all stages of being
        // written back, and accounts that come and go.
        let pace = Pace { pile: 7, rows: 3 };
        Self::start_over(Capacity { pace, accounts_in_memory: 64, ..Capacity::default() }, change)
    }

    /// As it is served: what is spent is written back after a while.
    pub fn start_unhurried() -> Self {
        Self::start_over(Capacity::default(), |_| ())
    }

    pub fn start_over(capacity: Capacity, change: impl FnOnce(&mut WebSettings)) -> Self {
        Self::start_as(capacity, Settings::default(), change)
    }

    /// With use cases that depend on something of the test's.
    pub fn start_for(settings: Settings) -> Self {
        let pace = Pace { pile: 7, rows: 3 };
        Self::start_as(Capacity { pace, accounts_in_memory: 64, ..Capacity::default() }, settings, |_| ())
    }

    /// With all that can be another than usual.
    pub fn start_as(capacity: Capacity, for_engine: Settings, change: impl FnOnce(&mut WebSettings)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(START_MS));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut settings = WebSettings {
            public_url: url.clone(),
            workers: 2,
            limits: no_limits(),
            trusted_proxies: TrustedProxies::default(),
            body_timeout: Duration::from_millis(500),
            tls: false,
        };
        change(&mut settings);
        let store = Store::serve(&dir.path().join("refloop.db"), Clock::Manual(Arc::clone(&clock)), capacity).unwrap();
        let store = Arc::new(store);
        let engine = Arc::new(Engine::new(Arc::clone(&store), for_engine));
        let first = engine.first_start().unwrap().unwrap();
        let (gateway_key, operator_token) = (first.gateway_key, first.operator_token.unwrap());
        let context = Arc::new(Context::new(Arc::clone(&engine), settings).unwrap());
        let (started, handle) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let server = web::server(context, listener).unwrap();
                started.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        let server = Some((handle.recv().unwrap(), thread));
        Self { url, engine, store, clock, dir, server, gateway_key, operator_token, tampered: AtomicBool::new(false) }
    }

    pub fn db(&self) -> PathBuf {
        self.dir.path().join("refloop.db")
    }

    pub fn now_ms(&self) -> i64 {
        self.clock.load(Ordering::SeqCst)
    }

    pub fn clock(&self) -> Arc<AtomicI64> {
        Arc::clone(&self.clock)
    }

    pub fn advance_ms(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    pub fn advance_days(&self, days: i64) {
        self.advance_ms(days * DAY_MS);
    }

    /// One step of the background work.
    pub fn sweep(&self) -> Swept {
        self.store.catch_up_blocking().unwrap();
        refloop::work::run_once(&self.engine).unwrap()
    }

    /// As if a mail server were set up: what is to be mailed is put into the outbox.
    pub fn send_mail(&self) {
        self.store.set_sends_mail(true);
    }

    /// A transaction of the store's own.
    pub fn write<T: Send + 'static>(&self, work: impl FnOnce(&Tx<'_>) -> Result<T> + Send + 'static) -> T {
        self.store.write_blocking(work).unwrap()
    }

    /// The file is meant to be out of order when the test ends.
    pub fn expect_tampering(&self) {
        self.tampered.store(true, Ordering::SeqCst);
    }

    /// Changes the default project's program, as `refloop project program` does.
    pub fn change_program(&self, change: impl FnOnce(&mut Value)) {
        let project = self.engine.project_named("default").unwrap();
        let (program, _) = self.engine.program(&project).unwrap();
        let mut document = serde_json::to_value(&*program).unwrap();
        change(&mut document);
        let program = refloop::domain::program::Program::from_json(&document.to_string()).unwrap();
        self.engine.set_program(&project, program, "test").unwrap();
    }

    pub fn anonymous(&self) -> Client {
        Client::new(&self.url, None)
    }

    /// With every scope.
    pub fn gateway(&self) -> Client {
        Client::new(&self.url, Some(self.gateway_key.clone()))
    }

    /// Another project beside the default one, of the same team.
    pub fn project(&self, slug: &str, preset: Preset, mode: &'static str) -> Project {
        self.engine.create_project("default", slug, slug, preset, mode).unwrap()
    }

    /// Moves the own clock of a test project so far ahead of the machine's.
    pub fn set_clock_ahead_ms(&self, project: &Project, ahead_ms: i64) {
        let id = project.id;
        self.store.write_blocking(move |tx| tx.set_clock_ahead(id, ahead_ms)).unwrap();
    }

    /// A gateway of that project with every scope.
    pub fn gateway_of(&self, slug: &str) -> Client {
        let secret = self.engine.make_gateway_key(slug, Scope::ALL.to_vec(), None).unwrap().secret;
        self.anonymous().with_key(&secret)
    }

    /// An owner of that team's projects, with the usual password.
    pub fn add_operator(&self, team: &str, email: &str) {
        self.add_operator_as(team, email, OperatorRole::Owner);
    }

    pub fn add_operator_as(&self, team: &str, email: &str, role: OperatorRole) {
        let hash = Argon2::default().hash_password(PASSWORD.as_bytes()).unwrap().to_string();
        let (team, email) = (team.to_owned(), email.to_owned());
        self.store.write_blocking(move |tx| tx.add_operator(tx.team_named(&team)?, &email, &hash, role)).unwrap();
    }

    pub fn gateway_with(&self, scopes: &[Scope]) -> Client {
        let made = self.engine.make_gateway_key("default", scopes.to_vec(), None).unwrap();
        Client::new(&self.url, Some(made.secret))
    }

    /// Signs up without a code, at a domain of its own.
    pub fn developer(&self, name: &str) -> Developer {
        self.sign_up(name, &format!("{0}@{0}.example", name.to_lowercase()), None)
    }

    /// Signs up with a code, at a domain of its own.
    pub fn referee(&self, name: &str, code: &str) -> Developer {
        self.sign_up(name, &format!("{0}@{0}.example", name.to_lowercase()), Some(code))
    }

    pub fn sign_up(&self, name: &str, email: &str, code: Option<&str>) -> Developer {
        let body = json!({ "email": email, "password": PASSWORD, "name": name, "referral_code": code });
        let reply = self.anonymous().post("/v1/developers/signup", body);
        assert_eq!(reply.status, 201, "{}", reply.body);
        let body = reply.json();
        let key = body["api_key"].as_str().unwrap().to_owned();
        Developer {
            id: body["developer"]["id"].as_str().unwrap().to_owned(),
            signup: body,
            client: Client::new(&self.url, Some(key.clone())),
            key,
        }
    }

    /// Runs SQL in the plain `sqlite3` shell, as anyone with the file could. Returns what it printed, errors too.
    /// The shell finds everything in the tables, and the app sees at once what it has changed.
    pub fn sqlite3(&self, sql: &str) -> String {
        // It fails where a test has broken the file.
        let _ = self.store.catch_up_blocking();
        let printed = self.sqlite3_unprepared(sql);
        let _ = self.store.catch_up_blocking();
        printed
    }

    /// [`App::sqlite3`] on the file as it happens to be.
    pub fn sqlite3_unprepared(&self, sql: &str) -> String {
        let output = Command::new("sqlite3").arg(self.db()).arg(sql).output().expect("sqlite3 is installed");
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    /// Puts everyone of this name on a track, as from now on, without what an upgrade asks for.
    pub fn set_track(&self, name: &str, track: &str) {
        let now_ms = self.now_ms();
        let sql = format!(
            "UPDATE account SET track = '{track}' WHERE name = '{name}';
             INSERT INTO track_change SELECT (SELECT coalesce(max(id), 0) + 1 FROM track_change), id, '{track}', {now_ms}
             FROM account WHERE name = '{name}'"
        );
        assert_eq!(self.sqlite3(&sql), "");
    }

    /// The secret of the first operator's one-time link.
    pub fn operator_token(&self) -> &str {
        &self.operator_token
    }

    /// Everything that the file holds, as SQL.
    pub fn dump(&self) -> String {
        self.sqlite3(".dump")
    }

    /// A signup that may be refused.
    pub fn try_sign_up(&self, email: &str, code: Option<&str>) -> Reply {
        let body = json!({ "email": email, "password": PASSWORD, "name": "Bob", "referral_code": code });
        self.anonymous().post("/v1/developers/signup", body)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if let Some((handle, thread)) = self.server.take() {
            drop(handle.stop(false));
            let stopped = thread.join();
            if !std::thread::panicking() {
                stopped.unwrap();
            }
        }
        if std::thread::panicking() {
            return;
        }
        let verdict = verify_file(&self.db(), None).unwrap();
        assert_eq!(verdict.fault.is_some(), self.tampered.load(Ordering::SeqCst), "{verdict:?}");
    }
}

/// Someone with an account and a key.
pub struct Developer {
    pub id: String,
    pub key: String,
    /// What the signup answered.
    pub signup: Value,
    client: Client,
}

impl std::ops::Deref for Developer {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Developer {
    /// Makes or gets the referral code.
    pub fn code(&self) -> String {
        let reply = self.post("/v1/developers/referral-code", json!({}));
        assert!([200, 201].contains(&reply.status), "{}", reply.body);
        reply.json()["referral_code"].as_str().unwrap().to_owned()
    }

    pub fn stats(&self) -> Value {
        let reply = self.get("/v1/developers/referral-stats");
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    }

    /// Reports usage of this developer under a fresh id.
    pub fn use_api(&self, gateway: &Client, id: &str, calls: i64) -> Value {
        let reply = gateway.post("/v1/usage", json!({ "id": id, "developer_id": self.id, "calls": calls }));
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.json()
    }

    /// All entries, oldest first.
    pub fn ledger(&self) -> Vec<Value> {
        let mut entries = self.all("/v1/developers/ledger?limit=200");
        entries.reverse();
        entries
    }

    /// Every item of a list, page by page.
    pub fn all(&self, path: &str) -> Vec<Value> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("{path}&cursor={cursor}")).json();
            items.extend(page["data"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => return items,
            }
        }
    }
}

/// Sends requests with or without a key.
#[derive(Clone)]
pub struct Client {
    url: String,
    key: Option<String>,
    agent: ureq::Agent,
}

pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {:.500}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The stable code of a problem, after a check that it is one.
    pub fn problem(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{:.500}", self.body);
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let problem = self.json();
        assert_eq!(problem["status"], status);
        for member in ["type", "title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        problem["code"].as_str().unwrap().to_owned()
    }

    /// `field: code` of each fault of a 422.
    pub fn faults(&self) -> Vec<String> {
        self.problem(422);
        let faults = self.json()["errors"].as_array().unwrap().clone();
        let text = |fault: &Value, name: &str| fault[name].as_str().unwrap().to_owned();
        faults.iter().map(|fault| format!("{}: {}", text(fault, "field"), text(fault, "code"))).collect()
    }
}

impl Client {
    pub fn new(url: &str, key: Option<String>) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(30)))
            .allow_non_standard_methods(true)
            .build()
            .into();
        Self { url: url.to_owned(), key, agent }
    }

    pub fn with_key(&self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self.clone() }
    }

    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], Vec::new())
    }

    pub fn post(&self, path: &str, body: Value) -> Reply {
        self.json("POST", path, &body)
    }

    pub fn patch(&self, path: &str, body: Value) -> Reply {
        self.json("PATCH", path, &body)
    }

    pub fn put(&self, path: &str, body: Value) -> Reply {
        self.json("PUT", path, &body)
    }

    pub fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, &[], Vec::new())
    }

    pub fn json(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.send(method, path, &[("Content-Type", "application/json")], body.to_string().into_bytes())
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Reply {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(key) = &self.key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        let mut response = self.agent.run(request.body(body).unwrap()).unwrap();
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()));
        Reply {
            status: response.status().as_u16(),
            headers: headers.collect(),
            body: response.body_mut().with_config().limit(64 << 20).read_to_string().unwrap(),
        }
    }
}
