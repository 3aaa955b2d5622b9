//! An answer as it goes to the client: whole, or piece by piece through the runtime's own pipe.

use crate::glue;
use bytes::Bytes;
use http::Response;
use js_sys::Uint8Array;
use std::cell::RefCell;
use std::future::poll_fn;
use tollgate_edge::pipe::{Body, Pipe};
use wasm_bindgen::JsValue;

/// An answer that is known whole.
pub(crate) fn whole(answer: Response<Bytes>) -> worker::Result<web_sys::Response> {
    let (head, body) = answer.into_parts();
    made(&head, &whole_body(&body))
}

/// The way of a request's answer, as an upstream must know it that lets frames pass to the client.
#[derive(Default)]
pub(crate) struct Line {
    /// Once the answer is known to come piece by piece.
    outlet: RefCell<Option<JsValue>>,
    pipe: Pipe,
}

impl Line {
    /// Of this pipe.
    pub(crate) fn of(pipe: Pipe) -> Self {
        Self { outlet: RefCell::default(), pipe }
    }

    /// Where pieces are written.
    pub(crate) fn outlet(&self) -> Option<JsValue> {
        self.outlet.borrow().clone()
    }

    /// The client takes no more.
    pub(crate) fn leave(&self) {
        self.pipe.leave();
    }
}

/// An answer, whatever it is; `spawn` is given what is to run until all of it has been taken.
pub(crate) fn sent(
    answer: Response<Body>,
    line: &Line,
    spawn: impl FnOnce(Relay),
) -> worker::Result<web_sys::Response> {
    let (head, body) = answer.into_parts();
    match body {
        Body::Whole(body) => made(&head, &whole_body(&body.unwrap_or_default())),
        streamed @ Body::Streamed(_) => {
            let outlet = glue::outlet()?;
            *line.outlet.borrow_mut() = Some(outlet.clone());
            let answer = made(&head, &glue::inlet(&outlet)?);
            spawn(Relay { body: streamed, outlet });
            answer
        }
    }
}

fn whole_body(body: &Bytes) -> JsValue {
    // Some statuses may have no body, not even an empty one.
    if body.is_empty() { JsValue::NULL } else { Uint8Array::from(&**body).into() }
}

fn made(head: &http::response::Parts, body: &JsValue) -> worker::Result<web_sys::Response> {
    made_with(head, body, &JsValue::UNDEFINED)
}

/// An answer to a handshake, with the client's end of a WebSocket.
pub(crate) fn opened(answer: Response<Body>, socket: &JsValue) -> worker::Result<web_sys::Response> {
    made_with(&answer.into_parts().0, &JsValue::NULL, socket)
}

fn made_with(
    head: &http::response::Parts,
    body: &JsValue,
    socket: &JsValue,
) -> worker::Result<web_sys::Response> {
    Ok(glue::answer(head.status.as_u16(), &glue::written(&head.headers), body, socket)?)
}

/// What is still to be written of an answer.
pub(crate) struct Relay {
    body: Body,
    outlet: JsValue,
}

impl Relay {
    /// Writes it. A client that leaves is told of by its request's signal, and by dropping the body.
    pub(crate) async fn run(self) {
        let Self { mut body, outlet } = self;
        loop {
            let last = match poll_fn(|cx| body.poll_piece(cx)).await {
                Some(Ok(piece)) => {
                    match glue::promised(glue::write(&outlet, Uint8Array::from(&*piece))).await {
                        Ok(_) => continue,
                        Err(_) => return,
                    }
                }
                Some(Err(cut)) => glue::cut(&outlet, &cut.to_string()),
                None => glue::close(&outlet),
            };
            let _ = glue::promised(last).await;
            return;
        }
    }
}
