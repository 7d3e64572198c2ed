//! CSV files of a whole project.

use super::desk::{Desk, call};
use crate::harness::App;
use refloop::domain::operator::OperatorRole;
use refloop::domain::program::Preset;

fn rows(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

fn export(app: &App, name: &str) -> Vec<Vec<String>> {
    let reply = app.gateway().get(&call(&format!("exports/{name}.csv")));
    assert_eq!(reply.status, 200, "{}", reply.body);
    assert_eq!(reply.header("content-type"), Some("text/csv; charset=utf-8"));
    assert!(reply.header("content-disposition").unwrap().contains(&format!("{name}.csv")));
    rows(&reply.body)
}

#[test]
fn every_file_is_whole_and_of_one_project() {
    let app = App::start();
    let alice = app.developer("Alice");
    let bob = app.referee("Bob", &alice.code());
    bob.use_api(&app.gateway(), "u-1", 3);
    app.project("acme", Preset::Credits, "live");
    let ledger = export(&app, "ledger");
    let entries: usize = app.sqlite3("SELECT count(*) FROM entry").trim().parse().unwrap();
    assert_eq!(ledger.len(), entries + 1);
    assert!(ledger.iter().skip(1).zip(1..).all(|(row, seq)| row[17] == seq.to_string() && row[19].len() == 64));
    assert!(ledger.iter().any(|row| row[3] == "spend" && row[4] == "-3"), "numbers stay bare: {ledger:?}");
    let developers = export(&app, "developers");
    assert_eq!((developers.len(), developers[1][2].as_str()), (3, "alice@alice.example"));
    assert_eq!(developers[2][8], "997", "what is spent is counted at once");
    let referrals = export(&app, "referrals");
    assert_eq!((referrals.len(), referrals[1][6].as_str()), (2, "first_call"));
    assert_eq!(export(&app, "payouts").len(), 1, "the header alone");
    for name in ["ledger", "developers", "referrals", "payouts"] {
        let others = app.gateway_of("acme").get(&format!("/v1/admin/projects/acme/exports/{name}.csv"));
        assert_eq!(rows(&others.body).len(), 1, "{name}: {}", others.body);
    }
}

#[test]
fn files_of_more_than_one_step_are_whole() {
    let app = App::start_unhurried();
    app.write(|tx| {
        let project = tx.project_named("default")?.id;
        for n in 0..1_100 {
            let email = Some(format!("a{n}@many.example"));
            tx.add_account(project, &refloop::store::NewAccount { email, ..Default::default() })?;
        }
        Ok(())
    });
    let developers = export(&app, "developers");
    assert_eq!(developers.len(), 1_101);
    let ids: std::collections::BTreeSet<_> = developers.iter().skip(1).map(|row| row[0].clone()).collect();
    assert_eq!(ids.len(), 1_100);
    let bob = app.developer("Bob");
    let gateway = app.gateway();
    for n in 0..1_200 {
        bob.use_api(&gateway, &format!("u-{n}"), 1);
    }
    let give = serde_json::json!({ "amount": 1, "reason": "x" });
    assert_eq!(gateway.post(&call(&format!("developers/{}/adjustments", bob.id)), give).status, 201);
    for n in 0..3 {
        let more = serde_json::json!({ "amount": 400, "reason": n.to_string() });
        gateway.post(&call(&format!("developers/{}/adjustments", bob.id)), more);
        for m in 0..400 {
            bob.use_api(&gateway, &format!("s-{n}-{m}"), 1);
        }
    }
    let entries: usize = app.sqlite3("SELECT count(*) FROM entry").trim().parse().unwrap();
    assert!(entries > 1_000, "{entries}");
    assert_eq!(export(&app, "ledger").len(), entries + 1);
}

#[test]
fn a_spreadsheet_takes_nothing_for_a_formula() {
    let app = App::start();
    app.sign_up("=HYPERLINK(1)", "plus@plus.example", None);
    app.sign_up("@SUM(A1)", "at@at.example", None);
    app.sqlite3("UPDATE account SET external_id = '+1', email = '-1@at.example' WHERE email = 'at@at.example'");
    let developers = export(&app, "developers");
    let names: Vec<_> = developers.iter().skip(1).map(|row| row[3].as_str()).collect();
    assert_eq!(names, ["'=HYPERLINK(1)", "'@SUM(A1)"]);
    assert_eq!((developers[2][1].as_str(), developers[2][2].as_str()), ("'+1", "'-1@at.example"));
    for name in ["ledger", "developers", "referrals", "payouts"] {
        for cell in export(&app, name).into_iter().flatten() {
            let is_number = cell.parse::<i64>().is_ok();
            assert!(is_number || !cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{name}: {cell}");
        }
    }
}

#[test]
fn the_page_leads_to_the_files() {
    let app = App::start();
    let operator = Desk::sign_in(&app, OperatorRole::ReadOnly);
    let page = operator.page("exports").body;
    for name in ["ledger", "developers", "referrals", "payouts"] {
        let link = call(&format!("exports/{name}.csv"));
        assert!(page.contains(&format!("href=\"{link}\"")), "{page}");
        assert_eq!(operator.browser.get(&link).status, 200, "{name}");
    }
}
