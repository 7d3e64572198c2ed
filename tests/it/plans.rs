//! No query of a hot path reads a table from one end to the other. The log tells which statements run, SQLite how.

use crate::conversion::signer::Signer;
use crate::harness::{Client, Reply};
use crate::mail::smtp::Smtp;
use crate::payouts::crash::World;
use crate::process::{Caller, NO_LIMITS, Server, empty_dir, refloop, sqlite3};
use crate::stripe_api::Fault;
use crate::visitor::{FORM, encode, set_cookie, value_of};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

fn statements(dir: &Path) -> BTreeSet<String> {
    let log = std::fs::read_to_string(dir.join("stderr.log")).unwrap();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let sql = lines
        .filter(|line| line["target"] == "refloop::sql")
        .filter_map(|line| Some(line["fields"]["sql"].as_str()?.to_owned()));
    sql.filter(|sql| ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].iter().any(|verb| sql.starts_with(verb)))
        .collect()
}

/// Statements that may look at all of something: it has a row or a few, or it is the start.
fn may_scan(sql: &str, step: &str) -> bool {
    ["instance", "project", "projected", "rate_limit", "sqlite_schema"].iter().any(|table| step == format!("SCAN {table}"))
        || step.contains("CONSTANT ROW")
        // What the statement itself has gathered.
        || step == "SCAN newest"
        || sql.starts_with("WITH RECURSIVE") && (step == "SCAN part" || step == "SCAN whole")
        || sql.contains("rank() OVER") && (step == "SCAN listed" || step.starts_with("SCAN (subquery"))
        // Once, by a thread of its own.
        || sql == "SELECT hash FROM usage_id"
        // The newest row: one step from the end.
        || (sql.contains("ORDER BY seq DESC LIMIT 1") || sql.contains("max(seq)")) && !step.contains("USING")
}

/// What SQLite would read from one end to the other for one of these statements.
fn scans(dir: &Path, seen: &BTreeSet<String>) -> Vec<String> {
    let mut scans = Vec::new();
    for sql in seen {
        let plan = sqlite3(&dir.join("refloop.db"), &format!("EXPLAIN QUERY PLAN {sql}"));
        assert!(!plan.contains("rror:"), "{sql}: {plan}");
        for step in plan.lines().map(|line| line.trim_start_matches(['|', '-', '`', ' '])) {
            if step.starts_with("SCAN") && !may_scan(sql, step) {
                scans.push(format!("{step}: {sql}"));
            }
        }
    }
    scans
}

/// Stripe's events, some of which wait for others.
fn deliver_stripe_events(server: &Server, dir: &Path) {
    let set = "UPDATE project SET stripe_webhook_secrets = 'whsec'";
    assert_eq!(sqlite3(&dir.join("refloop.db"), set), "");
    for (n, event) in crate::stripe::one_of_each("pc_2").into_iter().enumerate() {
        let at_ms = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
        let body = event.to_string();
        let header = crate::stripe::signed(body.as_bytes(), "whsec", at_ms);
        let request = ureq::post(format!("{}/webhooks/stripe/default", server.url)).header("Stripe-Signature", header);
        assert_eq!(request.send(body).unwrap().status(), 200, "{n}");
    }
}

/// Signs Alice in twice, and sends every form of her account's page but the last.
fn visit_the_account_page(server: &Server) {
    let client = Client::new(&server.url, None);
    let page = client.get("/login");
    let form_cookie = page.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let csrf = value_of(&page, "csrf");
    let send = |path: &str, cookie: &str, fields: &[(&str, &str)]| {
        let form = encode(&[&[("csrf", csrf.as_str())], fields].concat());
        let cookie = format!("{form_cookie}; {cookie}");
        let reply = client.send("POST", path, &[FORM, ("Cookie", &cookie)], form.into_bytes());
        assert_eq!(reply.status, 303, "{path} {fields:?}: {}", reply.body);
        let session = set_cookie(&reply, "refloop_session").map(|(token, _)| token).unwrap_or_default();
        format!("refloop_session={session}")
    };
    let (email, old, new) = ("me@alice.example", "secure-password", "another-password");
    let first = send("/login", "", &[("email", email), ("password", old)]);
    let session = send("/login", &first, &[("email", email), ("password", old)]);
    send("/account", &session, &[("form", "profile"), ("name", "Alice")]);
    send("/account", &session, &[("form", "session"), ("session", "ses_0000000000001")]);
    send("/account", &session, &[("form", "others")]);
    let password = [("form", "password"), ("current_password", old), ("new_password", new)];
    let session = send("/account", &session, &password);
    assert_eq!(client.send("GET", "/account", &[("Cookie", &session)], Vec::new()).status, 200);
    send("/logout", &session, &[]);
}

