//! E-mail addresses: parsing, masking, and the two identities that the abuse rules compare.

use super::disposable;
use super::error::{Error, Result};
use super::text;
use std::collections::HashSet;

/// Providers where a domain says nothing about the person, so that the mailbox counts instead.
const PUBLIC_PROVIDERS: &str = include_str!("public_mailboxes.txt");

/// Forwarding services that hide an address from senders. People use them in good faith: not disposable.
const PRIVACY_RELAYS: [&str; 7] =
    ["duck.com", "mozmail.com", "relay.firefox.com", "simplelogin.com", "simplelogin.co", "addy.io", "passmail.net"];

/// Kept for examples (RFC 2606), and in some lists of throw-away domains all the same. Nobody has a mailbox there, and
/// whoever tries refloop out with it, as the seeds do, should see what a real address would.
const DOCUMENTATION: &str = "example.com";

/// An address in lower case, its domain in ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    local: String,
    domain: String,
}

impl Email {
    /// Parses an address of at most 254 characters. Quoted local parts and address literals are refused.
    pub fn parse(field: &str, text: &str) -> Result<Self> {
        let refuse = |detail: &str| Err(Error::field(field, "invalid_email", detail));
        let too_long = || Error::field(field, "too_long", "Use at most 254 characters.");
        let text = text::printable(field, text)?.trim();
        if text.is_empty() {
            return Err(Error::field(field, "required", "Fill this in."));
        }
        if text.chars().count() > 254 {
            return Err(too_long());
        }
        let Some((local, domain)) = text.rsplit_once('@') else {
            return refuse("An e-mail address has an @ in it.");
        };
        if !local.is_ascii() || local.starts_with('"') {
            return refuse("The part before the @ has characters that are not accepted.");
        }
        let Ok(domain) = idna::domain_to_ascii_strict(domain) else {
            return refuse("The part after the @ is not a domain.");
        };
        if !domain.contains('.') || domain.rsplit('.').next().is_some_and(|top| top.bytes().all(|b| b.is_ascii_digit()))
        {
            return refuse("The part after the @ is not a domain.");
        }
        let address = format!("{}@{domain}", local.to_ascii_lowercase());
        if address.len() > 254 {
            // A domain in ASCII can be much longer than it was typed.
            return Err(too_long());
        }
        if !email_address::EmailAddress::is_valid(&address) {
            return refuse("This is not an e-mail address.");
        }
        Ok(Self { local: local.to_ascii_lowercase(), domain })
    }

    pub fn address(&self) -> String {
        format!("{}@{}", self.local, self.domain)
    }

    /// What a referrer may see: at most 4 letters and at most half of the local part.
    pub fn masked(&self) -> String {
        let shown = (self.local.len() / 2).min(4);
        format!("{}***@{}", &self.local[..shown], self.domain)
    }

    /// The person behind spellings of one mailbox: without a +tag, at Gmail also without dots.
    pub fn mailbox(&self) -> String {
        let untagged = match self.local.split_once('+') {
            Some((name, _)) if !name.is_empty() => name,
            _ => &self.local,
        };
        match self.domain.as_str() {
            "gmail.com" | "googlemail.com" => format!("{}@gmail.com", untagged.replace('.', "")),
            domain => format!("{untagged}@{domain}"),
        }
    }

    /// What is taken for one household: the registrable domain, or the mailbox at a public provider.
    /// With `strict_domains` the domain counts there too.
    pub fn household(&self, strict_domains: bool) -> String {
        let domain = self.registrable_domain();
        if !strict_domains && (is_public(domain) || is_public(&self.domain)) {
            self.mailbox()
        } else {
            domain.to_owned()
        }
    }

    /// The registrable domain, unless it is a public provider's.
    pub fn own_domain(&self) -> Option<&str> {
        let domain = self.registrable_domain();
        (!is_public(domain) && !is_public(&self.domain)).then_some(domain)
    }

    /// Whether the domain hands out throw-away mailboxes, by the shipped list or the team's own.
    pub fn is_disposable(&self, own_list: &DisposableDomains) -> bool {
        let domains = [self.domain.as_str(), self.registrable_domain()];
        domains.iter().any(|domain| own_list.0.contains(*domain))
            || (!domains.iter().any(|domain| PRIVACY_RELAYS.contains(domain) || *domain == DOCUMENTATION)
                && domains.iter().any(|domain| disposable::is_listed(domain)))
    }

    /// By the Public Suffix List; a bare suffix stands for itself.
    fn registrable_domain(&self) -> &str {
        psl::domain_str(&self.domain).unwrap_or(&self.domain)
    }
}

/// Domains that a team takes for disposable beside the shipped ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DisposableDomains(HashSet<String>);

impl DisposableDomains {
    /// One domain a line; empty lines and those that begin with # are left out.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().map(str::trim).enumerate();
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let parse = |(place, line): (usize, &str)| match idna::domain_to_ascii_strict(line) {
            Ok(domain) if domain.contains('.') => Ok(domain),
            _ => {
                let detail = format!("Line {}: {line:?} is no domain.", place + 1);
                Err(Error::field("disposable_domains", "invalid_domain", detail))
            }
        };
        lines.map(parse).collect::<Result<_>>().map(Self)
    }
}

