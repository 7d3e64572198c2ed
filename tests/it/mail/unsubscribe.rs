//! Declining letters by the link in one of them.

use super::{Office, fill_in};
use crate::harness::{App, no_limits};
use crate::visitor::{FORM, Visitor, assert_page};
use refloop::domain::program::Preset;
use refloop::domain::setting::Setting;
use refloop::web::{Limits, Quota};
use std::time::Duration;

/// Alice has had a letter; the path of its link, and her code.
fn with_a_link() -> (Office, String, String) {
    with_a_link_of(Office::open())
}

fn with_a_link_of(office: Office) -> (Office, String, String) {
    let code = office.app.developer("Alice").code();
    office.app.referee("Bob", &code);
    let mail = office.the_mail();
    assert_eq!(mail.header("List-Unsubscribe-Post").unwrap(), "List-Unsubscribe=One-Click");
    let link = mail.header("List-Unsubscribe").unwrap();
    let url = link.strip_prefix('<').unwrap().strip_suffix('>').unwrap();
    assert!(mail.text().contains(url) && mail.part("text/html").contains(&url.replace('&', "&#38;")), "{url}");
    let path = url.strip_prefix(&office.app.url).unwrap().to_owned();
    (office, path, code)
}

#[test]
fn a_mail_program_declines_by_one_request() {
    let multipart = "--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n";
    for (media_type, body) in [(FORM.1, "List-Unsubscribe=One-Click"), ("multipart/form-data; boundary=b", multipart)] {
        let (office, path, code) = with_a_link();
        let headers = [("Content-Type", media_type), ("Sec-Fetch-Site", "cross-site")];
        let reply = office.app.anonymous().send("POST", &path, &headers, body.as_bytes().to_vec());
        assert_page(&reply, 200);
        office.app.referee("Carol", &code);
        assert!(office.deliver().is_empty(), "{media_type}");
    }
}

#[test]
fn declining_is_no_try_at_a_password() {
    let login = Quota::new(2, Duration::from_secs(3_600));
    let office = Office::over(App::start_with(move |settings| settings.limits = Limits { login, ..no_limits() }));
    let (office, path, _) = with_a_link_of(office);
    for _ in 0..5 {
        let reply = office.app.anonymous().send("POST", &path, &[FORM], b"List-Unsubscribe=One-Click".to_vec());
        assert_page(&reply, 200);
    }
    Visitor::new(&office.app).sign_in("alice@alice.example");
}

#[test]
fn a_letter_that_is_waiting_is_not_sent_any_more() {
    let (office, path, code) = with_a_link();
    office.app.referee("Carol", &code);
    office.app.anonymous().send("POST", &path, &[FORM], b"List-Unsubscribe=One-Click".to_vec());
    assert!(office.deliver().is_empty());
    assert!(office.outbox().is_empty());
}

#[test]
fn a_person_declines_on_a_page_and_can_come_back() {
    let (office, path, code) = with_a_link();
    let visitor = Visitor::new(&office.app);
    let page = visitor.get(&path);
    assert_page(&page, 200);
    assert!(page.body.contains("You hear by mail of what your referrals reach.") && !page.body.contains("alice@"));
    assert_page(&fill_in(&visitor, &path, &path, &[("milestones", "0")]), 200);
    office.app.referee("Carol", &code);
    assert!(office.deliver().is_empty());
    assert!(visitor.get(&path).body.contains("You get no mail about what your referrals reach."));
    assert_page(&fill_in(&visitor, &path, &path, &[("milestones", "1")]), 200);
    office.app.referee("Dave", &code);
    assert_eq!(office.deliver().len(), 1);
}

#[test]
fn a_link_is_one_account_s_and_of_its_own_project() {
    let (office, path, _) = with_a_link();
    let app = &office.app;
    let bob = app.sqlite3("SELECT id FROM account WHERE name = 'Bob'").trim().parse().unwrap();
    let bob = refloop::domain::id::AccountId(bob).to_string();
    let (head, token) = path.split_once("&token=").unwrap();
    let alice = head.split_once("account=").unwrap().1;
    let visitor = Visitor::new(app);
    let before = app.sqlite3("SELECT id, milestone_mail FROM account");
    for wrong in [
        "/unsubscribe".to_owned(),
        format!("/unsubscribe?account={alice}"),
        format!("/unsubscribe?token={token}"),
        format!("/unsubscribe?account={bob}&token={token}"),
        format!("/unsubscribe?account={alice}&token={}", &token[1..]),
        format!("/unsubscribe?account={alice}&token={token}0"),
        format!("/unsubscribe?account=x&token={token}"),
        format!("/unsubscribe?account={alice}&token=%00"),
    ] {
        assert_page(&visitor.get(&wrong), 404);
        assert_page(&visitor.send("POST", &wrong, &[FORM], "List-Unsubscribe=One-Click"), 404);
    }
    app.project("acme", Preset::Credits, "live");
    app.engine.set_project("acme", vec![(Setting::Host, "acme.example".into())]).unwrap();
    let headers = [FORM, ("Host", "acme.example")];
    assert_page(&visitor.send("POST", &path, &headers, "List-Unsubscribe=One-Click"), 404);
    for body in ["milestones=0", "", "milestones=0&csrf=x", "\u{0}"] {
        let reply = visitor.send("POST", &path, &[FORM], body);
        assert!([400, 403].contains(&reply.status), "{body}: {}", reply.status);
    }
    assert_eq!(app.sqlite3("SELECT id, milestone_mail FROM account"), before);
}

#[test]
fn an_account_that_is_gone_has_nothing_to_decline() {
    let (office, path, _) = with_a_link();
    let erased =
        "UPDATE account SET erased_at_ms = 1, email = NULL, name = NULL, password_hash = NULL WHERE name = 'Alice'";
    assert_eq!(office.app.sqlite3(erased), "");
    assert_page(&Visitor::new(&office.app).get(&path), 404);
}
