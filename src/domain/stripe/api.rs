//! Calls of Stripe's API, to the byte, and what its answers say. The network is elsewhere.

use super::connect::AccountState;
use crate::domain::id::{AccountId, PayoutId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

/// A call as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiCall {
    /// With its query; it goes behind the base URL.
    pub path: String,
    /// The body of a POST; without one it is a GET.
    pub form: Option<String>,
    pub idempotency_key: Option<String>,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Answer(Answer),
    /// It has not left this machine.
    NotSent(String),
    /// It was sent, or may have been, and no whole answer came.
    Lost(String),
}

/// An answer, whoever gave it: not everything between here and Stripe is Stripe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// When it was given, by the clock of whoever gave it.
    pub at_ms: Option<i64>,
}

/// As Stripe's own libraries encode forms.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn encoded(pairs: &[(&str, &str)]) -> String {
    let value = |text| utf8_percent_encode(text, ESCAPED).to_string().replace("%20", "+");
    pairs.iter().map(|(name, text)| format!("{name}={}", value(text))).collect::<Vec<_>>().join("&")
}

/// Makes an Express account. `refused`: how often Stripe has refused to, as it would repeat a refusal under its key.
pub fn create_account(account: AccountId, email: Option<&str>, refused: i64) -> ApiCall {
    let id = account.to_string();
    let mut pairs = vec![("type", "express")];
    pairs.extend(email.map(|email| ("email", email)));
    pairs.extend([("capabilities[transfers][requested]", "true"), ("metadata[developer_id]", id.as_str())]);
    ApiCall {
        path: "/v1/accounts".into(),
        form: Some(encoded(&pairs)),
        idempotency_key: Some(if refused == 0 { id.clone() } else { format!("{id}-{refused}") }),
    }
}

pub fn retrieve_account(stripe_account: &str) -> ApiCall {
    let path = format!("/v1/accounts/{}", utf8_percent_encode(stripe_account, ESCAPED));
    ApiCall { path, form: None, idempotency_key: None }
}

/// Whose the key is.
pub fn own_account() -> ApiCall {
    ApiCall { path: "/v1/account".into(), form: None, idempotency_key: None }
}

/// The page where Stripe asks for what it needs to know.
pub fn link_account(stripe_account: &str, refresh_url: &str, return_url: &str) -> ApiCall {
    let pairs = [
        ("account", stripe_account),
        ("refresh_url", refresh_url),
        ("return_url", return_url),
        ("type", "account_onboarding"),
    ];
    ApiCall { path: "/v1/account_links".into(), form: Some(encoded(&pairs)), idempotency_key: None }
}

/// A transfer of a payout, as it is asked for and as it is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    pub payout: PayoutId,
    pub amount_minor: i64,
    /// Lower case.
    pub currency: String,
    pub destination: String,
}

/// The form of a transfer, which is kept and sent as it is each time.
pub fn transfer_form(transfer: &Transfer) -> String {
    let (id, amount) = (transfer.payout.to_string(), transfer.amount_minor.to_string());
    encoded(&[
        ("amount", &amount),
        ("currency", &transfer.currency),
        ("destination", &transfer.destination),
        ("transfer_group", &id),
        ("metadata[payout_id]", &id),
    ])
}

pub fn send_transfer(payout: PayoutId, form: String) -> ApiCall {
    ApiCall { path: "/v1/transfers".into(), form: Some(form), idempotency_key: Some(payout.to_string()) }
}

pub fn look_up_transfer(payout: PayoutId) -> ApiCall {
    let query = encoded(&[("limit", "100"), ("transfer_group", &payout.to_string())]);
    ApiCall { path: format!("/v1/transfers?{query}"), form: None, idempotency_key: None }
}

/// What an answer says about a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransferVerdict {
    /// With Stripe's id of it.
    Paid(String),
    /// Stripe has looked at it and will not: its code, if it gives one, and its words.
    Refused(String),
    /// Stripe has not even begun with it.
    NotTaken(String),
    Unclear(String),
}

/// What a look-up says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookUp {
    Found(String),
    None,
    Unclear(String),
}

