//! Bills worked out by hand: a file for each case, and one function that checks it.
//!
//! ```text
//! tests/fixtures/cost/<case>.json
//!   about, source, date   what it shows; the provider's page of prices or of usage; the prices' day
//!   vendor, model         who served it
//!   at                    optional: when, in seconds since 1970
//!   terms, tables         optional: further lines of the provider's table, further tables of the config
//!   answer, stream        what the provider says: a whole answer, the data of each event of a stream
//!   consumed, service     in place of these: quantities by class, where no provider's code reads them yet
//!   bill                  "1200 input × $2.5 / 1M = $0.003", one for each class, at list prices
//!   agreed                optional: "$0.003 × 0.9 × 1.2 = $0.00324", discount and margin
//!   known, cost           how the cost is known, in the record's word, and the dollars; null where unknown
//! ```
//! The figures are the providers' and the products are checked here by arithmetic of its own, so that
//! nothing in a case comes from the catalogue or from the code that is tested.

use crate::replay::{Answer, Replay, Seen};
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fmt, fs};
use tollgate_core::config::{Config, Priced, ProviderId};
use tollgate_core::dialect::Dialect;
use tollgate_core::framing::event_stream::write_event;
use tollgate_core::framing::{Framer, Framing};
use tollgate_core::price::{self, Class, Consumed, Served, Service, Terms, Unit};
use tollgate_core::provider::{self, Target};
use tollgate_core::reply::Event;
use tollgate_core::units::Time;
use tollgate_core::usage::Usage;
use tollgate_core::vendor::{self, Vendor};

/// Friday, 15 January 2027, 08:00 UTC.
const USUAL_TIME: u64 = 1_800_000_000;

/// What went wrong, in words.
type Checked<T> = Result<T, String>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    about: String,
    source: String,
    date: String,
    vendor: String,
    model: String,
    #[serde(default = "usual_time")]
    at: u64,
    #[serde(default)]
    terms: String,
    #[serde(default)]
    tables: String,
    answer: Option<Value>,
    stream: Option<Vec<Value>>,
    consumed: Option<BTreeMap<String, u64>>,
    service: Option<String>,
    bill: Vec<String>,
    agreed: Option<String>,
    known: String,
    cost: Option<String>,
}

fn usual_time() -> u64 {
    USUAL_TIME
}

/// The names of all cases, in order.
pub fn names() -> Vec<String> {
    let files = fs::read_dir(folder()).map(|files| files.filter_map(Result::ok).collect::<Vec<_>>());
    let name =
        |file: &fs::DirEntry| file.file_name().to_string_lossy().strip_suffix(".json").map(str::to_owned);
    let mut names: Vec<String> = files.unwrap_or_default().iter().filter_map(name).collect();
    names.sort();
    names
}

/// Checks one case by each way its usage can come in.
pub fn check(name: &str) -> Result<(), String> {
    text(name).and_then(|text| check_text(&text)).map_err(|what| format!("{name}: {what}"))
}

/// A case as it is written.
pub fn text(name: &str) -> Result<String, String> {
    fs::read_to_string(folder().join(format!("{name}.json"))).map_err(|error| error.to_string())
}

/// Checks a case as it is written.
pub fn check_text(text: &str) -> Result<(), String> {
    read(text)?.check()
}

/// The words of all classes in some bill, in alphabetical order.
pub fn classes_met() -> Result<Vec<&'static str>, String> {
    let mut met = Vec::new();
    for name in names() {
        for line in read(&text(&name)?)?.bill {
            met.push(Line::read(&line)?.class.kind().word);
        }
    }
    met.sort_unstable();
    met.dedup();
    Ok(met)
}

fn read(text: &str) -> Checked<Case> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/cost")
}

/// Dollars, to 10⁻¹⁵: as fine as a price of one thing is told.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Dollars(u128);

impl Dollars {
    const PLACES: usize = 15;

    fn read(text: &str) -> Checked<Self> {
        let plain = text.trim().trim_start_matches('$').replace(',', "");
        let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
        let digits = format!("{whole}{fraction:0<width$}", width = Self::PLACES);
        if fraction.len() > Self::PLACES {
            return Err(format!("{text:?} is finer than a case can tell"));
        }
        digits.parse().map(Self).map_err(|_| format!("{text:?} is no number"))
    }

