//! The invariants, checked on what a run has left behind.

use super::client::{Order, SimClient};
use super::upstream::{USAGE, WORDS};
use super::{Behaviour, CLIENT_SECRET, LedgerMood, PROMPT_WORD, UPSTREAM_SECRET, World};
use serde_json::Value;
use tollgate_core::cache::CacheUse;
use tollgate_core::exchange::Ending;
use tollgate_core::price::{self, Charge};
use tollgate_core::units::{Millis, NanoDollars, Time};

/// Longer than any entry of this world may stay open.
const LONGEST_LEASE: Millis = Millis::from_secs(900);

/// What became of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The status the client got, 0 if none.
    pub status: u16,
    /// Upstream calls made.
    pub calls: usize,
    /// Whether the client got a complete answer or refusal.
    pub complete: bool,
    /// Whether the client left first.
    pub left: bool,
    /// The provider that answered.
    pub provider: String,
    /// How long it took.
    pub took: Millis,
    /// What the cache was to it.
    pub cache: CacheUse,
    /// Whether it has waited for another's answer.
    pub waited: bool,
    /// Ways in which an invariant was broken; empty is what is wanted.
    pub broken: Vec<String>,
}

impl Verdict {
    fn killed(
        world: &World,
        fetches: &[(Time, String, Behaviour)],
        started: Time,
        broken: Vec<String>,
    ) -> Self {
        Self {
            status: 0,
            calls: fetches.len(),
            complete: false,
            left: true,
            provider: String::new(),
            took: world.now.get().since(started),
            cache: CacheUse::Off,
            waited: false,
            broken,
        }
    }
}

/// Looks at everything that can be seen after a request.
pub fn verdict(world: &World, order: &Order, client: &SimClient, started: Time) -> Verdict {
    let log = world.log.borrow();
    let got = client.got.borrow();
    let mut broken = log.broken.clone();
    let mut check = |holds: bool, what: &str| {
        if !holds {
            broken.push(what.to_owned());
        }
    };
    let text = String::from_utf8(got.bytes.to_vec()).unwrap_or_else(|_| "not UTF-8".to_owned());

    if log.killed {
        // Nobody was left to answer; the books must be right all the same.
        let at = world.now.get();
        world.now.set(at + LONGEST_LEASE);
        broken.extend(world.books.borrow_mut().audit_after_kill(world.now.get()));
        return Verdict::killed(world, &log.fetches, started, broken);
    }
    check(log.reserved == log.settled, "I1: a hold was not ended exactly once");
    let deadline = started + deadline_of(order);
    check(log.fetches.iter().all(|(at, ..)| *at < deadline), "I4: an upstream was called past the deadline");
    let attempts = if order.model == "chat" { 4 } else { 3 };
    check(log.fetches.len() <= attempts, "more upstream calls than the route's attempts");

    let record = log.record.as_ref();
    check(record.is_some(), "no record was written");
    let seen = format!("{record:?}{:?}", got.headers);
    let secret_free = |text: &str| !text.contains(UPSTREAM_SECRET) && !text.contains(CLIENT_SECRET);
    check(secret_free(&seen) && secret_free(&text), "I7: a secret can be seen");
    check(!seen.contains(PROMPT_WORD) && !text.contains(PROMPT_WORD), "I7: the prompt can be seen");

    let success = got.status == Some(200);
    let clean = if !success {
        check(got.left || is_error(&text), "a refusal is not in the surface's shape");
        got.ended
    } else if order.stream {
        stream_is_sound(&text, got.ended, order.usage, world.unsaid, &mut check)
    } else {
        check(got.left || is_whole(&text), "a whole answer is not whole");
        check(!is_unsaid(&WORDS.concat(), world.unsaid), "a whole answer says what it must not");
        got.ended
    };
    check(got.left || got.ended, "the client was left without an end");
    check(success || got.left || got.status.is_some(), "the client got no status");
    if let Some(record) = record {
        check(
            (record.ending == Ending::Complete) == (clean && !cut(&text)) || got.left,
            "the record's ending is wrong",
        );
        let last = log.fetches.last().map(|(_, _, behaviour)| *behaviour);
        if record.ending == Ending::Complete && success && last == Some(Behaviour::Good) {
            let usage = record.usage.as_ref().map(|usage| (usage.prompt().get(), usage.output.get()));
            check(usage == Some(USAGE), "I5: the usage on record is not what the upstream reported");
            // A dollar for a million in, two for a million out: see the world's config.
            let cost = NanoDollars(1000 * USAGE.0 + 2000 * USAGE.1) + record.wasted.cost;
            check(record.cost == Charge::Computed(cost), "I5: the cost on record is not that of the usage");
            let told = got.headers.get("x-tollgate-cost-usd").map(|told| told.as_bytes());
            let plain = price::plain(cost);
            check(told == (!order.stream).then_some(plain.as_bytes()), "the client is told another cost");
        }
    }
    if let (Some(code), false) = (log.refused, got.left) {
        check(got.status == Some(code.status()), "a refusal by a limit has another status");
        check(
            got.status != Some(429) || got.headers.contains_key("retry-after"),
            "a 429 without retry-after",
        );
    }
    if world.ledger_mood.get() == LedgerMood::Refusing && !got.left {
        check(got.status == Some(503), "a refusal by the ledger is not a 503");
        check(got.headers.contains_key("retry-after"), "a 503 without retry-after");
    }
    let provider = log.fetches.last().map(|(_, provider, _)| provider.clone()).unwrap_or_default();
    Verdict {
        status: got.status.unwrap_or_default(),
        calls: log.fetches.len(),
        complete: clean,
        left: got.left,
        provider,
        took: world.now.get().since(started),
        cache: record.map(|record| record.cache).unwrap_or_default(),
        waited: log.waited,
        broken,
    }
}

