//! A database that is full, read-only, locked, gone, or holds what nobody understands.

use crate::keys::{call, create};
use crate::setting::{
    PROGRAM, Setting, TENTH, admin, assert_limited, assert_usd, chat, config, key, limits, retry_after,
    secret, spend, tenth,
};
use rusqlite::Connection;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use tollgate_sim::Running;
use tollgate_tests::gateway::{Folder, Gateway, command, eventually};
use tollgate_tests::http::{Answer, Request};

fn keys() -> String {
    [key("free", ""), key("limited", "rpm = 100000"), key("k", "budget = [{ usd = 1000, per = \"day\" }]")]
        .concat()
}

fn ask(gateway: &Gateway, name: &str) -> Answer {
    gateway.ask(&chat("sim/m").key(&secret(name)))
}

/// A gateway whose database is on a file system of its own, which nobody else sees and which is gone with
/// the gateway.
struct Mounted {
    gateway: Gateway,
    place: PathBuf,
    _sim: Running,
}

impl Mounted {
    /// `mount` is a shell's words; `$1` is where. None on machines whose containers may not mount
    /// anything: there the store's own tests show the same facts.
    fn new(folder: &Arc<Folder>, mount: &str) -> Option<Self> {
        if !may_mount() {
            return None;
        }
        let sim = tollgate_sim::spawn().expect("a simulator can be had");
        let place = folder.path().join("mounted");
        std::fs::create_dir_all(&place).expect("a folder can be made");
        let store = format!("path = \"{}/tollgate.db\"", place.display());
        std::fs::write(folder.path().join("gateway.toml"), config(&sim, &store, &keys()))
            .expect("a config can be written");
        let program = command(PROGRAM, folder);
        let mut unshared = unshare();
        unshared.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir(folder.path());
        unshared.args(["sh", "-c", &format!("{mount} && shift && exec \"$@\""), "sh"]).arg(&place);
        unshared.arg(program.get_program()).args(["serve", "--workers", "2", "--listen", "127.0.0.1:0"]);
        unshared.args(["--config", "gateway.toml"]);
        Some(Self { gateway: Gateway::run(unshared, Arc::clone(folder)), place, _sim: sim })
    }

    /// The mounted folder, as the gateway sees it.
    fn inside(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.gateway.id()));
        root.join(self.place.strip_prefix("/").expect("an absolute path"))
    }

    /// Fills the disk to its last byte.
    fn fill(&self) {
        let mut filler = std::fs::File::create(self.inside().join("filler")).expect("a file can be made");
        while filler.write_all(&[7; 4096]).is_ok() {}
        while filler.write_all(&[7]).is_ok() {}
    }

    fn empty(&self) {
        std::fs::remove_file(self.inside().join("filler")).expect("it is there");
    }
}

/// Root needs no user namespace, everybody else has none without.
fn unshare() -> Command {
    let mut unshared = Command::new("unshare");
    let root = rustix::process::geteuid().is_root();
    unshared.args(if root { &["-m"][..] } else { &["-Urm"] });
    unshared
}

fn may_mount() -> bool {
    let folder = Folder::new();
    let mut mount = unshare();
    mount.args(["mount", "-t", "tmpfs", "tollgate"]).arg(folder.path());
    mount.output().is_ok_and(|tried| tried.status.success())
}

fn assert_unavailable(answer: &Answer) {
    assert_eq!((answer.status, answer.code().as_str()), (503, "store_unavailable"), "{}", answer.text());
    assert!(retry_after(answer).is_some(), "{answer:?}");
}

