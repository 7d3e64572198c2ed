//! Public keys in PEM, looked at closely enough to tell whether one fits an algorithm. Nothing is verified with them here.

/// The bytes of a SubjectPublicKeyInfo's algorithm: type and, for a curve, which.
const RSA: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
const P256: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const ED25519: &[u8] = &[6, 3, 0x2b, 0x65, 0x70];

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";

const BIT_STRING: u8 = 0x03;
const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;

/// RFC 7518 takes no smaller modulus, and what checks the tokens no larger one.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=4_096;

/// Whether a text is PEM of any sort.
pub fn is_pem(text: &str) -> bool {
    text.contains("-----BEGIN ")
}

/// Says in words why a text is not a public key for the algorithm.
pub fn check(algorithm: &str, pem: &str) -> Result<(), String> {
    if pem.contains("PRIVATE KEY-----") {
        return Err("This is a private key. Give the public one; the private one stays with who signs.".into());
    }
    let refusal = || {
        let kind = match algorithm {
            "RS256" => "an RSA public key of 2048 to 4096 bits",
            "ES256" => "a P-256 public key",
            _ => "an Ed25519 public key",
        };
        format!("{algorithm} wants {kind} in PEM ({BEGIN}).")
    };
    let der = block(pem).and_then(base64).ok_or_else(refusal)?;
    let (kind, key) = split(&der).ok_or_else(refusal)?;
    let is_fit = match algorithm {
        "RS256" => kind == RSA && is_rsa_key(key),
        "ES256" => kind == P256 && key.len() == 65 && key[0] == 4,
        _ => kind == ED25519 && key.len() == 32,
    };
    if is_fit { Ok(()) } else { Err(refusal()) }
}

/// What is between the two lines, if there is one such block and nothing else.
fn block(pem: &str) -> Option<&str> {
    let (body, rest) = pem.trim().strip_prefix(BEGIN)?.split_once(END)?;
    rest.is_empty().then_some(body)
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0_u32);
    let symbols: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    if !symbols.len().is_multiple_of(4) {
        return None;
    }
    let padding = symbols.iter().rev().take(2).take_while(|b| **b == b'=').count();
    for symbol in &symbols[..symbols.len() - padding] {
        let value = match symbol {
            b'A'..=b'Z' => symbol - b'A',
            b'a'..=b'z' => symbol - b'a' + 26,
            b'0'..=b'9' => symbol - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).unwrap_or_default());
        }
    }
    Some(bytes)
}

/// Takes a DER element of this type off the front.
fn element<'a>(bytes: &mut &'a [u8], kind: u8) -> Option<&'a [u8]> {
    let (&[found, short], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    if found != kind || rest.len() < length {
        return None;
    }
    let (content, rest) = rest.split_at(length);
    *bytes = rest;
    Some(content)
}

/// The algorithm and the key of a SubjectPublicKeyInfo.
fn split(mut der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut info = element(&mut der, SEQUENCE)?;
    let kind = element(&mut info, SEQUENCE)?;
    let (unused_bits, key) = element(&mut info, BIT_STRING)?.split_first()?;
    (der.is_empty() && info.is_empty() && *unused_bits == 0).then_some((kind, key))
}

