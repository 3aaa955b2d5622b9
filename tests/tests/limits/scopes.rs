//! Whose limits: all scopes of a request take it or none does.

use crate::setting::{CHAT, Setting, assert_limited, capped, chat, key, question, tenth};
use serde_json::{Value, json};
use tollgate_tests::http::Request;

const QUARTER: &str = "budget = [{ usd = 0.25, per = \"day\" }]";

/// Somebody of each kind, with `limits`, and a key for each that belongs to him: `of-team` and so on.
fn somebody_of_each_kind(limits: &str) -> String {
    let holder = |kind: &str| format!("[[{kind}]]\nname = \"x\"\n{limits}\n");
    let holders: String = ["organisations", "teams", "users", "tags"].map(holder).concat();
    let keys = [
        key("of-organisation", "organisation = \"x\""),
        key("of-team", "team = \"x\""),
        key("of-user", "user = \"x\""),
        key("of-tag", "tags = [\"x\"]"),
        key("of-key", limits),
        key("of-end-user", &format!("end_user = {{ {} }}", limits.replace('\n', ", "))),
    ];
    holders + &keys.concat()
}

#[test]
fn b6_each_scope_is_asked_on_every_call() {
    let setting = Setting::new(&somebody_of_each_kind(QUARTER));
    let scopes = ["organisation:x", "team:x", "user:x", "tag:x", "key:of-key", "key:of-end-user/end-user:"];
    for scope in scopes {
        let kind = scope
            .split(['/', ':'])
            .find(|word| word.starts_with("of-"))
            .map_or_else(|| format!("of-{}", scope.split(':').next().unwrap_or_default()), str::to_owned);
        let statuses: Vec<_> = (0..3).map(|_| setting.ask(&kind, &tenth("")).status).collect();
        assert_eq!(statuses, [200, 200, 402], "{scope}");
        assert_limited(&setting.ask(&kind, &tenth("")), "budget_exceeded", scope);
    }
}

#[test]
fn b6_a_users_budget_holds_although_his_key_has_a_team_with_room() {
    let setting = Setting::new(&format!(
        "[[organisations]]\nname = \"o\"\nbudget = [{{ usd = 90, per = \"month\" }}]\n\
         [[teams]]\nname = \"t\"\norganisation = \"o\"\nbudget = [{{ usd = 10, per = \"day\" }}]\n\
         [[users]]\nname = \"u\"\norganisation = \"o\"\n{QUARTER}\n{}{}",
        key("one", "team = \"t\"\nuser = \"u\"\nbudget = [{ usd = 5, per = \"day\" }]"),
        key("other", "team = \"t\""),
    ));
    assert_eq!(setting.ask("one", &tenth("")).status, 200);
    assert_eq!(setting.ask("one", &tenth("")).status, 200);
    assert_limited(&setting.ask("one", &tenth("")), "budget_exceeded", "user:u");
    assert_eq!(setting.ask("other", &tenth("")).status, 200);
    for (scope, tenths) in [("organisation:o", 3), ("team:t", 3), ("user:u", 2), ("key:one", 2)] {
        crate::setting::assert_usd(setting.settled(scope, tenths).usd, tenths as f64 * crate::setting::TENTH);
    }
}

#[test]
fn a_refused_call_takes_from_no_scope() {
    let setting = Setting::new(&format!(
        "[[organisations]]\nname = \"o\"\nrpm = 3\n[[teams]]\nname = \"t\"\norganisation = \"o\"\nrpm = 3\ntpm = 100000\n{}{}",
        key("poor", "team = \"t\"\nbudget = [{ usd = 0.01, per = \"day\" }]"),
        key("k", "team = \"t\""),
    ));
    for _ in 0..10 {
        assert_limited(&setting.ask("poor", &tenth("")), "budget_exceeded", "key:poor");
    }
    let statuses: Vec<_> = (0..4).map(|_| setting.chat("sim/m").status).collect();
    assert_eq!(statuses, [200, 200, 200, 429]);
}

#[test]
fn of_several_limits_without_room_the_one_that_opens_last_is_named() {
    let setting = Setting::new(&format!(
        "[[teams]]\nname = \"t\"\nrpm = 1\n{}",
        key("k", "team = \"t\"\nrpm = 1\nbudget = [{ usd = 0.11, per = \"year\" }]")
    ));
    assert_eq!(setting.ask("k", &tenth("")).status, 200);
    assert_limited(&setting.ask("k", &tenth("")), "budget_exceeded", "year");
}

/// A question that names its end user.
fn of(user: &Value) -> Request {
    let mut question = question("sim/m+chars=400");
    question["max_tokens"] = json!(100);
    if !user.is_null() {
        question["user"] = user.clone();
    }
    Request::post(CHAT, &question)
}

