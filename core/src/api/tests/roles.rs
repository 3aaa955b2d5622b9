use super::*;
use crate::api::routes::{Need, ROUTES, Route};
use crate::directory::Role;

const ALL_ROLES: [Role; 4] = [Role::Caller, Role::Viewer, Role::Manager, Role::Admin];

/// Whether a role is let in at a route; written out beside the code's own table, on purpose.
fn may(role: Role, route: &Route) -> bool {
    let reads = route.method == crate::mount::Verb::Get;
    let path = route.path;
    let own = ["/api/me", "/api/spend", "/api/models", "/api/tokens", "/api/limits/key/{name}", "/key/info"];
    let public = ["/api/prices", "/api/openapi.json"];
    let team = ["/api/teams", "/api/teams/{name}", "/api/limits/team/{name}", "/api/requests"];
    let keys = path.starts_with("/api/keys") || path.starts_with("/key/");
    match role {
        Role::Admin => true,
        _ if own.contains(&path) || public.contains(&path) => true,
        Role::Viewer => reads,
        Role::Manager => keys || (reads && team.contains(&path)),
        Role::Caller => false,
    }
}

fn target(route: &Route) -> String {
    route.path.replace("{name}", "nobody")
}

#[test]
fn every_route_lets_in_exactly_the_roles_that_may() {
    let (mut stage, keys) = Stage::staffed();
    for route in ROUTES {
        for (role, key) in ALL_ROLES.into_iter().zip(&keys) {
            let told = stage.plan(key, route.method.name(), &target(route), "");
            let denied = matches!(&told, Err(told) if told.status == 403);
            assert_eq!(!denied, may(role, route), "{role:?} {} {}", route.method.name(), route.path);
            if let Err(told) = told {
                assert_eq!(told.code(), "not_permitted");
                assert!(told.message().contains(role.name()), "{}", told.message());
            }
        }
        let stranger = stage.plan("tg-unknown", route.method.name(), &target(route), "");
        assert_eq!(stranger.unwrap_err().status, 401, "{}", route.path);
    }
}

