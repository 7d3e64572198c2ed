//! What RDAP (RFC 9082, RFC 9083) says of a domain.

use super::time;
use serde::Deserialize;

#[derive(Deserialize)]
struct DomainObject {
    #[serde(rename = "ldhName")]
    name: Option<String>,
    #[serde(default)]
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "eventAction")]
    action: String,
    #[serde(rename = "eventDate")]
    date: Option<String>,
}

/// Where a domain is looked up, behind the base URL: `domain` is in ASCII, as e-mail addresses are kept.
pub fn path_of(domain: &str) -> String {
    format!("/domain/{domain}")
}

/// When a domain was registered; `None` when the answer does not say, or is about another one.
pub fn registered_at_ms(domain: &str, answer: &[u8]) -> Option<i64> {
    let object: DomainObject = serde_json::from_slice(answer).ok()?;
    let name = object.name.unwrap_or_default();
    if !name.trim_end_matches('.').eq_ignore_ascii_case(domain) {
        return None;
    }
    let registered = object.events.into_iter().find(|event| event.action == "registration")?;
    time::parse("eventDate", &registered.date?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_the_registration() {
        let said = |name: &str, action: &str, date: &str| {
            format!(
                r#"{{"objectClassName":"domain","ldhName":"{name}","status":["active"],"events":[
                {{"eventAction":"last changed","eventDate":"2026-01-02T00:00:00Z"}},
                {{"eventAction":"{action}","eventDate":"{date}","eventActor":"x"}}]}}"#
            )
        };
        let at = |text: String| registered_at_ms("cheap.example", text.as_bytes());
        let is = Some(1_767_225_600_000);
        assert_eq!(at(said("cheap.example", "registration", "2026-01-01T00:00:00Z")), is);
        assert_eq!(at(said("CHEAP.EXAMPLE.", "registration", "2026-01-01T02:00:00+02:00")), is);
        assert_eq!(at(said("other.example", "registration", "2026-01-01T00:00:00Z")), None);
        assert_eq!(at(said("cheap.example", "reregistration", "2026-01-01T00:00:00Z")), None);
        assert_eq!(at(said("cheap.example", "registration", "lately")), None);
        for text in ["", "{}", "[]", "null", r#"{"ldhName":"cheap.example"}"#, r#"{"ldhName":5}"#] {
            assert_eq!(at(text.into()), None, "{text}");
        }
    }
}
