//! A click: who the visitor is, whether it counts, and what the visitor's browser remembers of it.

use super::code::Code;
use super::id::ProjectId;
use super::program::{Attribution, ClickModel};
use super::time::DAY_MS;
use std::net::IpAddr;
use subtle::ConstantTimeEq;

/// What a referrer can bring in a day, and some: what is beyond it is a machine's doing. It bounds the rows of single
/// clicks that a flood can leave behind.
pub const MOST_A_DAY_AND_REFERRER: i64 = 10_000;
/// About 30 MB of rows a day.
pub const MOST_A_DAY_AND_PROJECT: i64 = 200_000;
/// Single clicks are not kept for longer, however long the program's window is. Attribution does not need them.
const MOST_KEPT_DAYS: u32 = 90;

/// A visitor without a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VisitorId(pub [u8; 16]);

impl VisitorId {
    /// Of who comes from this network with this browser, as long as the key is the same: neither can be told from it.
    pub fn of(key: &[u8; 32], project: ProjectId, network: IpAddr, user_agent: &str) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(key);
        hasher.update(&project.0.to_le_bytes());
        match network {
            IpAddr::V4(address) => hasher.update(&[4]).update(&address.octets()),
            IpAddr::V6(address) => hasher.update(&[6]).update(&address.octets()),
        };
        Self(first_half(&hasher.update(user_agent.as_bytes()).finalize()))
    }
}

fn first_half(hash: &blake3::Hash) -> [u8; 16] {
    hash.as_bytes()[..16].try_into().unwrap_or_default()
}

/// The click that a visitor's browser remembers, for the signup that may follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptClick {
    pub code: Code,
    pub at_ms: i64,
    /// Who the visitor was at the first click, so that they stay the same on other days and networks.
    pub visitor: VisitorId,
}

impl KeptClick {
    fn mac(&self, key: &[u8; 32], project: ProjectId) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(key);
        hasher.update(&project.0.to_le_bytes()).update(&self.at_ms.to_le_bytes()).update(&self.visitor.0);
        first_half(&hasher.update(self.code.as_str().as_bytes()).finalize())
    }

    /// As a cookie carries it: only who has the key can make one, and it is good in one project.
    pub fn seal(&self, key: &[u8; 32], project: ProjectId) -> String {
        let (visitor, mac) = (hex::encode(self.visitor.0), hex::encode(self.mac(key, project)));
        format!("{}.{}.{visitor}.{mac}", self.code, self.at_ms)
    }

    /// `None` for what was not sealed with this key for this project.
    pub fn open(key: &[u8; 32], project: ProjectId, text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let mut part = || parts.next();
        let (code, at_ms, visitor, mac) = (part()?, part()?, part()?, part()?);
        let bytes = |text: &str| {
            let mut bytes = [0; 16];
            hex::decode_to_slice(text, &mut bytes).ok().map(|()| bytes)
        };
        let kept = Self {
            code: Code::parse("ref", code).ok()?,
            at_ms: at_ms.parse().ok()?,
            visitor: VisitorId(bytes(visitor)?),
        };
        // Whoever has another spelling of a good one has not got it from here.
        let good = parts.next().is_none() && bool::from(kept.mac(key, project).ct_eq(&bytes(mac)?));
        (good && kept.seal(key, project) == text).then_some(kept)
    }

    /// Whether a signup now is this click's doing.
    pub fn is_within(&self, attribution: Attribution, now_ms: i64) -> bool {
        self.at_ms <= now_ms && now_ms - self.at_ms < window_ms(attribution)
    }

    /// What is to be remembered after `new`, which comes after `earlier`.
    #[must_use]
    pub fn after(new: Self, earlier: Option<Self>, attribution: Attribution) -> Self {
        match (attribution.click, earlier) {
            (ClickModel::First, Some(first)) if first.is_within(attribution, new.at_ms) => first,
            _ => new,
        }
    }
}

/// How long a click is remembered.
pub fn window_ms(attribution: Attribution) -> i64 {
    i64::from(attribution.window_days) * DAY_MS
}

/// How long it is kept by itself.
pub fn kept_ms(attribution: Attribution) -> i64 {
    i64::from(attribution.window_days.min(MOST_KEPT_DAYS)) * DAY_MS
}

