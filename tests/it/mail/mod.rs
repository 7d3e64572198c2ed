//! The outbox, and the mail that goes through it.

mod browser;
mod choices;
mod confirmation;
mod couriers;
mod crash;
mod delivery;
mod letters;
pub mod outbox;
mod passwords;
pub mod smtp;
mod unsubscribe;

use crate::harness::{App, PASSWORD};
use crate::visitor::{FORM, Visitor, encode, value_of};
use refloop::work::{Mailer, SmtpServer, deliver_once};
use smtp::{Mail, Smtp};
use std::time::Duration;

const FROM: &str = "Example <refer@example.com>";

/// An app with a mail server.
struct Office {
    app: App,
    smtp: Smtp,
    mailer: Mailer,
}

impl Office {
    fn open() -> Self {
        Self::over(App::start())
    }

    fn over(app: App) -> Self {
        app.send_mail();
        let smtp = Smtp::start();
        let mailer = mailer(&smtp.url(), &app.url);
        Self { app, smtp, mailer }
    }

    /// Delivers what is due now; the mails that came of it.
    fn deliver(&self) -> Vec<Mail> {
        while deliver_once(&self.app.engine, &self.mailer).unwrap() > 0 {}
        self.smtp.mails()
    }

    /// The one mail that is due now.
    fn the_mail(&self) -> Mail {
        let mails = self.deliver();
        assert_eq!(mails.len(), 1, "{mails:?}");
        mails.into_iter().next().unwrap()
    }

    fn confirm_addresses(&self) {
        self.app.change_program(|program| program["mail"]["confirm_address"] = true.into());
    }

    /// State, tries and problem of each row that is not done.
    fn outbox(&self) -> Vec<String> {
        let rows = self.app.engine.open_deliveries("default").unwrap();
        let line = |row: &refloop::engine::DeliveryRow| {
            format!("{} {} {}", row.state, row.tries, row.problem.as_deref().unwrap_or_default())
        };
        rows.iter().map(|row| line(row).trim_end().to_owned()).collect()
    }
}

fn mailer(smtp_url: &str, public_url: &str) -> Mailer {
    let server = SmtpServer::parse(smtp_url).unwrap().with_patience(Duration::from_secs(3));
    Mailer::new(&server, FROM, public_url).unwrap()
}

/// Opens a page with a form, and sends it with these fields beside its own token.
fn fill_in(visitor: &Visitor, page: &str, action: &str, fields: &[(&str, &str)]) -> crate::harness::Reply {
    let csrf = value_of(&visitor.get(page), "csrf");
    let mut all = vec![("csrf", csrf.as_str())];
    all.extend(fields);
    visitor.send("POST", action, &[FORM], &encode(&all))
}

/// Whether this password signs in.
fn signs_in(app: &App, email: &str, password: &str) -> bool {
    let reply = fill_in(&Visitor::new(app), "/login", "/login", &[("email", email), ("password", password)]);
    assert!([303, 401].contains(&reply.status), "{}", reply.body);
    reply.status == 303
}

#[test]
fn without_a_mail_server_nothing_is_queued_and_everything_works() {
    let app = App::start();
    app.change_program(|program| program["mail"]["confirm_address"] = true.into());
    let code = app.developer("Alice").code();
    let bob = app.referee("Bob", &code);
    assert_eq!(bob.signup["referral"]["status"], "applied");
    bob.use_api(&app.gateway(), "u", 100);
    assert_eq!(app.sqlite3("SELECT count(*) FROM outbox").trim(), "0");
    let visitor = Visitor::new(&app);
    for page in ["/forgot", "/reset?token=a", "/confirm?token=a", "/confirm/again"] {
        let reply = visitor.get(page);
        crate::visitor::assert_page(&reply, 404);
        assert!(reply.body.contains("Mail is not set up here"), "{page}");
    }
    let reply = fill_in(&visitor, "/signup", "/forgot", &[("email", "alice@alice.example")]);
    crate::visitor::assert_page(&reply, 404);
    assert!(signs_in(&app, "alice@alice.example", PASSWORD));
}

#[test]
fn test_projects_send_no_mail() {
    let office = Office::open();
    let app = &office.app;
    app.project("sandbox", refloop::domain::program::Preset::Credits, "test");
    app.write(|tx| {
        let project = tx.project_named("sandbox")?;
        let account = tx.add_account(
            project.id,
            &refloop::store::NewAccount {
                email: Some("me@alice.example".into()),
                ..refloop::store::NewAccount::default()
            },
        )?;
        refloop::engine::payout_paid(tx, project.id, account.id, "po_1", "25.00 USD")
    });
    assert_eq!(app.sqlite3("SELECT count(*) FROM outbox").trim(), "0");
}
