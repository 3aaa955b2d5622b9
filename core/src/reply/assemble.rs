//! Between whole replies and streams.

use super::{Choice, Event, Level, Reply, Start};
use crate::call::{Extras, Opaque, Part, Text, Thinking, ToolCall};
use crate::fault::UpstreamFault;
use serde_json::Value;

/// Builds a whole reply from a stream's events.
#[derive(Debug, Default)]
pub struct Assembler {
    reply: Reply,
    fault: Option<Box<UpstreamFault>>,
    complete: bool,
    /// For each choice, the index in its parts of each tool call, by the call's number.
    calls: Vec<(u32, u32, usize)>,
}

impl Assembler {
    /// Takes the next event.
    pub fn on(&mut self, event: Event) {
        match event {
            Event::Start(Start { id, model, created, origin }) => {
                self.reply.origin = origin;
                self.reply.id = id;
                self.reply.model = model;
                self.reply.created = created;
            }
            Event::Text { choice, text } => self.add_text(choice, &text),
            Event::TextSignature { choice, signature } => match self.choice(choice).parts.last_mut() {
                // A second signature belongs to another, empty text.
                Some(Part::Text(last)) if last.signature.is_none() => last.signature = Some(signature),
                _ => self.push(choice, Part::Text(Text { signature: Some(signature), ..Text::default() })),
            },
            Event::Citation { choice, citation, chars } => self.cite(choice, citation, chars),
            Event::Thinking { choice, text } => self.add_thinking(choice, &text),
            Event::ThinkingSignature { choice, signature } => match self.choice(choice).parts.last_mut() {
                Some(Part::Thinking(last)) if last.signature.is_none() && last.sealed.is_none() => {
                    last.signature = Some(signature);
                }
                _ => self.push(
                    choice,
                    Part::Thinking(Thinking { signature: Some(signature), ..Thinking::default() }),
                ),
            },
            Event::SealedThinking { choice, sealed } => {
                self.push(choice, Part::Thinking(Thinking { sealed: Some(sealed), ..Thinking::default() }));
            }
            Event::Refusal { choice, text } => match self.choice(choice).parts.last_mut() {
                Some(Part::Refusal(last)) => last.push_str(&text),
                _ => self.push(choice, Part::Refusal(text)),
            },
            Event::ToolStart { choice, call, id, name, signature } => {
                let at = self.choice(choice).parts.len();
                self.calls.push((choice, call, at));
                let arguments = String::new();
                self.push(choice, Part::ToolCall(ToolCall { id, name, arguments, signature, cache: None }));
            }
            Event::ToolArguments { choice, call, text } => self.add_arguments(choice, call, &text),
            Event::Part { choice, part } => self.push(choice, part),
            Event::LogProbs { choice, logprobs } => {
                let all = &mut self.choice(choice).logprobs;
                match all {
                    Some(earlier) => merge_logprobs(earlier, logprobs),
                    None => *all = Some(logprobs),
                }
            }
            Event::Extras { level, fields } => {
                let all = match level {
                    Level::Reply => &mut self.reply.extras,
                    Level::Choice(choice) => &mut self.choice(choice).extras,
                    Level::Message(choice) => &mut self.choice(choice).message_extras,
                };
                merge_extras(all, fields);
            }
            Event::Stop { choice, stop, sequence } => {
                let choice = self.choice(choice);
                choice.stop = Some(stop);
                choice.stop_sequence = sequence;
            }
            Event::Usage(usage) => self.reply.usage = Some(*usage),
            Event::Fault(fault) => self.fault = Some(fault),
            Event::End => self.complete = true,
        }
    }

    /// True once the stream has ended, well or not.
    pub fn is_finished(&self) -> bool {
        self.complete || self.fault.is_some()
    }

