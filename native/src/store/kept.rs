//! Requests that are over and not in the database yet: noted in a file, so that a process that is
//! killed loses none.
//!
//! ```text
//!   a request is over                      the writer takes all that waits
//!        │ note                                     │ (1) under the desk's lock
//!        ▼                                          ▼
//!   tollgate.db.requests.7  ─────────▶  tollgate.db.requests.8  ◀── notes from now on
//!                                                   │ requests, sums and "8" in one transaction (2)
//!                                                   ▼
//!                                       tollgate.db.requests.7 is deleted (3)
//! ```
//! A request that had a hold is noted in the ledger's journal, in one write with how the hold ended; its
//! note begins with a number.
//!
//! 1. What is noted in segments before the stored number is in the database, and in later ones nothing
//!    is: the switch and what is taken are one step, and so are the requests and the number.
//! 2. Of the ledger's journal, requests up to the stored number are in the database. The writer takes a
//!    request with the ledger's next books at the latest, so no segment goes before its requests are stored.
//! 3. That holds for requests that were only added up, too: they are taken together with all others.
//! 4. So each is counted once, wherever the process is killed. That an id is not stored twice is looked
//!    up all the same.
//!
//! Nothing here waits for the disk: a loss of power may cost requests of the last second.
//!
//! A note: `length of the body, 4 bytes │ its CRC-32, 4 bytes │ body: form, then the fields in order`. The
//! ledger's notes have the same head, and other forms.

use super::books::{self, Segment};
use super::place::beside;
use super::requests;
use super::rollup::Rollup;
use super::row::{Consumed, Row, int, uint};
use crate::ledger::journal::{self, Journal, Replayed};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use tollgate_core::cache::CacheUse;
use tollgate_core::exchange::RequestId;
use tollgate_core::ledger::Garbled;
use tollgate_core::units::{Millis, NanoDollars, Time, Tokens};

/// Where the number of the first segment that is not stored stands in `meta`.
const SEGMENT: &str = "requests_segment";

/// The same for the number of the last request of the ledger's journal that is.
const NUMBER: &str = "requests_number";

/// Most bytes that are noted and not stored: they are many only while the database takes nothing and
/// its disk does. Requests beyond wait in memory alone.
pub(super) const MOST: u64 = 256 << 20;

/// The first byte of every body. Another means another form.
const FORM: u8 = 2;

/// The same without what the cache was to a request.
const FORM_BEFORE: u8 = 1;

/// [`FORM`] after a number, in the ledger's journal.
const NUMBERED: u8 = 3;

/// No body is larger.
const LARGEST_BODY: usize = 1 << 24;

/// Of length and check sum.
const HEAD: usize = 8;

/// The journal of the requests of the store at `path`.
pub(super) fn base(path: &Path) -> PathBuf {
    beside(path, ".requests")
}

/// Which noted requests are in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    /// The first segment of which none is.
    pub(super) segment: Segment,
    /// Up to which number all are.
    pub(super) number: u64,
}

/// Stores which are in the database.
pub(super) fn store(connection: &Connection, stored: Stored) -> Result<(), rusqlite::Error> {
    let Stored { segment, number } = stored;
    let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?, ?)")?;
    statement.execute(params![SEGMENT, int(segment.0)])?;
    statement.execute(params![NUMBER, int(number)]).map(drop)
}

/// A number of `meta`; what is not there is zero, and so is what is no number: then requests are told by
/// their ids.
fn noted(connection: &Connection, name: &str) -> Result<u64, rusqlite::Error> {
    let mut statement = connection.prepare("SELECT value FROM meta WHERE name = ?")?;
    let number =
        statement.query_row([name], |row| Ok(row.get::<_, i64>(0).unwrap_or_default())).optional()?;
    Ok(number.map(uint).unwrap_or_default())
}

/// What earlier processes left behind was stored.
#[derive(Debug)]
pub(super) struct Recovered {
    /// To go on with.
    pub(super) journal: Journal,
    /// Of the last request in the ledger's journal.
    pub(super) number: u64,
}

/// Why requests could not be taken up.
#[derive(Debug)]
pub(super) enum Lost {
    /// The database did not take them.
    Database(rusqlite::Error),
    /// Their files cannot be read.
    Files(std::io::Error),
}

