//! Stripe over the network: one call at a time for who waits for it, and the courier that carries payouts out.

use super::Receiver;
use crate::domain::delivery::{DeliveryKind, Outcome};
use crate::domain::payout::{CLOCKS_DIFFER_MS, NextStep};
use crate::domain::stripe::api::{self, AccountVerdict, Answer, ApiCall, LookUp, Reply, TransferVerdict};
use crate::engine::{Begun, Content, Secret, TransferTask};
use std::io::ErrorKind;
use std::time::Duration;

/// The version of Stripe's API that its answers are read by.
const VERSION: &str = "2025-09-30.clover";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(15);
const LONGEST_ANSWER: u64 = 1 << 20;

/// A client for one base URL, without `/v1`.
#[derive(Debug, Clone)]
pub struct StripeClient {
    base_url: String,
    agent: ureq::Agent,
}

impl StripeClient {
    pub fn new(base_url: &str) -> Self {
        Self::with_timeout(base_url, TIMEOUT)
    }

    /// With another patience than the usual one.
    pub fn with_timeout(base_url: &str, timeout: Duration) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT_TIMEOUT.min(timeout)))
            .timeout_global(Some(timeout))
            // A connection that the other end has closed meanwhile would make a call unclear for nothing.
            .max_idle_connections(0)
            .user_agent(concat!("refloop/", env!("CARGO_PKG_VERSION")));
        Self { base_url: base_url.trim_end_matches('/').to_owned(), agent: config.build().into() }
    }

    pub fn call(&self, call: &ApiCall, api_key: &Secret) -> Reply {
        let url = format!("{}{}", self.base_url, call.path);
        let key = format!("Bearer {}", api_key.0);
        let sent = match &call.form {
            None => self.agent.get(url).header("Authorization", key).header("Stripe-Version", VERSION).call(),
            Some(form) => {
                let mut request = self.agent.post(url).header("Authorization", key).header("Stripe-Version", VERSION);
                request = request.header("Content-Type", "application/x-www-form-urlencoded");
                if let Some(key) = &call.idempotency_key {
                    request = request.header("Idempotency-Key", key);
                }
                request.send(form)
            }
        };
        let mut response = match sent {
            Ok(response) => response,
            Err(fault) if is_before_sending(&fault) => return Reply::NotSent(named(&fault)),
            Err(fault) => return Reply::Lost(named(&fault)),
        };
        let date = response.headers().get("date").and_then(|date| date.to_str().ok());
        let at_ms =
            date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).map(|at| at.timestamp().as_millisecond());
        let status = response.status().as_u16();
        match response.body_mut().with_config().limit(LONGEST_ANSWER).read_to_vec() {
            Ok(body) => Reply::Answer(Answer { status, body, at_ms }),
            Err(fault) => Reply::Lost(named(&fault)),
        }
    }

    /// That it is not there counts only where the clocks agree: what follows from it depends on how long ago things were.
    fn look_up(&self, task: &TransferTask) -> LookUp {
        let call = api::look_up_transfer(task.transfer.payout);
        let reply = self.call(&call, &task.api_key);
        match api::read_look_up(&reply, &task.transfer) {
            LookUp::None if api::differs(&reply, task.now_ms) > CLOCKS_DIFFER_MS => {
                LookUp::Unclear("this machine's clock and Stripe's are too far apart: set it right".into())
            }
            found => found,
        }
    }

    /// Whether the key is of the Stripe account that the destination is connected to.
    fn knows_destination(&self, task: &TransferTask) -> bool {
        let reply = self.call(&api::retrieve_account(&task.transfer.destination), &task.api_key);
        matches!(api::read_account(&reply), AccountVerdict::Known(state) if state.id == task.transfer.destination)
    }

    fn send(&self, task: &TransferTask, earlier: bool) -> Outcome {
        let call = api::send_transfer(task.transfer.payout, task.form.clone());
        match api::read_transfer(&self.call(&call, &task.api_key), &task.transfer) {
            TransferVerdict::Paid(transfer) => Outcome::Done(Some(transfer)),
            TransferVerdict::NotTaken(reason) => Outcome::Retry(reason),
            TransferVerdict::Refused(reason) if !earlier => Outcome::Refused(reason),
            // A refusal of this one says little about the one before.
            TransferVerdict::Refused(reason) => match self.look_up(task) {
                LookUp::Found(transfer) => Outcome::Done(Some(transfer)),
                LookUp::None => Outcome::Refused(reason),
                LookUp::Unclear(reason) => Outcome::Unclear(reason),
            },
            // Under its key Stripe repeats a fault of its own for a day, also where the transfer was made.
            TransferVerdict::Unclear(reason) => match self.look_up(task) {
                LookUp::Found(transfer) => Outcome::Done(Some(transfer)),
                LookUp::None | LookUp::Unclear(_) => Outcome::Unclear(reason),
            },
        }
    }

    fn carry_out(&self, task: &TransferTask) -> Outcome {
        if task.check_destination && !self.knows_destination(task) {
            let reason = "the project's Stripe key has changed, and the new one does not know the account to be paid";
            return Outcome::Unclear(reason.into());
        }
        match task.step {
            NextStep::Send { earlier } => match self.look_up(task) {
                LookUp::Found(transfer) => Outcome::Done(Some(transfer)),
                LookUp::None => self.send(task, earlier),
                LookUp::Unclear(reason) => Outcome::Retry(reason),
            },
            NextStep::CallOff => match self.look_up(task) {
                LookUp::Found(transfer) => Outcome::Done(Some(transfer)),
                LookUp::None => Outcome::Refused("it was called off".into()),
                LookUp::Unclear(reason) => Outcome::Retry(reason),
            },
            NextStep::LookUp { certain } => match self.look_up(task) {
                LookUp::Found(transfer) => Outcome::Done(Some(transfer)),
                LookUp::None if certain && task.may_resolve => Outcome::Refused("Stripe has no such transfer.".into()),
                LookUp::None => Outcome::Unclear("Stripe has no such transfer; an operator has to decide".into()),
                LookUp::Unclear(reason) => Outcome::Unclear(reason),
            },
        }
    }
}

impl Receiver for StripeClient {
    fn kind(&self) -> DeliveryKind {
        DeliveryKind::Transfer
    }

    fn tell(&self, begun: &Begun) -> Outcome {
        match &begun.content {
            Content::Transfer(task) => self.carry_out(task),
            Content::Letter(_) | Content::Call(_) | Content::Domain(_) => {
                Outcome::Unclear("this is no transfer".into())
            }
        }
    }
}

/// Whether nothing can have left this machine. Where there is a doubt, it may have.
fn is_before_sending(fault: &ureq::Error) -> bool {
    use ureq::Timeout::{Connect, Resolve};
    match fault {
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::BadUri(_) => true,
        ureq::Error::Timeout(at) => matches!(at, Resolve | Connect),
        ureq::Error::Io(fault) => fault.kind() == ErrorKind::ConnectionRefused,
        _ => false,
    }
}

/// Its kind alone: a fault's own words may quote what was sent.
fn named(fault: &ureq::Error) -> String {
    match fault {
        ureq::Error::Timeout(at) => format!("no answer in time ({at})"),
        ureq::Error::Io(fault) => format!("the connection broke ({})", fault.kind()),
        ureq::Error::HostNotFound => "the host is not known".into(),
        ureq::Error::ConnectionFailed => "there is no connection".into(),
        ureq::Error::BodyExceedsLimit(_) => "the answer is too long".into(),
        _ => "the call broke off".into(),
    }
}
