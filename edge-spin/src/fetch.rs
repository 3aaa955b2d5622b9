//! Upstream calls over the platform's HTTP.

use crate::trouble;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Uri, header};
use http_body::Body;
use http_body_util::Full;
use spin_sdk::wasip3::http::client::send;
use spin_sdk::wasip3::http::types::{ErrorCode, Request, Response};
use spin_sdk::wasip3::http_compat::{BodyWriter, IncomingResponseBody, http_from_wasi_response};
use std::pin::Pin;
use std::task::{Context, Poll};
use tollgate_core::host::{Fetch, FetchError, FetchFault, Head, Upstream};

type Sending = Pin<Box<dyn Future<Output = Result<Response, ErrorCode>>>>;
type Writing = Pin<Box<dyn Future<Output = ()>>>;

/// An upstream call in progress. Dropping it cancels the call.
pub(crate) struct Call {
    /// What must be among the allowed hosts.
    origin: String,
    stage: Stage,
    /// The request's body on its way, until all of it is taken. Polled here: a task of its own would be
    /// looked at only when something else happens.
    writing: Option<Writing>,
}

enum Stage {
    Sending(Sending),
    Body(IncomingResponseBody),
    Over(Option<ErrorCode>),
}

impl Call {
    /// Starts a call.
    pub(crate) fn new(fetch: Fetch) -> Self {
        let origin = origin(&fetch.uri);
        if fetch.source().is_some() {
            let why = "keys that are lent (`from`) are not to be had on Spin".to_owned();
            let stage = Stage::Over(Some(ErrorCode::InternalError(Some(why))));
            return Self { origin, stage, writing: None };
        }
        let (writer, contents, trailers) = BodyWriter::new();
        // The platform keeps connections by itself, and asks nobody whether one may be used again.
        let Fetch { method, uri, headers, body, reuse: _, signing: _ } = fetch;
        let sent = headers_with_length(headers, body.len()).and_then(|headers| {
            let (request, _) = Request::new(headers, Some(contents), trailers, None);
            let scheme = uri.scheme().map(Into::into);
            let refused = |()| ErrorCode::HttpRequestUriInvalid;
            request.set_method(&method.into()).map_err(|()| ErrorCode::HttpRequestMethodInvalid)?;
            request.set_scheme(scheme.as_ref()).map_err(refused)?;
            request.set_authority(uri.authority().map(|host| host.as_str())).map_err(refused)?;
            request.set_path_with_query(uri.path_and_query().map(|path| path.as_str())).map_err(refused)?;
            Ok(request)
        });
        match sent {
            Ok(request) => {
                let writing = async move {
                    // A server that takes no more of it answers all the same.
                    let _ = writer.send_http_body(&mut Full::new(body)).await;
                };
                let stage = Stage::Sending(Box::pin(send(request)));
                Self { origin, stage, writing: Some(Box::pin(writing)) }
            }
            Err(code) => Self { origin, stage: Stage::Over(Some(code)), writing: None },
        }
    }

    fn failed(&self, code: &ErrorCode) -> FetchError {
        FetchError { kind: FetchFault::Failed, what: trouble::of_fetch(&self.origin, code) }
    }

    fn write(&mut self, cx: &mut Context<'_>) {
        if self.writing.as_mut().is_some_and(|writing| writing.as_mut().poll(cx).is_ready()) {
            self.writing = None;
        }
    }
}

fn headers_with_length(
    mut headers: HeaderMap,
    length: usize,
) -> Result<spin_sdk::wasip3::http::types::Fields, ErrorCode> {
    headers.remove(header::HOST);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.try_into().map_err(|error| ErrorCode::InternalError(Some(format!("a header: {error}"))))
}

fn origin(uri: &Uri) -> String {
    format!("{}://{}", uri.scheme_str().unwrap_or("https"), uri.authority().map_or("", |host| host.as_str()))
}

impl Upstream for Call {
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, FetchError>> {
        self.write(cx);
        let received = match &mut self.stage {
            Stage::Sending(sending) => std::task::ready!(sending.as_mut().poll(cx)),
            Stage::Over(code) => Err(code.take().unwrap_or(ErrorCode::InternalError(None))),
            Stage::Body(_) => Err(ErrorCode::InternalError(None)),
        };
        match received.and_then(http_from_wasi_response) {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                self.stage = Stage::Body(body);
                Poll::Ready(Ok(Head { status: parts.status, headers: parts.headers }))
            }
            Err(code) => {
                self.stage = Stage::Over(None);
                Poll::Ready(Err(self.failed(&code)))
            }
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        self.write(cx);
        loop {
            let Stage::Body(body) = &mut self.stage else { return Poll::Ready(None) };
            // Trailers are nothing to anybody here.
            let data = Pin::new(body).poll_frame(cx).map_ok(|frame| frame.into_data().unwrap_or_default());
            match std::task::ready!(data) {
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => return Poll::Ready(Some(Ok(data))),
                Some(Err(code)) => {
                    self.stage = Stage::Over(None);
                    return Poll::Ready(Some(Err(self.failed(&code))));
                }
                None => {
                    self.stage = Stage::Over(None);
                    return Poll::Ready(None);
                }
            }
        }
    }
}
