//! Methods, paths and query strings that no call has.

use crate::calls::{CALLS_OF_THE_API, Stage, Who};
use std::collections::{BTreeMap, BTreeSet};

const PAGES: &[(&str, &[&str])] = &[
    ("/", &["GET", "HEAD"]),
    ("/signup", &["GET", "HEAD", "POST"]),
    ("/login", &["GET", "HEAD", "POST"]),
    ("/logout", &["POST"]),
    ("/account", &["GET", "HEAD", "POST"]),
    ("/account/erased", &["GET", "HEAD"]),
    ("/dashboard/code", &["POST"]),
    ("/dashboard/confirm", &["POST"]),
    ("/dashboard/partner", &["GET", "HEAD", "POST"]),
    ("/dashboard/partner/agreement", &["GET", "HEAD"]),
    ("/leaderboard", &["GET", "HEAD"]),
    ("/r/ALICE2026", &["GET", "HEAD", "POST"]),
    ("/ref.js", &["GET", "HEAD"]),
    ("/forgot", &["GET", "HEAD", "POST"]),
    ("/reset", &["GET", "HEAD", "POST"]),
    ("/confirm", &["GET", "HEAD", "POST"]),
    ("/confirm/again", &["GET", "HEAD", "POST"]),
    ("/unsubscribe", &["GET", "HEAD", "POST"]),
    ("/admin", &["GET", "HEAD"]),
    ("/admin/login", &["GET", "HEAD", "POST"]),
    ("/admin/logout", &["POST"]),
    ("/admin/default/developers", &["GET", "HEAD"]),
    ("/admin/default/developers/dev_0000000000001", &["GET", "HEAD", "POST"]),
    ("/admin/default/program", &["GET", "HEAD", "POST"]),
    ("/admin/default/program/preview", &["POST"]),
    ("/admin/default/payouts", &["GET", "HEAD", "POST"]),
    ("/admin/default/deliveries", &["GET", "HEAD", "POST"]),
    ("/admin/default/deliveries/out_0000000000001", &["GET", "HEAD"]),
    ("/admin/default/keys", &["GET", "HEAD", "POST"]),
    ("/admin/default/exports", &["GET", "HEAD"]),
    ("/admin/login/code", &["GET", "HEAD", "POST"]),
    ("/admin/setup", &["GET", "HEAD", "POST"]),
    ("/admin/join", &["GET", "HEAD", "POST"]),
    ("/admin/projects", &["GET", "HEAD", "POST"]),
    ("/admin/operators", &["GET", "HEAD", "POST"]),
    ("/admin/account", &["GET", "HEAD", "POST"]),
    ("/admin/limits", &["GET", "HEAD", "POST"]),
    ("/admin/default", &["GET", "HEAD"]),
    ("/admin/default/audit", &["GET", "HEAD"]),
    ("/admin/default/audit.csv", &["GET", "HEAD"]),
    ("/admin/default/audit.jsonl", &["GET", "HEAD"]),
    ("/admin/default/settings", &["GET", "HEAD", "POST"]),
    // For owners who are signed in, not for keys.
    ("/v1/admin/projects/default/projects", &["POST"]),
    ("/v1/admin/projects/default/operators/op_0000000000001", &["PATCH", "DELETE"]),
    ("/v1/admin/projects/default/invitations", &["POST"]),
    ("/v1/admin/projects/default/account", &["GET", "HEAD"]),
    ("/v1/admin/projects/default/account/password", &["POST"]),
    ("/v1/admin/projects/default/account/second-factor", &["POST", "PUT"]),
    ("/v1/admin/projects/default/account/second-factor/off", &["POST"]),
    ("/v1/admin/projects/default/account/sessions", &["DELETE"]),
    ("/v1/admin/projects/default/account/sessions/ses_0000000000001", &["DELETE"]),
    ("/v1/admin/projects/default/invitations/inv_0000000000001", &["DELETE"]),
    ("/v1/admin/projects/default/limits/signup", &["PUT", "DELETE"]),
    ("/v1/admin/projects/default/limits/signup/lift", &["POST"]),
    ("/qr/ALICE2026.svg", &["GET", "HEAD"]),
    ("/assets/refloop.css", &["GET", "HEAD"]),
    ("/assets/refloop.js", &["GET", "HEAD"]),
    ("/assets/review.js", &["GET", "HEAD"]),
    ("/admin/default/review", &["GET", "HEAD", "POST"]),
    ("/admin/default/review/reject", &["GET", "HEAD", "POST"]),
    ("/admin/default/review/ref_0000000000000", &["GET", "HEAD"]),
    ("/assets/console.css", &["GET", "HEAD"]),
];

