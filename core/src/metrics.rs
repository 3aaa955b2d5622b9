//! Counters over finished requests, and their text form for Prometheus.
//!
//! Fed by [`Record`]s, one per request, never on the path of a byte. Series are bounded: names of
//! models come from clients, so beyond [`MAX_SERIES`] everything new is counted as `other`.

use crate::cache::CacheUse;
use crate::exchange::{Ending, Record};
use crate::guard::Guarded;
use crate::sort;
use crate::units::{Millis, NanoDollars, Tokens};
use std::collections::HashMap;
use std::fmt::Write;

/// Pairs of provider and model told apart.
pub const MAX_SERIES: usize = 2_000;

/// Upper bounds of the duration buckets, in milliseconds.
const BUCKETS: [u64; 12] = [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 15_000, 60_000, 300_000];

/// Counters over finished requests.
#[derive(Debug, Default)]
pub struct Metrics {
    /// By provider, then by model.
    rows: HashMap<Box<str>, HashMap<Box<str>, Row>>,
    series: usize,
    in_flight: u64,
    /// What guardrails have done.
    guarded: Vec<(Guarded, u64)>,
}

#[derive(Debug, Default)]
struct Row {
    /// By status and ending.
    requests: Vec<(u16, Ending, u64)>,
    attempts: u64,
    input: Tokens,
    cache_read: Tokens,
    cache_write: Tokens,
    output: Tokens,
    reasoning: Tokens,
    cost: NanoDollars,
    /// Requests whose cost is not known.
    unpriced: u64,
    /// Requests whose answers were kept ones.
    hits: u64,
    /// Requests that might have been.
    misses: u64,
    first_byte: Histogram,
    total: Histogram,
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum: Millis,
}

impl Histogram {
    fn observe(&mut self, value: Millis) {
        self.count += 1;
        self.sum += value;
        if let Some(bucket) = BUCKETS.iter().position(|bound| value.get() <= *bound)
            && let Some(counter) = self.buckets.get_mut(bucket)
        {
            *counter += 1;
        }
    }

    fn write(&self, out: &mut String, name: &str, labels: &str) {
        let mut below = 0;
        for (bound, count) in BUCKETS.iter().zip(self.buckets) {
            below += count;
            let bound = seconds(Millis(*bound));
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}");
        }
        let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", self.count);
        let _ = writeln!(out, "{name}_sum{{{labels}}} {}", seconds(self.sum));
        let _ = writeln!(out, "{name}_count{{{labels}}} {}", self.count);
    }
}

