//! Projects do not touch: every call of the API is made with another project's credentials, and twins live side by side.

use crate::calls::{Body, CALLS_OF_THE_API, Call, Stage, Who};
use crate::harness::{App, Client, PASSWORD, Reply};
use refloop::domain::program::Preset;
use refloop::domain::setting::Setting;
use serde_json::{Value, json};

const HOST: &str = "acme.example";

/// A project that answers at `acme.example`, beside the default one.
fn add_acme(app: &App, preset: Preset) -> Client {
    app.project("acme", preset, "live");
    app.engine.set_project("acme", vec![(Setting::Host, HOST.into())]).unwrap();
    app.gateway_of("acme")
}

/// A call to the host of a project, or with `None` to the default one's.
fn send(client: &Client, host: Option<&str>, method: &str, path: &str, body: Option<&Value>) -> Reply {
    let mut headers = Vec::new();
    headers.extend(host.map(|host| ("Host", host)));
    headers.extend(body.map(|_| ("Content-Type", "application/json")));
    client.send(method, path, &headers, body.map(|body| body.to_string().into_bytes()).unwrap_or_default())
}

fn sign_up(app: &App, host: Option<&str>, name: &str, email: &str, code: Option<&str>) -> Reply {
    let body = json!({ "email": email, "password": PASSWORD, "name": name, "referral_code": code });
    send(&app.anonymous(), host, "POST", "/v1/developers/signup", Some(&body))
}

/// Everything in the file that is this project's.
fn rows_of(app: &App, slug: &str) -> String {
    let columns = app.sqlite3(
        "SELECT tables.name || ' ' || columns.name FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
         WHERE tables.type = 'table' ORDER BY 1",
    );
    let has = |table: &str, column: &str| columns.lines().any(|line| line == format!("{table} {column}"));
    let mut tables: Vec<_> = columns.lines().filter_map(|line| line.split(' ').next()).collect();
    tables.dedup();
    let project = format!("(SELECT id FROM project WHERE slug = '{slug}')");
    let queries = tables.iter().filter_map(|table| {
        let whose = match *table {
            "project" => format!("id = {project}"),
            _ if has(table, "project_id") => format!("project_id = {project}"),
            _ if has(table, "account_id") => {
                format!("account_id IN (SELECT id FROM account WHERE project_id = {project})")
            }
            _ => return None,
        };
        Some(format!("SELECT '{table}', * FROM {table} WHERE {whose};"))
    });
    let queries: Vec<_> = queries.collect();
    assert!(queries.len() >= 12, "{queries:?}");
    let rows = app.sqlite3(&queries.concat());
    assert!(!rows.contains("rror"), "{rows}");
    rows
}

/// What a call with ids of another project is answered with, and that it changes nothing at all. `None`: it names
/// nothing of another project, and is about the caller's own.
fn refusal(call: &Call) -> Option<(u16, &'static str)> {
    Some(match (call.method, call.path) {
        ("POST", "/v1/developers/signup" | "/v1/developers/referrals/apply") => (422, "unknown_code"),
        ("DELETE", "/v1/developers/api-keys/$KEY_ID") => (404, "not_found"),
        // Another project's whole console.
        (_, path) if path.starts_with("/v1/admin/projects/default") => (404, "not_found"),
        ("POST", "/v1/usage") if call.template().is_some_and(|body| body.contains("$KEY")) => (200, "invalid_key"),
        ("POST", "/v1/usage") => (200, "unknown_developer"),
        ("POST", "/v1/keys/verify") => (200, "\"valid\":false"),
        ("POST", "/v1/purchases") => (422, "unknown_developer"),
        (_, path) if path.starts_with("/v1/admin/projects/default/") => (404, "not_found"),
        _ => return None,
    })
}

