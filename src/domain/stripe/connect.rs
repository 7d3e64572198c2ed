//! Connected accounts as Stripe describes them, and what is missing in words.

use crate::domain::time;
use serde_json::{Map, Value};

/// The origin of the pages that an account link leads to: Stripe's own, or those of whatever stands in for its API.
pub fn pages_of(api_url: &str) -> String {
    const STRIPE: &str = "https://connect.stripe.com";
    let origin = match api_url.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.split(['/', '?', '#']).next().unwrap_or_default()),
        None => return STRIPE.into(),
    };
    // It goes into a header, where other signs mean something.
    let is_plain = origin.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:/[]".contains(&b));
    if origin == "https://api.stripe.com" || !is_plain { STRIPE.into() } else { origin }
}

/// Whether a connected account can be paid out to, and what is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountState {
    pub id: String,
    pub payouts_enabled: bool,
    /// In words. Where it is ready, what Stripe wants to know by a later day.
    pub missing: Vec<String>,
}

impl AccountState {
    pub fn read(object: &Map<String, Value>) -> Option<Self> {
        let id = object.get("id")?.as_str().filter(|id| is_account(id))?;
        let enabled = object.get("payouts_enabled").and_then(Value::as_bool).unwrap_or(false);
        let requirements = object.get("requirements");
        let due = |list: &str| {
            let list = requirements.and_then(|requirements| requirements.get(list)).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str).map(words).collect::<Vec<_>>()
        };
        let reason = requirements.and_then(|requirements| requirements.get("disabled_reason")).and_then(Value::as_str);
        let transfers = object.get("capabilities").and_then(|can| can.get("transfers")).and_then(Value::as_str);
        let is_able = enabled && transfers.is_none_or(|state| state == "active");
        // What is due has until its deadline: only then it becomes past due, and Stripe stops.
        let ready = is_able && reason.is_none() && due("past_due").is_empty();
        let deadline =
            requirements.and_then(|requirements| requirements.get("current_deadline")).and_then(Value::as_i64);
        let mut missing: Vec<String> = Vec::new();
        for word in due("past_due").into_iter().chain(due("currently_due")) {
            if !missing.contains(&word) {
                missing.push(word);
            }
        }
        if let Some(day) = deadline.and_then(day).filter(|_| ready) {
            for word in &mut missing {
                *word = format!("{word}, by {day}");
            }
        }
        let reason = reason.map(disabled).filter(|word| missing.is_empty() || word != PAST_DUE);
        missing.extend(reason);
        if missing.is_empty() && !ready {
            missing.push("Stripe is still checking what it was given.".into());
        }
        Some(Self { id: id.to_owned(), payouts_enabled: ready, missing })
    }

    /// What a test project has at once.
    pub fn simulated(id: String) -> Self {
        Self { id, payouts_enabled: true, missing: Vec::new() }
    }
}

