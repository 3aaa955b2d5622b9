//! What a pass-through changes in the client's own bytes: the model's name, the gateway's fields, the
//! question for usage, the cap on output. Nothing else moves.

use super::request::Request;
use crate::call::Operation;
use crate::catalog;
use crate::dialect::Dialect;
use crate::maker::Maker;
use crate::provider::Target;
use crate::provider::anthropic::vertex;
use crate::provider::openai_responses::LEAST_CAP;
use crate::sort;
use crate::surface::openai_responses::{self, Unfit};
use crate::surface::{CapPlace, Edit, Envelope, ModelPlace, Uncapped};
use crate::units::Tokens;
use crate::vendor::{ChatPath, MaxTokensField, StreamOptions};
use bytes::{Bytes, BytesMut};
use std::borrow::Cow;
use std::ops::Range;

/// Whether an upstream was asked for usage in the client's stead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UsageAsk {
    /// It was not: what it sends is for the client.
    AsClient,
    /// It was: a chunk that holds nothing else is not for the client.
    Added,
}

/// A body to send, and what of it the client does not know.
pub(super) struct Spliced {
    pub(super) body: Bytes,
    pub(super) usage: UsageAsk,
    /// What another account than this one has made, and so is not sent.
    pub(super) lost: Vec<String>,
}

/// The client's body as this target is to see it, asked by this account.
pub(super) fn splice(request: &Request, target: &Target<'_>, account: Maker) -> Spliced {
    let mut edits = Edits(Vec::new());
    let envelope = &request.envelope;
    let (own, others): (Vec<_>, Vec<_>) =
        envelope.places.made.iter().partition(|made| made.pin.maker == account);
    let Unfit { cuts, lost } = match others.is_empty() {
        true => Unfit { cuts: envelope.cuts.clone(), lost: Vec::new() },
        false => openai_responses::unfit(&request.body, account),
    };
    for cut in cuts.into_iter().chain(own.into_iter().map(|made| made.mark.clone())) {
        edits.put(cut, "");
    }
    edits.name(envelope, target);
    for Edit { span, text } in &envelope.places.always {
        edits.put(span.clone(), *text);
    }
    let usage = match (&envelope.places.usage, target.vendor.quirks.stream_options) {
        (Some(Edit { span, text }), StreamOptions::Known) => {
            edits.put(span.clone(), *text);
            UsageAsk::Added
        }
        (None, _) | (Some(_), StreamOptions::Unknown) => UsageAsk::AsClient,
    };
    if let Some(cap) = request.output_cap.filter(|_| !request.passes_unread()) {
        let plain = request.surface.operation() == Operation::Complete;
        let cap = if plain { cap.min(PLAIN_CAP) } else { cap };
        edits.cap(request, known(cap, target), target);
    }
    let body = edits.apply(&request.body);
    let row = target.vendor;
    let moved = row.quirks.path == ChatPath::Vertex && row.dialect == Dialect::Anthropic;
    let body = if moved { vertex::sent(&body, request.surface.operation()) } else { body };
    Spliced { body, usage, lost }
}

/// What a completion of a plain text may have at most where its client says nothing, as OpenAI documents
/// it: <https://platform.openai.com/docs/api-reference/completions/create>. Servers with another default
/// are told this one where a cap has to be sent.
const PLAIN_CAP: Tokens = Tokens(16);

/// A cap beyond what the model can write is refused by most providers.
pub(super) fn known(cap: Tokens, target: &Target<'_>) -> Tokens {
    // A cap that Responses would refuse for being too small is cut off here.
    let cap = if target.vendor.dialect == Dialect::OpenAiResponses { cap.max(LEAST_CAP) } else { cap };
    let row = catalog::find(target.model, target.vendor.name);
    row.filter(|row| row.output > 0).map_or(cap, |row| cap.min(Tokens(u64::from(row.output))))
}

