//! What Prometheus reads, and that the dashboard and the alerts ask for nothing else.

use crate::harness::{App, Client, no_limits};
use crate::process::{NO_LIMITS, Server, empty_dir, refloop, without_settings};
use refloop::domain::limit::LimitName;
use refloop::web::{Context, Quota, TrustedProxies, WebSettings};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// What one reading says, line by line.
struct Scraped(String);

impl Scraped {
    fn read(url: &str) -> Self {
        let mut answer = ureq::get(url).call().unwrap();
        let media_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
        assert!(media_type.starts_with("text/plain; version=0.0.4"), "{media_type}");
        Self(answer.body_mut().read_to_string().unwrap())
    }

    /// The value of a series, by its name and labels as they are written.
    fn value(&self, series: &str) -> f64 {
        let line = self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("there is no {series} in\n{}", self.0)).parse().unwrap()
    }

    /// Names with their types.
    fn families(&self) -> BTreeSet<(String, String)> {
        let types = self.0.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.map(|line| line.split_once(' ').unwrap()).map(|(name, kind)| (name.into(), kind.into())).collect()
    }
}

/// A server over a fresh file, with metrics at the address that comes with it.
fn served(dir: &Path) -> (Server, String) {
    let mut command = refloop(dir);
    command.args(["serve", "--json", "--workers", "2", "--listen", "127.0.0.1:0"]).args(NO_LIMITS);
    command.args(["--metrics-listen", "127.0.0.1:0"]);
    let server = Server::spawn(command, dir);
    let metrics = server.greeting["metrics_url"].as_str().unwrap().to_owned();
    (server, metrics)
}

/// Some of everything, known and unknown, so that all kinds of metrics have something to say.
fn traffic(server: &Server) {
    let public = Client::new(&server.url, None);
    let body = json!({ "email": "me@alice.example", "password": "secure-password", "name": "Alice" });
    let alice = public.post("/v1/developers/signup", body).json();
    let key = public.with_key(alice["api_key"].as_str().unwrap());
    let code = key.post("/v1/developers/referral-code", json!({})).json()["referral_code"].clone();
    for _ in 0..3 {
        assert_eq!(key.get("/v1/developers/me").status, 200);
    }
    assert_eq!(public.get("/v1/developers/me").status, 401);
    assert_eq!(public.get(&format!("/qr/{}.svg", code.as_str().unwrap())).status, 200);
    assert_eq!(public.get("/elsewhere/me@alice.example").status, 404);
    assert_eq!(public.send("BREW", "/v1/developers/me", &[], Vec::new()).status, 405);
    let gateway = public.with_key(&server.gateway_key());
    let usage = json!({ "id": "one", "developer_id": alice["developer"]["id"], "calls": 1 });
    assert_eq!(gateway.post("/v1/usage", usage).status, 200);
}

#[test]
fn requests_are_counted_by_route_method_and_status() {
    let (_keep, dir) = empty_dir();
    let (server, metrics) = served(&dir);
    traffic(&server);
    let scraped = Scraped::read(&metrics);
    let count = |method, route, status| {
        scraped.value(&format!(
            "refloop_http_request_duration_seconds_count{{method=\"{method}\",route=\"{route}\",status=\"{status}\"}}"
        ))
    };
    for (method, route, status, requests) in [
        ("POST", "/v1/developers/signup", "2xx", 1.0),
        ("GET", "/v1/developers/me", "2xx", 3.0),
        ("GET", "/v1/developers/me", "4xx", 1.0),
        ("GET", "/qr/{code}.svg", "2xx", 1.0),
        ("GET", "unmatched", "4xx", 1.0),
        // The words of requests are anybody's: there are only so many methods and routes.
        ("other", "/v1/developers/me", "4xx", 1.0),
        ("POST", "/v1/usage", "2xx", 1.0),
    ] {
        assert!((count(method, route, status) - requests).abs() < 0.1, "{method} {route} {status}\n{}", scraped.0);
    }
    for private in ["alice", "ALICE", "elsewhere", "BREW"] {
        assert!(!scraped.0.contains(private), "{private} is in the metrics:\n{}", scraped.0);
    }
    for (series, least) in [
        ("refloop_writer_batch_units_sum", 3.0),
        ("refloop_writer_batch_seconds_count", 3.0),
        ("refloop_writer_commit_seconds_count", 3.0),
        ("refloop_writer_queue_capacity", 16_384.0),
        ("refloop_database_bytes", 100_000.0),
        ("refloop_wal_bytes", 1_000.0),
        ("refloop_disk_free_bytes", 1_000_000.0),
        ("process_resident_memory_bytes", 1_000_000.0),
        ("process_open_fds", 5.0),
        ("process_start_time_seconds", 1.7e9),
        ("refloop_build_info{version=\"0.1.0\"}", 1.0),
    ] {
        assert!(scraped.value(series) >= least, "{series}: {}", scraped.value(series));
    }
    assert!(scraped.value("refloop_writer_failed_batches_total").abs() < 0.1);
}

