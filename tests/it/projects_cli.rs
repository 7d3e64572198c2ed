//! Teams, projects and operators on the command line, beside a running server and without one.

use crate::process::{self, Caller, Said, Server, empty_dir, run, run_with_input, sqlite3};
use serde_json::{Value, json};
use std::path::Path;

const HMAC_SECRET: &str = "0123456789abcdef0123456789abcdef";
const ED25519_PEM: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAtQ2DGu6SGZ07vMwxumOm1XNyFtUiaqZpd38YKqkAvIw=
-----END PUBLIC KEY-----
";

/// A file that a first start has made, with no server on it any more.
fn made(dir: &Path) {
    let mut server = Server::start(dir);
    // Once it answers it takes a signal.
    assert_eq!(ureq::get(format!("{}/healthz", server.url)).call().unwrap().status(), 200);
    server.terminate();
    assert_eq!(server.wait().0, Some(0));
}

fn dump(dir: &Path) -> String {
    sqlite3(&dir.join("refloop.db"), ".dump")
}

fn create(dir: &Path, more: &[&str]) -> Said {
    run(dir, &[&["project", "create", "--json", "--slug"], more].concat())
}

fn set(dir: &Path, values: &[&str]) -> Said {
    run(dir, &[&["project", "set", "acme", "--json"], values].concat())
}

/// `field: code` of each fault in the one document.
fn faults(said: &Said) -> Vec<String> {
    assert_eq!(said.code, 1, "{said:?}");
    let document = said.json();
    let text = |fault: &Value, name: &str| fault[name].as_str().unwrap().to_owned();
    let faults = document["error"]["errors"].as_array().unwrap().clone();
    faults.iter().map(|fault| format!("{}: {}", text(fault, "field"), text(fault, "code"))).collect()
}

fn sign_up(server: &Server, host: &str, email: &str) -> (u16, Value) {
    let request = ureq::post(format!("{}/v1/developers/signup", server.url)).header("Host", host);
    let request = request.config().http_status_as_error(false).build();
    let body = json!({ "email": email, "password": "secure-password", "name": "Alice" });
    let mut response = request.header("Content-Type", "application/json").send(body.to_string()).unwrap();
    (response.status().as_u16(), serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap())
}

#[test]
fn a_project_is_made_with_each_preset_and_starts_with_its_program() {
    let (_keep, dir) = empty_dir();
    let _server = Server::start(&dir);
    for (preset, unit, mode) in [
        ("credits", "credits", "live"),
        ("commission", "usd", "test"),
        ("bonus", "credits", "live"),
        ("subscription", "usd", "test"),
    ] {
        let said = create(&dir, &[preset, "--preset", preset, "--team", "acme", "--mode", mode]);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
        let made = said.json();
        let names: Vec<_> = made.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["mode", "project_id", "slug", "team_id"]);
        assert_eq!((&made["slug"], &made["mode"]), (&json!(preset), &json!(mode)));
        assert!(made["team_id"].as_str().unwrap().starts_with("team_"), "{made}");
        assert!(made["project_id"].as_str().unwrap().starts_with("proj_"), "{made}");
        let shown = run(&dir, &["project", "show", preset, "--json"]).json();
        assert_eq!((&shown["program"]["unit"], &shown["program"]["version"]), (&json!(unit), &json!(1)));
        assert_eq!((&shown["team"], &shown["team_id"]), (&json!("acme"), &made["team_id"]), "one team for all");
    }
    let said = create(&dir, &["plain"]);
    let shown = run(&dir, &["project", "show", "plain", "--json"]).json();
    assert_eq!((&shown["mode"], &shown["team"], &shown["name"]), (&json!("live"), &json!("default"), &json!("plain")));
    assert_eq!(shown["program"]["unit"], "credits", "{said:?}");
    let team = shown["team_id"].as_str().unwrap();
    assert_eq!(create(&dir, &["second", "--team", team, "--name", "The second"]).json()["team_id"], team, "by its id");

    let listed = run(&dir, &["project", "list", "--json"]).json();
    let rows = listed["projects"].as_array().unwrap();
    let slugs: Vec<_> = rows.iter().map(|row| row["slug"].as_str().unwrap()).collect();
    assert_eq!(slugs, ["default", "credits", "commission", "bonus", "subscription", "plain", "second"]);
    assert_eq!((&rows[6]["name"], &rows[2]["mode"]), (&json!("The second"), &json!("test")));
    let text = run(&dir, &["project", "list"]).out;
    assert!(text.lines().count() == 7 && text.contains("acme/bonus"), "{text}");
}

