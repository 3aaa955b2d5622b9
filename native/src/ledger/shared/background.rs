//! The thread that retries: it probes a server that did not answer, delivers what was kept, and looks
//! whether the server has lost its data.

use super::link::Lost;
use super::script::{Call, text};
use super::{Inner, Lateness, after};
use crate::host::held;
use redis::Value;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tollgate_core::ledger::Scope;
use tollgate_core::units::Millis;
use tollgate_redis_ledger::asked::{is_lasting, is_summed};
use tollgate_redis_ledger::minute::Minute;

/// Between two looks, if nobody wakes the thread.
const TICK: Duration = Duration::from_millis(250);
/// Between two looks at the books' epochs.
const ROUND: Duration = Duration::from_secs(1);
/// Books that are looked at in a round.
const BOOKS: usize = 32;
/// Scopes that are told in one call.
const SCOPES: usize = 64;
/// Settlements that are under way at once.
const TOGETHER: usize = 32;
/// Nobody waits here, so a slow server gets its time.
const PATIENCE: Millis = Millis(1000);

/// Starts the thread. It ends with the ledger.
pub(super) fn start(inner: Arc<Inner>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let name = "tollgate-redis".to_owned();
    std::thread::Builder::new().name(name).spawn(move || runtime.block_on(run(inner)))?;
    Ok(())
}

async fn run(inner: Arc<Inner>) {
    greet(&inner).await;
    let mut round = Instant::now() + ROUND;
    let mut was_open = false;
    while !inner.stopped.load(Ordering::Relaxed) {
        if !held(&inner.breaker).is_closed() {
            was_open = true;
            probe(&inner).await;
        } else {
            deliver(&inner).await;
            // A server that was gone may be back without its data.
            if std::mem::take(&mut was_open) || Instant::now() >= round {
                round = Instant::now() + ROUND;
                look_for_losses(&inner).await;
            }
        }
        let wait = held(&inner.breaker).opens_in(inner.clock.now());
        let wait = if wait.is_zero() { TICK } else { TICK.min(Duration::from_millis(wait.get())) };
        let _ = tokio::time::timeout(wait, inner.wake.notified()).await;
    }
}

/// Asks until the server answers or is known to be gone, so that a wrong address shows in the log at
/// once and not with the first request.
async fn greet(inner: &Inner) {
    while held(&inner.breaker).is_closed() && !inner.stopped.load(Ordering::Relaxed) {
        if inner.ask(&inner.asker.probe(), after(PATIENCE), Lateness::Fails).await.is_ok() {
            return;
        }
    }
}

/// Asks once, if it is time.
async fn probe(inner: &Inner) {
    // The permit is taken by the call itself.
    if held(&inner.breaker).opens_in(inner.clock.now()).is_zero() {
        let _ = inner.ask(&inner.asker.probe(), after(PATIENCE), Lateness::Fails).await;
    }
}

/// Delivers everything that is kept, or what the server takes of it.
async fn deliver(inner: &Arc<Inner>) {
    let mut waiting = {
        let mut kept = held(&inner.kept);
        let count = kept.len();
        inner.in_delivery.store(count, Ordering::Relaxed);
        kept.take(count)
    };
    let mut failed = Vec::new();
    while !waiting.is_empty() && held(&inner.breaker).is_closed() {
        let rest = waiting.split_off(TOGETHER.min(waiting.len()));
        failed.extend(deliver_together(inner, std::mem::replace(&mut waiting, rest)).await);
    }
    failed.append(&mut waiting);
    held(&inner.kept).put_back(failed);
    inner.in_delivery.store(0, Ordering::Relaxed);
}

/// Delivers a few at once. Answers with those that were not taken.
async fn deliver_together(inner: &Arc<Inner>, calls: Vec<Call>) -> Vec<Call> {
    let mut tasks = JoinSet::new();
    for call in calls {
        let inner = Arc::clone(inner);
        tasks.spawn(async move {
            let outcome = inner.ask(&call, after(PATIENCE), Lateness::Fails).await;
            outcome.is_err().then_some(call)
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

/// Looks at some books' epochs. Those that have another one than before have lost what this gateway
/// has asked and spent, and are told again.
async fn look_for_losses(inner: &Inner) {
    let books = held(&inner.beliefs).next_books(BOOKS);
    for book in books {
        let Ok(value) = inner.ask(&inner.asker.epoch(&book), after(PATIENCE), Lateness::Fails).await else {
            return;
        };
        let lost = held(&inner.beliefs).on_epoch(&book, text(&value));
        if !lost.is_empty() && tell(inner, &book, &lost).await.is_err() {
            return;
        }
    }
}

/// Sends what this gateway has asked and spent in scopes of a book.
async fn tell(inner: &Inner, book: &Arc<str>, scopes: &[Arc<Scope>]) -> Result<(), Lost> {
    tracing::info!(%book, scopes = scopes.len(), "a book in redis is new or was lost: it is told what was asked and spent here");
    let now = inner.clock.now();
    let mut epoch = Value::Nil;
    for scopes in scopes.chunks(SCOPES) {
        let scopes: Vec<_> = scopes.iter().filter(|scope| is_lasting(&scope.limits)).cloned().collect();
        let own = inner.own_of(&scopes, now);
        let (told, idle): (Vec<_>, Vec<_>) = scopes
            .into_iter()
            .zip(own)
            .partition(|(scope, own)| is_summed(&scope.limits) || !Minute::of(&own.report).is_empty());
        // Of these there is nothing to tell; their next request says so.
        idle.iter().for_each(|(scope, _)| held(&inner.beliefs).forget(book, scope));
        epoch = inner.ask(&inner.asker.seed(book, &told, now), after(PATIENCE), Lateness::Fails).await?;
    }
    if let Some(epoch) = text(&epoch) {
        held(&inner.beliefs).told(book, epoch);
    }
    Ok(())
}
