//! A gateway, a simulated provider, and who asks what.
//!
//! Every provider is the same simulator. Prices make costs easy to see: at `sim`, `two` and `claude` a
//! token of output costs a thousandth of a dollar, one of input a millionth; `free` costs nothing; what
//! `odd` costs nobody knows.

use serde_json::{Value, json};
use std::sync::{Arc, Barrier};
use tollgate_sim::Running;
use tollgate_tests::gateway::{Folder, Gateway, eventually};
use tollgate_tests::http::{Answer, Connection, Request};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_tollgate-under-test");

/// Opens the admin API.
pub const ADMIN: &str = "planted-admin-key";

/// Where answers come from.
pub const CHAT: &str = "/v1/chat/completions";

/// Dollars for a token of input.
pub const INPUT: f64 = 1e-6;

/// Dollars for a token of output.
pub const OUTPUT: f64 = 1e-3;

const PROVIDERS: &str = r#"
[providers.sim]
kind = "openai"
base_url = "http://{sim}/v1"
keys = [{ value = "planted-provider-sim" }]

[providers.two]
kind = "openai"
base_url = "http://{sim}/v1"
keys = [{ value = "planted-provider-two" }]

[providers.claude]
kind = "anthropic"
base_url = "http://{sim}/v1"
keys = [{ value = "planted-provider-claude" }]

[providers.free]
kind = "openai"
base_url = "http://{sim}/v1"
keys = [{ value = "planted-provider-free" }]

[providers.unheard]
kind = "openai"
base_url = "http://{sim}/v1"
bills_unheard = true
keys = [{ value = "planted-provider-unheard" }]

[providers.odd]
kind = "openai"
base_url = "http://{sim}/v1"
keys = [{ value = "planted-provider-odd" }]

[prices]
"sim/*" = { input = 1, output = 1000 }
"two/*" = { input = 1, output = 1000 }
"claude/*" = { input = 1, output = 1000 }
"unheard/*" = { input = 1, output = 1000 }
"free/*" = { input = 0, output = 0 }
"#;

/// A gateway and the provider behind it.
pub struct Setting {
    pub gateway: Gateway,
    pub sim: Running,
    config: String,
}

/// The whole config of a gateway: an admin key, `store` for its `[store]`, the usual providers at `sim`,
/// and what else is said.
pub fn config(sim: &Running, store: &str, rest: &str) -> String {
    let providers = PROVIDERS.replace("{sim}", &sim.addr.to_string());
    let store = if store.is_empty() { String::new() } else { format!("[store]\n{store}\n") };
    format!("[server]\nadmin_key = \"{ADMIN}\"\n{store}{rest}\n{providers}")
}

/// A key of the config: its secret is `tg-` and its name.
pub fn key(name: &str, rest: &str) -> String {
    format!("[[keys]]\nname = \"{name}\"\nvalue = \"{}\"\n{rest}\n", secret(name))
}

/// What a client presents for a key of the config.
pub fn secret(name: &str) -> String {
    format!("tg-planted-client-{name}")
}

impl Setting {
    /// With the usual providers, a database of its own, and what `rest` says.
    pub fn new(rest: &str) -> Self {
        Self::with_store("", rest)
    }

    /// The same with something under `[store]`.
    pub fn with_store(store: &str, rest: &str) -> Self {
        let sim = tollgate_sim::spawn().expect("a simulator can be had");
        let config = config(&sim, store, rest);
        Self { gateway: Gateway::start(PROGRAM, &config), sim, config }
    }

    /// With one key, `k`.
    pub fn of_key(rest: &str) -> Self {
        Self::new(&key("k", rest))
    }

    /// Starts the gateway again with what is in its folder; it has been stopped or killed.
    pub fn restart(&mut self) {
        let folder: Arc<Folder> = self.gateway.folder();
        self.gateway = Gateway::start_in(PROGRAM, folder, &self.config);
    }

    /// A request with the secret of the config's key of this name.
    pub fn ask(&self, name: &str, request: &Request) -> Answer {
        self.gateway.ask(&request.clone().key(&secret(name)))
    }

    /// One chat of key `k`.
    pub fn chat(&self, model: &str) -> Answer {
        self.ask("k", &chat(model))
    }