/// Changes to a body, in any order.
struct Edits<'e>(Vec<(Range<usize>, Cow<'e, str>)>);

impl<'e> Edits<'e> {
    fn put(&mut self, span: Range<usize>, text: impl Into<Cow<'e, str>>) {
        self.0.push((span, text.into()));
    }

    /// Writes the model's name as the provider knows it, where the body has one.
    fn name(&mut self, envelope: &Envelope, target: &Target<'_>) {
        let quoted = |name: &str| serde_json::Value::from(name).to_string();
        match &envelope.model_place {
            ModelPlace::Path => {}
            ModelPlace::Missing => {
                let start = envelope.places.members;
                self.put(start..start, format!("\"model\":{},", quoted(target.model)));
            }
            ModelPlace::Body(span) if envelope.model != target.model => {
                self.put(span.clone(), quoted(target.model));
            }
            ModelPlace::Plain(span) if envelope.model != target.model => {
                self.put(span.clone(), target.model.to_owned());
            }
            ModelPlace::Body(_) | ModelPlace::Plain(_) => {}
            ModelPlace::Resources(_) if envelope.model == target.model => {}
            ModelPlace::Resources(spans) => {
                let resource = quoted(&format!("models/{}", target.model));
                spans.iter().for_each(|span| self.put(span.clone(), resource.clone()));
            }
        }
    }

    /// Lowers what is larger than the cap, and writes the vendor's own field where nothing caps it. A
    /// vendor that knows only `max_tokens` may ignore the newer field in silence, so that a cap there
    /// is none.
    fn cap(&mut self, request: &Request, cap: Tokens, target: &Target<'_>) {
        let places = &request.envelope.places;
        for CapPlace { span, value, field: _ } in &places.caps {
            if value.is_some_and(|value| value > cap) {
                self.put(span.clone(), cap.get().to_string());
            }
        }
        if let Some(Uncapped { span, before, after }) = &places.uncapped {
            self.put(span.clone(), format!("{before}{}{after}", cap.get()));
        }
        match target.vendor.dialect {
            // All vendors call it the same there.
            Dialect::OpenAi if request.surface.operation() == Operation::Complete => return,
            Dialect::OpenAi => {}
            Dialect::OpenAiResponses
            | Dialect::Anthropic
            | Dialect::Gemini
            | Dialect::Bedrock
            | Dialect::Cohere
            | Dialect::Ollama => return,
        }
        let lowest = places.caps.iter().filter_map(|place| place.value).min();
        let (field, enough) = match target.vendor.quirks.max_tokens {
            MaxTokensField::MaxCompletionTokens => ("max_completion_tokens", lowest.is_some()),
            MaxTokensField::MaxTokens => ("max_tokens", false),
        };
        let own = places.caps.iter().find(|place| place.field == field);
        let number = lowest.map_or(cap, |lowest| lowest.min(cap)).get();
        match own {
            _ if enough => {}
            Some(CapPlace { value: Some(_), .. }) => {}
            Some(CapPlace { value: None, span, .. }) => self.put(span.clone(), number.to_string()),
            None => self.put(places.members..places.members, format!("\"{field}\":{number},")),
        }
    }

    fn apply(mut self, body: &Bytes) -> Bytes {
        if self.0.is_empty() {
            return body.clone();
        }
        // What is put in comes before what is replaced at the same place.
        sort::sort_by_key(&mut self.0, |(span, _)| (span.start, span.end));
        let more: usize = self.0.iter().map(|(_, text)| text.len()).sum();
        let mut out = BytesMut::with_capacity(body.len() + more);
        let mut kept = 0;
        for (span, text) in self.0 {
            out.extend_from_slice(body.get(kept..span.start).unwrap_or_default());
            out.extend_from_slice(text.as_bytes());
            kept = span.end;
        }
        out.extend_from_slice(body.get(kept..).unwrap_or_default());
        out.freeze()
    }
}
