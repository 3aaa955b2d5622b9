//! Guardrails in the program: who is told what of them, and for how long.

use crate::setting::{Setting, key};
use serde_json::{Value, json};
use tollgate_tests::gateway::eventually;
use tollgate_tests::http::Request;

const RAILS: &str = "[[guardrails]]\nname = \"codenames\"\nphrases = [\"quixotic heron\"]\n\
                     [[guardrails]]\nname = \"watched\"\nphrases = [\"hello\"]\non = \"output\"\naction = \"note\"\n";

/// A chat that says this, and is told the same.
fn saying(text: &str, stream: bool) -> Request {
    let message = json!({"role": "user", "content": text});
    Request::post(
        "/v1/chat/completions",
        &json!({"model": "sim/m+events=9", "stream": stream, "messages": [message]}),
    )
}

/// The newest requests of key `k`, once there are so many.
fn records(setting: &Setting, many: usize) -> Vec<Value> {
    let mut rows = Vec::new();
    eventually("all are on record", || {
        let answer = setting.admin(&Request::get("/api/requests?key=k"));
        rows = answer.json()["data"].as_array().expect("a list").clone();
        rows.len() >= many
    });
    rows
}

#[test]
fn j2_what_guardrails_do_is_on_record_in_the_metrics_and_kept_over_a_restart() {
    let mut setting = Setting::new(&format!("{RAILS}{}", key("k", "")));
    let refused = setting.ask("k", &saying("a Quixotic  heron", false));
    assert_eq!((refused.status, refused.code()), (400, "guardrail_blocked".to_owned()));
    assert_eq!(setting.seen(), 0, "nobody is called");
    assert!(setting.ask("k", &saying("hello there", true)).is_done());
    assert_eq!(setting.ask("k", &saying("hello", false)).status, 200);
    let shown = |setting: &Setting| {
        let rows = records(setting, 3);
        [rows[2]["guardrails"].clone(), rows[1]["guardrails"].clone()]
    };
    let blocked = json!([{"name": "codenames", "on": "input", "action": "block"}]);
    let noted = json!([{"name": "watched", "on": "output", "action": "note"}]);
    assert_eq!(shown(&setting), [blocked.clone(), noted.clone()]);
    let metrics = setting.admin(&Request::get("/metrics")).text();
    for line in [
        r#"tollgate_guardrails_total{guardrail="codenames",on="input",action="block"} 1"#,
        r#"tollgate_guardrails_total{guardrail="watched",on="output",action="note"} 2"#,
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    setting.gateway.signal("TERM");
    setting.gateway.wait();
    assert!(!setting.gateway.said().to_lowercase().contains("heron"), "{}", setting.gateway.said());
    setting.restart();
    assert_eq!(shown(&setting), [blocked, noted]);
}

#[test]
fn j2_a_guardrail_that_is_new_after_a_reload_holds_for_what_is_kept_too() {
    let cached = "[models.kept]\ntargets = [\"sim/m\"]\ncache = true\n";
    let setting = Setting::new(&format!("{cached}{}", key("k", "")));
    let ask = || {
        let message = json!({"role": "user", "content": "hello"});
        let body = json!({"model": "kept", "messages": [message]});
        setting.ask("k", &Request::post("/v1/chat/completions", &body))
    };
    assert_eq!((ask().status, ask().header("x-tollgate-cache").to_owned()), (200, "hit".to_owned()));
    let rail = "[[guardrails]]\nname = \"new\"\non = \"output\"\nphrases = [\"you said\"]\n";
    let file = setting.gateway.config();
    let before = std::fs::read_to_string(&file).expect("a config can be read");
    std::fs::write(file, format!("{before}\n{rail}")).expect("a config can be written");
    assert_eq!(setting.admin(&Request::post("/api/reload", &json!({}))).status, 200);
    let refused = ask();
    assert_eq!((refused.status, refused.code()), (400, "guardrail_blocked".to_owned()));
}

#[test]
fn j2_c8_a_stream_that_is_cut_is_charged_in_full_where_it_is_billed_unheard_and_elsewhere_as_far_as_it_came()
{
    let rail = RAILS.replace("[\"quixotic heron\"]", "[\"quixotic heron\"]\non = \"output\"");
    let setting = Setting::new(&format!("{rail}{}{}", key("k", "tpm = 100000"), key("l", "tpm = 100000")));
    let of = |provider: &str| {
        let message = json!({"role": "user", "content": "a quixotic heron is in here"});
        let body = json!({"model": format!("{provider}/m+events=9,stall_after=8"), "stream": true, "max_tokens": 500, "messages": [message]});
        Request::post("/v1/chat/completions", &body)
    };
    for (name, provider) in [("k", "unheard"), ("l", "sim")] {
        let answer = setting.ask(name, &of(provider));
        assert!(
            answer.text().contains("guardrail_blocked") && !answer.text().contains("heron"),
            "{}",
            answer.text()
        );
    }
    let [whole, part] = ["key:k", "key:l"].map(|scope| {
        eventually("it is on record", || setting.spend(scope).requests == 1);
        setting.spend(scope).output
    });
    assert_eq!(whole, 500, "all that was reserved");
    assert!(part < 100, "{part}");
}
