//! A program: a project's versioned settings as one value. A new kind of referral programme is a new value.

mod config;
mod preset;

pub use config::Config;
pub use preset::Preset;

use super::code::CodeStyle;
use super::error::{Error, FieldError, Result};
use super::money;
use super::reward::Event;
use serde::{Deserialize, Serialize};

/// The most that one rule may give, far below where sums of grants could overflow.
pub const MAX_AMOUNT: i64 = 1_000_000_000_000;
const MAX_DAYS: u32 = 36_500;
const MAX_RULES: usize = 50;

/// Reasons that the engine itself writes into the ledger.
pub const ENGINE_REASONS: [&str; 6] = ["api_usage", "expired", "refund", "abuse", "debt_repayment", "payout"];

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
}

impl Default for Abuse {
    fn default() -> Self {
        Self { strict_domains: false, apply_within_days: 7 }
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
}

impl Default for Payouts {
    fn default() -> Self {
        Self { minimum: 2_500 }
    }
}

fn yes() -> bool {
    true
}

impl Program {
    /// Reads and validates a program; each fault is named by its path in the document.
    pub fn from_json(text: &str) -> Result<Self> {
        let reader = &mut serde_json::Deserializer::from_str(text);
        let program: Self = serde_path_to_error::deserialize(reader).map_err(|fault| {
            let path = fault.path().to_string();
            Error::field(
                if matches!(path.as_str(), "." | "?") { "program".into() } else { path },
                "invalid_program",
                fault.inner().to_string(),
            )
        })?;
        program.validate()?;
        Ok(program)
    }

    /// As `project program` prints it: pretty JSON that reads back as the same value.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    pub fn validate(&self) -> Result<()> {
        let mut faults = Vec::new();
        let mut fault = |field: String, detail: &str| {
            faults.push(FieldError { field, code: "invalid_program", detail: detail.into() });
        };
        let is_currency = self.unit.len() == 3 && self.unit.bytes().all(|b| b.is_ascii_lowercase());
        if self.unit != "credits" && !is_currency {
            fault("unit".into(), "is credits, or a currency code in lower case, such as usd");
        }
        if self.rules.len() > MAX_RULES {
            fault("rules".into(), "has at most 50 rules");
        }
        for (place, rule) in self.rules.iter().enumerate() {
            let twin = self.rules[..place].iter().any(|other| other.reason == rule.reason);
            for (field, detail) in rule.faults(twin) {
                fault(format!("rules[{place}].{field}"), detail);
            }
        }
        if !(1..=MAX_DAYS).contains(&self.attribution.window_days) {
            fault("attribution.window_days".into(), "is 1 to 36500");
        }
        if self.abuse.apply_within_days > MAX_DAYS {
            fault("abuse.apply_within_days".into(), "is 0 to 36500");
        }
        if self.sharing.text.trim().is_empty() || self.sharing.text.chars().count() > 500 {
            fault("sharing.text".into(), "has 1 to 500 characters");
        }
        if !(0..=MAX_AMOUNT).contains(&self.payouts.minimum) {
            fault("payouts.minimum".into(), "is 0 to 1000000000000");
        }
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
        match self.unit.as_str() {
            "credits" => format!("{} credit{}", money::grouped(amount), if amount == 1 { "" } else { "s" }),
            currency => {
                format!("{}.{:02} {}", money::grouped(amount / 100), (amount % 100).abs(), currency.to_uppercase())
            }
        }
    }
}

