//! Users of the team's own app: who a token names, which account that is, its code and its figures.

use super::{Engine, accounts, codes, stripe};
use crate::domain::email::Email;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::ProjectId;
use crate::domain::jwt::{self, Key, Subject};
use crate::store::{Account, JwtKey, NewAccount, Snapshot, Tx};

/// Which account a subject is.
enum Place {
    /// The one with its id.
    Known(Account),
    /// The one with its id, which has no address yet; the subject's verified one is free.
    Nameless(Account),
    /// The one that a conversion made for the subject's verified address. The subject is who that stands for.
    Waiting(Account),
    /// None yet. `address_is_free`: it can have the subject's verified address.
    New { address_is_free: bool },
}

/// The subject's id goes before its address: two accounts are never made one. An address of somebody else, also of one
/// who signed up with it and a password and has never proved it, is left with them.
fn place(db: &Snapshot<'_>, project: ProjectId, subject: &Subject) -> Result<Place> {
    let known = db.account_with_external_id(project, &subject.external_id)?;
    let holder = match &subject.verified_email {
        Some(email) => db.account_with_email(project, &email.address())?,
        None => None,
    };
    let address_is_free = subject.verified_email.is_some() && holder.is_none();
    let Some(id) = known else {
        return Ok(match holder {
            Some(account) if account.is_unclaimed() => Place::Waiting(account),
            _ => Place::New { address_is_free },
        });
    };
    let account = db.account(project, id)?;
    let nameless = address_is_free && account.email.is_none();
    Ok(if nameless { Place::Nameless(account) } else { Place::Known(account) })
}

/// The subject's account, made or completed as [`place`] says.
fn account_of(tx: &Tx<'_>, project: ProjectId, subject: &Subject, disposable: bool) -> Result<Account> {
    let address = subject.verified_email.as_ref().map(Email::address);
    match (place(tx, project, subject)?, address) {
        (Place::Known(account), _) => Ok(account),
        (Place::Nameless(account), Some(address)) => {
            tx.set_email(project, account.id, &address, disposable)?;
            tx.account(project, account.id)
        }
        (Place::Waiting(account), _) => {
            tx.set_external_id(project, account.id, &subject.external_id)?;
            // What Stripe has told of this id may have waited for it.
            stripe::catch_up(tx, project, account.id)?;
            tx.account(project, account.id)
        }
        (Place::New { address_is_free: true }, Some(address)) => tx.add_account(
            project,
            &NewAccount {
                email: Some(address),
                disposable,
                external_id: Some(subject.external_id.clone()),
                ..NewAccount::default()
            },
        ),
        (Place::New { .. } | Place::Nameless(_), _) => accounts::known_as(tx, project, &subject.external_id),
    }
}

/// A referrer's figures as the conversion API counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubjectStats {
    /// Those that count: rejected ones do not.
    pub referrals: i64,
    pub converted: i64,
    /// What they brought the referrer, by any rule, less what was taken back.
    pub rewards: i64,
}

fn figures(db: &Snapshot<'_>, project: ProjectId, account: &Account) -> Result<SubjectStats> {
    let counts = db.referral_counts(project, account.id)?;
    let rewards = db.referral_rewards(project, account.id)?;
    Ok(SubjectStats { referrals: counts.total, converted: counts.converted, rewards })
}

impl Engine {
    /// Whom a token of the team's app names, in the project whose host this is. `Unauthenticated` when it is not a good
    /// one, or the project has no key to check it with.
    pub async fn subject(&self, host: String, token: String) -> Result<(ProjectId, Subject)> {
        self.store
            .read(move |db| {
                let project = db.project_for_host(&host)?.id;
                let refused = |detail: &str| Error::new(Kind::Unauthenticated, "no_tokens", detail);
                let JwtKey { algorithm, key } = db
                    .jwt_key(project)?
                    .ok_or_else(|| refused("This project takes no tokens: it has no jwt.algorithm and jwt.key yet."))?;
                let key = Key::parse(&algorithm, &key)
                    .map_err(|_| refused("This project's jwt.key does not go with its jwt.algorithm."))?;
                // By the machine's clock, as the app's is: a test project's own is moved.
                Ok((project, jwt::check(&token, &key, db.machine_now_ms())?))
            })
            .await
    }

    fn is_disposable(&self, subject: &Subject) -> bool {
        let list = &self.settings.disposable_domains;
        subject.verified_email.as_ref().is_some_and(|email| email.is_disposable(list))
    }

    /// The subject's active code; account and code are made if there is none.
    pub async fn subject_code(&self, project: ProjectId, subject: Subject) -> Result<String> {
        let asked = subject.clone();
        let known = self.store.read(move |db| match place(db, project, &asked)? {
            Place::Known(account) => db.active_code(project, account.id),
            _ => Ok(None),
        });
        if let Some(code) = known.await? {
            return Ok(code.code);
        }
        let disposable = self.is_disposable(&subject);
        self.store
            .write(move |tx| {
                let program = tx.program(project)?;
                let account = account_of(tx, project, &subject, disposable)?;
                Ok(codes::active_or_new(tx, project, &program, &account)?.code)
            })
            .await
    }

    /// The subject's figures; zeros for one who has no account, and none is made.
    pub async fn subject_stats(&self, project: ProjectId, subject: Subject) -> Result<SubjectStats> {
        let asked = subject.clone();
        let known = self.store.read(move |db| match place(db, project, &asked)? {
            Place::Known(account) | Place::Nameless(account) => figures(db, project, &account).map(Some),
            Place::New { .. } => Ok(Some(SubjectStats::default())),
            Place::Waiting(_) => Ok(None),
        });
        if let Some(stats) = known.await? {
            return Ok(stats);
        }
        let disposable = self.is_disposable(&subject);
        self.store
            .write(move |tx| {
                let account = account_of(tx, project, &subject, disposable)?;
                figures(tx, project, &account)
            })
            .await
    }
}
