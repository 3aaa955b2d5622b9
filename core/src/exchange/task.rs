//! What tasks consume: tokens where their providers report some, else what they are priced by.

use super::request::Request;
use crate::call::Task;
use crate::json::Tape;
use crate::units::Tokens;
use crate::usage::{Quantity, Usage};

impl Request {
    /// What it is priced by besides tokens, by what it says itself.
    pub(super) fn quantity(&self) -> Option<Quantity> {
        self.surface.quantity(&self.body, &self.envelope)
    }

    /// What a call for a task has consumed, by what was reported of it: `answer` is the whole answer,
    /// where there is one. Usage of anything else stays as it is.
    pub(super) fn metered(&self, usage: Option<Usage>, answer: &[u8]) -> Option<Usage> {
        let Some(task) = self.task() else { return usage };
        let Some(mut usage) = usage else {
            let instead = searches(answer).or_else(|| self.quantity());
            let mut usage = Usage::default();
            let known = instead.is_some();
            usage.parts.instead = instead;
            return known.then_some(usage);
        };
        if task.only_reads() {
            // Some tell a total and nothing else.
            usage.fresh_input += usage.output;
            usage.output = Tokens::ZERO;
        }
        let output = usage.output;
        let parts = &mut usage.parts;
        let made = match task {
            Task::Draw | Task::EditImage | Task::VaryImage => Some(&mut parts.image_output),
            Task::Speak => Some(&mut parts.audio_output),
            Task::Moderate | Task::Rerank | Task::Transcribe | Task::TranslateSpeech => None,
        };
        // What is not told apart is what was asked for.
        if let Some(made) = made.filter(|_| parts.text_output.is_none()) {
            made.get_or_insert(output);
        }
        Some(usage)
    }
}

/// Cohere's count of searches.
fn searches(answer: &[u8]) -> Option<Quantity> {
    memchr::memmem::find(answer, b"\"search_units\"")?;
    let tape = Tape::parse(answer).ok()?;
    let units = tape.root().get("meta")?.get("billed_units")?.get("search_units")?;
    Some(Quantity::searches(units.as_u64()?))
}
