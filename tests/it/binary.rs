//! The binary as a team meets it: first start, refusals, the commands beside a running server.

use crate::process::{self, Caller, Said, Server, empty_dir, run, run_with_input, sqlite3};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// `serve` that is to be refused: on a port of the system's choice, unless told otherwise.
fn serve(dir: &Path, args: &[&str]) -> Said {
    run(dir, &[&["serve", "--listen", "127.0.0.1:0"], args].concat())
}

fn names(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|item| item.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != "stderr.log").collect();
    names.sort();
    names
}

#[test]
fn an_empty_directory_is_all_that_a_first_start_needs() {
    let (_keep, dir) = empty_dir();
    let mut server = Server::start(&dir);
    let greeting = server.greeting.clone();
    let url = server.url.clone();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    assert_eq!(greeting["signup_url"], format!("{url}/signup"));
    assert_eq!(greeting["db"], "refloop.db");
    let operator = greeting["operator_url"].as_str().unwrap();
    let token = operator.strip_prefix(&format!("{url}/admin/setup?token=")).unwrap();
    assert!(token.len() >= 43 && server.gateway_key().starts_with("bs_live_"), "{greeting}");
    for page in [greeting["signup_url"].as_str().unwrap(), operator] {
        assert_eq!(ureq::get(page).call().unwrap().status(), 200, "{page}");
    }
    for name in names(&dir) {
        let mode = std::fs::metadata(dir.join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name} can be read by others");
    }
    server.terminate();
    assert_eq!(server.wait(), (Some(0), String::new()), "one document, and no more");

    let mut again = Server::start(&dir);
    for secret in ["operator_url", "gateway_key"] {
        assert_eq!(again.greeting[secret], Value::Null, "secrets are shown once");
    }
    let verify = Caller::new(&again.url).post(
        greeting["gateway_key"].as_str(),
        "/v1/keys/verify",
        &json!({ "api_key": "bw_live_none" }),
    );
    assert_eq!(verify.unwrap().json()["valid"], false, "the first key is good for the second start");
    again.terminate();
    assert_eq!(again.wait().0, Some(0));
    let log = std::fs::read_to_string(dir.join("stderr.log")).unwrap();
    assert!(!log.contains(token) && !log.contains("bs_live_"), "{log}");
}

