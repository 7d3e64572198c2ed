//! Public keys in PEM, looked at closely enough to tell whether one fits an algorithm. Nothing is verified with them here.

use rsa::RsaPublicKey;
use rsa::traits::PublicKeyParts;
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// RFC 7518 takes no smaller modulus, and what checks the tokens no larger one.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=4_096;

/// Whether a text is PEM of any sort.
pub fn is_pem(text: &str) -> bool {
    text.contains("-----BEGIN ")
}

/// Says in words why a text is not a public key for the algorithm.
pub fn check(algorithm: &str, text: &str) -> Result<(), String> {
    if text.contains("PRIVATE KEY-----") {
        return Err("This is a private key. Give the public one; the private one stays with who signs.".into());
    }
    let blocks = pem::parse_many(text).unwrap_or_default();
    let info = match blocks.as_slice() {
        [block] if block.tag() == "PUBLIC KEY" => SubjectPublicKeyInfoRef::try_from(block.contents()).ok(),
        _ => None,
    };
    if info.is_some_and(|info| fits(algorithm, info)) {
        return Ok(());
    }
    let kind = match algorithm {
        "RS256" => "an RSA public key of 2048 to 4096 bits",
        "ES256" => "a P-256 public key",
        _ => "an Ed25519 public key",
    };
    Err(format!("{algorithm} wants {kind} in PEM (-----BEGIN PUBLIC KEY-----)."))
}

fn fits(algorithm: &str, info: SubjectPublicKeyInfoRef<'_>) -> bool {
    let (kind, curve) = (info.algorithm.oid, info.algorithm.parameters_oid().ok());
    let point = info.subject_public_key.as_bytes().unwrap_or_default();
    match algorithm {
        "RS256" => RsaPublicKey::try_from(info).is_ok_and(|key| RSA_BITS.contains(&key.n().bits())),
        "ES256" => kind == EC && curve == Some(P256) && point.len() == 65 && point[0] == 4,
        _ => kind == ED25519 && point.len() == 32,
    }
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
        use rsa::{BigUint, pkcs8::EncodePublicKey};
        for (bits, fits) in [(2_047, false), (2_048, true), (4_096, true), (4_097, false), (8_192, false)] {
            let modulus = (BigUint::from(1_u8) << bits) - 1_u8;
            let key = RsaPublicKey::new_with_max_size(modulus, BigUint::from(65_537_u32), 8_192).unwrap();
            let der = key.to_public_key_der().unwrap();
            let text = pem::encode(&pem::Pem::new("PUBLIC KEY", der.as_bytes()));
            assert_eq!(check("RS256", &text).is_ok(), fits, "{bits}");
        }
    }

    #[test]
    fn each_refusal() {
        let body = ED25519_PEM.lines().nth(1).unwrap();
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
