//! Stripe over the network: one call at a time for who waits for it, and the courier that carries payouts out.

use super::Receiver;
use crate::domain::delivery::{DeliveryKind, Outcome};
use crate::domain::payout::{CLOCKS_DIFFER_MS, NOT_AT_STRIPE, NextStep};
use crate::domain::stripe::api::{self, AccountVerdict, Answer, ApiCall, LookUp, Reply, TransferVerdict};
use crate::engine::{Begun, Content, KeyCheck, Secret, TransferTask};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

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
    /// For one call.
    timeout: Duration,
}

/// Patience for all the calls of a task together, so that a slow one does not hold up the payouts behind it for long.
struct Patience {
    a_call: Duration,
    until: Instant,
}

impl Patience {
    /// Calls that a task may take as long as. It has up to four, most of them quick.
    const CALLS: u32 = 2;

    fn begun_at(begun: Instant, a_call: Duration) -> Self {
        Self { a_call, until: begun + a_call * Self::CALLS }
    }

    /// What the next call may take; `None` where that would be too little to be worth beginning.
    fn next(&self) -> Option<Duration> {
        self.next_at(Instant::now())
    }

    fn next_at(&self, now: Instant) -> Option<Duration> {
        let left = self.until.saturating_duration_since(now);
        (left >= self.a_call / 3).then(|| left.min(self.a_call))
    }
}

const NO_TIME: &str = "Stripe answers too slowly";
const OTHER_STRIPE: &str = "the project's Stripe key has changed, and is of another Stripe account (or mode) than the one \
                            that the account to be paid is connected to";