    /// A request to the admin API, as its admin.
    pub fn admin(&self, request: &Request) -> Answer {
        admin(&self.gateway, request)
    }

    /// The requests that reached the provider, oldest first.
    pub fn log(&self) -> Vec<Value> {
        let answer = Connection::open(self.sim.addr).ask(&Request::get("/sim/log")).json();
        answer["requests"].as_array().expect("a list").clone()
    }

    /// How many requests have reached the provider.
    pub fn seen(&self) -> u64 {
        seen(&self.sim)
    }

    /// What the provider would put on its bill.
    pub fn bill(&self) -> Bill {
        Bill::of(&self.sim)
    }

    /// What is on record for a scope: `key:k`.
    pub fn spend(&self, scope: &str) -> Spend {
        spend(&self.gateway, scope)
    }

    /// Where a scope's limits stand: `key:k`.
    pub fn limits(&self, scope: &str) -> Vec<Gauge> {
        limits(&self.gateway, scope)
    }

    /// Waits until nothing is held and so many requests that were served are on record.
    pub fn settled(&self, scope: &str, served: u64) -> Spend {
        eventually("nothing is held", || self.limits(scope).iter().all(|gauge| gauge.held == 0.0));
        let mut spent = Spend::default();
        eventually(&format!("{served} are on record"), || {
            spent = self.spend(scope);
            spent.requests - spent.failed >= served
        });
        spent
    }

    /// Waits until nothing is held and so many requests, served or not, are on record.
    pub fn ended(&self, scope: &str, requests: u64) -> Spend {
        eventually(&format!("{requests} are on record"), || self.spend(scope).requests >= requests);
        self.settled(scope, 0)
    }

    /// Where one limit of a scope stands.
    pub fn limit(&self, scope: &str, name: &str) -> Gauge {
        let all = self.limits(scope);
        all.iter().find(|gauge| gauge.limit == name).unwrap_or_else(|| panic!("{name} in {all:?}")).clone()
    }
}

/// How many requests have reached a provider.
pub fn seen(sim: &Running) -> u64 {
    let answer = Connection::open(sim.addr).ask(&Request::get("/sim/count"));
    answer.json()["count"].as_u64().expect("a count")
}

/// A request to the admin API, as its admin.
pub fn admin(gateway: &Gateway, request: &Request) -> Answer {
    gateway.ask(&request.clone().key(ADMIN))
}

/// Where a scope's limits stand.
pub fn limits(gateway: &Gateway, scope: &str) -> Vec<Gauge> {
    let (kind, name) = scope.split_once(':').expect("a scope");
    let answer = admin(gateway, &Request::get(&format!("/api/limits/{kind}/{name}")));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let reports = answer.json()["data"].as_array().expect("a list of scopes").clone();
    let own = reports
        .iter()
        .find(|report| report["scope"] == scope)
        .unwrap_or_else(|| panic!("{scope} in {reports:?}"));
    own["limits"].as_array().expect("a list of limits").iter().map(Gauge::read).collect()
}

/// Where a limit stands: requests, tokens or dollars.
#[derive(Clone, Debug, PartialEq)]
pub struct Gauge {
    pub limit: String,
    pub per: String,
    pub most: f64,
    pub used: f64,
    pub held: f64,
}

impl Gauge {
    fn read(told: &Value) -> Self {
        let amount = |name: &str| told[name].as_f64().unwrap_or_else(|| panic!("`{name}` in {told}"));
        Self {
            limit: told["limit"].as_str().expect("its name").to_owned(),
            per: told["budget"]["per"].as_str().unwrap_or_default().to_owned(),
            most: amount("most"),
            used: amount("used"),
            held: amount("held"),
        }
    }
}

/// What is on record for a scope.
pub fn spend(gateway: &Gateway, scope: &str) -> Spend {
    let (kind, name) = scope.split_once(':').expect("a scope");
    let answer = admin(gateway, &Request::get(&format!("/api/spend?{kind}={name}")));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"].as_array().expect("rows").first().map(Spend::read).unwrap_or_default()
}