fn look_at_the_leaderboard(server: &Server, dir: &Path) {
    let list_alice = "UPDATE account SET leaderboard_name = 'ali' WHERE email = 'me@alice.example';
        INSERT INTO program SELECT project_id, max(version) + 1, json_set(body, '$.leaderboard.enabled', json('true')),
        author, created_at_ms FROM program;";
    assert_eq!(sqlite3(&dir.join("refloop.db"), list_alice), "");
    for path in ["/leaderboard", "/v1/leaderboard?period=week"] {
        assert_eq!(ureq::get(format!("{}{path}", server.url)).call().unwrap().status(), 200, "{path}");
    }
}

/// Signs in on the page: a client, its cookies, and the token of its forms.
fn signed_in(server: &Server, email: &str) -> (Client, String, String) {
    let client = Client::new(&server.url, None);
    let cookies = |reply: &Reply| {
        let set = reply.headers.iter().filter(|(name, _)| name == "set-cookie");
        set.map(|(_, cookie)| cookie.split(';').next().unwrap().to_owned()).collect::<Vec<_>>().join("; ")
    };
    let form = client.get("/login");
    let (csrf, guard) = (value_of(&form, "csrf"), cookies(&form));
    let fields = encode(&[("csrf", &csrf), ("email", email), ("password", "secure-password")]);
    let reply = client.send("POST", "/login", &[FORM, ("Cookie", &guard)], fields.into_bytes());
    assert_eq!(reply.status, 303, "{}", reply.body);
    let jar = format!("{guard}; {}", cookies(&reply));
    (client, jar, csrf)
}

/// Signs in, and looks at every page of the dashboard.
fn look_at_the_dashboard(server: &Server, email: &str, code: &str) {
    let (client, jar, _) = signed_in(server, email);
    client.send("GET", &format!("/r/{code}"), &[("User-Agent", "Mozilla/5.0")], Vec::new());
    for path in [
        "dashboard",
        "dashboard?days=365",
        "dashboard/referrals",
        "dashboard/referrals?status=signed_up",
        "dashboard/referrals?status=not_signed_up",
        "dashboard/ledger",
        "dashboard/ledger?status=PENDING&from=2026-01-01",
        "dashboard/ledger?cursor=cur_0000000000001",
        "dashboard/ledger.csv",
        "dashboard/keys",
    ] {
        let page = client.send("GET", &format!("/{path}"), &[("Cookie", &jar)], Vec::new());
        assert_eq!(page.status, 200, "{path}: {}", page.body);
    }
}

/// A partner with payouts looks at them, and asks for one more than there can be.
fn look_at_the_partner_s_page(world: &World) {
    let (client, jar, csrf) = signed_in(&world.server, "me@partner0.example");
    for (path, status) in [("", 200), ("?stripe=return", 303), ("?cursor=cur_0000000000001", 200), ("/agreement", 200)]
    {
        let page = client.send("GET", &format!("/dashboard/partner{path}"), &[("Cookie", &jar)], Vec::new());
        assert_eq!(page.status, status, "{path}: {}", page.body);
    }
    assert_eq!(client.send("GET", "/dashboard", &[("Cookie", &jar)], Vec::new()).status, 200);
    let form = encode(&[("csrf", &csrf), ("form", "payout"), ("newest", ""), ("amount", "5.00")]);
    let again = client.send("POST", "/dashboard/partner", &[FORM, ("Cookie", &jar)], form.into_bytes());
    assert_eq!(again.status, 303, "{}", again.body);
}