fn is_public(domain: &str) -> bool {
    PUBLIC_PROVIDERS.lines().any(|provider| provider == domain) || PRIVACY_RELAYS.contains(&domain)
}

/// A keyed hash of an identity: it can be compared, not read, and does not outlive the instance's pepper.
pub fn identity_hash(pepper: &[u8; 32], identity: &str) -> [u8; 32] {
    *blake3::keyed_hash(pepper, identity.as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn email(text: &str) -> Email {
        Email::parse("email", text).unwrap()
    }

    #[test]
    fn each_refusal() {
        let long = format!("{}@example.com", "x".repeat(250));
        let far_apart = |n: u32| char::from_u32(0x4e00 + n * 7_919 % 20_000).unwrap_or('漢');
        let label: String = (0..13).map(far_apart).collect();
        let long_in_ascii = format!("{}@{}.example", "b".repeat(64), vec![label; 4].join("."));
        let long_local = format!("{}@example.com", "x".repeat(65));
        for text in [
            "",
            " ",
            "bob",
            "@example.com",
            "bob@",
            "bob@localhost",
            "bob@127.0.0.1",
            "bob@[127.0.0.1]",
            "bob@@example.com",
            "\"b b\"@example.com",
            "b b@example.com",
            "bob@exa mple.com",
            "bob@-example.com",
            "bob@example..com",
            ".bob@example.com",
            "bob.@example.com",
            "bo..b@example.com",
            "böb@example.com",
            "bob\0@example.com",
            "bob\n@example.com",
            "bob@example.com\u{202e}",
            "bob@example.com, eve@example.com",
            "Bob <bob@example.com>",
            &long,
            &long_local,
            &long_in_ascii,
            "bob@example.com\n",
        ] {
            assert!(Email::parse("email", text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_stored_reads_back() {
        for text in ["Bob+x@Example.com", "o'brien@bücher.example", &format!("a@{}.example", "漢".repeat(15))] {
            let once = email(text);
            assert_eq!(email(&once.address()), once);
        }
    }

    #[test]
    fn case_and_script_of_the_domain_do_not_matter() {
        assert_eq!(email(" Bob@Example.COM ").address(), "bob@example.com");
        assert_eq!(email("bob@Bücher.example").address(), "bob@xn--bcher-kva.example");
    }

    #[test]
    fn masks_show_at_most_four_letters_and_half() {
        for (text, masked) in [
            ("username@domain.com", "user***@domain.com"),
            ("a@domain.com", "***@domain.com"),
            ("ab@domain.com", "a***@domain.com"),
            ("abcdefghijkl@domain.com", "abcd***@domain.com"),
        ] {
            assert_eq!(email(text).masked(), masked);
        }
    }

    #[test]
    fn one_person_has_many_spellings() {
        for text in ["b.o.b@gmail.com", "bob+x@gmail.com", "BOB@googlemail.com", "bo.b+a+b@gmail.com"] {
            assert_eq!(email(text).mailbox(), "bob@gmail.com", "{text}");
        }
        assert_eq!(email("b.ob+x@outlook.com").mailbox(), "b.ob@outlook.com");
        assert_eq!(email("+x@corp.example").mailbox(), "+x@corp.example");
    }

    #[test]
    fn households() {
        for (text, strict, household) in [
            ("a@mail.corp.example", false, "corp.example"),
            ("a@x.co.uk", false, "x.co.uk"),
            ("a@deep.x.co.uk", false, "x.co.uk"),
            ("a.b+c@gmail.com", false, "ab@gmail.com"),
            ("a.b+c@gmail.com", true, "gmail.com"),
            ("a+c@yahoo.co.uk", false, "a@yahoo.co.uk"),
            ("a@co.uk", false, "co.uk"),
            ("abc@duck.com", false, "abc@duck.com"),
        ] {
            assert_eq!(email(text).household(strict), household, "{text}");
        }
    }

    #[test]
    fn throw_away_mailboxes_are_known_and_relays_are_not_among_them() {
        let shipped = DisposableDomains::default();
        for text in ["a@mailinator.com", "a@sub.mailinator.com"] {
            assert!(email(text).is_disposable(&shipped), "{text}");
        }
        for text in
            ["a@gmail.com", "a@duck.com", "a@mozmail.com", "a@relay.firefox.com", "a@corp.example", "a@example.com"]
        {
            assert!(!email(text).is_disposable(&shipped), "{text}");
        }
        let own = DisposableDomains::parse("# ours\n\n Throwaway.Example \nduck.com\nexample.com").unwrap();
        for text in
            ["a@throwaway.example", "a@sub.throwaway.example", "a@duck.com", "a@example.com", "a@mailinator.com"]
        {
            assert!(email(text).is_disposable(&own), "{text}");
        }
        assert!(!email("a@corp.example").is_disposable(&own));
        assert!(DisposableDomains::parse("fine.example\nnot a domain").is_err());
    }

    #[test]
    fn identities_are_hashed_with_the_instance_s_pepper() {
        assert_eq!(identity_hash(&[1; 32], "corp.example"), identity_hash(&[1; 32], "corp.example"));
        assert_ne!(identity_hash(&[1; 32], "corp.example"), identity_hash(&[2; 32], "corp.example"));
    }
}
