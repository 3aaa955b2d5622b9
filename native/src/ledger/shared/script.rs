//! Calls to the ledger's scripts, as they are sent.

use redis::{Cmd, Value};
use tollgate_redis_ledger::answered::Item;
pub(crate) use tollgate_redis_ledger::script::{Call, Script, What};

/// As a call is sent first.
pub(super) fn command(call: &Call) -> Cmd {
    match call.what {
        What::Script(script) => with_script(call, "EVALSHA", &script.digest),
        What::Command(name) => {
            let mut command = redis::cmd(name);
            command.arg(&call.keys).arg(&call.args);
            command
        }
    }
}

/// As it is sent to a server that does not know the script; it does then.
pub(super) fn with_text(call: &Call) -> Option<Cmd> {
    match call.what {
        What::Script(script) => Some(with_script(call, "EVAL", script.text)),
        What::Command(_) => None,
    }
}

fn with_script(call: &Call, verb: &str, script: &str) -> Cmd {
    let mut command = redis::cmd(verb);
    command.arg(script).arg(call.keys.len()).arg(&call.keys).arg(&call.args);
    command
}

/// What was answered, lists in lists as one.
pub(super) fn items(value: &Value) -> Vec<Item<'_>> {
    let Value::Array(values) = value else { return Vec::new() };
    let mut all = Vec::with_capacity(values.len());
    for value in values {
        if let Value::Array(_) = value { all.extend(items(value)) } else { all.push(item(value)) }
    }
    all
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a type of another crate, of which scripts give two kinds"
)]
fn item(value: &Value) -> Item<'_> {
    match value {
        Value::Int(number) => Item::Number(*number),
        Value::BulkString(bytes) => Item::Text(bytes),
        _ => Item::Other,
    }
}

/// A text, if it is one.
pub(super) fn text(value: &Value) -> Option<&str> {
    let Value::BulkString(bytes) = value else { return None };
    std::str::from_utf8(bytes).ok()
}
