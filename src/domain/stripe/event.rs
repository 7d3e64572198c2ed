//! What an event of Stripe tells, as far as it matters here.
//!
//! Stripe has moved fields between the versions of its API that a team's account may be on: an invoice's payments, a
//! charge's invoice, a subscription's metadata. They are looked for in all of their places.

use super::connect::AccountState;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::{text, time};
use serde_json::{Map, Value};

/// More than any currency of Stripe's can say in one payment.
const MOST_MINOR: i64 = 1_000_000_000_000;

/// What is told of connected accounts that is to be known here.
const OF_CONNECTED: [&str; 3] = ["account.updated", "payout.failed", "payout.paid"];

type Object = Map<String, Value>;

/// An event in the few words that are kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StripeEvent {
    pub id: String,
    pub kind: String,
    pub created_ms: Option<i64>,
    /// Stripe's id of the customer.
    pub customer: Option<String>,
    /// What the team's own app calls the customer, the best name first.
    pub names: Vec<String>,
    pub links: Vec<Link>,
    pub fact: Fact,
}

/// A charge is part of a payment intent, that of an invoice; a session or new subscription of its first invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub object: String,
    pub part_of: String,
    pub is_invoice: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A checkout that is paid, or a new subscription.
    Conversion {
        object: String,
    },
    /// An invoice that is paid, perhaps with nothing.
    Purchase {
        invoice: String,
        amount_minor: i64,
        currency: String,
    },
    Refunds(Vec<Refund>),
    /// How a connected account stands.
    Account(AccountState),
    Transfer(ToldTransfer),
    /// The bank of a connected account took money from Stripe, or did not.
    Bank {
        stripe_account: String,
        refusal: Option<String>,
    },
    /// Nothing but who a customer is, or which payment is of which invoice.
    Link,
    /// A session or subscription that is not paid for yet.
    Unpaid,
    /// An event that says nothing of interest here.
    Other,
    /// An event of interest whose object cannot be read.
    Unusable,
}

/// A transfer to a connected account, as an event tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldTransfer {
    pub id: String,
    /// The payout's id, if it is one of refloop's.
    pub group: String,
    pub amount_minor: i64,
    pub reversed_minor: i64,
    pub currency: String,
    pub destination: String,
}

/// What was given back of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    /// The refund; or the charge, when this is all that has been refunded of it.
    pub object: String,
    pub charge: Option<String>,
    pub intent: Option<String>,
    pub amount_minor: i64,
    pub state: RefundState,
}

/// The order is that in which a refund passes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefundState {
    Pending,
    Succeeded,
    /// Failed or cancelled: the money stays paid.
    Failed,
    /// Not one refund, but the sum of all of a charge.
    Sum,
}

impl RefundState {
    pub const ALL: [Self; 4] = [Self::Pending, Self::Succeeded, Self::Failed, Self::Sum];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Sum => "sum",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl StripeEvent {
    /// Reads a body whose signature is good. `Malformed` when it is not a JSON object; all else is an event, if need
    /// be an unusable one, under an id made of its bytes when it has none of its own.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let malformed = |detail: &str| Error::new(Kind::Malformed, "malformed_json", detail);
        let value: Value = serde_json::from_slice(body).map_err(|_| malformed("The body is not JSON."))?;
        let Value::Object(root) = value else { return Err(malformed("The body is not a JSON object.")) };
        let own_id = root.get("id").and_then(Value::as_str).filter(|id| is_id(id)).map(str::to_owned);
        let kind = root.get("type").and_then(Value::as_str).filter(|kind| is_id(kind));
        let created_ms = root.get("created").and_then(Value::as_i64).and_then(|seconds| seconds.checked_mul(1_000));
        let mut event = Self {
            id: own_id.clone().unwrap_or_else(|| format!("unnamed:{}", blake3::hash(body).to_hex())),
            kind: kind.unwrap_or("unknown").to_owned(),
            created_ms: created_ms.filter(|at_ms| (0..=time::LAST_MS).contains(at_ms)),
            customer: None,
            names: Vec::new(),
            links: Vec::new(),
            fact: Fact::Unusable,
        };
        if let (Some(_), Some(_), Some(object)) =
            (own_id, kind, at(&root, &["data", "object"]).and_then(Value::as_object))
        {
            event.read(object, at(&root, &["data", "previous_attributes"]), id(root.get("account")));
        }
        Ok(event)
    }

