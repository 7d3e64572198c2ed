//! What the review pages call things.

use crate::domain::program::Program;
use crate::domain::referral::Status;
use crate::domain::time;
use crate::engine::{ReviewItem, Side, SignalRow, mask};
use serde_json::Value;

/// A time for people, and for programs.
pub struct At {
    pub text: String,
    pub iso: String,
}

impl At {
    pub fn of(at_ms: i64) -> Self {
        let iso = time::rfc3339(at_ms);
        let text = format!("{} {} UTC", iso.get(..10).unwrap_or_default(), iso.get(11..16).unwrap_or_default());
        Self { text, iso }
    }
}

/// Words in a coloured pill.
pub struct Badge {
    pub text: &'static str,
    pub tone: &'static str,
}

pub fn badge(status: Status) -> Badge {
    let (text, tone) = match status {
        Status::SignedUp => ("Signed up", "info"),
        Status::FirstCall => ("First call", "good"),
        Status::Active => ("Active", "good"),
        Status::Converted => ("Converted", "good"),
        Status::Review => ("Under review", "warn"),
        Status::Rejected => ("Rejected", "bad"),
    };
    Badge { text, tone }
}

/// One of the two sides: what they are called, and the page about them.
pub struct SideWords {
    pub name: String,
    pub url: String,
}

impl SideWords {
    /// To who may only look, addresses are masked.
    pub fn of(side: &Side, project_url: &str, may_write: bool) -> Self {
        let email = side.email.clone();
        let email = if may_write { email } else { email.as_deref().and_then(mask) };
        let name = email.or_else(|| side.external_id.clone()).unwrap_or_else(|| side.id.to_string());
        Self { name, url: format!("{project_url}/developers/{}", side.id) }
    }
}

/// A signal in words, with what it was found by.
pub struct SignalWords {
    pub text: &'static str,
    pub code: &'static str,
    pub weight: i64,
    pub inputs: String,
    pub at: At,
}

impl From<&SignalRow> for SignalWords {
    fn from(row: &SignalRow) -> Self {
        let (code, inputs) = (row.code, inputs_in_words(&row.inputs));
        Self { text: code.text(), code: code.as_str(), weight: row.weight, inputs, at: At::of(row.at_ms) }
    }
}

/// `signups 21 · allowed per hour 20` of `{"signups":21,"allowed_per_hour":20}`.
pub fn inputs_in_words(inputs: &Value) -> String {
    let Some(fields) = inputs.as_object() else { return String::new() };
    let said = fields.iter().filter(|(_, value)| !value.is_null());
    let parts: Vec<_> = said.map(|(name, value)| format!("{} {}", plain(name), value_in_words(value))).collect();
    parts.join(" · ")
}

fn value_in_words(value: &Value) -> String {
    match value {
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::String(text) => plain(text),
        Value::Array(items) if items.is_empty() => "none".into(),
        Value::Array(items) => items.iter().map(value_in_words).collect::<Vec<_>>().join(", "),
        Value::Object(_) => inputs_in_words(value),
        other => other.to_string(),
    }
}

/// Words of ours without their underscores; ids and what people type stay as they are.
pub fn plain(word: &str) -> String {
    let is_ours = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_ours { word.replace('_', " ") } else { word.to_owned() }
}

/// A referral in the queue.
pub struct QueueItem {
    pub id: String,
    pub url: String,
    pub badge: Badge,
    pub held: bool,
    pub referrer: SideWords,
    pub referee: SideWords,
    pub code: String,
    pub domain: Option<String>,
    pub signed_up: At,
    pub at_stake: String,
    pub weight: i64,
    pub signals: Vec<SignalWords>,
}

impl QueueItem {
    pub fn of(item: &ReviewItem, program: &Program, project_url: &str, may_write: bool) -> Self {
        let line = &item.line;
        let (id, status) = (line.referral.id, line.referral.progress.status);
        let domain = line.referee.email.as_deref().and_then(crate::engine::own_domain);
        Self {
            id: id.to_string(),
            url: format!("{project_url}/review/{id}"),
            badge: badge(status),
            held: status == Status::Review,
            referrer: SideWords::of(&line.referrer, project_url, may_write),
            referee: SideWords::of(&line.referee, project_url, may_write),
            code: line.code.clone(),
            domain,
            signed_up: At::of(line.referral.applied_at_ms),
            at_stake: program.amount_text(item.at_stake),
            weight: line.weight,
            signals: item.signals.iter().map(SignalWords::from).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn inputs_in_words_and_ids_as_they_are() {
        for (inputs, words) in [
            (json!({ "signups": 21, "allowed_per_hour": 20 }), "allowed per hour 20 · signups 21"),
            (json!({ "as": "other_referral" }), "as other referral"),
            (json!({ "actor": "op_0000000000001", "lots": [] }), "actor op_0000000000001 · lots none"),
            (json!({ "lots": [{ "lot": "rc_1", "amount": 5 }] }), "lots amount 5 · lot rc_1"),
            (json!({ "same_mailbox": null, "mutual": false }), "mutual no"),
        ] {
            assert_eq!(inputs_in_words(&inputs), words);
        }
    }
}
