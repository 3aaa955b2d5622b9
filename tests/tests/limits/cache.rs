//! The cache of answers: who asks for it, what it keeps, whose it is, what a hit takes.

use crate::keys::create;
use crate::setting::{
    CHAT, Setting, assert_limited, chat, key, question, secret, stream, tenth, with_status,
};
use serde_json::{Value, json};
use tollgate_tests::gateway::eventually;
use tollgate_tests::http::{Answer, Connection, Request};

/// What the cache was to an answer.
fn cache(answer: &Answer) -> &str {
    answer.header("x-tollgate-cache")
}

/// The request, asking for the cache.
fn using(request: Request) -> Request {
    request.header("x-tollgate-cache", "use")
}

/// What the cache is to each of some requests of key `k`, in order.
fn each(setting: &Setting, requests: &[Request]) -> Vec<String> {
    let each = requests.iter().map(|request| setting.ask("k", request));
    each.map(|answer| {
        assert_eq!(answer.status, 200, "{}", answer.text());
        cache(&answer).to_owned()
    })
    .collect()
}

fn metric(setting: &Setting, line: &str) -> Option<String> {
    let all = setting.gateway.ask(&Request::get("/metrics")).text();
    all.lines().find_map(|found| found.strip_prefix(line).map(|value| value.trim().to_owned()))
}

fn in_flight(setting: &Setting) -> u64 {
    metric(setting, "tollgate_in_flight ").and_then(|count| count.parse().ok()).expect("a count")
}

/// Lets go on what waits at a gate of the provider.
fn open(setting: &Setting, gate: &str) {
    let opened = Connection::open(setting.sim.addr).ask(&Request::raw(&format!("/sim/open?id={gate}"), ""));
    assert_eq!(opened.status, 200, "{}", opened.text());
}

/// All at once, so that all are there before the first is answered.
fn crowd(setting: &Setting, request: &Request, many: u64, gate: &str) -> Vec<Answer> {
    let request = request.clone().key(&secret("k")).bytes();
    let mut clients: Vec<Connection> = (0..many)
        .map(|_| {
            let mut client = setting.gateway.connect();
            client.send(&request);
            client
        })
        .collect();
    eventually("all are there", || in_flight(setting) == many);
    open(setting, gate);
    let answers = clients.iter_mut().map(Connection::answer).collect();
    eventually("nothing in flight", || in_flight(setting) == 0);
    answers
}

#[test]
fn the_cache_is_off_unless_route_key_or_request_ask_for_it() {
    let setting = Setting::new(&format!(
        "[models.kept]\ntargets = [\"sim/m\"]\ncache = {{ ttl = \"5m\" }}\n[models.plain]\ntargets = [\"sim/m\"]\n\
         [models.never]\ntargets = [\"sim/m\"]\ncache = false\n{}{}{}",
        key("k", ""),
        key("asks", "cache = { ttl = \"60s\" }"),
        key("never", "cache = false"),
    ));
    let twice =
        |name: &str, request: &Request| [(); 2].map(|()| cache(&setting.ask(name, request)).to_owned());
    assert_eq!(twice("k", &chat("plain")), ["off", "off"]);
    assert_eq!(twice("k", &chat("kept")), ["miss", "hit"]);
    assert_eq!(twice("asks", &chat("plain")), ["miss", "hit"]);
    assert_eq!(twice("k", &using(chat("plain"))), ["miss", "hit"]);
    assert_eq!(twice("k", &chat("sim/m").header("x-tollgate-cache-ttl", "300")), ["miss", "hit"]);
    for never in [using(chat("never")), chat("never").header("x-tollgate-cache-ttl", "5")] {
        assert_eq!(twice("k", &never), ["off", "off"]);
    }
    assert_eq!(twice("never", &using(chat("kept"))), ["off", "off"]);
    assert_eq!(cache(&setting.gateway.ask(&Request::get("/healthz"))), "off");
    assert_eq!(cache(&setting.gateway.ask(&using(chat("kept")))), "off", "nobody's request is not looked up");
}