    fn read(&mut self, object: &Object, before: Option<&Value>, connected: Option<String>) {
        let fact = match self.kind.as_str() {
            // What is sold, refunded or transferred at somebody else's account is no business of the team's: else who has
            // one could buy from themselves, and be paid a commission for it.
            kind if connected.is_some() && !OF_CONNECTED.contains(&kind) => Some(Fact::Other),
            "checkout.session.completed" => self.session(object, false),
            "checkout.session.async_payment_succeeded" => self.session(object, true),
            "customer.subscription.created" => self.subscription(object, true),
            "customer.subscription.updated" => {
                let status = before.and_then(|before| before.get("status")).and_then(Value::as_str);
                self.subscription(object, status == Some("incomplete"))
            }
            "customer.created" | "customer.updated" => self.customer(object),
            "invoice.paid" | "invoice.payment_succeeded" => self.invoice(object),
            "invoice_payment.paid" => self.invoice_payment(object),
            "charge.succeeded" | "charge.updated" | "charge.captured" => self.charge(object).map(|_| Fact::Link),
            "charge.refunded" => self.charge(object).and_then(|charge| sum_of_refunds(object, charge)),
            "payment_intent.succeeded" => self.payment_intent(object),
            "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" => {
                self.refund(object).map(|refund| Fact::Refunds(vec![refund]))
            }
            "account.updated" => AccountState::read(object).map(Fact::Account),
            "transfer.created" | "transfer.updated" | "transfer.reversed" => transfer(object).map(Fact::Transfer),
            "payout.failed" => connected.map(|stripe_account| Fact::Bank {
                stripe_account,
                refusal: Some(id(object.get("failure_code")).unwrap_or_else(|| "unknown".into())),
            }),
            "payout.paid" => {
                let of_partner = |stripe_account| Fact::Bank { stripe_account, refusal: None };
                Some(connected.map_or(Fact::Other, of_partner))
            }
            _ => Some(Fact::Other),
        };
        self.fact = fact.unwrap_or(Fact::Unusable);
    }

    fn called(&mut self, object: &Object, paths: &[&[&str]]) {
        self.customer = self.customer.take().or_else(|| id(object.get("customer")));
        for name in paths.iter().filter_map(|path| id(at(object, path))) {
            if !self.names.contains(&name) {
                self.names.push(name);
            }
        }
    }

    fn link(&mut self, object: Option<String>, part_of: Option<&String>, is_invoice: bool) {
        if let (Some(object), Some(part_of)) = (object, part_of) {
            self.links.push(Link { object, part_of: part_of.clone(), is_invoice });
        }
    }

    fn session(&mut self, object: &Object, settled: bool) -> Option<Fact> {
        let session = id(object.get("id"))?;
        let expanded = &["customer", "metadata", "customer_id"];
        self.called(object, &[&["client_reference_id"], &["metadata", "customer_id"], expanded]);
        let (invoice, subscription) = (id(object.get("invoice")), id(object.get("subscription")));
        self.link(id(object.get("payment_intent")), invoice.as_ref(), true);
        self.link(subscription.clone(), invoice.as_ref(), true);
        self.link(Some(session.clone()), subscription.as_ref(), false);
        self.link(Some(session.clone()), invoice.as_ref(), true);
        let says = |name: &str, words: &[&str]| {
            object.get(name).filter(|value| !value.is_null()).is_none_or(|word| words.iter().any(|known| word == known))
        };
        let complete = says("status", &["complete"]) && says("mode", &["payment", "subscription"]);
        let paid = settled || says("payment_status", &["paid", "no_payment_required"]);
        if !complete || !paid {
            return Some(Fact::Unpaid);
        }
        // Paid for once and without an invoice: the session itself is the purchase, which refunds are of.
        let is_one_payment = object.get("mode").is_some_and(|mode| mode == "payment") && invoice.is_none();
        let total = amount(object.get("amount_total")).filter(|total| *total > 0);
        match total.zip(currency(object)) {
            Some((amount_minor, currency)) if is_one_payment => {
                self.link(id(object.get("payment_intent")), Some(&session), true);
                Some(Fact::Purchase { invoice: session, amount_minor, currency })
            }
            _ => Some(Fact::Conversion { object: session }),
        }
    }

