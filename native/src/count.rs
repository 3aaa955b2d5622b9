//! Counting tokens with the tables OpenAI publishes, where a count decides something: a prompt whose
//! estimate would have it refused, an answer whose usage never came.
//!
//! ```text
//!   short, tables there ──▶ counted at once
//!   anything else ────────▶ the counting thread ──▶ loads the tables on first need, counts
//!   too much is waiting, no tables for the model, or the tokenizer gave up ──▶ an upper estimate
//! ```
//!
//! A tokenizer reads five to ten megabytes a second; its tables take some tenths of a second to load,
//! and 45 MB (`o200k`) or 25 MB (`cl100k`) of memory from then on, which is why nothing is loaded before
//! it is needed. So
//! a worker's own thread never does either for longer than a fraction of a millisecond: whatever is
//! large goes to one thread of its own, and no other request waits.

mod pieces;

use crate::aside::give_way;
use pieces::Pieces;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, LazyLock, OnceLock};
use tiktoken_rs::CoreBPE;
use tokio::sync::oneshot;
use tollgate_core::count::{Basis, Counted, Family, Gauge, Uncounted};

/// Counted where it is asked for, if the tables are there. Takes a quarter of a millisecond or so.
const SHORT: u64 = 2 * 1024;

/// Of one text no more is counted; the rest is estimated. Two seconds or so.
const MOST: usize = 8 * 1024 * 1024;

/// What may wait for the counting thread, in bytes. Beyond it texts are estimated by their length.
const MOST_WAITING: u64 = 64 * 1024 * 1024;

/// Counts with the model's own tokenizer where it is published, else by an upper estimate.
pub async fn count(text: Uncounted, gauge: &Arc<Gauge>) -> Counted {
    let bytes = text.bytes();
    if bytes <= SHORT && (text.family == Family::Unknown || loaded(text.family).is_some()) {
        return measure(&text, gauge);
    }
    let by_length = by_length(&text, gauge);
    match hand_over(text, gauge, bytes) {
        Some(answer) => answer.await.unwrap_or(by_length),
        None => by_length,
    }
}

/// Something for the counting thread.
struct Job {
    text: Uncounted,
    gauge: Arc<Gauge>,
    bytes: u64,
    answer: oneshot::Sender<Counted>,
}

/// Bytes that wait for the counting thread, the text it works on included.
static WAITING: AtomicU64 = AtomicU64::new(0);

/// The way to the counting thread, which is started on first need; absent where the system gave none.
static THREAD: LazyLock<Option<Sender<Job>>> = LazyLock::new(|| {
    let (jobs, work) = channel();
    let thread = std::thread::Builder::new().name("count".to_owned()).spawn(move || run(&work));
    thread.map(|_| jobs).ok()
});

fn hand_over(text: Uncounted, gauge: &Arc<Gauge>, bytes: u64) -> Option<oneshot::Receiver<Counted>> {
    let jobs = THREAD.as_ref()?;
    if WAITING.load(Ordering::Relaxed).saturating_add(bytes) > MOST_WAITING {
        return None;
    }
    let (answer, counted) = oneshot::channel();
    WAITING.fetch_add(bytes, Ordering::Relaxed);
    match jobs.send(Job { text, gauge: Arc::clone(gauge), bytes, answer }) {
        Ok(()) => Some(counted),
        Err(_) => {
            WAITING.fetch_sub(bytes, Ordering::Relaxed);
            None
        }
    }
}

fn run(work: &Receiver<Job>) {
    give_way();
    for Job { text, gauge, bytes, answer } in work {
        load(text.family);
        // Nobody waits for it any longer.
        if !answer.is_closed() {
            let _ = answer.send(measure(&text, &gauge));
        }
        WAITING.fetch_sub(bytes, Ordering::Relaxed);
    }
}

static O200K: OnceLock<&CoreBPE> = OnceLock::new();
static CL100K: OnceLock<&CoreBPE> = OnceLock::new();

/// The tables, if they are there.
fn loaded(family: Family) -> Option<&'static CoreBPE> {
    match family {
        Family::O200k => O200K.get().copied(),
        Family::Cl100k => CL100K.get().copied(),
        Family::Unknown => None,
    }
}

fn load(family: Family) {
    match family {
        Family::O200k => drop(O200K.get_or_init(tiktoken_rs::o200k_base_singleton)),
        Family::Cl100k => drop(CL100K.get_or_init(tiktoken_rs::cl100k_base_singleton)),
        Family::Unknown => {}
    }
}

fn measure(text: &Uncounted, gauge: &Gauge) -> Counted {
    let Some(tables) = loaded(text.family) else { return gauge.count(text) };
    // The tokenizer trusts its own patterns to match whatever comes. Should one give up, the estimate
    // does as well.
    let mut tokens =
        |text: &str| Pieces::of(text).map(|piece| tables.encode_ordinary(piece).len() as u64).sum();
    let counted = catch_unwind(AssertUnwindSafe(|| gauge.count_with(text, MOST, &mut tokens)));
    counted.unwrap_or_else(|_| gauge.count(text))
}

/// Without a look at the text itself.
fn by_length(text: &Uncounted, gauge: &Gauge) -> Counted {
    let Uncounted { family, prompt, output } = text;
    let of = |bytes| gauge.estimate(*family, bytes).0;
    Counted {
        input: prompt.as_ref().map(|prompt| of(prompt.body.len() as u64)),
        output: output.as_ref().map(|heard| of(heard.bytes())),
        basis: Basis::Estimated,
    }
}

#[cfg(test)]
mod tests;
