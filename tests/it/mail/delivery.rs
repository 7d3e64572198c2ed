//! What a mail server may say and do, and what becomes of the mail.

use super::smtp::{Answer, Smtp};
use super::{Office, mailer};
use crate::harness::App;
use refloop::domain::delivery::Outcome;
use refloop::engine::{Begun, Content, Delivery, Letter, LetterContent};
use refloop::work::{Mailer, Receiver, SmtpServer, deliver_once};

/// Alice hears of Bob.
fn with_a_mail() -> Office {
    let office = Office::open();
    let code = office.app.developer("Alice").code();
    office.app.referee("Bob", &code);
    office
}

#[test]
fn a_mail_arrives_as_it_was_written() {
    let office = with_a_mail();
    let mail = office.the_mail();
    assert_eq!(mail.hello, "EHLO example.com");
    assert_eq!(
        (mail.from.as_str(), mail.to.as_str()),
        ("MAIL FROM:<refer@example.com>", "RCPT TO:<alice@alice.example>")
    );
    assert_eq!(mail.header("From").unwrap(), "Example <refer@example.com>");
    assert_eq!(mail.header("To").unwrap(), "Alice <alice@alice.example>");
    assert_eq!(mail.header("Subject").unwrap(), "Your code brought somebody in");
    assert_eq!(mail.header("Date").unwrap(), "Thu, 15 Jan 2026 10:00:00 +0000");
    assert_eq!(mail.header("Auto-Submitted").unwrap(), "auto-generated");
    assert!(mail.header("Message-ID").unwrap().ends_with("@example.com>"));
    assert!(mail.header("Content-Type").unwrap().starts_with("multipart/alternative"));
    assert!(
        mail.text().contains("b***@bob.example signed up with your referral code at Developer API."),
        "{}",
        mail.text()
    );
    assert!(mail.text().contains("You earned 500 credits."));
    assert!(mail.part("text/html").contains("b***@bob.example signed up with your referral code"));
    assert!(!mail.data.contains("bob@bob.example"), "masked");
    assert!(office.outbox().is_empty());
}

#[test]
fn what_the_server_says_decides() {
    for (answer, row) in [
        (Answer::Recipient("550 5.1.1 <alice@alice.example> who?"), "parked 1 permanent error (550): 5.1.1 … who?"),
        (Answer::Mail("554 5.7.1 spam"), "parked 1 permanent error (554): 5.7.1 spam"),
        (Answer::Recipient("450 4.2.1 later"), "waiting 1 transient error (450): 4.2.1 later"),
        (Answer::Mail("451 4.3.0 later"), "waiting 1 transient error (451): 4.3.0 later"),
    ] {
        let office = with_a_mail();
        office.smtp.answers(&[answer]);
        assert!(office.deliver().is_empty());
        assert_eq!(office.outbox(), [row]);
    }
}

#[test]
fn one_that_may_have_arrived_is_sent_again_as_the_same() {
    for answer in [Answer::TakeAndHang, Answer::TakeAndHangUp] {
        let office = with_a_mail();
        office.smtp.answers(std::slice::from_ref(&answer));
        let first = office.the_mail();
        assert!(office.outbox()[0].starts_with("waiting 1 "), "{:?}", office.outbox());
        office.app.advance_ms(30_000);
        let second = office.the_mail();
        assert_eq!(first.header("Message-ID"), second.header("Message-ID"), "{answer:?}");
        assert_eq!(first.header("Date"), second.header("Date"));
        assert!(office.outbox().is_empty());
    }
}

#[test]
fn a_server_that_says_nothing_or_is_not_there_is_tried_later() {
    let office = with_a_mail();
    office.smtp.answers(&[Answer::Silence]);
    assert!(office.deliver().is_empty());
    assert!(office.outbox()[0].starts_with("waiting 1 "), "{:?}", office.outbox());
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    office.app.advance_ms(30_000);
    let away = mailer(&format!("smtp://127.0.0.1:{nobody}"), &office.app.url);
    assert_eq!(deliver_once(&office.app.engine, &away).unwrap(), 1);
    assert!(office.outbox()[0].starts_with("waiting 2 "), "{:?}", office.outbox());
    office.app.advance_ms(60_000);
    assert_eq!(office.the_mail().to, "RCPT TO:<alice@alice.example>");
}

#[test]
fn without_the_tls_that_is_asked_for_nothing_is_said() {
    for url in ["smtps://127.0.0.1:{}", "smtp://127.0.0.1:{}?tls=required", "smtp://u:secret@127.0.0.1:{}?tls=required"]
    {
        let office = with_a_mail();
        let mailer = mailer(&url.replace("{}", &office.smtp.port.to_string()), &office.app.url);
        assert_eq!(deliver_once(&office.app.engine, &mailer).unwrap(), 1);
        assert!(office.outbox()[0].starts_with("waiting 1 "), "{url}: {:?}", office.outbox());
        assert!(office.smtp.mails().is_empty(), "{url}");
    }
}

