use super::*;
use serde_json::json;

#[test]
fn a_litellm_key_is_made_with_its_limits_and_works() {
    let mut stage = Stage::open();
    stage.made("/api/tags", r#"{"name":"batch"}"#);
    stage.made(
        "/team/new",
        r#"{"team_id":"search","team_alias":"Search-team","max_budget":100,"budget_duration":"30d"}"#,
    );
    let body = r#"{"key_alias":"ci","duration":"30d","models":["gpt-4o"],"max_budget":10,"soft_budget":8,
        "budget_duration":"1d","tpm_limit":1000,"rpm_limit":60,"max_parallel_requests":4,"team_id":"search",
        "tags":["batch"],"metadata":{"a":1},"blocked":false,"aliases":{},"guardrails":[],"send_invite_email":false,
        "model_rpm_limit":{"gpt-4o":6},"model_max_budget":{"gpt-4o":{"budget_limit":2,"time_period":"1d"}}}"#;
    let told = stage.made("/key/generate", body);
    assert_eq!(told.body["key_name"], "ci");
    assert_eq!(told.body["team_id"], "search");
    assert_eq!(told.body["max_budget"], 10);
    assert_eq!(told.body["budget_duration"], "1d");
    assert_eq!(told.body["expires"], spec::written(NOON + Millis(30 * 86_400_000)));
    assert_eq!(told.body["warnings"], json!(["send_invite_email: has no effect here"]));
    let secret = told.secret();
    assert_eq!(stage.call(&secret, "GET", "/api/me", "").body["actor"], "key:ci");
    let own = stage.admin("GET", "/api/keys/ci", "").body;
    assert_eq!(own["budget"], json!([{"usd": 10, "per": "day", "zone": "UTC", "warn": 80}]));
    assert_eq!((&own["rpm"], &own["tpm"], &own["concurrency"]), (&json!(60), &json!(1000), &json!(4)));
    let budget = json!([{"usd": 2, "per": "day", "zone": "UTC"}]);
    assert_eq!(own["limits"], json!([{"model": "gpt-4o", "rpm": 6, "budget": budget}]));
    assert_eq!(own["metadata"], json!({"a": 1}));
    let team = stage.admin("GET", "/api/teams/search", "").body;
    assert_eq!(team["budget"], json!([{"usd": 100, "per": "month", "zone": "UTC"}]));
}

