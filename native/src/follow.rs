//! Takes up what others change in the store while the gateway runs: `tollgate key block` takes effect
//! without a word to the gateway.
//!
//! The store is looked at twice a second off the runtime's threads, and before each request to the
//! admin API, so that nobody changes what has just become something else. Directory and store are of
//! one mind as long as the office stands still.

use crate::api;
use crate::arrears;
use crate::host::Shared;
use crate::store::trouble::StoreError;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(500);

/// Follows the store until the gateway stops.
pub async fn run(shared: Arc<Shared>) {
    let mut trouble = None;
    loop {
        sleep(INTERVAL).await;
        let still = shared.office.still().await;
        let now = take_up(&shared).await.err();
        drop(still);
        if now != trouble {
            match &now {
                Some(why) => tracing::error!(%why, "changes by others cannot be seen; tried twice a second"),
                None => tracing::warn!("changes by others are seen again"),
            }
        }
        trouble = now;
    }
}

/// Brings the directory to what the store holds. The office stands still meanwhile.
pub async fn take_up(shared: &Shared) -> Result<(), StoreError> {
    let changes = shared.store.news().await?;
    if changes.is_empty() {
        return Ok(());
    }
    // What came from another gateway is told back to it, which changes nothing.
    shared.share.tell(&changes);
    // Before anybody draws on them, as for the admin API's own changes.
    arrears::of_changes(&shared.store, &changes, shared, shared.clock.now()).await;
    let config = shared.config.load_full();
    let mut directory = shared.directory_mut();
    // All of them first: what one has become may be what another was.
    for change in &changes {
        directory.remove(change.kind, &change.name);
    }
    for change in &changes {
        if let Err(aside) = directory.apply(change, &config) {
            let errors: Vec<String> = aside.errors.iter().map(|error| error.message.clone()).collect();
            let (kind, why) = (aside.kind.name(), errors.join("; "));
            tracing::error!(kind, name = aside.name, why, "a stored entry cannot be used and is left out");
        }
    }
    drop(directory);
    api::forget_gone(&changes, shared);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::begin::begin;
    use crate::settings::{Exposure, Settings};
    use crate::store::beside::Beside;
    use crate::store::tests::Folder;
    use crate::upstream::pool::Outside;
    use bytes::Bytes;
    use http::Response;
    use tollgate_core::api::{Change, Commit, Deed, Kind, Plan, audit};
    use tollgate_core::config;
    use tollgate_core::units::Time;

    fn shared(folder: &Folder) -> Arc<Shared> {
        let text = format!(
            "[server]\nadmin_key = \"root-of-it-all\"\n[store]\npath = {:?}\n",
            folder.store().to_string_lossy()
        );
        let none = |_: config::SecretRef<'_>| Err("it is not set".to_owned());
        let config = config::load(text.as_bytes(), &none).unwrap();
        let settings = Settings {
            config,
            addresses: Vec::new(),
            tls: None,
            keys: Vec::new(),
            exposure: Exposure::Guarded,
        };
        begin(settings, Outside::from_env()).unwrap().shared
    }

    fn write(folder: &Folder, changes: &[(&str, Option<u8>)]) {
        let mut store = Beside::open(&folder.store().to_string_lossy(), audit::seal).unwrap();
        for (name, digest) in changes {
            let spec = digest.map(|byte| {
                Bytes::from(format!(
                    "{{\"name\":\"{name}\",\"sha256\":\"{}\"}}",
                    format!("{byte:02x}").repeat(32)
                ))
            });
            let change = Change { kind: Kind::Key, name: (*name).to_owned(), spec };
            let (actor, action) = ("cli".to_owned(), "key.update".to_owned());
            let subject = format!("key:{name}");
            let deed = Deed { at: Time(1), actor, action, subject, before: None, after: None };
            let commit = Commit { changes: vec![change], deed, answer: Response::new(Bytes::new()) };
            store.perform(u64::MAX >> 1, |_| Plan::Commit(Box::new(commit))).unwrap();
        }
    }

    /// With a clock that runs when there is nothing else to do. The store is opened and closed outside.
    fn runtime() -> tokio::runtime::LocalRuntime {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_all().start_paused(true).build_local(Default::default()).unwrap()
    }

    fn follow(shared: &Shared) {
        runtime().block_on(take_up(shared)).unwrap();
    }

    fn name_of(shared: &Shared, digest: u8) -> Option<String> {
        shared.directory().key_of(&[digest; 32]).map(|key| key.name.clone())
    }

    #[test]
    fn keys_that_are_made_and_deleted_elsewhere_are_known_and_forgotten() {
        let folder = Folder::new("follow");
        let shared = shared(&folder);
        write(&folder, &[("a", Some(1)), ("b", Some(2))]);
        assert_eq!(name_of(&shared, 1), None);
        follow(&shared);
        assert_eq!((name_of(&shared, 1), name_of(&shared, 2)), (Some("a".into()), Some("b".into())));
        write(&folder, &[("a", None)]);
        follow(&shared);
        assert_eq!((name_of(&shared, 1), name_of(&shared, 2)), (None, Some("b".into())));
    }

    #[test]
    fn keys_that_have_swapped_their_secrets_meanwhile_are_both_known() {
        let folder = Folder::new("follow-swap");
        let shared = shared(&folder);
        write(&folder, &[("a", Some(1)), ("b", Some(2))]);
        follow(&shared);
        write(&folder, &[("a", Some(3)), ("b", Some(1)), ("a", Some(2))]);
        follow(&shared);
        assert_eq!((name_of(&shared, 1), name_of(&shared, 2)), (Some("b".into()), Some("a".into())));
    }

    #[test]
    fn the_store_is_looked_at_until_the_gateway_stops() {
        let folder = Folder::new("follow-run");
        let shared = shared(&folder);
        runtime().block_on(async {
            let task = tokio::task::spawn_local(run(Arc::clone(&shared)));
            write(&folder, &[("a", Some(1))]);
            while name_of(&shared, 1).is_none() {
                sleep(INTERVAL).await;
            }
            task.abort();
            assert!(task.await.is_err_and(|end| end.is_cancelled()), "it goes on by itself");
        });
    }
}
