//! Mail by SMTP.

use super::deliver::Receiver;
use crate::domain::delivery::{DeliveryKind, Outcome};
use crate::domain::error::{Error, Result};
use crate::engine::letter_words::{self, Rendered};
use crate::engine::{Begun, Content, Letter};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Message, SmtpTransport, Transport};
use percent_encoding::percent_decode_str;
use std::time::{Duration, UNIX_EPOCH};

/// For each step of the conversation.
const PATIENCE: Duration = Duration::from_secs(20);

/// How the server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encryption {
    /// TLS from the first byte.
    Implicit,
    /// STARTTLS, or nothing is said.
    Required,
    /// In the clear.
    None,
}

/// A mail server. Not to be printed: the password is in it.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpServer {
    host: String,
    port: u16,
    encryption: Encryption,
    credentials: Option<(String, String)>,
    patience: Duration,
}

impl SmtpServer {
    /// Reads `smtps://user:password@host:465`, or `smtp://` for STARTTLS. In the clear only with `?tls=none`, or to this
    /// machine itself; never with a password to another one. The error does not repeat the URL.
    pub fn parse(url: &str) -> Result<Self> {
        let refuse = |detail: &str| Error::field("smtp_url", "invalid_smtp_url", detail);
        let shape = "Give smtp://user:password@host:587 or smtps://user:password@host:465.";
        let (scheme, rest) = url.trim().split_once("://").ok_or_else(|| refuse(shape))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (user, authority) = rest
            .trim_end_matches('/')
            .rsplit_once('@')
            .map_or((None, rest), |(user, authority)| (Some(user), authority));
        let authority = authority.trim_end_matches('/');
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let port = port.map(str::parse).transpose().map_err(|_| refuse(shape))?;
        let host = host.trim_matches(['[', ']']).to_owned();
        if host.is_empty() || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:_".contains(&b)) {
            return Err(refuse(shape));
        }
        let is_here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let (encryption, default_port) = match (scheme, query) {
            ("smtps", "") => (Encryption::Implicit, 465),
            ("smtp", "tls=none") => (Encryption::None, 25),
            ("smtp", "") if is_here => (Encryption::None, 25),
            ("smtp", "" | "tls=required") => (Encryption::Required, 587),
            _ => return Err(refuse(shape)),
        };
        let decoded = |text: &str| percent_decode_str(text).decode_utf8().map(String::from).map_err(|_| refuse(shape));
        let credentials = match user {
            None => None,
            Some(user) => {
                let (name, password) = user.split_once(':').ok_or_else(|| refuse(shape))?;
                Some((decoded(name)?, decoded(password)?))
            }
        };
        if credentials.is_some() && encryption == Encryption::None && !is_here {
            return Err(refuse("A password does not go over the network in the clear: leave ?tls=none out."));
        }
        Ok(Self { host, port: port.unwrap_or(default_port), encryption, credentials, patience: PATIENCE })
    }

    /// How long each step of the conversation may take.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Whether it answers, and lets whom the URL names in. The server's own words otherwise.
    pub fn probe(&self) -> std::result::Result<(), String> {
        let transport = self.transport("localhost").map_err(|fault| fault.message)?;
        match transport.test_connection() {
            Ok(true) => Ok(()),
            Ok(false) => Err("it does not answer".into()),
            Err(fault) => Err(fault.to_string()),
        }
    }

    fn transport(&self, hello: &str) -> Result<SmtpTransport> {
        let tls = || {
            let parameters = TlsParameters::new(self.host.clone());
            parameters.map_err(|fault| Error::internal(format!("TLS cannot be set up: {fault}")))
        };
        let tls = match self.encryption {
            Encryption::Implicit => Tls::Wrapper(tls()?),
            Encryption::Required => Tls::Required(tls()?),
            Encryption::None => Tls::None,
        };
        let builder = SmtpTransport::builder_dangerous(self.host.clone()).port(self.port).tls(tls);
        let builder = builder.timeout(Some(self.patience)).hello_name(ClientId::Domain(hello.to_owned()));
        let credentials = self.credentials.clone().map(|(name, password)| Credentials::new(name, password));
        Ok(credentials.into_iter().fold(builder, lettre::transport::smtp::SmtpTransportBuilder::credentials).build())
    }
}

/// Sends letters through a mail server.
pub struct Mailer {
    transport: SmtpTransport,
    from: Mailbox,
    public_url: String,
}

impl Mailer {
    /// `Invalid` for a sender that is no address.
    pub fn new(server: &SmtpServer, from: &str, public_url: &str) -> Result<Self> {
        let from: Mailbox = from.parse().map_err(|_| {
            let detail = "Give the sender as refer@example.com or \"Example <refer@example.com>\".";
            Error::field("mail_from", "invalid_email", detail)
        })?;
        let transport = server.transport(from.email.domain())?;
        Ok(Self { transport, from, public_url: public_url.to_owned() })
    }

