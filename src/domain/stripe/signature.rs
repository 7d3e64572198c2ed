//! The header that Stripe signs its deliveries with: `t=1768471200,v1=5257a8…`, several `v1` while secrets are rotated.

use crate::domain::error::{Error, Kind, Result};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How far the time that was signed may be from this machine's, either way.
pub const TOLERANCE_S: i64 = 300;

/// Secrets that are tried; more are for nothing but work.
pub const MOST_SECRETS: usize = 16;

fn refusal(code: &'static str, message: &'static str) -> Error {
    Error::new(Kind::Unauthenticated, code, message)
}

/// `Unauthenticated` unless one of the secrets has signed this body, and not long ago: `missing_signature`,
/// `invalid_signature` or `signature_expired`. Only scheme `v1` counts.
pub fn verify(header: Option<&str>, body: &[u8], secrets: &[String], now_ms: i64) -> Result<()> {
    let header = header.ok_or_else(|| refusal("missing_signature", "Stripe-Signature is missing."))?;
    let (mut times, mut signatures) = (Vec::new(), Vec::new());
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", time)) => times.push(time),
            Some(("v1", signature)) => signatures.extend(hex::decode(signature).ok()),
            _ => (),
        }
    }
    let wrong = || refusal("invalid_signature", "Stripe-Signature does not fit this body and this project's secrets.");
    let [time] = times[..] else { return Err(wrong()) };
    // Digits alone: it is signed as it is written.
    let seconds = Some(time).filter(|time| time.bytes().all(|b| b.is_ascii_digit()));
    let seconds = seconds.and_then(|time| time.parse::<i64>().ok()).ok_or_else(wrong)?;
    let signed_by = |secret: &String| {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
        mac.update(time.as_bytes());
        mac.update(b".");
        mac.update(body);
        // In constant time, each of them.
        signatures.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
    };
    if !secrets.iter().take(MOST_SECRETS).any(signed_by) {
        return Err(wrong());
    }
    // Last, so that nobody without a secret learns anything about the clock.
    if (now_ms.div_euclid(1_000) - seconds).abs() > TOLERANCE_S {
        return Err(refusal("signature_expired", "This was signed more than five minutes from now."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"id":"evt_1"}"#;
    /// By `printf '1768471200.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_new`.
    const SIGNED: &str = "de155a55a24bc2adac38ebf1c3e4191cac288b12815e12ef543ccd39fae1b789";

    fn check(header: Option<&str>, body: &[u8], now_s: i64) -> &'static str {
        let secrets = ["whsec_old".to_owned(), "whsec_new".to_owned()];
        verify(header, body, &secrets, now_s * 1_000 + 999).map_or_else(|refusal| refusal.code, |()| "good")
    }

    #[test]
    fn each_header() {
        const NOW: i64 = 1_768_471_200;
        let good = format!("t={NOW},v1={SIGNED}");
        for (header, now_s, verdict) in [
            (good.clone(), NOW, "good"),
            (good.clone(), NOW + 300, "good"),
            (good.clone(), NOW + 301, "signature_expired"),
            (good.clone(), NOW - 300, "good"),
            (good.clone(), NOW - 301, "signature_expired"),
            (format!("t={NOW}, v1={SIGNED}"), NOW, "good"),
            (format!("t={NOW},v1={},v1={SIGNED},v0=x", "0".repeat(64)), NOW, "good"),
            (format!("t={NOW},v1={}", SIGNED.to_uppercase()), NOW, "good"),
            (format!("t={NOW},v0={SIGNED}"), NOW, "invalid_signature"),
            (format!("t={NOW},v1={}", &SIGNED[..62]), NOW, "invalid_signature"),
            (format!("t={NOW},v1={SIGNED}00"), NOW, "invalid_signature"),
            (format!("t={NOW},v1="), NOW, "invalid_signature"),
            (format!("t={NOW},v1=zz"), NOW, "invalid_signature"),
            (format!("t={},v1={SIGNED}", NOW + 1), NOW, "invalid_signature"),
            (format!("t=+{NOW},v1={SIGNED}"), NOW, "invalid_signature"),
            (format!("t={NOW},t={NOW},v1={SIGNED}"), NOW, "invalid_signature"),
            (format!("v1={SIGNED}"), NOW, "invalid_signature"),
            (format!("t=99999999999999999999,v1={SIGNED}"), NOW, "invalid_signature"),
            (String::new(), NOW, "invalid_signature"),
        ] {
            assert_eq!(check(Some(&header), BODY, now_s), verdict, "{header}");
        }
        assert_eq!(check(None, BODY, NOW), "missing_signature");
        assert_eq!(check(Some(&good), br#"{"id":"evt_2"}"#, NOW), "invalid_signature");
        let nobody: &[String] = &[];
        assert!(verify(Some(&good), BODY, nobody, NOW * 1_000).is_err());
    }
}
