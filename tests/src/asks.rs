//! What a request asks for, read by a few readers that know nothing of the gateway's own code: one for
//! each dialect, as simple as can be. A request that has been translated must ask for the same.

mod cousins; // Cohere and Ollama

pub use cousins::{cohere, ollama};

use serde_json::{Value, json};

/// What a request asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asks {
    /// Instructions.
    pub system: String,
    /// The conversation. Turns of one speaker that follow each other are one.
    pub turns: Vec<Turn>,
    /// The tools there are.
    pub tools: Vec<Tool>,
    /// The tool that must be called, where one must.
    pub forced: Option<String>,
    /// What the answer must look like.
    pub schema: Option<Value>,
    /// Whether the model is to think first.
    pub thinks: bool,
    /// The most tokens of the answer.
    pub cap: Option<u64>,
}

/// A turn of the conversation.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// Whether the model speaks.
    pub model: bool,
    /// What is said, in order.
    pub pieces: Vec<Piece>,
}

/// A piece of a turn.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Text.
    Text(String),
    /// A picture or a document by its media type: its bytes in base64, or where it is.
    Media(String, String),
    /// A call of a tool.
    Call(String, Value),
    /// What a tool has answered, by its name.
    Result(String, String),
}

/// A tool.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What its arguments look like.
    pub schema: Value,
}

impl Asks {
    fn say(&mut self, model: bool, piece: Piece) {
        match self.turns.last_mut() {
            Some(turn) if turn.model == model => turn.pieces.push(piece),
            _ => self.turns.push(Turn { model, pieces: vec![piece] }),
        }
    }

    fn tool(&mut self, declared: &Value, schema: &str) {
        let text = |key: &str| string(&declared[key]).to_owned();
        let (name, description) = (text("name"), text("description"));
        self.tools.push(Tool { name, description, schema: plain(&declared[schema]) });
    }
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// A schema in the words that every dialect has for it.
fn plain(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| {
                !matches!(name.as_str(), "additionalProperties" | "propertyOrdering" | "strict")
            });
            kept.map(|(name, value)| (name.clone(), plain(value))).collect()
        }
        Value::String(word) => match word.as_str() {
            "OBJECT" | "STRING" | "INTEGER" => json!(word.to_lowercase()),
            _ => schema.clone(),
        },
        Value::Array(items) => items.iter().map(plain).collect(),
        other => other.clone(),
    }
}

/// `data:TYPE;base64,BYTES`, or where something is.
fn media(url: &str) -> Piece {
    let inline = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    let (kind, data) = inline.unwrap_or(("image/png", url));
    Piece::Media(kind.to_owned(), data.to_owned())
}

/// Names of calls by their ids.
#[derive(Default)]
struct Calls(Vec<(String, String)>);

impl Calls {
    fn call(&mut self, id: &Value, name: &Value, arguments: Value) -> Piece {
        self.0.push((string(id).to_owned(), string(name).to_owned()));
        Piece::Call(string(name).to_owned(), arguments)
    }

    fn result(&self, id: &Value, text: String) -> Piece {
        // Google's tools answer with objects, which are JSON elsewhere.
        let object = serde_json::from_str::<Value>(&text).ok();
        let inner = object.as_ref().and_then(|object| object.as_object()?.values().next()?.as_str());
        let text = inner.map_or_else(|| text.clone(), str::to_owned);
        let name = self.0.iter().find(|(known, _)| known == string(id)).map(|(_, name)| name.clone());
        Piece::Result(name.unwrap_or_else(|| format!("a call of no id {id}")), text)
    }
}

fn json_of(text: &Value) -> Value {
    serde_json::from_str(string(text)).unwrap_or(Value::Null)
}

/// The text of something that is text or a list of texts.
fn text_of(content: &Value) -> String {
    match content {
        Value::Array(parts) => parts.iter().map(|part| string(&part["text"])).collect(),
        other => string(other).to_owned(),
    }
}

