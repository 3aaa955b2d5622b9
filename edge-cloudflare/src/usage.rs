//! Records of requests for those who look at them elsewhere: Analytics Engine, or a queue.
//!
//! | binding | kind | what it gets |
//! |---|---|---|
//! | `USAGE` | Analytics Engine | a data point for each request |
//! | `USAGE_QUEUE` | queue | a message for each request, the row as JSON |
//!
//! Sums by day are in the books either way. Where one of these is bound, the books keep requests one by one
//! for an hour only.

use crate::bound::{Binding, Bound, POINTS, QUEUE, USAGE};
use crate::glue;
use crate::isolate::Isolate;
use tollgate_core::row::Row;
use wasm_bindgen::JsValue;
use worker::{Context, Env, console_error};

/// Whether records go anywhere else.
pub(crate) fn is_bound(env: &Env) -> bool {
    let bound = Isolate::here().bound(env);
    bound.usage == Binding::There || bound.queue == Binding::There
}

/// Sends a record on. What does not arrive is logged: the books have it too.
pub(crate) fn send(bound: Bound, env: &Env, context: &Context, row: &Row) {
    if bound.usage == Binding::There
        && let Some(dataset) = glue::binding(env, USAGE, POINTS)
        && let Err(error) = point(row, &dataset)
    {
        console_error!("Analytics Engine took no data point: {error:?}");
    }
    if bound.queue == Binding::There
        && let Ok(queue) = env.queue(QUEUE)
    {
        let message = message(row);
        context.wait_until(async move {
            if let Err(error) = queue.send(message).await {
                console_error!("the queue took no record: {error}");
            }
        });
    }
}

/// Blobs: organisation, team, user, key, provider, model, surface, fault, ending. Doubles: status, attempts,
/// input, cached, output, cost in dollars, time to the first byte and in all in milliseconds. Index: the key.
fn point(row: &Row, dataset: &JsValue) -> Result<(), JsValue> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let consumed = row.consumed.unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "these are for charts; the books have them exactly")]
    let number = |number: u64| number as f64;
    let blobs = [
        text(&row.organisation),
        text(&row.team),
        text(&row.user),
        row.key.clone(),
        text(&row.provider),
        text(&row.model),
        row.surface.clone(),
        text(&row.fault),
        row.ending.clone(),
    ];
    let blobs = blobs.iter().map(|blob| JsValue::from_str(blob)).collect();
    let doubles = [
        f64::from(row.status),
        f64::from(row.attempts),
        number(consumed.input.get()),
        number(consumed.cached.get()),
        number(consumed.output.get()),
        number(row.cost.unwrap_or_default().get()) / 1e9,
        number(row.first_byte.unwrap_or_default().get()),
        number(row.total.get()),
    ];
    glue::point(dataset, &row.key, &blobs, &doubles)
}

/// A request as one JSON text.
fn message(row: &Row) -> String {
    let consumed = row.consumed.unwrap_or_default();
    serde_json::json!({
        "id": row.id.to_string(),
        "at": row.at.0,
        "organisation": row.organisation,
        "team": row.team,
        "user": row.user,
        "key": row.key,
        "end_user": row.end_user,
        "tags": row.tags,
        "provider": row.provider,
        "model": row.model,
        "asked": row.asked,
        "surface": row.surface,
        "status": row.status,
        "fault": row.fault,
        "guardrails": row.guardrails,
        "ending": row.ending,
        "attempts": row.attempts,
        "input_tokens": consumed.input.get(),
        "cached_tokens": consumed.cached.get(),
        "output_tokens": consumed.output.get(),
        "basis": row.basis,
        "nano_dollars": row.cost.map(|cost| cost.get()),
        "first_byte_ms": row.first_byte.map(|span| span.get()),
        "total_ms": row.total.get(),
    })
    .to_string()
}
