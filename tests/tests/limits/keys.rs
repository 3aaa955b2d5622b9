//! Keys over the admin API: made, changed, blocked, rotated, expired.

use crate::setting::{Setting, admin, assert_limited, at_once, capped, chat, key, secret, stream, tenth};
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tollgate_tests::gateway::{Gateway, eventually};
use tollgate_tests::http::{Answer, Request};

/// Makes a key; its secret.
pub fn create(gateway: &Gateway, spec: &Value) -> String {
    let made = admin(gateway, &Request::post("/api/keys", spec));
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()["key"].as_str().expect("the secret, once").to_owned()
}

/// A call with a secret.
pub fn call(gateway: &Gateway, secret: &str) -> Answer {
    gateway.ask(&chat("sim/m").key(secret))
}

/// A moment so many seconds from now, as RFC 3339.
fn moment(from_now: Duration) -> String {
    let at = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970") + from_now;
    let (days, rest) = (at.as_secs() / 86_400, at.as_secs() % 86_400);
    // Days to a date, by the calendar that begins in March.
    let era = days + 719_468;
    let year_of = |day: u64| (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = era % 146_097;
    let of_year = day - (365 * year_of(day) + year_of(day) / 4 - year_of(day) / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of(day) + era / 146_097 * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[test]
fn a_key_is_made_shown_once_changed_and_deleted() {
    // Without any key at all none would be required.
    let setting = Setting::of_key("");
    let spec = json!({"name": "ci", "models": ["sim/*"], "rpm": 3, "budget": [{"usd": 1, "per": "day"}]});
    let secret = create(&setting.gateway, &spec);
    // 160 bits are 27 letters.
    assert!(secret.starts_with("tg-") && secret.len() >= 30, "{secret}");
    assert_eq!(call(&setting.gateway, &secret).status, 200);
    let refused = setting.gateway.ask(&chat("two/m").key(&secret));
    assert_eq!((refused.status, refused.code().as_str()), (403, "model_not_allowed"));
    for path in ["/api/keys/ci", "/api/keys"] {
        let shown = setting.admin(&Request::get(path));
        assert_eq!(shown.status, 200);
        assert!(shown.text().contains("\"ci\"") && !shown.text().contains(&secret), "{}", shown.text());
        assert!(!shown.text().contains("sha256"), "no hash either: {}", shown.text());
    }
    let change = |body: &Value| setting.admin(&Request::json("PATCH", "/api/keys/ci", body));
    assert_eq!(change(&json!({"rpm": 1})).status, 200);
    assert_limited(&call(&setting.gateway, &secret), "rpm_exceeded", "key:ci");
    assert_eq!(change(&json!({"rpm": null, "models": ["two/*"]})).status, 200);
    assert_eq!(call(&setting.gateway, &secret).status, 403);
    assert_eq!(setting.gateway.ask(&chat("two/m").key(&secret)).status, 200);
    let gone = setting.admin(&Request::new("DELETE", "/api/keys/ci"));
    assert_eq!(gone.status, 200, "{}", gone.text());
    assert_eq!(
        (call(&setting.gateway, &secret).status, call(&setting.gateway, &secret).code().as_str()),
        (401, "invalid_key")
    );
    assert_eq!(setting.admin(&Request::get("/api/keys/ci")).status, 404);
}

#[test]
fn keys_of_the_store_outlive_a_kill() {
    let mut setting = Setting::new("");
    let secret = create(&setting.gateway, &json!({"name": "ci", "rpm": 2}));
    assert_eq!(call(&setting.gateway, &secret).status, 200);
    setting.gateway.kill();
    setting.restart();
    assert_eq!(call(&setting.gateway, &secret).status, 200);
}

#[test]
fn an_imported_hash_is_valid_for_the_key_it_is_of() {
    let setting = Setting::new("");
    // Of `sk-litellm-imported`.
    let digest = "04d22aaf0ad832052176d88a66c0a15b5fe13528c076829b83d11430880ad2fb";
    let made =
        setting.admin(&Request::post("/api/keys", &json!({"name": "old", "sha256": digest, "rpm": 1})));
    assert_eq!(made.status, 201, "{}", made.text());
    assert!(made.json()["key"].is_null(), "there is no secret to show");
    assert_eq!(call(&setting.gateway, "sk-litellm-imported").status, 200);
    assert_eq!(call(&setting.gateway, "sk-litellm-imported").status, 429);
    assert_eq!(call(&setting.gateway, digest).status, 401, "the hash is no key");
}

#[test]
fn d1_a_key_expires_within_a_second_while_it_is_in_use() {
    let expires = moment(Duration::from_secs(3));
    let setting =
        Setting::new(&format!("{}{}", key("k", &format!("expires = \"{expires}\"")), key("other", "")));
    let made = create(&setting.gateway, &json!({"name": "made", "expires": expires}));
    assert_eq!((setting.chat("sim/m").status, call(&setting.gateway, &made).status), (200, 200));
    let over = |answer: &Answer| answer.status == 401 && answer.code() == "expired_key";
    let mut connection = setting.gateway.connect();
    // The moment was cut to whole seconds: it is between two and three from then.
    eventually("both are over", || {
        over(&connection.ask(&chat("sim/m").key(&secret("k")))) && over(&call(&setting.gateway, &made))
    });
    let late = moment(Duration::ZERO);
    assert!(late <= moment(Duration::from_secs(1)) && late >= expires, "{late} {expires}");
    assert_eq!(setting.ask("other", &chat("sim/m")).status, 200);
}

#[test]
fn d2_a_blocked_key_is_refused_at_once_although_it_is_in_constant_use() {
    let setting = Setting::new("");
    let secret = create(&setting.gateway, &json!({"name": "busy"}));
    let stop = std::sync::atomic::AtomicBool::new(false);
    let statuses = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut connection = setting.gateway.connect();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let begun = Instant::now();
                    let status = connection.ask(&chat("sim/m").key(&secret)).status;
                    statuses.lock().expect("nobody panicked").push((begun, status));
                }
            });
        }
        let have = |least: usize| statuses.lock().expect("nobody panicked").len() >= least;
        eventually("it is in use", || have(20));
        let answer = setting.admin(&Request::raw("/api/keys/busy/block", ""));
        let blocked = Instant::now();
        let before = statuses.lock().expect("nobody panicked").len();
        eventually("more were asked", || have(before + 20));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(answer.status, 200, "{}", answer.text());
        for (begun, status) in statuses.lock().expect("nobody panicked").iter() {
            assert!(*begun < blocked || *status == 403, "asked after the block was answered");
        }
    });
    assert_eq!(call(&setting.gateway, &secret).code(), "key_blocked");
    assert_eq!(setting.admin(&Request::raw("/api/keys/busy/unblock", "")).status, 200);
    assert_eq!(call(&setting.gateway, &secret).status, 200);
}

