//! What is different between two programs: field by field, and in words.

use super::{Party, Program, Rule, Trigger};
use crate::domain::money;
use crate::domain::signal;
use serde_json::{Map, Value};

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    /// Where it is in the document; rules go by their reason: `rules[signup_bonus].amount`.
    pub path: String,
    /// Null for what was not there.
    pub from: Value,
    pub to: Value,
    /// The same as a person says it.
    pub words: String,
}

/// All differences: the settings by their names, then each rule.
pub fn changes(from: &Program, to: &Program) -> Vec<Change> {
    let (before, after) = (document(from), document(to));
    let mut found = Vec::new();
    settings("", &before, &after, to, &mut found);
    for rule in &from.rules {
        match to.rules.iter().find(|other| other.reason == rule.reason) {
            Some(other) => of_rule(rule, other, to, &mut found),
            None => found.push(whole(rule, true, from)),
        }
    }
    let is_new = |rule: &&Rule| !from.rules.iter().any(|other| other.reason == rule.reason);
    found.extend(to.rules.iter().filter(is_new).map(|rule| whole(rule, false, to)));
    found
}

/// A program without its rules.
fn document(program: &Program) -> Map<String, Value> {
    let mut document = object(serde_json::to_value(program).unwrap_or_default());
    document.remove("rules");
    document
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn settings(
    path: &str,
    from: &Map<String, Value>,
    to: &Map<String, Value>,
    program: &Program,
    found: &mut Vec<Change>,
) {
    let names = from.keys().chain(to.keys().filter(|name| !from.contains_key(*name)));
    for name in names {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let (before, after) = (from.get(name).unwrap_or(&Value::Null), to.get(name).unwrap_or(&Value::Null));
        match (before, after) {
            _ if before == after => {}
            (Value::Object(before), Value::Object(after)) => settings(&path, before, after, program, found),
            _ => {
                let what = label(&path);
                let words = format!("{what}: {} → {}", said(&path, before, program), said(&path, after, program));
                found.push(Change { path, from: before.clone(), to: after.clone(), words });
            }
        }
    }
}

fn of_rule(from: &Rule, to: &Rule, program: &Program, found: &mut Vec<Change>) {
    let (before, after) = (flat(from), flat(to));
    for name in before.keys().chain(after.keys().filter(|name| !before.contains_key(*name))) {
        let (old, new) = (before.get(name).unwrap_or(&Value::Null), after.get(name).unwrap_or(&Value::Null));
        if old == new {
            continue;
        }
        let (rule, what) = (to.reason.as_str(), label(name));
        let words = format!("{rule}, {what}: {} → {}", said(name, old, program), said(name, new, program));
        let (path, from, to) = (format!("rules[{rule}].{name}"), old.clone(), new.clone());
        found.push(Change { path, from, to, words });
    }
}

/// A rule's fields, those of its share by their path.
fn flat(rule: &Rule) -> Map<String, Value> {
    let mut flat = Map::new();
    for (name, value) in object(serde_json::to_value(rule).unwrap_or_default()) {
        match value {
            Value::Object(parts) => {
                flat.extend(parts.into_iter().map(|(part, value)| (format!("{name}.{part}"), value)));
            }
            value => flat.extend([(name, value)]),
        }
    }
    flat
}

/// A rule that comes, or goes.
fn whole(rule: &Rule, goes: bool, program: &Program) -> Change {
    let value = serde_json::to_value(rule).unwrap_or_default();
    let word = if goes { "Rule taken away" } else { "New rule" };
    let words = format!("{word}: {}, {}", rule.reason, rule_in_words(rule, program));
    let (from, to) = if goes { (value, Value::Null) } else { (Value::Null, value) };
    Change { path: format!("rules[{}]", rule.reason), from, to, words }
}

/// What a rule gives to whom, and for what: `500 credits to the referrer at each signup`.
pub fn rule_in_words(rule: &Rule, program: &Program) -> String {
    let what = match (rule.amount, rule.basis_points) {
        (Some(amount), _) => program.amount_text(amount),
        (None, Some(share)) if share.basic == share.partner => percent(share.basic),
        (None, Some(share)) => format!("{} (partners {})", percent(share.basic), percent(share.partner)),
        (None, None) => "nothing".into(),
    };
    let whom = match rule.to {
        Party::Referrer => "the referrer",
        Party::Referee => "the referee",
    };
    let when = match rule.on {
        Trigger::Signup => "at the signup".to_owned(),
        Trigger::FirstCall => "at the first API call".into(),
        Trigger::Calls(calls) => format!("at {} API calls", money::grouped(calls)),
        Trigger::Purchase => "of each purchase".into(),
        Trigger::FirstPurchase => "at the first purchase".into(),
        Trigger::Conversion => "at the conversion".into(),
    };
    format!("{what} to {whom} {when}")
}

/// Basis points as people read them: `5 %`, `2.5 %`.
pub fn percent(basis_points: u32) -> String {
    let text = format!("{}.{:02}", basis_points / 100, basis_points % 100);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// What a field is called by people, by its path or its name within a rule.
pub fn label(path: &str) -> String {
    let known = match path {
        "unit" => "Unit",
        "enabled" => "Switched on",
        "conversion" => "What counts as a conversion",
        "code_style" => "Style of new codes",
        "attribution.window_days" => "Days that a click counts",
        "attribution.click" => "Which click counts",
        "abuse.strict_domains" => "Domain rules for public mailboxes too",
        "abuse.apply_within_days" => "Days in which a code may be applied late",
        "sharing.text" => "Text to share",
        "leaderboard.enabled" => "Leaderboard",
        "payouts.minimum" => "Smallest payout",
        "payouts.approval" => "Payouts wait for an approval",
        "mail.confirm_address" => "Addresses have to be confirmed",
        "mail.milestones" => "Mail about milestones",
        "on" => "event",
        "to" => "receiver",
        "amount" => "amount",
        "basis_points.basic" => "share, basic",
        "basis_points.partner" => "share, partner",
        "hold_days" => "days held",
        "vesting" => "vesting",
        "expires_days" => "days until it expires",
        "min_purchase" => "smallest purchase",
        "abuse.threshold" => "Weight from which a referral is held for review",
        "abuse.code_signups_per_hour" => "Signups with one code in an hour that are usual",
        "abuse.address_signups_per_day" => "Referrals of one referrer from one network address in a day that are usual",
        "abuse.address_crowd_per_day" => "Referrals by new accounts from one network address in a day that are usual",
        "abuse.domain_signups_per_day" => "Referrals with one e-mail domain in a day that are usual",
        "abuse.young_domain_days" => "Days for which an e-mail domain counts as new",
        _ => {
            let weight = path.strip_prefix("abuse.weights.").map(weight_label);
            return weight.unwrap_or_else(|| path.replace(['.', '_'], " "));
        }
    };
    known.to_owned()
}

/// What a signal's weight is called: what it is about, in a few words.
fn weight_label(signal: &str) -> String {
    let known = match signal {
        "same_address" => "the referrer’s own network address",
        "same_visitor" => "the referrer’s own browser",
        "code_burst" => "many signups with one code",
        "address_burst" => "many referrals from one network address",
        "domain_burst" => "many referrals with one e-mail domain",
        "young_domain" => "an e-mail domain registered lately",
        "mailbox_variation" => "mailboxes that look alike",
        "odd_usage" => "calls as a machine sends them",
        "bare_milestone" => "calls that end at the milestone",
        "ring" => "referrers in a ring",
        "crowded_address" => "many new accounts at one network address",
        "same_usage" => "calls as those of the others",
        "erased_soon" => "accounts that are erased soon",
        "held_company" => "others that are held",
        "shared_address" => "a network address shared with another",
        _ => {
            return signal::SignalCode::parse(signal)
                .map_or_else(|| signal.replace('_', " "), |code| format!("Weight: {}", code.text()));
        }
    };
    format!("Weight of {known}")
}

/// A value as people read it.
fn said(path: &str, value: &Value, program: &Program) -> String {
    let is_amount = matches!(path, "amount" | "min_purchase" | "payouts.minimum");
    match value {
        Value::Null => "none".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_i64() {
            Some(amount) if is_amount => program.amount_text(amount),
            Some(share) if path.starts_with("basis_points") => percent(u32::try_from(share).unwrap_or_default()),
            Some(number) => money::grouped(number),
            None => number.to_string(),
        },
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::program::Preset;

    fn words(from: &Program, to: &Program) -> Vec<String> {
        changes(from, to).into_iter().map(|change| change.words).collect()
    }

    #[test]
    fn each_difference_is_said_once() {
        let from = Preset::Commission.program();
        assert!(changes(&from, &from).is_empty());
        let mut to = from.clone();
        to.enabled = false;
        to.payouts.minimum = 5_000;
        to.rules[0].expires_days = None;
        to.rules[0].amount = Some(1_250);
        to.rules[1].basis_points.as_mut().unwrap().partner = 1_250;
        let paths: Vec<_> = changes(&from, &to).into_iter().map(|change| change.path).collect();
        assert_eq!(
            paths,
            [
                "enabled",
                "payouts.minimum",
                "rules[signup_bonus].amount",
                "rules[signup_bonus].expires_days",
                "rules[commission].basis_points.partner",
            ]
        );
        assert_eq!(
            words(&from, &to),
            [
                "Switched on: yes → no",
                "Smallest payout: 25.00 USD → 50.00 USD",
                "signup_bonus, amount: 2.50 USD → 12.50 USD",
                "signup_bonus, days until it expires: 30 → none",
                "commission, share, partner: 10 % → 12.5 %",
            ]
        );
    }

    #[test]
    fn rules_come_and_go_whole() {
        let from = Preset::Credits.program();
        let mut to = from.clone();
        to.rules[0].reason = "welcome".into();
        to.rules.swap(1, 2);
        assert_eq!(
            words(&from, &to),
            [
                "Rule taken away: signup_bonus, 1,000 credits to the referee at the signup",
                "New rule: welcome, 1,000 credits to the referee at the signup",
            ]
        );
        assert!(changes(&from, &to)[1].from.is_null());
    }

    /// Down to the last field, and none by its path.
    fn paths(path: &str, object: &Map<String, Value>, found: &mut Vec<String>) {
        for (name, value) in object {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            match value {
                Value::Object(inner) => paths(&path, inner, found),
                _ => found.push(path),
            }
        }
    }

    #[test]
    fn what_abuse_weighs_is_said_in_words() {
        let mut found = Vec::new();
        paths("", &document(&Preset::Credits.program()), &mut found);
        assert!(found.iter().filter(|path| path.starts_with("abuse.weights.")).count() >= 10, "{found:?}");
        for path in found {
            assert_ne!(label(&path), path.replace(['.', '_'], " "), "{path}");
        }
        let from = Preset::Credits.program();
        let mut to = from.clone();
        to.abuse.weights = serde_json::from_value(serde_json::json!({ "same_address": 0 })).unwrap();
        assert_eq!(words(&from, &to), ["Weight of the referrer’s own network address: 100 → 0"]);
    }

    #[test]
    fn every_field_has_a_name() {
        for preset in Preset::ALL {
            for name in document(&preset.program()).keys().filter(|name| !name.contains('.')) {
                assert!(!label(name).contains('_'), "{name}");
            }
        }
    }
}
