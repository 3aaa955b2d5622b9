//! An exchange's use of the cache of answers.
//!
//! ```text
//!            ┌─ Hit ──▶ counted as a request ──▶ the kept answer                        (costs nothing)
//!   RECALL ──┼─ Lead ─▶ ADMIT … ──▶ a complete answer ──▶ kept
//!            │                  └─▶ none, or one that cannot be kept ──▶ the lead is given up
//!            └─ Miss, out of patience ─▶ ADMIT … ──▶ a complete answer ──▶ kept
//! ```
//! The look comes before the ledger is asked: what is kept takes no tokens and no money, and is
//! answered when both are used up. It comes after everything that is the request's own: whose it is,
//! what that key may ask for, and that the body is one.

use super::gather::Gather;
use super::quota::Quota;
use super::request::Request;
use super::{Exchange, Phase, Step, answer};
use crate::cache::{
    Asked, CacheKey, CacheUse, Decided, Digest, Form, Kept, Lead, Lookup, Parting, Recall, Share, Stored,
    StoredHead, decide,
};
use crate::call::{Delivery, UsageChunk};
use crate::config::{After, Provider, Route, RouteTarget};
use crate::count::Basis;
use crate::directory::HolderKind;
use crate::framing::Framing;
use crate::host::Out;
use crate::surface::{Client, Envelope, RequestLine};
use crate::units::{Millis, Time};
use bytes::Bytes;
use http::Response;
use std::fmt;

/// After its deadline, how long a leader may take to end its lead.
const GRACE: Millis = Millis::from_secs(60);

/// What an exchange has to do with the cache, where it uses it.
#[derive(Debug)]
pub(super) struct Caching {
    key: CacheKey,
    decided: Decided,
    role: Role,
    /// What was found, until it is given.
    found: Option<Box<Stored>>,
    draft: Draft,
}

/// Whether equal requests wait for this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Alone,
    Leads,
}

/// What there is to keep.
enum Draft {
    /// Nothing has been given to the client.
    Nothing,
    /// The beginning of an answer.
    Begun(Given),
    /// All of one.
    Whole(Given),
    /// An answer that cannot be kept.
    Unfit,
}

/// What the client was given.
struct Given {
    form: Form,
    /// Headers of the answer that a kept one has too.
    head: Response<()>,
    body: Gather,
}

impl fmt::Debug for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Begun(_) => "Begun",
            Self::Whole(_) => "Whole",
            Self::Unfit => "Unfit",
        })
    }
}

impl Caching {
    /// Absent for a request that does not use the cache, which nothing is worked out for. (hot)
    pub(super) fn of(request: &Request) -> Option<Box<Self>> {
        if request.counts() || request.passes_unread() {
            return None;
        }
        let of_key = request.caller.as_ref().and_then(|caller| caller.key.cache);
        let of_route = request.route.cache;
        if request.wish.asked == Asked::Nothing && of_key.is_none() && of_route.is_none() {
            return None;
        }
        let decided = decide(&request.wish, of_key, of_route, &request.config.cache)?;
        let key = request.cache_key(decided.share);
        Some(Box::new(Self { key, decided, role: Role::Alone, found: None, draft: Draft::Nothing }))
    }

    /// What is found and good enough for this request.
    fn usable(&self, bytes: &Bytes, request: &Request, now: Time) -> Option<Stored> {
        let stored = Stored::decode(bytes)?;
        let StoredHead { at, expires, form, .. } = &stored.head;
        let asked = if request.wants_stream() { Form::Stream } else { Form::Whole };
        (now < *expires && *at >= self.since(now) && *form == asked).then_some(stored)
    }

    fn since(&self, now: Time) -> Time {
        now - self.decided.max_age
    }
}

impl Exchange {
    /// Looks for a kept answer, or goes on to the ledger at once.
    pub(super) fn look(&mut self, now: Time) {
        self.caching = Caching::of(&self.request);
        let Some(caching) = &self.caching else { return self.reserve(now) };
        self.request.cache = CacheUse::Miss;
        if caching.decided.max_age.is_zero() {
            return self.reserve(now);
        }
        // Half of the time is left for asking an upstream after all.
        let until = now + Millis(self.request.deadline.since(now).get() / 2);
        let lookup = Lookup {
            key: caching.key,
            id: self.request.id,
            since: caching.since(now),
            lease: self.request.deadline + GRACE,
        };
        self.phase = Phase::Recall { until };
        self.steps.push_back(Step::Recall(lookup));
    }

    pub(super) fn on_recalled(&mut self, recall: Recall, now: Time) {
        let (Phase::Recall { .. }, Some(caching)) = (&self.phase, &mut self.caching) else { return };
        match recall {
            Recall::Hit(bytes) => {
                caching.found = caching.usable(&bytes, &self.request, now).map(Box::new);
            }
            Recall::Lead => caching.role = Role::Leads,
            Recall::Miss => {}
        }
        if caching.found.is_none() {
            return self.reserve(now);
        }
        match Quota::entry_of_one(&self.request) {
            Some(entry) => {
                self.phase = Phase::Admit;
                self.steps.push_back(Step::Reserve(entry));
            }
            None => self.answer_kept(now),
        }
    }

