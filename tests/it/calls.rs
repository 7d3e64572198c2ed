//! Every call of the API with a good request: the table that the tests of bad input and of keys go through.
//! A new call is a new row.

use crate::admin::calls as admin;
use crate::harness::{App, Client, Developer};
use serde_json::{Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Public,
    Developer,
    Gateway,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    None,
    /// An empty body is an empty object.
    Optional(&'static str),
    Required(&'static str),
}

/// When a field may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Required,
    /// Absent or null.
    Optional,
    /// Absent, null, or an empty text, as forms send it.
    OptionalOrEmpty,
    /// Absent, but not null.
    NotNull,
}

#[derive(Debug, Clone, Copy)]
pub enum Rule {
    /// Printable, and at most so many characters.
    Text(usize),
    Integer(i64, i64),
    Boolean,
}

/// A field by the path that `errors[].field` names it with.
#[derive(Debug, Clone, Copy)]
pub struct Field(pub &'static str, pub Presence, pub Rule);

#[derive(Debug, Clone, Copy)]
pub struct Call {
    pub method: &'static str,
    pub path: &'static str,
    pub who: Who,
    pub body: Body,
    pub fields: &'static [Field],
    /// What the good request is answered with, when the rows are called in their order.
    pub status: u16,
}

const fn read(path: &'static str, who: Who) -> Call {
    Call { method: "GET", path, who, body: Body::None, fields: &[], status: 200 }
}

const fn delete(path: &'static str) -> Call {
    Call { method: "DELETE", path, who: Who::Developer, body: Body::None, fields: &[], status: 200 }
}

const fn post(path: &'static str, who: Who, body: &'static str, fields: &'static [Field], status: u16) -> Call {
    Call { method: "POST", path, who, body: Body::Required(body), fields, status }
}

use Presence::{NotNull, Optional, OptionalOrEmpty, Required};
use Rule::{Boolean, Integer, Text};

const ID: Field = Field("id", Required, Text(128));
const DEVELOPER_ID: Field = Field("developer_id", Required, Text(128));
const AMOUNT: Field = Field("amount", Required, Integer(1, 1_000_000_000_000));
const CALLS: Field = Field("calls", Required, Integer(0, 1_000_000_000));
const SPEND: Field = Field("spend", Optional, Integer(0, 1_000_000_000_000));
const REQUIRE: Field = Field("require", Optional, Text(4));

/// `$CODE` is Alice's code; `$DEVELOPER`, `$KEY` and `$KEY_ID` are Bob, his key, and the id of his second one.
pub const CALLS_OF_THE_API: &[Call] = &joined::<{ BASE.len() + admin::CALLS.len() }>(&admin::CALLS, BASE);

/// Both lists, one behind the other.
const fn joined<const ALL: usize>(first: &[Call], second: &[Call]) -> [Call; ALL] {
    let mut calls = [first[0]; ALL];
    let mut place = 0;
    while place < ALL {
        calls[place] = if place < first.len() { first[place] } else { second[place - first.len()] };
        place += 1;
    }
    calls
}

const BASE: &[Call] = &[
    read("/healthz", Who::Public),
    read("/readyz", Who::Public),
    read("/v1/ledger/head", Who::Public),
    read("/v1/leaderboard", Who::Public),
    // What ref.js reports.
    Call { method: "POST", path: "/r/$CODE", who: Who::Public, body: Body::None, fields: &[], status: 204 },
    post(
        "/v1/developers/signup",
        Who::Public,
        r#"{"email":"carol@carol.example","password":"secure-password","name":"Carol","referral_code":"$CODE"}"#,
        &[
            Field("email", Required, Text(254)),
            Field("password", Required, Text(128)),
            Field("name", Required, Text(100)),
            Field("referral_code", OptionalOrEmpty, Text(20)),
        ],
        201,
    ),
    Call {
        method: "POST",
        path: "/v1/developers/referral-code",
        who: Who::Developer,
        body: Body::Optional(r#"{"code":"BOBSCODE","max_uses":5}"#),
        fields: &[Field("code", Optional, Text(20)), Field("max_uses", Optional, Integer(1, 1_000_000_000))],
        status: 201,
    },
    read("/v1/developers/referrals", Who::Developer),
    read("/v1/developers/referral-stats", Who::Developer),
    read("/v1/developers/me", Who::Developer),
    read("/v1/developers/api-keys", Who::Developer),
    read("/v1/developers/ledger", Who::Developer),
    read("/v1/developers/ledger.csv", Who::Developer),
    post(
        "/v1/developers/referrals/apply",
        Who::Developer,
        r#"{"code":"$CODE"}"#,
        &[Field("code", Required, Text(20))],
        201,
    ),
    Call {
        method: "PATCH",
        path: "/v1/developers/me",
        who: Who::Developer,
        body: Body::Required(r#"{"name":"Bob B.","leaderboard_name":"bob"}"#),
        fields: &[Field("name", NotNull, Text(100)), Field("leaderboard_name", Optional, Text(40))],
        status: 200,
    },
    Call {
        method: "POST",
        path: "/v1/developers/api-keys",
        who: Who::Developer,
        body: Body::Optional(r#"{"name":"laptop"}"#),
        fields: &[Field("name", Optional, Text(100))],
        status: 201,
    },
    delete("/v1/developers/api-keys/$KEY_ID"),
    post(
        "/v1/usage",
        Who::Gateway,
        r#"{"id":"u-1","developer_id":"$DEVELOPER","calls":1,"spend":0,"require":"full"}"#,
        &[ID, DEVELOPER_ID, CALLS, SPEND, REQUIRE],
        200,
    ),
    post(
        "/v1/usage",
        Who::Gateway,
        r#"{"id":"u-2","external_id":"nobody","calls":1}"#,
        &[Field("external_id", Required, Text(128))],
        200,
    ),
    post(
        "/v1/usage",
        Who::Gateway,
        r#"{"id":"u-3","api_key":"$KEY","calls":1}"#,
        &[Field("api_key", Required, Text(128))],
        200,
    ),
    post(
        "/v1/usage",
        Who::Gateway,
        r#"{"events":[{"id":"u-4","developer_id":"$DEVELOPER","calls":1},
            {"id":"u-5","developer_id":"$DEVELOPER","calls":1,"spend":1,"require":"full"}]}"#,
        &[
            Field("events[0].id", Required, Text(128)),
            Field("events[0].calls", Required, Integer(0, 1_000_000_000)),
            Field("events[1].developer_id", Required, Text(128)),
            Field("events[1].spend", Optional, Integer(0, 1_000_000_000_000)),
            Field("events[1].require", Optional, Text(4)),
        ],
        200,
    ),
    post("/v1/keys/verify", Who::Gateway, r#"{"api_key":"$KEY"}"#, &[Field("api_key", Required, Text(128))], 200),
    post(
        "/v1/purchases",
        Who::Gateway,
        r#"{"id":"p-1","developer_id":"$DEVELOPER","amount":500,"currency":"usd","at":"2026-01-15T09:00:00Z"}"#,
        &[ID, DEVELOPER_ID, AMOUNT, Field("currency", Required, Text(3)), Field("at", Optional, Text(64))],
        201,
    ),
    post(
        "/v1/purchases",
        Who::Gateway,
        r#"{"id":"p-2","external_id":"nobody","amount":500,"currency":"usd"}"#,
        &[Field("external_id", Required, Text(128))],
        422,
    ),
    post(
        "/v1/refunds",
        Who::Gateway,
        r#"{"id":"r-1","purchase_id":"p-1","amount":100}"#,
        &[ID, Field("purchase_id", Required, Text(128)), AMOUNT],
        201,
    ),
    // The default program gives credits, which are not paid out.
    Call { status: 409, ..read("/v1/partner", Who::Developer) },
    Call { status: 409, ..read("/v1/partner/agreement", Who::Developer) },
    Call { status: 409, ..read("/v1/partner/agreements", Who::Developer) },
    post(
        "/v1/partner/upgrade",
        Who::Developer,
        r#"{"agreement_version":1,"signature":"Bob B.","accept":true}"#,
        &[
            Field("agreement_version", Required, Integer(1, 1_000_000_000)),
            Field("signature", Required, Text(100)),
            Field("accept", Required, Boolean),
        ],
        409,
    ),
    Call { method: "POST", status: 409, ..read("/v1/partner/connect", Who::Developer) },
    Call { method: "POST", status: 409, ..read("/v1/partner/downgrade", Who::Developer) },
    Call {
        method: "POST",
        path: "/v1/payouts",
        who: Who::Developer,
        body: Body::Optional(r#"{"amount":2500}"#),
        fields: &[Field("amount", Optional, Integer(1, 1_000_000_000_000))],
        status: 409,
    },
    read("/v1/payouts", Who::Developer),
    Call { status: 404, ..read("/v1/payouts/po_0000000000000", Who::Developer) },
    read("/api/billstack/teams/default/projects/default/referrals/config", Who::Gateway),
    Call {
        method: "PUT",
        path: "/api/billstack/teams/default/projects/default/referrals/config",
        who: Who::Gateway,
        body: Body::Required(
            r#"{"enabled":true,"referrerCreditAmount":1000,"refereeCreditAmount":500,"currency":"usd"}"#,
        ),
        fields: &[
            Field("enabled", Required, Boolean),
            Field("referrerCreditAmount", Required, Integer(0, 1_000_000_000_000)),
            Field("refereeCreditAmount", Required, Integer(0, 1_000_000_000_000)),
            Field("currency", Optional, Text(3)),
        ],
        // The default program pays for more than these fields can say.
        status: 409,
    },
    read("/api/billstack/teams/default/projects/default/referrals/codes", Who::Gateway),
    post(
        "/api/billstack/teams/default/projects/default/referrals/codes",
        Who::Gateway,
        r#"{"customerId":"pc_1"}"#,
        &[Field("customerId", Required, Text(128))],
        201,
    ),
    post(
        "/api/billstack/teams/default/projects/default/referrals/apply",
        Who::Gateway,
        r#"{"code":"$CODE","refereeCustomerId":"pc_2"}"#,
        &[Field("code", Required, Text(20)), Field("refereeCustomerId", Required, Text(128))],
        201,
    ),
    read("/api/billstack/teams/default/projects/default/referrals/codes/$CODE", Who::Gateway),
    Call {
        method: "DELETE",
        path: "/api/billstack/teams/default/projects/default/referrals/codes/$CODE",
        who: Who::Gateway,
        body: Body::None,
        fields: &[],
        status: 200,
    },
    read("/v1/admin/projects/default/referrals", Who::Gateway),
    Call { status: 404, ..read("/v1/admin/projects/default/referrals/ref_0000000000000", Who::Gateway) },
    post(
        "/v1/admin/projects/default/referrals/ref_0000000000000/clear",
        Who::Gateway,
        r#"{"reason":"in order"}"#,
        &[Field("reason", Required, Text(500))],
        404,
    ),
    post(
        "/v1/admin/projects/default/referrals/ref_0000000000000/reject",
        Who::Gateway,
        r#"{"reason":"made up"}"#,
        &[Field("reason", Required, Text(500))],
        404,
    ),
    post(
        "/v1/admin/projects/default/referrals/reject",
        Who::Gateway,
        r#"{"code":"$CODE","preview":true}"#,
        &[Field("code", Required, Text(20))],
        200,
    ),
    post(
        "/v1/admin/projects/default/referrals/reject",
        Who::Gateway,
        r#"{"code":"$CODE","digest":"another","reason":"made up"}"#,
        &[Field("digest", Required, Text(128)), Field("reason", Required, Text(500))],
        409,
    ),
    read("/v1/admin/projects/default/overview", Who::Gateway),
    read("/v1/admin/projects/default/settings", Who::Gateway),
    Call {
        method: "PATCH",
        path: "/v1/admin/projects/default/settings",
        who: Who::Gateway,
        body: Body::Required(r#"{"name":"Example API"}"#),
        fields: &[Field("name", NotNull, Text(100))],
        status: 200,
    },
    read("/v1/admin/projects/default/audit", Who::Gateway),
    read("/v1/admin/projects/default/audit/head", Who::Gateway),
    read("/v1/admin/projects/default/operators", Who::Gateway),
    read("/v1/admin/projects/default/limits", Who::Gateway),
    delete("/v1/developers/referral-code"),
    delete("/v1/developers/me"),
];

impl Call {
    pub fn template(&self) -> Option<&'static str> {
        match self.body {
            Body::None => None,
            Body::Optional(text) | Body::Required(text) => Some(text),
        }
    }

    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The most bytes that its body may have.
    pub fn limit(&self) -> usize {
        if self.path == "/v1/usage" { 1024 * 1024 } else { 64 * 1024 }
    }
}

/// The rows that take a body.
pub fn with_body() -> impl Iterator<Item = &'static Call> {
    CALLS_OF_THE_API.iter().filter(|call| call.body != Body::None)
}

/// Alice with a code, Bob with two keys, and a gateway, so that every row can be called.
pub struct Stage {
    pub app: App,
    pub bob: Developer,
    gateway: Client,
    code: String,
    key_id: String,
}

impl Stage {
    pub fn new() -> Self {
        Self::on(App::start())
    }

    pub fn on(app: App) -> Self {
        app.change_program(|program| program["leaderboard"]["enabled"] = json!(true));
        let code = app.developer("Alice").code();
        let bob = app.developer("Bob");
        let second = bob.post("/v1/developers/api-keys", json!({}));
        let key_id = second.json()["id"].as_str().unwrap().to_owned();
        Self { gateway: app.gateway(), app, bob, code, key_id }
    }

    pub fn fill(&self, template: &str) -> String {
        template
            .replace("$CODE", &self.code)
            .replace("$DEVELOPER", &self.bob.id)
            .replace("$KEY_ID", &self.key_id)
            .replace("$KEY", &self.bob.key)
    }

    pub fn path(&self, call: &Call) -> String {
        self.fill(call.path)
    }

    /// The good body of a row.
    pub fn document(&self, call: &Call) -> Value {
        call.template().map_or(Value::Null, |text| serde_json::from_str(&self.fill(text)).unwrap())
    }

    /// The good body as text; empty when the call has none.
    pub fn body(&self, call: &Call) -> String {
        call.template().map(|text| self.fill(text)).unwrap_or_default()
    }

    pub fn client(&self, who: Who) -> Client {
        match who {
            Who::Public => self.app.anonymous(),
            Who::Developer => self.bob.with_key(&self.bob.key),
            Who::Gateway => self.gateway.clone(),
        }
    }

    /// The key that the caller of a row sends, if any.
    pub fn key(&self, who: Who) -> Option<&str> {
        match who {
            Who::Public => None,
            Who::Developer => Some(&self.bob.key),
            Who::Gateway => self.gateway.key(),
        }
    }

    /// Runs what must change nothing, and compares the whole file.
    pub fn unchanged<T>(&self, what: &str, run: impl FnOnce() -> T) -> T {
        let before = self.app.dump();
        let result = run();
        assert!(self.app.dump() == before, "{what} changed the file");
        result
    }
}

#[test]
fn every_row_works_as_it_stands() {
    let stage = Stage::new();
    for call in CALLS_OF_THE_API {
        let reply = match call.body {
            Body::None => stage.client(call.who).send(call.method, &stage.path(call), &[], Vec::new()),
            _ => stage.client(call.who).json(call.method, &stage.path(call), &stage.document(call)),
        };
        assert_eq!(reply.status, call.status, "{}: {}", call.name(), reply.body);
    }
}
