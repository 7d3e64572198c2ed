//! https from two files: HTTP/2, headers and cookies, certificates that are renewed, and pairs that are none.

use crate::process::{NO_LIMITS, Said, Server, empty_dir, refloop};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A certificate for 127.0.0.1 that signs itself, with this serial number.
fn make_pair(dir: &Path, name: &str, serial: &str) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]);
    openssl.args(["-subj", "/CN=refloop.example", "-addext", "subjectAltName=IP:127.0.0.1", "-set_serial", serial]);
    openssl.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    openssl.args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")]).current_dir(dir);
    let output = openssl.output().expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn command(dir: &Path) -> Command {
    let mut command = refloop(dir);
    command.args(["serve", "--json", "--workers", "2", "--listen", "127.0.0.1:0"]).args(NO_LIMITS);
    command.args(["--tls-cert", "own.pem", "--tls-key", "own.key"]);
    command
}

fn address(server: &Server) -> String {
    server.url.strip_prefix("https://").unwrap().to_owned()
}

/// What curl gets, with the certificate checked against a file.
fn curl(dir: &Path, url: &str, more: &[&str]) -> (bool, String) {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--include", "--max-time", "30", "--noproxy", "*", "--cacert", "own.pem"]);
    let output = curl.args(more).arg(url).current_dir(dir).output().expect("curl is installed");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

/// The serial number of the certificate that is shown to who connects now.
fn serial(address: &str) -> String {
    let script = "openssl s_client -connect \"$0\" </dev/null 2>/dev/null | openssl x509 -noout -serial";
    let output = Command::new("sh").args(["-c", script, address]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn https_speaks_both_versions_and_binds_browsers_to_it() {
    let (_keep, dir) = empty_dir();
    make_pair(&dir, "own", "1");
    let server = Server::spawn(command(&dir), &dir);
    assert!(server.greeting["operator_url"].as_str().unwrap().starts_with("https://127.0.0.1:"));
    for (version, status_line) in [("--http2", "HTTP/2 200"), ("--http1.1", "HTTP/1.1 200 OK")] {
        let (ok, said) = curl(&dir, &format!("{}/login", server.url), &[version]);
        assert!(ok && said.starts_with(status_line), "{said}");
        let said = said.to_ascii_lowercase();
        assert!(said.contains("strict-transport-security: max-age=31536000\r"), "{said}");
        let cookies: Vec<_> = said.lines().filter(|line| line.starts_with("set-cookie:")).collect();
        assert!(!cookies.is_empty(), "{said}");
        for cookie in cookies {
            assert!(cookie.contains("__host-refloop_") && cookie.contains("; secure"), "{cookie}");
        }
    }
    // A body, a key, and an answer that is no page; and by version 2 the host is known without a header.
    let body = r#"{"email":"me@alice.example","password":"secure-password","name":"Alice"}"#;
    let url = format!("{}/v1/developers/signup", server.url);
    let (_, said) = curl(&dir, &url, &["--http2", "--json", body]);
    let key: Value = serde_json::from_str(said.split("\r\n\r\n").last().unwrap()).unwrap();
    let bearer = format!("Authorization: Bearer {}", key["api_key"].as_str().unwrap());
    let (_, said) = curl(&dir, &format!("{}/v1/developers/me", server.url), &["--http2", "--header", &bearer]);
    assert!(said.starts_with("HTTP/2 200"), "{said}");
    let origin = format!("Origin: {}", server.url);
    let session = ["--http2", "--header", &origin, "--cookie", "__Host-refloop_operator=guessed"];
    let invite = format!("{}/v1/admin/projects/default/audit", server.url);
    assert!(curl(&dir, &invite, &session).1.starts_with("HTTP/2 401"));
}

#[test]
fn a_project_is_found_by_its_host_over_http_2() {
    let (_keep, dir) = empty_dir();
    make_pair(&dir, "own", "1");
    let server = Server::spawn(command(&dir), &dir);
    let made = crate::process::run(&dir, &["project", "create", "--slug", "acme", "--preset", "commission"]);
    assert_eq!(made.code, 0, "{made:?}");
    let set = crate::process::run(&dir, &["project", "set", "acme", "host=127.0.0.1", "name=Acme API"]);
    assert_eq!(set.code, 0, "{set:?}");
    let (_, said) = curl(&dir, &format!("{}/signup", server.url), &["--http2"]);
    assert!(said.contains("Acme API"), "{said}");
}

#[test]
fn a_renewed_certificate_is_taken_and_a_bad_one_is_not() {
    let (_keep, dir) = empty_dir();
    for (name, number) in [("own", "1"), ("second", "2"), ("third", "3")] {
        make_pair(&dir, name, number);
    }
    let server = Server::spawn(command(&dir), &dir);
    let address = address(&server);
    assert_eq!(serial(&address), "serial=01");
    let log = || std::fs::read_to_string(dir.join("stderr.log")).unwrap();
    let until = |what: &str, is_so: &dyn Fn() -> bool| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            assert!(Instant::now() < deadline, "{what} never came: {}", log());
            std::thread::yield_now();
        }
    };
    // A certificate without its key, and then what is no certificate: each is said, and the old pair stays.
    std::fs::copy(dir.join("second.pem"), dir.join("own.pem")).unwrap();
    until("the refusal", &|| log().contains("not a pair"));
    assert_eq!(serial(&address), "serial=01");
    std::fs::write(dir.join("own.pem"), "half a cert").unwrap();
    until("the refusal", &|| log().contains("holds no certificate"));
    assert_eq!(serial(&address), "serial=01");
    for (from, number) in [("second", "serial=02"), ("third", "serial=03")] {
        for end in ["key", "pem"] {
            std::fs::copy(dir.join(format!("{from}.{end}")), dir.join(format!("own.{end}"))).unwrap();
        }
        until(number, &|| serial(&address) == number);
        assert!(curl(&dir, &format!("{}/healthz", server.url), &[]).0);
    }
    assert!(!log().contains("PRIVATE KEY"));
}

#[test]
fn plain_http_on_the_port_of_tls_is_refused_and_harms_nobody() {
    let (_keep, dir) = empty_dir();
    make_pair(&dir, "own", "1");
    let server = Server::spawn(command(&dir), &dir);
    let address = address(&server);
    for said in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01", "", "\0\0\0\0"] {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.write_all(said.as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // A reset is an answer, too.
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
    }
    assert!(curl(&dir, &format!("{}/healthz", server.url), &[]).0);
    let asked = crate::process::run(&dir, &["healthcheck", "--tls", "--listen", &address]);
    assert_eq!(asked.code, 0, "{asked:?}");
    let mut by_environment = refloop(&dir);
    by_environment.args(["healthcheck", "--listen", &address]).env("REFLOOP_TLS_CERT", "own.pem");
    assert!(by_environment.status().unwrap().success());
    assert_eq!(crate::process::run(&dir, &["healthcheck", "--listen", &address]).code, 1);
}

