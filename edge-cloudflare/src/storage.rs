//! SQL of a Durable Object: its own, and another's by asking it.

use crate::ledger::{Lost, Way};
use serde_json::{Value as Json, json};
use tollgate_edge::sql::{Failed, Row, Sql, Value};
use worker::{SqlStorage, SqlStorageValue};

/// An object's own SQL. Nothing here waits, so whatever an object does by it alone is done in one go.
#[derive(Clone, Debug)]
pub(crate) struct Local(pub(crate) SqlStorage);

impl Sql for Local {
    async fn run(&self, text: &str, values: Vec<Value>) -> Result<Vec<Row>, Failed> {
        let values: Vec<SqlStorageValue> = values.into_iter().map(bound).collect();
        let failed = |error: worker::Error| Failed(error.to_string());
        let cursor = self.0.exec(text, values).map_err(failed)?;
        cursor.raw().map(|row| row.map_err(failed)?.into_iter().map(read).collect()).collect()
    }
}

fn bound(value: Value) -> SqlStorageValue {
    match value {
        Value::Null => SqlStorageValue::Null,
        Value::Integer(number) => SqlStorageValue::Integer(number),
        Value::Text(text) => SqlStorageValue::String(text),
        Value::Blob(bytes) => SqlStorageValue::Blob(bytes),
    }
}

fn read(value: SqlStorageValue) -> Result<Value, Failed> {
    match value {
        SqlStorageValue::Null => Ok(Value::Null),
        SqlStorageValue::Boolean(truth) => Ok(Value::Integer(i64::from(truth))),
        SqlStorageValue::Integer(number) => Ok(Value::Integer(number)),
        SqlStorageValue::String(text) => Ok(Value::Text(text)),
        SqlStorageValue::Blob(bytes) => Ok(Value::Blob(bytes)),
        SqlStorageValue::Float(_) => Err(Failed("a number that is not whole".to_owned())),
    }
}

/// The SQL of another object, for questions.
#[derive(Clone, Debug)]
pub(crate) struct Elsewhere(pub(crate) Way);

impl Sql for Elsewhere {
    async fn run(&self, text: &str, values: Vec<Value>) -> Result<Vec<Row>, Failed> {
        let lost = |Lost(why): Lost| Failed(why);
        let question = json!({ "text": text, "values": written(values) });
        let answer = self.0.post("/sql", question.to_string().into_bytes()).await.map_err(lost)?;
        let rows: Vec<Vec<Json>> = serde_json::from_slice(&answer)
            .map_err(|error| Failed(format!("an answer in no form: {error}")))?;
        Ok(rows.into_iter().map(|row| row.into_iter().map(value).collect()).collect())
    }
}

/// A statement that came from another object, and its rows.
pub(crate) async fn answer(local: &Local, question: &[u8]) -> Result<Vec<u8>, Failed> {
    let question: Json = serde_json::from_slice(question)
        .map_err(|error| Failed(format!("a question in no form: {error}")))?;
    let text = question.get("text").and_then(Json::as_str).unwrap_or_default();
    let values = question.get("values").map(line).unwrap_or_default();
    let rows = local.run(text, values).await?;
    let rows: Vec<Json> = rows.into_iter().map(|row| written(row.into_iter().collect())).collect();
    Ok(Json::from(rows).to_string().into_bytes())
}

/// Values as JSON. Bytes are asked for by nobody.
pub(crate) fn written(values: Vec<Value>) -> Json {
    let one = |value| match value {
        Value::Null | Value::Blob(_) => Json::Null,
        Value::Integer(number) => Json::from(number),
        Value::Text(text) => Json::from(text),
    };
    values.into_iter().map(one).collect()
}

/// Values from JSON.
pub(crate) fn line(values: &Json) -> Vec<Value> {
    values.as_array().into_iter().flatten().cloned().map(value).collect()
}

fn value(json: Json) -> Value {
    match json {
        Json::String(text) => Value::Text(text),
        Json::Number(number) => number.as_i64().map_or(Value::Null, Value::Integer),
        Json::Bool(truth) => Value::Integer(i64::from(truth)),
        Json::Null | Json::Array(_) | Json::Object(_) => Value::Null,
    }
}
