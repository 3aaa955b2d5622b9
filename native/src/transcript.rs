//! Responses that are kept: what was said before is put in front of a request, and what is answered is heard
//! on its way to the client.

use crate::flight::Slot;
use crate::host::Native;
use crate::store::responses::Kept;
use bytes::Bytes;
use http::{Response, StatusCode};
use std::cell::RefCell;
use std::task::{Context, Poll};
use tollgate_core::admit::Admitted;
use tollgate_core::fault::{Code, Fault};
use tollgate_core::host::{Client, Host, Out};
use tollgate_core::transcript::{self, Ask, Continued, LARGEST, Owner, Turn, Wanted};
use tollgate_core::units::Millis;

/// A request as it goes on, and what is to be kept of its answer.
pub struct Prepared {
    /// The body.
    pub body: Bytes,
    /// Absent where nothing is kept.
    pub keep: Option<Keep>,
}

/// What is known of a response before it is made.
pub struct Keep {
    owner: Owner,
    input: String,
}

/// Puts what was said before in front of a request that goes on from a response.
pub async fn prepare(host: &Native, admitted: &Admitted, body: Bytes) -> Result<Prepared, Fault> {
    let Some(turn) = Turn::of(admitted, &body) else { return Ok(Prepared { body, keep: None }) };
    let store = &host.shared.store;
    let before = match &turn.previous {
        None => None,
        Some(id) => store.response(&turn.owner, id).await.map_err(|_| unreadable())?,
    };
    let Continued { body, input } = turn.go_on(&body, before.as_ref())?;
    Ok(Prepared { body, keep: turn.keep.then_some(Keep { owner: turn.owner, input }) })
}

fn unreadable() -> Fault {
    Fault::new(Code::StoreUnavailable, "kept responses cannot be read now").retry_after(Millis::from_secs(1))
}

/// Answers a request for a kept response.
pub async fn answer(host: &Native, wanted: Box<Wanted>) -> Response<Bytes> {
    let store = &host.shared.store;
    let found = store.response(&wanted.owner, &wanted.id).await;
    let outcome = match (wanted.ask, &found) {
        (Ask::Forget, Ok(Some(_))) => store.forget_response(&wanted.owner, &wanted.id).await,
        _ => Ok(()),
    };
    match (found, outcome) {
        (Ok(found), Ok(())) => wanted.told(found.as_ref()),
        (Err(_), _) | (_, Err(_)) => {
            tollgate_core::admit::unready("kept responses cannot be reached", host.random.request_id())
        }
    }
}

/// Stands before a client and keeps what it is told, once it is whole and before it has its end.
pub struct Scribe<'a> {
    slot: &'a Slot,
    host: &'a Native,
    keep: Keep,
    heard: RefCell<Option<Vec<u8>>>,
}

impl<'a> Scribe<'a> {
    /// What it is told is kept in the host's store.
    pub fn new(slot: &'a Slot, host: &'a Native, keep: Keep) -> Self {
        Self { slot, host, keep, heard: RefCell::new(None) }
    }

    fn hear(&self, out: &Out) {
        let Keep { owner, input } = &self.keep;
        let mut heard = self.heard.borrow_mut();
        let whole = match out {
            Out::Head(head) if head.status() != StatusCode::OK => return,
            Out::Head(head) => match head.body() {
                Some(body) => body.to_vec(),
                None => {
                    *heard = Some(Vec::new());
                    return;
                }
            },
            Out::Chunk(piece) => {
                if let Some(text) = &mut *heard {
                    text.extend_from_slice(piece);
                }
                // A stream says everything twice: in pieces, and whole at its end.
                heard.take_if(|text| text.len() > 4 * LARGEST);
                return;
            }
            Out::End => heard.take().unwrap_or_default(),
        };
        if let Some((id, transcript)) = transcript::kept(&whole, input.clone()) {
            let (owner, at) = (owner.clone(), self.host.now());
            self.host.shared.store.keep_response(Kept { owner, id, at, transcript });
        }
    }
}

impl Client for Scribe<'_> {
    fn send(&self, out: Out) {
        self.hear(&out);
        self.slot.send(out);
    }

    fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.slot.poll_flushed(cx)
    }

    fn poll_left(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.slot.poll_left(cx)
    }
}
