//! What can go wrong, grouped by who is to blame, and how it is told.
//!
//! A [`Fault`] is what a client is shown; every code is listed once in [`Code::ALL`] with its status
//! and type. An [`UpstreamFault`] is what a provider said; whether it is retried is decided in
//! `retry`, and whether the client ever sees it depends on that.

use crate::units::Millis;
use bytes::Bytes;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// What a client is told. Almost everything may fail with one and almost nothing does, so that it is a pointer: what
/// hands it on moves no more than that.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault(Box<Parts>);

/// What there is to a [`Fault`].
#[derive(Clone, Debug, PartialEq)]
pub struct Parts {
    /// The kind, which fixes status and type.
    pub code: Code,
    /// Lower case; names the field, what was found and what was expected. No secret, no prompt text.
    pub message: String,
    /// The field to blame, as a path: `messages[3].role`.
    pub param: Option<String>,
    /// When to come back; `retry-after` on every 429 and 503.
    pub retry_after: Option<Millis>,
    /// The upstream's own words, where this fault passes them on.
    pub upstream: Option<Box<UpstreamFault>>,
}

impl Deref for Fault {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl DerefMut for Fault {
    fn deref_mut(&mut self) -> &mut Parts {
        &mut self.0
    }
}

impl Fault {
    /// A fault of this kind.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self::made(code, message.into(), None)
    }

    #[cold]
    #[inline(never)]
    fn made(code: Code, message: String, param: Option<String>) -> Self {
        Self(Box::new(Parts { code, message, param, retry_after: None, upstream: None }))
    }

    /// The same, blaming a field.
    #[must_use]
    pub fn at(self, param: impl Into<String>) -> Self {
        self.blaming(param.into())
    }

    #[cold]
    #[inline(never)]
    fn blaming(mut self, param: String) -> Self {
        self.param = Some(param);
        self
    }

    /// The same, with other words.
    #[must_use]
    pub fn saying(mut self, message: String) -> Self {
        self.message = message;
        self
    }

    /// The same, with a time to come back.
    #[must_use]
    pub fn retry_after(mut self, wait: Millis) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// A field that holds the wrong thing: `<field>: expected <expected>, found <found>`.
    pub fn bad_field(
        field: impl Into<String>,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) -> Self {
        Self::of_field(field.into(), format_args!(": expected {expected}, found {found}"))
    }

    /// A field that must be there and is not.
    pub fn missing_field(field: impl Into<String>, expected: impl fmt::Display) -> Self {
        Self::of_field(field.into(), format_args!(" is missing: expected {expected}"))
    }

    #[cold]
    #[inline(never)]
    fn of_field(field: String, what: fmt::Arguments<'_>) -> Self {
        Self::made(Code::BadField, format!("{field}{what}"), Some(field))
    }

    /// What there is to it.
    pub fn into_parts(self) -> Parts {
        *self.0
    }

    /// The HTTP status it is answered with: the upstream's own where it is passed on.
    pub fn status(&self) -> u16 {
        match (&self.upstream, self.code) {
            (Some(upstream), Code::UpstreamRefused) => upstream.status,
            (_, code) => code.status(),
        }
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $status:literal $kind:literal $code:literal $blame:ident;)*) => {
        /// Every kind of fault a client can meet.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// All of them, for documentation and tests.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The HTTP status.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// The error's `type`, in OpenAI's and Anthropic's words.
            pub const fn kind(self) -> &'static str {
                match self { $(Self::$name => $kind,)* }
            }

            /// The error's `code`.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// Who is to blame.
            pub const fn blame(self) -> Blame {
                match self { $(Self::$name => Blame::$blame,)* }
            }
        }
    };
}

