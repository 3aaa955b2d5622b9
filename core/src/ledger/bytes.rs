//! Bytes of the ledger's own: small numbers take few of them, and what was torn or changed is known.
//!
//! ```text
//! length of the body, 4 bytes │ its CRC-32, 4 bytes │ body: version, then what it says
//! ```

use super::stored::Garbled;
use crate::checksum;
use crate::units::{NanoDollars, Time, Tokens};

/// What the first byte of every body is. Another means another form.
const VERSION: u8 = 1;

/// No body is larger.
const MOST: usize = 1 << 24;

/// Of length and check sum.
const HEAD: usize = 8;

/// Writes a body, with its length and check sum in front.
pub(super) fn seal(out: &mut Vec<u8>, body: impl FnOnce(&mut Pen<'_>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    out.push(VERSION);
    body(&mut Pen::new(out));
    let (head, body) = out.split_at_mut(start + HEAD);
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    let sum = checksum::of(body).to_le_bytes();
    if let Some(head) = head.get_mut(start..) {
        for (byte, value) in head.iter_mut().zip(length.into_iter().chain(sum)) {
            *byte = value;
        }
    }
}

/// A body that was found whole.
pub(super) struct Opened<'a> {
    pub(super) body: Eye<'a>,
    /// Of head and body.
    pub(super) length: usize,
}

/// Finds the first body. `Ok(None)` where the bytes end within it.
pub(super) fn open(bytes: &[u8]) -> Result<Option<Opened<'_>>, Garbled> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
    let [a, b, c, d, sum @ ..] = *head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length == 0 || length > MOST {
        return Err(Garbled::new(format!("a length of {length} bytes, expected 1 to {MOST}")));
    }
    let Some((body, _)) = rest.split_at_checked(length) else { return Ok(None) };
    if checksum::of(body) != u32::from_le_bytes(sum) {
        return Err(Garbled::new("the check sum is not that of the content"));
    }
    let mut body = Eye { rest: body };
    match body.byte()? {
        VERSION => Ok(Some(Opened { body, length: HEAD + length })),
        other => Err(Garbled::new(format!("version {other}, expected {VERSION}"))),
    }
}

/// Finds the one body that these bytes are.
pub(super) fn open_only(bytes: &[u8]) -> Result<Eye<'_>, Garbled> {
    match open(bytes)? {
        Some(Opened { body, length }) if length == bytes.len() => Ok(body),
        Some(_) => Err(Garbled::new("there is more than one state")),
        None => Err(Garbled::new("the end is missing")),
    }
}

/// Writes.
pub(super) struct Pen<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Pen<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// What a pen wrote before.
    pub(super) fn raw(&mut self, written: &[u8]) {
        self.out.extend_from_slice(written);
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    /// Seven bits a byte, the low ones first.
    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.out.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.out.push((number & 0x7f) as u8);
    }

    /// Zero for none, else one more; the largest number needs a byte of its own.
    pub(super) fn maybe(&mut self, number: Option<u64>) {
        match number {
            None => self.byte(0),
            Some(number) => {
                self.byte(1);
                self.number(number);
            }
        }
    }

    pub(super) fn id(&mut self, id: u128) {
        self.out.extend_from_slice(&id.to_le_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
    }

    pub(super) fn list<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) {
        self.number(items.len() as u64);
        for item in items {
            each(self, item);
        }
    }
}

/// Reads what a [`Pen`] wrote.
pub(super) struct Eye<'a> {
    rest: &'a [u8],
}

impl<'a> Eye<'a> {
    pub(super) fn byte(&mut self) -> Result<u8, Garbled> {
        let (byte, rest) = self.rest.split_first().ok_or_else(|| Garbled::new("it ends too early"))?;
        self.rest = rest;
        Ok(*byte)
    }

    pub(super) fn number(&mut self) -> Result<u64, Garbled> {
        let mut number: u64 = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Garbled::new("a number is larger than 64 bits"))
    }

    pub(super) fn maybe(&mut self) -> Result<Option<u64>, Garbled> {
        match self.byte()? {
            0 => Ok(None),
            1 => self.number().map(Some),
            other => Err(Garbled::new(format!("expected 0 or 1, found {other}"))),
        }
    }

    pub(super) fn id(&mut self) -> Result<u128, Garbled> {
        let found = self.rest.split_first_chunk::<16>();
        let (id, rest) = found.ok_or_else(|| Garbled::new("it ends within an id"))?;
        self.rest = rest;
        Ok(u128::from_le_bytes(*id))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Garbled> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        let found = self.rest.split_at_checked(length);
        let (text, rest) = found.ok_or_else(|| Garbled::new("it ends within a text"))?;
        self.rest = rest;
        std::str::from_utf8(text).map_err(|_| Garbled::new("a text is not UTF-8"))
    }

    /// Nothing is reserved for a length that is only claimed.
    pub(super) fn list<T, L: Default + Extend<T>>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<T, Garbled>,
    ) -> Result<L, Garbled> {
        let mut items = L::default();
        for _ in 0..self.number()? {
            items.extend([each(self)?]);
        }
        Ok(items)
    }

    pub(super) fn time(&mut self) -> Result<Time, Garbled> {
        self.number().map(Time)
    }

    pub(super) fn tokens(&mut self) -> Result<Tokens, Garbled> {
        self.number().map(Tokens)
    }

    pub(super) fn money(&mut self) -> Result<NanoDollars, Garbled> {
        self.number().map(NanoDollars)
    }

    /// Nothing may follow.
    pub(super) fn end(self) -> Result<(), Garbled> {
        match self.rest.len() {
            0 => Ok(()),
            more => Err(Garbled::new(format!("{more} bytes follow the end"))),
        }
    }
}