#[test]
fn every_call_with_another_project_s_credentials_finds_nothing_and_changes_nothing() {
    let stage = Stage::new();
    let app = &stage.app;
    let own = app.gateway();
    let code = stage.fill("$CODE");
    app.referee("Carla", &code);
    stage.bob.use_api(&own, "own", 3);
    let purchase = json!({ "id": "p-1", "developer_id": stage.bob.id, "amount": 900, "currency": "usd" });
    assert_eq!(own.post("/v1/purchases", purchase).status, 201);
    let gateway = add_acme(app, Preset::Credits);
    let mallory = sign_up(app, Some(HOST), "Mallory", "me@mallory.example", None).json();
    let mallory = app.anonymous().with_key(mallory["api_key"].as_str().unwrap());

    let before = rows_of(app, "default");
    let theirs = [stage.bob.id.clone(), stage.fill("$KEY_ID"), code, "bob.example".into(), "Carla".into()];
    let mut refused = 0;
    for call in CALLS_OF_THE_API {
        let client = match call.who {
            Who::Public => app.anonymous(),
            Who::Gateway => gateway.clone(),
            Who::Developer => mallory.clone(),
        };
        let body = (call.body != Body::None).then(|| stage.document(call));
        let ask = || send(&client, Some(HOST), call.method, &stage.path(call), body.as_ref());
        let reply = match refusal(call) {
            None => ask(),
            Some((status, part)) => {
                refused += 1;
                let reply = stage.unchanged(&call.name(), ask);
                assert!(reply.status == status && reply.body.contains(part), "{}: {}", call.name(), reply.body);
                reply
            }
        };
        assert!(reply.status < 500, "{}: {}", call.name(), reply.body);
        for id in &theirs {
            assert!(!reply.body.contains(id.as_str()), "{} shows {id}: {}", call.name(), reply.body);
        }
        assert!(rows_of(app, "default") == before, "{} changed another project", call.name());
    }
    assert!(refused >= 10, "{refused}");
    assert_eq!(stage.bob.get("/v1/developers/me").status, 200, "Bob is still there");
}

#[test]
fn a_key_acts_in_its_own_project_whatever_the_host() {
    let app = App::start();
    let gateway = add_acme(&app, Preset::Credits);
    let bob = app.developer("Bob");
    let me = send(&app.anonymous().with_key(&bob.key), Some(HOST), "GET", "/v1/developers/me", None);
    assert_eq!((me.status, &me.json()["id"]), (200, &json!(bob.id)), "{}", me.body);
    let verified = gateway.post("/v1/keys/verify", json!({ "api_key": bob.key })).json();
    assert_eq!(verified, json!({ "valid": false, "developer_id": null, "project_id": null, "available": 0 }));
    for (client, path) in [(&gateway, "/v1/developers/me"), (&bob, "/v1/usage")] {
        let method = if path == "/v1/usage" { "POST" } else { "GET" };
        let reply = send(client, Some(HOST), method, path, Some(&json!({})));
        assert_eq!(reply.status, 403, "neither kind of key is the other: {}", reply.body);
    }
}

#[test]
fn cursors_of_another_project_page_through_one_s_own_only() {
    let app = App::start();
    add_acme(&app, Preset::Credits);
    let alice = app.developer("Alice");
    let code = alice.code();
    let signed_up = sign_up(&app, Some(HOST), "Alice", "alice@alice.example", None).json();
    let twin = app.anonymous().with_key(signed_up["api_key"].as_str().unwrap());
    let twins_code = twin.post("/v1/developers/referral-code", json!({})).json()["referral_code"].clone();
    for place in 0..3 {
        app.referee(&format!("Ours{place}"), &code);
        let email = format!("me@theirs{place}.example");
        let made = sign_up(&app, Some(HOST), &format!("Theirs{place}"), &email, twins_code.as_str());
        assert_eq!(made.json()["referral"]["status"], "applied", "{}", made.body);
    }
    for list in ["/v1/developers/referrals", "/v1/developers/ledger"] {
        let own: Vec<Value> = twin.get(&format!("{list}?limit=200")).json()["data"].as_array().unwrap().clone();
        assert_eq!(own.len(), 3);
        let mut cursor = alice.get(&format!("{list}?limit=1")).json()["next_cursor"].as_str().unwrap().to_owned();
        loop {
            let page = twin.get(&format!("{list}?limit=1&cursor={cursor}")).json();
            let rows = page["data"].as_array().unwrap();
            assert!(rows.iter().all(|row| own.contains(row)), "{list}: {page}");
            match page["next_cursor"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => break,
            }
        }
    }
}