const UNKNOWN_ACCOUNT: &str =
    "the project's Stripe key has changed, and the new one does not know the account to be paid";

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
            // A connection that the other end has closed meanwhile would make a call unclear for nothing.
            .max_idle_connections(0)
            .user_agent(concat!("refloop/", env!("CARGO_PKG_VERSION")));
        Self { base_url: base_url.trim_end_matches('/').to_owned(), agent: config.build().into(), timeout }
    }

    pub fn call(&self, call: &ApiCall, api_key: &Secret) -> Reply {
        self.call_within(self.timeout, call, api_key)
    }

    fn call_within(&self, timeout: Duration, call: &ApiCall, api_key: &Secret) -> Reply {
        let url = format!("{}{}", self.base_url, call.path);
        let key = format!("Bearer {}", api_key.0);
        let sent = match &call.form {
            None => {
                let request = self.agent.get(url).header("Authorization", key).header("Stripe-Version", VERSION);
                request.config().timeout_global(Some(timeout)).build().call()
            }
            Some(form) => {
                let mut request = self.agent.post(url).header("Authorization", key).header("Stripe-Version", VERSION);
                request = request.header("Content-Type", "application/x-www-form-urlencoded");
                if let Some(key) = &call.idempotency_key {
                    request = request.header("Idempotency-Key", key);
                }
                request.config().timeout_global(Some(timeout)).build().send(form)
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

    /// A call of a task, as long as there is time for it.
    fn ask(&self, patience: &Patience, call: &ApiCall, task: &TransferTask) -> Reply {
        match patience.next() {
            Some(timeout) => self.call_within(timeout, call, &task.api_key),
            None => Reply::NotSent(NO_TIME.into()),
        }
    }

    /// That it is not there counts only where the clocks agree: what follows from it depends on how long ago things were.
    fn look_up(&self, task: &TransferTask, patience: &Patience) -> LookUp {
        let reply = self.ask(patience, &api::look_up_transfer(task.transfer.payout), task);
        match api::read_look_up(&reply, &task.transfer) {
            LookUp::None if api::differs(&reply, task.now_ms) > CLOCKS_DIFFER_MS => {
                LookUp::Unclear("this machine's clock and Stripe's are too far apart: set it right".into())
            }
            found => found,
        }
    }

    /// What keeps the key's word from counting, if anything does.
    fn objection(&self, task: &TransferTask, patience: &Patience) -> Option<String> {
        if let KeyCheck::IsOf(platform) = task.key_check.as_ref()? {
            match api::read_platform(&self.ask(patience, &api::own_account(), task), &task.api_key.0) {
                Ok(own) if own == *platform => return None,
                Ok(_) => return Some(OTHER_STRIPE.into()),
                // Not each key may ask that; then the account to be paid tells.
                Err(_) => {}
            }
        }
        let reply = self.ask(patience, &api::retrieve_account(&task.transfer.destination), task);
        match api::read_account(&reply) {
            AccountVerdict::Known(state) if state.id == task.transfer.destination => None,
            AccountVerdict::Known(_) | AccountVerdict::Gone => Some(UNKNOWN_ACCOUNT.into()),
            AccountVerdict::Refused(reason) | AccountVerdict::Unavailable(reason) => {
                Some(format!("the project's Stripe key has changed, and Stripe does not say whose it is: {reason}"))
            }
        }
    }

    fn send(&self, task: &TransferTask, patience: &Patience, earlier: bool) -> Outcome {
        let call = api::send_transfer(task.transfer.payout, task.form.clone());
        match api::read_transfer(&self.ask(patience, &call, task), &task.transfer) {
            TransferVerdict::Paid(transfer) => Outcome::Done(Some(transfer)),
            TransferVerdict::NotTaken(reason) => Outcome::Retry(reason),
            TransferVerdict::Refused(reason) if !earlier => Outcome::Refused(reason),
            // A refusal of this one says little about the one before, which may still be under way.
            TransferVerdict::Refused(reason) => match self.look_up(task, patience) {
                LookUp::Found(transfer) => Outcome::Done(Some(transfer)),
                LookUp::None if task.refusal_counts => Outcome::Refused(reason),
                LookUp::None => Outcome::Unclear(format!("{reason} (of a repeat; the first may still be under way)")),
                LookUp::Unclear(reason) => Outcome::Unclear(reason),
            },
            // Under its key Stripe repeats a fault of its own for a day, also where the transfer was made.
            TransferVerdict::Unclear(reason) => match self.look_up(task, patience) {
                LookUp::Found(transfer) => Outcome::Done(Some(transfer)),
                LookUp::None | LookUp::Unclear(_) => Outcome::Unclear(reason),
            },
        }
    }

    fn carry_out(&self, task: &TransferTask) -> Outcome {
        let patience = Patience::begun_at(Instant::now(), self.timeout);
        if let Some(reason) = self.objection(task, &patience) {
            return match task.step {
                NextStep::Send { earlier: true } | NextStep::LookUp { .. } => Outcome::Unclear(reason),
                NextStep::Send { earlier: false } | NextStep::CallOff => Outcome::Retry(reason),
            };
        }
        match (task.step, self.look_up(task, &patience)) {
            (_, LookUp::Found(transfer)) => Outcome::Done(Some(transfer)),
            (NextStep::Send { earlier }, LookUp::None) => self.send(task, &patience, earlier),
            (NextStep::CallOff, LookUp::None) => Outcome::Refused("it was called off".into()),
            (NextStep::LookUp { certain: true }, LookUp::None) if task.may_resolve => {
                Outcome::Refused(NOT_AT_STRIPE.into())
            }
            (NextStep::LookUp { .. }, LookUp::None) => {
                Outcome::Unclear("Stripe has no such transfer; an operator has to decide".into())
            }
            (NextStep::Send { .. } | NextStep::CallOff, LookUp::Unclear(reason)) => Outcome::Retry(reason),
            (NextStep::LookUp { .. }, LookUp::Unclear(reason)) => Outcome::Unclear(reason),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_has_its_time_and_begins_no_call_without() {
        let begun = Instant::now();
        let patience = Patience::begun_at(begun, TIMEOUT);
        for (after_s, next_s) in [(0, Some(15)), (14, Some(15)), (20, Some(10)), (25, Some(5)), (26, None), (90, None)]
        {
            let next = patience.next_at(begun + Duration::from_secs(after_s));
            assert_eq!(next, next_s.map(Duration::from_secs), "{after_s}");
        }
    }
}
