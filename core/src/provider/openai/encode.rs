//! Calls.
use crate::call::Call;
use crate::fault::Fault;
use crate::provider::{Encoded, Endpoint, Target};
pub(super) fn encode(call: &Call, target: &Target<'_>, endpoint: Endpoint) -> Result<Encoded, Fault> {
    let _ = (call, target);
    Ok(Encoded { endpoint, body: bytes::Bytes::new(), lost: Vec::new() })
}