#[test]
fn f1_f2_a_full_disk_closes_budgets_serves_the_rest_and_is_over_when_there_is_room() {
    let folder = Arc::new(Folder::new());
    let Some(mounted) = Mounted::new(&folder, "mount -t tmpfs -o size=2m tollgate \"$1\"") else { return };
    let gateway = &mounted.gateway;
    for _ in 0..3 {
        assert_eq!(gateway.ask(&tenth("").key(&secret("k"))).status, 200);
    }
    eventually("they are on record", || spend(gateway, "key:k").requests == 3);
    assert_eq!(gateway.ask(&Request::get("/readyz")).status, 200);
    mounted.fill();
    // What has room in files as they are may still be written: it is refused as soon as it has not.
    let mut served = 3;
    eventually("budgets are closed", || {
        let answer = gateway.ask(&tenth("").key(&secret("k")));
        if answer.status == 200 {
            served += 1;
        } else {
            assert_unavailable(&answer);
        }
        answer.status == 503
    });
    assert_eq!(ask(gateway, "free").status, 200);
    let refused = admin(
        gateway,
        &Request::post("/api/keys", &json!({"name": "new", "metadata": {"x": "y".repeat(9000)}})),
    );
    assert_unavailable(&refused);
    assert_eq!(gateway.ask(&Request::get("/healthz")).status, 200);
    eventually("it is not ready", || gateway.ask(&Request::get("/readyz")).status == 503);
    let lines = gateway.said().lines().count();
    for _ in 0..50 {
        ask(gateway, "k");
    }
    assert!(gateway.said().lines().count() - lines < 60, "a line for each change, not for each request");
    mounted.empty();
    eventually("budgets are open", || ask(gateway, "k").status == 200);
    eventually("it is ready", || gateway.ask(&Request::get("/readyz")).status == 200);
    let spent = f64::from(served) * TENTH + 0.004_002;
    eventually("all is settled", || limits(gateway, "key:k")[0].held == 0.0);
    assert_usd(limits(gateway, "key:k")[0].used, spent);
    eventually("all is on record", || (spend(gateway, "key:k").usd - spent).abs() < 1e-6);
    assert_eq!(admin(gateway, &Request::post("/api/keys", &json!({"name": "new"}))).status, 201);
}

