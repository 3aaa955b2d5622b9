//! `tollgate key` and `tollgate token` against the program and gateways that run.

use serde_json::{Value, json};
use std::process::Output;
use std::time::{Duration, Instant};
use tollgate_sim::Running;
use tollgate_tests::gateway::{Folder, Gateway, command, eventually, output};
use tollgate_tests::http::{Answer, Request};

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_tollgate-under-test");

const ADMIN: &str = "root-of-it-all-0123456789";

/// What a change may take to be seen by a gateway that runs.
const SEEN: Duration = Duration::from_secs(2);

/// A gateway with a store, and the provider behind it.
struct Setting {
    gateway: Gateway,
    sim: Running,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
struct Done {
    code: Option<i32>,
    out: String,
    said: String,
}

impl Done {
    fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), said: text(output.stderr) }
    }

    /// The one line on standard output of a command that worked.
    fn line(&self) -> String {
        assert!(self.code == Some(0) && self.out.lines().count() == 1, "{self:?}");
        self.out.trim().to_owned()
    }

    fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        serde_json::from_str(&self.out).expect("JSON")
    }

    fn refused(&self, parts: &[&str]) {
        assert_eq!((self.code, self.out.as_str()), (Some(1), ""), "{self:?}");
        for part in parts {
            assert!(self.said.contains(part), "{part}: {self:?}");
        }
    }
}

fn config(sim: &Running, more: &str) -> String {
    format!(
        "[server]\nadmin_key = \"env:ADMIN\"\nrequire_key = true\n{more}\n[providers.one]\nkind = \"openai\"\n\
         base_url = \"http://{}/v1\"\nkeys = [{{ value = \"sk-provider-one\" }}]\n\
         [models.chat]\ntargets = [\"one/m\"]\n[models.other]\ntargets = [\"one/n\"]\n\
         [[teams]]\nname = \"search\"\n[[tags]]\nname = \"batch\"\n\
         [[keys]]\nname = \"fixed\"\nvalue = \"tg-fixed-secret-key\"\n",
        sim.addr
    )
}

impl Setting {
    fn new() -> Self {
        let sim = tollgate_sim::spawn().expect("a simulator can be had");
        let folder = Folder::new();
        std::fs::write(folder.path().join("tollgate.toml"), config(&sim, "")).expect("a config");
        Self { gateway: start(folder), sim }
    }

    /// Runs a command where the gateway runs, with what its config needs.
    fn run(&self, args: &[&str]) -> Done {
        self.run_with(args, &[("ADMIN", ADMIN)])
    }

    fn run_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Done {
        let home = self.gateway.config();
        let mut program = command(PROGRAM, &Folder::new());
        program.current_dir(home.parent().expect("a folder")).envs(variables.iter().copied());
        Done::of(output(program, args))
    }

    /// Runs a command elsewhere, where there is nothing but the gateway's address.
    fn run_far(&self, args: &[&str], variables: &[(&str, &str)]) -> Done {
        let folder = Folder::new();
        let mut program = command(PROGRAM, &folder);
        program.envs(variables.iter().copied());
        let url = format!("http://{}", self.gateway.address);
        let args: Vec<&str> = args.iter().copied().chain(["--url", &url]).collect();
        let done = Done::of(output(program, &args));
        let left = std::fs::read_dir(folder.path()).expect("a folder").count();
        assert_eq!(left, 0, "with --url nothing is left here");
        done
    }

    fn call(&self, key: &str, model: &str) -> Answer {
        let question = json!({"model": model, "messages": [{"role": "user", "content": "hello"}]});
        let request = Request::post("/v1/chat/completions", &question);
        self.gateway.ask(&request.header("authorization", &format!("Bearer {key}")))
    }

    fn status(&self, key: &str) -> u16 {
        self.call(key, "chat").status
    }

    /// Waits until the gateway answers like this, which must not take longer than is promised.
    fn soon(&self, key: &str, status: u16) {
        let start = Instant::now();
        eventually(&format!("{status}"), || self.status(key) == status);
        assert!(start.elapsed() <= SEEN, "after {:?}", start.elapsed());
    }