#[test]
fn d4_a_rotated_key_works_until_its_grace_is_over_and_spend_is_carried_over() {
    let setting = Setting::new("");
    let old = create(&setting.gateway, &json!({"name": "k", "budget": [{"usd": 0.25, "per": "month"}]}));
    let ask = |secret: &str| setting.gateway.ask(&tenth("").key(secret)).status;
    assert_eq!(ask(&old), 200);
    let rotated = setting.admin(&Request::post("/api/keys/k/rotate", &json!({"grace": "2s"})));
    let end = Instant::now() + Duration::from_secs(2);
    assert_eq!(rotated.status, 200, "{}", rotated.text());
    let new = rotated.json()["key"].as_str().expect("the new secret").to_owned();
    assert_ne!(old, new);
    let still = call(&setting.gateway, &old).status;
    assert!(still == 200 || Instant::now() > end, "the grace had begun: {still}");
    assert_eq!(ask(&new), 200);
    assert_eq!(ask(&new), 402, "what the old one spent counts");
    eventually("the old one is dead", || call(&setting.gateway, &old).status == 401);
    assert!(Instant::now() >= end - Duration::from_secs(1) && Instant::now() < end + Duration::from_secs(2));
    // A tenth by each of the two, and what the old one was asked until it was dead.
    let spent = setting.settled("key:k", 2);
    assert!((2.0 * crate::setting::TENTH..=0.25).contains(&spent.usd), "{spent:?}");
    // Without a grace the old one is dead at once.
    let rotated = setting.admin(&Request::post("/api/keys/k/rotate", &json!({})));
    let newest = rotated.json()["key"].as_str().expect("the new secret").to_owned();
    assert_eq!(call(&setting.gateway, &new).status, 401);
    assert_eq!(setting.gateway.ask(&capped("free/m", 4).key(&newest)).status, 200);
}

