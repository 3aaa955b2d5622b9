//! What is told of a panic where one ends its own request only. A panic that ends the instance is told by the runtime's
//! own library.

use std::panic::{PanicHookInfo, set_hook};
use std::sync::Once;
use worker::console_error;

/// Has panics logged by place. Their messages are logged only where they are literals, since others may quote what a
/// client has sent.
pub(crate) fn told_by_place() {
    static ONCE: Once = Once::new();
    if cfg!(panic = "unwind") {
        ONCE.call_once(|| set_hook(Box::new(tell)));
    }
}

fn tell(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let text = panic.payload().downcast_ref::<&'static str>().copied().unwrap_or_default();
    console_error!("a bug: panicked in {place}: {text}");
}
