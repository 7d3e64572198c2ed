//! What comes over the wire when no HTTP library stands between: huge, slow, broken and absurd requests.

use crate::calls::{CALLS_OF_THE_API, Call, Stage, with_body};
use crate::harness::Reply;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// Longer than any limit of the server's: whoever waits this long hangs.
const HANG: Duration = Duration::from_secs(20);

fn connect(stage: &Stage) -> TcpStream {
    let stream = TcpStream::connect(stage.app.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    stream.set_write_timeout(Some(HANG)).unwrap();
    stream
}

/// Writes as much as the server takes.
fn write(stream: &mut TcpStream, bytes: &[u8]) {
    if let Err(fault) = stream.write_all(bytes) {
        assert!(matches!(fault.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "a hang: {fault}");
    }
}

/// Says that no more will come; a server that has closed already does not mind.
fn end(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
}

/// Everything until the server closes.
fn read(stream: &mut TcpStream) -> Vec<u8> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 16 * 1024]);
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return bytes,
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            Err(fault) if fault.kind() == ErrorKind::ConnectionReset => return bytes,
            Err(fault) => panic!("a hang: {fault}; so far {:?}", String::from_utf8_lossy(&bytes)),
        }
    }
}

/// `None` when the connection was closed without a word.
fn parse(bytes: &[u8]) -> Option<Reply> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(": ")).map(|(name, value)| (name.into(), value.into()));
    Some(Reply { status, headers: headers.collect(), body: body.to_owned() })
}

fn exchange(stage: &Stage, request: &[u8]) -> Option<Reply> {
    let mut stream = connect(stage);
    write(&mut stream, request);
    end(&stream);
    parse(&read(&mut stream))
}

/// Request line and headers of a call, but for the empty line.
fn head(stage: &Stage, call: &Call) -> String {
    let key = stage.key(call.who).map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    format!("{} {} HTTP/1.1\r\nHost: refloop.example\r\n{key}", call.method, stage.path(call))
}

const JSON: &str = "Content-Type: application/json\r\n";
const TEN_MEGABYTES: usize = 10 << 20;

#[test]
fn ten_megabytes_are_413() {
    let stage = Stage::new();
    for call in with_body() {
        let (announced, chunked) = stage.unchanged(&call.name(), || {
            let head = format!("{}{JSON}", head(&stage, call));
            let mut announced = format!("{head}Content-Length: {TEN_MEGABYTES}\r\n\r\n").into_bytes();
            announced.resize(announced.len() + TEN_MEGABYTES, b'x');
            let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
            let chunk = [b"10000\r\n", &b"x".repeat(0x1_0000)[..], b"\r\n"].concat();
            chunked.extend(chunk.repeat(TEN_MEGABYTES / 0x1_0000));
            chunked.extend(b"0\r\n\r\n");
            (exchange(&stage, &announced), exchange(&stage, &chunked))
        });
        for reply in [announced, chunked] {
            let reply = reply.unwrap_or_else(|| panic!("{} closed without an answer", call.name()));
            assert_eq!(reply.problem(413), "body_too_large", "{}", call.name());
        }
    }
    assert_eq!(stage.app.anonymous().get("/readyz").status, 200);
}

#[test]
fn a_body_that_stops_coming_is_408() {
    let stage = Stage::new();
    let calls: Vec<&Call> = with_body().collect();
    stage.unchanged("a slow body", || {
        let start = |call: &Call, framing: &str, half: &str| {
            let mut stream = connect(&stage);
            write(&mut stream, format!("{}{JSON}{framing}\r\n\r\n{half}", head(&stage, call)).as_bytes());
            stream
        };
        // All at once, so that they wait together.
        let streams: Vec<_> = calls
            .iter()
            .flat_map(|call| {
                let good = stage.body(call);
                let half = &good[..good.len() / 2];
                let announced = start(call, &format!("Content-Length: {}", good.len()), half);
                let chunked = start(call, "Transfer-Encoding: chunked", &format!("{:x}\r\n{half}\r\n", half.len()));
                [(call, announced), (call, chunked)]
            })
            .collect();
        for (call, mut stream) in streams {
            let reply = parse(&read(&mut stream)).unwrap_or_else(|| panic!("{}: no answer", call.name()));
            assert_eq!(reply.problem(408), "body_too_slow", "{}", call.name());
        }
    });
    assert_eq!(stage.app.anonymous().get("/readyz").status, 200);
}

#[test]
fn a_body_that_breaks_off_changes_nothing() {
    let stage = Stage::new();
    for call in with_body() {
        stage.unchanged(&call.name(), || {
            let good = stage.body(call);
            let half = &good[..good.len() / 2];
            let head = format!("{}{JSON}", head(&stage, call));
            for request in [
                format!("{head}Content-Length: {}\r\n\r\n{half}", good.len()),
                format!("{head}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{half}\r\n", good.len()),
                format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{good}\r\n0\r\n\r\n"),
            ] {
                let mut stream = connect(&stage);
                write(&mut stream, request.as_bytes());
                end(&stream);
                if let Some(reply) = parse(&read(&mut stream)) {
                    assert!((400..500).contains(&reply.status), "{}: {}", call.name(), reply.status);
                }
            }
        });
    }
    assert_eq!(stage.app.anonymous().get("/readyz").status, 200);
}

