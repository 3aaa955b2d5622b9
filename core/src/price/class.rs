//! What is priced apart, listed once: for the catalogue's file, the config, and people.

/// Something that has a price of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Input outside any cache.
    Input,
    /// Input read from a cache.
    CacheRead,
    /// Input written to a cache that lives five minutes, or whose life is not said.
    CacheWrite,
    /// Input written to a cache that lives an hour.
    CacheWrite1h,
    /// Output.
    Output,
    /// Of the output, what was spent on reasoning.
    Reasoning,
    /// Of the input, sound.
    AudioInput,
    /// Of the input read from a cache, sound.
    AudioCacheRead,
    /// Of the output, sound.
    AudioOutput,
    /// Of the input, pictures.
    ImageInput,
    /// Of the input read from a cache, pictures.
    ImageCacheRead,
    /// Of the output, pictures.
    ImageOutput,
    /// A call, whatever its size.
    Request,
    /// A picture sent.
    PictureSent,
    /// A picture made.
    PictureMade,
    /// A second of sound or film sent.
    SecondSent,
    /// A second of sound or film made.
    SecondMade,
    /// A character of text sent.
    Character,
    /// A search the provider ran.
    Search,
    /// A page read.
    Page,
}

/// What a price is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A million tokens.
    MillionTokens,
    /// One of it, in a word.
    One(&'static str),
}

impl Unit {
    /// Decimals of a dollar that make a whole [`super::PerMillion`].
    pub(crate) const fn decimals(self) -> u32 {
        match self {
            Self::MillionTokens => 9,
            Self::One(_) => 15,
        }
    }
}

/// A class by its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// The class.
    pub class: Class,
    /// Its word in the catalogue's file and in the config.
    pub word: &'static str,
    /// For people.
    pub title: &'static str,
    /// What its price is for.
    pub unit: Unit,
    /// The class whose price it has where it has none of its own.
    pub costs_as: Option<Class>,
}

const fn tokens(class: Class, word: &'static str, title: &'static str, costs_as: Option<Class>) -> Kind {
    Kind { class, word, title, unit: Unit::MillionTokens, costs_as }
}

const fn each(class: Class, word: &'static str, title: &'static str, one: &'static str) -> Kind {
    Kind { class, word, title, unit: Unit::One(one), costs_as: None }
}

/// How many classes there are.
pub(super) const COUNT: usize = 20;

/// Every class, in the order of [`Class`].
pub const CLASSES: [Kind; COUNT] = [
    tokens(Class::Input, "input", "input", None),
    tokens(Class::CacheRead, "cache_read", "cache read", Some(Class::Input)),
    tokens(Class::CacheWrite, "cache_write", "cache write", Some(Class::Input)),
    tokens(Class::CacheWrite1h, "cache_write_1h", "cache write, 1 h", Some(Class::CacheWrite)),
    tokens(Class::Output, "output", "output", None),
    tokens(Class::Reasoning, "reasoning", "reasoning", Some(Class::Output)),
    tokens(Class::AudioInput, "audio_input", "audio input", Some(Class::Input)),
    tokens(Class::AudioCacheRead, "audio_cache_read", "audio cache read", Some(Class::CacheRead)),
    tokens(Class::AudioOutput, "audio_output", "audio output", Some(Class::Output)),
    tokens(Class::ImageInput, "image_input", "image input", Some(Class::Input)),
    tokens(Class::ImageCacheRead, "image_cache_read", "image cache read", Some(Class::CacheRead)),
    tokens(Class::ImageOutput, "image_output", "image output", Some(Class::Output)),
    each(Class::Request, "per_request", "request", "request"),
    each(Class::PictureSent, "per_image_input", "images sent", "image"),
    each(Class::PictureMade, "per_image", "images made", "image"),
    each(Class::SecondSent, "per_second", "seconds sent", "second"),
    each(Class::SecondMade, "per_second_output", "seconds made", "second"),
    each(Class::Character, "per_character", "characters", "character"),
    each(Class::Search, "per_search", "searches", "search"),
    each(Class::Page, "per_page", "pages", "page"),
];

impl Class {
    /// Its words. The table is in the order of the enum, which a test holds it to.
    pub fn kind(self) -> &'static Kind {
        const FIRST: &Kind = &CLASSES[0];
        CLASSES.get(self as usize).unwrap_or(FIRST)
    }

    /// The class of a word.
    pub fn of(word: &str) -> Option<Self> {
        CLASSES.iter().find(|kind| kind.word == word).map(|kind| kind.class)
    }

    /// Whether it is counted in tokens of the prompt.
    pub(super) const fn is_input(self) -> bool {
        match self {
            Self::Input
            | Self::CacheRead
            | Self::CacheWrite
            | Self::CacheWrite1h
            | Self::AudioInput
            | Self::AudioCacheRead
            | Self::ImageInput
            | Self::ImageCacheRead => true,
            Self::Output
            | Self::Reasoning
            | Self::AudioOutput
            | Self::ImageOutput
            | Self::Request
            | Self::PictureSent
            | Self::PictureMade
            | Self::SecondSent
            | Self::SecondMade
            | Self::Character
            | Self::Search
            | Self::Page => false,
        }
    }

    /// Whether it is counted in tokens of the answer.
    pub(super) const fn is_output(self) -> bool {
        matches!(self, Self::Output | Self::Reasoning | Self::AudioOutput | Self::ImageOutput)
    }
}
