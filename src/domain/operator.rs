//! Operators: what each role may do.

use super::error::{Error, Kind, Result};

/// What an operator may do in the team's projects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperatorRole {
    /// Sees everything and changes nothing.
    ReadOnly,
    /// Runs the projects.
    Operator,
    /// Runs the projects, and says who else does.
    Owner,
}

impl OperatorRole {
    pub const ALL: [Self; 3] = [Self::Owner, Self::Operator, Self::ReadOnly];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Operator => "operator",
            Self::ReadOnly => "read_only",
        }
    }

    /// As people read it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Owner => "Owner",
            Self::Operator => "Operator",
            Self::ReadOnly => "Read-only",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    pub fn may_write(self) -> bool {
        self >= Self::Operator
    }

    pub fn is_owner(self) -> bool {
        self == Self::Owner
    }

    /// `Forbidden` for who may only look.
    pub fn check_write(self) -> Result<()> {
        self.check(Self::Operator, "You can look at everything here, and change nothing: that takes another role.")
    }

    /// `Forbidden` for who is no owner.
    pub fn check_owner(self) -> Result<()> {
        self.check(Self::Owner, "Only an owner of the team can do this.")
    }

    fn check(self, least: Self, message: &str) -> Result<()> {
        if self >= least { Ok(()) } else { Err(Error::new(Kind::Forbidden, "role_required", message)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_role_may() {
        for (role, writes, owns) in [
            (OperatorRole::Owner, true, true),
            (OperatorRole::Operator, true, false),
            (OperatorRole::ReadOnly, false, false),
        ] {
            assert_eq!((role.check_write().is_ok(), role.check_owner().is_ok()), (writes, owns));
            assert_eq!(OperatorRole::parse(role.as_str()), Some(role));
        }
        assert_eq!(OperatorRole::ReadOnly.check_write().unwrap_err().code, "role_required");
        assert_eq!(OperatorRole::parse("root"), None);
    }
}
