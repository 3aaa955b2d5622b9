//! The same operations in the words of other gateways, so that provisioning scripts keep working.
//!
//! What a field cannot be mapped to is refused by name, unless it changes nothing here: then the
//! answer's `warnings` names it.

pub(super) mod bifrost;
pub(super) mod litellm;