    fn message(&self, letter: &Letter) -> Result<Message> {
        let fault = |fault: &dyn std::fmt::Display| Error::internal(format!("a letter cannot be written: {fault}"));
        let Rendered { subject, text, html, unsubscribe_url } = letter_words::render(letter, &self.public_url)?;
        let address = letter.to.parse().map_err(|error| fault(&error))?;
        // A header is one line, whatever is in the file.
        let name = letter.addressee().map(|name| name.replace(char::is_control, " "));
        let date = UNIX_EPOCH + Duration::from_millis(u64::try_from(letter.at_ms).unwrap_or_default());
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(name, address))
            .subject(subject)
            .date(date)
            // However often it is sent, it is the same one.
            .message_id(Some(format!("<{}@{}>", letter.id, self.from.email.domain())));
        let mut message =
            message.multipart(MultiPart::alternative_plain_html(text, html)).map_err(|error| fault(&error))?;
        let mut header = |name: &'static str, value: String| {
            message.headers_mut().insert_raw(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
        };
        // Nobody's holiday notice is wanted (RFC 3834).
        header("Auto-Submitted", "auto-generated".into());
        if let Some(url) = unsubscribe_url {
            // One request declines, without a page (RFC 8058).
            header("List-Unsubscribe", format!("<{url}>"));
            header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".into());
        }
        Ok(message)
    }
}

impl Receiver for Mailer {
    fn kind(&self) -> DeliveryKind {
        DeliveryKind::Mail
    }

    fn tell(&self, begun: &Begun) -> Outcome {
        let Content::Letter(letter) = &begun.content else {
            return Outcome::Refused("This is no letter.".into());
        };
        let message = match self.message(letter) {
            Ok(message) => message,
            Err(fault) => return Outcome::Refused(fault.message),
        };
        match self.transport.send(&message) {
            Ok(_) => Outcome::Done(None),
            Err(fault) => outcome(&fault),
        }
    }
}

/// What a failure says about the letter. The server's own words are kept for operators.
fn outcome(fault: &lettre::transport::smtp::Error) -> Outcome {
    /// The server does not know us, or wants TLS: no fault of the letter's, and for the operator to mend.
    const SIGN_IN: [u16; 5] = [530, 534, 535, 538, 454];
    let reason = fault.to_string();
    match fault.status().map(u16::from) {
        Some(code) if SIGN_IN.contains(&code) => Outcome::Retry(reason),
        Some(_) if fault.is_permanent() => Outcome::Refused(reason),
        Some(_) => Outcome::Retry(reason),
        // Without an answer nobody knows how far it came. A second one has the same Message-ID.
        None => Outcome::Unclear(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> (String, u16, Encryption, Option<(String, String)>) {
        let server = SmtpServer::parse(url).unwrap();
        (server.host, server.port, server.encryption, server.credentials)
    }

    #[test]
    fn urls_of_servers() {
        let user = |name: &str, password: &str| Some((name.to_owned(), password.to_owned()));
        for (url, host, port, encryption, credentials) in [
            ("smtps://mail.example.com", "mail.example.com", 465, Encryption::Implicit, None),
            ("smtp://mail.example.com", "mail.example.com", 587, Encryption::Required, None),
            ("smtp://mail.example.com?tls=required", "mail.example.com", 587, Encryption::Required, None),
            ("smtp://u:p@mail.example.com:2525/", "mail.example.com", 2525, Encryption::Required, user("u", "p")),
            ("smtps://a%40b:p%3A%2F%C3%A9@h:1\n", "h", 1, Encryption::Implicit, user("a@b", "p:/é")),
            ("smtp://relay:1025?tls=none", "relay", 1025, Encryption::None, None),
            ("smtp://localhost:1025", "localhost", 1025, Encryption::None, None),
            ("smtp://u:p@127.0.0.1", "127.0.0.1", 25, Encryption::None, user("u", "p")),
            ("smtp://[::1]:2525", "::1", 2525, Encryption::None, None),
        ] {
            assert_eq!(parsed(url), (host.to_owned(), port, encryption, credentials), "{url}");
        }
    }

    #[test]
    fn each_url_that_is_refused_and_not_repeated() {
        for url in [
            "",
            "mail.example.com",
            "http://mail.example.com",
            "smtp://",
            "smtp://:secret@",
            "smtp://u:secret@host:port",
            "smtp://u:secret@host:99999",
            "smtp://secret@host",
            "smtp://u:%ff@host",
            "smtp://u:secret@ho st",
            "smtps://u:secret@host?tls=none",
            "smtp://u:secret@host?tls=none",
            "smtp://u:secret@host?tls=opportunistic",
        ] {
            let Err(error) = SmtpServer::parse(url) else { panic!("{url} was taken") };
            assert_eq!(error.code, "invalid_smtp_url", "{url}");
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
    }
}
