//! A gateway, a simulated provider, and who asks what.

use base64::Engine as _;
use serde_json::{Value, json};
use tollgate_sim::Running;
use tollgate_tests::gateway::{Gateway, eventually};
use tollgate_tests::http::{Answer, Connection, Request};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_tollgate-under-test");

/// One simulated provider under five names; `{sim}` stands for its address.
const PROVIDERS: &str = r#"
[providers.one]
kind = "openai"
base_url = "http://{sim}/v1"
keys = [{ value = "sk-provider-one" }]

[providers.two]
kind = "openai"
base_url = "http://{sim}/v1"
keys = [{ value = "sk-provider-two" }]

[providers.three]
kind = "openai"
base_url = "http://{sim}/v1"
keys = [{ value = "sk-provider-three" }]

[providers.claude]
kind = "anthropic"
base_url = "http://{sim}/v1"
keys = [{ value = "sk-provider-claude" }]

[providers.gem]
kind = "gemini"
base_url = "http://{sim}/v1beta"
keys = [{ value = "sk-provider-gem" }]
"#;

/// A gateway and the provider behind it.
pub struct Setting {
    pub gateway: Gateway,
    pub sim: Running,
}

impl Setting {
    /// With the usual providers and what `config` says.
    pub fn new(config: &str) -> Self {
        Self::bare(&format!("{config}\n{PROVIDERS}"))
    }

    /// With nothing but what `config` says.
    pub fn bare(config: &str) -> Self {
        let sim = tollgate_sim::spawn().expect("a simulator can be had");
        let config = config.replace("{sim}", &sim.addr.to_string());
        Self { gateway: Gateway::start(PROGRAM, &config), sim }
    }

    /// A whole answer of a model.
    pub fn chat(&self, model: &str) -> Answer {
        self.gateway.ask(&chat(model))
    }

    /// A streamed one.
    pub fn stream(&self, model: &str) -> Answer {
        self.gateway.ask(&stream(model))
    }

    /// Both, to show that they are alike.
    pub fn both(&self, model: &str) -> [Answer; 2] {
        [self.chat(model), self.stream(model)]
    }

    /// How many requests carried `id=NAME`.
    pub fn count(&self, id: &str) -> u64 {
        let asked = Request::get(&format!("/sim/count?id={id}"));
        Connection::open(self.sim.addr).ask(&asked).json()["count"].as_u64().expect("a count")
    }

    /// The requests that reached the provider, oldest first.
    pub fn log(&self) -> Vec<Value> {
        let answer = Connection::open(self.sim.addr).ask(&Request::get("/sim/log")).json();
        answer["requests"].as_array().expect("a list").clone()
    }

    /// The last request that reached the provider.
    pub fn last(&self) -> Value {
        self.log().pop().expect("a request reached the provider")
    }

    /// Forgets what reached the provider.
    pub fn reset(&self) {
        Connection::open(self.sim.addr).ask(&Request::raw("/sim/reset", ""));
    }

    /// Waits until the provider's last answer ended like this.
    pub fn wait_until_ended(&self, how: &str) {
        eventually(how, || self.log().last().is_some_and(|request| request["ended"] == how));
    }

    /// That the gateway still answers, on a connection that was open all along.
    pub fn assert_unharmed(&self, bystander: &mut Connection) {
        for request in [chat("one/fine"), stream("claude/fine")] {
            let answer = bystander.ask(&request);
            assert_eq!((answer.status, answer.said().as_str()), (200, "You said: hello"), "{answer:?}");
        }
    }
}

/// The body of a logged request.
pub fn body(request: &Value) -> Vec<u8> {
    let text = request["body_base64"].as_str().expect("a body");
    base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
}

/// The same, parsed.
pub fn body_json(request: &Value) -> Value {
    serde_json::from_slice(&body(request)).expect("JSON")
}

/// A question whose answer is `You said: hello`.
pub fn question(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hello"}]})
}

/// It, asked for as a whole answer.
pub fn chat(model: &str) -> Request {
    Request::post("/v1/chat/completions", &question(model))
}

/// It, asked for as a stream.
pub fn stream(model: &str) -> Request {
    let mut question = question(model);
    question["stream"] = json!(true);
    Request::post("/v1/chat/completions", &question)
}

/// A question with tools; `said` makes the simulator call them.
pub fn tools(model: &str, said: &str, streamed: bool) -> Request {
    let tool = |name: &str| {
        json!({"type": "function", "function": {"name": name, "parameters": {
            "type": "object", "properties": {"city": {"type": "string"}}}}})
    };
    Request::post(
        "/v1/chat/completions",
        &json!({"model": model, "stream": streamed, "tools": [tool("weather"), tool("time")],
            "messages": [{"role": "user", "content": said}]}),
    )
}

/// Asserts a refusal: status, `error.type`, `error.code`.
pub fn assert_refused(answer: &Answer, status: u16, kind: &str, code: &str) {
    let error = answer.error();
    let found = (
        answer.status,
        error["type"].as_str().unwrap_or_default(),
        error["code"].as_str().unwrap_or_default(),
    );
    assert_eq!(found, (status, kind, code), "{answer:?} {}", answer.text());
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
}
