//! A request in flight as a value: facts go in, wishes come out.

use crate::admit::Admitted;
use crate::units::Time;
use bytes::Bytes;

/// A request in flight.
pub struct Exchange {}

/// Names one request in every log, header and record. 128 random bits in base-32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(pub u128);

impl Exchange {
    /// Begins an exchange with a whole request body.
    pub fn new(admitted: Admitted, body: Bytes, now: Time) -> Self {
        let _ = (admitted, body, now);
        Self {}
    }
}