fn object(body: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

/// Stripe's id of it, if this is the transfer that was asked for.
fn own_id(found: &Map<String, Value>, asked: &Transfer) -> Option<String> {
    let is_asked = text(found, "object") == Some("transfer")
        && found.get("amount").and_then(Value::as_i64) == Some(asked.amount_minor)
        && text(found, "currency") == Some(&asked.currency)
        && text(found, "transfer_group") == Some(asked.payout.to_string().as_str())
        && destination(found) == Some(&asked.destination);
    text(found, "id").filter(|id| is_asked && id.len() <= 255).map(str::to_owned)
}

fn destination(found: &Map<String, Value>) -> Option<&str> {
    match found.get("destination")? {
        Value::String(id) => Some(id),
        other => other.get("id")?.as_str(),
    }
}

/// Only an answer that is Stripe's own and leaves no other reading is taken as one.
pub fn read_transfer(reply: &Reply, asked: &Transfer) -> TransferVerdict {
    use TransferVerdict::{NotTaken, Paid, Refused, Unclear};
    let answer = match reply {
        Reply::Answer(answer) => answer,
        Reply::NotSent(reason) => return NotTaken(reason.clone()),
        Reply::Lost(reason) => return Unclear(reason.clone()),
    };
    let (status, body) = (answer.status, object(&answer.body));
    if status == 200 {
        let id = body.and_then(|body| own_id(&body, asked));
        return id.map_or_else(|| Unclear("Stripe's answer is not the transfer that was asked for".into()), Paid);
    }
    let error = body.as_ref().and_then(|body| body.get("error")).and_then(Value::as_object);
    let word = |name| error.and_then(|error| text(error, name)).unwrap_or_default();
    let (kind, code, message) = (word("type"), word("code"), word("message"));
    let said = if kind.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status} {kind} {code}") };
    match status {
        // A key that is not good, or too much at once: refused at the door. What has no word of Stripe's own may come from
        // something on the way back.
        401 | 403 | 429 if kind.ends_with("_error") => NotTaken(said),
        400 | 402 | 404 if ["invalid_request_error", "card_error"].contains(&kind) => Refused(match (code, message) {
            (_, "") => said,
            ("", message) => message.to_owned(),
            (code, message) => format!("{code}: {message}"),
        }),
        _ => Unclear(said),
    }
}

/// How far the clock of whoever gave this answer is from `now_ms`; 0 where it does not say.
pub fn differs(reply: &Reply, now_ms: i64) -> i64 {
    match reply {
        Reply::Answer(answer) => answer.at_ms.map_or(0, |at_ms| at_ms.saturating_sub(now_ms).saturating_abs()),
        Reply::NotSent(_) | Reply::Lost(_) => 0,
    }
}

/// `None` only when Stripe says in full that there is no transfer of this payout.
pub fn read_look_up(reply: &Reply, asked: &Transfer) -> LookUp {
    let answer = match reply {
        Reply::Answer(answer) => answer,
        Reply::NotSent(reason) | Reply::Lost(reason) => return LookUp::Unclear(reason.clone()),
    };
    let list = object(&answer.body).filter(|list| answer.status == 200 && text(list, "object") == Some("list"));
    let Some(list) = list else { return LookUp::Unclear(format!("HTTP {} for a look-up", answer.status)) };
    let Some(data) = list.get("data").and_then(Value::as_array) else {
        return LookUp::Unclear("a list without data".into());
    };
    let found = data.iter().filter_map(Value::as_object).find_map(|transfer| own_id(transfer, asked));
    match found {
        Some(id) => LookUp::Found(id),
        None if data.is_empty() && list.get("has_more") != Some(&Value::Bool(true)) => LookUp::None,
        None => LookUp::Unclear("Stripe has other transfers of this payout's group".into()),
    }
}

/// An account as Stripe has it, or why that is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountVerdict {
    Known(AccountState),
    /// Stripe has looked at the call and will not. The words are Stripe's.
    Refused(String),
    /// There is no such account for this key: it is closed, or has cut the tie, or the key is of another Stripe account or
    /// of its other mode. Stripe does not say which.
    Gone,
    Unavailable(String),
}

