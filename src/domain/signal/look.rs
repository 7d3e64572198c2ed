//! How mailboxes look that one person has made up.

use super::TraceKind;
use crate::domain::email::Email;
use serde_json::{Value, json};

/// How many other mailboxes a mailbox is like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Alike {
    /// Spelled alike but for dots, dashes and tags.
    pub spellings: usize,
    /// The same word with other digits: `ab1@`, `ab2@`.
    pub series: usize,
}

impl Alike {
    /// Two people may have the same name and another number; three with one referrer hardly do.
    pub fn is_odd(self) -> bool {
        self.spellings >= 1 || self.series >= 2
    }

    pub fn inputs(self) -> Value {
        json!({ "spellings": self.spellings, "series": self.series })
    }
}

/// In which way two mailboxes of one domain are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    Spelling,
    Series,
}

/// How a mailbox looks, without what is easily varied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    domain: String,
    /// Without tag, dots, dashes and underscores.
    plain: String,
    /// Of that, what is no digit.
    word: String,
}

impl Look {
    const SHORTEST_WORD: usize = 2;

    pub fn of(email: &Email) -> Self {
        let mailbox = email.mailbox();
        let (local, domain) = mailbox.rsplit_once('@').unwrap_or((&mailbox, ""));
        let plain: String = local.chars().filter(|c| !matches!(c, '.' | '-' | '_')).collect();
        let word = plain.chars().filter(|c| !c.is_ascii_digit()).collect();
        Self { domain: domain.to_owned(), plain, word }
    }

    /// What mailboxes that are alike have in common, as one text for each kind of likeness.
    pub fn shapes(&self) -> Vec<(TraceKind, String)> {
        let mut shapes = vec![(TraceKind::Spelling, format!("{}@{}", self.plain, self.domain))];
        if self.word.len() >= Self::SHORTEST_WORD {
            shapes.push((TraceKind::Series, format!("{}@{}", self.word, self.domain)));
        }
        shapes
    }

    pub fn likeness(&self, other: &Self) -> Option<Likeness> {
        if self.domain != other.domain {
            return None;
        }
        if self.plain == other.plain {
            return Some(Likeness::Spelling);
        }
        // Somewhere there is a number that differs: `bob7` and `bob12`, or `bob` and `bob2`.
        (self.word == other.word && self.word.len() >= Self::SHORTEST_WORD).then_some(Likeness::Series)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(text: &str) -> Look {
        Look::of(&Email::parse("email", text).unwrap())
    }

    #[test]
    fn mailboxes_that_are_alike() {
        for (one, other, is) in [
            ("a.b+1@mail.example", "ab@mail.example", Some(Likeness::Spelling)),
            ("a.b@gmail.com", "ab+x@googlemail.com", Some(Likeness::Spelling)),
            ("a_b-c@mail.example", "abc@mail.example", Some(Likeness::Spelling)),
            ("ab1@mail.example", "ab2@mail.example", Some(Likeness::Series)),
            ("bob@mail.example", "bob7@mail.example", Some(Likeness::Series)),
            ("b7o7b@mail.example", "bob@mail.example", Some(Likeness::Series)),
            ("bob@mail.example", "bob@post.example", None),
            ("bob@mail.example", "rob@mail.example", None),
            ("a1@mail.example", "a2@mail.example", None),
            ("12@mail.example", "13@mail.example", None),
        ] {
            assert_eq!(look(one).likeness(&look(other)), is, "{one} {other}");
            assert_eq!(look(other).likeness(&look(one)), is, "{other} {one}");
            let theirs = look(other).shapes();
            let shared = look(one).shapes().into_iter().find(|shape| theirs.contains(shape)).map(|(kind, _)| kind);
            let expected = is.map(|is| if is == Likeness::Spelling { TraceKind::Spelling } else { TraceKind::Series });
            assert_eq!(shared, expected, "{one} {other}");
        }
        assert!(!Alike { spellings: 0, series: 1 }.is_odd(), "two people of one name");
        assert!(Alike { spellings: 0, series: 2 }.is_odd());
        assert!(Alike { spellings: 1, series: 0 }.is_odd());
    }
}