#[test]
fn pages_and_codes_are_those_of_the_host() {
    let app = App::start();
    add_acme(&app, Preset::Bonus);
    app.engine.set_project("acme", vec![(Setting::Name, "Acme Maps".into())]).unwrap();
    let alice = app.developer("Alice");
    alice.post("/v1/developers/referral-code", json!({ "code": "ONLYHERE" }));
    app.change_program(|program| program["leaderboard"]["enabled"] = json!(true));
    let get = |host, path: &str| send(&app.anonymous(), host, "GET", path, None);
    let page = get(Some(HOST), "/signup?ref=ONLYHERE").body;
    assert!(page.contains("Acme Maps") && !page.contains("1,000 credits"), "{page}");
    let page = get(None, "/signup?ref=ONLYHERE").body;
    assert!(!page.contains("Acme Maps") && page.contains("1,000 credits"), "{page}");
    assert_eq!((get(None, "/qr/ONLYHERE.svg").status, get(Some(HOST), "/qr/ONLYHERE.svg").status), (200, 404));
    for path in ["/v1/leaderboard", "/leaderboard"] {
        assert_eq!((get(None, path).status, get(Some(HOST), path).status), (200, 404), "{path}");
    }
    let reply = sign_up(&app, Some(HOST), "Bob", "bob@bob.example", Some("ONLYHERE"));
    assert_eq!(reply.faults(), ["referral_code: unknown_code"]);
    assert_eq!(alice.stats()["total_referrals"], 0);
}

#[test]
fn links_lead_to_the_project_whose_they_are() {
    let app = App::start();
    add_acme(&app, Preset::Bonus);
    let own = app.url.replace("127.0.0.1", HOST);
    let maker = sign_up(&app, Some(HOST), "Alice", "alice@alice.example", None);
    let maker = app.anonymous().with_key(maker.json()["api_key"].as_str().unwrap());
    let made = maker.post("/v1/developers/referral-code", json!({ "code": "ONLYHERE" })).json();
    assert_eq!(made["referral_url"], format!("{own}/signup?ref=ONLYHERE"));
    assert_eq!(made["qr_url"], format!("{own}/qr/ONLYHERE.svg"));

    let get = |host, path: &str| send(&app.anonymous(), host, "GET", path, None);
    for path in ["/signup?ref=ONLYHERE", "/login?ref=onlyhere&next=%2Faccount", "/r/ONLYHERE", "/?ref=ONLYHERE"] {
        let reply = get(None, path);
        assert_eq!((reply.status, reply.header("Location")), (303, Some(format!("{own}{path}").as_str())), "{path}");
        let there = get(Some(HOST), path);
        let onward = there.header("Location").unwrap_or_default();
        assert!(there.status == 200 || onward == "/signup?ref=ONLYHERE", "{path}: {} {onward}", there.status);
    }
    // A project with a host of its own sends nobody away, and neither does one that has the code itself.
    app.developer("Bob").post("/v1/developers/referral-code", json!({ "code": "DEFAULT1" }));
    assert_eq!((get(Some(HOST), "/signup?ref=DEFAULT1").status, get(None, "/signup?ref=DEFAULT1").status), (200, 200));
    app.developer("Carol").post("/v1/developers/referral-code", json!({ "code": "ONLYHERE" }));
    assert_eq!(get(None, "/signup?ref=ONLYHERE").status, 200);
    assert_eq!(get(None, "/signup?ref=NOBODYS1").status, 200);
}

/// One project's Alice and Bob, who are called the same in the other one.
struct Twins {
    alice: Client,
    bob: Client,
    bob_id: String,
    gateway: Client,
}

impl Twins {
    fn new(app: &App, host: Option<&str>, slug: &str) -> Self {
        let gateway = app.gateway_of(slug);
        let alice = sign_up(app, host, "Alice", "alice@alice.example", None);
        assert_eq!(alice.status, 201, "{}", alice.body);
        let alice = app.anonymous().with_key(alice.json()["api_key"].as_str().unwrap());
        let made = alice.post("/v1/developers/referral-code", json!({ "code": "SHARED" }));
        assert_eq!((made.status, &made.json()["referral_code"]), (201, &json!("SHARED")));
        let bob = sign_up(app, host, "Bob", "bob@bob.example", Some("shared"));
        assert_eq!(bob.json()["referral"]["status"], "applied", "{}", bob.body);
        let bob_id = bob.json()["developer"]["id"].as_str().unwrap().to_owned();
        // The team's own ids, as its app gives them.
        assert_eq!(
            app.sqlite3(&format!(
                "UPDATE account SET external_id = 'customer-' || lower(name)
             WHERE project_id = (SELECT id FROM project WHERE slug = '{slug}')"
            )),
            ""
        );
        Self { alice, bob: app.anonymous().with_key(bob.json()["api_key"].as_str().unwrap()), bob_id, gateway }
    }

    fn stats(&self) -> [i64; 4] {
        let stats = self.alice.get("/v1/developers/referral-stats").json();
        ["total_referrals", "credits_earned", "credits_used", "credits_reversed"]
            .map(|name| stats[name].as_i64().unwrap())
    }

