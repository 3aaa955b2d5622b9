//! Calls.
use crate::call::Call;
use crate::fault::{Code, Fault};
pub(super) fn parse(body: &[u8]) -> Result<Call, Fault> {
    let _ = body;
    Err(Fault::new(Code::Bug, "later"))
}