/// What was spent, as the admin API tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spend {
    pub requests: u64,
    pub failed: u64,
    pub unpriced: u64,
    pub input: u64,
    pub output: u64,
    pub usd: f64,
}

impl Spend {
    /// From a row of the API.
    pub fn read(row: &Value) -> Self {
        let count = |name: &str| row[name].as_u64().unwrap_or_else(|| panic!("`{name}` in {row}"));
        Self {
            requests: count("requests"),
            failed: count("failed"),
            unpriced: count("unpriced"),
            input: count("input_tokens"),
            output: count("output_tokens"),
            usd: row["usd"].as_f64().unwrap_or_else(|| panic!("`usd` in {row}")),
        }
    }
}

/// Tokens a provider would bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bill {
    pub calls: u64,
    pub input: u64,
    pub output: u64,
}

impl Bill {
    /// Of answers that were written to their end.
    pub fn of(sim: &Running) -> Self {
        let told = Connection::open(sim.addr).ask(&Request::get("/sim/bill")).json();
        let told = &told["completed"];
        let count = |name: &str| told[name].as_u64().expect("a count");
        Self { calls: count("calls"), input: count("input"), output: count("output") }
    }

    /// In dollars.
    pub fn usd(&self) -> f64 {
        usd(self.input, self.output)
    }
}

/// What tokens cost.
pub fn usd(input: u64, output: u64) -> f64 {
    input as f64 * INPUT + output as f64 * OUTPUT
}

/// Equal, a nano-dollar aside.
#[track_caller]
pub fn assert_usd(found: f64, expected: f64) {
    assert!((found - expected).abs() < 2e-9, "found {found} dollars, expected {expected}");
}

/// A question whose answer is `You said: hello`: 2 tokens in, 4 out.
pub fn question(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hello"}]})
}

/// It, asked for as a whole answer.
pub fn chat(model: &str) -> Request {
    Request::post(CHAT, &question(model))
}

/// It, with a cap on the answer.
pub fn capped(model: &str, most: u64) -> Request {
    let mut question = question(model);
    question["max_tokens"] = json!(most);
    Request::post(CHAT, &question)
}

/// It, streamed with a cap.
pub fn stream(model: &str, most: u64) -> Request {
    let mut question = question(model);
    question["max_tokens"] = json!(most);
    question["stream"] = json!(true);
    Request::post(CHAT, &question)
}

/// An answer of 100 tokens that costs a tenth of a dollar and two millionths; `how` is more for the
/// simulator, beginning with a comma.
pub fn tenth(how: &str) -> Request {
    capped(&format!("sim/m+chars=400{how}"), 100)
}

/// What such an answer costs.
pub const TENTH: f64 = 0.100_002;

/// All at once, each on a thread and a connection of its own.
pub fn at_once<T: Send>(count: usize, ask: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let ready = Barrier::new(count);
    std::thread::scope(|scope| {
        let (ask, ready) = (&ask, &ready);
        let asked: Vec<_> = (0..count)
            .map(|at| {
                scope.spawn(move || {
                    ready.wait();
                    ask(at)
                })
            })
            .collect();
        asked.into_iter().map(|one| one.join().expect("it was answered")).collect()
    })
}

/// How many have this status.
pub fn with_status(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// Asserts a refusal by a limit, with all the contract says of it: status, type, code, whose limit it is,
/// and when to come back.
#[track_caller]
pub fn assert_limited(answer: &Answer, code: &str, scope: &str) {
    let (status, kind) = match code {
        "budget_exceeded" => (402, "insufficient_quota"),
        "store_unavailable" => (503, "api_error"),
        _ => (429, "rate_limit_error"),
    };
    let error = answer.error();
    assert_eq!(
        (answer.status, &error["type"], &error["code"]),
        (status, &json!(kind), &json!(code)),
        "{answer:?} {}",
        answer.text()
    );
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.contains(scope), "whose limit: {message}");
    if status == 429 || status == 503 {
        assert!(retry_after(answer).is_some(), "no time to come back: {answer:?}");
    }
}

/// `retry-after` in seconds.
pub fn retry_after(answer: &Answer) -> Option<u64> {
    answer.header("retry-after").parse().ok().filter(|seconds| *seconds > 0)
}
