//! The door: what is decided from a request's head alone, before its body is read.

use crate::config::Config;
use crate::exchange::RequestId;
use crate::fault::Fault;
use crate::surface::Surface;
use crate::units::Time;
use bytes::Bytes;
use http::request::Parts;
use std::sync::Arc;

/// What becomes of a request.
pub enum Admission {
    /// It is answered without its body: health, model lists, refusals.
    Answered(http::Response<Bytes>),
    /// Its body is wanted, at most `config.server.max_body` bytes.
    Wanted(Admitted),
}

/// A request that may go on. Holds what the head told.
pub struct Admitted {
    /// The config it runs under to its end, whatever is reloaded meanwhile.
    pub config: Arc<Config>,
    /// The surface it came to.
    pub surface: &'static dyn Surface,
    /// Its id.
    pub id: RequestId,
    /// When it came.
    pub at: Time,
}

impl Admitted {
    /// The answer to a body that could not be read: too large, cut, too slow.
    pub fn refuse(&self, fault: &Fault) -> http::Response<Bytes> {
        let _ = fault;
        unimplemented!()
    }
}

/// Decides on a request by its head: finds the surface, then the key.
pub fn admit(head: &Parts, config: &Arc<Config>, id: RequestId, now: Time) -> Admission {
    let _ = (head, config, id, now);
    unimplemented!()
}
