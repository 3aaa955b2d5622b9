//! A request and its upstream call, for tests of what lies between.

use super::RequestId;
use super::attempt::Sent;
use super::read::{Reading, Verdict};
use super::relay::{self, Relay};
use super::request::Request;
use crate::admit::{Admission, Desk, admit};
use crate::config;
use crate::directory::Directory;
use crate::fleet::Lane;
use crate::host::{Fetch, Head};
use crate::units::{Time, Tokens};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use std::sync::Arc;

/// A request for model `m-1`, served by this vendor under the name `model`.
pub(super) fn request(kind: &str, model: &str, body: &str) -> Request {
    let text = format!(
        "[providers.up]\nkind = \"{kind}\"\nbase_url = \"http://up.test/v1\"\nkeys = [{{ name = \"k\", value = \"sk-up\" }}]\n\
         [models.\"m-1\"]\ntargets = [\"up/{model}\"]\n[[keys]]\nname = \"c\"\nvalue = \"tg-c\"\n"
    );
    let config = Arc::new(config::load(text.as_bytes(), &|_| Err("none".to_owned())).unwrap());
    let directory = Directory::of(&config);
    let gauge = Arc::default();
    let desk = Desk { config: &config, directory: &directory, gauge: &gauge, peer: None };
    let call = http::Request::post("/v1/chat/completions").header("authorization", "Bearer tg-c");
    let (head, ()) = call.body(()).unwrap().into_parts();
    let Admission::Wanted(admitted) = admit(&head, &desk, RequestId(7), Time(0)) else { panic!("refused") };
    let (request, fault) = Request::new(admitted, Bytes::copy_from_slice(body.as_bytes()));
    assert_eq!(fault, None);
    request
}

/// What is sent for it.
pub(super) fn sent(request: &mut Request) -> (Sent, Box<Fetch>) {
    let provider = request.route.targets[0].provider;
    Sent::new(request, Lane { provider, target: 0, credential: 0 }, Time(0)).unwrap()
}

/// Reads the beginning of an answer, which must not be enough of one.
pub(super) fn reading(request: &mut Request, pieces: &[&str]) -> Reading {
    let (sent, _) = sent(request);
    let mut reading = Reading::new(sent, Head { status: StatusCode::OK, headers: HeaderMap::new() });
    for piece in pieces {
        let verdict = reading.on_chunk(Bytes::copy_from_slice(piece.as_bytes()), request, Time(1));
        assert!(matches!(verdict, Verdict::More), "{verdict:?}");
    }
    reading
}

/// Reads an answer up to its first content; the request must be one for a stream.
pub(super) fn relay(
    request: &mut Request,
    pieces: &[&str],
    paid: Option<Tokens>,
) -> (Relay, Vec<relay::Verdict>) {
    let (sent, _) = sent(request);
    let mut reading = Reading::new(sent, Head { status: StatusCode::OK, headers: HeaderMap::new() });
    let mut pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece.as_bytes()));
    let opening = pieces.by_ref().find_map(|piece| match reading.on_chunk(piece, request, Time(1)) {
        Verdict::Committed(opening) => Some(opening),
        Verdict::More => None,
        other @ (Verdict::Failed(_) | Verdict::Whole(_) | Verdict::Surveyed(_)) => {
            panic!("no stream: {other:?}")
        }
    });
    let (mut relay, first) = Relay::new(reading, *opening.unwrap(), request, paid);
    let mut verdicts = vec![first];
    for piece in pieces {
        if !matches!(verdicts.last(), Some(relay::Verdict::More(_))) {
            break;
        }
        verdicts.push(relay.on_chunk(piece, Time(1)));
    }
    (relay, verdicts)
}