#[test]
fn a_project_that_cannot_be_made_changes_nothing() {
    let (_keep, dir) = empty_dir();
    made(&dir);
    assert_eq!(create(&dir, &["acme"]).code, 0);
    let before = dump(&dir);
    for (args, code) in [
        (&["acme"][..], "slug_taken"),
        (&["default"], "slug_taken"),
        (&["Acme"], "invalid_slug"),
        (&["-acme"], ""),
        (&["a_b"], "invalid_slug"),
        (&[""], "invalid_slug"),
        (&["aaaaaaaaaabbbbbbbbbbccccccccccddddddddddx"], "invalid_slug"),
        (&["fine", "--team", "Not a slug"], "invalid_slug"),
        (&["fine", "--team", "team_zzzzzzzzzzzz0"], "invalid_slug"),
        (&["fine", "--team", "team_0000000000001"], "not_found"),
        (&["fine", "--name", ""], "required"),
        (&["fine", "--name", "a\nb"], "invalid_characters"),
        (&["fine", "--preset", "gift"], ""),
        (&["fine", "--mode", "both"], ""),
    ] {
        let said = create(&dir, args);
        if code.is_empty() {
            assert_eq!((said.code, &said.json()["error"]["code"]), (2, &json!("usage")), "{args:?}: {said:?}");
        } else {
            assert_eq!((said.code, &said.json()["error"]["code"]), (1, &json!(code)), "{args:?}: {said:?}");
        }
    }
    assert!(dump(&dir) == before, "a refusal changed the file");
}

#[test]
fn a_slug_is_given_once_however_many_ask() {
    let (_keep, dir) = empty_dir();
    let _server = Server::start(&dir);
    let codes = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| create(&dir, &["acme", "--team", "acme"]).code)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == 1).count(), 5, "{codes:?}");
    assert_eq!(sqlite3(&dir.join("refloop.db"), "SELECT count(*) FROM team WHERE slug = 'acme'"), "1\n");
}

#[test]
fn settings_are_set_shown_without_their_secrets_and_unset() {
    let (_keep, dir) = empty_dir();
    made(&dir);
    create(&dir, &["acme"]);
    std::fs::write(dir.join("hmac"), format!("{HMAC_SECRET}\n")).unwrap();
    std::fs::write(dir.join("whsec"), "whsec_new_one\nwhsec_old_one\n\n").unwrap();
    let said = run_with_input(
        &dir,
        &[
            "project",
            "set",
            "acme",
            "--json",
            "name=Acme & Sons",
            "host=API.Acme.example:8443",
            "key_prefix=ac",
            "landing_url=https://acme.example/start",
            "jwt.algorithm=HS256",
            "jwt.key=@hmac",
            "stripe.webhook_secret=@whsec",
            "stripe.api_key=@-",
        ],
        "sk_test_from_stdin\n",
    );
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    let shown = run(&dir, &["project", "show", "acme", "--json"]);
    assert_eq!(said.json(), shown.json(), "what is set is answered");
    let text = run(&dir, &["project", "show", "acme"]).out;
    for secret in [HMAC_SECRET, "whsec_", "sk_test"] {
        for said in [&said.out, &shown.out, &text] {
            assert!(!said.contains(secret), "{said}");
        }
    }
    let shown = shown.json();
    for (name, value) in [
        ("name", json!("Acme & Sons")),
        ("host", json!("api.acme.example")),
        ("landing_url", json!("https://acme.example/start")),
        ("key_prefix", json!("ac")),
        ("jwt", json!({ "algorithm": "HS256", "key_is_set": true })),
        ("stripe", json!({ "webhook_secrets": 2, "api_key_is_set": true })),
    ] {
        assert_eq!(shown[name], value);
    }
    let kept = sqlite3(
        &dir.join("refloop.db"),
        "SELECT jwt_key, stripe_webhook_secrets, stripe_api_key FROM project WHERE slug = 'acme'",
    );
    assert_eq!(kept, format!("{HMAC_SECRET}|whsec_new_one\nwhsec_old_one|sk_test_from_stdin\n"));

    std::fs::write(dir.join("public.pem"), ED25519_PEM).unwrap();
    let shown = set(&dir, &["jwt.algorithm=EdDSA", "jwt.key=@public.pem"]).json();
    assert_eq!(shown["jwt"], json!({ "algorithm": "EdDSA", "key_is_set": true }));
    let shown = set(
        &dir,
        &["host=", "landing_url=", "jwt.algorithm=", "jwt.key=", "stripe.webhook_secret=", "stripe.api_key="],
    );
    let shown = shown.json();
    assert_eq!((&shown["host"], &shown["landing_url"]), (&Value::Null, &Value::Null));
    assert_eq!(shown["jwt"], json!({ "algorithm": null, "key_is_set": false }));
    assert_eq!(shown["stripe"], json!({ "webhook_secrets": 0, "api_key_is_set": false }));
    assert_eq!((&shown["name"], &shown["key_prefix"]), (&json!("Acme & Sons"), &json!("ac")), "the rest stays");
}

