//! Every token that must not be believed, for each algorithm.

use super::signer::{Signer, base64url, message, set_key};
use super::{LINK, STATS, error};
use crate::harness::{App, Reply};
use serde_json::{Value, json};

const ALGORITHMS: [&str; 4] = ["HS256", "RS256", "ES256", "EdDSA"];

fn ask(app: &App, token: &str) -> Reply {
    app.anonymous().with_key(token).get(LINK)
}

/// 401 in the envelope, and how to do better.
fn expect_refused(what: &str, reply: &Reply, words: &str) {
    assert_eq!(reply.status, 401, "{what}: {}", reply.body);
    assert_eq!(error(reply, 401), words, "{what}");
    assert_eq!(reply.header("WWW-Authenticate"), Some("Bearer"), "{what}");
}

fn good(app: &App) -> Value {
    json!({ "sub": "alice", "exp": app.now_ms() / 1_000 + 600 })
}

fn with(claims: &Value, name: &str, value: Value) -> Value {
    let mut claims = claims.clone();
    claims[name] = value;
    claims
}

/// A good token whose `place`-th character is another one.
fn altered(token: &str, place: usize) -> String {
    let mut text = token.as_bytes().to_vec();
    text[place] = if text[place] == b'A' { b'B' } else { b'A' };
    String::from_utf8(text).unwrap()
}

#[test]
fn good_tokens_of_each_algorithm() {
    let app = App::start();
    for algorithm in ALGORITHMS {
        let signer = Signer::new(algorithm);
        signer.introduce_to(&app, "default");
        let claims = json!({ "sub": algorithm, "exp": app.now_ms() / 1_000 + 600, "nbf": app.now_ms() / 1_000,
                             "iat": "0", "iss": ["https://app.example.com", 7], "aud": [{}, "other"], "extra": { "a": [1] } });
        for _ in 0..4 {
            assert_eq!(ask(&app, &signer.token(&claims)).status, 200, "{algorithm}");
        }
        let headers = json!({ "alg": algorithm, "typ": "at+jwt", "kid": "2026-01", "x": 1 });
        assert_eq!(ask(&app, &signer.token_with(&headers, &claims)).status, 200);
        assert_eq!(ask(&app, &signer.token_with(&json!({ "alg": algorithm }), &claims)).status, 200);
    }
    assert_eq!(app.sqlite3("SELECT group_concat(external_id) FROM account").trim(), "HS256,RS256,ES256,EdDSA");
}

