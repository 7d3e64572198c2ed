//! Partners' accounts at Stripe: having one made, and how it stands. What is said to Stripe is in the domain, who says
//! it is handed in; here is the order in which it is said and written down.

use super::Engine;
use super::transfers::Secret;
use crate::domain::error::{Error, Result};
use crate::domain::id::{AccountId, ProjectId};
use crate::domain::sharing::base_url;
use crate::domain::stripe::api::{self, AccountVerdict, ApiCall, Reply};
use crate::domain::stripe::connect::AccountState;
use crate::domain::{delivery, partner, payout};
use crate::store::{Snapshot, StripeAccount, Tx};
use std::sync::Arc;

type Call = dyn Fn(&ApiCall, &Secret) -> Reply + Send + Sync;

/// Makes a call to Stripe with a key, and waits for the answer.
#[derive(Clone)]
pub struct StripeCaller(pub Arc<Call>);

impl StripeCaller {
    pub fn new(call: impl Fn(&ApiCall, &Secret) -> Reply + Send + Sync + 'static) -> Self {
        Self(Arc::new(call))
    }
}

/// Nobody is called: for commands, which have no business with Stripe.
impl Default for StripeCaller {
    fn default() -> Self {
        Self::new(|_, _| Reply::NotSent("nobody calls Stripe here".into()))
    }
}

impl std::fmt::Debug for StripeCaller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StripeCaller")
    }
}

/// Where Stripe sends people afterwards, and when a link of its own has grown old.
#[derive(Debug, Clone)]
pub struct ConnectLinks {
    /// The server's own address, without a slash at the end. A project with a host has its pages there.
    pub public_url: String,
    /// Path and query.
    pub return_to: &'static str,
    pub refresh_at: &'static str,
}

/// An account at Stripe, and the page where it is completed.
#[derive(Debug, Clone)]
pub struct Connected {
    pub account: StripeAccount,
    pub onboarding_url: String,
}

/// What is known before Stripe is called.
struct Start {
    /// The address of the project's pages.
    pages: String,
    api_key: Option<Secret>,
    email: Option<String>,
    known: Option<StripeAccount>,
}

impl Start {
    fn of(db: &Snapshot<'_>, project: ProjectId, account: AccountId, public_url: &str) -> Result<Self> {
        partner::currency(&*db.program(project)?)?;
        let found = db.account(project, account)?;
        if !found.partner {
            return Err(payout::not_partner());
        }
        let known = db.stripe_account(project, account)?;
        let project_row = db.project(project)?;
        let api_key = match project_row.mode.as_str() {
            "test" => None,
            _ => Some(Secret(db.stripe_api_key(project)?.ok_or_else(payout::stripe_not_configured)?)),
        };
        let pages = base_url(public_url, project_row.host.as_deref());
        Ok(Self { pages, api_key, email: found.email, known })
    }
}

impl Engine {
    /// The origin of the pages that Stripe leads partners to.
    pub fn stripe_pages(&self) -> &str {
        &self.settings.stripe_pages
    }

    /// Has Stripe tell how the partner's account stands, if there is one; what it then is. `Conflict` for who is no
    /// partner, and in a project without a Stripe key; `Busy` when Stripe does not answer as it should.
    pub async fn ask_stripe(&self, project: ProjectId, account: AccountId) -> Result<Option<StripeAccount>> {
        let start = self.store.read(move |db| Start::of(db, project, account, "")).await?;
        let id = start.known.as_ref().and_then(|known| known.stripe_account.clone());
        match (start.api_key, id) {
            (Some(api_key), Some(id)) => self.ask_account(project, account, api::retrieve_account(&id), &api_key).await,
            _ => Ok(start.known),
        }
    }

    /// Has Stripe make the partner's account, if there is none yet, or tell how it stands; and asks for a link to the
    /// page where it is completed. The account's id is kept before anything else is asked for. `Conflict` for who is no
    /// partner, and in a project without a Stripe key; `Busy` when Stripe does not answer as it should.
    pub async fn connect(&self, project: ProjectId, account: AccountId, links: ConnectLinks) -> Result<Connected> {
        let ConnectLinks { public_url, return_to, refresh_at } = links;
        let start = self.store.read(move |db| Start::of(db, project, account, &public_url)).await?;
        let return_url = format!("{}{return_to}", start.pages);
        let refresh_url = format!("{}{refresh_at}", start.pages);
        let Some(api_key) = start.api_key else { return self.connect_simulated(project, account, return_url).await };
        let refused = start.known.as_ref().map_or(0, |known| known.refused);
        let mut state = match start.known.and_then(|known| known.stripe_account) {
            Some(id) => self.ask_account(project, account, api::retrieve_account(&id), &api_key).await?,
            None => None,
        };
        if state.is_none() {
            let refused = self
                .store
                .read(move |db| db.stripe_account(project, account))
                .await?
                .map_or(refused, |now| now.refused);
            let create = api::create_account(account, start.email.as_deref(), refused);
            state = self.ask_account(project, account, create, &api_key).await?;
        }
        let known = state.ok_or_else(payout::stripe_unavailable)?;
        let id = known.stripe_account.clone().ok_or_else(payout::stripe_unavailable)?;
        let link = api::link_account(&id, &refresh_url, &return_url);
        let onboarding_url = api::read_link(&self.call_stripe(link, &api_key).await?).map_err(|reason| {
            tracing::warn!(%account, reason, "Stripe gave no link");
            payout::stripe_unavailable()
        })?;
        Ok(Connected { account: known, onboarding_url })
    }