    fn api(&self, path: &str) -> Value {
        self.gateway.ask(&Request::get(path).header("x-api-key", ADMIN)).json()
    }
}

fn start(folder: Folder) -> Gateway {
    let mut program = command(PROGRAM, &folder);
    program.args(["serve", "--workers", "2", "--listen", "127.0.0.1:0"]).env("ADMIN", ADMIN);
    Gateway::run(program, folder)
}

#[test]
fn a_gateway_that_runs_follows_a_key_through_its_life_within_two_seconds() {
    let setting = Setting::new();
    let made = setting.run(&["key", "new", "ci", "--models", "chat"]);
    let first = made.line();
    assert!(first.starts_with("tg-") && first.len() >= 40, "{first}");
    assert!(made.said.contains("only this once") && made.said.contains("two seconds"), "{made:?}");
    setting.soon(&first, 200);
    assert_eq!(setting.call(&first, "other").code(), "model_not_allowed");

    assert_eq!(setting.run(&["key", "block", "ci"]).code, Some(0));
    setting.soon(&first, 403);
    assert_eq!(setting.call(&first, "chat").code(), "key_blocked");
    assert_eq!(setting.run(&["key", "unblock", "ci"]).code, Some(0));
    setting.soon(&first, 200);

    let rotated = setting.run(&["key", "rotate", "ci", "--grace", "1h"]);
    let second = rotated.line();
    assert!(second != first && rotated.said.contains("works until"), "{rotated:?}");
    setting.soon(&second, 200);
    assert_eq!(setting.status(&first), 200, "the old one has its grace");
    let third = setting.run(&["key", "rotate", "ci"]).line();
    setting.soon(&third, 200);
    assert_eq!([setting.status(&first), setting.status(&second)], [401, 401]);

    assert_eq!(setting.run(&["key", "delete", "ci"]).code, Some(0));
    setting.soon(&third, 401);
}

#[test]
fn every_change_is_in_the_audit_log_by_cli_and_the_chain_is_whole() {
    let setting = Setting::new();
    setting.run(&["key", "new", "a"]).line();
    let by_admin = Request::post("/api/keys", &json!({"name": "b"})).header("x-api-key", ADMIN);
    assert_eq!(setting.gateway.ask(&by_admin).status, 201);
    assert_eq!(setting.run(&["key", "block", "b"]).code, Some(0), "what the gateway made is there");
    assert_eq!(setting.api("/api/keys/b")["blocked"], true, "and the gateway knows at once");
    let patch = Request::post("/api/keys/a/rotate", &json!({})).header("x-api-key", ADMIN);
    assert_eq!(setting.gateway.ask(&patch).status, 200);
    let log = setting.api("/api/audit");
    let told: Vec<_> = log["data"].as_array().expect("lines").iter().rev().collect();
    let told: Vec<_> = told
        .iter()
        .map(|line| ["actor", "action", "subject"].map(|name| line[name].as_str().expect("a text")))
        .collect();
    assert_eq!(
        told,
        [
            ["cli", "key.create", "key:a"],
            ["admin", "key.create", "key:b"],
            ["cli", "key.block", "key:b"],
            ["admin", "key.rotate", "key:a"]
        ]
    );
    let verified = setting.api("/api/audit/verify");
    assert_eq!((&verified["complete"], &verified["lines"]), (&json!(true), &json!(4)), "{verified}");
    assert!(!log.to_string().contains("tg-"), "{log}");
}

#[test]
fn a_store_is_made_and_used_without_a_gateway_and_the_next_one_knows() {
    let sim = tollgate_sim::spawn().expect("a simulator can be had");
    let folder = Folder::new();
    std::fs::write(folder.path().join("tollgate.toml"), config(&sim, "")).expect("a config");
    let run = |args: &[&str]| Done::of(output(command(PROGRAM, &folder), args));
    let listed = run(&["key", "list"]);
    assert!(listed.out.contains("fixed"), "{listed:?}");
    assert!(!folder.path().join("tollgate.db").exists(), "reading makes no file");
    // The config's secrets are not needed: ADMIN is not set here.
    let made = run(&["key", "new", "ci", "--team", "search", "--tag", "batch"]);
    assert!(made.said.contains("No gateway"), "{made:?}");
    let (secret, listed) = (made.line(), run(&["key", "list"]));
    assert!(listed.out.contains("team:search tag:batch"), "{listed:?}");
    let setting = Setting { gateway: start(folder), sim };
    assert_eq!(setting.status(&secret), 200);
}

