//! Which media stand in a prompt of this dialect, and where.

use crate::json::{Kind, Value};
use crate::surface::bulk::Bulk;

impl Bulk {
    /// A part's one field that says what it is.
    pub(in crate::surface::openai_chat) fn part(&mut self, field: &str, value: Value<'_>) {
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
    pub(in crate::surface::openai_chat) fn images(&mut self, list: Option<Value<'_>>) {
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
