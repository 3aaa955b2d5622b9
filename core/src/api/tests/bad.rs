use super::*;
use crate::api::routes::ROUTES;

#[test]
fn b12_a_number_that_json_has_not_is_refused_by_its_field() {
    let mut stage = Stage::open();
    for number in ["NaN", "Infinity", "-Infinity", "inf"] {
        for (target, body) in [
            ("/api/keys", format!(r#"{{"name":"x","rpm": {number}}}"#)),
            ("/key/generate", format!(r#"{{"key_alias":"x","rpm" :{number}}}"#)),
        ] {
            let told = stage.admin("POST", target, &body);
            assert_eq!((told.code(), told.param()), ("bad_json", "rpm"), "{body}: {}", told.text);
        }
    }
    // What stands in its place may be a secret.
    let told = stage.admin("POST", "/api/keys", r#"{"tg-SECRET":NaN}"#);
    assert!(!told.text.contains("SECRET"), "{}", told.text);
    assert!(stage.deeds.is_empty());
}

#[test]
fn b12_amounts_and_limits_that_make_no_sense_are_refused_by_field() {
    let mut stage = Stage::open();
    for (field, value) in [
        ("rpm", "-1"),
        ("rpm", "0"),
        ("rpm", "1.5"),
        ("rpm", "1e30"),
        ("rpm", "\"5\""),
        ("rpm", "null"),
        ("tpm", "[]"),
        ("concurrency", "true"),
        ("budget[0].usd", "-1"),
        ("budget[0].usd", "0"),
        ("budget[0].usd", "1e-12"),
        ("budget[0].usd", "1e300"),
        ("budget[0].usd", "\"10\""),
        ("budget[0].per", "\"fortnight\""),
        ("budget[0].warn", "101"),
        ("budget[0].zone", "\"Mars/Olympus\""),
        ("expires", "\"tomorrow\""),
        ("expires", "5"),
        ("team", "[\"a\",\"b\"]"),
        ("models", "[]"),
        ("models", "[\"a*b\"]"),
        ("models", "[\"a\",\"a\"]"),
        ("ips", "[\"10.0.0.0/33\"]"),
        ("role", "\"root\""),
        ("blocked", "\"yes\""),
        ("sha256", "\"abc\""),
        ("name", "\"a/b\""),
        ("name", "\"\""),
        ("name", "\"a\\r\\nx-evil: 1\""),
        ("name", "\"'; DROP TABLE keys; --\""),
        ("colour", "1"),
    ] {
        let body = match field.strip_prefix("budget[0].") {
            Some("usd") => format!(r#"{{"name":"x","budget":[{{"usd":{value},"per":"day"}}]}}"#),
            Some(inner) => {
                let per = if inner == "per" { "" } else { r#""per":"day","# };
                format!(r#"{{"name":"x","budget":[{{{per}"usd":1,"{inner}":{value}}}]}}"#)
            }
            None if field == "name" => format!(r#"{{"name":{value}}}"#),
            None => format!(r#"{{"name":"x","{field}":{value}}}"#),
        };
        let told = stage.admin("POST", "/api/keys", &body);
        assert_eq!(told.status, 400, "{body}: {}", told.text);
        assert!(told.param().starts_with(field), "{body}: {}", told.text);
        assert!(told.message().contains(field), "{body}: {}", told.text);
    }
    for nan in ["NaN", "Infinity", "-Infinity"] {
        let told = stage.admin("POST", "/api/keys", &format!(r#"{{"name":"x","rpm":{nan}}}"#));
        assert_eq!((told.status, told.code()), (400, "bad_json"));
    }
    let twice = r#"{"name":"x","budget":[{"usd":1,"per":"day"},{"usd":2,"per":"day"}]}"#;
    assert_eq!(stage.admin("POST", "/api/keys", twice).param(), "budget[1]");
    assert!(stage.deeds.is_empty(), "nothing has changed");
    assert_eq!(stage.admin("GET", "/api/keys", "").body["data"].as_array().unwrap().len(), 1);
}

#[test]
fn a_body_that_is_none_is_refused() {
    let mut stage = Stage::open();
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("[]", 400),
        ("\"x\"", 400),
        (r#"{"name":"x","name":"y"}"#, 400),
        (r#"{"name":"\ud800"}"#, 400),
    ] {
        assert_eq!(stage.admin("POST", "/api/keys", body).status, status, "{body}");
    }
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(stage.admin("POST", "/api/keys", &format!(r#"{{"name":{deep}}}"#)).status, 400);
    let long = format!(r#"{{"name":"{}"}}"#, "a".repeat(2 << 20));
    let told = stage.admin("POST", "/api/keys", &long);
    assert_eq!((told.status, told.code()), (413, "body_too_large"));
    assert!(stage.deeds.is_empty());
}

#[test]
fn a_ten_thousand_character_name_is_refused_in_few_words() {
    let mut stage = Stage::open();
    let name = "n".repeat(10_000);
    let told = stage.admin("POST", "/api/keys", &format!(r#"{{"name":"{name}"}}"#));
    assert_eq!(told.status, 400);
    assert!(told.text.len() < 600, "{}", told.text);
    let told = stage.admin("GET", &format!("/api/keys/{name}"), "");
    assert_eq!(told.status, 404);
    assert!(told.text.len() < 600, "{}", told.text);
    let told = stage.admin("POST", "/api/keys", &format!(r#"{{"{name}":1}}"#));
    assert!(told.status == 400 && told.text.len() < 900, "{}", told.text);
}

#[test]
fn unknown_and_malformed_parameters_are_refused_by_name() {
    let mut stage = Stage::open();
    for (target, param) in [
        ("/api/keys?limit=0", "limit"),
        ("/api/keys?limit=1001", "limit"),
        ("/api/keys?limit=-1", "limit"),
        ("/api/keys?limit=1e1", "limit"),
        ("/api/keys?limit=1&limit=2", "limit"),
        ("/api/keys?sort=name", "sort"),
        ("/api/keys?after=%00", "after"),
        ("/api/keys?after=%zz", "query"),
        ("/api/keys?after=%ff", "query"),
        ("/api/spend?by=colour", "by"),
        ("/api/spend?by=team,team", "by"),
        ("/api/spend?from=yesterday", "from"),
        ("/api/spend?team=a%0d%0ab", "team"),
        ("/api/me?x=1", "x"),
        ("/api/audit?after=-1", "after"),
        ("/api/keys/static?x=1", "x"),
    ] {
        let told = stage.admin("GET", target, "");
        assert_eq!((told.status, told.param()), (400, param), "{target}: {}", told.text);
    }
}

#[test]
fn every_operation_survives_any_small_body() {
    let mut stage = Stage::open();
    let bodies =
        ["", "{}", "null", "[]", "0", r#"{"":""}"#, r#"{"name":null}"#, r#"{"key":"static"}"#, "\u{feff}{}"];
    for route in ROUTES {
        let target = route.path.replace("{name}", "static");
        for body in bodies {
            match stage.plan(ADMIN, route.method.name(), &target, body) {
                Ok(Plan::Answer(answer)) => assert!(answer.status().as_u16() < 500, "{target} {body}"),
                Err(told) => panic!("{target} {body}: {}", told.text),
                Ok(_) => {}
            }
        }
    }
}

#[test]
fn every_route_is_in_the_document_with_every_status_it_answers() {
    let document = openapi::document();
    for route in ROUTES {
        let method = route.method.name().to_ascii_lowercase();
        let responses = &document["paths"][route.path][method.as_str()]["responses"];
        for status in ["400", "401", "403", "413"] {
            assert!(responses.get(status).is_some(), "{} {status}", route.path);
        }
        assert!(responses.get("200").is_some() || responses.get("201").is_some(), "{}", route.path);
    }
    let mut ids: Vec<_> = ROUTES
        .iter()
        .map(|route| {
            let method = route.method.name().to_ascii_lowercase();
            document["paths"][route.path][method.as_str()]["operationId"].as_str().unwrap().to_owned()
        })
        .collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), ROUTES.len());
}
