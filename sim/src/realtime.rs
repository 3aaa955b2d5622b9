//! OpenAI's realtime sessions: events over a WebSocket.
//!
//! It understands `session.update`, `conversation.item.create`, `input_audio_buffer.append` and `.commit`,
//! `response.create`, and `response.cancel` while a response is being written; anything else gets an `error` event. Of a response `prompt_tokens`, `cached`,
//! `audio_input`, `audio_cached` and `audio_output` say what it has consumed.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use crate::answer::tokens;
use crate::gate::Gates;
use crate::json::Fields as _;
use crate::log::Watch;
use crate::quirks::{Quirks, UsageMode, split_message};

/// What the model of a session says if it is asked nothing.
const GREETING: &str = "hello";

/// A session that has been opened.
pub(crate) struct Session<'a> {
    pub(crate) model: String,
    /// Those of its handshake; those of a message come on top.
    pub(crate) quirks: Quirks,
    pub(crate) gates: &'a Gates,
    pub(crate) watch: Watch,
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Why a session is over.
enum Over {
    /// The other side has closed, or is gone.
    Left,
    /// The connection is to be dropped without a word.
    Cut,
    /// With this code.
    Closed(u16),
}

/// What is known of the conversation.
#[derive(Default)]
struct Talk {
    settings: Value,
    said: String,
    audio: usize,
    responses: u64,
    events: u64,
    /// What has come while a response was being written.
    waiting: VecDeque<String>,
}

/// Whether a response goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Course {
    On,
    Cancelled,
}

