//! What a team sets per project: each value checked by itself, then all of them together.

use super::error::{Error, FieldError, Result};
use super::{jwt, partner, public_key, text};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The JWT algorithms that a project can have; never `none`.
pub const JWT_ALGORITHMS: [&str; 4] = ["HS256", "RS256", "ES256", "EdDSA"];

/// HS256 is as strong as its secret: no shorter than its hash (RFC 7518, 3.2).
const LEAST_SECRET_BYTES: usize = 32;
/// More than anyone rotates through.
const MOST_WEBHOOK_SECRETS: usize = 10;
const LONGEST_KEY_BYTES: usize = 16 * 1024;

/// The names of settings, as the command line has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    Name,
    Host,
    LandingUrl,
    KeyPrefix,
    JwtAlgorithm,
    JwtKey,
    StripeWebhookSecret,
    StripeApiKey,
    PartnerAgreement,
}

impl Setting {
    pub const ALL: [Self; 9] = [
        Self::Name,
        Self::Host,
        Self::LandingUrl,
        Self::KeyPrefix,
        Self::JwtAlgorithm,
        Self::JwtKey,
        Self::StripeWebhookSecret,
        Self::StripeApiKey,
        Self::PartnerAgreement,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Host => "host",
            Self::LandingUrl => "landing_url",
            Self::KeyPrefix => "key_prefix",
            Self::JwtAlgorithm => "jwt.algorithm",
            Self::JwtKey => "jwt.key",
            Self::StripeWebhookSecret => "stripe.webhook_secret",
            Self::StripeApiKey => "stripe.api_key",
            Self::PartnerAgreement => "partner.agreement",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|setting| setting.as_str() == text)
    }

    /// Whether its value must never stand on a command line, where everyone on the machine can read it.
    pub fn is_secret(self) -> bool {
        matches!(self, Self::JwtKey | Self::StripeWebhookSecret | Self::StripeApiKey)
    }

    /// Whether its value is read from a file: what is secret, and what has many lines.
    pub fn is_in_a_file(self) -> bool {
        self.is_secret() || self == Self::PartnerAgreement
    }
}

/// A project's settings. Not to be printed: three of them are secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ProjectSettings {
    pub name: String,
    /// Lower case, without a port.
    pub host: Option<String>,
    pub landing_url: Option<String>,
    pub key_prefix: String,
    pub jwt_algorithm: Option<String>,
    /// HS256's secret, else a public key in PEM.
    pub jwt_key: Option<String>,
    /// Several while they are rotated.
    pub stripe_webhook_secrets: Vec<String>,
    pub stripe_api_key: Option<String>,
    /// `None`: the text that ships with refloop.
    pub partner_agreement: Option<String>,
}

impl ProjectSettings {
    /// The settings that another value was given to.
    pub fn changed_since(&self, before: &Self) -> Vec<Setting> {
        let differs = |setting: &Setting| match setting {
            Setting::Name => self.name != before.name,
            Setting::Host => self.host != before.host,
            Setting::LandingUrl => self.landing_url != before.landing_url,
            Setting::KeyPrefix => self.key_prefix != before.key_prefix,
            Setting::JwtAlgorithm => self.jwt_algorithm != before.jwt_algorithm,
            Setting::JwtKey => self.jwt_key != before.jwt_key,
            Setting::StripeWebhookSecret => self.stripe_webhook_secrets != before.stripe_webhook_secrets,
            Setting::StripeApiKey => self.stripe_api_key != before.stripe_api_key,
            Setting::PartnerAgreement => self.partner_agreement != before.partner_agreement,
        };
        Setting::ALL.into_iter().filter(differs).collect()
    }

    /// Sets all of them or none; an empty value unsets what can do without. `Invalid` with every fault by its name.
    pub fn assign(&mut self, values: &[(Setting, String)]) -> Result<()> {
        let mut changed = self.clone();
        let mut faults = Vec::new();
        for (place, (setting, value)) in values.iter().enumerate() {
            if values[..place].iter().any(|(earlier, _)| earlier == setting) {
                faults.push(fault(*setting, "given_twice", "It is given twice."));
            } else if let Err(error) = changed.set(*setting, value) {
                faults.extend(error.fields);
            }
        }
        // A key that was refused by itself says nothing about the algorithm beside it.
        let jwt_is_known = !faults.iter().any(|fault| fault.field.starts_with("jwt."));
        faults.extend(jwt_is_known.then(|| changed.jwt_fault()).flatten());
        if !faults.is_empty() {
            return Err(Error::fields(faults));
        }
        *self = changed;
        Ok(())
    }

