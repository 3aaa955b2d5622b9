//! Results of tools, put in the order of the calls they answer.

use super::{End, document_parts, image_part};
use crate::call::{Part, Text, ToolResult};
use crate::fault::Fault;
use crate::provider::Target;
use crate::provider::gemini::model::{Family, Model};
use crate::provider::gemini::{Lost, media};
use serde_json::{Value, json};

/// A call that waits for its result.
pub(super) struct Open {
    pub(super) id: String,
    pub(super) name: String,
    /// The id, where Gemini gave it.
    pub(super) echoed: Option<String>,
    pub(super) path: String,
}

struct Given {
    /// The path of what holds the result's content.
    at: String,
    result: ToolResult,
}

/// The open calls of the last model content and the results given so far.
#[derive(Default)]
pub(super) struct Results {
    pub(super) open: Vec<Open>,
    given: Vec<Given>,
}

/// What results become.
#[derive(Default)]
pub(super) struct Answered {
    /// One for each call, in the order of the calls.
    pub(super) responses: Vec<Value>,
    /// Media of results for models whose responses hold none; they follow in a content of their own.
    pub(super) beside: Vec<Value>,
}

impl Results {
    /// `at` is the path of what holds the result's content: a message, or a part of one.
    pub(super) fn add(&mut self, at: String, result: &ToolResult, lost: &mut Lost) {
        lost.add_if(result.cache.as_ref(), &format!("{at}.cache_control"));
        self.given.push(Given { at, result: result.clone() });
    }

    /// Every call must have its result and every result its call, or the API refuses the whole with
    /// a message that names neither.
    pub(super) fn answer(
        self,
        end: End,
        model: Model,
        target: &Target<'_>,
        lost: &mut Lost,
    ) -> Result<Answered, Fault> {
        let Self { open, mut given } = self;
        let mut answered = Answered::default();
        if given.is_empty() && end == End::OfConversation {
            return Ok(answered);
        }
        for call in &open {
            let Some(at) = given.iter().position(|given| given.result.call_id == call.id) else {
                return Err(Fault::missing_field(&call.path, "a tool message that answers this call"));
            };
            let given = given.remove(at);
            respond(call, &given, model, target, lost, &mut answered)?;
        }
        match given.first() {
            None => Ok(answered),
            Some(orphan) => Err(Fault::bad_field(
                format!("{}.tool_call_id", orphan.at),
                "the id of a call in the assistant message before",
                "another id",
            )),
        }
    }
}

fn respond(
    call: &Open,
    given: &Given,
    model: Model,
    target: &Target<'_>,
    lost: &mut Lost,
    answered: &mut Answered,
) -> Result<(), Fault> {
    let Given { at, result: ToolResult { call_id: _, name: _, parts, failed, cache: _ } } = given;
    let mut words = String::new();
    let mut media = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let path = format!("{at}.content[{index}]");
        match part {
            Part::Text(text) => words_of(text, &path, &mut words, lost),
            Part::Refusal(refusal) => words.push_str(refusal),
            Part::Image(image) => media.push(image_part(image, target, &path, lost)?),
            Part::Document(document) => media.extend(document_parts(document, target, &path, lost)?),
            Part::Video(video) => {
                media.push(Value::Object(media::part(&video.source, target, &path)?));
            }
            Part::Audio(audio) => match &audio.source {
                Some(source) => media.push(Value::Object(media::part(source, target, &path)?)),
                None => lost.add(path),
            },
            Part::Thinking(_) | Part::ToolCall(_) | Part::ToolResult(_) | Part::Opaque(_) => lost.add(path),
        }
    }
    // The API compares the name with the call's, so a client's other word for it would not do.
    let mut response = json!({"name": call.name, "response": outcome(words, *failed)});
    if let Some(response) = response.as_object_mut() {
        if let Some(id) = &call.echoed {
            response.insert("id".to_owned(), Value::from(id.as_str()));
        }
        match model.family {
            // A text document is a text part, which a response cannot hold.
            Family::V3 if !media.is_empty() && media.iter().all(|part| part.get("text").is_none()) => {
                response.insert("parts".to_owned(), Value::Array(media));
            }
            Family::Early | Family::V2_5 | Family::V3 => answered.beside.append(&mut media),
        }
    }
    answered.responses.push(json!({"functionResponse": response}));
    Ok(())
}

fn words_of(text: &Text, path: &str, words: &mut String, lost: &mut Lost) {
    lost.add_if(text.cache.as_ref(), &format!("{path}.cache_control"));
    lost.add_if(text.citations.as_ref(), &format!("{path}.citations"));
    words.push_str(&text.text);
}

/// A response is always an object: the tool's own if it wrote one, else its words under the key the
/// API reads them from.
fn outcome(words: String, failed: Option<bool>) -> Value {
    if failed == Some(true) {
        return json!({"error": words});
    }
    match serde_json::from_str::<Value>(&words) {
        Ok(object @ Value::Object(_)) => object,
        Ok(_) | Err(_) => json!({"output": words}),
    }
}