/// A request of OpenAI's chat.
pub fn openai(body: &Value) -> Asks {
    let mut asks = Asks::default();
    let mut calls = Calls::default();
    for message in list(&body["messages"]) {
        let content = &message["content"];
        match string(&message["role"]) {
            "system" | "developer" => asks.system.push_str(&text_of(content)),
            "tool" => asks.say(false, calls.result(&message["tool_call_id"], text_of(content))),
            role => {
                let model = role == "assistant";
                if let Some(text) = content.as_str() {
                    asks.say(model, Piece::Text(text.to_owned()));
                }
                for part in list(content) {
                    asks.say(
                        model,
                        match string(&part["type"]) {
                            "image_url" => media(string(&part["image_url"]["url"])),
                            "file" => media(string(&part["file"]["file_data"])),
                            _ => Piece::Text(string(&part["text"]).to_owned()),
                        },
                    );
                }
                for call in list(&message["tool_calls"]) {
                    let function = &call["function"];
                    let arguments = json_of(&function["arguments"]);
                    asks.say(model, calls.call(&call["id"], &function["name"], arguments));
                }
            }
        }
    }
    list(&body["tools"]).iter().for_each(|tool| asks.tool(&tool["function"], "parameters"));
    asks.forced = body["tool_choice"]["function"]["name"].as_str().map(str::to_owned);
    let schema = &body["response_format"]["json_schema"]["schema"];
    asks.schema = schema.is_object().then(|| plain(schema));
    let efforts = [&body["reasoning_effort"], &body["reasoning"]["effort"]];
    asks.thinks = efforts.iter().any(|effort| matches!(string(effort), "low" | "medium" | "high"))
        || body["reasoning"]["max_tokens"].is_u64()
        || body["thinking"]["type"] == "enabled"
        || body["enable_thinking"] == true;
    asks.cap = body["max_completion_tokens"].as_u64().or(body["max_tokens"].as_u64());
    asks
}

/// A request of Responses.
pub fn responses(body: &Value) -> Asks {
    let mut asks = Asks { system: string(&body["instructions"]).to_owned(), ..Asks::default() };
    let mut calls = Calls::default();
    if let Some(text) = body["input"].as_str() {
        asks.say(false, Piece::Text(text.to_owned()));
    }
    for item in list(&body["input"]) {
        match (string(&item["type"]), string(&item["role"])) {
            ("function_call", _) => {
                let arguments = json_of(&item["arguments"]);
                asks.say(true, calls.call(&item["call_id"], &item["name"], arguments));
            }
            ("function_call_output", _) => {
                asks.say(false, calls.result(&item["call_id"], text_of(&item["output"])));
            }
            (_, "system" | "developer") => asks.system.push_str(&text_of(&item["content"])),
            (_, role) => {
                let model = role == "assistant";
                if let Some(text) = item["content"].as_str() {
                    asks.say(model, Piece::Text(text.to_owned()));
                }
                for part in list(&item["content"]) {
                    asks.say(
                        model,
                        match string(&part["type"]) {
                            "input_image" => media(string(&part["image_url"])),
                            "input_file" => media(string(&part["file_data"])),
                            _ => Piece::Text(string(&part["text"]).to_owned()),
                        },
                    );
                }
            }
        }
    }
    list(&body["tools"]).iter().for_each(|tool| asks.tool(tool, "parameters"));
    asks.forced = body["tool_choice"]["name"].as_str().map(str::to_owned);
    let schema = &body["text"]["format"]["schema"];
    asks.schema = schema.is_object().then(|| plain(schema));
    asks.thinks = matches!(string(&body["reasoning"]["effort"]), "low" | "medium" | "high");
    asks.cap = body["max_output_tokens"].as_u64();
    asks
}

/// A request of Anthropic's.
pub fn anthropic(body: &Value) -> Asks {
    let mut asks = Asks { system: text_of(&body["system"]), ..Asks::default() };
    let mut calls = Calls::default();
    for message in list(&body["messages"]) {
        let model = message["role"] == "assistant";
        if let Some(text) = message["content"].as_str() {
            asks.say(model, Piece::Text(text.to_owned()));
        }
        for block in list(&message["content"]) {
            let source = &block["source"];
            let piece = match string(&block["type"]) {
                "tool_use" => calls.call(&block["id"], &block["name"], block["input"].clone()),
                "tool_result" => calls.result(&block["tool_use_id"], text_of(&block["content"])),
                "image" | "document" if source["type"] == "url" => media(string(&source["url"])),
                "image" | "document" => {
                    let part = |key: &str| string(&source[key]).to_owned();
                    Piece::Media(part("media_type"), part("data"))
                }
                _ => Piece::Text(string(&block["text"]).to_owned()),
            };
            asks.say(model, piece);
        }
    }
    list(&body["tools"]).iter().for_each(|tool| asks.tool(tool, "input_schema"));
    asks.forced = body["tool_choice"]["name"].as_str().map(str::to_owned);
    let schema = &body["output_config"]["format"]["schema"];
    asks.schema = schema.is_object().then(|| plain(schema));
    asks.thinks = matches!(string(&body["thinking"]["type"]), "enabled" | "adaptive");
    asks.cap = body["max_tokens"].as_u64();
    asks
}

