//! Every field of every call with every value that it must not have.

use crate::calls::{CALLS_OF_THE_API, Call, Field, Presence, Rule, Stage};
use serde_json::Value;

const MARK: &str = "@@here@@";

/// JSON that reads, but is of no type that any field has.
const OF_NO_TYPE: [&str; 12] = [
    "true",
    "false",
    "[]",
    "{}",
    "[1]",
    r#"{"a":null}"#,
    "1.5",
    "-0.5",
    "1e3",
    "9223372036854775808",
    "-9223372036854775809",
    "99999999999999999999999999",
];

/// What is not JSON, wherever it stands.
const UNREADABLE: [&[u8]; 25] = [
    br#""\ud800""#,
    br#""\udc00""#,
    br#""\ud800\ud800""#,
    br#""\u12""#,
    br#""\x41""#,
    b"\"\xff\"",
    b"\"\xc0\x80\"",
    b"\"\xed\xa0\x80\"",
    b"\"\xf5\x80\x80\x80\"",
    b"\"cut \xe2\x82\"",
    b"\"a\0b\"",
    b"\"a\nb\"",
    b"\"open",
    b"'x'",
    br#"{"a":1,"a":1}"#,
    br#"{"a":{"b":[{"c":1,"c":2}]}}"#,
    br#"{"a":1,"\u0061":1}"#,
    b"NaN",
    b"Infinity",
    b"01",
    b"+1",
    b"0x10",
    b"1e999",
    b"/**/1",
    b"",
];

/// Characters that no text may have in its midst.
const UNPRINTABLE: [&str; 13] = [
    "\\u0000", "\\u0007", "\\t", "\\n", "\\r", "\\u001b", "\\u007f", "\\u0085", "\\u200b", "\\u202e", "\\u2066",
    "\\ufeff", "\\ufffd",
];

/// The good body of a call as text around the place of a field.
fn around(stage: &Stage, call: &Call, field: &str) -> (String, String) {
    let mut document = stage.document(call);
    *place(&mut document, field) = MARK.into();
    let text = document.to_string();
    let (before, after) = text.split_once(&format!("\"{MARK}\"")).unwrap();
    (before.to_owned(), after.to_owned())
}

fn place<'a>(document: &'a mut Value, field: &str) -> &'a mut Value {
    let pointer = format!("/{}", field.replace("].", "/").replace('[', "/"));
    document.pointer_mut(&pointer).unwrap_or_else(|| panic!("no {field} in the good body"))
}

fn without(stage: &Stage, call: &Call, field: &str) -> String {
    let mut document = stage.document(call);
    let (parent, name) = field.rsplit_once('.').map_or((None, field), |(parent, name)| (Some(parent), name));
    let object = match parent {
        Some(parent) => place(&mut document, parent.trim_end_matches(']')),
        None => &mut document,
    };
    object.as_object_mut().unwrap().remove(name).unwrap();
    document.to_string()
}

