//! What mails say, when they are sent, and how to look at them.

use super::Office;
use crate::harness::App;
use crate::process::{empty_dir, run};
use refloop::engine::letter_words::{examples, render};
use serde_json::json;

fn text_of(name: &str) -> (String, String) {
    let (_, letter) = examples().into_iter().find(|(known, _)| *known == name).unwrap();
    let mail = render(&letter, "https://api.example.com").unwrap();
    (mail.subject, mail.text)
}

#[test]
fn the_words_of_each_mail() {
    insta::assert_snapshot!(text_of("reset_password").1, @r"
    Hello Alice,

    Somebody, probably you, has asked for a new password at Developer API.

    Choose a new password:
    https://api.example.com/reset?token=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef

    The link is good for one hour, and once. Your old password works until you choose a new one.

    If it was not you, there is nothing to do: nobody but you has this link.

    -- 
    You get this mail because you have an account at Developer API.
    ");
    insta::assert_snapshot!(text_of("first_call").1, @r"
    Hello Alice,

    bo***@example.com made the first API call at Developer API.

    You earned 500 credits. Your dashboard shows when you can use it.

    See your referrals:
    https://api.example.com/dashboard

    -- 
    You get this mail because you have an account at Developer API.
    No more mails about milestones: https://api.example.com/unsubscribe?account=dev_01example00000&token=0123456789abcdef
    ");
    for (name, subject, part) in [
        ("confirm_address", "Confirm your e-mail address", "https://api.example.com/confirm?token="),
        ("payout_requested", "You asked for a payout of 25.00 USD", "have set the amount aside"),
        ("payout_paid", "Your payout of 25.00 USD was sent", "on its way to your bank"),
        ("payout_refused", "Your payout of 25.00 USD could not be sent", "The bank account is closed."),
        ("signed_up", "Your code brought somebody in", "bo***@example.com signed up with your referral code"),
        ("active", "A referral is an active user", "has made 100 API calls"),
        ("converted", "A referral became a customer", "bo***@example.com became a customer at Developer API."),
    ] {
        let (said, text) = text_of(name);
        assert_eq!(said, subject);
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn html_and_plain_text_say_the_same_and_need_nobody_else() {
    for (name, letter) in examples() {
        let mail = render(&letter, "https://api.example.com").unwrap();
        for paragraph in mail.text.split("\n\n").filter(|part| !part.starts_with("-- ") && !part.contains("https://")) {
            assert!(mail.html.contains(paragraph.trim()), "{name}: {paragraph:?}");
        }
        for link in mail.html.split("href=\"").skip(1) {
            assert!(link.starts_with("https://api.example.com/"), "{name}: {link:.60}");
        }
        for foreign in ["<img", "<script", "url(", "@import"] {
            assert!(!mail.html.contains(foreign), "{name}: {foreign}");
        }
        assert_eq!(mail.unsubscribe_url.is_some(), mail.text.contains("No more mails"), "{name}");
    }
}

#[test]
fn mails_can_be_looked_at() {
    let (_keep, dir) = empty_dir();
    let names = run(&dir, &["mail", "preview", "--json"]).json()["mails"].as_array().unwrap().clone();
    assert_eq!(names.len(), examples().len());
    for name in &names {
        let name = name.as_str().unwrap();
        let shown = run(&dir, &["mail", "preview", name, "--json"]).json();
        let said = run(&dir, &["mail", "preview", name]);
        // Whoever signs up with somebody else's address chooses no words for the mail that this brings them.
        let greeting = if name == "confirm_address" { "Hello," } else { "Hello Alice," };
        assert!(said.out.starts_with(&format!("Subject: {}\n\n{greeting}\n", shown["subject"].as_str().unwrap())));
        assert_eq!(said.out.contains("Alice"), name != "confirm_address", "{name}");
        assert!(run(&dir, &["mail", "preview", name, "--html"]).out.starts_with("<!doctype html>"));
    }
    let refusal = run(&dir, &["mail", "preview", "newsletter"]);
    assert!(refusal.refusal().contains("there is no mail \"newsletter\"; there are confirm_address, "), "{refusal:?}");
    let elsewhere = run(&dir, &["mail", "preview", "active", "--public-url", "https://x.example/"]);
    assert!(elsewhere.out.contains("https://x.example/dashboard"));
    assert!(!dir.join("refloop.db").exists());
}

/// Subjects of what is due, with what they say was earned.
fn news(office: &Office) -> Vec<String> {
    let earned = |text: &str| text.split("You earned ").nth(1).map(|rest| rest.split('.').next().unwrap().to_owned());
    let mails = office.deliver();
    let line = |mail: &super::smtp::Mail| {
        format!("{}: {}", mail.header("Subject").unwrap(), earned(&mail.text()).unwrap_or_default())
    };
    mails.iter().map(line).collect()
}

#[test]
fn a_referrer_hears_once_of_each_milestone() {
    let office = Office::open();
    let (app, gateway) = (&office.app, office.app.gateway());
    let code = app.developer("Alice").code();
    assert!(news(&office).is_empty());
    let bob = app.referee("Bob", &code);
    assert_eq!(news(&office), ["Your code brought somebody in: 500 credits"]);
    for (id, calls, said) in [
        ("1", 0, None),
        ("2", 1, Some("A referral made the first API call: 500 credits")),
        ("3", 1, None),
        ("3", 98, None),
        ("4", 98, Some("A referral is an active user: 1,000 credits")),
        ("5", 1_000, None),
    ] {
        bob.use_api(&gateway, id, calls);
        assert_eq!(news(&office), said.into_iter().collect::<Vec<_>>(), "{id}");
    }
    // All at once is one mail, about the furthest.
    app.referee("Carol", &code).use_api(&gateway, "all", 500);
    assert_eq!(news(&office)[1..], ["A referral is an active user: 1,500 credits"]);
}

#[test]
fn a_conversion_is_a_milestone_and_calls_that_pay_nothing_are_none() {
    let office = Office::open();
    let (app, gateway) = (&office.app, office.app.gateway());
    app.change_program(|program| *program = json!(refloop::domain::program::Preset::Commission.program()));
    let code = app.developer("Alice").code();
    let bob = app.referee("Bob", &code);
    assert_eq!(news(&office), ["Your code brought somebody in: "]);
    bob.use_api(&gateway, "u", 500);
    assert!(news(&office).is_empty());
    for (id, said) in [("p1", Some("A referral became a customer: 2")), ("p2", None)] {
        let purchase = json!({ "id": id, "developer_id": bob.id, "amount": 5_000, "currency": "usd" });
        assert_eq!(gateway.post("/v1/purchases", purchase).status, 201);
        assert_eq!(news(&office), said.into_iter().collect::<Vec<_>>(), "{id}");
    }
}

#[test]
fn a_referee_who_is_gone_is_somebody() {
    let office = Office::open();
    let code = office.app.developer("Alice").code();
    let bob = office.app.referee("Bob", &code);
    assert_eq!(bob.delete("/v1/developers/me").status, 200);
    assert!(office.the_mail().text().contains("Somebody you referred signed up"));
}

#[test]
fn who_wants_none_or_is_not_ours_to_write_to_hears_nothing() {
    let office = Office::open();
    let app = &office.app;
    let code = app.developer("Alice").code();
    app.change_program(|program| program["mail"]["milestones"] = json!(false));
    app.referee("Bob", &code);
    assert!(office.outbox().is_empty(), "the program wants none");
    app.change_program(|program| program["mail"]["milestones"] = json!(true));
    assert_eq!(app.try_sign_up("carol@alice.example", Some(&code)).status, 201);
    assert!(office.outbox().is_empty(), "a rejected referral is no news");
    app.sqlite3("UPDATE account SET password_hash = NULL, external_id = 'alice' WHERE name = 'Alice'");
    app.referee("Dave", &code);
    assert!(office.outbox().is_empty(), "who signs in elsewhere is written to from there");
}

#[test]
fn payouts_are_told_once_each() {
    let office = Office::open();
    let id = office.app.developer("Alice").id;
    for _ in 0..2 {
        let id = id.clone();
        office.app.write(move |tx| {
            let (project, account) = (tx.project_named("default")?.id, id.parse()?);
            refloop::engine::payout_requested(tx, project, account, "po_1", "25.00 USD")?;
            refloop::engine::payout_refused(tx, project, account, "po_1", "25.00 USD", "No such bank.")?;
            refloop::engine::payout_paid(tx, project, account, "po_2", "30.00 USD")
        });
    }
    let mails = office.deliver();
    let subjects: Vec<_> = mails.iter().map(|mail| mail.header("Subject").unwrap()).collect();
    assert_eq!(
        subjects,
        [
            "You asked for a payout of 25.00 USD",
            "Your payout of 25.00 USD could not be sent",
            "Your payout of 30.00 USD was sent",
        ]
    );
    assert!(mails.iter().all(|mail| mail.header("List-Unsubscribe").is_none()), "these cannot be declined");
    assert!(mails[1].text().contains("could not be sent: No such bank."));
}

#[test]
fn a_program_that_says_nothing_of_mail_confirms_nothing_and_tells_milestones() {
    let app = App::start();
    app.change_program(|program| {
        program.as_object_mut().unwrap().remove("mail");
    });
    let (program, _) = app.engine.program(&app.engine.project_named("default").unwrap()).unwrap();
    assert!(program.mail.milestones && !program.mail.confirm_address);
}
