//! A stand-in for Stripe's API on 127.0.0.1, as far as Connect needs it: accounts, account links and transfers, with
//! idempotency keys as Stripe has them, and faults by script.

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

pub const API_KEY: &str = "sk_of_the_tests";
pub const PLATFORM: &str = "acct_platform";

/// What befalls a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Stripe looks at it and will not: the answer is kept under its key.
    Refuse,
    /// The same, because of the account that is to be paid.
    AccountClosed,
    /// The platform's own balance does not cover it.
    NoFunds,
    /// The connection breaks, and nothing has happened, or it has.
    BreakBefore,
    BreakAfter,
    /// No answer comes for as long as the client waits.
    HangBefore,
    HangAfter,
    /// An error of Stripe's own: also kept under its key.
    ErrorBefore,
    ErrorAfter,
    /// One that Stripe does not keep.
    Unavailable,
    TooMany,
    InProgress,
    /// Something between here and there answers.
    Proxy,
    /// Half an answer.
    HalfAnswer,
    /// It says so and waits to be let go, before or after the effect.
    BlockBefore,
    BlockAfter,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

type Kept = (String, u16, Value);

#[derive(Default)]
pub struct State {
    /// API keys, and the platform that each is of.
    pub api_keys: HashMap<String, String>,
    pub accounts: BTreeMap<String, Value>,
    pub transfers: Vec<Value>,
    kept: HashMap<(String, String), Kept>,
    pub requests: Vec<Request>,
    /// For transfers, in their order; then none.
    pub script: VecDeque<Fault>,
    /// For everything else: all calls fail while it is down.
    pub is_down: bool,
    /// `false`: this platform may not make accounts.
    pub makes_accounts: bool,
    /// For `Date` headers: the test's clock, or this machine's.
    pub clock: Option<Arc<AtomicI64>>,
    /// How far Stripe's is ahead of it.
    pub ahead_ms: i64,
    /// It does not say whose a key is.
    pub hides_itself: bool,
    /// What the next account is called, if not as usual.
    pub next_account: Option<String>,
    /// Where account links lead, when it has pages of its own: its address.
    pub pages: Option<String>,
    /// The last link of each account: where it leads back, and where when it has expired.
    links: HashMap<String, (String, String)>,
    made: usize,
}

impl State {
    fn now_ms(&self) -> i64 {
        let of_machine = || i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
        self.ahead_ms + self.clock.as_ref().map_or_else(of_machine, |clock| clock.load(Ordering::SeqCst))
    }

    fn next_id(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}_{:06}", self.made)
    }

    fn complete(&mut self, id: &str) -> Value {
        let account = self.accounts.get_mut(id).unwrap();
        account["payouts_enabled"] = json!(true);
        account["details_submitted"] = json!(true);
        account["capabilities"]["transfers"] = json!("active");
        account["requirements"] = json!({ "currently_due": [], "past_due": [], "disabled_reason": null });
        account.clone()
    }

    /// Stripe forgets keys that are a day old.
    pub fn forget_keys(&mut self) {
        self.kept.clear();
    }
}

pub struct StandIn {
    pub url: String,
    state: Arc<Mutex<State>>,
    called: Arc<Condvar>,
    blocked: Mutex<Receiver<()>>,
    release: Sender<()>,
}

impl StandIn {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = State { makes_accounts: true, ..State::default() };
        let state = Arc::new(Mutex::new(state));
        state.lock().unwrap().api_keys.insert(API_KEY.into(), PLATFORM.into());
        let (block, blocked) = channel();
        let (release, released) = channel();
        let called = Arc::new(Condvar::new());
        let (for_server, released) = (Arc::clone(&state), Arc::new(Mutex::new(released)));
        let notify = Arc::clone(&called);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (state, block, released) = (Arc::clone(&for_server), block.clone(), Arc::clone(&released));
                let notify = Arc::clone(&notify);
                std::thread::spawn(move || {
                    serve(stream.unwrap(), &state, &block, &released);
                    notify.notify_all();
                });
            }
        });
        Self { url, state, called, blocked: Mutex::new(blocked), release }
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap())
    }

    pub fn script(&self, faults: &[Fault]) {
        self.with(|state| state.script.extend(faults));
    }

    /// Until a transfer is blocked by script.
    pub fn wait_until_blocked(&self) {
        self.blocked.lock().unwrap().recv().unwrap();
    }

    pub fn let_go(&self) {
        self.release.send(()).unwrap();
    }

    /// From now on account links lead to a page of this server, where a person can give it everything or come back later.
    pub fn serve_pages(&self) {
        self.with(|state| state.pages = Some(self.url.clone()));
    }

    /// The person has given Stripe everything.
    pub fn complete_account(&self, id: &str) -> Value {
        self.with(|state| state.complete(id))
    }

    pub fn account_ids(&self) -> Vec<String> {
        self.with(|state| state.accounts.keys().cloned().collect())
    }

    pub fn transfers(&self) -> Vec<Value> {
        self.with(|state| state.transfers.clone())
    }

    pub fn requests_so_far(&self) -> usize {
        self.with(|state| state.requests.len())
    }

    /// Until so many calls have come, or none has for a while.
    pub fn wait_for_calls(&self, calls: usize) {
        let mut state = self.state.lock().unwrap();
        while state.requests.len() < calls {
            let (after, waited) = self.called.wait_timeout(state, Duration::from_millis(100)).unwrap();
            state = after;
            if waited.timed_out() {
                return;
            }
        }
    }

    /// The calls of a method and path that have come.
    pub fn requests(&self, method: &str, path: &str) -> Vec<Request> {
        let is_it = |request: &&Request| request.method == method && request.path.split('?').next() == Some(path);
        self.with(|state| state.requests.iter().filter(is_it).cloned().collect())
    }
}