    /// One call about an account, and what follows from it. `None`: there is no such account; the next is a new one.
    async fn ask_account(
        &self,
        project: ProjectId,
        account: AccountId,
        call: ApiCall,
        api_key: &Secret,
    ) -> Result<Option<StripeAccount>> {
        let is_new = call.form.is_some();
        let reply = self.call_stripe(call, api_key).await?;
        let asked_at_ms = match &reply {
            Reply::Answer(answer) => answer.at_ms.unwrap_or_else(|| self.store.machine_now_ms()),
            Reply::NotSent(_) | Reply::Lost(_) => 0,
        };
        match api::read_account(&reply) {
            AccountVerdict::Known(state) => {
                self.store
                    .write(move |tx| {
                        tx.account(project, account)?;
                        tx.note_stripe_account(project, account, &state, asked_at_ms)?;
                        tx.stripe_account(project, account)
                    })
                    .await
            }
            AccountVerdict::Gone if !is_new => self
                .store
                .write(move |tx| {
                    if tx.has_open_payout(project, account)? {
                        return Err(payout::payout_open());
                    }
                    tx.forget_stripe_account(project, account)
                })
                .await
                .map(|()| None),
            AccountVerdict::Refused(reason) if is_new => {
                // Its words may name an address.
                let reason = delivery::without_addresses(&reason);
                tracing::error!(%account, reason, "Stripe makes no account");
                self.store.write(move |tx| tx.forget_stripe_account(project, account)).await?;
                Err(payout::stripe_unavailable())
            }
            AccountVerdict::Gone => Err(payout::stripe_unavailable()),
            AccountVerdict::Refused(reason) | AccountVerdict::Unavailable(reason) => {
                let reason = delivery::without_addresses(&reason);
                tracing::warn!(%account, reason, "Stripe does not say how an account stands");
                Err(payout::stripe_unavailable())
            }
        }
    }

    /// Off the async threads, and not too many at once. `Busy` beyond that.
    async fn call_stripe(&self, call: ApiCall, api_key: &Secret) -> Result<Reply> {
        let permit = Arc::clone(&self.stripe_calls).try_acquire_owned().map_err(|_| payout::stripe_unavailable())?;
        let (caller, api_key) = (self.settings.stripe.clone(), api_key.clone());
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            (caller.0)(&call, &api_key)
        });
        task.await.map_err(|_| Error::internal("a call to Stripe panicked"))
    }

    /// A test project has no Stripe: its accounts are ready at once, and their link leads straight back.
    async fn connect_simulated(&self, project: ProjectId, account: AccountId, return_url: String) -> Result<Connected> {
        let account = self.store.write(move |tx| {
            tx.account(project, account)?;
            let id = format!("acct_test_{}", account.to_string().trim_start_matches("dev_"));
            tx.note_stripe_account(project, account, &AccountState::simulated(id), tx.machine_now_ms())?;
            tx.stripe_account(project, account)
        });
        let account = account.await?.ok_or_else(|| Error::internal("an account that is not there"))?;
        Ok(Connected { account, onboarding_url: return_url })
    }
}

/// What an event tells of an account; the word for what came of it.
pub fn told(tx: &Tx<'_>, project: ProjectId, state: &AccountState, told_at_ms: i64) -> Result<&'static str> {
    let Some(known) = tx.stripe_account_called(project, &state.id)? else { return Ok("ignored") };
    let is_news = tx.note_stripe_account(project, known.account, state, told_at_ms)?;
    Ok(if is_news { "account" } else { "outdated" })
}

/// A bank took no money from Stripe: refloop's part is done, but the partner should know.
pub fn bank_refused(tx: &Tx<'_>, project: ProjectId, stripe_account: &str, reason: &str) -> Result<&'static str> {
    let Some(known) = tx.stripe_account_called(project, stripe_account)? else { return Ok("ignored") };
    tx.note_bank_refusal(project, known.account, reason)?;
    Ok("account")
}
