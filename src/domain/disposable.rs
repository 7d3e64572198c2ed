//! The shipped list of domains that hand out throw-away mailboxes, as the community's aggregate of such lists has it.
//!
//! It stays text: as a table of strings it would have to be relocated when the program starts, and be more than a
//! megabyte of memory in every process.

/// In lower case and ASCII, one a line, in the order of their bytes.
const SHIPPED: &str = include_str!("disposable_domains.txt");

/// Whether the list has this very domain; in lower case.
pub fn is_listed(domain: &str) -> bool {
    let (mut from, mut to) = (0, SHIPPED.len());
    while from < to {
        let middle = usize::midpoint(from, to);
        let start = SHIPPED[from..middle].rfind('\n').map_or(from, |at| from + at + 1);
        let end = SHIPPED[middle..to].find('\n').map_or(to, |at| middle + at);
        match SHIPPED[start..end].cmp(domain) {
            std::cmp::Ordering::Less => from = (end + 1).min(to),
            std::cmp::Ordering::Greater => to = start,
            std::cmp::Ordering::Equal => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_found_and_nothing_between_them() {
        let lines: Vec<_> = SHIPPED.lines().collect();
        assert!(lines.len() > 70_000, "{}", lines.len());
        assert!(lines.is_sorted_by(|one, next| one < next), "sort it by bytes: LC_ALL=C sort -u");
        let all: std::collections::HashSet<_> = lines.iter().copied().collect();
        for line in lines {
            assert!(
                line.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b)),
                "{line}"
            );
            assert!(is_listed(line), "{line}");
            for near in [&format!("{line}a"), &format!("0{line}"), &line[1..], &line[..line.len() - 1], ""] {
                assert_eq!(is_listed(near), all.contains(near), "{near}");
            }
        }
        assert!(!is_listed("0") && !is_listed("zzzzzzzzzz.zz") && !is_listed("gmail.com"));
    }
}
