//! Fixtures are data: a folder for each case, and one function that checks it.
//!
//! ```text
//! tests/fixtures/<provider>/<case>/
//!   call.json                  a request, on the OpenAI chat surface
//!   request.json               what goes upstream                               (written by UPDATE=1)
//!   reply.json | reply.sse     what the provider answers
//!   reply.events               the same as binary messages: lines of {"event", "data"} or {"exception", "data"}
//!   meta.json                  optional: {"vendor", "model", "status", "headers"}
//!   answer.json | answer.sse   what the client gets                             (written by UPDATE=1)
//!   source.md                  where the facts come from
//! ```
//! A stream is fed in one piece, and again split at every byte. Files of any other name fail.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tollgate_core::call::{Delivery, UsageChunk};
use tollgate_core::fault::{Code, Fault, UpstreamFault};
use tollgate_core::framing::event_stream::{write_event, write_exception};
use tollgate_core::framing::{Framer, Framing};
use tollgate_core::json::Tape;
use tollgate_core::provider::{self, Provider, Target};
use tollgate_core::reply::Event;
use tollgate_core::sse::Frame;
use tollgate_core::surface::{Asked, RequestLine, Surface, openai_chat::OpenAiChat};
use tollgate_core::vendor;

const FILES: &[&str] = &[
    "call.json",
    "request.json",
    "reply.json",
    "reply.sse",
    "reply.events",
    "meta.json",
    "answer.json",
    "answer.sse",
    "source.md",
];

/// What is not in the call or the reply.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Meta {
    /// The vendor's row; the folder's name by default.
    vendor: Option<String>,
    /// The model upstream; the call's by default.
    model: Option<String>,
    /// The answer's status; 200 by default.
    status: Option<u16>,
    /// The answer's headers.
    headers: BTreeMap<String, String>,
}

/// Checks every case of a provider and returns how many there are. All failures are told at once.
pub fn check(provider: &str) -> Result<usize, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(provider);
    let Ok(folders) = fs::read_dir(&root) else { return Ok(0) };
    let mut folders: Vec<PathBuf> = folders.filter_map(|folder| Some(folder.ok()?.path())).collect();
    folders.sort();
    let told = |folder: &PathBuf| Case::open(provider, folder).and_then(|case| case.check()).err();
    let failures: Vec<String> = folders
        .iter()
        .filter_map(|folder| told(folder).map(|error| format!("{}: {error}", folder.display())))
        .collect();
    if failures.is_empty() { Ok(folders.len()) } else { Err(failures.join("\n\n")) }
}

struct Case {
    folder: PathBuf,
    vendor: &'static vendor::Vendor,
    meta: Meta,
}

type Checked<T> = Result<T, String>;