#[test]
fn two_gateways_on_one_store_stay_refused() {
    let setting = Setting::new();
    setting.run(&["key", "new", "ci"]).line();
    let second = setting.run(&["serve", "--listen", "127.0.0.1:0"]);
    second.refused(&["tollgate.db", "has this store open"]);
}

#[test]
fn several_commands_at_once_each_do_what_they_were_told() {
    let setting = Setting::new();
    let names: Vec<String> = (0..8).map(|number| format!("key-{number}")).collect();
    let secrets: Vec<String> = std::thread::scope(|scope| {
        let setting = &setting;
        let runs: Vec<_> =
            names.iter().map(|name| scope.spawn(move || setting.run(&["key", "new", name]).line())).collect();
        runs.into_iter().map(|run| run.join().expect("it worked")).collect()
    });
    for secret in &secrets {
        setting.soon(secret, 200);
    }
    let listed = setting.run(&["key", "list", "--json"]).json();
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(9), "{listed}");
}

#[test]
fn lists_and_shows_hold_no_secret_and_no_hash() {
    let setting = Setting::new();
    let secret = setting.run(&["key", "new", "ci", "--budget", "10/day,warn=80", "--note", "for CI"]).line();
    setting.run(&["key", "rotate", "ci", "--grace", "1h"]).line();
    let hash = "ab".repeat(32);
    let given = setting.run(&["key", "new", "old", "--sha256", &hash]);
    assert!(given.code == Some(0) && given.out.is_empty() && !given.said.contains(&hash), "{given:?}");
    for args in [
        &["key", "list"][..],
        &["key", "list", "--json"],
        &["key", "show", "ci"],
        &["key", "show", "ci", "--json"],
        &["key", "show", "old", "--json"],
        &["key", "block", "old", "--json"],
    ] {
        let done = setting.run(args);
        assert_eq!(done.code, Some(0), "{done:?}");
        let all = format!("{}{}", done.out, done.said);
        assert!(!all.contains("tg-") && !all.contains("sha256") && !all.contains(&hash), "{args:?} {all}");
        assert!(!all.contains(&secret[3..]), "{args:?} {all}");
        let is_for_people = !args.contains(&"--json");
        assert!(done.out.contains("$10/day,zone=UTC,warn=80") == is_for_people, "{done:?}");
    }
    let database = std::fs::read(setting.gateway.config().with_file_name("tollgate.db")).expect("a store");
    let wal = std::fs::read(setting.gateway.config().with_file_name("tollgate.db-wal")).unwrap_or_default();
    let held = [database, wal].concat();
    assert!(!held.windows(secret.len()).any(|window| window == secret.as_bytes()));
}