    /// A whole number of nano-dollars, a started one counted.
    fn rounded_up(self) -> Self {
        Self(self.0.div_ceil(1_000_000) * 1_000_000)
    }
}

impl fmt::Debug for Dollars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10_u128.pow(15);
        write!(f, "${}.{:015}", self.0 / unit, self.0 % unit)
    }
}

/// One line of a bill, worked out by hand.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    class: Class,
    quantity: u64,
    price: Dollars,
    amount: Dollars,
}

impl Line {
    /// Reads `1200 input × $2.5 / 1M = $0.003` and multiplies again.
    fn read(text: &str) -> Checked<Self> {
        let bad = |what: &str| format!("bill line {text:?}: {what}");
        let (product, amount) = text.split_once(" = ").ok_or_else(|| bad("no ` = `"))?;
        let (what, price) = product.split_once(" × ").ok_or_else(|| bad("no ` × `"))?;
        let (quantity, word) = what.split_once(' ').ok_or_else(|| bad("no class"))?;
        let class = Class::of(word).ok_or_else(|| bad("unknown class"))?;
        let (price, parts) = match price.split_once(" / 1M") {
            Some((price, "")) => (Dollars::read(price)?, 1_000_000),
            Some(_) | None => (Dollars::read(price)?, 1),
        };
        let by_the_million = matches!(class.kind().unit, Unit::MillionTokens);
        if by_the_million != (parts == 1_000_000) {
            return Err(bad("tokens are priced by the million, all else by one"));
        }
        let quantity = quantity.parse().map_err(|_| bad("no quantity"))?;
        let amount = Dollars::read(amount)?;
        if Dollars(price.0 * u128::from(quantity) / parts) != amount
            || price.0 * u128::from(quantity) % parts != 0
        {
            return Err(bad("the product is another"));
        }
        Ok(Self { class, quantity, price, amount })
    }

    fn of(line: &price::Line) -> Checked<Self> {
        let price::Line { class, quantity, price, amount } = *line;
        let price = Dollars::read(&price.dollars(class.kind().unit))?;
        Ok(Self { class, quantity, price, amount: Dollars::read(&amount.to_string())? })
    }
}

/// Reads `$0.003 × 0.9 × 1.2 = $0.00324`, with whatever sum stands first, and multiplies again.
fn agreed(text: &str, sum: Dollars) -> Checked<Dollars> {
    let (product, result) = text.split_once(" = ").ok_or("agreed: no ` = `")?;
    let mut factors = product.split(" × ");
    if Dollars::read(factors.next().unwrap_or_default())? != sum {
        return Err(format!("agreed: {text:?} does not begin with the sum of the bill, {sum:?}"));
    }
    let unit = 10_u128.pow(15);
    let by = |amount: Checked<u128>, factor: &str| {
        let product = amount? * (Dollars::read(factor)?.0 / 1_000_000_000);
        Ok(product.div_ceil(unit / 1_000_000_000))
    };
    let worked_out = Dollars(factors.fold(Ok(sum.0), by)?);
    let result = Dollars::read(result)?;
    let right = worked_out == result;
    right.then_some(result).ok_or_else(|| format!("agreed: {text:?}, though it makes {worked_out:?}"))
}

/// What a case expects.
struct Expected {
    lines: Vec<Line>,
    known: String,
    cost: Option<Dollars>,
}