/// Clicks, a signup that comes of one, and old ones for the last step of the background work.
fn follow_links(caller: &Caller, server: &Server, dir: &Path, code: &str) {
    let agent = ureq::Agent::config_builder().max_redirects(0).build().new_agent();
    for name in ["Firefox", "Chrome", "Firefox"] {
        let link = agent.get(format!("{}/r/{code}", server.url)).header("User-Agent", name);
        assert_eq!(link.call().unwrap().status(), 303);
    }
    let body =
        json!({ "email": "me@erin.example", "password": "secure-password", "name": "Erin", "referral_code": code });
    assert_eq!(caller.post(None, "/v1/developers/signup", &body).unwrap().status, 201);
    assert_eq!(
        sqlite3(&dir.join("refloop.db"), "UPDATE click SET at_ms = 0; UPDATE instance SET visitor_key_day = 0"),
        ""
    );
}

/// Parts of statements that the calls below must have run.
const EXPECTED: &[&str] = &[
    "INSERT INTO entry",
    "INSERT INTO usage_event",
    "FROM usage_id",
    "INSERT INTO usage_id",
    "UPDATE lot",
    "FROM account_entry",
    "FROM api_key",
    "FROM referral",
    "FROM decision",
    "UPDATE balance",
    "jwt_key",
    "UPDATE account SET external_id",
    "sum(lot.granted",
    "FROM stripe_awaited",
    "JOIN stripe_refund",
    "rank() OVER",
    "INSERT INTO click ",
    "FROM click_day",
    "UPDATE click SET",
    "DELETE FROM click",
    "decision.verdict = 'refused'",
    "AND code.revoked_at_ms IS NOT NULL",
    "SELECT open - owed",
    "INSERT INTO outbox",
    "FROM outbox",
    "UPDATE outbox",
    "FROM mail_token",
    "milestone_mail",
    "FROM sighting",
    "FROM signal",
    "INTO pace",
    "FROM pace",
    "email_domain =",
    "INSERT INTO adjustment",
    "FROM payout LEFT JOIN outbox",
];

/// What operators ask for over and over. A preview of a program, and the file of all referrals, read all that there is of a
/// project: those are asked for now and then.
fn look_at_the_console(gateway: &str, server: &Server, bob: &str, code: &str) {
    let client = Client::new(&server.url, Some(gateway.to_owned()));
    let call = |path: &str| format!("/v1/admin/projects/default/{path}");
    for search in
        ["", "q=bob%40", "q=%40bob.example", "q=bob.example", "q=bob", &format!("q={code}"), "q=dev_0000000000001"]
    {
        for more in ["", "&cursor=cur_0000000000001"] {
            assert_eq!(client.get(&call(&format!("developers?{search}{more}"))).status, 200, "{search}");
        }
    }
    for path in ["", "/ledger", "/referrals", "/purchases", "/payouts", "/decisions"] {
        assert_eq!(client.get(&call(&format!("developers/{bob}{path}"))).status, 200, "{path}");
    }
    for path in [
        "payouts",
        "payouts?status=open",
        "payouts?status=paid",
        "deliveries",
        "deliveries?state=parked",
        "keys",
        "program",
    ] {
        assert_eq!(client.get(&call(path)).status, 200, "{path}");
    }
    for path in
        ["exports/ledger.csv", "exports/developers.csv", "exports/payouts.csv", "program/diff", "program/versions"]
    {
        assert_eq!(client.get(&call(path)).status, 200, "{path}");
    }
    let given = serde_json::json!({ "amount": 10, "reason": "x" });
    assert_eq!(client.post(&call(&format!("developers/{bob}/adjustments")), given).status, 201);
    assert_eq!(client.post(&call("deliveries/retry"), json!({ "kind": "mail" })).status, 200);
    assert_eq!(client.post(&call("keys"), json!({ "scopes": "usage:write" })).status, 201);
}

/// Alice has heard of Bob and of his calls; and what her browser then asks for.
fn open_links_of_mails(server: &Server, smtp: &Smtp) {
    let link = smtp.next().header("List-Unsubscribe").unwrap();
    assert_eq!(ureq::get(link.trim_matches(['<', '>'])).call().unwrap().status(), 200);
    for path in ["reset?token=x", "confirm?token=x"] {
        assert!(ureq::get(format!("{}/{path}", server.url)).call().is_err(), "{path} is no good link");
    }
    smtp.next();
}

