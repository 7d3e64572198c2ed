//! Bodies that are signed and still of no use, and bodies that nobody signed: never a 5xx, and nothing is changed but
//! the record that something came.

use super::{Billing, PATH, SECRET, invoice, refund, session, signed, subscription};
use refloop::web::Quota;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

#[test]
fn each_body_that_is_no_event() {
    // As many as there are: with a good signature, nothing here counts as a bad key.
    let billing = Billing::start_with(|settings| settings.limits.bad_key = Quota::new(1, Duration::from_secs(3_600)));
    let deep = "[".repeat(100_000);
    for body in [
        &b""[..],
        b"{",
        b"not json",
        b"{\"id\":\"evt_1\",}",
        b"{\"id\":\"evt_\xff\"}",
        b"{\"id\":\"evt_1\"}\0",
        b"\xef\xbb\xbf{}x",
        b"[]",
        b"null",
        b"5",
        b"\"evt_1\"",
        deep.as_bytes(),
    ] {
        let reply = billing.send(body, &signed(body, SECRET, billing.app.now_ms()));
        assert_eq!(reply.problem(400), "malformed_json", "{:.40}", String::from_utf8_lossy(body));
    }
    assert_eq!(billing.app.sqlite3("SELECT count(*) FROM stripe_event").trim(), "0");
}

#[test]
fn an_object_that_cannot_be_used_is_recorded() {
    let billing = Billing::start();
    let event = |id: Value, kind: Value, data: Value| json!({ "id": id, "type": kind, "data": data });
    let completed = json!("checkout.session.completed");
    for (place, body) in [
        json!({}),
        event(Value::Null, completed.clone(), json!({ "object": session("cs_1") })),
        event(json!(5), completed.clone(), json!({ "object": session("cs_1") })),
        event(json!(""), completed.clone(), json!({ "object": session("cs_1") })),
        event(json!("evt\u{0}1"), completed.clone(), json!({ "object": session("cs_1") })),
        event(json!("x".repeat(256)), completed.clone(), json!({ "object": session("cs_1") })),
        event(json!("evt_1"), json!(5), json!({ "object": session("cs_1") })),
        event(json!("evt_2"), completed.clone(), Value::Null),
        event(json!("evt_3"), completed.clone(), json!([])),
        event(json!("evt_4"), completed.clone(), json!({ "object": "cs_1" })),
        event(json!("evt_5"), completed.clone(), json!({ "object": {} })),
        event(json!("evt_6"), completed.clone(), json!({ "object": { "id": 5, "client_reference_id": "pc_bob" } })),
        event(json!("evt_7"), json!("invoice.paid"), json!({ "object": { "id": "in_1", "customer": "pc_bob" } })),
        event(json!("evt_8"), json!("refund.created"), json!({ "object": { "id": "re_1", "amount": -5 } })),
        event(json!("evt_9"), json!("charge.refunded"), json!({ "object": { "id": "ch_1", "amount_refunded": 1.5 } })),
    ]
    .iter()
    .enumerate()
    {
        let body = body.to_string().into_bytes();
        for status in ["recorded", "duplicate"] {
            let reply = billing.send(&body, &signed(&body, SECRET, billing.app.now_ms()));
            let told = (reply.status, reply.json()["status"].clone(), reply.json()["outcome"].clone());
            assert_eq!(told, (200, json!(status), json!("unusable")), "{place}: {}", reply.body);
        }
    }
    assert_eq!(
        billing.app.sqlite3("SELECT count(*), group_concat(DISTINCT outcome) FROM stripe_event"),
        "15|unusable\n"
    );
    assert_eq!((billing.earned(), billing.status()), ((0, 0), "signed_up".into()));
}

#[test]
fn no_field_of_an_event_breaks_anything() {
    let billing = Billing::start().with_commission();
    let mut paid = session("cs_1");
    paid["client_reference_id"] = json!("pc_nobody");
    paid["customer"] = json!("cus_nobody");
    let strangers = |mut object: Value| {
        object["customer"] = json!("cus_nobody");
        object
    };
    let with_list =
        json!({ "id": "ch_1", "amount_refunded": 5, "refunds": { "data": [refund("re_2", "in_1", 5, "x")] } });
    let templates = [
        ("checkout.session.completed", paid),
        ("customer.subscription.created", strangers(subscription("sub_1"))),
        ("invoice.paid", strangers(invoice("in_1", 2_000))),
        ("charge.refunded", with_list),
        ("refund.created", refund("re_1", "in_9", 500, "succeeded")),
    ];
    let odd = [
        Value::Null,
        json!(true),
        json!(-1),
        json!(1.5),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("\u{0}"),
        json!("a\u{202e}b"),
        json!("'; DROP TABLE entry; --"),
        json!("x".repeat(5_000)),
        json!([]),
        json!([[{}]]),
        json!({}),
        json!({ "id": {} }),
        json!({ "id": "x", "metadata": [], "data": 5 }),
    ];
    let mut count = 0;
    for (kind, template) in &templates {
        let mut fields: Vec<String> = template.as_object().unwrap().keys().cloned().collect();
        fields.extend(["type", "created", "data"].map(|name| format!("/{name}")));
        for field in &fields {
            for value in &odd {
                count += 1;
                let mut body = billing.event(&format!("evt_{count}"), kind, template.clone());
                match field.strip_prefix('/') {
                    Some(name) => body[name] = value.clone(),
                    None => body["data"]["object"][field] = value.clone(),
                }
                let reply = billing.deliver(&body);
                assert_eq!(reply.status, 200, "{kind} {field} {value:.60}: {}", reply.body);
            }
        }
    }
    assert_eq!(billing.earned(), (0, 0));
    assert_eq!(billing.app.sqlite3("SELECT count(*) FROM purchase").trim(), "0");
}

#[test]
fn sizes_are_bounded_and_what_is_not_signed_is_not_read() {
    let billing = Billing::start();
    let padded = |size: usize| {
        let mut body = billing.event("evt_large", "product.created", json!({})).to_string().into_bytes();
        body.resize(size, b' ');
        body
    };
    let (largest, larger) = (padded(1 << 20), padded((1 << 20) + 1));
    let send = |body: &[u8]| billing.send(body, &signed(body, SECRET, billing.app.now_ms()));
    assert_eq!(send(&larger).problem(413), "body_too_large");
    assert_eq!(send(&largest).json()["status"], "recorded");
    let unsigned = billing.app.anonymous().send("POST", PATH, &[], padded(60_000));
    assert_eq!(unsigned.problem(400), "missing_signature");
}

#[test]
fn a_body_that_stops_coming_is_not_waited_for() {
    let billing = Billing::start();
    let address = &billing.app.url["http://".len()..];
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: {address}\r\nStripe-Signature: t=1,v1=00\r\nContent-Length: 100\r\n\r\n{{\"id\""
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("body_too_slow"), "{answer}");
}

#[test]
fn paths_that_name_no_project() {
    let billing = Billing::start();
    let body = b"{}".to_vec();
    let header = signed(&body, SECRET, billing.app.now_ms());
    for name in
        ["", "%20", "%00", "%ff", "DEFAULT", "default%2f", "default/", "..%2fdefault", "'--", &"x".repeat(3_000)]
    {
        let headers = [("Stripe-Signature", header.as_str())];
        let reply = billing.app.anonymous().send("POST", &format!("/webhooks/stripe/{name}"), &headers, body.clone());
        assert_eq!(reply.status, 404, "{name:.20}: {}", reply.body);
    }
}