#[test]
fn f1_limits_are_kept_in_this_process_while_the_disk_is_full() {
    let folder = Arc::new(Folder::new());
    let Some(mounted) = Mounted::new(&folder, "mount -t tmpfs -o size=2m tollgate \"$1\"") else { return };
    assert_eq!(ask(&mounted.gateway, "limited").status, 200);
    mounted.fill();
    eventually("budgets are closed", || ask(&mounted.gateway, "k").status == 503);
    // `limits = "local"` is the mode when nothing else is said.
    for _ in 0..20 {
        let answer = ask(&mounted.gateway, "limited");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[test]
fn f1_a_read_only_database_at_the_start_is_no_other_than_later() {
    let folder = Arc::new(Folder::new());
    let bind = "mount --bind \"$1\" \"$1\"";
    let Some(mut made) = Mounted::new(&folder, bind) else { return };
    let secret_of_made = create(&made.gateway, &json!({"name": "made"}));
    assert_eq!(made.gateway.ask(&tenth("").key(&secret("k"))).status, 200);
    eventually("it is on record", || spend(&made.gateway, "key:k").requests == 1);
    made.gateway.signal("TERM");
    made.gateway.wait();
    drop(made);
    let read_only = format!("{bind} && mount -o remount,bind,ro \"$1\"");
    let mounted = Mounted::new(&folder, &read_only).expect("it could be mounted before");
    let gateway = &mounted.gateway;
    assert_eq!(ask(gateway, "free").status, 200);
    assert_eq!(call(gateway, &secret_of_made).status, 200, "f1: never a 401 for what cannot be read");
    assert_unavailable(&ask(gateway, "k"));
    assert_unavailable(&admin(gateway, &Request::post("/api/keys", &json!({"name": "new"}))));
    assert_eq!(gateway.ask(&Request::get("/readyz")).status, 503);
    assert_eq!(gateway.ask(&Request::get("/healthz")).status, 200);
}

#[test]
fn f2_a_database_that_is_taken_away_is_noticed_and_so_is_its_return() {
    let setting = Setting::new(&keys());
    let place = setting.gateway.folder();
    let (here, away) = (place.path().join("tollgate.db"), place.path().join("away.db"));
    assert_eq!(ask(&setting.gateway, "k").status, 200);
    eventually("it is on record", || setting.spend("key:k").requests == 1);
    std::fs::rename(&here, &away).expect("it is there");
    eventually("it is not ready", || setting.gateway.ask(&Request::get("/readyz")).status == 503);
    assert_eq!(ask(&setting.gateway, "free").status, 200);
    let refused = setting.admin(&Request::post("/api/keys", &json!({"name": "new"})));
    assert_unavailable(&refused);
    std::fs::rename(&away, &here).expect("it is there");
    eventually("it is ready", || setting.gateway.ask(&Request::get("/readyz")).status == 200);
    eventually("budgets are open", || ask(&setting.gateway, "k").status == 200);
    assert_eq!(setting.admin(&Request::post("/api/keys", &json!({"name": "new"}))).status, 201);
}

#[test]
fn b16_a_locked_database_delays_no_call_and_loses_no_spend() {
    let setting = Setting::new(&keys());
    assert_eq!(ask(&setting.gateway, "k").status, 200);
    let other =
        Connection::open(setting.gateway.folder().path().join("tollgate.db")).expect("it can be opened");
    other.execute_batch("BEGIN IMMEDIATE").expect("it can be locked");
    let start = std::time::Instant::now();
    for _ in 0..20 {
        assert_eq!(setting.ask("k", &tenth("")).status, 200);
    }
    assert!(start.elapsed() < std::time::Duration::from_secs(3), "{:?}", start.elapsed());
    other.execute_batch("ROLLBACK").expect("it can be let go");
    let spent = setting.settled("key:k", 21);
    assert_usd(spent.usd, 20.0 * TENTH + 0.004_002);
    assert_usd(setting.limit("key:k", "budget").used, spent.usd);
}

#[test]
fn k17_malformed_rows_are_set_aside_and_everything_else_runs() {
    let mut setting = Setting::new(&key("k", "budget = [{ usd = 0.25, per = \"month\" }]"));
    let names = ["good", "cut", "null", "masked", "old", "blob", "misnamed"];
    let secrets = names.map(|name| create(&setting.gateway, &json!({"name": name, "rpm": 100})));
    assert_eq!(setting.admin(&Request::post("/api/teams", &json!({"name": "t"}))).status, 201);
    for _ in 0..2 {
        assert_eq!(setting.ask("k", &tenth("")).status, 200);
    }
    setting.settled("key:k", 2);
    setting.gateway.signal("TERM");
    setting.gateway.wait();
    let database =
        Connection::open(setting.gateway.folder().path().join("tollgate.db")).expect("it can be opened");
    let spoil = |sql: &str| {
        let changed = database.execute(sql, []).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert!(changed > 0, "{sql} changed nothing");
    };
    spoil("UPDATE entities SET spec = '{\"name\":\"cut\",\"sha' WHERE name = 'cut'");
    spoil("UPDATE entities SET spec = NULL WHERE name = 'null'");
    spoil(
        "UPDATE entities SET spec = '{\"name\":\"masked\",\"sha256\":\"sk-...abcd\"}' WHERE name = 'masked'",
    );
    spoil(
        "UPDATE entities SET spec = '{\"version\":0,\"token\":\"old\",\"max_budget\":null}' WHERE name = 'old'",
    );
    spoil("UPDATE entities SET spec = x'00ff00ff' WHERE name = 'blob'");
    spoil("UPDATE entities SET name = 'another' WHERE name = 'misnamed'");
    spoil("UPDATE entities SET spec = '[]' WHERE kind = 'team'");
    spoil("INSERT INTO entities (kind, name, spec) VALUES ('planet', 'mars', '{}')");
    spoil("INSERT INTO accounts (scope, state) VALUES ('key:ghost', x'deadbeef')");
    spoil(
        "INSERT INTO accounts (scope, state) VALUES ('key:good', x'') ON CONFLICT DO UPDATE SET state = x''",
    );
    spoil("INSERT INTO open_entries (id, state) VALUES (x'01', x'02')");
    drop(database);
    let folder = setting.gateway.folder();
    std::fs::write(folder.path().join("tollgate.db.journal.999"), b"\x07garbage that is no note")
        .expect("it can be written");
    setting.restart();
    assert_eq!(call(&setting.gateway, &secrets[0]).status, 200, "the good one");
    for (name, secret) in names.iter().zip(&secrets).skip(1) {
        assert_eq!(call(&setting.gateway, secret).status, 401, "{name}");
    }
    for name in ["cut", "null", "masked", "old", "blob", "another", "mars", "ghost"] {
        assert!(setting.gateway.said().contains(name), "{name} is reported: {}", setting.gateway.said());
    }
    // Spend that was in order is as it was.
    assert_limited(&setting.ask("k", &tenth("")), "budget_exceeded", "key:k");
    // A name that was set aside can be used again.
    create(&setting.gateway, &json!({"name": "cut", "rpm": 5}));
    setting.gateway.kill();
    setting.restart();
    assert_eq!(call(&setting.gateway, &secrets[0]).status, 200);
}

#[test]
fn a_database_has_one_gateway() {
    let setting = Setting::new(&keys());
    let place = setting.gateway.folder();
    let mut second = command(PROGRAM, &place);
    second.args(["serve", "--listen", "127.0.0.1:0", "--config", "gateway.toml"]);
    let said = std::fs::File::create(place.path().join("second.log")).expect("a file can be made");
    second.stdout(said.try_clone().expect("a file has two ends")).stderr(said);
    let mut second = second.spawn().expect("the program starts");
    let mut code = None;
    let start = std::time::Instant::now();
    while code.is_none() && start.elapsed() < std::time::Duration::from_secs(15) {
        code = second.try_wait().expect("it is our child");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let _ = second.kill();
    let _ = second.wait();
    let said = std::fs::read_to_string(place.path().join("second.log")).unwrap_or_default();
    assert!(code.is_some_and(|code| !code.success()), "two serve one database: {said}");
    assert!(said.contains("tollgate.db"), "{said}");
    assert_eq!(ask(&setting.gateway, "k").status, 200);
}

#[test]
fn a_line_of_the_audit_log_that_was_taken_out_or_changed_shows() {
    let setting = Setting::new("");
    for name in ["a", "b", "c", "d"] {
        create(&setting.gateway, &json!({"name": name}));
    }
    let verified = || setting.admin(&Request::get("/api/audit/verify")).json();
    assert_eq!(verified()["complete"], true, "{}", verified());
    let database =
        Connection::open(setting.gateway.folder().path().join("tollgate.db")).expect("it can be opened");
    assert!(database.execute("DELETE FROM audit WHERE seq = 2", []).is_err(), "it is append-only");
    assert!(
        database.execute("UPDATE audit SET actor = 'nobody' WHERE seq = 2", []).is_err(),
        "it is append-only"
    );
    // Somebody with the file can do it all the same, and is found out.
    let spoil = |sql: &str| database.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    spoil("DROP TRIGGER audit_is_not_changed; UPDATE audit SET actor = 'key:other' WHERE seq = 3");
    assert_eq!((verified()["complete"].as_bool(), verified()["broken_at"].as_u64()), (Some(false), Some(3)));
    spoil("DROP TRIGGER audit_is_not_cut; DELETE FROM audit WHERE seq = 2");
    assert_eq!((verified()["complete"].as_bool(), verified()["broken_at"].as_u64()), (Some(false), Some(2)));
}