pub fn form(text: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8().unwrap().into_owned();
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap()).map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut request = Request { method, path, headers, body: String::new() };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).unwrap();
    Some(request)
}

fn error(kind: &str, code: &str, message: &str) -> Value {
    json!({ "error": { "type": kind, "code": code, "message": message } })
}

fn answer(mut stream: &TcpStream, status: u16, body: &str, at_ms: i64) {
    let at = jiff::Timestamp::from_millisecond(at_ms).unwrap();
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap();
    let head = format!("HTTP/1.1 {status} X\r\nDate: {date}\r\nContent-Type: application/json\r\n");
    let _ = write!(stream, "{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
}

/// Until the client has had enough.
fn hang(mut stream: &TcpStream) {
    let _ = stream.read(&mut [0; 16]);
}

fn serve(stream: TcpStream, state: &Mutex<State>, block: &Sender<()>, released: &Mutex<Receiver<()>>) {
    let Some(request) = read_request(&stream) else { return };
    if let Some(path) = request.path.strip_prefix("/setup/e/") {
        return onboard(&stream, &request.method, path, &mut state.lock().unwrap());
    }
    let is_transfer = request.method == "POST" && request.path == "/v1/transfers";
    let (fault, is_down, now_ms) = {
        let mut state = state.lock().unwrap();
        state.requests.push(request.clone());
        let fault = if is_transfer { state.script.pop_front() } else { None };
        (fault.unwrap_or(Fault::None), state.is_down, state.now_ms())
    };
    let wait = || {
        let _ = block.send(());
        let _ = released.lock().unwrap().recv();
    };
    let reply = |status, body: &Value| answer(&stream, status, &body.to_string(), now_ms);
    match fault {
        Fault::BreakBefore => return,
        Fault::HangBefore => return hang(&stream),
        Fault::Unavailable => return reply(503, &json!({})),
        Fault::TooMany => return reply(429, &error("rate_limit_error", "rate_limit", "Too many requests.")),
        Fault::InProgress => {
            return reply(409, &error("idempotency_error", "idempotency_key_in_use", "It is under way."));
        }
        Fault::Proxy => return answer(&stream, 404, "<html>Not here</html>", now_ms),
        Fault::BlockBefore => return wait(),
        _ => {}
    }
    let (status, body) = if is_down { (503, json!({})) } else { handle(&mut state.lock().unwrap(), &request, fault) };
    match fault {
        Fault::BreakAfter => (),
        Fault::HangAfter => hang(&stream),
        Fault::BlockAfter => wait(),
        Fault::HalfAnswer => {
            let body = body.to_string();
            let _ = write!(&stream, "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{}", body.len(), &body[..20]);
        }
        _ => reply(status, &body),
    }
}

/// The page that an account link leads to, and the form on it.
fn onboard(mut stream: &TcpStream, method: &str, id: &str, state: &mut State) {
    let (return_url, refresh_url) = state.links[id].clone();
    if method == "POST" {
        state.complete(id);
        let head =
            format!("HTTP/1.1 303 X\r\nLocation: {return_url}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        let _ = write!(stream, "{head}");
        return;
    }
    let page = format!(
        "<!doctype html><html lang=en><title>Stand-in</title><link rel=icon href=data:,><h1>Stand-in</h1>\
         <form method=post><button id=complete>Give everything</button></form>\
         <p><a id=later href=\"{return_url}\">Later</a> <a id=expired href=\"{refresh_url}\">Expired</a>"
    );
    let head = "HTTP/1.1 200 X\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n";
    let _ = write!(stream, "{head}Content-Length: {}\r\nConnection: close\r\n\r\n{page}", page.len());
}

/// One call, within the rules of its idempotency key.
fn handle(state: &mut State, request: &Request, fault: Fault) -> (u16, Value) {
    let key = request.header("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let Some(platform) = state.api_keys.get(key).cloned() else {
        return (401, error("invalid_request_error", "", "Invalid API Key provided."));
    };
    if request.method == "POST" {
        assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    }
    let kept_as = request.header("idempotency-key").map(|key| (platform.clone(), key.to_owned()));
    let what = format!("{} {} {}", request.method, request.path, request.body);
    if let Some((asked, status, body)) = kept_as.as_ref().and_then(|kept_as| state.kept.get(kept_as)) {
        return if *asked == what {
            (*status, body.clone())
        } else {
            (
                400,
                error(
                    "idempotency_error",
                    "",
                    "Keys for idempotent requests can only be used with the same parameters.",
                ),
            )
        };
    }
    let (status, body) = match fault {
        Fault::Refuse => (400, error("invalid_request_error", "amount_too_small", "The amount is too small.")),
        Fault::AccountClosed => (400, error("invalid_request_error", "account_closed", "The account is closed.")),
        Fault::NoFunds => (400, error("invalid_request_error", "balance_insufficient", "Insufficient funds.")),
        Fault::ErrorBefore => (500, error("api_error", "", "Something went wrong.")),
        Fault::ErrorAfter => {
            run(state, request, &platform);
            (500, error("api_error", "", "Something went wrong."))
        }
        _ => run(state, request, &platform),
    };
    // What fails before it begins is not kept.
    let begun =
        status == 200 || status >= 500 || matches!(fault, Fault::Refuse | Fault::AccountClosed | Fault::NoFunds);
    if let Some(kept_as) = kept_as.filter(|_| begun) {
        state.kept.insert(kept_as, (what, status, body.clone()));
    }
    (status, body)
}

fn run(state: &mut State, request: &Request, platform: &str) -> (u16, Value) {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let (fields, query) = (form(&request.body), form(query));
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
    let owned =
        |state: &State, id: &str| state.accounts.get(id).filter(|account| account["platform"] == platform).cloned();
    match (request.method.as_str(), path) {
        ("POST", "/v1/accounts") if !state.makes_accounts => {
            (400, error("invalid_request_error", "", "Sign up for Connect first."))
        }
        ("POST", "/v1/accounts") => {
            let id = state.next_account.take().unwrap_or_else(|| state.next_id("acct"));
            let account = json!({ "id": id, "object": "account", "type": field("type"), "platform": platform,
                "email": field("email"), "payouts_enabled": false, "details_submitted": false,
                "capabilities": { "transfers": "inactive" },
                "metadata": { "developer_id": field("metadata[developer_id]") },
                "requirements": { "currently_due": ["external_account", "individual.dob.day", "individual.dob.month"],
                                  "past_due": [], "disabled_reason": "requirements.past_due" } });
            state.accounts.insert(id, account.clone());
            (200, account)
        }
        ("POST", "/v1/account_links") => match field("account").and_then(|id| owned(state, &id)) {
            Some(account) => {
                let pages = state.pages.as_deref().unwrap_or("https://connect.stripe.com");
                let id = account["id"].as_str().unwrap();
                let url = format!("{pages}/setup/e/{id}");
                state.links.insert(id.to_owned(), (field("return_url").unwrap(), field("refresh_url").unwrap()));
                (200, json!({ "object": "account_link", "url": url }))
            }
            None => (400, error("invalid_request_error", "resource_missing", "No such account.")),
        },
        ("POST", "/v1/transfers") => {
            let number = field("amount").unwrap().parse::<i64>().unwrap();
            let destination = field("destination").unwrap();
            if owned(state, &destination).is_none_or(|account| account["capabilities"]["transfers"] != "active") {
                return (400, error("invalid_request_error", "resource_missing", "No such destination."));
            }
            let metadata: Map<String, Value> =
                [("payout_id".into(), json!(field("metadata[payout_id]")))].into_iter().collect();
            let transfer = json!({ "id": state.next_id("tr"), "object": "transfer", "amount": number,
                "amount_reversed": 0, "currency": field("currency"), "destination": destination, "platform": platform,
                "transfer_group": field("transfer_group"), "metadata": metadata });
            state.transfers.push(transfer.clone());
            (200, transfer)
        }
        ("GET", "/v1/transfers") => {
            let group = query.iter().find(|(name, _)| name == "transfer_group").map(|(_, value)| json!(value));
            let is_it = |transfer: &&Value| {
                Some(&transfer["transfer_group"]) == group.as_ref() && transfer["platform"] == platform
            };
            let found: Vec<_> = state.transfers.iter().filter(is_it).cloned().collect();
            (200, json!({ "object": "list", "url": "/v1/transfers", "has_more": false, "data": found }))
        }
        ("GET", "/v1/account") if state.hides_itself => {
            (403, error("invalid_request_error", "more_permissions_required", "The key may not read this."))
        }
        ("GET", "/v1/account") => (200, json!({ "id": platform, "object": "account" })),
        ("GET", path) => {
            let found = path.strip_prefix("/v1/accounts/").and_then(|id| owned(state, id));
            let words = "The provided key does not have access to the account (or that account does not exist). \
                         Application access may have been revoked.";
            found.map_or((403, error("invalid_request_error", "account_invalid", words)), |account| (200, account))
        }
        _ => (404, error("invalid_request_error", "", "Unrecognized request URL.")),
    }
}