#[test]
fn no_query_of_a_hot_path_scans() {
    let (_keep, dir) = empty_dir();
    let mut command = refloop(&dir);
    command.env("REFLOOP_LOG", "refloop::sql=trace");
    let smtp = Smtp::start();
    command.env("REFLOOP_SMTP_URL", smtp.url()).env("REFLOOP_MAIL_FROM", "refer@example.com");
    command.args(["serve", "--json", "--workers", "1", "--listen", "127.0.0.1:0"]).args(NO_LIMITS);
    let mut server = Server::spawn(command, &dir);
    let (caller, gateway) = (Caller::new(&server.url), server.gateway_key());
    let post = |key: Option<&str>, path: &str, body: Value| {
        let reply = caller.post(key, path, &body).unwrap();
        assert!(reply.status < 300, "{path}: {}", reply.body);
        reply.json()
    };
    let get = |key: &str, path: &str| {
        let request = ureq::get(format!("{}{path}", server.url)).header("Authorization", format!("Bearer {key}"));
        assert_eq!(request.call().unwrap().status(), 200, "{path}");
    };
    let sign_up = |name: &str, code: Option<&str>| {
        let email = format!("me@{name}.example");
        let body = json!({ "email": email, "password": "secure-password", "name": name, "referral_code": code });
        post(None, "/v1/developers/signup", body)
    };
    let alice = sign_up("alice", None);
    let alice_key = alice["api_key"].as_str().unwrap();
    let code = post(Some(alice_key), "/v1/developers/referral-code", json!({}));
    let code = code["referral_code"].as_str().unwrap();
    let bob = sign_up("bob", Some(code));
    let (bob_id, bob_key) = (&bob["developer"]["id"], bob["api_key"].as_str().unwrap());
    // The gateway's calls and the developers' reads: each kind of event, again, and by each name.
    for who in [("developer_id", bob_id.clone()), ("api_key", json!(bob_key)), ("external_id", json!("none"))] {
        for id in ["one", "two", "one"] {
            let id = format!("{id}-{}", who.0);
            post(Some(&gateway), "/v1/usage", json!({ "id": id, (who.0): who.1, "calls": 60 }));
        }
    }
    let many: Vec<_> = (0..40).map(|n| json!({ "id": format!("m{n}"), "developer_id": bob_id, "calls": 1 })).collect();
    post(Some(&gateway), "/v1/usage", json!({ "events": many }));
    for _ in 0..2 {
        post(Some(&gateway), "/v1/keys/verify", json!({ "api_key": bob_key }));
    }
    let purchase = json!({ "id": "p", "developer_id": bob_id, "amount": 500, "currency": "usd" });
    post(Some(&gateway), "/v1/purchases", purchase);
    post(Some(&gateway), "/v1/refunds", json!({ "id": "r", "purchase_id": "p", "amount": 500 }));
    for key in [alice_key, bob_key] {
        for path in ["me", "referral-stats", "referrals", "ledger", "ledger.csv", "api-keys"] {
            get(key, &format!("/v1/developers/{path}"));
        }
    }
    // A project's own server.
    let customers = "/api/billstack/teams/default/projects/default/referrals";
    let made = post(Some(&gateway), &format!("{customers}/codes"), json!({ "customerId": "pc_1" }));
    let made = made["code"]["code"].as_str().unwrap();
    for customer in ["pc_2", "pc_3"] {
        let applied = json!({ "code": made, "refereeCustomerId": customer });
        post(Some(&gateway), &format!("{customers}/apply"), applied);
    }
    for path in ["config", "codes", "codes?activeOnly=false&offset=1", &format!("codes/{made}")] {
        get(&gateway, &format!("{customers}/{path}"));
    }
    // Users of the team's own app: new ones, known ones, and one that was converted before.
    let app = Signer::new("HS256");
    let key = format!(
        "UPDATE project SET jwt_algorithm = 'HS256', jwt_key = '{}';
         INSERT INTO program SELECT project_id, version + 1, json_set(body, '$.conversion', 'convert'), author, created_at_ms
         FROM program;",
        app.key
    );
    sqlite3(&dir.join("refloop.db"), &key);
    let exp = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 600;
    for _ in 0..2 {
        post(None, "/api/referral/convert", json!({ "referralCode": code, "email": "me@carol.example" }));
        for name in ["alice", "carol", "dave"] {
            let email = format!("me@{name}.example");
            let token = app.token(&json!({ "sub": name, "exp": exp, "email": email, "email_verified": true }));
            get(&token, "/api/referral/link");
            get(&token, "/api/referral/stats");
        }
    }
    deliver_stripe_events(&server, &dir);
    for email in ["me@alice.example", "me@bob.example"] {
        look_at_the_dashboard(&server, email, code);
    }
    look_at_the_console(&gateway, &server, bob_id.as_str().unwrap(), code);
    open_links_of_mails(&server, &smtp);
    get(alice_key, &format!("/signup?ref={code}"));
    follow_links(&caller, &server, &dir, code);
    get(alice_key, "/v1/ledger/head");
    look_at_the_leaderboard(&server, &dir);
    // The end writes everything back.
    server.terminate();
    assert_eq!(server.wait().0, Some(0));

    let seen = statements(&dir);
    for part in EXPECTED {
        assert!(seen.iter().any(|sql| sql.contains(part)), "{part} was not seen among {} statements", seen.len());
    }
    let scans = scans(&dir, &seen);
    assert!(scans.is_empty(), "{scans:#?}");
}