fn is_account(id: &str) -> bool {
    id.starts_with("acct_") && id.len() <= 255 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A time in seconds as a day such as `2026-03-01`.
fn day(seconds: i64) -> Option<String> {
    let at_ms = seconds.checked_mul(1_000).filter(|at_ms| (0..=time::LAST_MS).contains(at_ms))?;
    time::rfc3339(at_ms).split_once('T').map(|(day, _)| day.to_owned())
}

const PAST_DUE: &str = "What Stripe asked for is overdue.";

fn disabled(reason: &str) -> String {
    let words = match reason {
        "requirements.past_due" | "action_required.requested_capabilities" => PAST_DUE,
        "requirements.pending_verification" => "Stripe is still checking what it was given.",
        "listed" | "under_review" => "Stripe is reviewing the account.",
        "platform_paused" => "The account is paused.",
        _ if reason.starts_with("rejected.") => "Stripe has rejected the account.",
        _ => "Stripe has disabled payouts to the account.",
    };
    words.into()
}

/// One of Stripe's requirements, such as `individual.dob.day`, as a person would say it.
fn words(requirement: &str) -> String {
    let parts: Vec<&str> = requirement.split('.').collect();
    let has = |name: &str| parts.contains(&name);
    let whose = match parts.first() {
        Some(&"company") => "The company's ",
        Some(&"representative") => "The representative's ",
        Some(&("owners" | "directors" | "executives")) => "An owner's or director's ",
        Some(person) if person.starts_with("person_") => "A person's ",
        _ => "Your ",
    };
    let what = if has("external_account") {
        "bank account"
    } else if has("tos_acceptance") {
        "consent to Stripe's terms"
    } else if has("dob") {
        "date of birth"
    } else if has("address") {
        "address"
    } else if has("verification") {
        "identity document"
    } else if has("first_name") || has("last_name") || has("name") {
        "name"
    } else if has("id_number") || has("ssn_last_4") {
        "identity number"
    } else if has("tax_id") {
        "tax number"
    } else if has("business_type") {
        "kind of business"
    } else if has("business_profile") && has("url") {
        "website"
    } else if has("business_profile") && has("mcc") {
        "line of business"
    } else if has("business_profile") {
        "description of what you do"
    } else if has("email") {
        "e-mail address"
    } else if has("phone") {
        "telephone number"
    } else {
        return readable(requirement);
    };
    format!("{whose}{what}")
}

/// What there are no words for yet, readable at least.
fn readable(requirement: &str) -> String {
    let text: String = requirement.chars().filter(char::is_ascii_graphic).take(100).collect();
    let text = text.replace(['.', '_'], " ");
    let mut characters = text.chars();
    characters.next().map(|first| first.to_ascii_uppercase().to_string() + characters.as_str()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_pages_are_stripe_s_or_the_stand_in_s() {
        for (api_url, pages) in [
            ("https://api.stripe.com", "https://connect.stripe.com"),
            ("https://api.stripe.com/", "https://connect.stripe.com"),
            ("http://127.0.0.1:9000/base", "http://127.0.0.1:9000"),
            ("http://x; script-src *", "https://connect.stripe.com"),
            ("nonsense", "https://connect.stripe.com"),
        ] {
            assert_eq!(pages_of(api_url), pages);
        }
    }

    fn read(object: &Value) -> AccountState {
        AccountState::read(object.as_object().unwrap()).unwrap()
    }

    #[test]
    fn readiness_wants_everything() {
        let good = json!({ "id": "acct_1", "payouts_enabled": true, "capabilities": { "transfers": "active" },
                           "requirements": { "currently_due": [], "past_due": [], "disabled_reason": null } });
        assert_eq!(read(&good), AccountState::simulated("acct_1".into()));
        for (pointer, value) in [
            ("/payouts_enabled", json!(false)),
            ("/capabilities/transfers", json!("pending")),
            ("/requirements/past_due", json!(["individual.phone"])),
            ("/requirements/disabled_reason", json!("rejected.fraud")),
        ] {
            let mut other = good.clone();
            *other.pointer_mut(pointer).unwrap() = value;
            let state = read(&other);
            assert!(!state.payouts_enabled && state.missing.len() == 1, "{other}: {state:?}");
        }
        for (due, deadline, missing) in [
            (json!(["external_account"]), json!(1_772_323_200), "Your bank account, by 2026-03-01"),
            (json!(["external_account"]), json!(null), "Your bank account"),
            (json!(["external_account"]), json!(-5), "Your bank account"),
        ] {
            let mut other = good.clone();
            other["requirements"]["currently_due"] = due;
            other["requirements"]["current_deadline"] = deadline;
            let state = read(&other);
            assert!(state.payouts_enabled, "what is due later does not stand in the way: {state:?}");
            assert_eq!(state.missing, [missing]);
        }
        for id in [json!(null), json!(""), json!("cus_1"), json!("acct_1/../x")] {
            assert_eq!(AccountState::read(json!({ "id": id }).as_object().unwrap()), None);
        }
        assert!(!read(&json!({ "id": "acct_1" })).payouts_enabled);
    }

    #[test]
    fn what_is_missing_is_said_once_and_in_words() {
        let due = [
            "individual.dob.day",
            "individual.dob.month",
            "external_account",
            "company.tax_id",
            "person_1.verification.document",
            "tos_acceptance.date",
            "business_profile.url",
            "business_profile.mcc",
            "business_profile.product_description",
            "some_new.thing",
        ];
        let object = json!({ "id": "acct_1", "requirements": {
            "currently_due": due, "past_due": ["external_account"], "disabled_reason": "requirements.past_due" } });
        assert_eq!(
            read(&object).missing,
            [
                "Your bank account",
                "Your date of birth",
                "The company's tax number",
                "A person's identity document",
                "Your consent to Stripe's terms",
                "Your website",
                "Your line of business",
                "Your description of what you do",
                "Some new thing"
            ]
        );
    }
}
