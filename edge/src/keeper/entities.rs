//! Who there is, as the admin API left it.

use super::Stored;
use super::audit;
use crate::sql::{Failed, Row, Sql, Value};
use bytes::Bytes;
use serde_json::json;
use tollgate_core::api::{Change, Kind};
use tollgate_core::directory::HolderKind;

/// Rows of one answer.
const BATCH: usize = 500;

/// Whether a key was ever made. By the index on subjects: `;` comes after `:`.
const HAD_KEYS: &str = "SELECT 1 FROM audit INDEXED BY audit_by_subject
    WHERE subject >= 'key:' AND subject < 'key;' LIMIT 1";

const AFTER: &str = "SELECT kind, name, spec FROM entities
    WHERE (kind, name) > (?, ?) ORDER BY kind, name LIMIT 500";

/// All of them. What is of no known kind is left out: a newer gateway has put it there.
pub(super) async fn all<S: Sql>(sql: &S) -> Result<Stored, Failed> {
    // First: whatever is committed while the rest is read is then read again.
    let version = audit::head(sql).await?.number;
    let had_keys = !sql.run(HAD_KEYS, Vec::new()).await?.is_empty();
    let mut entities = Vec::new();
    let (mut kind, mut name) = (String::new(), String::new());
    loop {
        let rows = sql.run(AFTER, vec![Value::Text(kind.clone()), Value::Text(name.clone())]).await?;
        let last = rows.len() < BATCH;
        for mut row in rows {
            (kind, name) = (row.text().unwrap_or_default(), row.text().unwrap_or_default());
            entities.extend(change(&kind, &name, row));
        }
        if last {
            return Ok(Stored { entities, version, had_keys });
        }
    }
}

fn change(kind: &str, name: &str, mut row: Row) -> Option<Change> {
    let kind = named(kind)?;
    Some(Change { kind, name: name.to_owned(), spec: Some(Bytes::from(row.text()?)) })
}

/// The kind of this word.
pub(super) fn named(word: &str) -> Option<Kind> {
    let kinds = HolderKind::ALL.into_iter().map(Kind::Holder).chain([Kind::Key]);
    kinds.into_iter().find(|kind| kind.name() == word)
}

/// Changes as the trigger takes them up.
pub(super) fn written(changes: &[Change]) -> Value {
    let changes: Vec<serde_json::Value> = changes.iter().map(spelled).collect();
    Value::Text(serde_json::Value::from(changes).to_string())
}

/// A change as JSON.
pub(super) fn spelled(Change { kind, name, spec }: &Change) -> serde_json::Value {
    let spec = spec.as_ref().map(|spec| String::from_utf8_lossy(spec).into_owned());
    json!({ "kind": kind.name(), "name": name, "spec": spec })
}

/// A change that was spelled so. One of no known kind is none: a newer gateway has written it.
pub(super) fn spelt(json: &serde_json::Value) -> Option<Change> {
    let text = |field: &str| json.get(field)?.as_str().map(str::to_owned);
    let (kind, name) = (named(&text("kind")?)?, text("name")?);
    Some(Change { kind, name, spec: text("spec").map(Bytes::from) })
}
