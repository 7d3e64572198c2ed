//! What RDAP (RFC 9082, RFC 9083) says of a domain.

use super::time;
use ipnet::IpNet;
use serde::Deserialize;
use std::net::IpAddr;

/// Networks that are nobody's on the Internet (IANA's special-purpose registries), and those that lead into others.
const NOT_PUBLIC: [&str; 23] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/3",
    "::/127",
    "64:ff9b::/96",
    "64:ff9b:1::/48",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "2002::/16",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
];

/// Whether an address is on the Internet, as far as its network says.
pub fn is_public(address: IpAddr) -> bool {
    let address = address.to_canonical();
    !NOT_PUBLIC.iter().any(|text| text.parse::<IpNet>().is_ok_and(|network| network.contains(&address)))
}

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
    fn every_network_reads_and_what_is_on_the_internet_is_told_apart() {
        assert!(NOT_PUBLIC.iter().all(|text| text.parse::<IpNet>().is_ok()));
        for (address, is) in [
            ("8.8.8.8", true),
            ("172.15.255.255", true),
            ("172.16.0.1", false),
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("192.168.1.1", false),
            ("0.0.0.0", false),
            ("255.255.255.255", false),
            ("2606:4700::1111", true),
            ("::1", false),
            ("::", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:8.8.8.8", true),
            ("fd00::1", false),
            ("fe80::1", false),
            ("64:ff9b::a00:1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), is, "{address}");
        }
    }

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
