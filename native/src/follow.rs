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
    api::forget(&changes, shared);
    Ok(())
}