pub fn read_account(reply: &Reply) -> AccountVerdict {
    let answer = match reply {
        Reply::Answer(answer) => answer,
        Reply::NotSent(reason) | Reply::Lost(reason) => return AccountVerdict::Unavailable(reason.clone()),
    };
    let body = object(&answer.body).unwrap_or_default();
    if answer.status == 200 {
        let state = AccountState::read(&body);
        return state.map_or_else(|| AccountVerdict::Unavailable("no account".into()), AccountVerdict::Known);
    }
    let error = body.get("error").and_then(Value::as_object);
    let word = |name| error.and_then(|error| text(error, name)).unwrap_or_default();
    let said = format!("HTTP {} {} {}", answer.status, word("type"), word("code"));
    match (answer.status, word("type"), word("code")) {
        (403, "invalid_request_error", "account_invalid") | (404, "invalid_request_error", "resource_missing") => {
            AccountVerdict::Gone
        }
        (400 | 402 | 404, "", _) => AccountVerdict::Unavailable(said),
        (400 | 402 | 404, ..) => AccountVerdict::Refused(format!("{said}: {}", word("message"))),
        _ => AccountVerdict::Unavailable(said),
    }
}

/// The Stripe account that a key is of, as [`own_account`] is answered, and in which of its modes: connected accounts of
/// one are not to be seen in the other.
pub fn read_platform(reply: &Reply, api_key: &str) -> Result<String, String> {
    let AccountVerdict::Known(own) = read_account(reply) else {
        return Err(match reply {
            Reply::Answer(answer) => format!("HTTP {}", answer.status),
            Reply::NotSent(reason) | Reply::Lost(reason) => reason.clone(),
        });
    };
    let mode = if api_key.contains("_test_") { " (test mode)" } else { "" };
    Ok(format!("{}{mode}", own.id))
}