#[test]
fn d5_a_manager_gives_no_more_than_he_has() {
    let setting = Setting::new("");
    let post = |path: &str, body: &Value| setting.admin(&Request::post(path, body));
    assert_eq!(post("/api/teams", &json!({"name": "mine", "rpm": 50})).status, 201);
    assert_eq!(post("/api/teams", &json!({"name": "theirs"})).status, 201);
    let manager = create(
        &setting.gateway,
        &json!({"name": "boss", "team": "mine", "role": "manager", "models": ["sim/*"], "routes": ["/v1/chat/*", "/api/*"]}),
    );
    create(&setting.gateway, &json!({"name": "foreign", "team": "theirs"}));
    create(&setting.gateway, &json!({"name": "strong", "team": "mine", "role": "admin"}));
    let ask = |request: Request| setting.gateway.ask(&request.key(&manager));
    let fine =
        json!({"name": "fine", "team": "mine", "models": ["sim/m"], "routes": ["/v1/chat/completions"]});
    let made = ask(Request::post("/api/keys", &fine));
    assert_eq!(made.status, 201, "{}", made.text());
    let with = |field: &str, value: Value| {
        let mut spec = fine.clone();
        spec["name"] = json!("more");
        spec[field] = value;
        spec
    };
    let beyond = [
        with("team", json!("theirs")),
        with("models", json!(["two/m"])),
        with("models", json!(["*"])),
        with("models", json!([])),
        with("routes", json!(["/v1/models"])),
        with("routes", json!(["*"])),
        with("role", json!("admin")),
        with("role", json!("manager")),
        with("role", json!("viewer")),
        with("rpm", json!(51)),
    ];
    for spec in beyond {
        let answer = ask(Request::post("/api/keys", &spec));
        assert!(matches!(answer.status, 400 | 403 | 404), "{spec}: {} {}", answer.status, answer.text());
    }
    let change =
        |name: &str, body: Value| ask(Request::json("PATCH", &format!("/api/keys/{name}"), &body)).status;
    assert_eq!(change("fine", json!({"rpm": 5})), 200);
    assert_eq!(change("fine", json!({"role": "admin"})), 403);
    assert_eq!(change("boss", json!({"role": "admin"})), 403);
    assert_eq!(change("foreign", json!({"rpm": 5})), 404);
    for path in ["/api/keys/strong/rotate", "/api/keys/strong/unblock"] {
        assert_eq!(ask(Request::post(path, &json!({}))).status, 403, "{path}");
    }
    for (request, what) in [
        (Request::post("/api/teams", &json!({"name": "new"})), "a team"),
        (Request::json("PATCH", "/api/teams/mine", &json!({"rpm": 500})), "his own team's limits"),
        (Request::post("/api/organisations", &json!({"name": "new"})), "an organisation"),
        (Request::raw("/api/reload", ""), "a reload"),
        (Request::get("/api/audit"), "the audit log"),
    ] {
        assert_eq!(ask(request).status, 403, "{what}");
    }
    assert_eq!(setting.admin(&Request::get("/api/keys/more")).status, 404, "nothing was made");
    let listed = ask(Request::get("/api/keys")).text();
    assert!(listed.contains("fine") && !listed.contains("foreign"), "{listed}");
}

