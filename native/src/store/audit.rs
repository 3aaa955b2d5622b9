//! The audit log: who did what, each line sealed with the one before.

use super::row::{int, uint};
use bytes::Bytes;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
pub use tollgate_core::api::AuditQuery;
use tollgate_core::api::Deed;
use tollgate_core::units::Time;

/// From the hash of the line before and a line, the hash of that line. Before the first stand zeros.
pub type Seal = fn(&[u8; 32], &Deed) -> [u8; 32];

/// Most lines of one answer.
pub const LARGEST_PAGE: u32 = 1000;

/// Lines that are checked in one go.
const BATCH: u32 = 1000;

/// A line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Counts from one, without a gap.
    pub seq: u64,
    /// What was done.
    pub deed: Deed,
    /// Covers this line and all before.
    pub hash: [u8; 32],
}

/// Whether the audit log is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// So many lines, each where it belongs and as it was written.
    Whole(u64),
    /// The first line that is missing or was changed.
    BrokenAt(u64),
}

const COLUMNS: &str = "seq, at, actor, action, subject, before, after, hash";

/// The last line's number and hash; zeros before the first.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    seq: u64,
    hash: [u8; 32],
}

/// Where the number of the last line stands in `meta`, so that lines taken off the end are missed.
const LAST: &str = "audit_last";

/// The number of the last line that was ever written, as far as it was noted.
fn noted(connection: &Connection) -> Result<u64, rusqlite::Error> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = ?")?;
    // What is no number tells nothing.
    let last = statement.query_row([LAST], |row| Ok(row.get(0).map(uint).unwrap_or_default())).optional()?;
    Ok(last.unwrap_or_default())
}

/// Adds a line.
pub(super) fn write(connection: &Connection, seal: Seal, deed: &Deed) -> Result<(), rusqlite::Error> {
    let mut last = connection.prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?;
    // A hash that is none goes on as zeros, and shows as a break.
    let head =
        |row: &rusqlite::Row<'_>| Ok(Head { seq: uint(row.get(0)?), hash: row.get(1).unwrap_or_default() });
    let last = last.query_row([], head).optional()?;
    let last = last.unwrap_or_default();
    // A number that was given once is not given again.
    let seq = int(last.seq.max(noted(connection)?) + 1);
    let mut insert = connection.prepare_cached("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
    let Deed { at, actor, action, subject, before, after } = deed;
    insert.execute(params![
        seq,
        int(at.0),
        actor,
        action,
        subject,
        before.as_deref().map(String::from_utf8_lossy),
        after.as_deref().map(String::from_utf8_lossy),
        seal(&last.hash, deed)
    ])?;
    connection.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?, ?)")?.execute(params![LAST, seq])?;
    Ok(())
}

/// A page of the log.
pub(super) fn page(connection: &Connection, query: &AuditQuery) -> Result<Vec<Line>, rusqlite::Error> {
    let (text, values) = plan(query);
    let mut statement = connection.prepare_cached(&text)?;
    statement.query_map(params_from_iter(values), line)?.collect()
}

pub(super) fn plan(query: &AuditQuery) -> (String, Vec<Value>) {
    let AuditQuery { actor, action, subject, after, limit } = query;
    let mut conditions = vec!["seq < ?"];
    let mut values = vec![Value::Integer(after.map_or(i64::MAX, int))];
    let mut index = None;
    let filters = [
        (subject, "subject = ?", "audit_by_subject"),
        (actor, "actor = ?", "audit_by_actor"),
        (action, "action = ?", "audit_by_action"),
    ];
    for (wanted, condition, its) in filters {
        if let Some(wanted) = wanted {
            conditions.push(condition);
            values.push(Value::Text(wanted.clone()));
            index = index.or(Some(its));
        }
    }
    let index = index.map(|name| format!(" INDEXED BY {name}")).unwrap_or_default();
    values.push(Value::Integer(i64::from((*limit).min(LARGEST_PAGE))));
    let conditions = conditions.join(" AND ");
    (format!("SELECT {COLUMNS} FROM audit{index} WHERE {conditions} ORDER BY seq DESC LIMIT ?"), values)
}

fn line(row: &rusqlite::Row<'_>) -> Result<Line, rusqlite::Error> {
    let text = |name| Ok::<_, rusqlite::Error>(row.get::<_, Option<String>>(name)?.map(Bytes::from));
    Ok(Line {
        seq: uint(row.get("seq")?),
        deed: Deed {
            at: Time(uint(row.get("at")?)),
            actor: row.get("actor")?,
            action: row.get("action")?,
            subject: row.get("subject")?,
            before: text("before")?,
            after: text("after")?,
        },
        hash: row.get("hash")?,
    })
}

/// Seals every line anew and compares. Whoever takes lines off the end and puts the number that is noted of
/// the last one right, too, is not seen here: keep a hash elsewhere for that.
pub(super) fn check(connection: &Connection, seal: Seal) -> Result<Chain, rusqlite::Error> {
    let mut head = Head::default();
    let mut next = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM audit WHERE seq > ? ORDER BY seq LIMIT ?"))?;
    loop {
        let lines: Vec<Line> =
            next.query_map(params![int(head.seq), BATCH], line)?.collect::<Result<_, _>>()?;
        if lines.is_empty() {
            return Ok(match noted(connection)? > head.seq {
                true => Chain::BrokenAt(head.seq + 1),
                false => Chain::Whole(head.seq),
            });
        }
        for Line { seq, deed, hash } in lines {
            let due = head.seq + 1;
            if seq != due || hash != seal(&head.hash, &deed) {
                return Ok(Chain::BrokenAt(due));
            }
            head = Head { seq, hash };
        }
    }
}
