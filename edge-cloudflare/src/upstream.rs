//! Calls to upstreams: by the runtime's `fetch`, or to Workers AI by its binding.

use crate::clock;
use crate::glue;
use crate::incoming;
use crate::outlet::Line;
use bytes::Bytes;
use http::StatusCode;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, TRANSFER_ENCODING,
};
use js_sys::{Function, Promise, Reflect, Uint8Array};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tollgate_core::host::{Fetch, FetchError, FetchFault, Head, Leave, Passed, Shelf, Upstream};
use tollgate_core::units::Time;
use tollgate_edge::ai::{self, Chunks, Question};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::AbortController;
use worker::Env;
use worker::send::SendWrapper;

/// An upstream call in progress. Dropping it aborts the call and closes its connection.
pub(crate) struct Call {
    state: State,
    abort: Option<AbortController>,
    /// Of the answer that is made of it, if it is.
    line: Option<Rc<Line>>,
    /// What lets frames pass, once some may.
    passing: Option<JsValue>,
}

enum State {
    Head(Pin<Box<dyn Future<Output = worker::Result<Answer>>>>),
    Body(Stream),
    Over,
}

/// What came back.
struct Answer {
    head: Head,
    body: Stream,
}

/// A body.
enum Stream {
    /// All of it will come as one.
    Whole(JsFuture),
    Pieces {
        reader: JsValue,
        /// The next of them.
        next: Option<JsFuture>,
        /// The words of Workers AI, where these are.
        chunks: Option<Chunks>,
    },
    /// It is here.
    Here(Bytes),
    Over,
}

impl Call {
    pub(crate) fn new(fetch: Fetch) -> Self {
        let abort = AbortController::new().ok();
        let signal = abort.as_ref().map_or(JsValue::UNDEFINED, |abort| abort.signal().into());
        let head = Box::pin(async move {
            let Sent { answer, head } = send(fetch, &signal).await?;
            let content = glue::content(&answer)?;
            let body = match content.dyn_into::<Promise>() {
                Ok(all) => Stream::Whole(JsFuture::from(all)),
                Err(nothing) if nothing.is_undefined() => Stream::Over,
                Err(reader) => Stream::Pieces { reader, next: None, chunks: None },
            };
            Ok(Answer { head, body })
        });
        Self { state: State::Head(head), abort, line: None, passing: None }
    }

    /// The same, where bindings may be called too.
    pub(crate) fn within(env: &Env, fetch: Fetch, line: &Rc<Line>) -> Self {
        let line = Some(Rc::clone(line));
        let Some(name) = fetch.uri.host().and_then(ai::binding) else {
            let mut call = Self::new(fetch);
            call.line = line;
            return call;
        };
        let env = env.clone();
        let head = Box::pin(async move { run(&env, &name, &fetch.body).await });
        Self { state: State::Head(head), abort: None, line, passing: None }
    }
}

/// A call that was answered.
pub(crate) struct Sent {
    pub(crate) answer: JsValue,
    pub(crate) head: Head,
}

/// Asks, and waits for the head.
pub(crate) async fn send(fetch: Fetch, signal: &JsValue) -> worker::Result<Sent> {
    if fetch.source().is_some() {
        return Err(worker::Error::from("keys that are lent (`from`) are not to be had on Workers"));
    }
    let Fetch { method, uri, headers, body, reuse: _, signing: _ } = fetch;
    // Bytes and not a stream: the length is known, so no upstream has to take chunks.
    let body = (!body.is_empty()).then(|| Uint8Array::from(&*body));
    let (address, headers) = (uri.to_string(), glue::written(&headers));
    let sent = glue::call(&address, method.as_str(), &headers, body, signal)?;
    let answer = JsFuture::from(sent).await?;
    let text = glue::answered(&answer);
    let mut lines = text.split('\n');
    let status = StatusCode::from_bytes(lines.next().unwrap_or_default().as_bytes())?;
    let mut headers = glue::headers(lines);
    // The runtime has undone them.
    for name in [CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    Ok(Sent { answer, head: Head { status, headers } })
}

/// What runs models.
pub(crate) struct Runner {
    binding: JsValue,
    run: Function,
}

/// The binding of this name, if it is one of Workers AI.
pub(crate) fn runner(env: &Env, name: &str) -> Option<Runner> {
    let binding = Reflect::get(env.as_ref(), &name.into()).ok().filter(JsValue::is_object)?;
    let run = Reflect::get(&binding, &"run".into()).ok()?.dyn_into().ok()?;
    Some(Runner { binding, run })
}

/// Asks Workers AI.
async fn run(env: &Env, name: &str, call: &[u8]) -> worker::Result<Answer> {
    let Question { model, inputs } = Question::of(call)?;
    let Runner { binding, run } =
        runner(env, name).ok_or_else(|| worker::Error::from(format!("the binding {name} is missing")))?;
    let inputs = js_sys::JSON::parse(&inputs)?;
    let promise = Promise::resolve(&run.call2(&binding, &model.as_str().into(), &inputs)?);
    let answer = JsFuture::from(promise).await?;
    let seconds = clock::now().unix_secs();
    let form = |form| HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(form))]);
    match answer.dyn_into::<web_sys::ReadableStream>() {
        Ok(stream) => {
            let head = Head { status: StatusCode::OK, headers: form("text/event-stream") };
            let chunks = Some(Chunks::new(&model, seconds));
            let reader = stream.get_reader().into();
            Ok(Answer { head, body: Stream::Pieces { reader, next: None, chunks } })
        }
        Err(answer) => {
            let text = js_sys::JSON::stringify(&answer)?;
            let whole = ai::completion(String::from(text).as_bytes(), &model, seconds);
            let head = Head { status: StatusCode::OK, headers: form("application/json") };
            Ok(Answer { head, body: Stream::Here(whole) })
        }
    }
}

