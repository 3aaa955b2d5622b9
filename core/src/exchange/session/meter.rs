//! What the events of a session say of its consumption.
//!
//! Nothing is parsed but events in which one of three words stands; all else passes unread.

use crate::json::{Tape, Value};
use crate::price::{Class, Consumed};
use crate::units::Tokens;
use crate::usage::{Inclusive, Usage, UsageParts};
use memchr::memmem;
use std::borrow::Cow;

/// What an event says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Told {
    /// Nothing that counts.
    Nothing,
    /// A response of this id has begun.
    Begun(Option<String>),
    /// A response is over, with what it consumed.
    Done(Option<Counts>),
    /// Speech of the client's was written down, by a model of its own.
    Transcribed(Counts),
    /// That model.
    Transcribes(String),
}

/// What was consumed, class by class. Those within another are part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    input: u64,
    output: u64,
    cached: u64,
    audio_input: u64,
    audio_cached: u64,
    image_input: u64,
    image_cached: u64,
    audio_output: u64,
    seconds: u64,
}

/// Reads a text message of the upstream's.
pub(super) fn told(text: &[u8]) -> Told {
    let words: [&[u8]; 3] = [b"\"usage\"", b"\"response.created\"", b"transcription\":"];
    if words.iter().all(|word| memmem::find(text, word).is_none()) {
        return Told::Nothing;
    }
    let Ok(tape) = Tape::parse(text) else { return Told::Nothing };
    let event = tape.root();
    let Some(kind) = event.get("type").and_then(Value::as_str) else { return Told::Nothing };
    match &*kind {
        "response.created" => {
            let id = event.get("response").and_then(|response| response.get("id")).and_then(Value::as_str);
            Told::Begun(id.map(Cow::into_owned))
        }
        "response.done" => Told::Done(event.get("response").and_then(counts)),
        "conversation.item.input_audio_transcription.completed" => {
            counts(event).map_or(Told::Nothing, Told::Transcribed)
        }
        "session.created" | "session.updated" => {
            let model = || {
                let session = event.get("session")?;
                let nested = || session.get("audio")?.get("input")?.get("transcription");
                let of = nested().or_else(|| session.get("input_audio_transcription"))?;
                Some(of.get("model")?.as_str()?.into_owned())
            };
            model().map_or(Told::Nothing, Told::Transcribes)
        }
        _ => Told::Nothing,
    }
}

fn counts(holder: Value<'_>) -> Option<Counts> {
    let usage = holder.get("usage").filter(|usage| !usage.is_null())?;
    let number = |object: Option<Value<'_>>, key: &str| {
        let value = object.and_then(|object| object.get(key));
        value.and_then(|value| value.as_u64().or_else(|| value.as_f64().map(whole))).unwrap_or(0)
    };
    let details = |name: &str, other: &str| usage.get(name).or_else(|| usage.get(other));
    let input = details("input_token_details", "input_tokens_details");
    let output = details("output_token_details", "output_tokens_details");
    let cached = input.and_then(|input| input.get("cached_tokens_details"));
    Some(Counts {
        input: number(Some(usage), "input_tokens"),
        output: number(Some(usage), "output_tokens"),
        cached: number(input, "cached_tokens"),
        audio_input: number(input, "audio_tokens"),
        audio_cached: number(cached, "audio_tokens"),
        image_input: number(input, "image_tokens"),
        image_cached: number(cached, "image_tokens"),
        audio_output: number(output, "audio_tokens"),
        seconds: number(Some(usage), "seconds"),
    })
}

/// A started second counts.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates, which is what is wanted"
)]
fn whole(number: f64) -> u64 {
    number.ceil() as u64
}

impl Counts {
    /// So much text, as nobody has said what it was.
    pub(super) fn of(input: Tokens, output: Tokens) -> Self {
        Self { input: input.get(), output: output.get(), ..Self::default() }
    }

    /// As usage is reported elsewhere.
    pub(super) fn usage(&self) -> Usage {
        let counts = Inclusive {
            prompt: Tokens(self.input),
            cached: Tokens(self.cached),
            cache_write: Tokens::ZERO,
            completion: Tokens(self.output),
        };
        let some = |tokens: u64| (tokens > 0).then_some(Tokens(tokens));
        let parts = UsageParts {
            audio_input: some(self.audio_input),
            audio_output: some(self.audio_output),
            image_input: some(self.image_input),
            text_input: some(self.input.saturating_sub(self.audio_input + self.image_input)),
            text_output: some(self.output.saturating_sub(self.audio_output)),
            ..UsageParts::default()
        };
        Usage { parts, ..Usage::from(counts) }
    }

