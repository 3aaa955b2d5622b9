//! Realtime sessions: the runtime's WebSockets.

use crate::glue;
use crate::host::Desk;
use crate::incoming;
use crate::upstream::{self, Sent};
use bytes::Bytes;
use http::header::UPGRADE;
use http::{HeaderValue, Response, StatusCode};
use js_sys::{Array, Uint8Array};
use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tollgate_core::host::{
    Broken, Client, Closing, Declined, Dialed, Door, Fetch, Heard, Message, Out, Sessions, Wire,
};
use tollgate_edge::pipe::Pipe;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// One side of a session.
pub(crate) struct Socket {
    socket: JsValue,
    next: Option<JsFuture>,
}

impl Socket {
    fn new(socket: JsValue, most: usize) -> Self {
        // It fails for what is no WebSocket, which then says nothing.
        let _ = glue::listen(&socket, most as f64);
        Self { socket, next: None }
    }
}

impl Wire for Socket {
    fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        let waiting = self.next.get_or_insert_with(|| glue::promised(glue::hear(&self.socket)));
        let heard = std::task::ready!(Pin::new(waiting).poll(cx));
        self.next = None;
        Poll::Ready(match heard {
            Err(_) => Heard::Lost,
            Ok(heard) if heard.is_undefined() => Heard::Lost,
            Ok(heard) if heard.is_null() => Heard::Broken(Broken::TooLarge),
            Ok(heard) => match (heard.as_string(), heard.dyn_ref::<Array>()) {
                (Some(text), _) => Heard::Message(Message::Text(Bytes::from(text))),
                (None, Some(closing)) => Heard::Closed(read(closing)),
                (None, None) => Heard::Message(Message::Binary(incoming::bytes(&heard))),
            },
        })
    }

    /// The runtime takes whatever it is given.
    fn poll_flushed(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn send(&mut self, message: Message) {
        let what = match &message {
            Message::Text(text) => std::str::from_utf8(text).unwrap_or_default().into(),
            Message::Binary(bytes) => Uint8Array::from(&**bytes).into(),
        };
        let _ = glue::say(&self.socket, &what);
    }

    fn close(&mut self, closing: Closing) {
        glue::hang_up(&self.socket, closing.code.unwrap_or(1005), &closing.reason);
    }
}

/// Code and reason; 1005 stands for none.
fn read(closing: &Array) -> Closing {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "codes have 16 bits")]
    let code = closing.get(0).as_f64().unwrap_or_default() as u16;
    Closing {
        code: Some(code).filter(|code| *code != 1005),
        reason: closing.get(1).as_string().unwrap_or_default(),
    }
}

/// Where a handshake is answered.
pub(crate) struct Doorway {
    pub(crate) pipe: Pipe,
    /// For the client's end.
    pub(crate) place: Rc<Cell<Option<JsValue>>>,
    pub(crate) most: usize,
}

impl Door for Doorway {
    type Wire = Socket;

    async fn answer(self, answer: Response<Bytes>) -> Option<Socket> {
        let Self { pipe, place, most } = self;
        let mut ours = None;
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            if poll_fn(|cx| Poll::Ready(pipe.poll_left(cx))).await.is_ready() {
                return None;
            }
            let pair = glue::pair().ok()?;
            place.set(Some(pair.get(0)));
            ours = Some(Socket::new(pair.get(1), most));
        }
        pipe.send(Out::Head(answer.map(Some)));
        ours
    }
}

impl Sessions for Desk {
    type Wire = Socket;

    async fn dial(&self, mut request: Fetch, most: usize) -> Result<Dialed<Socket>, Declined> {
        request.headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        self.sends();
        let failed = |error| Declined::Failed(upstream::failed(&error));
        let Sent { answer, head } = upstream::send(request, &JsValue::UNDEFINED).await.map_err(failed)?;
        match glue::socket(&answer) {
            Ok(socket) if socket.is_object() => {
                Ok(Dialed { headers: head.headers, wire: Socket::new(socket, most) })
            }
            _ => {
                let body = glue::promised(glue::told(&answer)).await.unwrap_or_default();
                Err(Declined::Answered(head, body.as_string().unwrap_or_default().into()))
            }
        }
    }
}
