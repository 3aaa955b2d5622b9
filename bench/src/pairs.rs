//! What translation costs: every surface before every dialect, beside the pass-through of the same size.

use crate::load::Connection;
use crate::peers::{Peer, Stage};
use crate::written::{Taken, Written};
use crate::{Options, median};
use std::fmt::Write as _;
use tollgate_core::surface::SurfaceId;

/// Events of a streamed answer.
const EVENTS: u32 = 50;

/// A surface, and the provider that speaks its dialect.
struct Surface {
    name: &'static str,
    id: SurfaceId,
    own: &'static str,
    path: fn(model: &str, streamed: bool) -> String,
    body: fn(model: &str, streamed: bool, turns: &[String]) -> String,
}

const SURFACES: &[Surface] = &[
    Surface {
        name: "chat",
        id: SurfaceId::OpenAiChat,
        own: "openai",
        path: |_, _| "/v1/chat/completions".to_owned(),
        body: messages,
    },
    Surface {
        name: "Responses",
        id: SurfaceId::OpenAiResponses,
        own: "responses",
        path: |_, _| "/v1/responses".to_owned(),
        body: items,
    },
    Surface {
        name: "Messages",
        id: SurfaceId::AnthropicMessages,
        own: "anthropic",
        path: |_, _| "/v1/messages".to_owned(),
        body: messages,
    },
    Surface { name: "Gemini", id: SurfaceId::GeminiGenerate, own: "gemini", path: generate, body: contents },
    Surface { name: "Bedrock", id: SurfaceId::BedrockConverse, own: "bedrock", path: converse, body: texts },
];

const PROVIDERS: &[&str] = &["openai", "responses", "anthropic", "gemini", "bedrock"];

/// The vendor a provider of `pairs.toml` is.
fn vendor(provider: &str) -> &str {
    match provider {
        "openai" => "mistral",
        "responses" => "openai-responses",
        other => other,
    }
}

fn generate(model: &str, streamed: bool) -> String {
    let verb = if streamed { "streamGenerateContent?alt=sse" } else { "generateContent" };
    format!("/v1beta/models/{model}:{verb}")
}

fn converse(model: &str, streamed: bool) -> String {
    format!("/model/{model}/{}", if streamed { "converse-stream" } else { "converse" })
}

fn stream(streamed: bool) -> &'static str {
    if streamed { ",\"stream\":true" } else { "" }
}

/// The turns of a conversation, the user's first, each written by `one`.
fn list(turns: &[String], one: impl Fn(bool, &str) -> String) -> String {
    let turns = turns.iter().enumerate().map(|(at, text)| one(at % 2 == 1, text));
    turns.collect::<Vec<_>>().join(",")
}

fn messages(model: &str, streamed: bool, turns: &[String]) -> String {
    let turns = list(turns, |model, text| {
        let role = if model { "assistant" } else { "user" };
        format!("{{\"role\":\"{role}\",\"content\":\"{text}\"}}")
    });
    let stream = stream(streamed);
    format!("{{\"model\":\"{model}\"{stream},\"max_tokens\":4096,\"messages\":[{turns}]}}")
}

fn items(model: &str, streamed: bool, turns: &[String]) -> String {
    let turns = list(turns, |model, text| {
        let (role, kind) = if model { ("assistant", "output_text") } else { ("user", "input_text") };
        format!("{{\"role\":\"{role}\",\"content\":[{{\"type\":\"{kind}\",\"text\":\"{text}\"}}]}}")
    });
    let stream = stream(streamed);
    format!("{{\"model\":\"{model}\"{stream},\"max_output_tokens\":4096,\"input\":[{turns}]}}")
}

fn contents(_: &str, _: bool, turns: &[String]) -> String {
    let turns = list(turns, |model, text| {
        let role = if model { "model" } else { "user" };
        format!("{{\"role\":\"{role}\",\"parts\":[{{\"text\":\"{text}\"}}]}}")
    });
    format!("{{\"contents\":[{turns}],\"generationConfig\":{{\"maxOutputTokens\":4096}}}}")
}

fn texts(_: &str, _: bool, turns: &[String]) -> String {
    let turns = list(turns, |model, text| {
        let role = if model { "assistant" } else { "user" };
        format!("{{\"role\":\"{role}\",\"content\":[{{\"text\":\"{text}\"}}]}}")
    });
    format!("{{\"messages\":[{turns}],\"inferenceConfig\":{{\"maxTokens\":4096}}}}")
}

/// What is sent.
#[derive(Clone, Copy)]
struct Load {
    name: &'static str,
    streamed: bool,
    turns: usize,
    letters: usize,
    /// Of so many requests of the plan, one.
    one_in: u32,
}