impl Case {
    fn check(&self) -> Checked<()> {
        let dated = self.date.len() == 10 || self.date == "last-listed";
        if self.about.is_empty() || !self.source.starts_with("https://") || !dated {
            return Err("`about`, a `source` link and a `date` are needed".to_owned());
        }
        let expected = self.expected()?;
        if let Some(consumed) = &self.consumed {
            return self.check_row(consumed, &expected);
        }
        let mut ways = 0;
        if let Some(answer) = &self.answer {
            ways += 1;
            let body = answer.to_string();
            let seen = self.replay("whole", &Answer::whole(200, body.clone()))?;
            self.check_seen(&seen, &expected).map_err(|what| format!("whole: {what}"))?;
            let told = seen.headers.get("x-tollgate-cost-usd").and_then(|cost| cost.to_str().ok());
            if told.map(Dollars::read).transpose()? != expected.cost {
                return Err(format!("the client is told {told:?}, worked out by hand {:?}", expected.cost));
            }
            let decoded = self.decoded(body.as_bytes())?;
            self.check_bill(&decoded, &expected).map_err(|what| format!("decoded: {what}"))?;
        }
        if let Some(events) = &self.stream {
            ways += 1;
            let body = framed(self.row()?.dialect, events);
            for answer in [Answer::stream(body.clone()), Answer::stream(body.clone()).cut(7)] {
                let seen = self.replay("stream", &answer)?;
                self.check_seen(&seen, &expected).map_err(|what| format!("stream: {what}"))?;
            }
            let decoded = self.decoded_stream(body)?;
            self.check_bill(&decoded, &expected).map_err(|what| format!("decoded stream: {what}"))?;
        }
        if ways == 0 { Err("neither `answer`, `stream` nor `consumed`".to_owned()) } else { Ok(()) }
    }

    fn expected(&self) -> Checked<Expected> {
        let mut lines = self.bill.iter().map(|line| Line::read(line)).collect::<Checked<Vec<_>>>()?;
        lines.sort();
        let sum = Dollars(lines.iter().map(|line| line.amount.0).sum());
        let cost = self.cost.as_deref().map(Dollars::read).transpose()?;
        if self.known == "computed" {
            let total = match &self.agreed {
                Some(text) => agreed(text, sum)?,
                None => sum,
            };
            if cost != Some(total.rounded_up()) {
                return Err(format!("the lines make {:?}, `cost` says {cost:?}", total.rounded_up()));
            }
        }
        Ok(Expected { lines, known: self.known.clone(), cost })
    }

    fn row(&self) -> Checked<&'static Vendor> {
        vendor::find(&self.vendor).ok_or_else(|| format!("no vendor {:?}", self.vendor))
    }

    fn scene(&self) -> Checked<Replay> {
        let name = self.row()?.name;
        let mut replay = Replay::new(name, &self.model);
        replay.name = name;
        replay.terms.clone_from(&self.terms);
        replay.tables.clone_from(&self.tables);
        replay.at = Time(self.at * 1000);
        Ok(replay)
    }

    fn replay(&self, form: &str, answer: &Answer) -> Checked<Seen> {
        let messages = json!([{"role": "user", "content": "What does this cost?"}]);
        let mut body = json!({"model": self.model, "messages": messages, "max_tokens": 4096});
        if form == "stream" {
            body["stream"] = json!(true);
            body["stream_options"] = json!({"include_usage": true});
        }
        Ok(self.scene()?.run(body.to_string(), answer))
    }

    /// What the real exchange leaves behind.
    fn check_seen(&self, seen: &Seen, expected: &Expected) -> Checked<()> {
        if seen.status != 200 || !seen.ended {
            return Err(format!("status {}: {}", seen.status, String::from_utf8_lossy(&seen.body)));
        }
        let record = seen.record.as_ref().ok_or("no record")?;
        let cost = record.cost.amount().map(|cost| Dollars(u128::from(cost.get()) * 1_000_000));
        if (record.cost.word(), cost) != (expected.known.as_str(), expected.cost) {
            let want = (&expected.known, expected.cost);
            return Err(format!("cost is {:?}, worked out by hand {want:?}", (record.cost.word(), cost)));
        }
        let usage = record.usage.as_deref().ok_or("the record has no usage")?;
        self.check_bill(usage, expected)
    }

    /// The lines that this usage makes.
    fn check_bill(&self, usage: &Usage, expected: &Expected) -> Checked<()> {
        let config = self.scene()?.config();
        let Some(priced) = self.priced(&config) else {
            return if expected.lines.is_empty() { Ok(()) } else { Err("there is no price".to_owned()) };
        };
        if expected.known == "reported" {
            return Ok(());
        }
        let served = Served::of(usage, Time(self.at * 1000));
        compare(&priced, &Consumed::from(usage), &served, expected)
    }

    fn priced(&self, config: &Config) -> Option<Priced> {
        config.price(ProviderId(0), &self.model).map(|priced| (*priced).clone())
    }

    /// Quantities against the catalogue's row alone.
    fn check_row(&self, quantities: &BTreeMap<String, u64>, expected: &Expected) -> Checked<()> {
        let row = price::sold_by(&self.vendor, &self.model).ok_or("there is no such row")?;
        let mut consumed = Consumed::default();
        for (word, quantity) in quantities {
            consumed.set(Class::of(word).ok_or_else(|| format!("unknown class {word:?}"))?, *quantity);
        }
        let service = self.service.as_deref().map(Service::of).unwrap_or_default();
        let at = Time(self.at * 1000);
        let served = Served { service, prompt: consumed.prompt(), at, ..Served::default() };
        let priced = Priced { row, terms: Terms::default(), blend: None };
        compare(&priced, &consumed, &served, expected)
    }

    fn decoded(&self, body: &[u8]) -> Checked<Usage> {
        let target = Target { vendor: self.row()?, model: &self.model };
        let reply = provider::of(target.vendor.dialect).decode(body, &target);
        reply.map_err(|fault| fault.message)?.usage.ok_or_else(|| "the answer has no usage".to_owned())
    }

    fn decoded_stream(&self, body: Bytes) -> Checked<Usage> {
        let target = Target { vendor: self.row()?, model: &self.model };
        let framing = match target.vendor.dialect {
            Dialect::Bedrock => Framing::EventStream,
            Dialect::Ollama => Framing::Lines,
            Dialect::OpenAi
            | Dialect::OpenAiResponses
            | Dialect::Anthropic
            | Dialect::Gemini
            | Dialect::Cohere => Framing::Events,
        };
        let (mut framer, mut frames, mut events) = (Framer::new(framing), Vec::new(), Vec::new());
        framer.push(body, &mut frames).map_err(|_| "a frame is too large")?;
        frames.extend(framer.finish());
        let mut decoder = provider::of(target.vendor.dialect).decoder(&target);
        frames.iter().for_each(|frame| decoder.on(frame, &mut events));
        decoder.on_end(&mut events);
        let usage = events.into_iter().filter_map(|event| match event {
            Event::Usage(usage) => Some(*usage),
            _ => None,
        });
        usage.last().ok_or_else(|| "the stream has no usage".to_owned())
    }
}