    /// What is billed. Of what was cached these events tell what was sound and what pictures, so that
    /// nothing has to be guessed.
    pub(super) fn consumed(&self) -> Consumed {
        let mut consumed = Consumed::from(&self.usage());
        let sound = self.audio_cached.min(self.cached).min(self.audio_input);
        let pictures = self.image_cached.min(self.cached - sound).min(self.image_input);
        if sound + pictures > 0 {
            let (fresh_sound, fresh_pictures) = (self.audio_input - sound, self.image_input - pictures);
            let fresh = self.input.saturating_sub(self.cached);
            consumed.set(Class::AudioCacheRead, sound);
            consumed.set(Class::ImageCacheRead, pictures);
            consumed.set(Class::CacheRead, self.cached - sound - pictures);
            consumed.set(Class::AudioInput, fresh_sound);
            consumed.set(Class::ImageInput, fresh_pictures);
            consumed.set(Class::Input, fresh.saturating_sub(fresh_sound + fresh_pictures));
        }
        if self.seconds > 0 {
            consumed.set(Class::SecondSent, self.seconds);
        }
        consumed.set(Class::Request, 0);
        consumed
    }
}

/// Adds usage up.
pub(super) fn add(all: &mut Usage, more: &Usage) {
    fn part(all: &mut Option<Tokens>, more: Option<Tokens>) {
        if let Some(more) = more {
            *all = Some(all.unwrap_or_default() + more);
        }
    }
    all.fresh_input += more.fresh_input;
    all.cache_read += more.cache_read;
    all.output += more.output;
    part(&mut all.parts.audio_input, more.parts.audio_input);
    part(&mut all.parts.audio_output, more.parts.audio_output);
    part(&mut all.parts.image_input, more.parts.image_input);
    part(&mut all.parts.text_input, more.parts.text_input);
    part(&mut all.parts.text_output, more.parts.text_output);
}

/// How many tokens a message may hold, from its size alone: sound is 3,200 bytes of base 64 a token at
/// least, of text each event brings one.
pub(super) fn guessed(bytes: usize) -> Tokens {
    Tokens(1 + bytes as u64 / 3200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_in_the_cache_is_told_apart_from_text_there() {
        let done = br#"{"type":"response.done","response":{"id":"r","usage":{"total_tokens":150,"input_tokens":100,"output_tokens":50,
            "input_token_details":{"cached_tokens":50,"text_tokens":40,"audio_tokens":60,"image_tokens":0,
            "cached_tokens_details":{"text_tokens":10,"audio_tokens":40,"image_tokens":0}},
            "output_token_details":{"text_tokens":20,"audio_tokens":30}}}}"#;
        let Told::Done(Some(counts)) = told(done) else { panic!("{:?}", told(done)) };
        let consumed = counts.consumed();
        let got = [
            Class::Input,
            Class::AudioInput,
            Class::CacheRead,
            Class::AudioCacheRead,
            Class::Output,
            Class::AudioOutput,
        ];
        assert_eq!(got.map(|class| consumed.get(class)), [30, 20, 10, 40, 20, 30]);
        let usage = counts.usage();
        assert_eq!((usage.prompt(), usage.cache_read, usage.output), (Tokens(100), Tokens(50), Tokens(50)));
        assert_eq!((usage.parts.audio_input, usage.parts.text_output), (Some(Tokens(60)), Some(Tokens(20))));
    }

    #[test]
    fn what_only_quotes_an_event_is_none() {
        for text in [
            r#"{"type":"response.output_text.delta","delta":"{\"type\":\"response.done\",\"usage\":{}}"}"#,
            r#"{"type":"response.output_text.done","text":"usage","usage":{"input_tokens":5}}"#,
            r#"{"type":"response.done","#,
            "[\"usage\"]",
        ] {
            assert_eq!(told(text.as_bytes()), Told::Nothing, "{text}");
        }
        assert_eq!(told(br#"{"type":"response.created","response":{"usage":null}}"#), Told::Begun(None));
        assert_eq!(told(br#"{"type":"response.done","response":{"usage":null}}"#), Told::Done(None));
    }

    #[test]
    fn the_model_that_writes_speech_down_is_known_from_the_session() {
        for text in [
            r#"{"type":"session.updated","session":{"audio":{"input":{"transcription":{"model":"whisper-1"}}}}}"#,
            r#"{"type":"session.created","session":{"input_audio_transcription":{"model":"whisper-1"}}}"#,
        ] {
            assert_eq!(told(text.as_bytes()), Told::Transcribes("whisper-1".to_owned()));
        }
        let said = br#"{"type":"conversation.item.input_audio_transcription.completed","transcript":"a","usage":{"type":"duration","seconds":2.2}}"#;
        let Told::Transcribed(counts) = told(said) else { panic!() };
        assert_eq!(counts.consumed().get(Class::SecondSent), 3);
    }
}