/// What is no HTTP never reaches a handler: the HTTP layer refuses it with a bare 4xx, or closes.
#[test]
fn absurd_requests_are_refused() {
    let stage = Stage::new();
    let call = with_body().next().unwrap();
    let (good, head) = (stage.body(call), format!("{}{JSON}", head(&stage, call)));
    let length = good.len();
    let post = "POST /v1/developers/signup";
    let requests: Vec<Vec<u8>> = vec![
        b"\0\0\0\0\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"GET\r\n\r\n".to_vec(),
        b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\nHost: x\r\n\r\n".to_vec(),
        format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(200_000)).into_bytes(),
        format!("{head}X: {}\r\n\r\n", "a".repeat(200_000)).into_bytes(),
        format!("{head}{}\r\n", "X: y\r\n".repeat(1_000)).into_bytes(),
        format!("{head}X: a\0b\r\nContent-Length: {length}\r\n\r\n{good}").into_bytes(),
        format!("{head}X y: z\r\nContent-Length: {length}\r\n\r\n{good}").into_bytes(),
        format!("{head}: z\r\nContent-Length: {length}\r\n\r\n{good}").into_bytes(),
        format!("{head}Content-Length: x\r\n\r\n{good}").into_bytes(),
        format!("{head}Content-Length: -1\r\n\r\n{good}").into_bytes(),
        format!("{head}Content-Length: +{length}\r\n\r\n{good}").into_bytes(),
        format!("{head}Content-Length: 99999999999999999999\r\n\r\n{good}").into_bytes(),
        format!("{head}Content-Length: {length}\r\nContent-Length: 1\r\n\r\n{good}").into_bytes(),
        format!("{head}Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n{good}").into_bytes(),
        format!("{head}Transfer-Encoding: sideways\r\n\r\n{good}").into_bytes(),
        format!("{post} HTTP/1.0\r\n{JSON}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n").into_bytes(),
    ];
    stage.unchanged("an absurd request", || {
        for request in requests {
            let mut stream = connect(&stage);
            write(&mut stream, &request);
            end(&stream);
            let shown = String::from_utf8_lossy(&request[..request.len().min(160)]).into_owned();
            if let Some(reply) = parse(&read(&mut stream)) {
                assert!((400..500).contains(&reply.status), "{shown:?}: {}", reply.status);
            }
            assert_eq!(stage.app.anonymous().get("/healthz").status, 200, "after {shown:?}");
        }
    });
}

/// Headers that are HTTP, and that no handler can make sense of.
#[test]
fn strange_headers_do_no_harm() {
    let stage = Stage::new();
    let strange = [
        "Host: \u{fc}",
        "Host: a:b:c",
        "Cookie: ;;=;refloop_form=\u{fc}; a",
        "X-Forwarded-For: ,,,;\u{fc}",
        "Accept: \u{fc};q=9",
        "If-None-Match: \u{fc}",
        "Expect: miracles",
        "Range: bytes=9-1",
        "Upgrade: websocket\r\nConnection: upgrade",
    ];
    stage.unchanged("a strange header", || {
        for header in strange {
            for path in ["/v1/ledger/head", "/signup", "/r/ALICE2026", "/assets/refloop.css", "/v1/nothing"] {
                let request = format!("GET {path} HTTP/1.1\r\n{header}\r\nConnection: close\r\n\r\n");
                let reply = exchange(&stage, request.as_bytes()).unwrap_or_else(|| panic!("{path}, {header}"));
                assert!(reply.status < 500, "{path}, {header}: {}", reply.status);
            }
            let request = format!("{}{header}\r\n{JSON}\r\n", head(&stage, with_body().next().unwrap()));
            let mut stream = connect(&stage);
            write(&mut stream, request.as_bytes());
            end(&stream);
            if let Some(reply) = parse(&read(&mut stream)) {
                assert!((400..500).contains(&reply.status), "POST, {header}: {}", reply.status);
            }
        }
    });
}

/// What GET and HEAD must agree in.
fn lasting(reply: &Reply) -> Vec<(String, String)> {
    let fleeting =
        |name: &str| ["date", "set-cookie", "connection", "x-request-id"].contains(&name.to_ascii_lowercase().as_str());
    let mut headers: Vec<_> = reply.headers.iter().filter(|(name, _)| !fleeting(name)).cloned().collect();
    headers.sort();
    headers
}

#[test]
fn head_is_get_without_its_body() {
    let stage = Stage::new();
    let pages = [
        "/",
        "/signup",
        "/r/NOSUCH",
        "/ref.js",
        "/admin/setup",
        "/assets/refloop.css",
        "/assets/refloop.js",
        "/qr/NOSUCH.svg",
        "/nothing",
    ];
    let reads = CALLS_OF_THE_API.iter().filter(|call| call.method == "GET").map(|call| head(&stage, call));
    let pages = pages.map(|path| format!("GET {path} HTTP/1.1\r\nHost: refloop.example\r\n"));
    for get in reads.chain(pages) {
        let get = format!("{get}Connection: close\r\n\r\n");
        let with_body = exchange(&stage, get.as_bytes()).unwrap();
        let without = exchange(&stage, get.replacen("GET", "HEAD", 1).as_bytes()).unwrap();
        assert_eq!(without.status, with_body.status, "{get}");
        assert_eq!(without.body, "", "{get}");
        assert_eq!(lasting(&without), lasting(&with_body), "{get}");
    }
}