    /// Whether the answer is there already, and the ledger is asked for nothing but to count a request.
    pub(super) fn has_answer(&self) -> bool {
        self.caching.as_ref().is_some_and(|caching| caching.found.is_some())
    }

    /// Gives the kept answer.
    pub(super) fn answer_kept(&mut self, now: Time) {
        let Some(stored) = self.caching.take().and_then(|caching| caching.found) else { return };
        self.request.cache = CacheUse::Hit;
        self.record.kept(&stored.head);
        let head = answer::kept(&self.request, &stored.head, now);
        match stored.head.form {
            Form::Whole => self.farewell = Some(Out::Head(head.map(|()| Some(stored.body)))),
            Form::Stream => {
                self.steps.push_back(Step::Emit(Out::Head(head.map(|()| None))));
                self.emit(stored.body);
                self.farewell = Some(Out::End);
            }
        }
        self.settle(now);
    }

    /// A whole answer is about to be given.
    pub(super) fn draft_whole(&mut self, head: &Response<Option<Bytes>>) {
        let Some(caching) = &mut self.caching else { return };
        let mut body = Gather::default();
        head.body().iter().for_each(|whole| body.push(whole.clone()));
        caching.draft = if fits(body.len(), &self.request) {
            Draft::Whole(Given { form: Form::Whole, head: bare(head), body })
        } else {
            Draft::Unfit
        };
    }

    /// A stream begins.
    pub(super) fn draft_stream(&mut self, head: &Response<Option<Bytes>>) {
        if let Some(caching) = &mut self.caching {
            let given = Given { form: Form::Stream, head: bare(head), body: Gather::default() };
            caching.draft = Draft::Begun(given);
        }
    }

    /// Another piece of a stream. One that has become too large gives up its lead at once: who waits
    /// for it would wait in vain.
    pub(super) fn draft_piece(&mut self, piece: &Bytes) {
        let Some(caching) = &mut self.caching else { return };
        let Draft::Begun(given) = &mut caching.draft else { return };
        if fits(given.body.len() + piece.len(), &self.request) {
            return given.body.push(piece.clone());
        }
        caching.draft = Draft::Unfit;
        if std::mem::replace(&mut caching.role, Role::Alone) == Role::Leads {
            let lead = Lead { key: caching.key, id: self.request.id };
            self.steps.push_back(Step::Resign(lead, Parting::Unfit));
        }
    }

    /// All of a stream has been given.
    pub(super) fn draft_complete(&mut self) {
        let Some(caching) = &mut self.caching else { return };
        caching.draft = match std::mem::replace(&mut caching.draft, Draft::Nothing) {
            Draft::Begun(given) => Draft::Whole(given),
            other @ (Draft::Nothing | Draft::Whole(_) | Draft::Unfit) => other,
        };
    }

    /// An answer that was given is not one to give again: the gateway itself has ended it.
    pub(super) fn draft_unfit(&mut self) {
        if let Some(caching) = &mut self.caching {
            caching.draft = Draft::Unfit;
        }
    }

    /// The end of the use of the cache: what can be kept is, and a lead ends.
    pub(super) fn end_caching(&mut self, now: Time) -> Option<Step> {
        let Caching { key, decided, role, found: _, draft } = *self.caching.take()?;
        let id = self.request.id;
        let parting = match draft {
            Draft::Whole(given) if !self.may_be_capped() => {
                let expires = now + decided.ttl;
                let bytes = given.stored(now, expires).encode();
                let kept = Kept { key, id, bytes, at: now, expires };
                return Some(Step::Keep(kept));
            }
            Draft::Whole(_) | Draft::Unfit => Parting::Unfit,
            // What was begun and is not whole has failed, or its client has left.
            Draft::Nothing | Draft::Begun(_) => Parting::Unanswered,
        };
        (role == Role::Leads).then_some(Step::Resign(Lead { key, id }, parting))
    }

    /// Whether a cap of the ledger's may have cut the answer short: the upstream was given one, and what
    /// it wrote is not known to be less.
    fn may_be_capped(&self) -> bool {
        let Some(cap) = self.request.output_cap else { return false };
        let reported = self.record.usage.as_ref().filter(|_| self.record.basis == Basis::Reported);
        reported.is_none_or(|usage| usage.output >= cap)
    }
}

fn fits(size: usize, request: &Request) -> bool {
    u64::try_from(size).is_ok_and(|size| size <= request.config.cache.max_entry)
}

/// Status and headers alone.
fn bare(head: &Response<Option<Bytes>>) -> Response<()> {
    let mut bare = Response::new(());
    *bare.headers_mut() = head.headers().clone();
    bare
}

