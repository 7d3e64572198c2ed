//! `refloop demo`: a file to look around in, made by the engine itself.

use crate::process::{NO_LIMITS, Server, empty_dir, refloop, run, sqlite3, sqlite3_script};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Stdio};

fn names(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir).unwrap().map(|item| item.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn make(dir: &Path, developers: &str, args: &[&str]) -> Value {
    let said = run(dir, &[&["demo", "--json", "--developers", developers], args].concat());
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
    said.json()
}

fn figure(file: &Path, sql: &str) -> i64 {
    let printed = sqlite3(file, sql);
    printed.trim().parse().unwrap_or_else(|_| panic!("{sql}: {printed}"))
}

#[test]
fn it_makes_a_year_that_looks_like_one() {
    let (_keep, dir) = empty_dir();
    let made = make(&dir, "1200", &[]);
    assert_eq!(
        (&made["db"], &made["serve"]),
        (&json!("refloop-demo.db"), &json!("refloop serve --db refloop-demo.db"))
    );
    assert_eq!(names(&dir), ["refloop-demo.db"], "and nothing else");
    let verdict = run(&dir, &["verify", "refloop-demo.db", "--json"]).json();
    assert_eq!((&verdict["ok"], &verdict["entries"]), (&json!(true), &made["entries"]));

    let file = dir.join("refloop-demo.db");
    let count = |sql: &str| figure(&file, sql);
    assert_eq!(count("SELECT count(*) FROM account"), made["developers"].as_i64().unwrap());
    assert!((1_150..=1_215).contains(&made["developers"].as_i64().unwrap()), "{made}");
    assert_eq!(count("SELECT count(*) FROM referral WHERE status <> 'rejected'"), made["referrals"].as_i64().unwrap());
    for (what, least) in [
        ("referral WHERE reason = 'same_domain'", 1),
        ("referral WHERE reason = 'disposable_email'", 1),
        ("referral WHERE reason = 'domain_already_used'", 1),
        ("account WHERE leaderboard_name IS NOT NULL", 5),
        ("api_key WHERE revoked_at_ms IS NOT NULL", 3),
        ("entry WHERE kind = 'spend'", 200),
        ("entry WHERE kind = 'expire'", 20),
        ("entry WHERE kind = 'reverse'", 1),
        ("entry WHERE reason = 'commission'", 20),
        ("refund", 3),
        ("purchase", 60),
        ("click_day", 100),
        ("account WHERE track = 'partner'", 1),
        ("payout WHERE status = 'paid'", 1),
        ("payout WHERE status = 'queued' AND approved_at_ms IS NULL", 1),
        (
            "referral JOIN account ON account.id = referrer_id WHERE status = 'review' AND account.email = 'farmer@farm.example'",
            14,
        ),
        ("signal WHERE code IN ('same_address', 'address_burst')", 14),
    ] {
        let found = count(&format!("SELECT count(*) FROM {what}"));
        assert!(found >= least, "{found} of {what}");
    }
    for slug in ["default", "market"] {
        let rate = count(&format!(
            "SELECT 100 * count(converted_at_ms) / count(*) FROM referral JOIN project ON project.id = project_id
             WHERE slug = '{slug}' AND status <> 'rejected'"
        ));
        assert!((10..=50).contains(&rate), "{rate} % of {slug}");
        let growth = count(&format!(
            "SELECT sum(account.created_at_ms > project.created_at_ms + 182 * 86400000) * 100 / count(*)
             FROM account JOIN project ON project.id = project_id WHERE slug = '{slug}'"
        ));
        assert!((55..=90).contains(&growth), "{growth} % came in the second half of the year");
    }
    // Whoever signs in as the market's star finds both on their page.
    let star = made["projects"][1]["email"].as_str().unwrap();
    let of_star = format!(
        "SELECT count(DISTINCT payout.status) FROM payout JOIN account ON account.id = account_id WHERE email = '{star}'"
    );
    assert_eq!(count(&of_star), 2);
    let debtor = made["projects"][1]["in_debt"].as_str().unwrap();
    let owed = format!(
        "SELECT owed FROM balance_now JOIN account ON account.id = account_id
         WHERE email = '{debtor}' AND track = 'partner'"
    );
    assert!(debtor != star && count(&owed) > 0);
    assert_eq!(made["projects"][0]["in_debt"], Value::Null);
    assert_eq!(count("SELECT count(*) FROM balance WHERE open > granted OR open < 0"), 0);
    assert_eq!(count("SELECT count(*) FROM account WHERE email NOT LIKE '%.example' AND email IS NOT NULL"), 0);
}

#[test]
fn it_says_how_to_get_in() {
    let (_keep, dir) = empty_dir();
    let made = make(&dir, "400", &["tour.db"]);
    assert_eq!(made["serve"], "refloop serve --db tour.db");
    let mut command = refloop(&dir);
    command.args(["serve", "--db", "tour.db", "--json", "--listen", "127.0.0.1:0"]).args(NO_LIMITS);
    let server = Server::spawn(command, &dir);
    assert_eq!(server.greeting["gateway_key"], Value::Null, "a file that was started before has no secrets to show");
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into();
    let password = made["password"].as_str().unwrap();
    let hosts = ["127.0.0.1", "market.localhost"];
    for (project, host) in made["projects"].as_array().unwrap().iter().zip(hosts) {
        assert_eq!(project["url"], format!("http://{host}:8080"));
        assert!(project["referrals"].as_i64().unwrap() >= 3, "{project}");
        let get = |path: &str, cookie: &str| {
            let request = agent.get(format!("{}{path}", server.url)).header("Host", host).header("Cookie", cookie);
            let mut reply = request.header("Accept", "text/html").call().unwrap();
            let set = reply.headers().get("set-cookie").map(|set| set.to_str().unwrap().to_owned());
            (reply.status().as_u16(), reply.body_mut().read_to_string().unwrap(), set)
        };
        let (_, page, form) = get("/login", "");
        let csrf = page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let form = form.unwrap();
        let form = form.split(';').next().unwrap();
        let fields = [("csrf", csrf), ("email", project["email"].as_str().unwrap()), ("password", password)];
        let request = agent.post(format!("{}/login", server.url)).header("Host", host).header("Cookie", form);
        let signed_in = request.send_form(fields).unwrap();
        assert_eq!(signed_in.status(), 303, "{project}");
        let mut sessions = signed_in.headers().get_all("set-cookie").iter().map(|set| set.to_str().unwrap());
        let session = sessions.find(|set| set.contains("session=")).unwrap().split(';').next().unwrap();
        let (status, board, _) = get("/leaderboard", session);
        assert_eq!((status, board.matches(">You</span>").count()), (200, 1), "{board}");
        // The key is that project's: it has no account of this kind, and says so.
        let request = agent.post(format!("{}/v1/keys/verify", server.url));
        let key = project["gateway_key"].as_str().unwrap();
        let request = request.header("Authorization", format!("Bearer {key}"));
        let mut verified = request.send_json(json!({ "api_key": "bw_live_none" })).unwrap();
        assert_eq!(verified.body_mut().read_json::<Value>().unwrap()["valid"], false);
    }
}

#[test]
fn it_touches_nothing_that_is_there() {
    let (_keep, dir) = empty_dir();
    for name in ["refloop-demo.db", "kept.db", "refloop.db"] {
        std::fs::write(dir.join(name), "mine").unwrap();
    }
    let refuse = |args: &[&str], name: &str| {
        let said = run(&dir, args);
        assert!(said.refusal().contains(&format!("{name} is there already")), "{said:?}");
        assert_eq!(std::fs::read_to_string(dir.join(name)).unwrap(), "mine");
    };
    refuse(&["demo"], "refloop-demo.db");
    refuse(&["demo", "kept.db"], "kept.db");
    refuse(&["--db", "kept.db", "demo"], "kept.db");
    let mut command = refloop(&dir);
    let said = command.env("REFLOOP_DB", "refloop.db").args(["demo", "--json"]).output().unwrap();
    let document: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((said.status.code(), &document["error"]["code"]), (Some(1), &json!("file_exists")));
    assert!(run(&dir, &["demo", "no/such/place.db"]).refusal().contains("no/such/place.db"));
    for wrong in [["--developers", "0"], ["--developers", "many"], ["--seed", "-1"]] {
        assert_eq!(run(&dir, &[&["demo"], &wrong[..]].concat()).code, 2);
    }
    assert_eq!(names(&dir), ["kept.db", "refloop-demo.db", "refloop.db"]);
}

/// SQLite would replay the log of another file of that name into the new one.
#[test]
fn what_another_file_left_beside_its_name_is_refused() {
    let (_keep, dir) = empty_dir();
    // A file that is gone, and its log that is not: as after a crash and an `rm`.
    let old = dir.join("old.db");
    let other = "PRAGMA journal_mode = WAL; CREATE TABLE other(x); INSERT INTO other VALUES (zeroblob(100000));";
    let copy = format!(".shell cp {} {}", dir.join("old.db-wal").display(), dir.join("tour.db-wal").display());
    sqlite3_script(&old, &format!("{other}\n{copy}\n"));
    assert!(std::fs::metadata(dir.join("tour.db-wal")).unwrap().len() > 100_000, "a real one");
    let was = std::fs::read(dir.join("tour.db-wal")).unwrap();
    let said = run(&dir, &["demo", "tour.db", "--developers", "50"]);
    assert!(said.refusal().contains("tour.db-wal is there already"), "{said:?}");
    assert_eq!((std::fs::read(dir.join("tour.db-wal")).unwrap() == was, dir.join("tour.db").exists()), (true, false));
    for suffix in ["-shm", "-journal"] {
        std::fs::write(dir.join(format!("new.db{suffix}")), "").unwrap();
        assert!(run(&dir, &["demo", "new.db"]).refusal().contains(&format!("new.db{suffix} is there already")));
        std::fs::remove_file(dir.join(format!("new.db{suffix}"))).unwrap();
    }
}

/// One that comes while the demo is made is seen before the file gets its name.
#[cfg(unix)]
#[test]
fn a_log_that_comes_meanwhile_is_refused_too() {
    let (_keep, dir) = empty_dir();
    let mut command = refloop(&dir);
    command.args(["demo", "--developers", "50"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    while names(&dir).is_empty() {
        std::thread::yield_now();
    }
    std::fs::write(dir.join("refloop-demo.db-wal"), "of another").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), names(&dir)), (Some(1), vec!["refloop-demo.db-wal".to_owned()]), "{said}");
    assert!(said.contains("refloop-demo.db-wal is there already"), "{said}");
}

