//! What a Claude model accepts, told from its name.
//!
//! Names carry a family and a version (`claude-opus-4-8`, `claude-3-5-haiku-20241022`,
//! `us.anthropic.claude-sonnet-4-5-20250929-v1:0`). The rules follow the published model pages:
//! <https://platform.claude.com/docs/en/about-claude/models/overview>. A model that is no Claude
//! (others serve this dialect too) is taken to accept what Claude 4 did.

/// A model line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Opus,
    Sonnet,
    Haiku,
    /// Fable and Mythos: thinking cannot be turned off and tools cannot be forced.
    AlwaysThinking,
    /// A Claude of a family that is not known here.
    Unknown,
}

/// What the name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) struct Model {
    /// Absent where the name is not a Claude's.
    claude: Option<(Family, Version)>,
}

/// Major and minor version.
type Version = (u32, u32);

/// Which sampling parameters are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) enum SamplingRule {
    /// All of them.
    Free,
    /// `temperature` or `top_p`, not both.
    One,
    /// None.
    Rejected,
}

/// How thinking is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) enum ThinkingRule {
    /// The model does not think.
    Unsupported,
    /// `enabled` with a budget; off unless asked for.
    Budget,
    /// `adaptive` with an effort, or a budget; off unless asked for.
    AdaptiveOrBudget,
    /// `adaptive` with an effort; off unless asked for.
    Adaptive,
    /// `adaptive`, on unless `disabled`.
    AdaptiveByDefault,
    /// `adaptive`, always.
    AdaptiveAlways,
}

/// Whether a model can do a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) enum Support {
    /// It can.
    Yes,
    /// It cannot.
    No,
}

impl From<bool> for Support {
    fn from(can: bool) -> Self {
        if can { Self::Yes } else { Self::No }
    }
}

impl Model {
    /// Reads a model's name, whatever a cloud puts before and after it.
    pub(in crate::provider) fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let claude = name.find("claude").and_then(|at| name.get(at..)).map(family_and_version);
        Self { claude }
    }

    fn at_least(self, version: Version) -> bool {
        self.claude.is_some_and(|(_, have)| have >= version)
    }

    fn is(self, family: Family) -> bool {
        self.claude.is_some_and(|(have, _)| have == family)
    }

    /// The most it can write, used where the call sets no cap, since the dialect demands one.
    pub(in crate::provider) fn max_tokens(self) -> u64 {
        let Some((family, version)) = self.claude else { return 4096 };
        match (family, version) {
            (_, version) if version >= (4, 6) => 128_000,
            (_, version) if version >= (4, 5) => 64_000,
            (Family::Opus, version) if version >= (4, 0) => 32_000,
            (_, version) if version >= (3, 7) => 64_000,
            (_, version) if version >= (3, 5) => 8192,
            _ => 4096,
        }
    }

    /// The most it can write, where that is known.
    pub(in crate::provider) fn ceiling(self) -> Option<u64> {
        self.claude.map(|_| self.max_tokens())
    }

    /// Which sampling parameters it accepts.
    pub(in crate::provider) fn sampling(self) -> SamplingRule {
        if self.at_least((5, 0)) || (self.is(Family::Opus) && self.at_least((4, 7))) {
            SamplingRule::Rejected
        } else if self.at_least((4, 1)) {
            SamplingRule::One
        } else {
            SamplingRule::Free
        }
    }

    /// How it is asked to think.
    pub(in crate::provider) fn thinking(self) -> ThinkingRule {
        let Some((family, version)) = self.claude else { return ThinkingRule::Budget };
        match (family, version) {
            (Family::AlwaysThinking, _) => ThinkingRule::AdaptiveAlways,
            (Family::Opus, version) if version >= (5, 5) => ThinkingRule::AdaptiveAlways,
            (_, version) if version >= (5, 0) => ThinkingRule::AdaptiveByDefault,
            (_, version) if version >= (4, 7) => ThinkingRule::Adaptive,
            (_, version) if version >= (4, 6) => ThinkingRule::AdaptiveOrBudget,
            (_, version) if version >= (3, 7) => ThinkingRule::Budget,
            _ => ThinkingRule::Unsupported,
        }
    }

    /// Whether `xhigh` lies between `high` and `max` in its efforts.
    pub(in crate::provider) fn xhigh(self) -> Support {
        self.at_least((4, 7)).into()
    }

    /// Whether a tool can be forced at all.
    pub(in crate::provider) fn forced_tools(self) -> Support {
        (!self.is(Family::AlwaysThinking)).into()
    }

    /// Whether it takes `output_config.format` and strict tools.
    pub(in crate::provider) fn schemas(self) -> Support {
        (self.at_least((4, 5)) || (self.is(Family::Opus) && self.at_least((4, 1)))).into()
    }

    /// Whether it takes system messages within the conversation.
    pub(in crate::provider) fn mid_system(self) -> Support {
        (self.at_least((5, 0)) || (self.is(Family::Opus) && self.at_least((4, 8)))).into()
    }
}

