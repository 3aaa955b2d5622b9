//! Whether the client is still there: the request's own signal, which the runtime raises with the flag
//! `enable_request_signal`.

use tollgate_edge::pipe::Pipe;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use worker::AbortSignal;

/// Tells a pipe when its client leaves, as long as this lives.
pub(crate) struct Watch {
    signal: AbortSignal,
    listener: Closure<dyn FnMut()>,
}

impl Watch {
    pub(crate) fn over(signal: AbortSignal, pipe: Pipe) -> Self {
        if signal.aborted() {
            pipe.leave();
        }
        // What a panic might leave half done in a pipe is what the exchange's own task then ends.
        let leave: Box<dyn FnMut()> = Box::new(move || pipe.leave());
        let listener = Closure::wrap_assert_unwind_safe(leave);
        // It fails for callbacks that are none.
        let _ = signal.add_event_listener_with_callback("abort", listener.as_ref().unchecked_ref());
        Self { signal, listener }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ =
            self.signal.remove_event_listener_with_callback("abort", self.listener.as_ref().unchecked_ref());
    }
}