#[test]
fn every_field_of_a_new_key_arrives() {
    let setting = Setting::new();
    let made = setting.run(&[
        "key",
        "new",
        "a b#c",
        "--team",
        "search",
        "--tag",
        "batch",
        "--client-tag",
        "job-*",
        "--models",
        "chat,one/*",
        "--routes",
        "/v1/*",
        "--ip",
        "127.0.0.1,10.0.0.0/8",
        "--role",
        "viewer",
        "--rpm",
        "5",
        "--tpm",
        "200_000",
        "--tpm-input",
        "3",
        "--tpm-output",
        "4",
        "--concurrency",
        "2",
        "--max-requests",
        "7",
        "--max-tokens",
        "8",
        "--budget",
        "10/day,warn=80",
        "--budget",
        "0.5/month,rolling",
        "--expires",
        "2099-01-01T00:00:00Z",
        "--note",
        "x",
        "--json",
    ]);
    let made = made.json();
    assert!(made["key"].as_str().is_some_and(|key| key.starts_with("tg-")), "{made}");
    let mut shown = setting.run(&["key", "show", "a b#c", "--json"]).json();
    shown.as_object_mut().expect("an object").remove("created");
    assert_eq!(
        shown,
        json!({"name": "a b#c", "team": "search", "tags": ["batch"], "client_tags": ["job-*"],
            "models": ["chat", "one/*"], "routes": ["/v1/*"], "ips": ["127.0.0.1", "10.0.0.0/8"],
            "role": "viewer", "rpm": 5, "tpm": 200_000, "tpm_input": 3, "tpm_output": 4, "concurrency": 2,
            "max_requests": 7, "max_tokens": 8, "budget": [{"usd": 10, "per": "day", "zone": "UTC", "warn": 80},
            {"usd": 0.5, "per": "month", "reset": "rolling"}], "expires": "2099-01-01T00:00:00Z",
            "note": "x", "source": "store"})
    );
    let short = setting.run(&["key", "new", "short", "--ttl", "30d", "--json"]).json();
    assert!(short["expires"].as_str().is_some_and(|at| at.starts_with("20") && at.ends_with('Z')), "{short}");
}

