//! The platform's SQLite, by edge's words.

use spin_sdk::sqlite::{self, Connection};
use std::rc::Rc;
use tollgate_edge::sql::{Failed, Row, Sql, Value};

/// The default database. Clones are the same connection.
#[derive(Clone)]
pub(crate) struct Sqlite(Rc<Connection>);

/// Why there is none.
pub(crate) enum Closed {
    /// The manifest gives the component none.
    NotGranted,
    /// It cannot be opened now.
    Failed(String),
}

impl Sqlite {
    /// Opens it.
    pub(crate) async fn open() -> Result<Self, Closed> {
        match Connection::open_default().await {
            Ok(connection) => Ok(Self(Rc::new(connection))),
            Err(sqlite::Error::NoSuchDatabase | sqlite::Error::AccessDenied) => Err(Closed::NotGranted),
            Err(error) => Err(Closed::Failed(words(error).0)),
        }
    }
}

impl Sql for Sqlite {
    async fn run(&self, text: &str, values: Vec<Value>) -> Result<Vec<Row>, Failed> {
        let result = self.0.execute(text, values.into_iter().map(bound)).await.map_err(words)?;
        let rows = result.collect().await.map_err(words)?;
        Ok(rows.into_iter().map(|row| row.values.into_iter().map(found).collect()).collect())
    }
}

impl crate::ledger::Waiting for Sqlite {
    async fn pause(&self, span: std::time::Duration) {
        spin_sdk::time::sleep(span).await;
    }
}

fn bound(value: Value) -> sqlite::Value {
    match value {
        Value::Null => sqlite::Value::Null,
        Value::Integer(number) => sqlite::Value::Integer(number),
        Value::Text(text) => sqlite::Value::Text(text),
        Value::Blob(bytes) => sqlite::Value::Blob(bytes),
    }
}

fn found(value: sqlite::Value) -> Value {
    match value {
        sqlite::Value::Integer(number) => Value::Integer(number),
        // Nothing of ours is stored as one.
        #[expect(clippy::cast_possible_truncation, reason = "a sum of whole numbers that SQLite made real")]
        sqlite::Value::Real(number) => Value::Integer(number as i64),
        sqlite::Value::Text(text) => Value::Text(text),
        sqlite::Value::Blob(bytes) => Value::Blob(bytes),
        sqlite::Value::Null => Value::Null,
    }
}

fn words(error: sqlite::Error) -> Failed {
    Failed(match error {
        sqlite::Error::NoSuchDatabase | sqlite::Error::AccessDenied => "there is no database".to_owned(),
        sqlite::Error::InvalidConnection => "the connection is gone".to_owned(),
        sqlite::Error::DatabaseFull => "the database is full".to_owned(),
        sqlite::Error::Io(why) => why.chars().take(300).collect(),
    })
}
