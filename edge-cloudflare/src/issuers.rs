//! Keys of other issuers of tokens, fetched when a token needs them.
//!
//! 1. Nothing is fetched before a token comes.
//! 2. Who presents tokens that nobody signed makes an isolate fetch twice a minute at most.

use crate::clock;
use crate::isolate::Isolate;
use crate::timer::LazyTimer;
use crate::upstream::Call;
use tollgate_core::config::Config;
use tollgate_core::sort::Map;
use tollgate_core::token::{Jwks, JwksSource};
use tollgate_core::units::Time;
use tollgate_edge::front::Again;
use tollgate_edge::issuers::{PATIENCE, PAUSE, document};
use worker::console_error;

/// When keys were fetched, by issuer.
pub(crate) type Fetched = Map<String, Time>;

/// Fetches an issuer's keys, unless that was done a moment ago.
pub(crate) async fn fetch(isolate: &Isolate, config: &Config, issuer: &str) -> Again {
    let now = clock::now();
    let Some(issuer) = config.tokens.issuer(issuer) else { return Again::No };
    if isolate.issuers.borrow().get(&issuer.issuer).is_some_and(|at| now.since(*at) < PAUSE) {
        return Again::No;
    }
    isolate.issuers.borrow_mut().insert(issuer.issuer.clone(), now);
    let keys = match &issuer.jwks {
        JwksSource::Url(url) => {
            let fetched = document(url, Call::new, LazyTimer::default(), now + PATIENCE).await;
            fetched.and_then(|document| Jwks::parse(&document))
        }
        JwksSource::File(_) => Err("there are no files here: give the address of a JWKS document".to_owned()),
    };
    match keys {
        Ok(keys) => {
            isolate.directory.borrow_mut().put_jwks(issuer, keys);
            Again::Yes
        }
        Err(why) => {
            console_error!("the keys of {} cannot be had: {why}", issuer.issuer);
            Again::No
        }
    }
}
