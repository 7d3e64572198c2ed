//! A program: a project's versioned settings as one value. A new kind of referral programme is a new value.

mod abuse_faults;
mod config;
mod diff;
mod faults;
mod fields;
mod preset;

pub use config::Config;
pub use diff::{Change, changes, label, percent, rule_in_words};
pub use preset::Preset;

use super::code::CodeStyle;
use super::error::{Error, Result};
use super::money;
use super::reward::Event;
use super::signal::{REOPENED, REVIEW_RULE, Weights};
use serde::{Deserialize, Serialize};

/// The most that one rule may give, far below where sums of grants could overflow.
pub const MAX_AMOUNT: i64 = 1_000_000_000_000;
const MAX_DAYS: u32 = 36_500;
const MAX_RULES: usize = 50;
/// Of a limit that makes signups a burst.
const MAX_SIGNUPS: u32 = 1_000_000;

/// Reasons that the engine itself writes into the ledger.
pub const ENGINE_REASONS: [&str; 9] =
    ["api_usage", "expired", "refund", "abuse", "debt_repayment", "payout", REVIEW_RULE, REOPENED, ADJUSTMENT];

/// What an operator gave or took back by hand.
pub const ADJUSTMENT: &str = "adjustment";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// `credits`, or an ISO 4217 code in lower case for amounts in its smallest unit.
    pub unit: String,
    /// A program that is off takes no new referral and pays nothing.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What counts as a referral's conversion.
    pub conversion: Conversion,
    pub rules: Vec<Rule>,
    pub code_style: CodeStyle,
    #[serde(default)]
    pub attribution: Attribution,
    #[serde(default)]
    pub abuse: Abuse,
    pub sharing: Sharing,
    #[serde(default)]
    pub leaderboard: Leaderboard,
    #[serde(default)]
    pub payouts: Payouts,
    #[serde(default)]
    pub mail: Mail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conversion {
    FirstCall,
    Convert,
    FirstPurchase,
}

/// On an event, give an amount to one of the two, held for a while, expiring after another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Names the rule in the ledger and is its identity across versions: it pays once per referral.
    pub reason: String,
    pub on: Trigger,
    pub to: Party,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    /// A share of the purchase, by the referrer's track.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis_points: Option<PerTrack>,
    #[serde(default)]
    pub hold_days: u32,
    #[serde(default)]
    pub vesting: Vesting,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_days: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_purchase: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerTrack {
    pub basic: u32,
    pub partner: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    Referrer,
    Referee,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Vesting {
    /// All at once when the hold ends.
    #[default]
    Cliff,
    /// Day by day until the hold ends.
    Linear,
}

impl Vesting {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cliff => "cliff",
            Self::Linear => "linear",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Cliff, Self::Linear].into_iter().find(|vesting| vesting.as_str() == text)
    }
}

/// The event that a rule waits for; `calls:N` is the referee's N-th API call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Trigger {
    Signup,
    FirstCall,
    Calls(i64),
    Purchase,
    FirstPurchase,
    Conversion,
}

impl TryFrom<String> for Trigger {
    type Error = String;
    fn try_from(text: String) -> std::result::Result<Self, String> {
        match text.as_str() {
            "signup" => Ok(Self::Signup),
            "first_call" => Ok(Self::FirstCall),
            "purchase" => Ok(Self::Purchase),
            "first_purchase" => Ok(Self::FirstPurchase),
            "conversion" => Ok(Self::Conversion),
            _ => match text.strip_prefix("calls:").map(str::parse) {
                Some(Ok(calls)) if calls >= 1 => Ok(Self::Calls(calls)),
                _ => Err(format!(
                    "{text:?} is no event; there are signup, first_call, calls:N, purchase, first_purchase, conversion"
                )),
            },
        }
    }
}

impl From<Trigger> for String {
    fn from(trigger: Trigger) -> Self {
        match trigger {
            Trigger::Signup => "signup".into(),
            Trigger::FirstCall => "first_call".into(),
            Trigger::Calls(calls) => format!("calls:{calls}"),
            Trigger::Purchase => "purchase".into(),
            Trigger::FirstPurchase => "first_purchase".into(),
            Trigger::Conversion => "conversion".into(),
        }
    }
}

/// How a visit through a code is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribution {
    pub window_days: u32,
    pub click: ClickModel,
}