fn compare(priced: &Priced, consumed: &Consumed, served: &Served, expected: &Expected) -> Checked<()> {
    let bill = match priced.row.bill(consumed, served, priced.terms) {
        Ok(bill) => bill,
        Err(_) if expected.cost.is_none() => return Ok(()),
        Err(unpriced) => return Err(unpriced.to_string()),
    };
    let mut lines = bill.lines.iter().map(Line::of).collect::<Checked<Vec<_>>>()?;
    lines.sort();
    if lines != expected.lines {
        return Err(format!("the bill is\n  {lines:?}\nworked out by hand\n  {:?}", expected.lines));
    }
    let total = Dollars(u128::from(bill.total.get()) * 1_000_000);
    let right = Some(total) == expected.cost;
    right.then_some(()).ok_or_else(|| format!("the total is {total:?}, by hand {:?}", expected.cost))
}

/// The events as this dialect's servers send them.
fn framed(dialect: Dialect, events: &[Value]) -> Bytes {
    let one = |event: &Value| match dialect {
        Dialect::OpenAi | Dialect::Gemini => format!("data: {event}\n\n"),
        Dialect::Ollama => format!("{event}\n"),
        Dialect::Anthropic | Dialect::OpenAiResponses | Dialect::Cohere => {
            format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())
        }
        Dialect::Bedrock => String::new(),
    };
    if dialect == Dialect::Bedrock {
        return binary(events);
    }
    let mut all: String = events.iter().map(one).collect();
    if dialect == Dialect::OpenAi {
        all.push_str("data: [DONE]\n\n");
    }
    all.into()
}

/// Events whose one member names them.
fn binary(events: &[Value]) -> Bytes {
    let mut all = BytesMut::new();
    for (name, data) in events.iter().filter_map(Value::as_object).flatten() {
        write_event(name, data.to_string().as_bytes(), &mut all);
    }
    all.freeze()
}
