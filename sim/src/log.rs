//! What was asked and how it ended, kept for the tests that come and look.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::answer::Usage;
use crate::ask::CacheMark;
use crate::bill::{Bill, How};
use crate::signature;
use base64::Engine as _;
use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

const MOST_ENTRIES: usize = 1000;
const MOST_BYTES: usize = 64 << 20;
/// The headers whose value is a secret.
pub(crate) const KEY_HEADERS: [&str; 4] = ["authorization", "x-api-key", "x-goog-api-key", "api-key"];

/// The last requests and the counters; the oldest are forgotten past 1,000 requests or 64 MiB of
/// bodies.
#[derive(Default)]
pub(crate) struct Log {
    kept: Mutex<Kept>,
    seen: AtomicU64,
    bill: Arc<Bill>,
}

#[derive(Default)]
struct Kept {
    entries: VecDeque<Arc<Entry>>,
    bytes: usize,
    counts: HashMap<String, u64>,
    cached: HashSet<u64>,
}

struct Entry {
    number: u64,
    method: String,
    path: String,
    version: String,
    headers: HeaderMap,
    body: Bytes,
    status: AtomicU64,
    written: AtomicU64,
    events: AtomicU64,
    end: AtomicU8,
    /// Of an answer that was composed.
    usage: OnceLock<Usage>,
}

/// What of a prompt came from the cache and what went into it, in bytes.
pub(crate) struct Cached {
    pub(crate) read: usize,
    pub(crate) written: usize,
}

const OPEN: u8 = 0;
const COMPLETED: u8 = 1;
const CLIENT_CLOSED: u8 = 2;
const BROKEN: u8 = 3;

/// Reports on one request; dropped before its answer ended, it records that the client left.
pub(crate) struct Watch {
    entry: Arc<Entry>,
    bill: Arc<Bill>,
}

