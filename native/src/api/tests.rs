use super::*;
use crate::begin::begin;
use crate::settings::{Exposure, Settings};
use crate::store::row::Row;
use crate::upstream::pool::Outside;
use http::Request;
use http_body_util::Full;
use std::cell::Cell;
use tollgate_core::admit::{Admission, admit};
use tollgate_core::config;
use tollgate_core::exchange::RequestId;
use tollgate_core::units::NanoDollars;

const CONFIG: &str = r#"
    [server]
    admin_key = "root-of-it-all"
    [store]
    path = ":memory:"
"#;

fn shared() -> Arc<Shared> {
    shared_with(CONFIG)
}

fn shared_with(config: &str) -> Arc<Shared> {
    let none = |_: config::SecretRef<'_>| Err("it is not set".to_owned());
    let config = config::load(config.as_bytes(), &none).unwrap();
    let settings =
        Settings { config, addresses: Vec::new(), tls: None, keys: Vec::new(), exposure: Exposure::Guarded };
    begin(settings, Outside::from_env()).unwrap().shared
}

fn knock(shared: &Shared, method: &str, target: &str) -> Box<Knock> {
    let request = Request::builder().method(method).uri(target).header("x-api-key", "root-of-it-all");
    let (head, ()) = request.body(()).unwrap().into_parts();
    let config = shared.config.load_full();
    let directory = shared.directory.read().unwrap();
    let desk = Desk { config: &config, directory: &directory, gauge: &shared.gauge, peer: None };
    let admission = admit(&head, &desk, RequestId(7), shared.clock.now());
    let Admission::Admin(knock) = admission else { panic!("{target} is not let in") };
    knock
}

fn full(body: &str) -> Full<Bytes> {
    Full::new(Bytes::copy_from_slice(body.as_bytes()))
}

async fn call(shared: &Arc<Shared>, method: &str, target: &str, body: &str) -> (u16, serde_json::Value) {
    let answer = answer(shared, knock(shared, method, target), full(body)).await;
    assert!(answer.headers().contains_key("x-tollgate-request-id"));
    (answer.status().as_u16(), serde_json::from_slice(answer.body()).unwrap())
}

/// A keeper that keeps nothing.
#[derive(Default)]
struct Broken {
    asked: Cell<u32>,
}

impl Broken {
    fn full<T>(&self) -> Result<T, Unkept> {
        self.asked.set(self.asked.get() + 1);
        Err(Unkept("the disk is full".to_owned()))
    }
}

impl Keeper for Broken {
    async fn commit(&self, _: Vec<Change>, _: Deed) -> Result<(), Unkept> {
        self.full()
    }
    async fn spend(&self, _: SpendQuery) -> Result<Vec<SpendRow>, Unkept> {
        self.full()
    }
    async fn spend_of_all(&self, _: SpendQuery) -> Result<Spent, Unkept> {
        self.full()
    }
    async fn requests(&self, _: RequestQuery) -> Result<Vec<RequestRow>, Unkept> {
        self.full()
    }
    async fn audit(&self, _: AuditQuery) -> Result<Vec<AuditLine>, Unkept> {
        self.full()
    }
    async fn verify(&self) -> Result<Result<u64, Gap>, Unkept> {
        self.full()
    }
}

