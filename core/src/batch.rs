//! Files of calls, one in each line, looked through before they are given to a provider: how many there
//! are, of which model, and what they may come to consume.
//!
//! A line is OpenAI's `{"custom_id", "method", "url", "body"}`. Its body is held to what a call of its
//! own is held to, and faults name the line. Lines are read as they come, and one at a time is kept.

use crate::count::{Family, Gauge};
use crate::fault::{Code, Fault};
use crate::json::{Tape, Value};
use crate::surface::{self, Envelope, RequestLine, SurfaceId};
use crate::units::Tokens;

/// The longest line: its call may hold pictures.
const MAX_LINE: usize = 16 * 1024 * 1024;

/// A file, as far as it has come.
#[derive(Debug, Default)]
pub struct Survey {
    /// The line that has begun.
    begun: Vec<u8>,
    /// Lines that have ended, blank ones included.
    lines: u64,
    found: Surveyed,
}

/// What there is in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surveyed {
    /// Calls.
    pub calls: u64,
    /// Their one model, as the file names it.
    pub model: String,
    /// The most their prompts can be.
    pub input: Tokens,
    /// The caps that calls have, together.
    pub capped: Tokens,
    /// Answers that nothing caps but the model.
    pub uncapped: u64,
}

impl Surveyed {
    /// The most that can be generated, where one answer comes to so much at most.
    pub fn output(&self, most: Tokens) -> Tokens {
        self.capped + Tokens(self.uncapped.saturating_mul(most.get()))
    }
}

impl Survey {
    /// Reads on. A fault is the file's.
    pub fn push(&mut self, mut piece: &[u8], gauge: &Gauge) -> Result<(), Fault> {
        while let Some(end) = memchr::memchr(b'\n', piece) {
            let (line, rest) = piece.split_at(end);
            piece = rest.get(1..).unwrap_or_default();
            if self.begun.is_empty() {
                self.line(line, gauge)?;
            } else {
                let mut begun = std::mem::take(&mut self.begun);
                begun.extend_from_slice(line);
                self.line(&begun, gauge)?;
            }
        }
        if self.begun.len() + piece.len() > MAX_LINE {
            return Err(self.fault(&Fault::new(Code::BadField, format!("longer than {MAX_LINE} bytes"))));
        }
        self.begun.extend_from_slice(piece);
        Ok(())
    }

    /// All of it has come.
    pub fn finish(mut self, gauge: &Gauge) -> Result<Surveyed, Fault> {
        let last = std::mem::take(&mut self.begun);
        self.line(&last, gauge)?;
        if self.found.calls == 0 {
            return Err(Fault::bad_field("file", "a call in each line", "none"));
        }
        Ok(self.found)
    }

    fn line(&mut self, line: &[u8], gauge: &Gauge) -> Result<(), Fault> {
        let line = line.trim_ascii();
        if !line.is_empty() {
            let call = call(line).map_err(|fault| self.fault(&fault))?;
            self.add(&call, gauge)?;
        }
        self.lines += 1;
        Ok(())
    }

    fn add(&mut self, call: &Envelope, gauge: &Gauge) -> Result<(), Fault> {
        let found = &mut self.found;
        if found.calls == 0 {
            found.model.clone_from(&call.model);
        } else if found.model != call.model {
            let fault = Fault::bad_field("body.model", "the model of the lines before", "another one");
            return Err(self.fault(&fault));
        }
        found.calls += 1;
        found.input += gauge.bound(Family::of(&call.model), call).0;
        let answers = call.n.max(1);
        match call.max_tokens {
            Some(cap) => found.capped += Tokens(cap.get().saturating_mul(answers)),
            None => found.uncapped = found.uncapped.saturating_add(answers),
        }
        Ok(())
    }

    fn fault(&self, fault: &Fault) -> Fault {
        Fault::new(fault.code, format!("line {}: {}", self.lines + 1, fault.message)).at("file")
    }
}

/// The call of a line.
fn call(line: &[u8]) -> Result<Envelope, Fault> {
    let tape = Tape::parse(line)
        .map_err(|error| Fault::new(Code::BadJson, format!("not acceptable JSON: {error}")))?;
    let url = tape.root().get("url").and_then(Value::as_str);
    let url = url.ok_or_else(|| Fault::missing_field("url", "the path of a call"))?;
    let body = tape.root().get("body").ok_or_else(|| Fault::missing_field("body", "a call"))?;
    let bytes = line.get(body.span()).unwrap_or_default();
    let known = match &*url {
        "/v1/chat/completions" => Some(SurfaceId::OpenAiChat),
        "/v1/responses" => Some(SurfaceId::OpenAiResponses),
        "/v1/completions" => Some(SurfaceId::OpenAiCompletions),
        "/v1/embeddings" => Some(SurfaceId::OpenAiEmbeddings),
        _ => None,
    };
    if let Some(id) = known {
        let line = RequestLine::default();
        let call = surface::of(id).envelope(bytes, &line)?;
        // Nothing is generated for vectors.
        let max_tokens = if id == SurfaceId::OpenAiEmbeddings { Some(Tokens::ZERO) } else { call.max_tokens };
        return Ok(Envelope { max_tokens, ..call });
    }
    let model = body.get("model").and_then(Value::as_str);
    let model = model.ok_or_else(|| Fault::missing_field("body.model", "a string"))?;
    let cap = body.get("max_tokens").and_then(Value::as_u64).map(Tokens);
    let free = url.ends_with("/moderations").then_some(Tokens::ZERO);
    let prompt_bytes = bytes.len() as u64;
    Ok(Envelope { prompt_bytes, max_tokens: free.or(cap), ..Envelope::bare(model.into_owned()) })
}

#[cfg(test)]
mod tests;