    fn set(&mut self, setting: Setting, value: &str) -> Result<()> {
        let field = setting.as_str();
        match setting {
            Setting::Name => self.name = text::display(field, value, 100)?,
            Setting::KeyPrefix => self.key_prefix = key_prefix(value)?,
            Setting::Host => self.host = given(value).map(|host| host_name(field, host)).transpose()?,
            Setting::LandingUrl => self.landing_url = given(value).map(landing_url).transpose()?,
            Setting::JwtAlgorithm => self.jwt_algorithm = given(value).map(jwt_algorithm).transpose()?,
            Setting::JwtKey => self.jwt_key = given(value.trim_end_matches(['\r', '\n'])).map(jwt_key).transpose()?,
            Setting::StripeWebhookSecret => self.stripe_webhook_secrets = webhook_secrets(value)?,
            Setting::StripeApiKey => {
                self.stripe_api_key = given(value.trim()).map(|key| secret_word(setting, key)).transpose()?;
            }
            Setting::PartnerAgreement => {
                let text = given(value).map(|text| partner::agreement(field, text)).transpose()?;
                self.partner_agreement = text.filter(|text| text != partner::DEFAULT_AGREEMENT);
            }
        }
        Ok(())
    }

    /// Algorithm and key belong together. A public key that is used as an HMAC secret would let everyone sign.
    fn jwt_fault(&self) -> Option<FieldError> {
        let refuse = |code, detail: String| Some(fault(Setting::JwtKey, code, &detail));
        match (self.jwt_algorithm.as_deref(), self.jwt_key.as_deref()) {
            (None, Some(_)) => refuse("algorithm_missing", "A key goes with its jwt.algorithm: set that too.".into()),
            (Some("HS256"), Some(key)) if public_key::is_pem(key) => {
                refuse("key_confusion", "HS256 wants a secret that only you and refloop know, never a PEM key.".into())
            }
            (Some("HS256"), Some(key)) if key.len() < LEAST_SECRET_BYTES => {
                refuse("too_short", format!("HS256 wants a secret of at least {LEAST_SECRET_BYTES} bytes."))
            }
            (_, None) | (Some("HS256"), Some(_)) => None,
            (Some(algorithm), Some(key)) => match public_key::check(algorithm, key) {
                // What checks the tokens has the last word.
                Ok(()) => {
                    jwt::Key::parse(algorithm, key).err().and_then(|refusal| refuse("unusable_key", refusal.message))
                }
                Err(detail) => refuse("unusable_key", detail),
            },
        }
    }
}

fn fault(setting: Setting, code: &'static str, detail: &str) -> FieldError {
    FieldError { field: setting.as_str().into(), code, detail: detail.into() }
}

fn refused<T>(setting: Setting, code: &'static str, detail: impl Into<String>) -> Result<T> {
    Err(Error::field(setting.as_str(), code, detail))
}

fn given(value: &str) -> Option<&str> {
    if value.is_empty() { None } else { Some(value) }
}

fn key_prefix(value: &str) -> Result<String> {
    let is_good =
        (2..=10).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if is_good {
        return Ok(value.to_owned());
    }
    refused(Setting::KeyPrefix, "invalid_prefix", "A prefix has 2 to 10 of a-z and 0-9; it cannot be unset.")
}

/// A host in the one spelling that requests are compared with: lower case, ASCII, no port.
pub fn host_name(field: &str, text: &str) -> Result<String> {
    let refuse = |detail: &str| Err(Error::field(field, "invalid_host", detail));
    let text = text::printable(field, text)?.trim();
    if text.contains(['/', '@', '?', '#']) {
        return refuse("Give the host alone, such as api.example.com.");
    }
    let name = match text.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => text,
    };
    if let Some(address) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        return match address.parse::<Ipv6Addr>() {
            Ok(address) => Ok(format!("[{address}]")),
            Err(_) => refuse("What is in brackets is no IPv6 address."),
        };
    }
    if let Ok(address) = name.parse::<Ipv4Addr>() {
        return Ok(address.to_string());
    }
    match idna::domain_to_ascii_strict(name.strip_suffix('.').unwrap_or(name)) {
        Ok(name) if !name.is_empty() && name.len() <= 253 => Ok(name),
        _ => refuse("This is no host name; give one such as api.example.com."),
    }
}

fn landing_url(value: &str) -> Result<String> {
    let refuse = |detail: &str| refused(Setting::LandingUrl, "invalid_url", detail);
    let Some(rest) = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://")) else {
        return refuse("Give an address that starts with https:// or http://.");
    };
    if value.len() > 2_000 || !value.bytes().all(|b| b.is_ascii_graphic() && !b"\"'<>\\^`{|}".contains(&b)) {
        return refuse("An address has at most 2000 characters, all of them ASCII, and no spaces or quotes.");
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return refuse("An address that visitors see has no user in it.");
    }
    match host_name(Setting::LandingUrl.as_str(), authority) {
        Ok(_) => Ok(value.to_owned()),
        Err(_) => refuse("There is no host in this address."),
    }
}

