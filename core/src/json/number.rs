//! Numbers: where they end and whether they are whole.

use super::JsonError;

/// The end of the number that starts here.
pub(super) fn end(text: &[u8], start: usize) -> Result<usize, JsonError> {
    let at = if text.get(start) == Some(&b'-') { start + 1 } else { start };
    let mut at = match text.get(at) {
        Some(b'0') => at + 1,
        _ => digits(text, at)?,
    };
    if text.get(at) == Some(&b'.') {
        at = digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = text.get(at) {
            at += 1;
        }
        at = digits(text, at)?;
    }
    // A digit can only follow here after a leading zero; anything else is the grammar's to judge.
    if let Some(b'0'..=b'9') = text.get(at) {
        return Err(JsonError::new("a number with a leading zero", at));
    }
    Ok(at)
}

fn digits(text: &[u8], start: usize) -> Result<usize, JsonError> {
    let mut at = start;
    while let Some(b'0'..=b'9') = text.get(at) {
        at += 1;
    }
    if at == start { Err(JsonError::new("expected a digit", at)) } else { Ok(at) }
}

/// The value of a valid number if it is whole and fits.
pub(super) fn whole(raw: &[u8]) -> Option<u64> {
    let (negative, digits) = match raw.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, raw),
    };
    let (digits, exponent) = match memchr::memchr2(b'e', b'E', digits) {
        Some(at) => (digits.get(..at)?, digits.get(at + 1..)?),
        None => (digits, &b"0"[..]),
    };
    let point = memchr::memchr(b'.', digits).unwrap_or(digits.len());
    let places = i64::try_from(digits.len().saturating_sub(point + 1)).ok()?;
    let Some(last) = digits.iter().rposition(|digit| matches!(digit, b'1'..=b'9')) else {
        return Some(0);
    };
    if negative {
        return None;
    }
    // What stands behind the last digit that counts are zeros, and perhaps the point.
    let behind = digits.get(last + 1..)?.iter().filter(|digit| **digit == b'0').count();
    let shift = self::exponent(exponent).saturating_sub(places).saturating_add(i64::try_from(behind).ok()?);
    let shift = u32::try_from(shift).ok()?;
    digits
        .get(..=last)?
        .iter()
        .filter(|digit| **digit != b'.')
        .try_fold(0u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))?
        .checked_mul(10u64.checked_pow(shift)?)
}

/// An exponent of any length; what no number of ours can have ends at the end of the range.
fn exponent(text: &[u8]) -> i64 {
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        rest => (1, rest),
    };
    digits.iter().fold(0i64, |sum, digit| {
        sum.saturating_mul(10).saturating_add(sign * i64::from(digit.saturating_sub(b'0')))
    })
}