/// The address of the page that [`link_account`] asked for.
pub fn read_link(reply: &Reply) -> Result<String, String> {
    match reply {
        Reply::Answer(answer) if answer.status == 200 => {
            let url = object(&answer.body).and_then(|body| text(&body, "url").map(str::to_owned));
            url.filter(|url| url.starts_with("https://") || url.starts_with("http://")).ok_or("no link".into())
        }
        Reply::Answer(answer) => Err(format!("HTTP {}", answer.status)),
        Reply::NotSent(reason) | Reply::Lost(reason) => Err(reason.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn asked() -> Transfer {
        let destination = "acct_1".into();
        Transfer { payout: PayoutId(7), amount_minor: 2_500, currency: "usd".into(), destination }
    }

    fn answer(status: u16, body: &str) -> Reply {
        Reply::Answer(Answer { status, body: body.into(), at_ms: None })
    }

    fn transfer() -> Value {
        json!({ "id": "tr_1", "object": "transfer", "amount": 2_500, "currency": "usd", "destination": "acct_1",
                "transfer_group": PayoutId(7) })
    }

    #[test]
    fn only_the_very_transfer_is_paid() {
        let read = |body: &Value| read_transfer(&answer(200, &body.to_string()), &asked());
        assert_eq!(read(&transfer()), TransferVerdict::Paid("tr_1".into()));
        let mut expanded = transfer();
        expanded["destination"] = json!({ "id": "acct_1" });
        assert_eq!(read(&expanded), TransferVerdict::Paid("tr_1".into()));
        for (name, value) in [
            ("id", json!(null)),
            ("object", json!("payout")),
            ("amount", json!(2_501)),
            ("currency", json!("eur")),
            ("destination", json!("acct_2")),
            ("transfer_group", json!("po_2")),
        ] {
            let mut other = transfer();
            other[name] = value;
            assert!(matches!(read(&other), TransferVerdict::Unclear(_)), "{other}");
            let list = json!({ "object": "list", "data": [other], "has_more": false });
            assert!(matches!(read_look_up(&answer(200, &list.to_string()), &asked()), LookUp::Unclear(_)));
        }
    }

    #[test]
    fn each_answer_to_a_transfer() {
        let error = |kind: &str| json!({ "error": { "type": kind, "code": "c", "message": "No." } }).to_string();
        let invalid = error("invalid_request_error");
        for (reply, word) in [
            (answer(400, &invalid), "refused"),
            (answer(402, &error("card_error")), "refused"),
            (answer(404, &invalid), "refused"),
            (answer(400, &error("idempotency_error")), "unclear"),
            (answer(400, "<html>"), "unclear"),
            (answer(404, ""), "unclear"),
            (answer(409, &invalid), "unclear"),
            (answer(401, &invalid), "not taken"),
            (answer(403, &error("invalid_request_error")), "not taken"),
            (answer(401, ""), "unclear"),
            (answer(403, "<html>blocked</html>"), "unclear"),
            (answer(429, "{}"), "unclear"),
            (answer(429, &invalid), "not taken"),
            (answer(200, "{"), "unclear"),
            (answer(200, ""), "unclear"),
            (answer(201, &transfer().to_string()), "unclear"),
            (answer(302, ""), "unclear"),
            (answer(500, &error("api_error")), "unclear"),
            (answer(503, &invalid), "unclear"),
            (Reply::NotSent("no route".into()), "not taken"),
            (Reply::Lost("timed out".into()), "unclear"),
        ] {
            let is = match read_transfer(&reply, &asked()) {
                TransferVerdict::Paid(_) => "paid",
                TransferVerdict::Refused(_) => "refused",
                TransferVerdict::NotTaken(_) => "not taken",
                TransferVerdict::Unclear(_) => "unclear",
            };
            assert_eq!(is, word, "{reply:?}");
        }
    }

    #[test]
    fn a_refusal_is_kept_with_its_code() {
        let said = |code: &str, message: &str| {
            let error = json!({ "error": { "type": "invalid_request_error", "code": code, "message": message } });
            match read_transfer(&answer(400, &error.to_string()), &asked()) {
                TransferVerdict::Refused(said) => said,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(said("balance_insufficient", "No money."), "balance_insufficient: No money.");
        assert_eq!(said("", "No money."), "No money.");
        assert_eq!(said("account_closed", ""), "HTTP 400 invalid_request_error account_closed");
    }

    #[test]
    fn an_account_is_gone_only_in_stripe_s_own_words() {
        let error = |kind: &str, code: &str| json!({ "error": { "type": kind, "code": code } }).to_string();
        let invalid = "invalid_request_error";
        for (status, body, is_gone) in [
            (403, error(invalid, "account_invalid"), true),
            (404, error(invalid, "resource_missing"), true),
            (403, error(invalid, "more_permissions_required_for_application"), false),
            (403, error(invalid, "resource_missing"), false),
            (403, error("", "account_invalid"), false),
            (404, error(invalid, ""), false),
            (404, error(invalid, "account_invalid"), false),
            (401, error(invalid, "account_invalid"), false),
            (404, "<html>".into(), false),
        ] {
            let verdict = read_account(&answer(status, &body));
            assert_eq!(verdict == AccountVerdict::Gone, is_gone, "{status} {body}: {verdict:?}");
        }
    }

    #[test]
    fn a_key_is_of_an_account_and_a_mode() {
        let own = answer(200, &json!({ "id": "acct_1", "object": "account" }).to_string());
        assert_eq!(read_platform(&own, "sk_live_x").unwrap(), "acct_1");
        assert_eq!(read_platform(&own, "rk_test_x").unwrap(), "acct_1 (test mode)");
        assert_eq!(read_platform(&answer(403, "{}"), "sk_live_x").unwrap_err(), "HTTP 403");
        assert!(read_platform(&Reply::Lost("x".into()), "sk_live_x").is_err());
    }

    #[test]
    fn a_look_up_finds_nothing_only_if_stripe_says_so_in_full() {
        let read = |status, body: Value| read_look_up(&answer(status, &body.to_string()), &asked());
        let list = |data: Value, more: bool| json!({ "object": "list", "data": data, "has_more": more });
        assert_eq!(read(200, list(json!([]), false)), LookUp::None);
        assert_eq!(read(200, list(json!([transfer()]), false)), LookUp::Found("tr_1".into()));
        for (status, body) in [
            (200, list(json!([]), true)),
            (200, list(json!(null), false)),
            (200, json!({})),
            (200, json!({ "data": [] })),
            (404, list(json!([]), false)),
            (500, list(json!([]), false)),
        ] {
            assert!(matches!(read(status, body.clone()), LookUp::Unclear(_)), "{status} {body}");
        }
        assert!(matches!(read_look_up(&Reply::NotSent("x".into()), &asked()), LookUp::Unclear(_)));
    }

    #[test]
    fn forms_are_what_stripe_s_libraries_send() {
        let call = create_account(AccountId(1), Some("zoë+x y@example.com"), 0);
        assert_eq!(
            call.form.unwrap(),
            "type=express&email=zo%C3%AB%2Bx+y%40example.com&capabilities[transfers][requested]=true\
             &metadata[developer_id]=dev_0000000000001"
        );
        assert_eq!(call.idempotency_key.unwrap(), "dev_0000000000001");
        assert_eq!(create_account(AccountId(1), None, 2).idempotency_key.unwrap(), "dev_0000000000001-2");
        assert_eq!(retrieve_account("acct/../x").path, "/v1/accounts/acct%2F..%2Fx");
    }
}
