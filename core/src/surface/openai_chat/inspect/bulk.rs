//! How much a prompt holds, from where things stand on the tape.

use crate::count::{Media, weight};
use crate::json::{Kind, Value};
use std::ops::Range;

/// What has been seen of a prompt that is no text.
#[derive(Debug, Default)]
pub(super) struct Bulk {
    pub(super) media: Media,
    /// Where media stand in the body; ascending and disjoint.
    apart: Vec<Range<usize>>,
}

/// The weight of a value as it is written.
pub(super) fn weigh(value: Value<'_>) -> u64 {
    weight(value.raw())
}

impl Bulk {
    /// A part's one field that says what it is.
    pub(super) fn part(&mut self, field: &str, value: Value<'_>) {
        match field {
            "image_url" => self.image(value),
            "video_url" => self.file(url(value)),
            "input_audio" => {
                self.media.audio_bytes += self.set_apart(value.get("data").unwrap_or(value));
            }
            "file" => self.file(value.get("file_data").filter(|data| !data.is_null())),
            _ => {}
        }
    }

    /// Pictures of an assistant's message, as they are rendered here.
    pub(super) fn images(&mut self, list: Option<Value<'_>>) {
        for image in list.into_iter().flat_map(Value::elements) {
            self.image(image.get("image_url").unwrap_or(image));
        }
    }

    fn image(&mut self, value: Value<'_>) {
        self.media.images += 1;
        if let Some(url) = url(value).filter(|url| is_data(*url)) {
            self.set_apart(url);
        }
    }

    fn file(&mut self, data: Option<Value<'_>>) {
        match data {
            Some(data) if !is_address(data) => self.media.file_bytes += self.set_apart(data),
            Some(_) | None => self.media.references += 1,
        }
    }

    fn set_apart(&mut self, value: Value<'_>) -> u64 {
        let span = value.span();
        // Members of one message may stand in any order: what would overlap or go back is weighed
        // as text too, which is too much and never too little.
        if self.apart.last().is_none_or(|last| last.end <= span.start) {
            self.apart.push(span.clone());
        }
        span.len() as u64
    }

    /// The weight of all messages, media left out.
    pub(super) fn weigh(&self, messages: Value<'_>) -> u64 {
        let (raw, start) = (messages.raw(), messages.span().start);
        let mut weighed = 0;
        let mut at = 0;
        for apart in &self.apart {
            let (from, to) = (apart.start.saturating_sub(start), apart.end.saturating_sub(start));
            weighed += weight(raw.get(at..from).unwrap_or_default());
            at = to;
        }
        weighed + weight(raw.get(at..).unwrap_or_default())
    }
}

/// The address in an object or bare.
fn url(value: Value<'_>) -> Option<Value<'_>> {
    match value.kind() {
        Kind::String => Some(value),
        Kind::Object => value.get("url").filter(|url| url.kind() == Kind::String),
        Kind::Null | Kind::Bool | Kind::Number | Kind::Array => None,
    }
}

fn is_data(url: Value<'_>) -> bool {
    url.raw().starts_with(b"\"data:")
}

fn is_address(data: Value<'_>) -> bool {
    [&b"\"http:"[..], b"\"https:", b"\"gs:", b"\"s3:"].iter().any(|scheme| data.raw().starts_with(scheme))
}