#[test]
fn a_hit_is_the_same_answer_under_a_name_of_its_own() {
    let setting = Setting::of_key("rpm = 100");
    let streamed = |model: &str| using(stream(model, 50));
    for request in
        [using(chat("sim/m")), using(chat("claude/m")), streamed("sim/m+events=7"), streamed("claude/m")]
    {
        let before = setting.seen();
        let [first, second] = [(); 2].map(|()| setting.ask("k", &request));
        assert_eq!((first.status, second.status), (200, 200), "{}", first.text());
        assert_eq!((cache(&first), cache(&second)), ("miss", "hit"));
        assert_eq!(first.text(), second.text());
        assert!(first.said() == "You said: hello" && second.ended == first.ended);
        assert_eq!(setting.seen(), before + 1);
        for same in
            ["content-type", "x-tollgate-provider", "x-tollgate-model", "cache-control", "transfer-encoding"]
        {
            assert_eq!(first.header(same), second.header(same), "{same}");
        }
        assert_ne!(first.header("x-tollgate-request-id"), second.header("x-tollgate-request-id"));
        assert_eq!(second.header("x-tollgate-request-id").len(), 26);
        assert_eq!((first.header("x-tollgate-attempts"), second.header("x-tollgate-attempts")), ("1", "0"));
        assert_eq!((first.header("age"), second.header("x-tollgate-cost-usd")), ("", "0"));
        assert!(second.header("age").parse::<u64>().is_ok_and(|age| age < 30), "{second:?}");
        assert_eq!(second.header("x-ratelimit-limit-requests"), "100");
        assert_eq!(second.header("x-tollgate-upstream-id"), "", "no upstream was asked");
    }
}

#[test]
fn k12_whatever_changes_the_answer_is_another_question() {
    let setting = Setting::of_key("cache = true");
    let with = |change: &dyn Fn(&mut Value)| {
        let mut question = question("sim/m");
        question["messages"] = json!([
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "which country is US?"},
        ]);
        question["tools"] =
            json!([{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]);
        question["temperature"] = json!(0);
        change(&mut question);
        Request::post(CHAT, &question)
    };
    type Change = Box<dyn Fn(&mut Value)>;
    let changes: Vec<Change> = vec![
        Box::new(|_| {}),
        Box::new(|question| question["messages"][1]["content"] = json!("which country is us?")),
        Box::new(|question| question["messages"][0]["content"] = json!("be brief ")),
        Box::new(|question| question["messages"][0]["role"] = json!("developer")),
        Box::new(|question| question["tools"][0]["function"]["name"] = json!("Look")),
        Box::new(|question| question["tools"] = json!(null)),
        Box::new(|question| question["temperature"] = json!(0.1)),
        Box::new(|question| question["top_p"] = json!(0.5)),
        Box::new(|question| question["max_tokens"] = json!(7)),
        Box::new(|question| question["seed"] = json!(7)),
        Box::new(|question| question["stop"] = json!(["x"])),
        Box::new(|question| question["response_format"] = json!({"type": "json_object"})),
        Box::new(|question| question["tool_choice"] = json!("none")),
        Box::new(|question| question["user"] = json!("u-1")),
        Box::new(|question| question["a_field_of_tomorrow"] = json!(1)),
        Box::new(|question| question["model"] = json!("two/m")),
        Box::new(|question| question["model"] = json!("sim/m2")),
        Box::new(|question| question["fallbacks"] = json!(["two/m"])),
        Box::new(|question| question["stream"] = json!(true)),
    ];
    let mut requests: Vec<Request> = changes.iter().map(|change| with(change)).collect();
    requests.push(with(&|_| {}).header("openai-beta", "assistants=v2"));
    requests.push(with(&|_| {}).header("openai-beta", "assistants=v3"));
    requests.push(with(&|_| {}).header("anthropic-beta", "x"));
    requests.push(with(&|_| {}).header("x-tollgate-strict", "true"));
    requests.push(with(&|_| {}).header("x-tollgate-user", "u-2"));
    let first = each(&setting, &requests);
    assert!(first.iter().all(|cache| cache == "miss"), "{first:?}");
    assert_eq!(setting.seen(), requests.len() as u64);
    let second = each(&setting, &requests);
    assert!(second.iter().all(|cache| cache == "hit"), "{second:?}");
    assert_eq!(setting.seen(), requests.len() as u64);
}

