//! A referral: who may become one, and what it becomes.

use super::error::{Error, Result};
use super::program::{Conversion, Program};
use super::time::DAY_MS;

/// Where a referral stands; what the developer sees as `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    SignedUp,
    FirstCall,
    Active,
    Converted,
    Review,
    Rejected,
}

impl Status {
    pub const ALL: [Self; 6] =
        [Self::SignedUp, Self::FirstCall, Self::Active, Self::Converted, Self::Review, Self::Rejected];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::SignedUp => "signed_up",
            Self::FirstCall => "first_call",
            Self::Active => "active",
            Self::Converted => "converted",
            Self::Review => "review",
            Self::Rejected => "rejected",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A code as it stands when someone wants to use it.
#[derive(Debug, Clone, Copy)]
pub struct CodeState {
    pub revoked: bool,
    pub owner_erased: bool,
    pub max_uses: Option<i64>,
    pub uses_count: i64,
}

/// Refuses a code that nobody can use now. The caller can mend it, so nothing is recorded.
pub fn usable(field: &str, code: Option<CodeState>, program: &Program) -> Result<()> {
    let refuse = |code, detail| Err(Error::field(field, code, detail));
    let Some(code) = code else {
        return refuse("unknown_code", "There is no such referral code.");
    };
    if !program.enabled {
        return refuse("program_disabled", "The referral program takes no new referrals at the moment.");
    }
    if code.revoked || code.owner_erased {
        return refuse("revoked_code", "This referral code is no longer valid.");
    }
    if code.max_uses.is_some_and(|most| code.uses_count >= most) {
        return refuse("code_used_up", "This referral code has been used as often as it can be.");
    }
    Ok(())
}

/// What the abuse rules compare: hashes of who is behind an e-mail address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub mailbox: [u8; 32],
    pub household: [u8; 32],
    pub disposable: bool,
}

/// Everything that decides whether a new referral counts.
#[derive(Debug, Clone)]
pub struct Application {
    pub referrer: Option<Identity>,
    pub referee: Option<Identity>,
    /// This mailbox came in through a code before, perhaps as an account that has been erased since.
    pub referred_before: bool,
    /// This referrer has already brought in someone of the same household.
    pub household_used: bool,
    /// The referrer is the referee's own referral.
    pub mutual: bool,
}

impl Application {
    /// The rule that stands against it, as a stable code. Such a referral is kept as rejected, and no credits flow.
    pub fn abuse(&self) -> Option<&'static str> {
        let same = |part: fn(&Identity) -> &[u8; 32]| match (&self.referrer, &self.referee) {
            (Some(referrer), Some(referee)) => part(referrer) == part(referee),
            _ => false,
        };
        if same(|who| &who.mailbox) {
            return Some("self_referral");
        }
        if same(|who| &who.household) {
            return Some("same_domain");
        }
        if self.referee.as_ref().is_some_and(|referee| referee.disposable) {
            return Some("disposable_email");
        }
        if self.referred_before {
            return Some("already_referred");
        }
        if self.household_used {
            return Some("domain_already_used");
        }
        if self.mutual {
            return Some("mutual_referral");
        }
        None
    }

    /// What the rules saw, for the decision's record: comparisons, never the addresses.
    pub fn inputs(&self) -> serde_json::Value {
        let compare = |part: fn(&Identity) -> &[u8; 32]| match (&self.referrer, &self.referee) {
            (Some(referrer), Some(referee)) => Some(part(referrer) == part(referee)),
            _ => None,
        };
        serde_json::json!({
            "same_mailbox": compare(|who| &who.mailbox),
            "same_household": compare(|who| &who.household),
            "disposable": self.referee.as_ref().map(|referee| referee.disposable),
            "referred_before": self.referred_before,
            "household_used": self.household_used,
            "mutual": self.mutual,
        })
    }
}