/// Words in the names of programs that fetch pages by themselves: crawlers, what draws previews of links in chats and
/// posts, monitors, and libraries. A browser without a window (`HeadlessChrome`) is not among them: what drives one
/// could as well leave the word out, and teams try their own links with it.
const MACHINES: [&str; 61] = [
    "crawl",
    "spider",
    "slurp",
    "preview",
    "prerender",
    "scrap",
    "fetch",
    "facebookexternalhit",
    "facebookcatalog",
    "meta-external",
    "whatsapp/",
    "embedly",
    "iframely",
    "vkshare",
    "line-poker",
    "google-inspectiontool",
    "google-read-aloud",
    "google-safety",
    "mediapartners-google",
    "lighthouse",
    "pagespeed",
    "monitor",
    "pingdom",
    "validator",
    "archive.org",
    "curl/",
    "wget/",
    "libwww",
    "python",
    "aiohttp",
    "httpx",
    "go-http-client",
    "java/",
    "apache-httpclient",
    "okhttp",
    "axios",
    "node-fetch",
    "undici",
    "guzzle",
    "ruby",
    "postman",
    "insomnia",
    "httpie",
    "cardyb",
    "http.rb/",
    "pagerenderer",
    "viber",
    "ia_archiver",
    "chatgpt-user",
    "microsoft office",
    "microsoft outlook",
    "ms-office",
    "msoffice",
    "outlook-ios",
    "outlook-android",
    "java-http-client",
    "http-java-client",
    "php/",
    "reqwest/",
    "dart/",
    "faraday",
];

/// Whether a program of this name is known to fetch pages by itself. Who gives no name is taken for one.
pub fn is_machine(user_agent: &str) -> bool {
    let name = user_agent.trim().to_ascii_lowercase();
    // Cubot makes telephones.
    let is_bot = name.match_indices("bot").any(|(place, _)| !name[..place].ends_with("cu"));
    // Node's own fetch is called nothing but that.
    name.is_empty() || name == "node" || is_bot || MACHINES.iter().any(|word| name.contains(word))
}

/// Whether a header that says what a page is wanted for (`Sec-Purpose` and its forerunners) says that nobody is going to
/// look at it yet.
pub fn is_ahead_of_visit(purpose: &str) -> bool {
    let purpose = purpose.to_ascii_lowercase();
    ["prefetch", "prerender", "preview"].iter().any(|word| purpose.contains(word))
}

