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

    /// Has Stripe tell how the partner's account stands, if there is one; what it then is. `None`: there is none, or none
    /// any more. `Conflict` for who is no partner, and in a project without a Stripe key; `Busy` when Stripe does not
    /// answer as it should.
    pub async fn ask_stripe(&self, project: ProjectId, account: AccountId) -> Result<Option<StripeAccount>> {
        let start = self.store.read(move |db| Start::of(db, project, account, "")).await?;
        match start.api_key {
            Some(api_key) => self.look_at_account(project, account, &api_key).await,
            None => Ok(start.known),
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
        let known = match self.look_at_account(project, account, &api_key).await? {
            Some(known) => known,
            None => self.make_account(project, account, start.email.as_deref(), &api_key).await?,
        };
        let id = known.stripe_account.clone().ok_or_else(payout::stripe_unavailable)?;
        let link = api::link_account(&id, &refresh_url, &return_url);
        let onboarding_url = api::read_link(&self.call_stripe(link, &api_key).await?).map_err(|reason| {
            tracing::warn!(%account, reason, "Stripe gave no link");
            payout::stripe_unavailable()
        })?;
        Ok(Connected { account: known, onboarding_url })
    }

    /// How the partner's account stands, as Stripe says. `None`: there is none under this key.
    async fn look_at_account(
        &self,
        project: ProjectId,
        account: AccountId,
        api_key: &Secret,
    ) -> Result<Option<StripeAccount>> {
        // Once more where another one takes its place: that of the key that there is now.
        for _ in 0..2 {
            let Some(known) = self.store.read(move |db| db.stripe_account(project, account)).await? else {
                return Ok(None);
            };
            let Some(id) = known.stripe_account else { return Ok(None) };
            let reply = self.call_stripe(api::retrieve_account(&id), api_key).await?;
            match api::read_account(&reply) {
                AccountVerdict::Known(state) => {
                    let platform = if known.platform.is_none() { self.platform_of(api_key).await? } else { None };
                    return self.note_account(project, account, state, &reply, platform).await;
                }
                AccountVerdict::Gone => self.part_from_account(project, account, id, api_key).await?,
                AccountVerdict::Refused(reason) | AccountVerdict::Unavailable(reason) => {
                    // Its words may name an address.
                    let reason = delivery::without_addresses(&reason);
                    tracing::warn!(%account, reason, "Stripe does not say how an account stands");
                    return Err(payout::stripe_unavailable());
                }
            }
        }
        Ok(None)
    }

    async fn note_account(
        &self,
        project: ProjectId,
        account: AccountId,
        state: AccountState,
        reply: &Reply,
        platform: Option<String>,
    ) -> Result<Option<StripeAccount>> {
        let told_at_ms = match reply {
            Reply::Answer(answer) => answer.at_ms.unwrap_or_else(|| self.store.machine_now_ms()),
            Reply::NotSent(_) | Reply::Lost(_) => 0,
        };
        self.store
            .write(move |tx| {
                tx.account(project, account)?;
                if let Some(other) = tx.stripe_account_called(project, &state.id)?
                    && other.account != account
                {
                    let (id, other) = (&state.id, other.account);
                    tracing::error!(%account, %other, id, "Stripe names an account that is somebody else's");
                    return Err(payout::stripe_account_taken());
                }
                let is_noted = tx.note_stripe_account(project, account, &state, told_at_ms)?;
                if let Some(platform) = platform.filter(|_| is_noted) {
                    tx.set_stripe_platform(project, account, &platform)?;
                }
                tx.stripe_account(project, account)
            })
            .await
    }

    /// Which Stripe account a key is of; `None` where Stripe does not say.
    async fn platform_of(&self, api_key: &Secret) -> Result<Option<String>> {
        let reply = self.call_stripe(api::own_account(), api_key).await?;
        let platform = api::read_platform(&reply, &api_key.0);
        Ok(platform.inspect_err(|reason| tracing::warn!(reason, "Stripe does not say whose the key is")).ok())
    }

    /// Stripe has no such account for this key. It is forgotten only if the key is of those who made it; a key of others
    /// may have been set for a moment by mistake. `Busy` where that is not known, `Conflict` while a payout is open.
    async fn part_from_account(
        &self,
        project: ProjectId,
        account: AccountId,
        id: String,
        api_key: &Secret,
    ) -> Result<()> {
        let now = self.platform_of(api_key).await?;
        self.store
            .write(move |tx| {
                let known = tx.stripe_account(project, account)?;
                let Some(known) = known.filter(|known| known.stripe_account.as_ref() == Some(&id)) else {
                    return Ok(());
                };
                let (Some(then), Some(now)) = (&known.platform, now) else {
                    tracing::error!(%account, id, "Stripe knows no such account, and not whose key would");
                    return Err(payout::stripe_unavailable());
                };
                if tx.has_open_payout(project, account)? {
                    return Err(payout::account_gone_while_open());
                }
                if *then == now {
                    tracing::warn!(%account, id, "Stripe has this account no more");
                    return tx.forget_stripe_account(project, account, &id);
                }
                tracing::warn!(%account, id, then, now, "the project's key is of another Stripe account");
                tx.change_stripe_platform(project, &known, &now)
            })
            .await
    }

    async fn make_account(
        &self,
        project: ProjectId,
        account: AccountId,
        email: Option<&str>,
        api_key: &Secret,
    ) -> Result<StripeAccount> {
        let platform = self.platform_of(api_key).await?;
        let refused =
            self.store.read(move |db| db.stripe_account(project, account)).await?.map_or(0, |now| now.refused);
        let reply = self.call_stripe(api::create_account(account, email, refused), api_key).await?;
        let reason = match api::read_account(&reply) {
            AccountVerdict::Known(state) => {
                let made = self.note_account(project, account, state, &reply, platform).await?;
                return made.ok_or_else(payout::stripe_unavailable);
            }
            AccountVerdict::Refused(reason) => {
                self.store.write(move |tx| tx.note_stripe_refusal(project, account)).await?;
                reason
            }
            AccountVerdict::Gone => "no such account".into(),
            AccountVerdict::Unavailable(reason) => reason,
        };
        let reason = delivery::without_addresses(&reason);
        tracing::error!(%account, reason, "Stripe makes no account");
        Err(payout::stripe_unavailable())
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

/// Whether a bank took money from Stripe: refloop's part is done either way, but the partner should know of a refusal.
pub fn bank_told(
    tx: &Tx<'_>,
    project: ProjectId,
    stripe_account: &str,
    refusal: Option<&str>,
    told_at_ms: i64,
) -> Result<&'static str> {
    let Some(known) = tx.stripe_account_called(project, stripe_account)? else { return Ok("ignored") };
    let is_news = tx.note_bank(project, known.account, refusal, told_at_ms)?;
    Ok(if is_news { "account" } else { "outdated" })
}
