//! Tasks whose bodies are forms with files.

use super::{FILE, OpenAiTask};
use crate::call::{Delivery, UsageChunk};
use crate::count::{Besides, Media, weight};
use crate::directory;
use crate::fault::Fault;
use crate::multipart::{Part, one, parts};
use crate::surface::{Envelope, ModelPlace, Places, RequestLine};
use crate::usage::Quantity;
use std::borrow::Cow;
use std::ops::Range;

/// Of a recording whose length nobody tells, so many bytes are a second: little for anything but speech
/// that is packed tightly, so that the figure is rather too high.
const BYTES_PER_SECOND: u64 = 4_000;

/// See [`crate::surface::Surface::envelope`].
pub(super) fn envelope(task: &OpenAiTask, body: &[u8], line: &RequestLine) -> Result<Envelope, Fault> {
    let label = line.content_type.as_ref().map_or(&[][..], |label| label.as_bytes());
    let parts = parts(label, body)?;
    for (name, expected) in task.needed {
        let missing = || Fault::missing_field(*name, *expected);
        let part = parts.iter().find(|part| bare(part.name) == *name).ok_or_else(missing)?;
        if part.is_file != (*expected == FILE) {
            let found = if part.is_file { FILE } else { "a text" };
            return Err(Fault::bad_field(*name, *expected, found));
        }
    }
    let model = one(&parts, "model")?;
    let named = model.map(|part| text(part, "a text")).transpose()?;
    let place = match (model, &line.model) {
        (Some(part), _) => ModelPlace::Plain(part.content.clone()),
        // OpenAI's own choice, or the deployment of the path.
        (None, _) => ModelPlace::Path,
    };
    let streamed = one(&parts, "stream")?.map(|part| text(part, "true or false")).transpose()?;
    let streamed = match streamed {
        None | Some("false" | "False" | "") => Delivery::Whole,
        Some("true" | "True") => Delivery::Stream(UsageChunk::Wanted),
        Some(_) => return Err(Fault::bad_field("stream", "true or false", "another word")),
    };
    let Asides { fallbacks, cuts } = asides(&parts)?;
    let user = one(&parts, "user")?.and_then(Part::text).map(directory::end_user);
    Ok(Envelope {
        model: task.model(named.map(str::to_owned), line)?,
        model_place: place,
        delivery: streamed,
        fallbacks,
        cuts,
        conversation: None,
        max_tokens: None,
        prompt_bytes: spoken(task, &parts).map(|text| weight(text.as_bytes())).sum(),
        media: media(task, &parts),
        n: many(&parts)?,
        end_user: user.filter(|user| !user.is_empty()),
        places: Places::default(),
    })
}

/// What is the gateway's and not the provider's: further models, and the bytes of their parts.
#[derive(Default)]
struct Asides {
    fallbacks: Vec<String>,
    cuts: Vec<Range<usize>>,
}

fn asides(parts: &[Part<'_>]) -> Result<Asides, Fault> {
    let mut asides = Asides::default();
    // Where what comes before the part's own boundary ends; at the very beginning no line does.
    let (mut end, mut first) = (0, true);
    for part in parts {
        let is_ours = bare(part.name) == "fallbacks";
        let line = if first { "\r\n".len() } else { 0 };
        if is_ours {
            asides.fallbacks.push(text(part, "the name of a model")?.to_owned());
            asides.cuts.push(end..part.content.end + line);
        }
        first &= is_ours;
        end = part.content.end + if first { line } else { 0 };
    }
    Ok(asides)
}

/// A list's name may be written with brackets.
fn bare(name: &str) -> &str {
    name.strip_suffix("[]").unwrap_or(name)
}

fn text<'b>(part: &Part<'b>, expected: &'static str) -> Result<&'b str, Fault> {
    let found = if part.is_file { FILE } else { "bytes that are no text" };
    part.text().ok_or_else(|| Fault::bad_field(part.name, expected, found))
}

/// How many pictures are asked for.
fn many(parts: &[Part<'_>]) -> Result<u64, Fault> {
    let Some(part) = one(parts, "n")? else { return Ok(1) };
    const EXPECTED: &str = "a whole number of at least 1";
    let number = text(part, EXPECTED)?.trim().parse::<u32>().ok().filter(|number| *number > 0);
    number.map(u64::from).ok_or_else(|| Fault::bad_field("n", EXPECTED, "another text"))
}

/// The texts that a model reads.
fn spoken<'b>(task: &OpenAiTask, parts: &[Part<'b>]) -> impl Iterator<Item = &'b str> {
    let read = parts.iter().filter(|part| task.texts.contains(&part.name));
    read.filter_map(Part::text).collect::<Vec<_>>().into_iter()
}

fn media(task: &OpenAiTask, parts: &[Part<'_>]) -> Media {
    let files = || parts.iter().filter(|part| part.is_file);
    let sound = task.needed.iter().any(|(name, _)| *name == "file");
    match sound {
        true => Media { audio_bytes: files().map(|part| part.bytes.len() as u64).sum(), ..Media::default() },
        false => Media { images: files().count() as u64, ..Media::default() },
    }
}

/// The parts of a body that was read before: it begins with its boundary.
fn again(body: &[u8]) -> Vec<Part<'_>> {
    let end = memchr::memchr(b'\r', body).unwrap_or_default();
    let boundary = body.get(2..end).unwrap_or_default();
    let label: Cow<'_, [u8]> = [b"multipart/form-data; boundary=\"", boundary, b"\""].concat().into();
    parts(&label, body).unwrap_or_default()
}

/// See [`crate::surface::Surface::prompt_text`].
pub(super) fn texts(task: &OpenAiTask, body: &[u8], each: &mut dyn FnMut(&str)) -> Besides {
    let parts = again(body);
    spoken(task, &parts).for_each(each);
    Besides { media: media(task, &parts), ..Besides::default() }
}

/// The pictures that are asked for.
pub(super) fn pictures(body: &[u8], n: u64) -> Quantity {
    let parts = again(body);
    let said =
        |name: &str| parts.iter().find(|part| part.name == name).and_then(Part::text).unwrap_or_default();
    Quantity::pictures(n, said("quality"), said("size"))
}

/// How long the recording is: by its head, where it is a WAV, else at most. At least one second.
pub(super) fn seconds(body: &[u8]) -> u64 {
    let parts = again(body);
    let file = parts.iter().find(|part| part.name == "file").map(|part| part.bytes).unwrap_or_default();
    let rate = wav_rate(file).unwrap_or(BYTES_PER_SECOND);
    (file.len() as u64).div_ceil(rate).max(1)
}

/// Bytes of a second, in a file that begins as nearly all WAV files do.
fn wav_rate(file: &[u8]) -> Option<u64> {
    let begins = file.starts_with(b"RIFF") && file.get(8..16)? == b"WAVEfmt ";
    let rate = file.get(28..32)?.try_into().ok().map(u32::from_le_bytes)?;
    (begins && rate > 0).then_some(rate.into())
}