#[test]
fn a_password_is_shown_to_the_server_and_a_wrong_one_parks_nothing() {
    let office = with_a_mail();
    let url = office.smtp.url().replace("127", "user:s%40cret@127");
    let mailer = mailer(&url, &office.app.url);
    office.smtp.answers(&[Answer::Login("535 5.7.8 wrong")]);
    assert_eq!(deliver_once(&office.app.engine, &mailer).unwrap(), 1);
    assert_eq!(office.outbox(), ["waiting 1 permanent error (535): 5.7.8 wrong"]);
    office.app.advance_ms(30_000);
    deliver_once(&office.app.engine, &mailer).unwrap();
    // NUL user NUL s@cret, in base 64.
    assert_eq!(office.smtp.next().login.unwrap(), "AUTH PLAIN AHVzZXIAc0BjcmV0");
}

/// A letter to anybody, past the rules for names and addresses.
fn begun(to: &str, name: &str, project_name: &str) -> Begun {
    let delivery = Delivery {
        id: "out_0000000000001".parse().unwrap(),
        project: refloop::domain::id::ProjectId(1),
        kind: refloop::domain::delivery::DeliveryKind::Mail,
        account: None,
        body: serde_json::json!({}),
        tries: 1,
        created_at_ms: 0,
    };
    let letter = Letter {
        id: "out_0000000000001".into(),
        to: to.into(),
        name: Some(name.into()),
        project_name: project_name.into(),
        host: None,
        unsubscribe: Some("/unsubscribe?account=a&token=b".into()),
        at_ms: 0,
        content: LetterContent::ResetPassword { token: "0a".into(), takes_over: false },
    };
    Begun { delivery, content: Content::Letter(Box::new(letter)) }
}

#[test]
fn no_name_and_no_address_adds_a_header_or_a_recipient() {
    let smtp = Smtp::start();
    let mailer = mailer(&smtp.url(), "https://api.example.com");
    let long = "名".repeat(100);
    for name in ["Eve\r\nBcc: all@example.com", "Eve\nX: y\n\nbody", "\"Eve\", <all@example.com>", "Zoë", long.as_str()]
    {
        assert_eq!(
            mailer.tell(&begun("eve@example.com", name, "P\r\nBcc: b@example.com")),
            Outcome::Done(None),
            "{name}"
        );
        let mail = smtp.next();
        assert_eq!(mail.to, "RCPT TO:<eve@example.com>");
        let head = mail.data.split("\r\n\r\n").next().unwrap();
        assert!(head.lines().all(|line| line.len() <= 998 && line.is_ascii()), "{head}");
        for line in head.lines() {
            let name = line.split(':').next().unwrap().to_lowercase();
            assert!(!["bcc", "x", "cc"].contains(&name.as_str()), "{head}");
        }
        assert!(mail.header("To").unwrap().ends_with("<eve@example.com>"), "{head}");
    }
    for address in
        ["eve@example.com>\r\nRCPT TO:<all@example.com", "eve@example.com, all@example.com", "eve", "ëve@@x", ""]
    {
        let outcome = mailer.tell(&begun(address, "Eve", "P"));
        assert!(matches!(outcome, Outcome::Refused(_)), "{address}: {outcome:?}");
        assert!(smtp.mails().is_empty());
    }
}

#[test]
fn html_is_escaped_and_plain_text_is_not() {
    let smtp = Smtp::start();
    let mailer = mailer(&smtp.url(), "https://api.example.com");
    mailer.tell(&begun("eve@example.com", "<b>O'Neill & Co</b>", "A & B"));
    let mail = smtp.next();
    assert!(mail.text().contains("Hello <b>O'Neill & Co</b>,"), "{}", mail.text());
    let html = mail.part("text/html");
    assert!(!html.contains("<b>") && html.contains("Hello &#60;b&#62;O&#39;Neill &#38; Co"), "{html}");
    assert!(html.contains("href=\"https://api.example.com/reset?token=0a\""));
}

#[test]
fn a_sender_that_is_no_address_is_refused_at_the_start() {
    let server = SmtpServer::parse("smtp://localhost").unwrap();
    for from in ["", "nobody", "a@b@c", "A <a@b", "a@example.com\r\nBcc: b@example.com"] {
        assert!(Mailer::new(&server, from, "https://api.example.com").is_err(), "{from:?}");
    }
}

#[test]
fn links_lead_to_the_project_s_own_pages() {
    let office = Office::over(App::start_with(|settings| settings.public_url = "http://api.example.com:8443".into()));
    let app = &office.app;
    let acme = app.project("acme", refloop::domain::program::Preset::Credits, "live");
    app.engine.set_project("acme", vec![(refloop::domain::setting::Setting::Host, "acme.example".into())]).unwrap();
    app.write(move |tx| {
        let new = refloop::store::NewAccount { email: Some("a@a.example".into()), ..Default::default() };
        let account = tx.add_account(acme.id, &new)?;
        refloop::engine::payout_requested(tx, acme.id, account.id, "po_1", "25.00 USD")
    });
    let mailer = mailer(&office.smtp.url(), "http://api.example.com:8443");
    deliver_once(&app.engine, &mailer).unwrap();
    let mail = office.smtp.next();
    assert!(mail.text().contains("http://acme.example:8443/dashboard"), "{}", mail.text());
    assert!(mail.text().starts_with("Hello,\n"), "nobody's name is known");
}
