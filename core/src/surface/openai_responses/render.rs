//! Whole answers: what a stream of the same answer ends with.

use super::stream::Stream;
use crate::reply::Reply;
use crate::surface::Asked;
use bytes::Bytes;

/// See [`crate::surface::Surface::render`]. Of several answers the first is shown: nobody can ask for
/// more here.
pub(super) fn render(reply: &Reply, asked: &Asked) -> Bytes {
    let mut stream = Stream::silent(asked.clone());
    reply.clone().into_events().iter().for_each(|event| stream.take(event));
    Bytes::from(stream.into_response().to_string())
}