#[test]
fn what_is_wrong_is_named_with_what_was_expected_and_changes_nothing() {
    let setting = Setting::new();
    let long = "x".repeat(10_000);
    for (args, parts) in [
        (&["--rpm", "-5"][..], &["rpm", "expected a whole number"][..]),
        (&["--rpm", "many"], &["rpm", "expected a whole number", "found"]),
        (&["--team", "ghost"], &["team", "there is no team `ghost`"]),
        (&["--budget", "10"], &["--budget", "expected US dollars", "found \"10\""]),
        (&["--budget", "NaN/day"], &["budget[0].usd", "expected an amount"]),
        (&["--budget", "10/fortnight"], &["budget[0].per", "expected one of minute", "fortnight"]),
        (&["--expires", "tomorrow"], &["expires", "expected a moment", "tomorrow"]),
        (&["--ttl", "soon"], &["--ttl", "expected a span", "soon"]),
        (&["--sha256", "abc"], &["sha256", "64 hexadecimal digits"]),
        (&["--role", "god"], &["role", "caller, viewer, manager, admin"]),
        (&["--ip", "nowhere"], &["ips[0]", "expected an address"]),
    ] {
        let args: Vec<&str> = ["key", "new", "x"].iter().chain(args).copied().collect();
        setting.run(&args).refused(parts);
    }
    for name in ["", "a/b", "..", "x\u{1b}[2J", "'; DROP TABLE entities; --", long.as_str()] {
        for what in ["new", "show", "block", "delete", "rotate"] {
            let done = setting.run(&["key", what, "--", name]);
            done.refused(&["expected a name"]);
            assert!(!done.said.contains('\u{1b}') && done.said.len() < 1000, "{done:?}");
        }
    }
    setting.run(&["key", "show", "ghost"]).refused(&["there is no key `ghost`"]);
    setting.run(&["key", "block", "fixed"]).refused(&["config file"]);
    setting.run(&["key", "new", "fixed"]).refused(&["is there already"]);
    setting.run(&["key", "list", "--config", "ghost.toml"]).refused(&["ghost.toml"]);
    assert_eq!(setting.run(&["key", "list", "--json"]).json()["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(setting.api("/api/audit")["data"], json!([]));
}

#[test]
fn without_a_file_there_is_nothing_to_change() {
    let sim = tollgate_sim::spawn().expect("a simulator can be had");
    let folder = Folder::new();
    let memory = config(&sim, "[store]\npath = \":memory:\"\n");
    std::fs::write(folder.path().join("tollgate.toml"), memory).expect("a config");
    let run = |args: &[&str]| Done::of(output(command(PROGRAM, &folder), args));
    run(&["key", "new", "ci"]).refused(&["store.path", ":memory:", "--url"]);
    assert!(run(&["key", "list"]).out.contains("fixed"));
    std::fs::write(folder.path().join("other.db"), "no database at all").expect("a file");
    let other = config(&sim, "[store]\npath = \"other.db\"\n");
    std::fs::write(folder.path().join("tollgate.toml"), other).expect("a config");
    run(&["key", "new", "ci"]).refused(&["other.db", "no database", "fix:"]);
    run(&["key", "list"]).refused(&["other.db", "no database"]);
    let far = config(&sim, "[store]\npath = \"no/such/folder/x.db\"\n");
    std::fs::write(folder.path().join("tollgate.toml"), far).expect("a config");
    run(&["key", "new", "ci"]).refused(&["no/such/folder", "fix:"]);
}

#[test]
fn over_http_a_gateway_does_the_same() {
    let setting = Setting::new();
    let admin = [("TOLLGATE_ADMIN_KEY", ADMIN)];
    let first = setting.run_far(&["key", "new", "far off", "--models", "chat"], &admin).line();
    assert_eq!(setting.status(&first), 200, "at once");
    let listed = setting.run_far(&["key", "list"], &admin);
    assert!(listed.out.contains("far off") && listed.out.contains("in config"), "{listed:?}");
    assert!(setting.run_far(&["key", "show", "far off"], &admin).out.contains("chat"));
    assert_eq!(setting.run_far(&["key", "block", "far off"], &admin).code, Some(0));
    assert_eq!(setting.status(&first), 403);
    assert_eq!(setting.run_far(&["key", "unblock", "far off"], &admin).code, Some(0));
    let named = ["key", "rotate", "far off", "--grace", "1h", "--admin-key", "env:MINE"];
    let second = setting.run_far(&named, &[("MINE", ADMIN)]).line();
    assert_eq!([setting.status(&first), setting.status(&second)], [200, 200]);
    let file = setting.gateway.config().with_file_name("admin-key");
    std::fs::write(&file, format!("{ADMIN}\n")).expect("a file");
    let place = format!("file:{}", file.display());
    let gone = setting.run_far(&["key", "delete", "far off", "--admin-key", &place], &[]);
    assert_eq!(gone.code, Some(0), "{gone:?}");
    assert_eq!(setting.status(&second), 401);
    let actors = setting.api("/api/audit");
    assert!(
        actors["data"].as_array().expect("lines").iter().all(|line| line["actor"] == "admin"),
        "{actors}"
    );
}

#[test]
fn over_http_what_is_wrong_is_told_without_the_key() {
    let setting = Setting::new();
    let admin = [("TOLLGATE_ADMIN_KEY", ADMIN)];
    setting.run_far(&["key", "list"], &[]).refused(&["--admin-key", "TOLLGATE_ADMIN_KEY", "not set"]);
    let plain = setting.run_far(&["key", "list", "--admin-key", ADMIN], &[]);
    plain.refused(&["--admin-key", "expected env:NAME or file:PATH"]);
    assert!(!plain.said.contains(ADMIN), "{plain:?}");
    let wrong = setting.run_far(&["key", "list"], &[("TOLLGATE_ADMIN_KEY", "not-the-admin's-key")]);
    wrong.refused(&["not known here"]);
    assert!(!wrong.said.contains("not-the-admin"), "{wrong:?}");
    setting.run_far(&["key", "new", "x", "--rpm", "0"], &admin).refused(&["rpm", "expected a whole number"]);
    setting.run_far(&["key", "show", "ghost"], &admin).refused(&["there is no key `ghost`"]);
    for (url, parts) in [
        ("localhost:8080", "expected the gateway's address"),
        ("ftp://gateway.test", "http:// or https://"),
        ("http://user:pass@gateway.test", "with a user"),
        ("http://127.0.0.1:1", "127.0.0.1:1"),
    ] {
        setting.run_with(&["key", "list", "--url", url], &admin).refused(&[parts]);
    }
    let no_gateway = format!("http://{}/v1/nothing", setting.sim.addr);
    setting.run_with(&["key", "list", "--url", &no_gateway], &admin).refused(&["--url"]);
}

#[test]
fn a_token_is_minted_works_and_is_no_wider_than_its_key() {
    let setting = Setting::new();
    let parent = setting.run(&["key", "new", "ci", "--models", "chat"]).line();
    setting.soon(&parent, 200);
    let minted = setting.run(&["token", "mint", "--parent", "ci", "--ttl", "5m", "--max-requests", "2"]);
    let token = minted.line();
    assert!(token.matches('.').count() == 2 && minted.said.contains("valid until"), "{minted:?}");
    assert_eq!([setting.status(&token), setting.status(&token)], [200, 200]);
    assert_eq!(setting.status(&token), 429, "two requests and no more");
    let wider = setting.run(&["token", "mint", "--parent", "ci", "--models", "ch*,other"]).line();
    assert_eq!(setting.status(&wider), 200);
    assert_eq!(setting.call(&wider, "other").code(), "model_not_allowed");
    setting.run(&["token", "mint", "--parent", "ci", "--models", "other"]).refused(&["models", "`ci`"]);
    let all = setting.run(&["token", "mint", "--parent", "ci"]).line();
    assert_eq!(setting.call(&all, "other").code(), "model_not_allowed");
    // What its key may is cut later: the token goes with it.
    assert_eq!(setting.run(&["key", "block", "ci"]).code, Some(0));
    setting.soon(&all, 403);
    setting.run(&["token", "mint", "--parent", "ci"]).refused(&["blocked"]);
    setting.run(&["token", "mint", "--parent", "ghost"]).refused(&["key", "there is no key `ghost`"]);
    setting.run(&["token", "mint", "--parent", "fixed", "--ttl", "400d"]).refused(&["ttl", "at most"]);
    setting.run_with(&["token", "mint", "--parent", "fixed"], &[]).refused(&["ADMIN"]);
    let log = setting.api("/api/audit?action=token.mint");
    assert!(log["data"][0]["actor"] == "cli" && !log.to_string().contains(&all), "{log}");
}

#[test]
fn a_token_expires() {
    let setting = Setting::new();
    let token = setting.run(&["token", "mint", "--parent", "fixed", "--ttl", "3s"]).line();
    assert_eq!(setting.status(&token), 200);
    eventually("it has expired", || setting.status(&token) == 401);
    assert_eq!(setting.call(&token, "chat").code(), "expired_key");
}

#[test]
fn a_gateway_mints_for_its_admin_and_for_a_key() {
    let setting = Setting::new();
    let by_admin = setting.run_far(
        &["token", "mint", "--parent", "fixed", "--models", "chat"],
        &[("TOLLGATE_ADMIN_KEY", ADMIN)],
    );
    let token = by_admin.line();
    assert_eq!(setting.status(&token), 200);
    assert_eq!(setting.call(&token, "other").code(), "model_not_allowed");
    let mine = [("MINE", "tg-fixed-secret-key")];
    let own = setting
        .run_far(&["token", "mint", "--key", "env:MINE", "--max-tokens", "100_000", "--user", "eve"], &mine);
    assert_eq!(setting.status(&own.line()), 200);
    let json = setting.run_far(&["token", "mint", "--key", "env:MINE", "--json"], &mine).json();
    assert_eq!(json["key"], "fixed");
    setting.run(&["token", "mint", "--key", "env:MINE"]).refused(&["--key", "--url"]);
    let plain = setting.run_far(&["token", "mint", "--key", "tg-fixed-secret-key"], &[]);
    plain.refused(&["--key", "expected env:NAME"]);
    assert!(!plain.said.contains("tg-fixed"), "{plain:?}");
}

#[test]
fn the_commands_explain_themselves() {
    let setting = Setting::new();
    for (args, parts) in [
        (&["--help"][..], &["key", "token"][..]),
        (&["key", "--help"], &["new", "list", "show", "block", "unblock", "delete", "rotate", "Examples:"]),
        (&["key", "new", "--help"], &["--budget 10/day", "--ttl", "--ip", "Examples:"]),
        (&["key", "rotate", "--help"], &["--grace", "1h"]),
        (&["token", "mint", "--help"], &["--parent", "--max-usd", "--key", "Examples:"]),
    ] {
        let done = setting.run(args);
        assert_eq!(done.code, Some(0), "{done:?}");
        for part in parts {
            assert!(done.out.contains(part), "{part}: {done:?}");
        }
    }
}
