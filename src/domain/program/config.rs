//! The projects API's view of a program: whether it is on, and what a conversion brings each side (BillStack).

use super::{Party, Program, Rule, Trigger, Vesting};

/// What the four fields of the projects API say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub enabled: bool,
    pub referrer_amount: i64,
    pub referee_amount: i64,
    /// A currency; `credits` in a program that is not in one.
    pub unit: String,
}

impl Program {
    /// The program in four fields. Of one that has more to it, the fixed amounts that one referral brings each side.
    pub fn config(&self) -> Config {
        let sum = |party| {
            let once = self.rules.iter().filter(|rule| rule.to == party && rule.on != Trigger::Purchase);
            once.filter_map(|rule| rule.amount).fold(0, i64::saturating_add)
        };
        Config {
            enabled: self.enabled,
            referrer_amount: sum(Party::Referrer),
            referee_amount: sum(Party::Referee),
            unit: self.unit.clone(),
        }
    }

    /// The program with these four fields, everything else as it was. `None` when its rules say what they cannot.
    ///
    /// Rules keep their reasons, by which they are known to have paid; an amount of 0 leaves a rule that pays nothing.
    pub fn with_config(&self, config: &Config) -> Option<Self> {
        if !self.is_expressible() {
            return None;
        }
        let mut program = Self { enabled: config.enabled, unit: config.unit.clone(), ..self.clone() };
        program.set_amount(Party::Referrer, "referral_credit", config.referrer_amount);
        program.set_amount(Party::Referee, "referee_credit", config.referee_amount);
        Some(program)
    }

    /// Whether all that it pays is one plain amount of money for each side, at the conversion.
    fn is_expressible(&self) -> bool {
        let plain = |rule: &Rule| {
            rule.on == Trigger::Conversion
                && rule.amount.is_some()
                && rule.hold_days == 0
                && rule.vesting == Vesting::Cliff
                && rule.expires_days.is_none()
        };
        let count = |party| self.rules.iter().filter(|rule| rule.to == party).count();
        self.unit != "credits"
            && self.rules.iter().all(plain)
            && count(Party::Referrer) <= 1
            && count(Party::Referee) <= 1
    }

    fn set_amount(&mut self, to: Party, reason: &str, amount: i64) {
        if let Some(rule) = self.rules.iter_mut().find(|rule| rule.to == to) {
            rule.amount = Some(amount);
        } else if amount > 0 {
            // At most one other rule is there, and it may have this reason.
            let taken = self.rules.iter().any(|rule| rule.reason == reason);
            self.rules.push(Rule {
                reason: if taken { format!("{reason}_2") } else { reason.to_owned() },
                on: Trigger::Conversion,
                to,
                amount: Some(amount),
                basis_points: None,
                hold_days: 0,
                vesting: Vesting::Cliff,
                expires_days: None,
                min_purchase: None,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::program::Preset;

    fn config(enabled: bool, referrer_amount: i64, referee_amount: i64, unit: &str) -> Config {
        Config { enabled, referrer_amount, referee_amount, unit: unit.into() }
    }

    #[test]
    fn each_preset_in_four_fields() {
        for (preset, shown) in [
            (Preset::Credits, config(true, 2_000, 1_000, "credits")),
            (Preset::Commission, config(true, 0, 250, "usd")),
            (Preset::Bonus, config(true, 5, 0, "credits")),
            (Preset::Subscription, config(true, 1_000, 500, "usd")),
        ] {
            assert_eq!(preset.program().config(), shown, "{preset:?}");
            let expressible = preset.program().with_config(&shown).is_some();
            assert_eq!(expressible, preset == Preset::Subscription, "{preset:?}");
        }
    }

    #[test]
    fn what_is_set_is_what_is_shown_and_nothing_else_changes() {
        let program = Preset::Subscription.program();
        for config in [config(false, 0, 0, "eur"), config(true, 7, 0, "usd"), config(true, 0, 1_000_000_000_000, "usd")]
        {
            let changed = program.with_config(&config).unwrap();
            changed.validate().unwrap();
            assert_eq!(changed.config(), config);
            let shown = program.config();
            assert_eq!(changed.with_config(&shown).unwrap(), program, "and back, with the same rules");
        }
        assert_eq!(program.with_config(&program.config()).unwrap(), program);
    }

    #[test]
    fn a_rule_that_is_missing_is_made_when_it_has_something_to_pay() {
        let mut program = Preset::Subscription.program();
        program.rules.remove(1);
        assert_eq!(program.with_config(&program.config()).unwrap(), program);
        program.rules[0].reason = "referee_credit".into();
        let both = program.with_config(&config(true, 1, 2, "usd")).unwrap();
        both.validate().unwrap();
        assert_eq!(both.config(), config(true, 1, 2, "usd"));
        program.rules.clear();
        assert_eq!(program.with_config(&config(true, 3, 0, "usd")).unwrap().config(), config(true, 3, 0, "usd"));
    }

    #[test]
    fn each_program_that_four_fields_cannot_say() {
        let changes: [fn(&mut Program); 8] = [
            |program| program.unit = "credits".into(),
            |program| program.rules[0].on = Trigger::Signup,
            |program| program.rules[0].on = Trigger::FirstPurchase,
            |program| program.rules[0].amount = None,
            |program| program.rules[0].hold_days = 1,
            |program| program.rules[0].expires_days = Some(30),
            |program| program.rules[0].vesting = Vesting::Linear,
            |program| program.rules[0].to = Party::Referee,
        ];
        for (place, change) in changes.into_iter().enumerate() {
            let mut program = Preset::Subscription.program();
            change(&mut program);
            assert_eq!(program.with_config(&program.config()), None, "{place}");
        }
    }
}
