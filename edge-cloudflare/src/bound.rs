//! What the Worker was deployed with, as far as every call asks: looked up once by each isolate, since looking
//! is dear and nothing of it changes while an isolate lives.

use crate::glue;
use tollgate_core::units::Millis;
use worker::Env;

/// The binding of the Durable Objects.
pub(crate) const LEDGER: &str = "LEDGER";

/// The binding of an Analytics Engine dataset.
pub(crate) const USAGE: &str = "USAGE";

/// What it does.
pub(crate) const POINTS: &str = "writeDataPoint";

/// The binding of a queue.
pub(crate) const QUEUE: &str = "USAGE_QUEUE";

/// The variable of how old a config gets, in seconds.
const FRESHNESS: &str = "TOLLGATE_CONFIG_FRESH";

/// Unless the variable says otherwise. KV's own caches are as old at least.
const FRESH: Millis = Millis::from_secs(30);

/// The variable that says whether everybody may use it.
const OPEN: &str = "TOLLGATE_OPEN";

/// The variable of how many spares an isolate may have of a busy key.
const LEASES: &str = "TOLLGATE_LEASES";

/// Whether there is a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    There,
    Missing,
}

/// What there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bound {
    pub(crate) ledger: Binding,
    pub(crate) usage: Binding,
    pub(crate) queue: Binding,
    /// How old a config gets, and what is known of who there is.
    pub(crate) fresh: Millis,
    /// How many spares an isolate may have of a key; none unless the variable says so.
    pub(crate) spares: usize,
    pub(crate) door: Door,
}

/// Who may use a gateway that requires no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Everybody,
    /// Those of the machine it runs on, as `wrangler dev` does.
    Neighbours,
}

impl Bound {
    pub(crate) fn of(env: &Env) -> Self {
        let told = |name: &str| env.var(name).ok()?.to_string().trim().parse::<u32>().ok();
        let binding = |is_there| if is_there { Binding::There } else { Binding::Missing };
        Self {
            ledger: binding(env.durable_object(LEDGER).is_ok()),
            usage: binding(glue::binding(env, USAGE, POINTS).is_some()),
            queue: binding(env.queue(QUEUE).is_ok()),
            fresh: told(FRESHNESS).map_or(FRESH, |seconds| Millis::from_secs(seconds.into())),
            spares: told(LEASES).map_or(0, |most| most as usize),
            door: match env.var(OPEN) {
                Ok(open) if open.to_string().trim() == "true" => Door::Everybody,
                Ok(_) | Err(_) => Door::Neighbours,
            },
        }
    }
}
