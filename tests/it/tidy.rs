//! The house rules of the source, kept by a test.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file under a folder, by its path from the root, with its text.
fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for item in std::fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                walk(&path, ending, found);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), ending, &mut found);
    found.sort();
    let name = |path: &Path| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    found.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

fn sources() -> Vec<(String, String)> {
    files("src", ".rs")
}

/// Without tests, which stand at the end of a file, and without comments.
fn code(text: &str) -> String {
    let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// The layer of a file: the first name under `src`.
fn layer(path: &str) -> &str {
    path.trim_start_matches("src/").split(['/', '.']).next().unwrap()
}

/// What follows each `crate::`, up to the end of the name; a list in braces counts as each of its names.
fn imports(code: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (place, marker) in code.match_indices("crate::") {
        let rest = &code[place + marker.len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split('}').next().unwrap();
                found.extend(list.split(',').map(|name| word(name.trim())));
            }
            None => found.push(word(rest)),
        }
    }
    found
}

#[test]
fn imports_go_one_way() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let may: &[&str] = match layer(&path) {
            "domain" => &["domain"],
            "store" => &["domain", "store"],
            "engine" => &["domain", "store", "engine"],
            "web" => &["domain", "engine", "web"],
            "work" => &["domain", "engine", "work"],
            "config" => &["domain", "store", "engine", "web", "config"],
            "cli" => &["domain", "store", "engine", "web", "work", "config", "cli"],
            "lib" | "main" => &[],
            other => panic!("{path}: {other} has no place in the architecture"),
        };
        let code = code(&text);
        for import in imports(&code) {
            if !may.contains(&import.as_str()) {
                wrong.push(format!("{path} imports {import}"));
            }
        }
        // A face may name what the store hands out, but never reach into it.
        for reach in ["Store,", "Store}", "Store;", "Tx<", "Snapshot", "rusqlite"] {
            if layer(&path) == "web" && code.contains(&format!("store::{reach}")) {
                wrong.push(format!("{path} reaches into the store"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What all faces stand on.
const SHARED_BY_FACES: [&str; 17] = [
    "arrival",
    "audit_body",
    "auth",
    "body",
    "chart",
    "csv_download",
    "day",
    "error",
    "ledger_csv",
    "limit",
    "limits_view",
    "metrics",
    "mod",
    "page",
    "query",
    "session",
    "watch",
];

#[test]
fn faces_do_not_know_each_other() {
    let sources = sources();
    let face = |path: &str| path.strip_prefix("src/web/").map(|rest| layer(rest).to_owned());
    let mut faces: Vec<String> = sources.iter().filter_map(|(path, _)| face(path)).collect();
    faces.dedup();
    faces.retain(|name| !SHARED_BY_FACES.contains(&name.as_str()));
    assert!(faces.len() >= 3, "{faces:?}");
    let mut wrong = Vec::new();
    for (path, text) in &sources {
        let Some(own) = face(path).filter(|own| own != "mod") else { continue };
        let code = code(text);
        let top = path.matches('/').count() == 2;
        for other in faces.iter().filter(|other| **other != own) {
            let by_super = top && code.contains(&format!("super::{other}"));
            if by_super || code.contains(&format!("web::{other}::")) || code.contains(&format!("super::super::{other}"))
            {
                wrong.push(format!("{path} imports the face {other}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn nothing_that_is_banned_is_used() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let code = code(&text);
        let mut ban = |words: &[&str], place: &str| {
            for word in words.iter().filter(|word| code.contains(*word)) {
                wrong.push(format!("{path} has {word} outside of {place}"));
            }
        };
        ban(&["OR REPLACE", "REPLACE INTO", ".unwrap()", ".expect(", "panic!(", "todo!", "unimplemented!"], "tests");
        ban(&["lazy_static", "thread_local!", "static mut", "OnceLock", "LazyLock"], "nowhere: no globals");
        if layer(&path) != "store" {
            ban(&["rusqlite", "r2d2"], "src/store");
            ban(&["SELECT ", "INSERT INTO", "DELETE FROM", " SET "], "src/store");
        }
        if layer(&path) != "web" {
            ban(&["actix"], "src/web");
        }
        if layer(&path) == "domain" {
            ban(&["SystemTime", "Instant::now", "Timestamp::now", "getrandom", "std::fs", "std::env"], "the edges");
        }
        if text.contains("TODO") || text.contains("FIXME") || text.contains("XXX") {
            wrong.push(format!("{path} puts something off"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn files_and_handlers_are_short() {
    const LONGEST_FILE: usize = 500;
    const LONGEST_HANDLER: usize = 25;
    let mut wrong = Vec::new();
    for (path, text) in [sources(), files("tests/it", ".rs")].concat() {
        if text.lines().count() > LONGEST_FILE {
            wrong.push(format!("{path} has {} lines", text.lines().count()));
        }
        if !path.starts_with("src/web/") {
            continue;
        }
        let mut handler: Option<(String, usize)> = None;
        for line in code(&text).lines() {
            match &mut handler {
                None if line.starts_with("pub async fn ") => handler = Some((line.to_owned(), 1)),
                Some((name, length)) => {
                    *length += 1;
                    if line == "}" {
                        if *length > LONGEST_HANDLER {
                            wrong.push(format!("{path}: {name} has {length} lines"));
                        }
                        handler = None;
                    }
                }
                None => (),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_setting_is_in_the_readme() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let mut settings = Vec::new();
    for (_, text) in sources() {
        for (place, _) in text.match_indices("\"REFLOOP_") {
            settings.push(text[place + 1..].split('"').next().unwrap().to_owned());
        }
    }
    assert!(settings.len() >= 10, "{settings:?}");
    settings.retain(|name| !readme.contains(&format!("`{name}`")));
    assert!(settings.is_empty(), "the README does not name {settings:?}");
}

#[test]
fn every_table_is_strict() {
    let schema = std::fs::read_to_string(root().join("schema.sql")).unwrap();
    let tables: Vec<&str> = schema.split("\nCREATE TABLE ").skip(1).collect();
    assert!(tables.len() >= 15);
    for table in tables {
        let end = table.lines().find(|line| line.starts_with(')')).unwrap();
        assert!(end.starts_with(") STRICT"), "{}", table.lines().next().unwrap());
    }
    let statements = schema.lines().filter(|line| !line.trim_start().starts_with("--"));
    let statements: Vec<_> = statements.map(|line| line.split("--").next().unwrap()).collect();
    assert!(!statements.join("\n").contains("RAISE(ROLLBACK"));
}
