//! The usual fields of a program as a form. Inputs are named by their paths in the document, by which faults are named, too;
//! fields that a program has but this form does not know by name are there as well.

use crate::domain::error::{FieldError, Result};
use crate::domain::program::{Party, Program, Rule, Trigger, label, rule_in_words};
use serde_json::{Map, Number, Value};
use std::collections::HashMap;

/// Inputs that belong together.
pub struct Group {
    pub title: String,
    pub note: String,
    pub inputs: Vec<Input>,
}

pub struct Input {
    /// Where in the document it is.
    pub path: String,
    pub label: String,
    pub value: String,
    pub kind: InputKind,
    /// What a number means, in words.
    pub words: Option<String>,
    pub fault: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    YesNo,
    Number,
    Text,
}

impl Input {
    pub fn is_yes_no(&self) -> bool {
        self.kind == InputKind::YesNo
    }

    pub fn is_text(&self) -> bool {
        self.kind == InputKind::Text
    }

    pub fn is_yes(&self) -> bool {
        self.value == "true"
    }

    /// For `id` and `for`.
    pub fn id(&self) -> String {
        self.path.replace(['[', ']', '.'], "-")
    }
}

/// What of a rule can be changed here: by its name, whether it may be left empty.
fn rule_fields(rule: &Rule) -> Vec<(&'static str, bool)> {
    let amount: &[(&str, bool)] = match rule.basis_points {
        Some(_) => &[("basis_points.basic", false), ("basis_points.partner", false)],
        None => &[("amount", false)],
    };
    let mut fields = amount.to_vec();
    fields.extend([("hold_days", false), ("expires_days", true)]);
    if matches!(rule.on, Trigger::Purchase | Trigger::FirstPurchase) {
        fields.push(("min_purchase", true));
    }
    fields
}

fn at<'d>(document: &'d Value, path: &str) -> Option<&'d Value> {
    path.split('.').try_fold(document, |node, name| node.get(name))
}

