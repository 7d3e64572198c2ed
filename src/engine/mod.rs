//! Use cases: one method, one store transaction. No HTTP, no SQL.

mod account_sessions;
mod accounts;
mod audit;
mod backups;
mod bulk_reviews;
mod clicks;
mod codes;
mod confirmation;
mod connect;
mod console;
mod conversion;
mod customers;
mod deliveries;
mod developers;
mod domains;
mod exports;
mod gateway_keys;
mod health;
mod interventions;
mod keys;
mod ledger;
pub mod letter_words;
mod letters;
mod limits;
mod logins;
mod lookalikes;
mod operators;
mod outbox;
mod overview;
mod paces;
mod partner_desk;
mod partners;
mod passwords;
mod payout_orders;
mod payouts;
mod places;
mod program_changes;
mod programs;
mod projects;
mod purchases;
mod referrals;
mod reports;
mod reviews;
mod rewards;
mod second_factor;
mod secrets;
mod sessions;
mod setup;
mod signals;
mod signup;
mod stripe;
mod subjects;
mod sweep;
mod team;
mod test_clock;
mod transfers;
mod usage;
mod uses;

pub use account_sessions::OwnAccount;
pub use accounts::{Change, ProfileView};
pub use backups::{BackupFailure, BackupPlan, DueBackup, backups_in, clear_unfinished, stem};
pub use bulk_reviews::{BulkRejected, Cohort, CohortAccount, Preview};
pub use clicks::{Arrival, CameFrom, Clicked, Remembered};
pub use codes::CodeView;
pub use confirmation::Confirmed;
pub use connect::{ConnectLinks, Connected, StripeCaller};
pub use console::ProjectOverview;
pub use conversion::Conversion;
pub use customers::{AppliedCode, CustomerCode, ReferredCustomer, Slice};
pub use deliveries::DeliveryView;
pub use developers::{DeveloperFile, DeveloperHistory, DeveloperPage, ListedDeveloper};
pub use exports::Step;
pub use interventions::{Adjusted, Intervention};
pub use keys::MadeKey;
pub use ledger::LedgerSheet;
pub use letters::{
    Letter, LetterChoice, LetterContent, MailChoice, Milestone, payout_paid, payout_refused, payout_requested,
};
pub use limits::NamedOwner;
pub use logins::{Attempt, BegunSession, Browser, Credentials, Devices, Guess, Owner};
pub use operators::MadeOperator;
pub use outbox::{Begun, Content};
pub use overview::{Overview, OwnCode};
pub use partner_desk::{PartnerDesk, PartnerGlance};
pub use partners::{NewSignature, PartnerView, SignedAgreement};
pub use payout_orders::ProjectPayout;
pub use payouts::ListedPayout;
pub use program_changes::{NewProgram, ProgramPreview, UNKNOWABLE};
pub use projects::ProjectView;
pub use purchases::{NewPurchase, NewRefund, Recorded};
pub use referrals::{Applied, ReferralCredit, ReferralItem, ReferralPage, mask};
pub use reports::{DayRow, Leader, Milestones, Period, SeriesDay, Standing, Stats};
pub use reviews::{ReviewGrant, ReviewItem, ReviewPage, ReviewView, own_domain};
pub use second_factor::{CodeAttempt, RecoveryCodes, SignIn};
pub use sessions::{SESSION_DAYS, SignedIn};
pub use setup::FirstStart;
pub use signals::Seen;
pub use signup::{HashedPassword, SignedUp, Signup};
pub use stripe::Delivered;
pub use subjects::SubjectStats;
pub use sweep::Swept;
pub use team::{Door, INVITATION_DAYS, OwnOperator};
pub use transfers::{KeyCheck, Secret, TransferTask};
pub use usage::{UsageAnswer, UsageEvent, UsageStatus, Who};

use crate::domain::email::DisposableDomains;
use crate::domain::error::{Error, Kind, Result};
use crate::domain::id::{KeyId, ProjectId, SessionId};
use crate::domain::stripe::connect::pages_of;
pub use crate::store::{
    Acceptance, AccountSession, AuditFilter, AuditPage, BoughtRow, Census, DecisionRow, Delivery, DeliveryFilter,
    DeliveryRow, DeveloperRow, ExportedReferral, Invitation, KeyRow, LedgerFilter, LedgerLine, LedgerPage,
    ListedDecision, OperatorRow, OperatorSessionRow, OwnedCode, PayoutRow, Population, ProgramVersion, Project,
    ProjectBooks, Reader, ReferralLine, Refusal, ReviewLine, SessionRow, Side, SignalRow, StripeAccount, Team,
    UnsignedClicks, VersionedProgram, Vitals, Waiting, WaitingDeliveries,
};

use crate::store::Store;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use uses::Uses;

