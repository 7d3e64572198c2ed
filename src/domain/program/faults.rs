//! What is wrong with a program: every fault at once, each by its path in the document, with what is allowed there.

use super::fields::{allowed, children, lists_for_objects};
use super::{
    ENGINE_REASONS, MAX_AMOUNT, MAX_DAYS, MAX_RULES, Party, PerTrack, Preset, Program, Rule, Trigger, Vesting,
    abuse_faults,
};
use crate::domain::error::{Error, FieldError, Result};
use serde_json::{Value, json};
use serde_path_to_error::{Path, Segment};

/// More than this in one document are not worth reading.
const MOST_FAULTS: usize = 100;

/// Where a fault is that is of no field.
const WHOLE: &str = "program";

/// One step into a document.
enum Step {
    Key(String),
    Index(usize),
}

fn steps(path: &Path) -> Vec<Step> {
    let step = |segment: &Segment| match segment {
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().map_while(step).collect()
}

/// As people write a path, `rules[0].to`; without the numbers it is a field's pattern.
fn written(steps: &[Step], with_numbers: bool) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Key(key) if path.is_empty() => path.clone_from(key),
            Step::Key(key) => path.extend([".", key]),
            Step::Index(place) if with_numbers => path.extend(["[", &place.to_string(), "]"]),
            Step::Index(_) => path.push_str("[]"),
        }
    }
    path
}

fn node<'a>(document: &'a mut Value, steps: &[Step]) -> Option<&'a mut Value> {
    steps.iter().try_fold(document, |node, step| match step {
        Step::Key(key) => node.get_mut(key.as_str()),
        Step::Index(place) => node.get_mut(place),
    })
}

fn fault(path: String, detail: String) -> FieldError {
    let field = if path.is_empty() { WHOLE.into() } else { path };
    FieldError { field, code: "invalid_program", detail }
}

/// A value where another one is wanted.
pub(super) fn not_accepted(path: String, value: &Value) -> FieldError {
    const LONGEST: usize = 60;
    let mut shown = value.to_string();
    if shown.chars().count() > LONGEST {
        shown = shown.chars().take(LONGEST).chain(['…']).collect();
    }
    let pattern: String = path.chars().filter(|c| !c.is_ascii_digit() || !path.contains('[')).collect();
    let detail = format!("{shown} is not accepted; give {}.", allowed(&pattern).unwrap_or("something else"));
    fault(path, detail)
}

/// `Invalid` for a text in which a list stands for an object.
pub fn of_shape(text: &str) -> Result<()> {
    let document: Value = serde_json::from_str(text).unwrap_or_default();
    let faults: Vec<_> =
        lists_for_objects(&document).into_iter().map(|(path, value)| not_accepted(path, value)).collect();
    if faults.is_empty() { Ok(()) } else { Err(Error::fields(faults)) }
}

/// Everything that is wrong with a text that is no program.
pub fn of_text(text: &str, first: &serde_json::Error) -> Error {
    let document = match serde_json::from_str(text) {
        Ok(document) => document,
        Err(malformed) => return Error::fields(vec![fault(String::new(), format!("This is not JSON: {malformed}."))]),
    };
    let faults = of_document(document);
    // What only the text shows, such as a field that is there twice.
    Error::fields(if faults.is_empty() { vec![fault(String::new(), format!("{first}."))] } else { faults })
}

/// Reads a document again and again, each time with the last fault mended by something harmless, so that the next one
/// shows.
fn of_document(mut document: Value) -> Vec<FieldError> {
    let harmless = harmless();
    let mut faults = Vec::new();
    while faults.len() < MOST_FAULTS {
        let fault = match serde_path_to_error::deserialize::<_, Program>(&document) {
            Ok(program) => {
                let is_new = |found: &FieldError| !faults.iter().any(|known| is_within(&found.field, known));
                let others: Vec<_> = of_program(&program).into_iter().filter(is_new).collect();
                faults.extend(others);
                break;
            }
            Err(fault) => fault,
        };
        let mended = mend(&mut document, &harmless, &steps(fault.path()));
        if mended.is_empty() {
            break;
        }
        faults.extend(mended);
    }
    faults
}

