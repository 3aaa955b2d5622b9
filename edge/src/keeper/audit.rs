//! The audit log: who did what, each line sealed with the one before.

use super::{Statement, entities};
use crate::office::Unkept;
use crate::sql::{Failed, Row, Sql, Value};
use bytes::Bytes;
use tollgate_core::api::audit::{BEGINNING, Chain, Gap, seal};
use tollgate_core::api::{AuditLine, AuditQuery, Change, Deed};
use tollgate_core::units::Time;

/// Most lines of one answer.
const LARGEST_PAGE: u32 = 1000;

const COLUMNS: &str = "seq, at, actor, action, subject, before, after, seal";

const COMMIT: &str = "INSERT INTO commits (seq, at, actor, action, subject, before, after, seal, changes)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";

/// The last line.
pub(super) struct Head {
    pub(super) number: u64,
    seal: [u8; 32],
}

pub(super) async fn head<S: Sql>(sql: &S) -> Result<Head, Failed> {
    let rows = sql.run("SELECT seq, seal FROM audit ORDER BY seq DESC LIMIT 1", Vec::new()).await?;
    Ok(match rows.into_iter().next() {
        None => Head { number: 0, seal: BEGINNING },
        Some(mut row) => Head { number: row.number().unwrap_or_default(), seal: read_seal(row.text()) },
    })
}

/// Adds a line and makes its changes. Whoever was first with this number wins.
pub(super) async fn commit<S: Sql>(
    sql: &S,
    on: Option<u64>,
    changes: &[Change],
    deed: &Deed,
) -> Result<(), Unkept> {
    let Head { number, seal: last } = head(sql).await?;
    if on.is_some_and(|on| on != number) {
        return Err(Unkept::Behind);
    }
    let Deed { at, actor, action, subject, before, after } = deed;
    let spec = |spec: &Option<Bytes>| {
        Value::from(spec.as_ref().map(|spec| String::from_utf8_lossy(spec).into_owned()))
    };
    let values = vec![
        (number + 1).into(),
        at.0.into(),
        actor.as_str().into(),
        action.as_str().into(),
        subject.as_str().into(),
        spec(before),
        spec(after),
        Value::Text(hex(&seal(&last, deed))),
        entities::written(changes),
    ];
    match sql.run(COMMIT, values).await {
        Ok(_) => Ok(()),
        Err(Failed(why)) if why.contains("UNIQUE") && why.contains("audit") => Err(Unkept::Behind),
        Err(failed) => Err(failed.into()),
    }
}

pub(super) fn plan(query: &AuditQuery) -> Statement {
    let AuditQuery { actor, action, subject, after, limit } = query;
    let mut conditions = vec!["seq < ?"];
    let mut values = vec![after.map_or(Value::Integer(crate::sql::LARGEST), Value::from)];
    let mut index = None;
    let filters = [
        (subject, "subject = ?", "audit_by_subject"),
        (actor, "actor = ?", "audit_by_actor"),
        (action, "action = ?", "audit_by_action"),
    ];
    for (wanted, condition, its) in filters {
        if let Some(wanted) = wanted {
            conditions.push(condition);
            values.push(wanted.as_str().into());
            index = index.or(Some(its));
        }
    }
    let index = index.map(|name| format!(" INDEXED BY {name}")).unwrap_or_default();
    values.push(u64::from((*limit).min(LARGEST_PAGE)).into());
    let conditions = conditions.join(" AND ");
    let text = format!("SELECT {COLUMNS} FROM audit{index} WHERE {conditions} ORDER BY seq DESC LIMIT ?");
    Statement { text, values }
}

pub(super) fn read(mut row: Row) -> AuditLine {
    let number = row.number().unwrap_or_default();
    let at = Time(row.number().unwrap_or_default());
    let mut text = || row.text().unwrap_or_default();
    let (actor, action, subject) = (text(), text(), text());
    let (before, after) = (row.text().map(Bytes::from), row.text().map(Bytes::from));
    let deed = Deed { at, actor, action, subject, before, after };
    AuditLine { number, deed, seal: read_seal(row.text()) }
}

/// Seals every line anew and compares. That lines are missing at the end does not show here: keep a seal
/// elsewhere for that.
pub(super) async fn check<S: Sql>(sql: &S) -> Result<Result<u64, Gap>, Failed> {
    let mut chain = Chain::default();
    loop {
        let text = format!("SELECT {COLUMNS} FROM audit WHERE seq > ? ORDER BY seq LIMIT 500");
        let rows = sql.run(&text, vec![chain.lines().into()]).await?;
        if rows.is_empty() {
            return Ok(Ok(chain.lines()));
        }
        for row in rows {
            if let Err(gap) = chain.next(&read(row)) {
                return Ok(Err(gap));
            }
        }
    }
}

fn hex(bytes: &[u8; 32]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is none is no seal of any line.
fn read_seal(text: Option<String>) -> [u8; 32] {
    let text = text.unwrap_or_default();
    let mut seal = [0; 32];
    for (byte, place) in seal.iter_mut().zip((0..64).step_by(2)) {
        *byte = text.get(place..place + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or(0xff);
    }
    seal
}
