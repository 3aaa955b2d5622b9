//! Keys of other issuers of tokens, fetched when a token needs them.
//!
//! ```text
//!   token ─▶ NeedsKeys ─▶ this instance has looked ─no─▶ key-value ─▶ fresh: look at the token again
//!                            │ yes                          │ old, or none
//!                            └──────────────────────────────┴─▶ asked a moment ago? ─no─▶ fetch, keep
//! ```
//! 1. Nothing is fetched before a token comes, and what one instance has fetched others find.
//! 2. Keys are ten minutes old at most, and a day where their issuer does not answer.

use crate::fetch::Call;
use crate::gateway::Gateway;
use crate::timer::Timer;
use crate::trouble;
use std::cell::RefCell;
use std::collections::BTreeMap;
use tollgate_core::token::{Issuer, Jwks, JwksSource};
use tollgate_core::units::{Millis, Time};
use tollgate_edge::front::Again;
use tollgate_edge::issuers::{PATIENCE, PAUSE, document};

/// How old keys become while their issuer answers.
const FRESH: Millis = Millis::from_secs(10 * 60);

/// How old keys become at most.
const BELIEVED: Millis = Millis::from_secs(24 * 3600);

/// What an instance has done about issuers.
#[derive(Debug, Default)]
pub(crate) struct Issuers(RefCell<BTreeMap<String, Known>>);

#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// When the keys that the directory has were fetched.
    had: Time,
    /// When they were last asked for.
    asked: Time,
}

/// A document, and when it was fetched.
struct Kept {
    at: Time,
    document: Vec<u8>,
}

/// Gets an issuer's keys, unless that was done a moment ago.
pub(crate) async fn fetch(gateway: &Gateway, name: &str) -> Again {
    let (config, now) = (gateway.config(), gateway.clock.now());
    let Some(issuer) = config.tokens.issuer(name) else { return Again::No };
    let JwksSource::Url(url) = &issuer.jwks else {
        trouble::say(&format!("the keys of {name} are in a file, and there are none here: give its address"));
        return Again::No;
    };
    let known = gateway.issuers.known(name);
    let kept = kept(url).await.filter(|kept| now.since(kept.at) < BELIEVED);
    if let Some(kept) = kept.as_ref().filter(|kept| kept.at > known.had && now.since(kept.at) < FRESH)
        && take_up(gateway, issuer, kept)
    {
        return Again::Yes;
    }
    let last = kept.as_ref().map_or(known.asked, |kept| kept.at.max(known.asked));
    if last != Time(0) && now.since(last) < PAUSE {
        return Again::No;
    }
    gateway.issuers.asked(name, now);
    let fetched = document(url, Call::new, Timer::new(gateway.clock), now + PATIENCE).await;
    match fetched.and_then(|document| Jwks::parse(&document).map(|_| document)) {
        Ok(document) => {
            let fresh = Kept { at: now, document: document.to_vec() };
            keep(url, &fresh).await;
            if take_up(gateway, issuer, &fresh) { Again::Yes } else { Again::No }
        }
        Err(why) => {
            trouble::say(&format!("the keys of {name} cannot be had: {why}"));
            match kept.filter(|kept| kept.at > known.had) {
                Some(kept) if take_up(gateway, issuer, &kept) => Again::Yes,
                Some(_) | None => Again::No,
            }
        }
    }
}

fn take_up(gateway: &Gateway, issuer: &Issuer, Kept { at, document }: &Kept) -> bool {
    let Ok(keys) = Jwks::parse(document) else { return false };
    gateway.with_directory(|directory| directory.put_jwks(issuer, keys));
    gateway.issuers.had(&issuer.issuer, *at);
    true
}

impl Issuers {
    fn known(&self, name: &str) -> Known {
        self.0.borrow().get(name).copied().unwrap_or_default()
    }

    fn asked(&self, name: &str, now: Time) {
        self.0.borrow_mut().entry(name.to_owned()).or_default().asked = now;
    }

    fn had(&self, name: &str, at: Time) {
        self.0.borrow_mut().entry(name.to_owned()).or_default().had = at;
    }
}

#[cfg(feature = "key-value")]
fn place(url: &str) -> String {
    // Stores take so many bytes as a key.
    let url: String = url.chars().rev().take(180).collect();
    format!("tollgate/jwks/{url}")
}

#[cfg(feature = "key-value")]
async fn kept(url: &str) -> Option<Kept> {
    use crate::timer::patiently;
    use spin_sdk::key_value::Store;
    let place = place(url);
    let read = async move { Store::open_default().await.ok()?.get(place).await.ok()? };
    let value = patiently(Millis(100), read).await??;
    let (at, document) = value.split_first_chunk::<8>()?;
    Some(Kept { at: Time(u64::from_le_bytes(*at)), document: document.to_vec() })
}

#[cfg(feature = "key-value")]
async fn keep(url: &str, Kept { at, document }: &Kept) {
    use crate::timer::patiently;
    use spin_sdk::key_value::Store;
    let (place, value) = (place(url), [&at.0.to_le_bytes(), document.as_slice()].concat());
    let write = async move {
        if let Ok(store) = Store::open_default().await {
            // Others fetch for themselves then.
            let _ = store.set(place, value).await;
        }
    };
    patiently(Millis(100), write).await;
}

#[cfg(not(feature = "key-value"))]
async fn kept(_url: &str) -> Option<Kept> {
    None
}

#[cfg(not(feature = "key-value"))]
async fn keep(_url: &str, _kept: &Kept) {}