/// Whether a path is that of a fault, or leads into what it is about.
fn is_within(path: &str, known: &FieldError) -> bool {
    let rest = path.strip_prefix(known.field.as_str());
    known.field == WHOLE || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Says what is wrong at a place and puts something harmless there. Empty when the place is not to be found.
fn mend(document: &mut Value, harmless: &Value, steps: &[Step]) -> Vec<FieldError> {
    let (path, pattern) = (written(steps, true), written(steps, false));
    if allowed(&pattern).is_none() {
        let Some((Step::Key(key), parent)) = steps.split_last() else { return Vec::new() };
        let removed = node(document, parent).and_then(Value::as_object_mut).and_then(|parent| parent.remove(key));
        let known: Vec<_> = children(&written(parent, false)).map(|(name, _)| name).collect();
        let said = fault(path, format!("There is no such field; there are {}.", known.join(", ")));
        return removed.map(|_| said).into_iter().collect();
    }
    let firsts: Vec<_> = steps
        .iter()
        .map(|step| match step {
            Step::Key(key) => Step::Key(key.clone()),
            Step::Index(_) => Step::Index(0),
        })
        .collect();
    let mut harmless = harmless.clone();
    let (Some(here), Some(substitute)) = (node(document, steps), node(&mut harmless, &firsts)) else {
        return Vec::new();
    };
    let mut missing = Vec::new();
    if let Some(object) = here.as_object_mut() {
        for (name, _) in children(&pattern).filter(|(_, needed)| *needed) {
            if !object.contains_key(name) {
                object.insert(name.to_owned(), substitute[name].clone());
                let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                let pattern = if pattern.is_empty() { name.to_owned() } else { format!("{pattern}.{name}") };
                let allowed = allowed(&pattern).unwrap_or_default();
                missing.push(fault(path, format!("It is missing; give {allowed}.")));
            }
        }
    }
    if !missing.is_empty() {
        return missing;
    }
    let said = not_accepted(path, here);
    *here = std::mem::take(substitute);
    vec![said]
}

/// A program with every field there is, none of which disturbs another one.
fn harmless() -> Value {
    let rule = Rule {
        reason: "rule".into(),
        on: Trigger::Purchase,
        to: Party::Referrer,
        amount: Some(0),
        basis_points: Some(PerTrack { basic: 0, partner: 0 }),
        hold_days: 1,
        vesting: Vesting::Cliff,
        expires_days: Some(MAX_DAYS),
        min_purchase: Some(0),
    };
    json!(Program { rules: vec![rule], ..Preset::Credits.program() })
}

/// What a program says that it cannot mean.
pub fn of_program(program: &Program) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let is_currency = program.unit.len() == 3 && program.unit.bytes().all(|b| b.is_ascii_lowercase());
    let text = &program.sharing.text;
    for (is_good, path, value) in [
        (program.unit == "credits" || is_currency, "unit", json!(program.unit)),
        (
            (1..=MAX_DAYS).contains(&program.attribution.window_days),
            "attribution.window_days",
            json!(program.attribution.window_days),
        ),
        (
            program.abuse.apply_within_days <= MAX_DAYS,
            "abuse.apply_within_days",
            json!(program.abuse.apply_within_days),
        ),
        (!text.trim().is_empty() && text.chars().count() <= 500, "sharing.text", json!(text)),
        ((0..=MAX_AMOUNT).contains(&program.payouts.minimum), "payouts.minimum", json!(program.payouts.minimum)),
    ] {
        if !is_good {
            faults.push(not_accepted(path.into(), &value));
        }
    }
    faults.extend(abuse_faults::of_signals(&program.abuse));
    if program.rules.len() > MAX_RULES {
        let detail = format!("{} rules are too many; give a list of at most {MAX_RULES} rules.", program.rules.len());
        faults.push(fault("rules".into(), detail));
    }
    for (place, rule) in program.rules.iter().enumerate() {
        faults.extend(of_rule(rule, place, &program.rules[..place]));
    }
    faults
}

