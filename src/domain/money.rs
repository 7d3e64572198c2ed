//! Amounts are integers in the smallest unit; shares of them are basis points.

/// `basis_points` of `amount`, rounded half up. 128 bits, so that no product overflows.
pub fn share_half_up(amount_minor: i64, basis_points: u32) -> i64 {
    let share = (i128::from(amount_minor) * i128::from(basis_points) + 5_000).div_euclid(10_000);
    i64::try_from(share).unwrap_or(i64::MAX)
}

/// Percent with two decimals, rounded half up; 0 of none.
pub fn percent(part: i64, whole: i64) -> f64 {
    let hundredths = if whole == 0 { 0 } else { (part * 20_000 + whole) / (2 * whole) };
    f64::from(i32::try_from(hundredths).unwrap_or(i32::MAX)) / 100.0
}

/// An integer with its thousands set apart: `1,000`.
pub fn grouped(amount: i64) -> String {
    let digits = amount.unsigned_abs().to_string();
    let mut text = String::from(if amount < 0 { "-" } else { "" });
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// An amount as people type it, in hundredths: `25`, `25.5` or `25.50`. `None` for everything else: a comma is one thing
/// to one reader and another to the next.
pub fn typed_hundredths(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').map_or((text, None), |(whole, part)| (whole, Some(part)));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || part.is_some_and(|part| !is_number(part) || part.len() > 2) {
        return None;
    }
    let hundredths = part.map_or(Some(0), |part| format!("{part:0<2}").parse::<i64>().ok())?;
    whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(hundredths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_decimal_number_is_an_amount() {
        for (text, hundredths) in [
            ("25", Some(2_500)),
            ("25.5", Some(2_550)),
            ("25.50", Some(2_550)),
            ("0.01", Some(1)),
            ("00025.00", Some(2_500)),
            ("0", Some(0)),
            ("92233720368547758.07", Some(i64::MAX)),
            ("92233720368547758.08", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(typed_hundredths(text), hundredths, "{text}");
        }
        for text in [
            "", ".", "25.", ".5", "25.505", "25,50", "1,000.00", "-25", "+25", " 25", "25 ", "2 5", "1e3", "0x19",
            "25.5.0", "٢٥", "$25", "NaN",
        ] {
            assert_eq!(typed_hundredths(text), None, "{text}");
        }
    }

    #[test]
    fn half_a_cent_goes_up() {
        for (amount, basis_points, share) in
            [(5000, 500, 250), (5000, 1000, 500), (1010, 500, 51), (1009, 500, 50), (1, 1, 0), (0, 500, 0)]
        {
            assert_eq!(share_half_up(amount, basis_points), share, "{amount} x {basis_points}");
        }
        assert_eq!(share_half_up(i64::MAX, 10_000), i64::MAX);
    }

    #[test]
    fn the_largest_amounts_there_are_round_right() {
        // 5 % of 2^63 - 1 is 461168601842738790.35, and half a cent more goes up.
        for (amount, basis_points, share) in [
            (i64::MAX, 500, 461_168_601_842_738_790),
            (i64::MAX, 1_000, 922_337_203_685_477_581),
            (i64::MAX, 9_999, 9_222_449_699_651_090_329),
            (i64::MAX - 7, 5_000, 4_611_686_018_427_387_900),
            (i64::MAX - 6, 5_000, 4_611_686_018_427_387_901),
            (i64::MAX, 0, 0),
        ] {
            assert_eq!(share_half_up(amount, basis_points), share, "{amount} x {basis_points}");
        }
    }

    #[test]
    fn rates_have_two_decimals() {
        for (part, whole, rate) in
            [(0, 0, 0.0), (1, 3, 33.33), (2, 3, 66.67), (1, 1, 100.0), (1, 8, 12.5), (1, 16, 6.25)]
        {
            assert!((percent(part, whole) - rate).abs() < 1e-9, "{part}/{whole}");
        }
    }

    #[test]
    fn thousands_are_set_apart() {
        for (amount, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (-1_234_567, "-1,234,567")] {
            assert_eq!(grouped(amount), text);
        }
    }
}
