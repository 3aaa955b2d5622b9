//! Who asks, and how far his rights go.

use super::routes::{Arrival, Reach};
use crate::admit::Desk;
use crate::directory::{Caller, Key, Role};
use crate::fault::{Code, Fault};
use crate::keyring::{self, Presented};
use crate::units::Time;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Who asks.
#[derive(Clone, Debug, PartialEq)]
pub enum Principal {
    /// Whoever has `server.admin_key`.
    Admin,
    /// Whoever can write the store's file, at the command line; see [`super::at_hand`].
    Local,
    /// A virtual key.
    Key(Arc<Caller>),
}

/// Who is not let in.
#[derive(Clone, Debug, PartialEq)]
pub enum Stranger {
    /// Someone who is refused.
    Refused(Fault),
    /// The bearer of a token whose issuer's keys are to be fetched first.
    NeedsKeys {
        /// Whose keys, as in the config.
        issuer: String,
        /// What is answered if they cannot be had or do not help.
        fault: Fault,
    },
}

impl From<Fault> for Stranger {
    fn from(fault: Fault) -> Self {
        Self::Refused(fault)
    }
}

impl Principal {
    /// What it may do. A token may do no more than ask about itself, whatever its parent may.
    pub fn role(&self) -> Role {
        match self {
            Self::Admin | Self::Local => Role::Admin,
            Self::Key(caller) if caller.token.is_some() => Role::Caller,
            Self::Key(caller) => caller.key.role,
        }
    }

    /// As the audit log names it.
    pub fn actor(&self) -> String {
        match self {
            Self::Admin => "admin".to_owned(),
            Self::Local => "cli".to_owned(),
            Self::Key(caller) => format!("key:{}", caller.key.name),
        }
    }

    /// Its key.
    pub fn key(&self) -> Option<&Arc<Key>> {
        match self {
            Self::Admin | Self::Local => None,
            Self::Key(caller) => Some(&caller.key),
        }
    }

    /// How far its right to what is served there goes. Fails with `not_permitted` where it goes
    /// nowhere.
    pub fn reach(&self, arrival: &Arrival) -> Result<Reach, Fault> {
        let need = arrival.route.need;
        let reach = need.reach(self.role());
        let lost = reach == Reach::Team && self.key().is_none_or(|key| key.team.is_none());
        if reach == Reach::Nothing || lost {
            let role = self.role().name();
            let which = if lost { "a manager without a team" } else { "this key's role" };
            let message = format!("{which} may not do this: expected {}, found {role}", need.words());
            return Err(Fault::new(Code::NotPermitted, message));
        }
        Ok(reach)
    }
}

/// Whose request it is, by `authorization: Bearer` or `x-api-key`. The API is closed to everybody until
/// there is an admin: `server.admin_key`, or a key with that role. Faults never name what was presented.
pub fn authenticate(headers: &HeaderMap, desk: &Desk<'_>, now: Time) -> Result<Principal, Stranger> {
    let admin = desk.config.server.admin_key.as_ref().filter(|key| !key.is_empty());
    if admin.is_none() && !desk.directory.keys_from("").any(|key| key.role == Role::Admin) {
        let message = "the admin API is closed: set `server.admin_key`, or give a key the role `admin`";
        return Err(Fault::new(Code::MissingKey, message).into());
    }
    if let Some(admin) = admin {
        // By digest: neither the length nor a common beginning shows in the time it takes.
        let wanted = keyring::digest(admin.expose().as_bytes());
        if presented(headers).any(|key| bool::from(keyring::digest(key).ct_eq(&wanted))) {
            return Ok(Principal::Admin);
        }
    }
    match keyring::identify(headers, None, desk, now) {
        Presented::Caller(caller) => Ok(Principal::Key(caller)),
        Presented::Refused(fault) => Err(fault.into()),
        Presented::NeedsKeys { issuer, fault } => Err(Stranger::NeedsKeys { issuer, fault }),
        Presented::Nobody if presented(headers).next().is_none() => Err(Stranger::Refused(Fault::new(
            Code::MissingKey,
            "no key was presented: send one as `authorization: Bearer <key>` or `x-api-key`",
        ))),
        Presented::Nobody => Err(Fault::new(Code::InvalidKey, "the key presented is not known here").into()),
    }
}

fn presented(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let bearer = headers.get_all(AUTHORIZATION).iter().filter_map(|value| {
        let (scheme, key) = value.as_bytes().trim_ascii_start().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)
    });
    let named = headers.get_all("x-api-key").iter().map(http::HeaderValue::as_bytes);
    bearer.chain(named).map(<[u8]>::trim_ascii).filter(|key| !key.is_empty())
}