fn of_rule(rule: &Rule, place: usize, earlier: &[Rule]) -> Vec<FieldError> {
    let at = |field: &str| format!("rules[{place}].{field}");
    let named = (1..=40).contains(&rule.reason.len())
        && rule.reason.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let amount = |amount: Option<i64>| amount.is_none_or(|amount| (0..=MAX_AMOUNT).contains(&amount));
    let share = rule.basis_points.unwrap_or(PerTrack { basic: 0, partner: 0 });
    let values = [
        (named, "reason", json!(rule.reason)),
        (amount(rule.amount), "amount", json!(rule.amount)),
        (share.basic <= 10_000, "basis_points.basic", json!(share.basic)),
        (share.partner <= 10_000, "basis_points.partner", json!(share.partner)),
        (amount(rule.min_purchase), "min_purchase", json!(rule.min_purchase)),
        (rule.hold_days <= MAX_DAYS, "hold_days", json!(rule.hold_days)),
        (rule.expires_days.is_none_or(|days| (1..=MAX_DAYS).contains(&days)), "expires_days", json!(rule.expires_days)),
    ];
    let wrong_values = values.into_iter().filter(|(is_good, ..)| !is_good);
    let mut faults: Vec<_> = wrong_values.map(|(_, field, value)| not_accepted(at(field), &value)).collect();
    let sayings = contradictions(rule, earlier).into_iter().filter(|(is_wrong, ..)| *is_wrong);
    for (_, field, detail) in sayings {
        if !faults.iter().any(|known| known.field == at(field)) {
            faults.push(fault(at(field), detail));
        }
    }
    faults
}

