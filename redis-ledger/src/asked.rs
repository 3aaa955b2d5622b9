//! What the scripts are asked: keys and arguments.

use super::edges::{Turns, began};
use super::minute::Minute;
use super::pack::{Fields, Pack};
use super::script::{Call, REPORT, RESERVE, SEED, SETTLE, Script, What};
use std::sync::Arc;
use tollgate_core::ledger::{Claim, Entry, Hold, Report, Scope, Settlement, Spent, Targets};
use tollgate_core::limit::{Budget, Limits};
use tollgate_core::units::{Requests, Time, Tokens};

/// Who asks, and under which names the books are kept.
#[derive(Debug)]
pub struct Asker {
    /// The keys' prefix, already free of braces.
    namespace: String,
    /// Names this gateway, also after a restart.
    gateway: String,
    /// Names this process.
    process: String,
}

/// Counts this process's reservations and settlements; later ones are larger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sequence(pub u64);

/// What this gateway has settled in a scope so far, and asked in the last minute, by its own books.
#[derive(Clone, Debug)]
pub struct Own {
    /// All reservations and settlements up to this one are in it.
    pub sequence: Sequence,
    /// By own books.
    pub report: Report,
    /// When.
    pub at: Time,
}

/// How an entry ends.
#[derive(Clone, Copy, Debug)]
pub enum Ending<'a> {
    /// It was granted by the books of this epoch, and has this number in own books.
    Granted {
        /// Of the books.
        epoch: &'a str,
        /// Of the reservation.
        taken: Sequence,
        /// What came of it.
        settlement: &'a Settlement,
    },
    /// It was granted without asking, or without an answer in time.
    Unasked {
        /// Of the reservation.
        taken: Sequence,
        /// What came of it.
        settlement: &'a Settlement,
    },
    /// Nothing is known of how it was granted: it ends if it is open.
    Found {
        /// What came of it.
        settlement: &'a Settlement,
    },
    /// Nothing came of it, and whether it was granted is not known.
    Cancelled,
}

/// The claims that limit anything for the entry's targets, each scope once. Places in scripts' answers
/// count these.
pub fn limiting(entry: &Entry) -> Vec<Claim> {
    let mut all: Vec<Claim> = Vec::with_capacity(entry.claims.len());
    for claim in entry.claims.iter().filter(|claim| !claim.scope.limits.is_unlimited()) {
        let targets = if entry.targets.is_none() { Targets::ALL } else { claim.targets };
        if !targets.meets(all_of(entry)) {
            continue;
        }
        match all.iter_mut().find(|known| known.scope.name == claim.scope.name) {
            Some(again) => again.targets = again.targets.or(targets),
            None => all.push(Claim { scope: Arc::clone(&claim.scope), targets }),
        }
    }
    all
}

/// The entry's targets; where none are named it is as if there were all.
fn all_of(entry: &Entry) -> Targets {
    if entry.targets.is_none() { Targets::ALL } else { entry.targets }
}

impl Asker {
    /// Of a gateway, which keeps its name over restarts, and a process of it, under keys that begin so.
    pub fn new(namespace: &str, gateway: &str, process: String) -> Self {
        Self { namespace: unbraced(namespace), gateway: gateway.to_owned(), process }
    }

    /// Asks for an entry's quota. `own` is sent along for scopes that may not know it.
    pub fn reserve(&self, entry: &Entry, own: Option<&[Own]>, now: Time) -> Call {
        let mut pack = Pack::default();
        let mut fields = self.fields(&mut pack, &entry.book);
        let Entry { id, book, claims: _, targets: _, ask, lease } = entry;
        fields.text("id", &id.to_string());
        fields.number("lease", lease.get());
        write_targets(fields.with("targets"), all_of(entry));
        let most = ask.most_output.0.max(ask.least_output.0);
        // It cannot be nothing where there is to be some.
        let least = ask.least_output.0.max(most.min(Tokens(1)));
        fields.number("input", ask.input.0.get());
        fields.number("least", least.get());
        fields.number("most", most.get());
        if !ask.more.is_zero() {
            fields.number("more", ask.more.get());
        }
        if let Some(cost) = &ask.cost {
            fields.number("fixed", cost.fixed.get());
            fields.number("price", cost.output.0);
        }
        let claims = limiting(entry);
        let list = fields.with("claims");
        list.list(claims.len());
        for (place, claim) in claims.iter().enumerate() {
            let mut fields = Fields::open(list);
            write_targets(fields.with("targets"), claim.targets);
            write_scope(&mut fields, &claim.scope, now);
            if let Some(own) = own.and_then(|own| own.get(place)).filter(|_| is_lasting(&claim.scope.limits))
            {
                write_own(fields.with("own"), own, &claim.scope);
            }
        }
        drop(fields);
        self.call(&RESERVE, book, self.entry_keys(entry), vec![pack.into_bytes()])
    }