codes! {
    /// The body is not JSON, not UTF-8, nested too deep, or repeats a key.
    BadJson = 400 "invalid_request_error" "bad_json" Caller;
    /// A field holds the wrong thing or is missing.
    BadField = 400 "invalid_request_error" "bad_field" Caller;
    /// The provider cannot do what is asked, and strictness was asked for too.
    Unsupported = 400 "invalid_request_error" "unsupported" Caller;
    /// A guardrail holds the call or its answer back.
    GuardrailBlocked = 400 "invalid_request_error" "guardrail_blocked" Refusal;
    /// No key was presented.
    MissingKey = 401 "authentication_error" "missing_key" Caller;
    /// The key is not known.
    InvalidKey = 401 "authentication_error" "invalid_key" Caller;
    /// The key's time is over.
    ExpiredKey = 401 "authentication_error" "expired_key" Caller;
    /// A budget is used up.
    BudgetExceeded = 402 "insufficient_quota" "budget_exceeded" Refusal;
    /// The key may not use this model.
    ModelNotAllowed = 403 "permission_error" "model_not_allowed" Refusal;
    /// The key is blocked.
    KeyBlocked = 403 "permission_error" "key_blocked" Refusal;
    /// The key's role does not allow this in the admin API.
    NotPermitted = 403 "permission_error" "not_permitted" Refusal;
    /// No route, provider or catalogue row has this model.
    ModelNotFound = 404 "invalid_request_error" "model_not_found" Caller;
    /// No surface is served at this path.
    NoRoute = 404 "invalid_request_error" "no_route" Caller;
    /// Nothing of this name is known to the admin API, or no such response is kept.
    NotFound = 404 "invalid_request_error" "not_found" Caller;
    /// The path is served, with another method.
    WrongMethod = 405 "invalid_request_error" "wrong_method" Caller;
    /// The client took too long to send its request.
    SlowRequest = 408 "invalid_request_error" "request_timeout" Caller;
    /// What the admin API is asked for contradicts what there is.
    Conflict = 409 "invalid_request_error" "conflict" Caller;
    /// The body is larger than the configured limit.
    BodyTooLarge = 413 "invalid_request_error" "body_too_large" Caller;
    /// The headers are larger than the server takes.
    HeadersTooLarge = 431 "invalid_request_error" "headers_too_large" Caller;
    /// The request limit is used up.
    RpmExceeded = 429 "rate_limit_error" "rpm_exceeded" Refusal;
    /// The token limit is used up.
    TpmExceeded = 429 "rate_limit_error" "tpm_exceeded" Refusal;
    /// Too many requests of this scope are in flight.
    ConcurrencyExceeded = 429 "rate_limit_error" "concurrency_exceeded" Refusal;
    /// Every upstream that could answer is rate limited, by its provider or by the config.
    UpstreamLimited = 429 "rate_limit_error" "upstream_rate_limited" Upstream;
    /// The client left. Logged, never seen.
    ClientLeft = 499 "api_error" "client_closed_request" Caller;
    /// A defect of the gateway's.
    Bug = 500 "api_error" "internal_error" Bug;
    /// Every attempt failed.
    UpstreamError = 502 "api_error" "upstream_error" Upstream;
    /// A store the request needs is gone.
    StoreUnavailable = 503 "api_error" "store_unavailable" Host;
    /// No upstream is left that could take the request now.
    NoCapacity = 503 "api_error" "no_capacity" Upstream;
    /// An upstream did not answer in time.
    UpstreamTimeout = 504 "api_error" "upstream_timeout" Upstream;
    /// The request's own deadline passed.
    Deadline = 504 "api_error" "deadline" Upstream;
    /// The upstream's own refusal of what the client asked; its status and message are passed on.
    UpstreamRefused = 400 "invalid_request_error" "upstream_refused" Caller;
}

/// Who is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The client asked for something that makes no sense or may not be had.
    Caller,
    /// The client asked for too much.
    Refusal,
    /// A provider failed.
    Upstream,
    /// A store or the network around the gateway failed.
    Host,
    /// The gateway is wrong.
    Bug,
}

/// What kind of failure an upstream reported, whatever words it used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpstreamClass {
    /// The request makes no sense to it.
    BadRequest,
    /// The prompt is longer than the model's window.
    ContextLength,
    /// Its filter refused the prompt.
    ContentFilter,
    /// It does not accept our key.
    Auth,
    /// Our account there has no credit or has reached a spending cap.
    Billing,
    /// Our key may not do this.
    Forbidden,
    /// It does not know the model.
    NotFound,
    /// The request is too large in bytes.
    TooLarge,
    /// Our key is rate limited.
    RateLimited,
    /// It is overloaded.
    Overloaded,
    /// It failed.
    Server,
    /// It did not answer in time.
    Timeout,
    /// It could not be reached, or the connection broke.
    Connection,
    /// It answered something that is not its dialect.
    Garbled,
}

/// What a provider, or the way to it, did wrong.
#[derive(Clone, PartialEq)]
pub struct UpstreamFault {
    /// The kind.
    pub class: UpstreamClass,
    /// Its HTTP status; 200 for faults inside a stream that do not name another, 0 if none came.
    pub status: u16,
    /// Its own message, secrets taken out.
    pub message: String,
    /// Its own `code` or `status` word.
    pub code: Option<String>,
    /// Its own `type` word.
    pub kind: Option<String>,
    /// The field it blames.
    pub param: Option<String>,
    /// When it wants to be asked again.
    pub retry_after: Option<Millis>,
    /// The body as it came, to pass on where the surface speaks the same dialect.
    pub body: Bytes,
}

impl UpstreamFault {
    /// A fault of this kind with nothing else known.
    pub fn new(class: UpstreamClass, status: u16, message: impl Into<String>) -> Self {
        Self {
            class,
            status,
            message: message.into(),
            code: None,
            kind: None,
            param: None,
            retry_after: None,
            body: Bytes::new(),
        }
    }
}

impl fmt::Debug for UpstreamFault {
    /// The upstream's message may quote the prompt, so it is not printed (invariant I7).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamFault")
            .field("class", &self.class)
            .field("status", &self.status)
            .field("code", &self.code)
            .finish_non_exhaustive()
    }
}
