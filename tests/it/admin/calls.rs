//! The console's calls, as rows of the table that the tests of bad input and of keys go through.

use crate::calls::Presence::{Optional, Required};
use crate::calls::Rule::{Integer, Text};
use crate::calls::{Body, Call, Field, Who};

const MOST: i64 = 1_000_000_000_000;
const REASON: Field = Field("reason", Optional, Text(500));

const fn read(path: &'static str) -> Call {
    Call { method: "GET", path, who: Who::Gateway, body: Body::None, fields: &[], status: 200 }
}

const fn delete(path: &'static str, status: u16) -> Call {
    Call { method: "DELETE", status, ..read(path) }
}

const fn post(path: &'static str, body: Body, fields: &'static [Field], status: u16) -> Call {
    Call { method: "POST", path, who: Who::Gateway, body, fields, status }
}

/// Something that can be done without saying why; there is none of that id.
const fn order(path: &'static str) -> Call {
    post(path, Body::Optional(r#"{"reason":"checked"}"#), &[REASON], 404)
}

pub const CALLS: [Call; 37] = [
    read("/v1/admin/projects/default/developers"),
    read("/v1/admin/projects/default/developers/$DEVELOPER"),
    read("/v1/admin/projects/default/developers/$DEVELOPER/ledger"),
    read("/v1/admin/projects/default/developers/$DEVELOPER/referrals"),
    read("/v1/admin/projects/default/developers/$DEVELOPER/purchases"),
    read("/v1/admin/projects/default/developers/$DEVELOPER/payouts"),
    read("/v1/admin/projects/default/developers/$DEVELOPER/decisions"),
    post(
        "/v1/admin/projects/default/developers/$DEVELOPER/adjustments",
        Body::Required(r#"{"amount":100,"reason":"support case 7"}"#),
        &[Field("amount", Required, Integer(-MOST, MOST)), Field("reason", Required, Text(500))],
        201,
    ),
    post(
        "/v1/admin/projects/default/developers/$DEVELOPER/sign-out",
        Body::Optional(r#"{"reason":"lost laptop"}"#),
        &[REASON],
        200,
    ),
    order("/v1/admin/projects/default/developers/dev_0000000000001/keys/rotate"),
    delete("/v1/admin/projects/default/developers/dev_0000000000001/keys/$KEY_ID", 404),
    delete("/v1/admin/projects/default/developers/dev_0000000000001/code", 404),
    post(
        "/v1/admin/projects/default/developers/dev_0000000000001/erase",
        Body::Required(r#"{"confirm":"dev_0000000000001","reason":"asked to"}"#),
        &[Field("confirm", Required, Text(100)), Field("reason", Required, Text(500))],
        404,
    ),
    read("/v1/admin/projects/default/program"),
    Call {
        method: "PUT",
        ..post(
            "/v1/admin/projects/default/program",
            Body::Required(
                r#"{"version":1,"reason":"spring","program":{"unit":"credits","conversion":"first_call","rules":[],
                    "code_style":"hex8","sharing":{"text":"{url}"}}}"#,
            ),
            &[Field("version", Required, Integer(1, 1_000_000_000)), REASON],
            // The stage has changed it since.
            409,
        )
    },
    read("/v1/admin/projects/default/program/versions"),
    read("/v1/admin/projects/default/program/versions/1"),
    read("/v1/admin/projects/default/program/diff"),
    post(
        "/v1/admin/projects/default/program/preview",
        Body::Required(
            r#"{"days":30,"program":{"unit":"credits","conversion":"first_call","rules":[],"code_style":"hex8",
                "sharing":{"text":"{url}"}}}"#,
        ),
        &[Field("days", Optional, Integer(1, 3_660))],
        200,
    ),
    read("/v1/admin/projects/default/payouts"),
    Call { status: 404, ..read("/v1/admin/projects/default/payouts/po_0000000000001") },
    order("/v1/admin/projects/default/payouts/po_0000000000001/approve"),
    order("/v1/admin/projects/default/payouts/po_0000000000001/cancel"),
    order("/v1/admin/projects/default/payouts/po_0000000000001/retry"),
    order("/v1/admin/projects/default/payouts/po_0000000000001/resolve"),
    read("/v1/admin/projects/default/deliveries"),
    post(
        "/v1/admin/projects/default/deliveries/retry",
        Body::Required(r#"{"kind":"mail"}"#),
        &[Field("kind", Required, Text(20))],
        200,
    ),
    Call { status: 404, ..read("/v1/admin/projects/default/deliveries/out_0000000000001") },
    delete("/v1/admin/projects/default/deliveries/out_0000000000001", 404),
    Call { method: "POST", ..delete("/v1/admin/projects/default/deliveries/out_0000000000001/retry", 404) },
    read("/v1/admin/projects/default/keys"),
    post(
        "/v1/admin/projects/default/keys",
        Body::Required(r#"{"scopes":"usage:write","name":"billing"}"#),
        &[Field("scopes", Required, Text(100)), Field("name", Optional, Text(100))],
        201,
    ),
    delete("/v1/admin/projects/default/keys/key_0000000000001", 404),
    read("/v1/admin/projects/default/exports/ledger.csv"),
    read("/v1/admin/projects/default/exports/developers.csv"),
    read("/v1/admin/projects/default/exports/referrals.csv"),
    read("/v1/admin/projects/default/exports/payouts.csv"),
];