fn family_and_version(name: &str) -> (Family, Version) {
    let mut family = Family::Unknown;
    let mut numbers = Vec::with_capacity(2);
    for word in name.split(|c: char| !c.is_ascii_alphanumeric()) {
        match word {
            "opus" => family = Family::Opus,
            "sonnet" => family = Family::Sonnet,
            "haiku" => family = Family::Haiku,
            "fable" | "mythos" => family = Family::AlwaysThinking,
            // Longer numbers are dates; what follows one is a cloud's own version.
            number if number.len() > 2 && number.parse::<u32>().is_ok() => break,
            number => numbers.extend(number.parse::<u32>()),
        }
    }
    let newest = if family == Family::AlwaysThinking { 5 } else { 0 };
    let major = numbers.first().copied().unwrap_or(newest);
    (family, (major, numbers.get(1).copied().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(name: &str) -> Version {
        Model::of(name).claude.unwrap().1
    }

    #[test]
    fn versions_are_read_from_every_form_of_a_name() {
        assert_eq!(version("claude-3-5-haiku-20241022"), (3, 5));
        assert_eq!(version("claude-3-opus-20240229"), (3, 0));
        assert_eq!(version("claude-sonnet-4-20250514"), (4, 0));
        assert_eq!(version("claude-sonnet-4-0"), (4, 0));
        assert_eq!(version("us.anthropic.claude-sonnet-4-5-20250929-v1:0"), (4, 5));
        assert_eq!(version("claude-opus-4.8"), (4, 8));
        assert_eq!(version("claude-haiku-4-5@20251001"), (4, 5));
        assert_eq!(version("claude-fable-5-1"), (5, 1));
        assert_eq!(version("claude-mythos-preview"), (5, 0));
        assert_eq!(Model::of("kimi-k2").claude, None);
    }

    #[test]
    fn sampling_narrows_from_generation_to_generation() {
        for (name, rule) in [
            ("claude-3-7-sonnet-latest", SamplingRule::Free),
            ("claude-opus-4-1", SamplingRule::One),
            ("claude-sonnet-4-5", SamplingRule::One),
            ("claude-opus-4-6", SamplingRule::One),
            ("claude-opus-4-7", SamplingRule::Rejected),
            ("claude-sonnet-5", SamplingRule::Rejected),
            ("some-other-model", SamplingRule::Free),
        ] {
            assert_eq!(Model::of(name).sampling(), rule, "{name}");
        }
    }

    #[test]
    fn thinking_goes_from_budgets_to_efforts() {
        for (name, rule) in [
            ("claude-3-5-sonnet-20241022", ThinkingRule::Unsupported),
            ("claude-3-7-sonnet-20250219", ThinkingRule::Budget),
            ("claude-haiku-4-5", ThinkingRule::Budget),
            ("claude-sonnet-4-6", ThinkingRule::AdaptiveOrBudget),
            ("claude-opus-4-8", ThinkingRule::Adaptive),
            ("claude-sonnet-5", ThinkingRule::AdaptiveByDefault),
            ("claude-opus-5-5", ThinkingRule::AdaptiveAlways),
            ("claude-fable-5-1", ThinkingRule::AdaptiveAlways),
        ] {
            assert_eq!(Model::of(name).thinking(), rule, "{name}");
        }
    }

    #[test]
    fn the_default_cap_is_the_models_own() {
        for (name, cap) in [
            ("claude-3-haiku-20240307", 4096),
            ("claude-3-5-sonnet-latest", 8192),
            ("claude-opus-4-1", 32_000),
            ("claude-sonnet-4-20250514", 64_000),
            ("claude-haiku-4-5", 64_000),
            ("claude-opus-4-6", 128_000),
            ("glm-5", 4096),
        ] {
            assert_eq!(Model::of(name).max_tokens(), cap, "{name}");
        }
    }
}