/// Where a code's link leads: the landing page, with the code in its query.
pub fn landing_link(landing_url: &str, code: Option<&Code>) -> String {
    let Some(code) = code else { return landing_url.to_owned() };
    let (address, fragment) = match landing_url.split_once('#') {
        Some((address, fragment)) => (address, format!("#{fragment}")),
        None => (landing_url, String::new()),
    };
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let own = query.split('&').filter(|pair| !pair.is_empty() && *pair != "ref" && !pair.starts_with("ref="));
    let mut pairs: Vec<String> = own.map(str::to_owned).collect();
    pairs.push(format!("ref={code}"));
    format!("{path}?{}{fragment}", pairs.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];
    const PROJECT: ProjectId = ProjectId(1);

    fn kept(code: &str, at_ms: i64) -> KeptClick {
        KeptClick { code: Code::parse("ref", code).unwrap(), at_ms, visitor: VisitorId([9; 16]) }
    }

    fn attribution(click: ClickModel) -> Attribution {
        Attribution { window_days: 7, click }
    }

    #[test]
    fn a_visitor_is_a_network_and_a_browser_in_a_project_under_a_key() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let visitor = VisitorId::of(&KEY, PROJECT, ip("192.0.2.1"), "Firefox");
        assert_eq!(visitor, VisitorId::of(&KEY, PROJECT, ip("192.0.2.1"), "Firefox"));
        for other in [
            VisitorId::of(&[8; 32], PROJECT, ip("192.0.2.1"), "Firefox"),
            VisitorId::of(&KEY, ProjectId(2), ip("192.0.2.1"), "Firefox"),
            VisitorId::of(&KEY, PROJECT, ip("192.0.2.2"), "Firefox"),
            VisitorId::of(&KEY, PROJECT, ip("::ffff:192.0.2.1"), "Firefox"),
            VisitorId::of(&KEY, PROJECT, ip("192.0.2.1"), "Chrome"),
        ] {
            assert_ne!(visitor, other);
        }
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_in_its_project_only() {
        let click = kept("ALICE2026", 1_768_471_200_000);
        let sealed = click.seal(&KEY, PROJECT);
        assert_eq!(KeptClick::open(&KEY, PROJECT, &sealed), Some(click));
        assert_eq!(KeptClick::open(&[8; 32], PROJECT, &sealed), None);
        assert_eq!(KeptClick::open(&KEY, ProjectId(2), &sealed), None);
        for forged in [
            String::new(),
            "ALICE2026".into(),
            "...".into(),
            sealed.replace("ALICE", "MALLO"),
            sealed.replace("1768471200000", "1768471200001"),
            sealed.replace("0909", "0908"),
            sealed.replace("ALICE", "alice"),
            sealed.replace(".1768", ".+1768"),
            format!("{sealed}."),
            format!("{sealed} "),
            sealed[..sealed.len() - 2].to_owned(),
        ] {
            assert_eq!(KeptClick::open(&KEY, PROJECT, &forged), None, "{forged}");
        }
    }

    #[test]
    fn first_or_last_click() {
        let week_ms = 7 * DAY_MS;
        for (model, earlier, new, remembered) in [
            (ClickModel::Last, None, ("BOBS", 5), ("BOBS", 5)),
            (ClickModel::Last, Some(("ALICES", 1)), ("BOBS", 5), ("BOBS", 5)),
            (ClickModel::Last, Some(("ALICES", 1)), ("ALICES", 5), ("ALICES", 5)),
            (ClickModel::First, None, ("BOBS", 5), ("BOBS", 5)),
            (ClickModel::First, Some(("ALICES", 1)), ("BOBS", 5), ("ALICES", 1)),
            (ClickModel::First, Some(("ALICES", 1)), ("ALICES", 5), ("ALICES", 1)),
            (ClickModel::First, Some(("ALICES", 1)), ("BOBS", week_ms), ("ALICES", 1)),
            (ClickModel::First, Some(("ALICES", 1)), ("BOBS", week_ms + 1), ("BOBS", week_ms + 1)),
        ] {
            let earlier = earlier.map(|(code, at_ms)| kept(code, at_ms));
            let after = KeptClick::after(kept(new.0, new.1), earlier, attribution(model));
            assert_eq!(after, kept(remembered.0, remembered.1), "{model:?} {new:?}");
        }
        assert!(!kept("ALICES", 5).is_within(attribution(ClickModel::Last), 4), "a click that is still to come");
    }

    #[test]
    fn machines_are_told_by_their_names() {
        for machine in [
            "",
            " ",
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            "Twitterbot/1.0",
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
            "TelegramBot (like TwitterBot)",
            "WhatsApp/2.23.20.0",
            "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
            "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
            "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
            "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
            "Baiduspider+(+http://www.baidu.com/search/spider.htm)",
            "curl/8.5.0",
            "Wget/1.21.4",
            "python-requests/2.32.0",
            "Go-http-client/1.1",
            "Bluesky Cardyb/1.1; +mailto:support@bsky.app",
            "http.rb/5.1.1 (Mastodon/4.2.1; +https://social.example/)",
            "PageRenderer/1.0",
            "Viber/13.3.0.5 CFNetwork/1240.0.4 Darwin/20.6.0",
            "ia_archiver (+http://www.alexa.com/site/help/webmasters; crawler@alexa.com)",
            "ia_archiver",
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko); compatible; ChatGPT-User/1.0",
            "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17328; Pro)",
            "Mozilla/4.0 (compatible; ms-office; MSOffice 16)",
            "Outlook-iOS/2.0",
            "Java-http-client/21.0.2",
            "Google-HTTP-Java-Client/1.43.3 (gzip)",
            "PHP/8.3.4",
            "reqwest/0.12.5",
            "node",
            "Dart/3.4 (dart:io)",
            "Faraday v2.9.0",
        ] {
            assert!(is_machine(machine), "{machine}");
        }
        for person in [
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
            "Mozilla/5.0 (Linux; Android 10; CUBOT NOTE 20) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0.0.0 Safari/537.36",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Nodeman/1.0 Chrome/140.0.0.0 Safari/537.36",
        ] {
            assert!(!is_machine(person), "{person}");
        }
    }

    #[test]
    fn a_code_joins_the_landing_page_s_own_query() {
        let code = Code::parse("ref", "alice2026").unwrap();
        for (landing, link) in [
            ("https://x.example", "https://x.example?ref=ALICE2026"),
            ("https://x.example/", "https://x.example/?ref=ALICE2026"),
            ("https://x.example/a?b=c&d", "https://x.example/a?b=c&d&ref=ALICE2026"),
            ("https://x.example/a?", "https://x.example/a?ref=ALICE2026"),
            ("https://x.example/a#top", "https://x.example/a?ref=ALICE2026#top"),
            ("https://x.example/?b=c#a?b", "https://x.example/?b=c&ref=ALICE2026#a?b"),
            ("https://x.example/?ref=home&b=c", "https://x.example/?b=c&ref=ALICE2026"),
        ] {
            assert_eq!(landing_link(landing, Some(&code)), link);
        }
        assert_eq!(landing_link("https://x.example/a#b", None), "https://x.example/a#b");
    }
}