#[test]
fn each_token_that_is_refused_by_each_algorithm() {
    let app = App::start();
    for algorithm in ALGORITHMS {
        let (signer, stranger) = (Signer::new(algorithm), Signer::new(algorithm));
        signer.introduce_to(&app, "default");
        let before = app.dump();
        let claims = good(&app);
        let now_s = app.now_ms() / 1_000;
        let mut without_exp = claims.clone();
        without_exp.as_object_mut().unwrap().remove("exp");
        let mut without_sub = claims.clone();
        without_sub.as_object_mut().unwrap().remove("sub");
        let no_sub = "The token has no sub in words.";
        for (what, claims, words) in [
            ("no exp", without_exp, "The token has no exp."),
            ("exp null", with(&claims, "exp", Value::Null), "The token's exp is not a number."),
            (
                "exp in words",
                with(&claims, "exp", json!((now_s + 600).to_string())),
                "The token's exp is not a number.",
            ),
            ("expired", with(&claims, "exp", json!(now_s - 60)), "The token has expired."),
            ("expired long ago", with(&claims, "exp", json!(i64::MIN)), "The token has expired."),
            ("negative fraction", with(&claims, "exp", json!(-1.5)), "The token has expired."),
            ("nbf to come", with(&claims, "nbf", json!(now_s + 61)), "The token is not good yet."),
            ("nbf far off", with(&claims, "nbf", json!(1e300)), "The token is not good yet."),
            ("nbf in words", with(&claims, "nbf", json!("now")), "The token's nbf is not a number."),
            ("no sub", without_sub, no_sub),
            ("sub null", with(&claims, "sub", Value::Null), no_sub),
            ("sub a number", with(&claims, "sub", json!(7)), no_sub),
            ("sub a list", with(&claims, "sub", json!(["alice"])), no_sub),
            ("sub empty", with(&claims, "sub", json!("")), "sub: An id has at least one character."),
            ("sub too long", with(&claims, "sub", json!("x".repeat(129))), "sub: Use at most 128 characters."),
            ("sub with NUL", with(&claims, "sub", json!("al\0ice")), "sub: Control characters are not accepted."),
            (
                "sub of ours",
                with(&claims, "sub", json!("dev_0000000000001")),
                "sub: An id of this form is refloop's own.",
            ),
            (
                "sub padded",
                with(&claims, "sub", json!(" alice")),
                "sub: An id neither starts nor ends with white space.",
            ),
        ] {
            expect_refused(&format!("{algorithm}, {what}"), &ask(&app, &signer.token(&claims)), words);
        }

        let token = signer.token(&claims);
        let bad_signature = "The token's signature is not good.";
        let (head, signature) = token.rsplit_once('.').unwrap();
        let other = with(&claims, "sub", json!("mallory"));
        let swapped = format!("{}.{signature}", message(&json!({ "alg": algorithm, "typ": "JWT" }), &other));
        let header = json!({ "alg": algorithm, "crit": ["b64"], "b64": false });
        for (what, token, words) in [
            ("another's key", stranger.token(&claims), bad_signature),
            ("other claims", swapped, bad_signature),
            ("an altered signature", altered(&token, head.len() + 9), bad_signature),
            ("half a signature", token[..head.len() + signature.len() / 2].to_owned(), bad_signature),
            ("no signature", format!("{head}."), bad_signature),
            ("a padded signature", format!("{token}="), bad_signature),
            ("a signature of zeros", format!("{head}.{}", base64url(&[0; 64])), bad_signature),
            (
                "an extension",
                signer.token_with(&header, &claims),
                "The token needs an extension that is not known here.",
            ),
            ("two parts", head.to_owned(), "This is not a signed token."),
            ("four parts", format!("{token}.x"), "This is not a signed token."),
            ("an empty part in front", format!(".{token}"), "This is not a signed token."),
            ("nothing but dots", "..".to_owned(), "The token's header does not read."),
            ("five parts, encrypted", format!("{token}.x.y"), "This is not a signed token."),
            ("huge", format!("{token}{}", "A".repeat(40_000)), "The token is too long."),
            ("huge claims", signer.token(&with(&claims, "pad", json!("x".repeat(9_000)))), "The token is too long."),
            ("a developer's key", "bw_live_guessed".to_owned(), "This is not a signed token."),
        ] {
            expect_refused(&format!("{algorithm}, {what}"), &ask(&app, &token), words);
        }
        assert!(app.dump() == before, "{algorithm}");
    }
}

#[test]
fn the_token_does_not_choose_the_algorithm() {
    let app = App::start();
    let claims = good(&app);
    let signers = ALGORITHMS.map(Signer::new);
    for project in &signers {
        project.introduce_to(&app, "default");
        let pinned = format!("Tokens of this project are signed with {}.", project.algorithm);
        for other in signers.iter().filter(|other| other.algorithm != project.algorithm) {
            expect_refused(other.algorithm, &ask(&app, &other.token(&claims)), &pinned);
        }
        // What everybody can read is no secret: an HMAC with the public key in it.
        for key in [project.key.clone(), format!("{}\n", project.key)] {
            for (algorithm, hash) in [("HS256", "sha256"), ("HS384", "sha384"), ("HS512", "sha512")] {
                let header = json!({ "alg": algorithm, "typ": "JWT" });
                let token = project.with_secret(&key, hash, &header, &claims);
                if project.algorithm == "HS256" && algorithm == "HS256" {
                    continue;
                }
                expect_refused(&format!("{algorithm} for {}", project.algorithm), &ask(&app, &token), &pinned);
            }
        }
        // The right signature below a wrong name, and names of nothing.
        for alg in ["RS384", "RS512", "PS256", "ES384"] {
            let token = project.token_with(&json!({ "alg": alg }), &claims);
            expect_refused(alg, &ask(&app, &token), &pinned);
        }
        for header in [
            json!({ "alg": "none" }),
            json!({ "alg": "None" }),
            json!({ "alg": "NONE" }),
            json!({ "alg": "" }),
            json!({ "alg": null }),
            json!({ "alg": 256 }),
            json!({ "alg": [project.algorithm] }),
            json!({ "alg": project.algorithm.to_lowercase() }),
            json!({ "typ": "JWT" }),
            json!({ "alg": project.algorithm, "crit": "exp" }),
            json!([project.algorithm]),
            json!(project.algorithm),
        ] {
            for token in [project.token_with(&header, &claims), format!("{}.", message(&header, &claims))] {
                expect_refused(&header.to_string(), &ask(&app, &token), "The token's header does not read.");
            }
        }
    }
    assert_eq!(app.sqlite3("SELECT count(*) FROM account").trim(), "0");
}

