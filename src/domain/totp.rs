//! Codes of an authenticator app, by RFC 6238: SHA-1, six digits, thirty seconds, which is what all of the apps know.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;

/// In bytes, as RFC 4226 recommends.
pub const SECRET_LENGTH: usize = 20;
pub const STEP_MS: i64 = 30_000;
/// Steps before and after the present one that are taken as well, for clocks that differ and fingers that are slow.
const LEEWAY: i64 = 1;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

pub type Secret = [u8; SECRET_LENGTH];

/// The code of a step.
pub fn code(secret: &Secret, step: i64) -> String {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret) else { return String::new() };
    mac.update(&step.to_be_bytes());
    let digest = mac.finalize().into_bytes();
    let offset = usize::from(digest[digest.len() - 1] & 0xf);
    let word = digest[offset..offset + 4].iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
    format!("{:06}", (word & 0x7fff_ffff) % 1_000_000)
}

/// The step whose code this is, if it is one of now and newer than the newest that was taken: a code is good once.
pub fn step_of(secret: &Secret, typed: &str, now_ms: i64, newest_step: i64) -> Option<i64> {
    let typed: String = typed.chars().filter(|c| !c.is_whitespace()).collect();
    let now = now_ms.div_euclid(STEP_MS);
    let steps = now - LEEWAY..=now + LEEWAY;
    // All are looked at, so that the time it takes says nothing.
    steps
        .filter(|step| bool::from(code(secret, *step).as_bytes().ct_eq(typed.as_bytes())))
        .find(|step| *step > newest_step)
}

/// A secret as it is typed into an app.
pub fn base32(secret: &[u8]) -> String {
    let mut text = String::new();
    let (mut bits, mut count) = (0_u32, 0);
    for byte in secret {
        bits = bits << 8 | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(char::from(BASE32[usize::try_from(bits >> count & 31).unwrap_or(0)]));
        }
    }
    text
}

/// Reads what [`base32`] has written.
pub fn from_base32(text: &str) -> Option<Secret> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.bytes() {
        let value = BASE32.iter().position(|known| *known == letter)?;
        bits = bits << 5 | u32::try_from(value).ok()?;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    bytes.try_into().ok()
}

/// What the QR code says to an app. `email` is whose it is.
pub fn uri(secret: &Secret, email: &str) -> String {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    let label = utf8_percent_encode(email, NON_ALPHANUMERIC);
    format!("otpauth://totp/refloop:{label}?secret={}&issuer=refloop", base32(secret))
}

/// Ten random bytes as a recovery code.
pub fn recovery_code(bytes: [u8; 10]) -> String {
    let text = base32(&bytes).to_lowercase();
    format!("{}-{}-{}-{}", &text[..4], &text[4..8], &text[8..12], &text[12..])
}

/// A recovery code as it is compared: however it was typed.
pub fn plain_recovery_code(typed: &str) -> String {
    typed.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &Secret = b"12345678901234567890";

    #[test]
    fn the_codes_of_the_rfc() {
        for (seconds, digits) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code(SECRET, seconds / 30), digits);
            assert_eq!(step_of(SECRET, digits, seconds * 1_000, 0), Some(seconds / 30));
        }
    }

    #[test]
    fn a_code_is_good_once_and_for_a_minute_and_a_half() {
        let now_ms = 1_234_567_890_000;
        let step = now_ms / 30_000;
        for (offset, taken) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let typed = code(SECRET, step + offset);
            assert_eq!(step_of(SECRET, &typed, now_ms, 0), taken.then_some(step + offset), "{offset}");
        }
        let typed = code(SECRET, step);
        assert_eq!(step_of(SECRET, &format!(" {} {} ", &typed[..3], &typed[3..]), now_ms, step - 1), Some(step));
        assert_eq!(step_of(SECRET, &typed, now_ms, step), None, "it was taken");
        assert_eq!(step_of(SECRET, &code(SECRET, step - 1), now_ms, step), None, "an older one is no good either");
        for typed in ["", "0", "00592", "0059240", "abcdef"] {
            assert_eq!(step_of(SECRET, typed, now_ms, 0), None, "{typed}");
        }
    }

    #[test]
    fn secrets_are_written_and_read() {
        assert_eq!(base32(SECRET), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(from_base32(&base32(SECRET)).as_ref(), Some(SECRET));
        for text in ["", "GEZD", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ1", "gezdgnbvgy3tqojqgezdgnbvgy3tqojq"] {
            assert_eq!(from_base32(text), None, "{text}");
        }
        assert_eq!(
            uri(SECRET, "op@example.com"),
            "otpauth://totp/refloop:op%40example%2Ecom?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=refloop"
        );
    }

    #[test]
    fn recovery_codes_read_however_they_are_typed() {
        let code = recovery_code([0xff, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(code.len(), 19);
        assert_eq!(plain_recovery_code(&code), plain_recovery_code(&code.replace('-', " ").to_uppercase()));
    }
}