fn jwt_algorithm(value: &str) -> Result<String> {
    if JWT_ALGORITHMS.contains(&value) {
        return Ok(value.to_owned());
    }
    let known = JWT_ALGORITHMS.join(", ");
    refused(Setting::JwtAlgorithm, "unknown_algorithm", format!("There are {known}; an empty value unsets it."))
}

fn jwt_key(value: &str) -> Result<String> {
    if value.len() > LONGEST_KEY_BYTES || value.contains('\0') {
        return refused(Setting::JwtKey, "unusable_key", "This is neither a secret nor a key in PEM.");
    }
    Ok(value.to_owned())
}

/// One a line; lines with nothing on them do not count.
fn webhook_secrets(value: &str) -> Result<Vec<String>> {
    let lines = value.lines().map(str::trim).filter(|line| !line.is_empty());
    let secrets = lines.map(|line| secret_word(Setting::StripeWebhookSecret, line)).collect::<Result<Vec<_>>>()?;
    if secrets.len() > MOST_WEBHOOK_SECRETS {
        let detail = format!("At most {MOST_WEBHOOK_SECRETS} secrets, one a line.");
        return refused(Setting::StripeWebhookSecret, "too_many", detail);
    }
    Ok(secrets)
}

/// The value is never part of the refusal.
fn secret_word(setting: Setting, word: &str) -> Result<String> {
    if word.len() > 255 || !word.bytes().all(|b| b.is_ascii_graphic()) {
        return refused(setting, "invalid_characters", "A secret has at most 255 characters, without spaces in it.");
    }
    Ok(word.to_owned())
}

