//! Who there is, as the admin API left it; and what could not be understood.

use super::row::int;
use bytes::Bytes;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, params, params_from_iter};
use tollgate_core::api::{Change, Kind};
use tollgate_core::directory::HolderKind;
use tollgate_core::json::{self, Tape};
use tollgate_core::units::Time;

/// Something stored that could not be understood. It is kept out of the way, with the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Where it was.
    pub origin: Origin,
    /// What it was called, as far as that could be read.
    pub name: String,
    /// What is wrong with it.
    pub why: String,
}

/// Where something stored was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Among who there is, as one of this kind; in the word that stands there, since it need not be
    /// one we know.
    Entity(String),
    /// Among the ledger's accounts.
    Account,
    /// Among the ledger's open entries.
    OpenEntry,
}

impl Origin {
    /// Its word.
    pub(super) fn word(&self) -> &str {
        match self {
            Self::Entity(kind) => kind,
            Self::Account => "account",
            Self::OpenEntry => "open entry",
        }
    }
}

/// Makes a change.
pub(super) fn write(connection: &Connection, change: &Change) -> Result<(), rusqlite::Error> {
    let Change { kind, name, spec } = change;
    match spec {
        Some(spec) => connection
            .prepare_cached("INSERT OR REPLACE INTO entities VALUES (?, ?, ?)")?
            .execute(params![kind.name(), name, String::from_utf8_lossy(spec)])?,
        None => connection
            .prepare_cached("DELETE FROM entities WHERE kind = ? AND name = ?")?
            .execute(params![kind.name(), name])?,
    };
    Ok(())
}

/// What was found among the entities.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) entities: Vec<Change>,
    pub(super) malformed: Vec<Malformed>,
}

/// A malformed row, and what exactly stands in the columns that name it.
#[derive(Debug)]
pub(super) struct Malformed {
    pub(super) what: SetAside,
    pub(super) names: Vec<Value>,
}

/// Reads all of them.
pub(super) fn read(connection: &Connection) -> Result<Read, rusqlite::Error> {
    let mut found = Read::default();
    let mut statement = connection.prepare("SELECT kind, name, spec FROM entities ORDER BY kind, name")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match understood(row.get_ref(0)?, row.get_ref(1)?, row.get_ref(2)?) {
            Ok(change) => found.entities.push(change),
            Err(why) => {
                let origin = Origin::Entity(shown(row.get_ref(0)?));
                let what = SetAside { origin, name: shown(row.get_ref(1)?), why };
                found.malformed.push(Malformed { what, names: vec![row.get(0)?, row.get(1)?] });
            }
        }
    }
    Ok(found)
}

/// How one of them stands now; without a spec if it is not there.
pub(super) fn one(connection: &Connection, kind: Kind, name: &str) -> Result<Change, rusqlite::Error> {
    let gone = || Change { kind, name: name.to_owned(), spec: None };
    let mut statement =
        connection.prepare_cached("SELECT kind, name, spec FROM entities WHERE kind = ? AND name = ?")?;
    let mut rows = statement.query(params![kind.name(), name])?;
    let Some(row) = rows.next()? else { return Ok(gone()) };
    Ok(understood(row.get_ref(0)?, row.get_ref(1)?, row.get_ref(2)?).unwrap_or_else(|why| {
        tracing::error!(kind = kind.name(), name, why, "a stored entry is malformed and left out");
        gone()
    }))
}

fn understood(kind: ValueRef<'_>, name: ValueRef<'_>, spec: ValueRef<'_>) -> Result<Change, String> {
    let kind = text(kind).ok_or("kind: expected a text")?;
    let kind = named(kind)
        .ok_or_else(|| format!("kind: {kind:?} is unknown, expected organisation, team, user, tag or key"))?;
    let name = text(name).filter(|name| !name.is_empty()).ok_or("name: expected a text that is not empty")?;
    let spec = text(spec).ok_or("spec: expected a text")?;
    // There may be a hundred thousand: whoever takes them up builds values of them, here they are only
    // looked through.
    let is_object = Tape::parse(spec.as_bytes()).is_ok_and(|tape| tape.root().kind() == json::Kind::Object);
    if !is_object {
        check_object(spec)?;
    }
    Ok(Change { kind, name: name.to_owned(), spec: Some(Bytes::copy_from_slice(spec.as_bytes())) })
}

fn check_object(spec: &str) -> Result<(), String> {
    match serde_json::from_str::<serde_json::Value>(spec) {
        Ok(serde_json::Value::Object(_)) => Ok(()),
        Ok(_) => Err("spec: expected a JSON object".to_owned()),
        Err(error) => Err(format!("spec: is no JSON, line {} column {}", error.line(), error.column())),
    }
}

/// The kind of this word.
pub(crate) fn named(word: &str) -> Option<Kind> {
    let kinds = HolderKind::ALL.into_iter().map(Kind::Holder).chain([Kind::Key]);
    kinds.into_iter().find(|kind| kind.name() == word)
}

fn text(value: ValueRef<'_>) -> Option<&str> {
    value.as_str().ok()
}

pub(super) fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// Moves something out of the way that is stored under its name.
pub(super) fn set_aside(connection: &Connection, what: &SetAside, now: Time) -> Result<(), rusqlite::Error> {
    let name = Value::Text(what.name.clone());
    let names = match &what.origin {
        Origin::Entity(kind) => vec![Value::Text(kind.clone()), name],
        Origin::Account => vec![name],
        Origin::OpenEntry => {
            let id = u128::from_str_radix(&what.name, 16).unwrap_or_default();
            vec![Value::Blob(id.to_be_bytes().to_vec())]
        }
    };
    move_aside(connection, what, &names, now)
}

/// Moves a row out of the way.
pub(super) fn move_aside(
    connection: &Connection,
    what: &SetAside,
    names: &[Value],
    now: Time,
) -> Result<(), rusqlite::Error> {
    let SetAside { origin, name, why } = what;
    let (table, content, which) = match origin {
        Origin::Entity(_) => ("entities", "spec", "kind = ? AND name = ?"),
        Origin::Account => ("accounts", "state", "scope = ?"),
        Origin::OpenEntry => ("open_entries", "state", "id = ?"),
    };
    let told = [Value::Integer(int(now.0)), Value::Text(origin.word().to_owned()), Value::Text(name.clone())];
    let why = Value::Text(why.clone());
    connection.execute(
        &format!(
            "INSERT INTO set_aside (at, origin, name, why, content)
             SELECT ?, ?, ?, ?, {content} FROM {table} WHERE {which}"
        ),
        params_from_iter(told.iter().chain([&why]).chain(names)),
    )?;
    connection.execute(&format!("DELETE FROM {table} WHERE {which}"), params_from_iter(names))?;
    Ok(())
}
