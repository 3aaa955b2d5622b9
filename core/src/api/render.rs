//! From the host's results to answers.

use super::answer::ok;
use super::audit::{Broken, Gap};
use super::shape::{Object, dollars};
use super::spec::{hex, written};
use super::{AuditLine, LimitsAsk, LimitsForm, Others, RequestRow, SpendAsk, SpendForm, SpendRow};
use crate::directory::spec::budget_value;
use crate::fleet::{LaneReport, LaneState};
use crate::ledger::{Reading, Report};
use crate::units::{NanoDollars, Time, Tokens};
use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

/// What was spent here and at other gateways, and how much of that is known.
pub fn spend_of_all(ask: SpendAsk, rows: &[SpendRow], others: Others) -> Response<Bytes> {
    spend_with(ask, rows, Some(others))
}

/// What was spent.
pub fn spend(ask: SpendAsk, rows: &[SpendRow]) -> Response<Bytes> {
    spend_with(ask, rows, None)
}

fn spend_with(ask: SpendAsk, rows: &[SpendRow], others: Option<Others>) -> Response<Bytes> {
    let SpendAsk { query, form } = ask;
    match form {
        SpendForm::LiteLlm(mut rest) => {
            let total = rows.iter().map(|row| row.cost).sum();
            fill(&mut rest, total);
            ok(&Value::Object(rest))
        }
        SpendForm::Rows => {
            let by: Vec<_> = query.by.iter().map(|dimension| dimension.word()).collect();
            let data: Vec<_> = rows.iter().map(|row| spend_row(&by, row)).collect();
            let mut answer =
                json!({"from": written(query.from), "to": written(query.to), "by": by, "data": data});
            if let (Some(Others { as_of, current, cut }), Value::Object(answer)) = (others, &mut answer) {
                let others = json!({"as_of": as_of.map(written), "current": current, "cut": cut});
                answer.insert("others".to_owned(), others);
            }
            ok(&answer)
        }
    }
}

fn spend_row(by: &[&str], row: &SpendRow) -> Value {
    let SpendRow { values, requests, failed, unpriced, input, cached, output, cost } = row;
    let mut shown = Object::new();
    for (name, value) in by.iter().zip(values) {
        shown.insert((*name).to_owned(), json!(value));
    }
    let counts = [
        ("requests", requests.get()),
        ("failed", failed.get()),
        ("unpriced", unpriced.get()),
        ("input_tokens", input.get()),
        ("cached_tokens", cached.get()),
        ("output_tokens", output.get()),
    ];
    shown.extend(counts.into_iter().map(|(name, count)| (name.to_owned(), json!(count))));
    shown.insert("usd".to_owned(), dollars(*cost));
    Value::Object(shown)
}

/// The spend of an answer in LiteLLM's form stands in `info` of `/key/info`.
fn fill(rest: &mut Object, spent: NanoDollars) {
    if let Some(Value::Object(info)) = rest.get_mut("info") {
        info.insert("spend".to_owned(), dollars(spent));
    }
}

/// The latest requests. `limit` is the query's: a page that is full may have a next one.
pub fn requests(limit: u32, rows: &[RequestRow]) -> Response<Bytes> {
    let full = limit > 0 && rows.len() >= limit as usize;
    let next = rows.last().filter(|_| full).map(|row| row.place.text());
    let data: Vec<_> = rows.iter().map(request_row).collect();
    ok(&json!({"data": data, "next": next}))
}

fn request_row(row: &RequestRow) -> Value {
    let RequestRow {
        place: _,
        id,
        at,
        surface,
        key,
        team,
        user,
        organisation,
        end_user,
        asked,
        provider,
        model,
        attempts,
        status,
        fault,
        total,
        input,
        cached,
        cache_write,
        output,
        reasoning,
        basis,
        cost,
        cache,
        guardrails,
    } = row;
    json!({
        "id": id,
        "at": written(*at),
        "surface": surface,
        "key": key,
        "team": team,
        "user": user,
        "organisation": organisation,
        "end_user": end_user,
        "asked": asked,
        "provider": provider,
        "model": model,
        "attempts": attempts,
        "status": status,
        "fault": fault,
        "milliseconds": total.get(),
        "input_tokens": input.get(),
        "cached_tokens": cached.get(),
        "cache_write_tokens": cache_write.get(),
        "output_tokens": output.get(),
        "reasoning_tokens": reasoning.map(Tokens::get),
        "basis": basis,
        "usd": cost.map(dollars),
        "cache": cache,
        "guardrails": guardrails.iter().filter_map(|done| guarded(done)).collect::<Vec<_>>(),
    })
}

