//! An entry as it stands on the board: `key/ci` and `{"at":…,"by":…,"spec":…}`.

use crate::store::entities::named;
use crate::store::stamps::{Stamp, Stamped};
use bytes::Bytes;
use serde_json::Value;
use tollgate_core::api::Change;
use tollgate_core::units::Time;

/// The latest moment that the server's numbers hold exactly.
const LATEST: u64 = 1 << 53;

/// Names it.
pub(super) fn field(change: &Change) -> String {
    format!("{}/{}", change.kind.name(), change.name)
}

/// Writes it. Begins with the stamp, since that is where the server's script looks for it.
pub(super) fn written(stamped: &Stamped) -> Vec<u8> {
    let Stamped { change, stamp: Stamp { at, by } } = stamped;
    let spec = change.spec.as_deref().unwrap_or(b"null");
    let mut text = format!("{{\"at\":{},\"by\":\"{by}\",\"spec\":", at.0).into_bytes();
    text.extend_from_slice(spec);
    text.push(b'}');
    text
}

/// Reads it. The error says what is wrong, without what stands there.
pub(super) fn read(field: &[u8], value: &[u8]) -> Result<Stamped, String> {
    let shown = String::from_utf8_lossy(field);
    let wrong = |what: &str| format!("{shown}: {what}");
    let (kind, name) = shown.split_once('/').ok_or_else(|| wrong("expected kind/name"))?;
    let kind = named(kind).ok_or_else(|| wrong("a kind this program does not know"))?;
    let value: Value = serde_json::from_slice(value).map_err(|_| wrong("is no JSON"))?;
    let at = value.get("at").and_then(Value::as_u64).filter(|at| *at <= LATEST);
    let at = Time(at.ok_or_else(|| wrong("at: expected milliseconds since 1970"))?);
    let by = value.get("by").and_then(Value::as_str).filter(|by| !by.is_empty());
    let by = by.ok_or_else(|| wrong("by: expected a gateway"))?.to_owned();
    let spec = match value.get("spec") {
        Some(Value::Null) => None,
        Some(spec @ Value::Object(_)) => Some(Bytes::from(spec.to_string())),
        _ => return Err(wrong("spec: expected an object, or null")),
    };
    Ok(Stamped { change: Change { kind, name: name.to_owned(), spec }, stamp: Stamp { at, by } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::api::Kind;

    fn stamped(name: &str, spec: Option<&'static str>) -> Stamped {
        let change = Change { kind: Kind::Key, name: name.to_owned(), spec: spec.map(Bytes::from) };
        Stamped { change, stamp: Stamp { at: Time(17), by: "g1".to_owned() } }
    }

    #[test]
    fn what_is_written_is_read_to_the_byte() {
        for entry in [stamped("a/b", Some(r#"{"z":1.50,"a":{"b":[]}}"#)), stamped("ci", None)] {
            let field = field(&entry.change);
            assert_eq!(read(field.as_bytes(), &written(&entry)), Ok(entry));
        }
    }

    #[test]
    fn what_is_wrong_with_an_entry_is_told_without_its_content() {
        for (field, value, what) in [
            ("ci", r#"{"at":1,"by":"g","spec":{}}"#, "kind/name"),
            ("moon/ci", r#"{"at":1,"by":"g","spec":{}}"#, "a kind"),
            ("key/ci", "hush", "no JSON"),
            ("key/ci", r#"{"at":-1,"by":"g","spec":{"hush":1}}"#, "at:"),
            ("key/ci", r#"{"at":18446744073709551615,"by":"g","spec":{"hush":1}}"#, "at:"),
            ("key/ci", r#"{"at":1,"by":"","spec":{"hush":1}}"#, "by:"),
            ("key/ci", r#"{"at":1,"by":"g","spec":"hush"}"#, "spec:"),
        ] {
            let error = read(field.as_bytes(), value.as_bytes()).unwrap_err();
            assert!(error.contains(what) && !error.contains("hush"), "{error}");
        }
    }
}