impl Default for Attribution {
    fn default() -> Self {
        Self { window_days: 7, click: ClickModel::Last }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClickModel {
    First,
    Last,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Abuse {
    /// Apply the domain rules to public mailbox providers too.
    pub strict_domains: bool,
    /// How long after signup a code may still be applied.
    pub apply_within_days: u32,
    /// A referral whose signals weigh this much together is held until an operator has looked at it.
    pub threshold: u32,
    pub weights: Weights,
    /// More than these are signals: signups with one code an hour, ...
    pub code_signups_per_hour: u32,
    /// ... referrals of one referrer from one network address a day,
    pub address_signups_per_day: u32,
    /// ... referrals of all who are new themselves from one network address a day,
    pub address_crowd_per_day: u32,
    /// ... referrals with one e-mail domain a day.
    pub domain_signups_per_day: u32,
    /// An e-mail domain that was registered in the last days is a signal.
    pub young_domain_days: u32,
}

impl Default for Abuse {
    fn default() -> Self {
        Self {
            strict_domains: false,
            apply_within_days: 7,
            threshold: 100,
            weights: Weights::default(),
            code_signups_per_hour: 20,
            address_signups_per_day: 2,
            address_crowd_per_day: 5,
            domain_signups_per_day: 10,
            young_domain_days: 30,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sharing {
    /// May name `{project}`, `{code}`, `{bonus}` and `{url}`. What is between square brackets is left out when there
    /// is no bonus.
    pub text: String,
}

impl Sharing {
    /// What a referrer posts.
    pub fn filled_in(&self, project: &str, code: &str, bonus: Option<&str>, url: &str) -> String {
        let mut text = self.text.clone();
        while let Some((before, rest)) = text.split_once('[')
            && let Some((optional, after)) = rest.split_once(']')
        {
            text = format!("{before}{}{after}", if bonus.is_some() { optional } else { "" });
        }
        let text = text.replace("{bonus}", bonus.unwrap_or_default()).replace("{code}", code).replace("{url}", url);
        // Last, as only this one is not ours to choose the characters of.
        text.replace("{project}", project)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaderboard {
    pub enabled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payouts {
    pub minimum: i64,
    /// An operator approves each payout before it is sent.
    #[serde(default)]
    pub approval: bool,
}

impl Default for Payouts {
    fn default() -> Self {
        Self { minimum: 2_500, approval: false }
    }
}

/// What accounts are written to about, where mail is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mail {
    /// Whoever signs up has to follow a link that is sent to them before their referral counts.
    pub confirm_address: bool,
    /// Referrers hear of what their referrals reach, unless they do not want to.
    pub milestones: bool,
}

impl Default for Mail {
    fn default() -> Self {
        Self { confirm_address: false, milestones: true }
    }
}

fn yes() -> bool {
    true
}

impl Program {
    /// Reads and validates a program; every fault is named by its path in the document, with what is allowed there.
    pub fn from_json(text: &str) -> Result<Self> {
        faults::of_shape(text)?;
        let program: Self = serde_json::from_str(text).map_err(|fault| faults::of_text(text, &fault))?;
        program.validate()?;
        Ok(program)
    }

    /// As `project program` prints it: pretty JSON that reads back as the same value.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// `Invalid` with every fault by its path.
    pub fn validate(&self) -> Result<()> {
        let faults = faults::of_program(self);
        if faults.is_empty() { Ok(()) } else { Err(Error::fields(faults)) }
    }

    /// Calls after which a referral is called active: the first `calls:N` above one, else 100 (BUY-2529).
    pub fn active_calls(&self) -> i64 {
        let thresholds = self.rules.iter().filter_map(|rule| match rule.on {
            Trigger::Calls(calls) if calls > 1 => Some(calls),
            _ => None,
        });
        thresholds.min().unwrap_or(100)
    }

    /// What a referee gets at once for signing up with a code.
    pub fn signup_bonus(&self) -> i64 {
        let to_referee = |rule: &&Rule| self.enabled && rule.on == Trigger::Signup && rule.to == Party::Referee;
        self.rules.iter().filter(to_referee).filter_map(|rule| rule.amount).sum()
    }

    /// The smallest purchase that any rule takes.
    pub fn least_purchase(&self) -> i64 {
        let on_purchase =
            self.rules.iter().filter(|rule| matches!(rule.on, Trigger::Purchase | Trigger::FirstPurchase));
        on_purchase.map(|rule| rule.min_purchase.unwrap_or(0)).min().unwrap_or(0)
    }

    /// Whether any rule waits for this event: if not, there is nothing to decide.
    pub fn awaits(&self, event: Event) -> bool {
        self.rules.iter().any(|rule| event.fires(rule, self))
    }

    /// An amount as people read it: `1,000 credits`, `2.50 USD`.
    pub fn amount_text(&self, amount: i64) -> String {
        let (figure, unit) = self.amount_parts(amount);
        format!("{figure} {unit}")
    }

    /// The figure and the unit of [`Program::amount_text`].
    pub fn amount_parts(&self, amount: i64) -> (String, String) {
        match self.unit.as_str() {
            "credits" => (money::grouped(amount), if amount == 1 { "credit" } else { "credits" }.to_owned()),
            currency => {
                // Less than one unit of the currency has no digit that could carry the sign.
                let sign = if (-99..0).contains(&amount) { "-" } else { "" };
                let (whole, cents) = (money::grouped(amount / 100), (amount % 100).abs());
                (format!("{sign}{whole}.{cents:02}"), currency.to_uppercase())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_a_name_of_its_own_and_there_are_not_too_many() {
        let mut twins = Preset::Credits.program();
        twins.rules.push(twins.rules[0].clone());
        let error = twins.validate().unwrap_err();
        assert_eq!(error.fields[0].field, "rules[4].reason");
        assert!(error.message.contains("rules[0]"), "{error}");
        twins.rules = vec![twins.rules[0].clone(); 51];
        assert_eq!(twins.validate().unwrap_err().fields[0].field, "rules");
    }

    #[test]
    fn a_post_promises_a_bonus_only_where_there_is_one() {
        let sharing = Preset::Credits.program().sharing;
        let posted = |bonus| sharing.filled_in("Acme", "ALICE2024", bonus, "https://x.example");
        assert_eq!(
            posted(Some("5 credits")),
            "I build with Acme. Sign up with my code ALICE2024 and start with 5 credits: https://x.example"
        );
        assert_eq!(posted(None), "I build with Acme. Sign up with my code ALICE2024: https://x.example");
        let odd = Sharing { text: "]a[b".into() };
        assert_eq!(odd.filled_in("p", "c", None, "u"), "]a[b");
    }

    #[test]
    fn amounts_are_named_in_their_unit() {
        let mut program = Preset::Credits.program();
        assert_eq!((program.amount_text(1_000), program.amount_text(1)), ("1,000 credits".into(), "1 credit".into()));
        program.unit = "usd".into();
        for (amount, text) in
            [(250, "2.50 USD"), (0, "0.00 USD"), (-5, "-0.05 USD"), (-100, "-1.00 USD"), (-123_456, "-1,234.56 USD")]
        {
            assert_eq!(program.amount_text(amount), text);
        }
    }
}