    /// `new`: made just now, or paid for the first time.
    fn subscription(&mut self, object: &Object, new: bool) -> Option<Fact> {
        let subscription = id(object.get("id"))?;
        self.called(object, &[&["metadata", "customer_id"], &["customer", "metadata", "customer_id"]]);
        if !new {
            return Some(Fact::Link);
        }
        self.link(Some(subscription.clone()), id(object.get("latest_invoice")).as_ref(), true);
        let status = object.get("status").and_then(Value::as_str).unwrap_or("active");
        let unpaid = ["incomplete", "incomplete_expired", "unpaid"].contains(&status);
        Some(if unpaid { Fact::Unpaid } else { Fact::Conversion { object: subscription } })
    }

    fn customer(&mut self, object: &Object) -> Option<Fact> {
        self.customer = Some(id(object.get("id"))?);
        self.called(object, &[&["metadata", "customer_id"]]);
        Some(Fact::Link)
    }

    fn invoice(&mut self, object: &Object) -> Option<Fact> {
        let invoice = id(object.get("id"))?;
        // The subscription's, as it was when the invoice was made.
        let moved = &["parent", "subscription_details", "metadata", "customer_id"];
        self.called(
            object,
            &[&["metadata", "customer_id"], &["subscription_details", "metadata", "customer_id"], moved],
        );
        self.called(object, &[&["customer", "metadata", "customer_id"]]);
        self.payment(object, &invoice);
        for payment in at(object, &["payments", "data"]).and_then(Value::as_array).into_iter().flatten() {
            if let Some(payment) = payment.get("payment").and_then(Value::as_object) {
                self.payment(payment, &invoice);
            }
        }
        if object.get("billing_reason").is_some_and(|reason| reason == "subscription_create") {
            let moved = at(object, &["parent", "subscription_details", "subscription"]);
            self.link(id(object.get("subscription")).or_else(|| id(moved)), Some(&invoice), true);
        }
        let amount_minor = amount(object.get("amount_paid"))?;
        Some(Fact::Purchase { invoice, amount_minor, currency: currency(object)? })
    }

    /// The charge and the intent that `holder` names have paid for the invoice.
    fn payment(&mut self, holder: &Object, invoice: &String) {
        for name in ["charge", "payment_intent"] {
            self.link(id(holder.get(name)), Some(invoice), true);
        }
    }

    fn invoice_payment(&mut self, object: &Object) -> Option<Fact> {
        let invoice = id(object.get("invoice"))?;
        self.payment(object.get("payment")?.as_object()?, &invoice);
        Some(Fact::Link)
    }

    /// Its id and its intent's.
    fn charge(&mut self, object: &Object) -> Option<(String, Option<String>)> {
        let charge = id(object.get("id"))?;
        let (intent, invoice) = (id(object.get("payment_intent")), id(object.get("invoice")));
        self.link(Some(charge.clone()), intent.as_ref(), false);
        self.link(Some(charge.clone()), invoice.as_ref(), true);
        self.link(intent.clone(), invoice.as_ref(), true);
        Some((charge, intent))
    }

    fn payment_intent(&mut self, object: &Object) -> Option<Fact> {
        let intent = id(object.get("id"))?;
        self.link(id(object.get("latest_charge")), Some(&intent), false);
        self.link(Some(intent), id(object.get("invoice")).as_ref(), true);
        Some(Fact::Link)
    }

    fn refund(&mut self, object: &Object) -> Option<Refund> {
        let refund = one_refund(object)?;
        self.link(refund.charge.clone(), refund.intent.as_ref(), false);
        Some(refund)
    }
}

/// Of other transfers than refloop's there is nothing to know.
fn transfer(object: &Object) -> Option<ToldTransfer> {
    Some(ToldTransfer {
        id: id(object.get("id"))?,
        group: id(object.get("transfer_group")).unwrap_or_default(),
        amount_minor: amount(object.get("amount"))?,
        reversed_minor: amount(object.get("amount_reversed")).unwrap_or(0),
        currency: currency(object)?,
        destination: id(object.get("destination"))?,
    })
}

