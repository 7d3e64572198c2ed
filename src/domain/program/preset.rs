//! The four programs that ship with the binary, as values.

use super::{
    Abuse, Attribution, Conversion, Leaderboard, Mail, Party, Payouts, PerTrack, Program, Rule, Sharing, Trigger,
    Vesting,
};
use crate::domain::code::CodeStyle;

const SHARING_TEXT: &str = "I build with {project}. Sign up with my code {code}[ and start with {bonus}]: {url}";

/// The programs that ship with the binary, each as its seed describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// BUY-2529: API credits for milestones.
    Credits,
    /// API.market: a share of each purchase, in cents.
    Commission,
    /// Creatiq: five credits a conversion.
    Bonus,
    /// BillStack: both sides at the first subscription.
    Subscription,
}

impl Preset {
    pub const ALL: [Self; 4] = [Self::Credits, Self::Commission, Self::Bonus, Self::Subscription];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Credits => "credits",
            Self::Commission => "commission",
            Self::Bonus => "bonus",
            Self::Subscription => "subscription",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.as_str() == text)
    }

    pub fn program(self) -> Program {
        let (unit, conversion, code_style, rules) = match self {
            Self::Credits => (
                "credits",
                Conversion::FirstCall,
                CodeStyle::NameYear,
                vec![
                    fixed("signup_bonus", Trigger::Signup, Party::Referee, 1_000, 0),
                    fixed("referral_signup", Trigger::Signup, Party::Referrer, 500, 0),
                    fixed("referral_first_call", Trigger::FirstCall, Party::Referrer, 500, 7),
                    fixed("referral_active", Trigger::Calls(100), Party::Referrer, 1_000, 7),
                ],
            ),
            Self::Commission => (
                "usd",
                Conversion::FirstPurchase,
                CodeStyle::Alphanumeric8,
                vec![
                    Rule { expires_days: Some(30), ..fixed("signup_bonus", Trigger::Signup, Party::Referee, 250, 0) },
                    Rule {
                        amount: None,
                        basis_points: Some(PerTrack { basic: 500, partner: 1_000 }),
                        min_purchase: Some(100),
                        ..fixed("commission", Trigger::Purchase, Party::Referrer, 0, 30)
                    },
                ],
            ),
            Self::Bonus => (
                "credits",
                Conversion::Convert,
                CodeStyle::Hex8,
                vec![fixed("referral_conversion", Trigger::Conversion, Party::Referrer, 5, 0)],
            ),
            Self::Subscription => (
                "usd",
                Conversion::FirstPurchase,
                CodeStyle::Alphanumeric8,
                vec![
                    fixed("referral_credit", Trigger::Conversion, Party::Referrer, 1_000, 0),
                    fixed("referee_credit", Trigger::Conversion, Party::Referee, 500, 0),
                ],
            ),
        };
        Program {
            unit: unit.into(),
            enabled: true,
            conversion,
            rules,
            code_style,
            attribution: Attribution::default(),
            abuse: Abuse::default(),
            sharing: Sharing { text: SHARING_TEXT.into() },
            leaderboard: Leaderboard::default(),
            payouts: Payouts::default(),
            mail: Mail::default(),
        }
    }
}

fn fixed(reason: &str, on: Trigger, to: Party, amount: i64, hold_days: u32) -> Rule {
    Rule {
        reason: reason.into(),
        on,
        to,
        amount: Some(amount),
        basis_points: None,
        hold_days,
        vesting: Vesting::Cliff,
        expires_days: None,
        min_purchase: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_validate_and_read_back_verbatim() {
        for preset in Preset::ALL {
            let program = preset.program();
            program.validate().unwrap();
            assert_eq!(Program::from_json(&program.to_json()).unwrap(), program, "{preset:?}");
        }
    }

    #[test]
    fn the_default_pays_what_buy_2529_says() {
        let program = Preset::Credits.program();
        let paid = |on, to| program.rules.iter().find(|rule| rule.on == on && rule.to == to).unwrap();
        assert_eq!(paid(Trigger::Signup, Party::Referee).amount, Some(1_000));
        assert_eq!(paid(Trigger::Signup, Party::Referrer).amount, Some(500));
        assert_eq!(paid(Trigger::FirstCall, Party::Referrer).amount, Some(500));
        assert_eq!(paid(Trigger::Calls(100), Party::Referrer).amount, Some(1_000));
        assert!(program.rules.iter().all(|rule| rule.expires_days.is_none()));
        assert_eq!((program.signup_bonus(), program.active_calls()), (1_000, 100));
    }
}