    /// Ends an entry that was granted so much output, or might have been.
    pub fn settle(&self, hold: &Hold, ending: Ending<'_>, sequence: Sequence, now: Time) -> Call {
        let spent = match ending {
            Ending::Granted { settlement, .. }
            | Ending::Unasked { settlement, .. }
            | Ending::Found { settlement } => match settlement {
                Settlement::Settle(spent) => Some(spent),
                // Nothing is taken in advance here.
                Settlement::Release | Settlement::Return => None,
            },
            Ending::Cancelled => None,
        };
        self.end(&hold.entry, hold.output, ending, spent, sequence, now)
    }

    /// Takes back a reservation of which it is not known whether it arrived.
    pub fn cancel(&self, entry: &Entry, sequence: Sequence, now: Time) -> Call {
        self.end(entry, Tokens::ZERO, Ending::Cancelled, None, sequence, now)
    }

    fn end(
        &self,
        entry: &Entry,
        held: Tokens,
        ending: Ending<'_>,
        spent: Option<&Spent>,
        sequence: Sequence,
        now: Time,
    ) -> Call {
        let mut pack = Pack::default();
        let mut fields = self.fields(&mut pack, &entry.book);
        fields.text("id", &entry.id.to_string());
        fields.number("lease", entry.lease.get());
        fields.number("at", now.0);
        match ending {
            Ending::Granted { epoch, taken, .. } => {
                fields.text("epoch", epoch);
                fields.number("taken", taken.0);
            }
            Ending::Unasked { taken, .. } => fields.number("taken", taken.0),
            Ending::Found { .. } => fields.flag("only_open", true),
            Ending::Cancelled => fields.flag("cancel", true),
        }
        let list = fields.with("held");
        list.list(2);
        list.number(entry.ask.input.0.get());
        list.number(held.get());
        let figures = spent.copied().unwrap_or_default();
        fields.number("input", figures.input.0.get());
        fields.number("output", figures.output.0.get());
        fields.number("cost", figures.cost.get());
        let claims = limiting(entry);
        let list = fields.with("claims");
        list.list(claims.len());
        for claim in claims {
            let mut fields = Fields::open(list);
            fields.text("verdict", verdict(entry, &claim, spent));
            write_scope(&mut fields, &claim.scope, now);
        }
        drop(fields);
        let args = vec![pack.into_bytes(), sequence.0.to_string().into_bytes()];
        self.call(&SETTLE, &entry.book, self.entry_keys(entry), args)
    }

    /// Brings what this gateway has asked and spent into books that may have lost it.
    pub fn seed(&self, book: &Arc<str>, scopes: &[(Arc<Scope>, Own)], now: Time) -> Call {
        let mut pack = Pack::default();
        let mut fields = self.fields(&mut pack, book);
        let list = fields.with("claims");
        list.list(scopes.len());
        for (scope, own) in scopes {
            let mut fields = Fields::open(list);
            write_scope(&mut fields, scope, now);
            write_own(fields.with("own"), own, scope);
        }
        drop(fields);
        let mut keys = vec![self.key(book, "epoch")];
        keys.extend(scopes.iter().map(|(scope, _)| self.scope_key(book, scope)));
        self.call(&SEED, book, keys, vec![pack.into_bytes()])
    }

    /// Asks where scopes stand.
    pub fn report(&self, book: &Arc<str>, scopes: &[Arc<Scope>], now: Time) -> Call {
        let mut pack = Pack::default();
        let mut fields = self.fields(&mut pack, book);
        let list = fields.with("claims");
        list.list(scopes.len());
        for scope in scopes {
            write_scope(&mut Fields::open(list), scope, now);
        }
        drop(fields);
        let keys = scopes.iter().map(|scope| self.scope_key(book, scope)).collect();
        self.call(&REPORT, book, keys, vec![pack.into_bytes()])
    }

    /// Asks which books these are: another answer than before says that they were lost in between.
    pub fn epoch(&self, book: &Arc<str>) -> Call {
        let keys = vec![self.key(book, "epoch")];
        Call { book: Arc::clone(book), what: What::Command("GET"), keys, args: Vec::new() }
    }

    /// Asks whether the server takes anything at all.
    pub fn probe(&self) -> Call {
        let book: Arc<str> = Arc::from("");
        let keys = vec![self.key(&book, "probe")];
        let args = ["1", "PX", "1000"].map(|arg| arg.as_bytes().to_vec()).to_vec();
        Call { book, what: What::Command("SET"), keys, args }
    }