    /// The reply, once the stream is complete; the fault that ended it; or `None` if it did not end.
    pub fn finish(self) -> Option<Result<Reply, Box<UpstreamFault>>> {
        match (self.fault, self.complete) {
            (Some(fault), _) => Some(Err(fault)),
            (None, true) => Some(Ok(self.reply)),
            (None, false) => None,
        }
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let at = match self.reply.choices.iter().position(|choice| choice.index == index) {
            Some(at) => at,
            None => {
                let at = self.reply.choices.partition_point(|choice| choice.index < index);
                self.reply.choices.insert(at, Choice { index, ..Choice::default() });
                at
            }
        };
        #[expect(clippy::indexing_slicing, reason = "`at` was found or inserted just above")]
        &mut self.reply.choices[at]
    }

    fn push(&mut self, choice: u32, part: Part) {
        self.choice(choice).parts.push(part);
    }

    fn add_text(&mut self, choice: u32, text: &str) {
        match self.choice(choice).parts.last_mut() {
            // A signed or cited text is complete: what follows is another part.
            Some(Part::Text(last)) if last.signature.is_none() && last.citations.is_none() => {
                last.text.push_str(text);
            }
            _ => self.push(choice, Part::Text(Text::new(text))),
        }
    }

    /// A citation belongs to the text before it, or to that many characters of it: the text before
    /// those was another part. Lists of the same origin are joined, since a stream sends them in pieces.
    fn cite(&mut self, choice: u32, citation: Opaque, chars: usize) {
        self.part_text(choice, chars);
        let Some(Part::Text(last)) = self.choice(choice).parts.last_mut() else {
            return self.push(choice, Part::Text(Text { citations: Some(citation), ..Text::default() }));
        };
        match (&mut last.citations, citation) {
            (
                Some(Opaque { origin, value: Value::Array(all) }),
                Opaque { origin: from, value: Value::Array(more) },
            ) if *origin == from => {
                all.extend(more);
            }
            (citations, citation) => *citations = Some(citation),
        }
    }

    /// Makes the last `chars` characters of the text a part of their own.
    fn part_text(&mut self, choice: u32, chars: usize) {
        let Some(Part::Text(last)) = self.choice(choice).parts.last_mut() else { return };
        let Some(back) = chars.checked_sub(1) else { return };
        let Some((at, _)) = last.text.char_indices().rev().nth(back).filter(|(at, _)| *at > 0) else {
            return;
        };
        let cited = last.text.split_off(at);
        self.push(choice, Part::Text(Text::new(cited)));
    }

    fn add_thinking(&mut self, choice: u32, text: &str) {
        match self.choice(choice).parts.last_mut() {
            Some(Part::Thinking(last)) if last.signature.is_none() && last.sealed.is_none() => {
                last.text.push_str(text);
            }
            _ => self.push(choice, Part::Thinking(Thinking { text: text.to_owned(), ..Thinking::default() })),
        }
    }

    fn add_arguments(&mut self, choice: u32, call: u32, text: &str) {
        let Some((_, _, at)) = self.calls.iter().find(|(c, k, _)| (*c, *k) == (choice, call)).copied() else {
            return;
        };
        if let Some(Part::ToolCall(tool)) = self.choice(choice).parts.get_mut(at) {
            tool.arguments.push_str(text);
        }
    }
}

/// Later fields replace earlier ones; lists are joined, since a stream sends them in pieces.
fn merge_extras(all: &mut Extras, more: Extras) {
    for (key, value) in more {
        match (all.get_mut(&key), value) {
            (Some(Value::Array(earlier)), Value::Array(later)) => earlier.extend(later),
            (_, value) => {
                all.insert(key, value);
            }
        }
    }
}

/// Appends streamed log probabilities (`{content: […], refusal: […]}`) to those before.
fn merge_logprobs(all: &mut Value, more: Value) {
    let Value::Object(more) = more else { return };
    let Some(all) = all.as_object_mut() else { return };
    for (key, value) in more {
        match (all.get_mut(&key), value) {
            (Some(Value::Array(earlier)), Value::Array(later)) => earlier.extend(later),
            (Some(earlier), later) if earlier.is_null() => *earlier = later,
            (Some(_), _) => {}
            (None, later) => {
                all.insert(key, later);
            }
        }
    }
}