#[test]
fn what_cannot_be_set_is_named_and_nothing_is_set() {
    let (_keep, dir) = empty_dir();
    made(&dir);
    create(&dir, &["acme"]);
    std::fs::write(dir.join("hmac"), HMAC_SECRET).unwrap();
    std::fs::write(dir.join("short"), "short").unwrap();
    std::fs::write(dir.join("empty"), "\n\n").unwrap();
    std::fs::write(dir.join("binary"), [0xff, 0xfe]).unwrap();
    std::fs::write(dir.join("public.pem"), ED25519_PEM).unwrap();
    std::fs::write(dir.join("private.pem"), ED25519_PEM.replace("PUBLIC", "PRIVATE")).unwrap();
    assert_eq!(run(&dir, &["project", "set", "default", "host=taken.example"]).code, 0);
    let before = dump(&dir);
    for (values, expected) in [
        (&["host=TAKEN.example:99"][..], &["host: host_taken"][..]),
        (&["host=a b"], &["host: invalid_host"]),
        (&["landing_url=ftp://example.com"], &["landing_url: invalid_url"]),
        (&["key_prefix=BW"], &["key_prefix: invalid_prefix"]),
        (&["name="], &["name: required"]),
        (&["colour=red"], &["colour: unknown_setting"]),
        (&["é=red"], &["é: unknown_setting"]),
        (&["jwt.algorithm=none"], &["jwt.algorithm: unknown_algorithm"]),
        (&["jwt.key=@hmac"], &["jwt.key: algorithm_missing"]),
        (&["jwt.algorithm=HS256", "jwt.key=@short"], &["jwt.key: too_short"]),
        (&["jwt.algorithm=HS256", "jwt.key=@public.pem"], &["jwt.key: key_confusion"]),
        (&["jwt.algorithm=RS256", "jwt.key=@public.pem"], &["jwt.key: unusable_key"]),
        (&["jwt.algorithm=EdDSA", "jwt.key=@hmac"], &["jwt.key: unusable_key"]),
        (&["jwt.algorithm=EdDSA", "jwt.key=@private.pem"], &["jwt.key: unusable_key"]),
        (&["jwt.algorithm=EdDSA", "jwt.key=@missing.pem"], &["jwt.key: unreadable_file"]),
        (&["stripe.api_key=@empty"], &["stripe.api_key: empty_file"]),
        (&["stripe.api_key=@binary"], &["stripe.api_key: unreadable_file"]),
        (&["stripe.api_key=@"], &["stripe.api_key: secret_on_command_line"]),
        (
            &["stripe.webhook_secret=@-", "stripe.api_key=@-"],
            &["stripe.webhook_secret: empty_file", "stripe.api_key: given_twice"],
        ),
        (&["name=One", "name=Two"], &["name: given_twice"]),
        (
            &["name=Fine", "host=/", "jwt.key=@missing", "jwt.algorithm=HS256", "key_prefix=x", "colour=red"],
            &[
                "jwt.key: unreadable_file",
                "colour: unknown_setting",
                "host: invalid_host",
                "key_prefix: invalid_prefix",
            ],
        ),
    ] {
        let said = set(&dir, values);
        assert_eq!(faults(&said), expected, "{values:?}");
        for fault in expected {
            assert!(said.err.contains(fault.split(':').next().unwrap()), "{said:?}");
        }
    }
    for secret in [
        "jwt.key=letmein-0123456789-0123456789-0123",
        "stripe.api_key=sk_live_literal",
        "stripe.webhook_secret=whsec_literal",
    ] {
        let said = set(&dir, &["jwt.algorithm=HS256", secret]);
        let (name, value) = secret.split_once('=').unwrap();
        assert_eq!(faults(&said), [format!("{name}: secret_on_command_line")]);
        assert!(said.err.contains("@FILE") && !said.err.contains(value) && !said.out.contains(value), "{said:?}");
    }
    assert!(set(&dir, &["typo.api_key=sk_live_literal"]).err.contains("typo.api_key"));
    assert_eq!(run(&dir, &["project", "set", "none", "name=x", "--json"]).json()["error"]["code"], "not_found");
    for args in
        [&["project", "set", "acme"][..], &["project", "set", "acme", "name"], &["project", "set", "acme", "=x"]]
    {
        assert_eq!(run(&dir, args).code, 2, "{args:?}");
    }
    assert!(dump(&dir) == before, "a refusal changed the file");
}

