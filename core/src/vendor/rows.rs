//! The rows.

use super::quirks::{
    CacheMarks, ChatPath, CompletionCount, DeveloperRole, EmbeddingWords, MaxTokensField, MessageNames,
    PlainCompletions, PromptCount, ReasoningAsk, RequiredWord, SeedField, StreamOptions, StreamedToolIndex,
    ThinkingBack, ToolIds, TopK, Turns,
};
use super::{Address, Auth, Quirks, Vendor};
use crate::dialect::Dialect;

/// A server of OpenAI's dialect that takes a bearer key.
const fn openai(
    name: &'static str,
    title: &'static str,
    base_url: &'static str,
    env: &'static [&'static str],
) -> Vendor {
    Vendor {
        name,
        title,
        dialect: Dialect::OpenAi,
        base_url,
        auth: Auth::Bearer,
        env,
        address: Address::NONE,
        quirks: Quirks::COMPATIBLE,
        also: None,
    }
}

/// A row of a vendor that serves Responses beside chat.
macro_rules! serves_responses {
    ($chat:expr) => {
        Vendor { also: Some(const { &responses($chat) }), ..$chat }
    };
}

/// The same vendor as it serves Responses.
const fn responses(chat: Vendor) -> Vendor {
    Vendor { dialect: Dialect::OpenAiResponses, also: None, ..chat }
}

/// A server of OpenAI's dialect on the user's own machine.
const fn local(
    name: &'static str,
    title: &'static str,
    base_url: &'static str,
    env: &'static [&'static str],
    address: &'static [&'static str],
) -> Vendor {
    let address = Address::of(address);
    Vendor { auth: Auth::Optional, address, ..openai(name, title, base_url, env) }
}

/// OpenAI itself.
const OPENAI: Vendor = Vendor {
    quirks: Quirks::NONE,
    address: Address::of(&["OPENAI_BASE_URL"]),
    ..openai("openai", "OpenAI", "https://api.openai.com/v1", &["OPENAI_API_KEY"])
};

/// Azure refuses what OpenAI refuses; it differs in its addresses and in the header of its key.
const AZURE: Vendor = Vendor {
    name: "azure",
    title: "Azure OpenAI (v1)",
    dialect: Dialect::OpenAi,
    base_url: "",
    auth: Auth::Header("api-key"),
    env: &["AZURE_OPENAI_API_KEY"],
    address: Address { env: &["AZURE_OPENAI_ENDPOINT"], path: "/openai/v1" },
    quirks: Quirks::NONE,
    also: None,
};

/// Nothing is known of it, so it gets what every server of the dialect understands. Whether it serves
/// Responses it is asked.
pub(super) const CUSTOM_OPENAI: Vendor = serves_responses!(Vendor {
    auth: Auth::Optional,
    quirks: Quirks { thinking_back: ThinkingBack::WithToolCalls, ..Quirks::COMPATIBLE },
    ..openai("custom-openai", "An OpenAI-compatible server", "", &[])
});

/// A server at the user's address that serves Responses and is called by nothing else.
pub(super) const CUSTOM_RESPONSES: Vendor = Vendor {
    dialect: Dialect::OpenAiResponses,
    auth: Auth::Optional,
    quirks: Quirks::NONE,
    ..openai("openai-responses", "A server of OpenAI's Responses", "", &[])
};

/// An Anthropic-compatible server at the user's address.
pub(super) const CUSTOM_ANTHROPIC: Vendor = Vendor {
    name: "custom-anthropic",
    title: "An Anthropic-compatible server",
    dialect: Dialect::Anthropic,
    base_url: "",
    auth: Auth::Header("x-api-key"),
    env: &[],
    address: Address::NONE,
    quirks: Quirks::NONE,
    also: None,
};

/// A Gemini-compatible server at the user's address.
pub(super) const CUSTOM_GEMINI: Vendor = Vendor {
    name: "custom-gemini",
    title: "A Gemini-compatible server",
    dialect: Dialect::Gemini,
    base_url: "",
    auth: Auth::Header("x-goog-api-key"),
    env: &[],
    address: Address::NONE,
    quirks: Quirks::NONE,
    also: None,
};

/// A server of Bedrock's dialect at the user's address.
pub(super) const CUSTOM_BEDROCK: Vendor = Vendor {
    name: "custom-bedrock",
    title: "A Bedrock-compatible server",
    dialect: Dialect::Bedrock,
    base_url: "",
    auth: Auth::Aws,
    env: &[],
    address: Address::NONE,
    quirks: Quirks::NONE,
    also: None,
};