fn currency(object: &Object) -> Option<String> {
    let currency = object.get("currency").and_then(Value::as_str)?.to_ascii_lowercase();
    (currency.len() == 3 && currency.bytes().all(|b| b.is_ascii_lowercase())).then_some(currency)
}

/// All that has been refunded of a charge, and each refund of which the event tells.
fn sum_of_refunds(object: &Object, (charge, intent): (String, Option<String>)) -> Option<Fact> {
    let amount_minor = amount(object.get("amount_refunded"))?;
    let told = at(object, &["refunds", "data"]).and_then(Value::as_array).into_iter().flatten();
    let mut refunds: Vec<Refund> = told.filter_map(|refund| one_refund(refund.as_object()?)).collect();
    for refund in &mut refunds {
        refund.charge.get_or_insert_with(|| charge.clone());
    }
    let state = RefundState::Sum;
    refunds.push(Refund { object: charge.clone(), charge: Some(charge), intent, amount_minor, state });
    Some(Fact::Refunds(refunds))
}

fn one_refund(object: &Object) -> Option<Refund> {
    let state = match object.get("status").and_then(Value::as_str) {
        // Versions before there was a status have none.
        None | Some("succeeded") => RefundState::Succeeded,
        Some("failed" | "canceled") => RefundState::Failed,
        Some(_) => RefundState::Pending,
    };
    Some(Refund {
        object: id(object.get("id"))?,
        charge: id(object.get("charge")),
        intent: id(object.get("payment_intent")),
        amount_minor: amount(object.get("amount"))?,
        state,
    })
}

fn at<'a>(object: &'a Object, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(object.get(*first)?, |value, name| value.get(name))
}

/// An id, or that of an object that stands in its place.
fn id(value: Option<&Value>) -> Option<String> {
    let text = match value? {
        Value::String(text) => text,
        Value::Object(object) => object.get("id")?.as_str()?,
        _ => return None,
    };
    is_id(text).then(|| text.to_owned())
}

/// Stripe's ids, and those that it carries for a team, have at most 255 characters.
fn is_id(text: &str) -> bool {
    (1..=255).contains(&text.chars().count()) && text.trim() == text && text::printable("id", text).is_ok()
}