#[test]
fn a_host_is_one_project_s_however_many_ask() {
    let (_keep, dir) = empty_dir();
    let _server = Server::start(&dir);
    let slugs: Vec<_> = (0..5).map(|place| format!("shop-{place}")).collect();
    for slug in &slugs {
        assert_eq!(create(&dir, &[slug]).code, 0);
    }
    let ask = |slug: &str| run(&dir, &["project", "set", slug, "host=shop.example", "key_prefix=sh", "--json"]);
    let answers = std::thread::scope(|scope| {
        let threads: Vec<_> = slugs.iter().map(|slug| scope.spawn(|| ask(slug))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|said| said.code == 0);
    assert_eq!((won.len(), lost.len()), (1, 4), "{answers:?}");
    assert!(lost.iter().all(|said| faults(said) == ["host: host_taken"]), "{lost:?}");
    let changed = sqlite3(&dir.join("refloop.db"), "SELECT count(*) FROM project WHERE key_prefix = 'sh'");
    assert_eq!(changed, "1\n", "who lost set nothing at all");
}

#[test]
fn a_running_server_follows_within_seconds() {
    let (_keep, dir) = empty_dir();
    let server = Server::start(&dir);
    let default = sign_up(&server, "acme.example", "first@one.example").1;
    assert!(default["api_key"].as_str().unwrap().starts_with("bw_live_"), "no project has the host yet");
    create(&dir, &["acme", "--mode", "test", "--preset", "commission"]);
    assert_eq!(set(&dir, &["host=acme.example", "key_prefix=ac"]).code, 0);
    let started = std::time::Instant::now();
    let mut place = 0;
    let key = loop {
        place += 1;
        let (status, body) = sign_up(&server, "ACME.example:80", &format!("me@n{place}.example"));
        assert_eq!(status, 201, "{body}");
        let key = body["api_key"].as_str().unwrap().to_owned();
        if !key.starts_with("bw_") {
            break key;
        }
        assert!(started.elapsed().as_secs() < 10, "within seconds");
    };
    assert!(key.starts_with("ac_test_"), "a test project's developers have test keys: {key}");
    let gateway = run(&dir, &["key", "create", "--project", "acme", "--scopes", "usage:write", "--json"]).json();
    let gateway = gateway["key"].as_str().unwrap().to_owned();
    assert!(gateway.starts_with("bs_test_"), "{gateway}");
    let live = run(&dir, &["key", "create", "--scopes", "usage:write", "--json"]).json();
    assert!(live["key"].as_str().unwrap().starts_with("bs_live_"));
    let verify = |gateway: Option<&str>| {
        Caller::new(&server.url).post(gateway, "/v1/keys/verify", &json!({ "api_key": key })).unwrap().json()
    };
    assert_eq!(verify(Some(&gateway))["valid"], true);
    assert_eq!(verify(live["key"].as_str())["valid"], false, "another project's");
    assert_eq!(set(&dir, &["host="]).code, 0);
    let (_, body) = sign_up(&server, "acme.example", "last@one.example");
    assert!(body["api_key"].as_str().unwrap().starts_with("bw_live_"), "{body}");
}

#[test]
fn operators_are_made_with_a_password_from_standard_input() {
    let (_keep, dir) = empty_dir();
    let _server = Server::start(&dir);
    create(&dir, &["shop", "--team", "acme"]);
    let make = |email: &str, team: &str, input: &str| {
        run_with_input(&dir, &["operator", "create", "--email", email, "--team", team, "--json"], input)
    };
    let said = make("Ops@ACME.example", "acme", "correct horse battery\r\n");
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    let operator = said.json();
    assert_eq!((&operator["email"], &operator["team"]), (&json!("ops@acme.example"), &json!("acme")));
    assert!(operator["id"].as_str().unwrap().starts_with("op_"), "{operator}");
    let hash = sqlite3(&dir.join("refloop.db"), "SELECT password_hash FROM operator");
    assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    let team = operator["team_id"].as_str().unwrap();
    assert_eq!(make("two@acme.example", team, "no newline at the end").json()["team_id"], team, "by its id");

    let listed = run(&dir, &["operator", "list", "--json"]).json();
    let emails: Vec<_> = listed["operators"].as_array().unwrap().iter().map(|row| row["email"].clone()).collect();
    assert_eq!(emails, ["ops@acme.example", "two@acme.example"]);
    assert!(!listed.to_string().contains("argon2"), "{listed}");
    assert_eq!(run(&dir, &["operator", "list"]).out.lines().count(), 2);
    let count = |team: &str| run(&dir, &["operator", "list", "--team", team]).out.trim().lines().count();
    assert_eq!((count("acme"), count(team), count("default")), (2, 2, 0));
    assert!(run(&dir, &["operator", "list", "--team", "nobody"]).refusal().contains("no team"));

    let before = dump(&dir);
    for (email, team, input, expected) in [
        ("ops@acme.example", "acme", "correct horse\n", "email_taken"),
        ("OPS@acme.EXAMPLE", "default", "correct horse\n", "email_taken"),
        ("x@acme.example", "nobody", "correct horse\n", "not_found"),
        ("x@acme.example", "acme", "short\n", "too_short"),
        ("x@acme.example", "acme", "", "too_short"),
        ("x@acme.example", "acme", &"x".repeat(129), "too_long"),
        ("x@acme.example", "acme", &"x".repeat(100_000), "too_long"),
        ("x@acme.example", "acme", "two lines\nof password\n", "unreadable_password"),
        ("x@acme.example", "acme", "a\0b_control\n", "invalid_characters"),
        ("nobody", "acme", "correct horse\n", "invalid_email"),
        ("nobody", "acme", "short\n", "invalid_fields"),
    ] {
        let said = make(email, team, input);
        assert_eq!((said.code, &said.json()["error"]["code"]), (1, &json!(expected)), "{email} {team}: {said:?}");
    }
    assert!(dump(&dir) == before, "a refusal changed the file");
    let none = process::refloop(&dir).args(["operator", "create"]).output().unwrap();
    assert_eq!(none.status.code(), Some(2));
}

#[test]
fn who_waits_for_a_secret_keeps_no_server_from_starting() {
    let (_keep, dir) = empty_dir();
    made(&dir);
    create(&dir, &["acme"]);
    for args in
        [&["operator", "create", "--email", "a@b.example"][..], &["project", "set", "acme", "stripe.api_key=@-"]]
    {
        use std::io::Write;
        let mut command = process::refloop(&dir);
        command.args(args).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
        let mut waiting = command.spawn().unwrap();
        let server = Server::start(&dir);
        waiting.stdin.take().unwrap().write_all(b"correct-horse").unwrap();
        assert!(waiting.wait().unwrap().success(), "{args:?}, now beside the server");
        drop(server);
    }
}

#[test]
fn every_command_prints_one_document_and_needs_a_database() {
    let (_keep, dir) = empty_dir();
    let commands: [&[&str]; 8] = [
        &["project", "create", "--slug", "acme"],
        &["project", "list"],
        &["project", "show", "default"],
        &["project", "set", "default", "name=Mine"],
        &["project", "program", "default"],
        &["project", "program", "default", "--versions"],
        &["project", "program", "default", "--version", "1"],
        &["operator", "list"],
    ];
    for command in commands {
        let said = run(&dir, command);
        assert!(said.refusal().contains("no database"), "{command:?}: {said:?}");
        assert!(run(&dir, &[command, &["--json"]].concat()).json()["error"]["code"] == "not_found");
    }
    let operator = ["operator", "create", "--email", "a@b.example", "--json"];
    assert_eq!(run(&dir, &operator).json()["error"]["code"], "not_found", "before it asks for a password");
    assert!(!dir.join("refloop.db").exists());
    made(&dir);
    for command in commands {
        let said = run(&dir, &[command, &["--json"]].concat());
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{command:?}: {said:?}");
        assert!(said.json().is_object() && said.out.lines().count() == 1, "{said:?}");
    }
    assert_eq!(run_with_input(&dir, &operator, "correct horse\n").code, 0);
}
