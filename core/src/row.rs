//! What stores keep of a request that is over.

use crate::api::{RequestPlace, RequestRow};
use crate::directory::HolderKind;
use crate::exchange::{Ending, Record, RequestId};
use crate::sort;
use crate::units::{Millis, NanoDollars, Time, Tokens};

/// Longest text of a client's own that is kept; the rest is cut.
const LONGEST: usize = 256;

/// Most tags of one request that are kept.
const MOST_TAGS: usize = 32;

/// A request that is over. Contains no secret and nothing of prompt or answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The request.
    pub id: RequestId,
    /// When it came.
    pub at: Time,
    /// The caller's organisation.
    pub organisation: Option<String>,
    /// The caller's team.
    pub team: Option<String>,
    /// The caller's user.
    pub user: Option<String>,
    /// The key's name.
    pub key: String,
    /// The end user the client named.
    pub end_user: Option<String>,
    /// The key's tags and the client's, each once, in alphabetical order.
    pub tags: Vec<String>,
    /// The provider called last.
    pub provider: Option<String>,
    /// `provider/model` called last.
    pub model: Option<String>,
    /// The model as the client named it.
    pub asked: String,
    /// The surface it came to.
    pub surface: String,
    /// The status the client got; 499 if it left first.
    pub status: u16,
    /// The fault's code, if any.
    pub fault: Option<String>,
    /// `complete`, `cut` or `client_left`.
    pub ending: String,
    /// Upstream calls made.
    pub attempts: u32,
    /// What was consumed, as far as that is known.
    pub consumed: Option<Consumed>,
    /// How it is known: `reported`, `counted` or `estimated`.
    pub basis: String,
    /// What it cost; absent where that is not known.
    pub cost: Option<NanoDollars>,
    /// How it is known: `nothing`, `computed`, `reported` or `unknown`.
    pub cost_basis: String,
    /// From sending the last call to its first content.
    pub first_byte: Option<Millis>,
    /// From beginning to end.
    pub total: Millis,
    /// What the cache of answers was to it: `off`, `miss` or `hit`.
    pub cache: String,
    /// What guardrails have done, each as [`Guarded`](crate::guard::Guarded) is written.
    pub guardrails: Vec<String>,
}

/// What a request consumed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consumed {
    /// The whole prompt.
    pub input: Tokens,
    /// Of it, read from a prompt cache.
    pub cached: Tokens,
    /// Of it, written to a prompt cache.
    pub cache_write: Tokens,
    /// Everything generated.
    pub output: Tokens,
    /// Of it, reasoning; absent where the provider did not say.
    pub reasoning: Option<Tokens>,
}

impl Row {
    /// Of a request that had a caller; of others nothing is kept.
    pub fn of(record: &Record) -> Option<Self> {
        let caller = record.caller.as_deref()?;
        let key = &caller.key;
        let tags = sort::set(key.tags.iter().chain(&record.client_tags));
        let holder = |kind| caller.holder(kind).map(str::to_owned);
        Some(Self {
            id: record.id,
            at: record.at,
            organisation: holder(HolderKind::Organisation).or_else(|| key.organisation.clone()),
            team: holder(HolderKind::Team).or_else(|| key.team.clone()),
            user: holder(HolderKind::User).or_else(|| key.user.clone()),
            key: key.name.clone(),
            end_user: record.end_user.as_deref().map(cut).filter(|name| !name.is_empty()),
            tags: tags
                .into_iter()
                .map(|tag| cut(tag))
                .filter(|tag| !tag.is_empty())
                .take(MOST_TAGS)
                .collect(),
            provider: record.provider.clone(),
            model: called(record),
            asked: cut(&record.asked),
            surface: record.surface.to_owned(),
            status: record.status,
            fault: record.fault.map(str::to_owned),
            ending: ending(record.ending).to_owned(),
            attempts: record.attempts,
            consumed: consumed(record),
            basis: record.basis.word().to_owned(),
            cost: record.cost.amount(),
            cost_basis: record.cost.word().to_owned(),
            first_byte: record.first_byte,
            total: record.total,
            cache: record.cache.word().to_owned(),
            guardrails: sort::set(&record.guarded).into_iter().map(ToString::to_string).collect(),
        })
    }

    /// Whether its client did not get an answer.
    pub fn is_failed(&self) -> bool {
        self.status >= 400 || self.ending != ending(Ending::Complete)
    }

    /// What the admin API shows of it, at its place in an answer.
    pub fn shown(self, place: RequestPlace) -> RequestRow {
        let Self { id, at, organisation, team, user, key, end_user, tags: _, provider, model, .. } = self;
        let Self { asked, surface, status, fault, ending: _, attempts, consumed, basis, cost, .. } = self;
        let consumed = consumed.unwrap_or_default();
        RequestRow {
            place,
            id: id.to_string(),
            at,
            surface,
            key: Some(key),
            team,
            user,
            organisation,
            end_user,
            asked,
            provider,
            model,
            attempts,
            status,
            fault,
            total: self.total,
            input: consumed.input,
            cached: consumed.cached,
            cache_write: consumed.cache_write,
            output: consumed.output,
            reasoning: consumed.reasoning,
            basis,
            cost,
            cache: self.cache,
            guardrails: self.guardrails,
        }
    }
}

fn called(record: &Record) -> Option<String> {
    let (provider, model) = (record.provider.as_deref()?, record.model.as_deref()?);
    Some(cut(&format!("{provider}/{model}")))
}

fn consumed(record: &Record) -> Option<Consumed> {
    let usage = record.usage.as_deref()?;
    Some(Consumed {
        input: usage.prompt(),
        cached: usage.cache_read,
        cache_write: usage.cache_write(),
        output: usage.output,
        reasoning: usage.parts.reasoning,
    })
}

const fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Complete => "complete",
        Ending::Cut => "cut",
        Ending::ClientLeft => "client_left",
    }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}
