//! Signed tokens of the team's own app (JWT, RFC 7519): whom the app has signed in.

use super::email::Email;
use super::error::{Error, Kind, Result};
use super::id::AccountId;
use super::text;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{Algorithm, DecodingKey, crypto, decode_header};
use serde_json::{Map, Number, Value};
use std::time::Duration;

/// By how much the app's clock may be off.
const LEEWAY_MS: i64 = 60_000;

/// Far above what an app puts into a token; what is longer is not worth the work.
const MOST_BYTES: usize = 8 * 1024;

/// A project's key and the one algorithm that its tokens are signed with. What a token says of its own algorithm never
/// chooses how it is checked.
pub struct Key {
    algorithm: Algorithm,
    decoding: DecodingKey,
}

impl Key {
    /// An HS256 secret, or the public key in PEM that goes with RS256, ES256 or EdDSA (Ed25519). `Invalid` for what is
    /// none.
    pub fn parse(algorithm: &str, text: &str) -> Result<Self> {
        let unusable = || Error::field("jwt.key", "invalid_key", format!("This is no key for {algorithm}."));
        // The line end of the file that it was kept in.
        let text = text.trim_end_matches(['\r', '\n']);
        let is_pem = text.contains("-----BEGIN");
        if text.contains("PRIVATE KEY-----") {
            return Err(unusable());
        }
        let (algorithm, decoding) = match algorithm {
            // A public key is known to everyone: as a secret it would let everyone sign.
            "HS256" if is_pem || text.is_empty() => return Err(unusable()),
            "HS256" => (Algorithm::HS256, Ok(DecodingKey::from_secret(text.as_bytes()))),
            "RS256" => (Algorithm::RS256, DecodingKey::from_rsa_pem(text.as_bytes())),
            "ES256" => (Algorithm::ES256, DecodingKey::from_ec_pem(text.as_bytes())),
            "EdDSA" => (Algorithm::EdDSA, DecodingKey::from_ed_pem(text.as_bytes())),
            _ => return Err(Error::field("jwt.algorithm", "invalid_algorithm", "Use HS256, RS256, ES256 or EdDSA.")),
        };
        let decoding = decoding.map_err(|_| unusable())?;
        let ed25519_bytes = decoding.try_get_as_bytes().map_or(0, <[u8]>::len);
        if algorithm == Algorithm::EdDSA && ed25519_bytes != 32 {
            return Err(unusable());
        }
        // A key of another curve is found out when it is first used.
        crypto::verify("", b"", &decoding, algorithm).map_err(|_| unusable())?;
        Ok(Self { algorithm, decoding })
    }
}

/// Whom a token names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// `sub`, the team's own id of the account.
    pub external_id: String,
    /// `email`, if the app says with `email_verified` that it is the subject's.
    pub verified_email: Option<Email>,
}

fn refused(detail: impl Into<String>) -> Error {
    Error::new(Kind::Unauthenticated, "invalid_token", detail)
}

/// Checks a token's signature and times, and reads whom it names. `Unauthenticated` for anything that is not in order.
/// `exp` is required, as a token without an end cannot be taken back.
pub fn check(token: &str, key: &Key, now_ms: i64) -> Result<Subject> {
    if token.len() > MOST_BYTES {
        return Err(refused("The token is too long."));
    }
    let signed = token.rsplit_once('.').filter(|(message, _)| message.matches('.').count() == 1);
    let (message, signature) = signed.ok_or_else(|| refused("This is not a signed token."))?;
    let header = decode_header(token).map_err(|_| refused("The token's header does not read."))?;
    if header.alg != key.algorithm {
        return Err(refused(format!("Tokens of this project are signed with {:?}.", key.algorithm)));
    }
    if header.crit.is_some() {
        return Err(refused("The token needs an extension that is not known here."));
    }
    // The library's own check of claims goes by its own clock and wants an audience; which one is meant, the key says.
    if !crypto::verify(signature, message.as_bytes(), &key.decoding, key.algorithm).unwrap_or(false) {
        return Err(refused("The token's signature is not good."));
    }
    let claims: Map<String, Value> =
        insecure_decode_claims(token).map_err(|_| refused("The token's claims do not read."))?;
    let expires_at_ms = time_ms(&claims, "exp")?.ok_or_else(|| refused("The token has no exp."))?;
    if now_ms >= expires_at_ms.saturating_add(LEEWAY_MS) {
        return Err(refused("The token has expired."));
    }
    if time_ms(&claims, "nbf")?.is_some_and(|from_ms| now_ms.saturating_add(LEEWAY_MS) < from_ms) {
        return Err(refused("The token is not good yet."));
    }
    subject(&claims)
}

/// A claim in seconds since 1970, perhaps with a fraction.
fn time_ms(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Number(seconds)) => Ok(Some(milliseconds(seconds))),
        Some(_) => Err(refused(format!("The token's {name} is not a number."))),
    }
}

/// Times beyond what can be counted are as good as the nearest that can.
fn milliseconds(seconds: &Number) -> i64 {
    if let Some(whole) = seconds.as_i64() {
        return whole.saturating_mul(1_000);
    }
    let seconds = seconds.as_f64().unwrap_or_default();
    if seconds < 0.0 {
        return 0;
    }
    let since_1970 = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX)
}

fn subject(claims: &Map<String, Value>) -> Result<Subject> {
    let id = claims.get("sub").and_then(Value::as_str).ok_or_else(|| refused("The token has no sub in words."))?;
    let external_id = text::client_id("sub", id).map_err(|fault| refused(fault.message))?;
    if external_id.parse::<AccountId>().is_ok() {
        // An account that the team calls so would be taken for the one that has this id.
        return Err(refused("sub: An id of this form is refloop's own."));
    }
    let verified = claims.get("email_verified") == Some(&Value::Bool(true));
    let email = claims.get("email").and_then(Value::as_str).filter(|_| verified);
    // An address that cannot be one names nobody; the subject is who it is all the same.
    let verified_email = email.and_then(|email| Email::parse("email", email).ok());
    Ok(Subject { external_id, verified_email })
}