/// In words, what a stable code of the abuse rules means for the person who signs up.
pub fn abuse_text(code: &str) -> &'static str {
    match code {
        "self_referral" | "same_domain" => "The code belongs to someone with your own e-mail domain.",
        "disposable_email" => "No credits are given to disposable e-mail addresses.",
        "already_referred" => "This mailbox has already signed up with a referral code.",
        "mutual_referral" => "The code belongs to someone whom you referred yourself.",
        "domain_already_used" => "The code has already been used by someone with your e-mail domain.",
        _ => "The referral does not meet the rules of the program.",
    }
}

/// An account that wants to apply a code after its signup.
#[derive(Debug, Clone, Copy)]
pub struct LateApplicant {
    pub has_referral: bool,
    pub owns_code: bool,
    pub signed_up_at_ms: i64,
    pub calls: i64,
}

/// Refuses a code that is applied too late, twice, or by its owner. Nothing is recorded then.
pub fn may_apply(applicant: LateApplicant, program: &Program, now_ms: i64) -> Result<()> {
    if applicant.has_referral {
        return Err(Error::conflict("already_referred", "This account has used a referral code."));
    }
    if applicant.calls > 0 {
        return Err(Error::conflict("already_active", "A code can be applied before the first API call only."));
    }
    let days = i64::from(program.abuse.apply_within_days);
    if now_ms.saturating_sub(applicant.signed_up_at_ms) > days * DAY_MS {
        return Err(Error::conflict(
            "apply_window_closed",
            format!("A code can be applied within {days} days of the signup only."),
        ));
    }
    if applicant.owns_code {
        return Err(Error::field("code", "self_referral", "This is your own code."));
    }
    Ok(())
}

/// The milestones of a referral, each the time at which it was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub status: Status,
    pub first_call_at_ms: Option<i64>,
    pub active_at_ms: Option<i64>,
    pub converted_at_ms: Option<i64>,
}

impl Progress {
    /// After the referee's calls went from `before` to `after`.
    #[must_use]
    pub fn after_calls(mut self, program: &Program, before: i64, after: i64, now_ms: i64) -> Self {
        if before == 0 && after > 0 && self.first_call_at_ms.is_none() {
            self.first_call_at_ms = Some(now_ms);
            if program.conversion == Conversion::FirstCall {
                self.converted_at_ms = self.converted_at_ms.or(Some(now_ms));
            }
        }
        if after >= program.active_calls() && self.active_at_ms.is_none() {
            self.active_at_ms = Some(now_ms);
        }
        self.with_status(program)
    }

    /// After a purchase, subscription or `convert` call that counts as the conversion.
    #[must_use]
    pub fn after_conversion(mut self, program: &Program, now_ms: i64) -> Self {
        self.converted_at_ms = self.converted_at_ms.or(Some(now_ms));
        self.with_status(program)
    }

    /// Where it has got to, once nothing stands against it any more.
    pub fn once_cleared(self, program: &Program) -> Status {
        Self { status: Status::SignedUp, ..self }.with_status(program).status
    }

