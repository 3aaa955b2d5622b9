//! Gates: answers that wait until somebody outside lets them go on, so that a test orders events
//! instead of timing them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

/// Permits of a gate that stays open.
const FOR_EVER: usize = Semaphore::MAX_PERMITS / 2;

/// All gates by name. One that nobody has opened is closed.
#[derive(Debug, Default)]
pub(crate) struct Gates(Mutex<HashMap<String, Gate>>);

/// Lets through one wait for each permit.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gates {
    /// The gate of this name.
    pub(crate) fn named(&self, name: &str) -> Gate {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(name.to_owned()).or_insert_with(|| Gate(Arc::new(Semaphore::new(0)))).clone()
    }

    /// Forgets every gate. Those who wait at one go on.
    pub(crate) fn reset(&self) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.drain().for_each(|(_, gate)| gate.0.close());
    }
}

impl Gate {
    /// Lets through so many waits, those that have begun first; all of them when no number is given.
    pub(crate) fn open(&self, permits: Option<usize>) {
        let room = FOR_EVER.saturating_sub(self.0.available_permits());
        self.0.add_permits(permits.unwrap_or(FOR_EVER).min(room));
    }

    /// Waits for a permit and uses it up.
    pub(crate) async fn pass(self) {
        if let Ok(permit) = self.0.acquire_owned().await {
            permit.forget();
        }
    }
}
