//! Reading and writing JSON fields without asking first whether they are there.

use serde_json::Value;

static NULL: Value = Value::Null;

/// Field access that cannot fail.
pub(crate) trait Fields {
    /// The field of an object; `null` when it is missing or this is no object.
    fn at(&self, name: &str) -> &Value;

    /// Sets a field of an object; does nothing to any other value.
    fn set(&mut self, name: &str, value: Value);
}

impl Fields for Value {
    fn at(&self, name: &str) -> &Value {
        self.get(name).unwrap_or(&NULL)
    }

    fn set(&mut self, name: &str, value: Value) {
        if let Some(fields) = self.as_object_mut() {
            fields.insert(name.to_owned(), value);
        }
    }
}