impl Rule {
    fn faults(&self, has_twin: bool) -> Vec<(&'static str, &'static str)> {
        let on_purchase = matches!(self.on, Trigger::Purchase | Trigger::FirstPurchase);
        let named = (1..=40).contains(&self.reason.len())
            && self.reason.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let share_in_range = self.basis_points.is_none_or(|share| share.basic <= 10_000 && share.partner <= 10_000);
        [
            (!named, "reason", "has 1 to 40 of a-z, 0-9 and _"),
            (ENGINE_REASONS.contains(&self.reason.as_str()), "reason", "is a word of refloop's own"),
            (has_twin, "reason", "names two rules"),
            (self.amount.is_some() == self.basis_points.is_some(), "amount", "give one of amount and basis_points"),
            (self.amount.is_some_and(|amount| !(0..=MAX_AMOUNT).contains(&amount)), "amount", "is 0 to 1000000000000"),
            (!share_in_range, "basis_points", "are 0 to 10000"),
            (self.basis_points.is_some() && !on_purchase, "basis_points", "go with purchase or first_purchase"),
            (self.min_purchase.is_some() && !on_purchase, "min_purchase", "goes with purchase or first_purchase"),
            (
                self.min_purchase.is_some_and(|least| !(0..=MAX_AMOUNT).contains(&least)),
                "min_purchase",
                "is 0 to 1000000000000",
            ),
            (self.hold_days > MAX_DAYS, "hold_days", "is 0 to 36500"),
            (self.expires_days.is_some_and(|days| !(1..=MAX_DAYS).contains(&days)), "expires_days", "is 1 to 36500"),
            (self.expires_days.is_some_and(|days| days <= self.hold_days), "expires_days", "ends before the hold does"),
            (
                self.vesting == Vesting::Linear && self.hold_days == 0,
                "vesting",
                "is linear over hold_days of at least 1",
            ),
        ]
        .into_iter()
        .filter_map(|(wrong, field, detail)| wrong.then_some((field, detail)))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal() {
        for (change, path) in [
            (r#"{"unit":"USD"}"#, "unit"),
            (r#"{"unit":5}"#, "unit"),
            (r#"{"extra":1}"#, "extra"),
            (r#"{"rules":[{"reason":"A b","on":"signup","to":"referee","amount":1}]}"#, "rules[0].reason"),
            (r#"{"rules":[{"reason":"expired","on":"signup","to":"referee","amount":1}]}"#, "rules[0].reason"),
            (r#"{"rules":[{"reason":"a","on":"login","to":"referee","amount":1}]}"#, "rules[0].on"),
            (r#"{"rules":[{"reason":"a","on":"calls:0","to":"referee","amount":1}]}"#, "rules[0].on"),
            (r#"{"rules":[{"reason":"a","on":"signup","to":"friend","amount":1}]}"#, "rules[0].to"),
            (r#"{"rules":[{"reason":"a","on":"signup","to":"referee"}]}"#, "rules[0].amount"),
            (r#"{"rules":[{"reason":"a","on":"signup","to":"referee","amount":-1}]}"#, "rules[0].amount"),
            (r#"{"rules":[{"reason":"a","on":"signup","to":"referee","amount":1.5}]}"#, "rules[0].amount"),
            (
                r#"{"rules":[{"reason":"a","on":"signup","to":"referee","basis_points":{"basic":1,"partner":1}}]}"#,
                "rules[0].basis_points",
            ),
            (
                r#"{"rules":[{"reason":"a","on":"purchase","to":"referrer","basis_points":{"basic":10001,"partner":1}}]}"#,
                "rules[0].basis_points",
            ),
            (
                r#"{"rules":[{"reason":"a","on":"signup","to":"referee","amount":1,"min_purchase":1}]}"#,
                "rules[0].min_purchase",
            ),
            (
                r#"{"rules":[{"reason":"a","on":"signup","to":"referee","amount":1,"hold_days":40000}]}"#,
                "rules[0].hold_days",
            ),
            (
                r#"{"rules":[{"reason":"a","on":"signup","to":"referee","amount":1,"expires_days":0}]}"#,
                "rules[0].expires_days",
            ),
            (
                r#"{"rules":[{"reason":"a","on":"signup","to":"referee","amount":1,"hold_days":7,"expires_days":7}]}"#,
                "rules[0].expires_days",
            ),
            (
                r#"{"rules":[{"reason":"a","on":"signup","to":"referee","amount":1,"vesting":"linear"}]}"#,
                "rules[0].vesting",
            ),
            (r#"{"attribution":{"window_days":0,"click":"last"}}"#, "attribution.window_days"),
            (r#"{"abuse":{"apply_within_days":40000}}"#, "abuse.apply_within_days"),
            (r#"{"sharing":{"text":" "}}"#, "sharing.text"),
            (r#"{"payouts":{"minimum":-1}}"#, "payouts.minimum"),
        ] {
            let mut document = serde_json::to_value(Preset::Credits.program()).unwrap();
            let change: serde_json::Map<_, _> = serde_json::from_str(change).unwrap();
            document.as_object_mut().unwrap().extend(change.clone());
            let error = Program::from_json(&document.to_string()).unwrap_err();
            assert!(error.fields.iter().any(|fault| fault.field == path), "{change:?}: {error:?}");
        }
        let mut twins = Preset::Credits.program();
        twins.rules.push(twins.rules[0].clone());
        assert_eq!(twins.validate().unwrap_err().fields[0].field, "rules[4].reason");
        twins.rules = vec![twins.rules[0].clone(); 51];
        assert_eq!(twins.validate().unwrap_err().fields[0].field, "rules");
        assert!(Program::from_json("{").is_err());
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
        assert_eq!(program.amount_text(250), "2.50 USD");
    }
}