#[test]
fn no_query_of_signing_in_scans() {
    let (_keep, dir) = empty_dir();
    let mut command = refloop(&dir);
    command.env("REFLOOP_LOG", "refloop::sql=trace");
    command.args(["serve", "--json", "--workers", "1", "--listen", "127.0.0.1:0"]).args(NO_LIMITS);
    let mut server = Server::spawn(command, &dir);
    let body = json!({ "email": "me@alice.example", "password": "secure-password", "name": "Alice" });
    assert_eq!(Client::new(&server.url, None).post("/v1/developers/signup", body).status, 201);
    visit_the_account_page(&server);
    server.terminate();
    assert_eq!(server.wait().0, Some(0));
    let seen = statements(&dir);
    for part in ["INSERT INTO account_session", "FROM account_session", "UPDATE account SET password_hash", "id <> $2"]
    {
        assert!(seen.iter().any(|sql| sql.contains(part)), "{part} was not seen among {} statements", seen.len());
    }
    let scans = scans(&dir, &seen);
    assert!(scans.is_empty(), "{scans:#?}");
}

#[test]
fn no_query_of_a_payout_scans() {
    let mut world = World::logging("refloop::sql=trace");
    let partner = world.partners[0].clone();
    for fault in [Fault::None, Fault::Refuse, Fault::BreakBefore] {
        world.stripe.script(&[fault]);
        assert_eq!(world.post(&partner, "/v1/payouts", &json!({ "amount": 500 })).0, 201);
        world.settle();
    }
    for path in ["/v1/partner", "/v1/partner/agreement", "/v1/partner/agreements", "/v1/payouts", "/v1/payouts?limit=1"]
    {
        let request = ureq::get(format!("{}{path}", world.server.url));
        let reply = request.header("Authorization", format!("Bearer {partner}")).call().unwrap();
        assert_eq!(reply.status(), 200, "{path}");
    }
    look_at_the_partner_s_page(&world);
    let account = world.stripe.account_ids()[0].clone();
    let now_ms = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let objects =
        [("account.updated", world.stripe.complete_account(&account)), ("payout.failed", json!({ "id": "po_1" }))];
    let transfers = world.stripe.transfers().into_iter().map(|transfer| ("transfer.created", transfer));
    for (n, (kind, object)) in objects.into_iter().chain(transfers).enumerate() {
        let mut event = crate::stripe::event(&format!("evt_{n}"), kind, now_ms, object);
        event["account"] = json!(account);
        world.tell(&event);
    }
    assert_eq!(world.post(&partner, "/v1/partner/downgrade", &json!({})).0, 409);
    world.server.terminate();
    assert_eq!(world.server.wait().0, Some(0));
    let seen = statements(world.dir());
    for part in ["FROM payout", "UPDATE payout", "FROM stripe_account", "FROM partner_agreement", "FROM outbox"] {
        assert!(seen.iter().any(|sql| sql.contains(part)), "{part} was not seen among {} statements", seen.len());
    }
    let scans = scans(world.dir(), &seen);
    assert!(scans.is_empty(), "{scans:#?}");
}
