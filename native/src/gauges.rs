//! How the stores are, in Prometheus' text exposition format.

use crate::host::Shared;
use crate::ledger::Ledgers;
use std::fmt::Write;

/// A number that goes up and down.
struct Gauge {
    name: &'static str,
    help: &'static str,
    value: usize,
}

/// All of them. Those of Redis only where there is one.
pub fn render(shared: &Shared) -> String {
    let mut gauges = vec![Gauge {
        name: "tollgate_store_writable",
        help: "Whether the store takes writes: 1, or 0.",
        value: usize::from(shared.store.is_writable()),
    }];
    if let Ledgers::Together { shared: ledger, .. } = &shared.ledger {
        gauges.push(Gauge {
            name: "tollgate_redis_up",
            help: "Whether Redis answers, as far as is known: 1, or 0.",
            value: usize::from(ledger.is_alive()),
        });
        gauges.push(Gauge {
            name: "tollgate_ledger_kept_settlements",
            help: "Settlements that wait for Redis.",
            value: ledger.kept(),
        });
    }
    let mut out = String::new();
    for Gauge { name, help, value } in gauges {
        // Writing to a string does not fail.
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
    }
    out
}