fn is_rsa_key(mut key: &[u8]) -> bool {
    let mut numbers = || {
        let mut numbers = element(&mut key, SEQUENCE)?;
        Some((element(&mut numbers, INTEGER)?, element(&mut numbers, INTEGER)?))
    };
    let Some((modulus, exponent)) = numbers() else { return false };
    let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    let leading_zeros = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    !exponent.is_empty() && RSA_BITS.contains(&(modulus.len() * 8 - leading_zeros))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made for this test with `openssl genpkey`, their private halves thrown away.
    const ED25519_PEM: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAtQ2DGu6SGZ07vMwxumOm1XNyFtUiaqZpd38YKqkAvIw=
-----END PUBLIC KEY-----
";
    const P256_PEM: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAECmATdhD7O25ye7I2itIB/cKxPcty
WNYn5VPdYQndOKHiLgepSjxE/8tuyhFI3hM3hHXJypSMYQShKygHhdmfFw==
-----END PUBLIC KEY-----
";
    const RSA_PEM: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEArppaGelwR5LNRyBV5+EA
ICnejQGfiAuhcIN0FkOkSQBQTJV1xlAfhLg9sk/4GUrf0ptS8p2UmlmfgOzV0LKR
3wumdnjw6215PB1M8lVvwPGY36uV+2NsTeEF+XCSAnMLdFV+3xFE5vdo5KkveFov
wFSfbkBVDZ2LT1PL5gTry5fN8EssgwTsREQ/E9G47CZh7qlZ0Zu3regczGmf4/k9
ziD1D8aBauVLA8wdHgx5rIZhshlnEFhGim1cHJLpbdzJbmj5J1UybeEqxI40D/pc
2CMZzi21IEakd2iCVU6YfDcDlxN8OCaVqbmFZCih66IK8asSJVx5sMln2QKkf0W5
gQIDAQAB
-----END PUBLIC KEY-----
";
    const SMALL_RSA_PEM: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDLLqqRaoOfa88ECzE2emrqEu1M
lSeUrlo81P2maqZJF7lDjGY7gxcrvOPXJ3aEcVJARVFJgBaID3DQXbfmb9s2o+4i
hwLW0qVmLOBMGr1fG05L7nlXTS3qcYCqZiSyqMAugQW+4hKaxQRXZOnQcqwbiQS3
NmJyTdbnGvUINdEsOwIDAQAB
-----END PUBLIC KEY-----
";

    #[test]
    fn each_algorithm_takes_its_own_kind_of_key_and_no_other() {
        for (algorithm, own) in [("RS256", RSA_PEM), ("ES256", P256_PEM), ("EdDSA", ED25519_PEM)] {
            for pem in [RSA_PEM, P256_PEM, ED25519_PEM] {
                assert_eq!(check(algorithm, pem).is_ok(), pem == own, "{algorithm}: {pem}");
            }
            check(algorithm, &own.replace('\n', "\r\n")).unwrap();
        }
    }

    #[test]
    fn a_modulus_is_as_long_as_tokens_can_be_checked_with() {
        for (bits, fits) in [(2_047, false), (2_048, true), (4_096, true), (4_097, false), (8_192, false)] {
            let mut modulus = vec![0xff_u8; bits / 8 + usize::from(bits % 8 > 0)];
            modulus[0] = 0xff >> (8 * modulus.len() - bits);
            modulus.insert(0, 0);
            let number = |bytes: &[u8]| [&[INTEGER, 0x82], &len(bytes)[..], bytes].concat();
            let numbers = [number(&modulus), number(&[1, 0, 1])].concat();
            let key = [&[SEQUENCE, 0x82], &len(&numbers)[..], &numbers].concat();
            assert_eq!(is_rsa_key(&key), fits, "{bits}");
        }
    }

    fn len(bytes: &[u8]) -> [u8; 2] {
        u16::try_from(bytes.len()).unwrap().to_be_bytes()
    }

    #[test]
    fn each_refusal() {
        let body = block(ED25519_PEM).unwrap().trim();
        for pem in [
            String::new(),
            "secret".into(),
            body.into(),
            SMALL_RSA_PEM.into(),
            format!("{RSA_PEM}{RSA_PEM}"),
            ED25519_PEM.replace("PUBLIC KEY", "CERTIFICATE"),
            ED25519_PEM.replace(body, &body[..body.len() - 4]),
            ED25519_PEM.replace(body, &body[..body.len() - 3]),
            ED25519_PEM.replace(body, &format!("{body}AAAA")),
            ED25519_PEM.replace(body, &body.replace('M', "!")),
            ED25519_PEM.replace(body, ""),
            ED25519_PEM.replace(body, "MIIB"),
        ] {
            for algorithm in ["RS256", "ES256", "EdDSA"] {
                assert!(check(algorithm, &pem).unwrap_err().contains(algorithm), "{algorithm}: {pem}");
            }
        }
        let private = ED25519_PEM.replace("PUBLIC", "PRIVATE");
        assert!(check("EdDSA", &private).unwrap_err().contains("private key"));
    }
}