/// What each value allows, but all of them together do not.
fn contradictions(rule: &Rule, earlier: &[Rule]) -> [(bool, &'static str, String); 8] {
    let on = String::from(rule.on);
    let on_purchase = matches!(rule.on, Trigger::Purchase | Trigger::FirstPurchase);
    let twin = earlier.iter().position(|other| other.reason == rule.reason);
    [
        (
            ENGINE_REASONS.contains(&rule.reason.as_str()),
            "reason",
            format!("{} are words of refloop's own; give the rule another one.", ENGINE_REASONS.join(", ")),
        ),
        (
            twin.is_some(),
            "reason",
            format!("It is the name of rules[{}] too; give each rule one of its own.", twin.unwrap_or_default()),
        ),
        (
            rule.amount.is_none() && rule.basis_points.is_none(),
            "amount",
            "It is missing; give either amount or basis_points.".into(),
        ),
        (
            rule.amount.is_some() && rule.basis_points.is_some(),
            "amount",
            "There are basis_points too; give either amount or basis_points.".into(),
        ),
        (
            rule.basis_points.is_some() && !on_purchase,
            "basis_points",
            format!("A share goes with purchase or first_purchase; on {on} give an amount."),
        ),
        (
            rule.min_purchase.is_some() && !on_purchase,
            "min_purchase",
            format!("It goes with purchase or first_purchase; on {on} leave it out."),
        ),
        (
            rule.expires_days.is_some_and(|days| days <= rule.hold_days),
            "expires_days",
            format!("The hold of {} days would end no sooner; give more days than that.", rule.hold_days),
        ),
        (
            rule.vesting == Vesting::Linear && rule.hold_days == 0,
            "vesting",
            "It is linear over the days of the hold; give hold_days of at least 1.".into(),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::fields::FIELDS;
    use super::*;

    /// A good program with some fields set or, by null, removed.
    fn changed(change: &Value) -> Value {
        let mut document = json!(Preset::Credits.program());
        let fields = document.as_object_mut().unwrap();
        for (name, value) in change.as_object().unwrap() {
            fields.insert(name.clone(), value.clone());
            fields.retain(|_, value| !value.is_null());
        }
        document
    }

    /// A program with one rule, of which some fields are others.
    fn with_rule(change: &Value) -> Value {
        let mut rule = json!({ "reason": "a", "on": "signup", "to": "referee", "amount": 1 });
        rule.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        changed(&json!({ "rules": [rule] }))
    }

    fn faults(document: &Value) -> Vec<(String, String)> {
        let error = Program::from_json(&document.to_string()).unwrap_err();
        assert!(error.fields.iter().all(|fault| fault.code == "invalid_program"));
        error.fields.into_iter().map(|fault| (fault.field, fault.detail)).collect()
    }

    #[test]
    fn each_refusal_names_its_path_and_what_is_allowed() {
        let share = |basic: i64| json!({ "basic": basic, "partner": 1 });
        for (document, path, allowed) in [
            (changed(&json!({ "unit": "USD" })), "unit", "\"USD\" is not accepted; give credits, or a currency"),
            (changed(&json!({ "unit": 5 })), "unit", "5 is not accepted; give credits, or a currency"),
            (changed(&json!({ "unit": null })), "unit", "It is missing; give credits, or a currency"),
            (changed(&json!({ "enabled": "yes" })), "enabled", "give true or false"),
            (changed(&json!({ "extra": 1 })), "extra", "there are unit, enabled, conversion, rules, code_style"),
            (changed(&json!({ "code_style": "short" })), "code_style", "give name_year, hex8 or alphanumeric8"),
            (changed(&json!({ "conversion": "signup" })), "conversion", "give first_call, convert or first_purchase"),
            (changed(&json!({ "rules": {} })), "rules", "{} is not accepted; give a list"),
            (changed(&json!({ "rules": [7] })), "rules[0]", "7 is not accepted; give an object with reason"),
            (with_rule(&json!({ "surprise": 1 })), "rules[0].surprise", "there are reason, on, to, amount"),
            (with_rule(&json!({ "reason": "A b" })), "rules[0].reason", "1 to 40 of a-z"),
            (with_rule(&json!({ "reason": "expired" })), "rules[0].reason", "words of refloop's own"),
            (with_rule(&json!({ "on": "login" })), "rules[0].on", "\"login\" is not accepted; give signup, first_call"),
            (with_rule(&json!({ "on": "calls:0" })), "rules[0].on", "calls:N"),
            (with_rule(&json!({ "to": "friend" })), "rules[0].to", "give referrer or referee"),
            (with_rule(&json!({ "amount": null })), "rules[0].amount", "give either amount or basis_points"),
            (with_rule(&json!({ "amount": -1 })), "rules[0].amount", "-1 is not accepted; give a whole number from 0"),
            (with_rule(&json!({ "amount": 1.5 })), "rules[0].amount", "1.5 is not accepted; give a whole number"),
            (with_rule(&json!({ "amount": u64::MAX })), "rules[0].amount", "give a whole number from 0"),
            (
                with_rule(&json!({ "on": "purchase", "basis_points": share(1) })),
                "rules[0].amount",
                "There are basis_points too",
            ),
            (
                with_rule(&json!({ "amount": null, "basis_points": share(1) })),
                "rules[0].basis_points",
                "on signup give an amount",
            ),
            (
                with_rule(&json!({ "amount": null, "on": "purchase", "basis_points": share(10_001) })),
                "rules[0].basis_points.basic",
                "10001 is not accepted; give a whole number from 0 to 10000",
            ),
            (
                with_rule(&json!({ "amount": null, "on": "purchase", "basis_points": { "basic": 1 } })),
                "rules[0].basis_points.partner",
                "It is missing; give a whole number from 0 to 10000",
            ),
            (with_rule(&json!({ "min_purchase": 1 })), "rules[0].min_purchase", "on signup leave it out"),
            (with_rule(&json!({ "hold_days": 40_000 })), "rules[0].hold_days", "0 to 36500"),
            (with_rule(&json!({ "hold_days": -1 })), "rules[0].hold_days", "0 to 36500"),
            (with_rule(&json!({ "expires_days": 0 })), "rules[0].expires_days", "1 to 36500"),
            (with_rule(&json!({ "hold_days": 7, "expires_days": 7 })), "rules[0].expires_days", "hold of 7 days"),
            (with_rule(&json!({ "vesting": "linear" })), "rules[0].vesting", "hold_days of at least 1"),
            (with_rule(&json!({ "vesting": "slow" })), "rules[0].vesting", "give cliff or linear"),
            (
                changed(&json!({ "attribution": { "window_days": 0, "click": "last" } })),
                "attribution.window_days",
                "1 to 36500",
            ),
            (changed(&json!({ "abuse": { "apply_within_days": 40_000 } })), "abuse.apply_within_days", "0 to 36500"),
            (changed(&json!({ "sharing": { "text": " " } })), "sharing.text", "1 to 500 characters"),
            (changed(&json!({ "sharing": "text" })), "sharing", "give an object with text"),
            (changed(&json!({ "payouts": { "minimum": -1 } })), "payouts.minimum", "-1 is not accepted"),
            (changed(&json!({ "payouts": [2_500] })), "payouts", "[2500] is not accepted; give an object"),
        ] {
            let found = faults(&document);
            assert_eq!(found.len(), 1, "{path}: {found:?}");
            assert_eq!(found[0].0, path);
            assert!(found[0].1.contains(allowed), "{path}: {}", found[0].1);
        }
        for text in ["{", "", "5x", "\u{0}"] {
            let error = Program::from_json(text).unwrap_err();
            assert!(error.fields[0].field == "program" && error.message.contains("not JSON"), "{text}: {error}");
        }
        for text in ["5", "[]", "null", "\"credits\""] {
            let error = Program::from_json(text).unwrap_err();
            assert!(error.message.contains("program: ") && error.message.contains("give an object"), "{text}: {error}");
        }
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let mut document = with_rule(&json!({ "on": "login", "to": "friend", "hold_days": "a week", "why": 1 }));
        document["rules"].as_array_mut().unwrap().push(json!({ "reason": "a", "amount": "many" }));
        document["unit"] = json!("Credits");
        document["leaderboard"] = json!({});
        document.as_object_mut().unwrap().remove("sharing");
        let mut paths: Vec<_> = faults(&document).into_iter().map(|(path, _)| path).collect();
        paths.sort();
        assert_eq!(
            paths,
            [
                "leaderboard.enabled",
                "rules[0].hold_days",
                "rules[0].on",
                "rules[0].to",
                "rules[0].why",
                "rules[1].amount",
                "rules[1].on",
                "rules[1].reason",
                "rules[1].to",
                "sharing",
                "unit",
            ]
        );
    }

    #[test]
    fn a_document_full_of_faults_is_read_to_an_end() {
        let rules = vec![json!({ "a": 1, "b": 2 }); 1_000];
        assert!(faults(&changed(&json!({ "rules": rules }))).len() <= MOST_FAULTS + 5);
        let twice = Preset::Credits.program().to_json().replacen('{', "{\"unit\": \"usd\",", 1);
        assert!(Program::from_json(&twice).unwrap_err().message.contains("duplicate field"));
        let deep = "[".repeat(10_000);
        assert!(Program::from_json(&deep).unwrap_err().message.contains("not JSON"));
    }

    #[test]
    fn whatever_stands_in_a_place_is_taken_or_told_there() {
        fn places(value: &Value, pointer: &str, path: &str, found: &mut Vec<(String, String)>) {
            found.push((pointer.to_owned(), path.to_owned()));
            match value {
                Value::Object(fields) => {
                    for (name, value) in fields {
                        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                        places(value, &format!("{pointer}/{name}"), &path, found);
                    }
                }
                Value::Array(items) => places(&items[0], &format!("{pointer}/0"), &format!("{path}[0]"), found),
                _ => {}
            }
        }
        let good = with_rule(&json!({ "on": "purchase", "hold_days": 1, "expires_days": 9, "min_purchase": 5 }));
        let mut found = Vec::new();
        places(&good, "", "", &mut found);
        let others = ["null", "true", "-1", "0", "1.5", "1e300", "\"x\"", "\"\"", "[]", "{}", "[null]", "{\"a\":1}"];
        for ((pointer, path), other) in found.iter().flat_map(|place| others.map(|other| (place, other))) {
            let mut document = good.clone();
            *document.pointer_mut(pointer).unwrap() = serde_json::from_str(other).unwrap();
            match Program::from_json(&document.to_string()) {
                Ok(program) => assert_eq!(Program::from_json(&program.to_json()).unwrap(), program),
                Err(error) => {
                    let about = |fault: &FieldError| fault.field == WHOLE || fault.field.starts_with(path.as_str());
                    let faults = &error.fields;
                    assert!(!faults.is_empty() && faults.iter().all(about), "{path} = {other}: {error} {faults:?}");
                }
            }
        }
    }

    #[test]
    fn there_is_a_word_for_every_field() {
        fn patterns(value: &Value, path: &str, found: &mut Vec<String>) {
            match value {
                Value::Object(fields) => {
                    for (name, value) in fields {
                        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                        found.push(path.clone());
                        patterns(value, &path, found);
                    }
                }
                Value::Array(items) => {
                    found.push(format!("{path}[]"));
                    patterns(&items[0], &format!("{path}[]"), found);
                }
                _ => {}
            }
        }
        let mut found = Vec::new();
        patterns(&harmless(), "", &mut found);
        found.sort();
        let mut known: Vec<_> = FIELDS.iter().map(|(path, ..)| (*path).to_owned()).collect();
        known.sort();
        assert_eq!(found, known);
        // `needed` says the truth: without it the document does not read, and without any other field it does.
        for (name, needed) in children("") {
            assert_eq!(Program::from_json(&changed(&json!({ name: null })).to_string()).is_err(), needed, "{name}");
        }
    }
}