    fn use_api(&self, customer: &str, calls: i64) -> Value {
        self.gateway.post("/v1/usage", json!({ "id": "u-1", "external_id": customer, "calls": calls })).json()
    }

    fn buy(&self, amount: i64) -> Value {
        let body = json!({ "id": "p-1", "external_id": "customer-bob", "amount": amount, "currency": "usd" });
        self.gateway.post("/v1/purchases", body).json()
    }

    fn refund(&self, amount: i64) -> Value {
        self.gateway.post("/v1/refunds", json!({ "id": "r-1", "purchase_id": "p-1", "amount": amount })).json()
    }
}

#[test]
fn twins_with_the_same_names_codes_and_ids_have_figures_of_their_own() {
    let app = App::start();
    add_acme(&app, Preset::Commission);
    let (here, there) = (Twins::new(&app, None, "default"), Twins::new(&app, Some(HOST), "acme"));
    assert_ne!(here.bob_id, there.bob_id);
    assert_eq!((here.stats(), there.stats()), ([1, 500, 0, 0], [1, 0, 0, 0]), "each by its own program");

    let (mine, yours) = (here.use_api("customer-bob", 300), there.use_api("customer-bob", 7));
    assert_eq!((&mine["status"], &mine["charged"], &mine["available"]), (&json!("recorded"), &json!(300), &json!(700)));
    assert_eq!(
        (&yours["status"], &yours["charged"], &yours["available"]),
        (&json!("recorded"), &json!(7), &json!(243))
    );
    assert_eq!((&mine["developer_id"], &yours["developer_id"]), (&json!(here.bob_id), &json!(there.bob_id)));
    assert_eq!(here.use_api("customer-bob", 300)["status"], "duplicate");
    assert_eq!(there.use_api("customer-bob", 7)["status"], "duplicate");
    assert_eq!((here.stats(), there.stats()), ([1, 2_000, 0, 0], [1, 0, 0, 0]), "milestones here, none there");

    assert_eq!((&here.buy(2_000)["status"], &there.buy(10_000)["status"]), (&json!("recorded"), &json!("recorded")));
    assert_eq!((&here.buy(1)["status"], &there.buy(1)["status"]), (&json!("duplicate"), &json!("duplicate")));
    assert_eq!((here.stats(), there.stats()), ([1, 2_000, 0, 0], [1, 500, 0, 0]), "a commission there, none here");
    assert_eq!(here.refund(2_000)["developer_id"], json!(here.bob_id));
    assert_eq!(there.stats(), [1, 500, 0, 0], "the other's refund");
    assert_eq!(there.refund(5_000)["developer_id"], json!(there.bob_id));
    assert_eq!((here.stats(), there.stats()), ([1, 2_000, 0, 0], [1, 500, 0, 250]));

    let amounts = |client: &Client| {
        let rows = client.get("/v1/developers/ledger").json()["data"].as_array().unwrap().clone();
        rows.iter().rev().map(|row| row["credit_amount"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((amounts(&here.alice), amounts(&there.alice)), (vec![500, 500, 1_000], vec![500, -250]));
    assert_eq!((amounts(&here.bob), amounts(&there.bob)), (vec![1_000, -300], vec![250, -7]));

    let before = rows_of(&app, "acme");
    assert_eq!(here.bob.delete("/v1/developers/me").status, 200);
    assert_eq!(here.alice.delete("/v1/developers/referral-code").status, 200);
    app.change_program(|program| program["enabled"] = json!(false));
    assert!(rows_of(&app, "acme") == before, "what one project erases, revokes or changes is its own");
    let carol = sign_up(&app, Some(HOST), "Carol", "me@carol.example", Some("SHARED"));
    assert_eq!(carol.json()["referral"]["status"], "applied", "the twin's code is good: {}", carol.body);
    assert_eq!(sign_up(&app, None, "Carol", "me@carol.example", Some("SHARED")).status, 422);
}

#[test]
fn keys_are_made_and_revoked_in_one_project() {
    let app = App::start();
    let gateway = add_acme(&app, Preset::Credits);
    let ask = |client: &Client| client.post("/v1/keys/verify", json!({ "api_key": "none" })).status;
    let (own, others) = (app.engine.gateway_keys("default").unwrap(), app.engine.gateway_keys("acme").unwrap());
    assert_eq!((own.len(), others.len()), (1, 1));
    assert_ne!(own[0].id, others[0].id);
    app.engine.revoke_gateway_key(others[0].id).unwrap();
    assert_eq!((ask(&gateway), ask(&app.gateway())), (401, 200));
}
