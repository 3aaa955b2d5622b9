//! Keys of other issuers of tokens, fetched when a token needs them.
//!
//! 1. Nothing is fetched before a token comes.
//! 2. Who presents tokens that nobody signed makes an isolate fetch twice a minute at most.

use crate::clock;
use crate::isolate::Isolate;
use crate::timer::LazyTimer;
use crate::upstream::Call;
use bytes::BytesMut;
use http::header::{ACCEPT, HeaderMap, HeaderValue};
use http::{Method, Uri};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::{Context, Poll};
use tollgate_core::config::Config;
use tollgate_core::host::{Fetch, Reuse, Timer, Upstream};
use tollgate_core::token::{Jwks, JwksSource};
use tollgate_core::units::{Millis, Time};
use tollgate_edge::front::Again;
use worker::console_error;

/// How long a fetch may take.
const PATIENCE: Millis = Millis::from_secs(5);

/// Between two fetches of one issuer's keys.
const PAUSE: Millis = Millis::from_secs(30);

/// Bytes of a document.
const MOST: usize = 256 * 1024;

/// When keys were fetched, by issuer.
pub(crate) type Fetched = BTreeMap<String, Time>;

/// Fetches an issuer's keys, unless that was done a moment ago.
pub(crate) async fn fetch(isolate: &Isolate, config: &Config, issuer: &str) -> Again {
    let now = clock::now();
    let Some(issuer) = config.tokens.issuer(issuer) else { return Again::No };
    if isolate.issuers.borrow().get(&issuer.issuer).is_some_and(|at| now.since(*at) < PAUSE) {
        return Again::No;
    }
    isolate.issuers.borrow_mut().insert(issuer.issuer.clone(), now);
    let keys = match &issuer.jwks {
        JwksSource::Url(url) => document(url).await.and_then(|document| Jwks::parse(&document)),
        JwksSource::File(_) => Err("there are no files here: give the address of a JWKS document".to_owned()),
    };
    match keys {
        Ok(keys) => {
            isolate.directory.borrow_mut().put_jwks(issuer, keys);
            Again::Yes
        }
        Err(why) => {
            console_error!("the keys of {} cannot be had: {why}", issuer.issuer);
            Again::No
        }
    }
}

async fn document(url: &str) -> Result<BytesMut, String> {
    let uri: Uri = url.parse().map_err(|_| "its address is none".to_owned())?;
    let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
    let mut call = Call::new(Fetch {
        method: Method::GET,
        uri,
        headers,
        body: Default::default(),
        reuse: Reuse::Allowed,
        signing: None,
    });
    let (mut timer, end) = (LazyTimer::default(), clock::now() + PATIENCE);
    let head =
        poll_fn(|cx| or_late(call.poll_head(cx), &mut timer, end, cx)).await?.map_err(|error| error.what)?;
    if !head.status.is_success() {
        return Err(format!("it answered {}", head.status.as_u16()));
    }
    let mut document = BytesMut::new();
    while let Some(piece) = poll_fn(|cx| or_late(call.poll_chunk(cx), &mut timer, end, cx)).await? {
        document.extend_from_slice(&piece.map_err(|error| error.what)?);
        if document.len() > MOST {
            return Err(format!("the document is larger than {MOST} bytes"));
        }
    }
    Ok(document)
}

fn or_late<T>(
    polled: Poll<T>,
    timer: &mut LazyTimer,
    end: Time,
    cx: &mut Context<'_>,
) -> Poll<Result<T, String>> {
    match polled {
        Poll::Ready(result) => Poll::Ready(Ok(result)),
        Poll::Pending => {
            timer.poll_until(end, cx).map(|()| Err(format!("no answer within {} s", PATIENCE.ceil_secs())))
        }
    }
}
