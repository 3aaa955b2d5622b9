//! The scripts decide as the core's ledger does.

use crate::gateway::*;
use crate::server::Server;
use std::sync::Arc;
use tollgate_core::ledger::{
    Ask, AskCost, Claim, Entry, Hold, Ledger, Refusal, Scope, Settlement, Spent, Targets,
};
use tollgate_core::limit::{Budget, Limits, Percent, Period, Reset};
use tollgate_core::price::PerMillion;
use tollgate_core::units::{Estimated, Metered, Millis, NanoDollars, Requests, Tokens};

/// A few numbers after each other that look like chance and are always the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn sometimes(&mut self, number: u64) -> Option<u64> {
        (self.below(3) > 0).then_some(number)
    }
}

/// Limits that a hundred requests reach.
fn limits(dice: &mut Dice) -> Limits {
    let mut budgets = Vec::new();
    for (per, reset) in [(Period::Never, Reset::Rolling), (Period::Week, Reset::Rolling)] {
        if dice.below(2) == 0 {
            let amount = NanoDollars(20_000 + dice.below(50_000));
            budgets.push(Budget { amount, per, reset, warn: Some(Percent(60)) });
        }
    }
    Limits {
        rpm: dice.sometimes(40).map(Requests),
        tpm: dice.sometimes(6000).map(Tokens),
        tpm_input: dice.sometimes(3000).map(Tokens),
        tpm_output: dice.sometimes(4000).map(Tokens),
        concurrency: dice.sometimes(6).map(Requests),
        max_requests: dice.sometimes(70).map(Requests),
        max_tokens: dice.sometimes(12_000).map(Tokens),
        budgets,
    }
}

/// The same scopes as a part of a request draws on them.
fn parts(scopes: &[Arc<Scope>]) -> Vec<Arc<Scope>> {
    let limited = scopes.iter().filter(|scope| scope.limits.limits_tokens() || scope.limits.has_budget());
    limited.map(|one| scope(&one.name, one.limits.of_a_part())).collect()
}

fn asked(dice: &mut Dice, scopes: &[Arc<Scope>]) -> Entry {
    let parts = (dice.below(4) == 0).then(|| parts(scopes));
    let claims = parts.as_deref().unwrap_or(scopes).iter().filter_map(|scope| {
        let targets = if dice.below(3) == 0 { Targets(1 + dice.below(7)) } else { Targets::ALL };
        (dice.below(3) > 0).then(|| Claim { scope: Arc::clone(scope), targets })
    });
    let claims = claims.collect();
    let least = dice.below(60);
    Entry {
        id: fresh_id(),
        book: Arc::from("acme"),
        claims,
        targets: Targets(0b111),
        ask: Ask {
            more: Requests(dice.below(3)),
            input: Estimated(Tokens(dice.below(100))),
            least_output: Estimated(Tokens(least)),
            most_output: Estimated(Tokens(least + dice.below(200))),
            cost: dice.sometimes(1).map(|_| AskCost {
                fixed: NanoDollars(dice.below(500)),
                output: PerMillion(dice.below(9_000_001)),
            }),
        },
        lease: Millis::from_secs(600),
    }
}

/// Without the time that passes between one ledger and the other: which of two full minutes opens last may
/// hang on a millisecond.
fn timeless(outcome: &Result<Hold, Refusal>) -> String {
    match outcome {
        Ok(hold) => {
            let left = (
                hold.standing.requests.map(|level| level.left),
                hold.standing.tokens.map(|level| level.left),
            );
            format!("{} closed {:?} left {left:?}", hold.output, hold.closed)
        }
        Err(Refusal::Unavailable { .. }) => "unavailable".to_owned(),
        Err(Refusal::Limited(limited)) if limited.what.contains(" a minute, ") => "a full minute".to_owned(),
        Err(Refusal::Limited(limited)) => {
            let what = limited.what.split(", opens in").next().unwrap_or_default();
            let what = what.split(", resets at").next().unwrap_or_default();
            format!("{:?} {}: {what}", limited.code, limited.scope)
        }
    }
}

fn ending(dice: &mut Dice, hold: &Hold) -> Settlement {
    if dice.below(5) == 0 {
        return Settlement::Release;
    }
    Settlement::Settle(Spent {
        input: Metered(Tokens(dice.below(120))),
        output: Metered(Tokens(dice.below(hold.output.get() + 20))),
        cost: NanoDollars(dice.below(2000)),
        targets: Targets(1 << dice.below(3)),
    })
}

async fn compare(seed: u64, server: &Server) {
    let mut dice = Dice(seed);
    let gateway = gateway(server, "a");
    let mut core = Ledger::default();
    let names = ["key", "user", "team", "organisation"];
    let scopes: Vec<_> =
        names.iter().map(|name| scope(&format!("{name}:{seed}"), limits(&mut dice))).collect();
    let mut open = Vec::new();
    for step in 0..120 {
        let entry = asked(&mut dice, &scopes);
        let here = core.reserve(entry.clone(), now());
        let there = gateway.reserve(&entry, now()).await;
        assert_eq!(timeless(&there), timeless(&here), "seed {seed} step {step}: {entry:?}");
        if let (Ok(here), Ok(there)) = (here, there) {
            open.push((here, there));
        }
        while open.len() > 4 || (!open.is_empty() && dice.below(3) == 0) {
            let place = usize::try_from(dice.below(open.len() as u64)).unwrap();
            let (here, there) = open.swap_remove(place);
            let settlement = ending(&mut dice, &here);
            let mine: Vec<_> = core
                .settle(here, &settlement, now())
                .into_iter()
                .map(|told| (told.scope, told.budget.per, told.spent))
                .collect();
            let theirs: Vec<_> = gateway
                .settle(there, settlement, now())
                .await
                .into_iter()
                .map(|told| (told.scope, told.budget.per, told.spent))
                .collect();
            assert_eq!(theirs, mine, "seed {seed} step {step}");
        }
        let reports = gateway.report(&entry.book, &scopes, now()).await;
        for (scope, mut there) in scopes.iter().zip(reports) {
            let mut here = core.report(scope, now());
            for gauge in here.gauges.iter_mut().chain(&mut there.gauges) {
                gauge.resets_at = None;
            }
            assert_eq!(there, here, "seed {seed} step {step}");
        }
    }
}

#[tokio::test]
async fn the_scripts_grant_refuse_settle_and_report_as_the_core_does() {
    let server = Server::start();
    for seed in 1..=20 {
        compare(seed, &server).await;
    }
}