    /// The furthest milestone; review and rejection are for others to set and lift.
    fn with_status(mut self, program: &Program) -> Self {
        if matches!(self.status, Status::Review | Status::Rejected) {
            return self;
        }
        self.status = match self {
            _ if self.converted_at_ms.is_some() && program.conversion != Conversion::FirstCall => Status::Converted,
            _ if self.active_at_ms.is_some() => Status::Active,
            _ if self.first_call_at_ms.is_some() => Status::FirstCall,
            _ if self.converted_at_ms.is_some() => Status::Converted,
            _ => Status::SignedUp,
        };
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::program::Preset;

    fn program() -> Program {
        Preset::Credits.program()
    }

    const GOOD: CodeState = CodeState { revoked: false, owner_erased: false, max_uses: None, uses_count: 0 };

    #[test]
    fn each_unusable_code() {
        let disabled = Program { enabled: false, ..program() };
        for (code, program, refusal) in [
            (None, program(), "unknown_code"),
            (Some(GOOD), disabled, "program_disabled"),
            (Some(CodeState { revoked: true, ..GOOD }), program(), "revoked_code"),
            (Some(CodeState { owner_erased: true, ..GOOD }), program(), "revoked_code"),
            (Some(CodeState { max_uses: Some(2), uses_count: 2, ..GOOD }), program(), "code_used_up"),
        ] {
            assert_eq!(usable("referral_code", code, &program).unwrap_err().code, refusal);
        }
        usable("referral_code", Some(CodeState { max_uses: Some(2), uses_count: 1, ..GOOD }), &program()).unwrap();
    }

    #[test]
    fn each_abuse_rule() {
        let who =
            |mailbox, household| Identity { mailbox: [mailbox; 32], household: [household; 32], disposable: false };
        let good = Application {
            referrer: Some(who(1, 1)),
            referee: Some(who(2, 2)),
            referred_before: false,
            household_used: false,
            mutual: false,
        };
        let disposable = Identity { disposable: true, ..who(2, 2) };
        for (application, code) in [
            (Application { referee: Some(who(1, 1)), ..good.clone() }, Some("self_referral")),
            (Application { referee: Some(who(2, 1)), ..good.clone() }, Some("same_domain")),
            (Application { referee: Some(disposable), ..good.clone() }, Some("disposable_email")),
            (Application { referred_before: true, ..good.clone() }, Some("already_referred")),
            (Application { household_used: true, ..good.clone() }, Some("domain_already_used")),
            (Application { mutual: true, ..good.clone() }, Some("mutual_referral")),
            (Application { referrer: None, ..good.clone() }, None),
            (good, None),
        ] {
            assert_eq!(application.abuse(), code);
            assert!(code.is_none_or(|code| !abuse_text(code).is_empty()));
        }
    }

    #[test]
    fn each_late_application_refused() {
        let good = LateApplicant { has_referral: false, owns_code: false, signed_up_at_ms: 0, calls: 0 };
        for (applicant, now_ms, code) in [
            (LateApplicant { has_referral: true, ..good }, 0, "already_referred"),
            (LateApplicant { calls: 1, ..good }, 0, "already_active"),
            (good, 7 * DAY_MS + 1, "apply_window_closed"),
            (LateApplicant { owns_code: true, ..good }, 0, "self_referral"),
        ] {
            assert_eq!(may_apply(applicant, &program(), now_ms).unwrap_err().code, code);
        }
        may_apply(good, &program(), 7 * DAY_MS).unwrap();
    }

    #[test]
    fn milestones_are_reached_once_and_in_any_step() {
        let new =
            Progress { status: Status::SignedUp, first_call_at_ms: None, active_at_ms: None, converted_at_ms: None };
        let first = new.after_calls(&program(), 0, 1, 10);
        assert_eq!(
            (first.status, first.first_call_at_ms, first.converted_at_ms),
            (Status::FirstCall, Some(10), Some(10))
        );
        let later = first.after_calls(&program(), 1, 99, 20);
        assert_eq!(later, first);
        let active = later.after_calls(&program(), 99, 100, 30);
        assert_eq!((active.status, active.active_at_ms, active.first_call_at_ms), (Status::Active, Some(30), Some(10)));
        assert_eq!(new.after_calls(&program(), 0, 500, 40).status, Status::Active);
        assert_eq!(new.after_calls(&program(), 0, 0, 40), new);
        let held = Progress { status: Status::Review, ..new };
        let held = held.after_calls(&program(), 0, 1, 10);
        assert_eq!((held.status, held.once_cleared(&program())), (Status::Review, Status::FirstCall));
        assert_eq!(Progress { status: Status::Review, ..new }.once_cleared(&program()), Status::SignedUp);
    }

    #[test]
    fn a_purchase_converts_where_the_program_says_so() {
        let commission = Preset::Commission.program();
        let new =
            Progress { status: Status::SignedUp, first_call_at_ms: None, active_at_ms: None, converted_at_ms: None };
        let called = new.after_calls(&commission, 0, 1, 10);
        assert_eq!((called.status, called.converted_at_ms), (Status::FirstCall, None));
        assert_eq!(called.after_conversion(&commission, 20).status, Status::Converted);
    }
}
