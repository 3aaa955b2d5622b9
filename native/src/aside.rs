//! Work on large requests, which is done where nobody else waits for the thread.

use std::panic::resume_unwind;
use tokio::task::spawn_blocking;

/// From so many bytes on, looking through a request or writing it anew takes a millisecond or more: on a
/// worker's own thread every other request of it would wait for that.
const LARGE: usize = 256 * 1024;

/// What a thread that computes for long is nicer by, so that on a machine with few cores a worker does not
/// wait for its slice to end.
#[cfg(unix)]
const NICER: i32 = 10;

/// Lets other threads go before the calling one. Where the system does not allow it, it stays as it is.
pub(crate) fn give_way() {
    #[cfg(unix)]
    let _ = rustix::process::nice(NICER);
}

/// Does work on a request of so many bytes: at once, or in another thread where it is large. Panics if the
/// work does.
pub(crate) async fn aside<T: Send + 'static>(size: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    if size < LARGE {
        return work();
    }
    // It is never cancelled, so that it has either come to its end or panicked.
    spawn_blocking(work).await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn large_work_is_done_in_another_thread_and_small_work_is_not() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let here = thread::current().id();
            assert_eq!(aside(LARGE - 1, || thread::current().id()).await, here);
            assert_ne!(aside(LARGE, || thread::current().id()).await, here);
        });
    }
}