#[test]
fn other_methods_are_405_and_say_which_there_are() {
    let stage = Stage::new();
    let mut paths: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for call in CALLS_OF_THE_API {
        let methods = paths.entry(stage.path(call)).or_default();
        methods.insert(call.method);
        if call.method == "GET" {
            methods.insert("HEAD");
        }
    }
    paths.extend(PAGES.iter().map(|(path, methods)| ((*path).to_owned(), methods.iter().copied().collect())));
    stage.unchanged("another method", || {
        for (path, allowed) in &paths {
            for method in
                ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "get", "PROPFIND"]
            {
                if allowed.contains(method) {
                    continue;
                }
                for who in [Who::Public, Who::Developer, Who::Gateway] {
                    let headers = [("Content-Type", "application/json")];
                    let reply = stage.client(who).send(method, path, &headers, b"{}".to_vec());
                    assert_eq!(reply.status, 405, "{method} {path}: {}", reply.body);
                    if method != "HEAD" {
                        assert_eq!(reply.problem(405), "method_not_allowed", "{method} {path}");
                    }
                    let allow: BTreeSet<&str> = reply.header("Allow").unwrap_or_default().split(", ").collect();
                    assert_eq!(&allow, allowed, "{method} {path}");
                }
            }
        }
    });
}

#[test]
fn paths_that_are_not_there_are_404() {
    let stage = Stage::new();
    let paths = [
        "/v1",
        "/v1/",
        "/v1/developers",
        "/v1/developers/me/",
        "/v1//developers/me",
        "/v1/developers/ME",
        "/v1/developers/me%00",
        "/v1/developers/me%ff",
        "/v1/developers/m%zz",
        "/v1/developers/me%",
        "/v1/developers/../developers/me/x",
        "/v1/developers/api-keys/%2e%2e%2f",
        "/v2/developers/me",
        "/api/",
        "/healthz/x",
        "/%00",
        "/%",
        "/%ff%fe",
        "/%c0%ae%c0%ae/etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/assets/../Cargo.toml",
        "/assets/%2e%2e/Cargo.toml",
        "/assets/",
        "/assets/refloop.css%00",
        "/signup%00",
        "/signup/",
    ];
    stage.unchanged("no such path", || {
        for path in paths {
            for method in ["GET", "POST", "DELETE"] {
                let headers = [("Content-Type", "application/json")];
                let reply = stage.client(Who::Developer).send(method, path, &headers, b"{}".to_vec());
                let code = if path.contains("api-keys/") && method != "DELETE" { 405 } else { 404 };
                assert_eq!(reply.status, code, "{method} {path}: {}", reply.body);
                reply.problem(code);
            }
        }
    });
}

#[test]
fn ids_in_paths_that_do_not_read_are_404() {
    let stage = Stage::new();
    let long = "0".repeat(10_000);
    stage.unchanged("a bad id", || {
        for id in
            ["x", "key_", "key_0", "key_zzzzzzzzzzzzz", "0", "-1", "%00", "%ff", "%", "%zz", "%0a", "%e2%80%ae", &long]
        {
            let reply = stage.client(Who::Developer).delete(&format!("/v1/developers/api-keys/{id}"));
            assert_eq!(reply.problem(404), "not_found", "{id:.40}");
            let reply = stage.app.anonymous().get(&format!("/qr/{id}.svg"));
            assert_eq!(reply.problem(404), "not_found", "{id:.40}");
        }
    });
}

const AUDIT: &str = "/v1/admin/projects/default/audit";
/// A code and a list of the projects API.
const CODE_LIST: &str = "/api/billstack/teams/default/projects/default/referrals/codes";
const ALICES_CODE: &str = "/api/billstack/teams/default/projects/default/referrals/codes/ALICE2026";

