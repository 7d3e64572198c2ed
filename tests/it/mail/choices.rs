//! What the pages of who is signed in have to do with mail: which letters they get, and a link that they still have to
//! follow.

use super::{Office, fill_in};
use crate::harness::{App, DAY_MS};
use crate::visitor::{FORM, Visitor, assert_page, input};
use refloop::web::Quota;
use std::time::Duration;

const BOB: &str = "bob@bob.example";

fn bob_s_browser(app: &App) -> Visitor {
    let visitor = Visitor::new(app);
    visitor.sign_in(BOB);
    visitor
}

#[test]
fn milestone_mail_is_chosen_on_one_s_account_page() {
    let office = Office::open();
    let app = &office.app;
    let bob = app.developer("Bob");
    let (code, browser) = (bob.code(), bob_s_browser(app));
    let box_of = |browser: &Visitor| {
        let page = browser.get("/account");
        assert_page(&page, 200);
        input(&page, "milestones").contains(" checked")
    };
    assert!(box_of(&browser));
    let saved = browser.ask("letters", &[]);
    assert_eq!((saved.status, saved.header("Location")), (303, Some("/account")));
    assert!(browser.get("/account").body.contains("Your choice of mails is saved."));
    assert!(!box_of(&browser), "a box that is not ticked is not sent");
    app.referee("Carol", &code);
    assert!(office.deliver().is_empty());
    browser.ask("letters", &[("milestones", "1")]);
    assert!(box_of(&browser));
    app.referee("Dave", &code);
    // It is the same choice as the one that a letter's own link leads to.
    let link = office.the_mail().header("List-Unsubscribe").unwrap().clone();
    let path = link.trim_matches(['<', '>']).split_once(&app.url).unwrap().1.to_owned();
    assert_page(&fill_in(&Visitor::new(app), &path, &path, &[("milestones", "0")]), 200);
    assert!(!box_of(&browser));
}

#[test]
fn the_account_page_says_when_no_mail_is_sent() {
    let app = App::start();
    app.developer("Bob");
    let browser = bob_s_browser(&app);
    let off = "This server sends no mail at the moment. Your choice counts once it does.";
    assert!(browser.get("/account").body.contains(off));
    browser.ask("letters", &[]);
    assert!(!input(&browser.get("/account"), "milestones").contains(" checked"), "it can be chosen all the same");
    app.send_mail();
    assert!(!browser.get("/account").body.contains(off));
    app.change_program(|program| program["mail"]["milestones"] = false.into());
    assert!(browser.get("/account").body.contains("writes no mails about milestones at the moment."));
}

#[test]
fn until_the_address_is_confirmed_the_dashboard_says_what_to_do() {
    let office = Office::open();
    office.confirm_addresses();
    office.app.developer("Bob");
    let first = office.the_mail().token();
    let browser = bob_s_browser(&office.app);
    let page = browser.get("/dashboard");
    assert_page(&page, 200);
    for words in ["Confirm your e-mail address first", BOB, "Send the link again"] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    assert!(!page.body.contains("Make my code"));
    // A form of before, or of somebody in a hurry.
    let made = fill_in(&browser, "/dashboard", "/dashboard/code", &[]);
    assert_eq!((made.status, made.header("Location")), (303, Some("/dashboard")));
    assert_eq!(office.app.sqlite3("SELECT count(*) FROM code").trim(), "0");

    office.app.advance_ms(7 * DAY_MS);
    let sent = fill_in(&browser, "/dashboard", "/dashboard/confirm", &[]);
    assert_eq!((sent.status, sent.header("Location")), (303, Some("/dashboard")));
    assert!(browser.get("/dashboard").body.contains("A mail with a new link is on its way to you."));
    let mail = office.the_mail();
    assert_eq!(mail.to, format!("RCPT TO:<{BOB}>"));
    assert_ne!(mail.token(), first);
    let token = mail.token();
    assert_page(&fill_in(&browser, &format!("/confirm?token={token}"), "/confirm", &[("token", &token)]), 200);
    assert!(browser.get("/dashboard").body.contains("Make my code"));

    // There is nothing more to confirm.
    let sent = fill_in(&browser, "/dashboard", "/dashboard/confirm", &[]);
    assert_eq!(sent.status, 303);
    assert!(!browser.get("/dashboard").body.contains("on its way to you"));
    assert!(office.deliver().is_empty());
    assert_page(&browser.send("POST", "/dashboard/confirm", &[FORM], "csrf=x"), 403);
}

#[test]
fn nobody_has_a_mailbox_filled_from_the_dashboard() {
    let hour = Duration::from_secs(3_600);
    let office = Office::over(App::start_with(|settings| settings.limits.mail = Quota::new(2, hour)));
    office.confirm_addresses();
    office.app.developer("Bob");
    let browser = bob_s_browser(&office.app);
    let again = || fill_in(&browser, "/dashboard", "/dashboard/confirm", &[]);
    assert_eq!((again().status, again().status), (303, 303));
    let refused = again();
    assert_page(&refused, 429);
    assert!(refused.header("retry-after").is_some());
}
