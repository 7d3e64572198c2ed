//! Referral codes: 4 to 20 letters and digits, the same whatever the case.

use super::error::{Error, Result};
use super::text;
use serde::{Deserialize, Serialize};

/// How a program makes codes when nobody asks for a certain one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CodeStyle {
    /// First name and year, `ALICE2024`, with a suffix when that is taken (BUY-2529).
    NameYear,
    /// Eight hexadecimal digits, `A1B2C3D4` (Creatiq).
    Hex8,
    /// Eight letters and digits (BillStack).
    Alphanumeric8,
}

/// A code in its one spelling: upper case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code(String);

impl Code {
    /// Reads a code as people type it: any case, with white space around it.
    pub fn parse(field: &str, text: &str) -> Result<Self> {
        let text = text::printable(field, text)?.trim();
        if text.is_empty() {
            return Err(Error::field(field, "required", "Fill this in."));
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric()) || !(4..=20).contains(&text.len()) {
            return Err(Error::field(field, "invalid_code", "A code has 4 to 20 letters and digits."));
        }
        Ok(Self(text.to_ascii_uppercase()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The `attempt`-th code to try for an account. Readable ones first; then random ones, which do not run out.
pub fn candidate(style: CodeStyle, name: &str, year: i32, attempt: u32, entropy: u64) -> Code {
    Code(match style {
        CodeStyle::Hex8 => format!("{:08X}", entropy & 0xffff_ffff),
        CodeStyle::Alphanumeric8 => random(entropy, 8),
        CodeStyle::NameYear => match (stem(name), attempt) {
            (None, _) => random(entropy, 8),
            (Some(stem), 0) => format!("{stem}{year}"),
            (Some(stem), 1..=8) => format!("{stem}{year}{}", attempt + 1),
            (Some(stem), _) => format!("{stem}{}", random(entropy, 6)),
        },
    })
}

/// The first word of a name that Latin letters can spell, at most 12 of them.
fn stem(name: &str) -> Option<String> {
    let word = name.split_whitespace().next()?;
    let letters: String = word.chars().filter(char::is_ascii_alphabetic).take(12).collect();
    (letters.len() >= 2).then(|| letters.to_ascii_uppercase())
}

/// Letters and digits without those that are mistaken for each other.
fn random(mut entropy: u64, length: usize) -> String {
    const LETTERS: &[u8; 32] = b"23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
    let letter = |_| {
        let letter = char::from(LETTERS[usize::try_from(entropy & 31).unwrap_or_default()]);
        entropy >>= 5;
        letter
    };
    (0..length).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal() {
        for text in ["", "  ", "ABC", "ABCDEFGHIJKLMNOPQRSTU", "ALICE-1", "ALI CE", "ÄLICE", "ALICE\0", "АLICE"] {
            assert!(Code::parse("code", text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn case_and_surrounding_space_do_not_matter() {
        assert_eq!(Code::parse("code", " alice2024 ").unwrap().as_str(), "ALICE2024");
        assert_eq!(Code::parse("code", "1234").unwrap().as_str(), "1234");
    }

    #[test]
    fn names_make_codes() {
        for (name, attempt, code) in [
            ("Alice Smith", 0, "ALICE2024"),
            ("alice", 1, "ALICE20242"),
            ("alice", 8, "ALICE20249"),
            ("alice", 9, "ALICE222222"),
            ("O'Brien Pat", 0, "OBRIEN2024"),
            ("Wolfeschlegelsteinhausen", 0, "WOLFESCHLEGE2024"),
            ("李雷", 0, "22222222"),
            ("X", 0, "22222222"),
        ] {
            assert_eq!(candidate(CodeStyle::NameYear, name, 2024, attempt, 0).as_str(), code, "{name}");
        }
        assert_eq!(candidate(CodeStyle::Hex8, "Alice", 2024, 0, 0xa1b2_c3d4).as_str(), "A1B2C3D4");
        assert_eq!(candidate(CodeStyle::Alphanumeric8, "Alice", 2024, 0, u64::MAX).as_str(), "ZZZZZZZZ");
    }

    #[test]
    fn every_candidate_is_a_code() {
        for style in [CodeStyle::NameYear, CodeStyle::Hex8, CodeStyle::Alphanumeric8] {
            for (name, attempt) in [("Wolfeschlegelsteinhausen", 99), ("Al", 0), ("", 3), ("Ümit", 12)] {
                let code = candidate(style, name, 9999, attempt, 0x1234_5678_9abc_def0);
                assert_eq!(Code::parse("code", code.as_str()).unwrap(), code);
            }
        }
    }
}