/// Settings outside of the rules: every yes or no, every number, and the text to share.
fn settings(document: &Value) -> Vec<(String, InputKind)> {
    fn walk(path: &str, object: &Map<String, Value>, found: &mut Vec<(String, InputKind)>) {
        for (name, value) in object {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            match value {
                Value::Object(inner) => walk(&path, inner, found),
                Value::Bool(_) => found.push((path, InputKind::YesNo)),
                Value::Number(_) => found.push((path, InputKind::Number)),
                Value::String(_) if path == "sharing.text" => found.push((path, InputKind::Text)),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    if let Some(object) = document.as_object() {
        walk("", object, &mut found);
    }
    found
}

fn shown(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The form of a program, with what was typed and what is wrong with it.
pub fn groups(program: &Program, typed: Option<&HashMap<String, String>>, faults: &[FieldError]) -> Vec<Group> {
    let document = serde_json::to_value(program).unwrap_or_default();
    let input = |path: String, name: &str, value: Option<&Value>, kind: InputKind| {
        let amount = value.and_then(Value::as_i64).filter(|_| is_amount(name));
        Input {
            label: label(name),
            value: typed.and_then(|form| form.get(&path)).cloned().unwrap_or_else(|| shown(value)),
            kind,
            words: amount.filter(|_| program.unit != "credits").map(|amount| program.amount_text(amount)),
            fault: faults.iter().find(|fault| fault.field == path).map(|fault| fault.detail.clone()),
            path,
        }
    };
    let mut groups = Vec::new();
    for (place, rule) in program.rules.iter().enumerate() {
        let of_rule = &document["rules"][place];
        let fields = rule_fields(rule).into_iter();
        let whom = if rule.to == Party::Referrer { "referrer" } else { "referee" };
        groups.push(Group {
            title: format!("{}, to the {whom}", rule.reason),
            note: rule_in_words(rule, program),
            inputs: fields
                .map(|(name, _)| input(format!("rules[{place}].{name}"), name, at(of_rule, name), InputKind::Number))
                .collect(),
        });
    }
    let settings = settings(&document);
    for (place, (title, note)) in SETTINGS.into_iter().enumerate() {
        let own = settings.iter().filter(|(path, _)| group_of(path) == place);
        groups.push(Group {
            title: title.into(),
            note: note.into(),
            inputs: own.map(|(path, kind)| input(path.clone(), path, at(&document, path), *kind)).collect(),
        });
    }
    groups
}

/// What is outside of the rules, by title and note.
const SETTINGS: [(&str, &str); 3] = [
    ("Settings", "What holds for the whole program."),
    (
        "Abuse",
        "From this weight on, a referral is held until somebody looks at it. What is beyond the usual is a signal.",
    ),
    ("What signals weigh", "The weights of a referral’s signals add up. 0 switches a signal off."),
];

/// The place of a setting's group.
fn group_of(path: &str) -> usize {
    match path {
        _ if path.starts_with("abuse.weights.") => 2,
        _ if path.starts_with("abuse.") => 1,
        _ => 0,
    }
}

fn is_amount(name: &str) -> bool {
    matches!(name, "amount" | "min_purchase" | "payouts.minimum")
}

/// A number as it was typed; anything else is left as a text, so that it is refused by its path.
fn number(typed: &str) -> Value {
    let plain = typed.trim().replace(',', "");
    plain.parse::<i64>().map_or_else(|_| Value::String(typed.to_owned()), |number| Value::Number(Number::from(number)))
}

fn put(document: &mut Value, path: &str, value: Value) {
    let mut node = document;
    for name in path.split('.') {
        let Some(object) = node.as_object_mut() else { return };
        node = object.entry(name).or_insert(Value::Null);
    }
    *node = value;
}

/// A program with what the form says in it. `Invalid` with every fault by its path.
pub fn program(base: &Program, form: &HashMap<String, String>) -> Result<Program> {
    let mut document = serde_json::to_value(base).unwrap_or_default();
    for (place, rule) in base.rules.iter().enumerate() {
        for (name, may_be_empty) in rule_fields(rule) {
            let Some(typed) = form.get(&format!("rules[{place}].{name}")) else { continue };
            let value = if may_be_empty && typed.trim().is_empty() { Value::Null } else { number(typed) };
            put(&mut document["rules"][place], name, value);
        }
    }
    for (path, kind) in settings(&document.clone()) {
        let Some(typed) = form.get(&path) else { continue };
        let value = match (kind, typed.as_str()) {
            (InputKind::YesNo, "true") => Value::Bool(true),
            (InputKind::YesNo, "false") => Value::Bool(false),
            (InputKind::Number, typed) => number(typed),
            (_, typed) => Value::String(typed.to_owned()),
        };
        put(&mut document, &path, value);
    }
    Program::from_json(&document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::program::Preset;

    fn form(fields: &[(&str, &str)]) -> HashMap<String, String> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_form_that_is_sent_as_it_was_shown_changes_nothing() {
        for preset in Preset::ALL {
            let base = preset.program();
            let inputs = groups(&base, None, &[]).into_iter().flat_map(|group| group.inputs);
            let sent: HashMap<_, _> = inputs.map(|input| (input.path, input.value)).collect();
            assert!(sent.len() >= 8);
            assert_eq!(program(&base, &sent).unwrap(), base, "{preset:?}");
        }
    }

    #[test]
    fn fields_change_what_they_name_and_nothing_else() {
        let base = Preset::Commission.program();
        let sent = form(&[
            ("rules[0].amount", "1,000"),
            ("rules[0].expires_days", ""),
            ("rules[1].basis_points.partner", "1250"),
            ("payouts.approval", "true"),
            ("sharing.text", "Try {url}"),
        ]);
        let changed = program(&base, &sent).unwrap();
        let mut expected = base.clone();
        expected.rules[0].amount = Some(1_000);
        expected.rules[0].expires_days = None;
        expected.rules[1].basis_points.as_mut().unwrap().partner = 1_250;
        expected.payouts.approval = true;
        expected.sharing.text = "Try {url}".into();
        assert_eq!(changed, expected);
    }

    #[test]
    fn faults_are_named_by_the_inputs_paths() {
        let base = Preset::Credits.program();
        let sent = form(&[("rules[0].amount", "much"), ("rules[1].hold_days", ""), ("attribution.window_days", "0")]);
        let error = program(&base, &sent).unwrap_err();
        let mut paths: Vec<_> = error.fields.iter().map(|fault| fault.field.as_str()).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["attribution.window_days", "rules[0].amount", "rules[1].hold_days"]);
        let shown = groups(&base, Some(&sent), &error.fields);
        let amount = &shown[0].inputs[0];
        assert_eq!((amount.path.as_str(), amount.value.as_str()), ("rules[0].amount", "much"));
        assert!(amount.fault.is_some());
    }
}
