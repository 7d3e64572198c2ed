//! What people do, as calls of the engine, and what comes of it.

use crate::domain::code::Code;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::{AccountId, ProjectId};
use crate::engine::{
    Applied, Arrival, Change, ConnectLinks, Engine, NewPurchase, NewRefund, NewSignature, Reader, Signup, UsageEvent,
};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;

/// One call, with everything that it needs.
pub enum Deed {
    Visit { who: Option<usize>, project: ProjectId, code: Code, arrival: Arrival },
    SignUp { who: usize, project: ProjectId, signup: Box<Signup>, arrival: Option<Arrival> },
    Share { who: usize, project: ProjectId, account: AccountId },
    StopSharing { project: ProjectId, account: AccountId },
    BeListed { project: ProjectId, account: AccountId, name: String },
    RotateKey { project: ProjectId, account: AccountId },
    Leave { project: ProjectId, account: AccountId },
    Upgrade { project: ProjectId, account: AccountId, name: String },
    PayOut { project: ProjectId, account: AccountId },
    Use { project: ProjectId, people: Vec<usize>, events: Vec<UsageEvent> },
    Buy { project: ProjectId, purchase: NewPurchase },
    Refund { project: ProjectId, refund: NewRefund },
}

/// What is to be remembered of a deed.
pub enum Outcome {
    /// Whom the browser remembers to have come through.
    Visited(Option<usize>, Option<String>),
    Joined {
        who: usize,
        account: AccountId,
        referral: Option<Applied>,
    },
    Shares(usize, Code),
    /// What each of them has left to spend.
    Used(Vec<(usize, i64)>),
    Nothing,
}

pub type Doing<'e> = Pin<Box<dyn Future<Output = Result<Outcome>> + 'e>>;

/// Begins a deed; it happens as the returned future is awaited.
pub fn begin<'e>(engine: &'e Engine, reader: &'e Reader, deed: Deed) -> Doing<'e> {
    Box::pin(perform(engine, reader, deed))
}

async fn perform(engine: &Engine, reader: &Reader, deed: Deed) -> Result<Outcome> {
    match deed {
        Deed::Visit { who, project, code, arrival } => {
            let clicked = engine.click(reader, project, code, arrival).await?;
            if let Some(clicked) = &clicked {
                engine.count_click(clicked).await;
            }
            return Ok(Outcome::Visited(who, clicked.and_then(|clicked| clicked.remembered).map(|click| click.token)));
        }
        Deed::SignUp { who, project, signup, arrival } => {
            let came_from = match arrival {
                Some(arrival) => Some(engine.came_from(project, &arrival).await?),
                None => None,
            };
            let signed_up = engine.sign_up(project, signup.coming_from(came_from)).await?;
            let account = signed_up.profile.profile.account.id;
            return Ok(Outcome::Joined { who, account, referral: signed_up.referral });
        }
        Deed::Share { who, project, account } => {
            let made = engine.referral_code(project, account, None, None).await?;
            return Ok(Outcome::Shares(who, Code::parse("code", &made.code)?));
        }
        Deed::Use { project, people, events } => {
            let answers = engine.record_usage(project, events).await?;
            let left = people.into_iter().zip(answers).map(|(who, answer)| (who, answer.available));
            return Ok(Outcome::Used(left.collect()));
        }
        Deed::StopSharing { project, account } => drop(engine.revoke_code(project, account).await?),
        Deed::BeListed { project, account, name } => {
            engine.change_account(project, account, Change::parse(None, Some(Some(&name)))?).await?;
        }
        Deed::RotateKey { project, account } => {
            let first = engine.keys(project, account).await?.into_iter().next();
            let first = first.ok_or_else(|| Error::internal("an account without a key"))?;
            engine.make_key(project, account, Some("rotated".into())).await?;
            engine.revoke_key(project, account, first.id).await?;
        }
        Deed::Upgrade { project, account, name } => upgrade(engine, project, account, name).await?,
        Deed::PayOut { project, account } => pay_out(engine, project, account).await?,
        Deed::Leave { project, account } => engine.erase_account(project, account).await?,
        Deed::Buy { project, purchase } => drop(engine.record_purchase(project, purchase).await?),
        Deed::Refund { project, refund } => drop(engine.record_refund(project, refund).await?),
    }
    Ok(Outcome::Nothing)
}

/// Signs the agreement, and connects the Stripe that a test project makes up.
async fn upgrade(engine: &Engine, project: ProjectId, account: AccountId, name: String) -> Result<()> {
    let version = engine.partner(project, account).await?.agreement.version;
    let address = IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1));
    engine.upgrade(project, account, NewSignature { version, name, address }).await?;
    let links = ConnectLinks { public_url: String::new(), return_to: "", refresh_at: "" };
    engine.connect(project, account, links).await.map(drop)
}

/// All there is, if it is enough and no other payout is under way.
pub async fn pay_out(engine: &Engine, project: ProjectId, account: AccountId) -> Result<()> {
    match engine.request_payout(project, account, None).await {
        Err(refusal) if !matches!(refusal.kind, Kind::Conflict | Kind::Invalid) => Err(refusal),
        _ => Ok(()),
    }
}