impl Session<'_> {
    /// Serves a session to its end.
    pub(crate) async fn serve(self, upgraded: Upgraded) {
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        match self.converse(&mut socket).await {
            // What watches it notes that.
            Over::Left => {}
            Over::Cut => self.watch.broken(),
            Over::Closed(code) => {
                let frame = CloseFrame { code: code.into(), reason: "as asked".into() };
                // Whoever has left cannot be told.
                let _ = socket.send(Message::Close(Some(frame))).await;
                while let Some(Ok(_)) = socket.next().await {}
                self.watch.broken();
            }
        }
    }

    async fn converse(&self, socket: &mut Socket) -> Over {
        let mut talk = Talk { settings: json!({}), ..Talk::default() };
        let created = json!({"type": "session.created", "session": self.shown(&talk)});
        if let Err(over) = self.say(socket, &mut talk, created).await {
            return over;
        }
        loop {
            let text = match talk.waiting.pop_front() {
                Some(text) => text,
                None => match heard(socket).await {
                    Ok(text) => text,
                    Err(over) => return over,
                },
            };
            if let Err(over) = self.answer(socket, &mut talk, &text).await {
                return over;
            }
        }
    }

    async fn answer(&self, socket: &mut Socket, talk: &mut Talk, text: &str) -> Result<(), Over> {
        let event: Value = serde_json::from_str(text).unwrap_or_default();
        match event.at("type").as_str().unwrap_or_default() {
            "session.update" => {
                talk.settings = event.at("session").clone();
                let session = self.shown(talk);
                self.say(socket, talk, json!({"type": "session.updated", "session": session})).await
            }
            "conversation.item.create" => {
                let item = event.at("item").clone();
                let parts = item.at("content").as_array().cloned().unwrap_or_default();
                let texts = parts.iter().filter_map(|part| part.at("text").as_str());
                talk.said = texts.collect::<Vec<_>>().join(" ");
                self.say(socket, talk, json!({"type": "conversation.item.added", "item": item})).await
            }
            "input_audio_buffer.append" => {
                talk.audio += event.at("audio").as_str().unwrap_or_default().len();
                Ok(())
            }
            "input_audio_buffer.commit" => self.transcribe(socket, talk).await,
            "response.create" => self.respond(socket, talk).await,
            "response.cancel" => {
                let error = json!({"type": "invalid_request_error", "code": "response_cancel_not_active",
                    "message": "Cancellation failed: no active response found", "event_id": event.at("event_id")});
                self.say(socket, talk, json!({"type": "error", "error": error})).await
            }
            other => {
                let message = format!("Invalid value: '{other}'.");
                let error =
                    json!({"type": "invalid_request_error", "code": "invalid_value", "message": message});
                self.say(socket, talk, json!({"type": "error", "error": error})).await
            }
        }
    }

    /// Speech is written down where the session asks for it, a token for each 3,200 bytes.
    async fn transcribe(&self, socket: &mut Socket, talk: &mut Talk) -> Result<(), Over> {
        let heard = std::mem::take(&mut talk.audio);
        self.say(socket, talk, json!({"type": "input_audio_buffer.committed", "item_id": "item_1"})).await?;
        let asked = talk.settings.at("audio").at("input").at("transcription").is_object();
        if !asked {
            return Ok(());
        }
        let input = (heard as u64).div_ceil(3200);
        let usage = json!({"type": "tokens", "total_tokens": input + 2, "input_tokens": input,
            "input_token_details": {"text_tokens": 0, "audio_tokens": input}, "output_tokens": 2});
        let kind = "conversation.item.input_audio_transcription.completed";
        let done = json!({"type": kind, "item_id": "item_1", "content_index": 0, "transcript": "hello", "usage": usage});
        self.say(socket, talk, done).await
    }

    async fn respond(&self, socket: &mut Socket, talk: &mut Talk) -> Result<(), Over> {
        talk.responses += 1;
        let message = split_message(&talk.said);
        let mut quirks = self.quirks.clone();
        // What cannot be read asks for nothing.
        let _ = message.directives.map(|directives| quirks.read(directives));
        let said = if message.rest.is_empty() { GREETING.to_owned() } else { message.rest };
        let answer = match quirks.content.chars {
            Some(chars) => "x".repeat(chars),
            None => format!("You said: {said}"),
        };
        let id = format!("resp_{:03}", talk.responses);
        let begun = json!({"id": id, "object": "realtime.response", "status": "in_progress", "output": [], "usage": null});
        let pieces = quirks.content.events.unwrap_or(3).max(1);
        let piece = answer.len().div_ceil(pieces).max(1);
        let mut events = vec![json!({"type": "response.created", "response": begun})];
        for piece in answer.as_bytes().chunks(piece) {
            let delta = String::from_utf8_lossy(piece);
            events.push(json!({"type": "response.output_text.delta", "response_id": id, "item_id": "item_2", "delta": delta}));
        }
        let (mut course, mut written) = (Course::On, String::new());
        for (at, event) in events.into_iter().enumerate() {
            course = self.keep_to(socket, talk, &quirks, at).await?;
            if course == Course::Cancelled {
                break;
            }
            written += event.at("delta").as_str().unwrap_or_default();
            self.say(socket, talk, event).await?;
        }
        let text = json!({"type": "response.output_text.done", "response_id": id, "item_id": "item_2", "text": written});
        let usage = usage(&quirks, &said, &written);
        let output = json!([{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": written}]}]);
        let (status, details) = match course {
            Course::On => ("completed", Value::Null),
            Course::Cancelled => ("cancelled", json!({"type": "cancelled", "reason": "client_cancelled"})),
        };
        let done = json!({"id": id, "object": "realtime.response", "status": status, "status_details": details,
            "output": output, "usage": usage});
        for event in [text, json!({"type": "response.done", "response": done})] {
            self.say(socket, talk, event).await?;
        }
        match quirks.breaks.close_code {
            Some(code) => Err(Over::Closed(code)),
            None => Ok(()),
        }
    }

    /// Waits or breaks off before the event number `at`, as asked, and hears whether it is told to stop.
    async fn keep_to(
        &self,
        socket: &mut Socket,
        talk: &mut Talk,
        quirks: &Quirks,
        at: usize,
    ) -> Result<Course, Over> {
        let Quirks { pace, breaks, .. } = quirks;
        let mut wait = pin!(async {
            if at > 0 {
                tokio::time::sleep(pace.drip.unwrap_or(Duration::ZERO)).await;
            }
            if let Some(gate) = pace.gate.as_ref().filter(|_| pace.is_gated_at(at)) {
                self.gates.named(gate).pass().await;
            }
        });
        loop {
            let text = tokio::select! {
                biased;
                text = heard(socket) => text?,
                () = &mut wait => break,
            };
            let event: Value = serde_json::from_str(&text).unwrap_or_default();
            if event.at("type") == "response.cancel" {
                return Ok(Course::Cancelled);
            }
            talk.waiting.push_back(text);
        }
        if breaks.cut_after_events.is_some_and(|most| at >= most) {
            return Err(Over::Cut);
        }
        if breaks.end_after_events.is_some_and(|most| at >= most) {
            return Err(Over::Closed(breaks.close_code.unwrap_or(1000)));
        }
        Ok(Course::On)
    }

    fn shown(&self, talk: &Talk) -> Value {
        let mut session = talk.settings.as_object().cloned().unwrap_or_default();
        session.insert("id".into(), json!("sess_1"));
        session.insert("object".into(), json!("realtime.session"));
        session.insert("model".into(), json!(self.model));
        Value::Object(session)
    }

    async fn say(&self, socket: &mut Socket, talk: &mut Talk, mut event: Value) -> Result<(), Over> {
        talk.events += 1;
        if let Some(event) = event.as_object_mut() {
            event.insert("event_id".into(), json!(format!("event_{:03}", talk.events)));
        }
        let text = event.to_string();
        self.watch.wrote(text.len());
        self.watch.event();
        socket.send(Message::text(text)).await.map_err(|_| Over::Left)
    }
}

/// The next event of the client's.
async fn heard(socket: &mut Socket) -> Result<String, Over> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Over::Left),
            Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
        }
    }
}

fn usage(quirks: &Quirks, said: &str, answer: &str) -> Value {
    let content = &quirks.content;
    if matches!(content.usage, UsageMode::Missing | UsageMode::Null) {
        return Value::Null;
    }
    let input = content.prompt_tokens.unwrap_or(tokens(said.len()));
    let output = tokens(answer.len());
    let cached = content.cached.unwrap_or(0).min(input);
    let sound = content.audio_input.unwrap_or(0).min(input);
    let cached_sound = content.audio_cached.unwrap_or(0).min(cached);
    let made = content.audio_output.unwrap_or(0).min(output);
    json!({
        "total_tokens": input + output,
        "input_tokens": input,
        "output_tokens": output,
        "input_token_details": {
            "cached_tokens": cached,
            "text_tokens": input - sound,
            "audio_tokens": sound,
            "image_tokens": 0,
            "cached_tokens_details": {"text_tokens": cached - cached_sound, "audio_tokens": cached_sound, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": output - made, "audio_tokens": made},
    })
}

/// What a key that signs the handshake is answered with.
pub(crate) fn accepted(key: &[u8]) -> Bytes {
    tokio_tungstenite::tungstenite::handshake::derive_accept_key(key).into()
}
