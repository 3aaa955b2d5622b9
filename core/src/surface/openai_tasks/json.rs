//! Tasks whose bodies are JSON.

use super::OpenAiTask;
use crate::call::{Delivery, UsageChunk};
use crate::count::{Besides, Media};
use crate::fault::Fault;
use crate::json::{Kind, Tape, Value};
use crate::surface::bulk::weigh;
use crate::surface::shape::{end_user, found, noun, text};
use crate::surface::{Envelope, ModelPlace, Places, RequestLine};
use crate::usage::Quantity;

/// Fields of the body that are the gateway's and not the provider's.
const OWN_FIELDS: &[&str] = &["fallbacks"];

/// See [`crate::surface::Surface::inspect`].
pub(super) fn envelope(task: &OpenAiTask, root: Value<'_>, line: &RequestLine) -> Result<Envelope, Fault> {
    if root.kind() != Kind::Object {
        return Err(Fault::bad_field("body", "an object", noun(root)));
    }
    let given = |key: &str| root.get(key).filter(|value| !value.is_null());
    for (name, shape) in task.shapes {
        if let Some(value) = given(name).filter(|value| !shape.fits(*value)) {
            return Err(Fault::bad_field(*name, shape.expected(), found(value)));
        }
    }
    for (name, expected) in task.needed {
        let value = given(name).ok_or_else(|| Fault::missing_field(*name, *expected))?;
        check_elements(name, value, expected)?;
    }
    let texts = || task.texts.iter().filter_map(|name| given(name));
    let streamed = given("stream").and_then(Value::as_bool) == Some(true);
    Ok(Envelope {
        model: task.model(given("model").and_then(text), line)?,
        model_place: root.get("model").map_or(ModelPlace::Missing, |model| ModelPlace::Body(model.span())),
        delivery: if streamed { Delivery::Stream(UsageChunk::Wanted) } else { Delivery::Whole },
        fallbacks: given("fallbacks").into_iter().flat_map(Value::elements).filter_map(text).collect(),
        cuts: if root.get("fallbacks").is_some() { root.member_cuts(OWN_FIELDS) } else { Vec::new() },
        conversation: None,
        max_tokens: None,
        prompt_bytes: texts().map(weigh).sum(),
        media: Media { images: texts().map(pictures).sum(), ..Media::default() },
        n: given("n").and_then(Value::as_u64).unwrap_or(1),
        end_user: given("user").and_then(end_user),
        places: Places { members: root.span().start + 1, ..Places::default() },
    })
}

/// Of a list that has to be there, each element is a text or an object.
fn check_elements(name: &'static str, list: Value<'_>, expected: &'static str) -> Result<(), Fault> {
    if list.kind() != Kind::Array {
        return Ok(());
    }
    if list.elements().next().is_none() {
        return Err(Fault::bad_field(name, expected, "an empty array"));
    }
    for (at, one) in list.elements().enumerate() {
        if !matches!(one.kind(), Kind::String | Kind::Object) {
            return Err(Fault::bad_field(format!("{name}[{at}]"), "a string or an object", noun(one)));
        }
    }
    Ok(())
}

/// How many pictures are among them.
fn pictures(input: Value<'_>) -> u64 {
    input.elements().filter(|one| one.get("image_url").is_some()).count() as u64
}

/// See [`crate::surface::Surface::prompt_text`].
pub(super) fn texts(task: &OpenAiTask, body: &[u8], each: &mut dyn FnMut(&str)) -> Besides {
    let Ok(tape) = Tape::parse(body) else { return Besides::default() };
    let mut besides = Besides::default();
    for value in task.texts.iter().filter_map(|name| tape.root().get(name)) {
        besides.media.images += pictures(value);
        let many = value.elements();
        [value].into_iter().chain(many).for_each(|one| {
            let text = one.as_str().or_else(|| one.get("text")?.as_str());
            text.into_iter().for_each(|text| each(&text));
        });
    }
    besides
}

/// The pictures that are asked for.
pub(super) fn pictures_made(body: &[u8], n: u64) -> Quantity {
    let tape = Tape::parse(body).ok();
    let said =
        |name: &str| tape.as_ref().and_then(|tape| tape.root().get(name)?.as_str()).unwrap_or_default();
    Quantity::pictures(n, &said("quality"), &said("size"))
}

/// How many characters are to be spoken.
pub(super) fn characters(body: &[u8]) -> u64 {
    let count = |tape: Tape<'_>| Some(tape.root().get("input")?.as_str()?.chars().count() as u64);
    Tape::parse(body).ok().and_then(count).unwrap_or_default()
}

/// How many documents are to be ranked.
pub(super) fn documents(body: &[u8]) -> u64 {
    let count = |tape: Tape<'_>| Some(tape.root().get("documents")?.elements().count() as u64);
    Tape::parse(body).ok().and_then(count).unwrap_or_default()
}