impl Reply {
    /// The events a stream of this reply would have had.
    pub fn into_events(self) -> Vec<Event> {
        let Self { id, model, created, choices, usage, origin, extras } = self;
        let mut events = vec![Event::Start(Start { id, model, created, origin })];
        if !extras.is_empty() {
            events.push(Event::Extras { level: Level::Reply, fields: extras });
        }
        for choice in choices {
            choice_events(choice, &mut events);
        }
        events.extend(usage.map(|usage| Event::Usage(Box::new(usage))));
        events.push(Event::End);
        events
    }
}

fn choice_events(whole: Choice, events: &mut Vec<Event>) {
    let Choice { index: choice, parts, stop, stop_sequence, logprobs, extras, message_extras } = whole;
    if !message_extras.is_empty() {
        events.push(Event::Extras { level: Level::Message(choice), fields: message_extras });
    }
    let mut calls = 0..;
    for part in parts {
        match part {
            Part::Text(Text { text, cache: _, signature, citations }) => {
                let chars = text.chars().count();
                events.push(Event::Text { choice, text });
                events.extend(citations.map(|citation| Event::Citation { choice, citation, chars }));
                events.extend(signature.map(|signature| Event::TextSignature { choice, signature }));
            }
            Part::Thinking(Thinking { text, signature, sealed }) => {
                if !text.is_empty() {
                    events.push(Event::Thinking { choice, text });
                }
                events.extend(sealed.map(|sealed| Event::SealedThinking { choice, sealed }));
                events.extend(signature.map(|signature| Event::ThinkingSignature { choice, signature }));
            }
            Part::Refusal(text) => events.push(Event::Refusal { choice, text }),
            Part::ToolCall(ToolCall { id, name, arguments, signature, cache: _ }) => {
                let call = calls.next().unwrap_or(u32::MAX);
                events.push(Event::ToolStart { choice, call, id, name, signature });
                events.push(Event::ToolArguments { choice, call, text: arguments });
            }
            part @ (Part::Image(_)
            | Part::Audio(_)
            | Part::Video(_)
            | Part::Document(_)
            | Part::ToolResult(_)
            | Part::Opaque(_)) => events.push(Event::Part { choice, part }),
        }
    }
    events.extend(logprobs.map(|logprobs| Event::LogProbs { choice, logprobs }));
    if !extras.is_empty() {
        events.push(Event::Extras { level: Level::Choice(choice), fields: extras });
    }
    events.push(Event::Stop { choice, stop: stop.unwrap_or(super::Stop::End), sequence: stop_sequence });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use crate::reply::Stop;
    use serde_json::json;

    fn assembled(events: Vec<Event>) -> Reply {
        let mut assembler = Assembler::default();
        events.into_iter().for_each(|event| assembler.on(event));
        assembler.finish().unwrap().unwrap()
    }

    fn text(text: &str, cited: Option<Value>) -> Part {
        let citations = cited.map(|value| Opaque { origin: Dialect::Anthropic, value });
        Part::Text(Text { citations, ..Text::new(text) })
    }

    #[test]
    fn a_reply_made_into_events_and_back_is_the_same_reply() {
        let parts = vec![
            text("so – ", None),
            text("é it is", Some(json!([1]))),
            text("and", Some(json!([2, 3]))),
            text("on.", None),
        ];
        let choice = Choice { parts, stop: Some(Stop::End), ..Choice::default() };
        let reply = Reply { origin: Dialect::Anthropic, choices: vec![choice], ..Reply::default() };
        assert_eq!(assembled(reply.clone().into_events()), reply);
    }

    #[test]
    fn a_citation_of_unknown_reach_belongs_to_all_the_text_before_it() {
        let text_event = |text: &str| Event::Text { choice: 0, text: text.into() };
        let citation = Opaque { origin: Dialect::OpenAi, value: json!([1]) };
        let events = vec![
            text_event("a"),
            text_event("b"),
            Event::Citation { choice: 0, citation: citation.clone(), chars: 0 },
            Event::End,
        ];
        let reply = assembled(events);
        let whole = Part::Text(Text { citations: Some(citation), ..Text::new("ab") });
        assert_eq!(reply.choices[0].parts, [whole]);
    }
}
