//! What went wrong, before a dialect gives it its shape.

/// The classes of failure every provider has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    BadRequest,
    InvalidKey,
    Permission,
    InsufficientQuota,
    ModelNotFound,
    ContextLength,
    ContentFilter,
    TooLarge,
    RateLimit,
    Server,
    Overloaded,
    Timeout,
}

impl Kind {
    /// The kind a directive names.
    pub(crate) fn named(name: &str) -> Option<Kind> {
        Some(match name {
            "bad_request" => Kind::BadRequest,
            "invalid_key" => Kind::InvalidKey,
            "permission" => Kind::Permission,
            "insufficient_quota" => Kind::InsufficientQuota,
            "model_not_found" => Kind::ModelNotFound,
            "context_length" => Kind::ContextLength,
            "content_filter" => Kind::ContentFilter,
            "too_large" => Kind::TooLarge,
            "rate_limit" => Kind::RateLimit,
            "server" => Kind::Server,
            "overloaded" => Kind::Overloaded,
            "timeout" => Kind::Timeout,
            _ => return None,
        })
    }

    /// The kind a bare status stands for.
    pub(crate) fn of_status(status: u16) -> Kind {
        match status {
            401 => Kind::InvalidKey,
            402 => Kind::InsufficientQuota,
            403 => Kind::Permission,
            404 => Kind::ModelNotFound,
            408 | 504 => Kind::Timeout,
            413 => Kind::TooLarge,
            429 => Kind::RateLimit,
            503 | 529 => Kind::Overloaded,
            400..=499 => Kind::BadRequest,
            _ => Kind::Server,
        }
    }

    /// A message in the manner of the providers.
    pub(crate) fn message(self) -> &'static str {
        match self {
            Kind::BadRequest => "The request was invalid.",
            Kind::InvalidKey => "Incorrect API key provided.",
            Kind::Permission => "You are not allowed to use this model.",
            Kind::InsufficientQuota => {
                "You exceeded your current quota, please check your plan and billing details."
            }
            Kind::ModelNotFound => "The model does not exist or you do not have access to it.",
            Kind::ContextLength => {
                "This model's maximum context length is 8192 tokens. However, your messages resulted in 9001 tokens. Please reduce the length of the messages."
            }
            Kind::ContentFilter => "Output blocked by content filtering policy",
            Kind::TooLarge => "The request exceeds the maximum allowed number of bytes.",
            Kind::RateLimit => "Rate limit reached. Please try again later.",
            Kind::Server => "The server had an error while processing your request.",
            Kind::Overloaded => "Overloaded",
            Kind::Timeout => "The request timed out.",
        }
    }
}

/// A request refused, as the provider would say it.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) kind: Kind,
    /// Overrides the status the dialect gives this kind.
    pub(crate) status: Option<u16>,
    pub(crate) message: String,
    /// The field at fault, for dialects that name it.
    pub(crate) param: Option<String>,
    /// Overrides the code the dialect gives this kind.
    pub(crate) code: Option<&'static str>,
    /// Seconds to wait, for dialects that say it in the body.
    pub(crate) retry_after: Option<String>,
}

impl Refusal {
    /// The dialect's usual answer for this kind.
    pub(crate) fn of(kind: Kind) -> Refusal {
        Refusal {
            kind,
            status: None,
            message: kind.message().into(),
            param: None,
            code: None,
            retry_after: None,
        }
    }

    /// A 400 with this message.
    pub(crate) fn bad(message: impl Into<String>) -> Refusal {
        Refusal { message: message.into(), ..Refusal::of(Kind::BadRequest) }
    }

    /// Names the field at fault.
    pub(crate) fn at(self, param: impl Into<String>) -> Refusal {
        Refusal { param: Some(param.into()), ..self }
    }

    /// Gives the error its code.
    pub(crate) fn code(self, code: &'static str) -> Refusal {
        Refusal { code: Some(code), ..self }
    }
}