impl Stream {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        passing: Option<&JsValue>,
        line: Option<&Line>,
    ) -> Poll<Option<Result<Bytes, JsValue>>> {
        let piece = match self {
            Self::Over => return Poll::Ready(None),
            Self::Here(all) => Ok(std::mem::take(all)),
            Self::Whole(all) => std::task::ready!(Pin::new(all).poll(cx)).map(|all| incoming::bytes(&all)),
            Self::Pieces { reader, next, chunks } => loop {
                let ask = || passing.map_or_else(|| glue::next(reader), glue::pass);
                let waiting = next.get_or_insert_with(|| glue::promised(ask()));
                let piece = std::task::ready!(Pin::new(waiting).poll(cx));
                *next = None;
                match piece {
                    Ok(end) if end.is_undefined() => {
                        *self = Self::Over;
                        return Poll::Ready(None);
                    }
                    // The client has left, which is told by its pipe.
                    Ok(left) if left.is_null() => {
                        line.into_iter().for_each(Line::leave);
                        return Poll::Pending;
                    }
                    Ok(piece) => {
                        let piece = incoming::bytes(&piece);
                        let piece = match chunks {
                            Some(chunks) => chunks.push(&piece),
                            None => piece,
                        };
                        if !piece.is_empty() {
                            return Poll::Ready(Some(Ok(piece)));
                        }
                    }
                    Err(error) => break Err(error),
                }
            },
        };
        *self = Self::Over;
        Poll::Ready(Some(piece))
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !matches!(self.state, State::Over)
            && let Some(abort) = self.abort.take()
        {
            abort.abort();
        }
    }
}

impl Upstream for Call {
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, FetchError>> {
        let State::Head(head) = &mut self.state else {
            return Poll::Ready(Err(broken("its head was read already")));
        };
        match std::task::ready!(head.as_mut().poll(cx)) {
            Ok(Answer { head, body }) => {
                self.state = State::Body(body);
                Poll::Ready(Ok(head))
            }
            Err(error) => {
                self.state = State::Over;
                Poll::Ready(Err(failed(&error)))
            }
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        let State::Body(body) = &mut self.state else { return Poll::Ready(None) };
        let piece = std::task::ready!(body.poll(cx, self.passing.as_ref(), self.line.as_deref()));
        #[cfg(feature = "panics")]
        if let Some(Ok(piece)) = &piece {
            crate::panics::at("in-the-answer", piece);
        }
        if !matches!(piece, Some(Ok(_))) {
            self.state = State::Over;
        }
        Poll::Ready(piece.map(|piece| piece.map_err(|error| failed(&error.into()))))
    }

    const PASSES: bool = true;

    fn allow(&mut self, leave: Option<Leave>) {
        let State::Body(Stream::Pieces { reader, chunks: None, .. }) = &self.state else { return };
        if self.passing.is_none() && leave.is_some() {
            let outlet = self.line.as_ref().and_then(|line| line.outlet());
            self.passing = outlet.and_then(|outlet| glue::passing(reader, &outlet).ok());
        }
        let Some(passing) = &self.passing else { return };
        #[expect(clippy::cast_precision_loss, reason = "what is above 2^53 is never reached")]
        match leave {
            Some(Leave { form, words, frames }) => glue::allow(passing, &form, words as f64, frames as f64),
            None => glue::allow(passing, &[], 0.0, 0.0),
        }
    }

    fn passed(&mut self) -> Option<Passed> {
        let passing = self.passing.clone()?;
        let told = glue::passed(&passing);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts, and a time")]
        let mut numbers = told.into_iter().map(|number| number as u64);
        let mut number = || numbers.next().unwrap_or_default();
        let (frames, words, at) = (number(), number(), Time(number()));
        let passing = SendWrapper::new(passing);
        let shelf = Shelf(Box::new(move || Bytes::from(glue::shelf(&passing.0))));
        Some(Passed { frames, words, at, shelf })
    }
}

pub(crate) fn failed(error: &worker::Error) -> FetchError {
    broken(&error.to_string())
}

/// The runtime's words may hold the address with its query, which may hold a key.
fn broken(what: &str) -> FetchError {
    let what = what.lines().next().unwrap_or_default();
    let what = match what.contains("://") {
        true => "the connection failed",
        false => what,
    };
    FetchError { kind: FetchFault::Failed, what: what.to_owned() }
}
