//! An app's keys and tokens, made by OpenSSL: nothing of the code that checks them has a part in it.

use crate::harness::App;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

pub fn base64url(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(BASE64URL[(bits >> (18 - 6 * place) & 63) as usize]));
        }
    }
    text
}

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output().expect("openssl is installed");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Two integers in DER as the 64 bytes that tokens have them in.
fn raw_ecdsa(der: &[u8]) -> Vec<u8> {
    let mut raw = Vec::new();
    let mut rest = &der[2..];
    for _ in 0..2 {
        let (number, after) = rest[2..].split_at(usize::from(rest[1]));
        let number = &number[number.len().saturating_sub(32)..];
        raw.extend(vec![0; 32 - number.len()]);
        raw.extend(number);
        rest = after;
    }
    raw
}

/// A key of the app.
pub struct Signer {
    pub algorithm: &'static str,
    /// What the project is told: the secret, or the public key in PEM.
    pub key: String,
    dir: tempfile::TempDir,
    signed: AtomicU32,
}

impl Signer {
    pub fn new(algorithm: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let private = dir.path().join("private.pem").display().to_string();
        let kind: &[&str] = match algorithm {
            "RS256" => &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            "ES256" => &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            "ES384" => &["EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
            "EdDSA" => &["ED25519"],
            _ => &[],
        };
        let key = if kind.is_empty() {
            openssl(&["rand", "-hex", "32"])
        } else {
            openssl(&[&["genpkey", "-out", &private, "-algorithm"], kind].concat());
            openssl(&["pkey", "-in", &private, "-pubout"])
        };
        let key = String::from_utf8(key).unwrap().trim().to_owned();
        Self { algorithm, key, dir, signed: AtomicU32::new(0) }
    }

    /// As `refloop project set` does.
    pub fn introduce_to(&self, app: &App, slug: &str) {
        set_key(app, slug, self.algorithm, &self.key);
    }

    pub fn private_key(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("private.pem")).unwrap()
    }

    fn file(&self, content: &[u8]) -> PathBuf {
        let path = self.dir.path().join(format!("{}.txt", self.signed.fetch_add(1, Ordering::SeqCst)));
        std::fs::write(&path, content).unwrap();
        path
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let (private, file) = (self.dir.path().join("private.pem"), self.file(message));
        let (private, file) = (private.to_str().unwrap(), file.to_str().unwrap());
        match self.algorithm {
            "RS256" => openssl(&["dgst", "-sha256", "-sign", private, file]),
            "ES256" => raw_ecdsa(&openssl(&["dgst", "-sha256", "-sign", private, file])),
            "EdDSA" => openssl(&["pkeyutl", "-sign", "-rawin", "-inkey", private, "-in", file]),
            _ => hmac("sha256", &self.key, file),
        }
    }

    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({ "alg": self.algorithm, "typ": "JWT" }), claims)
    }

    /// A good signature below any header.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let signature = base64url(&self.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }

    /// Signed with a shared secret, whatever the algorithm of this key is.
    pub fn with_secret(&self, secret: &str, hash: &str, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let file = self.file(message.as_bytes());
        format!("{message}.{}", base64url(&hmac(hash, secret, file.to_str().unwrap())))
    }
}

fn hmac(hash: &str, secret: &str, file: &str) -> Vec<u8> {
    let key = hex::encode(secret);
    openssl(&["dgst", &format!("-{hash}"), "-mac", "HMAC", "-macopt", &format!("hexkey:{key}"), "-binary", file])
}

/// Header and claims as they are signed.
pub fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()))
}

pub fn set_key(app: &App, slug: &str, algorithm: &str, key: &str) {
    let said = app
        .sqlite3(&format!("UPDATE project SET jwt_algorithm = '{algorithm}', jwt_key = '{key}' WHERE slug = '{slug}'"));
    assert_eq!(said, "");
}