#[tokio::test(flavor = "local")]
async fn a_key_that_is_made_can_be_used_at_once_and_is_in_the_log() {
    let shared = shared();
    let (status, made) = call(&shared, "POST", "/api/keys", r#"{"name":"ci"}"#).await;
    assert_eq!(status, 201);
    let digest = tollgate_core::keyring::digest(made["key"].as_str().unwrap().as_bytes());
    assert!(shared.directory.read().unwrap().key_of(&digest).is_some());
    let (_, log) = call(&shared, "GET", "/api/audit", "").await;
    assert_eq!(log["data"][0]["action"], "key.create");
    let (_, whole) = call(&shared, "GET", "/api/audit/verify", "").await;
    assert_eq!((&whole["complete"], &whole["lines"]), (&true.into(), &1.into()));
    let (_, again) = call(&shared, "POST", "/api/keys", r#"{"name":"cd"}"#).await;
    assert_ne!(again["key"], made["key"]);
}

#[tokio::test(flavor = "local")]
async fn what_the_store_does_not_take_has_not_happened() {
    let shared = shared();
    let office = Office::new(Broken::default(), Bell::default());
    for (method, target, body) in [
        ("POST", "/api/keys", r#"{"name":"ci"}"#),
        ("GET", "/api/spend", ""),
        ("GET", "/api/requests", ""),
        ("GET", "/api/audit", ""),
        ("GET", "/api/audit/verify", ""),
    ] {
        let fault =
            office.serve(&knock(&shared, method, target), body.as_bytes(), &shared).await.unwrap_err();
        assert_eq!((fault.code, fault.status()), (Code::StoreUnavailable, 503), "{target}");
        assert!(fault.retry_after.is_some());
    }
    assert_eq!(office.keeper.asked.get(), 5);
    assert!(shared.directory.read().unwrap().key("ci").is_none());
}

#[tokio::test(flavor = "local")]
async fn of_many_who_make_the_same_at_once_one_does() {
    let shared = shared();
    let calls = (0..20).map(|_| {
        let shared = Arc::clone(&shared);
        tokio::task::spawn_local(
            async move { call(&shared, "POST", "/api/teams", r#"{"name":"a"}"#).await.0 },
        )
    });
    let calls: Vec<_> = calls.collect();
    let mut made = 0;
    for one in calls {
        let status = one.await.unwrap();
        assert!(status == 201 || status == 409);
        made += u32::from(status == 201);
    }
    assert_eq!(made, 1);
}

#[tokio::test(flavor = "local")]
async fn a_reload_is_rung_for_and_told() {
    let shared = shared();
    assert_eq!(call(&shared, "POST", "/api/reload", "").await.0, 409, "nobody listens");
    let mut rings = shared.office.reread.hang();
    tokio::task::spawn_local(async move {
        let _ = rings.recv().await.unwrap().send(Vec::new());
        let _ = rings.recv().await.unwrap().send(vec!["1:1: not TOML".to_owned()]);
    });
    assert_eq!(call(&shared, "POST", "/api/reload", "").await.0, 200);
    let (status, refused) = call(&shared, "POST", "/api/reload", "").await;
    assert_eq!(status, 409);
    assert!(refused["error"]["message"].as_str().unwrap().contains("not TOML"));
}

#[tokio::test(flavor = "local")]
async fn a_body_that_is_too_large_is_not_read() {
    let shared = shared();
    let body = "x".repeat((1 << 20) + 1);
    let (status, refused) = call(&shared, "POST", "/api/keys", &body).await;
    assert_eq!((status, &refused["error"]["code"]), (413, &"body_too_large".into()));
}

/// A request of a key and a team that is over.
fn spent(shared: &Shared, number: u128, key: &str, team: Option<&str>, cost: NanoDollars) {
    shared.store.keep(Row {
        id: RequestId(number),
        at: shared.clock.now(),
        organisation: None,
        team: team.map(str::to_owned),
        user: None,
        key: key.to_owned(),
        end_user: None,
        tags: Vec::new(),
        provider: None,
        model: None,
        asked: "chat".to_owned(),
        surface: "openai.chat".to_owned(),
        status: 200,
        fault: None,
        ending: "complete".to_owned(),
        attempts: 1,
        consumed: None,
        basis: "reported".to_owned(),
        cost: Some(cost),
        cost_basis: "computed".to_owned(),
        first_byte: None,
        cache: "off".to_owned(),
        guardrails: Vec::new(),
        total: Millis(1),
    });
}

async fn used(shared: &Arc<Shared>, of: &str) -> String {
    let (status, limits) = call(shared, "GET", &format!("/api/limits/{of}"), "").await;
    assert_eq!(status, 200, "{limits}");
    limits["data"][0]["limits"][0]["used"].to_string()
}

const DOLLAR: NanoDollars = NanoDollars(1_000_000_000);

#[tokio::test(flavor = "local")]
async fn b5_a_budget_that_is_added_in_mid_period_counts_what_was_spent_before() {
    let shared = shared();
    call(&shared, "POST", "/api/teams", r#"{"name":"search"}"#).await;
    call(&shared, "POST", "/api/keys", r#"{"name":"ci","team":"search"}"#).await;
    spent(&shared, 1, "ci", Some("search"), DOLLAR + DOLLAR);
    spent(&shared, 2, "other", Some("search"), DOLLAR);
    let budget = r#"{"budget":[{"usd":5,"per":"year"}]}"#;
    for of in ["keys/ci", "teams/search"] {
        let (status, told) = call(&shared, "PATCH", &format!("/api/{of}"), budget).await;
        assert_eq!(status, 200, "{told}");
    }
    assert_eq!(used(&shared, "key/ci").await, "2");
    assert_eq!(used(&shared, "team/search").await, "3");
    // Another amount is the same money, another period is not.
    spent(&shared, 3, "ci", Some("search"), DOLLAR);
    call(&shared, "PATCH", "/api/keys/ci", r#"{"budget":[{"usd":7,"per":"year"}]}"#).await;
    assert_eq!(used(&shared, "key/ci").await, "2", "the ledger has counted it, had it gone through it");
    call(&shared, "PATCH", "/api/keys/ci", r#"{"budget":[{"usd":7,"per":"never"}]}"#).await;
    assert_eq!(used(&shared, "key/ci").await, "3");
}

#[tokio::test(flavor = "local")]
async fn b5_a_new_key_of_an_old_name_begins_with_nothing() {
    let shared = shared();
    spent(&shared, 1, "ci", None, DOLLAR);
    let new = r#"{"name":"ci","budget":[{"usd":5,"per":"year"}]}"#;
    assert_eq!(call(&shared, "POST", "/api/keys", new).await.0, 201);
    assert_eq!(used(&shared, "key/ci").await, "0");
}

#[tokio::test(flavor = "local")]
async fn b5_at_the_start_empty_books_are_told_what_was_spent() {
    let config = format!("{CONFIG}\n{PEOPLE}");
    let shared = shared_with(&config);
    spent(&shared, 1, "ci", Some("search"), DOLLAR);
    spent(&shared, 2, "cd", None, DOLLAR + DOLLAR);
    crate::arrears::collect(&shared).await;
    crate::arrears::collect(&shared).await;
    assert_eq!(used(&shared, "key/ci").await, "1");
    assert_eq!(used(&shared, "key/idle").await, "0");
    assert_eq!(used(&shared, "team/search").await, "1");
}

#[tokio::test(flavor = "local")]
async fn books_of_what_is_deleted_are_given_up() {
    let shared = shared();
    call(&shared, "POST", "/api/keys", r#"{"name":"ci"}"#).await;
    spent(&shared, 1, "ci", None, DOLLAR);
    let budget = r#"{"budget":[{"usd":5,"per":"never"}]}"#;
    call(&shared, "PATCH", "/api/keys/ci", budget).await;
    assert_eq!(used(&shared, "key/ci").await, "1");
    assert_eq!(call(&shared, "DELETE", "/api/keys/ci", "").await.0, 200);
    let again = r#"{"name":"ci","budget":[{"usd":5,"per":"never"}]}"#;
    assert_eq!(call(&shared, "POST", "/api/keys", again).await.0, 201);
    assert_eq!(used(&shared, "key/ci").await, "0");
}

const PEOPLE: &str = r#"
    [[teams]]
    name = "search"
    budget = [{ usd = 9, per = "month" }]
    [[keys]]
    name = "ci"
    sha256 = "0101010101010101010101010101010101010101010101010101010101010101"
    team = "search"
    budget = [{ usd = 9, per = "never" }]
    [[keys]]
    name = "idle"
    sha256 = "0202020202020202020202020202020202020202020202020202020202020202"
    budget = [{ usd = 9, per = "day", reset = "rolling" }]
"#;
