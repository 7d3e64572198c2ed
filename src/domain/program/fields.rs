//! The fields of a program in words, for who has to mend one.

use serde_json::Value;

/// Every field by its path, whether it has to be there, and what may stand there.
pub const FIELDS: &[(&str, bool, &str)] = &[
    ("unit", true, "credits, or a currency code in lower case, such as usd"),
    ("enabled", false, "true or false"),
    ("conversion", true, "first_call, convert or first_purchase"),
    ("rules", true, "a list of at most 50 rules"),
    ("rules[]", false, "an object with reason, on, to and either amount or basis_points"),
    ("rules[].reason", true, "1 to 40 of a-z, 0-9 and _"),
    ("rules[].on", true, "signup, first_call, calls:N, purchase, first_purchase or conversion"),
    ("rules[].to", true, "referrer or referee"),
    ("rules[].amount", false, "a whole number from 0 to 1000000000000"),
    ("rules[].basis_points", false, "an object with basic and partner"),
    ("rules[].basis_points.basic", true, "a whole number from 0 to 10000"),
    ("rules[].basis_points.partner", true, "a whole number from 0 to 10000"),
    ("rules[].hold_days", false, "a whole number from 0 to 36500"),
    ("rules[].vesting", false, "cliff or linear"),
    ("rules[].expires_days", false, "a whole number from 1 to 36500"),
    ("rules[].min_purchase", false, "a whole number from 0 to 1000000000000"),
    ("code_style", true, "name_year, hex8 or alphanumeric8"),
    ("attribution", false, "an object with window_days and click"),
    ("attribution.window_days", true, "a whole number from 1 to 36500"),
    ("attribution.click", true, "first or last"),
    ("abuse", false, "an object with strict_domains, apply_within_days, threshold, weights and the limits of bursts"),
    ("abuse.strict_domains", false, "true or false"),
    ("abuse.apply_within_days", false, "a whole number from 0 to 36500"),
    ("abuse.threshold", false, "a whole number from 1 to 1000"),
    ("abuse.weights", false, "an object with the weight of each signal"),
    ("abuse.weights.same_address", false, "a whole number from 0 to 1000"),
    ("abuse.weights.same_visitor", false, "a whole number from 0 to 1000"),
    ("abuse.weights.code_burst", false, "a whole number from 0 to 1000"),
    ("abuse.weights.address_burst", false, "a whole number from 0 to 1000"),
    ("abuse.weights.domain_burst", false, "a whole number from 0 to 1000"),
    ("abuse.weights.young_domain", false, "a whole number from 0 to 1000"),
    ("abuse.weights.mailbox_variation", false, "a whole number from 0 to 1000"),
    ("abuse.weights.odd_usage", false, "a whole number from 0 to 1000"),
    ("abuse.weights.bare_milestone", false, "a whole number from 0 to 1000"),
    ("abuse.weights.ring", false, "a whole number from 0 to 1000"),
    ("abuse.weights.shared_address", false, "a whole number from 0 to 1000"),
    ("abuse.weights.crowded_address", false, "a whole number from 0 to 1000"),
    ("abuse.weights.same_usage", false, "a whole number from 0 to 1000"),
    ("abuse.weights.erased_soon", false, "a whole number from 0 to 1000"),
    ("abuse.weights.held_company", false, "a whole number from 0 to 1000"),
    ("abuse.code_signups_per_hour", false, "a whole number from 1 to 1000000"),
    ("abuse.address_signups_per_day", false, "a whole number from 1 to 1000000"),
    ("abuse.address_crowd_per_day", false, "a whole number from 1 to 1000000"),
    ("abuse.domain_signups_per_day", false, "a whole number from 1 to 1000000"),
    ("abuse.young_domain_days", false, "a whole number from 0 to 36500"),
    ("sharing", true, "an object with text"),
    ("sharing.text", true, "a text of 1 to 500 characters"),
    ("leaderboard", false, "an object with enabled"),
    ("leaderboard.enabled", true, "true or false"),
    ("payouts", false, "an object with minimum and approval"),
    ("payouts.minimum", true, "a whole number from 0 to 1000000000000"),
    ("payouts.approval", false, "true or false"),
    ("mail", false, "an object with confirm_address and milestones"),
    ("mail.confirm_address", false, "true or false"),
    ("mail.milestones", false, "true or false"),
];

/// What may stand at a pattern; `None` when there is no such field.
pub fn allowed(pattern: &str) -> Option<&'static str> {
    if pattern.is_empty() {
        return Some("an object, as `project program` prints it");
    }
    FIELDS.iter().find(|(path, ..)| *path == pattern).map(|(.., allowed)| *allowed)
}

/// The fields of an object, and whether each has to be there.
pub fn children(pattern: &str) -> impl Iterator<Item = (&'static str, bool)> {
    let parent = if pattern.is_empty() { String::new() } else { format!("{pattern}.") };
    FIELDS.iter().filter_map(move |(path, needed, _)| {
        let name = path.strip_prefix(parent.as_str())?;
        (!name.contains(['.', '['])).then_some((name, *needed))
    })
}

/// What stands in a document at a pattern, each by its path.
fn places<'d>(document: &'d Value, pattern: &str) -> Vec<(String, &'d Value)> {
    let mut places = vec![(String::new(), document)];
    for step in pattern.split('.') {
        let (name, of_each) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
        let named = places.into_iter().filter_map(|(path, node)| {
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            Some((path, node.get(name)?))
        });
        places = if of_each {
            let items = named.flat_map(|(path, list)| {
                let items = list.as_array().into_iter().flatten().enumerate();
                items.map(move |(place, item)| (format!("{path}[{place}]"), item))
            });
            items.collect()
        } else {
            named.collect()
        };
    }
    places
}

/// Lists where objects belong: their values would be taken for fields by their order.
pub fn lists_for_objects(document: &Value) -> Vec<(String, &Value)> {
    if document.is_array() {
        return vec![(String::new(), document)];
    }
    let objects = FIELDS.iter().filter(|(.., allowed)| allowed.starts_with("an object"));
    objects.flat_map(|(pattern, ..)| places(document, pattern)).filter(|(_, value)| value.is_array()).collect()
}