/// A server of Cohere's dialect at the user's address.
pub(super) const CUSTOM_COHERE: Vendor = Vendor {
    dialect: Dialect::Cohere,
    quirks: COUSIN,
    ..openai("custom-cohere", "A Cohere-compatible server", "", &[])
};

/// A server of Ollama's own dialect at the user's address.
pub(super) const CUSTOM_OLLAMA: Vendor = Vendor {
    dialect: Dialect::Ollama,
    quirks: COUSIN,
    auth: Auth::Optional,
    ..openai("custom-ollama", "A server of Ollama's own API", "", &[])
};

/// The form of OpenAI's bodies that those of its cousins are made of.
const COUSIN: Quirks = Quirks {
    stream_options: StreamOptions::Unknown,
    reasoning: ReasoningAsk::Switch,
    names: MessageNames::Refused,
    cache_marks: CacheMarks::Unknown,
    ..Quirks::COMPATIBLE
};

/// Vertex AI: the dialects of its models' makers at other paths, and tokens of Google Cloud.
const VERTEX: Vendor = Vendor {
    name: "vertex",
    title: "Google Vertex AI",
    base_url: "https://aiplatform.googleapis.com",
    auth: Auth::Bearer,
    quirks: Quirks { path: ChatPath::Vertex, ..Quirks::NONE },
    ..CUSTOM_GEMINI
};

