//! What a model's name tells about what it accepts.

/// How a model is told how much to think, and which schemas it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    /// 1.x, 2.0, Gemma and names we do not know: no thinking, OpenAPI schemas only.
    Early,
    /// 2.5: a thinking budget in tokens, JSON Schema.
    V2_5,
    /// 3 and later, and the `-latest` aliases: a thinking level, JSON Schema, signatures required.
    V3,
}

/// The size of a model, which sets the limits of its thinking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// Cannot be kept from thinking.
    Pro,
    /// The usual one.
    Flash,
    /// The small one.
    Lite,
}

/// What a model's name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) family: Family,
    pub(super) size: Size,
    /// Gemini 3.0 Pro alone knows only two thinking levels.
    pub(super) two_levels: bool,
}

impl Model {
    /// Reads `gemini-2.5-flash-lite`, `models/gemini-3-pro-preview`, `gemini-flash-latest`, …
    pub(super) fn of(name: &str) -> Self {
        let name = name.rsplit('/').next().unwrap_or(name);
        let version = name.strip_prefix("gemini-").unwrap_or_default();
        let mut numbers =
            version.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().ok());
        let major = numbers.next().flatten();
        let minor = match version.bytes().find(|byte| !byte.is_ascii_digit()) {
            Some(b'.') => numbers.next().flatten().unwrap_or(0),
            _ => 0,
        };
        let family = match (major, minor) {
            (Some(3..), _) => Family::V3,
            (Some(2), 5..) => Family::V2_5,
            (None, _) if version.contains("latest") => Family::V3,
            _ => Family::Early,
        };
        let size = if version.contains("lite") {
            Size::Lite
        } else if version.contains("pro") {
            Size::Pro
        } else {
            Size::Flash
        };
        Self { family, size, two_levels: size == Size::Pro && (major, minor) == (Some(3), 0) }
    }
}

/// The path of a model: `/models/gemini-2.5-flash`. A tuned model keeps its own collection.
/// The name of the resource a model is, as a body has it.
pub(super) fn resource(name: &str) -> String {
    match name.split_once('/') {
        Some(("models" | "tunedModels", _)) => name.to_owned(),
        _ => format!("models/{name}"),
    }
}

pub(super) fn path(name: &str) -> String {
    let (collection, name) = match name.split_once('/') {
        Some(("models", rest)) => ("models", rest),
        Some(("tunedModels", rest)) => ("tunedModels", rest),
        _ => ("models", name),
    };
    let mut path = format!("/{collection}/");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_family() {
        for (name, family, size) in [
            ("gemini-1.5-pro-002", Family::Early, Size::Pro),
            ("gemini-2.0-flash", Family::Early, Size::Flash),
            ("gemini-2.5-flash-lite", Family::V2_5, Size::Lite),
            ("models/gemini-2.5-pro", Family::V2_5, Size::Pro),
            ("gemini-3-flash-preview", Family::V3, Size::Flash),
            ("gemini-3.1-pro-preview", Family::V3, Size::Pro),
            ("gemini-flash-latest", Family::V3, Size::Flash),
            ("gemma-3-27b-it", Family::Early, Size::Flash),
        ] {
            let model = Model::of(name);
            assert_eq!((model.family, model.size), (family, size), "{name}");
        }
        assert!(Model::of("gemini-3-pro-preview").two_levels);
        assert!(!Model::of("gemini-3.1-pro-preview").two_levels);
    }

    #[test]
    fn the_models_prefix_is_not_doubled_and_odd_bytes_are_encoded() {
        assert_eq!(path("models/gemini-2.5-pro"), "/models/gemini-2.5-pro");
        assert_eq!(path("tunedModels/mine"), "/tunedModels/mine");
        assert_eq!(path("a/../b?key=x:y"), "/models/a%2F..%2Fb%3Fkey%3Dx%3Ay");
    }
}
