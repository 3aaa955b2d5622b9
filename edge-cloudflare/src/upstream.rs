//! Calls to upstreams: by the runtime's `fetch`, or to Workers AI by its binding.

use crate::clock;
use bytes::Bytes;
use http::StatusCode;
use http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, TRANSFER_ENCODING,
};
use http_body::Body as _;
use js_sys::{Function, Promise, Reflect, Uint8Array};
use std::pin::Pin;
use std::task::{Context, Poll};
use tollgate_core::host::{Fetch, FetchError, FetchFault, Head, Upstream};
use tollgate_edge::ai::{self, Chunks, Question};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::{
    AbortController, Body, Env, Headers, HttpResponse, Method, Request, RequestInit, RequestRedirect,
};

/// An upstream call in progress. Dropping it aborts the call and closes its connection.
pub(crate) struct Call {
    state: State,
    abort: Option<AbortController>,
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

/// A body, and what becomes of it.
struct Stream {
    body: Body,
    /// The words of Workers AI, where these are.
    chunks: Option<Chunks>,
}

impl Call {
    pub(crate) fn new(fetch: Fetch) -> Self {
        let abort = AbortController::default();
        let signal = abort.signal();
        let head = Box::pin(async move {
            let sent = worker::Fetch::Request(request(fetch)?).send_with_signal(&signal).await?;
            let (mut parts, body) = HttpResponse::try_from(sent)?.into_parts();
            // The runtime has undone them.
            for name in [CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING] {
                parts.headers.remove(name);
            }
            let head = Head { status: parts.status, headers: parts.headers };
            Ok(Answer { head, body: Stream { body, chunks: None } })
        });
        Self { state: State::Head(head), abort: Some(abort) }
    }

    /// The same, where bindings may be called too.
    pub(crate) fn within(env: &Env, fetch: Fetch) -> Self {
        let Some(name) = fetch.uri.host().and_then(ai::binding) else { return Self::new(fetch) };
        let env = env.clone();
        Self { state: State::Head(Box::pin(async move { run(&env, &name, &fetch.body).await })), abort: None }
    }
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
            Ok(Answer { head, body: Stream { body: Body::new(stream), chunks } })
        }
        Err(answer) => {
            let text = js_sys::JSON::stringify(&answer)?;
            let whole = ai::completion(String::from(text).as_bytes(), &model, seconds);
            let body = Body::from_stream(Once(Some(whole.to_vec())))?;
            let head = Head { status: StatusCode::OK, headers: form("application/json") };
            Ok(Answer { head, body: Stream { body, chunks: None } })
        }
    }
}

/// A stream of one piece.
struct Once(Option<Vec<u8>>);

impl futures_core::Stream for Once {
    type Item = Result<Vec<u8>, worker::Error>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

fn request(fetch: Fetch) -> worker::Result<Request> {
    let Fetch { method, uri, headers, body, reuse: _, signing: _ } = fetch;
    let mut init = RequestInit::new();
    init.with_method(Method::from(method.as_str().to_owned()));
    init.with_headers(Headers::from(headers));
    // A redirect would carry the provider's key to wherever it leads.
    init.with_redirect(RequestRedirect::Manual);
    if !body.is_empty() {
        // Bytes and not a stream: the length is known, so no upstream has to take chunks.
        init.with_body(Some(Uint8Array::from(&*body).into()));
    }
    Request::new_with_init(&uri.to_string(), &init)
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
        let State::Body(Stream { body, chunks }) = &mut self.state else { return Poll::Ready(None) };
        loop {
            match std::task::ready!(Pin::new(&mut *body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(piece) = frame.into_data() else { continue };
                    let chunk = chunks.as_mut().map_or(piece.clone(), |chunks| chunks.push(&piece));
                    if !chunk.is_empty() {
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                }
                Some(Err(error)) => {
                    self.state = State::Over;
                    return Poll::Ready(Some(Err(failed(&error))));
                }
                None => {
                    self.state = State::Over;
                    return Poll::Ready(None);
                }
            }
        }
    }
}

fn failed(error: &worker::Error) -> FetchError {
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