#[test]
fn what_cannot_be_served_by_tls_is_refused_at_the_start() {
    let (_keep, dir) = empty_dir();
    make_pair(&dir, "own", "1");
    make_pair(&dir, "other", "2");
    std::fs::write(dir.join("empty.pem"), "").unwrap();
    let start = |args: &[&str]| -> Said {
        let mut command = refloop(&dir);
        command.args(["serve", "--listen", "127.0.0.1:0"]).args(args).output().unwrap().into()
    };
    for (args, words) in [
        (&["--tls-cert", "own.pem", "--tls-key", "other.key"][..], "not a pair"),
        (&["--tls-cert", "nothing.pem", "--tls-key", "own.key"], "cannot read nothing.pem"),
        (&["--tls-cert", "empty.pem", "--tls-key", "own.key"], "empty.pem holds no certificate"),
        (&["--tls-cert", "own.pem", "--tls-key", "own.pem"], "own.pem holds no private key"),
        (
            &["--tls-cert", "own.pem", "--tls-key", "own.key", "--public-url", "http://refer.example.com"],
            "has to begin with https://",
        ),
    ] {
        let said = start(args);
        assert!(said.refusal().contains(words), "{args:?}: {said:?}");
    }
    assert_eq!(start(&["--tls-cert", "own.pem"]).code, 2, "one without the other");
    assert!(!dir.join("refloop.db").exists(), "nothing is made by a start that is refused");
}

#[test]
fn listening_to_the_world_in_the_clear_is_warned_of() {
    for (args, warned) in [
        (&["--listen", "0.0.0.0:0"][..], true),
        (&["--listen", "127.0.0.1:0"], false),
        (&["--listen", "0.0.0.0:0", "--trusted-proxies", "10.0.0.1"], false),
        (&["--listen", "0.0.0.0:0", "--tls-cert", "own.pem", "--tls-key", "own.key"], false),
    ] {
        let (_keep, dir) = empty_dir();
        make_pair(&dir, "own", "1");
        let mut command = refloop(&dir);
        command.args(["serve", "--json"]).args(args);
        let mut server = Server::spawn(command, &dir);
        server.kill_9();
        let log = std::fs::read_to_string(dir.join("stderr.log")).unwrap();
        assert_eq!(log.contains("without TLS and without a trusted proxy"), warned, "{args:?}: {log}");
    }
}