#[test]
fn what_is_signed_but_no_claims_is_refused() {
    let app = App::start();
    let signer = Signer::new("HS256");
    signer.introduce_to(&app, "default");
    for claims in [json!([]), json!("x"), json!(null), json!(7), json!([{ "sub": "alice", "exp": 9_999_999_999_i64 }])]
    {
        expect_refused(&claims.to_string(), &ask(&app, &signer.token(&claims)), "The token's claims do not read.");
    }
    expect_refused("{}", &ask(&app, &signer.token(&json!({}))), "The token has no exp.");
}

#[test]
fn a_minute_of_difference_between_clocks_is_allowed_and_no_more() {
    let app = App::start();
    let signer = Signer::new("HS256");
    signer.introduce_to(&app, "default");
    let now_s = app.now_ms() / 1_000;
    let token = |name: &str, at: Value| signer.token(&with(&good(&app), name, at));
    let status = |token: &str| ask(&app, token).status;
    let (fresh, ended, early) =
        (token("exp", json!(now_s)), token("exp", json!(now_s - 59)), token("nbf", json!(now_s + 60)));
    assert_eq!([&fresh, &ended, &early].map(|token| status(token)), [200; 3]);
    app.advance_ms(999);
    assert_eq!(status(&ended), 200);
    app.advance_ms(1);
    assert_eq!(status(&ended), 401, "it ended a minute ago");
    assert_eq!(status(&fresh), 200);
    app.advance_ms(58_999);
    assert_eq!(status(&fresh), 200);
    app.advance_ms(1);
    assert_eq!(status(&fresh), 401);
    // Fractions and times beyond all counting.
    let now_s = app.now_ms() / 1_000;
    assert_eq!(status(&token("exp", json!(now_s - 61))), 401);
    #[allow(clippy::cast_precision_loss)]
    let half_a_second_more = json!(now_s as f64 - 59.5);
    assert_eq!(status(&token("exp", half_a_second_more)), 200);
    for far in [json!(i64::MAX), json!(u64::MAX), json!(1e300)] {
        assert_eq!(status(&token("exp", far)), 200);
    }
    assert_eq!(status(&token("nbf", json!(now_s + 61))), 401);
    assert_eq!(status(&token("nbf", json!(i64::MIN))), 200);
}