impl Case {
    fn open(provider: &str, folder: &Path) -> Checked<Self> {
        for file in fs::read_dir(folder).map_err(|error| error.to_string())? {
            let name = file.map_err(|error| error.to_string())?.file_name();
            if !FILES.iter().any(|known| name == *known) {
                return Err(format!("{} belongs to no fixture", name.display()));
            }
        }
        let meta: Meta = match fs::read(folder.join("meta.json")) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| format!("meta.json: {error}"))?,
            Err(_) => Meta::default(),
        };
        let name = meta.vendor.as_deref().unwrap_or(provider);
        let vendor = vendor::find(name).ok_or_else(|| format!("no vendor is called {name}"))?;
        Ok(Self { folder: folder.to_owned(), vendor, meta })
    }

    fn read(&self, name: &str) -> Checked<Vec<u8>> {
        fs::read(self.folder.join(name)).map_err(|error| format!("{name}: {error}"))
    }

    fn check(&self) -> Checked<()> {
        self.read("source.md")?;
        let call = self.read("call.json")?;
        let tape = Tape::parse(&call).map_err(|error| format!("call.json: {error}"))?;
        let envelope = OpenAiChat
            .inspect(&tape, &RequestLine::default())
            .map_err(|fault| format!("call.json: {}", fault.message))?;
        let call = OpenAiChat
            .parse(&call, &RequestLine::default())
            .map_err(|fault| format!("call.json: {}", fault.message))?;
        let model = self.meta.model.as_deref().unwrap_or(&call.model);
        let target = Target { vendor: self.vendor, model };
        let provider = provider::of(self.vendor.dialect);
        let encoded =
            provider.encode(&call, &target).map_err(|fault| format!("encode: {}", fault.message))?;
        let request: Value =
            serde_json::from_slice(&encoded.body).map_err(|error| format!("request: {error}"))?;
        let request = serde_json::json!({
            "path": encoded.endpoint.path,
            "headers": plain_headers(&encoded.endpoint.headers),
            "lost": encoded.lost,
            "body": request,
        });
        self.compare("request.json", &pretty(&request))?;
        let usage = match envelope.delivery {
            Delivery::Whole => UsageChunk::Unwanted,
            Delivery::Stream(usage) => usage,
        };
        let asked = Asked {
            client: tollgate_core::surface::Client::Usual,
            model: envelope.model,
            request_id: "fixture".to_owned(),
            now_secs: 1_700_000_000,
            usage,
            framing: Framing::Events,
            body: Default::default(),
        };
        match (self.read("reply.sse"), self.read("reply.events")) {
            (Ok(reply), _) => self.stream(&reply, Framing::Events, provider, &target, &asked),
            (_, Ok(lines)) => self.stream(&binary(&lines)?, Framing::EventStream, provider, &target, &asked),
            (Err(_), Err(_)) => self.whole(provider, &target, &asked),
        }
    }

    fn whole(&self, provider: &dyn Provider, target: &Target<'_>, asked: &Asked) -> Checked<()> {
        let reply = self.read("reply.json")?;
        let status = self.meta.status.unwrap_or(200);
        let answer = if status == 200 {
            match provider.decode(&reply, target) {
                Ok(reply) => OpenAiChat.render(&reply, asked),
                Err(fault) => told(*fault),
            }
        } else {
            told(provider.fault(status, &self.headers()?, &reply, target))
        };
        let answer: Value = serde_json::from_slice(&answer).map_err(|error| format!("answer: {error}"))?;
        self.compare("answer.json", &pretty(&answer))
    }

    fn headers(&self) -> Checked<HeaderMap> {
        let header = |(name, value): (&String, &String)| {
            let name = name.parse::<HeaderName>().map_err(|error| error.to_string())?;
            Ok((name, value.parse::<HeaderValue>().map_err(|error| error.to_string())?))
        };
        self.meta.headers.iter().map(header).collect()
    }

    fn stream(
        &self,
        reply: &[u8],
        framing: Framing,
        provider: &dyn Provider,
        target: &Target<'_>,
        asked: &Asked,
    ) -> Checked<()> {
        let whole = events(&frames(framing, &[reply])?, provider, target);
        for cut in 0..reply.len() {
            let (head, tail) = reply.split_at(cut);
            if events(&frames(framing, &[head, tail])?, provider, target) != whole {
                return Err(format!("reply.sse: split at byte {cut} it gives other events"));
            }
        }
        let bytes: Vec<&[u8]> = reply.chunks(1).collect();
        if events(&frames(framing, &bytes)?, provider, target) != whole {
            return Err("reply.sse: byte by byte it gives other events".to_owned());
        }
        let mut renderer = OpenAiChat.renderer(asked.clone());
        let mut out = BytesMut::new();
        whole.iter().for_each(|event| renderer.on(event, &mut out));
        self.compare("answer.sse", &out)
    }

    /// Compares with the file, or writes it.
    fn compare(&self, name: &str, now: &[u8]) -> Checked<()> {
        let path = self.folder.join(name);
        if std::env::var_os("UPDATE").is_some() {
            return fs::write(path, now).map_err(|error| format!("{name}: {error}"));
        }
        let before = self.read(name)?;
        if before == now {
            return Ok(());
        }
        let (before, now) = (String::from_utf8_lossy(&before), String::from_utf8_lossy(now));
        let changed = before.lines().zip(now.lines()).find(|(before, now)| before != now);
        let (old, new) = changed.unwrap_or(("the end of the shorter", "more lines"));
        Err(format!("{name} has changed (UPDATE=1 accepts it)\n  - {old}\n  + {new}"))
    }
}

fn pretty(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

fn plain_headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let plain = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), plain(value))).collect()
}

/// Binary messages of lines that say what is in them.
fn binary(lines: &[u8]) -> Checked<Vec<u8>> {
    let mut out = BytesMut::new();
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let told: Value = serde_json::from_slice(line).map_err(|error| format!("reply.events: {error}"))?;
        let data = told["data"].to_string();
        match (told["event"].as_str(), told["exception"].as_str()) {
            (Some(name), None) => write_event(name, data.as_bytes(), &mut out),
            (None, Some(name)) => write_exception(name, data.as_bytes(), &mut out),
            _ => return Err("reply.events: a line is neither an event nor an exception".to_owned()),
        }
    }
    Ok(out.to_vec())
}

fn frames(framing: Framing, pieces: &[&[u8]]) -> Checked<Vec<Frame>> {
    let (mut framer, mut frames) = (Framer::new(framing), Vec::new());
    for piece in pieces {
        framer
            .push(Bytes::copy_from_slice(piece), &mut frames)
            .map_err(|error| format!("the reply's stream: {error}"))?;
    }
    frames.extend(framer.finish());
    Ok(frames)
}

fn events(frames: &[Frame], provider: &dyn Provider, target: &Target<'_>) -> Vec<Event> {
    let (mut decoder, mut events) = (provider.decoder(target), Vec::new());
    frames.iter().for_each(|frame| decoder.on(frame, &mut events));
    decoder.on_end(&mut events);
    events
}

/// A fault as a client sees it when nothing could be done about it, with what routing makes of it.
fn told(upstream: UpstreamFault) -> Bytes {
    let read = serde_json::json!({
        "class": format!("{:?}", upstream.class),
        "status": upstream.status,
        "retry_after_ms": upstream.retry_after.map(|wait| wait.get()),
    });
    let mut fault = Fault::new(Code::UpstreamRefused, upstream.message.clone());
    fault.upstream = Some(Box::new(upstream));
    let shown: Value = serde_json::from_slice(&OpenAiChat.fault(&fault, "fixture")).unwrap_or_default();
    Bytes::from(serde_json::json!({"read_as": read, "shown": shown}).to_string())
}