/// Every known vendor.
pub const VENDORS: &[Vendor] = &[
    serves_responses!(OPENAI),
    CUSTOM_RESPONSES,
    Vendor {
        env: &["ANTHROPIC_API_KEY"],
        address: Address::of(&["ANTHROPIC_BASE_URL"]),
        name: "anthropic",
        title: "Anthropic",
        base_url: "https://api.anthropic.com/v1",
        ..CUSTOM_ANTHROPIC
    },
    Vendor {
        env: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        address: Address { env: &["GOOGLE_GEMINI_BASE_URL"], path: "/v1beta" },
        name: "gemini",
        title: "Google Gemini",
        base_url: "https://generativelanguage.googleapis.com/v1beta",
        ..CUSTOM_GEMINI
    },
    Vendor {
        env: &["AWS_BEARER_TOKEN_BEDROCK"],
        address: Address { env: &["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"], path: "" },
        name: "bedrock",
        title: "AWS Bedrock",
        base_url: "https://bedrock-runtime.{region}.amazonaws.com",
        ..CUSTOM_BEDROCK
    },
    Vendor {
        name: "cohere",
        title: "Cohere",
        base_url: "https://api.cohere.com/v2",
        env: &["COHERE_API_KEY", "CO_API_KEY"],
        address: Address { env: &["CO_API_URL"], path: "/v2" },
        ..CUSTOM_COHERE
    },
    // Beside its OpenAI-compatible API, which is `ollama`: only here are `options` and `keep_alive` known.
    Vendor {
        name: "ollama-native",
        title: "Ollama (its own API)",
        base_url: "http://localhost:11434/api",
        ..CUSTOM_OLLAMA
    },
    // A project's models at a location, Google's and Anthropic's.
    Vendor { also: Some(&Vendor { dialect: Dialect::Anthropic, ..VERTEX }), ..VERTEX },
    // `https://{resource}.openai.azure.com/openai/v1`: the model is the deployment's name.
    serves_responses!(AZURE),
    // `https://{resource}.openai.azure.com/openai`, with `api-version=…` as the provider's query.
    serves_responses!(Vendor {
        name: "azure-deployments",
        title: "Azure OpenAI (deployments)",
        env: &[],
        address: Address::NONE,
        quirks: Quirks { path: ChatPath::Deployment, ..Quirks::NONE },
        ..AZURE
    }),
    Vendor {
        quirks: Quirks {
            stream_options: StreamOptions::Unknown,
            thinking_back: ThinkingBack::Chunks,
            top_k: TopK::Unknown,
            required: RequiredWord::Any,
            seed: SeedField::RandomSeed,
            tool_ids: ToolIds::NineAlphanumeric,
            tool_index: StreamedToolIndex::Missing,
            turns: Turns::NoUserAfterTool,
            prompt: PromptCount::WithoutAudio,
            completions: PlainCompletions::Missing,
            ..Quirks::COMPATIBLE
        },
        ..openai("mistral", "Mistral", "https://api.mistral.ai/v1", &["MISTRAL_API_KEY"])
    },
    serves_responses!(Vendor {
        quirks: Quirks {
            max_tokens: MaxTokensField::MaxCompletionTokens,
            developer: DeveloperRole::Known,
            names: MessageNames::Refused,
            top_k: TopK::Unknown,
            thinking_back: ThinkingBack::LeftOut,
            completions: PlainCompletions::Missing,
            ..Quirks::COMPATIBLE
        },
        ..openai("groq", "Groq", "https://api.groq.com/openai/v1", &["GROQ_API_KEY"])
    }),
    serves_responses!(Vendor {
        quirks: Quirks {
            reasoning: ReasoningAsk::Switch,
            thinking_back: ThinkingBack::WithToolCalls,
            top_k: TopK::Unknown,
            completions: PlainCompletions::Missing,
            ..Quirks::COMPATIBLE
        },
        ..openai("deepseek", "DeepSeek", "https://api.deepseek.com/v1", &["DEEPSEEK_API_KEY"])
    }),
    serves_responses!(Vendor {
        quirks: Quirks {
            max_tokens: MaxTokensField::MaxCompletionTokens,
            completion: CompletionCount::WithoutReasoning,
            top_k: TopK::Unknown,
            ..Quirks::COMPATIBLE
        },
        ..openai("xai", "xAI", "https://api.x.ai/v1", &["XAI_API_KEY"])
    }),
    openai("together", "Together AI", "https://api.together.xyz/v1", &["TOGETHER_API_KEY"]),
    serves_responses!(openai(
        "fireworks",
        "Fireworks AI",
        "https://api.fireworks.ai/inference/v1",
        &["FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY"],
    )),
    serves_responses!(Vendor {
        quirks: Quirks {
            developer: DeveloperRole::Known,
            reasoning: ReasoningAsk::Object,
            cache_marks: CacheMarks::Sent,
            thinking_back: ThinkingBack::ReasoningDetails,
            ..Quirks::COMPATIBLE
        },
        ..openai("openrouter", "OpenRouter", "https://openrouter.ai/api/v1", &["OPENROUTER_API_KEY"])
    }),
    Vendor {
        quirks: Quirks {
            stream_options: StreamOptions::Unknown,
            turns: Turns::Alternating,
            thinking_back: ThinkingBack::LeftOut,
            completions: PlainCompletions::Missing,
            ..Quirks::COMPATIBLE
        },
        ..openai("perplexity", "Perplexity", "https://api.perplexity.ai", &["PERPLEXITY_API_KEY"])
    },
    Vendor {
        quirks: Quirks {
            max_tokens: MaxTokensField::MaxCompletionTokens,
            thinking_back: ThinkingBack::Reasoning,
            ..Quirks::COMPATIBLE
        },
        ..openai("cerebras", "Cerebras", "https://api.cerebras.ai/v1", &["CEREBRAS_API_KEY"])
    },
    openai(
        "nvidia",
        "NVIDIA NIM",
        "https://integrate.api.nvidia.com/v1",
        &["NVIDIA_API_KEY", "NVIDIA_NIM_API_KEY"],
    ),
    serves_responses!(openai(
        "huggingface",
        "Hugging Face",
        "https://router.huggingface.co/v1",
        &["HF_TOKEN"]
    )),
    openai("deepinfra", "DeepInfra", "https://api.deepinfra.com/v1/openai", &["DEEPINFRA_API_KEY"]),
    openai("sambanova", "SambaNova", "https://api.sambanova.ai/v1", &["SAMBANOVA_API_KEY"]),
    Vendor {
        quirks: Quirks {
            reasoning: ReasoningAsk::Switch,
            completions: PlainCompletions::Missing,
            ..Quirks::COMPATIBLE
        },
        ..openai("moonshot", "Moonshot AI", "https://api.moonshot.ai/v1", &["MOONSHOT_API_KEY"])
    },
    Vendor {
        quirks: Quirks {
            reasoning: ReasoningAsk::Switch,
            completions: PlainCompletions::Missing,
            ..Quirks::COMPATIBLE
        },
        ..openai("zai", "Z.ai", "https://api.z.ai/api/paas/v4", &["ZAI_API_KEY"])
    },
    Vendor {
        quirks: Quirks {
            reasoning: ReasoningAsk::EnableFlag,
            cache_marks: CacheMarks::Sent,
            ..Quirks::COMPATIBLE
        },
        ..openai(
            "alibaba",
            "Alibaba Cloud Model Studio",
            "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
            &["DASHSCOPE_API_KEY"],
        )
    },
    // `https://api.cloudflare.com/client/v4/accounts/{account}/ai/v1`.
    openai("cloudflare", "Cloudflare Workers AI", "", &["CLOUDFLARE_API_TOKEN"]),
    // `https://{resource}.services.ai.azure.com/models`, with `api_version`: models of all makers.
    Vendor {
        auth: Auth::Header("api-key"),
        address: Address { env: &["AZURE_AI_ENDPOINT"], path: "/models" },
        ..openai("azure-ai", "Azure AI", "", &["AZURE_AI_API_KEY"])
    },
    openai("github", "GitHub Models", "https://models.github.ai/inference", &["GITHUB_MODELS_TOKEN"]),
    // `https://{workspace}/serving-endpoints`: the model is the endpoint's name.
    Vendor {
        quirks: Quirks {
            stream_options: StreamOptions::Unknown,
            cache_marks: CacheMarks::Sent,
            ..Quirks::COMPATIBLE
        },
        address: Address { env: &["DATABRICKS_HOST"], path: "/serving-endpoints" },
        ..openai("databricks", "Databricks", "", &["DATABRICKS_TOKEN"])
    },
    // `https://{region}.ml.cloud.ibm.com/ml/gateway/v1`, whose keys are IAM tokens.
    openai("watsonx", "IBM watsonx.ai", "", &["WATSONX_TOKEN"]),
    Vendor {
        quirks: Quirks { embeddings: EmbeddingWords::Voyage, ..Quirks::COMPATIBLE },
        ..openai("voyage", "Voyage AI", "https://api.voyageai.com/v1", &["VOYAGE_API_KEY"])
    },
    Vendor {
        quirks: Quirks { embeddings: EmbeddingWords::Jina, ..Quirks::COMPATIBLE },
        ..openai("jina", "Jina AI", "https://api.jina.ai/v1", &["JINA_API_KEY"])
    },
    // The next three have APIs of their own, which are passed through; none of them chats.
    openai("replicate", "Replicate", "https://api.replicate.com/v1", &["REPLICATE_API_TOKEN"]),
    Vendor {
        auth: Auth::Header("xi-api-key"),
        ..openai("elevenlabs", "ElevenLabs", "https://api.elevenlabs.io/v1", &["ELEVENLABS_API_KEY"])
    },
    Vendor {
        auth: Auth::Token,
        ..openai("deepgram", "Deepgram", "https://api.deepgram.com/v1", &["DEEPGRAM_API_KEY"])
    },
    // Google's own OpenAI-compatible endpoint sends streamed tool calls without index and id.
    Vendor {
        quirks: Quirks {
            tool_index: StreamedToolIndex::Missing,
            completions: PlainCompletions::Missing,
            ..Quirks::COMPATIBLE
        },
        ..openai(
            "gemini-openai",
            "Google Gemini (OpenAI-compatible)",
            "https://generativelanguage.googleapis.com/v1beta/openai",
            &[],
        )
    },
    serves_responses!(Vendor {
        quirks: Quirks { tool_index: StreamedToolIndex::Missing, ..Quirks::COMPATIBLE },
        ..local(
            "ollama",
            "Ollama",
            "http://localhost:11434/v1",
            &["OLLAMA_API_KEY"],
            &["OLLAMA_BASE_URL", "OLLAMA_HOST"],
        )
    }),
    serves_responses!(local(
        "vllm",
        "vLLM",
        "http://localhost:8000/v1",
        &["VLLM_API_KEY"],
        &["VLLM_BASE_URL"]
    )),
    serves_responses!(local(
        "lmstudio",
        "LM Studio",
        "http://localhost:1234/v1",
        &["LM_API_TOKEN"],
        &["LMSTUDIO_BASE_URL"]
    )),
    serves_responses!(local(
        "llamacpp",
        "llama.cpp",
        "http://localhost:8080/v1",
        &["LLAMA_API_KEY"],
        &["LLAMACPP_BASE_URL"]
    )),
];
