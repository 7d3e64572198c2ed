//! The calls are those that Stripe's own Python library makes: same bodies, same keys. tests/run installs it.

use super::Stage;
use crate::stripe::sdk::python;
use serde_json::json;

#[test]
fn the_bodies_are_those_of_stripe_s_library() {
    let stage = Stage::ready();
    stage.earn("p-1", 3_000);
    let id = stage.request(json!({}));
    stage.work();
    let account = stage.partner()["stripe"]["account_id"].as_str().unwrap().to_owned();
    let script = "import sys, stripe
url, account, developer, payout, page = sys.argv[1:]
client = stripe.StripeClient('sk_of_the_tests', base_addresses={'api': url}, max_network_retries=0)
client.v1.accounts.create({'type': 'express', 'email': 'alice@alice.example',
    'capabilities': {'transfers': {'requested': True}}, 'metadata': {'developer_id': developer}},
    {'idempotency_key': developer})
client.v1.accounts.retrieve(account)
client.v1.account_links.create({'account': account, 'refresh_url': page + '/dashboard/partner?stripe=refresh',
    'return_url': page + '/dashboard/partner?stripe=return', 'type': 'account_onboarding'})
made = client.v1.transfers.create({'amount': 3000, 'currency': 'usd', 'destination': account,
    'transfer_group': payout, 'metadata': {'payout_id': payout}}, {'idempotency_key': payout})
found = client.v1.transfers.list({'limit': 100, 'transfer_group': payout})
print(made.id, [transfer.id for transfer in found.data])";
    let said = python(script, &[&stage.stripe.url, &account, &stage.alice.id, &id, &stage.app.url]);
    let transfer = stage.stripe.transfers()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(said, format!("{transfer} ['{transfer}']"), "the library was given the first answer again");
    let look_up = stage.stripe.requests("GET", "/v1/transfers").pop().unwrap();
    let parsed = refloop::domain::stripe::api::look_up_transfer(id.parse().unwrap());
    let (mut ours, mut theirs) = (query(&parsed.path), query(&look_up.path));
    ours.sort();
    theirs.sort();
    assert_eq!(ours, theirs);
    for path in ["/v1/accounts", "/v1/account_links", "/v1/transfers"] {
        let requests = stage.stripe.requests("POST", path);
        let (ours, theirs) = (requests.first().unwrap(), requests.last().unwrap());
        assert!(theirs.header("user-agent").unwrap().contains("PythonBindings"));
        assert_eq!(ours.body, theirs.body, "{path}");
        for name in ["authorization", "content-type"] {
            assert_eq!(ours.header(name), theirs.header(name), "{path} {name}");
        }
        if path != "/v1/account_links" {
            assert_eq!(ours.header("idempotency-key"), theirs.header("idempotency-key"), "{path}");
        }
    }
}

fn query(path: &str) -> Vec<(String, String)> {
    crate::stripe_api::form(path.split_once('?').unwrap().1)
}