fn amount(value: Option<&Value>) -> Option<i64> {
    value?.as_i64().filter(|amount| (0..=MOST_MINOR).contains(amount))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(kind: &str, object: &Value) -> StripeEvent {
        let body = json!({ "id": "evt_1", "type": kind, "created": 1_768_471_200, "data": { "object": object } });
        StripeEvent::parse(body.to_string().as_bytes()).unwrap()
    }

    fn link(object: &str, part_of: &str, is_invoice: bool) -> Link {
        Link { object: object.into(), part_of: part_of.into(), is_invoice }
    }

    #[test]
    fn a_session_names_its_customer_and_its_first_invoice() {
        let event = read(
            "checkout.session.completed",
            &json!({ "id": "cs_1", "client_reference_id": "pc_1", "metadata": { "customer_id": "pc_2" },
                    "customer": "cus_1", "subscription": "sub_1", "invoice": "in_1", "payment_status": "paid" }),
        );
        assert_eq!(event.created_ms, Some(1_768_471_200_000));
        assert_eq!((event.customer.as_deref(), event.names.join(" ")), (Some("cus_1"), "pc_1 pc_2".into()));
        assert_eq!(event.fact, Fact::Conversion { object: "cs_1".into() });
        let links = [link("sub_1", "in_1", true), link("cs_1", "sub_1", false), link("cs_1", "in_1", true)];
        assert_eq!(event.links, links);
    }

    #[test]
    fn what_is_sold_at_a_connected_account_is_no_purchase() {
        for (kind, object) in [
            ("invoice.paid", json!({ "id": "in_1", "customer": "cus_1", "amount_paid": 500, "currency": "usd" })),
            ("checkout.session.completed", json!({ "id": "cs_1", "customer": "cus_1", "payment_status": "paid" })),
            ("charge.refunded", json!({ "id": "ch_1", "payment_intent": "pi_1", "amount_refunded": 700 })),
            ("customer.created", json!({ "id": "cus_1", "metadata": { "customer_id": "pc_1" } })),
            ("charge.succeeded", json!({ "id": "ch_1", "payment_intent": "pi_1", "invoice": "in_1" })),
        ] {
            let body = json!({ "id": "evt_1", "type": kind, "account": "acct_1", "data": { "object": object } });
            let event = StripeEvent::parse(body.to_string().as_bytes()).unwrap();
            assert_ne!(read(kind, &object).fact, Fact::Other, "{kind} at one's own account");
            assert_eq!((event.fact, event.customer, event.names, event.links), (Fact::Other, None, vec![], vec![]));
        }
    }

    #[test]
    fn a_charge_tells_its_sum_and_each_refund() {
        let event = read(
            "charge.refunded",
            &json!({ "id": "ch_1", "payment_intent": "pi_1", "amount_refunded": 700, "refunds": { "data": [
                { "id": "re_1", "amount": 500, "status": "succeeded" }, { "id": "re_2", "amount": 200, "status": "pending" },
                { "id": "re_3", "amount": "x" } ] } }),
        );
        let Fact::Refunds(refunds) = event.fact else { panic!("{event:?}") };
        let told: Vec<_> =
            refunds.iter().map(|refund| (refund.object.as_str(), refund.amount_minor, refund.state.as_str())).collect();
        assert_eq!(told, [("re_1", 500, "succeeded"), ("re_2", 200, "pending"), ("ch_1", 700, "sum")]);
        assert!(refunds.iter().all(|refund| refund.charge.as_deref() == Some("ch_1")));
        assert_eq!(event.links, [link("ch_1", "pi_1", false)]);
    }

    #[test]
    fn an_invoice_links_its_payments_and_only_the_first_its_subscription() {
        for (reason, first) in [("subscription_create", true), ("subscription_cycle", false)] {
            let event = read(
                "invoice.paid",
                &json!({ "id": "in_1", "amount_paid": 5, "currency": "USD", "billing_reason": reason,
                        "parent": { "subscription_details": { "subscription": "sub_1" } },
                        "payments": { "data": [{ "payment": { "payment_intent": "pi_1", "charge": null } }, 5] } }),
            );
            let currency = "usd".into();
            assert_eq!(event.fact, Fact::Purchase { invoice: "in_1".into(), amount_minor: 5, currency });
            let mut links = vec![link("pi_1", "in_1", true)];
            links.extend(first.then(|| link("sub_1", "in_1", true)));
            assert_eq!(event.links, links);
        }
    }

    #[test]
    fn each_state_of_a_refund() {
        for (status, state) in [
            (json!("succeeded"), RefundState::Succeeded),
            (Value::Null, RefundState::Succeeded),
            (json!("pending"), RefundState::Pending),
            (json!("requires_action"), RefundState::Pending),
            (json!("failed"), RefundState::Failed),
            (json!("canceled"), RefundState::Failed),
        ] {
            let event = read("refund.updated", &json!({ "id": "re_1", "amount": 1, "status": status }));
            assert!(matches!(&event.fact, Fact::Refunds(refunds) if refunds[0].state == state), "{event:?}");
        }
        assert!(RefundState::ALL.iter().all(|state| RefundState::parse(state.as_str()) == Some(*state)));
    }

    #[test]
    fn what_cannot_be_used_has_an_id_all_the_same() {
        let unnamed = StripeEvent::parse(b"{}").unwrap();
        assert_eq!((unnamed.fact, unnamed.kind.as_str()), (Fact::Unusable, "unknown"));
        assert_eq!(unnamed.id, StripeEvent::parse(b"{}").unwrap().id);
        assert_ne!(unnamed.id, StripeEvent::parse(b"{ }").unwrap().id);
        assert_eq!(
            read("invoice.paid", &json!({ "id": "in_1", "amount_paid": -1, "currency": "usd" })).fact,
            Fact::Unusable
        );
        assert_eq!(read("invoice.created", &json!({})).fact, Fact::Other);
        assert_eq!(StripeEvent::parse(b"[]").unwrap_err().code, "malformed_json");
    }
}