#[test]
fn of_a_litellm_budget_what_an_update_does_not_name_stays() {
    let mut stage = Stage::open();
    let body = r#"{"key_alias":"a","max_budget":10,"soft_budget":8,"budget_duration":"30d",
        "budget_limits":[{"max_budget":1,"budget_duration":"1d"}],"model_rpm_limit":{"m":5},
        "model_max_budget":{"m":{"budget_limit":2,"time_period":"1d"}}}"#;
    assert_eq!(stage.made("/key/generate", body).body["budget_duration"], "30d");
    let mut update = |fields: &str| {
        let told = stage.made("/key/update", &format!(r#"{{"key":"a",{fields}}}"#)).body;
        let own = stage.admin("GET", "/api/keys/a", "").body;
        (told["max_budget"].clone(), told["budget_duration"].clone(), own)
    };
    let day = json!({"usd": 1, "per": "day", "zone": "UTC"});
    let (most, duration, own) = update(r#""max_budget":20"#);
    assert_eq!((most, duration), (json!(20), json!("30d")));
    assert_eq!(own["budget"], json!([{"usd": 20, "per": "month", "zone": "UTC", "warn": 80}, day]));
    let (most, duration, own) = update(r#""budget_duration":"7d""#);
    assert_eq!((most, duration), (json!(20), json!("7d")));
    assert_eq!(own["budget"][1], day);
    let (_, _, own) = update(r#""model_rpm_limit":{"m":7,"n":1}"#);
    let budget = json!([{"usd": 2, "per": "day", "zone": "UTC"}]);
    assert_eq!(own["limits"], json!([{"model": "m", "rpm": 7, "budget": budget}, {"model": "n", "rpm": 1}]));
    let (most, _, own) = update(r#""max_budget":null,"budget_duration":null,"soft_budget":null"#);
    assert_eq!((most, own["budget"].clone()), (json!(1), json!([day])));
    assert_eq!(stage.admin("POST", "/key/update", r#"{"key":"a","rpm_limit":5}"#).status, 200);
    assert_eq!(stage.admin("GET", "/api/keys/a", "").body["budget"], json!([day]));
}

#[test]
fn a_litellm_key_for_all_models_may_call_all() {
    let mut stage = Stage::open();
    for (name, models) in [("a", "all-proxy-models"), ("b", "all-team-models")] {
        let body = format!(r#"{{"key_alias":"{name}","models":["{models}"]}}"#);
        assert_eq!(stage.made("/key/generate", &body).body["models"], json!([]));
    }
    let none = stage.admin("POST", "/key/generate", r#"{"models":["no-default-models"]}"#);
    assert_eq!((none.code(), none.param()), ("unsupported", "models"));
}

#[test]
fn a_teams_models_hold_for_all_its_keys() {
    let mut stage = Stage::open();
    let told = stage.made("/team/new", r#"{"team_alias":"t","models":["gpt-4o","claude*"]}"#);
    assert_eq!(told.body["models"], json!(["gpt-4o", "claude*"]));
    assert_eq!(stage.admin("GET", "/api/teams/t", "").body["models"], json!(["gpt-4o", "claude*"]));
    let wide = stage.made("/key/generate", r#"{"team_id":"t","models":["all-team-models"]}"#).secret();
    let narrow = stage.made("/key/generate", r#"{"team_id":"t","models":["gpt-*"]}"#).secret();
    for (secret, allowed) in [(wide, ["gpt-4o", "claude-3"].as_slice()), (narrow, &["gpt-4o"])] {
        let key = stage.directory.key_of(&crate::keyring::digest(secret.as_bytes())).unwrap();
        let caller = stage.directory.caller(key, None);
        for model in ["gpt-4o", "claude-3", "gpt-4.1"] {
            assert_eq!(caller.allows(model), allowed.contains(&model), "{model}");
        }
    }
}

#[test]
fn the_user_and_tags_of_a_litellm_key_are_made_where_they_are_not_there() {
    let mut stage = Stage::open();
    stage.made("/api/organisations", r#"{"name":"acme"}"#);
    stage.made("/api/teams", r#"{"name":"t","organisation":"acme"}"#);
    let body = r#"{"key_alias":"k","team_id":"t","user_id":"ann@example.com","tags":["batch"]}"#;
    let told = stage.made("/key/generate", body);
    assert_eq!((&told.body["user_id"], &told.body["tags"]), (&json!("ann@example.com"), &json!(["batch"])));
    assert_eq!(told.body["warnings"].as_array().unwrap().len(), 2);
    assert_eq!(stage.admin("GET", "/api/users/ann@example.com", "").body["organisation"], "acme");
    assert_eq!(stage.admin("GET", "/api/tags/batch", "").status, 200);
    let deed = stage.deeds.last().unwrap();
    let after = String::from_utf8_lossy(deed.after.as_ref().unwrap()).into_owned();
    assert!(after.contains("user:ann@example.com") && after.contains("tag:batch"), "{after}");
    assert_eq!(stage.call(&told.secret(), "GET", "/api/me", "").body["key"]["user"], "ann@example.com");
    // There now: named once more, nothing is made. What is refused makes nobody.
    assert_eq!(stage.made("/key/generate", &body.replace("\"k\"", "\"l\"")).body["warnings"], json!([]));
    let refused = stage.admin("POST", "/key/generate", r#"{"key_alias":"k","user_id":"bob"}"#);
    assert_eq!((refused.status, stage.admin("GET", "/api/users/bob", "").status), (409, 404));
}

#[test]
fn b5_key_info_tells_the_spend_that_the_budget_counts() {
    let mut stage = Stage::open();
    stage.made("/key/generate", r#"{"key_alias":"a","max_budget":10}"#);
    let secret = stage.made("/key/generate", r#"{"key_alias":"b","key":"sk-my-own-key-1234"}"#).secret();
    assert_eq!(secret, "sk-my-own-key-1234");
    let Ok(Plan::Limits(ask)) = stage.plan(ADMIN, "GET", "/key/info?key=a", "") else { panic!() };
    assert_eq!(ask.scopes[0].name, "key:a");
    let reading = crate::ledger::Reading {
        limit: "budget",
        budget: ask.scopes[0].limits.budgets.first().cloned(),
        most: 10_000_000_000,
        used: 2_500_000_000,
        held: 0,
        resets_at: None,
    };
    let report = crate::ledger::Report { scope: "key:a".to_owned(), gauges: vec![reading] };
    let told = Told::of(&render::limits(*ask, &[report]));
    assert_eq!((&told.body["key"], &told.body["info"]["spend"]), (&json!("a"), &json!(2.5)));
    let Ok(Plan::Spend(ask)) = stage.plan(&secret, "GET", "/key/info", "") else { panic!() };
    assert_eq!(ask.query.only, [Only { dimension: Dimension::Key, value: "b".to_owned() }]);
    let row = SpendRow { cost: NanoDollars(7), ..SpendRow::default() };
    assert_eq!(Told::of(&render::spend(*ask, &[row])).body["info"]["spend"].to_string(), "0.000000007");
    assert_eq!(stage.call(&secret, "GET", "/key/info?key=a", "").status, 404, "of others it sees nothing");
}

#[test]
fn litellm_keys_are_updated_and_deleted_by_secret_hash_or_name() {
    let mut stage = Stage::open();
    let secret = stage.made("/key/generate", r#"{"key_alias":"a","rpm_limit":5,"models":["x"]}"#).secret();
    let told = stage.made("/key/update", &format!(r#"{{"key":"{secret}","rpm_limit":9,"models":[]}}"#));
    assert_eq!((&told.body["rpm_limit"], &told.body["models"]), (&json!(9), &json!([])));
    assert!(!told.text.contains(&secret));
    let hash = spec::hex(&crate::keyring::digest(secret.as_bytes()));
    assert_eq!(
        stage.made("/key/update", &format!(r#"{{"key":"{hash}","rpm_limit":null}}"#)).body["rpm_limit"],
        Value::Null
    );
    stage.made("/key/generate", r#"{"key_alias":"b"}"#);
    let told = stage.made("/key/delete", &format!(r#"{{"keys":["{secret}"],"key_aliases":["b"]}}"#));
    assert_eq!(told.body["deleted_keys"], json!(["a", "b"]));
    assert_eq!(stage.admin("GET", "/api/keys", "").body["data"].as_array().unwrap().len(), 1);
}

#[test]
fn d3_a_key_that_is_not_found_is_not_echoed() {
    let mut stage = Stage::open();
    for (method, target, body) in [
        ("GET", "/key/info?key=sk-planted-secret", ""),
        ("POST", "/key/update", r#"{"key":"sk-planted-secret"}"#),
        ("POST", "/key/delete", r#"{"keys":["sk-planted-secret"]}"#),
    ] {
        let told = stage.admin(method, target, body);
        assert_eq!((told.status, told.code()), (404, "not_found"));
        assert!(!told.text.contains("planted"), "{}", told.text);
    }
}

#[test]
fn what_litellm_has_and_we_do_not_is_refused_by_name() {
    let mut stage = Stage::open();
    for (body, code, param) in [
        (r#"{"guardrails":["pii"]}"#, "unsupported", "guardrails"),
        (r#"{"aliases":{"a":"b"}}"#, "unsupported", "aliases"),
        (r#"{"spend":5}"#, "unsupported", "spend"),
        (r#"{"auto_rotate":true}"#, "unsupported", "auto_rotate"),
        (r#"{"budget_duration":"45d","max_budget":1}"#, "bad_field", "budget_duration"),
        (r#"{"budget_duration":"1d"}"#, "bad_field", "max_budget"),
        (r#"{"max_budget":-1}"#, "bad_field", "max_budget"),
        (r#"{"max_budget":1,"soft_budget":2}"#, "bad_field", "soft_budget"),
        (r#"{"duration":"forever"}"#, "bad_field", "duration"),
        (r#"{"allowed_routes":["management_routes"]}"#, "bad_field", "allowed_routes"),
        (r#"{"allowed_routes":["llm_api_routes","info_routes"]}"#, "bad_field", "allowed_routes"),
        (r#"{"allowed_routes":["llm_api_routes"],"key_type":"read_only"}"#, "bad_field", "allowed_routes"),
        (r#"{"tpd_limit":0}"#, "unsupported", "tpd_limit"),
        (r#"{"max_budget":0}"#, "bad_field", "max_budget"),
        (r#"{"rpm_limit":0}"#, "bad_field", "rpm_limit"),
        (r#"{"max_budget":1,"budget_duration":"2d"}"#, "bad_field", "budget_duration"),
        (r#"{"key_alias":"team/ci"}"#, "bad_field", "key_alias"),
        (r#"{"duration":"-2"}"#, "bad_field", "duration"),
        (r#"{"key_type":"management"}"#, "bad_field", "key_type"),
        (r#"{"team_id":"ghost"}"#, "not_found", "team_id"),
        (r#"{"key":"short"}"#, "bad_field", "key"),
        (r#"{"tpm_limits":5}"#, "bad_field", "tpm_limits"),
    ] {
        let told = stage.admin("POST", "/key/generate", body);
        assert_eq!((told.code(), told.param()), (code, param), "{body}: {}", told.text);
    }
    assert!(stage.deeds.is_empty());
}

#[test]
fn a_litellm_key_for_the_routes_of_models_may_call_all_of_them_and_administer_nothing() {
    let mut stage = Stage::open();
    let body =
        r#"{"key_alias":"ann@x.org ci.1","allowed_routes":["llm_api_routes"],"spend":0,"duration":"-1"}"#;
    let told = stage.made("/key/generate", body);
    assert_eq!(told.body["expires"], Value::Null);
    let secret = told.secret();
    let key = stage.directory.key_of(&crate::keyring::digest(secret.as_bytes())).unwrap();
    assert!(key.allows_path("/v1/chat/completions") && key.allows_path("/model/{model}/converse"));
    assert_eq!(stage.call(&secret, "GET", "/api/keys", "").status, 403);
    // A key that might read everything no longer may.
    stage
        .made("/key/generate", r#"{"key_alias":"r","key_type":"read_only","allowed_routes":["/v1/models"]}"#);
    stage.made("/key/update", r#"{"key":"r","allowed_routes":["llm_api_routes"]}"#);
    let own = stage.admin("GET", "/api/keys/r", "").body;
    assert_eq!((own.get("routes"), own["role"] == "viewer"), (None, false), "{own}");
}

#[test]
fn a_litellm_key_whose_duration_is_taken_away_expires_never() {
    let mut stage = Stage::open();
    for none in [r#""-1""#, "null"] {
        let told = stage.made("/key/generate", r#"{"duration":"30d"}"#);
        assert!(told.body["expires"].is_string());
        let update = format!(r#"{{"key":{},"duration":{none}}}"#, told.body["key_name"]);
        assert_eq!(stage.made("/key/update", &update).body["expires"], Value::Null, "{none}");
    }
}

#[test]
fn what_a_litellm_key_has_spent_is_not_set_by_an_update() {
    let mut stage = Stage::open();
    stage.made("/key/generate", r#"{"key_alias":"a","max_budget":10,"spend":0}"#);
    for spend in ["0", "0.0", "5"] {
        let told = stage.admin("POST", "/key/update", &format!(r#"{{"key":"a","spend":{spend}}}"#));
        assert_eq!((told.status, told.code(), told.param()), (400, "unsupported", "spend"), "{spend}");
    }
    assert_eq!(stage.made("/key/update", r#"{"key":"a","spend":null}"#).status, 200);
}

#[test]
fn a_bifrost_key_is_told_by_its_fields() {
    let mut stage = Stage::open();
    let body = r#"{"name":"vk","budget":{"max_limit":10,"reset_duration":"1d"},"rate_limit":{"token_max_limit":1000,
        "token_reset_duration":"1m","request_max_limit":60,"request_reset_duration":"1m"},"models":["gpt-4o"]}"#;
    let told = stage.made("/api/keys", body);
    assert_eq!(
        (told.status, &told.body["name"], &told.body["value"]),
        (201, &json!("vk"), &told.body["key"])
    );
    assert_eq!((&told.body["rpm"], &told.body["tpm"]), (&json!(60), &json!(1000)));
    assert_eq!(told.body["budget"], json!([{"usd": 10, "per": "day", "zone": "UTC"}]));
    let secret = told.secret();
    assert_eq!(stage.call(&secret, "GET", "/api/me", "").body["actor"], "key:vk");
    let hourly = r#"{"name":"x","rate_limit":{"token_max_limit":1,"token_reset_duration":"1h"}}"#;
    assert_eq!(stage.admin("POST", "/api/keys", hourly).param(), "rate_limit.token_reset_duration");
    let hourly = hourly.replace("token", "request");
    assert_eq!(stage.admin("POST", "/api/keys", &hourly).param(), "rate_limit.request_reset_duration");
    // A bare amount does not say for how long it is.
    let bare = r#"{"name":"x","budget":10,"rate_limit":{"request_max_limit":60}}"#;
    assert_eq!(stage.admin("POST", "/api/keys", bare).param(), "budget");
}

#[test]
fn a_bifrost_budget_is_of_the_calendar_or_looks_back_as_it_says() {
    let mut stage = Stage::open();
    let calendar = json!([{"usd": 10, "per": "month", "zone": "UTC"}]);
    let rolling = json!([{"usd": 10, "per": "month", "reset": "rolling"}]);
    for (name, inside, beside, budget) in [
        ("a", r#","calendar_aligned":true"#, "", &calendar),
        ("b", "", r#","calendar_aligned":true"#, &calendar),
        ("c", r#","calendar_aligned":false"#, "", &rolling),
        ("d", "", r#","calendar_aligned":false"#, &rolling),
        ("e", "", "", &calendar),
    ] {
        let budget_asked = format!(r#"{{"max_limit":10,"reset_duration":"1M"{inside}}}"#);
        let body = format!(r#"{{"name":"{name}","budget":{budget_asked}{beside}}}"#);
        assert_eq!(stage.made("/api/keys", &body).body["budget"], *budget, "{body}");
    }
    assert_eq!(stage.made("/api/keys", r#"{"name":"f","calendar_aligned":true}"#).status, 201);
}
