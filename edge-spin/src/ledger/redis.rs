//! The ledger in Redis: one script to reserve, one to settle, by which all gateways with the same server
//! and namespace share their limits.
//!
//! Instances live for seconds and keep no books of their own. So what a server has lost is lost: after a
//! flush limits begin anew.

use super::Lost;
use super::books::{Act, Done};
use spin_sdk::redis::{Connection, Error, RedisParameter, RedisResult};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use tollgate_core::ledger::{Hold, Refusal, Report, Scope, Settlement};
use tollgate_core::units::{Millis, Time};
use tollgate_redis_ledger::answered::{self, Item, Reserved};
use tollgate_redis_ledger::asked::{Asker, Ending, Own, Sequence, limiting};
use tollgate_redis_ledger::script::{Call, What};

/// The name of all instances together among those who share limits.
const GATEWAY: &str = "spin";

/// Everything that is asked comes after the books that were never kept.
const LATER: Sequence = Sequence(1);

/// Holds of which it is remembered by which books they were granted.
const MOST_GRANTS: usize = 10_000;

/// How an open entry was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    /// By the server's books of this epoch.
    Epoch(Arc<str>),
    /// By the node's own books, where it is open.
    Own,
    /// Without the server, and by now in no other books: what was spent is charged there.
    Unasked,
}

/// A server.
pub(crate) struct Redis {
    address: String,
    asker: Asker,
    connection: RefCell<Option<Arc<Connection>>>,
    /// How entries were granted that have not ended.
    grants: RefCell<HashMap<u128, Grant>>,
}

impl Redis {
    /// At this address, under keys that begin so. Does not connect.
    pub(crate) fn new(address: &str, namespace: &str) -> Self {
        let asker = Asker::new(namespace, GATEWAY, GATEWAY.to_owned());
        Self {
            address: address.to_owned(),
            asker,
            connection: RefCell::default(),
            grants: RefCell::default(),
        }
    }

    /// Does what is asked, in one call.
    pub(crate) async fn act(&self, act: Act, now: Time) -> Result<Done, Lost> {
        match act {
            Act::Reserve(entry) => {
                let own: Vec<Own> = limiting(&entry).iter().map(|claim| nothing(&claim.scope, now)).collect();
                let answer = self.call(&self.asker.reserve(&entry, Some(&own), now)).await?;
                let reserved = answered::reserved(&entry, &items(&answer)).map_err(|_| strange())?;
                Ok(Done::Reserved(match reserved {
                    Reserved::Held { epoch, hold } => {
                        self.note(hold.id().0, Grant::Epoch(epoch));
                        Ok(*hold)
                    }
                    Reserved::Refused(refusal) => Err(refusal),
                    Reserved::Unseeded | Reserved::Ended => {
                        Err(Refusal::Unavailable { retry_after: Millis::from_secs(1) })
                    }
                }))
            }
            Act::Settle(hold, settlement) => self.settle(&hold, &settlement, now).await,
        }
    }

    /// Where scopes stand.
    pub(crate) async fn reports(
        &self,
        book: &Arc<str>,
        scopes: &[Arc<Scope>],
        now: Time,
    ) -> Result<Vec<Report>, Lost> {
        let answer = self.call(&self.asker.report(book, scopes, now)).await?;
        answered::reports(scopes, &items(&answer)).map_err(|_| strange())
    }

    async fn settle(&self, hold: &Hold, settlement: &Settlement, now: Time) -> Result<Done, Lost> {
        let id = hold.id().0;
        let grant = self.granted(id);
        let ending = match (&grant, settlement) {
            (Some(Grant::Own | Grant::Unasked), _) => Ending::Unasked { taken: LATER, settlement },
            (Some(Grant::Epoch(epoch)), _) => Ending::Granted { epoch, taken: LATER, settlement },
            // Nobody waited for the answer: whether it was granted is not known.
            (None, Settlement::Release | Settlement::Return) => Ending::Cancelled,
            (None, Settlement::Settle(_)) => Ending::Found { settlement },
        };
        if let Ending::Unasked { .. } = ending {
            // Books that have nothing of this gateway wait for its figures, and would not charge.
            let own = |scope: Arc<Scope>| (Arc::clone(&scope), nothing(&scope, now));
            let scopes: Vec<_> = limiting(&hold.entry).into_iter().map(|claim| own(claim.scope)).collect();
            self.call(&self.asker.seed(&hold.entry.book, &scopes, now)).await?;
        }
        let answer = self.call(&self.asker.settle(hold, ending, LATER, now)).await?;
        self.grants.borrow_mut().remove(&id);
        answered::warned(&hold.entry, &items(&answer)).map(Done::Settled).map_err(|_| strange())
    }