/// Readable values that the field must refuse.
fn refused(rule: Rule, presence: Presence) -> Vec<String> {
    let mut values: Vec<String> = OF_NO_TYPE.iter().map(ToString::to_string).collect();
    match rule {
        Rule::Text(max) => {
            values.extend(["0", "7", "-7"].map(String::from));
            values.push(format!("\"{}\"", "x".repeat(max + 1)));
            values.push(format!("\"{}\"", "x".repeat(20_000)));
            // As many UTF-16 units, but half as many characters, would pass a sloppier count.
            values.push(format!("\"{}\"", "𝒳".repeat(max + 1)));
            values.extend(UNPRINTABLE.map(|character| format!("\"secure{character}text\"")));
            if presence != Presence::OptionalOrEmpty {
                values.extend(["\"\"", "\" \"", "\"\\t\\n\"", "\"\\u3000\""].map(String::from));
            }
        }
        Rule::Boolean => {
            values.retain(|value| !["true", "false"].contains(&value.as_str()));
            values.extend(["0", "1", "\"true\"", "\"false\"", "\"\""].map(String::from));
        }
        Rule::Integer(min, max) => {
            values.extend([r#""5""#, r#""""#, r#""\u0000""#, "-1.0", "5.0"].map(String::from));
            values.extend([min - 1, max + 1, i64::MIN, i64::MAX].map(|number| number.to_string()));
        }
    }
    values
}

/// Refuses with 422, and names the field; `anywhere` where another name stands for a group of fields.
fn expect_fault(stage: &Stage, call: &Call, name: Option<&str>, body: Vec<u8>) {
    let shown: String = String::from_utf8_lossy(&body).chars().take(200).collect();
    let headers = [("Content-Type", "application/json")];
    let reply = stage.client(call.who).send(call.method, &stage.path(call), &headers, body);
    assert_eq!(reply.status, 422, "{}: {shown}\n{:.500}", call.name(), reply.body);
    let faults = reply.faults();
    assert!(!faults.is_empty(), "{}: {shown}\n{}", call.name(), reply.body);
    if let Some(name) = name {
        let prefix = format!("{name}: ");
        assert!(faults.iter().any(|fault| fault.starts_with(&prefix)), "{}: {shown}\n{faults:?}", call.name());
    }
}

fn field_refuses(stage: &Stage, call: &Call, Field(name, presence, rule): Field) {
    let (before, after) = around(stage, call, name);
    for value in refused(rule, presence) {
        expect_fault(stage, call, Some(name), format!("{before}{value}{after}").into_bytes());
    }
    if matches!(presence, Presence::Required | Presence::NotNull) {
        expect_fault(stage, call, None, format!("{before}null{after}").into_bytes());
    }
    if presence == Presence::Required {
        expect_fault(stage, call, None, without(stage, call, name).into_bytes());
    }
    let deep = [b"[".repeat(10_000), b"]".repeat(10_000)].concat();
    let deep_objects = [br#"{"a":"#.repeat(10_000), b"1".to_vec(), b"}".repeat(10_000)].concat();
    let heaps = [deep, deep_objects];
    for value in UNREADABLE.into_iter().chain(heaps.iter().map(Vec::as_slice)) {
        let body = [before.as_bytes(), value, after.as_bytes()].concat();
        let shown: String = String::from_utf8_lossy(&body).chars().take(200).collect();
        let headers = [("Content-Type", "application/json")];
        let size = body.len();
        let reply = stage.client(call.who).send(call.method, &stage.path(call), &headers, body);
        let (status, code) = if size > call.limit() { (413, "body_too_large") } else { (400, "malformed_json") };
        assert_eq!(reply.status, status, "{}: {shown}\n{:.500}", call.name(), reply.body);
        assert_eq!(reply.problem(status), code);
    }
}

#[test]
fn every_field_refuses_what_it_cannot_hold() {
    let stage = Stage::new();
    for call in CALLS_OF_THE_API {
        stage.unchanged(&call.name(), || {
            for field in call.fields {
                field_refuses(&stage, call, *field);
            }
        });
        assert_eq!(stage.app.anonymous().get("/readyz").status, 200);
    }
}

#[test]
fn a_batch_is_refused_as_a_whole_and_names_each_fault() {
    let stage = Stage::new();
    let gateway = stage.app.gateway();
    let good = serde_json::json!({ "id": "u-1", "developer_id": stage.bob.id, "calls": 1 });
    let many = vec![good.clone(); 1_001];
    stage.unchanged("a bad batch", || {
        for (events, faults) in [
            (serde_json::json!([]), vec!["events: out_of_range"]),
            (serde_json::json!(many), vec!["events: out_of_range"]),
            (serde_json::json!({}), vec!["events: wrong_type"]),
            (serde_json::json!(null), vec!["events: wrong_type"]),
            (serde_json::json!("x"), vec!["events: wrong_type"]),
            (
                serde_json::json!([good, 5, null, []]),
                vec!["events[1]: wrong_type", "events[2]: wrong_type", "events[3]: wrong_type"],
            ),
            (
                serde_json::json!([good, { "calls": -1 }]),
                vec!["events[1].id: required", "events[1].developer_id: required", "events[1].calls: out_of_range"],
            ),
        ] {
            let reply = gateway.post("/v1/usage", serde_json::json!({ "events": events }));
            assert_eq!(reply.faults(), faults, "{events:.80}");
        }
    });
}

#[test]
fn an_event_names_its_account_once() {
    let stage = Stage::new();
    stage.unchanged("an event of two accounts", || {
        for (path, more) in [("/v1/usage", "calls"), ("/v1/purchases", "amount")] {
            let body = serde_json::json!({
                "id": "x-1", "developer_id": stage.bob.id, "external_id": "bob", more: 1, "currency": "usd",
            });
            assert_eq!(stage.app.gateway().post(path, body).faults(), ["developer_id: required"], "{path}");
        }
    });
}

#[test]
fn unknown_fields_are_ignored_if_they_read() {
    let stage = Stage::new();
    let body = serde_json::json!({ "api_key": stage.bob.key, "__proto__": { "x": [1, null] }, "": "\0" });
    assert_eq!(stage.app.gateway().post("/v1/keys/verify", body).json()["valid"], true);
}
