//! What a conversion brings: both sides, once, by the configuration in force then.

use super::Acme;

#[test]
fn both_sides_are_paid_once() {
    let acme = Acme::start();
    let code = acme.code("alice");
    acme.referral(&code, "bob");
    assert_eq!((acme.granted("alice"), acme.granted("bob")), (0, 0), "an application pays nothing");
    for invoice in ["in_1", "in_2"] {
        acme.buy("bob", invoice);
        assert_eq!((acme.granted("alice"), acme.granted("bob")), (1_000, 500), "{invoice}");
    }
    assert_eq!(acme.statuses(&code), ["converted"]);
}

#[test]
fn a_customer_who_was_not_referred_brings_nothing() {
    let acme = Acme::start();
    acme.code("alice");
    acme.code("bob");
    acme.buy("bob", "in_1");
    assert_eq!((acme.granted("alice"), acme.granted("bob")), (0, 0));
}

#[test]
fn it_is_the_configuration_of_then_that_counts() {
    let acme = Acme::start();
    let code = acme.code("alice");
    for customer in ["bob", "carol"] {
        acme.referral(&code, customer);
    }
    acme.set_config(true, 70, 30);
    acme.buy("bob", "in_1");
    assert_eq!((acme.granted("alice"), acme.granted("bob")), (70, 30));
    acme.set_config(true, 5, 3);
    acme.buy("carol", "in_2");
    acme.buy("bob", "in_3");
    assert_eq!((acme.granted("alice"), acme.granted("carol"), acme.granted("bob")), (75, 3, 30));
}

#[test]
fn nothing_is_no_grant_and_something_is_one_again() {
    let acme = Acme::start();
    let code = acme.code("alice");
    for customer in ["bob", "carol", "dave"] {
        acme.referral(&code, customer);
    }
    acme.set_config(true, 0, 500);
    acme.buy("bob", "in_1");
    assert_eq!((acme.granted("alice"), acme.granted("bob")), (0, 500));
    acme.set_config(true, 0, 0);
    acme.buy("carol", "in_2");
    assert_eq!((acme.granted("alice"), acme.granted("carol")), (0, 0));
    acme.set_config(true, 1_000, 0);
    acme.buy("dave", "in_3");
    assert_eq!((acme.granted("alice"), acme.granted("dave")), (1_000, 0));
    assert_eq!(acme.statuses(&code), ["converted", "converted", "converted"]);
}

#[test]
fn a_disabled_program_pays_nothing_also_not_later() {
    let acme = Acme::start();
    let code = acme.code("alice");
    acme.referral(&code, "bob");
    acme.set_config(false, 1_000, 500);
    acme.buy("bob", "in_1");
    assert_eq!(acme.statuses(&code), ["converted"], "it was a conversion all the same");
    acme.set_config(true, 1_000, 500);
    acme.buy("bob", "in_2");
    assert_eq!((acme.granted("alice"), acme.granted("bob")), (0, 0));
}

#[test]
fn a_deactivated_code_still_pays_for_what_was_pending() {
    let acme = Acme::start();
    let code = acme.code("alice");
    acme.referral(&code, "bob");
    assert_eq!(acme.gateway.delete(&super::path(&format!("codes/{code}"))).status, 200);
    assert_eq!(acme.statuses(&code), ["pending"]);
    acme.buy("bob", "in_1");
    assert_eq!((acme.granted("alice"), acme.granted("bob")), (1_000, 500));
    assert_eq!(acme.statuses(&code), ["converted"]);
}
