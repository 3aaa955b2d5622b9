//! Floats from their decimal spelling.
//!
//! Up to fifteen digits and powers of ten up to the 22nd are read exactly, all else to the last bit or two: enough
//! for settings, spans of time and vectors of 32 bits, and money is never read by this. What reads the last bit too
//! is tables of 13 KB as they are uploaded, a seventieth of the Worker.

use serde_json::{Number, Value};
use std::num::{IntErrorKind, ParseIntError};

/// Powers of ten that a float is exactly.
const EXACT: u32 = 22;

/// A finite number as it is spelled in JSON, also with a plus, without digits on one side of the point.
pub(crate) fn parse(text: &str) -> Option<f64> {
    let (minus, rest) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let mut digits = Digits::default();
    let rest = digits.take(rest, 0);
    let rest = match rest {
        [b'.', rest @ ..] => digits.take(rest, -1),
        rest => rest,
    };
    let power = match rest {
        [] => 0,
        [b'e' | b'E', power @ ..] => exponent(std::str::from_utf8(power).ok()?)?,
        _ => return None,
    };
    let Digits { count: 1.., value, scale } = digits else { return None };
    let number = scaled(value, scale.saturating_add(power));
    let number = if minus { -number } else { number };
    number.is_finite().then_some(number)
}

/// One beyond all measure is as good as the largest: the number is nothing, or too large.
fn exponent(text: &str) -> Option<i32> {
    let beyond = |error: ParseIntError| match *error.kind() == IntErrorKind::NegOverflow {
        true => Some(i32::MIN),
        false => (*error.kind() == IntErrorKind::PosOverflow).then_some(i32::MAX),
    };
    text.parse().map_or_else(beyond, Some)
}

/// A JSON number.
pub(crate) fn of(number: &Number) -> Option<f64> {
    parse(number.as_str())
}

/// A JSON value, where it is a number.
pub(crate) fn of_value(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => of(number),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Digits that were read: `value` times ten to the power of `scale`.
#[derive(Default)]
struct Digits {
    count: usize,
    value: u64,
    scale: i32,
}

impl Digits {
    /// Reads those at the front; each moves the point by `step`. Those that find no room say how large it is.
    fn take<'t>(&mut self, text: &'t [u8], step: i32) -> &'t [u8] {
        let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
        let (digits, rest) = text.split_at(end);
        self.count += digits.len();
        for digit in digits {
            let more =
                self.value.checked_mul(10).and_then(|value| value.checked_add(u64::from(digit - b'0')));
            match more.filter(|_| self.value < u64::MAX / 10) {
                Some(value) => (self.value, self.scale) = (value, self.scale.saturating_add(step)),
                None => self.scale = self.scale.saturating_add(step + 1),
            }
        }
        rest
    }
}

#[expect(clippy::cast_precision_loss, reason = "what a float has no room for is what is left out")]
fn scaled(value: u64, power: i32) -> f64 {
    let mut number = value as f64;
    let mut left = power.unsigned_abs();
    while left > 0 && number != 0.0 && number.is_finite() {
        let step = left.min(EXACT);
        let ten = (0..step).fold(1.0, |ten, _| ten * 10.0);
        number = if power < 0 { number / ten } else { number * ten };
        left -= step;
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn exponents_beyond_all_measure_make_nothing_or_are_too_large() {
        assert_eq!(parse("12e-401844674407370"), Some(0.0));
        assert_eq!(parse("0e401844674407370"), Some(0.0));
        assert_eq!(parse("12e401844674407370"), None);
        assert_eq!(parse("12e-"), None);
    }

    #[test]
    fn what_people_write_is_read_exactly() {
        let texts = [
            "0",
            "-0",
            "1",
            "0.7",
            "1e0",
            "1.0",
            "+2.5",
            ".5",
            "5.",
            "0.95",
            "1e-9",
            "86400.25",
            "123456789012345",
            "1e22",
            "-3.25E+2",
            "0.0023064255714416504",
            "17.39",
            "1e-22",
            "00012",
            "1.7976931348623157e308",
        ];
        for text in texts {
            let (ours, exact) = (parse(text).unwrap(), text.parse::<f64>().unwrap());
            assert!((ours - exact).abs() <= exact.abs() * 2.0 * f64::EPSILON, "{text}: {ours} {exact}");
            if text.len() < 16 {
                assert_eq!(ours, exact, "{text}");
            }
        }
    }

    #[test]
    fn what_is_no_number_or_beyond_any_float_is_none() {
        for text in [
            "", "-", ".", "e5", "1e", "1e+", "1x", "x", "inf", "NaN", "1e309", "-1e400", "1 ", "1e5.0",
            "0x10",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("1e-400"), Some(0.0));
        assert_eq!(parse(&format!("0.{}1", "0".repeat(400))), Some(0.0));
        assert_eq!(parse(&format!("{}e-99", "1".repeat(100))).map(|number| number.floor()), Some(1.0));
    }

    proptest! {
        #[test]
        fn a_number_of_32_bits_is_itself_again(bits: u32) {
            let number = f32::from_bits(bits);
            prop_assume!(number.is_normal());
            let spelled = f64::from(number).to_string();
            prop_assert_eq!(parse(&spelled).unwrap() as f32, number);
            prop_assert_eq!(parse(&format!("{number:e}")).unwrap() as f32, number);
        }

        #[test]
        fn any_text_is_read_as_exactly_as_said(text in "[-+]?[0-9]{0,30}[.]?[0-9]{0,30}(e[-+]?[0-9]{1,3})?") {
            let exact = text.parse::<f64>().ok().filter(|number| number.is_finite());
            match (parse(&text), exact) {
                (Some(ours), Some(exact)) => {
                    let most = (exact.abs() * 16.0 * f64::EPSILON).max(f64::MIN_POSITIVE);
                    prop_assert!((ours - exact).abs() <= most, "{} {}", ours, exact);
                }
                (None, None) => {}
                // The largest float there is.
                (ours, exact) => prop_assert!(exact.or(ours).is_some_and(|number| number.abs() > 1.79e308)),
            }
        }
    }
}