#[test]
fn interrupted_it_leaves_nothing() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let (_keep, dir) = empty_dir();
        let mut command = refloop(&dir);
        command.args(["demo", "--developers", "20000"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        while names(&dir).is_empty() {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::yield_now();
        }
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
        assert!(said.contains("interrupted"), "{said}");
        assert!(names(&dir).is_empty(), "{:?}", names(&dir));
    }
}

/// Everything about the history that is not random in each file: keys, and codes of random characters.
fn history(dir: &Path, name: &str, seed: &str) -> String {
    make(dir, "60", &["--db", name, "--seed", seed]);
    sqlite3(
        &dir.join(name),
        "SELECT group_concat(coalesce(email, '-') || created_at_ms, ' ') FROM account;
         SELECT group_concat(kind || amount || reason || at_ms, ' ') FROM entry WHERE at_ms < (SELECT max(at_ms) FROM entry);
         SELECT group_concat(day || ':' || clicks, ' ') FROM project_click_day;
         SELECT group_concat(purchase_id || gross_minor, ' ') FROM purchase",
    )
}

#[test]
fn a_seed_makes_the_same_history_again() {
    let (_keep, dir) = empty_dir();
    // Another hour may begin in between.
    let both = |n: i32| [format!("a{n}.db"), format!("b{n}.db")].map(|name| history(&dir, &name, "5"));
    let twice = (0..3).map(both).find(|[one, other]| one == other);
    assert_ne!(twice.expect("two that are the same")[0], history(&dir, "c.db", "6"));
}