/// What a guardrail has done, as [`Guarded`](crate::guard::Guarded) is written.
fn guarded(done: &str) -> Option<Value> {
    let mut words = done.splitn(3, ' ');
    let (action, side, name) = (words.next()?, words.next()?, words.next()?);
    Some(json!({"name": name, "on": side, "action": action}))
}

/// Where limits stand: one report for each scope that was asked for.
pub fn limits(ask: LimitsAsk, reports: &[Report]) -> Response<Bytes> {
    match ask.form {
        LimitsForm::Gauges => {
            let data: Vec<_> = reports.iter().map(report).collect();
            ok(&json!({ "data": data }))
        }
        LimitsForm::LiteLlm(mut rest) => {
            // Its first budget is the one that LiteLLM's form tells of.
            let gauges = reports.first().map(|report| report.gauges.as_slice()).unwrap_or_default();
            let spent = gauges.iter().find(|gauge| gauge.budget.is_some()).map_or(0, |gauge| gauge.used);
            fill(&mut rest, NanoDollars(spent));
            ok(&Value::Object(rest))
        }
    }
}

fn report(report: &Report) -> Value {
    let gauges: Vec<_> = report.gauges.iter().map(gauge).collect();
    json!({"scope": report.scope, "limits": gauges})
}

fn gauge(reading: &Reading) -> Value {
    let Reading { limit, budget, most, used, held, resets_at } = reading;
    let left = most.saturating_sub(*used).saturating_sub(*held);
    let amount = |number: u64| if budget.is_some() { dollars(NanoDollars(number)) } else { json!(number) };
    json!({
        "limit": limit,
        "budget": budget.as_ref().map(budget_value),
        "most": amount(*most),
        "used": amount(*used),
        "held": amount(*held),
        "left": amount(left),
        "resets_at": resets_at.filter(|at| *at != Time::NEVER).map(written),
    })
}

/// What has been learned of the upstreams.
pub fn upstreams(lanes: &[LaneReport]) -> Response<Bytes> {
    let data: Vec<_> = lanes.iter().map(lane).collect();
    ok(&json!({ "data": data }))
}

fn lane(report: &LaneReport) -> Value {
    let LaneReport { provider, key, model, state, in_flight, errors, first_byte, speed } = report;
    let (state, until) = match state {
        LaneState::Open => ("open", None),
        LaneState::Failing(until) => ("failing", Some(*until)),
        LaneState::Limited(until) => ("limited", Some(*until)),
        LaneState::Refused(until) => ("refused", Some(*until)),
    };
    json!({
        "provider": provider,
        "key": key,
        "model": model,
        "state": state,
        "until": until.map(written),
        "in_flight": in_flight,
        "errors": errors,
        "first_byte_milliseconds": first_byte.map(crate::units::Millis::get),
        "tokens_per_second": speed,
    })
}

/// How reading the config again went: its errors, or none.
pub fn reload(problems: &[String]) -> Response<Bytes> {
    if problems.is_empty() {
        return ok(&json!({"reloaded": true}));
    }
    let message = format!("the new config is refused, the old one stays: {}", problems.join("; "));
    super::refusal(&super::conflict(message))
}

/// Lines of the audit log. `limit` is the query's: a page that is full may have a next one.
pub fn audit(limit: u32, lines: &[AuditLine]) -> Response<Bytes> {
    let full = limit > 0 && lines.len() >= limit as usize;
    let next = lines.last().filter(|_| full).map(|line| line.number);
    let data: Vec<_> = lines.iter().map(audit_line).collect();
    ok(&json!({"data": data, "next": next}))
}

fn audit_line(line: &AuditLine) -> Value {
    let AuditLine { number, deed, seal } = line;
    let spec = |spec: &Option<Bytes>| -> Value {
        spec.as_ref().and_then(|spec| serde_json::from_slice(spec).ok()).unwrap_or_default()
    };
    json!({
        "number": number,
        "at": written(deed.at),
        "actor": deed.actor,
        "action": deed.action,
        "subject": deed.subject,
        "before": spec(&deed.before),
        "after": spec(&deed.after),
        "seal": hex(seal),
    })
}

/// Whether the audit log is complete.
pub fn verified(result: Result<u64, Gap>) -> Response<Bytes> {
    ok(&match result {
        Ok(lines) => json!({"complete": true, "lines": lines, "broken_at": null, "reason": null}),
        Err(Gap { number, kind }) => {
            let reason = match kind {
                Broken::Number => "a line is missing here, or one too many",
                Broken::Seal => "this line or the one before it is not what was written",
            };
            json!({"complete": false, "lines": number.saturating_sub(1), "broken_at": number, "reason": reason})
        }
    })
}
