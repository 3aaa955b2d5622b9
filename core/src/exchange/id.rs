//! What a request is called.

use std::fmt;

/// Digits that are hard to mistake: of a request's id, and of whatever else is named by bits.
pub(crate) const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Names one request in every log, header and record: 128 random bits, shown as 26 base-32 digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub u128);

impl RequestId {
    /// Reads what is shown of one.
    pub fn parse(text: &str) -> Option<Self> {
        let value = |digit: u8| DIGITS.iter().position(|known| *known == digit);
        if text.len() != 26 {
            return None;
        }
        text.bytes()
            .try_fold(0_u128, |id, digit| {
                let shifted = id.checked_mul(32)?;
                shifted.checked_add(value(digit)? as u128)
            })
            .map(Self)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(RequestIdText::new(*self).as_str())
    }
}

/// A request id's 26 digits, without allocating.
pub(crate) struct RequestIdText([u8; 26]);

impl RequestIdText {
    pub(crate) fn new(id: RequestId) -> Self {
        let mut digits = [b'0'; 26];
        for (place, digit) in digits.iter_mut().rev().enumerate() {
            let value = (id.0 >> (5 * place)) & 31;
            *digit = DIGITS.get(value as usize).copied().unwrap_or(b'0');
        }
        Self(digits)
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}