    fn fields<'a>(&self, pack: &'a mut Pack, book: &str) -> Fields<'a> {
        let mut fields = Fields::open(pack);
        fields.text("base", &self.key(book, ""));
        fields.text("gateway", &self.gateway);
        fields.text("process", &self.process);
        fields
    }

    fn entry_keys(&self, entry: &Entry) -> Vec<String> {
        let book = &entry.book;
        let entry_key = self.key(book, &format!("entry:{}", entry.id));
        let mut keys = vec![self.key(book, "leases"), entry_key, self.key(book, "epoch")];
        keys.extend(limiting(entry).iter().map(|claim| self.scope_key(book, &claim.scope)));
        keys
    }

    fn scope_key(&self, book: &str, scope: &Scope) -> String {
        self.key(book, &format!("scope:{}", scope.name))
    }

    /// All keys of a book are in the slot of what stands in braces.
    fn key(&self, book: &str, rest: &str) -> String {
        format!("{{{}:{}}}:{rest}", self.namespace, unbraced(book))
    }

    fn call(&self, script: &'static Script, book: &Arc<str>, keys: Vec<String>, args: Vec<Vec<u8>>) -> Call {
        Call { book: Arc::clone(book), what: What::Script(script), keys, args }
    }
}

/// Braces would end the tag early; what replaces them is no brace and no name that is in use.
fn unbraced(name: &str) -> String {
    name.replace('%', "%25").replace('{', "%7b").replace('}', "%7d")
}

/// What becomes of a claim when its entry ends.
fn verdict(entry: &Entry, claim: &Claim, spent: Option<&Spent>) -> &'static str {
    let covers = all_of(entry).without(claim.targets).is_none();
    match spent {
        None if covers => "release",
        Some(spent) if covers || claim.targets.meets(spent.targets) => "charge",
        None | Some(_) => "return",
    }
}

/// Whether it counts what is past, so that it must survive the loss of the server's data.
pub fn is_lasting(limits: &Limits) -> bool {
    is_rated(limits) || is_summed(limits)
}

/// Whether it counts for longer than a minute.
pub fn is_summed(limits: &Limits) -> bool {
    limits.has_budget() || limits.max_requests.is_some() || limits.max_tokens.is_some()
}

/// Whether it counts the last minute.
fn is_rated(limits: &Limits) -> bool {
    let Limits { rpm, tpm, tpm_input, tpm_output, .. } = limits;
    rpm.is_some() || tpm.is_some() || tpm_input.is_some() || tpm_output.is_some()
}

fn write_scope(fields: &mut Fields<'_>, scope: &Scope, now: Time) {
    let Limits { rpm, tpm, tpm_input, tpm_output, concurrency, max_requests, max_tokens, budgets } =
        &scope.limits;
    fields.text("name", &scope.name);
    fields.flag("lasting", is_lasting(&scope.limits));
    fields.flag("summed", is_summed(&scope.limits));
    fields.flag("rated", is_rated(&scope.limits));
    let counts = scope.limits.counts_requests();
    if !counts {
        fields.flag("part", true);
    }
    fields.optional("rpm", rpm.map(Requests::get));
    fields.optional("tpm", tpm.map(Tokens::get));
    fields.optional("tpm_input", tpm_input.map(Tokens::get));
    fields.optional("tpm_output", tpm_output.map(Tokens::get));
    fields.optional("concurrency", concurrency.filter(|_| counts).map(Requests::get));
    fields.optional("max_requests", max_requests.map(Requests::get));
    fields.optional("max_tokens", max_tokens.map(Tokens::get));
    let list = fields.with("budgets");
    list.list(budgets.len());
    for budget in budgets {
        write_budget(&mut Fields::open(list), budget, now);
    }
}

fn write_budget(fields: &mut Fields<'_>, budget: &Budget, now: Time) {
    fields.text("per", budget.per.name());
    fields.number("amount", budget.amount.get());
    fields.optional("warn", budget.warn.map(|percent| u64::from(percent.0)));
    match Turns::of(budget, now) {
        Turns::At(edges) => {
            let list = fields.with("edges");
            list.list(edges.len());
            edges.iter().for_each(|edge| list.number(edge.0));
        }
        Turns::After(length) => {
            fields.number("length", length.get());
            fields.number("bucket", length.get() / 60);
        }
    }
}

fn write_own(pack: &mut Pack, own: &Own, scope: &Scope) {
    let Own { sequence, report, at } = own;
    let used = |limit: &str, budget: Option<&Budget>| {
        let gauges = &report.gauges;
        let found = gauges.iter().find(|gauge| gauge.limit == limit && gauge.budget.as_ref() == budget);
        found.map_or(0, |gauge| gauge.used)
    };
    let mut fields = Fields::open(pack);
    fields.number("sequence", sequence.0);
    let Minute { requests, input, output } = Minute::of(report);
    let list = fields.with("minute");
    list.list(3);
    list.number(requests.get());
    list.number(input.get());
    list.number(output.get());
    fields.number("requests", used("max_requests", None));
    fields.number("tokens", used("max_tokens", None));
    let list = fields.with("budgets");
    list.list(scope.limits.budgets.len());
    for budget in &scope.limits.budgets {
        let mut fields = Fields::open(list);
        fields.number("used", used("budget", Some(budget)));
        fields.number("from", began(budget, *at).0);
    }
}

/// In two halves: the scripts' bits are 32.
fn write_targets(pack: &mut Pack, targets: Targets) {
    pack.list(2);
    pack.number(targets.0 >> 32);
    pack.number(targets.0 & 0xffff_ffff);
}
