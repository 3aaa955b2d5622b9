//! Records of requests for those who look at them elsewhere: Analytics Engine, or a queue.
//!
//! | binding | kind | what it gets |
//! |---|---|---|
//! | `USAGE` | Analytics Engine | a data point for each request |
//! | `USAGE_QUEUE` | queue | a message for each request, the row as JSON |
//!
//! Sums by day are in the books either way. Where one of these is bound, the books keep requests one by one
//! for an hour only.

use tollgate_core::row::Row;
use worker::{AnalyticsEngineDataPointBuilder, Context, Env, console_error};

/// The binding of an Analytics Engine dataset.
const USAGE: &str = "USAGE";

/// The binding of a queue.
const QUEUE: &str = "USAGE_QUEUE";

/// Whether records go anywhere else.
pub(crate) fn is_bound(env: &Env) -> bool {
    env.analytics_engine(USAGE).is_ok() || env.queue(QUEUE).is_ok()
}

/// Sends a record on. What does not arrive is logged: the books have it too.
pub(crate) fn send(env: &Env, context: &Context, row: &Row) {
    if let Ok(dataset) = env.analytics_engine(USAGE)
        && let Err(error) = point(row).write_to(&dataset)
    {
        console_error!("Analytics Engine took no data point: {error}");
    }
    if let Ok(queue) = env.queue(QUEUE) {
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
fn point(row: &Row) -> AnalyticsEngineDataPointBuilder {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let consumed = row.consumed.unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "these are for charts; the books have them exactly")]
    let number = |number: u64| number as f64;
    let point = AnalyticsEngineDataPointBuilder::new().indexes([row.key.as_str()]);
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
    let point = blobs.iter().fold(point, |point, blob| point.add_blob(blob.as_str()));
    point.doubles([
        f64::from(row.status),
        f64::from(row.attempts),
        number(consumed.input.get()),
        number(consumed.cached.get()),
        number(consumed.output.get()),
        number(row.cost.unwrap_or_default().get()) / 1e9,
        number(row.first_byte.unwrap_or_default().get()),
        number(row.total.get()),
    ])
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
