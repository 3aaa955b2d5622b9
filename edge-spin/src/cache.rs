//! Answers kept in the key-value store.
//!
//! The store forgets nothing by itself and lists nothing by age. So there are so many places, an answer's key
//! says which is its own, and a later one there takes it: the store holds that many answers at most. When
//! an answer expires stands with it. Requests of one instance cannot wait for each other here, so that
//! equal ones that come at once each ask an upstream.

use crate::timer::patiently;
use bytes::Bytes;
use spin_sdk::key_value::Store;
use tollgate_core::cache::{CacheKey, Kept, Lookup, Recall};
use tollgate_core::units::{Millis, Time};

/// How many answers are kept.
const PLACES: u16 = 1024;

/// What stores take as one value at most, by their own words.
const MOST_BYTES: usize = 1_000_000;

/// How long a look takes at most.
const PATIENCE: Millis = Millis(100);

/// How long a client waits for its answer to be kept; what takes longer goes on behind.
const KEEPING: Millis = Millis(20);

/// Of the key, of when it was kept, and of when it expires.
const HEAD: usize = 48;

/// Looks for an answer.
pub(crate) async fn recall(lookup: Lookup, now: Time) -> Recall {
    let name = place(&lookup.key);
    let read = async move { Store::open_default().await.ok()?.get(name).await.ok()? };
    let value = patiently(PATIENCE, read).await.flatten();
    value.and_then(|value| found(value, &lookup, now)).map_or(Recall::Miss, Recall::Hit)
}

/// Keeps an answer, in place of what is there.
pub(crate) async fn keep(kept: Kept) {
    let value = written(&kept);
    if value.len() > MOST_BYTES {
        return;
    }
    let write = async move {
        if let Ok(store) = Store::open_default().await {
            // A cache that keeps nothing is no fault.
            let _ = store.set(place(&kept.key), value).await;
        }
    };
    patiently(KEEPING, write).await;
}

fn place(CacheKey(key): &CacheKey) -> String {
    let [high, low, ..] = *key;
    format!("tollgate/cache/{}", u16::from_le_bytes([low, high]) % PLACES)
}

fn written(Kept { key: CacheKey(key), id: _, bytes, at, expires }: &Kept) -> Vec<u8> {
    let mut value = Vec::with_capacity(HEAD + bytes.len());
    value.extend_from_slice(key);
    value.extend_from_slice(&at.0.to_le_bytes());
    value.extend_from_slice(&expires.0.to_le_bytes());
    value.extend_from_slice(bytes);
    value
}

fn found(value: Vec<u8>, lookup: &Lookup, now: Time) -> Option<Bytes> {
    let (key, rest) = value.split_first_chunk::<32>()?;
    let (at, rest) = rest.split_first_chunk::<8>()?;
    let (expires, _) = rest.split_first_chunk::<8>()?;
    let (at, expires) = (Time(u64::from_le_bytes(*at)), Time(u64::from_le_bytes(*expires)));
    let is_it = *key == lookup.key.0 && at >= lookup.since && now < expires;
    is_it.then(|| Bytes::from(value).slice(HEAD..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::exchange::RequestId;

    fn kept(key: u8) -> Kept {
        let bytes = Bytes::from_static(b"answer");
        Kept { key: CacheKey([key; 32]), id: RequestId(1), bytes, at: Time(1000), expires: Time(2000) }
    }

    fn lookup(key: u8, since: u64) -> Lookup {
        Lookup { key: CacheKey([key; 32]), id: RequestId(2), since: Time(since), lease: Time(0) }
    }

    #[test]
    fn an_answer_is_found_by_its_own_key_until_it_expires() {
        let value = written(&kept(1));
        let found = |lookup: &Lookup, now| found(value.clone(), lookup, Time(now));
        assert_eq!(found(&lookup(1, 1000), 1999).as_deref(), Some(&b"answer"[..]));
        assert_eq!(found(&lookup(1, 1000), 2000), None, "expired");
        assert_eq!(found(&lookup(1, 1001), 1500), None, "too old for this request");
        assert_eq!(found(&lookup(2, 1000), 1500), None, "another's");
    }

    #[test]
    fn what_nobody_has_written_is_not_there() {
        assert_eq!(found(b"short".to_vec(), &lookup(1, 0), Time(0)), None);
    }

    #[test]
    fn there_are_so_many_places_and_no_more() {
        let places: std::collections::BTreeSet<String> = (0..=u16::MAX)
            .map(|n| place(&CacheKey([[n.to_be_bytes(); 16]].concat().concat().try_into().unwrap())))
            .collect();
        assert_eq!(places.len(), usize::from(PLACES));
    }
}