    /// Remembers how an entry was granted.
    pub(crate) fn note(&self, id: u128, grant: Grant) {
        let mut grants = self.grants.borrow_mut();
        if grants.len() < MOST_GRANTS || grants.contains_key(&id) {
            grants.insert(id, grant);
        }
    }

    /// How an open entry was granted, as far as this instance knows.
    pub(crate) fn granted(&self, id: u128) -> Option<Grant> {
        self.grants.borrow().get(&id).cloned()
    }

    async fn call(&self, call: &Call) -> Result<Vec<RedisResult>, Lost> {
        let (first, again) = match call.what {
            What::Script(script) => (("EVALSHA", script.digest.as_str()), Some(("EVAL", script.text))),
            What::Command(name) => ((name, ""), None),
        };
        match (self.send(call, first).await, again) {
            (Err(Lost(why)), Some(again)) if why.contains("NOSCRIPT") => self.send(call, again).await,
            (outcome, _) => outcome,
        }
    }

    async fn send(&self, call: &Call, (verb, script): (&str, &str)) -> Result<Vec<RedisResult>, Lost> {
        let binary = |bytes: &[u8]| RedisParameter::Binary(bytes.to_vec());
        let mut words = Vec::with_capacity(call.keys.len() + call.args.len() + 2);
        if !script.is_empty() {
            words.push(binary(script.as_bytes()));
            words.push(binary(call.keys.len().to_string().as_bytes()));
        }
        words.extend(call.keys.iter().map(|key| binary(key.as_bytes())));
        words.extend(call.args.iter().map(|arg| binary(arg)));
        let connection = self.connected().await?;
        connection.execute(verb, words).await.map_err(|error| {
            // The next call asks for a new one.
            self.connection.replace(None);
            lost(error)
        })
    }

    async fn connected(&self) -> Result<Arc<Connection>, Lost> {
        let known = self.connection.borrow().clone();
        if let Some(connection) = known {
            return Ok(connection);
        }
        let connection = Arc::new(Connection::open(&self.address).await.map_err(lost)?);
        self.connection.replace(Some(Arc::clone(&connection)));
        Ok(connection)
    }
}

/// What an instance has spent before it was asked: nothing that it knows of.
fn nothing(scope: &Scope, now: Time) -> Own {
    let report = Report { scope: scope.name.clone(), gauges: Vec::new() };
    Own { sequence: Sequence::default(), report, at: now }
}

fn items(results: &[RedisResult]) -> Vec<Item<'_>> {
    let item = |result| match result {
        &RedisResult::Int64(number) => Item::Number(number),
        RedisResult::Binary(bytes) => Item::Text(bytes),
        RedisResult::Status(text) => Item::Text(text.as_bytes()),
        RedisResult::Nil => Item::Other,
    };
    results.iter().map(item).collect()
}

fn strange() -> Lost {
    Lost(
        "an answer that the script does not give: is there another version of it under this name?".to_owned(),
    )
}

/// The server's words at most, which hold no arguments.
fn lost(error: Error) -> Lost {
    Lost(match error {
        Error::InvalidAddress => {
            "redis cannot be called: its address is wrong (redis://host:port), or is not \
                                  among allowed_outbound_hosts in spin.toml"
                .to_owned()
        }
        Error::TooManyConnections => "there are too many connections to redis".to_owned(),
        Error::TypeError => "redis answers in another kind than was asked for".to_owned(),
        Error::Other(why) => why.chars().take(200).collect(),
    })
}
