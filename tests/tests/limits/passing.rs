//! What no surface serves passes to its provider, and files and batches do: with the same keys, limits and
//! budgets as everything else.

use crate::setting::{ADMIN, Setting, assert_limited, assert_usd, key, usd};
use serde_json::{Value, json};
use tollgate_tests::gateway::eventually;
use tollgate_tests::http::{Answer, Request};

/// The providers a gateway's mounts may lead to, besides the usual ones.
const OTHERS: &str = r#"
[providers.gem]
kind = "gemini"
base_url = "http://{sim}/v1beta"
keys = ["planted-provider-gem"]
[providers.aws]
kind = "bedrock"
base_url = "http://{sim}"
region = "us-east-1"
keys = [{ access_key_id = "planted-provider-aws", secret_access_key = "planted-provider-aws" }]
[prices]
"gem/*" = { input = 1, output = 1000 }
"aws/*" = { input = 1, output = 1000 }
"#;

/// A call of two words whose answer comes to so many tokens.
fn call(target: &str, tokens: u64) -> Request {
    Request::post(target, &json!({"model": "m", "max_tokens": tokens, "input": "two words"}))
}

/// A file of so many chats, each of which may come to so many tokens, as a form.
fn upload(lines: usize, more: &str) -> Request {
    let line = format!(
        "{{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":\
         {{\"model\":\"m\",\"messages\":[{{\"role\":\"user\",\"content\":\"hello\"}}]{more}}}}}\n"
    );
    upload_of(&line.repeat(lines))
}

fn upload_of(file: &str) -> Request {
    let body = format!(
        "--xyz\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--xyz\r\n\
         Content-Disposition: form-data; name=\"file\"; filename=\"calls.jsonl\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n{file}\r\n--xyz--\r\n"
    );
    Request::new("POST", "/v1/files?provider=sim")
        .header("content-type", "multipart/form-data; boundary=xyz")
        .body(body)
}

fn batch(file: &Answer) -> Request {
    let body = json!({"input_file_id": file.json()["id"], "endpoint": "/v1/chat/completions",
        "completion_window": "24h"});
    Request::post("/v1/batches", &body).header("x-tollgate-provider", "sim")
}

/// How often the provider was asked for this.
fn asked(setting: &Setting, method: &str, path: &str) -> usize {
    let log = setting.log();
    log.iter().filter(|request| request["method"] == method && request["path"] == path).count()
}

#[test]
fn a15_a_batch_of_ten_thousand_lines_is_charged_before_it_is_submitted() {
    let limits = "rpm = 15000\ntpm = 10000000\nbudget = [{ usd = 100, per = \"day\" }]";
    let setting = Setting::of_key(limits);
    let file = setting.ask("k", &upload(10_000, ",\"max_tokens\":2"));
    assert_eq!(file.status, 200, "{}", file.text());
    let made = setting.ask("k", &batch(&file));
    assert_eq!((made.status, &made.json()["status"]), (200, &json!("completed")), "{}", made.text());
    assert_eq!(made.header("x-tollgate-model"), "m");
    // The file, the call that makes the batch, and each call in it.
    assert_eq!(setting.limit("key:k", "rpm").used, 10_002.0);
    let tokens = setting.limit("key:k", "tpm").used;
    assert!((30_000.0..1_000_000.0).contains(&tokens), "20,000 of output and some for the prompts: {tokens}");
    let spent = setting.settled("key:k", 2);
    assert_eq!(spent.output, 20_000);
    assert_usd(spent.usd, usd(spent.input, spent.output));
    assert_eq!(setting.limit("key:k", "budget").used, spent.usd);
    // Looking at it costs nothing, though it tells its usage.
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    let seen = setting.ask("k", &Request::get(&format!("/v1/batches/{id}?provider=sim")));
    assert!(seen.status == 200 && seen.json()["usage"]["output_tokens"] == 10_000, "{}", seen.text());
    let looked = setting.settled("key:k", 3);
    assert_eq!((looked.usd, looked.output), (spent.usd, spent.output));
    assert_eq!(setting.limit("key:k", "tpm").used, tokens);
    // What is left of the minute is not enough for another one: it is not even submitted.
    let refused = setting.ask("k", &batch(&file));
    assert_limited(&refused, "rpm_exceeded", "key:k");
    let message = refused.error()["message"].to_string();
    assert!(message.contains("this call takes 10000") && !message.contains("never"), "{message}");
    assert_eq!(asked(&setting, "POST", "/v1/batches"), 1);
}

#[test]
fn a15_a_batch_that_can_never_fit_is_told_so_whichever_limit_it_is() {
    let keys = [
        ("r", "rpm = 99", "rpm_exceeded"),
        ("t", "tpm = 1000", "tpm_exceeded"),
        ("b", "budget = [{ usd = 0.1, per = \"day\" }]", "budget_exceeded"),
    ];
    let config: String = keys.iter().map(|(name, limits, _)| key(name, limits)).collect();
    let setting = Setting::new(&(config + &key("free", "")));
    let file = setting.ask("free", &upload(100, ",\"max_tokens\":100"));
    for (name, _, code) in keys {
        let refused = setting.ask(name, &batch(&file));
        assert_limited(&refused, code, &format!("key:{name}"));
        assert!(refused.error()["message"].to_string().contains("never fits"), "{}", refused.text());
        assert!(setting.limits(&format!("key:{name}")).iter().all(|gauge| gauge.held == 0.0));
    }
    assert_eq!(asked(&setting, "POST", "/v1/batches"), 0);
    assert_eq!(setting.ask("free", &batch(&file)).status, 200);
    // Without a cap a call may come to all that its model writes, and nobody knows how much that is.
    let uncapped = setting.ask("free", &upload(1, ""));
    assert_limited(&setting.ask("t", &batch(&uncapped)), "tpm_exceeded", "key:t");
}

#[test]
fn a15_lines_are_checked_before_they_are_stored_and_again_before_they_run() {
    let keys = key("k", "models = [\"sim/m\"]") + &key("other", "models = [\"sim/other\"]") + &key("all", "");
    let setting = Setting::new(&keys);
    let good = "{\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}}\n";
    let wrong = setting.ask("k", &upload_of(&format!("{good}{good}{{\"url\":1}}\n")));
    assert_eq!((wrong.status, wrong.code().as_str()), (400, "bad_field"), "{}", wrong.text());
    assert!(wrong.error()["message"].to_string().contains("line 3: url"), "{}", wrong.text());
    let mixed = setting.ask("k", &upload_of(&(good.to_owned() + &good.replace("\"m\"", "\"n\""))));
    assert!(mixed.error()["message"].to_string().contains("line 2: body.model"), "{}", mixed.text());
    let denied = setting.ask("other", &upload_of(good));
    assert_eq!((denied.status, denied.code().as_str()), (403, "model_not_allowed"), "{}", denied.text());
    assert_eq!(asked(&setting, "POST", "/v1/files?provider=sim"), 0);
    assert_eq!(asked(&setting, "POST", "/v1/files"), 0, "nothing of it has reached the provider");

    let file = setting.ask("k", &upload_of(good));
    let denied = setting.ask("other", &batch(&file));
    assert_eq!((denied.status, denied.code().as_str()), (403, "model_not_allowed"), "{}", denied.text());
    let text = denied.error()["message"].to_string();
    assert!(text.contains("line 1"), "{text}");
    assert_eq!(asked(&setting, "POST", "/v1/batches"), 0);
    let made = setting.ask("k", &batch(&file));
    assert_eq!(made.status, 200, "{}", made.text());
    let missing =
        setting.ask("all", &batch(&setting.ask("all", &Request::get("/v1/files/none?provider=sim"))));
    assert_eq!(missing.status, 400, "no file is named: {}", missing.text());
    let gone = json!({"input_file_id": "file-gone"});
    let gone = setting.ask("all", &Request::post("/v1/batches?provider=sim", &gone));
    assert_eq!(
        (gone.status, &gone.error()["message"]),
        (404, &json!("No such File")),
        "the provider's own words"
    );
}

#[test]
fn a15_what_passes_obeys_requests_a_minute_and_calls_in_flight() {
    let setting = Setting::new(&(key("k", "rpm = 2") + &key("one", "concurrency = 1")));
    for target in ["/sim/v1/passed/json", "/claude/v1/passed/json"] {
        assert_eq!(setting.ask("k", &Request::get(target)).status, 200);
    }
    let refused = setting.ask("k", &Request::get("/sim/v1/passed/json"));
    assert_limited(&refused, "rpm_exceeded", "key:k");
    assert_eq!(refused.header("x-ratelimit-limit-requests"), "2");

    let mut waits = setting.gateway.connect();
    let held = Request::get("/sim/v1/passed/json?gate=hold").key(&crate::setting::secret("one"));
    waits.send(&held.bytes());
    eventually("it is there", || asked(&setting, "GET", "/v1/passed/json?gate=hold") == 1);
    let refused = setting.ask("one", &Request::get("/sim/v1/passed/json"));
    assert_limited(&refused, "concurrency_exceeded", "key:one");
    tollgate_tests::http::Connection::open(setting.sim.addr)
        .ask(&Request::post("/sim/open?id=hold", &json!({})));
    assert_eq!(waits.answer().status, 200);
    assert_eq!(setting.ask("one", &Request::get("/sim/v1/passed/json")).status, 200);
}

#[test]
fn b7_budgets_hold_for_what_passes_to_every_kind_of_provider() {
    let mounts = ["/openai/v1", "/anthropic/v1", "/genai/v1beta", "/bedrock", "/sim", "/aws"];
    let keys: String = (0..mounts.len())
        .map(|at| key(&format!("k{at}"), "budget = [{ usd = 0.25, per = \"day\" }]"))
        .collect();
    let sim = tollgate_sim::spawn().expect("a simulator can be had");
    let others = OTHERS.replace("{sim}", &sim.addr.to_string());
    let (providers, prices) = others.split_once("[prices]\n").expect("both");
    let rest = crate::setting::config(&sim, "", &keys)
        .replace("[prices]\n", &format!("{providers}[prices]\n{prices}"));
    let gateway = tollgate_tests::gateway::Gateway::start(crate::setting::PROGRAM, &rest);
    for (at, mount) in mounts.iter().enumerate() {
        let ask = |request: Request| gateway.ask(&request.key(&crate::setting::secret(&format!("k{at}"))));
        let target = format!("{mount}/passed/usage");
        let statuses: Vec<u16> = (0..4).map(|_| ask(call(&target, 100)).status).collect();
        assert_eq!(statuses, [200, 200, 402, 402], "{mount}");
        let refused = ask(call(&target, 100));
        let text = refused.text();
        assert!(text.contains("$0.25 a day") && text.contains(&format!("key:k{at}")), "{text}");
        // What reads or takes away costs nothing, so that it goes on.
        assert_eq!(ask(Request::get(&format!("{mount}/passed/json"))).status, 200);
        assert_eq!(ask(Request::new("DELETE", &format!("{mount}/passed/json"))).status, 200);
        let spent = crate::setting::spend(&gateway, &format!("key:k{at}"));
        assert_eq!((spent.output, spent.unpriced), (200, 0), "{mount}");
        assert_usd(spent.usd, usd(spent.input, spent.output));
    }
}

#[test]
fn b7_what_nobody_can_price_is_refused_under_a_budget_and_served_without() {
    let setting = Setting::new(&(key("k", "budget = [{ usd = 1, per = \"day\" }]") + &key("free", "")));
    for request in [
        Request::post("/sim/v1/passed/usage", &json!({"input": "no model"})),
        Request::post("/odd/v1/passed/usage", &json!({"model": "m"})),
        Request::raw("/sim/v1/passed/usage", "bytes").header("content-type", "audio/wav"),
    ] {
        let refused = setting.ask("k", &request);
        assert_eq!((refused.status, refused.code().as_str()), (402, "budget_exceeded"), "{}", refused.text());
        assert_eq!(setting.ask("free", &request).status, 200);
    }
    assert_eq!(setting.spend("key:free").unpriced, 3, "it is not free because nobody knows");
    // An answer that tells no usage is charged as far as the call tells.
    let silent = setting.ask("k", &call("/sim/v1/passed/bytes", 100));
    assert_eq!((silent.status, silent.body), (200, (0..=255).collect()));
    let silent = setting.settled("key:k", 1);
    assert!(silent.input > 0 && silent.usd > 0.0, "{silent:?}");
}

#[test]
fn b8_embeddings_that_pass_are_on_record_with_provider_and_model() {
    let setting = Setting::of_key("budget = [{ usd = 1, per = \"day\" }]");
    let body = json!({"model": "embed-m", "input": "four words of text"});
    let answer = setting.ask("k", &Request::post("/sim/v4/passed/embeddings", &body));
    assert_eq!((answer.status, answer.header("x-tollgate-cost-usd")), (200, "0.000004"), "{}", answer.text());
    assert_eq!((answer.header("x-tollgate-provider"), answer.header("x-tollgate-model")), ("sim", "embed-m"));
    let spent = setting.settled("key:k", 1);
    assert_eq!((spent.requests, spent.input, spent.unpriced), (1, 4, 0));
    let row = setting.admin(&Request::get("/api/spend?by=model,provider&key=k")).json();
    let row = &row["data"][0];
    assert_eq!((&row["model"], &row["provider"]), (&json!("sim/embed-m"), &json!("sim")), "{row}");
    let listed = setting.admin(&Request::get("/api/requests?key=k")).json();
    assert_eq!(listed["data"][0]["surface"], json!("pass-through"), "{listed}");
}

#[test]
fn what_passes_goes_and_comes_as_it_is_and_no_key_with_it() {
    let setting = Setting::of_key("");
    let bytes: Vec<u8> = (0..=255_u8).rev().collect();
    let request = Request::new("PUT", "/sim/v1/passed/a%20b/json?x=1&key=tg-planted-client-k&y=%2F")
        .header("content-type", "application/x-thing")
        .header("x-vendor", "kept")
        .header("x-api-key", "tg-planted-client-k")
        .header("cookie", "a=b")
        .body(bytes.clone());
    let answer = setting.ask("k", &request);
    assert_eq!(
        answer.json(),
        json!({"method": "PUT", "size": 256, "path": "/v1/passed/a%20b/json?x=1&y=%2F", "type": "application/x-thing"})
    );
    let log = setting.log();
    let seen = log.last().expect("it was asked").to_string();
    assert!(
        seen.contains("x-vendor") && !seen.contains("tg-planted-client") && !seen.contains("cookie"),
        "{seen}"
    );
    assert_eq!(setting.ask("k", &Request::get("/sim/v1/passed/bytes")).header("content-type"), "audio/mpeg");
    let nothing = setting.ask("k", &Request::new("DELETE", "/sim/v1/passed/nothing"));
    assert_eq!((nothing.status, nothing.body.len()), (204, 0));
    let teapot = setting.ask("k", &Request::post("/sim/v1/passed/teapot", &json!({"model": "m"})));
    assert_eq!(
        (teapot.status, teapot.text().as_str()),
        (418, "{\"error\": {\"message\": \"short and stout\"}}\n")
    );
    let events = setting.ask("k", &Request::post("/sim/v1/passed/events", &json!({"model": "m"})));
    assert_eq!(events.header("content-type"), "text/event-stream");
    assert!(
        events.text().starts_with("data: {\"delta\":\"a\"}\n\n") && events.is_done(),
        "{}",
        events.text()
    );
    let spent = setting.settled("key:k", 4);
    assert!(spent.output >= 1, "the stream has told its usage: {spent:?}");
}

#[test]
fn rights_hold_for_what_passes_by_path_and_by_model() {
    let keys = key("m", "models = [\"sim/m\"]")
        + &key("all", "models = [\"sim/*\"]")
        + &key("path", "routes = [\"/sim/passed/json\", \"/v1/files*\"]");
    let setting = Setting::new(&keys);
    let status = |name: &str, request: &Request| setting.ask(name, request).status;
    let post = |target: &str, body: Value| Request::post(target, &body);
    assert_eq!(status("m", &post("/sim/passed/json", json!({"model": "m"}))), 200);
    assert_eq!(status("m", &post("/sim/passed/json", json!({"model": "other"}))), 403);
    assert_eq!(status("m", &post("/sim/passed/json", json!({}))), 403, "it may not use all of sim");
    assert_eq!(status("m", &Request::get("/two/passed/json")), 403);
    assert_eq!(status("m", &Request::raw("/sim/passed/json", "{\"model\":\"other\",\"model\":\"m\"}")), 400);
    assert_eq!(status("m", &Request::raw("/sim/models/other:passed/json", "{\"model\":\"m\"}")), 400);
    let sneaked =
        Request::raw("/sim/passed/json", " {\"model\":\"other\"}").header("content-type", "text/plain");
    assert_eq!(status("m", &sneaked), 403, "whatever it is said to be");
    assert_eq!(status("all", &post("/sim/passed/json", json!({}))), 200);
    assert_eq!(status("all", &post("/two/passed/json", json!({}))), 403);
    for target in ["/sim/passed/json", "/sim/v1/passed/json", "/sim//passed/%6ason", "/v1/files?provider=sim"]
    {
        assert_eq!(status("path", &Request::get(target)), 200, "{target}");
    }
    for target in ["/sim/passed/usage", "/two/passed/json", "/v1/batches?provider=sim", "/sim/v1/models"] {
        assert_eq!(status("path", &Request::get(target)), 403, "{target}");
    }
    assert_eq!(setting.gateway.ask(&Request::get("/sim/passed/json")).status, 401);
    assert_eq!(setting.gateway.ask(&Request::get("/sim/passed/json").key(ADMIN)).status, 403);
    let ambiguous = setting.ask("all", &Request::get("/v1/files"));
    assert_eq!((ambiguous.status, ambiguous.code().as_str()), (400, "bad_field"), "{}", ambiguous.text());
    assert!(ambiguous.text().contains("x-tollgate-provider: sim"), "{}", ambiguous.text());
}
