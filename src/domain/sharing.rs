//! What a referrer posts, and links that open it ready-made elsewhere.

use super::program::Sharing;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Where a project's own pages are: at its host, where it has one, with the scheme, port and path of the public address.
pub fn base_url(public_url: &str, host: Option<&str>) -> String {
    let Some((host, (scheme, rest))) = host.zip(public_url.split_once("://")) else { return public_url.to_owned() };
    let (authority, path) = rest.find('/').map_or((rest, ""), |place| rest.split_at(place));
    let port = authority.rsplit_once(':').map(|(_, port)| port).filter(|port| port.parse::<u16>().is_ok());
    format!("{scheme}://{host}{}{path}", port.map(|port| format!(":{port}")).unwrap_or_default())
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    pub text: String,
    pub x: String,
    pub linkedin: String,
    pub telegram: String,
    pub email: String,
}

impl Invitation {
    /// To follow `url`; `bonus` is what somebody who does starts with.
    pub fn new(sharing: &Sharing, project: &str, code: &str, bonus: Option<&str>, url: &str) -> Self {
        let with_url = |url: &str| sharing.filled_in(project, code, bonus, url);
        let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let text = with_url(url);
        let (body, link) = (escaped(&text), escaped(url));
        let without_url = escaped(with_url("").trim_end_matches([' ', ':']));
        let subject = escaped(project);
        Self {
            x: format!("https://x.com/intent/post?text={body}"),
            linkedin: format!("https://www.linkedin.com/sharing/share-offsite/?url={link}"),
            telegram: format!("https://t.me/share/url?url={link}&text={without_url}"),
            email: format!("mailto:?subject={subject}&body={body}"),
            text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_s_pages_are_at_its_host() {
        for (public_url, host, pages) in [
            ("https://api.example.com", None, "https://api.example.com"),
            ("https://api.example.com", Some("maps.example.com"), "https://maps.example.com"),
            ("http://127.0.0.1:8080", Some("maps.localhost"), "http://maps.localhost:8080"),
            ("http://[::1]:8080", Some("maps.localhost"), "http://maps.localhost:8080"),
            ("http://[::1]", Some("maps.localhost"), "http://maps.localhost"),
            ("https://api.example.com:8443/referrals", Some("m.example.com"), "https://m.example.com:8443/referrals"),
        ] {
            assert_eq!(base_url(public_url, host), pages);
        }
    }

    #[test]
    fn links_carry_the_post_and_nothing_in_it_breaks_them() {
        let sharing = Sharing { text: "Try {project} & save[ {bonus}]: {url}".into() };
        let made = Invitation::new(&sharing, "A&B", "ALICE", Some("5 credits"), "https://x.example/r/ALICE");
        assert_eq!(made.text, "Try A&B & save 5 credits: https://x.example/r/ALICE");
        assert_eq!(
            made.x,
            "https://x.com/intent/post?text=\
             Try%20A%26B%20%26%20save%205%20credits%3A%20https%3A%2F%2Fx%2Eexample%2Fr%2FALICE"
        );
        assert!(made.telegram.ends_with("&text=Try%20A%26B%20%26%20save%205%20credits"), "{}", made.telegram);
        assert!(made.linkedin.ends_with("?url=https%3A%2F%2Fx%2Eexample%2Fr%2FALICE"));
        assert!(made.email.starts_with("mailto:?subject=A%26B&body=Try"));
    }
}