/// `1.5`, exactly.
fn seconds(span: Millis) -> String {
    let text = format!("{}.{:03}", span.get() / 1000, span.get() % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Metrics {
    /// A request began.
    pub fn began(&mut self) {
        self.in_flight += 1;
    }

    /// A request that began is over without a record.
    pub fn lost(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A request that began is over.
    pub fn ended(&mut self, record: &Record) {
        self.in_flight = self.in_flight.saturating_sub(1);
        for done in &record.guarded {
            match self.guarded.iter_mut().find(|(known, _)| known == done) {
                Some((_, count)) => *count += 1,
                None => self.guarded.push((done.clone(), 1)),
            }
        }
        let row = self.row(record);
        match row.requests.iter_mut().find(|(s, e, _)| (*s, *e) == (record.status, record.ending)) {
            Some((.., count)) => *count += 1,
            None => row.requests.push((record.status, record.ending, 1)),
        }
        row.attempts += u64::from(record.attempts);
        row.total.observe(record.total);
        match record.cost.amount() {
            Some(cost) => row.cost += cost,
            None => row.unpriced += 1,
        }
        match record.cache {
            CacheUse::Hit => row.hits += 1,
            CacheUse::Miss => row.misses += 1,
            CacheUse::Off => {}
        }
        if let Some(first_byte) = record.first_byte {
            row.first_byte.observe(first_byte);
        }
        if let Some(usage) = &record.usage {
            row.input += usage.fresh_input;
            row.cache_read += usage.cache_read;
            row.cache_write += usage.cache_write();
            row.output += usage.output;
            row.reasoning += usage.parts.reasoning.unwrap_or_default();
        }
    }

    fn row(&mut self, record: &Record) -> &mut Row {
        let provider = record.provider.as_deref().unwrap_or("none");
        let model = record.model.as_deref().unwrap_or("none");
        let known = self.rows.get(provider).is_some_and(|models| models.contains_key(model));
        let model = if known || self.series < MAX_SERIES { model } else { "other" };
        if !self.rows.contains_key(provider) {
            self.rows.insert(provider.into(), HashMap::new());
        }
        let models = self.rows.entry(provider.into()).or_default();
        if !models.contains_key(model) {
            self.series += 1;
        }
        models.entry(model.into()).or_default()
    }

    /// Everything in Prometheus' text exposition format, in a stable order.
    pub fn render(&self) -> String {
        let mut rows: Vec<_> = self
            .rows
            .iter()
            .flat_map(|(provider, models)| {
                models.iter().map(move |(model, row)| (labels(provider, model), row))
            })
            .collect();
        sort::sort_by(&mut rows, |(a, _), (b, _)| a.cmp(b));
        let mut out = String::new();
        head(&mut out, "tollgate_in_flight", "gauge", "Requests being served.");
        let _ = writeln!(out, "tollgate_in_flight {}", self.in_flight);
        head(
            &mut out,
            "tollgate_requests_total",
            "counter",
            "Finished requests by status and how they ended.",
        );
        for (labels, row) in &rows {
            for (status, ending, count) in &row.requests {
                let ending = ending_word(*ending);
                let _ = writeln!(
                    out,
                    "tollgate_requests_total{{{labels},status=\"{status}\",ending=\"{ending}\"}} {count}"
                );
            }
        }
        head(
            &mut out,
            "tollgate_guardrails_total",
            "counter",
            "What guardrails have found, and what was done.",
        );
        for (Guarded { name, side, action }, count) in &self.guarded {
            let (name, side, action) = (escaped(name), side.word(), action.word());
            let _ = writeln!(
                out,
                "tollgate_guardrails_total{{guardrail=\"{name}\",on=\"{side}\",action=\"{action}\"}} {count}"
            );
        }
        head(&mut out, "tollgate_attempts_total", "counter", "Upstream calls, by where the last one went.");
        for (labels, row) in &rows {
            let _ = writeln!(out, "tollgate_attempts_total{{{labels}}} {}", row.attempts);
        }
        head(&mut out, "tollgate_tokens_total", "counter", "Tokens as providers reported them.");
        for (labels, row) in &rows {
            for (kind, tokens) in row.tokens() {
                let _ = writeln!(out, "tollgate_tokens_total{{{labels},kind=\"{kind}\"}} {}", tokens.get());
            }
        }
        head(
            &mut out,
            "tollgate_cost_nano_dollars_total",
            "counter",
            "Known costs, in billionths of a dollar.",
        );
        for (labels, row) in &rows {
            let _ = writeln!(out, "tollgate_cost_nano_dollars_total{{{labels}}} {}", row.cost.get());
        }
        head(&mut out, "tollgate_cost_unknown_total", "counter", "Requests whose cost is not known.");
        for (labels, row) in &rows {
            let _ = writeln!(out, "tollgate_cost_unknown_total{{{labels}}} {}", row.unpriced);
        }
        head(
            &mut out,
            "tollgate_cache_total",
            "counter",
            "Requests that use the cache of answers, by what it was to them.",
        );
        for (labels, row) in &rows {
            for (cache, count) in [(CacheUse::Hit, row.hits), (CacheUse::Miss, row.misses)] {
                let _ = writeln!(out, "tollgate_cache_total{{{labels},result=\"{}\"}} {count}", cache.word());
            }
        }
        head(
            &mut out,
            "tollgate_first_byte_seconds",
            "histogram",
            "From the last call to its first content.",
        );
        for (labels, row) in &rows {
            row.first_byte.write(&mut out, "tollgate_first_byte_seconds", labels);
        }
        head(&mut out, "tollgate_request_seconds", "histogram", "From a request's arrival to its end.");
        for (labels, row) in &rows {
            row.total.write(&mut out, "tollgate_request_seconds", labels);
        }
        out
    }
}

impl Row {
    fn tokens(&self) -> [(&'static str, Tokens); 5] {
        [
            ("input", self.input),
            ("cache_read", self.cache_read),
            ("cache_write", self.cache_write),
            ("output", self.output),
            ("reasoning", self.reasoning),
        ]
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn labels(provider: &str, model: &str) -> String {
    format!("provider=\"{}\",model=\"{}\"", escaped(provider), escaped(model))
}

/// Label values escape backslash, quote and line feed.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn ending_word(ending: Ending) -> &'static str {
    match ending {
        Ending::Complete => "complete",
        Ending::Cut => "cut",
        Ending::ClientLeft => "client_left",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::RequestId;
    use crate::price::Charge;
    use crate::units::Time;
    use crate::usage::{Exclusive, Usage};

    fn record(model: &str) -> Record {
        let usage = Usage::from(Exclusive { input: Tokens(10), output: Tokens(4), ..Exclusive::default() });
        Record {
            id: RequestId(1),
            at: Time(0),
            surface: "openai-chat",
            caller: None,
            end_user: None,
            client_tags: Vec::new(),
            asked: model.to_owned(),
            provider: Some("openai".to_owned()),
            model: Some(model.to_owned()),
            attempts: 2,
            status: 200,
            fault: None,
            ending: Ending::Complete,
            first_byte: Some(Millis(30)),
            total: Millis(1_500),
            usage: Some(Box::new(usage)),
            basis: crate::count::Basis::default(),
            wasted: crate::exchange::Wasted::default(),
            cost: Charge::Computed(NanoDollars(1_250)),
            cache: CacheUse::Miss,
            guarded: Vec::new(),
        }
    }

    #[test]
    fn a_request_is_counted_once_in_every_family() {
        let mut metrics = Metrics::default();
        metrics.began();
        metrics.ended(&record("gpt-4o"));
        let text = metrics.render();
        let labels = r#"provider="openai",model="gpt-4o""#;
        assert!(text.contains("tollgate_in_flight 0\n"), "{text}");
        assert!(text.contains(&format!(
            "tollgate_requests_total{{{labels},status=\"200\",ending=\"complete\"}} 1\n"
        )));
        assert!(text.contains(&format!("tollgate_attempts_total{{{labels}}} 2\n")));
        assert!(text.contains(&format!("tollgate_tokens_total{{{labels},kind=\"output\"}} 4\n")));
        assert!(text.contains(&format!("tollgate_cost_nano_dollars_total{{{labels}}} 1250\n")));
        assert!(text.contains(&format!("tollgate_cost_unknown_total{{{labels}}} 0\n")));
        assert!(text.contains(&format!("tollgate_cache_total{{{labels},result=\"hit\"}} 0\n")));
        assert!(text.contains(&format!("tollgate_cache_total{{{labels},result=\"miss\"}} 1\n")));
        assert!(text.contains(&format!("tollgate_request_seconds_sum{{{labels}}} 1.5\n")));
        assert!(text.contains(&format!("tollgate_first_byte_seconds_bucket{{{labels},le=\"0.05\"}} 1\n")));
    }

    #[test]
    fn j2_what_guardrails_do_is_counted_by_guardrail_side_and_action() {
        use crate::guard::{Action, Side};
        let mut metrics = Metrics::default();
        let done = |side, action| Guarded { name: "secrets".into(), side, action };
        let guarded = vec![done(Side::Input, Action::Note), done(Side::Output, Action::Block)];
        (0..2).for_each(|_| metrics.ended(&Record { guarded: guarded.clone(), ..record("m") }));
        metrics.ended(&record("m"));
        let text = metrics.render();
        for labels in [r#"on="input",action="note""#, r#"on="output",action="block""#] {
            let line = format!("tollgate_guardrails_total{{guardrail=\"secrets\",{labels}}} 2\n");
            assert!(text.contains(&line), "{text}");
        }
    }

    #[test]
    fn model_names_of_clients_cannot_grow_the_series_without_bound() {
        let mut metrics = Metrics::default();
        for n in 0..MAX_SERIES + 500 {
            metrics.ended(&record(&format!("model-{n}")));
        }
        assert_eq!(metrics.series, MAX_SERIES + 1);
        assert!(metrics.render().contains("model=\"other\""));
    }
}