/// A team's or project's slug: 1 to 40 of a-z, 0-9 and -, not starting with a dash.
pub fn slug(field: &str, text: &str) -> Result<String> {
    let is_good = (1..=40).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-');
    if is_good {
        return Ok(text.to_owned());
    }
    let detail = "A slug has 1 to 40 of a-z, 0-9 and -, and starts with a letter or digit.";
    Err(Error::field(field, "invalid_slug", detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(settings: &mut ProjectSettings, values: &[(Setting, &str)]) -> std::result::Result<(), Vec<String>> {
        let values: Vec<_> = values.iter().map(|(setting, value)| (*setting, (*value).to_owned())).collect();
        let named = |fault: FieldError| format!("{}: {}", fault.field, fault.code);
        settings.assign(&values).map_err(|error| error.fields.into_iter().map(named).collect())
    }

    /// What is set, and the faults that it has.
    type Row<'a> = (&'a [(Setting, &'a str)], &'a [&'a str]);

    #[test]
    fn each_refusal_names_its_setting_and_changes_nothing() {
        let long = "x".repeat(256);
        let many = "whsec_x\n".repeat(11);
        let table: &[Row<'_>] = &[
            (&[(Setting::Name, "")], &["name: required"]),
            (&[(Setting::Name, "a\nb")], &["name: invalid_characters"]),
            (&[(Setting::KeyPrefix, "")], &["key_prefix: invalid_prefix"]),
            (&[(Setting::KeyPrefix, "a")], &["key_prefix: invalid_prefix"]),
            (&[(Setting::KeyPrefix, "abcdefghijk")], &["key_prefix: invalid_prefix"]),
            (&[(Setting::KeyPrefix, "AC")], &["key_prefix: invalid_prefix"]),
            (&[(Setting::KeyPrefix, "a_c")], &["key_prefix: invalid_prefix"]),
            (&[(Setting::Host, "https://example.com")], &["host: invalid_host"]),
            (&[(Setting::Host, "exa mple.com")], &["host: invalid_host"]),
            (&[(Setting::Host, "-.example.com")], &["host: invalid_host"]),
            (&[(Setting::Host, "[::1")], &["host: invalid_host"]),
            (&[(Setting::Host, ":8080")], &["host: invalid_host"]),
            (&[(Setting::Host, "a\0b")], &["host: invalid_characters"]),
            (&[(Setting::LandingUrl, "example.com")], &["landing_url: invalid_url"]),
            (&[(Setting::LandingUrl, "javascript:alert(1)")], &["landing_url: invalid_url"]),
            (&[(Setting::LandingUrl, "https://")], &["landing_url: invalid_url"]),
            (&[(Setting::LandingUrl, "https:///x")], &["landing_url: invalid_url"]),
            (&[(Setting::LandingUrl, "https://a@example.com")], &["landing_url: invalid_url"]),
            (&[(Setting::LandingUrl, "https://example.com/\"")], &["landing_url: invalid_url"]),
            (&[(Setting::JwtAlgorithm, "none")], &["jwt.algorithm: unknown_algorithm"]),
            (&[(Setting::JwtAlgorithm, "hs256")], &["jwt.algorithm: unknown_algorithm"]),
            (&[(Setting::JwtKey, "x")], &["jwt.key: algorithm_missing"]),
            (&[(Setting::JwtAlgorithm, "HS256"), (Setting::JwtKey, "short")], &["jwt.key: too_short"]),
            (
                &[(Setting::JwtAlgorithm, "HS256"), (Setting::JwtKey, "-----BEGIN PUBLIC KEY-----\nAAAAAAAAAAAA")],
                &["jwt.key: key_confusion"],
            ),
            (&[(Setting::JwtAlgorithm, "RS256"), (Setting::JwtKey, &long)], &["jwt.key: unusable_key"]),
            (&[(Setting::StripeWebhookSecret, "a b")], &["stripe.webhook_secret: invalid_characters"]),
            (&[(Setting::StripeWebhookSecret, &long)], &["stripe.webhook_secret: invalid_characters"]),
            (&[(Setting::StripeWebhookSecret, &many)], &["stripe.webhook_secret: too_many"]),
            (&[(Setting::StripeApiKey, "a\nb")], &["stripe.api_key: invalid_characters"]),
            (&[(Setting::PartnerAgreement, "\n")], &["partner.agreement: required"]),
            (&[(Setting::Name, "A"), (Setting::Name, "B")], &["name: given_twice"]),
            (
                &[(Setting::Host, "/"), (Setting::Name, "Fine"), (Setting::JwtKey, "x"), (Setting::KeyPrefix, "-")],
                &["host: invalid_host", "key_prefix: invalid_prefix", "jwt.key: algorithm_missing"],
            ),
        ];
        let mut settings = ProjectSettings { name: "Acme".into(), key_prefix: "ac".into(), ..Default::default() };
        let before = settings.clone();
        for (values, faults) in table {
            assert_eq!(assigned(&mut settings, values).unwrap_err(), *faults, "{values:?}");
            assert!(settings == before, "{values:?}");
        }
    }

    #[test]
    fn what_is_set_is_kept_in_one_spelling_and_an_empty_value_unsets_it() {
        let mut settings = ProjectSettings { name: "Acme".into(), key_prefix: "ac".into(), ..Default::default() };
        let before = settings.clone();
        for (typed, kept) in [
            ("API.Example.COM:8443", "api.example.com"),
            ("localhost", "localhost"),
            ("BÜCHER.example.", "xn--bcher-kva.example"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[0:0::1]:80", "[::1]"),
        ] {
            assigned(&mut settings, &[(Setting::Host, typed)]).unwrap();
            assert_eq!(settings.host.as_deref(), Some(kept));
        }
        let secret = "0123456789abcdef0123456789abcdef";
        assigned(
            &mut settings,
            &[
                (Setting::LandingUrl, "https://example.com/start?a=1#top"),
                (Setting::JwtAlgorithm, "HS256"),
                (Setting::JwtKey, &format!("{secret}\r\n")),
                (Setting::StripeWebhookSecret, "\nwhsec_new\r\n whsec_old\n\n"),
                (Setting::StripeApiKey, "sk_test_x\n"),
            ],
        )
        .unwrap();
        assert_eq!(settings.jwt_key.as_deref(), Some(secret));
        assert_eq!(settings.stripe_webhook_secrets, ["whsec_new", "whsec_old"]);
        assert_eq!(settings.stripe_api_key.as_deref(), Some("sk_test_x"));
        let alone = assigned(&mut settings, &[(Setting::JwtAlgorithm, "")]).unwrap_err();
        assert_eq!(alone, ["jwt.key: algorithm_missing"]);
        let other = assigned(&mut settings, &[(Setting::JwtAlgorithm, "EdDSA")]).unwrap_err();
        assert_eq!(other, ["jwt.key: unusable_key"], "the key that is there belongs to another algorithm");
        let rest = Setting::ALL.iter().filter(|setting| !matches!(setting, Setting::Name | Setting::KeyPrefix));
        let unset: Vec<_> = rest.map(|setting| (*setting, "")).collect();
        assigned(&mut settings, &unset).unwrap();
        assert!(settings == before);
    }

    #[test]
    fn slugs() {
        for good in ["a", "7", "acme", "acme-2", &"x".repeat(40)] {
            assert_eq!(slug("slug", good).unwrap(), good);
        }
        for bad in ["", "-a", "A", "a_b", "a b", "ä", "proj_0000000000000", &"x".repeat(41)] {
            assert_eq!(slug("slug", bad).unwrap_err().code, "invalid_slug", "{bad}");
        }
    }
}
