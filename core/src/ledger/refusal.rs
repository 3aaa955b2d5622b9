//! Why the ledger says no.

use super::entry::Standing;
use crate::fault::{Code, Fault};
use crate::units::Millis;

/// When to come back to a rate limit that does not open again: there is no word for never, and a client
/// that comes back at once comes back for nothing (K3).
const NEVER: Millis = Millis::from_secs(3600);

/// Why quota was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The ledger cannot be asked now.
    Unavailable {
        /// When to come back.
        retry_after: Millis,
    },
    /// A limit has no room. Of several, the one that opens last.
    Limited(Box<Limited>),
}

/// The limit that has no room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    /// `rpm_exceeded`, `tpm_exceeded`, `concurrency_exceeded` or `budget_exceeded`.
    pub code: Code,
    /// Whose limit: the scope's name.
    pub scope: String,
    /// Which one, how much of it is left, and what was asked, in words:
    /// `200000 tokens a minute, 1200 left, this call may take 9000`.
    pub what: String,
    /// When there will be room; absent where there never will be.
    pub opens_in: Option<Millis>,
    /// For the answer's headers.
    pub standing: Standing,
}

impl Refusal {
    /// What the client is told.
    pub fn into_fault(self) -> Fault {
        match self {
            Self::Unavailable { retry_after } => {
                let message = "the ledger that holds this key's limits cannot be reached";
                Fault::new(Code::StoreUnavailable, message).retry_after(retry_after)
            }
            Self::Limited(limited) => {
                let Limited { code, scope, what, opens_in, standing: _ } = *limited;
                let fault = Fault::new(code, format!("{scope}: {what}"));
                match (opens_in, code) {
                    (Some(wait), _) => fault.retry_after(wait),
                    (None, Code::RpmExceeded | Code::TpmExceeded) => fault.retry_after(NEVER),
                    (None, _) => fault,
                }
            }
        }
    }
}
