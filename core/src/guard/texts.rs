//! The texts of a JSON value, whatever its dialect: every string, but for those by which programs steer.
//!
//! What is left out is what repeats from frame to frame or is no text: identifiers, words of a fixed set,
//! counts, proofs, sealed and padded parts, media. Within what a model or a client makes up by itself
//! (arguments of tools, results of functions, schemas, metadata) nothing is left out, and keys are texts too.

use crate::json::{Kind, Value};

/// Fields that steer. Names that end in `id` are of the same kind.
const STEERING: [&str; 27] = [
    "type",
    "object",
    "role",
    "model",
    "modelVersion",
    "status",
    "finish_reason",
    "finishReason",
    "stop_reason",
    "stopReason",
    "system_fingerprint",
    "service_tier",
    "obfuscation",
    "p",
    "signature",
    "thoughtSignature",
    "encrypted_content",
    "redactedContent",
    "logprobs",
    "logprobsResult",
    "usage",
    "usageMetadata",
    "safetyRatings",
    "metrics",
    "created_at",
    "createTime",
    "amazon-bedrock-invocationMetrics",
];

/// What is within these is somebody's own.
const FREE: [&str; 11] = [
    "input",
    "args",
    "arguments",
    "parameters",
    "properties",
    "input_schema",
    "inputSchema",
    "schema",
    "json",
    "response",
    "metadata",
];

/// Fields that hold media in base 64.
const ENCODED: [&str; 9] =
    ["data", "bytes", "b64_json", "partial_image_b64", "file_data", "result", "audio", "url", "image_url"];

/// Fields of which each is whole, so that none goes on in the next frame.
const WHOLE: [&str; 5] = ["name", "title", "url", "provider", "description"];

/// What a response object has besides what it repeats of its request.
const SAID: [&str; 4] = ["output", "output_text", "error", "incomplete_details"];

/// Which text of a stream something is a piece of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TextId {
    /// Of which answer, block or call: by the numbers that say so.
    pub(crate) place: u64,
    field: u64,
}

/// Something that is said.
pub(crate) enum Piece<'p> {
    /// A text, or more of one.
    Text(Option<TextId>, &'p str),
    /// The texts of this place are complete.
    Over(u64),
}

/// Hands over what a value says, in order.
pub(crate) fn texts(root: Value<'_>, each: &mut dyn FnMut(Piece<'_>)) {
    Walk { each }.value(root, "", Within { place: 0, depth: 0, free: false });
}

/// The same of one field of the outermost object, piece by piece.
pub(crate) fn member(name: &str, value: Value<'_>, each: &mut dyn FnMut(&str)) {
    if steers(name, false) {
        return;
    }
    let mut each = |piece: Piece<'_>| {
        if let Piece::Text(_, text) = piece {
            each(text);
        }
    };
    Walk { each: &mut each }.value(value, name, Within { place: 0, depth: 1, free: false });
}

/// The place of what an object speaks of, by its own numbers.
pub(crate) fn place(object: Value<'_>, outer: u64) -> u64 {
    object.members().fold(outer, |place, (key, value)| match (key.as_str(), value.kind()) {
        (Some(name), Kind::Number) if name.ends_with("index") || name.ends_with("Index") => {
            mix(mix(place, name.as_bytes()), value.raw())
        }
        _ => place,
    })
}

/// FNV-1a.
fn mix(hash: u64, bytes: &[u8]) -> u64 {
    let start = hash ^ 0xcbf2_9ce4_8422_2325;
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[derive(Clone, Copy)]
struct Within {
    place: u64,
    depth: u32,
    /// Whether it is somebody's own.
    free: bool,
}

struct Walk<'w> {
    each: &'w mut dyn FnMut(Piece<'_>),
}

impl Walk<'_> {
    fn value(&mut self, value: Value<'_>, key: &str, within: Within) {
        match value.kind() {
            Kind::String => self.text(&value.as_str().unwrap_or_default(), key, within),
            Kind::Array => value.elements().for_each(|element| self.value(element, key, within)),
            Kind::Object => self.object(value, within),
            Kind::Null | Kind::Bool | Kind::Number => {}
        }
    }

    fn text(&mut self, text: &str, key: &str, within: Within) {
        if !is_encoded(key, text) {
            let part = !within.free && !WHOLE.contains(&key);
            let id = part.then(|| TextId { place: within.place, field: mix(0, key.as_bytes()) });
            (self.each)(Piece::Text(id, text));
        }
    }

    fn object(&mut self, object: Value<'_>, within: Within) {
        let place = place(object, within.place);
        let repeats = !within.free && object.get("object").is_some_and(|kind| kind.is_text("response"));
        for (key, value) in object.members() {
            let name = key.as_str().unwrap_or_default();
            let nested = matches!(value.kind(), Kind::Array | Kind::Object);
            let free = within.free || nested && within.depth > 0 && FREE.contains(&&*name);
            if within.free {
                (self.each)(Piece::Text(None, &name));
            } else if steers(&name, free) || repeats && !SAID.contains(&&*name) {
                continue;
            }
            self.value(value, &name, Within { place, depth: within.depth + 1, free });
        }
        let ended = ["finish_reason", "finishReason"].iter().any(|key| {
            let reason = object.get(key);
            reason.is_some_and(|reason| !reason.is_null())
        });
        if ended && !within.free {
            (self.each)(Piece::Over(place));
        }
    }
}

fn steers(name: &str, free: bool) -> bool {
    !free && (STEERING.contains(&name) || name.ends_with("id") || name.ends_with("Id"))
}

/// Whether it is a medium, and nothing that could be read.
fn is_encoded(key: &str, text: &str) -> bool {
    const SHORTEST: usize = 64;
    if text.len() < SHORTEST || !ENCODED.contains(&key) {
        return false;
    }
    let data = text.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    let data = data.map_or(text, |(_, data)| data);
    data.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte))
}