#[test]
fn d6_nobody_but_admins_and_viewers_sees_what_others_spent() {
    let config = format!(
        "[[teams]]\nname = \"a\"\n[[teams]]\nname = \"b\"\n{}{}{}{}",
        key("caller", "team = \"a\""),
        key("manager", "team = \"a\"\nrole = \"manager\""),
        key("viewer", "role = \"viewer\""),
        key("other", "team = \"b\""),
    );
    let setting = Setting::new(&config);
    for name in ["caller", "other"] {
        assert_eq!(setting.ask(name, &chat("sim/m")).status, 200);
    }
    eventually("both are on record", || {
        setting.spend("key:other").requests + setting.spend("key:caller").requests == 2
    });
    let requests = |name: &str, query: &str| -> u64 {
        let answer = setting.ask(name, &Request::get(&format!("/api/spend{query}")));
        let rows = answer.json()["data"].as_array().cloned().unwrap_or_default();
        rows.iter().filter_map(|row| row["requests"].as_u64()).sum()
    };
    assert_eq!(requests("viewer", ""), 2);
    for name in ["caller", "manager"] {
        assert_eq!(requests(name, ""), 1, "{name} sees his own");
        for query in ["?key=other", "?team=b", "?key=other,caller&team=b", "?by=key&team=b"] {
            assert_eq!(requests(name, query), 0, "{name} {query}");
        }
    }
    for path in ["/api/requests?key=other", "/api/keys/other", "/api/limits/key/other", "/key/info?key=other"]
    {
        for name in ["caller", "manager"] {
            let answer = setting.ask(name, &Request::get(path));
            let shown =
                answer.status == 200 && answer.json()["data"].as_array().is_none_or(|rows| !rows.is_empty());
            assert!(!shown, "{name} {path}: {}", answer.text());
        }
    }
}

#[test]
fn f7_an_empty_list_means_nothing_and_never_everything() {
    let setting = Setting::of_key("");
    assert_eq!(setting.chat("sim/m").status, 200);
    eventually("it is on record", || setting.spend("key:k").requests == 1);
    for query in ["key=", "team=", "tag=", "model=&by=day", "key=&key="] {
        let answer = setting.admin(&Request::get(&format!("/api/spend?{query}")));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let rows = answer.json()["data"].as_array().cloned().unwrap_or_default();
        let requests: u64 = rows.iter().filter_map(|row| row["requests"].as_u64()).sum();
        assert_eq!(requests, 0, "{query}: {}", answer.text());
    }
    let listed = setting.admin(&Request::get("/api/requests?key="));
    assert_eq!(listed.json()["data"], json!([]), "{}", listed.text());
}

#[test]
fn a_key_is_kept_to_its_routes_and_addresses() {
    let setting = Setting::new(&format!(
        "{}{}{}",
        key("chat", "routes = [\"/v1/chat/*\"]"),
        key("models", "routes = [\"/v1/models\"]"),
        key("away", "ips = [\"203.0.113.0/24\"]"),
    ));
    let list = Request::get("/v1/models");
    assert_eq!((setting.ask("chat", &chat("sim/m")).status, setting.ask("chat", &list).status), (200, 403));
    assert_eq!(
        (setting.ask("models", &chat("sim/m")).status, setting.ask("models", &list).status),
        (403, 200)
    );
    // Another spelling of the path is the same route.
    for path in ["/litellm/v1/chat/completions", "//v1/chat/completions", "/v1/%63hat/completions"] {
        let answer = setting.ask("models", &Request::post(path, &crate::setting::question("sim/m")));
        assert!(matches!(answer.status, 403 | 404), "{path}: {}", answer.text());
    }
    let away = setting.ask("away", &chat("sim/m").header("x-forwarded-for", "203.0.113.7"));
    assert_eq!(away.status, 403, "an address cannot be claimed: {}", away.text());
}