#[test]
fn without_a_key_that_fits_no_token_is_good() {
    let app = App::start();
    let signers = ALGORITHMS.map(Signer::new);
    let claims = good(&app);
    let unset = "This project takes no tokens: it has no jwt.algorithm and jwt.key yet.";
    expect_refused("nothing", &ask(&app, &signers[0].token(&claims)), unset);
    app.sqlite3("UPDATE project SET jwt_algorithm = 'HS256'");
    expect_refused("no key", &ask(&app, &signers[0].token(&claims)), unset);

    let misfit = "This project's jwt.key does not go with its jwt.algorithm.";
    for (algorithm, signer) in
        ALGORITHMS.into_iter().flat_map(|algorithm| signers.iter().map(move |one| (algorithm, one)))
    {
        set_key(&app, "default", algorithm, &signer.key);
        if algorithm == signer.algorithm {
            assert_eq!(ask(&app, &signer.token(&claims)).status, 200);
        } else {
            expect_refused(
                &format!("{} for {algorithm}", signer.algorithm),
                &ask(&app, &signer.token(&claims)),
                misfit,
            );
        }
    }
    let p384 = Signer::new("ES384");
    let cut = |pem: &str| {
        pem.lines().enumerate().filter(|(n, _)| *n != 1).map(|(_, line)| line).collect::<Vec<_>>().join("\n")
    };
    let short = |pem: &str| pem.replace("MCowBQYDK2VwAyEA", "MBUwBQYDK2VwAwwA");
    for (algorithm, key) in [
        ("ES256", p384.key.clone()),
        ("RS256", signers[1].private_key()),
        ("ES256", signers[2].private_key()),
        ("EdDSA", signers[3].private_key()),
        ("RS256", cut(&signers[1].key)),
        ("EdDSA", short(&signers[3].key)),
        ("EdDSA", "-----BEGIN PUBLIC KEY-----\nMBMwBQYDK2VwAwoAAAECAwQFBgcI\n-----END PUBLIC KEY-----".to_owned()),
        ("HS256", signers[1].private_key()),
        ("HS256", String::new()),
        ("HS256", "\n".to_owned()),
        ("RS256", "x".to_owned()),
    ] {
        set_key(&app, "default", algorithm, &key);
        expect_refused(&format!("{algorithm}: {key}"), &ask(&app, &signers[0].token(&claims)), misfit);
    }
}

#[test]
fn the_line_end_of_a_key_file_is_not_part_of_the_secret() {
    let app = App::start();
    let signer = Signer::new("HS256");
    for end in ["\n", "\r\n", "\n\n"] {
        set_key(&app, "default", "HS256", &format!("{}{end}", signer.key));
        assert_eq!(ask(&app, &signer.token(&good(&app))).status, 200);
    }
}

#[test]
fn a_new_key_holds_at_once_and_the_old_one_no_more() {
    let app = App::start();
    let (old, new) = (Signer::new("EdDSA"), Signer::new("EdDSA"));
    old.introduce_to(&app, "default");
    assert_eq!(ask(&app, &old.token(&good(&app))).status, 200);
    new.introduce_to(&app, "default");
    assert_eq!(ask(&app, &new.token(&good(&app))).status, 200);
    assert_eq!(ask(&app, &old.token(&good(&app))).status, 401);
}

#[test]
fn a_token_of_another_project_is_refused() {
    let app = App::start();
    let (ours, acmes) = (Signer::new("HS256"), Signer::new("HS256"));
    ours.introduce_to(&app, "default");
    app.project("acme", refloop::domain::program::Preset::Bonus, "live");
    app.sqlite3("UPDATE project SET host = 'acme.example' WHERE slug = 'acme'");
    acmes.introduce_to(&app, "acme");
    let status = |signer: &Signer, host: &str| {
        let client = app.anonymous().with_key(&signer.token(&good(&app)));
        client.send("GET", STATS, &[("Host", host)], Vec::new()).status
    };
    assert_eq!([status(&ours, "127.0.0.1"), status(&acmes, "acme.example")], [200, 200]);
    assert_eq!([status(&ours, "acme.example"), status(&acmes, "127.0.0.1")], [401, 401]);
}

#[test]
fn only_a_bearer_token_is_looked_at() {
    let app = App::start();
    let signer = Signer::new("HS256");
    signer.introduce_to(&app, "default");
    let token = signer.token(&good(&app));
    let missing = "Send a token as Authorization: Bearer <token>.";
    expect_refused("none", &app.anonymous().get(LINK), missing);
    for header in ["", "Bearer", "Bearer ", &token, &format!("Basic {token}"), &format!("Token {token}")] {
        let reply = app.anonymous().send("GET", LINK, &[("Authorization", header)], Vec::new());
        expect_refused(header, &reply, missing);
    }
    for header in [format!("bearer {token}"), format!("BEARER  {token}")] {
        assert_eq!(app.anonymous().send("GET", LINK, &[("Authorization", &header)], Vec::new()).status, 200);
    }
    assert_eq!(app.anonymous().get(&format!("{LINK}?access_token={token}")).status, 401);
}