impl Given {
    fn stored(self, at: Time, expires: Time) -> Stored {
        let Self { form, head, mut body } = self;
        let head = answer::to_keep(head.headers(), form, at, expires);
        Stored { head, body: body.take() }
    }
}

impl Request {
    /// Names the answer: everything that changes it, or who may see it, is in here. What is left out is
    /// listed, so that what is added to a request has to be thought of.
    fn cache_key(&self, share: Share) -> CacheKey {
        let Self {
            guard,
            config,
            surface,
            line,
            id: _,
            at: _,
            deadline: _,
            route,
            strictness,
            caller: _,
            gauge: _,
            end_user: _,
            client_tags: _,
            standing: _,
            wish: _,
            cache: _,
            output_cap: _,
            body,
            envelope,
            forward,
            call: _,
            media: _,
            embedding: _,
            in_chat: _,
            batch: _,
            pin: _,
        } = self;
        let mut digest = Digest::new();
        self.tenant(share, &mut digest);
        digest.part(surface.name().as_bytes());
        digest.part(&[match strictness {
            crate::admit::Strictness::Report => 0,
            crate::admit::Strictness::Refuse => 1,
        }]);
        let RequestLine { model: _, framing, content_type: _, provider: _, raw: _, client } = line;
        digest.part(&[match client {
            Client::Usual => 0,
            Client::Mistral => 1,
        }]);
        digest.part(&[match framing {
            Framing::Events => 0,
            Framing::Array => 1,
            Framing::EventStream => 2,
            Framing::Lines => 3,
        }]);
        envelope_parts(envelope, &mut digest);
        let headers: Vec<&[u8]> =
            forward.iter().flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()]).collect();
        digest.list(headers.into_iter());
        let Route {
            name: _,
            strategy: _,
            targets,
            fallbacks,
            attempts: _,
            deadline: _,
            cache: _,
            account: _,
        } = &**route;
        for target in targets.iter().chain(fallbacks) {
            let RouteTarget { provider, model, weight: _, price: _, writes: _, limits: _, after } = target;
            digest.part(model.as_bytes());
            digest.part(&[match after {
                After::Failure => 0,
                After::ContextLength => 1,
                After::ContentFilter => 2,
            }]);
            config.provider(*provider).into_iter().for_each(|provider| provider_parts(provider, &mut digest));
        }
        // Byte for byte: whatever a body says may change the answer, whoever understands it.
        digest.part(body);
        // Under other guardrails it is another answer.
        guard.iter().for_each(|guard| digest.part(&guard.digest.0));
        digest.key()
    }

    /// Whom the answer is for.
    fn tenant(&self, share: Share, digest: &mut Digest) {
        let caller = self.caller.as_deref();
        let holder = |kind| caller.and_then(|caller| caller.holder(kind));
        let shared = match share {
            Share::Key => None,
            Share::Team => holder(HolderKind::Team).map(|team| ["team", team]),
            Share::Organisation => holder(HolderKind::Organisation).map(|name| ["organisation", name]),
            Share::All => Some(["all", ""]),
        };
        match shared {
            Some(group) => {
                digest.list(group.into_iter().map(str::as_bytes));
            }
            None => {
                // The key itself and not its name, which another may bear when it is gone.
                let key = caller.map_or(&[][..], |caller| &caller.key.sha256);
                digest
                    .list([b"key", key, self.end_user.as_deref().unwrap_or_default().as_bytes()].into_iter());
            }
        }
    }
}

/// What a surface has read from elsewhere than the body is here; the rest is in the body.
fn envelope_parts(envelope: &Envelope, digest: &mut Digest) {
    let Envelope {
        model,
        model_place: _,
        delivery,
        fallbacks: _,
        cuts: _,
        conversation: _,
        max_tokens: _,
        prompt_bytes: _,
        media: _,
        n: _,
        end_user: _,
        places: _,
    } = envelope;
    digest.part(model.as_bytes());
    digest.part(&[match delivery {
        Delivery::Whole => 0,
        Delivery::Stream(UsageChunk::Wanted) => 1,
        Delivery::Stream(UsageChunk::Unwanted) => 2,
    }]);
}

/// Where a call goes and what is sent with it.
fn provider_parts(provider: &Provider, digest: &mut Digest) {
    let Provider {
        name,
        vendor,
        dialect: _,
        base_url,
        credentials: _,
        timeouts: _,
        headers,
        query,
        fixed_uri: _,
        speaks_one: _,
        only_chat: _,
        bills_unheard: _,
        key_header: _,
        terms: _,
    } = provider;
    let texts = [name, vendor.name, &base_url.to_string(), query.as_deref().unwrap_or_default()];
    digest.list(texts.into_iter().map(str::as_bytes));
    let headers: Vec<&[u8]> =
        headers.iter().flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()]).collect();
    digest.list(headers.into_iter());
}