#[test]
fn a_short_lived_key_has_small_limits_of_its_own_within_its_parents() {
    let setting = Setting::new(&format!(
        "{}{}",
        key("k", "models = [\"sim/*\", \"two/*\"]\nbudget = [{ usd = 0.35, per = \"day\" }]"),
        key("other", "")
    ));
    let mint = |body: &Value| setting.ask("k", &Request::post("/api/tokens", body));
    let token = |body: &Value| {
        let made = mint(body);
        assert_eq!(made.status, 201, "{}", made.text());
        made.json()["token"].as_str().expect("a token").to_owned()
    };
    let few = token(&json!({"models": ["sim/m"], "max_requests": 3, "ttl": "1h"}));
    assert_eq!(few.split('.').count(), 3, "a JWT");
    assert_eq!(call(&setting.gateway, &few).status, 200);
    assert_eq!(setting.gateway.ask(&chat("two/m").key(&few)).status, 403);
    assert_eq!(call(&setting.gateway, &few).status, 200);
    assert!(
        matches!(call(&setting.gateway, &few).status, 402 | 429),
        "three requests in all, the refused one among them"
    );
    let dear = token(&json!({"max_usd": 0.15}));
    let ask = |token: &str| setting.gateway.ask(&tenth("").key(token)).status;
    assert_eq!((ask(&dear), ask(&dear)), (200, 402));
    // More than the parent allows is given to nobody.
    assert!(matches!(mint(&json!({"models": ["claude/*"]})).status, 400 | 403));
    assert!(matches!(mint(&json!({"key": "other"})).status, 403 | 404));
    let rich = token(&json!({"max_usd": 100}));
    assert_eq!((ask(&rich), ask(&rich), ask(&rich)), (200, 200, 402), "the parent's budget holds");
    let short = token(&json!({"ttl": "1s"}));
    eventually("it expires", || call(&setting.gateway, &short).code() == "expired_key");
    let forged = format!(
        "{}.{}.{}",
        few.split('.').next().unwrap_or_default(),
        few.split('.').nth(1).unwrap_or_default(),
        "AAAA"
    );
    assert_eq!(call(&setting.gateway, &forged).status, 401);
    // A token asks for answers and about itself.
    assert_eq!(setting.gateway.ask(&Request::get("/api/keys").key(&rich)).status, 403);
}

#[test]
fn of_many_changes_at_once_none_is_lost() {
    let setting = Setting::new("");
    let statuses = at_once(30, |at| {
        setting
            .admin(&Request::post("/api/keys", &json!({"name": format!("k{at:02}"), "rpm": at + 1})))
            .status
    });
    assert!(statuses.iter().all(|status| *status == 201), "{statuses:?}");
    let same = at_once(10, |_| setting.admin(&Request::post("/api/keys", &json!({"name": "same"}))).status);
    assert_eq!(same.iter().filter(|status| **status == 201).count(), 1, "{same:?}");
    let listed = setting.admin(&Request::get("/api/keys?limit=100")).json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(31));
    let verified = setting.admin(&Request::get("/api/audit/verify"));
    assert_eq!(verified.status, 200, "{}", verified.text());
    let lines = setting.admin(&Request::get("/api/audit?limit=100")).json();
    assert_eq!(lines["data"].as_array().map(Vec::len), Some(31), "{lines}");
}

#[test]
fn a_stream_in_flight_ends_although_its_key_is_deleted() {
    let setting = Setting::new("");
    let secret = create(&setting.gateway, &json!({"name": "gone", "budget": [{"usd": 1, "per": "day"}]}));
    let mut client = setting.gateway.connect();
    client.send(&stream("sim/m+chars=400,events=10,drip=50", 100).key(&secret).bytes());
    let mut answer = client.head();
    assert_eq!(answer.status, 200);
    assert_eq!(setting.admin(&Request::new("DELETE", "/api/keys/gone")).status, 200);
    answer.ended = client.body(&mut answer);
    assert!(answer.is_done(), "{}", answer.text());
    eventually("it is on record", || setting.spend("key:gone").requests == 1);
}
