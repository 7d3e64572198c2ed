//! Bodies that cannot be read: not JSON, of another media type, too large.

use crate::calls::{Body, Call, Stage, with_body};
use crate::harness::Reply;

const JSON: (&str, &str) = ("Content-Type", "application/json");

fn send(stage: &Stage, call: &Call, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Reply {
    stage.client(call.who).send(call.method, &stage.path(call), headers, body.into())
}

fn expect(what: &str, call: &Call, reply: &Reply, status: u16, code: &str) {
    assert_eq!(reply.status, status, "{} with {what:.80}: {:.300}", call.name(), reply.body);
    assert_eq!(reply.problem(status), code, "{} with {what:.80}", call.name());
}

/// A body that reads and holds nothing but `bytes` of an unknown field.
fn padded(bytes: usize) -> String {
    let (head, tail) = ("{\"pad\":\"", "\"}");
    format!("{head}{}{tail}", "x".repeat(bytes - head.len() - tail.len()))
}

#[test]
fn what_is_not_json_is_400() {
    let stage = Stage::new();
    for call in with_body() {
        let good = stage.body(call);
        let twice = format!("{},{}", good.trim_end_matches('}'), good.trim_start_matches('{'));
        let wide: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut bodies: Vec<Vec<u8>> = [
            " ",
            "\n",
            "\0",
            "{",
            "}",
            "{]",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":1,}",
            "nope",
            "undefined",
            "<a/>",
            "email=a%40b.example&name=x",
            "--x\r\n\r\n{}\r\n--x--",
        ]
        .map(|text| text.as_bytes().to_vec())
        .to_vec();
        bodies.extend([
            format!("{good}x").into_bytes(),
            format!("{good}{good}").into_bytes(),
            format!("{good},").into_bytes(),
            format!("{good}\0").into_bytes(),
            format!("\u{feff}{good}").into_bytes(),
            good.as_bytes()[..good.len() - 1].to_vec(),
            twice.into_bytes(),
            wide,
            [&b"{\"\xff\":1,"[..], &good.as_bytes()[1..]].concat(),
            b"[".repeat(10_000),
            [b"[".repeat(10_000), b"]".repeat(10_000)].concat(),
            [br#"{"a":"#.repeat(10_000), b"1".to_vec(), b"}".repeat(10_000)].concat(),
        ]);
        if matches!(call.body, Body::Required(_)) {
            bodies.push(Vec::new());
        }
        stage.unchanged(&call.name(), || {
            for body in bodies {
                let (status, code) =
                    if body.len() > call.limit() { (413, "body_too_large") } else { (400, "malformed_json") };
                let shown = String::from_utf8_lossy(&body).into_owned();
                expect(&shown, call, &send(&stage, call, &[JSON], body), status, code);
            }
        });
    }
}

#[test]
fn json_that_is_no_object_is_422() {
    let stage = Stage::new();
    for call in with_body() {
        stage.unchanged(&call.name(), || {
            for body in ["[]", "[{}]", "1", "-1.5", "null", "true", "\"x\"", "\"\""] {
                expect(body, call, &send(&stage, call, &[JSON], body), 422, "wrong_type");
            }
        });
    }
}

#[test]
fn another_media_type_is_415() {
    let stage = Stage::new();
    let wrong = [
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
        "application/json+xml",
        "application",
        "json",
        "*/*",
        "",
        ";",
        "application/json, text/plain",
        "text/plain; a=application/json",
    ];
    for call in with_body() {
        stage.unchanged(&call.name(), || {
            expect("none", call, &send(&stage, call, &[], stage.body(call)), 415, "unsupported_media_type");
            for media_type in wrong {
                let reply = send(&stage, call, &[("Content-Type", media_type)], stage.body(call));
                expect(media_type, call, &reply, 415, "unsupported_media_type");
            }
            // Read as JSON, which this is not.
            for media_type in [
                "application/json; charset=utf-8",
                "application/json;charset=\"UTF-8\"",
                "Application/JSON",
                " application/json ",
                "application/merge-patch+json",
                "application/problem+json; x",
            ] {
                let reply = send(&stage, call, &[("Content-Type", media_type)], "{");
                expect(media_type, call, &reply, 400, "malformed_json");
            }
        });
    }
}

#[test]
fn one_byte_too_many_is_413() {
    let stage = Stage::new();
    for call in with_body() {
        stage.unchanged(&call.name(), || {
            let reply = send(&stage, call, &[JSON], padded(call.limit() + 1));
            expect("one byte more", call, &reply, 413, "body_too_large");
            // The last byte that is taken: the body is read, and what is wrong with it is that it is cut.
            let mut cut = padded(call.limit() + 1);
            cut.pop();
            expect("the most bytes", call, &send(&stage, call, &[JSON], cut), 400, "malformed_json");
        });
    }
}