/// Parameters of reads, and what they cannot be beside what no parameter can be.
const PARAMETERS: [(Who, &str, &str, &[&str]); 30] = [
    (Who::Developer, "/v1/developers/referrals", "limit", &["0", "201"]),
    (Who::Developer, "/v1/developers/referrals", "cursor", &["cur_0", "cur_zzzzzzzzzzzzz", "ref_0000000000001"]),
    (Who::Developer, "/v1/developers/referrals", "status", &["SIGNED_UP", "signed_up,active", "nothing"]),
    (Who::Developer, "/v1/developers/referral-stats", "days", &["0", "367"]),
    (Who::Developer, "/v1/developers/ledger", "limit", &["0", "201"]),
    (Who::Developer, "/v1/developers/ledger", "cursor", &["cur_0", "cur_00000000000001"]),
    (Who::Developer, "/v1/developers/ledger", "from", &["2026-13-01", "1969-01-01", "99999-01-01", "0"]),
    (Who::Developer, "/v1/developers/ledger", "to", &["2026-02-30", "tomorrow", "10:00"]),
    (Who::Developer, "/v1/developers/ledger", "status", &["nothing", "PENDING,PAID"]),
    (Who::Developer, "/v1/developers/ledger.csv", "from", &["2026-13-01"]),
    (Who::Developer, "/v1/developers/ledger.csv", "to", &["tomorrow"]),
    (Who::Developer, "/v1/developers/ledger.csv", "status", &["nothing"]),
    (Who::Public, "/v1/leaderboard", "period", &["ALL", "never", "0"]),
    (Who::Gateway, CODE_LIST, "limit", &["0", "201"]),
    (Who::Gateway, CODE_LIST, "offset", &["9223372036854775809"]),
    (Who::Gateway, CODE_LIST, "activeOnly", &["0", "1", "TRUE", "no"]),
    (Who::Gateway, ALICES_CODE, "limit", &["0", "1001"]),
    (Who::Gateway, ALICES_CODE, "offset", &["9223372036854775809"]),
    (Who::Gateway, "/v1/admin/projects/default/developers", "limit", &["0", "201"]),
    (Who::Gateway, "/v1/admin/projects/default/developers", "cursor", &["cur_0", "dev_0000000000001"]),
    (Who::Gateway, "/v1/admin/projects/default/payouts", "status", &["OPEN", "open,paid"]),
    (Who::Gateway, "/v1/admin/projects/default/deliveries", "state", &["done", "parked,waiting"]),
    (Who::Gateway, "/v1/admin/projects/default/deliveries", "kind", &["pigeon", "MAIL"]),
    (Who::Gateway, "/v1/admin/projects/default/program/diff", "from", &["0"]),
    (Who::Gateway, AUDIT, "limit", &["0", "201"]),
    (Who::Gateway, AUDIT, "cursor", &["cur_0"]),
    (Who::Gateway, AUDIT, "from", &["2026-13-01"]),
    (Who::Gateway, AUDIT, "to", &["tomorrow"]),
    (Who::Gateway, "/v1/admin/projects/default/overview", "days", &["0", "367"]),
    // Takes none, but is asked with some.
    (Who::Developer, "/v1/developers/referrals", "limit", &[]),
];

#[test]
fn parameters_that_cannot_be_are_422() {
    let stage = Stage::new();
    let long = "9".repeat(5_000);
    let never = ["x", "-1", "1.5", "1e3", "9223372036854775808", "%00", "%0a", "+", "%20", "%e2%80%ae", "%27--", &long];
    stage.unchanged("a bad parameter", || {
        for (who, path, name, wrong) in PARAMETERS {
            for value in never.iter().chain(wrong) {
                let reply = stage.client(who).get(&format!("{path}?{name}={value}"));
                assert_eq!(reply.status, 422, "{path}?{name}={value:.40}: {:.300}", reply.body);
                let faults = reply.faults();
                assert!(faults[0].starts_with(&format!("{name}: ")), "{path}?{name}={value:.40}: {faults:?}");
            }
        }
    });
}

#[test]
fn query_strings_that_do_not_read_are_400() {
    let stage = Stage::new();
    stage.unchanged("a malformed query", || {
        for (who, path, name, _) in PARAMETERS {
            for query in [
                format!("{name}=%ff"),
                format!("{name}=%c0%80"),
                format!("{name}=%ed%a0%80"),
                format!("{name}=%"),
                format!("{name}=%4"),
                format!("{name}=%zz"),
                format!("{name}=&{name}="),
                format!("{name}=1&x=2&{name}=1"),
                "x=1&x=2".to_owned(),
                "%ff=1".to_owned(),
                "%=1".to_owned(),
            ] {
                let reply = stage.client(who).get(&format!("{path}?{query}"));
                assert_eq!(reply.status, 400, "{path}?{query}: {:.300}", reply.body);
                assert_eq!(reply.problem(400), "malformed_query", "{path}?{query}");
            }
        }
    });
}