fn deadline_of(order: &Order) -> Millis {
    match order.model {
        "chat" => Millis::from_secs(40),
        "solo" => Millis::from_secs(20),
        "far" => Millis::from_secs(30),
        _ => Millis(u64::MAX / 4),
    }
}

fn is_error(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|body| body["error"]["message"].is_string())
}

fn is_whole(text: &str) -> bool {
    serde_json::from_str::<Value>(text)
        .is_ok_and(|body| body["choices"][0]["message"]["content"] == WORDS.concat().as_str())
}

fn cut(text: &str) -> bool {
    text.contains("data: {\"error\"")
}

fn is_unsaid(text: &str, unsaid: Option<&str>) -> bool {
    unsaid.is_some_and(|unsaid| text.contains(unsaid))
}

/// I3: what was received is a prefix of the good answer, or ends in one fault event.
fn stream_is_sound(
    text: &str,
    ended: bool,
    usage: bool,
    unsaid: Option<&str>,
    check: &mut impl FnMut(bool, &str),
) -> bool {
    let whole = WORDS.concat();
    let mut content = String::new();
    let (mut faults, mut done, mut finished, mut usages) = (0, 0, 0, 0);
    let events: Vec<_> = text.split("\n\n").filter(|event| !event.trim().is_empty()).collect();
    for (at, event) in events.iter().enumerate() {
        let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) else { continue };
        if data == "[DONE]" {
            done += 1;
            check(at + 1 == events.len(), "I3: something follows the end mark");
            continue;
        }
        let Ok(chunk) = serde_json::from_str::<Value>(data) else {
            check(false, "I3: a chunk is not JSON");
            continue;
        };
        if chunk.get("error").is_some() {
            faults += 1;
            check(at + 1 == events.len(), "I3: something follows the fault event");
        }
        usages += u32::from(chunk["usage"].is_object());
        let choice = &chunk["choices"][0];
        content += choice["delta"]["content"].as_str().unwrap_or_default();
        finished += u32::from(choice["finish_reason"].is_string());
    }
    check(whole.starts_with(&content), "I3: the content is not a prefix of the answer");
    let most = unsaid.and_then(|unsaid| whole.find(unsaid)).unwrap_or(whole.len());
    check(content.len() <= most, "a piece of what must not be said went out");
    check(faults + done <= 1, "I3: a stream ended twice");
    let complete = finished == 1 && faults == 0;
    check(!complete || content == whole, "I3: a stream ended cleanly with part of the answer");
    check(!ended || faults == 1 || complete, "K15: a cut stream ended cleanly");
    check(usage || usages == 0 || done == 0 || finished == 1, "usage without an end");
    complete && ended
}
