//! The example flow of BUY-2529, to its end.

use crate::harness::{App, DAY_MS};

#[test]
fn alice_refers_twelve_developers_and_spends_her_credits() {
    let app = App::start();
    let (alice, gateway) = (app.developer("Alice"), app.gateway());
    let code = alice.code();
    assert_eq!(code, "ALICE2026");

    let referees: Vec<_> = (0..12).map(|n| app.referee(&format!("Bob{n}"), &code)).collect();
    for referee in &referees {
        assert_eq!(referee.signup["referral"]["status"], "applied");
        assert_eq!(referee.signup["referral"]["bonus_credits"], 1_000);
        assert_eq!(referee.stats()["credits_available"], 1_000);
    }
    assert_eq!(alice.stats()["credits_available"], 12 * 500);

    for (n, referee) in referees.iter().enumerate().take(6) {
        referee.use_api(&gateway, &format!("first-{n}"), 1);
    }
    for (n, referee) in referees.iter().enumerate().take(3) {
        referee.use_api(&gateway, &format!("more-{n}"), 99);
    }
    let stats = alice.stats();
    assert_eq!(stats["total_referrals"], 12);
    assert_eq!(stats["conversions"], 6);
    assert_eq!(stats["conversion_rate"], 50.0);
    assert_eq!(stats["pending_referrals"], 6);
    assert_eq!(stats["milestones"]["active"], 3);
    assert_eq!(stats["credits_earned"], 12 * 500 + 6 * 500 + 3 * 1_000);
    assert_eq!(stats["credits_pending"], 6 * 500 + 3 * 1_000);
    assert_eq!(stats["credits_available"], 12 * 500);

    app.advance_ms(7 * DAY_MS - 1);
    assert_eq!(alice.stats()["credits_available"], 12 * 500);
    app.advance_ms(1);
    assert_eq!(alice.stats()["credits_available"], 12_000);

    let usage = alice.use_api(&gateway, "alice-spends", 3_800);
    assert_eq!(
        (&usage["charged"], &usage["uncovered"], &usage["available"]),
        (&3_800.into(), &0.into(), &8_200.into())
    );
    let stats = alice.stats();
    assert_eq!(stats["credits_used"], 3_800);
    let entries = alice.ledger();
    let sum = |kind: &str| -> i64 {
        let of_kind = entries.iter().filter(|entry| entry["kind"] == kind);
        of_kind.map(|entry| entry["credit_amount"].as_i64().unwrap()).sum()
    };
    assert_eq!((sum("grant"), sum("spend")), (12_000, -3_800));
}