const LOADS: &[Load] = &[
    Load { name: "whole", streamed: false, turns: 1, letters: 200, one_in: 1 },
    Load { name: "stream", streamed: true, turns: 1, letters: 200, one_in: 2 },
    AGENT,
];

const AGENT: Load = Load { name: "agent", streamed: false, turns: 199, letters: 2000, one_in: 10 };

/// What reading and writing the long conversation takes in this process, nothing else running: steadier than
/// what a gateway is charged.
pub(crate) fn write() -> Result<(), String> {
    println!("| surface | provider | 400 KB, 199 turns: µs | ratio | allocations | KB allocated |");
    println!("|---|---|---|---|---|---|");
    for surface in SURFACES {
        let mut own = None;
        for provider in surface.order() {
            let Taken { micros, allocations, bytes } = surface.written(provider)?;
            let ratio = micros / *own.get_or_insert(micros);
            println!(
                "| {} | {provider} | {micros:.0} | {ratio:.2} | {allocations} | {} |",
                surface.name,
                bytes / 1024
            );
        }
    }
    Ok(())
}

impl Surface {
    /// All providers, its own first.
    fn order(&self) -> Vec<&'static str> {
        let others = PROVIDERS.iter().filter(|provider| **provider != self.own);
        std::iter::once(self.own).chain(others.copied()).collect()
    }

    fn written(&self, provider: &str) -> Result<Taken, String> {
        let body = (self.body)("m", false, &turns(AGENT));
        let vendor = (provider != self.own).then(|| vendor(provider));
        Written { surface: self.id, body: body.as_bytes(), vendor }.measured()
    }
}

fn turns(load: Load) -> Vec<String> {
    (0..load.turns).map(|_| "What is it? ".repeat(load.letters / 12)).collect()
}

/// Every pair in turns. The first of a surface is its own dialect, which passes.
pub(crate) fn compare(options: &Options) -> Result<(), String> {
    let stage = Stage::new()?;
    let gateway = stage.spoken("gateway", &models())?;
    println!(
        "| surface | provider | whole: µs CPU | ratio | stream of {EVENTS}: µs | ratio | µs an event | 400 KB, 199 turns: µs | ratio | allocations |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for surface in SURFACES {
        let order = surface.order();
        let costs: Vec<Vec<f64>> = LOADS
            .iter()
            .map(|load| measure(options, &gateway, surface, &order, *load))
            .collect::<Result<_, _>>()?;
        for (at, provider) in order.iter().enumerate() {
            let cost = |load: usize| costs.get(load).and_then(|all| all.get(at)).copied().unwrap_or_default();
            let ratio =
                |load: usize| cost(load) / costs.get(load).and_then(|all| all.first()).unwrap_or(&1.0);
            let event = (cost(1) - cost(0)) / f64::from(EVENTS);
            println!(
                "| {} | {provider} | {:.1} | {:.2} | {:.1} | {:.2} | {event:.2} | {:.0} | {:.2} | {} |",
                surface.name,
                cost(0),
                ratio(0),
                cost(1),
                ratio(1),
                cost(2),
                ratio(2),
                surface.written(provider)?.allocations
            );
        }
    }
    Ok(())
}

/// A model name of each provider, whole answers and streams alike.
fn models() -> String {
    let mut text = include_str!("pairs.toml").to_owned();
    for provider in PROVIDERS {
        let target = format!("{provider}/gpt-sim+fast,chars=1000,events={EVENTS}");
        let _ = write!(text, "\n[models.to-{provider}]\ntargets = [\"{target}\"]\n");
    }
    text
}

/// µs of CPU per request for each provider: medians over the rounds.
fn measure(
    options: &Options,
    gateway: &Peer,
    surface: &Surface,
    order: &[&str],
    load: Load,
) -> Result<Vec<f64>, String> {
    let each = (options.requests / options.rounds / load.one_in).max(1);
    let turns = turns(load);
    let requests: Vec<Vec<u8>> = order
        .iter()
        .map(|provider| {
            let model = format!("to-{provider}");
            let (path, body) =
                ((surface.path)(&model, load.streamed), (surface.body)(&model, load.streamed, &turns));
            format!(
                "POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer sk-bench\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .into_bytes()
        })
        .collect();
    let mut connection = Connection::open(gateway.address)?;
    let mut costs = vec![Vec::new(); order.len()];
    for round in 0..=options.rounds {
        for (request, costs) in requests.iter().zip(&mut costs) {
            let before = gateway.cpu()?;
            for _ in 0..each {
                connection.ask(request).map_err(|what| format!("{}, {}: {what}", surface.name, load.name))?;
            }
            let spent = gateway.cpu()?.saturating_sub(before);
            // The first round warms.
            if round > 0 {
                costs.push(spent.as_secs_f64() * 1e6 / f64::from(each));
            }
        }
    }
    Ok(costs.iter_mut().map(|costs| median(costs)).collect())
}
