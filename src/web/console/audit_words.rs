//! What a row of the audit log says to people. Calls and files have it as it was written.

use crate::domain::id::{AccountId, ReferralId};
use crate::domain::money::grouped;
use serde_json::{Map, Value};

/// Each detail by its name. Grants go by how many they are and what they come to.
pub fn details(written: &str) -> Vec<(String, String)> {
    let details: Map<String, Value> = serde_json::from_str(written).unwrap_or_default();
    details.into_iter().map(|(name, value)| (name.replace('_', " "), text(&value))).map(named).collect()
}

fn named((name, text): (String, String)) -> (String, String) {
    (if name == "lots" { "grants".into() } else { name }, text)
}

fn text(value: &Value) -> String {
    match value {
        // With room to break lines.
        Value::String(text) => text.replace(',', ", "),
        Value::Null => "none".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Number(number) => number.as_i64().map_or_else(|| number.to_string(), grouped),
        Value::Array(items) if items.is_empty() => "none".into(),
        Value::Array(items) => sums(items).unwrap_or_else(|| items.iter().map(text).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| format!("{} {}", name.replace('_', " "), text(value)));
            fields.collect::<Vec<_>>().join(", ")
        }
    }
}

/// `4, 3,000 in all` of what has amounts.
fn sums(items: &[Value]) -> Option<String> {
    let amounts: Vec<i64> = items.iter().map(|item| item["amount"].as_i64()).collect::<Option<_>>()?;
    let count = i64::try_from(amounts.len()).unwrap_or(i64::MAX);
    Some(format!("{}, {} in all", grouped(count), grouped(amounts.iter().sum())))
}

/// The page about what a row names, in a project's pages.
pub fn url(subject: &str, project_url: &str) -> Option<String> {
    if subject.parse::<AccountId>().is_ok() {
        return Some(format!("{project_url}/developers/{subject}"));
    }
    if subject.parse::<ReferralId>().is_ok() {
        return Some(format!("{project_url}/review/{subject}"));
    }
    let version: i64 = subject.strip_prefix('v')?.parse().ok()?;
    (version > 1).then(|| format!("{project_url}/program?from={}&to={version}#diff", version - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_read_as_words() {
        for (written, name, words) in [
            (r#"{"lots":[{"amount":1000,"lot":"rc_1"},{"amount":500,"lot":"rc_2"}]}"#, "grants", "2, 1,500 in all"),
            (r#"{"lots":[]}"#, "grants", "none"),
            (r#"{"keys_revoked":2}"#, "keys revoked", "2"),
            (r#"{"from":null}"#, "from", "none"),
            (r#"{"scopes":"usage:write,admin"}"#, "scopes", "usage:write, admin"),
            (r#"{"settings":["name","host"]}"#, "settings", "name, host"),
            (r#"{"withdrawn":true}"#, "withdrawn", "yes"),
        ] {
            assert_eq!(details(written), [(name.to_owned(), words.to_owned())]);
        }
        assert!(details("{}").is_empty());
    }

    #[test]
    fn what_has_a_page_leads_there() {
        let (account, referral) = (AccountId(77 << 20).to_string(), ReferralId(78 << 20).to_string());
        assert_eq!(url(&account, "/admin/acme"), Some(format!("/admin/acme/developers/{account}")));
        assert_eq!(url(&referral, "/admin/acme"), Some(format!("/admin/acme/review/{referral}")));
        assert_eq!(url("v3", "/admin/acme").as_deref(), Some("/admin/acme/program?from=2&to=3#diff"));
        for subject in ["v1", "vx", "", "signup", "key_0000000000001"] {
            assert_eq!(url(subject, "/admin/acme"), None, "{subject}");
        }
    }
}
