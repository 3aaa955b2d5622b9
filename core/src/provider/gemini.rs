//! The Gemini dialect.

use super::{Decode, Encoded, Endpoint, Glance, Provider, Target};
use crate::call::{Call, Delivery};
use crate::dialect::Dialect;
use crate::fault::{Fault, UpstreamFault};
use crate::reply::Reply;
use crate::sse::Frame;
use crate::usage::Usage;
use http::HeaderMap;

/// The Gemini dialect.
#[derive(Debug)]
pub struct Gemini;

impl Provider for Gemini {
    fn dialect(&self) -> Dialect {
        Dialect::Gemini
    }
    fn endpoint(&self, _target: &Target<'_>, _delivery: Delivery) -> Endpoint {
        unimplemented!()
    }
    fn encode(&self, _call: &Call, _target: &Target<'_>) -> Result<Encoded, Fault> {
        unimplemented!()
    }
    fn decode(&self, _body: &[u8], _target: &Target<'_>) -> Result<Reply, Box<UpstreamFault>> {
        unimplemented!()
    }
    fn decoder(&self, _target: &Target<'_>) -> Box<dyn Decode> {
        unimplemented!()
    }
    fn fault(&self, _status: u16, _headers: &HeaderMap, _body: &[u8], _target: &Target<'_>) -> UpstreamFault {
        unimplemented!()
    }
    fn glance(&self, _frame: &Frame) -> Glance {
        unimplemented!()
    }
    fn usage(&self, _data: &[u8], _earlier: Option<&Usage>, _target: &Target<'_>) -> Option<Usage> {
        unimplemented!()
    }
}
