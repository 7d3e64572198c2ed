//! Text that people type and others will see: no control characters, nothing that turns the reading direction.

use super::error::{Error, Result};

/// Checks a text of 1 to `max` characters, of which one at least can be seen, and trims it.
pub fn display(field: &str, text: &str, max: usize) -> Result<String> {
    let text = printable(field, text)?.trim();
    if !text.chars().any(|c| !c.is_whitespace() && !matches!(c, '\u{200c}' | '\u{200d}')) {
        return Err(Error::field(field, "required", "Fill this in."));
    }
    limited(field, text, max)?;
    Ok(text.to_owned())
}

/// The text itself, if nothing in it is a control or invisible character.
pub fn printable<'a>(field: &str, text: &'a str) -> Result<&'a str> {
    if text.chars().any(is_unprintable) {
        return Err(Error::field(field, "invalid_characters", "Control characters are not accepted."));
    }
    Ok(text)
}

/// A client's own id: 1 to 128 printable characters, kept as it is.
pub fn client_id(field: &str, text: &str) -> Result<String> {
    if text.is_empty() {
        return Err(Error::field(field, "required", "An id has at least one character."));
    }
    limited(field, text, 128)?;
    if text.trim() != text {
        return Err(Error::field(field, "invalid_characters", "An id neither starts nor ends with white space."));
    }
    Ok(text.to_owned())
}

/// A password of 8 to 128 characters, kept as it is.
pub fn password(field: &str, text: &str) -> Result<()> {
    if text.chars().count() < 8 {
        return Err(Error::field(field, "too_short", "Use at least 8 characters."));
    }
    limited(field, text, 128)
}

fn limited(field: &str, text: &str, max: usize) -> Result<()> {
    if text.chars().count() > max {
        return Err(Error::field(field, "too_long", format!("Use at most {max} characters.")));
    }
    printable(field, text).map(|_| ())
}

/// Control, line-breaking, invisible and direction-turning characters. The joiners that scripts need are kept.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffd}' | '\u{e0000}'..='\u{e007f}')
        || (u32::from(c) & 0xfffe) == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal() {
        let long = "x".repeat(101);
        for (text, code) in [
            ("", "required"),
            ("  \u{3000} ", "required"),
            (long.as_str(), "too_long"),
            ("a\0b", "invalid_characters"),
            ("a\nb", "invalid_characters"),
            ("\tBob\n", "invalid_characters"),
            ("\u{200d}", "required"),
            ("a\u{202e}b", "invalid_characters"),
            ("a\u{200b}b", "invalid_characters"),
            ("a\u{ffff}b", "invalid_characters"),
        ] {
            assert_eq!(display("name", text, 100).unwrap_err().code, code, "{text:?}");
        }
        for (text, code) in [("", "required"), (" a", "invalid_characters"), (&"x".repeat(129), "too_long")] {
            assert_eq!(client_id("id", text).unwrap_err().code, code, "{text:?}");
        }
        for (text, code) in
            [("short12", "too_short"), (&"x".repeat(129), "too_long"), ("a\tbcdefgh", "invalid_characters")]
        {
            assert_eq!(password("password", text).unwrap_err().code, code, "{text:?}");
        }
    }

    #[test]
    fn names_of_the_world_are_welcome() {
        for name in ["Zoë", "李雷", "علی\u{200c}رضا", "O'Brien", "x", "👩\u{200d}💻"] {
            assert_eq!(display("name", &format!(" {name} "), 100).unwrap(), name);
        }
        password("password", "pässwörd").unwrap();
    }
}
