//! Gateways that share a Redis share who there is: the program itself, several times, and a real Redis.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests: the helpers too"
)]

#[path = "redis_share/gateway.rs"]
mod gateway;
#[expect(dead_code, reason = "other tests do more with a server")]
#[path = "redis/server.rs"]
mod server;

use gateway::{Answer, Gateway};
use server::Server;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What is promised for a block and a deletion.
const SOON: Duration = Duration::from_secs(5);

/// Waits until the key is known, or is not, within what is promised.
fn soon(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < SOON, "not within 5 s: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn makes(gateway: &Gateway, name: &str) -> String {
    let Answer { status, body } = gateway.admin("POST", "/api/keys", &format!(r#"{{"name":"{name}"}}"#));
    assert_eq!(status, 201, "{body}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    body["key"].as_str().unwrap().to_owned()
}

fn does(gateway: &Gateway, method: &str, path: &str, body: &str) {
    let answer = gateway.admin(method, path, body);
    assert!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.body);
}

fn knows(gateway: &Gateway, path: &str) -> bool {
    gateway.admin("GET", path, "").status == 200
}

#[test]
fn what_is_made_changed_rotated_and_deleted_on_one_gateway_is_so_on_all_and_on_those_that_come_later() {
    let redis = Server::start();
    let (a, b) = (Gateway::start("all-a", &redis), Gateway::start("all-b", &redis));
    for (kind, name) in [("organisations", "o"), ("teams", "t"), ("users", "u"), ("tags", "g")] {
        does(&a, "POST", &format!("/api/{kind}"), &format!(r#"{{"name":"{name}"}}"#));
    }
    let (kept, deleted) = (makes(&a, "kept"), makes(&a, "deleted"));
    soon("a new key can be used elsewhere", || b.use_key(&kept) == 200 && b.use_key(&deleted) == 200);
    for path in ["/api/organisations/o", "/api/teams/t", "/api/users/u", "/api/tags/g"] {
        assert!(knows(&b, path), "{path}");
    }

    // Changes go the other way too.
    does(&b, "DELETE", "/api/keys/deleted", "");
    soon("a deleted key is refused elsewhere", || a.use_key(&deleted) == 401);
    does(&b, "PATCH", "/api/teams/t", r#"{"rpm":7}"#);
    soon("a change is seen elsewhere", || a.admin("GET", "/api/teams/t", "").body.contains("\"rpm\":7"));
    let rotated = b.admin("POST", "/api/keys/kept/rotate", "{}");
    assert_eq!(rotated.status, 200, "{}", rotated.body);
    let rotated: serde_json::Value = serde_json::from_str(&rotated.body).unwrap();
    let rotated = rotated["key"].as_str().unwrap();
    soon("a rotated key is the one that is known", || a.use_key(rotated) == 200 && a.use_key(&kept) == 401);

    // At once: it asks before it serves.
    let late = Gateway::start("all-c", &redis);
    assert_eq!((late.use_key(rotated), late.use_key(&kept), late.use_key(&deleted)), (200, 401, 401));
    assert!(knows(&late, "/api/teams/t"));
    assert!(late.metrics().contains("\ntollgate_redis_up 1\n"), "{}", late.metrics());

    // No secret is told.
    let told = format!("{:?}", redis.ask(&["HGETALL", "tollgate:{who}:entries"]));
    assert!(told.contains("key/kept") && !told.contains(rotated) && !told.contains(&kept), "{told}");
    // What was done is in the log of whoever did it.
    assert!(b.admin("GET", "/api/audit", "").body.contains("key.rotate"));
    assert!(!a.admin("GET", "/api/audit", "").body.contains("key.rotate"));
}

#[test]
fn d2_a_key_that_is_blocked_elsewhere_is_refused_within_5_s_although_it_is_in_constant_use() {
    let redis = Server::start();
    let (a, b) = (Gateway::start("d2-a", &redis), Gateway::start("d2-b", &redis));
    let key = makes(&a, "busy");
    soon("a new key can be used elsewhere", || b.use_key(&key) == 200);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let hammer = || {
            while !stop.load(Ordering::Relaxed) {
                b.use_key(&key);
            }
        };
        scope.spawn(hammer);
        scope.spawn(hammer);
        does(&a, "POST", "/api/keys/busy/block", "");
        soon("a blocked key is refused elsewhere", || b.use_key(&key) != 200);
        // And it stays so, however much it is used.
        assert!((0..50).all(|_| b.use_key(&key) != 200));
        does(&a, "POST", "/api/keys/busy/unblock", "");
        soon("an unblocked key can be used again", || b.use_key(&key) == 200);
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_redis_that_has_lost_everything_is_told_again_deletions_too() {
    let redis = Server::start();
    let (a, b) = (Gateway::start("lost-a", &redis), Gateway::start("lost-b", &redis));
    let (of_a, of_b, deleted) = (makes(&a, "of-a"), makes(&b, "of-b"), makes(&a, "deleted"));
    soon("both know all", || {
        [&a, &b].iter().all(|it| [&of_a, &of_b, &deleted].iter().all(|key| it.use_key(key) == 200))
    });
    redis.ask(&["FLUSHALL"]);
    does(&b, "DELETE", "/api/keys/deleted", "");
    soon("everything is told again", || told(&redis) == 3);
    soon("the deletion has arrived", || a.use_key(&deleted) == 401);
    let late = Gateway::start("lost-c", &redis);
    for gateway in [&a, &b, &late] {
        let found = [&of_a, &of_b, &deleted].map(|key| gateway.use_key(key));
        assert_eq!(found, [200, 200, 401]);
    }
}

fn told(redis: &Server) -> i64 {
    let count = redis.ask(&["HLEN", "tollgate:{who}:entries"]);
    redis::from_redis_value(count).unwrap()
}

#[test]
fn what_is_changed_while_redis_is_away_arrives_when_it_is_back_and_the_later_change_wins_everywhere() {
    let mut redis = Server::start();
    let mut a = Gateway::start("away-a", &redis);
    let b = Gateway::start("away-b", &redis);
    let old = makes(&a, "old");
    does(&a, "POST", "/api/teams", r#"{"name":"both"}"#);
    soon("both know", || b.use_key(&old) == 200 && knows(&b, "/api/teams/both"));
    redis.kill();
    let begun = Instant::now();
    let new = makes(&a, "new");
    assert!(begun.elapsed() < Duration::from_millis(500), "the admin waits for no Redis");
    does(&a, "DELETE", "/api/keys/old", "");
    does(&a, "PATCH", "/api/teams/both", r#"{"rpm":1}"#);
    does(&b, "PATCH", "/api/teams/both", r#"{"rpm":2}"#);
    assert_eq!((a.use_key(&new), b.use_key(&old)), (200, 200), "each goes on with what it knows");
    // What waited is not lost with the process.
    a.restart(&redis);
    redis.restart();
    let rpm = |gateway: &Gateway| {
        let team: serde_json::Value =
            serde_json::from_str(&gateway.admin("GET", "/api/teams/both", "").body).unwrap();
        team["rpm"].as_u64()
    };
    server::until("what was done meanwhile arrives", || {
        b.use_key(&new) == 200 && b.use_key(&old) == 401 && rpm(&a) == Some(2)
    });
    assert_eq!(rpm(&b), Some(2));
}

#[test]
fn a_gateway_that_has_not_heard_the_others_yet_serves_no_stranger() {
    let mut redis = Server::not_started(&[]);
    let gateway = Gateway::start_open("stranger", &redis);
    assert_eq!(gateway.use_key("nobody-s"), 401, "there may be keys elsewhere");
    redis.restart();
    server::until("nobody has any key", || gateway.use_key("nobody-s") == 200);
}

#[test]
fn a_redis_that_is_back_at_an_older_state_is_told_what_it_has_forgotten() {
    const KEYS: [&str; 4] = ["entries", "feed", "gone", "meta"];
    let redis = Server::start();
    let (a, b) = (Gateway::start("older-a", &redis), Gateway::start("older-b", &redis));
    let key = makes(&a, "blocked-later");
    soon("both know it", || b.use_key(&key) == 200);
    let copy = |from: &str, to: &str| {
        for key in KEYS {
            let [from, to] = [from, to].map(|place| format!("tollgate:{{who}}:{key}{place}"));
            redis.ask(&["COPY", &from, &to, "REPLACE"]);
        }
    };
    copy("", "-old");
    does(&a, "POST", "/api/keys/blocked-later/block", "");
    soon("a block holds on both", || b.use_key(&key) != 200);
    copy("-old", "");
    soon("the block is told again", || {
        format!("{:?}", redis.ask(&["HGET", "tollgate:{who}:entries", "key/blocked-later"]))
            .contains("blocked\\\":true")
    });
    let late = Gateway::start("older-c", &redis);
    assert!([&a, &b, &late].iter().all(|gateway| gateway.use_key(&key) != 200));
}

#[test]
fn d2_a_block_holds_also_where_nothing_can_be_stored_and_is_stored_when_it_can() {
    let mut redis = Server::start();
    let (a, mut b) = (Gateway::start("disk-a", &redis), Gateway::start("disk-b", &redis));
    let key = makes(&a, "ci");
    soon("both know it", || b.use_key(&key) == 200);
    b.take_store_away();
    server::until("its store is noticed to be gone", || {
        b.metrics().contains("\ntollgate_store_writable 0\n")
    });
    does(&a, "POST", "/api/keys/ci/block", "");
    soon("a block holds without a store", || b.use_key(&key) != 200);
    b.bring_store_back();
    server::until("its store is back", || b.metrics().contains("\ntollgate_store_writable 1\n"));
    server::until("it has stored the block", || b.has_stored("\"blocked\":true"));
    redis.kill();
    b.restart(&redis);
    assert_ne!(b.use_key(&key), 200);
}

#[test]
fn what_is_wrong_with_the_shared_entries_alone_does_not_touch_limits() {
    let redis = Server::start();
    redis.ask(&["SET", "tollgate:{who}:meta", "of somebody else"]);
    let gateway = Gateway::start("wrong", &redis);
    let before = redis.script_calls();
    let keys: Vec<String> = (0..8).map(|number| makes(&gateway, &format!("k{number}"))).collect();
    server::until("it was tried again and again", || redis.script_calls() > before + 5);
    assert!(gateway.metrics().contains("\ntollgate_redis_up 1\n"), "{}", gateway.metrics());
    assert_eq!(gateway.ready(), 503, "it does not know who there is elsewhere");
    redis.ask(&["DEL", "tollgate:{who}:meta"]);
    soon("what waited is told", || told(&redis) == 8);
    soon("it has heard the others", || gateway.ready() == 200);
    let late = Gateway::start("wrong-late", &redis);
    assert!(keys.iter().all(|key| late.use_key(key) == 200));
}

#[test]
fn what_the_commands_change_beside_a_gateway_or_while_it_is_stopped_is_told_too() {
    let redis = Server::start();
    let (mut a, b) = (Gateway::start("command-a", &redis), Gateway::start("command-b", &redis));
    let (blocked, deleted, later) = (makes(&a, "blocked"), makes(&a, "deleted"), makes(&a, "later"));
    soon("both know all", || [&blocked, &deleted, &later].iter().all(|key| b.use_key(key) == 200));
    a.command(&["key", "block", "blocked"]);
    a.command(&["key", "delete", "deleted"]);
    soon("what a command changed holds elsewhere", || {
        b.use_key(&blocked) != 200 && b.use_key(&deleted) == 401
    });
    a.end();
    a.command(&["key", "delete", "later"]);
    a.restart(&redis);
    soon("what changed while it was stopped is told", || b.use_key(&later) == 401);
    assert_eq!((a.use_key(&deleted), a.use_key(&later)), (401, 401), "nothing comes back");
    assert_ne!(a.use_key(&blocked), 200);
}

#[test]
fn who_deletes_the_last_key_of_all_lets_nobody_in_anywhere() {
    let redis = Server::start();
    let (a, b) = (Gateway::start_open("last-a", &redis), Gateway::start_open("last-b", &redis));
    let key = makes(&a, "only");
    soon("both know it", || b.use_key("nobody-s") == 401 && b.use_key(&key) == 200);
    does(&a, "DELETE", "/api/keys/only", "");
    soon("it is gone elsewhere", || b.use_key(&key) != 200);
    let late = Gateway::start_open("last-c", &redis);
    assert!([&a, &b, &late].iter().all(|gateway| gateway.use_key("nobody-s") == 401));
}
