//! Short-lived signed keys: JWTs that allow less than the key they come from.

use crate::config::Pattern;
use crate::ledger::Scope;
use crate::units::Time;
use std::sync::Arc;

/// What a verified token allows. It is never more than its parent does.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Names it; its scope is `token:<id>`.
    pub id: String,
    /// The name of the key it comes from.
    pub parent: String,
    /// What it may call, of what its parent may. Empty: all of that.
    pub models: Vec<Pattern>,
    /// Its own limits.
    pub scope: Arc<Scope>,
    /// The first moment at which it is refused.
    pub expires: Time,
}