#[test]
fn strangers_find_no_metrics() {
    let (_keep, dir) = empty_dir();
    let (server, metrics) = served(&dir);
    let public = Client::new(&server.url, None);
    assert_eq!(public.get("/metrics").status, 404);
    assert_eq!(public.with_key(&server.gateway_key()).get("/metrics").status, 404);
    // Health is at both, so that the inner network needs no second way in.
    let inner = Client::new(metrics.strip_suffix("/metrics").unwrap(), None);
    for path in ["/healthz", "/readyz"] {
        assert_eq!((public.get(path).status, inner.get(path).status), (200, 200), "{path}");
    }
    assert_eq!(inner.get("/v1/developers/me").status, 404);
    assert_eq!(inner.post("/metrics", json!({})).status, 405);
}

#[test]
fn an_address_that_is_taken_is_said() {
    let (_keep, dir) = empty_dir();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = refloop(&dir);
    command.args(["serve", "--listen", "127.0.0.1:0", "--metrics-listen", &address]);
    let said = crate::process::Said::from(command.output().unwrap());
    assert!(said.refusal().contains(&format!("cannot listen on {address}")), "{said:?}");
}

/// Prometheus' own library for Python reads it to the end.
#[test]
fn prometheus_reads_it() {
    let python: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    assert!(python.exists(), "{} is missing; tests/run makes it", python.display());
    let (_keep, dir) = empty_dir();
    let (server, metrics) = served(&dir);
    traffic(&server);
    let scraped = Scraped::read(&metrics);
    let script = "import sys\nfrom prometheus_client.parser import text_string_to_metric_families as parse\n\
                  for family in parse(sys.stdin.read()):\n    print(family.name, family.type, len(family.samples))";
    let mut command = Command::new(python);
    without_settings(&mut command);
    command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(scraped.0.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = String::from_utf8(output.stdout).unwrap();
    let read: BTreeSet<(String, String)> = read
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .inspect(|parts| assert_ne!(parts[2], "0", "{parts:?}"))
        // The library leaves the end off a counter's name.
        .map(|parts| (parts[0].to_owned() + if parts[1] == "counter" { "_total" } else { "" }, parts[1].to_owned()))
        .collect();
    assert_eq!(read, scraped.families());
    assert!(read.iter().all(|(_, kind)| ["counter", "gauge", "histogram"].contains(&kind.as_str())), "{read:?}");
}

/// Names of metrics that a text asks for.
fn asked_for(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = words.filter(|word| word.starts_with("refloop_") || word.starts_with("process_"));
    ours.map(str::to_owned).collect()
}

#[test]
fn the_dashboard_and_the_alerts_ask_for_what_there_is() {
    let (_keep, dir) = empty_dir();
    let (server, metrics) = served(&dir);
    traffic(&server);
    let families = Scraped::read(&metrics).families();
    let mut there: BTreeSet<String> = families.iter().map(|(name, _)| name.clone()).collect();
    for (name, _) in families.iter().filter(|(_, kind)| kind == "histogram") {
        there.extend(["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dashboard = std::fs::read_to_string(root.join("ops/grafana.json")).unwrap();
    let alerts = std::fs::read_to_string(root.join("ops/alerts.yml")).unwrap();
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    let _: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    for (file, text) in [("grafana.json", &dashboard), ("alerts.yml", &alerts), ("README.md", &readme)] {
        let asked = asked_for(text);
        // The database of its own pages, and the cookies.
        let known =
            |name: &String| there.contains(name) || name.starts_with("refloop_demo") || COOKIES.contains(&&**name);
        let missing: Vec<_> = asked.iter().filter(|name| !known(name)).collect();
        assert!(missing.is_empty(), "{file} asks for {missing:?}");
    }
    // And everything that is there can be seen on the dashboard, or is named in the README.
    let shown: BTreeSet<String> = asked_for(&dashboard).union(&asked_for(&readme)).cloned().collect();
    let unseen = families.iter().map(|(name, _)| name).filter(|name| !shown.iter().any(|seen| seen.starts_with(*name)));
    let unseen: Vec<_> = unseen.collect();
    assert!(unseen.is_empty(), "nobody shows {unseen:?}");
}

const COOKIES: [&str; 1] = ["refloop_visit"];

/// The metrics of an app with a clock of its own.
struct Watcher {
    url: String,
    context: Arc<Context>,
    handle: actix_web::dev::ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    fn of(app: &App) -> Self {
        let mut limits = no_limits();
        limits.signup = Quota::new(1, Duration::from_secs(3_600));
        let settings = WebSettings {
            public_url: app.url.clone(),
            workers: 1,
            limits,
            trusted_proxies: TrustedProxies::default(),
            body_timeout: Duration::from_millis(500),
            tls: false,
        };
        let context = Arc::new(Context::new(Arc::clone(&app.engine), settings).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/metrics", listener.local_addr().unwrap());
        let (started, handle) = std::sync::mpsc::channel();
        let for_server = Arc::clone(&context);
        let thread = std::thread::spawn(move || {
            actix_web::rt::System::new().block_on(async {
                let server = refloop::web::metrics_server(for_server, listener).unwrap();
                started.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        Self { url, context, handle: handle.recv().unwrap(), thread: Some(thread) }
    }

    fn read(&self) -> Scraped {
        Scraped::read(&self.url)
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.handle.stop(false));
        let _ = self.thread.take().unwrap().join();
    }
}

#[test]
fn what_there_is_is_counted_every_few_seconds() {
    let app = App::start();
    let watcher = Watcher::of(&app);
    let value = |series: &str| watcher.read().value(series);
    assert!(value("refloop_lots_open").abs() < 0.1);
    let code = app.developer("Alice").code();
    app.referee("Bob", &code);
    app.referee("Carol", &code);
    // Counted a moment ago.
    assert!(value("refloop_lots_open").abs() < 0.1);
    let project = "(SELECT id FROM project WHERE slug = 'default')";
    let outbox = |id: i64, kind: &str, state: &str, due_at_ms: i64| {
        format!(
            "INSERT INTO outbox (id, project_id, kind, body, state, due_at_ms, created_at_ms)
             VALUES ({id}, {project}, '{kind}', '{{}}', '{state}', {due_at_ms}, 0);"
        )
    };
    let now_ms = app.now_ms() + 10_000;
    let rows = outbox(1, "mail", "waiting", now_ms - 90_000)
        + &outbox(2, "mail", "waiting", now_ms - 1_000)
        + &outbox(3, "domain", "waiting", now_ms + 60_000)
        + &outbox(4, "mail", "parked", 0)
        + "UPDATE referral SET status = 'review', reason = 'same_address' WHERE id = (SELECT max(id) FROM referral);";
    assert_eq!(app.sqlite3(&rows), "");
    app.advance_ms(10_000);
    let scraped = watcher.read();
    for (series, expected) in [
        // Two for each referee: theirs, and Alice's.
        ("refloop_lots_open", 4.0),
        ("refloop_referrals_held", 1.0),
        ("refloop_outbox_waiting{kind=\"mail\"}", 2.0),
        ("refloop_outbox_waiting{kind=\"domain\"}", 1.0),
        ("refloop_outbox_waiting{kind=\"transfer\"}", 0.0),
        ("refloop_outbox_lag_seconds{kind=\"mail\"}", 90.0),
        ("refloop_outbox_lag_seconds{kind=\"domain\"}", 0.0),
        ("refloop_outbox_parked", 1.0),
        ("refloop_payouts{status=\"queued\"}", 0.0),
        ("refloop_sweep_lag_seconds", 10.0),
        ("refloop_limit_refusals_total{limit=\"signup\"}", 0.0),
    ] {
        assert!((scraped.value(series) - expected).abs() < 0.001, "{series}: {}", scraped.value(series));
    }
    // A clock that is set back is no reason to go on with old figures.
    app.advance_ms(-3_600_000);
    assert_eq!(app.sqlite3("DELETE FROM outbox; UPDATE referral SET status = 'signed_up', reason = NULL"), "");
    assert!(value("refloop_outbox_parked").abs() < 0.1);
    app.sweep();
    assert!(value("refloop_sweep_lag_seconds").abs() < 0.1);
    let client = "192.0.2.1".parse().unwrap();
    watcher.context.limiter.signup(client).unwrap();
    assert_eq!([1, 2].map(|_| watcher.context.limiter.signup(client).is_ok()), [false; 2]);
    let hits = |name: LimitName| value(&format!("refloop_limit_refusals_total{{limit=\"{}\"}}", name.as_str()));
    assert!((hits(LimitName::Signup) - 2.0).abs() < 0.1 && hits(LimitName::Public).abs() < 0.1);
}