impl From<rusqlite::Error> for Lost {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// Stores what an earlier process noted and could not store, and gives the journal to go on with.
pub(super) fn recover(connection: &Connection, path: &Path) -> Result<Recovered, Lost> {
    let base = base(path);
    let from = Segment(noted(connection, SEGMENT)?);
    let Beside { mut rows, number } = beside_the_ledger(connection, path)?;
    let replayed = journal::replay(&base, from, |bytes| {
        let Some(Noted { row, length, number: _ }) = read(bytes)? else { return Ok(None) };
        rows.push(row);
        Ok(Some(length))
    });
    let Replayed { garbled, free, .. } = replayed.map_err(Lost::Files)?;
    garbled.iter().for_each(|what| tracing::error!("requests that were not stored yet: {what}"));
    if free > from || !rows.is_empty() {
        insert(connection, &rows, Stored { segment: free, number })?;
    }
    // Also those that an earlier process was killed before it could delete.
    journal::forget(&base, free).map_err(Lost::Files)?;
    Ok(Recovered { journal: Journal::idle(&base, Segment(free.0.saturating_sub(1))), number })
}

/// Requests of the ledger's journal.
struct Beside {
    /// Those that are not stored.
    rows: Vec<Row>,
    /// Of the last.
    number: u64,
}

/// What is no note there is told and set aside by the ledger, which reads its own after this.
fn beside_the_ledger(connection: &Connection, path: &Path) -> Result<Beside, Lost> {
    let stored = noted(connection, NUMBER)?;
    let books = Segment(noted(connection, books::SEGMENT)?);
    let mut found = Beside { rows: Vec::new(), number: stored };
    let replayed = journal::replay(&journal::of_ledger(path), books, |bytes| {
        if !is_request(bytes) {
            return length(bytes);
        }
        let Some(Noted { row, length, number }) = read(bytes)? else { return Ok(None) };
        if number > stored {
            found.rows.push(row);
            found.number = found.number.max(number);
        }
        Ok(Some(length))
    });
    replayed.map_err(Lost::Files)?;
    Ok(found)
}

fn insert(connection: &Connection, rows: &[Row], noted: Stored) -> Result<(), rusqlite::Error> {
    let transaction = connection.unchecked_transaction()?;
    let mut sums = Rollup::default();
    let (mut ids, mut fresh) = (HashSet::new(), Vec::new());
    for row in rows {
        let mut stored = transaction.prepare_cached("SELECT 1 FROM requests WHERE id = ?")?;
        if ids.insert(row.id) && !stored.exists([row.id.0.to_be_bytes()])? {
            sums.add(row);
            fresh.push(row);
        }
    }
    requests::write(&transaction, &fresh)?;
    sums.write(&transaction)?;
    store(&transaction, noted)?;
    transaction.commit()
}

/// Appends a request's note; in the ledger's journal it has a number.
pub(super) fn write(row: &Row, number: Option<u64>, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    out.push(if number.is_some() { NUMBERED } else { FORM });
    out.extend(number.into_iter().flat_map(u64::to_le_bytes));
    fields(row, &mut Pen { out });
    let (head, body) = out.split_at_mut(start + HEAD);
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    let sum = crc32fast::hash(body).to_le_bytes();
    if let Some(head) = head.get_mut(start..) {
        for (byte, value) in head.iter_mut().zip(length.into_iter().chain(sum)) {
            *byte = value;
        }
    }
}

fn fields(row: &Row, pen: &mut Pen<'_>) {
    let Row {
        id,
        at,
        organisation,
        team,
        user,
        key,
        end_user,
        tags,
        provider,
        model,
        asked,
        surface,
        status,
        fault,
        ending,
        attempts,
        consumed,
        basis,
        cost,
        cost_basis,
        first_byte,
        total,
        cache,
        guardrails,
    } = row;
    pen.out.extend_from_slice(&id.0.to_le_bytes());
    pen.number(at.0);
    for text in [organisation, team, user, end_user, provider, model, fault] {
        pen.maybe_text(text.as_deref());
    }
    for text in [key, asked, surface, ending, basis, cost_basis] {
        pen.text(text);
    }
    pen.number(tags.len() as u64);
    tags.iter().for_each(|tag| pen.text(tag));
    pen.number(u64::from(*status));
    pen.number(u64::from(*attempts));
    pen.maybe(consumed.map(|consumed| consumed.input.get()));
    if let Some(Consumed { input: _, cached, cache_write, output, reasoning }) = consumed {
        for tokens in [cached, cache_write, output] {
            pen.number(tokens.get());
        }
        pen.maybe(reasoning.map(|tokens| tokens.get()));
    }
    pen.maybe(cost.map(|cost| cost.get()));
    pen.maybe(first_byte.map(|wait| wait.0));
    pen.number(total.0);
    pen.text(cache);
    // Of most there are none, and an older program has written none.
    if !guardrails.is_empty() {
        pen.number(guardrails.len() as u64);
        guardrails.iter().for_each(|done| pen.text(done));
    }
}

struct Pen<'a> {
    out: &'a mut Vec<u8>,
}

impl Pen<'_> {
    fn number(&mut self, number: u64) {
        self.out.extend_from_slice(&number.to_le_bytes());
    }

    /// Zero for none.
    fn maybe(&mut self, number: Option<u64>) {
        self.out.push(u8::from(number.is_some()));
        if let Some(number) = number {
            self.number(number);
        }
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
    }

    fn maybe_text(&mut self, text: Option<&str>) {
        self.out.push(u8::from(text.is_some()));
        if let Some(text) = text {
            self.text(text);
        }
    }
}

/// A note that was read.
struct Noted {
    row: Row,
    /// In bytes.
    length: usize,
    /// Zero for none.
    number: u64,
}