#[test]
fn the_greeting_for_people_names_the_same() {
    let (_keep, dir) = empty_dir();
    // Without --json the greeting ends with an empty line.
    let greet = || {
        use std::io::{BufRead, BufReader};
        let mut command = process::refloop(&dir);
        command.args(["serve", "--listen", "127.0.0.1:0", "--public-url", "https://api.example.com/"]);
        let mut child =
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let mut said = Vec::new();
        let mut empty = 0;
        for line in lines {
            empty = if said.len() > 2 && line.is_empty() { empty + 1 } else { empty };
            let secrets_follow = said.iter().any(|line: &String| line.contains("Gateway key"));
            said.push(line);
            if empty == if secrets_follow { 2 } else { 1 } {
                break;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        said.join("\n")
    };
    let first = greet();
    for expected in [
        "refloop is serving refloop.db on https://api.example.com\n",
        "Signup page      https://api.example.com/signup",
        "Operator link    https://api.example.com/admin/setup?token=",
        "Gateway key      bs_live_",
        "shown this one time",
    ] {
        assert!(first.contains(expected), "{expected:?} is not in {first}");
    }
    let second = greet();
    assert!(second.contains("Signup page") && !second.contains("token=") && !second.contains("bs_live_"), "{second}");
}

#[test]
fn a_server_that_cannot_start_says_why_in_one_line() {
    let (_keep, dir) = empty_dir();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = run(&dir, &["serve", "--listen", &address]);
    assert!(said.refusal().contains(&format!("cannot listen on {address}")), "{said:?}");
    assert!(names(&dir).is_empty(), "a port in use makes no file");

    std::fs::write(dir.join("file"), "").unwrap();
    std::fs::create_dir(dir.join("folder")).unwrap();
    std::fs::write(dir.join("notes.txt"), "no database, but long enough to look like one; ".repeat(100)).unwrap();
    sqlite3(&dir.join("songs.db"), "CREATE TABLE song (title TEXT)");
    sqlite3(&dir.join("newer.db"), "PRAGMA application_id = 0x7265666c; PRAGMA user_version = 99; CREATE TABLE t (a)");
    for (db, why) in [
        ("file/refloop.db", "cannot open file/refloop.db"),
        ("missing/refloop.db", "cannot open missing/refloop.db"),
        ("folder", "folder is a directory"),
        ("/proc/refloop.db", "cannot open /proc/refloop.db"),
        ("notes.txt", "notes.txt is not a refloop database"),
        ("songs.db", "songs.db is not a refloop database"),
        ("newer.db", "newer.db has schema 99, made by a newer refloop"),
    ] {
        let said = serve(&dir, &["--db", db]);
        assert!(said.refusal().contains(why), "{db}: {said:?}");
        let said = serve(&dir, &["--json", "--db", db]);
        let message = said.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(said.code == 1 && message.contains(why) && said.err.contains(why), "{db}: {said:?}");
    }
    assert_eq!(sqlite3(&dir.join("songs.db"), "SELECT name FROM sqlite_schema"), "song\n", "left as it was");
    assert_eq!(sqlite3(&dir.join("newer.db"), "PRAGMA user_version"), "99\n");
}

#[test]
fn a_second_server_on_a_file_is_refused_and_the_first_goes_on() {
    let (_keep, dir) = empty_dir();
    let server = Server::start(&dir);
    let said = serve(&dir, &[]);
    assert!(said.refusal().contains("another refloop is serving refloop.db"), "{said:?}");
    assert_eq!(serve(&dir, &["--json"]).json()["error"]["code"], "database_unusable");
    // By another name it is the same file.
    std::fs::create_dir(dir.join("inside")).unwrap();
    assert!(serve(&dir, &["--db", "inside/../refloop.db"]).refusal().contains("another refloop"));
    std::os::unix::fs::symlink(dir.join("refloop.db"), dir.join("linked.db")).unwrap();
    assert!(serve(&dir, &["--db", "linked.db"]).refusal().contains("another refloop"));
    assert_eq!(run(&dir, &["healthcheck", "--listen", &server.url["http://".len()..]]).code, 0);
}

#[test]
fn commands_need_a_database_that_is_there() {
    let (_keep, dir) = empty_dir();
    for command in [
        &["key", "list"][..],
        &["key", "create", "--scopes", "usage:write"],
        &["key", "revoke", "key_0000000000000"],
        &["project", "show", "default"],
        &["project", "program", "default"],
        &["verify"],
    ] {
        let said = run(&dir, command);
        assert!(said.refusal().contains("there is no database at refloop.db"), "{said:?}");
        let said = run(&dir, &[command, &["--json"]].concat());
        assert_eq!((said.code, said.json()["error"]["code"].as_str()), (1, Some("not_found")), "{said:?}");
    }
    assert!(names(&dir).is_empty(), "asking makes no file");
}

#[test]
fn wrong_usage_exits_with_2() {
    let (_keep, dir) = empty_dir();
    for wrong in [
        &[][..],
        &["sing"],
        &["serve", "--listen", "nowhere"],
        &["serve", "--workers", "0"],
        &["serve", "--signup-per-hour", "-1"],
        &["serve", "--public-url", "ftp://x"],
        &["serve", "--trusted-proxies", "not-an-address"],
        &["serve", "--unknown"],
        &["key"],
        &["key", "create"],
        &["key", "revoke"],
        &["project", "show"],
        &["project", "program"],
    ] {
        let said = run(&dir, wrong);
        assert_eq!((said.code, said.out.as_str()), (2, ""), "{wrong:?}: {said:?}");
        assert!(!said.err.is_empty());
    }
    let said = process::refloop(&dir).arg("serve").env("REFLOOP_LISTEN", "nowhere").output().unwrap();
    assert_eq!(said.status.code(), Some(2));
    assert!(names(&dir).is_empty());
}

#[test]
fn help_lists_every_setting_with_its_variable() {
    let (_keep, dir) = empty_dir();
    let said = run(&dir, &["serve", "--help"]);
    assert_eq!(said.code, 0);
    let config = include_str!("../../src/config.rs");
    let settings: Vec<_> = config.match_indices("env = \"REFLOOP_").collect();
    assert!(settings.len() >= 10);
    for (place, _) in settings {
        let name = config[place + 7..].split('"').next().unwrap();
        // What a secret is set to is not shown.
        let shown = [format!("[env: {name}="), format!("[env: {name}]")];
        assert!(shown.iter().any(|shown| said.out.contains(shown)), "{name} is not in --help");
        let flag = format!("--{}", name.trim_start_matches("REFLOOP_").to_lowercase().replace('_', "-"));
        assert!(said.out.contains(&flag), "{flag} is not in --help");
    }
    let top = run(&dir, &["--help"]);
    for command in [
        "serve",
        "project",
        "key",
        "operator",
        "outbox",
        "mail",
        "verify",
        "backup",
        "restore",
        "doctor",
        "healthcheck",
        "--json",
        "REFLOOP_DB",
    ] {
        assert!(top.out.contains(command), "{command} is not in --help");
    }
    assert!(run(&dir, &["--version"]).out.starts_with("refloop "));
}

#[test]
fn settings_come_from_the_environment_too() {
    let (_keep, dir) = empty_dir();
    let mut command = process::refloop(&dir);
    command.args(["serve", "--json"]);
    for (name, value) in [
        ("REFLOOP_LISTEN", "127.0.0.1:0"),
        ("REFLOOP_DB", "other.db"),
        ("REFLOOP_PUBLIC_URL", "https://refer.example.com"),
        ("REFLOOP_WORKERS", "1"),
    ] {
        command.env(name, value);
    }
    let server = Server::spawn(command, &dir);
    assert_eq!(server.greeting["signup_url"], "https://refer.example.com/signup");
    assert_eq!(names(&dir), ["other.db", "other.db-lock", "other.db-shm", "other.db-wal"]);
}

#[test]
fn healthcheck_tells_a_running_server_from_none() {
    let (_keep, dir) = empty_dir();
    let mut server = Server::start(&dir);
    let address = server.url["http://".len()..].to_owned();
    let said = run(&dir, &["healthcheck", "--listen", &address]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (0, "ok\n", ""));
    assert_eq!(run(&dir, &["healthcheck", "--listen", &address, "--json"]).json(), json!({ "ok": true }));
    let everywhere = address.replace("127.0.0.1", "0.0.0.0");
    assert_eq!(run(&dir, &["healthcheck", "--listen", &everywhere]).code, 0);
    server.kill_9();
    let said = run(&dir, &["healthcheck", "--listen", &address]);
    assert!(said.refusal().contains("does not answer"), "{said:?}");
}

#[test]
fn gateway_keys_are_made_listed_and_revoked_beside_a_running_server() {
    let (_keep, dir) = empty_dir();
    let server = Server::start(&dir);
    let caller = Caller::new(&server.url);
    let ask = |key: &str| {
        let reply = caller.post(Some(key), "/v1/keys/verify", &json!({ "api_key": "bw_live_none" })).unwrap();
        reply.status
    };
    let create = ["key", "create", "--project", "default", "--scopes", "usage:write,purchases:write", "--name", "edge"];
    let made = run(&dir, &[&create[..], &["--json"]].concat());
    assert_eq!((made.code, made.err.as_str()), (0, ""));
    let made = made.json();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    assert!(id.starts_with("key_") && key.starts_with("bs_live_"), "{made}");
    assert_eq!(made["scopes"], json!(["usage:write", "purchases:write"]));
    assert_eq!(ask(key), 200);

    let listed = run(&dir, &["key", "list", "--json"]);
    assert!(!listed.out.contains(key), "a key is shown once");
    let listed = listed.json();
    let rows = listed["keys"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{listed}");
    assert_eq!((&rows[0]["id"], &rows[0]["name"], &rows[0]["revoked_at"]), (&json!(id), &json!("edge"), &Value::Null));
    assert!(run(&dir, &["key", "list"]).out.contains(id));

    assert_eq!(run(&dir, &["key", "revoke", id, "--json"]).json(), json!({ "id": id, "revoked": true }));
    let asked = std::time::Instant::now();
    while ask(key) == 200 {
        assert!(asked.elapsed().as_secs() < 10, "within seconds");
    }
    assert_eq!(ask(key), 401);
    assert!(run(&dir, &["key", "list"]).out.contains("revoked"));
    assert!(run(&dir, &["key", "revoke", id]).refusal().contains("No such key"));
    for (args, why) in [
        (&["key", "revoke", "nothing"][..], "key_"),
        (&["key", "create", "--project", "none", "--scopes", "usage:write"], "project"),
        (&["key", "list", "--project", "none"], "project"),
    ] {
        let said = run(&dir, args);
        assert!(said.refusal().contains(why), "{args:?}: {said:?}");
    }
    for scopes in ["everything", "", "usage:write,"] {
        assert_eq!(run(&dir, &["key", "create", "--scopes", scopes]).code, 2, "{scopes}");
    }
    assert_eq!(run(&dir, &["key", "create", "--scopes", "admin", "--name", "a\nb"]).code, 2);
    let narrow = run(&dir, &["key", "create", "--scopes", "purchases:write", "--json"]).json();
    assert_eq!(ask(narrow["key"].as_str().unwrap()), 403);
}

#[test]
fn a_program_is_printed_taken_back_and_changed_under_a_running_server() {
    let (_keep, dir) = empty_dir();
    let server = Server::start(&dir);
    let caller = Caller::new(&server.url);
    let sign_up = |name: &str, code: Option<&str>| {
        let body = json!({ "email": format!("me@{name}.example"), "password": "secure-password", "name": name,
                           "referral_code": code });
        let reply = caller.post(None, "/v1/developers/signup", &body).unwrap();
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.json()
    };
    let show = run(&dir, &["project", "show", "default", "--json"]).json();
    assert_eq!(
        (&show["slug"], &show["mode"], &show["program"]["version"]),
        (&json!("default"), &json!("live"), &json!(1))
    );
    let by_id = run(&dir, &["project", "show", show["project_id"].as_str().unwrap(), "--json"]).json();
    assert_eq!(by_id, show);
    assert!(run(&dir, &["project", "show", "none"]).refusal().contains("project"));
    for secret in [server.gateway_key().as_str(), "signing_key", "pepper"] {
        assert!(!show.to_string().contains(secret));
    }

    let printed = run(&dir, &["project", "program", "default"]).out;
    assert_eq!(
        run(&dir, &["project", "program", "default", "--json"]).json(),
        serde_json::from_str::<Value>(&printed).unwrap()
    );
    let set = |text: &str| run_with_input(&dir, &["project", "program", "default", "-", "--json"], text);
    assert_eq!(set(&printed).json()["version"], 1, "the same again is no new version");
    assert_eq!(run(&dir, &["project", "program", "default"]).out, printed);

    for (change, path) in [
        (r#""amount": -5"#, "rules[0].amount"),
        (r#""amount": "many""#, "rules[0].amount"),
        (r#""amount": 5, "surprise": 1"#, "rules[0].surprise"),
    ] {
        let wrong = printed.replacen(r#""amount": 1000"#, change, 1);
        let said = set(&wrong);
        assert_eq!((said.code, &said.json()["error"]["errors"][0]["field"]), (1, &json!(path)), "{said:?}");
        assert!(said.err.contains(path), "{said:?}");
    }
    assert_eq!(set("{").code, 1);
    assert!(run(&dir, &["project", "program", "default", "none.json"]).refusal().contains("none.json"));
    assert_eq!(run(&dir, &["project", "show", "default", "--json"]).json(), show, "what is wrong changes nothing");

    let alice = sign_up("alice", None);
    let code = caller.post(alice["api_key"].as_str(), "/v1/developers/referral-code", &json!({})).unwrap();
    let code = code.json()["referral_code"].as_str().unwrap().to_owned();
    std::fs::write(dir.join("dollars.json"), printed.replacen("\"credits\"", "\"usd\"", 1)).unwrap();
    let dollars = run(&dir, &["project", "program", "default", "dollars.json", "--json"]).json();
    assert_eq!(dollars["version"], 2, "before there are entries the unit is free");
    assert_eq!(set(&printed).json()["version"], 3);
    let bob = sign_up("bob", Some(&code));
    assert_eq!(bob["referral"]["bonus_credits"], 1_000);
    assert_eq!(set(&printed.replacen(r#""amount": 1000"#, r#""amount": 1234"#, 1)).json()["version"], 4);
    let carol = sign_up("carol", Some(&code));
    assert_eq!(carol["referral"]["bonus_credits"], 1_234, "in a running server, at once");

    let said = run(&dir, &["project", "program", "default", "dollars.json"]);
    assert!(said.refusal().contains("entries in credits"), "{said:?}");
    assert_eq!(run(&dir, &["verify", "--json"]).json()["ok"], true);
}

#[test]
fn a_team_s_own_disposable_domains_are_read_at_the_start_and_a_bad_line_is_named() {
    let (_keep, dir) = empty_dir();
    let bad = "# ours\nfine.example\n\nnot a domain\n";
    std::fs::write(dir.join("domains.txt"), bad).unwrap();
    let said = serve(&dir, &["--disposable-domains", "domains.txt"]);
    assert!(said.refusal().contains("Line 4: \"not a domain\""), "{said:?}");
    assert!(serve(&dir, &["--disposable-domains", "missing.txt"]).refusal().contains("missing.txt"));
    assert_eq!(names(&dir), ["domains.txt"], "no database is made");

    std::fs::write(dir.join("domains.txt"), "# ours\n\n  Throwaway.Example  \n").unwrap();
    let mut command = process::refloop(&dir);
    command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--disposable-domains", "domains.txt"]);
    command.args(process::NO_LIMITS);
    let server = Server::spawn(command, &dir);
    let sign_up = |email: &str, code: Option<&str>| {
        let body = json!({ "email": email, "password": "secure-password", "name": "Alice", "referral_code": code });
        Caller::new(&server.url).post(None, "/v1/developers/signup", &body).unwrap().json()
    };
    let alice = sign_up("me@alice.example", None)["api_key"].as_str().unwrap().to_owned();
    let code = Caller::new(&server.url).post(Some(&alice), "/v1/developers/referral-code", &json!({})).unwrap().json();
    let outcome = |email: &str| sign_up(email, code["referral_code"].as_str())["referral"].clone();
    for email in ["bob@throwaway.example", "bob@deep.throwaway.example", "bob@mailinator.com"] {
        assert_eq!(outcome(email), json!({ "status": "rejected", "reason": "disposable_email" }), "{email}");
    }
    assert_eq!(outcome("bob@other.example")["status"], "applied");
}
