//! Speech and the words of recordings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::{DIALECT as CHAT, check, passed};
use crate::answer::Answer;
use crate::ask::{Ask, Last, Prompt, inputs};
use crate::dialect::{Arrival, Dialect, Raw};
use crate::fault::Refusal;
use crate::json::Fields as _;
use crate::quirks::Quirks;
use crate::wire::Frame;

pub(crate) static SPEECH: Dialect = Dialect {
    name: "openai-speech",
    read: |arrival| passed::read(arrival, "input"),
    whole: |_, _, _| Value::Null,
    stream: speech_stream,
    ..CHAT
};
pub(crate) static TRANSCRIPTIONS: Dialect = Dialect {
    name: "openai-transcriptions",
    read: heard,
    whole: transcript,
    stream: transcript_stream,
    ..CHAT
};

/// Bytes of sound for each byte of text.
const PER_BYTE: usize = 8;
/// How large the pieces are in which sound comes.
const PIECE: usize = 16;
/// Bytes of a recording that last a second here.
const SECOND: u64 = 1000;

/// An answer that is not JSON, if it is one.
pub(in crate::dialect) fn raw(dialect: &Dialect, ask: &Ask, answer: &Answer, quirks: &Quirks) -> Option<Raw> {
    let format = ask.given.at("response_format").as_str();
    match (dialect.name, format) {
        ("openai-speech", format) => {
            let content_type = match format.unwrap_or("mp3") {
                "mp3" => "audio/mpeg",
                "wav" => "audio/wav",
                "flac" => "audio/flac",
                "aac" => "audio/aac",
                "pcm" => "audio/pcm",
                _ => "audio/opus",
            };
            let pieces = sound(ask, quirks).chunks(PIECE).map(Bytes::copy_from_slice).collect();
            Some(Raw { content_type, pieces })
        }
        ("openai-transcriptions", Some("text" | "srt" | "vtt")) => {
            let words = format!("{}\n", words(ask, answer));
            Some(Raw { content_type: "text/plain; charset=utf-8", pieces: vec![words.into()] })
        }
        _ => None,
    }
}

/// Every byte there is, zero and broken UTF-8 among them, from the text on.
fn sound(ask: &Ask, quirks: &Quirks) -> Vec<u8> {
    let first = ask.texts.concat().bytes().next().unwrap_or_default();
    let length = quirks.content.chars.unwrap_or(ask.prompt.bytes) * PER_BYTE;
    (0..length).map(|at| first.wrapping_add((at % 256) as u8)).collect()
}

fn speech_stream(ask: &Ask, answer: &Answer, quirks: &Quirks) -> Vec<Frame> {
    let sound = sound(ask, quirks);
    let piece = |piece: &[u8]| json!({"type": "speech.audio.delta", "audio": STANDARD.encode(piece)});
    let output = sound.len() as u64 / 64 + 1;
    let input = answer.usage.input;
    let usage = json!({"input_tokens": input, "output_tokens": output, "total_tokens": input + output});
    let done = json!({"type": "speech.audio.done", "usage": usage});
    sound.chunks(PIECE * 4).map(piece).chain([done]).map(Frame::data).collect()
}

fn heard(arrival: &Arrival<'_>) -> Result<Ask, Refusal> {
    check::check_object(arrival)?;
    let file = arrival.body.at("file");
    if file.at("file").as_u64().is_none() {
        return Err(Refusal::bad("file is required").at("file"));
    }
    let mut prompt = Prompt::default();
    prompt.add(&arrival.said);
    Ok(Ask {
        model: arrival.model.clone(),
        last: Last::User(arrival.said.clone()),
        prompt,
        max_tokens: Some(0),
        texts: inputs(arrival.body.at("prompt")),
        given: arrival.body.clone(),
        ..Ask::default()
    })
}

fn words(ask: &Ask, _answer: &Answer) -> String {
    let file = ask.given.at("file");
    format!("I heard {} bytes, {:016x}", file.at("file"), file.at("fingerprint").as_u64().unwrap_or_default())
}

/// Models named for `whisper` tell how long the recording was, others tokens.
fn usage(ask: &Ask) -> Value {
    let bytes = ask.given.at("file").at("file").as_u64().unwrap_or_default();
    if ask.model.starts_with("whisper") {
        return json!({"type": "duration", "seconds": bytes.div_ceil(SECOND)});
    }
    let (text, audio, output) = (crate::answer::tokens(ask.prompt.bytes), bytes.div_ceil(100), 7);
    json!({"type": "tokens", "input_tokens": text + audio, "output_tokens": output,
        "total_tokens": text + audio + output,
        "input_token_details": {"text_tokens": text, "audio_tokens": audio}})
}

fn transcript(ask: &Ask, answer: &Answer, quirks: &Quirks) -> Value {
    let mut made = json!({"text": words(ask, answer)});
    if ask.given.at("response_format") == "verbose_json" {
        made.set("duration", json!(1.5));
        made.set("language", json!("english"));
        made.set("segments", json!([]));
    }
    passed::with_usage(made, usage(ask), quirks)
}

fn transcript_stream(ask: &Ask, answer: &Answer, _quirks: &Quirks) -> Vec<Frame> {
    let words = words(ask, answer);
    let delta = |piece: &str| json!({"type": "transcript.text.delta", "delta": piece});
    let done = json!({"type": "transcript.text.done", "text": words, "usage": usage(ask)});
    words.split_inclusive(' ').map(delta).chain([done]).map(Frame::data).collect()
}