/// Whether the first note of the ledger's journal is of a request.
pub(crate) fn is_request(bytes: &[u8]) -> bool {
    bytes.get(HEAD) == Some(&NUMBERED)
}

/// How long the first note is, be it a request's or the ledger's; none where the bytes end within it.
pub(crate) fn length(bytes: &[u8]) -> Result<Option<usize>, Garbled> {
    Ok(body(bytes)?.map(|body| HEAD + body.len()))
}

fn body(bytes: &[u8]) -> Result<Option<&[u8]>, Garbled> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
    let [a, b, c, d, sum @ ..] = *head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    if length == 0 || length > LARGEST_BODY {
        return Err(garbled(&format!("a length of {length} bytes, expected 1 to {LARGEST_BODY}")));
    }
    let Some((body, _)) = rest.split_at_checked(length) else { return Ok(None) };
    if crc32fast::hash(body) != u32::from_le_bytes(sum) {
        return Err(garbled("the check sum is not that of the content"));
    }
    Ok(Some(body))
}

/// Reads the first note; none where the bytes end within it.
fn read(bytes: &[u8]) -> Result<Option<Noted>, Garbled> {
    let Some(body) = body(bytes)? else { return Ok(None) };
    let mut eye = Eye { rest: body };
    let (form, number) = match eye.byte()? {
        NUMBERED => (FORM, eye.number()?),
        form @ (FORM | FORM_BEFORE) => (form, 0),
        other => return Err(garbled(&format!("form {other}, expected {FORM}"))),
    };
    Ok(Some(Noted { row: eye.row(form)?, length: HEAD + body.len(), number }))
}

fn garbled(what: &str) -> Garbled {
    Garbled { what: what.to_owned() }
}

struct Eye<'a> {
    rest: &'a [u8],
}

impl<'a> Eye<'a> {
    fn row(&mut self, form: u8) -> Result<Row, Garbled> {
        let id = RequestId(u128::from_le_bytes(self.chunk()?));
        let at = Time(self.number()?);
        let (organisation, team, user) = (self.maybe_text()?, self.maybe_text()?, self.maybe_text()?);
        let (end_user, provider, model) = (self.maybe_text()?, self.maybe_text()?, self.maybe_text()?);
        let fault = self.maybe_text()?;
        let (key, asked, surface) = (self.text()?, self.text()?, self.text()?);
        let (ending, basis, cost_basis) = (self.text()?, self.text()?, self.text()?);
        let tags = (0..self.number()?).map(|_| self.text()).collect::<Result<_, _>>()?;
        let status = u16::try_from(self.number()?).map_err(|_| garbled("a status that is none"))?;
        let attempts = u32::try_from(self.number()?).map_err(|_| garbled("too many attempts"))?;
        let consumed = match self.maybe()? {
            None => None,
            Some(input) => Some(Consumed {
                input: Tokens(input),
                cached: Tokens(self.number()?),
                cache_write: Tokens(self.number()?),
                output: Tokens(self.number()?),
                reasoning: self.maybe()?.map(Tokens),
            }),
        };
        let (cost, first_byte) = (self.maybe()?.map(NanoDollars), self.maybe()?.map(Millis));
        let total = Millis(self.number()?);
        let cache = if form == FORM_BEFORE { CacheUse::Off.word().to_owned() } else { self.text()? };
        let guardrails = if self.rest.is_empty() { 0 } else { self.number()? };
        let guardrails = (0..guardrails).map(|_| self.text()).collect::<Result<_, _>>()?;
        Ok(Row {
            id,
            at,
            organisation,
            team,
            user,
            key,
            end_user,
            tags,
            provider,
            model,
            asked,
            surface,
            status,
            fault,
            ending,
            attempts,
            consumed,
            basis,
            cost,
            cost_basis,
            first_byte,
            total,
            cache,
            guardrails,
        })
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Garbled> {
        let (chunk, rest) = self.rest.split_first_chunk().ok_or_else(|| garbled("the end is missing"))?;
        self.rest = rest;
        Ok(*chunk)
    }

    fn byte(&mut self) -> Result<u8, Garbled> {
        self.chunk().map(|[byte]| byte)
    }

    fn number(&mut self) -> Result<u64, Garbled> {
        self.chunk().map(u64::from_le_bytes)
    }

    fn maybe(&mut self) -> Result<Option<u64>, Garbled> {
        if self.is_there()? { self.number().map(Some) } else { Ok(None) }
    }

    fn text(&mut self) -> Result<String, Garbled> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        let (text, rest) = self.rest.split_at_checked(length).ok_or_else(|| garbled("the end is missing"))?;
        self.rest = rest;
        String::from_utf8(text.to_vec()).map_err(|_| garbled("a text that is no UTF-8"))
    }

    fn maybe_text(&mut self) -> Result<Option<String>, Garbled> {
        if self.is_there()? { self.text().map(Some) } else { Ok(None) }
    }

    fn is_there(&mut self) -> Result<bool, Garbled> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(garbled(&format!("a mark {other}, expected 0 or 1"))),
        }
    }
}

#[cfg(test)]
mod tests;