/// Settings that use cases depend on.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long the ids of usage events are remembered.
    pub usage_id_days: u32,
    /// Password hashes computed at the same time; each takes 19 MiB.
    pub concurrent_hashes: usize,
    /// Beside the shipped list.
    pub disposable_domains: DisposableDomains,
    pub stripe: StripeCaller,
    /// The origin of the pages that Stripe leads partners to.
    pub stripe_pages: String,
    /// Whether there is a server to send mail through.
    pub sends_mail: bool,
    /// Whether there is somewhere to ask when domains were registered.
    pub asks_rdap: bool,
    /// None are made by themselves without it.
    pub backups: Option<BackupPlan>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            usage_id_days: 90,
            concurrent_hashes: 2,
            disposable_domains: DisposableDomains::default(),
            sends_mail: false,
            asks_rdap: false,
            backups: None,
            stripe: StripeCaller::default(),
            stripe_pages: pages_of("https://api.stripe.com"),
        }
    }
}

/// At the same time; they may take long.
const MOST_STRIPE_CALLS: usize = 16;

/// At the same time; each reads a good part of the file.
const MOST_PREVIEWS: usize = 2;

/// Everything that refloop can do, whoever asks.
pub struct Engine {
    store: Arc<Store>,
    settings: Settings,
    hashing: Arc<tokio::sync::Semaphore>,
    used_keys: Uses<KeyId>,
    used_sessions: Uses<SessionId>,
    /// When a write was last tried for [`Engine::ready`].
    last_write: Mutex<Option<Instant>>,
    clicks: Arc<clicks::ClickLine>,
    visitor_key: clicks::VisitorKey,
    sightings: signals::Sightings,
    /// Calls to Stripe that somebody waits for.
    stripe_calls: Arc<tokio::sync::Semaphore>,
    /// Programs that are being tried on the past.
    previews: tokio::sync::Semaphore,
    /// What was erased may have left traces in the write-ahead log.
    traces_left: Arc<AtomicBool>,
    counted: tokio::sync::Mutex<Option<health::Counted>>,
    /// When the last sweep ended, by the machine's clock.
    swept_at_ms: AtomicI64,
    backup_failure: Mutex<Option<BackupFailure>>,
}

impl Engine {
    pub fn new(store: Arc<Store>, settings: Settings) -> Self {
        store.set_sends_mail(settings.sends_mail);
        store.set_asks_rdap(settings.asks_rdap);
        let hashing = Arc::new(tokio::sync::Semaphore::new(settings.concurrent_hashes));
        // A process that was killed may have left some.
        let traces_left = Arc::new(AtomicBool::new(true));
        let stripe_calls = Arc::new(tokio::sync::Semaphore::new(MOST_STRIPE_CALLS));
        let swept_at_ms = AtomicI64::new(store.machine_now_ms());
        Self {
            store,
            settings,
            hashing,
            used_keys: Uses::default(),
            used_sessions: Uses::default(),
            last_write: Mutex::default(),
            clicks: Arc::default(),
            visitor_key: clicks::VisitorKey::default(),
            sightings: signals::Sightings::default(),
            stripe_calls,
            previews: tokio::sync::Semaphore::new(MOST_PREVIEWS),
            traces_left,
            counted: tokio::sync::Mutex::default(),
            swept_at_ms,
            backup_failure: Mutex::default(),
        }
    }

    /// Before a read that is asked for all the time: lets the writes on this thread go first.
    pub async fn give_way(&self) {
        self.store.give_way().await;
    }

    /// A connection for one thread's own point reads.
    pub fn reader(&self) -> Result<Reader> {
        self.store.reader()
    }

    /// By the project's clock.
    pub fn now_ms(&self, project: ProjectId) -> i64 {
        self.store.now_ms(project)
    }

    /// The project whose host this is, else the default one.
    pub async fn project_for_host(&self, host: String) -> Result<Project> {
        self.store.read(move |db| db.project_for_host(&host)).await
    }

    /// A team's project, each by its slug or its id. `NotFound`, for another team's too.
    pub fn project_of_team(&self, reader: &Reader, team: &str, project: &str) -> Result<Project> {
        reader.read(|db| db.project_of_team(team, project))
    }

    /// The project of this slug or id. `NotFound`, in the same words for an id that does not read.
    pub fn project_for_admin(&self, reader: &Reader, name: &str) -> Result<Project> {
        reader.read(|db| db.project_named(name)).map_err(|error| match error.kind {
            Kind::NotFound => Error::not_found("No such project."),
            _ => error,
        })
    }

    /// A keyed hash for a purpose, by which a page's form token is bound to its visitor.
    pub fn form_token(&self, nonce: &str) -> String {
        let key = blake3::derive_key("refloop 2026 form token", &self.store.instance().pepper);
        blake3::keyed_hash(&key, nonce.as_bytes()).to_hex().to_string()
    }
}