impl Watch {
    /// The request's place in the order of arrival, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.entry.number
    }

    pub(crate) fn wrote(&self, bytes: usize) {
        self.entry.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn event(&self) {
        self.entry.events.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn status(&self, status: u16) {
        self.entry.status.store(status.into(), Ordering::Relaxed);
    }

    pub(crate) fn completed(&self) {
        self.end(COMPLETED);
    }

    /// The simulator itself broke the exchange off.
    pub(crate) fn broken(&self) {
        self.end(BROKEN);
    }

    /// An answer was composed that comes to this, if it is written to its end.
    pub(crate) fn comes_to(&self, usage: Usage) {
        // An answer is composed once.
        let _ = self.entry.usage.set(usage);
        self.bill.opened(&self.entry.headers, &self.entry.path, usage);
    }

    /// The first ending counts.
    fn end(&self, how: u8) {
        let first = self.entry.end.compare_exchange(OPEN, how, Ordering::Relaxed, Ordering::Relaxed);
        if let (Ok(_), COMPLETED, Some(usage)) = (first, how, self.entry.usage.get()) {
            self.bill.finished(&self.entry.headers, &self.entry.path, *usage);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end(CLIENT_CLOSED);
    }
}

impl Log {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a request that is not written down.
    pub(crate) fn seen(&self) {
        self.seen.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes down a request whose answer has not begun.
    pub(crate) fn open(&self, parts: &Parts, body: Bytes) -> Watch {
        let number = self.seen.fetch_add(1, Ordering::Relaxed) + 1;
        let entry = Arc::new(Entry {
            number,
            method: parts.method.to_string(),
            path: parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            version: format!("{:?}", parts.version),
            headers: parts.headers.clone(),
            body,
            status: AtomicU64::new(0),
            written: AtomicU64::new(0),
            events: AtomicU64::new(0),
            end: AtomicU8::new(OPEN),
            usage: OnceLock::new(),
        });
        let mut kept = self.kept();
        kept.bytes += entry.body.len();
        kept.entries.push_back(entry.clone());
        while kept.entries.len() > MOST_ENTRIES || (kept.bytes > MOST_BYTES && kept.entries.len() > 1) {
            let dropped = kept.entries.pop_front().map_or(0, |old| old.body.len());
            kept.bytes -= dropped;
        }
        Watch { entry, bill: self.bill.clone() }
    }

    /// Counts a request of this id, and says how many there were, this one included.
    pub(crate) fn count(&self, id: &str) -> u64 {
        let mut kept = self.kept();
        let count = kept.counts.entry(id.to_owned()).or_default();
        *count += 1;
        *count
    }

    /// How many requests carried `id`; of all requests without one.
    pub(crate) fn counted(&self, id: Option<&str>) -> u64 {
        match id {
            Some(id) => self.kept().counts.get(id).copied().unwrap_or(0),
            None => self.seen.load(Ordering::Relaxed),
        }
    }

    /// Remembers the prefixes of a prompt and says how much of it was known.
    pub(crate) fn cache(&self, marks: &[CacheMark]) -> Cached {
        let mut kept = self.kept();
        let whole = marks.last().map_or(0, |mark| mark.bytes);
        let known = marks.iter().rev().find(|mark| kept.cached.contains(&mark.fingerprint));
        let read = known.map_or(0, |mark| mark.bytes);
        kept.cached.extend(marks.iter().map(|mark| mark.fingerprint));
        Cached { read, written: whole - read }
    }

    /// Forgets everything.
    pub(crate) fn reset(&self) {
        *self.kept() = Kept::default();
        self.seen.store(0, Ordering::Relaxed);
        self.bill.reset();
    }

    /// What every key owes.
    pub(crate) fn billed(&self) -> Value {
        json!({"completed": self.bill.total(How::Completed).shown(), "unfinished": self.bill.total(How::Unfinished).shown(), "keys": self.bill.listed()})
    }

    /// The requests, oldest first.
    pub(crate) fn listed(&self) -> Value {
        let entries = self.kept().entries.clone();
        json!({"requests": entries.iter().map(|entry| entry.shown()).collect::<Vec<_>>()})
    }
}

impl Entry {
    fn shown(&self) -> Value {
        let ended = match self.end.load(Ordering::Relaxed) {
            OPEN => "open",
            COMPLETED => "completed",
            CLIENT_CLOSED => "client_closed",
            _ => "broken",
        };
        json!({
            "number": self.number,
            "method": self.method,
            "path": path_without_key(&self.path),
            "version": self.version,
            "headers": headers_shown(&self.headers),
            "key": key_shown(&self.headers, &self.path),
            "body_base64": base64::engine::general_purpose::STANDARD.encode(&self.body),
            "body_length": self.body.len(),
            "status": self.status.load(Ordering::Relaxed),
            "ended": ended,
            "bytes_written": self.written.load(Ordering::Relaxed),
            "events_written": self.events.load(Ordering::Relaxed),
            "tokens": self.usage.get().map(|usage| json!({"input": usage.input, "output": usage.output})),
        })
    }
}

fn headers_shown(headers: &HeaderMap) -> Value {
    let mut shown = Map::new();
    for name in headers.keys().filter(|name| !KEY_HEADERS.contains(&name.as_str())) {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        shown.insert(name.to_string(), Value::String(values.join(", ")));
    }
    Value::Object(shown)
}

fn path_without_key(path: &str) -> String {
    match (path.split_once('?'), query_key(path)) {
        (Some((before, query)), Some(_)) => {
            let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("key=")).collect();
            format!("{before}?{}", kept.join("&"))
        }
        _ => path.to_owned(),
    }
}

fn query_key(path: &str) -> Option<&str> {
    path.split_once('?')?.1.split('&').find_map(|pair| pair.strip_prefix("key="))
}

/// The key a request carries, in whichever header or query it stands.
pub(crate) fn key_of(headers: &HeaderMap, path: &str) -> Option<String> {
    let found = KEY_HEADERS.iter().find_map(|name| headers.get(*name)?.to_str().ok());
    let key = found.or_else(|| query_key(path))?;
    if let Some(id) = signature::access_key(key) {
        return Some(id.to_owned());
    }
    let bare = key.strip_prefix("Bearer ").or_else(|| key.strip_prefix("bearer ")).unwrap_or(key);
    Some(bare.to_owned())
}

pub(crate) fn key_shown(headers: &HeaderMap, path: &str) -> Value {
    let Some(key) = key_of(headers, path) else { return Value::Null };
    let place = KEY_HEADERS.iter().find(|name| headers.contains_key(**name)).copied().unwrap_or("query");
    let hash: String = Sha256::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    // Short keys are test keys; even of those only a part is shown.
    let prefix: String = key.chars().take((key.chars().count() / 2).min(8)).collect();
    json!({"in": place, "prefix": prefix, "length": key.len(), "sha256": hash})
}
