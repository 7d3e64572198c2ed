//! What is wrong with a program's weights and limits of the signals of abuse.

use super::faults::not_accepted;
use super::{Abuse, MAX_DAYS, MAX_SIGNUPS};
use crate::domain::error::FieldError;
use crate::domain::signal::{MOST_WEIGHT, SignalCode};
use serde_json::json;

/// Weights and limits of the signals of abuse.
pub fn of_signals(abuse: &Abuse) -> Vec<FieldError> {
    let weight = |code: &SignalCode| (format!("weights.{}", code.as_str()), abuse.weights.of(*code), 0..=MOST_WEIGHT);
    let mut values: Vec<_> = SignalCode::ALL.iter().map(weight).collect();
    values.extend([
        ("threshold".into(), abuse.threshold, 1..=MOST_WEIGHT),
        ("code_signups_per_hour".into(), abuse.code_signups_per_hour, 1..=MAX_SIGNUPS),
        ("address_signups_per_day".into(), abuse.address_signups_per_day, 1..=MAX_SIGNUPS),
        ("address_crowd_per_day".into(), abuse.address_crowd_per_day, 1..=MAX_SIGNUPS),
        ("domain_signups_per_day".into(), abuse.domain_signups_per_day, 1..=MAX_SIGNUPS),
        ("young_domain_days".into(), abuse.young_domain_days, 0..=MAX_DAYS),
    ]);
    let wrong = values.into_iter().filter(|(_, value, allowed)| !allowed.contains(value));
    wrong.map(|(field, value, _)| not_accepted(format!("abuse.{field}"), &json!(value))).collect()
}

#[cfg(test)]
mod tests {
    use crate::domain::program::{Preset, Program};
    use serde_json::json;

    #[test]
    fn each_refusal_names_its_path_and_what_is_allowed() {
        for (abuse, path, allowed) in [
            (json!({ "threshold": 0 }), "abuse.threshold", "1 to 1000"),
            (json!({ "threshold": 1_001 }), "abuse.threshold", "1 to 1000"),
            (json!({ "weights": { "ring": 1_001 } }), "abuse.weights.ring", "0 to 1000"),
            (json!({ "weights": { "ring": -1 } }), "abuse.weights.ring", "0 to 1000"),
            (json!({ "weights": { "luck": 1 } }), "abuse.weights.luck", "there are same_address"),
            (json!({ "code_signups_per_hour": 0 }), "abuse.code_signups_per_hour", "1 to 1000000"),
            (json!({ "address_signups_per_day": 0 }), "abuse.address_signups_per_day", "1 to 1000000"),
            (json!({ "address_crowd_per_day": 0 }), "abuse.address_crowd_per_day", "1 to 1000000"),
            (json!({ "domain_signups_per_day": 1_000_001 }), "abuse.domain_signups_per_day", "1 to 1000000"),
            (json!({ "young_domain_days": 40_000 }), "abuse.young_domain_days", "0 to 36500"),
        ] {
            let mut program = json!(Preset::Credits.program());
            program["abuse"] = abuse;
            let error = Program::from_json(&program.to_string()).unwrap_err();
            assert_eq!(error.fields.len(), 1, "{path}: {error}");
            assert_eq!(error.fields[0].field, path);
            assert!(error.fields[0].detail.contains(allowed), "{path}: {error}");
        }
    }
}