/// A request of Google's.
pub fn gemini(body: &Value) -> Asks {
    let mut asks = Asks { system: text_of(&body["systemInstruction"]["parts"]), ..Asks::default() };
    for content in list(&body["contents"]) {
        let model = content["role"] == "model";
        for part in list(&content["parts"]) {
            let own = |key: &str| part.get(key).filter(|own| own.is_object());
            let field = |own: &Value, key: &str| string(&own[key]).to_owned();
            let piece = if let Some(inline) = own("inlineData") {
                Piece::Media(field(inline, "mimeType"), field(inline, "data"))
            } else if let Some(file) = own("fileData") {
                Piece::Media(field(file, "mimeType"), field(file, "fileUri"))
            } else if let Some(call) = own("functionCall") {
                Piece::Call(field(call, "name"), call["args"].clone())
            } else if let Some(answer) = own("functionResponse") {
                let said = answer["response"].as_object().and_then(|said| said.values().next());
                let said = said.map(|said| string(said).to_owned());
                Piece::Result(field(answer, "name"), said.unwrap_or_default())
            } else {
                Piece::Text(string(&part["text"]).to_owned())
            };
            asks.say(model, piece);
        }
    }
    for tool in list(&body["tools"]).iter().flat_map(|tool| list(&tool["functionDeclarations"])) {
        let own = if tool["parameters"].is_object() { "parameters" } else { "parametersJsonSchema" };
        asks.tool(tool, own);
    }
    let calling = &body["toolConfig"]["functionCallingConfig"];
    asks.forced = calling["allowedFunctionNames"][0].as_str().map(str::to_owned);
    let config = &body["generationConfig"];
    let schema = [&config["responseJsonSchema"], &config["responseSchema"]];
    asks.schema = schema.into_iter().find(|schema| schema.is_object()).map(plain);
    let thinking = &config["thinkingConfig"];
    asks.thinks = thinking["thinkingBudget"].as_i64().is_some_and(|budget| budget != 0)
        || matches!(string(&thinking["thinkingLevel"]).to_lowercase().as_str(), "low" | "medium" | "high");
    asks.cap = config["maxOutputTokens"].as_u64();
    asks
}

/// A request of Bedrock's Converse.
pub fn bedrock(body: &Value) -> Asks {
    let mut asks = Asks { system: text_of(&body["system"]), ..Asks::default() };
    let mut calls = Calls::default();
    for message in list(&body["messages"]) {
        let model = message["role"] == "assistant";
        for block in list(&message["content"]) {
            let own = |key: &str| block.get(key).filter(|own| own.is_object());
            let piece = if let Some(call) = own("toolUse") {
                calls.call(&call["toolUseId"], &call["name"], call["input"].clone())
            } else if let Some(answer) = own("toolResult") {
                calls.result(&answer["toolUseId"], text_of(&answer["content"]))
            } else if let Some((file, family)) =
                own("image").map(|file| (file, "image")).or(own("document").map(|file| (file, "application")))
            {
                let kind = format!("{family}/{}", string(&file["format"]));
                Piece::Media(kind, string(&file["source"]["bytes"]).to_owned())
            } else {
                Piece::Text(string(&block["text"]).to_owned())
            };
            asks.say(model, piece);
        }
    }
    let config = &body["toolConfig"];
    for tool in list(&config["tools"]) {
        let mut declared = tool["toolSpec"].clone();
        declared["schema"] = declared["inputSchema"]["json"].clone();
        asks.tool(&declared, "schema");
    }
    asks.forced = config["toolChoice"]["tool"]["name"].as_str().map(str::to_owned);
    let schema = &body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"];
    asks.schema = schema.as_str().map(|text| plain(&serde_json::from_str(text).unwrap_or_default()));
    let thinking = &body["additionalModelRequestFields"]["thinking"]["type"];
    asks.thinks = matches!(string(thinking), "enabled" | "adaptive");
    asks.cap = body["inferenceConfig"]["maxTokens"].as_u64();
    asks
}
