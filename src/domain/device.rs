//! What a browser calls itself, in words that its owner knows. Nothing of what was sent is kept: no version, no model.

/// In this order: most browsers name others as well, those that they want to be taken for.
const BROWSERS: [(&str, &[&str]); 9] = [
    ("Edge", &["Edg/", "EdgA/", "EdgiOS/", "Edge/"]),
    ("Opera", &["OPR/", "OPT/", "OPiOS/", "Opera"]),
    ("Vivaldi", &["Vivaldi/"]),
    ("Samsung Internet", &["SamsungBrowser/"]),
    ("DuckDuckGo", &["DuckDuckGo/", "Ddg/"]),
    ("Firefox", &["Firefox/", "FxiOS/"]),
    ("Chrome", &["Chrome/", "CriOS/", "Chromium/"]),
    ("Safari", &["Safari/"]),
    ("curl", &["curl/"]),
];

/// In this order: phones name the system that theirs was made from.
const SYSTEMS: [(&str, &[&str]); 8] = [
    ("iPhone", &["iPhone", "iPod"]),
    ("iPad", &["iPad"]),
    ("Android", &["Android"]),
    ("Windows", &["Windows"]),
    ("macOS", &["Macintosh", "Mac OS X"]),
    ("ChromeOS", &["CrOS"]),
    ("Linux", &["Linux", "X11; Ubuntu"]),
    ("BSD", &["FreeBSD", "OpenBSD", "NetBSD"]),
];

/// Longer ones are not read to their end.
const MOST_READ: usize = 512;

/// Such as "Firefox on Linux". `None` when neither the browser nor the system is one of the known.
pub fn describe(user_agent: &str) -> Option<String> {
    let read: String = user_agent.chars().take(MOST_READ).collect();
    let named = |known: &[(&'static str, &[&str])]| {
        known.iter().find(|(_, words)| words.iter().any(|word| read.contains(word))).map(|(name, _)| *name)
    };
    match (named(&BROWSERS), named(&SYSTEMS)) {
        (Some(browser), Some(system)) => Some(format!("{browser} on {system}")),
        (Some(browser), None) => Some(browser.to_owned()),
        (None, Some(system)) => Some(format!("A browser on {system}")),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_and_systems_as_their_owners_call_them() {
        let chrome = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0";
        let webkit = "AppleWebKit/605.1.15 (KHTML, like Gecko)";
        for (user_agent, device) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0".to_owned(), "Firefox on Linux"),
            ("Mozilla/5.0 (Android 15; Mobile; rv:143.0) Gecko/143.0 Firefox/143.0".into(), "Firefox on Android"),
            (format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {chrome} Safari/537.36"), "Chrome on Windows"),
            (
                format!("Mozilla/5.0 (Windows NT 10.0; Win64; x64) {chrome} Safari/537.36 Edg/141.0.0.0"),
                "Edge on Windows",
            ),
            (format!("Mozilla/5.0 (X11; Linux x86_64) {chrome} Safari/537.36 OPR/120.0.0.0"), "Opera on Linux"),
            (format!("Mozilla/5.0 (X11; Linux x86_64) {chrome} Safari/537.36 Vivaldi/7.6"), "Vivaldi on Linux"),
            (format!("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {chrome} Safari/537.36"), "Chrome on ChromeOS"),
            (format!("Mozilla/5.0 (Linux; Android 10; K) {chrome} Mobile Safari/537.36"), "Chrome on Android"),
            (
                format!("Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 SamsungBrowser/28.0 {chrome}"),
                "Samsung Internet on Android",
            ),
            (
                format!("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {webkit} Version/18.6 Safari/605.1.15"),
                "Safari on macOS",
            ),
            (
                format!(
                    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) {webkit} Version/18.6 Mobile/15E148 Safari/604.1"
                ),
                "Safari on iPhone",
            ),
            (
                format!(
                    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) {webkit} CriOS/141.0 Mobile/15E148 Safari/604.1"
                ),
                "Chrome on iPhone",
            ),
            (
                format!(
                    "Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) {webkit} FxiOS/143.0 Mobile/15E148 Safari/605.1.15"
                ),
                "Firefox on iPad",
            ),
            ("Mozilla/5.0 (X11; FreeBSD amd64; rv:143.0) Gecko/20100101 Firefox/143.0".into(), "Firefox on BSD"),
            ("curl/8.14.1".into(), "curl"),
            ("Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko".into(), "A browser on Windows"),
        ] {
            assert_eq!(describe(&user_agent).as_deref(), Some(device), "{user_agent}");
        }
    }

    #[test]
    fn what_is_not_known_is_not_repeated() {
        for user_agent in ["", "Bob's own browser 1.0", "<script>", "\u{202e}x", &"é".repeat(5_000), &"x".repeat(5_000)]
        {
            assert_eq!(describe(user_agent), None, "{user_agent:.40}");
        }
        assert_eq!(describe(&format!("{}Firefox/1", "x".repeat(MOST_READ))), None, "nor read for ever");
    }
}