#[test]
fn b9_each_end_user_has_a_budget_wherever_his_id_stands() {
    let setting = Setting::of_key(&format!("end_user = {{ {QUARTER} }}"));
    let ask = |request: &Request| setting.ask("k", request).status;
    let ann = of(&json!("ann"));
    assert_eq!([ask(&ann), ask(&ann), ask(&ann)], [200, 200, 402]);
    assert_limited(&setting.ask("k", &ann), "budget_exceeded", "end-user:ann");
    assert_eq!(ask(&of(&json!("bob"))), 200);
    let header = |id: &str| of(&Value::Null).header("x-tollgate-user", id);
    assert_eq!([ask(&header("ann")), ask(&header("bob")), ask(&header("bob"))], [402, 200, 402]);
    // Leaving the id out goes around nothing either.
    let nobody = of(&Value::Null);
    assert_eq!([ask(&nobody), ask(&nobody), ask(&nobody)], [200, 200, 402]);
    assert_eq!([ask(&of(&json!(""))), ask(&of(&json!("  ")))], [402, 402]);
}

#[test]
fn b18_a_client_cannot_tag_itself_out_of_a_tags_budget() {
    let setting = Setting::new(&format!(
        "[[tags]]\nname = \"batch\"\n{QUARTER}\n[[tags]]\nname = \"rich\"\nbudget = [{{ usd = 100, per = \"day\" }}]\n{}{}",
        key("k", "tags = [\"batch\"]"),
        key("free", ""),
    ));
    let tagged = |tags: &Value| {
        let mut question = question("sim/m+chars=400");
        question["max_tokens"] = json!(100);
        question["metadata"] = json!({"tags": tags});
        Request::post(CHAT, &question).header("x-tollgate-tags", "rich")
    };
    for tags in [json!(["rich"]), json!("rich")] {
        setting.ask("k", &tagged(&tags));
    }
    assert_limited(&setting.ask("k", &tagged(&json!(["rich"]))), "budget_exceeded", "tag:batch");
    assert_eq!(setting.spend("tag:rich").requests, 0, "spend cannot be moved to another tag");
    // Nor can it draw on a tag that is not its key's.
    assert_eq!(setting.ask("free", &tagged(&json!(["batch"]))).status, 200);
    assert_eq!(setting.limit("tag:rich", "budget").used, 0.0);
}

#[test]
fn b18_a_tag_that_a_key_lets_its_clients_set_is_for_attribution_alone() {
    let setting = Setting::of_key("client_tags = [\"job-*\"]");
    let tagged = |tags: &str| chat("sim/m").header("x-tollgate-tags", tags);
    assert_eq!(setting.ask("k", &tagged("job-1, other")).status, 200);
    tollgate_tests::gateway::eventually("it is on record", || setting.spend("tag:job-1").requests == 1);
    assert_eq!(setting.spend("tag:other").requests, 0);
}

#[test]
fn b19_a_fallback_is_checked_for_its_models_and_budget_before_it_is_used() {
    let setting = Setting::new(&format!(
        "[models.m]\nstrategy = \"ordered\"\ntargets = [\"sim/m+status=503\"]\nfallbacks = [\"two/m+chars=400\"]\n{}{}{}",
        key("may", ""),
        key("poor", &format!("limits = [{{ provider = \"two\", {QUARTER} }}]")),
        key("narrow", "models = [\"sim/*\"]"),
    ));
    let ask = |name: &str| setting.ask(name, &capped("m", 100));
    assert_eq!(ask("may").header("x-tollgate-provider"), "two");
    assert_eq!((ask("poor").status, ask("poor").status), (200, 200));
    let spent = ask("poor");
    assert!(spent.status >= 400, "two is out of reach: {}", spent.text());
    // Named by the client, it is refused at once.
    let mut named = question("sim/m+status=503");
    named["fallbacks"] = json!(["two/m"]);
    let refused = setting.ask("narrow", &Request::post(CHAT, &named));
    assert_eq!((refused.status, refused.code().as_str()), (403, "model_not_allowed"));
    let asked_two = setting.log().iter().filter(|entry| entry["status"] == 200).count();
    assert_eq!(asked_two, 3);
}

#[test]
fn b6_a_targets_own_limit_sends_calls_to_the_other_target() {
    let setting = Setting::new(&format!(
        "[models.m]\nstrategy = \"ordered\"\ntargets = [\"sim/m\", \"two/m\"]\n{}",
        key("k", "limits = [{ provider = \"sim\", rpm = 1 }, { provider = \"two\", rpm = 2 }]")
    ));
    let who: Vec<_> = (0..3).map(|_| setting.chat("m").header("x-tollgate-provider").to_owned()).collect();
    assert_eq!(who, ["sim", "two", "two"]);
    let refused = setting.chat("m");
    assert_eq!((refused.status, refused.code().as_str()), (429, "rpm_exceeded"), "a11: never a random one");
    assert_eq!(setting.seen(), 3);
}