#[test]
fn who_may_not_change_anything_changes_nothing_with_a_body_that_would() {
    let (mut stage, [caller, viewer, ..]) = Stage::staffed();
    let before = stage.deeds.len();
    for key in [caller, viewer] {
        for route in ROUTES.iter().filter(|route| matches!(route.need, Need::Manage | Need::Rule)) {
            let told = stage.plan(&key, route.method.name(), &target(route), r#"{"name":"x"}"#);
            assert_eq!(told.unwrap_err().status, 403, "{}", route.path);
        }
    }
    assert_eq!(stage.deeds.len(), before);
}

#[test]
fn k19_the_api_is_closed_until_there_is_an_admin() {
    let mut stage = Stage::new("[[keys]]\nname = \"ci\"\nvalue = \"tg-ci\"\n");
    for route in ROUTES {
        for key in ["tg-ci", "tg-unknown", "root-of-it-all"] {
            let told = stage.plan(key, route.method.name(), &target(route), "").unwrap_err();
            assert_eq!((told.status, told.code()), (401, "missing_key"), "{}", route.path);
            assert!(told.message().contains("closed"), "{}", told.message());
        }
    }
    let mut open = Stage::new("[server]\nrequire_key = false\n");
    assert_eq!(open.admin("GET", "/api/me", "").status, 401, "also where no key is required");
}

#[test]
fn k19_an_admins_key_opens_the_api_without_an_admin_key_in_the_config() {
    let (staffed, [caller, _, _, admin]) = Stage::staffed();
    let mut stage = Stage { config: Stage::new("").config, ..staffed };
    assert_eq!(stage.call(&admin, "GET", "/api/me", "").body["role"], "admin");
    assert_eq!(stage.call(&caller, "GET", "/api/me", "").body["role"], "caller");
    assert_eq!(stage.admin("GET", "/api/me", "").status, 401);
}

#[test]
fn k19_other_spellings_of_a_path_meet_the_same_role() {
    let (mut stage, [caller, ..]) = Stage::staffed();
    for path in
        ["//api//audit", "/api/audit/", "/%61pi/audit", "/api/%61udit?x=/api/me", "/api/audit#/api/me"]
    {
        let told = stage.plan(&caller, "GET", path, "");
        assert_eq!(told.unwrap_err().status, 403, "{path}");
    }
    for path in ["/api/me/../audit", "/api/%2e%2e/api/audit", "/litellm/api/audit", "/openai/key/info"] {
        assert_eq!(stage.plan(ADMIN, "GET", path, "").unwrap_err().status, 404, "{path}");
    }
}

#[test]
fn d6_a_caller_and_a_manager_ask_for_spend_of_their_own_only() {
    let (mut stage, [caller, viewer, manager, _]) = Stage::staffed();
    let mut only = |key: &str, query: &str| match stage.plan(key, "GET", &format!("/api/spend{query}"), "") {
        Ok(Plan::Spend(ask)) => Some(ask.query.only),
        Ok(Plan::Answer(answer)) => {
            assert_eq!(Told::of(&answer).body["data"], serde_json::json!([]));
            None
        }
        other => panic!("{other:?}"),
    };
    let own = |dimension, value: &str| Some(vec![Only { dimension, value: value.to_owned() }]);
    assert_eq!(only(&caller, ""), own(Dimension::Key, "the-caller"));
    assert_eq!(only(&caller, "?key=the-caller,static"), own(Dimension::Key, "the-caller"));
    assert_eq!(only(&caller, "?key=static"), None);
    assert_eq!(only(&manager, "?by=key"), own(Dimension::Team, "search"));
    assert_eq!(only(&manager, "?team=other"), None);
    assert_eq!(only(&manager, "?team=other&team=search"), own(Dimension::Team, "search"));
    assert_eq!(only(&viewer, "?team=other"), own(Dimension::Team, "other"));
    assert_eq!(only(ADMIN, ""), Some(Vec::new()));
}

#[test]
fn f7_an_empty_list_means_nothing_and_never_everything() {
    let mut stage = Stage::open();
    for query in
        ["?team=", "?by=team&key=", "?model=&team=a", "?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z"]
    {
        let told = stage.admin("GET", &format!("/api/spend{query}"), "");
        assert_eq!((told.status, &told.body["data"]), (200, &serde_json::json!([])), "{query}");
    }
    let told = stage.admin("GET", "/api/requests?key=", "");
    assert_eq!(told.body["data"], serde_json::json!([]));
}

#[test]
fn a_caller_sees_its_own_limits_and_nobody_elses() {
    let (mut stage, [caller, _, manager, _]) = Stage::staffed();
    let scopes = |plan: Result<Plan, Told>| match plan {
        Ok(Plan::Limits(ask)) => ask.scopes.iter().map(|scope| scope.name.clone()).collect(),
        other => vec![format!("{other:?}").chars().take(12).collect::<String>()],
    };
    assert_eq!(scopes(stage.plan(&caller, "GET", "/api/limits/key/the-caller", "")), ["key:the-caller"]);
    assert_eq!(stage.call(&caller, "GET", "/api/limits/key/static", "").code(), "not_found");
    assert_eq!(scopes(stage.plan(&manager, "GET", "/api/limits/team/search", "")), ["team:search"]);
    assert_eq!(stage.call(&manager, "GET", "/api/limits/team/other", "").code(), "not_found");
}

#[test]
fn d5_a_manager_gives_no_more_than_it_has() {
    let (mut stage, [_, _, manager, _]) = Stage::staffed();
    for (body, field) in [
        (r#"{"name":"x","role":"admin"}"#, "role"),
        (r#"{"name":"x","role":"manager"}"#, "role"),
        (r#"{"name":"x","role":"viewer"}"#, "role"),
        (r#"{"name":"x","team":"other"}"#, "team"),
        (r#"{"name":"x","models":["*"]}"#, "models"),
        (r#"{"name":"x","models":["gpt-4o-mini","claude-*"]}"#, "models"),
        (r#"{"name":"x","models":["gpt-4*"]}"#, "models"),
        (r#"{"name":"x","rpm":101}"#, "rpm"),
        (r#"{"name":"x","budget":[{"usd":50.01,"per":"day"}]}"#, "budget"),
        (r#"{"name":"x","client_tags":["*"]}"#, "client_tags"),
    ] {
        let told = stage.call(&manager, "POST", "/api/keys", body);
        assert_eq!(
            (told.status, told.code(), told.param()),
            (403, "not_permitted", field),
            "{body}: {}",
            told.text
        );
    }
    let told =
        stage.call(&manager, "POST", "/api/keys", r#"{"name":"x","rpm":100,"models":["gpt-4o-mini"]}"#);
    assert_eq!((told.status, &told.body["team"]), (201, &Value::from("search")), "{}", told.text);
    let told = stage.call(&manager, "POST", "/api/keys", r#"{"name":"y"}"#);
    assert_eq!(told.body["models"], serde_json::json!(["gpt-4o*"]), "what is left out is the manager's own");
    for (patch, field) in
        [(r#"{"models":null}"#, "models"), (r#"{"team":null}"#, "team"), (r#"{"role":"admin"}"#, "role")]
    {
        let told = stage.call(&manager, "PATCH", "/api/keys/x", patch);
        assert_eq!((told.status, told.param()), (403, field), "{patch}");
    }
    assert_eq!(stage.call(&manager, "PATCH", "/api/keys/x", r#"{"rpm":7}"#).body["rpm"], 7);
}

#[test]
fn d5_a_manager_cannot_take_over_a_key_with_more_rights() {
    let (mut stage, [_, _, manager, _]) = Stage::staffed();
    stage.made("/api/keys", r#"{"name":"wide","team":"search"}"#);
    for name in ["the-admin", "the-manager", "the-viewer", "wide"] {
        for action in ["rotate", "block", "unblock"] {
            let told = stage.call(&manager, "POST", &format!("/api/keys/{name}/{action}"), "");
            assert_eq!((told.status, told.code()), (403, "not_permitted"), "{name} {action}");
        }
        assert_eq!(stage.call(&manager, "DELETE", &format!("/api/keys/{name}"), "").status, 403);
        assert_eq!(stage.call(&manager, "GET", &format!("/api/keys/{name}"), "").status, 200);
    }
    assert_eq!(stage.call(&manager, "GET", "/api/keys/static", "").status, 404, "of another team");
    assert_eq!(stage.call(&manager, "POST", "/api/keys/static/rotate", "").status, 404);
    let told = stage.call(&manager, "POST", "/key/generate", r#"{"key_alias":"z","models":["claude-3"]}"#);
    assert_eq!((told.status, told.param()), (403, "models"));
    assert_eq!(stage.call(&manager, "GET", "/api/teams", "").body["data"].as_array().unwrap().len(), 1);
}

#[test]
fn tokens_are_minted_for_oneself_and_never_with_more() {
    let (mut stage, [caller, viewer, _, _]) = Stage::staffed();
    let body = r#"{"models":["gpt-4o-mini"],"max_requests":5,"max_usd":0.5,"ttl":"10m"}"#;
    let told = stage.call(&caller, "POST", "/api/tokens", body);
    assert_eq!(
        (told.status, &told.body["key"], &told.body["max_usd"]),
        (201, &"the-caller".into(), &0.5.into())
    );
    assert_eq!(told.body["expires"], spec::written(NOON + Millis(600_000)));
    let token = told.body["token"].as_str().unwrap().to_owned();
    let deed = stage.deeds.last().unwrap();
    let after = String::from_utf8_lossy(deed.after.as_ref().unwrap()).into_owned();
    assert_eq!((deed.action.as_str(), deed.actor.as_str()), ("token.mint", "key:the-caller"));
    assert!(!after.contains("tg-") && !after.contains(&token), "{after}");
    assert_eq!(stage.call(&token, "GET", "/api/me", "").body["actor"], "key:the-caller");
    assert_eq!(stage.call(&token, "POST", "/api/tokens", "{}").code(), "not_permitted");
    let told = stage.call(&caller, "POST", "/api/tokens", r#"{"models":["claude-3"]}"#);
    assert_eq!((told.status, told.param()), (403, "models"));
    // What it asks beyond its key is left out, not given.
    let told = stage.call(&caller, "POST", "/api/tokens", r#"{"models":["gpt-*","claude-3"]}"#);
    assert_eq!((told.status, &told.body["models"]), (201, &serde_json::json!(["gpt-4o*"])));
    for key in [&caller, &viewer] {
        assert_eq!(stage.call(key, "POST", "/api/tokens", r#"{"key":"the-admin"}"#).status, 404);
    }
    assert_eq!(stage.admin("POST", "/api/tokens", "{}").param(), "key");
    assert_eq!(stage.admin("POST", "/api/tokens", r#"{"key":"static"}"#).body["key"], "static");
    assert_eq!(stage.admin("POST", "/api/tokens", r#"{"key":"static","ttl":"9999d"}"#).param(), "ttl");
}

#[test]
fn a_token_of_an_admins_key_rules_nothing() {
    let (mut stage, [_, _, _, admin]) = Stage::staffed();
    let token = stage.call(&admin, "POST", "/api/tokens", "{}").body["token"].as_str().unwrap().to_owned();
    assert_eq!(stage.call(&token, "GET", "/api/me", "").body["role"], "caller");
    assert_eq!(stage.call(&token, "GET", "/api/keys", "").status, 403);
    assert_eq!(stage.call(&token, "POST", "/api/keys", r#"{"name":"x"}"#).status, 403);
}

#[test]
fn d5_a_key_for_some_paths_asks_the_api_only_where_it_names_it() {
    let mut stage = Stage::open();
    let narrow = r#"{"name":"narrow","role":"admin","routes":["/v1/*"]}"#;
    let narrow = stage.made("/api/keys", narrow).secret();
    let wide = r#"{"name":"wide","role":"admin","routes":["/v1/*","/api/keys*"]}"#;
    let wide = stage.made("/api/keys", wide).secret();
    assert_eq!(stage.call(&narrow, "GET", "/api/keys", "").status, 403);
    assert_eq!(stage.call(&narrow, "POST", "//api/keys/", r#"{"name":"x"}"#).status, 403);
    assert_eq!(stage.call(&wide, "GET", "/api/keys", "").status, 200);
    assert_eq!(stage.call(&wide, "GET", "/api/audit", "").status, 403);
}