#[test]
fn k12_every_surface_keeps_its_own_answers_in_its_own_form() {
    let setting = Setting::of_key("cache = true");
    let messages = |streamed: bool| {
        let mut question = question("claude/m");
        question["max_tokens"] = json!(50);
        question["stream"] = json!(streamed);
        Request::post("/v1/messages", &question).header("anthropic-version", "2023-06-01")
    };
    let google = |place: &str| {
        let question = json!({"contents": [{"role": "user", "parts": [{"text": "hello"}]}]});
        Request::post(&format!("/v1beta/models/sim/m:{place}"), &question)
    };
    let requests = [
        messages(false),
        messages(true),
        messages(true).header("anthropic-beta", "x"),
        google("generateContent"),
        google("streamGenerateContent"),
        google("streamGenerateContent?alt=sse"),
    ];
    let first = requests.each_ref().map(|request| setting.ask("k", request));
    let second = requests.each_ref().map(|request| setting.ask("k", request));
    for (first, second) in first.iter().zip(&second) {
        assert_eq!((first.status, cache(first), cache(second)), (200, "miss", "hit"), "{}", first.text());
        assert_eq!(first.text(), second.text());
        assert!(first.text().contains("hello"), "{}", first.text());
        assert_eq!(first.header("content-type"), second.header("content-type"));
    }
    assert_eq!(setting.seen(), requests.len() as u64);
}

#[test]
fn j1_answers_are_nobody_elses_unless_sharing_is_asked_for() {
    let team = |name: &str| format!("[[teams]]\nname = \"{name}\"\norganisation = \"o\"\n");
    let route = |name: &str, share: &str| {
        format!("[models.{name}]\ntargets = [\"sim/m\"]\ncache = {{ share = \"{share}\" }}\n")
    };
    let setting = Setting::new(&format!(
        "[[organisations]]\nname = \"o\"\n{}{}{}{}{}{}{}{}{}{}{}",
        team("x"),
        team("y"),
        route("own", "key"),
        route("team", "team"),
        route("organisation", "organisation"),
        route("all", "all"),
        key("x1", "team = \"x\""),
        key("x2", "team = \"x\""),
        key("y1", "team = \"y\""),
        key("alone", ""),
        key("narrow", "cache = { share = \"key\" }"),
    ));
    let first_hit = |model: &str| {
        let names = ["x1", "x2", "y1", "alone", "narrow"];
        names.map(|name| cache(&setting.ask(name, &using(chat(model)))).to_owned())
    };
    assert_eq!(first_hit("sim/m"), ["miss"; 5], "the default");
    assert_eq!(first_hit("own"), ["miss"; 5]);
    assert_eq!(first_hit("team"), ["miss", "hit", "miss", "miss", "miss"]);
    assert_eq!(first_hit("organisation"), ["miss", "hit", "hit", "miss", "miss"]);
    assert_eq!(first_hit("all"), ["miss", "hit", "hit", "hit", "miss"]);
    // Each got an answer of its own, and has it still.
    assert_eq!(first_hit("own"), ["hit"; 5]);
}

#[test]
fn j1_end_users_of_one_key_do_not_see_each_others_answers() {
    let setting = Setting::of_key("cache = true");
    let of = |user: &str| chat("sim/m").header("x-tollgate-user", user);
    assert_eq!(
        each(&setting, &[of("ann"), of("bob"), of("ann"), chat("sim/m")]),
        ["miss", "miss", "hit", "miss"]
    );
}

#[test]
fn j1_a_key_that_is_made_again_under_the_same_name_begins_with_nothing() {
    let setting = Setting::of_key("");
    let spec = json!({"name": "ci", "cache": {"ttl": "5m"}});
    let ask = |secret: &str| cache(&setting.gateway.ask(&chat("sim/m").key(secret))).to_owned();
    let secret = create(&setting.gateway, &spec);
    assert_eq!([ask(&secret), ask(&secret)], ["miss", "hit"]);
    assert!(matches!(setting.admin(&Request::new("DELETE", "/api/keys/ci")).status, 200 | 204));
    let secret = create(&setting.gateway, &spec);
    assert_eq!([ask(&secret), ask(&secret)], ["miss", "hit"]);
}

