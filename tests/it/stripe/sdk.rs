//! Stripe's own Python library agrees on what a good signature is. tests/run installs it.

use super::{Billing, SECRET, signed};
use std::path::{Path, PathBuf};
use std::process::Command;

pub fn python(script: &str, arguments: &[&str]) -> String {
    let python: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/python/bin/python");
    assert!(python.is_file(), "{} is missing: run tests/run, which installs it", python.display());
    let output = Command::new(python).args(["-I", "-c", script]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn what_stripe_s_library_signs_is_taken() {
    let billing = Billing::start();
    let script = "import sys, stripe
body, secret, at = sys.argv[1:]
print(f't={at},v1=' + stripe.WebhookSignature._compute_signature(f'{at}.{body}', secret))";
    let now_s = (billing.app.now_ms() / 1_000).to_string();
    for (id, text) in [("evt_1", "plain"), ("evt_2", "Zoë 李雷 👩‍💻 \\u0000 \\\"")] {
        let body = format!("{{\n  \"id\": \"{id}\",\n  \"type\": \"product.created\", \"name\": \"{text}\"\n}}\n");
        let header = python(script, &[&body, SECRET, &now_s]);
        let reply = billing.send(body.as_bytes(), &header);
        assert_eq!((reply.status, reply.json()["outcome"].as_str()), (200, Some("unusable")), "{}", reply.body);
        let other = python(script, &[&body, "whsec_of_another", &now_s]);
        assert_eq!(billing.send(body.as_bytes(), &other).problem(400), "invalid_signature");
        assert_eq!(billing.send(body.trim_end().as_bytes(), &header).problem(400), "invalid_signature");
    }
}

#[test]
fn what_these_tests_sign_stripe_s_library_takes() {
    let script = "import sys, time, stripe
body, header, other = sys.argv[1:]
print(stripe.WebhookSignature.verify_header(body, header, 'whsec_of_the_tests', 300))
try:
    stripe.WebhookSignature.verify_header(body, other, 'whsec_of_the_tests', 300)
except stripe.SignatureVerificationError:
    print('refused')";
    let now_ms = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let body = "{\"id\":\"evt_1\"}";
    let sign = |secret: &str| signed(body.as_bytes(), secret, now_ms);
    assert_eq!(python(script, &[body, &sign(SECRET), &sign("whsec_of_another")]), "True\nrefused");
}
