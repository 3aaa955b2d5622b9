//! The time. In production it stands still while code runs and moves on with I/O.

use std::cell::Cell;
use tollgate_core::units::Time;

thread_local! {
    static LATEST: Cell<u64> = const { Cell::new(0) };
}

/// The time; never before an earlier answer in this isolate.
pub(crate) fn now() -> Time {
    // Whole milliseconds below 2^53.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "dates are positive and whole"
    )]
    let now = js_sys::Date::now() as u64;
    LATEST.with(|latest| {
        latest.set(latest.get().max(now));
        Time(latest.get())
    })
}