#[test]
fn k12_no_store_is_neither_read_nor_stored_and_no_cache_is_stored() {
    let setting = Setting::of_key("cache = true");
    let plain = || chat("sim/m");
    let no_store = || plain().header("cache-control", "private, no-store");
    let no_cache = || plain().header("cache-control", "no-cache");
    assert_eq!(each(&setting, &[no_store(), plain(), no_store(), plain()]), ["off", "miss", "off", "hit"]);
    assert_eq!(setting.seen(), 3);
    // What is new takes the place of what was there.
    let before = setting.ask("k", &plain());
    assert_eq!(each(&setting, &[no_cache(), plain()]), ["miss", "hit"]);
    assert_eq!(setting.seen(), 4);
    assert_eq!(setting.ask("k", &plain()).text(), before.text());
    assert_eq!(each(&setting, &[plain().header("cache-control", "max-age=0"), plain()]), ["miss", "hit"]);
    let words = ["off", "false", "False", "no-store", "no-cache"];
    let asked: Vec<Request> = words.iter().map(|word| plain().header("x-tollgate-cache", word)).collect();
    assert_eq!(each(&setting, &asked), ["off", "off", "off", "off", "miss"]);
}

#[test]
fn values_that_are_not_known_are_refused_by_header() {
    let setting = Setting::new(&format!("[cache]\nmax_ttl = \"1h\"\n{}", key("k", "")));
    for (name, value) in [
        ("x-tollgate-cache", "yes"),
        ("x-tollgate-cache", "5m"),
        ("x-tollgate-cache", ""),
        ("x-tollgate-cache-ttl", "5m"),
        ("x-tollgate-cache-ttl", "0"),
        ("x-tollgate-cache-ttl", "-5"),
        ("x-tollgate-cache-ttl", "3601"),
        ("x-tollgate-cache-ttl", "18446744073709551616"),
    ] {
        let answer = setting.ask("k", &chat("sim/m").header(name, value));
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad_field"), "{name}: {value}");
        assert_eq!(answer.error()["param"], name);
        let message = answer.error()["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.starts_with(&format!("{name}: expected ")), "{message}");
    }
    assert_eq!(setting.seen(), 0);
}

#[test]
fn k12_only_complete_answers_are_stored() {
    let setting = Setting::new(&format!(
        "[models.once]\ntargets = [\"sim/m+fail_first=1,id=once\"]\nattempts = 1\n{}",
        key("k", "cache = true")
    ));
    let twice = |request: &Request| {
        let before = setting.seen();
        let answers = [(); 2].map(|()| setting.ask("k", request));
        (answers, setting.seen() - before)
    };
    let ([failed, _], _) = twice(&chat("once"));
    assert_eq!((failed.status, cache(&failed)), (502, "miss"), "{}", failed.text());
    let (answers, calls) = twice(&chat("once"));
    assert_eq!((with_status(&answers, 200), calls), (2, 0), "the answer after it was");
    for how in ["status=400", "error=context_length", "finish=length,status=422"] {
        let (answers, calls) = twice(&chat(&format!("sim/m+{how}")));
        assert!(answers.iter().all(|answer| answer.status >= 400 && cache(answer) == "miss"), "{how}");
        assert!(calls >= 2, "{how}: {calls}");
    }
    for how in ["cut_after_events=4", "end_after_events=4", "error_after=4"] {
        let (answers, calls) = twice(&stream(&format!("sim/m+events=9,chars=90,{how}"), 50));
        assert!(
            answers.iter().all(|answer| !answer.is_done() && !answer.error().is_null()),
            "{how}: {answers:?}"
        );
        assert_eq!(calls, 2, "{how}");
    }
    let (answers, calls) = twice(&stream("sim/m+no_done", 50));
    assert_eq!((cache(&answers[1]), calls), ("hit", 1), "the answer is whole without its end mark");
    assert_eq!(answers[0].text(), answers[1].text());
}

#[test]
fn an_answer_that_a_limit_has_cut_short_is_not_stored() {
    // Room for some of the output a model may write: the gateway caps it, and ends what goes on all the same.
    let limits = "cache = true\ntpm = 200";
    let keys = ["a", "b", "c"].map(|name| key(name, limits)).concat();
    let setting = Setting::new(&keys);
    let long = |model: &str, streamed: bool| {
        let mut question = question(model);
        question["stream"] = json!(streamed);
        Request::post(CHAT, &question)
    };
    for (name, request) in [
        ("a", long("sim/m+chars=4000", false)),
        ("b", long("sim/m+chars=4000,events=40", true)),
        ("c", long("sim/m+chars=4000,events=40,uncapped", true)),
    ] {
        let answer = setting.ask(name, &request);
        assert_eq!((answer.status, cache(&answer)), (200, "miss"), "{}", answer.text());
        assert!(answer.text().contains("\"length\""), "{}", answer.text());
        // There may or may not be room for another.
        assert_ne!(cache(&setting.ask(name, &request)), "hit");
    }
}

#[test]
fn what_could_not_be_carried_is_told_again() {
    let setting = Setting::of_key("cache = true");
    let mut question = question("claude/m");
    question["seed"] = json!(5);
    question["max_tokens"] = json!(50);
    let [first, second] = [(); 2].map(|()| setting.ask("k", &Request::post(CHAT, &question)));
    assert_eq!((cache(&first), cache(&second)), ("miss", "hit"));
    assert!(first.header("x-tollgate-lost").contains("seed"), "{first:?}");
    assert_eq!(first.header("x-tollgate-lost"), second.header("x-tollgate-lost"));
}

#[test]
fn c13_a_hit_has_its_own_row_and_costs_nothing() {
    let setting = Setting::of_key("cache = true\nbudget = [{ usd = 1, per = \"day\" }]\nrpm = 100");
    for _ in 0..4 {
        assert_eq!(setting.chat("sim/m").status, 200);
    }
    let spent = setting.ended("key:k", 4);
    assert_eq!((spent.requests, spent.failed, spent.unpriced, spent.input, spent.output), (4, 0, 0, 2, 4));
    let bill = setting.bill();
    assert_eq!(bill.calls, 1);
    crate::setting::assert_usd(spent.usd, bill.usd());
    let rows = setting.admin(&Request::get("/api/requests?key=k")).json()["data"].clone();
    let rows = rows.as_array().expect("rows");
    let told = |row: &Value| {
        (row["cache"].as_str().unwrap_or_default().to_owned(), row["attempts"].as_u64().expect("attempts"))
    };
    let mut told: Vec<_> = rows.iter().map(told).collect();
    told.sort();
    assert_eq!(told, [("hit".into(), 0), ("hit".into(), 0), ("hit".into(), 0), ("miss".into(), 1)]);
    for row in rows.iter().filter(|row| row["cache"] == "hit") {
        assert_eq!(
            (&row["usd"], &row["status"], &row["input_tokens"]),
            (&json!(0), &json!(200), &json!(0)),
            "{row}"
        );
        assert_eq!((&row["provider"], &row["key"]), (&json!("sim"), &json!("k")), "{row}");
    }
    let ids: std::collections::BTreeSet<_> = rows.iter().map(|row| row["id"].as_str()).collect();
    assert_eq!(ids.len(), 4);
    let labels = r#"tollgate_cache_total{provider="sim",model="m",result="#;
    assert_eq!(metric(&setting, &format!("{labels}\"hit\"}}")).as_deref(), Some("3"));
    assert_eq!(metric(&setting, &format!("{labels}\"miss\"}}")).as_deref(), Some("1"));
    assert_eq!(setting.limit("key:k", "rpm").used as u64, 4, "each is a request");
}

#[test]
fn c13_b11_a_hit_works_when_the_money_and_the_tokens_are_used_up_and_counts_as_a_request() {
    let setting = Setting::of_key("budget = [{ usd = 0.15, per = \"day\" }]\ntpm = 400\nrpm = 5");
    assert_eq!(setting.ask("k", &using(chat("sim/m"))).status, 200);
    assert_eq!(setting.ask("k", &tenth("")).status, 200);
    assert_limited(&setting.ask("k", &tenth("")), "budget_exceeded", "key:k");
    let hit = setting.ask("k", &using(chat("sim/m")));
    assert_eq!((hit.status, cache(&hit)), (200, "hit"), "{}", hit.text());
    let before = setting.limit("key:k", "tpm").used;
    assert_eq!(cache(&setting.ask("k", &using(chat("sim/m")))), "hit");
    assert!(setting.limit("key:k", "tpm").used <= before);
    // Five are requests: the one that was refused for its cost took nothing.
    assert_eq!(cache(&setting.ask("k", &using(chat("sim/m")))), "hit");
    assert_limited(&setting.ask("k", &using(chat("sim/m"))), "rpm_exceeded", "key:k");
    assert_eq!(setting.seen(), 2);
}

#[test]
fn a_hit_is_for_those_only_who_may_ask() {
    let setting = Setting::new(&format!(
        "[cache]\nshare = \"all\"\n{}{}",
        key("k", "cache = true"),
        key("other", "cache = true\nmodels = [\"two/*\"]")
    ));
    assert_eq!(each(&setting, &[chat("sim/m"), chat("sim/m")]), ["miss", "hit"]);
    let refused = setting.ask("other", &chat("sim/m"));
    assert_eq!((refused.status, refused.code().as_str(), cache(&refused)), (403, "model_not_allowed", "off"));
    assert_eq!(setting.gateway.ask(&chat("sim/m").key("tg-nobody")).status, 401);
    assert_eq!(
        setting.admin(&Request::post("/api/keys/other/block", &json!({}))).status / 100,
        4,
        "of the config"
    );
}

#[test]
fn k13_a_stampede_of_equal_requests_makes_one_upstream_call() {
    let setting = Setting::of_key("cache = true\nrpm = 1000");
    for (calls, gate, request) in [
        (1, "head", chat("sim/m+gate=head")),
        (2, "body", stream("sim/m+events=5,gate=body,gate_after=2", 50)),
        (3, "other", stream("claude/m+gate=other,gate_after=2", 50)),
    ] {
        let answers = crowd(&setting, &request, 60, gate);
        assert_eq!(setting.seen(), calls);
        assert_eq!(with_status(&answers, 200), 60);
        assert!(
            answers.iter().all(|answer| answer.body == answers[0].body && answer.said() == "You said: hello")
        );
        assert_eq!(answers.iter().filter(|answer| cache(answer) == "miss").count(), 1);
        assert_eq!(answers.iter().filter(|answer| cache(answer) == "hit").count(), 59);
    }
    let spent = setting.ended("key:k", 180);
    assert_eq!((spent.requests, spent.failed), (180, 0));
    crate::setting::assert_usd(spent.usd, setting.bill().usd());
}

#[test]
fn k13_different_questions_do_not_wait_for_each_other() {
    let setting = Setting::of_key("cache = true");
    let mut slow = setting.gateway.connect();
    slow.send(&chat("sim/m+head_silence").key(&secret("k")).bytes());
    eventually("it is asked", || setting.seen() == 1);
    assert_eq!(each(&setting, &[chat("sim/m"), chat("sim/m")]), ["miss", "hit"]);
}

#[test]
fn k13_a_leader_that_fails_is_followed_by_the_next() {
    let setting = Setting::new(&format!(
        "[models.once]\ntargets = [\"sim/m+fail_first=1,id=once,gate=g\"]\nattempts = 1\n{}",
        key("k", "cache = true")
    ));
    let answers = crowd(&setting, &chat("once"), 30, "g");
    assert_eq!((with_status(&answers, 200), with_status(&answers, 502)), (29, 1));
    assert_eq!(setting.seen(), 2);
}

#[test]
fn k13_a_leader_that_leaves_starves_nobody_and_a_client_that_waits_may_leave() {
    let setting = Setting::of_key("cache = true");
    let request = chat("sim/m+gate=g").key(&secret("k"));
    let begin = || {
        let mut client = setting.gateway.connect();
        client.send(&request.bytes());
        client
    };
    let leader = begin();
    eventually("it is asked", || setting.seen() == 1);
    let mut waiting: Vec<Connection> = (0..10).map(|_| begin()).collect();
    eventually("all are there", || in_flight(&setting) == 11);
    drop(waiting.pop());
    eventually("one has left", || in_flight(&setting) == 10);
    assert_eq!(setting.seen(), 1);
    drop(leader);
    eventually("another asks", || setting.seen() == 2);
    open(&setting, "g");
    let answers: Vec<Answer> = waiting.iter_mut().map(Connection::answer).collect();
    assert_eq!(with_status(&answers, 200), 9);
    assert_eq!(setting.seen(), 2);
    assert_eq!(answers.iter().filter(|answer| cache(answer) == "hit").count(), 8);
    eventually("nothing in flight", || in_flight(&setting) == 0);
}

#[test]
fn k13_a_stream_whose_client_leaves_in_the_middle_is_not_kept() {
    let setting = Setting::of_key("cache = true");
    let request = stream("sim/m+events=6,gate=g,gate_after=3", 50).key(&secret("k"));
    let mut leader = setting.gateway.connect();
    leader.send(&request.bytes());
    assert_eq!(leader.head().status, 200);
    assert!(leader.chunk().is_some());
    let mut second = setting.gateway.connect();
    second.send(&request.bytes());
    eventually("both are there", || in_flight(&setting) == 2);
    drop(leader);
    eventually("the other asks", || setting.seen() == 2);
    open(&setting, "g");
    let answer = second.answer();
    assert!((cache(&answer), answer.said().as_str()) == ("miss", "You said: hello") && answer.is_done());
    assert_eq!(cache(&setting.gateway.ask(&request)), "hit");
    assert_eq!(setting.seen(), 2);
}

#[test]
fn an_answer_that_is_too_large_is_not_kept_and_nobody_waits_for_it() {
    let setting = Setting::new(&format!("[cache]\nmax_entry = \"2KiB\"\n{}", key("k", "cache = true")));
    let answers = crowd(&setting, &chat("sim/m+chars=4000,gate=g"), 8, "g");
    assert_eq!(with_status(&answers, 200), 8);
    assert!(answers.iter().all(|answer| cache(answer) == "miss"));
    assert_eq!(setting.seen(), 8);
    assert_eq!(each(&setting, &[chat("sim/m+chars=400"), chat("sim/m+chars=400")]), ["miss", "hit"]);
}

#[test]
fn what_was_used_least_recently_goes_first() {
    let setting = Setting::new(&format!("[cache]\nmax_size = \"6KiB\"\n{}", key("k", "cache = true")));
    let about = |n: u32| chat(&format!("sim/m{n}+chars=1000"));
    assert_eq!(each(&setting, &[about(1), about(2), about(1)]), ["miss", "miss", "hit"]);
    assert_eq!(each(&setting, &[about(3), about(1), about(4), about(1)]), ["miss", "hit", "miss", "hit"]);
    assert_eq!(each(&setting, &[about(2)]), ["miss"]);
}

#[test]
fn an_answer_is_given_until_its_time_is_over() {
    let setting = Setting::of_key("");
    let request = chat("sim/m").header("x-tollgate-cache-ttl", "1");
    assert_eq!(each(&setting, std::slice::from_ref(&request)), ["miss"]);
    eventually("it is asked again", || {
        let _ = setting.ask("k", &request);
        setting.seen() == 2
    });
}

#[test]
fn a_route_that_leads_elsewhere_gives_no_answers_of_before() {
    let route = |to: &str| format!("[models.m]\ntargets = [\"{to}\"]\ncache = true\n");
    let setting = Setting::new(&format!("{}{}", key("k", ""), route("sim/m")));
    assert_eq!(each(&setting, &[chat("m"), chat("m")]), ["miss", "hit"]);
    let config = std::fs::read_to_string(setting.gateway.config()).expect("its config");
    let changed = config.replace(&route("sim/m"), &route("two/m"));
    assert_ne!(config, changed);
    std::fs::write(setting.gateway.config(), changed).expect("a config can be written");
    setting.gateway.signal("HUP");
    eventually("the new route is there", || {
        setting.ask("k", &chat("m")).header("x-tollgate-provider") == "two"
    });
    assert_eq!(each(&setting, &[chat("m")]), ["hit"]);
}

#[test]
fn a_keys_use_of_the_cache_is_set_over_the_admin_api() {
    let setting = Setting::of_key("");
    let secret = create(&setting.gateway, &json!({"name": "ci", "cache": {"ttl": "90s", "share": "team"}}));
    let ask = || cache(&setting.gateway.ask(&chat("sim/m").key(&secret))).to_owned();
    assert_eq!([ask(), ask()], ["miss", "hit"]);
    // Without a team its answers are its own either way.
    let shown = || setting.admin(&Request::get("/api/keys/ci")).json()["cache"].clone();
    assert_eq!(shown(), json!({"ttl": "90s", "share": "team"}));
    let change =
        |cache: &Value| setting.admin(&Request::json("PATCH", "/api/keys/ci", &json!({"cache": cache})));
    for (cache, found) in [(json!(false), "off"), (json!(true), "hit"), (json!(null), "off")] {
        assert_eq!(change(&cache).status, 200);
        assert_eq!((shown(), ask().as_str()), (cache, found));
    }
    for (wrong, field) in [
        (json!("use"), "cache"),
        (json!({"ttl": 300}), "cache.ttl"),
        (json!({"ttl": "2d"}), "cache.ttl"),
        (json!({"share": "everybody"}), "cache.share"),
        (json!({"tll": "5m"}), "cache.tll"),
    ] {
        let answer = change(&wrong);
        assert_eq!(
            (answer.status, answer.error()["param"].as_str()),
            (400, Some(field)),
            "{}",
            answer.text()
        );
    }
}
